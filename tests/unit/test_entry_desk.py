"""EntryDesk: from a signal to an order, or to the gate that said no."""

import json
import math
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from application.entry_desk import Candidate, EntryDecision, EntryDesk, EntryMoment, exit_state_of, ranked
from application.exit_desk import ExitDesk
from application.live_oms import LiveOms
from application.market_data_hub import PriceView
from application.portfolio import Portfolio
from application.risk_guard import RiskGuard
from application.step import Step
from application.strategy_health import StrategyHealth
from application.watchlist import Watchlist
from domain.candles import Interval
from domain.confidence import Confidence
from domain.effects import SubmitOrder
from domain.events import OrderOutcome
from domain.exits import ExitState
from domain.facts import IntentRecorded, LedgerState
from domain.gating import LastClose, MarketContext, first_refusal
from domain.instruments import Universe
from domain.intents import Action, Side, cloid_of
from domain.orders import Rejected, RejectReason, Unknown
from domain.risk import RiskState
from domain.signals import FeatureRow, Signal
from domain.strategy_config import RiskConfig
from domain.verdicts import Verdict
from tests.builders import (
    T0,
    TAG,
    book_fill,
    make_book,
    make_config,
    make_exit_state,
    make_fill,
    make_instrument,
    make_intent,
    make_key,
    make_row,
    make_wish,
)

D = Decimal
NAN = float("nan")
SYMBOLS = ("ADA", "BTC", "ETH")
MINUTE_MS = 60_000
CLOSE_MS = T0 + MINUTE_MS
PRICE = PriceView(100.0, "mid", 500)
REJECTED = Rejected(RejectReason.INSUFFICIENT_MARGIN, "Insufficient margin")


class Bench:
    """The desks of one engine, 10,000 USD of equity, and candles that opened at T0."""

    def __init__(self, state: LedgerState | None = None) -> None:
        state = state or LedgerState(TAG)
        self.universe = Universe(make_instrument(symbol) for symbol in SYMBOLS)
        self.portfolio = Portfolio()
        self.oms = LiveOms("0xme", "mei_alpha_v1", Interval.M1, self.portfolio)
        self.guard = RiskGuard(self.portfolio, self.oms)
        self.exits = ExitDesk(self.universe, self.portfolio, self.oms)
        self.health = StrategyHealth()
        self.desk = EntryDesk(
            self.universe,
            self.portfolio,
            self.oms,
            self.guard,
            self.exits.states,
            Watchlist(self.universe),
            self.health,
        )
        self.portfolio.restore(state)
        self.oms.restore(state)
        self.guard.restore(state)
        self.exits.restore(state)
        self.desk.restore(dict(state.last_closes), dict(state.last_entry_ms))
        self.step = Step(1, CLOSE_MS + 1_000)

    def decide(
        self,
        symbol: str = "BTC",
        signal: Signal = Signal.BUY,
        confidence: Confidence = Confidence.HIGH,
        row: FeatureRow | None = None,
        price: PriceView | None = PRICE,
        *,
        late_ms: int = 1_000,
        open_ms: int = T0,
        equity: str | None = "10000",
        ready: str = "",
        risk: dict[str, Any] | None = None,
        exclude: tuple[str, ...] = (),
        filters: dict[str, Any] | None = None,
        regime: dict[str, Any] | None = None,
        **trade: Any,
    ) -> EntryDecision:
        config = make_config(trade, regime, filters)
        book = make_book(config, replace(RiskConfig(), **(risk or {})), watchlist_exclude=exclude, digest="c0ffee")
        context = MarketContext(btc_bullish=True, breadth_pct=60.0)
        moment = EntryMoment(Interval.M1, open_ms, context, book, None if equity is None else D(equity), ready)
        self.step = Step(self.step.seq + 1, open_ms + MINUTE_MS + late_ms)
        default = make_row() if signal is Signal.BUY else make_row(macd_hist=-0.4, macd_hist_1=-0.3, rsi=45.0)
        symbol_id = self.universe.id_of(symbol)
        candidate = Candidate(0, symbol_id, symbol, signal, confidence, row or default)
        return self.desk.decide(self.step, candidate, price, moment)

    def refusal(self, *args: Any, **changes: Any) -> str | None:
        """Name of the gate that said no, after checking that nothing was sent; None for an entry."""
        decision = self.decide(*args, **changes)
        refused = first_refusal(decision.gates)
        if refused is None:
            assert decision.intent is not None and decision.verdict in (Verdict.OPEN, Verdict.ADD)
            return None
        assert (decision.verdict, decision.intent) == (Verdict.REFUSED, None)
        assert (self.step.facts, self.step.effects) == ([], [])
        return refused.name

    def hold(self, side: Side = Side.BUY, symbol: str = "BTC", **exits: Any) -> None:
        """A position of one unit at 100, opened two hours before, in which nothing was added yet."""
        opened_ms = T0 - 120 * MINUTE_MS
        book_fill(self.portfolio, make_fill(side, "1", "100", symbol=symbol, time_ms=opened_ms), None, "")
        self.exits.states[symbol] = make_exit_state(symbol, **exits)


