"""Events as JSON: what is read back is what was written, to the last bit, and anything else is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_st

from domain.candles import CandleBatch, CandleWindow, FloatColumn, IntColumn, Interval
from domain.config_events import OverridesText
from domain.event_text import event_from_plain, event_name, event_to_plain
from domain.events import (
    AccountSnapshot,
    CandlesChecked,
    CandlesClosed,
    CandleStreams,
    CandleUpdates,
    CashFlowed,
    EntriesHeld,
    Event,
    FillArrived,
    FundingPaid,
    HeldPosition,
    HistoryLoaded,
    MidsChecked,
    NonceBurned,
    OperatorSpoke,
    OrderCanceled,
    OrderLooked,
    OrderNamed,
    OrderOutcome,
    Quotes,
    Recovered,
    RestingOrder,
    StrategyAnswered,
    TimerFired,
    VenueTime,
    VolumesHeard,
)
from domain.facts import LedgerState
from domain.fills import Fill
from domain.intents import Side
from domain.operator import OperatorVerb
from domain.orders import Accepted, Rejected, RejectReason, Unknown, Would
from domain.signals import FEATURE_INDEX, Analyses
from domain.value_text import ValueTextError, codec_of

ONE = np.array([3], dtype=np.intp)


def column(*values: float) -> FloatColumn:
    return np.array(values, dtype=np.float64)


def candles() -> CandleBatch:
    return CandleBatch(Interval.M5, 600_000, ONE, *(column(0.1 + each) for each in range(5)))


def window() -> CandleWindow:
    return CandleWindow("kPEPE", Interval.M1, np.array([0, 60_000]), *(column(1e-7, 0.1 + 0.2) for _ in range(5)))


def analyses() -> Analyses:
    return Analyses(
        ids=ONE,
        signal=np.array([-1], dtype=np.int8),
        confidence=np.array([2], dtype=np.int8),
        first_no=np.array([-1], dtype=np.int8),
        features=np.full((len(FEATURE_INDEX), 1), np.nan),
        gate_names=("analyze",),
        gate_values=np.array([[np.inf]]),
        gate_thresholds=np.array([[-np.inf]]),
        gate_passed=np.array([[True]]),
        failures={0: "ValueError: x"},
    )


FILL = Fill("BTC", Side.BUY, Decimal("50000.5"), Decimal("0.010"), 7, 9, 11, None, Decimal("-0.1"), Decimal(0), "0x0")
EXAMPLES: list[Event] = [
    Recovered(LedgerState(b"ab", frozenset(("x", "a")), funding_keys=frozenset([("BTC", 5)])), "00"),
    OverridesText("overrides.yaml", None, "there is no such file", 0, 0, 0, 5),
    OverridesText("overrides.yaml", "global: {}\n# é\n", "", 1, 2, 3, 5),
    CandleUpdates(candles(), 5),
    CandlesClosed(candles()),
    Quotes(5, ONE, column(0.1), column(0.2)),
    CandleStreams(ONE, Interval.H1, False, 900),
    MidsChecked(5, ONE, column(float("nan"))),
    VolumesHeard(ONE, column(1e9), ("OLD",)),
    VenueTime(5),
    CandlesChecked("kPEPE", Interval.M1, window()),
    TimerFired(),
    HistoryLoaded("kPEPE", Interval.M1, window(), "store+venue", is_tail=True),
    HistoryLoaded("BTC", Interval.M1, None, "venue", "nobody answers"),
    OrderOutcome("0x1", Accepted(5, Decimal("1E-7"))),
    OrderOutcome("0x1", Rejected(RejectReason.BAD_PRICE, "tick")),
    OrderOutcome("0x1", Unknown("cut")),
    OrderOutcome("0x1", Would()),
    OrderCanceled("0x1", "canceled"),
    OrderLooked("0x1", None, 5, True),
    NonceBurned("0x1", True),
    OrderNamed("BTC", 5, None, True),
    FillArrived(FILL),
    FundingPaid("BTC", 5, Decimal(1), Decimal("0.0000125"), Decimal("-0.5")),
    AccountSnapshot(
        Decimal("10000.25"),
        (("BTC", Decimal("-0.5")),),
        5,
        (HeldPosition("BTC", None, 3),),
        (RestingOrder("BTC", 5, "0x1", 4),),
        0,
    ),
    EntriesHeld("clock_skew", "11 s off"),
    CashFlowed("0xabc:withdraw", "withdraw", 1_700_000_000_000, Decimal("-500.000001")),
    OperatorSpoke("r1", OperatorVerb.FLATTEN, "kPEPE", "cli", "lunch"),
    OperatorSpoke("r2", OperatorVerb.KILL_HARD, None, "file", ""),
    StrategyAnswered(1, analyses()),
    StrategyAnswered(2, None, "it overran"),
]


def through_json(event: Event) -> Event:
    text = msgspec.json.encode(event_to_plain(event))
    return event_from_plain(event_name(event), msgspec.json.decode(text))


def same(left: Any, right: Any) -> bool:
    """Equal in type and in every bit: NaN is NaN, and -0.0 is not 0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, Decimal):
        return str(left) == str(right)
    if isinstance(left, np.ndarray):
        return (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes())
    if hasattr(left, "__dataclass_fields__"):
        return all(same(getattr(left, name), getattr(right, name)) for name in left.__dataclass_fields__)
    if isinstance(left, (tuple, list)):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


@pytest.mark.parametrize("event", EXAMPLES, ids=event_name)
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    assert same(through_json(event), event)


def test_the_examples_are_of_every_kind() -> None:
    assert {type(each) for each in EXAMPLES} == set(get_args(Event))


@given(
    numpy_st.arrays(
        np.float64,
        numpy_st.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=5),
        elements=st.floats(allow_nan=False),
    )
)
def test_every_bit_of_a_column_comes_back(values: FloatColumn) -> None:
    codec = codec_of(FloatColumn)
    assert same(codec.decode(msgspec.json.decode(msgspec.json.encode(codec.encode(values)))), values)


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_whole_numbers_do_not_become_floats(values: list[int]) -> None:
    codec = codec_of(IntColumn)
    written = np.array(values, dtype=np.int64)
    assert same(codec.decode(msgspec.json.decode(msgspec.json.encode(codec.encode(written)))), written)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nothing", {}),
        (None, {}),
        ("venue_time", {"venue_ms": "5"}),
        ("venue_time", {"venue_ms": 5, "more": 1}),
        ("venue_time", []),
        ("canceled", {"cloid": "0x1"}),
        ("outcome", {"cloid": "0x1", "outcome": {"is": "Perhaps"}}),
        ("outcome", {"cloid": "0x1", "outcome": {"is": "Accepted", "oid": 5, "filled": "NaN"}}),
        ("quotes", {"venue_ms": 5, "ids": [0], "bid": ["x"], "ask": [1.0]}),
        ("quotes", {"venue_ms": 5, "ids": {"shape": [2], "flat": [1]}, "bid": [1.0], "ask": [1.0]}),
        ("account", {"cash_usd": "1", "positions": [["BTC"]], "at_ms": 5}),
    ],
)
def test_what_is_no_event_is_refused(name: object, value: Any) -> None:
    with pytest.raises(ValueTextError):
        event_from_plain(name, value)
