"""A watchlist for minutes, in real time: the real daemon on a local venue with its limits, each a process of its own.

The venue's candles of the past are put into the daemon's store first, so that it starts as after a short pause. Once
it has decided on a whole candle of every symbol it is watched from outside: which candles it decides on and when, what
it costs. What it costs to take the same frames and do nothing with them is measured afterwards, on the same venue.
Linux alone.

The local venue quotes once a second. The real one does in every block of some 70 ms: expect more frames, and as many
more wake-ups as `AI_QUANT_WS_REST_MS` allows.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from adapters.sqlite.candle_store import SqliteCandleStore
from adapters.sqlite.file_kinds import DECISIONS
from adapters.sqlite.reading import reading
from adapters.sqlite.tables import decisions
from benchmarks._runs import Figures
from benchmarks._venue_clients import process
from benchmarks._venue_history import VenueHistory
from benchmarks._watchlist_figures import CandleOf, Decided, Usage, candle_figures, usage_figures
from benchmarks._watchlist_processes import (
    Child,
    ended_by_signals,
    rss_peak_mib,
    running,
    traffic_of,
    usage_of,
    venue,
)
from domain.candles import Interval, with_quiet_spans
from entrypoints.output import say, utc

INTERVAL = Interval.M1
HISTORY_CANDLES = 700
SETTLE_MS = 2_000
"""The newest candle may still change for so long."""
WARM_UP_S = 1_800
"""How long the daemon may take until it decides on every symbol: with an empty store 500 take most of it."""
LOOK_S = 2.0
SAY_S = 15.0
SAMPLE_S = 5.0
PATIENCE_S = 10.0
"""After the last candle's end: by then it was decided on, or never will be."""
BARE_S = 60.0
BARE_SETTLE_S = 5.0
GRACE_MS = 1_000
"""What the daemon waits after a candle's end unless told otherwise."""

LAG_P99_TARGET_MS = GRACE_MS + 500
CPU_TARGET_S_PER_HOUR = 180
RSS_TARGET_MIB = 200

OPTIONS = (
    click.Option(["--symbols"], type=click.IntRange(2, 500), default=200, show_default=True, help="Symbols to watch."),
    click.Option(["--minutes"], type=click.IntRange(1, 1_440), default=10, show_default=True, help="How long."),
    click.Option(["--bbo/--no-bbo"], default=True, help="Stream best bids and asks besides candles.  [default: bbo]"),
    click.Option(["--local-seed"], type=click.IntRange(0, 2**32 - 1), default=7, show_default=True, metavar="N"),
)


@dataclass(frozen=True, slots=True)
class _Watch:
    """One daemon on one venue. `ready` is what the venue said of itself."""

    folder: Path
    ready: Mapping[str, Any]
    daemon: Child

    @property
    def symbols(self) -> list[str]:
        return list(self.ready["symbols"])

    def decided_since(self, open_ms: int) -> list[Decided]:
        """What was decided on candles opened at `open_ms` or later; the daemon goes on meanwhile."""
        self.daemon.check()
        path = _decisions(self.folder)
        if not path.is_file():
            return []
        # Nothing is decided before its candle has opened, and times have an index.
        wanted = sa.select(decisions.c.symbol, decisions.c.open_ms, decisions.c.at_ms).where(
            decisions.c.at_ms >= open_ms, decisions.c.open_ms >= open_ms, decisions.c.interval == INTERVAL.value
        )
        with reading(path, DECISIONS) as connection:
            return [Decided((row.symbol, row.open_ms), row.at_ms) for row in connection.execute(wanted)]


