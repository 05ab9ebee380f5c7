"""Recordings of others, format by format: frames keep their text, what is missing is derived, damage is named."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from adapters.hyperliquid.heard import Drifted, Ignored
from adapters.hyperliquid.wire_frames import decode_frame
from adapters.recordings.candle_sets import candle_recording
from adapters.recordings.derive import CandleFold
from adapters.recordings.frame_lines import frame_of
from adapters.recordings.receive_times import receive_ns
from adapters.recordings.recording import Recording, infer_instruments, read_recording
from adapters.recordings.wire import Trade, plain
from domain.candles import CandleWindow, Interval
from domain.instruments import Instrument, Universe, single_tier
from ports.datasets import CandleSet, DatasetError

T0 = 1_757_015_220_000
"""A full minute."""

Row = dict[str, Any]


def book(time_ms: int, bid: str = "100.0", ask: str = "101.0", coin: str = "BTC", size: str = "1.5") -> str:
    levels = ",".join(f'[{{"px":"{px}","sz":"{size}","n":3}}]' for px in (bid, ask))
    return f'{{"channel":"l2Book","data":{{"coin":"{coin}","time":{time_ms},"levels":[{levels}]}}}}'


def trades(*rows: tuple[int, str, str, int], coin: str = "BTC") -> str:
    """Rows are (venue time, price, size, trade id)."""
    made = [
        f'{{"coin":"{coin}","side":"B","px":"{px}","sz":"{sz}","time":{at},"hash":"0x00","tid":{tid}}}'
        for at, px, sz, tid in rows
    ]
    return f'{{"channel":"trades","data":[{",".join(made)}]}}'


def dated(time_ms: int, frame: str) -> str:
    return f'{{"received_wall_ns":{time_ms * 1_000_000 + 123_456},{frame[1:]}'


def write(tmp_path: Path, *lines: str, name: str = "session.jsonl", end: str = "\n") -> str:
    path = tmp_path / name
    path.write_text("\n".join(lines) + end, encoding="utf-8")
    return str(path)


def texts(recording: Recording) -> list[str]:
    return [frame.text for frame in recording.frames()]


def refused(*paths: str) -> str:
    with pytest.raises(DatasetError) as caught:
        read_recording(paths)
    return str(caught.value)


def candles_in(recording: Recording, interval: str = "1m") -> list[Row]:
    frames = [json.loads(text) for text in texts(recording)]
    return [frame["data"] for frame in frames if frame["channel"] == "candle" and frame["data"]["i"] == interval]


# ── frames in lines ──────────────────────────────────────────────────────────────────────────


def test_an_added_receive_time_is_taken_away_and_the_frame_keeps_its_text(tmp_path: Path) -> None:
    frame = book(T0)
    recording = read_recording([write(tmp_path, dated(T0 + 600, frame))])
    first, derived = recording.frames()
    assert (first.at_ms, first.line, first.text) == (T0 + 600, 0, frame)
    assert (derived.at_ms, derived.line) == (T0 + 600, 0)
    assert (recording.symbols, recording.counts) == (("BTC",), {"l2Book": 1})
    assert (recording.first_ms, recording.last_ms) == (T0 + 600, T0 + 600)


@pytest.mark.parametrize(
    "line",
    [
        '{"recv_ms":1757015220600,%s}',
        '{ "recv_ms" : 1757015220600 , %s}',
        '{%s,"local_time":"2025-09-04T19:47:00.600Z"}',
        '{"conn":7,%s, "received_ns":1757015220600000000,"seq":12}',
        '{"timestamp":1757015220.6,%s}',
        "1757015220600000000 {%s}",
        "2025-09-04T19:47:00.600999Z {%s}",
        '{"recv_ns":1757015220600000000,"frame":{%s}}',
    ],
)
def test_every_way_to_write_the_receive_time_gives_the_same_frame(line: str) -> None:
    inside = '"channel":"trades", "data":[{"coin":"BTC","px":"1.0","timestamp":5}]'
    found = frame_of((line % inside).encode(), 1)
    assert found.at_ns is not None
    assert (found.at_ns // 1_000_000, found.text) == (1_757_015_220_600, "{" + inside + "}")


def test_a_receive_time_in_the_middle_is_cut_out_of_the_parts_that_remain() -> None:
    found = frame_of(b'{"channel":"bbo","recv_ms":1757015220600,"data":{"coin":"BTC", "x":[1 ]}}', 1)
    assert found.text == '{"channel":"bbo","data":{"coin":"BTC", "x":[1 ]}}'


def test_a_frame_that_was_kept_as_text_comes_out_of_its_quotes() -> None:
    frame = book(T0)
    line = json.dumps({"ts": T0, "raw": frame})
    assert frame_of(line.encode(), 1).text == frame


@pytest.mark.parametrize("text", ["5", "nan", "1757015220600000000000", "yesterday", "-1757015220"])
def test_what_is_no_time_is_none(text: str) -> None:
    assert receive_ns(text) is None


def test_without_receive_times_the_venues_own_and_a_latency_stand_in(tmp_path: Path) -> None:
    ack = '{"channel":"subscriptionResponse","data":{"method":"subscribe","subscription":{"type":"bbo"}}}'
    late = trades((T0 - 9_000, "100.0", "1.0", 1))
    path = write(tmp_path, "Websocket connection established.", ack, book(T0), late, ack, book(T0 + 900))
    recording = read_recording([path], latency_ms=400)
    kept = [frame.at_ms - T0 for frame in recording.frames() if '"bbo":[' not in frame.text]
    assert kept == [400, 400, 400, 400, 400, 1_300], "what comes before the first time takes that one"
    assert recording.counts == {"greeting": 1, "l2Book": 2, "subscriptionResponse": 2, "trades": 1}


def test_gz_and_zst_hold_the_same_recording(tmp_path: Path) -> None:
    plain_path = write(tmp_path, *(dated(T0 + n, book(T0 + n)) for n in range(50)))
    data = Path(plain_path).read_bytes()
    packed, other = tmp_path / "a.gz", tmp_path / "b.zst"
    packed.write_bytes(gzip.compress(data))
    other.write_bytes(zstd.compress(data[:3_000]) + zstd.compress(data[3_000:]))
    expected = list(read_recording([plain_path]).frames())
    assert list(read_recording([str(packed)]).frames()) == expected
    assert list(read_recording([str(other)]).frames()) == expected


def test_files_are_merged_by_receive_time_and_equal_times_keep_their_order(tmp_path: Path) -> None:
    one = write(tmp_path, *(dated(T0 + at, book(T0 + at)) for at in (0, 20, 40)), name="one")
    two = write(tmp_path, *(dated(T0 + at, book(T0 + at, coin="xyz:CL")) for at in (10, 20, 50)), name="two")
    recording = read_recording([one, two])
    kept = [(frame.at_ms - T0, frame.line) for frame in recording.frames() if '"levels"' in frame.text]
    assert kept == [(0, 0), (10, 1), (20, 0), (20, 1), (40, 0), (50, 1)]
    assert recording.symbols == ("BTC", "xyz:CL")
    assert list(recording.frames()) == list(recording.frames()), "each time from the beginning"


def test_a_clock_that_goes_back_a_little_stands_still(tmp_path: Path) -> None:
    recording = read_recording([write(tmp_path, dated(T0 + 500, book(T0)), dated(T0, book(T0 + 10)), book(T0 + 20))])
    assert {frame.at_ms for frame in recording.frames()} == {T0 + 500}
    assert [notice.first for notice in recording.mended] == [2, 3]
    assert "goes back" in str(recording.mended[0]) and "no receive time" in str(recording.mended[1])


def test_a_log_of_mid_prices_becomes_its_frames(tmp_path: Path) -> None:
    mids = '{"@1":"19.98","BTC":"118912.5","kPEPE":"0.0138"}'
    line = f'{{"timestamp":"2025-07-22T15:30:54.042Z","localTime":"x","serverTime":1753198254057,"mids":{mids}}}'
    recording = read_recording([write(tmp_path, line)])
    assert texts(recording) == [f'{{"channel":"allMids","data":{{"mids":{mids}}}}}']
    assert recording.symbols == ("BTC", "kPEPE") and recording.rebuilt == ("allMids",)
    assert [each.size_decimals for each in infer_instruments(recording)] == [5, 2]


# ── what is wrong with a file ────────────────────────────────────────────────────────────────


def test_a_line_in_the_middle_that_is_damaged_is_named_with_its_file(tmp_path: Path) -> None:
    path = write(tmp_path, dated(T0, book(T0)), dated(T0, book(T0))[:60], dated(T0, book(T0))[:50], book(T0))
    message = refused(path)
    assert path in message and "line 2" in message and "not JSON" in message


def test_every_file_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    one = write(tmp_path, book(T0), "{oops", book(T0), name="one")
    good = write(tmp_path, book(T0), name="good")
    two = tmp_path / "two.gz"
    two.write_bytes(gzip.compress(("\n".join(book(T0 + n) for n in range(9_000))).encode())[:-400])
    message = refused(one, good, str(two), str(tmp_path / "none"))
    assert f"{one}: it is not JSON" in message and "line 2" in message
    assert f"{two}: the packed data end too early" in message and "after line" in message
    assert "there is no such file" in message and good not in message


def test_a_last_line_that_was_cut_off_is_left_out_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path, dated(T0, book(T0)), dated(T0, book(T0))[:80], end="")
    recording = read_recording([path])
    assert recording.counts == {"l2Book": 1} and recording.skipped_lines == 1
    assert [str(notice) for notice in recording.skipped] == [
        f"{path}: line 2: the last line is cut off: its frame is left out"
    ]


def test_lines_that_are_no_frames_are_left_out_and_counted(tmp_path: Path) -> None:
    recording = read_recording([write(tmp_path, book(T0), '{"status":"ok"}', "[1]", '{"status":"ok"}', book(T0))])
    assert [(notice.count, notice.first) for notice in recording.skipped] == [(2, 2), (1, 3)]
    assert "no 'channel' but 'status'" in recording.skipped[0].what


def test_a_frame_that_we_cannot_read_stays_as_it_is(tmp_path: Path) -> None:
    odd = '{"channel":"l2Book","data":{"coin":"BTC","levels":7}}'
    recording = read_recording([write(tmp_path, book(T0), odd)])
    assert texts(recording)[-1] == odd and recording.unreadable == {"l2Book": 1}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('1723161255030314667 {"stream":"btcusdt@trade","data":{"e":"trade","E":1}}', "looks like Binance"),
        ('{"lastUpdateId":5,"bids":[]}', "looks like Binance"),
        ('{"topic":"orderbook.50.BTCUSDT","type":"snapshot"}', "looks like Bybit"),
        ('{"recv_ms":1757015220600,"channel":"heartbeat"}', "none of its channels is one of the venue"),
        ('{"a":1}', "no 'channel' but 'a'"),
        ("PAR1....", "a Parquet file"),
        ('[{"t":1}]', "a JSON list"),
        ("symbol,t,o,h,l,c,v", "a table of candles"),
        ("hello", "begins with 'hello'"),
        ('{"recv_ms":17,"channel":"pong"}', "no time between 2009 and 2100"),
        ('{"channel":"pong"}', "neither a receive time nor one of the venue"),
    ],
)
def test_what_is_no_recording_of_the_venue_is_refused_with_a_reason(tmp_path: Path, line: str, says: str) -> None:
    assert says in refused(write(tmp_path, line))


def test_lines_far_out_of_order_are_damage(tmp_path: Path) -> None:
    message = refused(write(tmp_path, dated(T0 + 90_000, book(T0)), dated(T0, book(T0))))
    assert "line 2" in message and "more than a minute before" in message


def test_empty_files_and_folders_are_refused(tmp_path: Path) -> None:
    assert "the file is empty" in refused(write(tmp_path, end=""))
    assert "holds no line" in refused(write(tmp_path, "", ""))
    assert "this is a folder" in refused(str(tmp_path))
    assert "no file is named" in refused()


def test_a_file_that_is_damaged_after_it_was_looked_through_is_refused_then(tmp_path: Path) -> None:
    path = write(tmp_path, book(T0))
    recording = read_recording([path])
    write(tmp_path, book(T0), "{oops", book(T0))
    with pytest.raises(DatasetError, match="line 2"):
        list(recording.frames())


@given(st.data())
def test_whatever_happens_to_a_file_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Bytes changed anywhere: a `DatasetError` or frames, nothing else."""
    tick = f"1757015220.1,100.0,0.5,buy,6,{T0}"
    whole = data.draw(
        st.sampled_from(
            ["\n".join([dated(T0, book(T0)), book(T0 + 1), trades((T0, "1.0", "2.0", 3))]), f"{TRADED}\n{tick}\n{tick}"]
        )
    )
    changed = bytearray(whole.encode())
    for place, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(changed) - 1), st.integers(0, 255)), max_size=4)
    ):
        changed[place] = value
    path = tmp_path_factory.getbasetemp() / "hl_trades_BTC_fuzz.csv"
    path.write_bytes(bytes(changed) + data.draw(st.sampled_from([b"", b"\n"])))
    try:
        recording = read_recording([str(path)])
    except DatasetError:
        return
    frames = list(recording.frames())
    assert len(frames) >= sum(recording.counts.values()) > 0


