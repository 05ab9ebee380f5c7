"""Sessions that were recorded once and are kept: a change that alters a decision shows which one, and how.

If it is meant to, look at the difference, then record them anew: `python -m tests.golden.renew`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from entrypoints.sessions.difference import difference_lines
from entrypoints.sessions.opened import OpenedSession
from entrypoints.sessions.rebuild import replay_of
from entrypoints.sessions.simulated import simulate_session
from ports.session_errors import SessionDamaged
from ports.session_log import Tag
from tests.golden.renew import MAKERS, named, strategy_of
from tests.session_edits import edited


def differences(path: Path, name: str) -> list[str]:
    """What is decided otherwise now, as a person reads it."""
    session = OpenedSession(path, quiet=True)
    replay = replay_of(session.manifest, strategy_of(name))
    replay.stops_at_difference = True
    result = replay.run(session.entries())
    assert result.events > 100 and result.decisions and result.intents
    return [] if result.difference is None else list(difference_lines(result.difference))


@pytest.mark.parametrize("name", MAKERS)
def test_every_decision_is_what_it_was(name: str) -> None:
    told = "\n".join(differences(named(name), name))
    assert not told, f"{named(name).name} is decided otherwise:\n{told}"


def test_a_decision_that_changed_is_shown_readably(tmp_path: Path) -> None:
    def change(entries: list[list[object]]) -> None:
        for entry in entries:
            if entry[0] == Tag.STEP:
                for fact in entry[2]:  # type: ignore[attr-defined]
                    if fact["fact"] == "intent":
                        fact["intent"]["size"] = "12345"
                        return

    told = differences(edited(named("paper"), tmp_path / "edited", change), "paper")
    assert told[0].startswith("first difference at seq ") and told[0].endswith(": facts")
    assert [line for line in told if line.startswith("  -")][1:] == ['  -  intent.size: "12345"']
    (after,) = [line for line in told if line.startswith("  +  ")]
    assert after.startswith('  +  intent.size: "')
    before = [line for line in told if line.lstrip().startswith("seq ")]
    assert len(before) > 5 and told[0].split()[4] in before[-1], "what happened before it, and it"


def test_a_what_if_of_a_record_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    def change(entries: list[list[object]]) -> None:
        next(entry for entry in entries if entry[0] == Tag.TAKEN)[3] = 10_000_000

    session = OpenedSession(edited(named("paper"), tmp_path / "edited", change), quiet=True)
    with pytest.raises(SessionDamaged, match="no event number 10000000"):
        simulate_session(session)


def test_a_what_if_of_one_is_what_it_was() -> None:
    runs = [simulate_session(OpenedSession(named("paper"), quiet=True)) for _ in range(2)]
    assert runs[0].digest == runs[1].digest
    assert runs[0].fills and runs[0].recorded_fills
