"""Recordings of others as one row of frames in receive order, with what a session needs besides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from operator import attrgetter

from adapters.recordings.derive import Deriver
from adapters.recordings.formats import Opened, opened
from adapters.recordings.frames import FoundFrame, Notice, ReadLog, RecordedFrame, refusal
from adapters.recordings.survey import Figures, Survey
from adapters.recordings.timing import LATENCY_MS, TimedFrame, timed
from domain.candles import Interval
from domain.instruments import MAX_PRICE_DECIMALS, Instrument, single_tier
from ports.datasets import DatasetError, DatasetProblem

_MAX_SIZE_DECIMALS = 5
"""The most that any perpetual of the venue has."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that has been looked through once: `frames()` reads it again from the beginning, each time anew.

    `symbols` are the coins with frames of their own in order of appearance (those of `allMids`, where no coin has
    any); `counts` the recorded frames by channel. `derived` says for which coins frames were made that the
    recording does not have, by channel; `rebuilt` which channels were tables before. `skipped` lines
    were left out, `mended` ones are in with another time; `unreadable` market frames are in as they came, and nothing
    was derived from them.
    """

    symbols: tuple[str, ...]
    first_ms: int
    last_ms: int
    counts: Mapping[str, int]
    derived: Mapping[str, tuple[str, ...]]
    rebuilt: tuple[str, ...]
    skipped: tuple[Notice, ...]
    mended: tuple[Notice, ...]
    unreadable: Mapping[str, int]
    sources: tuple[str, ...]
    figures: Mapping[str, Figures]
    start: Callable[[], Iterator[RecordedFrame]] = field(repr=False, compare=False)

    def frames(self) -> Iterator[RecordedFrame]:
        """Every frame in receive order, the derived ones right after the one that they follow from."""
        return self.start()

    @property
    def skipped_lines(self) -> int:
        return sum(notice.count for notice in self.skipped)


def read_recording(
    paths: Sequence[str], *, candle_interval: Interval = Interval.M1, latency_ms: int = LATENCY_MS
) -> Recording:
    """Look through recordings that belong together and merge them by receive time.

    A path is a file of frames or a table of ticks, plain, gz or zst, or `SYMBOL=path` for a table whose name does not
    tell its symbol. Equal times keep the order of the files. `latency_ms` is added to the venue's time
    where no receive time was recorded. Raises `DatasetError` with every problem of every file.
    """
    if not paths:
        raise refusal("recordings", "no file is named", "there is nothing to read", "name at least one file")
    files, problems = _opened(paths)
    logs = [ReadLog(file.label) for file in files]
    survey, refused = _surveyed(files, logs, latency_ms)
    problems += refused
    if problems:
        raise DatasetError(problems)
    assert survey.first_ms is not None, "a file without a frame was refused"
    first_ms = survey.first_ms
    quotes = [coin for coin in survey.coins if _lacks(survey, coin, has="l2Book", lacks="bbo")]
    traded = [coin for coin in survey.coins if ("trades", coin) in survey.streams]
    candles = [coin for coin in traded if (coin, candle_interval.value) not in survey.candles]

    def start() -> Iterator[RecordedFrame]:
        fresh = [ReadLog(file.label) for file in files]
        deriver = Deriver(quotes, candles, candle_interval, first_ms)
        yield from _with_derived(_merged(files, fresh, latency_ms), deriver)
        _check_unchanged(fresh)

    derived = {channel: tuple(coins) for channel, coins in (("bbo", quotes), ("candle", candles)) if coins}
    figures = survey.coins or survey.mids
    return Recording(
        symbols=tuple(figures),
        first_ms=first_ms,
        last_ms=survey.last_ms,
        counts=dict(sorted(survey.counts.items())),
        derived=derived,
        rebuilt=tuple(sorted({channel for file in files for channel in file.rebuilds})),
        skipped=tuple(notice for log in logs for notice in log.skipped),
        mended=tuple(notice for log in logs for notice in log.mended),
        unreadable=dict(sorted(survey.unreadable.items())),
        sources=tuple(file.label for file in files),
        figures=figures,
        start=start,
    )


def infer_instruments(recording: Recording, default_max_leverage: int = 10) -> tuple[Instrument, ...]:
    """Guess each symbol's rules, in the order of `symbols`: as many size decimals as its sizes were written with.

    Where no size was recorded, prices bound them: the venue allows `6 - size_decimals` price decimals. A short
    recording may not show the last decimal: true rules come from the venue's `meta`.
    """
    tiers = single_tier(default_max_leverage)
    return tuple(Instrument(symbol, _size_decimals(recording.figures[symbol]), tiers) for symbol in recording.symbols)


def _size_decimals(figures: Figures) -> int:
    if figures.size_decimals >= 0:
        return min(figures.size_decimals, _MAX_SIZE_DECIMALS)
    if figures.price_decimals >= 0:
        return max(0, min(MAX_PRICE_DECIMALS - figures.price_decimals, _MAX_SIZE_DECIMALS))
    return 0


def _opened(paths: Sequence[str]) -> tuple[list[Opened], list[DatasetProblem]]:
    files: list[Opened] = []
    problems: list[DatasetProblem] = []
    for path in paths:
        try:
            files.append(opened(path))
        except DatasetError as e:
            problems += e.problems
    return files, problems


def _surveyed(files: Sequence[Opened], logs: Sequence[ReadLog], latency_ms: int) -> tuple[Survey, list[DatasetProblem]]:
    """Read every file to its end, or as far as it goes: one that is broken does not hide another."""
    seen = Survey()
    for frame in _merged(files, logs, latency_ms):
        seen.add(frame)
    problems = [problem for log in logs for problem in log.problems]
    if not problems:
        problems = [_without_frames(log) for line, log in enumerate(logs) if line not in seen.lines]
    return seen, problems


def _check_unchanged(logs: Sequence[ReadLog]) -> None:
    """Refuse a file that has been damaged since it was looked through."""
    problems = [problem for log in logs for problem in log.problems]
    if problems:
        raise DatasetError(problems)


def _without_frames(log: ReadLog) -> DatasetProblem:
    why = str(log.skipped[0]) if log.skipped else "none of its channels is one of the venue"
    return DatasetProblem(log.file, "no frame of Hyperliquid is in this file", why, "name a recording of this venue")


def _merged(files: Sequence[Opened], logs: Sequence[ReadLog], latency_ms: int) -> Iterator[TimedFrame]:
    rows = [
        timed(_as_far_as_it_goes(file, log), line, latency_ms, log)
        for line, (file, log) in enumerate(zip(files, logs, strict=True))
    ]
    return rows[0] if len(rows) == 1 else merge(*rows, key=attrgetter("at_ns"))


def _as_far_as_it_goes(file: Opened, log: ReadLog) -> Iterator[FoundFrame]:
    try:
        yield from file.frames(log)
    except DatasetError as e:
        log.refuse(e.problems)


def _with_derived(frames: Iterable[TimedFrame], deriver: Deriver) -> Iterator[RecordedFrame]:
    for frame in frames:
        at_ms, line = frame.at_ms, frame.line
        yield RecordedFrame(at_ms, line, frame.text)
        for text in deriver.after(frame.channel, frame.data):
            yield RecordedFrame(at_ms, line, text)


def _lacks(survey: Survey, coin: str, *, has: str, lacks: str) -> bool:
    return (has, coin) in survey.streams and (lacks, coin) not in survey.streams
