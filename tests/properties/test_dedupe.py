"""At most once: OPEN and ADD per candle for ever, over restarts; and an id of its own for every order."""

import re
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from application.live_oms import LiveOms
from application.portfolio import Portfolio
from application.step import Step
from domain.candles import Interval
from domain.effects import SubmitOrder
from domain.facts import IntentRecorded, LedgerState
from domain.intents import Action, IntentKey, OrderIntent, Side, cloid_of, intent_id_of, is_our_cloid
from tests.builders import T0, TAG, make_key, make_wish

CLOID = re.compile(r"0x[0-9a-f]{32}")
NAMES = st.sampled_from(["a", ":", "a:", ":a", "%", "%3A", "%25"])
"""Names of colons and of what stands for them: the ones that a careless key would mix up."""
KEYS = st.builds(
    IntentKey,
    account=st.just("0xme"),
    strategy=NAMES,
    symbol=NAMES,
    action=st.sampled_from(Action),
    interval=st.sampled_from(Interval),
    open_ms=st.sampled_from([0, 1, 10, 60_000]),
    ordinal=st.sampled_from([0, 1, 10]),
)
LOOKALIKES = st.lists(
    st.builds(
        IntentKey,
        account=st.just("0xme"),
        strategy=NAMES,
        symbol=NAMES,
        action=st.just(Action.OPEN),
        interval=st.just(Interval.M1),
        open_ms=st.just(0),
    ),
    min_size=2,
    max_size=12,
    unique=True,
)
ATTEMPTS = st.tuples(
    st.sampled_from([make_key(), make_key("ETH"), make_key(ordinal=1)]),
    st.integers(1, 3),
    st.sampled_from([b"\0\0", b"\0\1", TAG]),
)


@dataclass(frozen=True)
class Decision:
    """A wish, and whether the process is restarted before it."""

    action: Action
    symbol: str
    open_ms: int
    side: Side
    restart: bool


DECISIONS = st.lists(
    st.builds(
        Decision,
        st.sampled_from(Action),
        st.sampled_from(["BTC", "ETH"]),
        st.sampled_from([T0, T0 + 60_000]),
        st.sampled_from(Side),
        st.booleans(),
    ),
    max_size=40,
)


def started(intents: list[OrderIntent]) -> LiveOms:
    """An OMS that recovers from what earlier sessions wrote."""
    oms = LiveOms("0xme", "mei_alpha_v1", Interval.M1, Portfolio())
    oms.restore(LedgerState(TAG, intent_ids=frozenset(intent.intent_id for intent in intents)))
    return oms


@given(DECISIONS)
def test_an_entry_is_written_once_per_key_over_any_restarts(decisions: list[Decision]) -> None:
    written: list[OrderIntent] = []
    oms = started(written)
    for number, wanted in enumerate(decisions):
        if wanted.restart:
            oms = started(written)
        step = Step(number, T0 + number)
        place = (wanted.action, wanted.symbol, wanted.open_ms)
        before = [intent for intent in written if (intent.key.action, intent.key.symbol, intent.key.open_ms) == place]
        assert not wanted.action.increases_exposure or oms.has_decided(*place) == bool(before)
        intent = oms.place(step, make_wish(wanted.action, wanted.symbol, open_ms=wanted.open_ms, side=wanted.side))
        assert (intent is None) == (wanted.action.increases_exposure and bool(before))
        if intent is None:
            assert (step.facts, step.effects) == ([], [])
            continue
        written.append(intent)
        assert [type(fact) for fact in step.facts] == [IntentRecorded]
        assert [type(effect) for effect in step.effects] == [SubmitOrder]
        assert intent.key.ordinal == len(before)
    assert len({intent.intent_id for intent in written}) == len(written)
    assert len({cloid_of(intent.intent_id, 1, TAG) for intent in written}) == len(written)


@given(st.lists(KEYS, max_size=8, unique=True) | LOOKALIKES)
def test_different_keys_are_different_decisions(keys: list[IntentKey]) -> None:
    assert len({key.text for key in keys}) == len(keys)
    assert len({intent_id_of(key) for key in keys}) == len(keys)


@given(KEYS, st.integers(1, 3), st.binary(min_size=2, max_size=2))
def test_a_cloid_is_valid_ours_and_always_the_same(key: IntentKey, attempt: int, tag: bytes) -> None:
    cloid = cloid_of(intent_id_of(key), attempt, tag)
    assert CLOID.fullmatch(cloid) and is_our_cloid(cloid)
    assert cloid == cloid_of(intent_id_of(key), attempt, bytes(tag))
    assert cloid[8:12] == tag.hex()


@given(st.lists(ATTEMPTS, unique=True, max_size=12))
def test_no_two_attempts_share_a_cloid(attempts: list[tuple[IntentKey, int, bytes]]) -> None:
    cloids = {cloid_of(intent_id_of(key), attempt, tag) for key, attempt, tag in attempts}
    assert len(cloids) == len(attempts)
