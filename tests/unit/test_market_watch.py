"""MarketWatch: volumes, listings that come and go, and the venue's time, from its own answers, once per change."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from adapters.clocks import ManualClock
from adapters.hyperliquid.budget import WeightBudget
from adapters.hyperliquid.market_watch import DELISTED, MARKETS_UNKNOWN, NEW_LISTING, TIME_UNKNOWN, MarketWatch
from adapters.hyperliquid.rest import InfoClient
from adapters.hyperliquid.transport import HttpReply, NotSentError
from adapters.hyperliquid.venue_skew import VenueSkew
from adapters.hyperliquid.watch import FAILED_LOOKS
from domain.events import Event, VenueTime, VolumesHeard
from domain.instruments import Instrument, Universe, single_tier

NOW_MS = 1_791_275_808_695


def coin(name: str, **flags: object) -> dict[str, object]:
    return {"name": name, "szDecimals": 2, "maxLeverage": 10, "marginTableId": 10, **flags}


class Venue:
    """A transport: markets with their volumes by dex, and a clock of its own."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.ahead_ms = 0
        self.volumes: dict[str, dict[str, object]] = {"": {"BTC": "100.0", "ETH": "50.5", "SOL": "0.0"}}
        self.delisted: set[str] = set()
        self.answers: dict[str, object] = {}
        self.silent: set[str] = set()
        """Types of requests, and dexes, that are not answered."""
        self.asked: list[tuple[str, str]] = []

    async def post(
        self, path: str, body: bytes, timeout_s: float, *, urgent: bool = False, bar: object = None
    ) -> HttpReply:
        request = json.loads(body)
        assert path == "/info", "a watch only reads"
        kind, dex = request["type"], request.get("dex", "")
        self.asked.append((kind, dex))
        if {kind, dex} & self.silent:
            raise NotSentError("nobody there")
        answer: object = {"time": self._clock.now_ms() + self.ahead_ms}
        if kind == "metaAndAssetCtxs":
            said = self.volumes[dex]
            coins = [coin(name, isDelisted=True) if name in self.delisted else coin(name) for name in said]
            answer = [{"universe": coins}, [{"dayNtlVlm": volume} for volume in said.values()]]
        return HttpReply(200, json.dumps(self.answers.get(kind, answer)).encode())

    async def close(self) -> None: ...

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.asked]


class Bench:
    def __init__(self, *symbols: str, **settings: Any) -> None:
        self.clock = ManualClock(NOW_MS)
        self.venue = Venue(self.clock)
        self.budget = WeightBudget(self.clock, 100_000)
        self.info = InfoClient(self.venue, self.budget, self.clock, pause_s=0.0)
        self.alerts: list[tuple[str, str]] = []
        self.events: list[Event] = []
        universe = Universe(Instrument(name, 2, single_tier(10)) for name in symbols or ("BTC", "ETH", "SOL"))
        self.watch = MarketWatch(self.info, self.clock, self, universe, **settings)

    def send(self, code: str, text: str) -> None:
        self.alerts.append((code, text))

    async def look(self, times: int = 1) -> None:
        for _ in range(times):
            await self.watch.look(self.events.append)

    @property
    def codes(self) -> list[str]:
        return [code for code, _ in self.alerts]

    @property
    def heard(self) -> list[tuple[list[int], list[float], tuple[str, ...]]]:
        return [
            (event.ids.tolist(), event.day_notional_usd.tolist(), event.delisted)
            for event in self.events
            if isinstance(event, VolumesHeard)
        ]


# ── volumes ──────────────────────────────────────────────────────────────────────────────────────


async def test_volumes_come_in_the_universes_order_whatever_the_venues_is() -> None:
    bench = Bench("SOL", "BTC", "ETH")
    await bench.look()
    assert bench.heard == [([0, 1, 2], [0.0, 100.0, 50.5], ())]
    assert bench.venue.asked == [("metaAndAssetCtxs", "")]
    assert bench.budget.used == 20
    assert not bench.alerts


