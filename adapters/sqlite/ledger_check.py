"""Is a ledger what its facts say? Read-only, beside a running daemon.

Four things: the file itself, the chain of hashes, the tables rebuilt from the facts by the code that writes them (in
commits of one fact and of many, for any grouping must give the same), and what must hold between the tables
(`adapters.sqlite.ledger_identities`). Every problem is one line that names the place and says what to do.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from adapters.sqlite import engine, tables
from adapters.sqlite.event_chain import chain_break
from adapters.sqlite.file_kinds import LEDGER
from adapters.sqlite.ledger import LedgerIdentity
from adapters.sqlite.ledger_identities import broken_identities
from adapters.sqlite.projections import Projections
from adapters.sqlite.reading import reading
from adapters.sqlite.storage_errors import STORAGE_FAULTS, in_storage_words
from domain.fact_text import fact_from_json
from domain.facts import LedgerFact
from domain.value_text import ValueTextError

GROUPS = (1, 256)
"""Facts per commit of the two rebuilds: the supervisor's smallest batch and its largest."""

MOST_PER_TABLE = 10
"""Rows of one table that are named; the rest are counted."""

_ADVICE = (
    "stop the daemon, keep a copy of the file, and put the newest backup in its place, or move it away and run "
    "`./aiq recover --from-venue`"
)
_LOST = f"the tables do not follow from the facts: {_ADVICE}"
_BROKEN_CHAIN = f"the log was changed, cut short or torn: {_ADVICE}"
_PROJECTED = tuple(table for table in tables.LEDGER.sorted_tables if table not in (tables.meta, tables.ledger_events))
Key = tuple[Any, ...]
Tell = Callable[[str, int, int], None]
"""Hears (what is being done, done, of how many)."""


@dataclass(slots=True)
class Checked:
    identity: LedgerIdentity
    events: int
    rows: dict[str, int]
    rebuild_s: float
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def facts_per_s(self) -> float:
        """Facts read and booked anew in every grouping, per second."""
        return self.events / self.rebuild_s if self.rebuild_s > 0 else 0.0


def check_ledger(
    path: Path,
    now: Callable[[str, str], int | None] = lambda mode, network: None,
    tell: Tell = lambda what, done, total: None,
) -> Checked:
    """Check the ledger at `path` as of one moment. `now` says what time it is for a mode and network, if that is known.

    Raises `StorageError` when it is not there, is no ledger, or cannot be read at all.
    """
    with reading(path, LEDGER) as connection:
        owner = connection.exec_driver_sql("SELECT mode, network, account FROM meta").one()
        events = int(connection.exec_driver_sql("SELECT count(*) FROM ledger_events").scalar_one())
        checked = Checked(LedgerIdentity(*owner), events, {}, 0.0)
        tell("the file", 0, 1)
        checked.problems += _file_problems(connection)
        tell("the chain of hashes", 0, 1)
        broken = chain_break(connection)
        if broken is not None:
            checked.problems.append(f"chain: {broken}: {_BROKEN_CHAIN}")
        began = time.perf_counter()
        checked.problems += _rebuild_problems(connection, events, tell)
        checked.rebuild_s = time.perf_counter() - began
        tell("the identities", 0, 1)
        problems, notes = broken_identities(connection, now(owner[0], owner[1]))
        checked.problems += problems
        checked.notes += notes
        checked.rows = {
            table.name: int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
            for table in _PROJECTED
        }
    checked.problems = list(dict.fromkeys(checked.problems))
    return checked


def events_in(path: Path) -> int:
    """How many facts the ledger at `path` holds. An empty file holds none."""
    if path.stat().st_size == 0 and not path.with_name(path.name + "-wal").exists():
        return 0
    connection = engine.open_reader(path, LEDGER)
    try:
        with in_storage_words(path, "cannot read the ledger", LEDGER.when_damaged), connection.begin():
            return int(connection.exec_driver_sql("SELECT count(*) FROM ledger_events").scalar_one())
    finally:
        engine.close(connection)


# ── the file ─────────────────────────────────────────────────────────────────────────────────────


def _file_problems(connection: sa.Connection) -> list[str]:
    found = [str(text) for (text,) in connection.exec_driver_sql("PRAGMA integrity_check(20)")]
    problems = [f"file: {text}: {LEDGER.when_damaged}" for text in found if text != "ok"]
    for table, rowid, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        problems.append(f"{table}: row {rowid} refers to a row of {parent} that is not there: {_LOST}")
    return problems


# ── the tables, from the facts ───────────────────────────────────────────────────────────────────


