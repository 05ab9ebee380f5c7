"""`Account` of one Hyperliquid address: what happened while nobody listened, and how the account stands.

Never a part: one answer that is missing or cannot be read, and there is none at all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Protocol

from adapters.hyperliquid.account_events import order_event
from adapters.hyperliquid.account_reads import AccountReader
from adapters.hyperliquid.budget import Lane
from adapters.hyperliquid.cash_flows import LedgerEntry
from adapters.hyperliquid.heard import OrderUpdate, StatusKind
from adapters.hyperliquid.leverage import AsksInfo
from adapters.hyperliquid.wire_account import (
    AccountState,
    decode_abstraction,
    decode_account_state,
    decode_spot_state,
    keeps_collateral_in_spot,
)
from adapters.hyperliquid.wire_orders import OpenOrder, decode_open_orders, decode_order_name, decode_order_status
from adapters.hyperliquid.wire_rows import STATUS_WORDS
from domain.events import (
    AccountSnapshot,
    Event,
    FillArrived,
    FundingPaid,
    HeldPosition,
    OrderCanceled,
    OrderLooked,
    OrderNamed,
    OrderOutcome,
    RestingOrder,
)
from domain.fills import Fill
from domain.orders import Accepted
from ports.clock import Clock
from ports.order_gateway import VenueUnavailable

OVERLAP_MS = 600_000
"""Read so much again: what one server of the venue knew late must not be missed, and what repeats costs nothing."""

LOOK_BACK_MS = 60_000
"""Fills of one order are read from so long before it was sent: our clock is not the venue's."""

KIND_AGAIN_MS = 600_000
"""How often (real time) it is asked whether the account keeps its money in spot: its owner may change that."""

LOOKS = 4
"""How often the state is read until it is as new as the fills."""


class NotesDrift(Protocol):
    def note(self, where: str, raw: str | bytes, problem: str) -> None: ...


