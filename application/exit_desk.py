"""ExitDesk: keeps every open position protected and takes it off when a rule says so.

At each price change of a symbol with a position the levels are computed anew, checked, and handed on
to `Protection`, which keeps orders resting at the venue. Nothing here asks any limit that entries have.
"""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

from application.entry_desk import exit_state_of
from application.fill_desk import BookedFill
from application.live_oms import LiveOms, Wish
from application.order_shelf import LiveOrder
from application.portfolio import Portfolio
from application.protection import ExitMoment, Protection, exit_limit, take_profit_size
from application.step import Step
from domain.confidence import Confidence
from domain.exits import (
    ExitLevels,
    ExitState,
    after_add,
    after_partial_take_profit,
    exit_levels,
    holding_of,
)
from domain.facts import ExitStateChanged, LedgerState
from domain.instruments import Universe
from domain.intents import Action, OrderIntent
from domain.orders import OrderStatus
from domain.positions import Position
from domain.signals import FeatureRow
from domain.sizing import floored_atr
from domain.smart_exits import is_glitch, smart_exit
from domain.strategy_config import StrategyBook, SymbolConfig, TradeConfig


class ExitDesk:
    def __init__(self, universe: Universe, portfolio: Portfolio, oms: LiveOms) -> None:
        self._universe = universe
        self._portfolio = portfolio
        self._oms = oms
        self.states: dict[str, ExitState] = {}
        self._rows: dict[str, FeatureRow] = {}
        self._funding_rates: dict[str, float] = {}
        self._last_exit_ms: dict[str, int] = {}
        self._protection = Protection(universe, oms)

    def restore(self, state: LedgerState) -> None:
        self.states.clear()  # the same mapping as before: the entry desk looks at it too
        self.states.update((exits.symbol, exits) for exits in state.exit_states)

    def note_row(self, symbol: str, row: FeatureRow) -> None:
        """The newest closed candle's indicators of a symbol with a position."""
        self._rows[symbol] = row

    def note_funding_rate(self, symbol: str, rate: float) -> None:
        self._funding_rates[symbol] = rate

    def in_our_care(self, symbol: str) -> Position | None:
        """A position that an intent of ours has opened, or that an operator gave to us: what its owner did by hand is
        left alone."""
        position = self._portfolio.positions.get(symbol)
        if position is None or position.intent_id is not None:
            return position
        state = self.states.get(symbol)
        return position if state is not None and state.adopted else None

    def adopt(self, step: Step, symbol: str, open_ms: int, book: StrategyBook) -> None:
        """Take a position into our care that somebody else has opened: from here on it has a stop and a target."""
        assert symbol in self._portfolio.positions, "there is something to adopt"
        row = self._rows.get(symbol)
        atr = floored_atr(row, book.for_symbol(symbol).trade) if row is not None and row.atr > 0 else 0.0
        state = self._unknown_state(self._portfolio.positions[symbol], None)
        self._remember(step, replace(state, entry_atr=atr, opened_key_ms=open_ms, adopted=True))

    # ── at every price ───────────────────────────────────────────────────────────────────────

    def check(self, step: Step, symbol: str, moment: ExitMoment, book: StrategyBook, *, smart: bool = True) -> None:
        """Look at one position at one price: move its stop, close it when a rule wants out.

        `smart` off: only prices may end it, not indicators.
        """
        position = self.in_our_care(symbol)
        if position is None:
            return
        config = book.for_symbol(symbol)
        state = self._state_of(position)
        holding = holding_of(position)
        row = self._rows.get(symbol)
        if is_glitch(holding, state, moment.price, config) or _is_accident(row, config):
            return  # before the levels: a price that is not real must not move the stop either
        funding_rate = self._funding_rates.get(symbol)
        levels = exit_levels(holding, state, moment.price, row, config.trade, funding_rate)
        self._remember(step, levels.state)
        if (moment.price - levels.stop) * holding.direction <= 0:
            self._close(step, position, moment, levels.stop_rule, levels, book)
            return
        if smart and row is not None and not self._cooling(symbol, step.at_ms, config.trade):
            rule = smart_exit(holding, levels.state, moment.price, row, config, funding_rate, step.at_ms)
            if rule is not None:
                self._close(step, position, moment, rule, levels, book)
                return
        if not self._target_without_order(step, position, moment, levels, config, book):
            self._protection.follow(step, position, levels, moment, book)

    def close(self, step: Step, symbol: str, moment: ExitMoment, reason: str, book: StrategyBook) -> OrderIntent | None:
        """Close a position for a reason from outside (a signal against it). None when one is under way."""
        position = self.in_our_care(symbol)
        if position is None:
            return None
        return self._close(step, position, moment, reason, None, book)

    # ── after fills ──────────────────────────────────────────────────────────────────────────

    def after_fill(
        self, step: Step, booked: BookedFill, entry: ExitState | None, book: StrategyBook, moment: ExitMoment
    ) -> None:
        """Follow a position that a fill has changed: start, average, shrink or drop its exits."""
        symbol = booked.after.symbol
        flipped = not booked.before.is_flat and not booked.after.is_flat and booked.before.side is not booked.after.side
        is_ours = booked.after.intent_id is not None or (not flipped and self.in_our_care(symbol) is not None)
        if booked.after.is_flat or not is_ours:
            self._drop(step, symbol)
            return
        if booked.before.is_flat or flipped:
            self._drop(step, symbol)
            self._remember(step, entry or self._unknown_state(booked.after, moment))
        elif booked.intent is not None and booked.intent.key.action is Action.ADD and entry is not None:
            state = self._state_of(booked.before)
            if state.last_add_ms != booked.intent.decided_ms:  # an ADD in parts averages once
                added = float(booked.intent.size)
                state = after_add(
                    state, entry.entry_atr, abs(float(booked.before.size)), added, booked.intent.decided_ms
                )
                self._remember(step, state)
        elif booked.intent is not None and booked.intent.key.action in (Action.TAKE_PROFIT, Action.REDUCE):
            self._remember(step, after_partial_take_profit(holding_of(booked.after), self._state_of(booked.after)))
            self._protection.note_fill(symbol, Action.TAKE_PROFIT)
        self.check(step, symbol, moment, book)

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _state_of(self, position: Position) -> ExitState:
        """What its entry asked for, also where its fill became known as ours later than it was booked."""
        state = self.states.get(position.symbol)
        if state is None and position.intent_id is not None:
            opening = self._oms.fills.intent(position.intent_id)
            state = None if opening is None else exit_state_of(opening)
        return state if state is not None else self._unknown_state(position, None)

    def _unknown_state(self, position: Position, moment: ExitMoment | None) -> ExitState:
        """Exits for a position whose entry is not ours: assumed ATR, plain multiples."""
        return ExitState(
            symbol=position.symbol,
            entry_atr=0.0,
            confidence=Confidence.MEDIUM,
            entry_adx_threshold=0.0,
            tp_mult=4.0,
            opened_key_ms=moment.open_ms if moment else 0,
        )

    def _remember(self, step: Step, state: ExitState) -> None:
        if self.states.get(state.symbol) != state:
            self.states[state.symbol] = state
            step.facts.append(ExitStateChanged(state.symbol, state))

    def _drop(self, step: Step, symbol: str) -> None:
        if self.states.pop(symbol, None) is not None:
            step.facts.append(ExitStateChanged(symbol, None))
        for notes in (self._rows, self._funding_rates, self._last_exit_ms):
            notes.pop(symbol, None)  # the next position must not be judged by them, however much later it comes
        self._protection.end(step, symbol)

    def _cooling(self, symbol: str, at_ms: int, trade: TradeConfig) -> bool:
        last = self._last_exit_ms.get(symbol)
        return last is not None and at_ms - last < trade.exit_cooldown_s * 1000

    def _close(
        self,
        step: Step,
        position: Position,
        moment: ExitMoment,
        reason: str,
        levels: ExitLevels | None,
        book: StrategyBook,
    ) -> OrderIntent | None:
        return self._send(step, position, moment, Action.CLOSE, abs(position.size), reason, levels, book)

    def _target_without_order(
        self,
        step: Step,
        position: Position,
        moment: ExitMoment,
        levels: ExitLevels,
        config: SymbolConfig,
        book: StrategyBook,
    ) -> bool:
        """Take profit by ourselves when the price is there and no order of ours rests for it."""
        target = levels.take_profit
        if target is None or (moment.price - target) * holding_of(position).direction < 0:
            return False
        if any(order.intent.key.action is Action.TAKE_PROFIT for order in self._oms.live_orders(position.symbol)):
            return False
        size = take_profit_size(position, levels, config.trade, self._universe.instrument(position.symbol))
        action = Action.CLOSE if size == abs(position.size) else Action.REDUCE
        self._send(step, position, moment, action, size, "take_profit", levels, book)
        return True

    def _send(
        self,
        step: Step,
        position: Position,
        moment: ExitMoment,
        action: Action,
        size: Decimal,
        reason: str,
        levels: ExitLevels | None,
        book: StrategyBook,
    ) -> OrderIntent | None:
        """Send one reduce-only market order; None while another is already on its way."""
        symbol = position.symbol
        cooldown_ms = book.for_symbol(symbol).trade.exit_cooldown_s * 1000
        if any(_is_under_way(live, step.at_ms - cooldown_ms) for live in self._oms.live_orders(symbol)):
            return None
        self._last_exit_ms[symbol] = step.at_ms
        why = {"price": moment.price, "price_source": moment.price_source, "rule": reason}
        if levels is not None:
            why |= {"stop": levels.stop, "take_profit": levels.take_profit}
        return self._oms.place(
            step,
            Wish(
                action=action,
                symbol=symbol,
                side=position.side.opposite,
                size=size,
                limit_price=exit_limit(position, moment.price, self._universe.instrument(symbol)),
                open_ms=moment.open_ms,
                leverage=Decimal(1),
                reason=reason,
                why=json.dumps(why),
                config_digest=book.digest,
            ),
        )


def _is_under_way(live: LiveOrder, since_ms: int) -> bool:
    """Whether an exit may still do its work. One whose fate is unknown is given up after a while.

    A second one does no harm: both only reduce.
    """
    if live.intent.key.action not in (Action.CLOSE, Action.REDUCE):
        return False
    return live.order.status is not OrderStatus.UNKNOWN or live.order.sent_ms > since_ms


def _is_accident(row: FeatureRow | None, config: SymbolConfig) -> bool:
    """A candle that looks like an accident, where exits are told to wait for a better one (off unless configured)."""
    return config.filters.block_exits_on_anomaly and row is not None and row.is_anomaly > 0