@pytest.mark.parametrize("number", ["1e999999", "-1.0", "1e-999999", "9" * 5_000, "\u0661", "NaN", "Infinity", ""])
def test_numbers_that_no_market_has_lead_to_nothing(tmp_path: Path, number: str) -> None:
    row = f"1757015220.1,{number},0.5,buy,6,{T0}"
    assert "which is no price or size" in refused(write(tmp_path, TRADED, row, name="hl_trades_BTC_1.csv"))
    frames = [trades((T0, number, "1.0", 1)), trades((T0, "1.0", number, 2)), book(T0, bid=number)]
    assert texts(read_recording([write(tmp_path, *frames)])) == frames
    assert receive_ns(number) is None


# ── tables of ticks ──────────────────────────────────────────────────────────────────────────

QUOTES = "timestamp,price,size,side,exchange_timestamp"
TRADED = "timestamp,price,size,side,trade_id,exchange_timestamp"


def test_a_table_of_books_becomes_l2_book_frames(tmp_path: Path) -> None:
    header = "timestamp,sequence,exchange_timestamp," + ",".join(
        f"{side}_{what}_{n}" for n in range(2) for side in ("bid", "ask") for what in ("price", "size")
    )
    rows = ["1757015220.673878,1,1757015220253,100.0,8e-05,101.0,2.0,99.0,1.0,,"]
    path = write(tmp_path, header, *rows, name="hl_orderbooks_kPEPE_20250904.csv")
    recording = read_recording([path])
    first = next(recording.frames())
    assert first.at_ms == 1_757_015_220_673
    assert first.text == (
        '{"channel":"l2Book","data":{"coin":"kPEPE","time":1757015220253,"levels":['
        '[{"px":"100.0","sz":"0.00008","n":1},{"px":"99.0","sz":"1.0","n":1}],[{"px":"101.0","sz":"2.0","n":1}]]}}'
    )
    assert recording.rebuilt == ("l2Book",)
    assert [each.size_decimals for each in infer_instruments(recording)] == [5]


