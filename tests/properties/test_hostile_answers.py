"""What a strategy may say at all: no value in any field places an order that makes no sense, kills the daemon, or costs
another symbol its decision."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.strategies.user_answer import BadAnswer, UserAnswer, answer_of_plain
from adapters.strategies.worker import analyses_of as columns_of
from adapters.strategies.worker_main import _answer
from adapters.strategies.worker_protocol import HEADER, pack_answer, unpack_answer
from application.step import Step
from domain.effects import Alert
from domain.events import StrategyAnswered
from domain.facts import IntentRecorded
from domain.intents import Action
from domain.signals import FEATURE_RANGES, FeatureRow, analyses_problem
from domain.strategy_job import StrategyJob
from tests.engine_builders import (
    BUY,
    MINUTE_MS,
    NEUTRAL,
    SELL,
    START_MS,
    EngineRig,
    analyses_of,
    effects_of,
    facts_of,
    manager_of,
    submitted,
    universe_of,
)
from tests.job_strategy import JobStrategy, job_in
from tests.strategy_samples import batch_at, random_window

HISTOGRAMS = ("MACD_hist", "prev_MACD_hist", "prev2_MACD_hist", "prev3_MACD_hist")
NUMBER_COLUMNS = (
    *("ATR", "ATR_slope", "ADX", "ADX_slope", "RSI", "EMA_fast", "EMA_slow", "EMA_macro"),
    *HISTOGRAMS,
    *("tp_mult", "entry_adx_threshold", "bb_width", "avg_bb_width"),
)
COLUMNS = (*NUMBER_COLUMNS, "Close", "is_anomaly", "audit")
GOOD_ROW = {"ATR": 1.0, "ADX": 30.0, "RSI": 50.0, "bb_width": 0.1, "avg_bb_width": 0.1, "tp_mult": 4.0}
WINDOWS = tuple(random_window(symbol, 3 + place, 30) for place, symbol in enumerate(("AAA", "BAD", "CCC")))
JOB = StrategyJob(1, batch_at(list(WINDOWS), int(WINDOWS[0].open_ms[-1])), WINDOWS, None, manager_of().book)


class Liar(float):
    """Claims to be like everything and less than nothing."""

    def __eq__(self, other: object) -> bool:
        raise ArithmeticError("not comparable")

    __hash__ = float.__hash__


NUMBERS = st.one_of(
    st.floats(),
    st.sampled_from([math.nan, math.inf, -math.inf, 1e308, -1e308, 1e-300, 5e-324, -0.0, 0.0, 10**400, -(10**400)]),
    st.integers(),
    st.decimals(allow_nan=True, allow_infinity=True),
    st.fractions(),
    st.complex_numbers(),
    st.floats(width=32).map(np.float32),
    st.integers(-(2**63), 2**63 - 1).map(np.int64),
)
OTHERS = st.one_of(
    st.none(),
    st.booleans(),
    st.booleans().map(np.bool_),
    st.text(max_size=8),
    st.binary(max_size=4),
    st.just("\ud800"),
    st.lists(st.floats(), max_size=3),
    st.lists(st.floats(), max_size=3).map(np.array),
    st.sampled_from([pd.NA, pd.NaT, object(), float, Liar(3.0), Fraction(1, 3), Decimal("sNaN"), pd.Series([1.0])]),
    st.dictionaries(st.text(max_size=5), st.one_of(st.booleans(), st.floats(), st.none()), max_size=3),
    st.dictionaries(st.just("gates"), st.dictionaries(st.text(max_size=60), st.booleans(), max_size=50), max_size=1),
)
HOSTILE = st.one_of(NUMBERS, OTHERS)


def told(returned: object) -> UserAnswer | str:
    """What the parent makes of what `analyze` returned for BAD, by way of the worker's code and the pipe's words."""
    answer = _answer(lambda *_: returned, WINDOWS[1], None, pickle.dumps({}))
    message = unpack_answer(pack_answer({"answer": answer})[HEADER.size :])
    return answer_of_plain(message["answer"], float(WINDOWS[1].close[-1]))


def assert_only_its_own(said: UserAnswer | str) -> None:
    """The batch is sound, the others have their signals, and what is known of the liar is in range."""
    good = told(("BUY", "high", GOOD_ROW))
    assert isinstance(good, UserAnswer)
    analyses = columns_of(JOB, [good, said, good])
    assert analyses_problem(analyses) is None
    assert analyses.signal.tolist()[::2] == [1, 1]
    assert (1 in analyses.failures) == isinstance(said, str)
    for text in (*analyses.gate_names, *analyses.failures.values()):
        assert text.isprintable() and text.encode()
    row = analyses.feature_row(1)
    for name, value in row._asdict().items():
        low, high = FEATURE_RANGES[name]
        assert math.isnan(value) or low <= value <= high
    assert math.isnan(row.atr) or row.atr <= row.close / 2
    if isinstance(said, str):
        assert analyses.signal[1] == 0 and all(math.isnan(value) for value in row)
    else:
        assert row.close == WINDOWS[1].close[-1]


@given(column=st.sampled_from(COLUMNS), value=HOSTILE)
@settings(max_examples=600)
@example(column="ATR", value=1e308)
@example(column="avg_bb_width", value=5e-324)
@example(column="tp_mult", value=-3)
@example(column="Close", value=1e9)
def test_no_column_of_a_row_gets_past_the_checks(column: str, value: Any) -> None:
    assert_only_its_own(told(("BUY", "high", {**GOOD_ROW, column: value})))


@given(returned=st.one_of(HOSTILE, st.tuples(HOSTILE, HOSTILE, HOSTILE), st.tuples(st.just("BUY"), HOSTILE, HOSTILE)))
@settings(max_examples=400)
def test_nothing_else_that_is_returned_gets_past_them(returned: Any) -> None:
    assert_only_its_own(told(returned))


@pytest.mark.parametrize("column", NUMBER_COLUMNS)
@pytest.mark.parametrize("value", [True, np.bool_(True), math.inf, -math.inf, 1e308, -1e308, 10**400, "1.5", 1j, [1.0]])
def test_each_number_is_refused_by_its_name_where_it_is_none(column: str, value: Any) -> None:
    said = told(("BUY", "high", {**GOOD_ROW, column: value}))
    names = {"bb_width": "bb_width", "avg_bb_width": "bb_width"}
    if column == "avg_bb_width" and value == 1e308:
        return  # a ratio of nothing: known, and harmless
    assert isinstance(said, str) and (column in said or names.get(column, column) in said)


PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=18), st.dictionaries(st.text(max_size=10), inner, max_size=4)),
    max_leaves=20,
)
FORGED = st.fixed_dictionaries(
    {
        "signal": st.one_of(PLAIN, st.sampled_from([-1, 0, 1])),
        "confidence": st.one_of(PLAIN, st.sampled_from([0, 1, 2])),
        "features": st.one_of(PLAIN, st.lists(st.one_of(st.none(), st.floats(), PLAIN), min_size=17, max_size=17)),
        "gates": st.one_of(PLAIN, st.dictionaries(st.text(), st.booleans(), max_size=3)),
    }
)


@given(found=st.one_of(PLAIN, FORGED))
@settings(max_examples=400)
@example(found={"signal": True, "confidence": 2, "features": [None] * 17, "gates": {}})
@example(found={"signal": 1, "confidence": True, "features": [None] * 17, "gates": {}})
@example(found={"signal": 300, "confidence": 2, "features": [None] * 17, "gates": {}})
@example(found={"signal": 1, "confidence": 2, "features": [True] * 17, "gates": {}})
def test_the_parent_believes_nothing_that_comes_out_of_the_process(found: Any) -> None:
    try:
        said = answer_of_plain(found, float(WINDOWS[1].close[-1]))
    except BadAnswer:
        return
    assert_only_its_own(said)
    assert isinstance(said, str) or (type(said.signal) is int and type(said.confidence) is int)


# ── in the engine, past every check of the worker ────────────────────────────────────────────

FLOATS = st.one_of(
    st.floats(),
    st.sampled_from([math.nan, math.inf, -math.inf, 1e308, -1e308, 1e-300, 5e-324, 0.0, -1.0, 1e-6, 60.0, 200.0]),
)
HOSTILE_FEATURES = st.dictionaries(st.sampled_from(FeatureRow._fields), FLOATS, min_size=1, max_size=4)
NO_FLOOR = "global: {trade: {entry_min_confidence: low, min_atr_pct: 0}}\n"


def assert_sane(rig: EngineRig, step: Step) -> None:
    """Every order is of a size and at a price that a person would recognise."""
    for intent in (fact.intent for fact in facts_of(IntentRecorded, step)):
        assert 0 < intent.size * intent.limit_price <= Decimal(20_000)
        assert Decimal(1) <= intent.limit_price <= Decimal(10_000)
        if intent.key.action is Action.STOP:
            assert intent.trigger is not None and Decimal(44) < intent.trigger.price < Decimal(156)


@given(features=HOSTILE_FEATURES, opinion=st.sampled_from([BUY, SELL]), floor=st.booleans())
@settings(max_examples=150, deadline=None)
@example(features={"atr": 1e308}, opinion=BUY, floor=True)
@example(features={"atr": 1e-300}, opinion=BUY, floor=False)
@example(features={"atr": 40.0}, opinion=SELL, floor=True)
@example(features={"tp_mult": -1.0}, opinion=BUY, floor=True)
@example(features={"close": 1e9}, opinion=BUY, floor=True)
@example(features=dict.fromkeys(FeatureRow._fields, math.nan), opinion=BUY, floor=True)
def test_no_feature_leads_to_an_order_without_sense(features: dict[str, float], opinion: Any, floor: bool) -> None:
    rig = EngineRig(universe_of("BTC"), JobStrategy("BTC"), *([] if floor else [NO_FLOOR]))
    job = job_in(rig.close_candle(START_MS))
    hostile = replace(opinion, features={**opinion.features, **features})
    analyses = analyses_of(job.batch.ids, [hostile], job.batch.close.tolist())
    problem = analyses_problem(analyses)
    step = rig.take(StrategyAnswered(job.job_no, analyses))
    assert_sane(rig, step)
    requests = submitted(step)
    if problem is not None:
        assert not requests
        assert [alert.code for alert in effects_of(Alert, step)] == ["strategy_failed"]
    row = analyses.feature_row(0)
    if not (row.atr > 0 and abs(row.close - 100) <= 5):  # also where one of them is not known
        assert not requests
    for request in requests:
        step = rig.fill(request)
        assert_sane(rig, step)
        assert [fact.intent.key.action for fact in facts_of(IntentRecorded, step)][:1] == [Action.STOP]


@given(features=HOSTILE_FEATURES, opinion=st.sampled_from([BUY, SELL]))
@settings(max_examples=100, deadline=None)
@example(features={"close": 0.0, "atr": math.nan, "ema_fast": 1.0, "ema_slow": 2.0}, opinion=BUY)
def test_no_feature_of_a_held_symbol_takes_its_stop_away(features: dict[str, float], opinion: Any) -> None:
    rig = EngineRig(universe_of("BTC"), JobStrategy("BTC"))
    job = job_in(rig.close_candle(START_MS))
    (request,) = submitted(rig.take(StrategyAnswered(job.job_no, analyses_of(job.batch.ids, [opinion], [100.0]))))
    rig.fill(request)
    job = job_in(rig.close_candle(START_MS + MINUTE_MS))
    analyses = analyses_of(job.batch.ids, [replace(NEUTRAL, features=features)], [100.0])
    assert_sane(rig, rig.take(StrategyAnswered(job.job_no, analyses)))
    for price in (100.2, 99.9):
        assert_sane(rig, rig.quote(price))
    adverse = 50.0 if opinion is BUY else 150.0
    if rig.engine.portfolio.positions and not any(
        live.intent.key.action is Action.CLOSE for live in rig.engine.oms.all_live_orders()
    ):
        assert [each.reduce_only for each in submitted(rig.quote(adverse))][:1] == [True]