@pytest.mark.parametrize("odd", [None, "much", "-1.0", "NaN", []])
async def test_what_is_unknown_of_one_symbol_is_no_number_and_no_alarm(odd: object) -> None:
    bench = Bench()
    bench.venue.volumes[""]["ETH"] = odd
    await bench.look(2 * FAILED_LOOKS)
    ids, volumes, delisted = bench.heard[-1]
    assert (ids, volumes[0], volumes[2], delisted) == ([0, 1, 2], 100.0, 0.0, ())
    assert np.isnan(volumes[1])
    assert not bench.alerts


async def test_a_symbol_that_is_missing_from_an_answer_is_unknown_and_not_delisted() -> None:
    bench = Bench()
    del bench.venue.volumes[""]["SOL"]
    await bench.look()
    assert np.isnan(bench.heard[0][1][2])
    assert bench.heard[0][2] == () and not bench.alerts


async def test_columns_fit_each_other_and_are_nobodys_to_change() -> None:
    bench = Bench()
    await bench.look()
    (event,) = bench.events
    assert isinstance(event, VolumesHeard)
    assert event.ids.dtype == np.intp and event.day_notional_usd.dtype == np.float64
    assert not event.ids.flags.writeable


@pytest.mark.parametrize("answer", [None, [], {}, [{"universe": []}], [{"universe": [coin("A"), coin("A")]}, [{}, {}]]])
async def test_an_answer_that_cannot_be_read_proves_nothing(answer: object) -> None:
    bench = Bench()
    bench.venue.answers["metaAndAssetCtxs"] = answer
    await bench.look(FAILED_LOOKS - 1)
    assert not bench.events and not bench.alerts
    await bench.look(FAILED_LOOKS)
    assert not bench.events
    assert bench.codes == [MARKETS_UNKNOWN], "told once"


async def test_a_venue_that_says_nothing_is_told_after_a_while_and_once_a_time() -> None:
    bench = Bench(skew=VenueSkew())
    await bench.look()
    bench.venue.silent = {"metaAndAssetCtxs", "exchangeStatus"}
    await bench.look(3 * FAILED_LOOKS)
    assert bench.codes == [MARKETS_UNKNOWN, TIME_UNKNOWN]
    assert "nobody there" in bench.alerts[0][1]
    bench.venue.silent = set()
    await bench.look()
    bench.venue.silent = {"exchangeStatus"}
    await bench.look(FAILED_LOOKS)
    assert bench.codes == [MARKETS_UNKNOWN, TIME_UNKNOWN, TIME_UNKNOWN]


async def test_failures_that_are_not_in_a_row_are_not_told() -> None:
    bench = Bench(skew=VenueSkew())
    for _ in range(3):
        bench.venue.silent = {"metaAndAssetCtxs", "exchangeStatus"}
        await bench.look(FAILED_LOOKS - 1)
        bench.venue.silent = set()
        await bench.look()
    assert not bench.alerts


@pytest.mark.parametrize("answer", [[{"universe": []}, []], [{"universe": [coin("BTC")]}, []]])
async def test_markets_without_any_volume_are_told_like_silence(answer: object) -> None:
    bench = Bench()
    bench.venue.answers["metaAndAssetCtxs"] = answer
    await bench.look(FAILED_LOOKS)
    assert all(np.isnan(volumes).all() and not delisted for _, volumes, delisted in bench.heard)
    assert bench.codes == [MARKETS_UNKNOWN]


# ── listings ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_delisted_symbol_is_named_each_time_and_told_once() -> None:
    bench = Bench()
    await bench.look()
    bench.venue.delisted = {"SOL"}
    await bench.look(2)
    bench.venue.delisted = {"SOL", "BTC"}
    await bench.look(2)
    assert [delisted for _, _, delisted in bench.heard] == [(), ("SOL",), ("SOL",), ("BTC", "SOL"), ("BTC", "SOL")]
    assert bench.codes == [DELISTED, DELISTED]
    assert "SOL is delisted" in bench.alerts[0][1] and "BTC is delisted" in bench.alerts[1][1]


async def test_a_delisted_market_that_nobody_trades_here_is_no_news() -> None:
    bench = Bench("BTC", "ETH")
    bench.venue.delisted = {"SOL"}
    await bench.look()
    assert bench.heard == [([0, 1], [100.0, 50.5], ())]
    assert not bench.alerts


