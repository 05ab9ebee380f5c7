"""What the soak makes of its samples: each kind of growth and neglect is seen, and calm is left alone."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.soak.picture import picture_of
from tests.soak.samples import CANDLE_MS, SETTLED_CANDLES, DecidedCandles, Sample
from tests.soak.trends import after_warm_up, floor_growth, trend
from tests.soak.verdict import Caps, Ending, report_of

SCALE = 60.0
COUNT = 720
EVERY_S = 5.0
CAPS = Caps(sessions_mib=95.0, log_mib=4.2)
CALM = Sample(
    at_s=0.0,
    rss_mib=140.0,
    venue_pss_mib=250.0,
    cpu_s=0.0,
    venue_cpu_s=0.0,
    fds=28,
    threads=6,
    tasks=20,
    price_age_s=2.0,
    log_mib=3.0,
    sessions_mib=80.0,
    ledger_mib=10.0,
    decisions_mib=30.0,
    positions=5,
    fills=9,
    unprotected=(),
)
Change = Callable[[int, Sample], Sample]


def run(change: Change = lambda _, sample: sample) -> list[Sample]:
    """An hour of noisy memory and tasks that come and go: 2.5 simulated days."""
    chance = random.Random(5)
    samples = []
    for place in range(COUNT):
        noise = replace(CALM, rss_mib=140 + chance.gauss(0, 0.5), tasks=20 + chance.choice((0, 0, 1, 3)))
        samples.append(change(place, replace(noise, at_s=place * EVERY_S, cpu_s=place * EVERY_S * 0.4)))
    return samples


def verdict(tmp_path: Path, samples: list[Sample], **changes: object) -> list[str]:
    log = tmp_path / "output.log"
    if not log.exists():
        log.write_text('{"level": "info", "event": "heartbeat"}\n')
    decided = DecidedCandles(200, candles=3_000, lags_ms=[4_000])
    for name in ("missing", "duplicate", "candles"):
        setattr(decided, name, changes.pop(name, getattr(decided, name)))
    ending = replace(Ending(0, 0, "sound", log), **changes)  # type: ignore[arg-type]
    failures: list[str] = report_of(samples, SCALE, CAPS, decided, ending)["failures"]
    return failures


def test_a_calm_run_passes(tmp_path: Path) -> None:
    assert verdict(tmp_path, run()) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda place, sample: replace(sample, rss_mib=sample.rss_mib + place * 4.0 / COUNT), "memory grows"),
        (lambda place, sample: replace(sample, fds=28 + place // 200), "more fds"),
        (lambda place, sample: replace(sample, threads=6 + place // 200), "more threads"),
        (lambda place, sample: replace(sample, tasks=(sample.tasks or 0) + place // 200), "more tasks"),
        (lambda place, sample: replace(sample, sessions_mib=130.0), "sessions took"),
        (lambda place, sample: replace(sample, log_mib=5.0), "log files took"),
        (lambda place, sample: replace(sample, fills=0), "nothing was traded"),
        (lambda place, sample: replace(sample, unprotected=("ADA",) if place in (7, 8) else ()), "ADA was held"),
    ],
)
def test_what_grows_or_is_neglected_is_named(tmp_path: Path, change: Change, says: str) -> None:
    (failure,) = verdict(tmp_path, run(change))
    assert says in failure


def test_a_stop_on_its_way_is_not_a_neglect(tmp_path: Path) -> None:
    assert verdict(tmp_path, run(lambda place, each: replace(each, unprotected=("ADA",) if place % 2 else ()))) == []


def test_growth_in_the_first_quarter_is_warm_up(tmp_path: Path) -> None:
    warming = run(lambda place, sample: replace(sample, rss_mib=sample.rss_mib - max(0, 150 - place) / 2))
    assert verdict(tmp_path, warming) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"exit_code": 1}, "ended with 1"),
        ({"check_code": 8, "check_said": "event 7 was changed"}, "event 7 was changed"),
        ({"missing": 3}, "3 decisions were neither"),
        ({"duplicate": 2}, "made twice"),
        ({"candles": 0}, "never got warm"),
    ],
)
def test_a_bad_end_is_named(tmp_path: Path, change: dict[str, object], says: str) -> None:
    (failure,) = verdict(tmp_path, run(), **change)
    assert says in failure


@pytest.mark.parametrize("line", ['{"level": "error", "event": "x"}', "Traceback (most recent call last):"])
def test_an_error_in_the_log_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "output.log").write_text(line + "\n")
    (failure,) = verdict(tmp_path, run())
    assert "1 errors in the log" in failure


def test_a_line_is_found_with_its_confidence() -> None:
    chance = random.Random(1)
    points = [(float(x), 3.0 + 0.5 * x + chance.gauss(0, 1)) for x in range(240)]
    found = trend(points)
    assert found is not None and found.low < 0.5 < found.high and found.high - found.low < 0.02
    assert trend(points[:3]) is None
    exact = trend([(float(x), 2.0 * x) for x in range(30)])
    assert exact is not None and exact.slope == pytest.approx(2.0)


def test_the_floor_is_what_never_goes_down_again() -> None:
    assert floor_growth([(x, 5 + x % 4) for x in range(30)]) == 0
    assert floor_growth([(x, 5 + x // 10) for x in range(30)]) == 2
    assert after_warm_up([(0, 1), (10, 1), (30, 1), (40, 1)]) == [(10, 1), (30, 1), (40, 1)]


def test_candles_that_somebody_did_not_decide_on_are_counted_once_they_have_settled(tmp_path: Path) -> None:
    path = tmp_path / "decisions.sqlite"
    candles = SETTLED_CANDLES + 6
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE decisions (symbol TEXT, open_ms INTEGER, at_ms INTEGER)")
        database.execute("CREATE TABLE candles_skipped (symbol TEXT, first_ms INTEGER, last_ms INTEGER)")
        for candle in range(candles):
            for symbol in ("BTC", "ETH"):
                if (symbol, candle) not in (("ETH", 2), ("BTC", 4)):
                    row = (symbol, candle * CANDLE_MS, (candle + 1) * CANDLE_MS + 4_000)
                    database.execute("INSERT INTO decisions VALUES (?, ?, ?)", row)
        database.execute("INSERT INTO decisions VALUES ('BTC', 0, 65000)")
        database.execute("INSERT INTO candles_skipped VALUES ('ETH', ?, ?)", (2 * CANDLE_MS, 2 * CANDLE_MS))
    decided = DecidedCandles(2)
    decided.look(path)
    decided.look(path)
    assert (decided.candles, decided.missing, decided.skipped, decided.duplicate) == (5, 1, 1, 1)
    assert decided.lags_ms[1] == 4_000


def test_the_picture_shows_what_was_there(tmp_path: Path) -> None:
    samples = run(lambda place, sample: replace(sample, tasks=None))
    picture = picture_of(samples, SCALE)
    assert "RSS of the daemon" in picture and "tasks" not in picture and picture.count("<polyline") == 9
    assert json.dumps(picture), "text"
