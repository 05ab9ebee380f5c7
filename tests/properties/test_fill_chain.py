"""Fills in the order in which they happened, whatever the order in which they came: chains, breaks, what they earn."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from itertools import groupby, pairwise, permutations

from hypothesis import assume, example, given
from hypothesis import strategies as st

from domain.fill_chain import Break, Folded, Owned, fold, in_execution_order, is_next
from domain.fills import Fill
from domain.intents import Side
from domain.positions import GAP, Position, Trade, adjust, apply_fill
from tests.builders import T0, make_fill

PRICES = st.sampled_from(["99", "100", "100.01", "101.37", "87.5", "33.333"])
FEES = st.integers(-(10**6), 10**8).map(lambda n: Decimal(n).scaleb(-6))
PAUSES_MS = st.sampled_from([0, 0, 0, 0, 1, 7])
CHANCE = st.randoms(use_true_random=False)


@dataclass
class Walk:
    """What really happened: a position that went from place to place."""

    start: Decimal
    fills: list[Fill]

    @property
    def end(self) -> Decimal:
        return self.start + sum((fill.signed_size for fill in self.fills), Decimal(0))


@st.composite
def walks(draw: st.DrawFn, places: st.SearchStrategy[list[int]] | None = None) -> Walk:
    """A walk over few places, many times over the same ones, with several steps in a millisecond."""
    if places is None:
        places = st.lists(st.integers(-4, 4), max_size=13)
    visited = [place for place, _ in groupby(draw(places))]
    tids = draw(st.permutations(range(len(visited))))
    now_ms, fills = T0, []
    for (place, next_place), tid in zip(pairwise(visited), tids[1:], strict=False):
        now_ms += draw(PAUSES_MS)
        side, size = (Side.BUY if next_place > place else Side.SELL), str(abs(next_place - place))
        fill = make_fill(side, size, draw(PRICES), tid=tid, oid=tid % 3, time_ms=now_ms, fee=draw(FEES))
        fills.append(replace(fill, start_position=Decimal(place)))
    return Walk(Decimal(visited[0] if visited else 0), fills)


DISTINCT = st.lists(st.integers(-30, 30), max_size=13, unique=True)
FLAT_TO_FLAT = st.lists(st.integers(-4, 4), max_size=13).map(lambda places: [0, *places, 0])


def owned(fills: Sequence[Fill]) -> list[Owned]:
    return [Owned(fill, f"intent-{fill.oid}" if fill.oid else None, f"reason-{fill.oid}") for fill in fills]


def standing(size: Decimal) -> Position:
    """A position of unknown past, as an opening balance is one."""
    return adjust(Position("BTC"), size, Decimal(100), T0 - 1).position


def folded(walk: Walk, fills: Sequence[Fill] | None = None) -> Folded:
    return fold(standing(walk.start), owned(walk.fills if fills is None else fills))


def stirred(fills: Sequence[Fill], chance: random.Random) -> list[Fill]:
    """The same fills in any order, some of them more than once."""
    again = [*fills, *(fill for fill in fills if chance.random() < 0.3)]
    chance.shuffle(again)
    return again


def some_of(fills: Sequence[Fill], chance: random.Random) -> list[Fill]:
    return [fill for fill in fills if chance.random() < 0.7]


def end_of(fill: Fill) -> Decimal:
    assert fill.start_position is not None
    return fill.start_position + fill.signed_size


def breaks_in(fills: Sequence[Fill], before: Decimal) -> int:
    ends = [before, *(end_of(fill) for fill in fills)]
    return sum(fill.start_position != end for fill, end in zip(fills, ends, strict=False))


def exact(amounts: Sequence[Decimal]) -> Fraction:
    return sum((Fraction(amount) for amount in amounts), Fraction(0))


# ── order ────────────────────────────────────────────────────────────────────────────────────


@given(walks(), CHANCE, st.booleans())
def test_all_fills_of_a_walk_make_an_unbroken_chain(walk: Walk, chance: random.Random, is_start_known: bool) -> None:
    found = in_execution_order(stirred(walk.fills, chance), walk.start if is_start_known else None)
    assert sorted(fill.trade_id for fill in found) == sorted(fill.trade_id for fill in walk.fills)
    assert [fill.time_ms for fill in found] == [fill.time_ms for fill in walk.fills]
    if is_start_known:
        assert breaks_in(found, walk.start) == 0 and (not found or end_of(found[-1]) == walk.end)


@given(walks(DISTINCT), CHANCE)
def test_where_no_place_is_seen_twice_the_chain_is_the_walk(walk: Walk, chance: random.Random) -> None:
    assert in_execution_order(stirred(walk.fills, chance), walk.start) == walk.fills
    assert in_execution_order(stirred(walk.fills, chance)) == walk.fills


@given(walks(), CHANCE)
def test_any_part_of_a_walk_has_one_order(walk: Walk, chance: random.Random) -> None:
    part = some_of(walk.fills, chance)
    assert in_execution_order(stirred(part, chance), walk.start) == in_execution_order(part, walk.start)
    assert in_execution_order(stirred(part, chance)) == in_execution_order(part)


def loose(*edges: tuple[int, int]) -> list[Fill]:
    """Fills of one millisecond, each from one place to another."""
    return [
        replace(
            make_fill(Side.BUY if end > start else Side.SELL, str(abs(end - start)), tid=tid),
            start_position=Decimal(start),
        )
        for tid, (start, end) in enumerate(edges)
    ]


EDGES = st.lists(st.tuples(st.integers(-2, 3), st.integers(-2, 3)).filter(lambda edge: edge[0] != edge[1]), max_size=5)


@given(EDGES, st.integers(-2, 3))
@example([(0, 1), (1, 0), (2, 3), (3, 2)], 0)
@example([(2, 3), (3, 2), (-2, -1), (-1, -2)], 0)
@example([(0, 1), (0, 1), (1, 2)], 0)
def test_no_order_within_a_millisecond_has_fewer_breaks(edges: list[tuple[int, int]], start: int) -> None:
    fills, before = loose(*edges), Decimal(start)
    fewest = min(breaks_in(order, before) for order in permutations(fills))
    assert breaks_in(in_execution_order(fills, before), before) == fewest


def test_a_circle_begins_where_the_next_millisecond_lets_it_end() -> None:
    circle, onward = loose((0, 1), (1, 0)), loose((1, 5))[0]
    later = replace(onward, time_ms=T0 + 1, tid=9)
    assert [fill.start_position for fill in in_execution_order([*circle, later])] == [1, 0, 1]


def test_twins_stand_in_the_order_of_their_ids() -> None:
    fills = loose((0, 1), (1, 0), (0, 1), (1, 0), (0, 1))
    assert [fill.tid for fill in in_execution_order(fills[::-1], Decimal(0))] == [0, 1, 2, 3, 4]


def test_fills_that_do_not_say_where_they_began_stand_by_time_and_id() -> None:
    fills = [make_fill(tid=tid, time_ms=T0 + offset) for offset, tid in ((0, 3), (0, 5), (1, 2), (2, 1))]
    assert in_execution_order(fills[::-1]) == fills
    told = replace(make_fill(tid=9), start_position=Decimal(0))
    assert in_execution_order([*fills, told], Decimal(0)) == [told, *fills]


def test_of_two_versions_of_a_fill_the_same_one_counts_whatever_came_first() -> None:
    (fill,) = loose((0, 1))
    corrected = replace(fill, price=Decimal(99))
    assert in_execution_order([fill, corrected]) == in_execution_order([corrected, fill])


def test_a_thousand_fills_of_one_millisecond_are_a_chain() -> None:
    chance, place, fills = random.Random(1), 0, []
    for tid in range(1000):
        change = chance.choice((-2, -1, 1, 2))
        fills.append(replace(loose((place, place + change))[0], tid=tid))
        place += change
    found = in_execution_order(fills[::-1], Decimal(0))
    assert breaks_in(found, Decimal(0)) == 0 and len(found) == 1000


# ── what they come to ────────────────────────────────────────────────────────────────────────


@given(walks(), CHANCE)
def test_a_whole_walk_folds_to_what_its_fills_do_one_after_another(walk: Walk, chance: random.Random) -> None:
    result = folded(walk, stirred(walk.fills, chance))
    position, realised, trades = standing(walk.start), [], []
    for each in owned(in_execution_order(walk.fills, walk.start)):
        step = apply_fill(position, each.fill, each.intent_id, each.reason)
        position = step.position
        realised.append((each.fill.trade_id, step.realised))
        trades += [step.closed_trade] if step.closed_trade else []
    assert result.breaks == () and result.position == position and position.size == walk.end
    assert list(result.realised) == realised and [trip.trade for trip in result.trades] == trades


@given(walks(), CHANCE, st.booleans())
def test_the_same_fills_come_to_the_same_in_any_order(walk: Walk, chance: random.Random, is_whole: bool) -> None:
    fills = walk.fills if is_whole else some_of(walk.fills, chance)
    assert folded(walk, stirred(fills, chance)) == folded(walk, fills)


@given(walks(DISTINCT), st.data(), CHANCE)
def test_fills_that_are_missing_are_one_break_where_they_were(
    walk: Walk, data: st.DataObject, chance: random.Random
) -> None:
    assume(walk.fills)
    first = data.draw(st.integers(0, len(walk.fills) - 1))
    last = data.draw(st.integers(first, len(walk.fills) - 1))
    rest = [*walk.fills[:first], *walk.fills[last + 1 :]]
    result = folded(walk, stirred(rest, chance))
    if last + 1 == len(walk.fills):
        assert result.breaks == (), "nothing came after them: nobody can know yet"
        return
    after, before = walk.fills[first - 1] if first else None, walk.fills[last + 1]
    expected = walk.start if after is None else end_of(after)
    found = end_of(walk.fills[last])
    after_id = None if after is None else after.trade_id
    assert result.breaks == (Break("BTC", after_id, before.trade_id, expected, found, before.time_ms),)
    assert result.position.size == walk.end


@given(walks(), CHANCE)
def test_after_every_fold_the_position_is_the_venues(walk: Walk, chance: random.Random) -> None:
    fills = in_execution_order(some_of(walk.fills, chance), walk.start)
    result = folded(walk, fills)
    assert result.position.size == (end_of(fills[-1]) if fills else walk.start)
    assert len(result.breaks) == breaks_in(fills, walk.start)
    assert [trade_id for trade_id, _ in result.realised] == [fill.trade_id for fill in fills]


@given(walks(), CHANCE, st.booleans())
def test_flips_and_jumps_lose_no_fee_and_no_realised_cent(walk: Walk, chance: random.Random, is_whole: bool) -> None:
    fills = walk.fills if is_whole else some_of(walk.fills, chance)
    result = folded(walk, fills)
    trades = [trip.trade for trip in result.trades]
    assert exact([*(trade.fees for trade in trades), result.position.fees]) == exact([fill.fee for fill in fills])
    assert exact([*(trade.pnl for trade in trades), result.position.realised]) == exact(
        [amount for _, amount in result.realised]
    )


@given(walks(FLAT_TO_FLAT), CHANCE)
def test_trips_without_a_break_earn_what_their_fills_paid_and_received(walk: Walk, chance: random.Random) -> None:
    result = folded(walk, stirred(walk.fills, chance))
    flows = [-Fraction(fill.signed_size) * Fraction(fill.price) for fill in walk.fills]
    assert result.position.is_flat
    assert exact([trip.trade.pnl for trip in result.trades]) == sum(flows, Fraction(0))


@given(walks(), CHANCE)
def test_no_two_trades_have_the_same_key_and_every_trade_has_its_fills(walk: Walk, chance: random.Random) -> None:
    fills = some_of(walk.fills, chance)
    result = folded(walk, fills)
    keys = [(trip.opened_by, trip.closed_by) for trip in result.trades]
    assert len(set(keys)) == len(keys)
    times = {fill.trade_id: fill.time_ms for fill in fills}
    for number, trip in enumerate(result.trades):
        assert times[trip.closed_by] == trip.trade.closed_ms
        if trip.opened_by is None:
            assert number == 0 and walk.start != 0
        else:
            assert times[trip.opened_by] == trip.trade.opened_ms


@given(walks(), CHANCE, st.data())
def test_folding_what_came_later_onto_a_fold_is_folding_all(
    walk: Walk, chance: random.Random, data: st.DataObject
) -> None:
    """At any millisecond's end, and where fills are missing too: nothing that comes later changes what was before."""
    fills = some_of(walk.fills, chance)
    cut_ms = data.draw(st.sampled_from([T0, *(fill.time_ms for fill in fills)]))
    early, late = [[fill for fill in fills if (fill.time_ms <= cut_ms) is side] for side in (True, False)]
    first = folded(walk, early)
    second = fold(first.position, owned(late))
    whole = folded(walk, fills)
    assert second.position == whole.position
    assert (*first.realised, *second.realised) == whole.realised
    assert [each.trade for each in (*first.trades, *second.trades)] == [each.trade for each in whole.trades]
    known = [replace(each, after_trade_id=None) for each in whole.breaks]
    assert [replace(each, after_trade_id=None) for each in (*first.breaks, *second.breaks)] == known


