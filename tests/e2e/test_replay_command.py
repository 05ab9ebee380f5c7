"""`./aiq replay`, `why --session` and `sessions import` as a user meets them, on sessions that ship with the tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.daemon_process import aiq, aiq_json
from tests.golden.renew import named
from tests.unit.test_session_import import STRATEGY, written

PAPER = str(named("paper"))


def test_figures_for_scripts(tmp_path: Path) -> None:
    found = aiq_json(tmp_path, "replay", PAPER, "--verify")
    assert {"digest", "events", "decisions", "wall_s", "events_per_s", "speedup"} <= found.keys()
    assert found["verified"] and found["speedup"] > 1 and found["intents"] and found["fills"]
    assert aiq_json(tmp_path, "replay", PAPER)["digest"] == found["digest"]


def test_words_for_people(tmp_path: Path) -> None:
    done = aiq(tmp_path, "replay", PAPER)
    assert done.returncode == 0, done.stderr
    assert "every decision and effect is as recorded" in done.stdout
    assert "times as fast as it happened" in done.stdout


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--until", "yesterday"), 2, "neither an event's number nor a time"),
        (("--speed", "fast"), 2, "neither max nor a multiple"),
        (("--verify", "--what-if", "x.yaml"), 2, "--verify compares with what was recorded"),
        (("--what-if", "x.yaml"), 3, "x.yaml"),
        (("--strategy", "nowhere:analyze"), 3, "nowhere"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, options: tuple[str, ...], code: int, words: str) -> None:
    done = aiq(tmp_path, "replay", PAPER, *options)
    assert done.returncode == code, done.stderr
    assert words in done.stderr and "Traceback" not in done.stderr


def test_a_session_that_is_not_there(tmp_path: Path) -> None:
    for name in ("latest", "20261101T000000Z-1", str(tmp_path)):
        done = aiq(tmp_path, "replay", name)
        assert done.returncode == 8 and "Traceback" not in done.stderr


def test_why_asks_a_session(tmp_path: Path) -> None:
    (row,) = aiq_json(tmp_path, "why", "BTC", "--session", PAPER)
    assert row["symbol"] == "BTC" and row["strategy_gates"]
    earlier = aiq_json(tmp_path, "why", "BTC", "--session", PAPER, "--at", str(row["at_ms"] - 1), "--limit", "2")
    assert len(earlier) == 2 and all(each["at_ms"] < row["at_ms"] for each in earlier)


def test_another_strategy_trades_a_recorded_market(tmp_path: Path) -> None:
    found = aiq_json(tmp_path, "replay", PAPER, "--strategy", STRATEGY)
    assert found["change"]["decisions"] and found["changed"]["digest"] != found["digest"]


def test_a_recording_of_somebody_else(tmp_path: Path) -> None:
    path = written(tmp_path / "recorded.txt")
    told = aiq_json(tmp_path, "sessions", "import", path, "--out", "session", "--strategy", STRATEGY)
    assert told["symbols"] == ["BTC", "ETH"] and told["derived"]["candle"] == ["BTC", "ETH"]
    first, second = (aiq_json(tmp_path, "replay", "session") for _ in range(2))
    assert first["digest"] == second["digest"] and first["trades"]
    assert aiq(tmp_path, "sessions", "verify", "session").returncode == 0
    assert aiq(tmp_path, "sessions", "import", path, "--out", "session").returncode == 5
    overrides = tmp_path / "high.yaml"
    overrides.write_text("global:\n  trade:\n    sl_atr_mult: 0.3\n")
    changed = aiq_json(tmp_path, "replay", "session", "--what-if", str(overrides))
    assert changed["digest"] == first["digest"]
    before = {(each["symbol"], each["opened_ms"]): each for each in changed["trades"]}
    after = {(each["symbol"], each["opened_ms"]): each for each in changed["changed"]["trades"]}
    differing = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    assert {(each["symbol"], each["opened_ms"]) for each in changed["change"]["trades"]} == differing != set()
    verified = aiq(tmp_path, "replay", "session", "--verify")
    assert verified.returncode == 2 and "nothing was decided when it was recorded" in verified.stderr
    assert json.loads(aiq(tmp_path, "sessions", "show", "session", "--json").stdout)["manifest"]["origin"] == "import"
