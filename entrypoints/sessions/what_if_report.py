"""Simulated runs and what changed between two of them, for people and for scripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from application.what_if import Simulated
from application.what_if_change import Change, ChangedTrade
from domain.fills import Fill
from domain.positions import Trade
from domain.verdicts import Verdict
from entrypoints.output import plain, usd, utc

MAX_SHOWN = 40
ZERO = Decimal(0)


def simulated_lines(title: str, run: Simulated) -> Iterator[str]:
    pnl = sum((each.trade.pnl for each in run.trades), ZERO)
    fees = sum((each.fill.fee for each in run.fills), ZERO)
    funding = sum((each.amount_usd for each in run.fundings), ZERO)
    if not run.events:
        yield f"{title}: nothing was decided; the recording is too short for a closed candle after its warm-up"
        return
    yield f"{title}: {utc(run.first_ms)} to {utc(run.last_ms)}"
    yield (
        f"  {run.events:,} events of {run.frames:,} frames: {run.decisions:,} decisions, {len(run.intents)} intents, "
        f"{len(run.fills)} fills, {len(run.trades)} trades"
    )
    equity = "unknown" if run.end_equity_usd is None else usd(run.end_equity_usd)
    yield f"  PnL of closed trades {usd(pnl)}, fees {usd(fees)}, funding {usd(funding)} USD; equity {equity} USD"
    if run.recorded_fills:
        yield (
            f"  (recorded, apart from this: {_fills_words([each.fill for each in run.recorded_fills])}; "
            f"simulated: {_fills_words([each.fill for each in run.fills])})"
        )


def simulated_json(run: Simulated) -> dict[str, Any]:
    return {
        "digest": run.digest,
        "events": run.events,
        "frames": run.frames,
        "decisions": run.decisions,
        "intents": len(run.intents),
        "fills": len(run.fills),
        "trades": [_trade_json(each.trade) for each in run.trades],
        "first_ms": run.first_ms,
        "last_ms": run.last_ms,
        "start_equity_usd": run.start_equity_usd,
        "end_equity_usd": run.end_equity_usd,
        "recorded_fills": len(run.recorded_fills),
    }


def change_lines(change: Change) -> Iterator[str]:
    if change.is_none:
        yield "nothing changes: every decision, order and trade is the same"
        return
    pnl = "unknown" if change.pnl_usd is None else f"{change.pnl_usd:+,.2f} USD"
    yield (
        f"changes: {len(change.decisions)} decisions, {len(change.intents)} orders, {len(change.trades)} trades; "
        f"equity at the end {pnl}"
    )
    for decision in change.decisions[:MAX_SHOWN]:
        before, after = _verdict(decision.before), _verdict(decision.after)
        yield f"  decision {decision.symbol} {utc(decision.open_ms)}: {before} -> {after}"
    yield from _more(change.decisions)
    for trade in change.trades[:MAX_SHOWN]:
        yield f"  trade {trade.symbol} opened {utc(trade.opened_ms)}: {_trade_words(trade)}"
    yield from _more(change.trades)


def change_json(change: Change) -> dict[str, Any]:
    return {
        "decisions": [
            {
                "symbol": each.symbol,
                "open_ms": each.open_ms,
                "before": None if each.before is None else _verdict(each.before),
                "after": None if each.after is None else _verdict(each.after),
            }
            for each in change.decisions
        ],
        "intents": [each.key for each in change.intents],
        "trades": [
            {
                "symbol": each.symbol,
                "opened_ms": each.opened_ms,
                "before": None if each.before is None else _trade_json(each.before),
                "after": None if each.after is None else _trade_json(each.after),
            }
            for each in change.trades
        ],
        "pnl_usd": change.pnl_usd,
    }


def _trade_words(changed: ChangedTrade) -> str:
    return f"{_one_trade(changed.before)} -> {_one_trade(changed.after)}"


def _one_trade(trade: Trade | None) -> str:
    if trade is None:
        return "none"
    prices = f"{plain(trade.entry_price.normalize())} to {plain(trade.exit_price.normalize())}"
    return f"{trade.side.value} {plain(trade.size)} at {prices}, {usd(trade.pnl)} USD, {trade.exit_reason}"


def _trade_json(trade: Trade) -> dict[str, Any]:
    return {
        "symbol": trade.symbol,
        "side": trade.side.value,
        "opened_ms": trade.opened_ms,
        "closed_ms": trade.closed_ms,
        "size": trade.size,
        "entry_price": trade.entry_price,
        "exit_price": trade.exit_price,
        "pnl": trade.pnl,
        "fees": trade.fees,
        "funding": trade.funding,
        "exit_reason": trade.exit_reason,
    }


def _fills_words(fills: Sequence[Fill]) -> str:
    once = {fill.trade_id: fill for fill in fills}.values()
    notional = sum((fill.price * fill.size for fill in once), ZERO)
    return f"{len(once)} fills of {usd(notional)} USD"


def _verdict(number: int | None) -> str:
    return "not decided" if number is None else Verdict(number).name


def _more(items: Sequence[object]) -> Iterator[str]:
    if len(items) > MAX_SHOWN:
        yield f"  … and {len(items) - MAX_SHOWN} more (--json lists all of them)"
