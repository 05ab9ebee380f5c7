"""What recording a session costs at 200 symbols: CPU a frame of the ingest path with it, beside the same path without.

The path is that of `ingest`: frames come over sockets as fast as they are taken, up to the hub. Recording is what the
daemon does: every frame, what was done with it and what the engine took, into files that a writer thread fills once a
second. CPU is that of all threads.

What it costs when nobody is in a hurry is measured at the local venue's rate, about one frame a symbol and second: on
the venue's frames of some minutes, second by second with one flush each, beside what the path needs a frame at that
rate, as it is in the daemon (`AI_QUANT_WS_REST_MS`). The real venue quotes up to ten times as often.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect

from adapters.clocks import SystemClock
from adapters.hyperliquid.feed import FeedSettings, HyperliquidFeed
from adapters.hyperliquid.frame_desk import FrameDesk, NobodyListens
from adapters.hyperliquid.sockets import WebSocketTransport
from adapters.hyperliquid.subscriptions import Subscription, account_subscriptions, market_subscriptions, spread
from adapters.logged_alerts import LoggedAlerts
from adapters.session_files.manifest import Manifest
from adapters.session_files.writer import SessionLimits, SessionWriter
from adapters.sim.symbols import profiles
from application.inbox import Inbox
from application.recorder import Recorder, entry_to_plain
from application.step import Step
from application.supervisor import RECORD_S
from benchmarks._runs import Figures, main
from benchmarks._venue_clients import process
from benchmarks.ingest import ENOUGH, PATIENCE_S, SETTLE_S, SYMBOLS, USER, _Pipeline
from domain.candles import Interval
from domain.events import Event
from domain.instruments import Universe
from ports.session_log import NoRecord, SessionLog

ROUNDS = 4
WINDOWS = 3
WINDOW_S = 1.0
MARKET_S = 120
"""Of the local venue's market, for what is measured at its rate."""
SCALE = 20
"""How much faster than real time that market passes. Its frames a market second stay the same."""
CALM_S = 10.0
REST_MS = 80
"""The daemon's default."""
WAITING_BYTES = 1 << 30
"""Frames come a hundred times as fast as from a venue, so more of them wait for the second to end."""
COST_AIM, COST_FLOOR = 0.10, 0.03


def run(symbols: int = SYMBOLS, rounds: int = ROUNDS, window_s: float = WINDOW_S) -> Figures:
    """Best and worst windows of both by turns. `cost_share`: what recording adds to the path's own CPU a frame."""
    universe = Universe(profile.instrument for profile in profiles(symbols))
    account = account_subscriptions(USER)
    market = market_subscriptions(universe.symbols, Interval.M1, bbo=True, candle=True)
    figures: Figures = {"symbols": symbols, "load_before": round(os.getloadavg()[0], 2)}
    off: list[_Window] = []
    on: list[_Window] = []
    with process("-m", "benchmarks._frame_server", str(len(account) + len(market))) as ready:
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            off += asyncio.run(_windows(_RecordedPipeline(ready["url"], universe, NoRecord()), window_s))
            with _session() as (log, _):
                on += asyncio.run(_windows(_RecordedPipeline(ready["url"], universe, log), window_s))
                assert log.recording, "nothing has stopped the recording"
    figures |= _flood_figures(off, on)
    figures |= _rate_figures(universe, market, symbols)
    figures["load_after"] = round(os.getloadavg()[0], 2)
    return figures


