// From a packed chart to candles and marks with places on the time axis.

const ROUND_SPANS_MS = [1, 2, 3, 5, 10, 15, 30]
  .map((minutes) => minutes * MINUTE_MS)
  .concat(
    [1, 2, 3, 4, 6, 8, 12].map((hours) => hours * HOUR_MS),
    [1, 2, 3, 4, 7, 14, 28].map((days) => days * DAY_MS),
  );

/** Unpack a chart: base64, deflated (zlib format), JSON. Rejects where the browser cannot inflate. */
async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}

/** Columns of prices again, from whole numbers told by their distances. */
function candlesOf(payload) {
  const size = payload.close_from_open.length,
    scale = 10 ** payload.decimals;
  const open = new Float64Array(size),
    high = new Float64Array(size),
    low = new Float64Array(size),
    close = new Float64Array(size);
  let before = 0;
  for (let place = 0; place < size; place++) {
    const from = before + payload.open_from_close[place],
      to = from + payload.close_from_open[place];
    open[place] = from / scale;
    close[place] = to / scale;
    high[place] = (Math.max(from, to) + payload.above[place]) / scale;
    low[place] = (Math.min(from, to) - payload.below[place]) / scale;
    before = to;
  }
  return {
    size,
    open,
    high,
    low,
    close,
    firstMs: payload.open_ms,
    stepMs: payload.step_ms,
    decimals: payload.decimals,
  };
}

/** Executions with the candle they fell into. One on a candle's first instant belongs to that candle. */
function marksOf(payload, candles) {
  return payload.marks.map((mark) => ({
    ...mark,
    place: Math.min(candles.size - 1, Math.max(0, Math.floor((mark.time_ms - candles.firstMs) / candles.stepMs))),
    value: Number(mark.price),
    trade: mark.trade >= 0 && mark.trade < payload.trades.length ? mark.trade : -1,
  }));
}

function tradesOf(payload) {
  return payload.trades.map((trade, place) => ({
    ...trade,
    place,
    number: place + 1,
    hold_ms: trade.closed_ms - trade.opened_ms,
  }));
}

/** How many candles to draw as one when `least` or more must be: a round span of time where there is one. */
function groupSize({ stepMs }, least) {
  if (least <= 1) return 1;
  const round = ROUND_SPANS_MS.find((ms) => ms % stepMs === 0 && ms / stepMs >= least);
  return round ? round / stepMs : Math.ceil(least);
}

/**
 * Candles from..to (places, the ends may be fractions) merged by `group`, with the place of each group's middle.
 * Groups start on the clock (a day at midnight UTC), so that they stand still while the view moves.
 */
function mergedCandles(candles, from, to, group) {
  const merged = [];
  const offset = Math.round(candles.firstMs / candles.stepMs) % group,
    last = Math.min(candles.size, Math.ceil(to) + 1);
  for (let next = Math.floor((Math.floor(from) + offset) / group) * group - offset; next < last; next += group) {
    const start = Math.max(0, next),
      end = Math.min(candles.size, next + group);
    let high = candles.high[start],
      low = candles.low[start];
    for (let place = start + 1; place < end; place++) {
      if (candles.high[place] > high) high = candles.high[place];
      if (candles.low[place] < low) low = candles.low[place];
    }
    merged.push({
      middle: (start + end) / 2,
      wide: end - start,
      open: candles.open[start],
      high,
      low,
      close: candles.close[end - 1],
    });
  }
  return merged;
}

/** Length of a group of candles in words: 4h, 1d 12h. */
function spanText(ms) {
  const days = Math.floor(ms / DAY_MS),
    hours = Math.floor((ms % DAY_MS) / HOUR_MS),
    minutes = Math.round((ms % HOUR_MS) / MINUTE_MS);
  return [days && `${days}d`, hours && `${hours}h`, minutes && `${minutes}m`].filter(Boolean).join(" ");
}
