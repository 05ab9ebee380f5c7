"""Whatever the arrivals: no false death, a feed that stops is named in time, a quiet coin begins nothing again."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.hyperliquid.feed_health import Verdict
from adapters.hyperliquid.line_health import BUSY_DEAD_MS, DEAD_MS
from adapters.hyperliquid.restart_ladder import (
    FIRST_COOLDOWN_MS,
    LONGEST_COOLDOWN_MS,
    RECONNECTS_PER_MINUTE,
    RestartLadder,
    Rung,
)
from adapters.hyperliquid.usual_gaps import CEILING_MS, TIMES_USUAL, UsualGap
from tests.feed_reports import ArrivingLine, Moments, Watched, moments, watch

SHAPES = ("chance", "regular", "bursts", "heavy tail", "day and night")
START_MS = 1_700_000_000_000
FIRST_QUOTES_MS = START_MS + 400
LOOK_MS = 1_000


def arrivals(shape: str, mean_ms: float, seconds: int, seed: int) -> Moments:
    """Moments of arrival over a while, on average `mean_ms` apart."""
    chance = np.random.default_rng(seed)
    count = int(2 * seconds * 1_000 / mean_ms) + 50
    gaps: npt.NDArray[np.float64]
    match shape:
        case "chance":
            gaps = chance.exponential(mean_ms, count)
        case "regular":
            gaps = mean_ms * chance.uniform(0.9, 1.1, count)
        case "bursts":  # nine of ten follow at once
            gaps = np.where(chance.random(count) < 0.9, mean_ms / 50, chance.exponential(9.8 * mean_ms, count))
        case "heavy tail":
            gaps = mean_ms * chance.lognormal(-0.5, 1.0, count)
        case _:  # the rate swings by a factor of nine within ten minutes
            place = np.arange(count) * mean_ms / 600_000
            gaps = chance.exponential(mean_ms, count) * 3 ** np.sin(2 * np.pi * place)
    times = START_MS + np.cumsum(gaps)
    times = times[times > FIRST_QUOTES_MS]
    return moments(times[times < START_MS + seconds * 1_000])


def line_of(number: int, coins: int, came: Moments, seed: int) -> ArrivingLine:
    """Spread arrivals over coins, some of which speak much more often than others. Each begins with its quote."""
    chance = np.random.default_rng(seed)
    weights = chance.pareto(1.0, coins) + 0.01
    whose = chance.choice(coins, size=len(came), p=weights / weights.sum())
    quotes = {f"C{number}.{coin}": came[whose == coin] for coin in range(coins)}
    return ArrivingLine(number, {coin: np.append(FIRST_QUOTES_MS, each) for coin, each in quotes.items()})


def same_prices(*lines: ArrivingLine) -> dict[str, float]:
    return {symbol: 1.0 for line in lines for symbol in line.quotes}


def deaths(found: Watched) -> int:
    return len(found.of(Verdict.DEAD, Verdict.FROZEN, Verdict.DOWN)) + len(found.dead_coins)


# ── no false death ───────────────────────────────────────────────────────────────────────────────


@given(
    shape=st.sampled_from(SHAPES),
    mean_ms=st.floats(8, 20_000),
    coins=st.sampled_from([1, 3, 12, 60]),
    seed=st.integers(0, 2**32),
)
def test_while_prices_agree_no_arrivals_are_a_death(shape: str, mean_ms: float, coins: int, seed: int) -> None:
    """Ten minutes of any process, of two connections with rates of their own."""
    lines = [
        line_of(number, coins, arrivals(shape, mean_ms * scale, 600, seed + number), seed)
        for number, scale in enumerate((1.0, 3.0))
    ]
    prices = same_prices(*lines)
    found = watch(lines, START_MS, START_MS + 600_000, mids_at=lambda _: prices, price_of=lambda *_: 1.0)
    assert deaths(found) <= (shape == "heavy tail"), "which may lack forty quotes in a row once in a hundred hours"


def test_without_a_witness_false_deaths_are_few() -> None:
    """Twenty hours in which the venue does not answer, of anything a few coins or a steady market may do."""
    chance = random.Random(7)
    false, looks = 0, 0
    for number in range(80):
        coins = chance.choice((1, 3, 60))
        shape = chance.choice(SHAPES if coins < 6 else ("chance", "regular", "day and night"))
        came = arrivals(shape, 10 ** chance.uniform(0.9, 3.7), 900, number)
        found = watch([line_of(0, coins, came, number)], START_MS, START_MS + 900_000)
        false += deaths(found)
        looks += found.looks
    assert looks == 80 * 900
    assert false <= 1


# ── no life after death ──────────────────────────────────────────────────────────────────────────


@given(
    shape=st.sampled_from(SHAPES),
    mean_ms=st.floats(8, 3_000),
    coins=st.sampled_from([1, 2, 12, 60]),
    stop_s=st.integers(60, 300),
    beside=st.booleans(),
    pongs=st.booleans(),
    answers=st.booleans(),
    seed=st.integers(0, 2**32),
)
@example("heavy tail", 245.0, 12, 60, False, False, True, 65_536)  # the venue agreed in the last second before the stop
def test_a_feed_that_stops_is_named_within_the_bound(
    shape: str, mean_ms: float, coins: int, stop_s: int, beside: bool, pongs: bool, answers: bool, seed: int
) -> None:
    came = arrivals(shape, mean_ms, 600, seed)
    stop_ms = START_MS + stop_s * 1_000
    alive = line_of(0, coins, came, seed)
    line = ArrivingLine(0, {coin: each[each < stop_ms] for coin, each in alive.quotes.items()}, pongs=pongs)
    lines = [line, line_of(1, 8, arrivals("chance", 50, 600, seed + 1), seed)] if beside else [line]
    last_ms = int(line.data[-1]) if len(line.data) else START_MS
    prices = same_prices(*lines)
    moved = dict.fromkeys(prices, 1.01)
    found = watch(
        lines,
        START_MS,
        START_MS + 600_000,
        mids_at=(lambda now_ms: moved if now_ms > stop_ms else prices) if answers else None,
        price_of=lambda symbol, now_ms: 1.01 if symbol.startswith("C1.") and now_ms > stop_ms else 1.0,
    )
    gap = _learned(line, last_ms)
    limit_ms = gap.limit_ms(3_000)
    assert limit_ms <= TIMES_USUAL * CEILING_MS
    named = [spell for spell in found.spells if spell.number == 0 and spell.last_ms > last_ms and spell.reason]
    assert named and named[0].first_ms - last_ms <= limit_ms + LOOK_MS
    assert "connection 0: nothing for" in named[0].reason
    dead = [spell for spell in named if spell.verdict is Verdict.DEAD]
    bound_ms = _death_ms(gap, coins, beside=beside, pongs=pongs, answers=answers)
    # As long as the feed might have spoken, an answer that agrees is as good as a frame.
    from_ms = stop_ms if answers else last_ms
    if bound_ms is not None:
        assert dead and dead[0].first_ms - from_ms <= bound_ms + LOOK_MS


def _learned(line: ArrivingLine, last_ms: int) -> UsualGap:
    """What a classifier of its own finds usual, looking at the same moments."""
    gap = UsualGap()
    looks = np.arange(START_MS + 37, last_ms + LOOK_MS, LOOK_MS, dtype=np.int64)
    for place, report in enumerate(line.reports(looks, START_MS)):
        gap.look(report.data_silence_ms, LOOK_MS if place else 0)
    return gap


def _death_ms(gap: UsualGap, coins: int, *, beside: bool, pongs: bool, answers: bool) -> int | None:
    """By when the rules say that it is dead; None where nothing proves it."""
    bounds, limit_ms = [], gap.limit_ms(3_000)
    if answers:
        bounds.append(limit_ms + 10_000 + 3_500)  # the next question, and a frame that may be on its way
    if coins > 5 or gap.is_busy or gap.is_regular:
        bounds.append(max(limit_ms, BUSY_DEAD_MS if beside and gap.is_busy else DEAD_MS))
    if not pongs:
        bounds.append(25_000)
    return min(bounds, default=None)


# ── quiet coins ──────────────────────────────────────────────────────────────────────────────────


@given(
    rates=st.lists(st.floats(2_000, 600_000), min_size=1, max_size=5),
    busy=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_quiet_coins_begin_nothing_again_as_long_as_the_venue_agrees(rates: list[float], busy: bool, seed: int) -> None:
    """Coins that fall quiet at any time, for any time, alone on their connection or beside busy ones."""
    chance = random.Random(seed)
    quotes = {}
    for number, mean_ms in enumerate(rates):
        came = arrivals("chance", mean_ms, 900, seed + number)
        quiet_ms = START_MS + chance.randrange(900_000)
        wakes_ms = quiet_ms + chance.randrange(900_000)
        quotes[f"THIN{number}"] = came[(came < quiet_ms) | (came > wakes_ms)]
    if busy:
        quotes["BUSY"] = arrivals("chance", 60, 900, seed)
    line = ArrivingLine(0, quotes)
    found = watch([line], START_MS, START_MS + 900_000, mids_at=lambda _: same_prices(line), price_of=lambda *_: 1.0)
    assert deaths(found) == 0


# ── the ladder ───────────────────────────────────────────────────────────────────────────────────


@given(
    acts=st.lists(
        st.tuples(
            st.integers(1, 20_000),
            st.sampled_from(["line 0", "line 1", "line 2", "coin A", "coin B", "spoke 0", "spoke 1"]),
        ),
        max_size=400,
    )
)
def test_no_rung_is_used_again_before_its_time(acts: list[tuple[int, str]]) -> None:
    ladder, now_ms = RestartLadder(), 0
    used: dict[tuple[Rung, str], list[int]] = {}
    connects: list[int] = []
    for passed_ms, act in acts:
        now_ms += passed_ms
        what, name = act.split()
        if what == "spoke":
            ladder.line_spoke(int(name))
            continue
        rung = ladder.for_coin(name, 0, now_ms) if what == "coin" else ladder.for_line(int(name), 3, now_ms)
        if rung is None:
            continue
        thing = {Rung.RESUBSCRIBE: name, Rung.RECONNECT: "0" if what == "coin" else name, Rung.RECONNECT_ALL: "all"}
        used.setdefault((rung, thing[rung]), []).append(now_ms)
        connects += [now_ms] * {Rung.RESUBSCRIBE: 0, Rung.RECONNECT: 1, Rung.RECONNECT_ALL: 3}[rung]
    for times in used.values():
        gaps = [later - sooner for sooner, later in pairwise(times)]
        assert all(gap >= FIRST_COOLDOWN_MS for gap in gaps)
        for before, after in pairwise(gaps):
            assert after >= min(LONGEST_COOLDOWN_MS, 2 * FIRST_COOLDOWN_MS) or before > LONGEST_COOLDOWN_MS - 300_000
    for at_ms in connects:
        assert sum(at_ms <= other < at_ms + 60_000 for other in connects) <= RECONNECTS_PER_MINUTE
