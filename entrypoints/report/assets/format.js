"use strict";
// Texts, dates and elements. What comes from the data enters the page as text, never as markup.

const MINUS = "\u2212",
  NONE = "\u2013";
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const MINUTE_MS = 60_000,
  HOUR_MS = 60 * MINUTE_MS,
  DAY_MS = 24 * HOUR_MS;

/** Decimal text with thousands separators and a real minus sign. Digits stay as they are: no float is made of them. */
function grouped(text) {
  if (text === null) return NONE;
  const negative = text.startsWith("-");
  const [whole, fraction] = (negative ? text.slice(1) : text).split(".");
  return (negative ? MINUS : "") + whole.replace(/\B(?=(\d{3})+$)/g, ",") + (fraction ? "." + fraction : "");
}

function signed(text) {
  return text !== null && Number(text) > 0 ? "+" + grouped(text) : grouped(text);
}

/** A number made for drawing, shown: curve points, candle prices and axis labels. */
function drawn(value, decimals) {
  return grouped(value.toFixed(decimals));
}

function percentText(text) {
  return text === null ? NONE : grouped(text) + "\u00a0%";
}

function signedPercent(text) {
  return text === null ? NONE : signed(text) + "\u00a0%";
}

function count(value) {
  return grouped(String(value));
}

function plural(value, one, many = one + "s") {
  return `${count(value)} ${value === 1 ? one : many}`;
}

function toneOf(text) {
  const value = text === null ? 0 : Number(text);
  return value > 0 ? "gain" : value < 0 ? "loss" : "";
}

const two = (value) => String(value).padStart(2, "0");

function dateText(ms) {
  const date = new Date(ms);
  return `${date.getUTCFullYear()}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())}`;
}

function clockText(ms) {
  const date = new Date(ms);
  return `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`;
}

function timeText(ms) {
  return `${dateText(ms)} ${clockText(ms)}`;
}

function durationText(ms) {
  if (ms === null) return NONE;
  if (ms < MINUTE_MS) return `${Math.round(ms / 1000)}s`;
  if (ms < HOUR_MS) return `${Math.round(ms / MINUTE_MS)}m`;
  const minutes = Math.round(ms / MINUTE_MS),
    hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h ${two(minutes % 60)}m`;
  return `${Math.floor(hours / 24)}d ${two(hours % 24)}h`;
}

/** Make an element. Strings among the children become text nodes; null ones are skipped. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

function byId(id) {
  return document.getElementById(id);
}

function emptyNote(text) {
  return make("p", { class: "muted" }, text);
}

/** Words of a rule's name as a person reads them: stop_loss is "stop loss". */
function words(name) {
  return name.replaceAll("_", " ") || "not said";
}
