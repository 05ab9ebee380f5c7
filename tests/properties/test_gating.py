"""Entry gates over all values: what is not known never passes, and a looser threshold never refuses more."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.confidence import Confidence
from domain.gating import (
    GateResult,
    LastClose,
    MarketContext,
    breadth_gate,
    confidence_gate,
    effective_signal,
    entry_cooldown_gate,
    first_refusal,
    limit_gate,
    reef_gate,
    reentry_gate,
    regime_gate,
    signal_gates,
    ssf_gate,
)
from domain.signals import FeatureRow, Signal
from domain.strategy_config import RegimeConfig, SymbolConfig, TradeConfig
from tests.builders import T0, make_config, make_row

SIGNALS = st.sampled_from([Signal.BUY, Signal.SELL])
PERCENTS = st.one_of(st.floats(0, 100), st.integers(0, 100).map(float))
UNKNOWN = st.sampled_from([None, math.nan])
MAYBE = st.one_of(PERCENTS, UNKNOWN)
CONTEXTS = st.builds(MarketContext, st.sampled_from([None, True, False]), MAYBE, MAYBE, MAYBE)
MAYBE_NAN = st.one_of(PERCENTS, st.just(math.nan))
NUMBERS = st.one_of(st.floats(-100, 100), st.just(math.nan))
ROWS = st.builds(make_row, adx=MAYBE_NAN, rsi=MAYBE_NAN, macd_hist=NUMBERS)
ALL_ON = make_config(regime={"enable_regime_filter": True, "enable_regime_gate": True})
CLOSES = st.one_of(
    st.none(), st.builds(LastClose, st.sampled_from([1, -1]), st.integers(T0 - 10**8, T0), st.booleans())
)


@dataclass(frozen=True)
class Situation:
    """Everything a gate may look at but its thresholds; `waited_ms` is the time since a close on the same side."""

    signal: Signal
    row: FeatureRow
    context: MarketContext
    waited_ms: int


Gate = Callable[[Situation, TradeConfig, RegimeConfig], GateResult]


def breadth(now: Situation, trade: TradeConfig, regime: RegimeConfig) -> GateResult:
    return breadth_gate(now.signal, regime, now.context.breadth_pct)


def market(now: Situation, trade: TradeConfig, regime: RegimeConfig) -> GateResult:
    return regime_gate(regime, now.context)


def reef(now: Situation, trade: TradeConfig, regime: RegimeConfig) -> GateResult:
    return reef_gate(now.signal, now.row, trade)


def reentry(now: Situation, trade: TradeConfig, regime: RegimeConfig) -> GateResult:
    last = LastClose(int(now.signal), T0, by_signal_flip=False)
    return reentry_gate(now.signal, now.row, trade, last, T0 + now.waited_ms)


LOOSER: list[tuple[str, Gate, str, int]] = [
    ("breadth_block_long_below", breadth, "market_regime", -1),
    ("breadth_block_short_above", breadth, "market_regime", +1),
    ("regime_gate_breadth_low", market, "market_regime", +1),
    ("regime_gate_breadth_high", market, "market_regime", -1),
    ("regime_gate_btc_adx_min", market, "market_regime", -1),
    ("regime_gate_btc_atr_pct_min", market, "market_regime", -1),
    ("reef_long_rsi_block_gt", reef, "trade", +1),
    ("reef_long_rsi_extreme_gt", reef, "trade", +1),
    ("reef_short_rsi_block_lt", reef, "trade", -1),
    ("reef_short_rsi_extreme_lt", reef, "trade", -1),
    ("reentry_cooldown_min_mins", reentry, "trade", -1),
    ("reentry_cooldown_max_mins", reentry, "trade", -1),
]
"""Every threshold: the gate that reads it, and the direction in which it lets more pass."""


@pytest.mark.parametrize(("key", "gate", "section", "direction"), LOOSER, ids=[case[0] for case in LOOSER])
@given(
    now=st.builds(Situation, SIGNALS, ROWS, CONTEXTS, st.integers(-(10**6), 2 * 10**7)),
    threshold=PERCENTS,
    slack=st.floats(0, 100),
)
def test_a_looser_threshold_never_refuses_what_a_tighter_one_lets_pass(
    key: str, gate: Gate, section: str, direction: int, now: Situation, threshold: float, slack: float
) -> None:
    def passed(value: float) -> bool:
        changed: Any = replace(getattr(ALL_ON, section), **{key: value})
        config: SymbolConfig = replace(ALL_ON, **{section: changed})
        return gate(now, config.trade, config.market_regime).passed

    assert not passed(threshold) or passed(threshold + direction * slack)


@given(SIGNALS, UNKNOWN, MAYBE, MAYBE, st.integers(0, 2))
def test_an_unknown_market_never_passes(
    signal: Signal, unknown: float | None, one: float | None, other: float | None, place: int
) -> None:
    regime = ALL_ON.market_regime
    values = [one, other]
    values.insert(place, unknown)
    assert not regime_gate(regime, MarketContext(True, *values)).passed
    assert not breadth_gate(signal, regime, unknown).passed


@given(SIGNALS, ROWS)
def test_an_unknown_indicator_never_passes(signal: Signal, row: FeatureRow) -> None:
    assert not ssf_gate(signal, row._replace(macd_hist=math.nan)).passed
    assert not reef_gate(signal, row._replace(rsi=math.nan), ALL_ON.trade).passed
    assert not limit_gate("any", math.nan, row.close).passed


@given(SIGNALS, PERCENTS, PERCENTS)
def test_a_strength_that_is_not_known_never_passes_what_a_known_one_refuses_at_both_ends(
    signal: Signal, rsi: float, minutes: float
) -> None:
    """ADX only picks between a strict and a wide limit; unknown, it must not pick the wide one."""
    last = LastClose(int(signal), T0, by_signal_flip=False)
    at_ms = T0 + int(minutes * 3 * 60_000)

    def passed(adx: float) -> tuple[bool, bool]:
        row = make_row(rsi=rsi, adx=adx)
        return reef_gate(signal, row, ALL_ON.trade).passed, reentry_gate(signal, row, ALL_ON.trade, last, at_ms).passed

    assert passed(math.nan) == passed(0.0)
    assert all(unknown <= known for unknown, known in zip(passed(math.nan), passed(100.0), strict=True))


@given(SIGNALS, st.sampled_from(Confidence), ROWS, CONTEXTS, CLOSES)
def test_the_verdict_is_that_of_all_gates_and_names_the_first(
    signal: Signal, confidence: Confidence, row: FeatureRow, context: MarketContext, last: LastClose | None
) -> None:
    gates = signal_gates(signal, confidence, row, ALL_ON, context, last, T0)
    names = [gate.name for gate in gates]
    assert len(set(names)) == len(names)
    refusal = first_refusal(gates)
    assert (refusal is None) == all(gate.passed for gate in gates)
    if refusal is not None:
        assert all(gate.passed for gate in gates[: names.index(refusal.name)])


@given(SIGNALS, st.sampled_from(Confidence), ROWS, CONTEXTS)
def test_switching_a_gate_off_only_lets_more_pass(
    signal: Signal, confidence: Confidence, row: FeatureRow, context: MarketContext
) -> None:
    some_on = make_config({"enable_reef_filter": False})
    strict = signal_gates(signal, confidence, row, ALL_ON, context, None, T0)
    lenient = signal_gates(signal, confidence, row, some_on, context, None, T0)
    assert first_refusal(strict) is not None or first_refusal(lenient) is None
    assert {gate.name for gate in lenient} < {gate.name for gate in strict}


@given(st.sampled_from(Signal), MAYBE, st.booleans(), st.booleans())
def test_reversal_turns_a_signal_around_or_leaves_it(
    signal: Signal, breadth_pct: float | None, by_hand: bool, auto: bool
) -> None:
    config = make_config({"reverse_entry_signal": by_hand}, {"enable_auto_reverse": auto})
    effective = effective_signal(signal, config.trade, config.market_regime, breadth_pct)
    assert effective in (signal, -signal)
    if breadth_pct is None or math.isnan(breadth_pct) or not auto:
        assert effective == (-signal if by_hand else signal)
    else:
        assert effective == (-signal if 10 <= breadth_pct <= 90 else signal)


@given(SIGNALS, ROWS)
def test_momentum_and_rsi_gates_are_mirror_images(signal: Signal, row: FeatureRow) -> None:
    mirrored = row._replace(macd_hist=-row.macd_hist, rsi=100 - row.rsi)
    if not math.isnan(row.rsi) and 100 - mirrored.rsi != row.rsi:
        return  # the subtraction rounded
    other = Signal(-signal)
    assert ssf_gate(signal, row).passed == ssf_gate(other, mirrored).passed
    assert reef_gate(signal, row, ALL_ON.trade).passed == reef_gate(other, mirrored, ALL_ON.trade).passed


@given(st.sampled_from(Confidence), st.sampled_from(Confidence), st.sampled_from(Confidence))
def test_more_confidence_never_passes_less(least: Confidence, one: Confidence, other: Confidence) -> None:
    trade = make_config({"entry_min_confidence": least}).trade
    low, high = sorted((one, other))
    assert not confidence_gate(low, trade).passed or confidence_gate(high, trade).passed


@given(st.integers(T0 - 10**6, T0 + 10**6), st.integers(0, 10**6), st.integers(0, 1000))
def test_waiting_longer_never_closes_a_cooldown(last_ms: int, more_ms: int, seconds: int) -> None:
    trade = make_config({"entry_cooldown_s": seconds}).trade
    early = entry_cooldown_gate(trade, last_ms, T0).passed
    assert not early or entry_cooldown_gate(trade, last_ms, T0 + more_ms).passed