class HyperliquidAccount:
    """`user` is the account that trades (master, sub-account or vault): an agent's own address has nothing."""

    def __init__(self, info: AsksInfo, user: str, sentinel: NotesDrift, clock: Clock) -> None:
        self._reader = AccountReader(info, user.lower(), sentinel.note)
        self._urgent = AccountReader(info, user.lower(), sentinel.note, Lane.CANCELS)
        """For small questions about orders whose fate is not known: a start spends the minute on candles."""
        self._sentinel = sentinel
        self._clock = clock
        self._in_spot = False
        self._kind_read_ms: int | None = None

    async def recover(self, live_cloids: Collection[str], fills_since_ms: int) -> Sequence[Event]:
        """See `Account`. With `fills_since_ms` 0 the account's past is not read: it is not ours.

        An order that the venue does not know (`unknownOid`) is left as it was: not knowing is no end.
        """
        ends = [event for cloid in sorted(live_cloids) for event in await self._fate(cloid) or ()]
        if fills_since_ms == 0:
            state, _ = await self._state_with_fills(self._clock.now_ms())
            snapshot = await self._snapshot_of(state, await self._cash(state))
            return [*ends, replace(snapshot, fills_since_ms=snapshot.at_ms)]
        since_ms = max(0, fills_since_ms - OVERLAP_MS)
        for _ in range(LOOKS):
            state, fills = await self._state_with_fills(since_ms)
            cash = await self._cash(state)
            entries = await self._reader.ledger(since_ms)
            if _are_in(state, entries):
                break
        else:
            raise VenueUnavailable(f"clearinghouseState: money moved during each of {LOOKS} looks")
        flows = self._reader.flows_of(entries, in_spot=self._in_spot)
        fundings = await self._fundings_in(state, since_ms)
        snapshot = await self._snapshot_of(state, cash)
        told = [FillArrived(fill) for fill in fills]
        return [*told, *fundings, *flows, *ends, replace(snapshot, fills_since_ms=since_ms)]

    async def snapshot(self) -> AccountSnapshot:
        state = await self._state()
        return await self._snapshot_of(state, await self._cash(state))

    async def look(self, cloid: str, since_ms: int, *, everywhere: bool) -> Sequence[Event]:
        """See `Account`. The venue's time is asked for first: what is told is at least as new.

        Open orders before fills: one that fills between two questions is in the answer to the second.
        """
        reader = self._reader if everywhere else self._urgent
        venue_ms = _time_of(await self._state(reader))
        fate = await self._fate(cloid, reader)
        told: list[Event] = list(fate or ())
        found = fate is not None
        if not found and everywhere:
            resting = [order for order in await self._resting(reader) if order.cloid == cloid]
            found = bool(resting)
            told += [OrderOutcome(cloid, Accepted(order.oid)) for order in resting]
        if found or everywhere:
            fills = await reader.fills(max(0, since_ms - LOOK_BACK_MS))
            found = found or any(fill.cloid == cloid for fill in fills)
            told = [*(FillArrived(fill) for fill in fills), *told]
        return [*told, OrderLooked(cloid, found, venue_ms, everywhere)]

    async def name_order(self, symbol: str, oid: int) -> OrderNamed | None:
        named = await self._reader.ask("orderStatus", decode_order_name, oid=oid)
        if named is None:
            return None
        if named.oid != oid:
            raise self._odd("orderStatus", f"asked about {oid}, told of {named.oid}")
        return OrderNamed(symbol, oid, named.cloid, named.is_trigger)

    # ── orders ───────────────────────────────────────────────────────────────────────────────────

    async def _fate(self, cloid: str, reader: AccountReader | None = None) -> list[Event] | None:
        """What the venue knows of an order by its id, which may be nothing of its end; None if it does not know it."""
        update = await (reader or self._reader).ask("orderStatus", decode_order_status, oid=cloid)
        if update is None:
            return None
        if update.cloid != cloid.lower():
            raise self._odd("orderStatus", f"asked about {cloid}, told of {update.cloid}")
        if update.status not in STATUS_WORDS:
            self._sentinel.note("orderStatus", update.status, f"an order status that nobody has heard of, of {cloid}")
        return _events_of(update, cloid)

    # ── money and positions ──────────────────────────────────────────────────────────────────────

    async def _state(self, reader: AccountReader | None = None) -> AccountState:
        return await (reader or self._reader).ask("clearinghouseState", decode_account_state, dex="")

    async def _snapshot_of(self, state: AccountState, cash_usd: Decimal) -> AccountSnapshot:
        return AccountSnapshot(
            cash_usd=cash_usd,
            positions=tuple((position.coin, position.size) for position in state.positions),
            at_ms=state.time_ms if state.time_ms is not None else self._clock.now_ms(),
            held=tuple(HeldPosition(each.coin, each.entry_price, each.leverage) for each in state.positions),
            resting=await self._resting(),
        )

    async def _resting(self, reader: AccountReader | None = None) -> tuple[RestingOrder, ...]:
        told = await (reader or self._reader).ask("frontendOpenOrders", decode_open_orders, dex="")
        return tuple(_resting_order(each) for each in told.orders)

    async def _state_with_fills(self, since_ms: int) -> tuple[AccountState, list[Fill]]:
        """Fills, and a state in which they all are: fills are read before and after it until none came between."""
        fills = await self._reader.fills(since_ms)
        known = {fill.trade_id: fill for fill in fills}
        for _ in range(LOOKS):
            state = await self._state()
            newest_ms = max((fill.time_ms for fill in known.values()), default=since_ms)
            late = [fill for fill in await self._reader.fills(newest_ms) if fill.trade_id not in known]
            known.update((fill.trade_id, fill) for fill in late)
            is_old = bool(known) and state.time_ms is not None and state.time_ms < newest_ms
            if not late and not is_old:
                return state, sorted(known.values(), key=lambda fill: fill.time_ms)
        raise VenueUnavailable(f"clearinghouseState: not as new as the fills after {LOOKS} looks")

    async def _fundings_in(self, state: AccountState, since_ms: int) -> list[FundingPaid]:
        """Read after the state, so that none is missing up to its time; what came later is not in its cash."""
        found = await self._reader.fundings(since_ms)
        return [paid for paid in found if state.time_ms is None or paid.time_ms <= state.time_ms]

    async def _cash(self, state: AccountState) -> Decimal:
        """Of a unified account the spot balance alone: what its perp summary shows is then no money of its own."""
        now_ms = self._clock.monotonic_ms()
        if self._kind_read_ms is None or now_ms - self._kind_read_ms > KIND_AGAIN_MS:
            self._in_spot = await self._reader.ask(
                "userAbstraction", lambda body: keeps_collateral_in_spot(decode_abstraction(body))
            )
            self._kind_read_ms = now_ms
        if not self._in_spot:
            return state.cash_usd
        return (await self._reader.ask("spotClearinghouseState", decode_spot_state)).usdc

    def _odd(self, where: str, problem: str) -> VenueUnavailable:
        self._sentinel.note(where, "", problem)
        return VenueUnavailable(f"{where}: {problem}")


def _are_in(state: AccountState, entries: Sequence[LedgerEntry]) -> bool:
    """Whether the state, and the cash that was read after it, certainly have all these movements in them: money that
    is told too early or too late looks like a loss or a profit."""
    return state.time_ms is None or all(entry.time_ms <= state.time_ms for entry in entries)


def _resting_order(told: OpenOrder) -> RestingOrder:
    return RestingOrder(
        told.coin,
        told.oid,
        told.cloid,
        told.time_ms,
        told.side,
        told.size,
        told.trigger_price,
        told.reduce_only,
    )


def _time_of(state: AccountState) -> int:
    """A time of ours proves nothing about the venue's: without its own word there is no answer."""
    if state.time_ms is None:
        raise VenueUnavailable("clearinghouseState: told no time")
    return state.time_ms


def _events_of(update: OrderUpdate, cloid: str) -> list[Event]:
    """What a status says of an order of ours. One that filled has ended, also where it had been made smaller before."""
    event = order_event(update)
    told: list[Event] = [] if event is None else [event]
    if update.kind is StatusKind.FILLED:
        told.append(OrderCanceled(cloid, update.status))
    return told
