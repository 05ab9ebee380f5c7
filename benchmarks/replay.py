"""A session of 200 symbols on 1m candles once more: how much faster than it happened, beside only reading its JSON.

The session is that of a paper daemon on a local venue in time-lapse, a process of its own. Its frames a market second
are as many as in real time (about one a symbol); of slices, and so of events, time-lapse has somewhat fewer. Every step
is compared with the recorded one, as `./aiq replay --verify` does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
import msgspec

from adapters.session_files.zstd import ZstdDecompressor
from application.replay import Replayed
from benchmarks._runs import Figures, main
from benchmarks._watchlist_processes import running
from entrypoints.sessions.opened import OpenedSession
from entrypoints.sessions.rebuild import replay_of

SYMBOLS = 200
SECONDS = 40
SCALE = 30
REPEATS = 5
PATIENCE_S = 90.0
"""Besides the run itself: the daemon's start, and its stop."""
SPEEDUP_AIM, SPEEDUP_FLOOR = 1_000, 100

OPTIONS = (
    click.Option(["--symbols"], type=click.IntRange(2, 500), default=SYMBOLS, show_default=True, help="Symbols."),
    click.Option(
        ["--seconds"], type=click.IntRange(5, 3_600), default=SECONDS, show_default=True, help="How long to record."
    ),
    click.Option(
        ["--scale"], type=click.IntRange(1, 60), default=SCALE, show_default=True, help="Market seconds a second."
    ),
)


@dataclass(slots=True)
class _Times:
    """Of each run: seconds of the wall, and of CPU."""

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)


def run(symbols: int = SYMBOLS, seconds: int = SECONDS, scale: int = SCALE) -> Figures:
    """Best of several runs by turns. `speedup` is recorded time over the wall's, `ratio` the baseline over ours."""
    figures: Figures = {"symbols": symbols, "load_before": round(os.getloadavg()[0], 2)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"recording {seconds} s of a market {scale} times as fast as real time", file=sys.stderr)
        session = _recorded(folder, symbols, seconds, scale)
        ours, bare = _Times(), _Times()
        for number in range(REPEATS):
            print(f"replay {number + 1} of {REPEATS}", file=sys.stderr)
            with _measured(bare):
                entries = _only_read(session)
            with _measured(ours):
                result = _replayed(session)
        size = sum(path.stat().st_size for path in session.glob("*.zst"))
    span_s = (result.last_ms - result.first_ms) / 1000
    wall_s = min(ours.wall_s)
    figures |= {
        "market_s": round(span_s),
        "events": result.events,
        "frames": result.frames,
        "entries": entries,
        "decisions": result.decisions,
        "session_bytes": size,
        "frames_per_symbol_s": round(result.frames / span_s / symbols, 3),
        "wall_s": round(wall_s, 3),
        "wall_s_worst": round(max(ours.wall_s), 3),
        "cpu_s": round(min(ours.cpu_s), 3),
        "cpu_us_per_frame": round(min(ours.cpu_s) / result.frames * 1e6, 2),
        "events_per_s": round(result.events / wall_s),
        "frames_per_s": round(result.frames / wall_s),
        "speedup": round(span_s / wall_s, 1),
        "speedup_aim": SPEEDUP_AIM,
        "speedup_floor": SPEEDUP_FLOOR,
        "wall_s_read": round(min(bare.wall_s), 3),
        "ratio": round(min(bare.wall_s) / wall_s, 3),
        "load_after": round(os.getloadavg()[0], 2),
    }
    return figures


@contextmanager
def _measured(times: _Times) -> Iterator[None]:
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    yield
    times.wall_s.append(time.perf_counter() - began_s)
    times.cpu_s.append(time.process_time() - began_cpu_s)


def _recorded(folder: Path, symbols: int, seconds: int, scale: int) -> Path:
    """The session's folder. The daemon slices as often as it can, which makes it the more like real time."""
    environ = {
        "AI_QUANT_LOCAL_SYMBOLS": str(symbols),
        "AI_QUANT_TIME_SCALE": str(scale),
        "AI_QUANT_RUN_FOR": f"{seconds}s",
        "AI_QUANT_USER_DIR": str(folder / "user"),
        "AI_QUANT_SESSIONS_DIR": str(folder / "sessions"),
        "AI_QUANT_WS_REST_MS": "0",
        "AI_QUANT_INTERVAL": "1m",
    }
    with running(folder, "daemon", "-m", "entrypoints.daemon", environ=environ) as child:
        try:
            status = child.process.wait(seconds + PATIENCE_S)
        except subprocess.TimeoutExpired:
            status = None
        if status != 0:
            raise SystemExit(f"the daemon ended with {status}:\n{child.words.read_text()[-2_000:]}")
    (session,) = (path for path in (folder / "sessions").iterdir() if path.is_dir())
    return session


def _replayed(session: Path) -> Replayed:
    opened = OpenedSession(session, quiet=True)
    replay = replay_of(opened.manifest)
    replay.stops_at_difference = True
    result = replay.run(opened.entries())
    assert result.difference is None, result.difference
    assert result.ended and result.decisions, "the session is whole, and something was decided in it"
    return result


# ── bare ─────────────────────────────────────────────────────────────────────────────────────────


class _Line(msgspec.Struct):
    e: list[list[object]]


def _only_read(session: Path) -> int:
    """Decompress and decode every record, and do nothing with it."""
    decode = msgspec.json.Decoder(_Line).decode
    return sum(
        len(decode(line).e)
        for path in sorted(session.glob("*.zst"))
        for line in ZstdDecompressor().decompress(path.read_bytes()).splitlines()
    )


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
