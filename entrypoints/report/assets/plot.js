// What both charts share: colours of the page, a sharp canvas, axes.

const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif';

/** Colours as the style sheet has them now, light or dark. */
function themeColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["card", "line", "grid", "text", "muted", "accent", "gain", "loss", "up", "down", "fall"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue("--" + name).trim()]));
}

/** Fit a canvas to its place on screen and clear it. Returns its context and its size in CSS pixels. */
function fitted(canvas) {
  const { width, height } = canvas.getBoundingClientRect(),
    ratio = window.devicePixelRatio || 1;
  const wide = Math.round(width * ratio),
    high = Math.round(height * ratio);
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = FONT;
  context.lineJoin = "round";
  return { context, width, height };
}

/** Call `draw` now, whenever the canvas changes its size, and when the page turns light or dark. */
function keepDrawn(canvas, draw) {
  new ResizeObserver(draw).observe(canvas);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

/** Round numbers that divide low..high into about `wanted` parts, and the decimals to write them with. */
function roundTicks(low, high, wanted) {
  const rough = (high - low) / Math.max(1, wanted),
    power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough * 0.999);
  const values = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-9; value += step) values.push(value);
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9) + (step / power === 2.5 ? 1 : 0));
  return { values, decimals };
}

const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720]
  .map((minutes) => minutes * MINUTE_MS)
  .concat([1, 2, 4, 7, 14].map((days) => days * DAY_MS));
const MONTH_STEPS = [1, 2, 3, 6, 12, 24, 60, 120];

/** Times to label between two times, at most about `wanted`, on round clock hours, days or months (UTC). */
function timeTicks(fromMs, toMs, wanted) {
  const rough = (toMs - fromMs) / Math.max(1, wanted),
    ticks = [];
  const step = TIME_STEPS.find((candidate) => candidate >= rough);
  if (step) {
    for (let ms = Math.ceil(fromMs / step) * step; ms <= toMs; ms += step)
      ticks.push({ ms, label: tickText(ms, step) });
    return ticks;
  }
  const every = MONTH_STEPS.find((months) => months * 30 * DAY_MS >= rough) ?? 120,
    first = new Date(fromMs);
  let month = Math.ceil((first.getUTCFullYear() * 12 + first.getUTCMonth()) / every) * every;
  for (; ; month += every) {
    const ms = Date.UTC(Math.floor(month / 12), month % 12);
    if (ms > toMs) return ticks;
    if (ms >= fromMs) ticks.push({ ms, label: `${MONTHS[month % 12]} ${Math.floor(month / 12)}` });
  }
}

function tickText(ms, step) {
  const date = new Date(ms),
    day = `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}`;
  return step >= DAY_MS || ms % DAY_MS === 0 ? day : clockText(ms);
}

/** Horizontal lines with their values to the right of the plot. */
function drawValueAxis(context, colours, { left, right, ticks, yOf, label }) {
  context.textAlign = "left";
  context.textBaseline = "middle";
  for (const value of ticks.values) {
    const y = Math.round(yOf(value)) + 0.5;
    line(context, colours.grid, left, y, right, y);
    context.fillStyle = colours.muted;
    context.fillText(label(value, ticks.decimals), right + 8, y);
  }
}

/** Times under the plot, kept inside its width. */
function drawTimeAxis(context, colours, { left, right, top, bottom, ticks, xOf }) {
  context.textBaseline = "top";
  let free = left - 1;
  for (const { ms, label } of ticks) {
    const x = Math.round(xOf(ms)) + 0.5,
      wide = context.measureText(label).width;
    if (x < left || x > right) continue;
    line(context, colours.grid, x, top, x, bottom);
    const start = Math.min(Math.max(x - wide / 2, left), right - wide);
    if (start <= free) continue;
    context.textAlign = "left";
    context.fillStyle = colours.muted;
    context.fillText(label, start, bottom + 7);
    free = start + wide + 12;
  }
}

function line(context, colour, x0, y0, x1, y1, dash = []) {
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.setLineDash(dash);
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
  context.setLineDash([]);
}

/** Room that the widest label of an axis needs to the right of the plot. */
function axisWidth(context, labels) {
  return Math.ceil(Math.max(...labels.map((label) => context.measureText(label).width), 20)) + 14;
}