def run(symbols: int = 200, minutes: int = 10, bbo: bool = True, local_seed: int = 7) -> Figures:
    """Figures of `minutes` whole candles of every symbol, and what the daemon cost meanwhile."""
    figures: Figures = {
        "symbols": symbols,
        "minutes": minutes,
        "streams": "candle + bbo" if bbo else "candle",
        "recording": "not built",
        "load_before": round(os.getloadavg()[0], 2),
    }
    with ended_by_signals(), tempfile.TemporaryDirectory(prefix="aiq-watchlist-") as name:
        folder = Path(name)
        with venue(folder, symbols, local_seed) as ready:
            history = VenueHistory(ready["url"])
            _fill_store(folder, ready["symbols"], history)
            with _daemon(folder, ready, bbo, minutes) as daemon:
                watch = _Watch(folder, ready, daemon)
                started, streamed_ms = time.monotonic(), INTERVAL.open_of(_now_ms()) + INTERVAL.ms
                figures["start_s"] = _wait_for_all(watch, streamed_ms - 2 * INTERVAL.ms, started)
                figures["warm_up_s"] = _wait_for_all(watch, streamed_ms, started)
                figures |= _measured(watch, history, minutes)
                say("stopping the daemon")
                figures["daemon_exit"] = daemon.end()
            figures |= _bare(ready, bbo)
    figures["cpu_ratio_to_bare"] = round(figures["cpu_s_per_hour"] / figures["bare_cpu_s_per_hour"], 2)
    figures["load_after"] = round(os.getloadavg()[0], 2)
    return figures


# ── before ───────────────────────────────────────────────────────────────────────────────────────


def _fill_store(folder: Path, symbols: list[str], history: VenueHistory) -> None:
    """Put closed candles of the past where the daemon looks for them, as the venue's own word."""
    say(f"filling the store: {HISTORY_CANDLES} candles of {len(symbols)} symbols, once the next minute has begun")
    # So that the daemon starts before another candle closes: else it asks for that of each symbol, at its pace.
    time.sleep((INTERVAL.open_of(_now_ms()) + INTERVAL.ms + SETTLE_MS - _now_ms()) / 1000)
    end_ms = INTERVAL.open_of(_now_ms())
    start_ms = end_ms - HISTORY_CANDLES * INTERVAL.ms
    store = SqliteCandleStore(_market(folder), symbols)
    try:
        for symbol in symbols:
            window = history.candles(symbol, INTERVAL, start_ms, end_ms)
            store.confirm(with_quiet_spans(window, end_ms), _now_ms())
    finally:
        store.close()


def _daemon(folder: Path, ready: Mapping[str, Any], bbo: bool, minutes: int) -> Any:
    """The daemon as it runs live, up to the orders that it would send: dry_live has the account's streams as well."""
    environ = {
        "AI_QUANT_MODE": "dry_live",
        "AI_QUANT_NETWORK": "local",
        "AI_QUANT_VENUE_URL": ready["url"],
        "AI_QUANT_ACCOUNT_ADDRESS": ready["accounts"][0]["address"],
        "AI_QUANT_SYMBOLS": ",".join(ready["symbols"]),
        "AI_QUANT_INTERVAL": INTERVAL.value,
        "AI_QUANT_CANDLE_CLOSE_GRACE_MS": str(GRACE_MS),
        "AI_QUANT_WS_ENABLE_BBO": str(int(bbo)),
        "AI_QUANT_USER_DIR": str(folder),
        "AI_QUANT_DB_PATH": str(_ledger(folder)),
        "AI_QUANT_MARKET_DB_PATH": str(_market(folder)),
        "AI_QUANT_LOG_FORMAT": "json",
        # It ends by itself should nobody be left to end it.
        "AI_QUANT_RUN_FOR": f"{WARM_UP_S + 60 * minutes + 600}s",
    }
    return running(folder, "daemon", "-m", "entrypoints.daemon", environ=environ)


def _wait_for_all(watch: _Watch, since_ms: int, started: float) -> float:
    """Seconds from the daemon's start until one candle, opened at `since_ms` or later, was decided on by every symbol.

    The last candle before the start comes from the store and the venue's history. The first whole one after it is what
    shows that all streams run: of the one in between, the beginning was not heard, and some have to be asked about.
    """
    said = time.monotonic()
    while True:
        counted = Counter(open_ms for _, open_ms in {each.candle for each in watch.decided_since(since_ms)})
        most = max(counted.values(), default=0)
        waited_s = time.monotonic() - started
        if most == len(watch.symbols):
            return round(waited_s, 1)
        if waited_s > WARM_UP_S:
            raise SystemExit(f"after {WARM_UP_S} s only {most} of {len(watch.symbols)} symbols are decided on")
        if time.monotonic() - said >= SAY_S:
            said = time.monotonic()
            say(f"warming up for {waited_s:.0f} s: {most} of {len(watch.symbols)} symbols decided on")
        time.sleep(LOOK_S)


# ── measuring ────────────────────────────────────────────────────────────────────────────────────


