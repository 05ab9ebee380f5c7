"""Every analysis with its reason, on disk: bounded, and apart from the ledger."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from adapters.sqlite import engine
from adapters.sqlite.decision_rows import COLUMNS, Row, rows_of
from adapters.sqlite.file_kinds import DECISIONS
from adapters.sqlite.storage_errors import in_storage_words
from domain.facts import CandlesSkipped, DecisionsRecorded

SPARE_DELETIONS = 500
"""How many rows more than it adds one append may drop: a log that was cut shorter shrinks step by step."""

_ADD = f"INSERT INTO decisions ({', '.join(COLUMNS)}) VALUES ({', '.join('?' for _ in COLUMNS)})"
_SKIP = (
    "INSERT INTO candles_skipped (seq, at_ms, session, symbol, interval, first_ms, last_ms, reason) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_DROP_OLDEST_SKIPS = "DELETE FROM candles_skipped WHERE id <= (SELECT max(id) FROM candles_skipped) - ?"
_ADD_GATE_SET = "INSERT INTO gate_sets (names) VALUES (?)"
_FIND_GATE_SET = "SELECT id FROM gate_sets WHERE names = ?"
_DROP_OLDEST = (
    "DELETE FROM decisions WHERE id <= "
    "min((SELECT max(id) FROM decisions) - ?, (SELECT min(id) FROM decisions) + ? - 1)"
)


class SqliteDecisionLog:
    """`DecisionLog` in a file of its own; the newest `keep_rows` decisions stay."""

    def __init__(self, path: Path, keep_rows: int, session: str) -> None:
        """Open the log at `path`, making it when there is none. Raises `StorageError`.

        `session` names the running session in every row: `seq` counts within it.
        """
        assert keep_rows > 0, "a log keeps something"
        self._path = path
        self._keep_rows = keep_rows
        self._session = session
        self._gate_set_ids: dict[tuple[str, ...], int] = {}
        self._connection = engine.open_writer(path, DECISIONS)

    def append(self, decisions: Sequence[DecisionsRecorded]) -> None:
        if not decisions:
            return
        with in_storage_words(self._path, "cannot write decisions", DECISIONS.when_damaged), self._connection.begin():
            gate_set_ids = self._sets_of(decisions)
            rows: list[Row] = []
            for batch in decisions:
                rows += rows_of(batch, self._session, gate_set_ids[batch.analyses.gate_names])
            if rows:
                self._connection.exec_driver_sql(_ADD, rows)
                self._connection.exec_driver_sql(_DROP_OLDEST, (self._keep_rows, len(rows) + SPARE_DELETIONS))
        self._gate_set_ids = gate_set_ids

    def note_skipped(self, skipped: Sequence[CandlesSkipped]) -> None:
        session = self._session
        rows = [
            (each.seq, each.at_ms, session, each.symbol, each.interval.value, each.first_ms, each.last_ms, each.reason)
            for each in skipped
        ]
        if not rows:
            return
        with in_storage_words(self._path, "cannot write decisions", DECISIONS.when_damaged), self._connection.begin():
            self._connection.exec_driver_sql(_SKIP, rows)
            self._connection.exec_driver_sql(_DROP_OLDEST_SKIPS, (self._keep_rows,))

    def close(self) -> None:
        """Close the file. Idempotent."""
        engine.close(self._connection)

    def _sets_of(self, decisions: Sequence[DecisionsRecorded]) -> dict[tuple[str, ...], int]:
        """The known gate sets and those of these decisions; kept only once they are committed."""
        known = self._gate_set_ids
        for batch in decisions:
            names = batch.analyses.gate_names
            if names not in known:
                known = {**known, names: self._set_id(json.dumps(names))}
        return known

    def _set_id(self, names: str) -> int:
        stored = self._connection.exec_driver_sql(_FIND_GATE_SET, (names,)).scalar()
        if stored is not None:
            return int(stored)
        return int(self._connection.exec_driver_sql(_ADD_GATE_SET, (names,)).lastrowid)
