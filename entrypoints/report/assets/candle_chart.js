// The candle chart in use: what part is seen, what the pointer and the keys do, what the readout and the tip say.

const LEAST_SEEN = 12,
  MARK_REACH_PX = 13,
  WHEEL_STEP = 1.2;

function candleChart(onPick) {
  const canvas = byId("candles"),
    tip = byId("tip"),
    readout = byId("candle-readout");
  const view = { from: 0, to: 1, picked: null, cross: null, drag: null };
  let chart = null,
    plot = null,
    held = null;

  function show(next) {
    chart = next;
    view.picked = null;
    canvas.setAttribute("aria-label", `Candles of ${chart.symbol} with ${plural(chart.trades.length, "trade")}`);
    look(0, chart.candles.size);
  }

  /** Look at candles from..to, kept inside the data and at least `LEAST_SEEN` wide. */
  function look(from, to) {
    const size = chart.candles.size,
      wide = Math.min(size, Math.max(to - from, Math.min(LEAST_SEEN, size)));
    view.from = Math.min(Math.max(0, (from + to - wide) / 2), size - wide);
    view.to = view.from + wide;
    tip.hidden = true;
    draw();
  }

  function draw() {
    if (!chart) return;
    plot = drawCandles(canvas, chart, view);
    if (plot) say();
  }

  function zoom(factor, share = 0.5) {
    const wide = view.to - view.from,
      next = Math.max(Math.min(LEAST_SEEN, chart.candles.size), wide * factor);
    const fixed = view.from + wide * share;
    look(fixed - next * share, fixed + next * (1 - share));
  }

  function move(share) {
    const by = (view.to - view.from) * share;
    look(view.from + by, view.to + by);
  }

  /** Bring a trade into view with as much room again on both sides. */
  function pickTrade(place) {
    const { candles, trades } = chart,
      trade = trades[place];
    if (!trade) return;
    const start = (trade.opened_ms - candles.firstMs) / candles.stepMs,
      end = (trade.closed_ms - candles.firstMs) / candles.stepMs;
    const room = Math.max(end - start, 30);
    view.picked = place;
    view.cross = null;
    look(start - room, end + room);
    onPick(place);
    readout.replaceChildren(...tradeLine(trade));
  }

  function step(way) {
    const last = chart.trades.length - 1;
    const next = view.picked === null ? (way > 0 ? 0 : last) : view.picked + way;
    pickTrade(Math.min(last, Math.max(0, next)));
  }

  const deeds = {
    previous: () => step(-1),
    next: () => step(1),
    left: () => move(-0.25),
    right: () => move(0.25),
    in: () => zoom(1 / 1.6),
    out: () => zoom(1.6),
    reset: () => look(0, chart.candles.size),
  };
  const keys = {
    ArrowLeft: "left",
    ArrowRight: "right",
    "+": "in",
    "=": "in",
    "-": "out",
    0: "reset",
    n: "next",
    p: "previous",
  };

  function placeAt(x) {
    return view.from + ((x - plot.left) / (plot.right - plot.left)) * (view.to - view.from);
  }

  function hover(event) {
    view.cross = { x: event.offsetX, y: event.offsetY };
    const found = nearestMark(plot.placed, event.offsetX, event.offsetY);
    draw();
    tip.hidden = !found;
    if (!found) return;
    tip.replaceChildren(...tipLines(found.mark, chart.trades[found.mark.trade]));
    const room = canvas.getBoundingClientRect(),
      beside = found.x + 14 + tip.offsetWidth > room.width ? -tip.offsetWidth - 14 : 14;
    const x = Math.min(Math.max(2, found.x + beside), Math.max(2, room.width - tip.offsetWidth - 2));
    const y = Math.min(Math.max(0, found.y - tip.offsetHeight / 2), Math.max(0, room.height - tip.offsetHeight));
    tip.style.transform = `translate(${x}px, ${y}px)`;
  }

  function say() {
    if (view.picked !== null && !view.cross) return;
    const { candles } = chart,
      at = view.cross && plot ? Math.floor(placeAt(view.cross.x)) : candles.size - 1;
    const inside = Math.min(candles.size - 1, Math.max(0, at)),
      [candle] = mergedCandles(candles, inside, inside, plot.group);
    const first = candle.middle - candle.wide / 2,
      span = spanText(plot.group * candles.stepMs);
    const price = (value) => make("b", {}, drawn(value, candles.decimals));
    readout.replaceChildren(
      make("span", {}, timeText(candles.firstMs + first * candles.stepMs)),
      make("span", {}, "O ", price(candle.open)),
      make("span", {}, "H ", price(candle.high)),
      make("span", {}, "L ", price(candle.low)),
      make("span", {}, "C ", price(candle.close)),
      make("span", {}, `candles of ${span}` + (plot.group > 1 ? ", zoom in for more" : "")),
    );
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (!plot || event.button !== 0) return;
    held = { x: event.offsetX, from: view.from, to: view.to, touch: event.pointerType === "touch" };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!plot) return;
    if (held?.touch) {
      const by = ((held.x - event.offsetX) / (plot.right - plot.left)) * (held.to - held.from);
      look(held.from + by, held.to + by);
    } else if (held) {
      view.drag = [held.x, event.offsetX];
      draw();
    } else {
      hover(event);
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    const start = held,
      wasDrag = view.drag && Math.abs(view.drag[1] - view.drag[0]) > 6;
    held = view.drag = null;
    if (!start) return;
    const found = wasDrag ? null : nearestMark(plot.placed, event.offsetX, event.offsetY);
    if (wasDrag) {
      const ends = [placeAt(start.x), placeAt(event.offsetX)];
      look(Math.min(...ends), Math.max(...ends));
    } else if (Math.abs(event.offsetX - start.x) <= 6) {
      view.picked = found && found.mark.trade >= 0 ? found.mark.trade : null;
      if (view.picked !== null) onPick(view.picked);
      hover(event);
    }
  });
  canvas.addEventListener("pointercancel", () => {
    held = view.drag = null;
    draw();
  });
  canvas.addEventListener("pointerleave", () => {
    if (held) return;
    view.cross = null;
    tip.hidden = true;
    draw();
  });
  canvas.addEventListener(
    "wheel",
    (event) => {
      if (!plot || event.ctrlKey || event.metaKey) return; // that is the page's own zoom
      const whole = view.to - view.from >= chart.candles.size,
        across = Math.abs(event.deltaX) > Math.abs(event.deltaY);
      if (whole && (across || event.deltaY > 0)) return; // nothing more to show: let the page scroll
      event.preventDefault();
      if (across) move(event.deltaX / (plot.right - plot.left));
      else zoom(event.deltaY > 0 ? WHEEL_STEP : 1 / WHEEL_STEP, (event.offsetX - plot.left) / (plot.right - plot.left));
    },
    { passive: false },
  );
  canvas.addEventListener("keydown", (event) => {
    const deed =
      event.ctrlKey || event.metaKey || event.altKey ? undefined : (keys[event.key] ?? keys[event.key.toLowerCase()]);
    if (!deed || !chart) return;
    event.preventDefault();
    deeds[deed]();
  });
  for (const button of document.querySelectorAll("[data-do]")) {
    button.addEventListener("click", () => chart && deeds[button.dataset.do]());
  }
  keepDrawn(canvas, draw);
  return { show, pickTrade };
}

function nearestMark(placed, x, y) {
  let best = null,
    reach = MARK_REACH_PX;
  for (const spot of placed) {
    const away = Math.hypot(spot.x - x, spot.y - y);
    if (away <= reach) {
      best = spot;
      reach = away;
    }
  }
  return best;
}
