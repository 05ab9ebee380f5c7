// Fill the page from its data.

const report = JSON.parse(byId("data").textContent);

function start() {
  const { totals, period, charts } = report;
  const symbols = plural(report.symbols_in_data, "symbol");
  byId("subtitle").textContent = period
    ? `${dateText(period.from_ms)} to ${dateText(period.to_ms)} · ${symbols} · ` +
      `${report.interval} candles · ${plural(totals.bars, "candle")} in all`
    : `${symbols} · ${report.interval} candles · no candle was run`;
  fillNotes();
  fillTiles(totals);
  fillCurves();
  fillTables();
  fillFacts();
  startCandles(charts);
}

function fillNotes() {
  if (report.no_trades.length) {
    byId("notes").append(make("div", { class: "note" }, make("strong", {}, "No trades. "), report.no_trades.join(" ")));
  }
  if (report.warnings.length) {
    const list = make("ul", {}, ...report.warnings.map((text) => make("li", {}, text)));
    byId("notes").append(make("div", { class: "note" }, make("strong", {}, "Warnings"), list));
  }
}

function fillTiles(totals) {
  const positions = plural(report.open_positions.length, "position");
  const funding = Number(totals.funding);
  const tiles = [
    ["Final equity", grouped(totals.final), `from ${grouped(totals.start)} USD`, ""],
    ["Return", signedPercent(totals.return_pct), `${signed(totals.net)} USD`, toneOf(totals.net)],
    [
      "Max drawdown",
      percentText(totals.max_drawdown_pct),
      totals.max_drawdown_ms === null ? "never below its peak" : `on ${dateText(totals.max_drawdown_ms)}`,
      "",
    ],
    [
      "Profit factor",
      grouped(totals.profit_factor),
      totals.trades && totals.profit_factor === null ? "no losing trade" : "gains ÷ losses, net",
      "",
    ],
    ["Trades", count(totals.trades), `from ${plural(totals.signals, "signal")}`, ""],
    ["Win rate", percentText(totals.win_rate_pct), `${count(totals.wins)} of ${count(totals.trades)} won`, ""],
    ["Fees", grouped(totals.fees), `on ${plural(totals.fills, "fill")}`, ""],
    [
      "Funding",
      signed(totals.funding),
      funding > 0 ? "received" : funding < 0 ? "paid" : "none paid or received",
      toneOf(totals.funding),
    ],
  ];
  byId("tiles").append(
    ...tiles.map(([name, value, detail, tone]) =>
      make(
        "div",
        {},
        make("dt", {}, name),
        make("dd", { class: `big ${tone}` }, value),
        make("dd", { class: "small" }, detail),
      ),
    ),
  );
  const parts = [
    [grouped(totals.start), "start"],
    [signed(totals.realised), "realised"],
    [flipped(totals.fees), "fees"],
    [signed(totals.funding), "funding"],
    [signed(totals.unrealised), `unrealised (${positions} open)`],
  ];
  byId("account").append(
    ...parts.map(([value, name]) => make("span", {}, make("b", {}, value), ` ${name}`)),
    make("span", {}, "= ", make("b", {}, grouped(totals.final)), " final equity, USD"),
  );
}

/** What was paid, as it enters the sum. */
function flipped(text) {
  return Number(text) === 0 ? grouped(text) : signed(text.startsWith("-") ? text.slice(1) : "-" + text);
}

function fillCurves() {
  const { curve, totals } = report;
  if (!curve.time_ms.length) {
    byId("equity-plot").replaceWith(emptyNote("No equity curve: no candle was run."));
    byId("months").append(emptyNote("No months: no candle was run."));
    return;
  }
  byId("equity-help").textContent =
    "Equity at candle closes, open positions at their last price; the dashed line is the start. " +
    "Point at the chart, or focus it and use the arrow keys, to read values." +
    (curve.points > curve.time_ms.length
      ? ` Drawn with ${count(curve.time_ms.length)} of ${count(curve.points)} points: ` +
        "highs, lows and deepest drawdowns are kept."
      : "");
  equityChart(curve, totals.start);
  byId("months").append(monthGrid(report.months, report.years));
  if (report.months.some((row) => row.partial)) {
    byId("months").append(make("p", { class: "hint" }, "* Only a part of the month lies in the run."));
  }
}

function fillTables() {
  const { totals } = report,
    shown = new Set(report.charts.items.map((item) => item.symbol));
  const toChart = {
    possible: (row) => shown.has(row.name ?? row.symbol),
    title: () => "Show its candles",
    run: (row) => goTo(row.name ?? row.symbol),
  };
  const counted = [
    ["trades", "Trades", "count"],
    ["wins", "Wins", "count"],
    ["win_rate_pct", "Win rate", "percent"],
  ];
  const ends = [
    ["average_hold_ms", "Avg hold", "hold"],
    ["best", "Best", "signed"],
    ["worst", "Worst", "signed"],
  ];
  put("symbols", report.symbols, "No symbol had a fill.", {
    caption:
      `${count(report.symbols.length)} of ${plural(report.symbols_in_data, "symbol")} had a fill. ` +
      "Amounts in USD, as booked; best and worst are single trades, net.",
    columns: [
      ["name", "Symbol", "text", toChart],
      ...counted,
      ["pnl", "Realised", "signed"],
      ["fees", "Fees", "amount"],
      ["funding", "Funding", "signed"],
      ["net", "Net", "signed"],
      ...ends,
    ],
    sortBy: "net",
    limited: report.symbols.length > 14,
    foot: {
      name: "All",
      trades: totals.trades,
      wins: totals.wins,
      win_rate_pct: totals.win_rate_pct,
      pnl: totals.realised,
      fees: totals.fees,
      funding: totals.funding,
      net: totals.booked_net,
    },
  });
  const grouping = [
    ["net", "Net", "signed"],
    ["average_net", "Avg net", "signed"],
    ["average_hold_ms", "Avg hold", "hold"],
  ];
  put("exits", report.exits, "No trade has ended.", {
    caption: "Closed trades by the rule that ended them",
    columns: [["name", "Exit", "words"], ...counted, ...grouping],
  });
  put("sides", report.sides, "No trade has ended.", {
    caption: "Closed trades by direction",
    columns: [["name", "Side", "words"], counted[0], counted[2], grouping[0], grouping[1]],
  });
  put(
    "open",
    report.open_positions,
    totals.fills ? "None: every position was closed." : "None: no position was opened.",
    {
      caption: "At the last close of their candles",
      columns: [
        ["symbol", "Symbol", "text", toChart],
        ["side", "Side", "words"],
        ["opened_ms", "Opened", "time"],
        ["size", "Size", "amount"],
        ["entry_price", "Entry", "amount"],
        ["last_price", "Last", "amount"],
        ["unrealised", "Unrealised", "signed"],
      ],
    },
  );
}

function put(id, rows, empty, table) {
  byId(id).replaceChildren(...(rows.length ? sortableTable({ ...table, rows }) : [emptyNote(empty)]));
}

function fillFacts() {
  for (const { name, lines } of report.facts) {
    byId("facts").append(make("dt", {}, name), make("dd", {}, ...lines.map((text) => make("div", {}, text))));
  }
}

start();
