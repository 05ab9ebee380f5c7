// Drawing of the candle chart: candles, the lines of trades, and a shape for every execution.

const LEAST_CANDLE_PX = 3,
  MARK_PX = 6,
  SMALL_MARK_PX = 4,
  MANY_MARKS = 120;

/** Draw `view` of a chart. Returns the plot's geometry with every mark's place on screen. */
function drawCandles(canvas, chart, view) {
  const colours = themeColours(),
    { context, width, height } = fitted(canvas);
  if (width < 40) return null;
  const { candles, marks, trades } = chart,
    { from, to } = view;
  const group = groupSize(candles, ((to - from) * LEAST_CANDLE_PX) / Math.max(60, width - 80));
  const shown = mergedCandles(candles, from, to, group),
    seen = marks.filter((mark) => mark.place + 1 > from && mark.place < to);
  const range = spread(
    Math.min(...shown.map((candle) => candle.low), ...seen.map((mark) => mark.value)),
    Math.max(...shown.map((candle) => candle.high), ...seen.map((mark) => mark.value)),
    0.06,
  );
  const priceTicks = roundTicks(range.low, range.high, Math.max(3, height / 70));
  // The crosshair's price has one more decimal than the axis, where candles have it too.
  const fine = Math.max(priceTicks.decimals, Math.min(candles.decimals, priceTicks.decimals + 1));
  const left = 2,
    right =
      width -
      axisWidth(
        context,
        priceTicks.values.map((value) => drawn(value, fine)),
      );
  const top = 8,
    bottom = height - AXIS_HEIGHT;
  const xOf = (place) => left + ((place - from) / (to - from)) * (right - left);
  const yOf = (value) => bottom - ((value - range.low) / (range.high - range.low)) * (bottom - top);
  const msOf = (place) => candles.firstMs + place * candles.stepMs;
  const ticks = timeTicks(msOf(from), msOf(to), Math.max(3, (right - left) / 100));
  drawTimeAxis(context, colours, {
    left,
    right,
    top,
    bottom,
    ticks,
    xOf: (ms) => xOf((ms - candles.firstMs) / candles.stepMs),
  });
  drawValueAxis(context, colours, { left, right, ticks: priceTicks, yOf, label: drawn });

  context.save();
  context.beginPath();
  context.rect(left, 0, right - left, bottom + 1);
  context.clip();
  for (const candle of shown) drawCandle(context, colours, candle, xOf, yOf);
  drawTradeLines(context, colours, chart, view, xOf, yOf);
  const placed = seen.map((mark) => ({ mark, x: xOf(mark.place + 0.5), y: yOf(mark.value) }));
  const size = seen.length > MANY_MARKS ? SMALL_MARK_PX : MARK_PX;
  for (const { mark, x, y } of placed) {
    const picked = view.picked !== null && mark.trade === view.picked;
    drawMark(context, colours, mark, trades[mark.trade], x, y, picked ? MARK_PX + 2 : size);
  }
  if (view.drag) {
    context.fillStyle = colours.accent;
    context.globalAlpha = 0.15;
    context.fillRect(Math.min(...view.drag), top, Math.abs(view.drag[1] - view.drag[0]), bottom - top);
    context.globalAlpha = 1;
  }
  context.restore();
  if (view.cross) drawCross(context, colours, view.cross, { left, right, top, bottom, range, decimals: fine });
  return { left, right, top, bottom, placed, group };
}

function drawCandle(context, colours, candle, xOf, yOf) {
  const x = xOf(candle.middle),
    full = xOf(candle.middle + candle.wide / 2) - xOf(candle.middle - candle.wide / 2);
  const wide = Math.max(1, Math.min(full * 0.68, 22)),
    rises = candle.close >= candle.open;
  const above = yOf(Math.max(candle.open, candle.close)),
    below = yOf(Math.min(candle.open, candle.close));
  context.fillStyle = rises ? colours.up : colours.down;
  context.globalAlpha = 0.75;
  context.fillRect(Math.round(x) - 0.5, yOf(candle.high), 1, Math.max(1, yOf(candle.low) - yOf(candle.high)));
  context.fillRect(Math.round(x - wide / 2), above, Math.max(1, Math.round(wide)), Math.max(1, below - above));
  context.globalAlpha = 1;
}

