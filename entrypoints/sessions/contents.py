"""What is in a session, counted record by record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from adapters.session_files.entries import at_ms_of, seq_of
from adapters.session_files.reader import SessionReader


@dataclass(frozen=True, slots=True)
class Contents:
    """Counts of what is sound. `seq` and `at_ms`: first and last, None where there are none.

    `damage`: what is wrong with the first record that is not sound. `tail`: what was cut off at the end, which is
    normal for a session that nobody ended.
    """

    reader: SessionReader
    records: int
    by_tag: dict[str, int]
    seq: tuple[int, int] | None
    at_ms: tuple[int, int] | None

    @property
    def damage(self) -> str | None:
        return None if self.reader.damage is None else str(self.reader.damage)

    @property
    def tail(self) -> str | None:
        return self.reader.tail

    @property
    def entries(self) -> int:
        return sum(self.by_tag.values())

    def as_json(self) -> dict[str, object]:
        return {
            "sound": self.damage is None,
            "records": self.records,
            "entries": self.entries,
            "by_tag": self.by_tag,
            "first_seq": self.seq and self.seq[0],
            "last_seq": self.seq and self.seq[1],
            "first_ms": self.at_ms and self.at_ms[0],
            "last_ms": self.at_ms and self.at_ms[1],
            "bytes": self.reader.bytes,
            "damage": self.damage,
            "tail": self.tail,
        }


def read_contents(reader: SessionReader, tell: Callable[[int], None]) -> Contents:
    """Read every record, with hashes, up to the first damage. `tell`: told the bytes that are done."""
    by_tag: Counter[str] = Counter()
    seqs: list[int] = []
    times: list[int] = []
    records = 0
    for record in reader.records(salvage=True):
        records += 1
        by_tag.update(str(entry[0]) for entry in record.entries)
        _widen(seqs, [seq for entry in record.entries if (seq := seq_of(entry)) is not None])
        _widen(times, [at_ms for entry in record.entries if (at_ms := at_ms_of(entry)) is not None])
        tell(reader.bytes_read)
    return Contents(reader, records, dict(sorted(by_tag.items())), _pair(seqs), _pair(times))


def _widen(span: list[int], more: list[int]) -> None:
    """Make [least, greatest] hold what came, too."""
    if more:
        span[:] = [min((*span[:1], *more)), max((*span[1:], *more))]


def _pair(span: list[int]) -> tuple[int, int] | None:
    return (span[0], span[1]) if span else None
