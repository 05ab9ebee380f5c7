"""`Account` of one Hyperliquid address: what happened while nobody listened, and how the account stands.

Never a part: one answer that is missing or cannot be read, and there is none at all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Protocol

from adapters.hyperliquid.account_events import order_event
from adapters.hyperliquid.account_reads import AccountReader
from adapters.hyperliquid.heard import OrderUpdate, StatusKind
from adapters.hyperliquid.leverage import AsksInfo
from adapters.hyperliquid.wire_account import (
    AccountState,
    decode_abstraction,
    decode_account_state,
    decode_spot_state,
    keeps_collateral_in_spot,
)
from adapters.hyperliquid.wire_orders import decode_order_status
from adapters.hyperliquid.wire_rows import STATUS_WORDS
from domain.events import AccountSnapshot, Event, FillArrived, OrderCanceled
from domain.fills import Fill
from ports.clock import Clock
from ports.order_gateway import VenueUnavailable

OVERLAP_MS = 600_000
"""Read so much again: what one server of the venue knew late must not be missed, and what repeats costs nothing."""

LOOKS = 4
"""How often the state is read until it is as new as the fills."""


class NotesDrift(Protocol):
    def note(self, where: str, raw: str | bytes, problem: str) -> None: ...


class HyperliquidAccount:
    """`user` is the account that trades (master, sub-account or vault): an agent's own address has nothing."""

    def __init__(self, info: AsksInfo, user: str, sentinel: NotesDrift, clock: Clock) -> None:
        self._reader = AccountReader(info, user.lower(), sentinel.note)
        self._sentinel = sentinel
        self._clock = clock

    async def recover(self, live_cloids: Collection[str], fills_since_ms: int) -> Sequence[Event]:
        """See `Account`. With `fills_since_ms` 0 the account's past is not read: it is not ours.

        An order that the venue does not know (`unknownOid`) is left as it was: not knowing is no end.
        """
        ends = [event for cloid in sorted(live_cloids) for event in await self._fate(cloid)]
        since_ms = max(0, fills_since_ms - OVERLAP_MS)
        has_past = fills_since_ms > 0
        fundings = await self._reader.fundings(since_ms) if has_past else []
        state, fills = await self._state_with_fills(since_ms if has_past else self._clock.now_ms())
        cash_usd = await self._cash(state)
        positions = tuple((position.coin, position.size) for position in state.positions)
        at_ms = state.time_ms if state.time_ms is not None else self._clock.now_ms()
        told = [FillArrived(fill) for fill in fills] if has_past else []
        return [*told, *fundings, *ends, AccountSnapshot(cash_usd, positions, at_ms)]

    # ── orders ───────────────────────────────────────────────────────────────────────────────────

    async def _fate(self, cloid: str) -> list[Event]:
        update = await self._reader.ask("orderStatus", decode_order_status, oid=cloid)
        if update is None:
            return []
        if update.cloid != cloid.lower():
            raise self._odd("orderStatus", f"asked about {cloid}, told of {update.cloid}")
        if update.status not in STATUS_WORDS:
            self._sentinel.note("orderStatus", update.status, f"an order status that nobody has heard of, of {cloid}")
        return _events_of(update, cloid)

    # ── money and positions ──────────────────────────────────────────────────────────────────────

    async def _state_with_fills(self, since_ms: int) -> tuple[AccountState, list[Fill]]:
        """Fills, and a state in which they all are: fills are read before and after it until none came between."""
        fills = await self._reader.fills(since_ms)
        known = {fill.trade_id: fill for fill in fills}
        for _ in range(LOOKS):
            state = await self._reader.ask("clearinghouseState", decode_account_state, dex="")
            newest_ms = max((fill.time_ms for fill in known.values()), default=since_ms)
            late = [fill for fill in await self._reader.fills(newest_ms) if fill.trade_id not in known]
            known.update((fill.trade_id, fill) for fill in late)
            is_old = bool(known) and state.time_ms is not None and state.time_ms < newest_ms
            if not late and not is_old:
                return state, sorted(known.values(), key=lambda fill: fill.time_ms)
        raise VenueUnavailable(f"clearinghouseState: not as new as the fills after {LOOKS} looks")

    async def _cash(self, state: AccountState) -> Decimal:
        """Of a unified account the spot balance alone: what its perp summary shows is then no money of its own."""
        in_spot = await self._reader.ask(
            "userAbstraction", lambda body: keeps_collateral_in_spot(decode_abstraction(body))
        )
        if not in_spot:
            return state.cash_usd
        return (await self._reader.ask("spotClearinghouseState", decode_spot_state)).usdc

    def _odd(self, where: str, problem: str) -> VenueUnavailable:
        self._sentinel.note(where, "", problem)
        return VenueUnavailable(f"{where}: {problem}")


def _events_of(update: OrderUpdate, cloid: str) -> list[Event]:
    """What a status says of an order of ours. One that filled has ended, also where it had been made smaller before."""
    event = order_event(update)
    told: list[Event] = [] if event is None else [event]
    if update.kind is StatusKind.FILLED:
        told.append(OrderCanceled(cloid, update.status))
    return told