@contextmanager
def _session() -> Iterator[tuple[SessionWriter, Path]]:
    """A real record in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "20260101T000000Z-1"
        manifest = Manifest(session=folder.name, origin="benchmark", began_ms=0)
        limits = SessionLimits(waiting_bytes=WAITING_BYTES)
        log = SessionWriter(folder, manifest, LoggedAlerts(), entry_to_plain, limits, SystemClock().now_ms)
        yield log, folder
        log.close("done")


# ── as fast as it goes ───────────────────────────────────────────────────────────────────────────

_Window = tuple[float, float]
"""CPU µs a frame, and frames a second."""


class _RecordedPipeline(_Pipeline):
    """That of `ingest`, with a record."""

    def __init__(self, url: str, universe: Universe, log: SessionLog, rest_ms: int = 0) -> None:
        super().__init__(url, universe)
        recorder = self._recorder = Recorder(log)
        self._log = log
        self._writer = ThreadPoolExecutor(max_workers=1)
        self._seq = 0
        self._inbox = Inbox(recorder.dropped)
        self._feed = HyperliquidFeed(
            universe,
            Interval.M1,
            WebSocketTransport(url, rest_ms=rest_ms),
            self._clock,
            FeedSettings(user=USER),
            self,
            self,
            _nothing_happened,
            random.Random(7),
            log=recorder,
        )

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Callable[[], int]]:
        async with super().reading() as frames:
            keeping = asyncio.create_task(self._keep_record())
            try:
                yield frames
            finally:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)
                self._writer.shutdown()

    async def flush(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writer, self._log.flush)

    async def _keep_record(self) -> None:
        while True:
            await asyncio.sleep(RECORD_S)
            await self.flush()

    def _handle(self, event: Event) -> None:
        self._seq += 1
        at_ms = self._clock.now_ms()
        self._recorder.taken(self._seq, at_ms, event)
        super()._handle(event)
        self._recorder.stepped(Step(self._seq, at_ms, [], []))


async def _nothing_happened() -> Sequence[Event]:
    return ()


async def _windows(pipeline: _RecordedPipeline, window_s: float) -> list[_Window]:
    """Each begins and ends with everything handed over, so that no window leaves its work to the next."""
    found = []
    async with pipeline.reading() as frames:
        async with asyncio.timeout(PATIENCE_S):
            while frames() < ENOUGH:  # noqa: ASYNC110  (from outside, as frames are counted)
                await asyncio.sleep(0.01)
        await asyncio.sleep(SETTLE_S)
        for _ in range(WINDOWS):
            await pipeline.flush()
            before, cpu_s, began_s = frames(), time.process_time(), time.perf_counter()
            await asyncio.sleep(window_s)
            await pipeline.flush()
            count = frames() - before
            found.append(
                ((time.process_time() - cpu_s) / count * 1e6, count / (time.perf_counter() - began_s)),
            )
    pipeline.check()
    return found


def _flood_figures(off: Sequence[_Window], on: Sequence[_Window]) -> Figures:
    figures: Figures = {}
    for name, windows in (("off", off), ("on", on)):
        cpu_us = [each for each, _ in windows]
        figures[f"frames_per_s_{name}"] = round(max(rate for _, rate in windows))
        figures[f"cpu_us_per_frame_{name}"] = round(min(cpu_us), 2)
        figures[f"cpu_us_per_frame_{name}_worst"] = round(max(cpu_us), 2)
    best_off, best_on = min(off)[0], min(on)[0]
    figures["cost_us_per_frame"] = round(best_on - best_off, 2)
    figures["cost_share"] = round((best_on - best_off) / best_off, 3)
    figures["cost_share_aim"], figures["cost_share_floor"] = COST_AIM, COST_FLOOR
    return figures


# ── at the local venue's rate ────────────────────────────────────────────────────────────────────


_VENUE = ("venue", "--json", "--scale")


def _rate_figures(universe: Universe, market: Sequence[Subscription], symbols: int) -> Figures:
    parts = spread([], market, FeedSettings().subscriptions_per_socket)
    print(f"{MARKET_S} s of the local venue", file=sys.stderr)
    with process("-m", "entrypoints.cli", *_VENUE, str(SCALE), "--symbols", str(symbols)) as ready:
        texts = asyncio.run(_heard(ready["ws_url"], parts))
    with process("-m", "entrypoints.cli", *_VENUE, "1", "--symbols", str(symbols)) as ready:
        pipeline = _RecordedPipeline(ready["ws_url"], universe, NoRecord(), REST_MS)
        path_us = asyncio.run(_calm_us(pipeline))
    frames = len(texts)
    heard = _timed(texts)
    seconds = [heard[frames * each // MARKET_S : frames * (each + 1) // MARKET_S] for each in range(MARKET_S)]
    with _session() as (log, folder):
        cpu_s = _recorded_cpu_s(universe, seconds, log) - _recorded_cpu_s(universe, seconds, NoRecord())
        log.close("done")
        size = sum(path.stat().st_size for path in folder.glob("*.zst"))
    record_us = cpu_s / frames * 1e6
    return {
        "frames_per_symbol_s": round(frames / MARKET_S / symbols, 3),
        "bytes_per_frame": round(size / frames, 1),
        "text_bytes_per_frame": round(sum(map(len, texts)) / frames, 1),
        "bytes_per_symbol_hour": round(size / symbols / MARKET_S * 3_600),
        "cpu_us_per_frame_at_real_rate_off": round(path_us, 2),
        "cost_us_per_frame_at_real_rate": round(record_us, 2),
        "cost_share_at_real_rate": round(record_us / path_us, 3),
        "cpu_share_at_real_rate": round(cpu_s / MARKET_S, 6),
    }


async def _calm_us(pipeline: _RecordedPipeline) -> float:
    """CPU µs a frame of the path where frames come when they come."""
    async with pipeline.reading() as frames:
        async with asyncio.timeout(PATIENCE_S):
            while frames() < ENOUGH:  # noqa: ASYNC110  (from outside, as frames are counted)
                await asyncio.sleep(0.1)
        before, cpu_s = frames(), time.process_time()
        await asyncio.sleep(CALM_S)
        return (time.process_time() - cpu_s) / (frames() - before) * 1e6


def _timed(texts: Sequence[str]) -> list[tuple[str, int]]:
    """Each frame with the market's time at which it came; only quotes tell it."""
    found, at_ms = [], 0
    for text in texts:
        data = json.loads(text)["data"]
        at_ms = max(at_ms, data.get("time", data.get("t", 0)))
        found.append((text, at_ms))
    return found


