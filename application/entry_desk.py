"""EntryDesk: from the signals of a batch to entries, one decision per symbol, each with its reasons.

    reversed where configured → ranked by confidence and ADX → gates → sized → limits → intent

Gates come in two stages: those of the signal, the candle and the market; then those of the account
(orders, price, size, limits). A signal that the first stage refuses is not sized. Ranking decides who
comes first when limits do not leave room for all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from application.live_oms import LiveOms, Wish
from application.market_data_hub import PriceView
from application.portfolio import Portfolio
from application.risk_guard import RiskGuard
from application.step import Step
from application.strategy_health import StrategyHealth
from application.watchlist import Watchlist
from domain.candles import Interval
from domain.confidence import Confidence
from domain.exits import ExitState, Holding, atr_of, exit_levels, profit_atr
from domain.gating import (
    GateResult,
    LastClose,
    MarketContext,
    deadline_gate,
    entry_cooldown_gate,
    entry_deadline_ms,
    first_refusal,
    limit_gate,
    signal_gates,
    truth_gate,
)
from domain.instruments import Instrument, PriceRounding, Universe, exact_price
from domain.intents import Action, OrderIntent, Side
from domain.positions import Position
from domain.signals import FeatureRow, Signal
from domain.sizing import SizedEntry, floored_atr, size_entry
from domain.strategy_config import StrategyBook, SymbolConfig, TradeConfig
from domain.verdicts import Verdict

ENTRY_PRICE_BAND = Decimal("0.01")
"""How far from the price an entry may fill: an entry that would cost more is not taken."""

PRICE_MAX_AGE_MS = 15_000
"""No entry on a price older than this."""

CLOSE_PRICE_BAND = 0.05
"""How far a candle's close may lie from the price a moment later: a larger jump is more likely an error of the data."""

ATR_LEAST_OF_PRICE = 1e-5
"""The finest step of a price, five digits: nothing moves by less."""

STOP_MOST_OF_PRICE = 0.5
"""A stop that is further off protects nothing."""

ADD_STOP_ROOM_ATR = 0.5
"""No adding to a position that its stop is about to end."""

_CONFIDENCE_WEIGHT = 100


@dataclass(frozen=True, slots=True)
class Candidate:
    """One analysed symbol with a signal. `place` is its position in the batch."""

    place: int
    symbol_id: int
    symbol: str
    signal: Signal
    confidence: Confidence
    row: FeatureRow


@dataclass(frozen=True, slots=True)
class EntryMoment:
    """What all candidates of one batch share."""

    interval: Interval
    open_ms: int
    context: MarketContext
    book: StrategyBook
    equity_usd: Decimal | None
    trading_ready: str
    """Empty when entries are possible at all, else why not."""


@dataclass(frozen=True, slots=True)
class EntryDecision:
    verdict: Verdict
    gates: list[GateResult]
    intent: OrderIntent | None


def ranked(candidates: list[Candidate]) -> list[Candidate]:
    """Best first: confidence, then ADX; symbols in alphabetical order where both are equal."""

    def score(candidate: Candidate) -> float:
        adx = candidate.row.adx if not math.isnan(candidate.row.adx) else 0.0
        return candidate.confidence * _CONFIDENCE_WEIGHT + adx

    return sorted(candidates, key=lambda candidate: (-score(candidate), candidate.symbol))


