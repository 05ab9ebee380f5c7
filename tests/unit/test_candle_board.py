"""Which candles can be believed: streams that were down, silences that are not like a symbol, what is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from application.candle_board import QUIET_WAIT_MS, CandleBoard
from application.stream_trust import RESUME_SURE_MS
from application.venue_clock import VenueClock
from domain.candles import Interval
from tests.engine_builders import MINUTE_MS, START_MS, Bar, flat_bar, universe_of, updates_of, window_of

GRACE_MS = 1_000
BTC, ETH = 0, 1
SYMBOLS = ("BTC", "ETH")


def candle(number: int) -> int:
    return START_MS + number * MINUTE_MS


def close_of(number: int) -> int:
    """The first moment at which the n-th candle may be taken."""
    return candle(number + 1) + GRACE_MS


def waited(number: int) -> int:
    """The first moment at which silence in the n-th candle counts."""
    return close_of(number) + QUIET_WAIT_MS


class Board:
    """Two symbols on one-minute candles, anchored; the last candle of their history is taken."""

    def __init__(self, *, quiet_every: int = 0, streamed: bool = True) -> None:
        self.universe = universe_of(*SYMBOLS)
        self.clock = VenueClock()
        self.board = CandleBoard(len(SYMBOLS), Interval.M1, self.clock, GRACE_MS, streamed=streamed)
        self.time(START_MS + 500)
        for symbol_id in (BTC, ETH):
            self.anchor(symbol_id, -1, quiet_every=quiet_every)
        assert self.at(waited(-1)) == [(-1, [BTC, ETH])]
        assert self.board.take_missing() == []

    def time(self, venue_ms: int) -> None:
        self.clock.stamp(venue_ms, venue_ms)

    def anchor(self, symbol_id: int, last: int, *, quiet_every: int = 0, price: float = 100.0) -> None:
        window = window_of(SYMBOLS[symbol_id], candle(last), [price] * 200, quiet_every=quiet_every)
        self.board.anchor(symbol_id, window)

    def hear(self, number: int, bars: dict[int, Bar], at_ms: int | None = None) -> None:
        at_ms = candle(number) + 30_000 if at_ms is None else at_ms
        self.board.apply_updates(updates_of(candle(number), bars, at_ms), at_ms)

    def streams(self, running: bool, at_ms: int, *ids: int, silent_ms: int = 0) -> None:
        chosen = np.array(ids or (BTC, ETH), dtype=np.intp)
        self.board.set_streams(chosen, at_ms, running=running, silent_ms=silent_ms)

    def extend(self, symbol_id: int, first: int, closes: Sequence[float], *, quiet: bool = False) -> None:
        window = window_of(SYMBOLS[symbol_id], candle(first + len(closes) - 1), closes, quiet_every=1 if quiet else 0)
        self.board.extend(symbol_id, window)

    def at(self, at_ms: int) -> list[tuple[int, list[int]]]:
        """What closes at this moment: number of the candle and symbols of each batch."""
        return [
            ((batch.candles.open_ms - START_MS) // MINUTE_MS, batch.candles.ids.tolist())
            for batch in self.board.due(at_ms)
        ]


# ── streams that were down ───────────────────────────────────────────────────────────────────


def test_a_candle_that_ended_while_its_stream_was_down_is_asked_for_and_not_believed() -> None:
    rig = Board()
    rig.hear(0, {BTC: flat_bar(100), ETH: flat_bar(100)})
    rig.streams(False, candle(0) + 40_000, ETH)
    assert rig.at(waited(0)) == [(0, [BTC])]
    assert rig.board.take_missing() == [ETH] and rig.board.take_missing() == []
    assert rig.board.take_gaps() == []


def test_a_stream_that_came_back_before_the_end_needs_to_be_heard_once_more() -> None:
    rig = Board()
    rig.hear(0, {BTC: flat_bar(100), ETH: flat_bar(100)}, candle(0) + 10_000)
    rig.streams(False, candle(0) + 20_000)
    rig.streams(True, candle(0) + 25_000)
    rig.hear(0, {BTC: (100, 103, 100, 103, 5)}, candle(0) + 30_000)
    assert rig.at(waited(0)) == [(0, [BTC])], "what ETH traded while nobody listened is not known"
    assert rig.board.take_missing() == [ETH]


def test_a_stream_that_stopped_after_the_end_changes_nothing_about_the_candle() -> None:
    rig = Board()
    rig.hear(0, {BTC: flat_bar(100), ETH: flat_bar(100)})
    rig.streams(False, candle(1) + 1)
    assert rig.at(close_of(0)) == [(0, [BTC, ETH])]


def test_a_candle_that_was_taken_while_a_stream_was_dead_unnoticed_sends_its_symbol_back_to_its_history() -> None:
    rig = Board()
    rig.hear(0, {BTC: flat_bar(100), ETH: flat_bar(100)}, candle(0) + 52_000)
    assert rig.at(close_of(0)) == [(0, [BTC, ETH])]
    rig.streams(False, candle(1) + 4_000, ETH, silent_ms=9_000)
    assert rig.board.take_gaps() == [ETH], "its last five seconds were heard by nobody"
    rig.streams(False, candle(1) + 4_000, BTC, silent_ms=3_900)
    assert rig.board.take_gaps() == []


def test_silence_while_a_stream_was_down_is_no_quiet_not_even_for_a_quiet_symbol() -> None:
    rig = Board(quiet_every=2)
    rig.streams(False, candle(0) + 1, ETH)
    rig.streams(True, candle(1) - RESUME_SURE_MS + 1, ETH)
    rig.hear(0, {BTC: flat_bar(100)})
    assert rig.at(waited(0)) == [(0, [BTC])]
    assert rig.board.take_missing() == [ETH]


def test_a_stream_that_runs_again_in_time_would_have_told_a_candle_that_somebody_traded_in() -> None:
    rig = Board(quiet_every=2)
    rig.streams(False, candle(0) + 1, ETH)
    rig.streams(True, candle(1) - RESUME_SURE_MS, ETH)
    rig.hear(0, {BTC: flat_bar(100)})
    assert rig.at(waited(0)) == [(0, [BTC, ETH])]
    assert rig.board.take_missing() == []


def test_candles_that_a_stream_missed_altogether_are_not_quiet_either() -> None:
    rig = Board(quiet_every=2)
    rig.streams(False, candle(0) + 30_000, ETH)
    for number in range(3):
        rig.hear(number, {BTC: flat_bar(100)})
        assert rig.at(waited(number)) == [(number, [BTC])]
    rig.streams(True, candle(3) + 10_000, ETH)
    rig.hear(3, {BTC: flat_bar(100), ETH: flat_bar(100)}, candle(3) + 20_000)
    rig.extend(ETH, 0, [100.0, 101.0, 102.0])
    assert rig.at(candle(3) + 20_001) == [(0, [ETH]), (1, [ETH]), (2, [ETH])]
    assert rig.at(close_of(3)) == [(3, [BTC, ETH])]
    assert rig.board.take_gaps() == []


def test_what_was_asked_for_closes_late_and_in_order() -> None:
    rig = Board()
    rig.hear(0, {BTC: flat_bar(100), ETH: flat_bar(100)})
    rig.streams(False, candle(0) + 40_000, ETH)
    rig.at(waited(0))
    rig.streams(True, candle(1) + 10_000, ETH)
    rig.hear(1, {BTC: flat_bar(101), ETH: flat_bar(102)})
    assert rig.at(close_of(1)) == [(1, [BTC])], "ETH waits for its candle 0, and has not fallen out"
    rig.extend(ETH, 0, [99.0])
    assert rig.at(close_of(1) + 1) == [(0, [ETH]), (1, [ETH])]
    assert rig.board.ring.window("ETH", ETH, candle(1), 2).close.tolist() == [99.0, 102.0]


def test_before_any_venue_stamp_a_stream_that_starts_vouches_for_nothing_that_ran_before() -> None:
    clock = VenueClock()
    board = CandleBoard(1, Interval.M1, clock, GRACE_MS)
    ids = np.array([0], dtype=np.intp)
    board.set_streams(ids, START_MS + 40_000, running=False)
    board.set_streams(ids, START_MS + 50_000, running=True)
    clock.stamp(START_MS + 51_000, START_MS + 51_000)
    board.anchor(0, window_of("BTC", candle(-1), [100.0] * 200, quiet_every=2))
    board.apply_updates(updates_of(candle(1), {0: flat_bar(100)}, candle(1) + 5_000), candle(1) + 5_000)
    board.due(waited(0))
    assert board.take_gaps() == [] and int(board.taken[0]) == candle(-1)
    board.due(waited(1))
    assert int(board.taken[0]) == candle(-1), "nobody heard candle 0"


# ── silences that are not like a symbol ──────────────────────────────────────────────────────


def test_a_symbol_that_always_trades_is_asked_about_at_its_first_silence() -> None:
    rig = Board()
    rig.hear(0, {BTC: flat_bar(100)})
    assert rig.at(waited(0)) == [(0, [BTC])]
    assert rig.board.take_missing() == [ETH]


def test_a_symbol_that_is_quiet_every_other_time_may_be_silent_for_a_while() -> None:
    rig = Board(quiet_every=2)
    believed = []
    for number in range(12):
        rig.hear(number, {BTC: flat_bar(100)})
        if rig.at(waited(number)) != [(number, [BTC, ETH])]:
            break
        believed.append(number)
    assert 5 <= len(believed) <= 8, "half to the power of eight is less than one in a hundred"
    assert rig.board.take_missing() == [ETH]


def test_a_silence_that_the_venue_has_confirmed_is_asked_about_again_only_when_it_has_doubled() -> None:
    rig = Board()
    asked = []
    for number in range(40):
        rig.hear(number, {BTC: flat_bar(100)})
        rig.at(waited(number))
        if rig.board.take_missing():
            asked.append(number)
            rig.extend(ETH, number, [100.0], quiet=True)
            assert rig.at(waited(number) + 1) == [(number, [ETH])]
    assert asked[0] == 0 and len(asked) <= 6
    assert all(later + 1 >= 2 * (sooner + 1) for sooner, later in pairwise(asked))


def test_a_trade_ends_what_was_known_of_a_silence() -> None:
    rig = Board()
    rig.hear(0, {BTC: flat_bar(100)})
    rig.at(waited(0))
    assert rig.board.take_missing() == [ETH]
    rig.extend(ETH, 0, [100.0], quiet=True)
    rig.at(waited(0) + 1)
    rig.hear(1, {BTC: flat_bar(100), ETH: flat_bar(100)})
    assert rig.at(waited(1)) == [(1, [BTC, ETH])]
    for number in range(2, 5):
        rig.hear(number, {BTC: flat_bar(100)})
        rig.at(waited(number))
        if rig.board.take_missing():
            break
    else:
        pytest.fail("nobody doubted that this symbol went quiet again")


# ── what was asked for ───────────────────────────────────────────────────────────────────────


def test_an_answer_that_reaches_further_is_taken_candle_by_candle() -> None:
    rig = Board()
    rig.hear(0, {BTC: flat_bar(100)})
    rig.at(waited(0))
    rig.board.take_missing()
    rig.hear(1, {BTC: flat_bar(100)})
    rig.extend(ETH, 0, [101.0, 102.0])
    assert rig.at(close_of(1)) == [(0, [ETH]), (1, [BTC, ETH])]


def test_an_answer_that_leaves_a_hole_makes_its_symbol_fall_out() -> None:
    rig = Board()
    rig.extend(ETH, 1, [101.0])
    assert rig.board.take_gaps() == [ETH]


def test_an_answer_for_a_symbol_that_fell_out_or_with_nothing_new_does_nothing() -> None:
    rig = Board()
    rig.extend(ETH, -2, [100.0, 100.0])
    assert rig.board.take_gaps() == [] and rig.board.take_revised() == []
    rig.board.drop(ETH)
    rig.extend(ETH, 0, [101.0])
    rig.hear(0, {BTC: flat_bar(100)})
    assert rig.at(waited(0)) == [(0, [BTC])]


def test_the_venues_own_words_put_a_taken_candle_right_and_are_a_revision_once() -> None:
    rig = Board()
    rig.hear(0, {BTC: flat_bar(100), ETH: flat_bar(100)})
    rig.at(waited(0))
    for _ in range(2):
        rig.board.check(ETH, window_of("ETH", candle(0), [100.0, 77.0]))
    (revised,) = rig.board.take_revised()
    assert (revised.open_ms, revised.ids.tolist(), revised.close.tolist()) == (candle(0), [ETH], [77.0])
    assert rig.board.ring.window("ETH", ETH, candle(0), 1).close.tolist() == [77.0]
    assert rig.at(waited(0) + 1) == [], "what was taken is not taken again"


def test_a_candle_that_is_compared_before_it_is_taken_is_taken_in_the_venues_words() -> None:
    rig = Board()
    rig.hear(0, {BTC: flat_bar(100), ETH: flat_bar(100)})
    rig.board.check(ETH, window_of("ETH", candle(0), [100.0, 77.0]))
    assert rig.board.take_revised() == []
    assert rig.at(close_of(0)) == [(0, [BTC, ETH])]
    assert rig.board.ring.window("ETH", ETH, candle(0), 1).close.tolist() == [77.0]
    rig.board.check(ETH, window_of("ETH", candle(3), [90.0, 77.0]))
    assert rig.board.take_gaps() == [], "an answer that begins later proves nothing about now"


# ── candles that are not streamed ────────────────────────────────────────────────────────────


def test_without_a_stream_each_closed_candle_is_asked_for_once_at_its_close() -> None:
    rig = Board(streamed=False)
    assert not rig.board.is_due(close_of(0) - 1) and rig.at(close_of(0) - 1) == []
    assert rig.board.is_due(close_of(0)) and rig.at(close_of(0)) == []
    assert rig.board.take_missing() == [BTC, ETH]
    assert rig.at(close_of(0) + 200) == [] and rig.board.take_missing() == []
    rig.extend(BTC, 0, [101.0])
    assert rig.at(close_of(0) + 300) == [(0, [BTC])]
    rig.extend(ETH, 0, [102.0])
    assert rig.at(close_of(0) + 400) == [(0, [ETH])]
    rig.at(close_of(1))
    assert rig.board.take_missing() == [BTC, ETH]


def test_without_a_stream_nobody_stands_flat_and_nobody_falls_out_for_a_late_answer() -> None:
    rig = Board(streamed=False)
    for number in range(3):
        rig.at(close_of(number))
        assert rig.board.take_missing() == [BTC, ETH]
    rig.extend(BTC, 0, [101.0, 102.0, 103.0])
    assert rig.at(waited(2)) == [(0, [BTC]), (1, [BTC]), (2, [BTC])]
    rig.extend(ETH, 0, [101.0])
    assert rig.at(waited(2) + 1) == [(0, [ETH])]
    assert rig.board.take_gaps() == []
    rig.at(close_of(3))
    assert rig.board.take_missing() == [BTC, ETH]


def test_without_a_stream_a_symbol_that_is_anchored_late_is_asked_about_at_once() -> None:
    rig = Board(streamed=False)
    rig.at(close_of(0))
    rig.board.take_missing()
    rig.anchor(ETH, -3)
    assert rig.at(close_of(0) + 5)[-1] == (-1, [ETH])
    assert rig.board.take_missing() == [ETH]
