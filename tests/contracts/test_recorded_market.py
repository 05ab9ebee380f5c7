"""Recorded sessions of the real market, imported: every frame of them, read by the production decoder."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.hyperliquid.heard import BboHeard, BookHeard, CandleHeard, Drifted, Ignored, TradesHeard
from adapters.hyperliquid.wire_frames import decode_frame
from adapters.recordings.frames import RecordedFrame
from adapters.recordings.recording import Recording, infer_instruments, read_recording
from domain.instruments import Universe
from ports.datasets import DatasetError

FIVE_COINS = "ws/hl_ws_l2book_trades_5coins_20260722_5min.jsonl.gz"
BTC_25S = "ws/hl_ws_l2book_trades_BTC_20250126_25s.txt.gz"
TEN_FRAMES = "ws/hl_ws_frames_BTC_ETH_20260801.ndjson"
MIDS = "ws/hl_allMids_series_20250722_10min.jsonl.gz"
BINANCE = "ws/binance_usdm_btcusdt_ws_20240808_344s.txt.gz"
TICKS = tuple(
    f"ticks/hl_{kind}_{symbol}_20250904_35min.csv.gz"
    for symbol in ("BTC", "ETH")
    for kind in ("orderbooks", "prices", "trades")
)
FRAGMENTS = ("ticks/hl_prices_BTC_20250901_04_4frag.csv.gz", "ticks/hl_trades_BTC_20250901_04_4frag.csv.gz")
RECORDINGS = [(FIVE_COINS,), (BTC_25S,), (TEN_FRAMES,), (MIDS,), TICKS, FRAGMENTS]
NAMES = ["five coins", "25 seconds", "ten frames", "mids", "ticks", "fragments"]


def read(folder: Path, *names: str) -> Recording:
    return read_recording([str(folder / name) for name in names])


def channel_of(frame: RecordedFrame) -> str:
    return frame.text.split('"', 4)[3] if frame.text.startswith('{"channel":') else ""


@pytest.mark.parametrize("names", RECORDINGS, ids=NAMES)
def test_every_frame_is_heard_in_order_and_twice_the_same(shared_data: Path, names: tuple[str, ...]) -> None:
    recording = read(shared_data, *names)
    universe = Universe(infer_instruments(recording))
    newest, made = recording.first_ms, Counter[str]()
    again = recording.frames()
    for frame in recording.frames():
        assert frame == next(again)
        assert frame.at_ms >= newest, "receive time never goes back"
        newest = frame.at_ms
        heard = decode_frame(frame.text, universe, None, frame.at_ms)
        assert not isinstance(heard, Drifted | Ignored), f"{heard} from {frame.text[:200]}"
        made[channel_of(frame)] += 1
    assert next(again, None) is None
    assert newest == recording.last_ms
    assert not recording.unreadable and not recording.mended
    for channel, count in recording.counts.items():
        assert made[channel] >= count
        assert made[channel] == count or channel in recording.derived


def test_five_minutes_of_five_coins(shared_data: Path) -> None:
    recording = read(shared_data, FIVE_COINS)
    assert recording.counts == {"l2Book": 285, "trades": 931}
    assert recording.symbols == ("BTC", "CASHCAT", "xyz:KR200", "xyz:CXMT", "xyz:CL")
    assert (recording.first_ms, recording.last_ms) == (1_784_683_656_613, 1_784_683_955_653)
    assert recording.derived == {"bbo": recording.symbols, "candle": recording.symbols}
    assert not recording.skipped
    sizes = {each.symbol: each.size_decimals for each in infer_instruments(recording)}
    assert sizes == {"BTC": 5, "CASHCAT": 0, "xyz:KR200": 4, "xyz:CXMT": 1, "xyz:CL": 3}


def test_the_recorded_frames_keep_their_text(shared_data: Path) -> None:
    """The recorder's key came first in every line: what stands behind it is the frame."""
    with gzip.open(shared_data / FIVE_COINS, "rt", encoding="utf-8") as file:
        sent = ["{" + line.rstrip("\n").split(",", 1)[1] for line in file]
    own = [frame.text for frame in read(shared_data, FIVE_COINS).frames() if channel_of(frame) in ("l2Book", "trades")]
    assert own == sent
    with gzip.open(shared_data / BTC_25S, "rt", encoding="utf-8") as file:
        sent = [line.rstrip("\n").split(" ", 1)[1] for line in file]
    own = [frame.text for frame in read(shared_data, BTC_25S).frames() if channel_of(frame) in ("l2Book", "trades")]
    assert own == sent


@pytest.mark.parametrize(("name", "frames", "total"), [(FIVE_COINS, 931, 1869), (BTC_25S, 9, 64)])
def test_all_trades_are_there(shared_data: Path, name: str, frames: int, total: int) -> None:
    recording = read(shared_data, name)
    universe = Universe(infer_instruments(recording))
    heard = [decode_frame(frame.text, universe, None, frame.at_ms) for frame in recording.frames()]
    told = [each for each in heard if isinstance(each, TradesHeard)]
    assert (len(told), sum(len(each.trades) for each in told)) == (frames, total)


