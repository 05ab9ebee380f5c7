"""What must be true of the ledger's file after a life: I-16, I-18."""

from __future__ import annotations

import hashlib
import random
import sqlite3
from pathlib import Path

from adapters.sqlite.ledger import LedgerIdentity, SqliteLedger
from domain.fact_text import fact_from_json
from entrypoints.simulation.oracle.verdicts import Court

PROJECTED = (
    "order_intents", "order_attempts", "orders", "fills", "trades", "positions", "funding", "exit_states",
    "risk_state", "account", "anchors",
)  # fmt: skip


def chain_holds(court: Court, ledger: Path) -> str:
    """I-18: events are numbered without a gap, each with the hash of all before it; give the last one's."""
    connection = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)
    try:
        previous, number = bytes(32), 0
        for seq, fact, digest in connection.execute("SELECT seq, fact, hash FROM ledger_events ORDER BY seq"):
            number += 1
            wanted = hashlib.blake2b(previous + fact.encode(), digest_size=32).digest()
            if number == 1 and wanted != digest:
                previous, wanted = b"", digest  # the first link's predecessor is the ledger's own constant
            court.require(seq == number and digest == wanted, "I-18", f"event {seq} does not follow from {number - 1}")
            previous = digest
        head = connection.execute("SELECT head_seq, head_hash FROM meta").fetchone()
        court.require(head is None or head[0] == number, "I-18", f"the head says {head}, there are {number} events")
        if number and head is not None:
            court.require(head[1] == previous, "I-18", "the head's hash is not the last event's")
        return previous.hex()
    finally:
        connection.close()


def projections_follow_from_events(court: Court, ledger: Path, scratch: Path) -> None:
    """I-16: a second ledger that is told the same facts, one by one, has the same tables."""
    source = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)
    try:
        facts = [fact_from_json(text) for (text,) in source.execute("SELECT fact FROM ledger_events ORDER BY seq")]
        rebuilt = SqliteLedger(scratch, LedgerIdentity("live", "local", "x"), created_ms=0, chance=random.Random(0))
        try:
            for at in range(0, len(facts), 500):
                rebuilt.commit(facts[at : at + 500])
        finally:
            rebuilt.close()
        copy = sqlite3.connect(f"file:{scratch}?mode=ro", uri=True)
        try:
            for table in PROJECTED:
                ours, theirs = (_rows(each, table) for each in (source, copy))
                differ = sorted(set(ours) ^ set(theirs))[:2]
                court.require(ours == theirs, "I-16", f"{table} is not what its events say: {differ}")
        finally:
            copy.close()
    finally:
        source.close()


def _rows(connection: sqlite3.Connection, table: str) -> list[str]:
    return sorted(repr(row) for row in connection.execute(f"SELECT * FROM {table}"))
