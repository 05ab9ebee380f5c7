"""What the page's script reads: the report as plain JSON.

Money is decimal text in cents, prices and sizes are decimal text, shares and returns are decimal text in percent.
The page shows these texts as they stand; it makes numbers of them only to sort, to colour and to draw. None is
"there is no such number" (a win rate without trades). Times are UTC epoch milliseconds.
"""

from __future__ import annotations

from typing import TypedDict


class Period(TypedDict):
    """From the open of the first candle to the close of the last."""

    from_ms: int
    to_ms: int


class Totals(TypedDict):
    """`start + realised - fees + funding + unrealised = final`.

    `net` is final minus start, `booked_net` the same without what is unrealised.
    """

    start: str
    final: str
    net: str
    return_pct: str | None
    realised: str
    fees: str
    funding: str
    booked_net: str
    unrealised: str
    max_drawdown_pct: str
    max_drawdown_ms: int | None
    trades: int
    wins: int
    win_rate_pct: str | None
    profit_factor: str | None
    bars: int
    analyses: int
    signals: int
    intents: int
    fills: int


class Curve(TypedDict):
    """Columns of equal length. Numbers, for they are drawn; `points` is how many there were before thinning."""

    time_ms: list[int]
    equity: list[float]
    drawdown_pct: list[float]
    points: int


class MonthRow(TypedDict):
    """`partial`: the run covers only some days of this month."""

    year: int
    month: int
    return_pct: str | None
    start: str
    end: str
    partial: bool


class YearRow(TypedDict):
    year: int
    return_pct: str | None


class TradeStats(TypedDict):
    """Closed trades with something in common. `net`, `best` and `worst` are after fees and funding."""

    name: str
    trades: int
    wins: int
    win_rate_pct: str | None
    net: str
    average_net: str | None
    average_hold_ms: int | None
    best: str | None
    worst: str | None


class SymbolRow(TradeStats):
    """`pnl`, `fees`, `funding` and their `net` are all that was booked, an open position's share included."""

    pnl: str
    fees: str
    funding: str


class OpenPosition(TypedDict):
    symbol: str
    side: str
    opened_ms: int
    size: str
    entry_price: str
    last_price: str | None
    unrealised: str | None


class ChartTrade(TypedDict):
    side: str
    opened_ms: int
    closed_ms: int
    size: str
    entry_price: str
    exit_price: str
    pnl: str
    fees: str
    funding: str
    net: str
    reason: str


class ChartMark(TypedDict):
    """One execution. `kind` is open, add, reduce or close; `trade` the place in `trades`, -1 while still open."""

    kind: str
    side: str
    time_ms: int
    price: str
    size: str
    reason: str
    trade: int


class ChartPayload(TypedDict):
    """The chart of one symbol: one candle every `step_ms` from `open_ms` on, without gaps.

    Prices are whole numbers of 10^-decimals, each told by its distance from a neighbour, which packs well:
    open from the close before, close from the open, high above and low below the candle's body.
    """

    open_ms: int
    step_ms: int
    decimals: int
    open_from_close: list[int]
    close_from_open: list[int]
    above: list[int]
    below: list[int]
    trades: list[ChartTrade]
    marks: list[ChartMark]


class PackedChart(TypedDict):
    """`data` is a `ChartPayload`: JSON, deflated (zlib format), base64."""

    symbol: str
    trades: int
    step: str
    data: str


class Charts(TypedDict):
    """`left_out` counts symbols whose candles did not fit into the size budget."""

    interval: str
    items: list[PackedChart]
    left_out: int
    traded_left_out: int


class Fact(TypedDict):
    """One line about how the run was made: a name and what to say about it, a line each."""

    name: str
    lines: list[str]


class Report(TypedDict):
    title: str
    interval: str
    symbols_in_data: int
    period: Period | None
    warnings: list[str]
    no_trades: list[str]
    totals: Totals
    curve: Curve
    months: list[MonthRow]
    years: list[YearRow]
    symbols: list[SymbolRow]
    exits: list[TradeStats]
    sides: list[TradeStats]
    open_positions: list[OpenPosition]
    charts: Charts
    facts: list[Fact]
