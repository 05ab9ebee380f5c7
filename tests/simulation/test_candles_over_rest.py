"""Neither candles nor quotes are streamed: hours and days of a hundred symbols on what REST may be asked."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from adapters.hyperliquid.budget import PER_MINUTE, WeightBudget
from adapters.hyperliquid.history import HyperliquidHistory
from adapters.hyperliquid.market_watch import MarketWatch
from adapters.hyperliquid.rest import InfoClient
from adapters.hyperliquid.transport import HttpReply
from adapters.hyperliquid.venue_skew import VenueSkew
from adapters.sim.memory_ledger import MemoryLedger
from adapters.sqlite.candle_store import SqliteCandleStore
from application.candle_sources import SourceCounts
from domain.candles import CandleBatch, CandleWindow, Interval
from domain.events import Quotes
from entrypoints.simulation.jumping_time import LoopClock, run_jumping
from ports.candle_history import CandleRevision
from tests.candle_world import GRACE_MS, Arrival, Chaos, Faults, Middle, Truth
from tests.engine_builders import START_MS, universe_of

SYMBOLS = ("BTC", *(f"COIN{number}" for number in range(99)))
HOUR_MS = 3_600_000
UNANSWERED = 0.02
MARKETS = [{"name": symbol, "szDecimals": 2, "maxLeverage": 10} for symbol in SYMBOLS]
CONTEXTS = [
    {
        "dayNtlVlm": f"{1_000 - place}.0",
        "funding": "0.00001",
        "openInterest": "1.0",
        "prevDayPx": "100.0",
        "premium": "0.0",
        "oraclePx": "100.0",
        "markPx": "100.0",
        "midPx": "100.0",
        "impactPxs": ["100.0", "100.0"],
        "dayBaseVlm": "1.0",
    }
    for place in range(len(SYMBOLS))
]


class ConfirmedCandles:
    """`CandleStore` as a mapping; nothing here is ever told by a stream."""

    def __init__(self) -> None:
        self._windows: dict[str, CandleWindow] = {}

    def confirm(self, window: CandleWindow, at_ms: int) -> tuple[CandleRevision, ...]:
        known = self._windows.get(window.symbol)
        before = window.between(0, 0) if known is None else known.between(0, int(window.open_ms[0]))
        self._windows[window.symbol] = before.joined(window).last(700)
        return ()

    def read_confirmed(self, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow:
        known = self._windows.get(symbol)
        if known is None:
            return CandleWindow(symbol, interval, np.empty(0, np.int64), *(np.empty(0) for _ in range(5)))
        run = known.between(start_ms, end_ms)
        return run if len(run) and run.open_ms[0] == start_ms else run.between(0, 0)

    read = read_confirmed

    def write(self, batches: list[CandleBatch]) -> None:
        """What comes back from the engine was confirmed before."""

    def close(self) -> None: ...


class RestVenue:
    """`/info` of a venue that tells the truth, takes its time, and fails now and then."""

    def __init__(self, truth: Truth, clock: LoopClock) -> None:
        self._truth = truth
        self._clock = clock
        self._chance = random.Random("venue")
        self._closed: dict[tuple[str, int], str] = {}
        self.asked: Counter[str] = Counter()

    async def post(
        self, path: str, body: bytes, timeout_s: float, *, urgent: bool = False, bar: object = None
    ) -> HttpReply:
        request = json.loads(body)
        self.asked[request["type"]] += 1
        await asyncio.sleep(self._chance.uniform(0.02, 0.3))
        if self._chance.random() < UNANSWERED:
            return HttpReply(502, b"<html>bad gateway</html>")
        if request["type"] == "exchangeStatus":
            return _json({"time": self._clock.now_ms(), "specialStatuses": None})
        if request["type"] == "metaAndAssetCtxs":
            return _json([{"universe": MARKETS, "marginTables": []}, CONTEXTS])
        assert request["type"] == "candleSnapshot", request
        span = request["req"]
        return HttpReply(200, f"[{','.join(self._rows(span['coin'], self._opens(span)))}]".encode())

    def _opens(self, span: dict[str, int]) -> range:
        length = self._truth.interval.ms
        return range(-(-span["startTime"] // length) * length, min(span["endTime"], self._clock.now_ms()) + 1, length)

    def _rows(self, symbol: str, opens: range) -> Iterator[str]:
        """Those that have closed are written once."""
        now_ms = self._clock.now_ms()
        for open_ms in opens:
            closed = self._closed.get((symbol, open_ms))
            if closed is None:
                end_ms = open_ms + self._truth.interval.ms
                closed = json.dumps(self._row(symbol, open_ms, min(end_ms, now_ms)))
                if end_ms < now_ms:
                    self._closed[symbol, open_ms] = closed
            yield closed

    def _row(self, symbol: str, open_ms: int, until_ms: int) -> dict[str, object]:
        bar = self._truth.bar(symbol, open_ms, until_ms)
        if bar is None:
            bar = (*(self._truth.close(symbol, open_ms - self._truth.interval.ms),) * 4, 0.0)
        assert bar is not None
        prices = dict(zip(("o", "h", "l", "c", "v"), (repr(value) for value in bar), strict=True))
        end_ms = open_ms + self._truth.interval.ms - 1
        return {"t": open_ms, "T": end_ms, "s": symbol, "i": self._truth.interval.value, "n": 1, **prices}

    async def close(self) -> None: ...


def _json(value: object) -> HttpReply:
    return HttpReply(200, json.dumps(value).encode())


def test_a_restart_after_three_days_asks_for_the_tail_alone_and_decides_rightly(tmp_path: Path) -> None:
    """Of thirty symbols on 5m candles; the stream's last word on some of them was wrong, and is not believed."""
    interval, symbols = Interval.M5, SYMBOLS[:30]
    truth = Truth(9, interval, dict.fromkeys(symbols, 0.2))
    universe = universe_of(*symbols)
    ledger = MemoryLedger()
    spent: list[int] = []
    counts: list[SourceCounts] = []

    def session(start_ms: int, end_ms: int) -> Middle:
        clock = LoopClock(start_ms)
        middles: list[Middle] = []

        async def living() -> None:
            budget = WeightBudget(clock)
            info = InfoClient(RestVenue(truth, clock), budget, clock, chance=random.Random(5))
            store = SqliteCandleStore(tmp_path / "candles.sqlite", symbols)
            history = HyperliquidHistory(info, universe, clock, VenueSkew())
            middle = Middle(universe, interval, clock, history, store, timer_s=1.0, ledger=ledger)
            arrivals = Chaos(truth, universe, Faults(lies=0.05), 9).arrivals(start_ms + 500, end_ms, 0)
            await middle.run(arrivals, end_ms)
            store.close()
            spent.append(budget.spent)
            counts.append(middle.sources.counts)
            middles.append(middle)

        run_jumping(living)
        return middles[0]

    first_end = START_MS + HOUR_MS
    session(START_MS, first_end)
    later = first_end + 72 * HOUR_MS
    second = session(later, later + HOUR_MS // 2)

    missed = 72 * 12
    assert spent[0] > 30 * 30, "the first start fetched whole histories"
    tails = 30 * (20 + -(-(missed + 12 + 58) // 60))
    assert spent[1] <= tails * 1.05 + 21 * 90, "and the second the tails, and what it compared meanwhile"
    assert counts[1].from_store > 30 * 600, "all that was confirmed came from the store"
    first = {symbol: open_ms for _, symbol, open_ms, _ in reversed(second.strategy.seen)}
    assert set(first) == set(symbols) and min(first.values()) >= interval.open_of(later) - interval.ms
    for symbol, open_ms in first.items():
        seen = next(bar for _, name, at_ms, bar in second.strategy.seen if (name, at_ms) == (symbol, open_ms))
        assert seen == truth.final(symbol, open_ms)
        symbol_id = universe.id_of(symbol)
        before = second.engine.hub.window(symbol_id, open_ms, 700)
        expected = truth.window(symbol, int(before.open_ms[0]), open_ms + interval.ms)
        assert len(before) > 600, "indicators began at the anchor of three days before"
        assert all((mine == theirs).all() for mine, theirs in zip(before.columns, expected.columns, strict=True))
    anchors = {symbol: open_ms for symbol, _, open_ms in ledger.load().anchors}
    assert all(open_ms < START_MS for open_ms in anchors.values()), "the anchor stayed where it was"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("hours", [6, pytest.param(48, marks=pytest.mark.long)])
def test_keys_never_freeze_and_the_weight_stays_under_half_the_limit(hours: int) -> None:
    interval = Interval.M5
    end_ms = START_MS + hours * HOUR_MS
    truth = Truth(5, interval, dict.fromkeys(SYMBOLS, 0.2))
    clock = LoopClock(START_MS)
    universe = universe_of(*SYMBOLS)
    venue = RestVenue(truth, clock)
    most = 0

    async def living() -> Middle:
        nonlocal most
        budget = WeightBudget(clock)
        info = InfoClient(venue, budget, clock, chance=random.Random(5))
        skew = VenueSkew()
        history = HyperliquidHistory(info, universe, clock, skew)
        middle = Middle(universe, interval, clock, history, ConfirmedCandles(), streamed=False, timer_s=1.0)  # type: ignore[arg-type]
        watch = MarketWatch(info, clock, middle.told, universe, skew=skew)
        ids = np.arange(1, dtype=np.intp)
        first = Quotes(START_MS + 1, ids, np.array([100.0]), np.array([100.0]))
        running = asyncio.create_task(middle.run([Arrival(START_MS + 1, first)], end_ms))
        watching = asyncio.create_task(watch.keep_watch(middle.inbox.put))
        while not running.done():
            most = max(most, budget.used)
            await asyncio.wait([running], timeout=5.0)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        running.result()
        return middle

    middles: list[Middle] = []

    async def keep() -> None:
        middles.append(await living())

    run_jumping(keep)
    (middle,) = middles
    seen = middle.strategy.seen
    assert 0 < most <= PER_MINUTE
    times = Counter((symbol, open_ms) for _, symbol, open_ms, _ in seen)
    assert max(times.values()) == 1
    warm_ms = START_MS + HOUR_MS // 2
    closed = range(interval.open_of(warm_ms), end_ms - 3 * interval.ms, interval.ms)
    missing = [(symbol, open_ms) for symbol in SYMBOLS for open_ms in closed if (symbol, open_ms) not in times]
    assert missing == []
    assert all(bar == truth.final(symbol, open_ms) for _, symbol, open_ms, bar in seen), "only what had closed"
    lags = sorted(at_ms - open_ms - interval.ms for at_ms, _, open_ms, _ in seen if open_ms >= warm_ms)
    assert lags[0] >= GRACE_MS
    assert lags[int(len(lags) * 0.999)] < interval.ms, "every candle is decided on before the next one has closed"
    assert middle.told.count("history_missing") == 0
    assert set(venue.asked) == {"candleSnapshot", "metaAndAssetCtxs", "exchangeStatus"}
