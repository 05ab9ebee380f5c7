"""A market that somebody else recorded becomes a session: the same frames, in the order in which a daemon would have
taken them.

The first candles of a recording are what there is of history: they warm the engine up, and it begins after them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from adapters.hyperliquid.feed_settings import FeedSettings
from adapters.hyperliquid.frame_desk import FrameDesk, NobodyListens
from adapters.hyperliquid.heard import CandleHeard
from adapters.logged_alerts import LoggedAlerts
from adapters.recordings.recording import Recording
from adapters.session_files.manifest import Manifest
from adapters.session_files.writer import SessionLimits, SessionWriter
from application.candle_memory import CandleMemory
from application.engine_settings import EngineSettings
from application.recorder import Recorder, entry_to_plain
from config.load import Configuration
from domain.candles import Interval
from domain.events import AccountSnapshot, Event, HistoryLoaded, Recovered, TimerFired
from domain.fact_text import GENESIS
from domain.facts import LedgerState
from domain.instruments import Instrument, Universe
from entrypoints.gates import GateClosed
from entrypoints.progress import Progress
from entrypoints.recording import Setup, setup_to_plain, versions
from ports.datasets import DatasetError, DatasetProblem
from ports.strategy import WARMUP_CANDLES

ACCOUNT = "imported"
INSTANCE_TAG = b"im"
SLICE_MS = 100
"""How long market data is collected before it is taken: as much as a daemon that is not in a hurry."""
TIMER_STEPS_MS = ((2_000, 200), (60_000, 1_000), (1 << 62, 10_000))
"""While nothing has been heard for so long, time is looked at so often: a hole of a day needs no million looks."""
FLUSH_ENTRIES = 20_000


@dataclass(frozen=True, slots=True)
class Imported:
    """`warmup_candles` of each symbol went into warming up; the engine begins at `begins_ms`."""

    folder: Path
    frames: int
    events: int
    warmup_candles: int
    begins_ms: int
    symbols: tuple[str, ...]


def import_session(
    recording: Recording,
    instruments: Sequence[Instrument],
    configuration: Configuration,
    folder: Path,
    *,
    interval: Interval,
    strategy: str,
    warmup_candles: int | None = None,
    show: Progress = lambda _: None,
) -> Imported:
    """Write the session. Raises `DatasetError` where the recording is too short, `GateClosed` where `folder` is in use.

    `warmup_candles`: None for as many as the recording can spare.
    """
    lead = _lead(recording, interval, warmup_candles)
    begins_ms = interval.open_of(recording.first_ms) + (lead + 1) * interval.ms
    engine = EngineSettings(account=ACCOUNT, interval=interval, warmup_candles=max(0, lead - 1))
    setup = Setup(
        ledger="",
        engine=engine,
        universe=tuple(instruments),
        assets=None,
        vault=None,
        user=None,
        ahead_limit_ms=FeedSettings().ahead_limit_ms,
        strategy=strategy,
        overrides=configuration.first,
    )
    manifest = Manifest(
        session=folder.name,
        origin="import",
        began_ms=recording.first_ms,
        versions=versions(),
        settings={**configuration.texts, "AI_QUANT_MODE": "paper"},
        setup=setup_to_plain(setup),
    )
    _make_room(folder)
    limits = SessionLimits(segment_ms=1 << 62, cap_bytes=1 << 62)
    log = SessionWriter(folder, manifest, LoggedAlerts(), entry_to_plain, limits, lambda: recording.last_ms)
    writing = _Import(Universe(instruments), engine, begins_ms, log, configuration)
    for number, frame in enumerate(recording.frames(), 1):
        writing.take(frame.line, frame.at_ms, frame.text)
        show(number)
    writing.end()
    log.close("imported")
    if log.manifest.stopped is not None:
        raise OSError(log.manifest.stopped)
    return Imported(folder, writing.frames, writing.seq, engine.warmup_candles, begins_ms, recording.symbols)


class _Import:
    """Does what a feed and a loop would have done, on the recording's time."""

    def __init__(
        self,
        universe: Universe,
        engine: EngineSettings,
        begins_ms: int,
        log: SessionWriter,
        configuration: Configuration,
    ) -> None:
        self.frames = 0
        self.seq = 0
        self._universe = universe
        self._interval = engine.interval
        self._begins_ms = begins_ms
        self._configuration = configuration
        self._log, self._recorder = log, Recorder(log)
        ahead_ms = FeedSettings().ahead_limit_ms
        self._desk = FrameDesk(universe, engine.interval, None, ahead_ms, None, self._recorder, NobodyListens())
        self._candles = CandleMemory()
        self._has_begun = False
        self._slice_ends_ms = self._timer_due_ms = 0
        self._last_ms = 0

    def take(self, line: int, at_ms: int, text: str) -> None:
        self._flush_when_full()
        if not self._has_begun and at_ms >= self._begins_ms:
            self._begin()
        self._let_time_pass(at_ms)
        self.frames += 1
        heard = self._desk.decode(line, text, at_ms)
        self._desk.deliver(is_backlog=False)
        if not self._has_begun and isinstance(heard, CandleHeard) and heard.interval is self._interval:
            row = (heard.open, heard.high, heard.low, heard.close, heard.volume)
            self._candles.take_candle(heard.coin, heard.interval, heard.open_ms, row)
        self._last_ms = at_ms
        if not self._slice_ends_ms:
            self._slice_ends_ms = at_ms + SLICE_MS

    def end(self) -> None:
        """What was said last is taken, too."""
        self._take_slice(self._last_ms)
        self._recorder.ended("imported", self.seq, GENESIS.hex())

    def _flush_when_full(self) -> None:
        if self._log.waiting >= FLUSH_ENTRIES:
            self._log.flush()

    def _begin(self) -> None:
        self._take_slice(self._begins_ms)
        self._has_begun = True
        self._timer_due_ms = self._begins_ms
        cash = self._configuration.settings.paper_balance
        self._event(self._begins_ms, Recovered(LedgerState(INSTANCE_TAG), GENESIS.hex()))
        self._event(self._begins_ms, AccountSnapshot(cash, (), self._begins_ms, resting=(), fills_since_ms=0))
        for symbol in self._universe.symbols:
            window = self._candles.window(symbol, self._interval, 0, self._begins_ms)
            problem = "" if window is not None else "nobody traded it in the recording's first candles"
            self._event(self._begins_ms, HistoryLoaded(symbol, self._interval, window, "recording", problem))
        self._desk.begin(self._begins_ms)
        self._desk.started([(symbol, self._interval) for symbol in self._universe.symbols])

    def _let_time_pass(self, at_ms: int) -> None:
        """Take what is due before this moment: slices as they end, timers as they fire."""
        while True:
            slice_ms = self._slice_ends_ms or at_ms + 1
            timer_ms = self._timer_due_ms if self._has_begun else at_ms + 1
            if min(slice_ms, timer_ms) > at_ms:
                return
            if slice_ms <= timer_ms:
                self._take_slice(slice_ms)
            else:
                silent_ms = timer_ms - self._last_ms
                self._timer_due_ms += next(step for limit, step in TIMER_STEPS_MS if silent_ms < limit)
                self._event(timer_ms, TimerFired())

    def _take_slice(self, at_ms: int) -> None:
        self._slice_ends_ms = 0
        for event in self._desk.take():
            if self._has_begun:
                self._event(at_ms, event)
            else:
                self._recorder.dropped(event)

    def _event(self, at_ms: int, event: Event) -> None:
        self.seq += 1
        self._recorder.taken(self.seq, at_ms, event)
        self._flush_when_full()


def _lead(recording: Recording, interval: Interval, asked: int | None) -> int:
    """How many candles warm the engine up: as many as asked for, or a quarter of the recording, the usual at most."""
    candles = (recording.last_ms - interval.open_of(recording.first_ms)) // interval.ms
    lead = min(WARMUP_CANDLES + 1, max(1, candles // 4)) if asked is None else asked + 1
    if not recording.symbols:
        _refuse(recording, "no market data of any symbol is in it", "name a recording of bbo, trades, books or candles")
    return lead


def _make_room(folder: Path) -> None:
    """An empty folder is as good as none."""
    with suppress(OSError):
        folder.rmdir()
    if folder.exists():
        raise GateClosed(
            f"{folder}: there is something already; nothing was changed. Name a folder that is new or empty."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)


def _refuse(recording: Recording, why: str, fix: str) -> None:
    raise DatasetError([DatasetProblem(recording.sources[0], "cannot be a session", why, fix)])
