"""What the files' keeper looks at in an entry: its event's number and its time. The rest is none of its business."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ports.session_log import Tag

_WITH_SEQ = frozenset((Tag.TAKEN, Tag.EVENT, Tag.STEP))
_TIME_AT = {Tag.FRAME: 3, Tag.HELD: 3, Tag.TAKEN: 2, Tag.EVENT: 2}


def seq_of(entry: Sequence[Any]) -> int | None:
    """The number of the event that an entry belongs to; None for entries without one."""
    return entry[1] if entry[0] in _WITH_SEQ else None


def at_ms_of(entry: Sequence[Any]) -> int | None:
    """UTC epoch milliseconds of an entry, in the market's world; None for entries without a time."""
    place = _TIME_AT.get(entry[0])
    return None if place is None else entry[place]


def first_seq_of(entries: Iterable[Sequence[Any]]) -> int | None:
    """The first event among some entries; None where there is none."""
    return next((seq for seq in map(seq_of, entries) if seq is not None), None)


def last_seq_of(entries: Sequence[Sequence[Any]]) -> int | None:
    """The newest event among some entries in order; None where there is none."""
    return first_seq_of(reversed(entries))
