"""Every closed candle is taken once, in order and never early, whatever becomes of the frames on their way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from hypothesis import event as seen
from hypothesis import given, settings
from hypothesis import strategies as st

from application.candle_board import QUIET_WAIT_MS, ClosedBatch
from application.engine import UnifiedEngine
from application.engine_settings import EngineSettings
from application.market_data_hub import MarketDataHub
from domain.candles import CandleBatch, CandleWindow, Interval, with_quiet_spans
from domain.effects import FetchCandles
from domain.events import CandleUpdates, Event, HistoryLoaded, Quotes, Recovered, TimerFired
from domain.facts import LedgerState
from ports.strategy import WARMUP_CANDLES
from tests.engine_builders import (
    MINUTE_MS,
    START_MS,
    Bar,
    ScriptedStrategy,
    effects_of,
    manager_of,
    quotes_of,
    universe_of,
    updates_of,
    window_of,
)

SYMBOLS = ("BTC", "ETH", "SOL")
SPANS = 6
GRACE_MS = 1_000
FIRST_CLOSE = 100.0

# ── a market, and what becomes of its news ───────────────────────────────────────────────────


@dataclass(frozen=True)
class Print:
    """A trade in a candle, and how its frame travels: late, more than once, or not at all."""

    symbol_id: int
    span: int
    offset_ms: int
    price: int
    delays_ms: tuple[int, ...]


@dataclass(frozen=True)
class Stamp:
    """A quote: it says what time it is at the venue."""

    venue_ms: int
    delay_ms: int


@dataclass(frozen=True)
class Feed:
    prints: tuple[Print, ...]
    stamps: tuple[Stamp, ...]
    timer_ms: int
    skew_ms: int
    history_delay_ms: int


SHORT, LONG, VERY_LONG = st.integers(0, 300), st.integers(0, 3_000), st.integers(0, 2 * MINUTE_MS)
DELAYS = st.one_of(
    st.tuples(SHORT), st.tuples(SHORT), st.tuples(LONG), st.tuples(VERY_LONG), st.tuples(SHORT, VERY_LONG), st.just(())
)
PRINT = st.builds(
    Print,
    symbol_id=st.integers(0, len(SYMBOLS) - 1),
    span=st.integers(0, SPANS - 1),
    offset_ms=st.integers(0, MINUTE_MS - 1) | st.integers(MINUTE_MS - 50, MINUTE_MS - 1),
    price=st.integers(90, 110),
    delays_ms=DELAYS,
)
STAMP = st.builds(Stamp, venue_ms=st.integers(START_MS, START_MS + SPANS * MINUTE_MS), delay_ms=st.integers(0, 5_000))
STEADY = tuple(Print(0, span, 100, 100, (5,)) for span in range(SPANS))
"""A symbol that trades in every candle: the feed is seen to live."""


def feeds(*always: Print) -> st.SearchStrategy[Feed]:
    return st.builds(
        Feed,
        prints=st.lists(PRINT, min_size=8, max_size=40).map(lambda prints: (*always, *prints)),
        stamps=st.lists(STAMP, max_size=6).map(tuple),
        timer_ms=st.sampled_from([200, 1_000, 7_000, 150_000]),
        skew_ms=st.sampled_from([0, -86_400_000, 3_600_000]),
        history_delay_ms=st.sampled_from([0, 400, 90_000]),
    )


def open_of(span: int) -> int:
    return START_MS + span * MINUTE_MS


def frames_of(prints: tuple[Print, ...]) -> Iterator[tuple[int, CandleUpdates]]:
    """When each state of a running candle arrives: open, extremes, close and volume of its trades so far."""
    states: dict[tuple[int, int], Bar] = {}
    for trade in sorted(prints, key=lambda each: (each.span, each.offset_ms)):
        key, price = (trade.symbol_id, trade.span), float(trade.price)
        open_, high, low, _, volume = states.get(key, (price, price, price, price, 0.0))
        states[key] = (open_, max(high, price), min(low, price), price, volume + 1)
        venue_ms = open_of(trade.span) + trade.offset_ms
        for delay_ms in trade.delays_ms:
            yield venue_ms + delay_ms, updates_of(open_of(trade.span), {trade.symbol_id: states[key]}, venue_ms)


def timeline(feed: Feed) -> list[tuple[int, Event]]:
    """Everything that arrives, in the order of arrival, true time."""
    end_ms = open_of(SPANS) + 4 * MINUTE_MS
    arrivals: list[tuple[int, Event]] = [(START_MS + 1, quotes_of(START_MS + 1, {}))]
    arrivals += frames_of(feed.prints)
    arrivals += [(stamp.venue_ms + stamp.delay_ms, quotes_of(stamp.venue_ms, {})) for stamp in feed.stamps]
    arrivals += [(at_ms, TimerFired()) for at_ms in range(START_MS + feed.timer_ms, end_ms, feed.timer_ms)]
    arrivals.append((end_ms, TimerFired()))
    return sorted(arrivals, key=lambda arrival: arrival[0])


def bar_at(candles: CandleBatch, place: int) -> Bar:
    return (
        float(candles.open[place]),
        float(candles.high[place]),
        float(candles.low[place]),
        float(candles.close[place]),
        float(candles.volume[place]),
    )


# ── the hub alone ────────────────────────────────────────────────────────────────────────────


class Watcher:
    """Follows a hub with an oracle of its own: what was told so far, and what was taken."""

    def __init__(self, feed: Feed) -> None:
        self.hub = MarketDataHub(universe_of(*SYMBOLS), Interval.M1, GRACE_MS)
        self.skew_ms = feed.skew_ms
        self.told: dict[tuple[int, int], Bar] = {}
        self.taken: dict[tuple[int, int], Bar] = {}
        self.batches: dict[int, int] = {}
        self.next_span = dict.fromkeys(range(len(SYMBOLS)), 0)
        self.last_close = dict.fromkeys(range(len(SYMBOLS)), FIRST_CLOSE)
        self.keys: dict[str, int] = {}
        self.fell: set[int] = set()
        self.revised: set[int] = set()
        self.hub.apply_quotes(quotes_of(START_MS, {}), START_MS + self.skew_ms)
        for symbol_id, symbol in enumerate(SYMBOLS):
            self.hub.anchor(symbol_id, window_of(symbol, START_MS - MINUTE_MS, [FIRST_CLOSE] * 2))
        assert [batch.candles.open_ms for batch in self.hub.due(START_MS + GRACE_MS + self.skew_ms)] == [
            START_MS - MINUTE_MS
        ]

    def hear(self, now_ms: int, event: Event) -> None:
        at_ms = now_ms + self.skew_ms
        match event:
            case CandleUpdates(candles):
                self.hub.apply_updates(event, at_ms)
                self._note(int(candles.ids[0]), (candles.open_ms - START_MS) // MINUTE_MS, bar_at(candles, 0))
            case Quotes():
                self.hub.apply_quotes(event, at_ms)
            case _:
                pass
        for batch in self.hub.due(at_ms):
            self._take(now_ms, batch)
        assert not self.hub.due(at_ms), "what was due has been taken"
        self.fell.update(self.hub.candles.take_gaps())
        revised = {each for batch in self.hub.candles.take_revised() for each in batch.ids.tolist()}
        assert revised == self.revised
        self.revised.clear()
        self._check_keys(now_ms, at_ms)

    def _note(self, symbol_id: int, span: int, bar: Bar) -> None:
        known = self.told.get((symbol_id, span))
        if known is not None and bar[4] <= known[4]:
            seen("older state")
            return
        self.told[symbol_id, span] = bar
        if (symbol_id, span) in self.taken:
            self.revised.add(symbol_id)
            seen("revised")

    def _take(self, now_ms: int, batch: ClosedBatch) -> None:
        candles = batch.candles
        span = (candles.open_ms - START_MS) // MINUTE_MS
        end_ms = open_of(span + 1)
        assert now_ms >= end_ms + GRACE_MS, "never before its end and the grace"
        assert batch.batch_no == self.batches.get(span, 0), "late batches count up"
        self.batches[span] = batch.batch_no + 1
        seen("late batch" if batch.batch_no else "first batch")
        ids = candles.ids.tolist()
        assert ids == sorted(set(ids)) and ids
        for place, symbol_id in enumerate(ids):
            assert symbol_id not in self.fell
            assert span == self.next_span[symbol_id], "each candle once, one after the other"
            self.next_span[symbol_id] += 1
            told, bar, last = self.told.get((symbol_id, span)), bar_at(candles, place), self.last_close[symbol_id]
            if told is None:
                seen("flat")
                assert batch.provisional[place] and now_ms >= end_ms + GRACE_MS + QUIET_WAIT_MS
                assert bar == (last, last, last, last, 0.0)
            else:
                assert not batch.provisional[place] and bar == told, "the newest state that was told"
            self.taken[symbol_id, span] = bar
            self.last_close[symbol_id] = bar[3]

    def _check_keys(self, now_ms: int, at_ms: int) -> None:
        for symbol in SYMBOLS:
            key = self.hub.candle_key(symbol, at_ms)
            assert key is not None and key >= self.keys.get(symbol, key), "keys only move forward"
            assert (key + 1 - START_MS) % MINUTE_MS == 0 and key < now_ms, "a key names a candle that has ended"
            self.keys[symbol] = key


@settings(max_examples=150)
@given(feed=feeds(*STEADY))
def test_while_the_feed_lives_every_symbol_closes_every_candle_once(feed: Feed) -> None:
    watcher = Watcher(feed)
    for now_ms, event in timeline(feed):
        watcher.hear(now_ms, event)
    assert watcher.fell == set()
    asked = set(watcher.hub.candles.take_missing())
    for symbol_id, span in watcher.next_span.items():
        if symbol_id not in asked:
            assert span == SPANS
        else:  # its silence is not like it: the venue is asked, and nobody answers here
            seen("asked about")
            assert span < SPANS and (symbol_id, span) not in watcher.told


@settings(max_examples=150)
@given(feed=feeds())
def test_a_span_without_any_news_makes_all_fall_out_and_nobody_closes_in_it(feed: Feed) -> None:
    watcher = Watcher(feed)
    heard = dict.fromkeys(range(SPANS), False)
    for now_ms, event in timeline(feed):
        if isinstance(event, CandleUpdates):
            heard[(event.candles.open_ms - START_MS) // MINUTE_MS] = True
        watcher.hear(now_ms, event)
    assert {span for _, span in watcher.taken} <= {span for span, lived in heard.items() if lived}
    closed = [watcher.next_span[symbol_id] for symbol_id in range(len(SYMBOLS))]
    last_heard = max((span for span, lived in heard.items() if lived), default=-1)
    for symbol_id, span in enumerate(closed):
        if symbol_id in watcher.fell:
            seen("fell out")
            assert span < last_heard, "who fell out had missed a candle"
        else:
            assert span == last_heard + 1, "who missed a candle fell out"


# ── the engine with the hub, and a history that repairs ──────────────────────────────────────


def history_of(feed: Feed, symbol_id: int, end_ms: int) -> CandleWindow:
    """What the venue's candle history says: the truth, with quiet spans flat, up to `end_ms`."""
    final: dict[int, Bar] = {}
    for trade in sorted(feed.prints, key=lambda each: (each.span, each.offset_ms)):
        if trade.symbol_id == symbol_id:
            price = float(trade.price)
            open_, high, low, _, volume = final.get(trade.span, (price, price, price, price, 0.0))
            final[trade.span] = (open_, max(high, price), min(low, price), price, volume + 1)
    before = window_of(SYMBOLS[symbol_id], START_MS - MINUTE_MS, [FIRST_CLOSE] * (WARMUP_CANDLES + 1))
    spans = [span for span in sorted(final) if open_of(span) < end_ms]
    open_ms = np.concatenate((before.open_ms, np.array([open_of(span) for span in spans], dtype=np.int64)))
    bars = np.array([final[span] for span in spans]).reshape(len(spans), 5)
    past = np.array((before.open, before.high, before.low, before.close, before.volume))
    return with_quiet_spans(
        CandleWindow(SYMBOLS[symbol_id], Interval.M1, open_ms, *np.concatenate((past, bars.T), axis=1)), end_ms
    )