class EntryDesk:
    def __init__(
        self,
        universe: Universe,
        portfolio: Portfolio,
        oms: LiveOms,
        guard: RiskGuard,
        exit_states: Mapping[str, ExitState],
        watchlist: Watchlist,
        health: StrategyHealth,
    ) -> None:
        self._watchlist = watchlist
        self._health = health
        self._exit_states = exit_states
        self._universe = universe
        self._portfolio = portfolio
        self._oms = oms
        self._guard = guard
        self.last_closes: dict[str, LastClose] = {}
        self._last_entry_ms: dict[str, int] = {}
        self._entries_of_close: tuple[int, int] = (0, 0)

    def restore(self, last_closes: dict[str, LastClose], last_entry_ms: dict[str, int]) -> None:
        self.last_closes = last_closes
        self._last_entry_ms = last_entry_ms

    def decide(self, step: Step, candidate: Candidate, price: PriceView | None, moment: EntryMoment) -> EntryDecision:
        """Decide on one signal of a symbol that has no position, or one in the signal's direction."""
        config = moment.book.for_symbol(candidate.symbol)
        position = self._portfolio.positions.get(candidate.symbol)
        action = Action.OPEN if position is None else Action.ADD
        gates = self._signal_stage(step, candidate, config, moment, action, position)
        if first_refusal(gates) is not None:
            return EntryDecision(Verdict.REFUSED, gates, None)
        gates += self._order_gates(step, candidate, config, price, moment)
        if position is not None:
            gates += self._add_gates(step, candidate, config, price, position)
        sized, equity = self._size(candidate, config, price, moment, position)
        if sized is None or equity is None:
            gates.append(truth_gate("sizing", False, "equity or price unknown, or no stop by this ATR", "known"))
        else:
            gates.append(
                GateResult(
                    "min_notional", float(sized.notional_usd), float(config.trade.min_notional_usd), sized.size > 0
                )
            )
            gates += self._guard.gates(
                candidate.symbol, _side_of(candidate), sized, equity, config, moment.book.risk, step.at_ms
            )
        if first_refusal(gates) is not None or sized is None or price is None:
            return EntryDecision(Verdict.REFUSED, gates, None)
        intent = self._place(step, candidate, action, sized, config, price, moment, gates)
        return EntryDecision(Verdict.OPEN if action is Action.OPEN else Verdict.ADD, gates, intent)

    # ── gates ────────────────────────────────────────────────────────────────────────────────

    def _signal_stage(
        self,
        step: Step,
        candidate: Candidate,
        config: SymbolConfig,
        moment: EntryMoment,
        action: Action,
        position: Position | None,
    ) -> list[GateResult]:
        """What can be said without looking at the account: was it decided before, is it in time, is the signal good."""
        symbol = candidate.symbol
        acted = self._oms.has_decided(action, symbol, moment.open_ms) or (
            action is Action.ADD and self._oms.has_decided(Action.OPEN, symbol, moment.open_ms)
        )
        listed = "excluded" if symbol in moment.book.watchlist_exclude else "listed"
        listed = listed if self._watchlist.has(candidate.symbol_id) else "not on it"
        return [
            truth_gate("dedupe", not acted, "this candle was acted on" if acted else "new", "new"),
            deadline_gate(step.at_ms, entry_deadline_ms(moment.open_ms, moment.interval.ms)),
            truth_gate("watchlist", listed == "listed", listed, "listed"),
            *self._health.gates(symbol),
            *signal_gates(
                candidate.signal,
                candidate.confidence,
                candidate.row,
                config,
                moment.context,
                self.last_closes.get(symbol) if position is None else None,
                step.at_ms,
            ),
        ]

    def _order_gates(
        self, step: Step, candidate: Candidate, config: SymbolConfig, price: PriceView | None, moment: EntryMoment
    ) -> list[GateResult]:
        """Whether an order of this symbol may leave now at all."""
        symbol, trade = candidate.symbol, config.trade
        unknown = self._oms.has_unknown(symbol)
        waiting = any(live.intent.key.action.increases_exposure for live in self._oms.live_orders(symbol))
        age = price.age_ms if price is not None else None
        jump = abs(candidate.row.close / price.price - 1) if price is not None else None
        return [
            truth_gate("ready", not moment.trading_ready, moment.trading_ready or "ready", "ready"),
            truth_gate("no_unknown_order", not unknown, "unknown" if unknown else "none", "none"),
            truth_gate("no_entry_in_flight", not waiting, "in flight" if waiting else "none", "none"),
            GateResult("price_age_ms", age, PRICE_MAX_AGE_MS, age is not None and age <= PRICE_MAX_AGE_MS),
            GateResult("close_near_price", jump, CLOSE_PRICE_BAND, jump is not None and jump <= CLOSE_PRICE_BAND),
            entry_cooldown_gate(trade, self._last_entry_ms.get(symbol), step.at_ms),
            _budget_gate(self._entries_at(moment.open_ms) + 1, trade.max_entry_orders_per_loop),
        ]

    def _entries_at(self, open_ms: int) -> int:
        """Entries decided on the candles of one close, in this session and earlier ones."""
        if self._entries_of_close[0] != open_ms:
            keys = ((action, symbol) for action in (Action.OPEN, Action.ADD) for symbol in self._universe.symbols)
            self._entries_of_close = (open_ms, sum(self._oms.has_decided(*key, open_ms) for key in keys))
        return self._entries_of_close[1]

    def _add_gates(
        self, step: Step, candidate: Candidate, config: SymbolConfig, price: PriceView | None, position: Position
    ) -> list[GateResult]:
        """What adding to a winner asks for, on top of everything that an entry asks for."""
        trade, row = config.trade, candidate.row
        state = self._exit_states.get(candidate.symbol)
        if state is None or price is None:
            return [truth_gate("add_state", False, "unknown", "known")]
        direction = position.side.sign
        holding = Holding(direction, float(position.entry_price), position.opened_ms)
        gained = profit_atr(holding, state, price.price)
        needed = trade.add_min_profit_atr
        if row.adx_slope > 0.75 and row.atr_slope <= 0 and not (row.rsi > 65 if direction > 0 else row.rsi < 35):
            needed *= 0.5
        since = state.last_add_ms or position.opened_ms
        waited = (step.at_ms - since) / 60_000
        expanding = row.macd_hist * direction > row.macd_hist_1 * direction
        rsi_ok = row.rsi <= 75 if direction > 0 else row.rsi >= 25
        stop = exit_levels(holding, state, price.price, row, trade, None).stop
        room = (price.price - stop) * direction / atr_of(holding, state)
        return [
            truth_gate("pyramiding", trade.enable_pyramiding, "on" if trade.enable_pyramiding else "off", "on"),
            limit_gate("adds", state.adds + 1, trade.max_adds_per_symbol),
            GateResult(
                "add_confidence",
                candidate.confidence.name.lower(),
                trade.add_min_confidence.name.lower(),
                candidate.confidence >= trade.add_min_confidence,
            ),
            GateResult("add_cooldown_min", waited, trade.add_cooldown_minutes, waited >= trade.add_cooldown_minutes),
            truth_gate(
                "no_partial_exit", not state.take_profit_taken, "taken" if state.take_profit_taken else "none", "none"
            ),
            GateResult("add_profit_atr", gained, needed, gained >= needed),
            GateResult("add_stop_room_atr", room, ADD_STOP_ROOM_ATR, room >= ADD_STOP_ROOM_ATR),
            GateResult("add_macd_expanding", row.macd_hist, row.macd_hist_1, expanding),
            GateResult("add_rsi", row.rsi, 75.0 if direction > 0 else 25.0, rsi_ok),
        ]

    # ── sizing and sending ───────────────────────────────────────────────────────────────────

    def _size(
        self,
        candidate: Candidate,
        config: SymbolConfig,
        price: PriceView | None,
        moment: EntryMoment,
        position: Position | None,
    ) -> tuple[SizedEntry | None, Decimal | None]:
        if price is None or moment.equity_usd is None:
            return None, None
        if not _can_have_stop(candidate.row, config.trade, price.price):
            return None, None
        fraction = Decimal(1) if position is None else config.trade.add_fraction_of_base_margin
        instrument = self._universe.instruments[candidate.symbol_id]
        sized = size_entry(
            moment.equity_usd,
            exact_price(price.price),
            candidate.confidence,
            candidate.row,
            config,
            instrument,
            fraction,
            limit_price=_entry_limit(candidate, price, instrument),
        )
        return sized, moment.equity_usd

    def _place(
        self,
        step: Step,
        candidate: Candidate,
        action: Action,
        sized: SizedEntry,
        config: SymbolConfig,
        price: PriceView,
        moment: EntryMoment,
        gates: list[GateResult],
    ) -> OrderIntent | None:
        row = candidate.row
        entries = self._entries_at(moment.open_ms)
        why = {
            "signal": candidate.signal.name,
            "confidence": candidate.confidence.name.lower(),
            "price": price.price,
            "price_source": price.source,
            "price_age_ms": price.age_ms,
            "breadth_pct": moment.context.breadth_pct,
            "btc_bullish": moment.context.btc_bullish,
            "gates": [[gate.name, _plain(gate.value), _plain(gate.threshold), gate.passed] for gate in gates],
            "exits": {
                "atr": floored_atr(row, config.trade),
                "adx_threshold": row.entry_adx_threshold if math.isfinite(row.entry_adx_threshold) else 0.0,
                "tp_mult": row.tp_mult if math.isfinite(row.tp_mult) else config.trade.tp_atr_mult,
            },
        }
        intent = self._oms.place(
            step,
            Wish(
                action=action,
                symbol=candidate.symbol,
                side=_side_of(candidate),
                size=sized.size,
                limit_price=_entry_limit(candidate, price, self._universe.instruments[candidate.symbol_id]),
                open_ms=moment.open_ms,
                leverage=sized.leverage,
                reason=f"{candidate.signal.name.lower()}_{candidate.confidence.name.lower()}",
                why=json.dumps(why, allow_nan=False),
                config_digest=moment.book.digest,
                deadline_ms=entry_deadline_ms(moment.open_ms, moment.interval.ms),
            ),
        )
        assert intent is not None, "the dedupe gate was asked"
        self._last_entry_ms[candidate.symbol] = step.at_ms
        self._entries_of_close = (moment.open_ms, entries + 1)
        self._guard.note_entry(candidate.symbol, sized.leverage, step.at_ms, intent.size * intent.limit_price)
        return intent