def test_25_seconds_of_one_coin(shared_data: Path) -> None:
    recording = read(shared_data, BTC_25S)
    assert recording.counts == {"l2Book": 46, "trades": 9}
    assert (recording.first_ms, recording.last_ms) == (1_737_918_843_893, 1_737_918_869_246)


def test_frames_without_receive_times(shared_data: Path) -> None:
    recording = read(shared_data, TEN_FRAMES)
    assert recording.counts == {"activeAssetCtx": 2, "bbo": 2, "l2Book": 2, "subscriptionResponse": 2, "trades": 2}
    assert recording.derived == {"bbo": ("ETH",), "candle": ("BTC", "ETH")}
    with (shared_data / TEN_FRAMES).open(encoding="utf-8") as file:
        sent = [line.strip() for line in file if line.strip()]
    made = texts_without(recording, sent)
    assert len(made) == 3, "ETH has no quotes of its own, and both have no candles"


def texts_without(recording: Recording, sent: list[str]) -> list[str]:
    told = [frame.text for frame in recording.frames()]
    assert [text for text in told if text in sent] == sent
    return [text for text in told if text not in sent]


def test_a_series_of_all_mid_prices(shared_data: Path) -> None:
    recording = read(shared_data, MIDS)
    assert recording.counts == {"allMids": 64} and recording.rebuilt == ("allMids",)
    assert len(recording.symbols) == 201, "202 names are no `@n`, one of them is PURR/USDC"
    assert (recording.first_ms, recording.last_ms) == (1_753_198_254_042, 1_753_198_845_721)


def test_tables_of_ticks(shared_data: Path) -> None:
    recording = read(shared_data, *TICKS)
    assert recording.symbols == ("BTC", "ETH") and recording.derived == {"candle": ("BTC", "ETH")}
    assert recording.counts == {"bbo": (27_792 + 30_518) // 2, "l2Book": 2 * 3785, "trades": 2213 + 2571}
    universe = Universe(infer_instruments(recording))
    assert [each.size_decimals for each in universe] == [5, 4]
    rows: Counter[tuple[type, str]] = Counter()
    for frame in recording.frames():
        heard = decode_frame(frame.text, universe, None, frame.at_ms)
        if isinstance(heard, BookHeard):
            assert (len(heard.bids), len(heard.asks)) == (20, 20)
            rows[BookHeard, heard.coin] += 1
        elif isinstance(heard, BboHeard):
            rows[BboHeard, heard.coin] += (heard.bid is not None) + (heard.ask is not None)
        elif isinstance(heard, TradesHeard):
            rows[TradesHeard, heard.coin] += len(heard.trades)
    assert [rows[kind, "BTC"] for kind in (BookHeard, BboHeard, TradesHeard)] == [3785, 27_792, 6675]
    assert [rows[kind, "ETH"] for kind in (BookHeard, BboHeard, TradesHeard)] == [3785, 30_518, 6884]


def test_fragments_lose_only_the_halves_of_quotes_at_their_ends(shared_data: Path) -> None:
    recording = read(shared_data, *FRAGMENTS)
    assert recording.counts["bbo"] == (37_406 - 2) // 2
    assert recording.skipped_lines == 2


def test_a_candle_holds_every_trade_of_its_minute_once(shared_data: Path) -> None:
    """Of a minute whose trades all came before the next one began; late ones are not in their candle, as they say."""
    recording = read(shared_data, TICKS[2])
    last: dict[int, tuple[Decimal, int]] = {}
    for frame in recording.frames():
        if channel_of(frame) == "candle":
            row = json.loads(frame.text)["data"]
            last[row["t"]] = Decimal(row["v"]), row["n"]
    by_minute: defaultdict[int, dict[str, Decimal]] = defaultdict(dict)
    with gzip.open(shared_data / TICKS[2], "rt", encoding="utf-8") as file:
        for each in csv.DictReader(file):
            if int(each["exchange_timestamp"]) >= recording.first_ms - 5_000:
                minute = int(each["exchange_timestamp"]) // 60_000 * 60_000
                by_minute[minute][each["trade_id"]] = Decimal(each["size"])
    assert last == {minute: (sum(sizes.values()), len(sizes)) for minute, sizes in by_minute.items()}


def test_derived_candles_are_heard_as_candles(shared_data: Path) -> None:
    recording = read(shared_data, FIVE_COINS)
    universe = Universe(infer_instruments(recording))
    heard = [decode_frame(frame.text, universe, None, frame.at_ms) for frame in recording.frames()]
    minutes = {(each.coin, each.open_ms) for each in heard if isinstance(each, CandleHeard)}
    assert len([coin for coin, _ in minutes if coin == "BTC"]) == 6
    assert {coin for coin, _ in minutes} == set(recording.symbols)


def test_another_venue_is_refused_by_name(shared_data: Path) -> None:
    with pytest.raises(DatasetError, match="not a recording of Hyperliquid: it looks like Binance"):
        read(shared_data, BINANCE)