def _measured(watch: _Watch, history: VenueHistory, minutes: int) -> Figures:
    """From one candle's beginning to another's end: what opens and closes in between is what counts."""
    begin_ms = INTERVAL.open_of(_now_ms()) + INTERVAL.ms
    end_ms = begin_ms + minutes * INTERVAL.ms
    say(f"warm; measuring from {utc(begin_ms)} to {utc(end_ms)} UTC")
    time.sleep((begin_ms - _now_ms()) / 1000)
    before = traffic_of(watch.ready["control_url"])
    usages = [usage_of(watch.daemon.pid)]
    while _now_ms() < end_ms:
        time.sleep(min(SAMPLE_S, max(0.01, (end_ms - _now_ms()) / 1000)))
        watch.daemon.check()
        usages.append(usage_of(watch.daemon.pid))
        if len(usages) % round(60 / SAMPLE_S) == 0:
            _say_progress(usages)
    after = traffic_of(watch.ready["control_url"])
    span_s = usages[-1].at_s - usages[0].at_s
    frames_per_s = (after["frames"] - before["frames"]) / span_s
    peak_mib = rss_peak_mib(watch.daemon.pid)
    time.sleep(PATIENCE_S)
    traded = _traded(watch.symbols, history, begin_ms, end_ms)
    decided = [each for each in watch.decided_since(begin_ms) if each.candle[1] < end_ms]
    used = usage_figures(usages)
    return {
        **candle_figures(traded, decided, INTERVAL.ms),
        "lag_p99_target_ms": LAG_P99_TARGET_MS,
        "frames_per_s": round(frames_per_s, 1),
        "requests": after["requests"] - before["requests"],
        **used,
        "us_per_frame": round(used["cpu_s_per_hour"] / 3_600 / frames_per_s * 1e6, 1),
        "cpu_target_s_per_hour": CPU_TARGET_S_PER_HOUR,
        "rss_peak_mib": peak_mib,
        "rss_target_mib": RSS_TARGET_MIB,
    }


def _traded(symbols: list[str], history: VenueHistory, begin_ms: int, end_ms: int) -> dict[CandleOf, bool]:
    """Every candle of the time that was measured, and whether the venue knows of trades in it."""
    traded = {(symbol, open_ms): False for symbol in symbols for open_ms in range(begin_ms, end_ms, INTERVAL.ms)}
    for symbol in symbols:
        window = history.candles(symbol, INTERVAL, begin_ms, end_ms)
        traded |= {(symbol, open_ms): True for open_ms in window.open_ms[window.volume > 0].tolist()}
    return traded


def _say_progress(usages: list[Usage]) -> None:
    used = usage_figures(usages)
    say(
        f"{usages[-1].at_s - usages[0].at_s:.0f} s: CPU {used['cpu_s_per_hour'] / 36:.2f} % of a core, "
        f"RSS {usages[-1].rss_mib:.1f} MiB, load {os.getloadavg()[0]:.2f}"
    )


def _bare(ready: Mapping[str, Any], bbo: bool) -> Figures:
    """The same frames over as many connections, counted and thrown away."""
    say(f"the bare client: {BARE_S:.0f} s")
    user = ready["accounts"][0]["address"]
    arguments = ("-m", "benchmarks._bare_watcher", ready["ws_url"], ",".join(ready["symbols"]), user, str(int(bbo)))
    with process(*arguments) as bare:
        time.sleep(BARE_SETTLE_S)
        frames = traffic_of(ready["control_url"])["frames"]
        first = usage_of(bare["pid"])
        time.sleep(BARE_S)
        last = usage_of(bare["pid"])
        frames = traffic_of(ready["control_url"])["frames"] - frames
    span_s = last.at_s - first.at_s
    return {
        "bare_frames_per_s": round(frames / span_s, 1),
        "bare_cpu_s_per_hour": usage_figures([first, last])["cpu_s_per_hour"],
        "bare_wakeups_per_s": usage_figures([first, last])["wakeups_per_s"],
    }


# ── files ────────────────────────────────────────────────────────────────────────────────────────


def _ledger(folder: Path) -> Path:
    return folder / "ledger.sqlite"


def _decisions(folder: Path) -> Path:
    return folder / "ledger.decisions.sqlite"


def _market(folder: Path) -> Path:
    return folder / "market.sqlite"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
