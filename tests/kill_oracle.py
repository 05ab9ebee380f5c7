"""What must be true of a daemon that was killed, judged from outside: the venue's log against the ledger's file.

Nothing of the daemon's is used: the file is read by plain `sqlite3` from a copy, the chain is hashed here, positions
are added up here.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
FillKey = tuple[str, int, int, int]
"""Symbol, time, tid, oid."""

ONCE = (["OPEN"], ["ADD"], ["ADD", "OPEN"])
"""Entries that one candle of a symbol may bring."""
UNSETTLED = ("sent", "unknown")
"""An order's status while nobody has said what became of it."""


@dataclass(frozen=True, slots=True)
class VenueTruth:
    """What the venue's log says of one account."""

    oids: Mapping[str, frozenset[int]]
    """By cloid, every order that ever stood there."""
    entries: frozenset[str]
    """Cloids of accepted orders that could grow a position."""
    requests: Counter[str]
    """How often an order with this cloid was received."""
    nonces: Counter[int]
    fills: Mapping[FillKey, tuple[str, Decimal, Decimal]]
    """Side, size and price by identity."""
    positions: Mapping[str, Decimal]
    """The fills, added up."""


def venue_truth(rows: Iterable[Row], user: str) -> VenueTruth:
    oids: dict[str, set[int]] = {}
    entries: set[str] = set()
    requests: Counter[str] = Counter()
    nonces: Counter[int] = Counter()
    fills: dict[FillKey, tuple[str, Decimal, Decimal]] = {}
    positions: Counter[str] = Counter()
    for row in rows:
        if row["kind"] == "request" and row["path"] == "/exchange":
            action = row["body"]["action"]
            if action["type"] != "noop":  # its whole purpose is to burn the nonce of another
                nonces[row["body"]["nonce"]] += 1
            requests.update(order["c"] for order in action.get("orders", ()) if "c" in order)
        elif row.get("user") != user:
            continue
        elif row["kind"] == "order" and row["cloid"] is not None:
            oids.setdefault(row["cloid"], set()).add(row["oid"])
            if not row["reduce_only"] and not str(row["status"]).lower().endswith("rejected"):
                entries.add(row["cloid"])
        elif row["kind"] == "fill":
            key = (row["coin"], row["time"], row["tid"], row["oid"])
            assert key not in fills, f"the venue told {key} twice"
            fills[key] = (row["side"], Decimal(row["size"]), Decimal(row["price"]))
            positions[row["coin"]] += Decimal(row["size"]) * (1 if row["side"] == "buy" else -1)  # type: ignore[assignment]
    held = {coin: Decimal(size) for coin, size in positions.items() if size}
    return VenueTruth(
        {cloid: frozenset(each) for cloid, each in oids.items()}, frozenset(entries), requests, nonces, fills, held
    )


@dataclass(frozen=True, slots=True)
class LedgerImage:
    """What stands in a ledger file."""

    keys: Mapping[str, tuple[str, str, int, int]]
    """By the cloid of each attempt, in the order of decision, the intent's key: symbol, action, open time, ordinal."""
    statuses: Mapping[str, str]
    fills: Mapping[FillKey, tuple[str, Decimal, Decimal]]
    starts: tuple[tuple[str, Decimal, Decimal], ...]
    """Of each fill in the order of booking: symbol, position before it, signed size."""
    positions: Mapping[str, Decimal]


@contextmanager
def _copied(ledger: Path) -> Iterator[Path]:
    """The file and its log as a dead process left them: who looks must not be the one that recovers them."""
    with tempfile.TemporaryDirectory() as folder:
        for name in (ledger.name, f"{ledger.name}-wal"):
            if (source := ledger.with_name(name)).exists():
                shutil.copyfile(source, Path(folder) / name)
        yield Path(folder) / ledger.name