class Session:
    """An engine, and a history that answers its questions late."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        universe = universe_of(*SYMBOLS)
        self.strategy = ScriptedStrategy(universe)  # it refuses a candle that does not follow the one before
        settings = EngineSettings("account", Interval.M1, candle_close_grace_ms=GRACE_MS)
        self.engine = UnifiedEngine(settings, universe, self.strategy, manager_of())
        self.answers: list[tuple[int, HistoryLoaded]] = []
        self.seq = 0

    def take(self, now_ms: int, event: Event) -> None:
        self.seq += 1
        done = len(self.strategy.analysed)
        step = self.engine.handle(self.seq, now_ms + self.feed.skew_ms, event)
        for _, open_ms in self.strategy.analysed[done:]:
            assert now_ms >= open_ms + MINUTE_MS + GRACE_MS, "never early"
        for wanted in effects_of(FetchCandles, step):
            window = history_of(self.feed, SYMBOLS.index(wanted.symbol), Interval.M1.open_of(now_ms))
            if wanted.is_tail:
                window = window.between(wanted.start_ms)
                seen("tail")
            answer = HistoryLoaded(wanted.symbol, Interval.M1, window, "history", "", wanted.is_tail)
            self.answers.append((now_ms + self.feed.history_delay_ms, answer))

    def run(self) -> None:
        arrivals = timeline(self.feed)
        arrivals.append((arrivals[-1][0] + self.feed.history_delay_ms, TimerFired()))
        self.take(START_MS, Recovered(LedgerState(instance_tag=b"ab"), ""))
        for now_ms, event in arrivals:
            for answer in [each for each in self.answers if each[0] <= now_ms]:
                self.answers.remove(answer)
                self.take(*answer)
            self.take(now_ms, event)


@settings(max_examples=100)
@given(feed=feeds(*STEADY))
def test_the_engine_analyses_every_candle_once_and_comes_back_from_every_repair(feed: Feed) -> None:
    session = Session(feed)
    session.run()
    analysed = session.strategy.analysed
    assert len(analysed) == len(set(analysed)), "exactly one analysis per symbol and key"
    for symbol in SYMBOLS:
        keys = [(open_ms - START_MS) // MINUTE_MS for name, open_ms in analysed if name == symbol]
        assert keys == sorted(keys), "keys only move forward"
        assert keys[-1] >= SPANS - 1, "nobody stays out"
        if symbol in session.strategy.forgotten:
            seen("rebuilt")
        elif feed.history_delay_ms == 0:
            seen("undisturbed")
            assert keys == list(range(-1, SPANS))


@settings(max_examples=60)
@given(feed=feeds())
def test_the_engine_never_analyses_a_candle_twice_on_a_feed_with_holes(feed: Feed) -> None:
    session = Session(feed)
    session.run()
    analysed = session.strategy.analysed
    assert len(analysed) == len(set(analysed)), "exactly one analysis per symbol and key"
    for symbol in SYMBOLS:
        keys = [open_ms for name, open_ms in analysed if name == symbol]
        assert keys == sorted(keys), "keys only move forward"
