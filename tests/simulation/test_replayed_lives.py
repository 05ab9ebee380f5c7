"""Every life of the simulated daemon, replayed from its record: the same decisions, effects and ledger.

The simulation is the whole daemon under faults, crashes and restarts, so its sessions hold what sessions can hold.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from adapters.session_files.reader import SessionReader
from application.replay import Replayed, Stop
from application.what_if_change import change_between
from domain.event_text import event_from_plain, event_to_plain
from domain.events import Recovered
from entrypoints.sessions.ledger_export import export_ledger
from entrypoints.sessions.opened import OpenedSession
from entrypoints.sessions.rebuild import replay_of
from entrypoints.sessions.simulated import read_overrides, simulate_session
from entrypoints.simulation.eager_strategy import EagerStrategy
from entrypoints.simulation.run import ENTRIES_PER_CANDLE, live_through
from ports.session_errors import SessionDamaged
from ports.session_log import Tag
from tests.session_edits import edited, entries_of

HOURS = 3.0
DENSITY = 4.0

Change = Callable[[list[list[Any]]], None]


def strategy(seed: int) -> EagerStrategy:
    return EagerStrategy(seed, ENTRIES_PER_CANDLE * DENSITY)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], list[Path]]:
    """The sessions of one seed's lives, oldest first; each seed lives once."""

    @cache
    def lives(seed: int) -> list[Path]:
        folder = tmp_path_factory.mktemp(f"seed-{seed}") / "sessions"
        report = live_through(seed, HOURS, density=DENSITY, sessions=folder)
        assert not report.violations
        return sorted(folder.iterdir())

    return lives


def replayed(folder: Path, seed: int, until: Stop | None = None) -> Replayed:
    replay = replay_of(SessionReader(folder).manifest, strategy(seed))
    replay.stops_at_difference = True
    replay.until = until or Stop()
    return replay.run(entries_of(folder))


def beginning(folder: Path) -> Recovered:
    for entry in entries_of(folder):
        if entry[0] == Tag.EVENT and entry[3] == "recovered":
            event = event_from_plain(entry[3], entry[4])
            assert isinstance(event, Recovered)
            return event
    raise AssertionError("it recovered first")


@pytest.mark.seeds(3, 4, 7, 11)
def test_every_life_is_replayed_bit_for_bit(recorded: Callable[[int], list[Path]], seed: int) -> None:
    kinds: Counter[str] = Counter()
    lives, frames = recorded(seed), 0
    for place, folder in enumerate(lives):
        result = replayed(folder, seed)
        assert result.difference is None
        frames += result.frames
        for entry in entries_of(folder):
            if entry[0] == Tag.EVENT:
                kinds[entry[3]] += 1
                assert event_to_plain(event_from_plain(entry[3], entry[4])) == entry[4], "an event comes back as it was"
        manifest = SessionReader(folder).manifest
        assert manifest.previous == (lives[place - 1].name if place else None)
        if result.ended and place + 1 < len(lives):
            assert beginning(lives[place + 1]).digest == result.ledger_digest, "what it left is what the next found"
    assert len(lives) > 1 and frames
    assert kinds.keys() >= {"recovered", "account", "timer", "outcome", "history", "venue_time"}


@pytest.mark.seeds(7)
def test_the_ledger_of_all_lives_can_be_made_again(
    recorded: Callable[[int], list[Path]], seed: int, tmp_path: Path
) -> None:
    last = SessionReader(recorded(seed)[-1])
    assert last.manifest.ended is not None
    digest = export_ledger(last, tmp_path / "again.sqlite", lambda _: strategy(seed))
    assert digest == last.manifest.ended.digest == replayed(recorded(seed)[-1], seed).ledger_digest


@pytest.mark.seeds(7)
def test_a_replay_stops_where_it_is_told_to(recorded: Callable[[int], list[Path]], seed: int) -> None:
    folder = recorded(seed)[0]
    whole = replayed(folder, seed)
    part = replayed(folder, seed, Stop(seq=200))
    assert (part.last_seq, part.events, part.reached_until) == (200, 200, True)
    middle_ms = (whole.first_ms + whole.last_ms) // 2
    half = replayed(folder, seed, Stop(at_ms=middle_ms))
    assert half.last_ms <= middle_ms and 0 < half.events < whole.events and half.difference is None


# ── what was changed is found, at the event that it matters to ───────────────────────────────────


def first_intent(entries: list[list[Any]]) -> tuple[int, str, int]:
    """Place of the step, symbol and seq of the first entry that was decided."""
    for place, entry in enumerate(entries):
        if entry[0] == Tag.STEP:
            for fact in entry[2]:
                if fact["fact"] == "intent" and fact["intent"]["key"]["action"] == "OPEN":
                    return place, fact["intent"]["key"]["symbol"], entry[1]
    raise AssertionError("the first life opens something")


def other_price(entries: list[list[Any]]) -> int:
    """The last price before the first entry is another one."""
    end, symbol, seq = first_intent(entries)
    for place in range(end, -1, -1):
        entry = entries[place]
        if entry[0] != Tag.FRAME:
            continue
        frame = json.loads(entry[4])
        if frame["channel"] == "allMids" and symbol in frame["data"]["mids"]:
            frame["data"]["mids"][symbol] = _times(frame["data"]["mids"][symbol], 1.01)
        elif frame["channel"] == "bbo" and frame["data"]["coin"] == symbol:
            for side in frame["data"]["bbo"]:
                side["px"] = _times(side["px"], 1.01)
        else:
            continue
        entry[4] = json.dumps(frame)
        return seq
    raise AssertionError("it knew a price")