def ledger_image(ledger: Path, *, alive: bool = False) -> LedgerImage:
    """Read it; of a dead process also check that the file is sound. `alive`: beside its writer."""
    if alive:
        with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
            return _image(database)
    with _copied(ledger) as copy, closing(sqlite3.connect(copy)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        check_chain(database)
        return _image(database)


def check_chain(database: sqlite3.Connection) -> None:
    """Every event's hash covers its text and everything before it, and the head is the last one committed."""
    head, seq = bytes(32), 0
    for number, fact, stored in database.execute("SELECT seq, fact, hash FROM ledger_events ORDER BY seq"):
        assert number == seq + 1, f"event {seq + 1} is missing"
        head, seq = hashlib.blake2b(head + fact.encode(), digest_size=32).digest(), number
        assert stored == head, f"event {seq} was changed"
    meta = database.execute("SELECT head_seq, head_hash FROM meta").fetchall()
    assert meta == [(seq, head)] or (meta == [] and seq == 0), "the chain was cut short"


def _image(database: sqlite3.Connection) -> LedgerImage:
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'fills'").fetchall():
        return LedgerImage({}, {}, {}, (), {})  # it died before there were tables
    fills: dict[FillKey, tuple[str, Decimal, Decimal]] = {}
    starts = []
    told = "symbol, time_ms, tid, oid, side, size, price, start_position"
    for symbol, time_ms, tid, oid, side, size, price, start in database.execute(
        f"SELECT {told} FROM fills ORDER BY rowid"
    ):
        key = (symbol, time_ms, tid, oid)
        assert key not in fills, f"the ledger holds {key} twice"
        fills[key] = (side, Decimal(size), Decimal(price))
        starts.append((symbol, Decimal(start), Decimal(size) * (1 if side == "buy" else -1)))
    keys = database.execute(
        "SELECT cloid, i.symbol, action, open_ms, ordinal FROM order_attempts a JOIN order_intents i USING (intent_id) "
        "ORDER BY i.rowid"
    )
    return LedgerImage(
        {cloid: (symbol, action, open_ms, ordinal) for cloid, symbol, action, open_ms, ordinal in keys},
        dict(database.execute("SELECT cloid, status FROM orders")),
        fills,
        tuple(starts),
        {
            symbol: Decimal(size)
            for symbol, size in database.execute("SELECT symbol, size FROM positions")
            if Decimal(size)
        },
    )


def check_at_any_time(venue: VenueTruth, ledger: LedgerImage) -> None:
    """What a kill at any moment must not break."""
    unrecorded = venue.requests.keys() - ledger.keys.keys()
    assert not unrecorded, f"orders were sent that the ledger does not know: {unrecorded}"
    assert venue.oids.keys() <= ledger.keys.keys(), "the venue holds orders that the ledger does not know"
    several = {cloid: oids for cloid, oids in venue.oids.items() if len(oids) > 1}
    assert not several, f"an attempt became two orders: {several}"
    twice = [cloid for cloid, count in venue.requests.items() if count > 1]
    assert not twice, f"attempts were sent twice: {twice}"
    assert all(count == 1 for count in venue.nonces.values()), "a nonce was used twice"
    entered: dict[tuple[str, int], list[str]] = {}
    for cloid, (symbol, action, open_ms, _) in ledger.keys.items():
        if cloid in venue.entries:
            entered.setdefault((symbol, open_ms), []).append(action)
    # One candle may add, be stopped out and open again; it never opens twice, nor adds to what it opened.
    doubled = {key: actions for key, actions in entered.items() if actions not in ONCE}
    assert not doubled, f"a decision was traded twice: {doubled}"
    invented = ledger.fills.items() - venue.fills.items()
    assert not invented, f"the ledger holds fills that never were: {invented}"


def check_recovered(venue: VenueTruth, ledger: LedgerImage, begun_ms: int) -> None:
    """What must be true of a life that had recovered before it died: all that happened before it is booked."""
    lost = [fill for fill in venue.fills if fill[1] < begun_ms and fill not in ledger.fills]
    assert not lost, f"a restart did not find the fills {lost}"


def check_at_rest(venue: VenueTruth, ledger: LedgerImage, held: Mapping[str, Decimal]) -> None:
    """What must be true once nothing is under way. `held` is what the venue answers for the account."""
    lost = venue.fills.items() - ledger.fills.items()
    assert not lost, f"fills were lost: {lost}"
    assert ledger.positions == venue.positions == held, "positions differ"
    before: dict[str, Decimal] = {}
    for symbol, start, size in ledger.starts:
        assert before.get(symbol, Decimal(0)) == start, f"{symbol}: a fill is missing or out of order"
        before[symbol] = start + size


def unsettled(ledger: LedgerImage) -> list[str]:
    """Orders of which nobody has said what became of them."""
    return sorted(cloid for cloid, status in ledger.statuses.items() if status in UNSETTLED)


@dataclass(slots=True)
class Tally:
    """What the kill points of several chains met."""

    points: Counter[str] = field(default_factory=Counter)
    restarts_ms: list[int] = field(default_factory=list)
    orders: Counter[str] = field(default_factory=Counter)
    """Orders that the venue took, by the action of their decision."""
    fills: int = 0
    cold_restarts_ms: list[int] = field(default_factory=list)
    """Those that loaded their libraries first, as after a reboot."""
    slowest_of_all_ms: int = 0
    unsettled: list[str] = field(default_factory=list)
    replayed: int = 0
    """Sessions that decided something, and whose replay decided the same."""

    def note_restart(self, took_ms: int, *, cold: bool = False) -> None:
        """Where a machine has more to do than cores, a restart is not to blame for its share of the waiting."""
        share = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        (self.cold_restarts_ms if cold else self.restarts_ms).append(round(took_ms / share))
        self.slowest_of_all_ms = max(self.slowest_of_all_ms, took_ms)

    def add(self, other: Tally) -> None:
        self.slowest_of_all_ms = max(self.slowest_of_all_ms, other.slowest_of_all_ms)
        self.points += other.points
        self.replayed += other.replayed
        self.restarts_ms += other.restarts_ms
        self.orders += other.orders
        self.fills += other.fills
        self.cold_restarts_ms += other.cold_restarts_ms
        self.unsettled += other.unsettled

    def text(self) -> str:
        return json.dumps(
            {
                "points": dict(self.points),
                "kills": self.points.total(),
                "orders": dict(self.orders),
                "fills": self.fills,
                "slowest_restart_ms": max(self.restarts_ms, default=0),
                "slowest_cold_restart_ms": max(self.cold_restarts_ms, default=0),
                "slowest_as_waited_for_ms": self.slowest_of_all_ms,
                "unsettled": len(self.unsettled),
            }
        )
