"""A start from stored candles: only the tail is fetched, a gap is repaired, and nothing is decided on again."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from signal import SIGTERM

from domain.candles import Interval
from tests.daemon_process import Daemon, aiq_json

SYMBOLS = "BTC,ETH,SOL"
LEARNT = {"AI_QUANT_SYMBOLS": SYMBOLS, "AI_QUANT_LOG_LEVEL": "debug"}
STRANGER = {**LEARNT, "AI_QUANT_SYMBOLS": SYMBOLS + ",XRP"}


def decided(folder: Path) -> list[tuple[str, str, int, int | None]]:
    """Session, symbol, open time and intent of every decision, in order."""
    with sqlite3.connect(folder / "paper-local.decisions.sqlite") as connection:
        rows = connection.execute("SELECT session, symbol, open_ms, intent_id FROM decisions ORDER BY id").fetchall()
    return [tuple(row) for row in rows]


def test_a_start_from_the_store_repairs_the_gap_and_decides_nothing_again(tmp_path: Path) -> None:
    with Daemon(tmp_path, LEARNT) as daemon:
        daemon.wait_for(lambda it: any(line.get("still_to_come") == 0 for line in it.lines("warming_up")))
        daemon.wait_for(lambda it: len(it.lines("no_signal") + it.lines("decision")) > 6)
        assert daemon.end(SIGTERM) == 0
    first = decided(tmp_path)
    time.sleep(4)  # four minutes of the market, in which nobody listens
    with Daemon(tmp_path, STRANGER, "--from-store") as daemon:
        daemon.wait_for(lambda it: any("XRP" in str(line) for line in it.lines("history_unusable")))
        before = len(first)
        daemon.wait_for(lambda it: len(decided(tmp_path)) > before + 9)
        warm = daemon.lines("warming_up")[-1]
        assert daemon.end(SIGTERM) == 0
    second = decided(tmp_path)[len(first) :]
    assert {symbol for _, symbol, *_ in second} == {"BTC", "ETH", "SOL"}, "nothing is stored of XRP"
    assert warm["from_store"] > 3 * 600 and warm["from_venue"] < 3 * 60, "the store, and a tail"
    keys = [(symbol, open_ms) for _, symbol, open_ms, _ in second]
    assert len(keys) == len(set(keys)), "each candle once"
    intents = [intent for *_, intent in first + second if intent is not None]
    assert len(intents) == len(set(intents)), "a candle that was acted on is not acted on again"
    last = {symbol: open_ms for _, symbol, open_ms, _ in first}
    began = {symbol: min(open_ms for _, name, open_ms, _ in second if name == symbol) for symbol in last}
    assert all(began[symbol] > last[symbol] + Interval.M1.ms for symbol in last), "what closed meanwhile is too old"
    held = {row["symbol"]: row for row in aiq_json(tmp_path, "list-data")}
    assert all(held[symbol]["confirmed"] > 600 for symbol in last)


def test_any_other_argument_is_a_wrong_call(tmp_path: Path) -> None:
    with Daemon(tmp_path, None, "--from-shop") as daemon:
        assert daemon.process.wait(timeout=30) == 2
        assert "--from-store" in daemon.text
