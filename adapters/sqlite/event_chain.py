"""The chain of events: each row's hash covers its text and everything before it."""

from __future__ import annotations

import sqlalchemy as sa

from domain.fact_text import GENESIS, chained

TAIL_LENGTH = 10_000
"""Events that are verified at every start: some 30 ms."""


def tail_break(connection: sa.Connection) -> str | None:
    """Say what is wrong with the newest events, or None."""
    newest = int(connection.exec_driver_sql("SELECT coalesce(max(seq), 0) FROM ledger_events").scalar_one())
    return chain_break(connection, max(1, newest - TAIL_LENGTH + 1))


def chain_break(connection: sa.Connection, first_seq: int = 1) -> str | None:
    """Walk the events from `first_seq` to the newest and say where the chain breaks, or None.

    Sees an edit, a gap, a swap, and an end that is not the one that was last committed.
    """
    expected_seq = first_seq
    head = _hash_before(connection, first_seq)
    if head is None:
        return f"event {first_seq - 1} is missing"
    rows = connection.exec_driver_sql(
        "SELECT seq, fact, hash FROM ledger_events WHERE seq >= ? ORDER BY seq", (first_seq,)
    )
    for seq, fact, stored in rows:
        if seq != expected_seq:
            return f"event {expected_seq} is missing"
        try:
            head = chained(head, fact)
        except UnicodeEncodeError:
            return f"event {seq} was changed"
        if head != stored:
            return f"event {seq}, or the one before it, was changed"
        expected_seq += 1
    committed_seq, committed_head = connection.exec_driver_sql("SELECT head_seq, head_hash FROM meta").one()
    if committed_seq != expected_seq - 1:
        return f"the last committed event is {committed_seq}, the last one there is {expected_seq - 1}"
    return None if committed_head == head else "the newest event is not the one that was committed"


def _hash_before(connection: sa.Connection, seq: int) -> bytes | None:
    if seq == 1:
        return GENESIS
    found = connection.exec_driver_sql("SELECT hash FROM ledger_events WHERE seq = ?", (seq - 1,)).scalar()
    return None if found is None else bytes(found)
