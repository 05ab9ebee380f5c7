"""One look at a running daemon from outside: /proc, its files, its ledger, and /metrics where it is served."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import requests

MIB = 1_048_576
CANDLE_MS = 60_000
SETTLED_CANDLES = 120
"""The newest may still be decided on, or wait for their history before they are put on record as skipped: a machine
that is busy with something else for some seconds is behind by so many of time-lapse's minutes."""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_METRIC = re.compile(r"^(aiq_tasks|aiq_price_age_seconds\{stat=\"max\"\}) (\S+)$", re.MULTILINE)
_UNPROTECTED = """
SELECT symbol FROM positions p WHERE CAST(size AS REAL) != 0 AND NOT EXISTS (
    SELECT 1 FROM orders JOIN order_attempts a USING (cloid) JOIN order_intents i USING (intent_id)
    WHERE i.symbol = p.symbol AND i.action = 'STOP' AND (
        orders.status = 'open'
        OR orders.status = 'sent' AND a.sent_ms > (SELECT MAX(updated_ms) FROM orders) - 60000))"""
"""Held without a stop that rests, or is on its way since a minute of market time at most."""


@dataclass(frozen=True, slots=True)
class Sample:
    """`at_s` is real time since the start, `cpu_s` and sizes are totals. None: not to be had here."""

    at_s: float
    rss_mib: float
    venue_pss_mib: float | None
    cpu_s: float
    venue_cpu_s: float | None
    fds: int
    threads: int
    tasks: int | None
    price_age_s: float | None
    log_mib: float
    sessions_mib: float
    ledger_mib: float
    decisions_mib: float
    positions: int
    fills: int
    unprotected: tuple[str, ...]


@dataclass(slots=True)
class DecidedCandles:
    """Whether every symbol decided once on every candle, looked at piece by piece: the oldest decisions go."""

    symbols: int
    candles: int = 0
    missing: int = 0
    """Decisions that are neither there nor on record as skipped."""
    skipped: int = 0
    duplicate: int = 0
    lags_ms: list[int] = field(default_factory=list)
    """Market time from each candle's end to its last decision."""
    _next_ms: int | None = None

    def look(self, path: Path) -> None:
        with _reading(path) as database:
            newest = database.execute("SELECT MAX(open_ms) FROM decisions").fetchone()[0]
            if newest is None:
                return
            begin_ms = self._next_ms if self._next_ms is not None else self._first_whole(database)
            end_ms = newest - SETTLED_CANDLES * CANDLE_MS
            if begin_ms is None or begin_ms >= end_ms:
                return
            rows = database.execute(
                "SELECT open_ms, COUNT(*), COUNT(DISTINCT symbol), MAX(at_ms) FROM decisions"
                " WHERE at_ms >= ? AND open_ms >= ? AND open_ms < ? GROUP BY open_ms",
                (begin_ms, begin_ms, end_ms),
            ).fetchall()
            spans = database.execute(
                "SELECT symbol, first_ms, last_ms FROM candles_skipped WHERE last_ms >= ? AND first_ms < ?",
                (begin_ms, end_ms),
            ).fetchall()
        self._next_ms = end_ms
        decided = {open_ms: (count, symbols, at_ms) for open_ms, count, symbols, at_ms in rows}
        skipped = Counter(
            open_ms
            for _, first_ms, last_ms in spans
            for open_ms in range(max(first_ms, begin_ms), min(last_ms + 1, end_ms), CANDLE_MS)
        )
        for open_ms in range(begin_ms, end_ms, CANDLE_MS):
            count, symbols, at_ms = decided.get(open_ms, (0, 0, open_ms + CANDLE_MS))
            self.candles += 1
            self.skipped += skipped[open_ms]
            self.missing += max(0, self.symbols - symbols - skipped[open_ms])
            self.duplicate += count - symbols
            self.lags_ms.append(at_ms - open_ms - CANDLE_MS)

    def _first_whole(self, database: sqlite3.Connection) -> int | None:
        """The first candle that every symbol decided on: warm-up is over."""
        found = database.execute(
            "SELECT MIN(open_ms) FROM (SELECT open_ms FROM decisions GROUP BY open_ms"
            " HAVING COUNT(DISTINCT symbol) >= ?)",
            (self.symbols,),
        ).fetchone()
        return None if found is None or found[0] is None else int(found[0])


def sample_of(pid: int, folder: Path, started_s: float, metrics_port: int | None) -> Sample:
    """Raises `ProcessLookupError` where the process is gone."""
    try:
        fields = _stat(pid)
        fds = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
        rss_mib = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB
    except FileNotFoundError as e:
        raise ProcessLookupError(pid) from e
    venue = _child_of(pid)
    tasks, price_age_s = _metrics(metrics_port)
    ledger = folder / "soak.sqlite"
    positions, fills, unprotected = _books(ledger)
    return Sample(
        at_s=time.monotonic() - started_s,
        rss_mib=rss_mib,
        venue_pss_mib=None if venue is None else _pss_mib(venue),
        cpu_s=_cpu_s(fields),
        venue_cpu_s=None if venue is None else _cpu_s(_stat(venue)),
        fds=fds,
        threads=threads,
        tasks=tasks,
        price_age_s=price_age_s,
        log_mib=size_mib(*folder.glob("daemon.log*")),
        sessions_mib=size_mib(*(folder / "sessions").rglob("*")),
        ledger_mib=size_mib(ledger, folder / "soak.sqlite-wal"),
        decisions_mib=size_mib(folder / "soak.decisions.sqlite", folder / "soak.decisions.sqlite-wal"),
        positions=positions,
        fills=fills,
        unprotected=unprotected,
    )


def size_mib(*paths: Path) -> float:
    total = 0
    for path in paths:
        try:
            total += path.stat().st_size if not path.is_dir() else 0
        except FileNotFoundError:  # gone since it was listed: its turn to be pruned
            continue
    return total / MIB


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _cpu_s(fields: list[str]) -> float:
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _child_of(pid: int) -> int | None:
    """The venue, which the daemon starts from its main thread."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else None


def _pss_mib(pid: int) -> float | None:
    """Memory with shared pages divided among those who share them."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return next(int(line.split()[1]) / 1_024 for line in text.splitlines() if line.startswith("Pss:"))


def _metrics(port: int | None) -> tuple[int | None, float | None]:
    if port is None:
        return None, None
    try:
        text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    except requests.ConnectionError:
        return None, None
    found = dict(_METRIC.findall(text))
    tasks, age = found.get("aiq_tasks"), found.get('aiq_price_age_seconds{stat="max"}')
    return None if tasks is None else int(float(tasks)), None if age is None else float(age)


def _books(ledger: Path) -> tuple[int, int, tuple[str, ...]]:
    with _reading(ledger) as database:
        ((positions,),) = database.execute("SELECT COUNT(*) FROM positions WHERE CAST(size AS REAL) != 0")
        ((fills,),) = database.execute("SELECT COUNT(*) FROM fills")
        return positions, fills, tuple(symbol for (symbol,) in database.execute(_UNPROTECTED))


def _reading(path: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30))
