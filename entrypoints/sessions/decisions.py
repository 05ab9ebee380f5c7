"""The decisions of a session, made again, in a log of their own."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from adapters.sqlite.decision_log import SqliteDecisionLog
from application.replay import Stop
from application.step import Step
from domain.facts import CandlesSkipped, DecisionsRecorded
from entrypoints.sessions.opened import OpenedSession
from entrypoints.sessions.rebuild import replay_of
from ports.strategy import Strategy

KEPT = 10_000_000
"""Rows; more than any session decides."""


def replay_decisions(
    session: OpenedSession, path: Path, until_ms: int | None, strategy: Strategy | None = None
) -> None:
    """Write every decision up to `until_ms` into a new decision log at `path`."""
    with closing(SqliteDecisionLog(path, KEPT, session.manifest.session)) as log:

        def keep(step: Step) -> None:
            decided = [fact for fact in step.facts if isinstance(fact, DecisionsRecorded)]
            skipped = [fact for fact in step.facts if isinstance(fact, CandlesSkipped)]
            if decided:
                log.append(decided)
            if skipped:
                log.note_skipped(skipped)

        replay = replay_of(session.manifest, strategy)
        replay.on_step = keep
        replay.until = Stop(at_ms=until_ms)
        replay.run(session.entries())