def test_a_table_of_quotes_gives_one_frame_for_each_moment_of_the_venue(tmp_path: Path) -> None:
    rows = [
        f"1757015220.1,101.0,2.0,ask,{T0}",
        f"1757015220.1,100.0,1.0,bid,{T0}",
        f"1757015220.1,100.5,1.0,bid,{T0 + 7}",
        f"1757015220.1,101.0,1.0,ask,{T0 + 7}",
        f"1757015221.0,100.5,1.0,bid,{T0 + 900}",
        f"1757015222.0,100.0,1.0,bid,{T0 + 1900}",
        f"1757025222.0,100.0,1.0,bid,{T0 + 10_001_900}",
    ]
    recording = read_recording([write(tmp_path, QUOTES, *rows, name="hl_prices_BTC_1.csv")])
    one, two, one_sided = (json.loads(text)["data"] for text in texts(recording))
    assert [level["px"] for level in one["bbo"]] == ["100.0", "101.0"] and one["time"] == T0
    assert [level["px"] for level in two["bbo"]] == ["100.5", "101.0"] and two["time"] == T0 + 7
    assert one_sided["bbo"] == [{"px": "100.5", "sz": "1.0", "n": 1}, None]
    assert [notice.count for notice in recording.skipped] == [2], "halves at the end of fragments"