async def test_a_new_listing_is_told_once_and_joins_nothing() -> None:
    bench = Bench()
    await bench.look()
    bench.venue.volumes[""] |= {"NEW": "1.0", "kNEW": "1.0"}
    await bench.look(2)
    assert bench.codes == [NEW_LISTING]
    assert "NEW, kNEW" in bench.alerts[0][1] and "start" in bench.alerts[0][1]
    assert bench.heard[-1][0] == [0, 1, 2]
    bench.venue.volumes[""]["NEWER"] = "1.0"
    await bench.look(2)
    assert bench.codes == [NEW_LISTING] * 2
    assert "kNEW" not in bench.alerts[1][1]


async def test_what_was_listed_at_start_is_no_new_listing() -> None:
    bench = Bench("BTC", listed=("BTC", "ETH", "SOL"))
    await bench.look()
    assert not bench.alerts


# ── builders' dexes ──────────────────────────────────────────────────────────────────────────────


async def test_each_dex_with_symbols_of_the_session_is_asked_and_heard_for_itself() -> None:
    bench = Bench("BTC", "xyz:CL", "ETH", "xyz:GOLD", listed=("SOL",))
    bench.venue.volumes["xyz"] = {"xyz:GOLD": "7.0", "xyz:CL": "8.0"}
    await bench.look()
    assert bench.venue.asked == [("metaAndAssetCtxs", ""), ("metaAndAssetCtxs", "xyz")]
    assert bench.heard == [([0, 2], [100.0, 50.5], ()), ([1, 3], [8.0, 7.0], ())]
    bench.venue.volumes["xyz"]["xyz:NEW"] = "1.0"
    bench.venue.delisted = {"xyz:CL"}
    await bench.look()
    assert bench.heard[-1][2] == ("xyz:CL",)
    assert bench.codes == [DELISTED, NEW_LISTING]


async def test_a_dex_that_says_nothing_takes_nothing_from_the_others() -> None:
    bench = Bench("BTC", "xyz:CL")
    bench.venue.volumes[""] = {"BTC": "1.0"}
    bench.venue.silent = {"xyz"}
    await bench.look(FAILED_LOOKS)
    assert bench.heard == [([0], [1.0], ())] * FAILED_LOOKS
    assert bench.codes == [MARKETS_UNKNOWN]


# ── the time ─────────────────────────────────────────────────────────────────────────────────────


async def test_the_venues_time_is_told_and_its_skew_kept() -> None:
    skew = VenueSkew()
    bench = Bench(skew=skew)
    bench.venue.ahead_ms = -3_000
    await bench.look()
    assert bench.events[-1] == VenueTime(NOW_MS - 3_000)
    assert skew() == -3_000
    bench.venue.silent = {"exchangeStatus"}
    await bench.look()
    assert [event for event in bench.events if isinstance(event, VenueTime)] == [VenueTime(NOW_MS - 3_000)]
    assert skew() == -3_000


async def test_where_somebody_else_asks_for_the_time_it_does_not() -> None:
    bench = Bench()
    await bench.look(3)
    assert bench.venue.kinds == ["metaAndAssetCtxs"] * 3


# ── again and again ──────────────────────────────────────────────────────────────────────────────


async def watched(bench: Bench, asked: int) -> None:
    """Until so many questions were asked; a minute passes wherever the watch pauses."""
    watching = asyncio.create_task(bench.watch.keep_watch(bench.events.append))
    try:
        async with asyncio.timeout(5):
            while len(bench.venue.asked) < asked:
                await asyncio.sleep(0)
                await bench.clock.advance_to(bench.clock.now_ms() + 1_000)
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def test_it_looks_at_once_and_at_the_time_more_often_than_at_the_markets() -> None:
    bench = Bench(skew=VenueSkew(), every_s=600.0, time_every_s=0.0)
    await watched(bench, 2_000)
    assert bench.venue.kinds[:3] == ["metaAndAssetCtxs", "exchangeStatus", "exchangeStatus"]
    markets = bench.venue.kinds.count("metaAndAssetCtxs")
    passed_s = (bench.clock.now_ms() - NOW_MS) / 1_000
    assert passed_s / 600 - 1 <= markets <= passed_s / 600 + 1


async def test_it_looks_again_and_again_where_only_markets_are_looked_at() -> None:
    bench = Bench(every_s=0.0)
    await watched(bench, 3)
    assert set(bench.venue.kinds) == {"metaAndAssetCtxs"}
