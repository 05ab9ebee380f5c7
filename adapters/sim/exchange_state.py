"""The simulated exchange's memory between two runs of the daemon: one JSON file, replaced as a whole.

Written before the account's news of a change is told, so that after `kill -9` the venue never
knows less than the daemon does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from adapters.sim.account import VenueAccount, VenuePosition
from adapters.sim.exchange_book import ExchangeBook, HeldOrder
from adapters.sim.queue_estimate import Queue
from adapters.sim.seen_trades import SeenTrades
from domain.events import FundingPaid
from domain.fills import Fill, FillCause
from domain.intents import OrderRequest, Side, TimeInForce, Trigger, TriggerKind
from ports.ledger import StorageError

VERSION = 1
NEWS_KEPT = 200
"""Fills and fundings that are written: more than a daemon can have missed between two writes."""


def save_book(path: Path, book: ExchangeBook, market: Mapping[str, int]) -> None:
    """Replace the file with the exchange's book; `market` says which market it trades on (seed, epoch, …)."""
    state = {
        "version": VERSION,
        "market": dict(market),
        "now_ms": book.now_ms,
        "funded_hour": book.funded_hour,
        "next_oid": book.next_oid,
        "next_tid": book.next_tid,
        "cash": str(book.account.cash),
        "positions": {
            symbol: [str(held.size), str(held.entry_price), str(held.leverage)]
            for symbol, held in sorted(book.account.positions.items())
        },
        "coming": [_held_out(held) for held in book.coming],
        "resting": [_held_out(held) for held in book.all_resting()],
        "trades_seen": _seen_out(book),
        "fills": [_fill_out(fill) for fill in book.fills[-NEWS_KEPT:]],
        "fundings": [
            [paid.symbol, paid.time_ms, str(paid.size), str(paid.rate), str(paid.amount_usd)]
            for paid in book.fundings[-NEWS_KEPT:]
        ],
    }
    beside = path.with_name(path.name + ".new")
    try:
        beside.write_text(json.dumps(state, separators=(",", ":")), encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise StorageError(f"{path}: the simulated exchange cannot be saved: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class SavedExchange:
    """A book and the market that it belongs to."""

    book: ExchangeBook
    market: Mapping[str, int]


def load_book(path: Path) -> SavedExchange | None:
    """What the file holds; None where there is none. Raises `StorageError` when it is damaged."""
    state = _read(path)
    if state is None:
        return None
    try:
        return SavedExchange(_book_of(state), {str(name): int(value) for name, value in state["market"].items()})
    except (KeyError, TypeError, ValueError, AttributeError, InvalidOperation) as error:
        raise StorageError(f"{path}: the simulated exchange's state is damaged ({error!r}); {_ADVICE}") from error


def _book_of(state: dict[str, Any]) -> ExchangeBook:
    positions = {
        symbol: VenuePosition(Decimal(size), Decimal(entry), Decimal(leverage))
        for symbol, (size, entry, leverage) in state["positions"].items()
    }
    book = ExchangeBook(
        VenueAccount(Decimal(state["cash"]), positions),
        coming=[_held_in(row) for row in state["coming"]],
        next_oid=int(state["next_oid"]),
        next_tid=int(state["next_tid"]),
        funded_hour=state["funded_hour"],
        now_ms=int(state["now_ms"]),
        fills=[_fill_in(row) for row in state["fills"]],
        fundings=[
            FundingPaid(symbol, int(time_ms), Decimal(size), Decimal(rate), Decimal(amount))
            for symbol, time_ms, size, rate, amount in state["fundings"]
        ],
        trades_seen={symbol: _seen_in(row) for symbol, row in state.get("trades_seen", {}).items()},
    )
    for row in state["resting"]:
        held = _held_in(row)
        book.resting.setdefault(held.request.symbol, {})[held.oid] = held
    book.by_cloid = {held.request.cloid: held.oid for held in (*book.coming, *book.all_resting())}
    return book


_ADVICE = "move this file and the paper ledger beside it away to start a new paper account"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{path}: the simulated exchange's state cannot be read: {error}") from error
    try:
        state = json.loads(text)
        if state["version"] != VERSION:
            raise StorageError(f"{path}: version {state['version']} is not one this program knows; {_ADVICE}")
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{path}: the simulated exchange's state is damaged; {_ADVICE}") from error
    assert isinstance(state, dict), "a state with a version is a mapping"
    return state


def _held_out(held: HeldOrder) -> list[object]:
    request = held.request
    trigger = [request.trigger.kind.value, str(request.trigger.price)] if request.trigger else None
    return [
        held.oid,
        held.arrives_ms,
        str(held.remaining),
        request.cloid,
        request.intent_id,
        request.symbol,
        request.side.value,
        str(request.size),
        str(request.limit_price),
        request.time_in_force.value,
        request.reduce_only,
        trigger,
        str(request.leverage),
        str(held.filled),
        None if held.queue is None else [str(held.queue.ahead), held.queue.seen_ms],
        held.crosses,
    ]


def _held_in(row: list[Any]) -> HeldOrder:
    (
        oid,
        arrives,
        remaining,
        cloid,
        intent_id,
        symbol,
        side,
        size,
        limit,
        time_in_force,
        reduce_only,
        trigger,
        leverage,
        *since_books,
    ) = row
    filled, queue, crosses = since_books or ("0", None, False)  # earlier states end with the leverage
    request = OrderRequest(
        cloid=cloid,
        intent_id=intent_id,
        symbol=symbol,
        side=Side(side),
        size=Decimal(size),
        limit_price=Decimal(limit),
        time_in_force=TimeInForce(time_in_force),
        reduce_only=bool(reduce_only),
        trigger=Trigger(TriggerKind(trigger[0]), Decimal(trigger[1])) if trigger else None,
        leverage=Decimal(leverage),
    )
    place = None if queue is None else Queue(Decimal(queue[0]), int(queue[1]))
    return HeldOrder(request, int(oid), int(arrives), Decimal(remaining), Decimal(filled), place, bool(crosses))


def _seen_out(book: ExchangeBook) -> dict[str, list[object]]:
    """Trades heard where an order could meet them again: elsewhere the next order arrives after them."""
    symbols = {held.request.symbol for held in (*book.coming, *book.all_resting())}
    return {
        symbol: [seen.forgotten_ms, list(seen.recent.items())]
        for symbol, seen in sorted(book.trades_seen.items())
        if symbol in symbols
    }


def _seen_in(row: list[Any]) -> SeenTrades:
    forgotten_ms, recent = row
    return SeenTrades({int(tid): int(time_ms) for tid, time_ms in recent}, int(forgotten_ms))


def _fill_out(fill: Fill) -> list[object]:
    return [
        fill.symbol,
        fill.side.value,
        str(fill.price),
        str(fill.size),
        fill.time_ms,
        fill.tid,
        fill.oid,
        fill.cloid,
        str(fill.fee),
        None if fill.start_position is None else str(fill.start_position),
        fill.hash,
        fill.crossed,
        fill.cause.value,
    ]


def _fill_in(row: list[Any]) -> Fill:
    symbol, side, price, size, time_ms, tid, oid, cloid, fee, start, hash_, crossed, cause = row
    return Fill(
        symbol=symbol,
        side=Side(side),
        price=Decimal(price),
        size=Decimal(size),
        time_ms=int(time_ms),
        tid=int(tid),
        oid=int(oid),
        cloid=cloid,
        fee=Decimal(fee),
        start_position=None if start is None else Decimal(start),
        hash=hash_,
        crossed=bool(crossed),
        cause=_cause_in(cause),
    )


def _cause_in(cause: object) -> FillCause:
    """Earlier states have true here for a liquidation, and false."""
    if isinstance(cause, bool):
        return FillCause.LIQUIDATION if cause else FillCause.ORDER
    return FillCause(cause)