@pytest.fixture
def bench() -> Bench:
    return Bench()


# ── ranking ──────────────────────────────────────────────────────────────────────────────────────


def test_candidates_are_ranked_by_confidence_then_adx_then_name() -> None:
    def candidate(symbol: str, confidence: Confidence, adx: float) -> Candidate:
        return Candidate(0, 0, symbol, Signal.BUY, confidence, make_row(adx=adx))

    best_first = [
        candidate("C", Confidence.HIGH, 20.0),
        candidate("F", Confidence.HIGH, NAN),
        candidate("D", Confidence.MEDIUM, 99.0),
        candidate("A", Confidence.MEDIUM, 30.0),
        candidate("B", Confidence.MEDIUM, 30.0),
        candidate("E", Confidence.LOW, 50.0),
    ]
    assert ranked(best_first[::-1]) == best_first
    assert ranked(best_first) == best_first


# ── an entry ─────────────────────────────────────────────────────────────────────────────────────


def test_a_good_signal_becomes_one_order(bench: Bench) -> None:
    decision = bench.decide()
    assert decision.verdict is Verdict.OPEN and all(gate.passed for gate in decision.gates)
    intent = decision.intent
    assert intent is not None
    (recorded,), (submit,) = bench.step.facts, bench.step.effects
    assert isinstance(recorded, IntentRecorded) and recorded.intent == intent
    assert isinstance(submit, SubmitOrder) and submit.request.intent_id == intent.intent_id
    assert (intent.key.action, intent.key.open_ms, intent.side) == (Action.OPEN, T0, Side.BUY)
    assert intent.size == D("11.666")  # 10,000 × 3 % × (0.6 + 0.4 × 8/18) × 5 / 100, rounded down
    assert (intent.limit_price, intent.leverage) == (D(101), D(5))
    assert (intent.reduce_only, intent.trigger) == (False, None)
    assert intent.deadline_ms == CLOSE_MS + 6_000
    assert (intent.reason, intent.config_digest) == ("buy_high", "c0ffee")


def test_an_entry_says_what_it_saw(bench: Bench) -> None:
    intent = bench.decide(price=PriceView(100.5, "candle", 7)).intent
    assert intent is not None
    why = json.loads(intent.why)
    assert {key: why[key] for key in ("signal", "confidence", "price", "price_source", "price_age_ms")} == {
        "signal": "BUY",
        "confidence": "high",
        "price": 100.5,
        "price_source": "candle",
        "price_age_ms": 7,
    }
    assert (why["breadth_pct"], why["btc_bullish"]) == (60.0, True)
    assert ["confidence", "high", "high", True] in why["gates"]
    assert why["exits"] == {"atr": 1.0, "adx_threshold": 22.0, "tp_mult": 4.0}


def test_values_that_are_not_known_are_null_in_the_record(bench: Bench) -> None:
    intent = bench.decide(row=make_row(rsi=NAN, tp_mult=NAN, entry_adx_threshold=NAN), enable_reef_filter=False).intent
    assert intent is not None and "NaN" not in intent.why
    assert json.loads(intent.why)["exits"] == {"atr": 1.0, "adx_threshold": 0.0, "tp_mult": 4.0}


def test_a_short_accepts_down_to_one_percent_below(bench: Bench) -> None:
    intent = bench.decide(signal=Signal.SELL).intent
    assert intent is not None
    assert (intent.side, intent.limit_price, intent.reason) == (Side.SELL, D(99), "sell_high")


def test_a_limit_price_is_rounded_towards_safety(bench: Bench) -> None:
    buy = bench.decide(price=PriceView(103.45, "mid", 0)).intent
    sell = bench.decide("ETH", Signal.SELL, price=PriceView(103.45, "mid", 0)).intent
    assert buy is not None and buy.limit_price == D("104.48")  # 104.4845
    assert sell is not None and sell.limit_price == D("102.42")  # 102.4155


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────


