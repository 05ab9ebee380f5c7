"""A market that somebody else recorded becomes a session: nothing of it is lost, and it trades the same each time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.recordings.recording import infer_instruments, read_recording
from adapters.session_files.reader import SessionReader
from config.load import Configuration, load_configuration
from domain.candles import Interval
from entrypoints.gates import GateClosed
from entrypoints.sessions.importing import Imported, import_session
from entrypoints.sessions.opened import OpenedSession
from entrypoints.sessions.simulated import simulate_session
from ports.datasets import DatasetError
from ports.session_log import Tag
from tests.session_edits import entries_of

START_MS = 1_760_000_040_000
STRATEGY = "adapters.strategies.short_memory:analyze"
MINUTES = 12


def frames(minutes: int = MINUTES) -> Iterator[tuple[int, dict[str, Any]]]:
    """Books and trades of two coins whose prices go up and down by turns, minute by minute."""
    tid = 0
    for second in range(minutes * 60):
        at_ms = START_MS + second * 1_000
        for coin, start in (("BTC", 50_000), ("ETH", 3_000)):
            turn = (second // 60) % 2
            within = second % 60
            price = start * (1 + 0.0001 * (within if turn == 0 else 60 - within))
            bid, ask = round(price, 1), round(price + start / 10_000, 1)
            if second % 5 == 0:
                levels = [[{"px": str(bid), "sz": "3", "n": 1}], [{"px": str(ask), "sz": "3", "n": 1}]]
                yield at_ms, {"channel": "l2Book", "data": {"coin": coin, "time": at_ms - 300, "levels": levels}}
            if second % 3 == 0:
                tid += 1
                side = "B" if turn == 0 else "A"
                price_text = str(ask if side == "B" else bid)
                trade: dict[str, Any] = {"coin": coin, "side": side, "px": price_text, "sz": "0.5"}
                trade |= {"hash": "0x" + "0" * 64, "time": at_ms - 300, "tid": tid, "users": ["0x0", "0x1"]}
                yield at_ms, {"channel": "trades", "data": [trade]}


def written(path: Path, minutes: int = MINUTES, hole_ms: int = 0) -> str:
    lines = []
    for at_ms, frame in frames(minutes):
        late = hole_ms if at_ms >= START_MS + minutes * 30_000 else 0
        text = json.dumps(frame).replace(str(at_ms - 300), str(at_ms - 300 + late))
        lines.append(f"{(at_ms + late) * 1_000_000} {text}\n")
    path.write_text("".join(lines))
    return str(path)


def configuration(folder: Path) -> Configuration:
    overrides = folder / "overrides.yaml"
    overrides.write_text("global:\n  trade:\n    entry_min_confidence: low\n")
    environ = {"AI_QUANT_STRATEGY_YAML": str(overrides), "AI_QUANT_USER_DIR": str(folder)}
    return load_configuration(environ, root=folder, cwd=folder, seen_ms=0)


def imported(folder: Path, path: str, name: str = "session", warmup: int | None = None) -> Imported:
    recording = read_recording([path])
    return import_session(
        recording,
        infer_instruments(recording),
        configuration(folder),
        folder / name,
        interval=Interval.M1,
        strategy=STRATEGY,
        warmup_candles=warmup,
    )


def test_every_frame_is_there_word_for_word_and_in_order(tmp_path: Path) -> None:
    path = written(tmp_path / "recorded.txt")
    done = imported(tmp_path, path)
    texts = [entry[4] for entry in entries_of(done.folder) if entry[0] == Tag.FRAME]
    recorded = [line.split(" ", 1)[1].strip() for line in Path(path).read_text().splitlines()]
    there = iter(texts)
    assert all(any(text == line for text in there) for line in recorded), "in order, with what was made between"
    assert done.frames == len(texts) > len(recorded)
    times = [entry[2] for entry in entries_of(done.folder) if entry[0] in (Tag.TAKEN, Tag.EVENT)]
    assert times == sorted(times) and times[0] >= done.begins_ms
    seqs = [entry[1] for entry in entries_of(done.folder) if entry[0] in (Tag.TAKEN, Tag.EVENT)]
    assert seqs == list(range(1, done.events + 1))


def test_it_is_traded_on_paper_and_the_same_each_time(tmp_path: Path) -> None:
    path = written(tmp_path / "recorded.txt")
    done = imported(tmp_path, path)
    runs = [simulate_session(OpenedSession(done.folder, quiet=True)) for _ in range(2)]
    assert runs[0].digest == runs[1].digest
    assert runs[0].trades and runs[0].decisions >= 2 * (MINUTES - 2 - done.warmup_candles - 2)
    again = imported(tmp_path, path, "again")
    assert simulate_session(OpenedSession(again.folder, quiet=True)).digest == runs[0].digest
    # A book has 3 a side: what was taken from it was walked, and never at a price better than it had.
    asks = {
        (json.loads(entry[4])["data"]["coin"], Decimal(level["px"]))
        for entry in entries_of(done.folder)
        if entry[0] == Tag.FRAME and '"l2Book"' in entry[4]
        for level in (*json.loads(entry[4])["data"]["levels"][0], *json.loads(entry[4])["data"]["levels"][1])
    }
    taken = [each.fill for each in runs[0].fills if each.fill.crossed]
    assert taken and all((fill.symbol, fill.price) in asks for fill in taken)


def test_the_first_candles_warm_up(tmp_path: Path) -> None:
    path = written(tmp_path / "recorded.txt")
    few, more = imported(tmp_path, path, "few", 1), imported(tmp_path, path, "more", 5)
    assert more.begins_ms - few.begins_ms == 4 * 60_000
    histories = [entry for entry in entries_of(more.folder) if entry[0] == Tag.EVENT and entry[3] == "history"]
    assert [entry[4]["symbol"] for entry in histories] == ["BTC", "ETH"]
    # The first one is a candle that the recording has only the end of.
    assert all(len(entry[4]["window"]["open_ms"]) == 8 for entry in histories)


def test_a_hole_of_a_day_costs_no_million_looks_at_the_time(tmp_path: Path) -> None:
    done = imported(tmp_path, written(tmp_path / "recorded.txt", hole_ms=86_400_000), warmup=1)
    kinds = Counter(entry[3] for entry in entries_of(done.folder) if entry[0] == Tag.EVENT)
    assert 8_640 <= kinds["timer"] < 20_000
    assert simulate_session(OpenedSession(done.folder, quiet=True)).decisions


def test_what_cannot_be_a_session_is_refused_and_nothing_is_overwritten(tmp_path: Path) -> None:
    path = written(tmp_path / "recorded.txt")
    (tmp_path / "session").mkdir()
    done = imported(tmp_path, path)  # an empty folder is as good as none
    with pytest.raises(GateClosed, match="there is something already"):
        imported(tmp_path, path)
    assert SessionReader(done.folder).manifest.origin == "import"
    other = tmp_path / "other.txt"
    other.write_text('1760000000000000000 {"channel":"subscriptionResponse","data":{"method":"subscribe"}}\n')
    with pytest.raises(DatasetError, match="no market data"):
        imported(tmp_path, str(other), "other")
    assert not (tmp_path / "other").exists()