def entry_cost_bps(intent: OrderIntent, paid: Decimal) -> Decimal:
    """How much worse than the price an entry was decided at it has filled, in basis points; negative: better."""
    price = exact_price(float(json.loads(intent.why)["price"]))
    return ((paid - price) / price * intent.side.sign * 10_000).quantize(Decimal("0.01"))


def exit_state_of(intent: OrderIntent) -> ExitState | None:
    """The exits that an entry's decision asked for, read from the intent itself; None for other actions.

    Derived, not remembered: a restart between an entry and its fill finds the same exits.
    """
    if not intent.key.action.increases_exposure:
        return None
    why = json.loads(intent.why)
    return ExitState(
        symbol=intent.key.symbol,
        entry_atr=float(why["exits"]["atr"]),
        confidence=Confidence[why["confidence"].upper()],
        entry_adx_threshold=float(why["exits"]["adx_threshold"]),
        tp_mult=float(why["exits"]["tp_mult"]),
        opened_key_ms=intent.key.open_ms,
    )


def _budget_gate(entries: int, limit: int) -> GateResult:
    """Entries of one close; a limit of 0 means none is set."""
    return GateResult("entries_per_close", entries, limit or None, limit == 0 or entries <= limit)


def _plain(value: float | str | None) -> float | str | None:
    """JSON has no NaN: a value that is not known is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _can_have_stop(row: FeatureRow, trade: TradeConfig, price: float) -> bool:
    """Whether the ATR is known, and puts the stop where one can be."""
    atr = floored_atr(row, trade)
    return atr >= price * ATR_LEAST_OF_PRICE and atr * trade.sl_atr_mult <= price * STOP_MOST_OF_PRICE


def _side_of(candidate: Candidate) -> Side:
    return Side.BUY if candidate.signal is Signal.BUY else Side.SELL


def _entry_limit(candidate: Candidate, price: PriceView, instrument: Instrument) -> Decimal:
    """Worst price an entry accepts, rounded towards safety: a buy down, a sell up."""
    exact = exact_price(price.price)
    if _side_of(candidate) is Side.BUY:
        return instrument.round_price(exact * (1 + ENTRY_PRICE_BAND), PriceRounding.DOWN)
    return instrument.round_price(exact * (1 - ENTRY_PRICE_BAND), PriceRounding.UP)
