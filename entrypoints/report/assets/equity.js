// Equity above, drawdown below, one time axis and one crosshair for both.

const EQUITY_SHARE = 0.66,
  PANE_GAP = 32,
  TOP = 24,
  LEAST_FALL_PCT = 0.5,
  AXIS_HEIGHT = 26;

function equityChart(curve, startEquity) {
  const canvas = byId("equity"),
    readout = byId("equity-readout");
  const { time_ms: times, equity, drawdown_pct: falls } = curve;
  const deepest = Math.max(...falls),
    lowest = Math.max(deepest * 1.08, LEAST_FALL_PCT),
    start = Number(startEquity);
  let picked = null,
    plot = null;

  function draw() {
    const colours = themeColours(),
      { context, width, height } = fitted(canvas);
    if (width < 40) return;
    const money = spread(Math.min(...equity, start), Math.max(...equity, start), 0.06);
    const moneyTicks = roundTicks(money.low, money.high, 5),
      fallTicks = roundTicks(0, lowest, 3);
    const fallLabel = (value, decimals) => (value > 0 ? MINUS : "") + drawn(value, decimals) + "\u00a0%";
    const labels = [
      ...moneyTicks.values.map((value) => drawn(value, moneyTicks.decimals)),
      ...fallTicks.values.map((value) => fallLabel(value, fallTicks.decimals)),
    ];
    const left = 2,
      right = width - axisWidth(context, labels);
    const body = height - TOP - AXIS_HEIGHT - PANE_GAP,
      split = TOP + body * EQUITY_SHARE,
      under = split + PANE_GAP;
    const bottom = height - AXIS_HEIGHT,
      first = times[0],
      span = times.at(-1) - first || 1;
    plot = { left, right, first, span };
    const xOf = (ms) => left + ((ms - first) / span) * (right - left);
    const moneyY = (value) => split - ((value - money.low) / (money.high - money.low)) * (split - TOP);
    const fallY = (value) => under + (value / lowest) * (bottom - under);
    const ticks = timeTicks(first, times.at(-1), Math.max(3, (right - left) / 100));

    drawTimeAxis(context, colours, { left, right, top: TOP, bottom, ticks, xOf });
    drawValueAxis(context, colours, { left, right, ticks: moneyTicks, yOf: moneyY, label: drawn });
    drawValueAxis(context, colours, { left, right, ticks: fallTicks, yOf: fallY, label: fallLabel });
    line(context, colours.muted, left, Math.round(moneyY(start)) + 0.5, right, Math.round(moneyY(start)) + 0.5, [4, 4]);
    area(context, times.map(xOf), falls.map(fallY), under, colours.fall, 0.22);
    area(context, times.map(xOf), equity.map(moneyY), split, colours.accent, 0.08);
    caption(context, colours, "Equity, USD", left, TOP - 20);
    caption(context, colours, "Drawdown", left, under - 20);
    if (picked !== null) {
      const x = xOf(times[picked]);
      line(context, colours.muted, x, TOP, x, bottom, [3, 3]);
      dot(context, colours, x, moneyY(equity[picked]), colours.accent);
      dot(context, colours, x, fallY(falls[picked]), colours.fall);
    }
    say();
  }

  function say() {
    const place = picked ?? times.length - 1;
    readout.replaceChildren(
      make("span", {}, timeText(times[place])),
      make(
        "span",
        {},
        "Equity ",
        make("b", {}, drawn(equity[place], 2)),
        ` (${signed((equity[place] - start).toFixed(2))})`,
      ),
      make("span", {}, "Drawdown ", make("b", {}, drawn(-falls[place] || 0, 2) + "\u00a0%")),
    );
  }

  function pick(place) {
    picked = place;
    draw();
  }

  canvas.addEventListener("pointermove", (event) => {
    if (!plot) return;
    const share = (event.offsetX - plot.left) / (plot.right - plot.left);
    pick(nearest(times, plot.first + Math.min(1, Math.max(0, share)) * plot.span));
  });
  canvas.addEventListener("pointerleave", () => pick(null));
  canvas.addEventListener("blur", () => pick(null));
  canvas.addEventListener("keydown", (event) => {
    const stride = event.shiftKey ? Math.max(1, Math.round(times.length / 40)) : 1,
      last = times.length - 1;
    const to = { ArrowLeft: (picked ?? last) - stride, ArrowRight: (picked ?? last) + stride, Home: 0, End: last }[
      event.key
    ];
    if (to === undefined) return;
    event.preventDefault();
    pick(Math.min(last, Math.max(0, to)));
  });
  canvas.setAttribute(
    "aria-label",
    `Equity from ${drawn(equity[0], 2)} to ${drawn(equity.at(-1), 2)} USD; ` +
      `deepest drawdown ${drawn(deepest, 2)} percent`,
  );
  keepDrawn(canvas, draw);
}

/** Some air above and below; never an empty span. */
function spread(low, high, share) {
  const air = (high - low || Math.abs(high) * 0.01 || 1) * share;
  return { low: low - air, high: high + air };
}

/** Place of the value nearest to `wanted` in an ascending list. */
function nearest(values, wanted) {
  let low = 0,
    high = values.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low > 0 && wanted - values[low - 1] < values[low] - wanted ? low - 1 : low;
}

function area(context, xs, ys, base, colour, strength) {
  const path = new Path2D();
  xs.forEach((x, place) => path.lineTo(x, ys[place]));
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = 1.6;
  context.stroke(path);
  path.lineTo(xs.at(-1), base);
  path.lineTo(xs[0], base);
  path.closePath();
  context.globalAlpha = strength;
  context.fill(path);
  context.globalAlpha = 1;
}

function caption(context, colours, text, x, y) {
  context.fillStyle = colours.muted;
  context.textAlign = "left";
  context.textBaseline = "top";
  context.fillText(text, x, y);
}

function dot(context, colours, x, y, colour) {
  context.beginPath();
  context.arc(x, y, 4, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.fill();
  context.strokeStyle = colours.card;
  context.lineWidth = 1.5;
  context.stroke();
}
