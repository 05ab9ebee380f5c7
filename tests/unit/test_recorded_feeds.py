"""Feeds as they really were: the holes in the recordings are seen and named, and nothing else is called dead.

The 35 minutes of September 2025 hold one outage of 17.5 s in every channel. The venue's own trades of that time, told
after it, are what spot checks would have answered. The mids of July 2025 came every 5.3 s and have one hole of 257 s.
The raw session of July 2026 has thin coins and no hole.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from adapters.hyperliquid.coin_streams import SAME_PRICE_BPS
from adapters.hyperliquid.feed_health import Verdict
from tests.feed_reports import ArrivingLine, Moments, Spell, Watched, moments, watch

COINS = ("BTC", "ETH")
STRANGE = (Verdict.DEAD, Verdict.FROZEN, Verdict.DOWN, Verdict.SUSPECT, Verdict.QUIET, Verdict.CONNECTING)


# ── the 35 minutes ───────────────────────────────────────────────────────────────────────────────


@dataclass
class Ticks:
    """Real ms of arrival by channel and coin; and trades by the venue's time."""

    came: dict[tuple[str, str], Moments]
    traded: dict[str, tuple[Moments, list[float]]]

    @property
    def start_ms(self) -> int:
        return min(int(each[0]) for each in self.came.values())

    @property
    def end_ms(self) -> int:
        return max(int(each[-1]) for each in self.came.values())

    @property
    def hole(self) -> tuple[int, int]:
        """The longest time in which nothing came at all."""
        return longest_gap(np.unique(np.concatenate(list(self.came.values()))))

    def line(
        self, number: int, coins: tuple[str, ...], *, pongs: bool = True, until_ms: int | None = None
    ) -> ArrivingLine:
        """Everything about these coins on one connection; nothing any more from `until_ms` on."""
        others = np.concatenate([self.came[channel, coin] for channel in ("orderbooks", "trades") for coin in coins])
        end_ms = self.end_ms + 1 if until_ms is None else until_ms
        quotes = {coin: self.came["prices", coin] for coin in coins}
        cut = {coin: came[came < end_ms] for coin, came in quotes.items()}
        return ArrivingLine(number, cut, others[others < end_ms], pongs=pongs)

    def last_trade(self, coin: str, venue_ms: int) -> float:
        times, prices = self.traded[coin]
        return prices[max(0, int(np.searchsorted(times, venue_ms, side="right")) - 1)]

    def mids_at(self, now_ms: int) -> Mapping[str, float]:
        return {coin: self.last_trade(coin, now_ms) for coin in COINS}


def longest_gap(came: Moments) -> tuple[int, int]:
    place = int(np.diff(came).argmax())
    return int(came[place]), int(came[place + 1])


