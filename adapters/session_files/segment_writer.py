"""One segment while it is written: a zstd frame that can be read up to the last flush wherever it breaks off."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from adapters.session_files.manifest import Segment
from adapters.session_files.private_files import make_file, sync, write_whole
from adapters.session_files.records import body_of, chained, file_hash, line_of
from adapters.session_files.zstd import ZstdCompressor, compressor


class SegmentWriter:
    """Every call may raise `OSError`; after one, only `abandon` is left.

    `last`, `chain`: number and hash of the newest record, at first of the one before this segment.
    """

    def __init__(self, path: Path, last: int, chain: str, opened_ms: int) -> None:
        self.path, self.opened_ms = path, opened_ms
        self.last, self.chain = last, chain
        self.text_bytes = 0
        """What is in it, uncompressed."""
        self._first = last + 1
        self._first_seq: int | None = None
        self._last_seq: int | None = None
        self._handle = make_file(path)
        self._zstd = compressor()
        self._waiting: list[bytes] = []
        self._hash = file_hash()
        self._written = 0

    def add(self, entries: list[bytes], first_seq: int | None, last_seq: int | None) -> None:
        """Append the next record; it stays in memory until `push` or `finish`."""
        self.add_body(body_of(self.last + 1, entries), first_seq, last_seq)

    def add_body(self, body: bytes, first_seq: int | None, last_seq: int | None) -> None:
        """The same with the record's line up to its hash, which has the right number in it."""
        self.last += 1
        self.chain = chained(self.chain, body)
        line = line_of(body, self.chain)
        self.text_bytes += len(line)
        self._waiting.append(self._zstd.compress(line))
        if first_seq is not None:
            self._first_seq = first_seq if self._first_seq is None else self._first_seq
            self._last_seq = last_seq

    def push(self) -> None:
        """Hand everything to the kernel, in one write."""
        self._write(self._zstd.flush(mode=ZstdCompressor.FLUSH_BLOCK))

    def finish(self) -> Segment:
        """End the frame, force the file and its name to the disk, and say what it is."""
        self._write(self._zstd.flush(mode=ZstdCompressor.FLUSH_FRAME))
        os.fsync(self._handle)
        sync(self.path.parent)
        self._close()
        return Segment(
            self.path.name,
            self._first,
            self.last,
            self._written,
            self._hash.hexdigest(),
            self.chain,
            self._first_seq,
            self._last_seq,
        )

    def abandon(self) -> None:
        """Leave the file with what was handed over in whole. Never raises."""
        with suppress(OSError):  # its reader copes with a torn end
            os.ftruncate(self._handle, self._written)
        self._close()

    def _write(self, end: bytes) -> None:
        data = b"".join((*self._waiting, end))
        self._waiting.clear()
        write_whole(self._handle, data)
        self._hash.update(data)
        self._written += len(data)

    def _close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
