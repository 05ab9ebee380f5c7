"""The oracle: everything that happened at the venue, in one order, for whoever checks a client's memory against it."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import re
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from decimal import Decimal

from adapters.sim.venue.exchange.events import (
    BalanceChanged,
    Filled,
    FundingBooked,
    Liquidated,
    NonUserCanceled,
    OrderChanged,
    Printed,
    VenueEvent,
)
from adapters.sim.venue.numbers import text as number_text

Row = dict[str, object]
ROWS_KEPT = 200_000
HOUSE = frozenset("0x" + 39 * "0" + last for last in "129")
"""The venue's own accounts: its maker, its flow, its liquidator."""
LEFT_OUT = "[left out]"

_SECRETS = frozenset(
    ("signature", "signatures", "outersignature", "secret", "privatekey", "private_key", "agentkey", "secretkey")
)
_SECRET_WORD = re.compile("signature|secret|private_?key|agentkey", re.IGNORECASE)
_BARE_SIGNATURE = re.compile(r"0x[0-9a-fA-F]{130}")


class VenueLog:
    """Rows of running number `n`, venue time `time`, `kind` and fields.

    Keeps the newest `kept` rows (None: all) and counts those that left; `sink` gets every row as a line of JSON.
    Signatures and keys leave no trace here.
    """

    def __init__(
        self,
        kept: int | None = ROWS_KEPT,
        sink: Callable[[str], None] | None = None,
        house: Collection[str] = HOUSE,
    ) -> None:
        self._rows: deque[Row] = deque(maxlen=kept)
        self._sink = sink
        self._house = frozenset(house)
        self._count = 0
        self._time_ms = 0

    @property
    def count(self) -> int:
        """Rows ever written: the newest one's number."""
        return self._count

    @property
    def left(self) -> int:
        """Rows that are no longer kept."""
        return self._count - len(self._rows)

    def append(self, kind: str, now_ms: int, **fields: object) -> int:
        """Write a row and give its number. Values become JSON: Decimals text, bytes and texts of JSON their data."""
        self._count += 1
        self._time_ms = now_ms
        row: Row = {"n": self._count, "time": now_ms, "kind": kind}
        for name, value in fields.items():
            assert name not in row, f"{name} is the log's own"
            if name.lower() not in _SECRETS:
                row[name] = _plain(value)
        self._rows.append(row)
        if self._sink is not None:
            self._sink(_line(row))
        return self._count

    def see(self, events: Sequence[VenueEvent], now_ms: int | None = None) -> None:
        """Write what the exchange says happened to users; what the house does among itself is left out.

        `now_ms` is for events that carry no time of their own; without it they get the last row's.
        """
        for event in events:
            fields = self._told(event)
            if fields is not None:
                kind, time_ms, said = fields
                if time_ms is None:
                    time_ms = self._time_ms if now_ms is None else now_ms
                self.append(kind, time_ms, **said)

    def rows(self, kind: str | None = None, after: int = 0) -> list[Row]:
        """The rows kept with a number above `after`, oldest first, of one kind or of all."""
        return [row for row in self._rows if row["n"] > after and kind in (None, row["kind"])]  # type: ignore[operator]

    def export(self) -> Iterator[str]:
        """The rows kept as lines of JSON, without line ends."""
        return (_line(row) for row in list(self._rows))

    def _told(self, event: VenueEvent) -> tuple[str, int | None, dict[str, object]] | None:
        if isinstance(event, Printed):
            if {event.buyer, event.seller} <= self._house:
                return None
        elif event.address in self._house:
            return None
        match event:
            case OrderChanged(address, order, change):
                return (
                    "order",
                    change.time_ms,
                    {
                        "user": address,
                        "oid": order.oid,
                        "cloid": order.cloid,
                        "coin": order.coin,
                        "side": order.side,
                        "price": order.price,
                        "remaining": change.size,
                        "size": order.original_size,
                        "tif": order.tif,
                        "trigger": order.trigger,
                        "reduce_only": order.reduce_only,
                        "status": change.status,
                    },
                )
            case Filled(address, fill):
                return "fill", fill.time_ms, {"user": address} | _fields(fill, without="time_ms")
            case Printed():
                return "print", event.time_ms, _fields(event, without="time_ms")
            case FundingBooked(address, funding):
                return "funding", funding.time_ms, {"user": address} | _fields(funding, without="time_ms")
            case BalanceChanged(address, update):
                return "balance", update.time_ms, {"user": address, "hash": update.hash, "delta": update.delta}
            case Liquidated(address, lid, notional, account_value):
                told = {"user": address, "lid": lid, "notional": notional, "account_value": account_value}
                return "liquidation", None, told
            case NonUserCanceled(address, coin, oid):
                return "chain_cancel", None, {"user": address, "coin": coin, "oid": oid}


def _fields(value: object, without: str) -> dict[str, object]:
    assert dataclasses.is_dataclass(value)
    return {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.name != without}


def _line(row: Row) -> str:
    return json.dumps(row, separators=(",", ":"))


def _plain(value: object) -> object:
    """The value as JSON knows it, without secrets."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _plain_text(value)
    if isinstance(value, Decimal):
        return number_text(value) if value.is_finite() else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if isinstance(value, bytes):
        return _plain_bytes(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items() if str(name).lower() not in _SECRETS}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(_fields(value, without=""))
    if isinstance(value, Set):
        return sorted((_plain(inner) for inner in value), key=repr)
    if isinstance(value, Sequence):
        return [_plain(inner) for inner in value]
    return _plain_text(str(value))


def _plain_bytes(value: bytes) -> object:
    if not value:
        return ""
    try:
        return _plain(json.loads(value))
    except (ValueError, RecursionError):
        return _plain_text(value.decode("utf-8", errors="replace"))


def _plain_text(value: str) -> object:
    """Text as it is. Where it could hold a secret: as the data it stands for, else up to the secret."""
    found = _SECRET_WORD.search(value)
    if found is not None:
        try:
            raw = json.loads(value)
            if isinstance(raw, dict | list):
                return _plain(raw)
        except (ValueError, RecursionError):
            pass
        value = value[: found.end()] + LEFT_OUT
    return _BARE_SIGNATURE.sub(LEFT_OUT, value)
