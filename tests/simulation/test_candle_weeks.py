"""Weeks of candles over feeds that drop, stall, reorder, double, disconnect and lie: what is stored and decided on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from adapters.sqlite.candle_store import SqliteCandleStore
from domain.candles import Interval
from entrypoints.simulation.jumping_time import LoopClock, run_jumping
from ports.strategy import WARMUP_CANDLES
from tests.candle_world import GRACE_MS, Chaos, Faults, Middle, Truth, TruthfulHistory
from tests.engine_builders import START_MS, universe_of

QUIET = {"BTC": 0.0, "ETH": 0.02, "SOL": 0.1, "kPEPE": 0.25, "DOGE": 0.5, "XRP": 0.0}
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
CALM_MS = 6 * 3_600_000


class Week:
    """A week lived through, and then some calm hours."""

    def __init__(self, folder: Path, seed: int, faults: Faults, *, length_ms: int, failing: float) -> None:
        self.interval = Interval.M5
        self.end_ms = START_MS + length_ms
        self.truth = Truth(seed, self.interval, QUIET)
        self.universe = universe_of(*QUIET)
        self.clock = LoopClock(START_MS)
        self.store = SqliteCandleStore(folder / "candles.sqlite", self.universe.symbols)
        self.history = TruthfulHistory(self.truth, self.clock, seed, failing)
        self.middle = Middle(self.universe, self.interval, self.clock, self.history, self.store)
        self.chaos = Chaos(self.truth, self.universe, faults, seed)
        self.last_ms = self.interval.open_of(self.end_ms + CALM_MS) - self.interval.ms

    def live(self) -> None:
        arrivals = self.chaos.arrivals(START_MS + 500, self.end_ms, CALM_MS)

        async def living() -> None:
            await self.middle.run(arrivals, self.end_ms + CALM_MS)

        run_jumping(living)

    def closed(self) -> range:
        """Open times of all candles that closed while the daemon ran, but the very last ones."""
        return range(START_MS, self.last_ms - 2 * self.interval.ms, self.interval.ms)

    def wrongly_stored(self) -> list[tuple[str, int]]:
        wrong = []
        for symbol in self.universe.symbols:
            window = self.store.read(symbol, self.interval, START_MS - WARMUP_CANDLES * self.interval.ms, self.last_ms)
            for place, open_ms in enumerate(window.open_ms.tolist()):
                if tuple(float(column[place]) for column in window.columns) != self.truth.final(symbol, open_ms):
                    wrong.append((symbol, open_ms))
        return wrong

    def unstored(self) -> list[tuple[str, int]]:
        """Candles with trades that are not in the store."""
        missing = []
        for symbol in self.universe.symbols:
            stored = set(self.store.read(symbol, self.interval, START_MS, self.last_ms).open_ms.tolist())
            traded = (open_ms for open_ms in self.closed() if self.truth.bar(symbol, open_ms) is not None)
            missing += [(symbol, open_ms) for open_ms in traded if open_ms not in stored]
        return missing

    def check_analyses(self) -> None:
        """Each closed candle of each symbol was analysed once and not early, or it is on record why not."""
        seen = Counter((symbol, open_ms) for _, symbol, open_ms, _ in self.middle.strategy.seen)
        assert max(seen.values()) == 1, "no candle is decided on twice"
        for at_ms, _, open_ms, _ in self.middle.strategy.seen:
            assert at_ms >= open_ms + self.interval.ms + GRACE_MS, "nothing is decided on early"
        skipped = {
            (each.symbol, open_ms)
            for each in self.middle.skipped
            for open_ms in range(each.first_ms, each.last_ms + 1, self.interval.ms)
        }
        expected = {(symbol, open_ms) for symbol in self.universe.symbols for open_ms in self.closed()}
        assert expected - set(seen) - skipped == set(), "analysed, or on record"
        assert not skipped & set(seen), "what was decided on was not skipped"
        assert len(expected & set(seen)) > 0.9 * len(expected)

    def wrongly_seen(self) -> list[tuple[str, int]]:
        return [
            (symbol, open_ms)
            for _, symbol, open_ms, bar in self.middle.strategy.seen
            if bar != self.truth.final(symbol, open_ms)
        ]


def lived(tmp_path: Path, seed: int, faults: Faults, length_ms: int = WEEK_MS, failing: float = 0.1) -> Week:
    week = Week(tmp_path, seed, faults, length_ms=length_ms, failing=failing)
    week.live()
    return week


HONEST = Faults(doubled=0.1, delayed=0.2, disconnects=12, stalls=6)
"""Whatever happens, what the feed does not know to be whole it says: nothing wrong may ever be decided on."""

WICKED = Faults(
    dropped=0.02, doubled=0.1, delayed=0.1, delay_ms=30_000, lies=0.01, disconnects=8, stalls=4, dead_streams=12
)
"""Frames vanish and lie in silence: nobody can know at once, everybody must know in the end."""


@pytest.mark.seeds(1)
@pytest.mark.timeout(300)
def test_a_feed_that_breaks_but_does_not_lie_never_misleads_a_decision(tmp_path: Path, seed: int) -> None:
    nothing_misleads(lived(tmp_path, seed, HONEST))


@pytest.mark.long
@pytest.mark.seeds(2, 3)
@pytest.mark.timeout(300)
def test_nor_in_other_weeks(tmp_path: Path, seed: int) -> None:
    nothing_misleads(lived(tmp_path, seed, HONEST))


def nothing_misleads(week: Week) -> None:
    week.check_analyses()
    assert week.wrongly_stored() == [] and week.unstored() == []
    misled = week.wrongly_seen()
    revised = {open_ms for _, open_ms in misled}
    assert misled == [], f"{len(revised)} candles were decided on before they were whole"
    assert min(week.chaos.done["disconnect"], week.chaos.done["stall"], week.chaos.done["delayed"]) > 20


@pytest.mark.seeds(1)
@pytest.mark.timeout(300)
def test_a_feed_that_drops_and_lies_is_put_right_in_the_end(tmp_path: Path, seed: int) -> None:
    all_is_put_right(lived(tmp_path, seed, WICKED))


@pytest.mark.long
@pytest.mark.seeds(2, 3)
@pytest.mark.timeout(300)
def test_and_so_are_other_weeks_of_it(tmp_path: Path, seed: int) -> None:
    all_is_put_right(lived(tmp_path, seed, WICKED))


def all_is_put_right(week: Week) -> None:
    week.check_analyses()
    assert week.wrongly_stored() == [], "every stored candle is the venue's own"
    assert week.unstored() == []
    assert week.middle.told.count("candles_revised") > 10, "and each correction is on record"
    assert 0 < len(week.wrongly_seen()) < 0.06 * len(week.middle.strategy.seen)
    assert min(week.chaos.done[kind] for kind in ("dropped", "lies", "dead stream", "stall")) > 20