@given(walks(), CHANCE)
def test_a_fill_that_is_next_needs_no_fold(walk: Walk, chance: random.Random) -> None:
    """Whatever came before it, in whatever order: applying it alone gives what folding everything gives."""
    arriving = some_of(walk.fills, chance)
    if chance.random() < 0.5:
        chance.shuffle(arriving)
    there: list[Fill] = []
    for fill in arriving:
        before = folded(walk, there)
        ordered = in_execution_order(there, walk.start)
        newest = ordered[-1] if ordered else None
        beside = [each for each in there if newest is not None and each.time_ms == newest.time_ms]
        there.append(fill)
        whole = folded(walk, there)
        for known in (None, beside):
            if is_next(before.position, newest, fill, known):
                each = owned([fill])[0]
                step = apply_fill(before.position, fill, each.intent_id, each.reason)
                assert whole.position == step.position
                assert whole.realised == (*before.realised, (fill.trade_id, step.realised))
                assert whole.breaks == before.breaks


def test_a_sweep_through_the_book_is_next_with_its_company_and_not_without() -> None:
    first, second, third = loose((0, 1), (1, 3), (3, 4))
    position = standing(Decimal(3))
    assert is_next(position, second, third, [first, second])
    assert not is_next(position, second, third)
    assert not is_next(position, second, third, [first, *loose((4, 3))])
    assert is_next(position, second, replace(third, time_ms=T0 + 1))
    assert not is_next(position, second, replace(third, time_ms=T0 - 1), [])
    assert not is_next(position, second, replace(third, time_ms=T0 + 1, start_position=Decimal(2)))
    assert is_next(standing(Decimal(3)), None, third)


