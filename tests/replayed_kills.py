"""Sessions of lives that were killed: whatever was committed has to be on record, and to come out again."""

from __future__ import annotations

from pathlib import Path

from adapters.session_files.prune import session_folders
from adapters.session_files.reader import SessionReader
from application.step import Step
from domain.event_text import event_from_plain
from domain.events import Recovered
from domain.fact_text import chained, fact_to_json
from domain.facts import CandlesSkipped, DecisionsRecorded
from entrypoints.sessions.rebuild import replay_of
from ports.session_log import Tag
from tests.session_edits import entries_of


def check_sessions(sessions: Path) -> int:
    """Replay every session of one ledger, in order; returns how many decided something.

    What each began with is what the one before had come to at some step: so everything that was committed before the
    kill is on record. Steps after that were on record and never committed.
    """
    reached: set[str] | None = None
    deciding = 0
    for folder in session_folders(sessions):
        manifest = SessionReader(folder).manifest
        entries = list(entries_of(folder))
        began = next((entry for entry in entries if entry[0] == Tag.EVENT), None)
        if began is None:
            continue  # killed before it had heard anything
        event = event_from_plain(began[3], began[4])
        assert isinstance(event, Recovered), "what was recovered comes first"
        if reached is not None:
            assert event.digest in reached, f"{folder}: it began with what the session before has no record of"
        heads = [bytes.fromhex(event.digest)]

        def keep(step: Step, heads: list[bytes] = heads) -> None:
            for fact in step.facts:
                if not isinstance(fact, (DecisionsRecorded, CandlesSkipped)):
                    heads.append(chained(heads[-1], fact_to_json(fact)))

        replay = replay_of(manifest)
        replay.on_step = keep
        replay.stops_at_difference = True
        result = replay.run(entries)
        assert result.difference is None, f"{folder}: {result.difference}"
        deciding += bool(result.intents)
        reached = {head.hex() for head in heads}
    return deciding