class _Rebuild:
    """An empty ledger that facts are booked into, so many a commit."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._group: list[LedgerFact] = []
        self._done = 0
        self._fault = ""
        self.connection = _empty_ledger()

    def take(self, fact: LedgerFact) -> None:
        self._group.append(fact)
        if len(self._group) >= self._size:
            self.finish()

    def finish(self) -> None:
        """Book what is left over."""
        group, self._group = self._group, []
        if not group or self._fault:
            return
        try:
            Projections(group).write(self.connection)
        except STORAGE_FAULTS as e:
            span = f"{self._done + 1} to {self._done + len(group)}" if len(group) > 1 else str(self._done + 1)
            self._fault = f"ledger_events: fact {span} cannot be booked anew ({_short(e)}): {_BROKEN_CHAIN}"
        self._done += len(group)

    def problems(self, stored: sa.Connection) -> list[str]:
        if self._fault:
            return [self._fault]
        return [problem for table in _PROJECTED for problem in _differences(table, stored, self.connection)]


def _rebuild_problems(stored: sa.Connection, events: int, tell: Tell) -> list[str]:
    rebuilds = [_Rebuild(size) for size in GROUPS]
    try:
        for number, fact in enumerate(_facts(stored), 1):
            for each in rebuilds:
                each.take(fact)
            if number % 256 == 0 or number == events:
                tell("rebuilding the tables", number, events)
        for each in rebuilds:
            each.finish()
        return [problem for each in rebuilds for problem in each.problems(stored)]
    except ValueTextError as e:
        return [f"ledger_events: {e}: {_BROKEN_CHAIN}"]
    finally:
        for each in rebuilds:
            engine.close(each.connection)


def _empty_ledger() -> sa.Connection:
    """A ledger that lives in memory, and on the disk where it does not fit."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect("", isolation_level=None)

    made = sa.create_engine("sqlite://", creator=connect, poolclass=sa.StaticPool)
    connection = made.connect()
    cursor = connection.connection.cursor()
    for pragma in ("synchronous = OFF", "foreign_keys = ON", "journal_mode = OFF", "cache_size = -64000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.execute("BEGIN")
    tables.LEDGER.create_all(connection)
    return connection


def _facts(connection: sa.Connection) -> Iterator[LedgerFact]:
    rows = connection.exec_driver_sql("SELECT seq, fact FROM ledger_events ORDER BY seq")
    for seq, text in rows:
        try:
            fact = fact_from_json(text)
        except ValueTextError as e:
            raise ValueTextError(f"event {seq} cannot be read: {e}") from e
        yield fact


def _differences(table: sa.Table, stored: sa.Connection, rebuilt: sa.Connection) -> list[str]:
    """Rows that are not as the facts say. A counted id and the order of rows mean nothing."""
    counted = [column.name for column in table.primary_key] == ["id"] and table not in (
        tables.risk_state,
        tables.account,
    )
    columns = [column.name for column in table.columns if not (counted and column.name == "id")]
    keys = columns if counted else [column.name for column in table.primary_key]
    places = [columns.index(name) for name in keys]
    named: list[str] = []
    total = 0
    for key, there, due in _side_by_side(table, columns, keys, places, stored, rebuilt):
        if there == due:
            continue
        total += 1
        if len(named) < MOST_PER_TABLE:
            named.append(f"{table.name}: {_said(columns, keys, key, there, due)}: {_LOST}")
    if total > len(named):
        named.append(f"{table.name}: {total - len(named)} more rows are not as the facts say: {_LOST}")
    return named


def _side_by_side(
    table: sa.Table,
    columns: list[str],
    keys: list[str],
    places: list[int],
    stored: sa.Connection,
    rebuilt: sa.Connection,
) -> Iterator[tuple[Key, Counter[Key], Counter[Key]]]:
    """Rows of both sides by key, in the order of keys: only neighbours are held in memory."""
    names = ", ".join(f'"{name}"' for name in columns)
    order = ", ".join(f'"{name}"' for name in keys)
    query = f"SELECT {names} FROM {table.name} ORDER BY {order}"
    sides = [_by_key(connection.exec_driver_sql(query), places) for connection in (stored, rebuilt)]
    nothing: Counter[Key] = Counter()
    there, due = (next(side, None) for side in sides)
    while there is not None or due is not None:
        if due is None or (there is not None and _ordered(there[0]) < _ordered(due[0])):
            assert there is not None, "one of the two is left"
            yield there[0], there[1], nothing
            there = next(sides[0], None)
        elif there is None or _ordered(due[0]) < _ordered(there[0]):
            yield due[0], nothing, due[1]
            due = next(sides[1], None)
        else:
            yield there[0], there[1], due[1]
            there, due = next(sides[0], None), next(sides[1], None)


def _by_key(rows: Any, places: list[int]) -> Iterator[tuple[Key, Counter[Key]]]:
    key: Key | None = None
    found: Counter[Key] = Counter()
    for row in rows:
        values = tuple(row)
        own = tuple(values[place] for place in places)
        if key is not None and own != key:
            yield key, found
            found = Counter()
        key = own
        found[values] += 1
    if key is not None:
        yield key, found


def _ordered(key: Key) -> tuple[tuple[int, Any], ...]:
    """As SQLite orders values: NULL, numbers, texts, bytes."""
    kinds = {type(None): 0, int: 1, float: 1, str: 2, bytes: 3}
    return tuple((kinds[type(value)], "" if value is None else value) for value in key)


def _said(columns: list[str], keys: list[str], key: Key, there: Counter[Key], due: Counter[Key]) -> str:
    name = " ".join(str(part) for part in key) if keys != columns else ", ".join(_pairs(columns, key))
    if not there:
        return f"the row {name} is missing"
    if not due:
        return f"the row {name} is in no fact"
    if keys == columns:
        return f"the row {name} is there {sum(there.values())} times, the facts say {sum(due.values())}"
    is_row, due_row = next(iter(there)), next(iter(due))
    changed = [
        f"{column} is {is_value!r}, the facts say {due_value!r}"
        for column, is_value, due_value in zip(columns, is_row, due_row, strict=True)
        if is_value != due_value
    ]
    return f"{name}: {'; '.join(changed)}"


def _pairs(columns: list[str], key: Key) -> Iterator[str]:
    return (f"{column}={value!r}" for column, value in list(zip(columns, key, strict=True))[:6])


def _short(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