# ── jumps ────────────────────────────────────────────────────────────────────────────────────

HALVES = st.integers(-6, 6).map(lambda n: Decimal(n) / 2)


@given(walks(), HALVES, PRICES.map(Decimal))
def test_a_jump_goes_there_and_realises_nothing(walk: Walk, size: Decimal, price: Decimal) -> None:
    before = folded(walk).position
    step = adjust(before, size, price, T0 + 10**6)
    assert (step.position.size, step.realised) == (size, Decimal(0))
    ends = not before.is_flat and (size == 0 or (size > 0) != (before.size > 0))
    assert (step.closed_trade is not None) is ends
    if isinstance(step.closed_trade, Trade):
        assert (step.closed_trade.exit_reason, step.closed_trade.pnl) == (GAP, before.realised)
    if size != 0 and (before.is_flat or ends):
        assert (step.position.entry_price, step.position.intent_id) == (price, None)
        assert step.position.opened_ms == T0 + 10**6


def test_what_a_jump_adds_costs_its_price_and_what_it_takes_away_earns_nothing() -> None:
    held = adjust(Position("BTC"), Decimal(2), Decimal(100), T0).position
    more = adjust(held, Decimal(3), Decimal(130), T0 + 1).position
    assert (more.size, more.entry_price, more.peak_size) == (Decimal(3), Decimal(110), Decimal(3))
    less = adjust(more, Decimal(1), Decimal(999), T0 + 2).position
    assert (less.size, less.entry_price, less.realised) == (Decimal(1), Decimal(110), Decimal(0))
    last = apply_fill(less, make_fill(Side.SELL, "1", "120"), None, "manual")
    assert last.realised == 10 and last.closed_trade is not None and last.closed_trade.pnl == 10


