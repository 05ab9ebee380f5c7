"""A ledger made from recorded sessions: what the daemon wrote, written again from what it heard."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from adapters.session_files.reader import SessionReader
from adapters.sqlite.ledger import LedgerIdentity, SqliteLedger
from application.step import Step
from domain.event_text import event_from_plain
from domain.events import Recovered
from domain.fact_text import GENESIS, chained, fact_to_json
from domain.facts import CandlesSkipped, DecisionsRecorded, LedgerFact
from entrypoints.gates import GateClosed
from entrypoints.recording import setup_of
from entrypoints.sessions.choose import choose_session
from entrypoints.sessions.rebuild import configuration_of, replay_of
from ports.session_errors import SessionDamaged, SessionError
from ports.session_log import Tag
from ports.strategy import Strategy

FACTS_PER_COMMIT = 512


def export_ledger(
    session: SessionReader,
    out: Path,
    strategy_of: Callable[[SessionReader], Strategy | None] = lambda _: None,
) -> str:
    """Write the ledger as it was at the session's end; returns its digest.

    Sessions before this one, which lie beside it, are replayed too, back to the one that began with an empty ledger.
    Raises `GateClosed` where `out` exists, `SessionError` where one of them is missing or damaged; then there is no
    file.
    """
    if out.exists():
        raise GateClosed(f"{out}: there is a file already; nothing was changed. Name another one.")
    runs = _back_to_the_beginning(session)
    first = runs[0][1]
    setup = setup_of(session.manifest)
    settings = configuration_of(session.manifest).settings
    identity = LedgerIdentity(settings.mode.value, settings.network.value, setup.engine.account)
    facts: list[LedgerFact] = []
    for place, (reader, began) in enumerate(runs):
        until = runs[place + 1][1].digest if place + 1 < len(runs) else None
        facts += _facts_of(reader, strategy_of(reader), began.digest, until)
    try:
        ledger = SqliteLedger(
            out,
            identity,
            created_ms=runs[0][0].manifest.began_ms,
            chance=random.Random(0),
            instance_tag=first.state.instance_tag,
        )
        with closing(ledger):
            for start in range(0, len(facts), FACTS_PER_COMMIT):
                ledger.commit(facts[start : start + FACTS_PER_COMMIT])
            return ledger.digest()
    except BaseException:
        out.unlink(missing_ok=True)
        raise


def _back_to_the_beginning(session: SessionReader) -> list[tuple[SessionReader, Recovered]]:
    """The sessions of one ledger, oldest first, each with what it began with."""
    runs = [(session, _beginning(session))]
    while runs[0][1].digest != GENESIS.hex():
        reader = runs[0][0]
        previous = reader.manifest.previous
        try:
            if previous is None:
                raise SessionDamaged(str(reader.source.path), "it names no session before it")
            before = SessionReader(choose_session(previous, reader.source.path.parent))
            runs.insert(0, (before, _beginning(before)))
        except SessionError as error:
            raise SessionDamaged(
                str(reader.source.path),
                f"its ledger began earlier, and the session before it cannot be used: {error}",
                advice="without it no whole ledger can be made; the daemon's own file is the ledger",
            ) from error
    return runs


def _beginning(reader: SessionReader) -> Recovered:
    for record in reader.records():
        for entry in record.entries:
            if entry[0] == Tag.EVENT:
                event = event_from_plain(entry[3], entry[4])
                if isinstance(event, Recovered):
                    return event
    raise SessionDamaged(str(reader.source.path), "it does not say what it began with")


def _facts_of(reader: SessionReader, strategy: Strategy | None, head: str, until: str | None) -> Sequence[LedgerFact]:
    """What the session committed, up to the digest `until`: what a killed process decided last need not be."""
    facts: list[LedgerFact] = []

    def keep(step: Step) -> None:
        facts.extend(fact for fact in step.facts if not isinstance(fact, (DecisionsRecorded, CandlesSkipped)))

    replay = replay_of(reader.manifest, strategy)
    replay.on_step = keep
    replay.run(entry for record in reader.records() for entry in record.entries)
    if until is None:
        return facts
    reached = bytes.fromhex(head)
    for count, fact in enumerate([None, *facts]):
        if fact is not None:
            reached = chained(reached, fact_to_json(fact))
        if reached.hex() == until:
            return facts[:count]
    raise SessionDamaged(str(reader.source.path), "the session after it did not begin with what this one left")