def test_a_candle_that_was_acted_on_is_refused_whatever_became_of_the_order(bench: Bench) -> None:
    intent = bench.decide().intent
    assert intent is not None
    bench.oms.on_outcome(Step(9, T0), OrderOutcome(cloid_of(intent.intent_id, 1, TAG), REJECTED))
    assert bench.refusal(late_ms=5_000) == "dedupe"
    assert bench.refusal(signal=Signal.SELL, late_ms=5_000) == "dedupe"


def test_a_candle_that_was_acted_on_is_refused_after_a_restart(bench: Bench) -> None:
    intent = bench.decide().intent
    assert intent is not None
    after = Bench(LedgerState(TAG, intent_ids=frozenset((intent.intent_id,))))
    assert after.refusal() == "dedupe"
    assert after.refusal("ETH") is None


def test_the_candle_that_opened_a_position_does_not_add_to_it(bench: Bench) -> None:
    intent = bench.decide().intent
    assert intent is not None
    book_fill(bench.portfolio, make_fill(Side.BUY, "1", "99"), intent.intent_id, "")
    assert bench.refusal(late_ms=5_000) == "dedupe"


def test_a_signal_is_too_old_after_its_deadline(bench: Bench) -> None:
    assert bench.refusal(late_ms=6_001) == "stale_signal"
    assert bench.refusal(late_ms=6_000) is None


def test_a_symbol_that_is_excluded_is_not_entered(bench: Bench) -> None:
    assert bench.refusal(exclude=("ETH", "BTC")) == "watchlist"
    assert bench.refusal(exclude=("ETH",)) is None


def test_too_little_confidence_is_refused(bench: Bench) -> None:
    assert bench.refusal(confidence=Confidence.MEDIUM) == "confidence"
    assert bench.refusal(confidence=Confidence.MEDIUM, entry_min_confidence=Confidence.LOW) is None


def test_a_signal_that_the_first_stage_refuses_is_not_sized(bench: Bench) -> None:
    names = [gate.name for gate in bench.decide(confidence=Confidence.LOW).gates]
    assert "min_notional" not in names and "ready" not in names


def test_every_gate_of_a_stage_is_asked(bench: Bench) -> None:
    decision = bench.decide(row=make_row(macd_hist=-1.0, rsi=99.0), late_ms=7_000)
    assert [gate.name for gate in decision.gates if not gate.passed] == ["stale_signal", "ssf_macd", "reef_rsi"]


def test_nothing_is_entered_while_the_account_is_not_ready(bench: Bench) -> None:
    assert bench.refusal(ready="books differ from the venue's") == "ready"


def test_nothing_is_entered_while_an_order_of_the_symbol_is_unknown(bench: Bench) -> None:
    stop = bench.oms.place(Step(1, T0), make_wish(Action.CLOSE, side=Side.SELL))
    assert stop is not None
    bench.oms.on_outcome(Step(2, T0), OrderOutcome(cloid_of(stop.intent_id, 1, TAG), Unknown("timed out")))
    assert bench.refusal() == "no_unknown_order"
    assert bench.refusal("ETH") is None


def test_nothing_is_entered_while_an_entry_of_the_symbol_is_on_its_way(bench: Bench) -> None:
    assert bench.refusal() is None
    assert bench.refusal(open_ms=T0 + MINUTE_MS) == "no_entry_in_flight"


@pytest.mark.parametrize(
    ("price", "refusal"),
    [
        (None, "price_age_ms"),
        (PriceView(100.0, "mid", 15_001), "price_age_ms"),
        (PriceView(100.0, "mid", 15_000), None),
    ],
)
def test_nothing_is_entered_without_a_fresh_price(bench: Bench, price: PriceView | None, refusal: str | None) -> None:
    assert bench.refusal(price=price) == refusal


@pytest.mark.parametrize(
    ("price", "refusal"), [(95.24, None), (95.23, "close_near_price"), (105.3, "close_near_price")]
)
def test_nothing_is_entered_on_a_candle_that_the_price_contradicts(
    bench: Bench, price: float, refusal: str | None
) -> None:
    assert bench.refusal(price=PriceView(price, "mid", 0)) == refusal


def test_two_entries_of_a_symbol_wait_for_each_other() -> None:
    bench = Bench(LedgerState(TAG, last_entry_ms=(("BTC", CLOSE_MS - 18_999),)))
    assert bench.refusal() == "entry_cooldown"
    assert Bench(LedgerState(TAG, last_entry_ms=(("BTC", CLOSE_MS - 19_000),))).refusal() is None


