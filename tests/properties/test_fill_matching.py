"""Which order a fill belongs to, over any set of orders, by an oracle that states the rule the other way round."""

import random
from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from domain.fills import EXTERNAL, Fill, FillCause, FillMatch, MatchedVia, OpenAttempt, match_fill
from domain.intents import Side
from tests.builders import T0, make_fill

WINDOW_MS = 600_000
SYMBOLS = st.sampled_from(["BTC", "BTC", "BTC", "ETH"])
SIDES = st.sampled_from([Side.BUY, Side.BUY, Side.SELL])
SIZES = st.sampled_from(["0.5", "1", "2"]).map(Decimal)
OFFSETS = st.sampled_from([-WINDOW_MS - 1, -WINDOW_MS, -1, 0, 1, WINDOW_MS, WINDOW_MS + 1])


@st.composite
def attempt_lists(draw: st.DrawFn) -> list[OpenAttempt]:
    """Orders of ours: cloids and oids are each given once, and some oids are not known yet."""
    count = draw(st.integers(0, 6))
    oids = draw(st.permutations(range(1, 7)))
    return [
        OpenAttempt(
            intent_id=f"intent-{number}",
            cloid=f"cloid-{number}",
            oid=draw(st.sampled_from([None, oids[number]])),
            symbol=draw(SYMBOLS),
            side=draw(SIDES),
            remaining=draw(st.one_of(SIZES, st.just(Decimal(0)))),
            sent_ms=T0 + draw(OFFSETS),
        )
        for number in range(count)
    ]


FILLS = st.builds(
    make_fill,
    SIDES,
    SIZES,
    symbol=SYMBOLS,
    oid=st.integers(1, 9),
    cloid=st.sampled_from([None, None, *(f"cloid-{number}" for number in range(7)), "0xother"]),
    hash=st.sampled_from(["", "0x" + "0" * 64, "0xfeed"]),
    cause=st.sampled_from([FillCause.ORDER, FillCause.ORDER, *FillCause]),
)


def could_be(fill: Fill, attempt: OpenAttempt) -> bool:
    return (attempt.symbol, attempt.side) == (fill.symbol, fill.side)


def fitting(fill: Fill, attempts: list[OpenAttempt]) -> list[OpenAttempt]:
    """Those that could have traded it, as far as time and size tell."""
    return [
        attempt
        for attempt in attempts
        if could_be(fill, attempt)
        and attempt.oid is None
        and attempt.remaining - fill.size >= 0
        and -WINDOW_MS <= attempt.sent_ms - fill.time_ms <= WINDOW_MS
    ]


def expected(fill: Fill, attempts: list[OpenAttempt]) -> FillMatch:
    """Everyone who could claim the fill, by how; a claim by time stands only alone and for a fill without a name."""
    mine = [attempt for attempt in attempts if could_be(fill, attempt)]
    if fill.cause is not FillCause.ORDER and fill.cloid is None:
        mine = []  # the venue's own doing
    claims = {
        MatchedVia.CLOID: [attempt for attempt in mine if fill.cloid == attempt.cloid],
        MatchedVia.OID: [attempt for attempt in mine if fill.oid == attempt.oid],
        MatchedVia.TIME: fitting(fill, mine),
    }
    for via, claimants in claims.items():
        if len(claimants) == 1 and (via is not MatchedVia.TIME or fill.cloid is None):
            return FillMatch(claimants[0].intent_id, claimants[0].cloid, via)
    return EXTERNAL


@given(FILLS, attempt_lists())
def test_a_fill_goes_to_whom_the_rule_says(fill: Fill, attempts: list[OpenAttempt]) -> None:
    assert match_fill(fill, attempts) == expected(fill, attempts)


@given(FILLS, attempt_lists(), st.randoms(use_true_random=False))
def test_the_order_of_the_attempts_does_not_matter(
    fill: Fill, attempts: list[OpenAttempt], chance: random.Random
) -> None:
    shuffled = list(attempts)
    chance.shuffle(shuffled)
    assert match_fill(fill, iter(shuffled)) == match_fill(fill, attempts)


@given(FILLS, attempt_lists())
def test_a_match_is_one_of_ours_of_the_same_symbol_and_side(fill: Fill, attempts: list[OpenAttempt]) -> None:
    match = match_fill(fill, attempts)
    assert (match.via is MatchedVia.EXTERNAL) == (match.intent_id is None) == (match.cloid is None)
    if match.via is MatchedVia.EXTERNAL:
        return
    (owner,) = [attempt for attempt in attempts if attempt.cloid == match.cloid]
    assert owner.intent_id == match.intent_id and could_be(fill, owner)


@st.composite
def lonely_fits(draw: st.DrawFn) -> tuple[Fill, OpenAttempt, list[OpenAttempt]]:
    """A fill without a name, the one order it fits, and others that it does not."""
    fill = make_fill(draw(SIDES), draw(SIZES), oid=99)
    owner = OpenAttempt(
        intent_id="intent-owner",
        cloid="cloid-owner",
        oid=None,
        symbol=fill.symbol,
        side=fill.side,
        remaining=fill.size + draw(st.sampled_from(["0", "0.001", "5"]).map(Decimal)),
        sent_ms=T0 + draw(st.integers(-WINDOW_MS, WINDOW_MS)),
    )
    strangers = [attempt for attempt in draw(attempt_lists()) if attempt not in fitting(fill, [attempt])]
    return fill, owner, strangers


@given(lonely_fits(), st.integers(0, 6))
def test_the_only_order_that_fits_gets_a_fill_without_a_name(
    given_fit: tuple[Fill, OpenAttempt, list[OpenAttempt]], place: int
) -> None:
    fill, owner, strangers = given_fit
    strangers.insert(place, owner)
    assert match_fill(fill, strangers) == FillMatch("intent-owner", "cloid-owner", MatchedVia.TIME)


@given(lonely_fits(), st.sampled_from(["twin", "cloid", "twap", "oid", "size", "late", "early", "side", "symbol"]))
def test_anything_that_speaks_against_it_makes_the_fill_external(
    given_fit: tuple[Fill, OpenAttempt, list[OpenAttempt]], flaw: str
) -> None:
    fill, owner, strangers = given_fit
    match flaw:
        case "twin":
            strangers.append(replace(owner, intent_id="intent-twin", cloid="cloid-twin"))
        case "cloid":
            fill = replace(fill, cloid="0xother")
        case "twap":
            fill = replace(fill, cause=FillCause.TWAP)
        case "oid":
            owner = replace(owner, oid=98)
        case "size":
            owner = replace(owner, remaining=fill.size - Decimal("0.001"))
        case "late" | "early":
            owner = replace(owner, sent_ms=T0 + (WINDOW_MS + 1) * (1 if flaw == "late" else -1))
        case "side":
            owner = replace(owner, side=owner.side.opposite)
        case _:
            owner = replace(owner, symbol="SOL")
    assert match_fill(fill, [owner, *strangers]) == EXTERNAL


@given(FILLS, attempt_lists(), st.text(max_size=8), st.integers(1, 10**15))
def test_hash_and_tid_are_no_evidence(fill: Fill, attempts: list[OpenAttempt], hash: str, tid: int) -> None:
    assert match_fill(replace(fill, hash=hash, tid=tid), attempts) == match_fill(fill, attempts)
