"""Tell by its first lines what a recording is, and refuse early what is none of Hyperliquid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from adapters.recordings.frame_lines import frame_of, is_frame_line, read_frame_lines
from adapters.recordings.frames import BadLineError, FoundFrame, NotAFrameError, ReadLog, listed, refusal
from adapters.recordings.opening import READABLE, NamedFile, lines_of, named_file
from adapters.recordings.tick_tables import is_tick_header, read_tick_table, tick_channel
from adapters.recordings.wire import CHANNELS
from ports.datasets import DatasetError

LINES_LOOKED_AT = 20

_FOREIGN_MARKS = (
    (b'"stream":"', "Binance (its frames have 'stream' and 'data')"),
    (b'"lastUpdateId":', "Binance (its books have 'lastUpdateId')"),
    (b'"e":"depthUpdate"', "Binance (its frames have an event type 'e')"),
    (b'"arg":{"channel":', "OKX (its frames have 'arg' and 'data')"),
    (b'"topic":"', "Bybit (its frames have a 'topic')"),
    (b'"jsonrpc":', "Deribit or another JSON-RPC venue"),
    (b'"product_id":"', "Coinbase (its frames have a 'product_id')"),
)
_FIX = "recordings of other venues cannot be imported: name one of Hyperliquid"


@dataclass(frozen=True, slots=True)
class Opened:
    """A file of which the format is known. `rebuilds` are channels whose frames are written anew from its values."""

    label: str
    rebuilds: tuple[str, ...]
    frames: Callable[[ReadLog], Iterator[FoundFrame]]


def opened(argument: str) -> Opened:
    """Look at the first lines of a file. Raises `DatasetError` when it is nothing that can be read."""
    file = named_file(argument)
    head = [line.data for line in islice(lines_of(file), LINES_LOOKED_AT)]
    if not head:
        raise refusal(file.label, "the file holds no line", "there is nothing in it to read", "get it again")
    if is_tick_header(head[0]):
        channel = tick_channel(file, head[0])
        return Opened(file.label, (channel,), lambda log: read_tick_table(file, log))
    if not is_frame_line(head[0]):
        raise _unknown(file, head[0])
    channels = _channels(head)
    if not channels & CHANNELS:
        _refuse_foreign(file, head)
    is_log_of_mids = channels == {"allMids"} and b'"channel"' not in head[0]
    return Opened(file.label, ("allMids",) if is_log_of_mids else (), lambda log: read_frame_lines(file, log))


def _channels(head: list[bytes]) -> set[str]:
    found = set()
    for line in head:
        try:
            found.add(frame_of(line, 0).channel)
        except (NotAFrameError, BadLineError):
            continue
    return found


def _refuse_foreign(file: NamedFile, head: list[bytes]) -> None:
    for line in head:
        for mark, venue in _FOREIGN_MARKS:
            if mark in line:
                raise refusal(file.label, "this is not a recording of Hyperliquid", f"it looks like {venue}", _FIX)


def _unknown(file: NamedFile, line: bytes) -> DatasetError:
    first = line[:80].decode("utf-8", "replace")
    if line[:1] == b"[":
        fix = "candles are imported as a candle set; frames stand one in a line"
        return refusal(file.label, "this is a JSON list", f"recordings are {READABLE}", fix)
    columns = [cell.strip() for cell in first.split(",")]
    if {"o", "open"} & set(columns):
        what, fix = "this is a table of candles", "import it as a candle set"
        return refusal(file.label, what, f"its columns are {listed(columns)}", fix)
    what = f"this is no recording that we know: it begins with {first!r}"
    fix = "tables of ticks have the columns timestamp and exchange_timestamp"
    return refusal(file.label, what, f"recordings are {READABLE}", fix)