def test_only_so_many_entries_leave_at_one_close(bench: Bench) -> None:
    assert bench.refusal("ADA", max_entry_orders_per_loop=2) is None
    assert bench.refusal("BTC", max_entry_orders_per_loop=2) is None
    assert bench.refusal("ETH", max_entry_orders_per_loop=2) == "entries_per_close"
    assert bench.refusal("ETH", max_entry_orders_per_loop=2, open_ms=T0 + MINUTE_MS) is None


def test_entries_of_a_close_count_after_a_restart_and_after_a_late_batch_of_another(bench: Bench) -> None:
    intents = [bench.decide(symbol, max_entry_orders_per_loop=2).intent for symbol in ("ADA", "BTC")]
    assert bench.refusal("ADA", open_ms=T0 - MINUTE_MS, max_entry_orders_per_loop=2) == "no_entry_in_flight"
    assert bench.refusal("ETH", max_entry_orders_per_loop=2) == "entries_per_close"
    after = Bench(LedgerState(TAG, intent_ids=frozenset(intent.intent_id for intent in intents if intent is not None)))
    assert after.refusal("ETH", max_entry_orders_per_loop=2) == "entries_per_close"


def test_entries_of_the_last_minute_count_after_a_restart() -> None:
    entries = ((CLOSE_MS - 50_000, "ADA", D(10)), (CLOSE_MS - 30_000, "ETH", D(10)))
    after = Bench(LedgerState(TAG, recent_entries=entries))
    assert after.refusal(risk={"max_entry_orders_per_minute": 2}) == "entries_per_minute"
    assert after.refusal(risk={"max_entry_orders_per_minute": 3}) is None


def test_the_wait_after_a_close_counts_for_the_same_side_only() -> None:
    closes = (("BTC", LastClose(side_sign=1, closed_ms=CLOSE_MS - 60 * MINUTE_MS, by_signal_flip=False)),)
    assert Bench(LedgerState(TAG, last_closes=closes)).refusal() == "reentry_cooldown"
    assert Bench(LedgerState(TAG, last_closes=closes)).refusal(signal=Signal.SELL) is None


@pytest.mark.parametrize("changes", [{"equity": None}, {"row": make_row(atr=NAN)}], ids=["equity", "atr"])
def test_what_is_not_known_is_not_sized(bench: Bench, changes: dict[str, Any]) -> None:
    assert bench.refusal(**changes) == "sizing"


def test_an_entry_that_is_too_small_is_refused(bench: Bench) -> None:
    assert bench.refusal(equity="79") == "min_notional"  # 9.22 USD
    assert bench.refusal(equity="0") == "min_notional"


def test_a_short_is_worth_the_venues_minimum_at_its_limit_price(bench: Bench) -> None:
    """10.10 USD at the price is less than 10 at a limit 1 % below, which the venue refuses."""
    tight: dict[str, Any] = {"enable_dynamic_sizing": False, "max_notional_usd_per_order": D("10.11")}
    assert bench.refusal("ETH", Signal.SELL, **tight) == "min_notional"
    assert bench.refusal("BTC", Signal.BUY, **tight) is None
    lifted = bench.decide("ETH", Signal.SELL, equity="60", bump_to_min_notional=True).intent
    assert lifted is not None and lifted.size * lifted.limit_price >= 10


def test_limits_of_the_account_are_asked(bench: Bench) -> None:
    assert bench.refusal(max_total_margin_pct=D("0.01")) == "margin_cap"
    assert bench.refusal(max_open_positions=0) == "max_open_positions"
    assert bench.refusal(risk={"max_total_notional_usd": D(100)}) == "total_notional"
    bench.guard.restore(LedgerState(TAG, risk=RiskState(tripped="daily_loss")))
    assert bench.refusal() == "risk_tripped"


def test_an_entry_on_its_way_counts_against_the_limits_of_the_next(bench: Bench) -> None:
    assert bench.refusal("ADA", max_open_positions=1) is None
    assert bench.refusal("BTC", max_open_positions=1) == "max_open_positions"


# ── adding ───────────────────────────────────────────────────────────────────────────────────────

WINNING = PriceView(100.6, "mid", 0)


def test_a_winner_is_added_to_with_its_fraction_of_the_margin(bench: Bench) -> None:
    bench.hold()
    decision = bench.decide(price=PriceView(101.0, "mid", 0), enable_dynamic_sizing=False)
    intent = decision.intent
    assert decision.verdict is Verdict.ADD and intent is not None
    assert (intent.key.action, intent.size) == (Action.ADD, D("7.425"))  # 150 × 5 / 101
    assert not intent.reduce_only