def other_reply(entries: list[list[Any]]) -> int:
    """The venue's first answer to an order names another order."""
    for entry in entries:
        if entry[0] == Tag.EVENT and entry[3] == "outcome" and entry[4]["outcome"]["is"] == "Accepted":
            entry[4]["outcome"]["oid"] += 1
            return int(entry[1])
    raise AssertionError("an order was accepted")


def other_timer(entries: list[list[Any]]) -> int:
    """A timer at which candles had closed fires before they could."""
    for place, entry in enumerate(entries):
        came = entries[place + 1] if place + 1 < len(entries) else entry
        if entry[0] == Tag.EVENT and entry[3] == "timer" and came[0] == Tag.STEP:
            if not any(fact["fact"] == "decisions" for fact in came[2]):
                continue
            entry[2] -= 4_000
            return int(entry[1])
    raise AssertionError("candles closed")


def other_fill(entries: list[list[Any]]) -> int:
    """Executions were told with another price; named by the first step that books one that a frame told."""
    for entry in entries:
        if entry[0] in (Tag.FRAME, Tag.HELD) and '"fills"' in entry[4]:
            frame = json.loads(entry[4])
            for fill in frame["data"]["fills"]:
                fill["px"] = _times(fill["px"], 1.001)
            entry[4] = json.dumps(frame)
    for place, entry in enumerate(entries):
        told = entry[0] == Tag.STEP and entries[place - 1][0] == Tag.TAKEN
        if told and any(fact["fact"] == "fill" for fact in entry[2]):
            return int(entry[1])
    raise AssertionError("something was filled")


def lost_step(entries: list[list[Any]]) -> int:
    """What came of an event is not on record."""
    place, _, seq = first_intent(entries)
    del entries[place]
    return seq


def other_decision(entries: list[list[Any]]) -> int:
    place, _, seq = first_intent(entries)
    for fact in entries[place][2]:
        if fact["fact"] == "intent":
            fact["intent"]["size"] = "1"
    return seq


def _times(text: str, factor: float) -> str:
    return re.sub(r"0+$", "", f"{float(text) * factor:.6f}").rstrip(".")


@pytest.mark.seeds(7)
@pytest.mark.parametrize(
    "change",
    [other_price, other_reply, other_timer, other_fill, lost_step, other_decision],
    ids=lambda each: each.__name__,
)
def test_what_was_changed_is_named_by_the_first_event_that_differs(
    recorded: Callable[[int], list[Path]], seed: int, tmp_path: Path, change: Callable[[list[list[Any]]], int]
) -> None:
    expected: list[int] = []
    source = next(each for each in recorded(seed) if replayed(each, seed).fills and replayed(each, seed).intents)
    folder = edited(source, tmp_path / "edited", lambda entries: expected.append(change(entries)))
    result = replayed(folder, seed)
    assert result.difference is not None
    assert result.difference.seq == expected[0]
    assert result.difference.before[-1].seq == expected[0]
    assert result.difference.recorded != result.difference.replayed


@pytest.mark.seeds(7)
def test_a_record_that_contradicts_itself_is_refused(
    recorded: Callable[[int], list[Path]], seed: int, tmp_path: Path
) -> None:
    def one_event_less(entries: list[list[Any]]) -> None:
        place = next(place for place, entry in enumerate(entries) if entry[0] == Tag.TAKEN)
        del entries[place]

    folder = edited(recorded(seed)[0], tmp_path / "edited", one_event_less)
    with pytest.raises(SessionDamaged, match="follows on"):
        replayed(folder, seed)


# ── what-if ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.seeds(1)
def test_an_unchanged_config_changes_nothing_and_a_changed_one_only_what_it_must(
    recorded: Callable[[int], list[Path]], seed: int, tmp_path: Path
) -> None:
    session = OpenedSession(max(recorded(seed), key=lambda each: replayed(each, seed).intents), quiet=True)
    written = session.manifest.setup["overrides"]["content"]
    same, wide = tmp_path / "same.yaml", tmp_path / "wide.yaml"
    same.write_text(written)
    wide.write_text(written.replace("  trade:\n", "  trade:\n    sl_atr_mult: 9\n", 1))

    def make_strategy() -> EagerStrategy:
        return strategy(seed)

    before = simulate_session(session, make_strategy=make_strategy)
    again = simulate_session(session, overrides=read_overrides(same), make_strategy=make_strategy)
    after = simulate_session(session, overrides=read_overrides(wide), make_strategy=make_strategy)
    assert before.intents and before.fills
    assert before.digest == simulate_session(session, make_strategy=make_strategy).digest
    assert change_between(before, again).is_none or session_reloads(session)
    change = change_between(before, after)
    assert change.intents, "wider stops are other orders"
    ours = {(each.trade.symbol, each.trade.opened_ms): each.trade for each in before.trades}
    theirs = {(each.trade.symbol, each.trade.opened_ms): each.trade for each in after.trades}
    differing = {key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key)}
    assert {(each.symbol, each.opened_ms) for each in change.trades} == differing


def session_reloads(session: OpenedSession) -> bool:
    return any(entry[0] == Tag.EVENT and entry[3] == "overrides" for entry in session.entries())
