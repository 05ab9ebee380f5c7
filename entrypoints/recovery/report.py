"""What a recovery found, for people and for scripts."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from application.order_shelf import LiveOrder
from domain.facts import FillRecorded, LedgerFact, TradeClosed, TradeWithdrawn
from domain.positions import Position
from entrypoints.output import plain, utc
from entrypoints.recovery.rebuild import Rebuilt
from entrypoints.recovery.venue_word import VenueWord

LOST = (
    "the reasons of decisions: signals, gates with their values, prices seen, config versions",
    "decisions whose orders never filled and rest no longer, but for entries on the last candles",
    "entry ATRs and confidence of open positions: a target that rests stays, else 0.5 % of the entry stands in",
    "risk peaks: drawdown counts from the next start's equity, the day's loss too",
    "indicator anchors: histories are fetched anew",
)


def as_json(word: VenueWord, rebuilt: Rebuilt, path: str, *, is_written: bool) -> dict[str, object]:
    return {
        "path": path,
        "written": is_written,
        "account": word.account,
        "as_of_ms": word.snapshot.at_ms,
        "facts": len(rebuilt.facts),
        "fills": len(word.fills),
        "fills_by_kind": dict(sorted(fill_kinds(rebuilt.facts).items())),
        "payments": len(word.payments),
        "trades": _trades(rebuilt.facts),
        "decisions": rebuilt.decisions,
        "decisions_proven": rebuilt.proven,
        "earlier_ledgers": rebuilt.tags,
        "cash_usd": word.snapshot.cash_usd,
        "positions": [
            {"symbol": each.symbol, "size": each.size, "entry_price": each.entry_price, "intent_id": each.intent_id}
            for each in rebuilt.positions.values()
        ],
        "opening_balances": [{"symbol": each.symbol, "size": each.size} for each in rebuilt.opening],
        "resting": [_resting_json(live) for live in rebuilt.resting],
        "foreign_resting": _foreign(word, rebuilt),
        "lost": list(LOST),
        "problems": rebuilt.problems,
    }


def print_report(word: VenueWord, rebuilt: Rebuilt) -> None:
    print(f"{word.account}, as the venue has it at {utc(word.snapshot.at_ms)} UTC")
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(fill_kinds(rebuilt.facts).items()))
    span = f", {utc(word.fills[0].time_ms)} to {utc(word.fills[-1].time_ms)}" if word.fills else ""
    print(f"  fills      {len(word.fills):,}{f' ({kinds})' if kinds else ''}{span}")
    print(f"  payments   {len(word.payments):,} of funding")
    print(f"  trades     {_trades(rebuilt.facts):,} from flat to flat")
    print(
        f"  decisions  {rebuilt.decisions:,} behind orders of ours, {rebuilt.proven:,} of them with their key proven"
        f"{_of_ledgers(rebuilt.tags)}"
    )
    print(f"  cash       {plain(round(word.snapshot.cash_usd, 6))} USD")
    for position in rebuilt.positions.values():
        print(f"  position   {_position(position)}")
    for held in rebuilt.opening:
        text = f"{plain(held.size)} was held before the first fill that the venue tells"
        print(f"  opening    {held.symbol}: {text}; priced at {plain(held.entry_price)}")
    for live in rebuilt.resting:
        print(f"  resting    {_resting(live)}: ours, the next start manages it")
    for text in _foreign(word, rebuilt):
        print(f"  resting    {text}: not ours, left alone")
    for problem in rebuilt.problems:
        print(f"  DIFFERS    {problem}; the daemon will take no entries in it until they agree")
    print("cannot be rebuilt:")
    for text in LOST:
        print(f"  - {text}")


def fill_kinds(facts: list[LedgerFact]) -> Counter[str]:
    """How many fills belong to us, and to whom else."""
    fills = (fact for fact in facts if isinstance(fact, FillRecorded))
    return Counter("ours" if fill.intent_id is not None else fill.reason for fill in fills)


def _trades(facts: list[LedgerFact]) -> int:
    closed = sum(isinstance(fact, TradeClosed) for fact in facts)
    return closed - sum(isinstance(fact, TradeWithdrawn) for fact in facts)


def _of_ledgers(tags: dict[str, int]) -> str:
    if len(tags) < 2:
        return ""
    return f"; of {len(tags)} ledgers ({', '.join(f'{tag}: {count}' for tag, count in sorted(tags.items()))})"


def _position(position: Position) -> str:
    owner = "nobody's trade: left alone" if position.intent_id is None else f"ours, opened by {position.intent_id}"
    return f"{position.symbol} {plain(position.size)} at {plain(round(position.entry_price, 8))}, {owner}"


def _resting(live: LiveOrder) -> str:
    request = live.order.request
    trigger = "" if request.trigger is None else f" once at {plain(request.trigger.price)}"
    terms = (
        f"{live.intent.key.action.value} {request.side.value} {plain(live.order.remaining)} {request.symbol}{trigger}"
    )
    return f"{terms}, oid {live.order.oid}, cloid {request.cloid}"


def _resting_json(live: LiveOrder) -> dict[str, object]:
    request = live.order.request
    price: Decimal | None = None if request.trigger is None else request.trigger.price
    return {
        "symbol": request.symbol,
        "action": live.intent.key.action.value,
        "side": request.side.value,
        "size": live.order.remaining,
        "limit_price": request.limit_price,
        "trigger_price": price,
        "oid": live.order.oid,
        "cloid": request.cloid,
        "intent_id": request.intent_id,
    }


def _foreign(word: VenueWord, rebuilt: Rebuilt) -> list[str]:
    ours = {live.order.request.cloid for live in rebuilt.resting}
    return [
        f"{each.symbol}, oid {each.oid}{f', cloid {each.cloid}' if each.cloid else ''}"
        for each in word.snapshot.resting or ()
        if each.cloid not in ours
    ]