def test_positions_of_an_earlier_session_can_be_added_to() -> None:
    """The exits that came back from the ledger are those the desk looks at."""
    before = Bench()
    before.hold()
    state = LedgerState(
        TAG,
        positions=(before.portfolio.position("BTC"),),
        exit_states=(before.exits.states["BTC"],),
    )
    assert Bench(state).refusal(price=WINNING) is None


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({}, None),
        ({"enable_pyramiding": False}, "pyramiding"),
        ({"max_adds_per_symbol": 0}, "adds"),
        ({"confidence": Confidence.LOW, "entry_min_confidence": Confidence.LOW}, "add_confidence"),
        ({"confidence": Confidence.MEDIUM, "entry_min_confidence": Confidence.LOW}, None),
        ({"add_cooldown_minutes": 122}, "add_cooldown_min"),
        ({"price": PriceView(100.4, "mid", 0)}, "add_profit_atr"),
        ({"row": make_row(macd_hist=0.3, macd_hist_1=0.3)}, "add_macd_expanding"),
        ({"row": make_row(macd_hist=0.3, macd_hist_1=NAN)}, "add_macd_expanding"),
        ({"row": make_row(rsi=75.1), "enable_reef_filter": False}, "add_rsi"),
        ({"row": make_row(rsi=NAN), "enable_reef_filter": False}, "add_rsi"),
    ],
)
def test_only_winners_in_their_stride_are_added_to(bench: Bench, changes: dict[str, Any], refusal: str | None) -> None:
    bench.hold()
    assert bench.refusal(**({"price": WINNING} | changes)) == refusal


@pytest.mark.parametrize(("stop", "refusal"), [(100.0, None), (100.1, None), (100.11, "add_stop_room_atr")])
def test_a_position_that_its_stop_is_about_to_end_is_not_added_to(
    bench: Bench, stop: float, refusal: str | None
) -> None:
    bench.hold(locked_stop=stop)
    assert bench.refusal(price=WINNING) == refusal


def test_half_the_profit_is_enough_while_the_trend_gathers_in_calm(bench: Bench) -> None:
    bench.hold()
    gathering = make_row(adx_slope=0.8, atr_slope=0.0)
    assert bench.refusal(price=PriceView(100.24, "mid", 0), row=gathering) == "add_profit_atr"
    assert bench.refusal(price=PriceView(100.26, "mid", 0), row=gathering) is None


def test_a_short_is_added_to_in_mirror_image(bench: Bench) -> None:
    bench.hold(Side.SELL)
    assert bench.refusal(signal=Signal.SELL, price=PriceView(99.6, "mid", 0)) == "add_profit_atr"
    assert bench.refusal(signal=Signal.SELL, price=PriceView(99.4, "mid", 0)) is None


def test_after_a_partial_exit_or_as_many_adds_as_allowed_nothing_is_added(bench: Bench) -> None:
    bench.hold(take_profit_taken=True)
    assert bench.refusal(price=WINNING) == "no_partial_exit"
    bench.exits.states["BTC"] = make_exit_state(adds=2)
    assert bench.refusal(price=WINNING) == "adds"
    bench.exits.states["BTC"] = make_exit_state(adds=1, last_add_ms=CLOSE_MS - 59 * MINUTE_MS)
    assert bench.refusal(price=WINNING) == "add_cooldown_min"


def test_a_position_without_known_exits_is_not_added_to(bench: Bench) -> None:
    bench.hold()
    del bench.exits.states["BTC"]
    assert bench.refusal(price=WINNING) == "add_state"


def test_the_wait_after_a_close_is_not_asked_of_an_add(bench: Bench) -> None:
    bench.hold()
    bench.desk.last_closes["BTC"] = LastClose(1, CLOSE_MS, by_signal_flip=False)
    assert bench.refusal(price=WINNING) is None


# ── exits of an entry ────────────────────────────────────────────────────────────────────────────


def test_the_exits_of_an_entry_are_read_back_from_its_intent(bench: Bench) -> None:
    intent = bench.decide(row=make_row(tp_mult=7.0, entry_adx_threshold=27.5, atr=0.1, adx=40.0)).intent
    assert intent is not None
    assert exit_state_of(intent) == ExitState(
        symbol="BTC",
        entry_atr=0.3,
        confidence=Confidence.HIGH,
        entry_adx_threshold=27.5,
        tp_mult=7.0,
        opened_key_ms=T0,
    )


def test_an_order_that_reduces_asks_for_no_exits() -> None:
    assert exit_state_of(make_intent(make_key(action=Action.CLOSE))) is None


def test_the_atr_of_an_entry_is_a_number(bench: Bench) -> None:
    intent = bench.decide().intent
    state = exit_state_of(intent) if intent is not None else None
    assert state is not None and math.isfinite(state.entry_atr)
