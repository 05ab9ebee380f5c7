"""One slice of the market: what is taken into it, and in which order it is told."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.hyperliquid.heard import BboHeard, CandleHeard
from adapters.hyperliquid.market_slice import MarketEvent, MarketSlice
from domain.candles import Interval
from domain.events import CandleStreams, CandleUpdates, Quotes
from domain.instruments import Universe
from tests.builders import make_instrument
from tests.feed_worlds import COINS, T0

M1, M5 = Interval.M1, Interval.M5


def make_slice(exit_interval: Interval | None = M5) -> MarketSlice:
    return MarketSlice(Universe(make_instrument(coin) for coin in COINS), M1, 60_000, exit_interval)


def candle(coin: str, volume: float, interval: Interval = M1) -> CandleHeard:
    open_ms = interval.open_of(T0)
    return CandleHeard(coin, interval, open_ms, open_ms + interval.ms - 1, 10, 20, 5, 12, volume)


def hear(market: MarketSlice, *candles: CandleHeard) -> None:
    for each in candles:
        assert market.candle(each, T0)


def seen(events: Sequence[MarketEvent]) -> list[object]:
    """Each event in short: quotes by their ids, candles by interval and volumes, streams by interval, state and ids."""
    short: list[object] = []
    for event in events:
        match event:
            case Quotes():
                short.append(event.ids.tolist())
            case CandleUpdates():
                short.append((event.candles.interval, dict(zip(event.candles.ids, event.candles.volume, strict=True))))
            case CandleStreams():
                short.append((event.interval, event.running, event.ids.tolist()))
    return short


def test_candles_of_streams_that_do_not_run_are_not_taken() -> None:
    market = make_slice()
    hear(market, candle("BTC", 1), candle("BTC", 1, M5))
    assert market.is_empty
    market.started([("BTC", M1)])
    hear(market, candle("BTC", 2), candle("BTC", 2, M5), candle("ETH", 2))
    assert seen(market.take()) == [(M1, True, [0]), (M1, {0: 2.0})]
    assert market.counts.foreign == 4


def test_candles_of_an_interval_that_nobody_asked_for_are_not_taken() -> None:
    market = make_slice()
    market.started([("BTC", M1), ("BTC", M5)])
    market.take()
    hear(market, candle("BTC", 1, Interval.M15))
    assert market.is_empty
    alone = make_slice(None)
    alone.started([("BTC", M1)])
    alone.take()
    hear(alone, candle("BTC", 1, M5))
    assert alone.is_empty


def test_streams_that_begin_are_told_together_after_the_others_and_before_their_own_candles() -> None:
    market = make_slice()
    market.started([("BTC", M1)])
    market.take()
    market.started([("kPEPE", M1)])
    hear(market, candle("kPEPE", 3))
    market.started([("ETH", M1), ("ETH", M5)])
    hear(market, candle("BTC", 1), candle("ETH", 2), candle("ETH", 9, M5))
    market.quote(BboHeard("BTC", T0, 1.0, 2.0), T0)
    assert seen(market.take()) == [
        [0],
        (M1, {0: 1.0}),
        (M1, True, [1, 2]),
        (M1, {1: 2.0, 2: 3.0}),
        (M5, True, [1]),
        (M5, {1: 9.0}),
    ]
    assert market.is_empty
    assert market.take() == []


def test_a_stop_ends_the_slice_and_is_its_last_word() -> None:
    market = make_slice()
    market.started([("BTC", M1), ("ETH", M1), ("BTC", M5)])
    hear(market, candle("BTC", 1), candle("ETH", 2))
    market.quote(BboHeard("BTC", T0, 1.0, 2.0), T0)
    assert seen(market.stopped([("BTC", M5), ("ETH", M1), ("BTC", M1), ("kPEPE", M1)])) == [
        [0],
        (M1, True, [0, 1]),
        (M1, {0: 1.0, 1: 2.0}),
        (M5, True, [0]),
        (M5, False, [0]),
        (M1, False, [0, 1]),
    ]
    assert market.is_empty
    assert market.stopped([("BTC", M1)]) == [], "it is said once"
    hear(market, candle("BTC", 3))
    assert market.is_empty


def test_a_stop_of_what_does_not_run_ends_nothing() -> None:
    market = make_slice()
    market.quote(BboHeard("BTC", T0, 1.0, 2.0), T0)
    assert market.stopped([("BTC", M1)]) == []
    assert not market.is_empty


def test_a_stream_that_stops_and_begins_again_is_told_of_in_that_order() -> None:
    market = make_slice()
    market.started([("BTC", M1)])
    events = market.stopped([("BTC", M1)])
    market.started([("BTC", M1)])
    hear(market, candle("BTC", 1))
    assert seen([*events, *market.take()]) == [
        (M1, True, [0]),
        (M1, False, [0]),
        (M1, True, [0]),
        (M1, {0: 1.0}),
    ]


def test_quotes_of_what_is_not_watched_are_not_taken_but_those_collected_before_are_told() -> None:
    market = make_slice()
    market.quote(BboHeard("BTC", T0, 1.0, 2.0), T0)
    market.watch(["ETH"])
    market.quote(BboHeard("BTC", T0 + 1, 1.0, 3.0), T0)
    market.quote(BboHeard("ETH", T0, 1.0, 2.0), T0)
    (quotes,) = market.take()
    assert isinstance(quotes, Quotes)
    assert (quotes.ids.tolist(), quotes.ask.tolist()) == ([0, 1], [2.0, 2.0])


def test_a_mid_that_came_and_went_between_two_looks_is_told_as_it_stands() -> None:
    market = make_slice()
    for place, mid in enumerate((100.0, 101.0, 100.0)):
        market.mids({"BTC": mid}, T0 + place)
    (quotes,) = market.take()
    assert isinstance(quotes, Quotes)
    assert (quotes.venue_ms, quotes.bid.tolist()) == (T0 + 2, [100.0])
    assert market.counts.conflated == 2