/** From every trade's average entry to its average exit; the picked one stands out. */
function drawTradeLines(context, colours, { candles, trades }, { from, to, picked }, xOf, yOf) {
  const placeOf = (ms) => Math.floor((ms - candles.firstMs) / candles.stepMs) + 0.5;
  for (const trade of trades) {
    const start = placeOf(trade.opened_ms),
      end = placeOf(trade.closed_ms);
    if (end < from || start > to) continue;
    context.strokeStyle = Number(trade.net) > 0 ? colours.gain : colours.loss;
    context.lineWidth = trade.place === picked ? 2.5 : 1.2;
    context.setLineDash(trade.place === picked ? [] : [4, 3]);
    context.beginPath();
    context.moveTo(xOf(start), yOf(Number(trade.entry_price)));
    context.lineTo(xOf(end), yOf(Number(trade.exit_price)));
    context.stroke();
  }
  context.setLineDash([]);
}

/**
 * Entries are triangles, up for long and down for short; exits are diamonds, full for a win and hollow for a loss.
 * What only adds or reduces has the same shape, smaller.
 */
function drawMark(context, colours, mark, trade, x, y, size) {
  const entry = mark.kind === "open" || mark.kind === "add",
    won = trade !== undefined && Number(trade.net) > 0;
  const radius = mark.kind === "open" || mark.kind === "close" ? size : size * 0.68;
  const colour = entry ? (mark.side === "long" ? colours.gain : colours.loss) : won ? colours.gain : colours.loss;
  const path = new Path2D();
  for (const [dx, dy] of entry
    ? trianglePoints(mark.side === "long")
    : [
        [0, -1.1],
        [1.1, 0],
        [0, 1.1],
        [-1.1, 0],
      ]) {
    path.lineTo(x + dx * radius, y + dy * radius);
  }
  path.closePath();
  context.strokeStyle = colours.card;
  context.lineWidth = size < MARK_PX ? 2 : 4;
  context.stroke(path);
  context.fillStyle = entry || won ? colour : colours.card;
  context.fill(path);
  context.strokeStyle = entry ? colours.card : colour;
  context.lineWidth = entry ? 1 : 2;
  context.stroke(path);
}

/** The tip touches the price; the body stays clear of the candle. */
function trianglePoints(up) {
  const way = up ? 1 : -1;
  return [
    [0, 0],
    [1.05, 1.9 * way],
    [-1.05, 1.9 * way],
  ];
}

function drawCross(context, colours, { x, y }, { left, right, top, bottom, range, decimals }) {
  if (x < left || x > right || y < top || y > bottom) return;
  line(context, colours.muted, x, top, x, bottom, [3, 3]);
  line(context, colours.muted, left, y, right, y, [3, 3]);
  const value = range.low + ((bottom - y) / (bottom - top)) * (range.high - range.low),
    text = drawn(value, decimals);
  context.fillStyle = colours.text;
  context.fillRect(right + 2, y - 9, context.measureText(text).width + 10, 18);
  context.fillStyle = colours.card;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillText(text, right + 7, y + 0.5);
}

/** Fill the legend with the very shapes that the chart draws. */
function drawLegend(list) {
  const rows = [
    ["Long entry", { kind: "open", side: "long" }],
    ["Short entry", { kind: "open", side: "short" }],
    ["Exit, won", { kind: "close", side: "long" }, { net: "1" }],
    ["Exit, lost or open", { kind: "close", side: "long" }],
  ];
  const drawings = rows.map(([text, mark, trade]) => {
    const canvas = make("canvas", { "aria-hidden": "true" });
    list.append(make("li", {}, canvas, text));
    return () => {
      const { context } = fitted(canvas),
        y = mark.kind === "close" ? 8 : mark.side === "long" ? 2.5 : 13.5;
      drawMark(context, themeColours(), mark, trade, 8, y, MARK_PX - 0.5);
    };
  });
  list.append(make("li", {}, "Smaller shapes: added or reduced. Dashed lines join average entry and exit."));
  keepDrawn(list, () => drawings.forEach((draw) => draw()));
}
