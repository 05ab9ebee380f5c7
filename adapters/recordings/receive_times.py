"""When a frame was received: the names that recorders give to that, and the units they count in.

The unit of a number is known from its size: from 2009 to 2100 seconds have ten digits, milliseconds thirteen,
microseconds sixteen and nanoseconds nineteen.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

RECEIVE_KEYS = (
    *("received_wall_ns", "received_ns", "recv_ns", "receive_ns", "received_us", "recv_us"),
    *("received_ms", "recv_ms", "receive_ms", "received_at_ms", "received_at", "receive_time", "recv_time", "recv_ts"),
    *("local_time", "local_timestamp", "local_ts", "timestamp", "ts"),
)
"""Keys beside `channel` and `data` that tell the receive time; of several the first of this list counts."""

EARLIEST_NS = 1_230_768_000_000_000_000
"""2009-01-01: nothing traded on a blockchain before."""

LATEST_NS = 4_102_444_800_000_000_000
"""2100-01-01."""

_MAX_DIGITS = 20
_UNITS_NS = (1_000_000_000, 1_000_000, 1_000, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def receive_key(keys: Collection[str]) -> str | None:
    return next((key for key in RECEIVE_KEYS if key in keys), None)


def receive_ns(text: str) -> int | None:
    """Nanoseconds since 1970 from a number of any unit or an ISO time (UTC where it names no zone), else None."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return _iso_ns(text)
    if not number.is_finite() or number.adjusted() >= _MAX_DIGITS:
        return None
    for unit_ns in _UNITS_NS:
        time_ns = int(number * unit_ns)
        if EARLIEST_NS <= time_ns < LATEST_NS:
            return time_ns
    return None


def _iso_ns(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        time_ns = (moment - _EPOCH) // timedelta(microseconds=1) * 1_000
    except (ValueError, OverflowError):
        return None
    return time_ns if EARLIEST_NS <= time_ns < LATEST_NS else None
