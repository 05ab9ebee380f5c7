"""What waits in the inbox, in which order it is taken, and what may give way."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from functools import partial

import numpy as np

from application.inbox import MARKET_LANE_LIMIT, Inbox
from domain.candles import Interval
from domain.events import (
    AccountSnapshot,
    CandleStreams,
    CandleUpdates,
    Event,
    FundingPaid,
    HistoryLoaded,
    MidsChecked,
    Quotes,
    TimerFired,
    VenueTime,
)
from tests.engine_builders import MINUTE_MS, START_MS, flat_bar, overrides_text, quotes_of, updates_of


def taken(inbox: Inbox) -> list[Event]:
    events = []
    while (event := inbox.take()) is not None:
        events.append(event)
    return events


def funding(number: int) -> FundingPaid:
    return FundingPaid("BTC", number, Decimal(1), Decimal(0), Decimal(0))


def test_the_account_comes_first_then_the_operator_then_the_market_and_time() -> None:
    inbox = Inbox()
    quotes, text, timer, paid = quotes_of(1, {0: (1.0, 2.0)}), overrides_text(""), TimerFired(), funding(1)
    candles = updates_of(START_MS, {0: flat_bar(1.0)}, START_MS)
    for event in (quotes, candles, timer, text, paid):
        inbox.put(event)
    assert taken(inbox) == [paid, text, quotes, candles, timer]


def test_nothing_that_may_close_a_candle_overtakes_what_was_heard_of_it() -> None:
    inbox = Inbox()
    heard = updates_of(START_MS, {0: flat_bar(1.0)}, START_MS)
    ids = np.array([0], dtype=np.intp)
    after: list[Event] = [
        CandleStreams(ids, Interval.M1, False),
        HistoryLoaded("BTC", Interval.M1, None, "venue", "none"),
        MidsChecked(1, ids, np.array([1.0])),
        VenueTime(START_MS + MINUTE_MS),
        TimerFired(),
    ]
    for event in (heard, *after, TimerFired()):
        inbox.put(event)
    assert taken(inbox) == [heard, *after]
    inbox.put(TimerFired())
    assert taken(inbox) == [TimerFired()], "it fires again once it was taken"


def test_that_streams_stop_never_gives_way() -> None:
    inbox = Inbox()
    stopped = CandleStreams(np.array([0], dtype=np.intp), Interval.M1, False)
    for number in range(3 * MARKET_LANE_LIMIT):
        inbox.put(quotes_of(number, {0: (1.0, 2.0)}))
        if number % MARKET_LANE_LIMIT == 0:
            inbox.put(stopped)
    assert len([event for event in taken(inbox) if event is stopped]) == 3


def test_inside_a_lane_the_older_event_comes_first() -> None:
    inbox = Inbox()
    snapshot = AccountSnapshot(Decimal(1), (), 0)
    for event in (funding(1), snapshot, funding(2)):
        inbox.put(event)
    assert taken(inbox) == [funding(1), snapshot, funding(2)]


def test_the_accounts_news_never_gives_way() -> None:
    inbox = Inbox()
    events = [funding(number) for number in range(10 * MARKET_LANE_LIMIT)]
    for event in events:
        inbox.put(event)
    assert taken(inbox) == events and inbox.counts.conflated == 0
    assert inbox.counts.account_waiting_max == len(events)


def test_a_timer_that_fired_twice_has_fired() -> None:
    inbox = Inbox()
    inbox.put(TimerFired())
    inbox.put(TimerFired())
    assert taken(inbox) == [TimerFired()]


def test_nothing_gives_way_while_the_engine_keeps_up() -> None:
    inbox = Inbox()
    quotes = [quotes_of(number, {0: (1.0, 2.0)}) for number in range(MARKET_LANE_LIMIT)]
    for event in quotes:
        inbox.put(event)
    assert taken(inbox) == quotes


def test_when_behind_only_the_newest_quote_of_the_same_symbols_stays() -> None:
    inbox = Inbox()
    for number in range(3 * MARKET_LANE_LIMIT):
        inbox.put(quotes_of(number, {number % 2: (1.0, 2.0)}))
    waiting = taken(inbox)
    assert len(waiting) == MARKET_LANE_LIMIT and inbox.counts.conflated == 2 * MARKET_LANE_LIMIT
    times = [event.venue_ms for event in waiting if isinstance(event, Quotes)]
    assert times == sorted(times) and times[-2:] == [3 * MARKET_LANE_LIMIT - 2, 3 * MARKET_LANE_LIMIT - 1]


def test_however_far_behind_the_last_state_of_every_candle_and_symbol_is_there() -> None:
    inbox = Inbox()
    candles, symbols, states = 10, 5, 40
    for candle in range(candles):
        for state in range(states):
            for symbol_id in range(symbols):
                open_ms = START_MS + candle * MINUTE_MS
                inbox.put(updates_of(open_ms, {symbol_id: flat_bar(1.0, volume=state)}, open_ms + state))
                inbox.put(quotes_of(open_ms + state, {symbol_id: (1.0, 2.0)}))
    waiting = taken(inbox)
    assert len(waiting) <= MARKET_LANE_LIMIT + symbols * (candles + 1)
    last: dict[tuple[int, int], float] = {}
    for event in waiting:
        if isinstance(event, CandleUpdates):
            key = (int(event.candles.ids[0]), event.candles.open_ms)
            volume = float(event.candles.volume[0])
            assert volume > last.get(key, -1.0), "what stays is in order"
            last[key] = volume
    assert len(last) == candles * symbols and set(last.values()) == {states - 1.0}


def test_waiting_ends_when_something_comes_or_somebody_wakes() -> None:
    async def test() -> None:
        inbox = Inbox()
        assert inbox.take() is None
        for stir in (partial(inbox.put, TimerFired()), inbox.wake):
            waiting = asyncio.ensure_future(inbox.wait())
            await asyncio.sleep(0)
            assert not waiting.done()
            stir()
            await waiting
            taken(inbox)

    asyncio.run(test())