def test_a_table_of_trades_gives_one_frame_for_each_receive_time(tmp_path: Path) -> None:
    rows = [f"1757015220.1,100.0,0.5,buy,7,{T0}", f"1757015220.1,99.0,1e-05,sell,8,{T0 + 1}"]
    path = write(tmp_path, TRADED, *rows, f"1757015220.2,99.0,1.0,sell,9,{T0 + 2}", name="ticks.csv")
    assert "nobody says whose ticks" in refused(path)
    told = texts(read_recording([f"BTC={path}"]))
    first = json.loads(told[0])["data"]
    assert [(row["side"], row["px"], row["sz"], row["tid"]) for row in first] == [
        ("B", "100.0", "0.5", 7),
        ("A", "99.0", "0.00001", 8),
    ]
    assert first[0]["hash"] == "0x" + "0" * 64 and len(first[0]["users"]) == 2
    assert [json.loads(text)["channel"] for text in told] == ["trades", "candle", "trades", "candle"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (f"1757015220.1,100.0,0.5,buy,7,{T0},1", "7 cells, the header 6"),
        (f"1757015220.1,hundred,0.5,buy,7,{T0}", "'hundred'"),
        (f"1757015220.1,100.0,-0.5,buy,7,{T0}", "'-0.5'"),
        (f"1757015220.1,100.0,0.5,up,7,{T0}", "'up' instead of buy or sell"),
        (f"1757015220.1,100.0,0.5,buy,x,{T0}", "no whole number"),
        (f"then,100.0,0.5,buy,7,{T0}", "receive time"),
        ("1757015220.1,100.0,0.5,buy,7,17", "'exchange_timestamp' holds '17'"),
    ],
)
def test_a_damaged_row_is_named(tmp_path: Path, row: str, says: str) -> None:
    good = f"1757015220.1,100.0,0.5,buy,6,{T0}"
    message = refused(write(tmp_path, TRADED, good, row, name="hl_trades_BTC_1.csv"))
    assert "line 3" in message and says in message
    cut = write(tmp_path, TRADED, good, row, name="hl_trades_BTC_1.csv", end="")
    assert read_recording([cut]).skipped_lines == 1, "a last line without an end was cut off"