def test_a_jump_through_zero_ends_one_trade_and_begins_one_that_is_not_ours() -> None:
    fills = loose((0, 2), (-1, -2))
    late = replace(fills[1], time_ms=T0 + 1, price=Decimal(90))
    result = fold(Position("BTC"), [Owned(fills[0], "mine", "signal"), Owned(late, "mine too", "signal")])
    (trip,) = result.trades
    assert (trip.trade.exit_reason, trip.trade.intent_id, trip.trade.pnl) == (GAP, "mine", Decimal(0))
    assert (trip.opened_by, trip.closed_by) == (fills[0].trade_id, late.trade_id)
    assert (result.position.size, result.position.entry_price) == (Decimal(-2), Decimal(90))
    assert result.position.intent_id is None


def test_one_fill_can_close_two_trades() -> None:
    """A jump through zero, and a flip back: three trips, each with a key of its own."""
    opening = loose((0, 2))[0]
    late = replace(loose((-1, 1))[0], time_ms=T0 + 1, tid=7)
    result = fold(Position("BTC"), owned([late, opening]))
    assert [(trip.opened_by, trip.closed_by) for trip in result.trades] == [
        (opening.trade_id, late.trade_id),
        (late.trade_id, late.trade_id),
    ]
    assert (result.position.size, result.position.intent_id) == (Decimal(1), "intent-1")