def _recorded_cpu_s(universe: Universe, seconds: Sequence[Sequence[tuple[str, int]]], log: SessionLog) -> float:
    """CPU of decoding, collecting and recording, second by second."""
    recorder = Recorder(log)
    desk = FrameDesk(universe, Interval.M1, None, 60_000, None, recorder, NobodyListens())
    desk.watch(universe.symbols)
    desk.started([(symbol, Interval.M1) for symbol in universe.symbols])
    seq, began_s = 0, time.process_time()
    for heard in seconds:
        for text, at_ms in heard:
            desk.decode(1, text, at_ms)
            desk.deliver(is_backlog=False)
        for event in desk.take():
            seq += 1
            recorder.taken(seq, heard[-1][1], event)
        log.flush()
    used_s = time.process_time() - began_s
    counts = desk.counts
    assert seq and not counts.ahead and not counts.foreign, f"every frame counts: {counts}"
    return used_s


async def _heard(url: str, parts: Sequence[Sequence[Subscription]]) -> list[str]:
    """What the venue says in so much of its time, once all streams run."""
    texts: list[str] = []

    async def read(connection: ClientConnection) -> None:
        async for text in connection:
            texts.append(str(text))

    connections = [await connect(url, compression=None, proxy=None) for _ in parts]
    tasks = [asyncio.create_task(read(connection)) for connection in connections]
    for connection, part in zip(connections, parts, strict=True):
        for each in part:
            await connection.send(json.dumps({"method": "subscribe", "subscription": each.request}))
    await asyncio.sleep(2.0)
    texts.clear()
    await asyncio.sleep(MARKET_S / SCALE)
    for task in tasks:
        task.cancel()
    for connection in connections:
        await connection.close()
    return [text for text in texts if '"subscriptionResponse"' not in text[:40]]


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
