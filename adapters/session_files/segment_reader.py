"""The lines of one segment, from a file that may break off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from adapters.session_files.records import file_hash
from adapters.session_files.zstd import ZstdDecompressor, ZstdError

_CHUNK_BYTES = 1 << 18
_TEXT_BYTES = 1 << 22
_MORE = "something stands behind its end"
_POWER_CUT_BYTES = 512
"""So many zeros at a file's end are blocks that the disk never got."""


class SegmentLines:
    """Yields the whole lines, without their line feed, in constant memory. Afterwards it says how the file ended.

    `read_bytes`: told after each piece how many more bytes of the file are done.
    """

    def __init__(self, file: BinaryIO, read_bytes: Callable[[int], None]) -> None:
        self._file, self._read_bytes = file, read_bytes
        self._hash = file_hash()
        self._size = 0
        self.ended = False
        """The frame came to its end, and nothing stands behind it."""
        self.broken = ""
        """Why reading stopped before the end of the file; empty otherwise."""
        self.rest_bytes = 0
        """Text behind the last whole line."""

    @property
    def hash(self) -> str:
        """blake2b of the file's bytes as far as they were read."""
        return self._hash.hexdigest()

    def lines(self) -> Iterator[bytes]:
        rest: list[bytes] = []
        for text in self._texts():
            first, *others = text.split(b"\n")
            rest.append(first)
            if others:
                yield b"".join(rest)
                *whole, last = others
                yield from whole
                rest = [last]
        self.rest_bytes = sum(map(len, rest))

    def zeros_at_the_end(self) -> bool:
        """Whether the file's end is what a power cut leaves of blocks that were never written."""
        size = self._file.seek(0, 2)
        self._file.seek(max(size - _POWER_CUT_BYTES, 0))
        end = self._file.read()
        return len(end) == _POWER_CUT_BYTES and not any(end)

    def _texts(self) -> Iterator[bytes]:
        zstd = ZstdDecompressor()
        given = begin = 0
        while chunk := self._file.read(_CHUNK_BYTES):
            self._hash.update(chunk)
            self._read_bytes(len(chunk))
            if zstd.eof:
                self.broken = _MORE
                continue  # on, for the hash
            try:
                for text in _decompressed(zstd, chunk):
                    given += len(text)
                    yield text
            except ZstdError as error:
                self.broken = f"its compression is damaged ({error})"
                yield from self._texts_before_the_damage(begin, chunk, given)
                return
            if zstd.unused_data:
                self.broken = _MORE
            begin += len(chunk)
        self.ended = zstd.eof and not self.broken

    def _texts_before_the_damage(self, begin: int, chunk: bytes, given: int) -> Iterator[bytes]:
        """What is sound in a chunk, behind the text that was given out: zstd keeps it back when it finds damage.

        So everything before the chunk, which begins at `begin`, is read again, and the chunk byte by byte.
        """
        zstd = ZstdDecompressor()
        self._file.seek(0)
        while begin:
            again = self._file.read(min(begin, _CHUNK_BYTES))
            begin -= len(again)
            given -= sum(map(len, _decompressed(zstd, again)))
        try:
            for place in range(len(chunk)):
                for text in _decompressed(zstd, chunk[place : place + 1]):
                    yield text[max(given, 0) :]
                    given -= len(text)
        except ZstdError:
            return


def _decompressed(zstd: ZstdDecompressor, chunk: bytes) -> Iterator[bytes]:
    """In pieces of limited size, however well it was compressed."""
    yield zstd.decompress(chunk, _TEXT_BYTES)
    while not (zstd.needs_input or zstd.eof):
        yield zstd.decompress(b"", _TEXT_BYTES)
