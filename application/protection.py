"""Protection: every open position has a stop and a target resting at the venue, so that a dead process is not naked.

Both are reduce-only triggers and intents like any other. The engine checks the exact levels itself;
the resting stop follows them in steps, the new one sent before the old one's end is asked for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal

from application.live_oms import LiveOms, Wish
from application.order_shelf import LiveOrder
from application.step import Step
from domain.exits import ExitLevels, atr_of, holding_of
from domain.instruments import Instrument, PriceRounding, Universe, exact_price
from domain.intents import Action, Trigger, TriggerKind
from domain.positions import Position
from domain.strategy_config import StrategyBook, TradeConfig

EXIT_PRICE_BAND = Decimal("0.05")
"""How far from the price an exit may fill: wide, because not getting out costs more."""

REST_AGAIN_MS = 15_000
"""How long after a resting stop or target was sent and did not come to rest another is sent; our own check goes on."""

RESIZE_AFTER_MS = 1_000
"""An order that fills in twenty parts within a second moves its stop once: each move is two requests."""

STOP_STEP_ATR = 0.25
"""The resting stop is replaced once the exact one has moved this far from it, in entry ATRs."""

_KIND = {Action.STOP: TriggerKind.STOP_LOSS, Action.TAKE_PROFIT: TriggerKind.TAKE_PROFIT}
_LEAST_PRICE = 1e-9


@dataclass(frozen=True, slots=True)
class ExitMoment:
    """The moment of one exit check: the price seen, where it is from, and the candle it belongs to."""

    price: float
    price_source: str
    open_ms: int


@dataclass(frozen=True, slots=True)
class _Level:
    """Where one order should rest, and the rule that put it there."""

    action: Action
    price: Decimal
    size: Decimal
    rule: str


class Protection:
    def __init__(self, universe: Universe, oms: LiveOms) -> None:
        self._universe = universe
        self._oms = oms
        self._sent_ms: dict[tuple[str, Action], int] = {}

    def follow(
        self, step: Step, position: Position, levels: ExitLevels, moment: ExitMoment, book: StrategyBook
    ) -> None:
        """Bring the resting orders of a position to where its levels are now."""
        instrument = self._universe.instrument(position.symbol)
        rounding = PriceRounding.UP if position.size > 0 else PriceRounding.DOWN
        tolerance = STOP_STEP_ATR * atr_of(holding_of(position), levels.state)
        stop = instrument.round_price(exact_price(max(levels.stop, _LEAST_PRICE)), rounding)
        wanted = [_Level(Action.STOP, stop, abs(position.size), levels.stop_rule)]
        if levels.take_profit is not None:
            trade = book.for_symbol(position.symbol).trade
            size = take_profit_size(position, levels, trade, instrument)
            target = instrument.round_price(exact_price(levels.take_profit), rounding)
            wanted.append(_Level(Action.TAKE_PROFIT, target, size, "take_profit"))
        live = [each for each in self._oms.live_orders(position.symbol) if not self._oms.is_ending(each)]
        for level in wanted:
            resting = [
                each
                for each in live
                if each.intent.key.action is level.action and each.intent.side is not position.side
            ]
            if not self._stands(step, position.symbol, level, resting, tolerance):
                self._replace(step, position, level, resting, moment, book)

    def note_fill(self, symbol: str, action: Action) -> None:
        """An order did its work: whatever is to rest next need not wait."""
        self._sent_ms.pop((symbol, action), None)

    def end(self, step: Step, symbol: str) -> None:
        """The position is gone: so are its orders."""
        for action in _KIND:
            self._sent_ms.pop((symbol, action), None)
        for live in self._oms.live_orders(symbol):
            if live.intent.key.action.rests_as_trigger:
                self._oms.cancel(step, live)

    def _stands(self, step: Step, symbol: str, level: _Level, resting: list[LiveOrder], tolerance: float) -> bool:
        """Whether nothing has to be sent: the newest order is near enough, or one was sent just now."""
        if not resting:
            return step.at_ms - self._sent_ms.get((symbol, level.action), -REST_AGAIN_MS) < REST_AGAIN_MS
        trigger = resting[-1].intent.trigger
        assert trigger is not None, "stops and targets are triggers"
        near = abs(float(trigger.price - level.price)) < tolerance
        fits = resting[-1].order.remaining == level.size
        just_sent = step.at_ms - self._sent_ms.get((symbol, level.action), -RESIZE_AFTER_MS) < RESIZE_AFTER_MS
        return near and (fits or just_sent)

    def _replace(
        self,
        step: Step,
        position: Position,
        level: _Level,
        resting: list[LiveOrder],
        moment: ExitMoment,
        book: StrategyBook,
    ) -> None:
        self._sent_ms[position.symbol, level.action] = step.at_ms
        why = {"price": moment.price, "price_source": moment.price_source, "level": str(level.price)}
        placed = self._oms.place(
            step,
            Wish(
                action=level.action,
                symbol=position.symbol,
                side=position.side.opposite,
                size=level.size,
                limit_price=exit_limit(position, float(level.price), self._universe.instrument(position.symbol)),
                open_ms=moment.open_ms,
                leverage=Decimal(1),
                reason=level.rule,
                why=json.dumps(why),
                config_digest=book.digest,
                trigger=Trigger(_KIND[level.action], level.price),
            ),
        )
        if placed is not None:
            for old in resting:
                self._oms.cancel(step, old)


def exit_limit(position: Position, price: float, instrument: Instrument, band: Decimal = EXIT_PRICE_BAND) -> Decimal:
    """Worst price an exit accepts: the band below for a long, above for a short."""
    exact = exact_price(price)
    if position.size > 0:
        return instrument.round_price(exact * (1 - band), PriceRounding.DOWN)
    return instrument.round_price(exact * (1 + band), PriceRounding.UP)


def take_profit_size(position: Position, levels: ExitLevels, trade: TradeConfig, instrument: Instrument) -> Decimal:
    """What the take profit closes: a share of the position once, all of it later or when the share is too small."""
    whole, target = abs(position.size), levels.take_profit
    if target is None or not trade.enable_partial_tp or levels.state.take_profit_taken:
        return whole
    part = instrument.round_size(whole * trade.tp_partial_pct)
    rest = whole - part
    least = max(trade.tp_partial_min_notional_usd, trade.min_notional_usd)
    price = min(
        exact_price(target), exit_limit(position, target, instrument)
    )  # the venue's minimum counts at the limit
    return part if part * price >= least and rest * price >= least else whole