def arrivals(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def ticks(shared_data: Path) -> Ticks:
    came, traded = {}, {}
    for coin in COINS:
        for channel in ("orderbooks", "prices", "trades"):
            rows = arrivals(shared_data / "ticks" / f"hl_{channel}_{coin}_20250904_35min.csv.gz")
            came[channel, coin] = moments([float(row["timestamp"]) * 1000 for row in rows])
            if channel == "trades":
                rows.sort(key=lambda row: int(float(row["exchange_timestamp"])))
                times = np.array([int(float(row["exchange_timestamp"])) for row in rows], dtype=np.int64)
                traded[coin] = times, [float(row["price"]) for row in rows]
    return Ticks(came, traded)


def assert_only_the_hole(found: Watched, number: int, hole: tuple[int, int], suspect_s: float, dead_s: float) -> Spell:
    """One silence that became suspect and then dead, within so many seconds; well before and after."""
    mine = [spell for spell in found.spells if spell.number == number and spell.verdict in STRANGE]
    assert [spell.verdict for spell in mine] == [Verdict.SUSPECT, Verdict.DEAD]
    suspect, dead = mine
    assert 0 < suspect.first_ms - hole[0] <= suspect_s * 1000
    assert 0 < dead.first_ms - hole[0] <= dead_s * 1000
    assert hole[1] - 1_000 <= dead.last_ms <= hole[1], "it is dead until it speaks"
    return dead


@pytest.mark.parametrize("pongs", [True, False])
@pytest.mark.parametrize("layout", [(COINS,), (("BTC",), ("ETH",)), (("ETH",),)])
def test_the_outage_is_seen_and_named_and_nothing_else(
    ticks: Ticks, layout: tuple[tuple[str, ...], ...], pongs: bool
) -> None:
    lines = [ticks.line(number, coins, pongs=pongs) for number, coins in enumerate(layout)]
    found = watch(lines, ticks.start_ms, ticks.end_ms)
    assert found.looks > 2_000
    assert not found.dead_coins
    for line in lines:
        hole = longest_gap(line.data)
        assert 17_400 < hole[1] - hole[0] < 18_400
        dead = assert_only_the_hole(found, line.number, hole, 4.1, 11.1)
        assert f"connection {line.number}: nothing for 17." in dead.reason
        assert "(since 19:58:12 UTC)" in dead.reason
        assert f"on {len(line.quotes)} coin" in dead.reason and "while the socket is open" in dead.reason


def test_equal_prices_do_not_make_a_busy_connection_a_quiet_one(ticks: Ticks) -> None:
    """In the outage Bitcoin moved by 2 bps and Ether by 5: within what counts as the same."""
    begin_ms, end_ms = ticks.hole
    moves = [abs(ticks.last_trade(coin, end_ms) / ticks.last_trade(coin, begin_ms) - 1) for coin in COINS]
    assert max(moves) < 0.0005
    found = watch(
        [ticks.line(0, COINS)],
        ticks.start_ms,
        ticks.end_ms,
        mids_at=ticks.mids_at,
        price_of=lambda coin, now_ms: (
            ticks.last_trade(coin, min(now_ms, begin_ms)) if begin_ms < now_ms < end_ms else None
        ),
    )
    assert_only_the_hole(found, 0, ticks.hole, 4.1, 11.1)


@pytest.mark.parametrize("minute", range(2, 34, 4))
def test_one_of_two_connections_that_falls_silent_is_dead_after_five_seconds(ticks: Ticks, minute: int) -> None:
    cut_ms = ticks.start_ms + minute * 60_000
    lines = [ticks.line(0, ("BTC",), until_ms=cut_ms), ticks.line(1, ("ETH",))]
    found = watch(lines, ticks.start_ms, min(ticks.end_ms, cut_ms + 30_000))
    last_ms = int(lines[0].data[-1])
    dead = [spell for spell in found.of(Verdict.DEAD) if spell.last_ms > cut_ms]
    assert [spell.number for spell in dead] == [0]
    assert 5_000 < dead[0].first_ms - last_ms <= 6_100
    assert "connection 1 speaks" in dead[0].reason


def test_no_fragment_of_the_four_days_is_called_dead(shared_data: Path) -> None:
    """The longest silence in them is 7.4 s, and ended by itself: suspect, and no more."""
    folder = shared_data / "ticks"
    came = {
        channel: moments(
            [float(row["timestamp"]) * 1000 for row in arrivals(folder / f"hl_{channel}_BTC_20250901_04_4frag.csv.gz")]
        )
        for channel in ("prices", "trades")
    }
    prices = came["prices"]
    ends = [0, *(np.flatnonzero(np.diff(prices) > 3_600_000) + 1), len(prices)]
    suspects = 0
    for begin, end in pairwise(ends):
        part = prices[begin:end]
        trades = came["trades"][(came["trades"] >= part[0]) & (came["trades"] <= part[-1])]
        for line in (ArrivingLine(0, {"BTC": part}, trades), ArrivingLine(0, {"BTC": part})):
            found = watch([line], int(part[0]), int(part[-1]))
            assert not found.of(Verdict.DEAD, Verdict.FROZEN, Verdict.DOWN) and not found.dead_coins
            suspects += len(found.of(Verdict.SUSPECT))
    assert suspects == 2, "the same silence, in both layouts"


# ── mids every five seconds ──────────────────────────────────────────────────────────────────────


@dataclass
class Mids:
    came: Moments
    maps: list[dict[str, float]]

    @property
    def start_ms(self) -> int:
        """A moment before the first map came."""
        return int(self.came[0]) - 500

    def at(self, now_ms: int) -> dict[str, float]:
        return self.maps[max(0, int(np.searchsorted(self.came, now_ms, side="right")) - 1)]

    def is_near(self, coin: str, now_ms: int, then_ms: int) -> bool:
        return abs(self.at(now_ms)[coin] / self.at(then_ms)[coin] - 1) <= SAME_PRICE_BPS / 10_000

    def changes(self, coin: str, until_ms: int) -> Moments:
        """When a stream of this coin would have spoken: at the first, and then on change."""
        values = [each.get(coin) for each in self.maps]
        places = [0, *(place for place in range(1, len(values)) if values[place] != values[place - 1])]
        came = self.came[places]
        return came[came < until_ms]

    def stream_price(self, coin: str, now_ms: int, until_ms: int) -> float | None:
        return self.at(min(now_ms, until_ms - 1)).get(coin)


@pytest.fixture(scope="module")
def mids(shared_data: Path) -> Mids:
    with gzip.open(shared_data / "ws" / "hl_allMids_series_20250722_10min.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    came = moments([datetime.fromisoformat(row["timestamp"]).timestamp() * 1000 for row in rows])
    assert len(came) == len(rows)
    maps = [
        {coin: float(mid) for coin, mid in row["mids"].items() if coin[0] != "@" and "/" not in coin} for row in rows
    ]
    return Mids(came, maps)


@pytest.mark.parametrize("pongs", [True, False])
@pytest.mark.parametrize("coins", [0, 201])
def test_the_hole_in_the_mids_is_seen_and_named_and_nothing_else(mids: Mids, coins: int, pongs: bool) -> None:
    """As one stream of all mids, and as streams of quotes that all speak at once."""
    names = sorted(mids.maps[0])[:coins]
    line = ArrivingLine(3, dict.fromkeys(names, mids.came), mids.came, pongs=pongs)
    found = watch([line], mids.start_ms, int(mids.came[-1]))
    strange = [spell for spell in found.spells if spell.verdict in STRANGE]
    assert [spell.verdict for spell in strange] == [Verdict.DEAD]
    begin_ms, end_ms = longest_gap(mids.came)
    assert 257_000 < end_ms - begin_ms < 257_500
    assert strange[0].first_ms - begin_ms <= 16_000, "two and a half times the longest gap so far"
    assert end_ms - 1_000 <= strange[0].last_ms <= end_ms
    assert "connection 3: nothing for 25" in strange[0].reason and "(since 15:35:40 UTC)" in strange[0].reason


DEAD_STREAMS = ("BTC", "ETH", "SOL", "DOGE", "HYPE", "kPEPE", "SUI")


@pytest.mark.parametrize("cut", [(), DEAD_STREAMS])
def test_quiet_coins_are_quiet_and_dead_streams_are_found(mids: Mids, cut: tuple[str, ...]) -> None:
    """Each coin as a stream that speaks on change; those of `cut` say nothing after 100 s, though their prices move."""
    begin_ms, _ = longest_gap(mids.came)
    start_ms = mids.start_ms
    coins = sorted(mids.maps[0])
    until = {coin: start_ms + 100_000 if coin in cut else begin_ms + 1 for coin in coins}
    line = ArrivingLine(0, {coin: mids.changes(coin, until[coin]) for coin in coins})
    found = watch(
        [line],
        start_ms,
        begin_ms,
        mids_at=mids.at,
        price_of=lambda coin, now_ms: mids.stream_price(coin, now_ms, until[coin]),
    )
    assert not [spell for spell in found.spells if spell.verdict in STRANGE], "nobody begins a connection again for it"
    assert found.dead_coins.keys() == set(cut)
    assert len(found.doubted_coins - set(cut)) == 33, "so many were silent for half a minute and more"
    for coin, dead_ms in found.dead_coins.items():
        last_ms = int(line.quotes[coin][-1])
        agreed_ms = max(at_ms for at_ms in mids.came if at_ms < dead_ms and mids.is_near(coin, int(at_ms), last_ms))
        proven_ms = max(last_ms + 30_000, int(agreed_ms))
        assert 0 < dead_ms - proven_ms <= 2 * 10_000 + 6_000, "two checks after the price has moved, for good"


# ── five minutes with thin coins ─────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def session(shared_data: Path) -> dict[tuple[str, str], Moments]:
    """Arrivals by channel and coin."""
    found: dict[tuple[str, str], list[float]] = {}
    path = shared_data / "ws" / "hl_ws_l2book_trades_5coins_20260722_5min.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for text in file:
            row = json.loads(text)
            data = row["data"]
            coin = data["coin"] if isinstance(data, dict) else data[0]["coin"]
            found.setdefault((row["channel"], coin), []).append(row["received_wall_ns"] / 1_000_000)
    return {key: moments(times) for key, times in found.items()}


@pytest.mark.parametrize("layout", ["together", "each alone", "each alone with its book"])
def test_thin_coins_are_never_called_dead(session: dict[tuple[str, str], Moments], layout: str) -> None:
    """Their trades come on change, as quotes do; one of them had none for 166 s."""
    coins = sorted({coin for _, coin in session})
    assert len(coins) == 5
    if layout == "together":
        books = np.concatenate([session["l2Book", coin] for coin in coins])
        lines = [ArrivingLine(0, {coin: session["trades", coin] for coin in coins}, books)]
    else:
        lines = [
            ArrivingLine(number, {coin: session["trades", coin]}, session["l2Book", coin] if "book" in layout else None)
            for number, coin in enumerate(coins)
        ]
    start_ms = min(int(came[0]) for came in session.values())
    end_ms = max(int(came[-1]) for came in session.values())
    for confirmed in (False, True):
        found = watch(
            lines,
            start_ms,
            end_ms,
            mids_at=(lambda now_ms: dict.fromkeys(coins, 1.0)) if confirmed else None,
            price_of=lambda coin, now_ms: 1.0,
        )
        assert not found.of(Verdict.DEAD, Verdict.FROZEN, Verdict.DOWN) and not found.dead_coins
        quiet = found.of(Verdict.QUIET)
        if layout != "each alone":
            assert not quiet and not found.of(Verdict.SUSPECT)
        elif confirmed:
            assert max(spell.last_ms - spell.first_ms for spell in quiet) > 50_000
        else:
            assert found.of(Verdict.SUSPECT) and not quiet