def test_other_tables_are_refused_with_their_columns(tmp_path: Path) -> None:
    message = refused(write(tmp_path, "timestamp,exchange_timestamp,x", "1,2,3", name="hl_trades_BTC_1.csv"))
    assert "no table of ticks" in message and "'x'" in message


@pytest.mark.parametrize(
    ("text", "written"), [("8e-05", "0.00008"), ("1.50", "1.50"), ("2E+1", "20"), ("x", None), ("-1", None)]
)
def test_numbers_lose_their_exponent_only(text: str, written: str | None) -> None:
    assert plain(text) == written


# ── derived frames ───────────────────────────────────────────────────────────────────────────


def test_a_bbo_follows_each_book_whose_touch_changed(tmp_path: Path) -> None:
    frames = [book(T0), book(T0 + 1), book(T0 + 2, bid="100.5"), book(T0 + 3, bid="102.0"), book(T0 + 4, bid="100.5")]
    recording = read_recording([write(tmp_path, *frames)])
    told = texts(recording)
    level = '{"px":"101.0","sz":"1.5","n":3}'
    first = f'{{"channel":"bbo","data":{{"coin":"BTC","time":{T0},"bbo":[{level.replace("101", "100")},{level}]}}}}'
    assert told[:3] == [frames[0], first, frames[1]]
    assert len(told) == len(frames) + 2, "not after an equal touch, nor after a crossed book"
    assert recording.derived == {"bbo": ("BTC",)}


