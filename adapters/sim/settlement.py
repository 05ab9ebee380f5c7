"""Settlement: what an execution sets off at the simulated venue.

    pieces of an execution ─▶ fills ─▶ filled whole, waiting on with the rest, or ended ─▶ reduce-only orders end

The account's cash and position change with each piece, and its news tell it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from adapters.sim.exchange_book import ExchangeBook, HeldOrder
from adapters.sim.matching import Execution, Liquidity
from domain.events import Event, FillArrived, FundingPaid, OrderCanceled
from domain.fees import FeeSchedule
from domain.fills import Fill, FillCause
from domain.intents import Side

ZERO = Decimal(0)
FILLS_KEPT = 2_000
"""Executions, and payments, that the venue can tell again after a restart of the daemon."""


class Settlement:
    def __init__(self, book: ExchangeBook, fees: FeeSchedule) -> None:
        self._book = book
        self._fees = fees

    def fillable(self, held: HeldOrder) -> Decimal:
        """What of an order may fill now: reduce-only never more than the position."""
        if not held.request.reduce_only:
            return held.remaining
        position = self._book.account.size(held.request.symbol)
        return min(held.remaining, abs(position)) if position * held.request.side.sign < 0 else ZERO

    def execute(self, held: HeldOrder, pieces: Iterable[Execution], events: list[Event], *, may_rest: bool) -> None:
        """Fill an order piece by piece, then let its rest wait on (`may_rest`) or end."""
        request = held.request
        for piece in pieces:
            size = min(piece.size, self.fillable(held))
            if size == 0:
                break
            self._fill(held, replace(piece, size=size), events)
            held = replace(held, filled=held.filled + size, remaining=held.remaining - size)
        if may_rest and self.fillable(held) > 0:
            self._book.rest(held)
        else:
            self._book.take_off(request.symbol, held.oid)
            if held.filled == request.size:
                self._book.by_cloid.pop(request.cloid, None)
            else:
                reason = "canceled" if self.fillable(held) > 0 else "reduceOnlyCanceled"
                events.append(self.end(request.cloid, reason))
        self._trim_reduce_only(request.symbol, events)

    def liquidate(self, symbol: str, price: Decimal, events: list[Event]) -> None:
        """Close a position by the venue's own order."""
        position = self._book.account.positions[symbol]
        before, side = position.size, Side.SELL if position.size > 0 else Side.BUY
        fee = self._fees.fee(price, abs(before), crossed=True)
        self._book.account.execute(symbol, -before, price, fee, position.leverage)
        oid, self._book.next_oid = self._book.next_oid, self._book.next_oid + 1
        fill = self._new_fill(symbol, side, price, abs(before), fee, before, oid)
        self._tell(replace(fill, cause=FillCause.LIQUIDATION), events)

    def pay(self, paid: FundingPaid, events: list[Event]) -> None:
        self._book.account.cash += paid.amount_usd
        self._book.changes += 1
        self._book.fundings.append(paid)
        if len(self._book.fundings) > 2 * FILLS_KEPT:
            del self._book.fundings[:FILLS_KEPT]
        events.append(paid)

    def end(self, cloid: str, reason: str) -> OrderCanceled:
        """The venue's word that an order, or what is left of it, is gone."""
        self._book.by_cloid.pop(cloid, None)
        self._book.changes += 1
        return OrderCanceled(cloid, reason)

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _fill(self, held: HeldOrder, piece: Execution, events: list[Event]) -> None:
        request = held.request
        before = self._book.account.size(request.symbol)
        crossed = piece.liquidity is Liquidity.TAKER
        fee = self._fees.fee(piece.price, piece.size, crossed=crossed)
        signed_size = piece.size * request.side.sign
        self._book.account.execute(request.symbol, signed_size, piece.price, fee, request.leverage)
        fill = self._new_fill(request.symbol, request.side, piece.price, piece.size, fee, before, held.oid)
        self._tell(replace(fill, cloid=request.cloid, crossed=crossed), events)

    def _new_fill(
        self, symbol: str, side: Side, price: Decimal, size: Decimal, fee: Decimal, before: Decimal, oid: int
    ) -> Fill:
        tid = self._book.next_tid
        self._book.next_tid += 1
        return Fill(
            symbol=symbol,
            side=side,
            price=price,
            size=size,
            time_ms=self._book.now_ms,
            tid=tid,
            oid=oid,
            cloid=None,
            fee=fee,
            start_position=before,
            hash=f"0x{tid:064x}",
        )

    def _tell(self, fill: Fill, events: list[Event]) -> None:
        self._book.changes += 1
        self._book.fills.append(fill)
        if len(self._book.fills) > 2 * FILLS_KEPT:
            del self._book.fills[:FILLS_KEPT]
        events.append(FillArrived(fill))

    def _trim_reduce_only(self, symbol: str, events: list[Event]) -> None:
        """Resting reduce-only orders end when there is nothing left for them to reduce."""
        position = self._book.account.size(symbol)
        for held in self._book.resting_in(symbol):
            if held.request.reduce_only and position * held.request.side.sign >= 0:
                self._book.take_off(symbol, held.oid)
                events.append(self.end(held.request.cloid, "reduceOnlyCanceled"))
