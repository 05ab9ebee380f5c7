"""Entry gates: what each lets pass, at its threshold and on both sides of it, and what it does not know."""

import pytest

from domain.confidence import Confidence
from domain.gating import (
    GateResult,
    LastClose,
    MarketContext,
    breadth_gate,
    confidence_gate,
    deadline_gate,
    effective_signal,
    entry_cooldown_gate,
    entry_deadline_ms,
    first_refusal,
    limit_gate,
    reef_gate,
    reentry_gate,
    regime_gate,
    signal_gates,
    ssf_gate,
    truth_gate,
)
from domain.signals import Signal
from domain.strategy_config import SymbolConfig
from tests.builders import T0, make_config, make_row

BUY, SELL = Signal.BUY, Signal.SELL
NAN = float("nan")
MINUTE_MS = 60_000
CALM = MarketContext(btc_bullish=True, breadth_pct=85.0, btc_adx=25.0, btc_atr_pct=0.01)


def test_the_first_gate_that_says_no_names_the_refusal() -> None:
    gates = [GateResult(name, 1.0, 2.0, passed) for name, passed in (("a", True), ("b", False), ("c", False))]
    refusal = first_refusal(gates)
    assert refusal is not None and refusal.name == "b"
    assert first_refusal(gates[:1]) is None
    assert first_refusal([]) is None


# ── reversal ─────────────────────────────────────────────────────────────────────────────────────


def reversed_signal(breadth: float | None, *, by_hand: bool = False, auto: bool = False) -> Signal:
    config = make_config({"reverse_entry_signal": by_hand}, {"enable_auto_reverse": auto})
    return effective_signal(BUY, config.trade, config.market_regime, breadth)


def test_a_signal_is_reversed_by_hand() -> None:
    assert reversed_signal(50.0) is BUY
    assert reversed_signal(50.0, by_hand=True) is SELL


def test_auto_reverse_turns_signals_around_inside_its_zone() -> None:
    assert [reversed_signal(breadth, auto=True) for breadth in (9.9, 10.0, 50.0, 90.0, 90.1)] == [
        BUY,
        SELL,
        SELL,
        SELL,
        BUY,
    ]


def test_with_auto_reverse_on_breadth_decides_alone() -> None:
    assert reversed_signal(95.0, by_hand=True, auto=True) is BUY


@pytest.mark.parametrize("breadth", [None, NAN])
def test_with_unknown_breadth_the_hand_decides(breadth: float | None) -> None:
    assert reversed_signal(breadth, auto=True) is BUY
    assert reversed_signal(breadth, by_hand=True, auto=True) is SELL


def test_neutral_stays_neutral() -> None:
    config = make_config({"reverse_entry_signal": True})
    assert effective_signal(Signal.NEUTRAL, config.trade, config.market_regime, None) is Signal.NEUTRAL


# ── the market ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("signal", "breadth", "passed"),
    [
        (BUY, 10.0, True),
        (BUY, 9.9, False),
        (BUY, 100.0, True),
        (SELL, 90.0, True),
        (SELL, 90.1, False),
        (SELL, 0.0, True),
        (BUY, None, False),
        (SELL, NAN, False),
    ],
)
def test_no_trade_against_nearly_the_whole_market(signal: Signal, breadth: float | None, passed: bool) -> None:
    regime = make_config(regime={"enable_regime_filter": True}).market_regime
    assert breadth_gate(signal, regime, breadth).passed is passed


@pytest.mark.parametrize(
    ("breadth", "adx", "atr_pct", "passed"),
    [
        (85.0, 25.0, 0.01, True),
        (15.0, 25.0, 0.01, True),
        (20.0, 20.0, 0.003, True),
        (80.0, 20.0, 0.003, True),
        (20.1, 25.0, 0.01, False),
        (79.9, 25.0, 0.01, False),
        (85.0, 19.9, 0.01, False),
        (85.0, 25.0, 0.0029, False),
        (None, 25.0, 0.01, False),
        (85.0, None, 0.01, False),
        (85.0, 25.0, None, False),
        (NAN, 25.0, 0.01, False),
        (85.0, NAN, 0.01, False),
        (85.0, 25.0, NAN, False),
    ],
)
def test_no_entries_while_the_market_goes_nowhere(
    breadth: float | None, adx: float | None, atr_pct: float | None, passed: bool
) -> None:
    regime = make_config(regime={"enable_regime_gate": True}).market_regime
    assert regime_gate(regime, MarketContext(True, breadth, adx, atr_pct)).passed is passed


@pytest.mark.parametrize("unknown", [None, NAN])
def test_what_is_not_known_opens_the_regime_gate_only_when_told_to(unknown: float | None) -> None:
    regime = make_config(regime={"enable_regime_gate": True, "regime_gate_fail_open": True}).market_regime
    for context in (
        MarketContext(True, unknown, 25.0, 0.01),
        MarketContext(True, 85.0, unknown, 0.01),
        MarketContext(True, 85.0, 25.0, unknown),
    ):
        assert regime_gate(regime, context).passed
    assert not regime_gate(regime, MarketContext(True, 50.0, 25.0, 0.01)).passed


# ── the signal ───────────────────────────────────────────────────────────────────────────────────


def test_confidence_has_to_reach_the_least_one() -> None:
    trade = make_config({"entry_min_confidence": Confidence.MEDIUM}).trade
    passed = [confidence_gate(confidence, trade).passed for confidence in Confidence]
    assert passed == [False, True, True]
    assert confidence_gate(Confidence.LOW, trade) == ("confidence", "low", "medium", False)