def test_coins_with_their_own_quotes_and_candles_get_no_others(tmp_path: Path) -> None:
    bbo = f'{{"channel":"bbo","data":{{"coin":"BTC","time":{T0},"bbo":[null,null]}}}}'
    row = f'"t":{T0},"T":{T0 + 59_999},"s":"BTC","i":"1m","o":"1","c":"1","h":"1","l":"1","v":"1","n":1'
    candle = f'{{"channel":"candle","data":{{{row}}}}}'
    own = [book(T0), trades((T0, "100.0", "1.0", 1)), bbo, candle]
    path = write(tmp_path, *own, book(T0, coin="ETH"))
    recording = read_recording([path])
    assert recording.derived == {"bbo": ("ETH",)} and texts(recording)[:4] == own
    longer = read_recording([path], candle_interval=Interval.M15)
    assert longer.derived == {"bbo": ("ETH",), "candle": ("BTC",)}
    assert [row["T"] for row in candles_in(longer, "15m")] == [Interval.M15.open_of(T0) + 899_999]


def test_candles_grow_with_each_batch_of_trades(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        dated(T0 + 600, trades((T0 - 9_000, "90.0", "5.0", 1), (T0 + 100, "100.0", "0.1", 2))),
        dated(T0 + 900, trades((T0 + 300, "102.0", "0.2", 3), (T0 + 100, "100.0", "0.1", 2))),
        dated(T0 + 60_500, trades((T0 + 59_999, "99.0", "1.0", 4), (T0 + 60_000, "101.0", "2.0", 5))),
        dated(T0 + 61_000, trades((T0 + 59_000, "50.0", "9.0", 6))),
    )
    rows = candles_in(read_recording([path]))
    columns = [(row["t"] - T0, row["o"], row["h"], row["l"], row["c"], row["v"], row["n"]) for row in rows]
    assert columns == [
        (0, "100.0", "100.0", "100.0", "100.0", "0.1", 1),
        (0, "100.0", "102.0", "100.0", "102.0", "0.3", 2),
        (0, "100.0", "102.0", "99.0", "99.0", "1.3", 3),
        (60_000, "101.0", "101.0", "101.0", "101.0", "2.0", 1),
    ]
    assert [(row["s"], row["i"], row["T"] - row["t"]) for row in rows] == [("BTC", "1m", 59_999)] * 4


def test_a_backlog_inside_the_running_candle_moves_its_open_but_not_its_close() -> None:
    fold = CandleFold("BTC", Interval.M1, 0)
    fold.after([Trade("BTC", "100.0", "1.0", T0 + 500, 1)])
    (text,) = fold.after([Trade("BTC", "95.0", "1.0", T0 + 100, 2)])
    row = json.loads(text)["data"]
    assert (row["o"], row["h"], row["l"], row["c"]) == ("95.0", "100.0", "95.0", "100.0")


tenths = st.integers(1, 500).map(lambda n: f"{n / 10:.1f}")
trade_rows = st.tuples(st.integers(0, 200_000), tenths, st.integers(1, 10**9).map(lambda n: plain(f"{n}e-5")))


