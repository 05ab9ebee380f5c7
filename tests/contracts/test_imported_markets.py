"""The recorded markets import and are traded on paper, with the same digest each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.recordings.recording import infer_instruments, read_recording
from domain.candles import Interval
from entrypoints.sessions.importing import import_session
from entrypoints.sessions.opened import OpenedSession
from entrypoints.sessions.simulated import simulate_session
from tests.unit.test_session_import import STRATEGY, configuration

MARKETS = {
    "five coins": (["ws/hl_ws_l2book_trades_5coins_20260722_5min.jsonl.gz"], 1_216, True),
    "25 seconds": (["ws/hl_ws_l2book_trades_BTC_20250126_25s.txt.gz"], 55, False),
    "mids": (["ws/hl_allMids_series_20250722_10min.jsonl.gz"], 64, False),
    "ticks": (
        [f"ticks/hl_{table}_{coin}_20250904_35min.csv.gz" for coin in ("BTC", "ETH") for table in
         ("orderbooks", "prices", "trades")],
        41_509,
        True,
    ),
    "fragments": ([f"ticks/hl_{table}_BTC_20250901_04_4frag.csv.gz" for table in ("prices", "trades")], 21_492, True),
}  # fmt: skip


@pytest.mark.parametrize("name", MARKETS)
def test_a_recorded_market_is_traded_on_paper(name: str, shared_data: Path, tmp_path: Path) -> None:
    files, recorded, trades = MARKETS[name]
    recording = read_recording([str(shared_data / each) for each in files])
    assert sum(recording.counts.values()) == recorded
    done = import_session(
        recording,
        infer_instruments(recording),
        configuration(tmp_path),
        tmp_path / "session",
        interval=Interval.M1,
        strategy=STRATEGY,
    )
    runs = [simulate_session(OpenedSession(done.folder, quiet=True)) for _ in range(2)]
    assert runs[0].digest == runs[1].digest
    assert runs[0].frames == done.frames >= recorded
    assert bool(runs[0].trades) is trades, "a recording of half a minute has no closed candle, and mids have none"
