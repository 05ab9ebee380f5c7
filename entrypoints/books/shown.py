"""How money is told: lines of figures for people, plain members for scripts. Times are UTC."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from adapters.sqlite.performance_queries import Owner
from domain.performance import DAY_MS, HOUR_MS, Sums, TradeFigures, net_of, side_word
from domain.positions import Position, Trade
from entrypoints.books.marks import Marks
from entrypoints.output import plain, usd, utc

UNKNOWN = "unknown"
MINUTE_MS = 60_000

Figure = tuple[str, str, str]
"""Name, amount and a remark."""


def print_figures(figures: Sequence[Figure]) -> None:
    """Names to the left, amounts in a column, remarks behind them."""
    names, amounts = (max(len(figure[place]) for figure in figures) for place in (0, 1))
    for name, amount, remark in figures:
        print(f"  {name:<{names}}  {amount:>{amounts}}  {remark}".rstrip())


def headline(path: Path, owner: Owner, as_of_ms: int | None) -> str:
    moment = "nothing in it yet" if as_of_ms is None else f"as of {utc(as_of_ms)}"
    return f"{owner.mode} on {owner.network}, {owner.account}, {moment}; times in UTC, money in USD ({path})"


def owner_json(path: Path, owner: Owner) -> dict[str, object]:
    return {
        "ledger": str(path),
        "mode": owner.mode,
        "network": owner.network,
        "account": owner.account,
        "newest_ms": owner.newest_ms,
    }


def usd_or_unknown(amount: Decimal | None) -> str:
    return UNKNOWN if amount is None else usd(amount)


def percent(value: Decimal | None) -> str:
    return "-" if value is None else f"{value:.2f} %"


def ratio(value: Decimal | None) -> str:
    return "-" if value is None else f"{value:,.2f}"


def lasted(span_ms: int | None) -> str:
    """A length of time in its two largest units."""
    if span_ms is None:
        return "-"
    if span_ms < MINUTE_MS:
        return f"{span_ms // 1000} s"
    if span_ms < HOUR_MS:
        return f"{span_ms // MINUTE_MS} min {span_ms % MINUTE_MS // 1000:02d} s"
    if span_ms < DAY_MS:
        return f"{span_ms // HOUR_MS} h {span_ms % HOUR_MS // MINUTE_MS:02d} min"
    return f"{span_ms // DAY_MS} d {span_ms % DAY_MS // HOUR_MS} h"


def sums_json(sums: Sums) -> dict[str, object]:
    return {"realised": sums.realised, "fees": sums.fees, "funding": sums.funding, "net": sums.net}


def figures_json(figures: TradeFigures) -> dict[str, object]:
    """Money is exact, rates and averages are rounded; null where there is no such number."""
    return {
        **sums_json(figures.sums),
        "trades": figures.trades,
        "wins": figures.wins,
        "losses": figures.losses,
        "win_rate_pct": _rounded(figures.win_rate_pct, 4),
        "profit_factor": _rounded(figures.profit_factor, 4),
        "average_win": _rounded(figures.average_win, 8),
        "average_loss": _rounded(figures.average_loss, 8),
        "average_hold_ms": figures.average_hold_ms,
        "best": trade_json(figures.best),
        "worst": trade_json(figures.worst),
        "longest_losing_streak": figures.losing_streak,
    }


def trade_json(trade: Trade | None) -> dict[str, object] | None:
    if trade is None:
        return None
    return {
        "symbol": trade.symbol,
        "side": side_word(trade.side),
        "opened_ms": trade.opened_ms,
        "closed_ms": trade.closed_ms,
        "net": net_of(trade),
        "exit_reason": trade.exit_reason,
        "intent_id": trade.intent_id,
    }


def position_json(position: Position, marks: Marks) -> dict[str, object]:
    close = marks.closes.get(position.symbol)
    return {
        "symbol": position.symbol,
        "side": side_word(position.side),
        "size": abs(position.size),
        "entry_price": position.entry_price,
        "mark_price": None if close is None else close.price,
        "mark_ms": None if close is None else close.end_ms,
        "mark_age_ms": marks.age_ms(position.symbol),
        "unrealised": marks.unrealised(position),
        "booked": sums_json(Sums(position.realised, position.fees, position.funding)),
        "opened_ms": position.opened_ms,
        "intent_id": position.intent_id,
    }


def position_row(position: Position, marks: Marks) -> dict[str, str]:
    price = marks.price(position.symbol)
    return {
        "symbol": position.symbol,
        "side": side_word(position.side),
        "size": plain(abs(position.size)),
        "entry": plain(round(position.entry_price, 8)),
        "mark": UNKNOWN if price is None else plain(price),
        "mark's age": lasted(marks.age_ms(position.symbol)),
        "unrealised": usd_or_unknown(marks.unrealised(position)),
        "opened": utc(position.opened_ms),
    }


def unrealised_figure(positions: Sequence[Position], marks: Marks) -> Figure:
    """What is open, valued; unknown where one of them is."""
    amount = usd_or_unknown(marks.unrealised_in_all(positions))
    if not positions:
        return "unrealised", amount, "nothing is open"
    count = f"{len(positions)} open position{'s' if len(positions) != 1 else ''}"
    missing = marks.unknown(positions)
    if missing:
        return "unrealised", amount, f"{count}; no mark for {', '.join(missing)}"
    return "unrealised", amount, f"{count}, at stored closes up to {lasted(marks.oldest_ms(positions))} old"


def _rounded(value: Decimal | None, places: int) -> Decimal | None:
    return None if value is None else round(value, places)
