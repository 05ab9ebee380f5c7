// The candle section: the choice of a symbol, its chart, its trades, and what the tip says.

const KINDS_OF_MARK = { open: "Entry", add: "Added", reduce: "Reduced", close: "Exit" };

let chooseSymbol = () => {};

function goTo(symbol) {
  chooseSymbol(symbol);
  byId("candles-title").scrollIntoView({ block: "start" });
  byId("candles").focus({ preventScroll: true });
}

function startCandles(charts) {
  const select = byId("symbol");
  if (!charts.items.length) {
    select.parentElement.remove();
    byId("candle-panel").replaceWith(emptyNote("No candles: the files held none."));
    byId("trades").append(emptyNote("No trades."));
    return;
  }
  const chart = candleChart(markRow),
    bySymbol = new Map(charts.items.map((item) => [item.symbol, item]));
  for (const item of charts.items) {
    const note = item.trades ? plural(item.trades, "trade") : "no trades";
    select.append(make("option", { value: item.symbol }, `${item.symbol} (${note})`));
  }
  if (charts.left_out) {
    byId("left-out").textContent =
      `${plural(charts.left_out, "symbol")} left out to keep this file small` +
      (charts.traded_left_out
        ? `, ${count(charts.traded_left_out)} of them with trades.`
        : ", none of them with trades.") +
      " Run the backtest with fewer symbols to see their candles.";
  }
  drawLegend(byId("legend"));

  async function choose(symbol) {
    select.value = symbol;
    const item = bySymbol.get(symbol);
    let payload;
    try {
      payload = await unpacked(item.data);
    } catch {
      byId("candle-panel").replaceWith(emptyNote("This browser cannot unpack the candles. Any current browser can."));
      return;
    }
    if (select.value !== symbol) return; // another one was chosen meanwhile
    const candles = candlesOf(payload),
      trades = tradesOf(payload);
    chart.show({ symbol, candles, trades, marks: marksOf(payload, candles) });
    fillTrades(symbol, trades, chart);
    for (const name of ["previous", "next"]) document.querySelector(`[data-do=${name}]`).disabled = !trades.length;
  }

  select.addEventListener("change", () => choose(select.value));
  chooseSymbol = choose;
  choose(charts.items[0].symbol);
}

function fillTrades(symbol, trades, chart) {
  byId("trades-title").textContent = `Trades of ${symbol}`;
  const act = {
    possible: () => true,
    title: () => "Show this trade in the chart",
    run: (trade) => {
      chart.pickTrade(trade.place);
      byId("candle-panel").scrollIntoView({ block: "nearest" });
    },
  };
  put("trades", trades, "No trades were closed in this symbol.", {
    caption: "Prices are averages over all that was opened and closed; net is after fees and funding.",
    columns: [
      ["number", "#", "count", act],
      ["side", "Side", "words"],
      ["opened_ms", "Opened", "time"],
      ["closed_ms", "Closed", "time"],
      ["hold_ms", "Hold", "hold"],
      ["size", "Size", "amount"],
      ["entry_price", "Entry", "amount"],
      ["exit_price", "Exit", "amount"],
      ["fees", "Fees", "amount"],
      ["funding", "Funding", "signed"],
      ["net", "Net", "signed"],
      ["reason", "Exit reason", "words"],
    ],
    limited: trades.length > 8,
    rowClass: (trade) => `trade-${trade.place}`,
  });
}

function markRow(place) {
  for (const row of document.querySelectorAll("#trades tr.chosen")) row.classList.remove("chosen");
  document.querySelector(`#trades tr.trade-${place}`)?.classList.add("chosen");
}

/** One line about a trade, for the readout. */
function tradeLine(trade) {
  return [
    make("span", {}, `Trade ${trade.number}: `, make("b", {}, trade.side)),
    make("span", {}, `${timeText(trade.opened_ms)} to ${timeText(trade.closed_ms)}`),
    make("span", {}, `${grouped(trade.entry_price)} to ${grouped(trade.exit_price)}`),
    make("span", {}, "net ", make("b", { class: toneOf(trade.net) }, signed(trade.net))),
    make("span", {}, words(trade.reason)),
  ];
}

/** What the tip says about an execution and, once it has ended, the trade it belongs to. */
function tipLines(mark, trade) {
  const rows = [
    [KINDS_OF_MARK[mark.kind], `${grouped(mark.size)} at ${grouped(mark.price)}`],
    ["Time", timeText(mark.time_ms)],
  ];
  if (mark.reason) rows.push(["Reason", words(mark.reason)]);
  if (trade) {
    rows.push(
      ["Trade", `${grouped(trade.entry_price)} to ${grouped(trade.exit_price)}`],
      ["Held", durationText(trade.hold_ms)],
      ["Size", grouped(trade.size)],
      ["Realised", signed(trade.pnl)],
      ["Fees", grouped(trade.fees)],
      ["Funding", signed(trade.funding)],
    );
    if (mark.kind !== "close") rows.push(["Ended by", words(trade.reason)]);
  }
  const result = trade
    ? make("span", { class: toneOf(trade.net) }, signed(trade.net))
    : make("span", { class: "muted" }, "still open");
  const name = trade
    ? `${mark.side === "long" ? "Long" : "Short"} #${trade.number}`
    : mark.side === "long"
      ? "Long"
      : "Short";
  return [
    make("strong", {}, name, result),
    make("dl", {}, ...rows.flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, value)])),
  ];
}