@given(st.lists(st.lists(trade_rows, min_size=1, max_size=6), min_size=1, max_size=12), st.data())
def test_candles_are_what_an_independent_fold_of_the_unique_trades_is(
    batches: list[list[tuple[int, str, str]]], data: st.DataObject
) -> None:
    """Sorted batches, some trades resent: the last state of each candle counts every trade of it once."""
    ordered = sorted(row for batch in batches for row in batch)
    known = [Trade("BTC", px, sz, T0 + at, tid) for tid, (at, px, sz) in enumerate(ordered)]
    fold = CandleFold("BTC", Interval.M1, T0 - 5_000)
    states: dict[int, Row] = {}
    sent = 0
    for batch in batches:
        rows = known[sent : sent + len(batch)]
        again = data.draw(st.lists(st.sampled_from(known[: sent + len(batch)]), max_size=3))
        sent += len(batch)
        told = [json.loads(text)["data"] for text in fold.after([*again, *rows])]
        assert [row["t"] for row in told] == sorted({row["t"] for row in told})
        for row in told:
            before = states.get(row["t"])
            if before is not None:
                assert Decimal(row["v"]) > Decimal(before["v"]) and row["n"] > before["n"]
                assert Decimal(row["h"]) >= Decimal(before["h"]) and Decimal(row["l"]) <= Decimal(before["l"])
        states |= {row["t"]: row for row in told}
    by_minute: defaultdict[int, list[Trade]] = defaultdict(list)
    for trade in known:
        by_minute[trade.time // 60_000 * 60_000].append(trade)
    assert sorted(states) == sorted(by_minute)
    for open_ms, rows in by_minute.items():
        row, prices = states[open_ms], [Decimal(trade.px) for trade in rows]
        assert Decimal(row["v"]) == sum((Decimal(trade.sz) for trade in rows), Decimal(0))
        assert (Decimal(row["h"]), Decimal(row["l"]), row["n"]) == (max(prices), min(prices), len(rows))
        assert Decimal(row["o"]) in [Decimal(trade.px) for trade in rows if trade.time == rows[0].time]
        assert Decimal(row["c"]) in [Decimal(trade.px) for trade in rows if trade.time == rows[-1].time]


# ── candle sets and instruments ──────────────────────────────────────────────────────────────


def candle_set() -> CandleSet:
    times = np.array([T0, T0 + 60_000], dtype=np.int64)
    columns = ([10.0, 11.0], [12.0, 11.0], [9.5, 11.0], [11.0, 11.0], [8.5, 0.0])
    windows = [
        CandleWindow(symbol, Interval.M1, times, *(np.array(column) for column in columns)) for symbol in ("A", "B")
    ]
    return CandleSet(Interval.M1, ("A", "B"), tuple(windows), ("candles.csv",))


def test_a_candle_set_is_told_in_four_states_with_quotes() -> None:
    instruments = [Instrument(symbol, 2, single_tier(10)) for symbol in ("B", "A")]
    recording = candle_recording(candle_set(), instruments, latency_ms=300)
    frames = list(recording.frames())
    assert (recording.symbols, recording.counts) == (("A", "B"), {"candle": 8})
    assert (frames[0].at_ms, frames[-1].at_ms) == (recording.first_ms, recording.last_ms) == (T0 + 300, T0 + 105_300)
    of_a = [json.loads(frame.text)["data"] for frame in frames if '"s":"A"' in frame.text]
    assert [(row["o"], row["h"], row["l"], row["c"], row["v"]) for row in of_a] == [
        ("10.0", "10.0", "10.0", "10.0", "2.1"),
        ("10.0", "10.0", "9.5", "9.5", "4.2"),
        ("10.0", "12.0", "9.5", "12.0", "6.3"),
        ("10.0", "12.0", "9.5", "11.0", "8.5"),
    ], "and the candle without trades is not told"
    quotes = [json.loads(frame.text)["data"]["bbo"] for frame in frames if '"bbo"' in frame.text]
    assert len(quotes) == 16
    assert [(bid["px"], ask["px"]) for bid, ask in quotes[:3]] == [
        ("10.0", "10.001"),
        ("10.0", "10.001"),
        ("9.5", "9.5001"),
    ]
    assert list(recording.frames()) == frames
    universe = Universe(infer_instruments(recording))
    heard = [decode_frame(frame.text, universe, None, frame.at_ms) for frame in frames]
    assert not [each for each in heard if isinstance(each, Drifted | Ignored)]
    assert [frame.at_ms for frame in frames] == sorted(frame.at_ms for frame in frames)


def test_size_decimals_are_those_of_the_recorded_sizes(tmp_path: Path) -> None:
    path = write(tmp_path, book(T0, size="12.340"), book(T0, coin="xyz:CL", size="3.0"))
    instruments = infer_instruments(read_recording([path]), default_max_leverage=7)
    assert [(each.symbol, each.size_decimals, each.max_leverage) for each in instruments] == [
        ("BTC", 2, 7),
        ("xyz:CL", 0, 7),
    ]