@pytest.mark.parametrize(
    ("signal", "macd_hist", "passed"),
    [
        (BUY, 0.1, True),
        (BUY, 0.0, True),
        (BUY, -0.1, False),
        (SELL, -0.1, True),
        (SELL, 0.0, True),
        (SELL, 0.1, False),
        (BUY, NAN, False),
        (SELL, NAN, False),
    ],
)
def test_momentum_must_not_point_against_the_entry(signal: Signal, macd_hist: float, passed: bool) -> None:
    assert ssf_gate(signal, make_row(macd_hist=macd_hist)).passed is passed


@pytest.mark.parametrize(
    ("signal", "rsi", "adx", "passed"),
    [
        (BUY, 70.0, 30.0, True),
        (BUY, 70.1, 30.0, False),
        (BUY, 75.0, 45.0, True),
        (BUY, 75.1, 45.0, False),
        (BUY, 70.1, 44.9, False),
        (SELL, 30.0, 30.0, True),
        (SELL, 29.9, 30.0, False),
        (SELL, 25.0, 45.0, True),
        (SELL, 24.9, 45.0, False),
        (BUY, NAN, 30.0, False),
        (SELL, NAN, 50.0, False),
        (BUY, 72.0, NAN, False),
        (BUY, 60.0, NAN, True),
    ],
)
def test_no_entry_into_an_overextended_rsi(signal: Signal, rsi: float, adx: float, passed: bool) -> None:
    assert reef_gate(signal, make_row(rsi=rsi, adx=adx), make_config().trade).passed is passed


# ── waiting ──────────────────────────────────────────────────────────────────────────────────────


def reentry(adx: float, waited_minutes: float, *, signal: Signal = BUY, last: LastClose | None = None) -> bool:
    last = last or LastClose(side_sign=1, closed_ms=T0, by_signal_flip=False)
    at_ms = T0 + int(waited_minutes * MINUTE_MS)
    return reentry_gate(signal, make_row(adx=adx), make_config().trade, last, at_ms).passed


@pytest.mark.parametrize(
    ("adx", "minutes"), [(60.0, 45), (40.0, 45), (32.5, 112.5), (25.0, 180), (10.0, 180), (NAN, 180), (37.0, 72)]
)
def test_the_weaker_the_trend_the_longer_the_wait_before_the_same_way_again(adx: float, minutes: float) -> None:
    assert reentry(adx, minutes)
    assert not reentry(adx, minutes - 0.01)


def test_the_other_way_or_after_a_signal_flip_there_is_no_wait() -> None:
    assert reentry(10.0, 0, signal=SELL)
    assert reentry(10.0, 0, last=LastClose(1, T0, by_signal_flip=True))
    assert not reentry(10.0, 0)


def test_without_an_earlier_close_or_switched_off_there_is_no_wait() -> None:
    trade = make_config().trade
    assert reentry_gate(BUY, make_row(), trade, None, T0).passed
    off = make_config({"reentry_cooldown_minutes": 0}).trade
    assert reentry_gate(BUY, make_row(), off, LastClose(1, T0, False), T0).passed


def test_a_clock_set_back_does_not_shorten_the_wait() -> None:
    assert not reentry(40.0, -600)
    assert not entry_cooldown_gate(make_config().trade, T0 + 60_000, T0).passed


def test_two_entries_of_a_symbol_are_20_seconds_apart() -> None:
    trade = make_config().trade
    assert entry_cooldown_gate(trade, None, T0).passed
    assert entry_cooldown_gate(trade, T0, T0 + 20_000).passed
    assert not entry_cooldown_gate(trade, T0, T0 + 19_999).passed


@pytest.mark.parametrize(
    ("interval_ms", "wait_ms"), [(60_000, 6_000), (600_000, 60_000), (3_600_000, 60_000), (86_400_000, 60_000)]
)
def test_an_entry_leaves_within_a_tenth_of_its_candle_and_one_minute(interval_ms: int, wait_ms: int) -> None:
    deadline_ms = entry_deadline_ms(T0, interval_ms)
    assert deadline_ms == T0 + interval_ms + wait_ms
    assert deadline_gate(deadline_ms, deadline_ms).passed
    assert not deadline_gate(deadline_ms + 1, deadline_ms).passed


def test_a_limit_may_be_reached_but_not_exceeded() -> None:
    assert limit_gate("adds", 2, 2).passed
    assert not limit_gate("adds", 3, 2).passed
    assert not limit_gate("adds", NAN, 2).passed


def test_a_truth_gate_says_what_was_and_what_was_wanted() -> None:
    assert truth_gate("ready", False, "books differ", "ready") == GateResult("ready", "books differ", "ready", False)


def asked(config: SymbolConfig, **row: float) -> list[GateResult]:
    last = LastClose(side_sign=1, closed_ms=T0, by_signal_flip=False)
    return signal_gates(BUY, Confidence.LOW, make_row(**row), config, CALM, last, T0 + 10_800_000)


def test_the_gates_of_a_signal_are_asked_all_and_in_order() -> None:
    gates = asked(make_config(regime={"enable_regime_filter": True, "enable_regime_gate": True}), rsi=99.0)
    names = ["confidence", "regime_breadth", "regime_gate", "reentry_cooldown", "ssf_macd", "reef_rsi"]
    assert [gate.name for gate in gates] == names
    assert [gate.name for gate in gates if not gate.passed] == ["confidence", "reef_rsi"]


def test_gates_that_are_switched_off_are_not_asked() -> None:
    off = {"enable_ssf_filter": False, "enable_reef_filter": False, "reentry_cooldown_minutes": 0}
    assert [gate.name for gate in asked(make_config(off), rsi=NAN, macd_hist=NAN)] == ["confidence"]
    assert [gate.name for gate in asked(make_config())] == ["confidence", "reentry_cooldown", "ssf_macd", "reef_rsi"]
