"""Flattening: closes positions until they are flat, or says which could not be closed and why.

    entries of the symbol cancelled → reduce-only order at the market → again, further away → flat, or a residual

What is being closed is in the risk state: a restart goes on with it. Only answers of the venue use up attempts; while
nobody answers it waits. Stops keep resting until the position is gone, so that nothing is naked on the way out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from application.live_oms import LiveOms, Wish
from application.order_shelf import LiveOrder
from application.portfolio import Portfolio
from application.protection import exit_limit
from application.risk_guard import RiskGuard
from application.step import Step
from domain.effects import Alert, AskAccount, CancelForeign
from domain.events import AccountSnapshot
from domain.instruments import Universe
from domain.intents import Action
from domain.orders import OrderStatus, RejectReason
from domain.positions import Position
from domain.risk import Latch
from domain.strategy_config import StrategyBook

BANDS = (Decimal("0.01"), Decimal("0.03"), Decimal("0.05"), Decimal("0.10"))
"""How far from the price a closing order may fill, attempt by attempt."""

MOST_ATTEMPTS = 8
"""Refusals by the venue before a position is listed as one that could not be closed."""

AGAIN_MS = 1_000
"""After an attempt that has closed nothing."""

UNKNOWN_MS = 12_000
"""So long after it was sent an order of unknown fate cannot take effect any more; closing goes on."""

WAITING_MS = 30_000
"""Nothing can be sent for so long: the operator is told, once."""

MOST_RESTING = 900
"""With more open orders on the account the venue refuses orders that only reduce (from 1,000 on)."""

ROOM = 100
"""So many go at least, when the venue has refused for their number."""

FOREIGN = "not ours: it was opened elsewhere and is left alone; name the symbol to close it all the same"


@dataclass(slots=True)
class _Way:
    """How far the closing of one symbol has come, in this session."""

    band: int = 0
    refusals: int = 0
    sent_ms: int = 0
    cloid: str = ""
    waits_since_ms: int | None = None
    is_told: bool = False


class Flattening:
    def __init__(
        self,
        universe: Universe,
        portfolio: Portfolio,
        oms: LiveOms,
        guard: RiskGuard,
        price: Callable[[str, int], float | None],
        is_ours: Callable[[str], bool],
    ) -> None:
        """`price` tells the newest price of a symbol at a moment, `is_ours` whether its position is in our care."""
        self._universe = universe
        self._portfolio = portfolio
        self._oms = oms
        self._guard = guard
        self._price = price
        self._is_ours = is_ours
        self._ways: dict[str, _Way] = {}
        self._makes_room = False

    @property
    def is_working(self) -> bool:
        return bool(self._guard.state.leaving) or self._guard.state.latch is Latch.HALT

    def everything(self) -> list[str]:
        """Symbols with a position, or with an order that may yet make one."""
        live = self._oms.all_live_orders()
        entered = {each.intent.key.symbol for each in live if each.intent.key.action.increases_exposure}
        return sorted(entered | self._portfolio.positions.keys())

    def begin(self, step: Step, symbols: Iterable[str], why: str, *, even_foreign: bool = False) -> list[str]:
        """Close these positions, from now on and over restarts. Returns what is being closed now.

        A position that is not ours is listed as a residual, unless it was meant `even_foreign`. Asking again begins
        anew: with what was a residual too.
        """
        wanted = list(symbols)
        held = self._portfolio.positions
        closing = [symbol for symbol in wanted if even_foreign or symbol not in held or self._is_ours(symbol)]
        state = self._guard.state
        residuals = {symbol: text for symbol, text in state.residuals if symbol not in wanted}
        residuals |= {symbol: FOREIGN for symbol in wanted if symbol not in closing}
        leaving = dict(state.leaving) | dict.fromkeys(closing, why)
        self._guard.set_leaving(step, leaving.items(), residuals.items())
        for symbol in closing:
            self._ways[symbol] = _Way()
        if closing:
            step.effects.append(AskAccount("positions are being closed"))
        return closing

    def hear(self, step: Step, changed: LiveOrder, reason: RejectReason | None) -> None:
        """News of an order. `reason`: why it was rejected, None for any other news."""
        way = self._ways.get(changed.intent.key.symbol)
        if way is None or changed.order.request.cloid != way.cloid:
            return
        symbol = changed.intent.key.symbol
        if symbol not in dict(self._guard.state.leaving):  # somebody has called it off
            del self._ways[symbol]
            return
        if changed.order.filled > 0:
            way.refusals, way.waits_since_ms = 0, None
        if reason is None:
            return
        if reason is RejectReason.NOT_SENT:
            self._wait(step, symbol, way, changed.order.reason)
            return
        way.waits_since_ms = None
        way.refusals += 1
        match reason:
            case RejectReason.MIN_NOTIONAL:
                self._give_up(step, symbol, "too small for the venue to take an order for it")
            case RejectReason.TOO_MANY_ORDERS:
                self._makes_room = True
                step.effects.append(AskAccount("too many open orders to close a position"))
            case RejectReason.PRICE_OUTSIDE_BAND:
                way.band = max(way.band - 1, 0)
            case _:
                way.band = min(way.band + 1, len(BANDS) - 1)
        if way.refusals >= MOST_ATTEMPTS:
            self._give_up(step, symbol, f"the venue refused {way.refusals} orders: {changed.order.reason}")

    def hear_snapshot(self, step: Step, snapshot: AccountSnapshot) -> None:
        """The venue's word on all that rests: with too much of it nothing can be closed, so strangers' orders go."""
        if snapshot.resting is None:
            return
        resting = len(snapshot.resting)
        if not self._guard.state.leaving or (resting <= MOST_RESTING and not self._makes_room):
            return
        others = [
            each
            for each in snapshot.resting
            if each.symbol in self._universe and (each.cloid is None or self._oms.find(each.cloid) is None)
        ]
        others.sort(key=lambda each: (bool(each.reduce_only), each.placed_ms, each.oid))
        surplus = others[: max(resting - MOST_RESTING, ROOM)]
        if surplus:
            text = f"{len(surplus)} of {resting} open orders, none ours, are cancelled: too many to close a position"
            step.effects.append(Alert("room_made", text))
        step.effects += [CancelForeign(each.symbol, each.oid) for each in surplus]
        self._makes_room = False

    def work(self, step: Step, book: StrategyBook, open_ms: int) -> None:
        """Do what is due for every symbol that is being closed. Called whenever time passes.

        `open_ms`: the candle that orders of this moment are counted to.
        """
        if not self.is_working:
            return
        state = self._guard.state
        if state.latch is Latch.HALT:
            known = {symbol for symbol, _ in (*state.leaving, *state.residuals)}
            new = [symbol for symbol in self.everything() if symbol not in known]
            if new:
                self.begin(step, new, state.latch_why)
        for symbol, why in self._guard.state.leaving:
            self._work_on(step, symbol, why, book, open_ms)
        if state.residuals:
            gone = [symbol for symbol, _ in state.residuals if symbol not in self._portfolio.positions]
            if gone:
                self._settle(step, leaving=(), residuals=gone)

    # ── one symbol ───────────────────────────────────────────────────────────────────────────

    def _work_on(self, step: Step, symbol: str, why: str, book: StrategyBook, open_ms: int) -> None:
        way = self._ways.setdefault(symbol, _Way())
        live = self._oms.live_orders(symbol)
        entries = [each for each in live if each.intent.key.action.increases_exposure]
        for each in entries:
            if each.order.status is OrderStatus.OPEN and not self._oms.is_ending(each):
                self._oms.cancel(step, each)
        position = self._portfolio.positions.get(symbol)
        if position is None:
            if not entries:
                self._settle(step, leaving=[symbol], residuals=())
                self._ways.pop(symbol, None)
                step.effects.append(Alert("flattened", f"{symbol} is flat: {why}"))
            return
        if any(_is_under_way(each, step.at_ms) for each in live) or step.at_ms - way.sent_ms < AGAIN_MS:
            return
        if symbol not in self._universe:
            self._give_up(step, symbol, "its symbol is not watched here: close it by hand")
            return
        price = self._price(symbol, step.at_ms)
        if price is None:
            self._wait(step, symbol, way, "its price is not known")
            return
        self._send(step, position, price, why, way, book, open_ms)

    def _send(
        self, step: Step, position: Position, price: float, why: str, way: _Way, book: StrategyBook, open_ms: int
    ) -> None:
        band = BANDS[way.band]
        instrument = self._universe.instrument(position.symbol)
        intent = self._oms.place(
            step,
            Wish(
                action=Action.CLOSE,
                symbol=position.symbol,
                side=position.side.opposite,
                size=abs(position.size),
                limit_price=exit_limit(position, price, instrument, band),
                open_ms=open_ms,
                leverage=Decimal(1),
                reason="flatten",
                why=json.dumps({"price": price, "rule": "flatten", "wanted_by": why, "band": str(band)}),
                config_digest=book.digest,
            ),
        )
        assert intent is not None, "a close is never refused for having been decided"
        way.sent_ms = step.at_ms
        way.cloid = self._oms.live_orders(position.symbol)[-1].order.request.cloid

    def _wait(self, step: Step, symbol: str, way: _Way, why: str) -> None:
        """Nothing can be sent now: it is tried again, and told once if it lasts."""
        if way.waits_since_ms is None:
            way.waits_since_ms = step.at_ms
        elif step.at_ms - way.waits_since_ms >= WAITING_MS and not way.is_told:
            way.is_told = True
            step.effects.append(Alert("flatten_waits", f"{symbol} cannot be closed yet, it is tried again: {why}"))

    def _give_up(self, step: Step, symbol: str, why: str) -> None:
        self._settle(step, leaving=[symbol], residuals=(), new_residual=(symbol, why))
        self._ways.pop(symbol, None)
        position = self._portfolio.position(symbol)
        text = f"{symbol}: {position.size} is left, nobody closes it by himself any more: {why}"
        step.effects.append(Alert("flatten_residual", text))

    def _settle(
        self,
        step: Step,
        leaving: Iterable[str],
        residuals: Iterable[str],
        new_residual: tuple[str, str] | None = None,
    ) -> None:
        """Take symbols off the lists, and at most one over from the first to the second."""
        state, done, gone = self._guard.state, set(leaving), set(residuals)
        listed = [each for each in state.residuals if each[0] not in gone]
        if new_residual is not None:
            listed = [*(each for each in listed if each[0] != new_residual[0]), new_residual]
        self._guard.set_leaving(step, (each for each in state.leaving if each[0] not in done), listed)


def _is_under_way(live: LiveOrder, at_ms: int) -> bool:
    """Whether an order that closes may still do its work."""
    if live.intent.key.action is not Action.CLOSE:
        return False
    return live.order.status is not OrderStatus.UNKNOWN or at_ms - live.order.sent_ms < UNKNOWN_MS
