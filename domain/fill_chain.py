"""The order in which one symbol's fills happened, and what they come to: the same from any order of arrival.

Every fill says which position it found (`start_position`), so fills form a chain: where one ends the
next one begins. Fills of one millisecond arrive in no order at all, and the chain alone has it: seen
as edges from position to position, their order is a way that takes each edge once (an Euler path).
Where the chain is broken, fills are missing, and that is a `Break` rather than a wrong position.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby, pairwise
from operator import attrgetter

from domain.fills import Fill
from domain.positions import Position, PositionStep, Trade, adjust, apply_fill


@dataclass(frozen=True, slots=True)
class Owned:
    """A fill with the intent that it belongs to (None: not ours) and the reason for which it happened."""

    fill: Fill
    intent_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Break:
    """Fills are missing before `before_trade_id`: it found another position than the fills before it left.

    `after_trade_id` is the fill before it; None where the fold's own start does not fit.
    """

    symbol: str
    after_trade_id: str | None
    before_trade_id: str
    expected: Decimal
    found: Decimal
    time_ms: int


@dataclass(frozen=True, slots=True)
class ClosedTrip:
    """A trade and the fills that opened and closed it: together its key, whatever arrived when.

    `opened_by` is None for a trip that was open at the fold's start. What a break opened or closed
    did the fill that showed the break.
    """

    trade: Trade
    closed_by: str
    opened_by: str | None


@dataclass(frozen=True, slots=True)
class Folded:
    """What fills come to. `realised` has (trade id, PnL realised by it), all in execution order."""

    position: Position
    realised: tuple[tuple[str, Decimal], ...]
    trades: tuple[ClosedTrip, ...]
    breaks: tuple[Break, ...]


def in_execution_order(fills: Iterable[Fill], before: Decimal | None = None) -> list[Fill]:
    """Sort one symbol's fills into the order in which they happened, each once.

    By time, then so that each `start_position` is where the fill before it ended, from `before` on
    (the position before all of them). Where that cannot be, the order with as few breaks as there
    have to be within each millisecond. Fills without a `start_position` come last in theirs, by tid.
    Neither the order nor the repetition of what is given matters.
    """
    by_time = sorted(_each_once(fills), key=attrgetter("time_ms"))
    instants = [list(group) for _, group in groupby(by_time, attrgetter("time_ms"))]
    ordered: list[Fill] = []
    for number, instant in enumerate(instants):
        after = _only_entry(instants[number + 1]) if before is None and number + 1 < len(instants) else None
        chained = _chain([fill for fill in instant if fill.start_position is not None], before, after)
        chained += sorted((fill for fill in instant if fill.start_position is None), key=_name)
        for fill in chained:
            before = _end(fill, before)
        ordered += chained
    return ordered


def fold(start: Position, fills: Sequence[Owned]) -> Folded:
    """Apply fills to a position in the order in which they happened; equal for equal sets of fills.

    At a break the position first jumps to what the venue says was there (`domain.positions.adjust`:
    nothing is realised by that), so after every fill it is the venue's. What a trip that had a jump
    earned is therefore only what its known fills earned.
    """
    owners = {each.fill.trade_id: (each.intent_id, each.reason) for each in fills}
    assert all(owners[each.fill.trade_id] == (each.intent_id, each.reason) for each in fills), "a fill has one owner"
    position, opened_by, last_id = start, None, None
    realised: list[tuple[str, Decimal]] = []
    trades: list[ClosedTrip] = []
    breaks: list[Break] = []
    for fill in in_execution_order([each.fill for each in fills], start.size):
        trade_id, found = fill.trade_id, fill.start_position
        steps: list[PositionStep] = []
        if found is not None and found != position.size:
            breaks.append(Break(start.symbol, last_id, trade_id, position.size, found, fill.time_ms))
            steps.append(adjust(position, found, fill.price, fill.time_ms))
        steps.append(apply_fill(steps[-1].position if steps else position, fill, *owners[trade_id]))
        for step in steps:
            if step.closed_trade is not None:
                trades.append(ClosedTrip(step.closed_trade, trade_id, opened_by))
            if position.is_flat or step.closed_trade is not None:
                opened_by = trade_id
            position = step.position
        realised.append((trade_id, steps[-1].realised))
        last_id = trade_id
    return Folded(position, tuple(realised), tuple(trades), tuple(breaks))


def is_next(position: Position, newest: Fill | None, fill: Fill, beside: Sequence[Fill] | None = None) -> bool:
    """Whether a new fill simply follows those that came to `position`: `apply_fill` is then all that a fold would do.

    `newest` is the last of them in execution order. Another fill of its millisecond can change the
    order of all in it. Whether it does shows only in the company of those (`beside`): they leave no
    choice where all of them trade in one direction. Without `beside` the answer is no.
    """
    if fill.start_position is not None and fill.start_position != position.size:
        return False
    if newest is None or fill.time_ms != newest.time_ms:
        return newest is None or fill.time_ms > newest.time_ms
    if beside is None or any(each.side is not fill.side for each in beside):
        return False
    return _is_chain([*in_execution_order([*beside, newest]), fill])


# ── inside ───────────────────────────────────────────────────────────────────────────────────

_Way = list[tuple[Decimal | None, Fill | None]]
"""Where edges from a node lead, and the fill that an edge is. The node None is the gap: see `_chain`."""


def _each_once(fills: Iterable[Fill]) -> list[Fill]:
    """One fill per trade id. Of versions that differ (a corrected resend) the same one every time."""
    versions: dict[str, Fill] = {}
    for fill in fills:
        known = versions.setdefault(fill.trade_id, fill)
        if fill != known:
            versions[fill.trade_id] = min(fill, known, key=repr)
    return list(versions.values())


def _name(fill: Fill) -> tuple[int, str]:
    return fill.tid, fill.trade_id


def _start(fill: Fill) -> Decimal:
    assert fill.start_position is not None, "only fills that say where they begin are chained"
    return fill.start_position


def _end(fill: Fill, before: Decimal | None) -> Decimal | None:
    start = before if fill.start_position is None else fill.start_position
    return None if start is None else start + fill.signed_size


def _only_entry(fills: Iterable[Fill]) -> Decimal | None:
    """Where the fills of a millisecond begin, if they leave no choice."""
    chained = [fill for fill in fills if fill.start_position is not None]
    surplus = Counter(_start(fill) for fill in chained)
    surplus.subtract(_start(fill) + fill.signed_size for fill in chained)
    entries = [(position, count) for position, count in surplus.items() if count > 0]
    return entries[0][0] if len(entries) == 1 and entries[0][1] == 1 else None


def _is_chain(fills: Sequence[Fill]) -> bool:
    return all(
        each.start_position is not None and _end(each, None) == following.start_position
        for each, following in pairwise(fills)
    )


def _chain(fills: list[Fill], before: Decimal | None, after: Decimal | None) -> list[Fill]:
    """Order fills of one millisecond along an Euler path from `before` to `after`, where those are known.

    Where there is none, the path goes through the gap, a node that every dead end leads to and every
    loose beginning comes from: each time costs one break, and it goes there no more often than it must.
    """
    if len(fills) < 2:
        return fills
    twins: defaultdict[tuple[Decimal, Decimal], list[Fill]] = defaultdict(list)
    for fill in sorted(fills, key=_name, reverse=True):
        twins[_start(fill), fill.signed_size].append(fill)
    ways = _ways(fills, before, after)
    return [twins[_start(fill), fill.signed_size].pop() for fill in _euler_path(before, ways)]


def _ways(fills: list[Fill], before: Decimal | None, after: Decimal | None) -> dict[Decimal | None, _Way]:
    """The edges of all fills, and as many to and from the gap as a path from `before` to `after` needs."""
    ways: defaultdict[Decimal | None, _Way] = defaultdict(list)
    surplus = Counter({before: -1} if before is not None else {})  # ways out less ways in
    if after is not None:
        surplus[after] += 1
    for fill in sorted(fills, key=lambda each: (-each.signed_size, _name(each))):
        end = _start(fill) + fill.signed_size
        ways[_start(fill)].append((end, fill))
        surplus[_start(fill)] += 1
        surplus[end] -= 1
    for position, count in sorted(surplus.items(), reverse=True):
        ways[None] += [(position, None)] * count
        ways[position] += [(None, None)] * -count
    _connect(ways)
    return ways


def _connect(ways: dict[Decimal | None, _Way]) -> None:
    """Tie to the gap what is a circle of its own. Everything else has a beginning or an end that is tied to it."""
    around: defaultdict[Decimal | None, list[Decimal | None]] = defaultdict(list)
    for position, leads in ways.items():
        for end, _ in leads:
            around[position].append(end)
            around[end].append(position)
    reached = _reachable(None, around)
    for position in sorted(position for position in around if position is not None):
        if position not in reached:
            reached |= _reachable(position, around)
            ways[position].append((None, None))
            ways[None].insert(0, (position, None))


def _reachable(origin: Decimal | None, around: dict[Decimal | None, list[Decimal | None]]) -> set[Decimal | None]:
    found, todo = {origin}, [origin]
    while todo:
        for each in around.get(todo.pop(), ()):
            if each not in found:
                found.add(each)
                todo.append(each)
    return found


def _euler_path(start: Decimal | None, ways: dict[Decimal | None, _Way]) -> Iterator[Fill]:
    """Take every edge once (Hierholzer): at each node the last of its edges first."""
    stack: _Way = [(start, None)]
    path: list[Fill] = []
    while stack:
        leads = ways.get(stack[-1][0])
        if leads:
            stack.append(leads.pop())
        else:
            fill = stack.pop()[1]
            if fill is not None:
                path.append(fill)
    return reversed(path)
