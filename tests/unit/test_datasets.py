"""Candle, funding and instrument files: what is read, and the one clear message for each thing that is wrong."""

import gzip
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from adapters.datasets.candle_files import read_candles
from adapters.datasets.funding_files import read_funding
from adapters.datasets.instruments import infer_instruments, price_decimals, read_instruments
from domain.candles import Interval
from domain.instruments import Instrument, MarginTier, Universe, single_tier
from ports.datasets import HOUR_MS, MAX_PROBLEMS_SHOWN, CandleSet, DatasetError

T0 = 1_733_270_400_000  # 2024-12-04 00:00 UTC
Row = list[Any]
COLUMNS = ("symbol", "t", "o", "h", "l", "c", "v")


def candles(symbol: str = "BTC", count: int = 6, step_ms: int = HOUR_MS, base: float = 100.0) -> list[Row]:
    return [
        [symbol, T0 + n * step_ms, base + n, base + n + 2.5, base + n - 1.25, base + n + 1, 10.5 + n]
        for n in range(count)
    ]


def write_csv(path: Path, rows: Sequence[Row], columns: Sequence[str] = COLUMNS) -> str:
    lines = [",".join(columns), *(",".join("" if cell is None else str(cell) for cell in row) for row in rows)]
    return write_bytes(path, ("\n".join(lines) + "\n").encode())


def write_json(path: Path, rows: Sequence[Row], interval: str | None = "1h") -> str:
    wire = [
        {"t": t, "T": t + 1, "s": s, "o": f"{o}", "h": f"{h}", "l": f"{lo}", "c": f"{c}", "v": f"{v}", "n": 3}
        for s, t, o, h, lo, c, v in rows
    ]
    return write_bytes(path, json.dumps([{**row, "i": interval} if interval else row for row in wire]).encode())


def write_parquet(
    path: Path, rows: Sequence[Row], types: str = "varchar bigint double double double double double"
) -> str:
    with duckdb.connect(":memory:") as db:
        columns = ", ".join(f"{name} {kind}" for name, kind in zip(COLUMNS, types.split(), strict=True))
        db.execute(f"create table rows ({columns})")
        db.executemany("insert into rows values (?, ?, ?, ?, ?, ?, ?)", rows)
        db.execute(f"copy rows to '{path}' (format parquet)")
    return str(path)


def write_bytes(path: Path, data: bytes) -> str:
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


def refused(action: Callable[[], object]) -> list[str]:
    """The lines of the error that `action` must raise."""
    with pytest.raises(DatasetError) as caught:
        action()
    return str(caught.value).splitlines()


def rows_of(candle_set: CandleSet) -> list[Row]:
    return [
        [window.symbol, *row]
        for window in candle_set.windows
        for row in zip(
            window.open_ms.tolist(),
            window.open.tolist(),
            window.high.tolist(),
            window.low.tolist(),
            window.close.tolist(),
            window.volume.tolist(),
            strict=True,
        )
    ]


class TestFormats:
    rows = (*candles("ETH", base=2000.0), *candles("BTC"))

    @pytest.mark.parametrize(
        "name", ["c.csv", "c.csv.gz", "c.json", "c.json.gz", "c.parquet", "c.parquet.gz", "no_suffix"]
    )
    def test_every_format_gives_the_same_candles(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        if ".parquet" in name:
            write_bytes(path, Path(write_parquet(tmp_path / "plain", self.rows)).read_bytes())
        else:
            (write_json if ".json" in name else write_csv)(path, self.rows)
        read = read_candles([str(path)])
        assert (read.interval, read.symbols, read.sources) == (Interval.H1, ("BTC", "ETH"), (str(path),))
        assert rows_of(read) == sorted(self.rows)
        assert read.bars == 12 and not read.filled

    def test_columns_stand_in_any_order_and_others_are_ignored(self, tmp_path: Path) -> None:
        shuffled = [[v, "x", c, lo, h, o, t, s] for s, t, o, h, lo, c, v in self.rows]
        path = write_csv(tmp_path / "c.csv", shuffled, ["v", "note", "c", "l", "h", "o", "t", "symbol"])
        assert rows_of(read_candles([path])) == sorted(self.rows)

    def test_a_byte_order_mark_and_crlf_are_harmless(self, tmp_path: Path) -> None:
        plain = Path(write_csv(tmp_path / "c.csv", self.rows)).read_bytes()
        path = write_bytes(tmp_path / "d.csv", b"\xef\xbb\xbf" + plain.replace(b"\n", b"\r\n"))
        assert rows_of(read_candles([path])) == sorted(self.rows)

    def test_json_may_be_an_object_of_lists_of_numbers(self, tmp_path: Path) -> None:
        rows = [{"t": t, "o": o, "h": h, "l": lo, "c": c, "v": v} for _, t, o, h, lo, c, v in candles()]
        path = write_bytes(tmp_path / "c.json", json.dumps({"BTC": rows, "ETH": rows}).encode())
        read = read_candles([path])
        assert rows_of(read) == [*candles("BTC"), *candles("ETH")]

    def test_the_argument_can_name_the_symbol(self, tmp_path: Path) -> None:
        nameless = [row[1:] for row in candles()]
        csv = write_csv(tmp_path / "c.csv", nameless, COLUMNS[1:])
        assert rows_of(read_candles([f"kPEPE={csv}"])) == candles("kPEPE")
        bare = [{"t": t, "o": o, "h": h, "l": lo, "c": c, "v": v} for t, o, h, lo, c, v in nameless]
        list_of_rows = write_bytes(tmp_path / "c.json", json.dumps(bare).encode())
        assert rows_of(read_candles([f"kPEPE={list_of_rows}"])) == candles("kPEPE")

    def test_a_path_may_contain_what_looks_like_a_pattern(self, tmp_path: Path) -> None:
        write_parquet(tmp_path / "a1.parquet", candles("ETH"))
        odd = write_parquet(tmp_path / "a[1].parquet", candles("BTC"))
        assert read_candles([odd]).symbols == ("BTC",)
        (tmp_path / "x=1").mkdir()
        assert read_candles([write_csv(tmp_path / "x=1" / "c=d.csv", candles())]).symbols == ("BTC",)

    def test_the_later_of_two_columns_that_differ_in_case_is_found(self, tmp_path: Path) -> None:
        path = write_parquet(tmp_path / "c.parquet", [[s, t + 5, o, h, lo, c, v] for s, t, o, h, lo, c, v in candles()])
        # The venue's rows have T (the close) beside t. DuckDB refuses to write both, so a one-letter column becomes T.
        with duckdb.connect(":memory:") as db:
            columns = "symbol, t as z, t - 5 as t, o, h, l, c, v"
            db.execute(f"copy (select {columns} from '{path}') to '{path}.x' (format parquet)")
        path = write_bytes(tmp_path / "both.parquet", Path(path + ".x").read_bytes().replace(b"\x01z", b"\x01T"))
        assert rows_of(read_candles([path])) == candles()

    def test_the_order_of_a_large_file_is_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "large.parquet"
        with duckdb.connect(":memory:") as db:
            db.execute(
                f"copy (select 'S' || (i % 30) as symbol, {T0} + (i // 30) * {HOUR_MS} as t, 1.5 as o, 1.5 as h, "
                f"1.5 as l, 1.5 as c, 0.0 as v from range(300000) as r(i) order by i) to '{path}' (format parquet)"
            )
        asked = [f"S{n}" for n in range(0, 30, 2)]
        read = read_candles([str(path)], symbols=asked)
        assert read.symbols == tuple(sorted(asked)) and read.bars == 150_000

    def test_prices_keep_the_venues_text(self, tmp_path: Path) -> None:
        rows = [["X", T0 + n * HOUR_MS, 0.012345, 0.1, 0.000001, 0.098765, 1e9 + 0.1] for n in range(2)]
        for path in (write_csv(tmp_path / "c.csv", rows), write_json(tmp_path / "c.json", rows)):
            assert [repr(x) for x in rows_of(read_candles([path]))[0][2:]] == [repr(x) for x in rows[0][2:]]


def change(place: int, column: str, value: Any) -> Callable[[list[Row]], None]:
    def apply(rows: list[Row]) -> None:
        rows[place][COLUMNS.index(column)] = value

    return apply


def swap(rows: list[Row]) -> None:
    rows[2], rows[3] = rows[3], rows[2]


def lose(rows: list[Row]) -> None:
    del rows[3]


ROW_FAULTS: dict[str, tuple[Callable[[list[Row]], None], str]] = {
    "nan": (
        change(3, "c", "nan"),
        "a value is missing, NaN or infinite (o=103.0 h=105.5 l=101.75 c=nan v=13.5), line 5",
    ),
    "infinity": (change(0, "v", "inf"), "a value is missing, NaN or infinite"),
    "empty cell": (change(3, "h", None), "a value is missing, NaN or infinite"),
    "zero price": (change(3, "l", 0), "a price is not positive"),
    "negative price": (change(3, "o", -1.5), "a price is not positive"),
    "high below low": (change(3, "h", 90), "high is below low"),
    "open above high": (change(3, "o", 120), "open or close lies outside low..high"),
    "close below low": (change(3, "c", 100), "open or close lies outside low..high"),
    "negative volume": (change(3, "v", -0.5), "the volume is negative"),
    "duplicate": (lambda rows: rows.insert(3, rows[3]), "the time stands there twice, line 6, t=1733281200000"),
    "unordered": (swap, "the row is earlier than the one before it, line 5, t=1733277600000 (2024-12-04T02:00:00Z)"),
    "off the grid": (change(3, "t", T0 + 3 * HOUR_MS + 1), "t lies off the grid"),
    "seconds": (change(3, "t", T0 // 1000), "looks like seconds"),
    "microseconds": (
        change(3, "t", T0 * 1000),
        "looks like microseconds, line 5, t=1733270400000000: times are milliseconds since 1970",
    ),
    "nanoseconds": (change(3, "t", T0 * 1_000_000), "divide by 1000000 in the whole file"),
    "long ago": (change(3, "t", 7_200_000), "is not a plausible time"),
    "no time": (change(3, "t", None), "the row has no time"),
    "fractional time": (change(3, "t", f"{T0}.5"), "column 't' holds '1733270400000.5'"),
    "date as time": (change(3, "t", "2024-12-04"), "column 't' holds '2024-12-04', line 5: open times are whole UTC"),
    "text as price": (change(3, "o", "n/a"), "column 'o' holds 'n/a', line 5: it is not a number"),
    "gap": (
        lose,
        "1 candle is missing in 1 gap, the first, 1 long, opens at t=1733281200000",
    ),
}


class TestRows:
    @pytest.mark.parametrize("fault", ROW_FAULTS)
    def test_a_bad_row_gives_one_message_that_names_it(self, tmp_path: Path, fault: str) -> None:
        damage, message = ROW_FAULTS[fault]
        rows = candles()
        damage(rows)
        path = write_csv(tmp_path / "c.csv", [*candles("ADA"), *rows, *candles("ETH")])
        line = refused(lambda: read_candles([path]))
        assert len(line) == 1
        assert line[0].startswith(f"{path}: symbol 'BTC': ")
        # The numbers in the table are those of BTC alone: ADA's six lines stand above it.
        shifted = message.replace("line 5", "line 11").replace("line 6", "line 12")
        assert shifted in line[0]
        assert line[0].count(": ") >= 2 and "; " in line[0]

    @pytest.mark.parametrize(
        "fault", ["nan", "zero price", "high below low", "duplicate", "unordered", "off the grid", "gap"]
    )
    @pytest.mark.parametrize("kind", ["json", "parquet"])
    def test_other_formats_are_checked_alike(self, tmp_path: Path, fault: str, kind: str) -> None:
        rows = candles()
        ROW_FAULTS[fault][0](rows)
        write = write_json if kind == "json" else write_parquet
        line = refused(lambda: read_candles([write(tmp_path / f"c.{kind}", rows)]))
        assert len(line) == 1
        assert ROW_FAULTS[fault][1].partition(",")[0].partition(" (")[0] in line[0]

    def test_a_duplicate_is_found_among_unordered_rows(self, tmp_path: Path) -> None:
        rows = candles()
        shuffled = [rows[3], rows[0], rows[3], rows[1], rows[2]]
        lines = refused(lambda: read_candles([write_csv(tmp_path / "c.csv", shuffled)]))
        assert ["stands there twice, line 4" in line for line in lines] == [True, False]
        assert "earlier than the one before it, line 3" in lines[1] and "the first of 2 such rows" in lines[1]

    def test_symbols_may_interleave(self, tmp_path: Path) -> None:
        mixed = [row for pair in zip(candles("ETH"), candles("BTC"), strict=True) for row in pair]
        assert rows_of(read_candles([write_csv(tmp_path / "c.csv", mixed)])) == [*candles("BTC"), *candles("ETH")]

    def test_every_problem_of_every_file_is_reported_at_once(self, tmp_path: Path) -> None:
        bad, gap = candles("BTC"), candles("ETH")
        bad[1][2], bad[4][6] = -1, -1
        del gap[2]
        first = write_csv(tmp_path / "a.csv", bad)
        second = write_csv(tmp_path / "b.csv", gap)
        missing = str(tmp_path / "nothing.csv")
        lines = refused(lambda: read_candles([first, missing, second]))
        facts = ["there is no such file", "not positive", "volume is negative", "1 candle is missing"]
        assert len(lines) == 4
        assert all(fact in line for fact, line in zip(facts, lines, strict=True))

    def test_a_long_list_of_problems_is_cut_and_counted(self, tmp_path: Path) -> None:
        rows = [row for n in range(50) for row in candles(f"S{n:02}", count=3)]
        for row in rows:
            row[6] = -1
        path = write_csv(tmp_path / "c.csv", rows)
        with pytest.raises(DatasetError) as caught:
            read_candles([path])
        assert len(caught.value.problems) == 50
        lines = str(caught.value).splitlines()
        assert len(lines) == MAX_PROBLEMS_SHOWN + 1
        assert lines[-1] == "… and 30 more problems (50 in all)"
        assert "(the first of 3 such rows)" in lines[0]

    @pytest.mark.parametrize("name", ["", "  ", None])
    def test_a_row_names_its_symbol(self, tmp_path: Path, name: str | None) -> None:
        rows = [*candles(), *candles("x")]
        rows[8][0] = name
        (line,) = refused(lambda: read_candles([write_csv(tmp_path / "c.csv", rows)]))
        assert "1 rows have no symbol, line 10" in line
        (line,) = refused(lambda: read_candles([write_parquet(tmp_path / "c.parquet", rows)]))
        assert "1 rows have no symbol, row 9" in line

    def test_a_symbol_has_no_blanks_around_it(self, tmp_path: Path) -> None:
        (line,) = refused(lambda: read_candles([write_csv(tmp_path / "c.csv", candles(" BTC"))]))
        assert "symbol ' BTC': the name has blanks around it" in line


class TestFiles:
    def message(self, *paths: str) -> str:
        (line,) = refused(lambda: read_candles(list(paths)))
        return line

    def test_a_missing_file_suggests_its_neighbour(self, tmp_path: Path) -> None:
        write_csv(tmp_path / "candles_1h.csv", candles())
        line = self.message(str(tmp_path / "candle_1h.csv"))
        assert "there is no such file" in line and "did you mean" in line and "candles_1h.csv" in line
        assert "check the path" in self.message(str(tmp_path / "nowhere" / "c.csv"))

    def test_a_folder_is_no_file(self, tmp_path: Path) -> None:
        assert "this is a folder" in self.message(str(tmp_path))

    def test_an_unreadable_file_says_why(self, tmp_path: Path) -> None:
        loop = tmp_path / "loop.csv"
        loop.symlink_to(loop)
        assert "the file cannot be read: " in self.message(str(loop))

    def test_no_file_and_no_symbol_is_nothing_to_read(self, tmp_path: Path) -> None:
        assert "no file is named" in self.message()
        path = write_csv(tmp_path / "c.csv", candles())
        assert "no symbol is asked for" in refused(lambda: read_candles([path], symbols=[]))[0]

    @pytest.mark.parametrize(
        ("name", "data", "message"),
        [
            ("c.csv", b"", "the file is empty"),
            ("c.csv.gz", b"", "the file is empty"),
            ("c.csv", b"symbol,t,o,h,l,c,v\n", "the file holds no rows"),
            ("c.json", b"[]", "the file holds no rows"),
            ("c.json", b'{"BTC": []}', "the file holds no rows"),
            ("c.json", b'[{"t":1', "this is not JSON"),
            ("c.json", b'[{"s":"X","t":1,"o":NaN}]', "this is not JSON"),
            ("c.json", b"symbol,t,o\n", "this is not JSON"),
            ("c.json", b'{"error":"rate limited"}', "the object's 'error' holds no list"),
            ("c.json", b'[{"s":"X","t":1,"open":2}]', "the row has 's', 't', 'open'"),
            ("c.json", b'["X"]', "a row is wrong, row 1: Expected `object`, got `str`"),
            ("c.json", b'[{"t":1,"o":1,"h":1,"l":1,"c":1,"v":1}]', "the rows name no symbol"),
            ("c.json", b'{"A":[{"s":"B","t":1,"o":1,"h":1,"l":1,"c":1,"v":1}]}', "a row says 'B', row 1"),
            ("c.json", b'[{"s":"X","t":1,"o":"abc","h":1,"l":1,"c":1,"v":1}]', "field 'o' is wrong, row 1"),
            ("c.json", b'[{"s":"X","t":1,"o":1,"h":1,"l":1,"c":1,"v":1,"i":"1w"}]', "the rows say interval '1w'"),
            ("c.parquet", b"PAR1 but not for long", "the Parquet data cannot be read"),
            ("c.parquet", b"symbol,t,o,h,l,c,v\n", "this is not a Parquet file"),
            ("c.zip", b"PK\x03\x04....", "this is a zip archive"),
            ("c.feather", b"ARROW1....", "this is a Feather (Arrow) file"),
            ("c.bin", b"\x00\x01\x02", "this is binary data of an unknown kind"),
            ("c.csv", b"symbol,t,o,h,l,c\nX,1,1,1,1,1\n", "column 'v' is missing"),
            (
                "c.csv",
                b"coin,time,open,high,low,close,volume\n",
                "rename 'coin' to 'symbol', 'time' to 't', 'open' to 'o'",
            ),
            ("c.csv", b"symbol;t;o;h;l;c;v\n", "separate the columns with commas, not with semicolons"),
            ("c.csv", b"BTC,1733270400000,1,1,1,1,1\n", "put the header line symbol,t,o,h,l,c,v above"),
            ("c.csv", b"t,o,h,l,c,v\n", "or name the one symbol of the file as SYMBOL="),
            ("c.csv", b"symbol,t,o,h,l,c,v,o\n", "the header names 'o' twice"),
            ("c.csv", b"symbol,t,o,h,l,c,v\nX,1,1,1,1,1\n", "line 2: Expected Number of Columns: 7 Found: 6"),
            ("c.csv", b'symbol,t,o,h,l,c,v\nX,1,1,"1,1,1,1\n', "unterminated quote"),
            ("c.csv", b"symbol,t,o,h,l,c,v\n\xffX,1,1,1,1,1,1\n", "the CSV cannot be read, line 2"),
        ],
    )
    def test_a_file_that_is_something_else_is_named(self, tmp_path: Path, name: str, data: bytes, message: str) -> None:
        path = tmp_path / name
        path.write_bytes(data)
        line = self.message(str(path))
        assert line.startswith(f"{path}: ")
        assert message in line

    @pytest.mark.parametrize("kept", [0.5, 0.9, 0.99])
    def test_a_cut_off_file_is_not_half_a_file(self, tmp_path: Path, kept: float) -> None:
        rows = candles(count=2000)
        for name in ("c.csv.gz", "c.parquet"):
            path = tmp_path / name
            (write_csv if name.endswith("gz") else write_parquet)(path, rows)
            path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
            assert ("the gzip data end too early" if name.endswith("gz") else "cannot be read") in self.message(
                str(path)
            )

    def test_garbled_gzip_is_damaged(self, tmp_path: Path) -> None:
        data = bytearray(gzip.compress(Path(write_csv(tmp_path / "c.csv", candles())).read_bytes()))
        data[len(data) // 2] ^= 0xFF
        (tmp_path / "c.csv.gz").write_bytes(data)
        assert "the gzip data are damaged" in self.message(str(tmp_path / "c.csv.gz"))

    @pytest.mark.parametrize(
        ("types", "message"),
        [
            ("varchar double double double double double double", "column 't' is DOUBLE"),
            ("varchar bigint varchar double double double double", "column 'o' is VARCHAR"),
            ("varchar bigint double float double double double", "column 'h' is FLOAT: 32 bits lose digits"),
            ("varchar bigint double double double double boolean", "column 'v' is BOOLEAN"),
        ],
    )
    def test_a_parquet_column_of_another_type_is_named(self, tmp_path: Path, types: str, message: str) -> None:
        assert message in self.message(write_parquet(tmp_path / "c.parquet", candles(), types))

    def test_whole_and_decimal_parquet_columns_are_numbers(self, tmp_path: Path) -> None:
        types = "varchar uinteger decimal(18,6) double double double integer"
        rows = [[s, n * 60_000, o, h, lo, c, 3] for n, (s, _, o, h, lo, c, _) in enumerate(candles())]
        (line,) = refused(lambda: read_candles([write_parquet(tmp_path / "c.parquet", rows, types)]))
        assert "is not a plausible time" in line  # the types passed, the times are those of 1970

    def test_a_file_does_not_contradict_its_argument(self, tmp_path: Path) -> None:
        path = write_csv(tmp_path / "c.csv", candles("ETH"))
        assert "the file names 'ETH': it was given as 'BTC'" in self.message(f"BTC={path}")
        assert read_candles([f"ETH={path}"]).symbols == ("ETH",)


class TestIntervals:
    @pytest.mark.parametrize("interval", Interval)
    def test_the_most_frequent_spacing_is_the_interval(self, tmp_path: Path, interval: Interval) -> None:
        path = write_csv(tmp_path / "c.csv", candles(count=4, step_ms=interval.ms))
        assert read_candles([path]).interval is interval
        assert read_candles([path], interval).interval is interval

    def test_another_interval_than_asked_names_both(self, tmp_path: Path) -> None:
        path = write_csv(tmp_path / "c.csv", candles(step_ms=300_000))
        (line,) = refused(lambda: read_candles([path], Interval.H1))
        assert line == f"{path}: its candles are 5m: interval 1h was asked for; ask for 5m, or give 1h candles"

    def test_files_of_two_intervals_are_told_apart(self, tmp_path: Path) -> None:
        hours = write_csv(tmp_path / "h.csv", candles())
        minutes = write_csv(tmp_path / "m.csv", candles("ETH", step_ms=60_000))
        (line,) = refused(lambda: read_candles([hours, minutes]))
        assert line.startswith(f"{minutes}: its candles are 1m: those of {hours} are 1h; ")

    def test_a_spacing_that_is_no_interval_is_refused(self, tmp_path: Path) -> None:
        (line,) = refused(lambda: read_candles([write_csv(tmp_path / "c.csv", candles(step_ms=7 * 60_000))]))
        assert "its candles are 7m apart" in line

    def test_what_json_rows_say_counts_more_than_their_spacing(self, tmp_path: Path) -> None:
        path = write_json(tmp_path / "c.json", candles(count=3, step_ms=2 * HOUR_MS), "1h")
        (line,) = refused(lambda: read_candles([path]))
        assert "2 candles are missing in 2 gaps" in line

    def test_one_candle_alone_needs_the_interval(self, tmp_path: Path) -> None:
        path = write_csv(tmp_path / "c.csv", candles(count=1))
        assert "the interval cannot be known" in refused(lambda: read_candles([path]))[0]
        assert read_candles([path], Interval.H1).bars == 1


class TestGaps:
    rows = tuple(row for n, row in enumerate(candles(count=12)) if n not in (2, 3, 4, 8))

    def test_missing_candles_are_counted_and_the_first_gap_is_shown(self, tmp_path: Path) -> None:
        path = write_csv(tmp_path / "c.csv", [*self.rows, *candles("ETH", count=40)])
        (line,) = refused(lambda: read_candles([path]))
        assert "symbol 'BTC': 4 candles are missing in 2 gaps, the first, 3 long, opens at" in line
        assert "(2024-12-04T02:00:00Z)" in line

    def test_a_filled_candle_stands_still_at_the_close_before_it(self, tmp_path: Path) -> None:
        path = write_csv(tmp_path / "c.csv", [*self.rows, *candles("ETH", count=3)])
        read = read_candles([path], fill_gaps=True)
        assert read.filled == {"BTC": 4}
        rows = rows_of(read)
        assert rows[2:5] == [["BTC", T0 + n * HOUR_MS, 102.0, 102.0, 102.0, 102.0, 0.0] for n in (2, 3, 4)]
        assert [row for row in rows[:12] if row[6] > 0] == list(self.rows)
        assert rows[12:] == candles("ETH", count=3)

    def test_a_symbols_own_span_has_no_gap_at_its_ends(self, tmp_path: Path) -> None:
        late = candles("ETH", count=12)[5:9]
        assert read_candles([write_csv(tmp_path / "c.csv", [*candles(count=12), *late])]).bars == 16
        assert read_candles([write_csv(tmp_path / "d.csv", [*candles(count=2), *late])]).bars == 6

    def test_a_gap_of_years_is_not_filled(self, tmp_path: Path) -> None:
        rows = [*candles(count=3, step_ms=60_000), ["BTC", T0 + 60_000 * 3_000_000, 1, 1, 1, 1, 0]]
        (line,) = refused(lambda: read_candles([write_csv(tmp_path / "c.csv", rows)], fill_gaps=True))
        assert "2999997 candles are missing" in line and "at most 2000000 are filled in" in line


class TestSeveralFiles:
    def test_files_may_overlap_where_they_agree(self, tmp_path: Path) -> None:
        first = write_csv(tmp_path / "a.csv", candles(count=8))
        second = write_json(tmp_path / "b.json", [*candles(count=12)[5:], *candles("ETH")])
        for paths in ([first, second], [second, first]):
            read = read_candles(paths)
            assert rows_of(read) == [*candles(count=12), *candles("ETH")]
            assert read.sources == tuple(paths)

    def test_rows_that_differ_are_refused_naming_both_files(self, tmp_path: Path) -> None:
        rows = candles(count=8)
        first = write_csv(tmp_path / "a.csv", rows)
        rows[6][5], rows[7][5] = 106.5, 107.5
        second = write_csv(tmp_path / "b.csv", rows[4:])
        (line,) = refused(lambda: read_candles([first, second]))
        assert line.startswith(f"{second}: symbol 'BTC': 2 candles differ from {first}, first at t=1733292000000")
        assert "c=106.5 against 107.0" in line

    @pytest.mark.parametrize("column", ["o", "h", "l", "c", "v"])
    def test_every_column_has_to_agree(self, tmp_path: Path, column: str) -> None:
        rows = candles(count=3)
        first = write_csv(tmp_path / "a.csv", rows)
        rows[1][COLUMNS.index(column)] += 0.25
        (line,) = refused(lambda: read_candles([first, write_csv(tmp_path / "b.csv", rows)]))
        assert "1 candle differs from" in line and f": {column}=" in line

    def test_a_value_missing_in_both_is_no_difference(self, tmp_path: Path) -> None:
        rows = candles(count=3)
        rows[1][6] = None
        paths = [write_csv(tmp_path / name, rows) for name in ("a.csv", "b.csv")]
        lines = refused(lambda: read_candles(paths))
        assert len(lines) == 2 and all("a value is missing" in line for line in lines)

    def test_a_gap_in_one_file_may_be_filled_by_another(self, tmp_path: Path) -> None:
        rows = candles(count=8)
        first = write_csv(tmp_path / "a.csv", rows[:3] + rows[4:])
        assert read_candles([first, write_csv(tmp_path / "b.csv", rows[3:5])]).bars == 8


class TestSymbols:
    def test_only_asked_symbols_are_read_and_checked(self, tmp_path: Path) -> None:
        broken = candles("BAD")
        broken[2][3] = -1
        for path in (
            write_csv(tmp_path / "c.csv", [*broken, *candles("ETH")]),
            write_parquet(tmp_path / "c.parquet", [*broken, *candles("ETH")]),
            write_json(tmp_path / "c.json", [*broken, *candles("ETH")]),
        ):
            assert rows_of(read_candles([path], symbols=["ETH"])) == candles("ETH")

    @pytest.mark.parametrize(
        ("asked", "hint"),
        [
            ("kpepe", "did you mean 'kPEPE'? Names are case-sensitive"),
            ("PEPE", "did you mean 'kPEPE'?"),
            ("1000PEPE", "did you mean 'kPEPE'?"),
            ("BTCUSDT", "did you mean 'BTC'?"),
            ("BTC/USDC:USDC", "did you mean 'BTC'?"),
            ("FARTCON", "did you mean 'FARTCOIN'?"),
            ("XYZ", "there are 'BTC', 'FARTCOIN', 'kPEPE'"),
        ],
    )
    def test_an_unknown_symbol_gets_a_suggestion(self, tmp_path: Path, asked: str, hint: str) -> None:
        path = write_csv(tmp_path / "c.csv", [*candles("BTC"), *candles("kPEPE"), *candles("FARTCOIN")])
        (line,) = refused(lambda: read_candles([path], symbols=["BTC", asked]))
        assert f"symbol {asked!r}: there is no such symbol" in line and hint in line

    def test_a_symbol_need_not_be_in_every_file(self, tmp_path: Path) -> None:
        paths = [write_csv(tmp_path / f"{name}.csv", candles(name)) for name in ("A", "B", "C")]
        read = read_candles(paths, symbols=["C", "A"])
        assert read.symbols == ("A", "C") and read.sources == (paths[0], paths[2])


class TestBatches:
    def make(self, tmp_path: Path) -> CandleSet:
        rows = [*candles("BTC", count=4), *candles("ADA", count=4)[1:3], *candles("ETH", count=4)[2:]]
        return read_candles([write_csv(tmp_path / "c.csv", rows)])

    def test_a_batch_holds_what_opened_together(self, tmp_path: Path) -> None:
        batches = list(self.make(tmp_path).batches())
        assert [(batch.open_ms - T0) // HOUR_MS for batch in batches] == [0, 1, 2, 3]
        assert [batch.ids.tolist() for batch in batches] == [[1], [0, 1], [0, 1, 2], [1, 2]]
        assert batches[2].close.tolist() == [103.0, 103.0, 103.0]
        assert all(batch.interval is Interval.H1 and not batch.close.flags.writeable for batch in batches)

    def test_ids_are_places_in_a_given_universe(self, tmp_path: Path) -> None:
        universe = Universe(Instrument(name, 2, single_tier(5)) for name in ("ETH", "XRP", "BTC", "ADA"))
        batches = list(self.make(tmp_path).batches(universe))
        assert [batch.ids.tolist() for batch in batches] == [[2], [2, 3], [0, 2, 3], [0, 2]]

    def test_a_window_is_found_by_its_symbol(self, tmp_path: Path) -> None:
        read = self.make(tmp_path)
        assert len(read.window("ADA")) == 2
        with pytest.raises(KeyError):
            read.window("ada")


class TestFunding:
    rows: tuple[Row, ...] = (
        ["BTC", T0 + 57, 0.0000125],
        ["BTC", T0 + HOUR_MS + 1218, -8.798e-07],
        ["ETH", T0 + HOUR_MS, 0.0123],
        ["BTC", T0 + 5 * HOUR_MS, 0.0],
    )

    def write(self, tmp_path: Path, *more: Row) -> str:
        return write_csv(tmp_path / "f.csv", [*self.rows, *more], ["symbol", "t", "rate"])

    def test_payments_stand_at_their_full_hour_as_the_sources_own_numbers(self, tmp_path: Path) -> None:
        read = read_funding(self.write(tmp_path))
        assert read.symbols == ("BTC", "ETH") and len(read) == 4
        assert read.times_ms.tolist() == [T0, T0 + HOUR_MS, T0 + 5 * HOUR_MS]
        assert read.at_hour(T0) == {"BTC": Decimal("0.0000125")}
        assert read.at_hour(T0 + HOUR_MS) == {"BTC": Decimal("-0.0000008798"), "ETH": Decimal("0.0123")}
        assert read.at_hour(T0 + 2 * HOUR_MS) == {} == read.at_hour(T0 - HOUR_MS) == read.at_hour(T0 + 6 * HOUR_MS)
        assert read.rate("BTC", T0 + 5 * HOUR_MS) == Decimal(0)
        assert read.rate("ETH", T0) is None and read.rate("XRP", T0) is None and read.rate("BTC", T0 - HOUR_MS) is None

    def test_the_venues_funding_history_is_read(self, tmp_path: Path) -> None:
        rows = [{"coin": s, "fundingRate": f"{rate:.10f}", "premium": "0.1", "time": t} for s, t, rate in self.rows]
        read = read_funding(write_bytes(tmp_path / "f.json.gz", json.dumps(rows).encode()), ["BTC"])
        assert read.at_hour(T0 + HOUR_MS) == {"BTC": Decimal("-0.0000008798")}

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            (["BTC", T0 + 5 * HOUR_MS + 900, 0.01], "the time stands there twice, line 6"),
            (["BTC", T0 + 6 * HOUR_MS, 0.041], "the rate is too large (rate=0.041), line 6"),
            (["BTC", T0 + 6 * HOUR_MS, "nan"], "the rate is missing, NaN or infinite"),
            (["BTC", T0 + 6 * HOUR_MS + 1_800_000, 0.01], "t is not near a full hour"),
            (["BTC", T0 + 6 * HOUR_MS - 1, 0.01], "t is not near a full hour"),
            (["BTC", T0 + 2 * HOUR_MS, 0.01], "the row is earlier than the one before it"),
            (["BTC", T0 // 1000, 0.01], "looks like seconds"),
        ],
    )
    def test_a_payment_that_cannot_be_is_named(self, tmp_path: Path, row: Row, message: str) -> None:
        path = self.write(tmp_path, row)
        lines = refused(lambda: read_funding(path))
        assert any(message in line and line.startswith(f"{path}: symbol 'BTC': ") for line in lines)

    def test_no_funding_is_not_funding_of_zero(self, tmp_path: Path) -> None:
        (line,) = refused(lambda: read_funding(self.write(tmp_path), ["BTC", "SOL"]))
        assert "symbol 'SOL': there is no such symbol: the funding files do not hold it" in line

    def test_candles_are_not_funding(self, tmp_path: Path) -> None:
        (line,) = refused(lambda: read_funding(write_csv(tmp_path / "c.csv", candles())))
        assert "column 'rate' is missing" in line


class TestInstruments:
    @pytest.mark.parametrize(
        ("prices", "decimals"),
        [
            ([95924.0, 95923.0], 0),
            ([3412.5, 3412.0], 1),
            ([0.1, 0.3, 0.7], 1),
            ([1.005, 2.675], 3),
            ([0.000012], 6),
            ([0.0000123], 6),
            ([123456.0, 0.123456], 6),
            ([0.1 + 0.2, 100000.000001], 6),
            ([99999.00001], 5),
        ],
    )
    def test_decimals_are_counted_as_they_are_written(self, prices: list[float], decimals: int) -> None:
        assert price_decimals(np.array(prices)) == decimals

    def test_rules_are_guessed_from_the_finest_price(self, tmp_path: Path) -> None:
        rows = [["BIG", T0 + n * HOUR_MS, 95000.0, 95001.0, 94000.0, 95000.0, 1.5] for n in range(2)]
        rows += [["TINY", T0 + n * HOUR_MS, 0.01, 0.0125, 0.009876, 0.01, 1.5] for n in range(2)]
        read = read_candles([write_csv(tmp_path / "c.csv", rows)])
        big, tiny = infer_instruments(read, default_max_leverage=7)
        assert (big.symbol, big.size_decimals, big.max_leverage) == ("BIG", 5, 7)
        assert (tiny.symbol, tiny.size_decimals) == ("TINY", 0)

    META: dict[str, Any] = {  # noqa: RUF012 - never changed
        "universe": [
            {"name": "BTC", "szDecimals": 5, "maxLeverage": 40, "marginTableId": 56},
            {"name": "MATIC", "szDecimals": 1, "maxLeverage": 20, "marginTableId": 20, "isDelisted": True},
            {"name": "OLD", "szDecimals": 0, "maxLeverage": 3},
        ],
        "marginTables": [
            [
                56,
                {
                    "description": "tiered 40x",
                    "marginTiers": [
                        {"lowerBound": "0.0", "maxLeverage": 40},
                        {"lowerBound": "150000000.0", "maxLeverage": 20},
                    ],
                },
            ]
        ],
        "collateralToken": 0,
    }

    @pytest.mark.parametrize("answer", [META, [META, [{"funding": "0.0000125"}]]])
    def test_the_venues_meta_gives_the_rules(self, tmp_path: Path, answer: Any) -> None:
        path = write_bytes(tmp_path / "meta.json.gz", json.dumps(answer).encode())
        assert read_instruments(path) == (
            Instrument("BTC", 5, (MarginTier(Decimal(0), 40), MarginTier(Decimal(150_000_000), 20))),
            Instrument("MATIC", 1, single_tier(20), delisted=True),
            Instrument("OLD", 0, single_tier(3)),
        )

    @pytest.mark.parametrize(
        ("meta", "message"),
        [
            ('{"universe": []}', "the universe is empty"),
            ('{"error": 1}', "the instruments cannot be read: Object missing required field `universe`"),
            ("[]", "the instruments cannot be read"),
            ('{"universe":[{"name":"A","szDecimals":9,"maxLeverage":3}]}', "symbol 'A': szDecimals is 9"),
            ('{"universe":[{"name":"A","szDecimals":1,"maxLeverage":0}]}', "symbol 'A': maxLeverage is 0"),
            (
                '{"universe":[{"name":"A","szDecimals":1,"maxLeverage":3,"marginTableId":77}]}',
                "symbol 'A': margin table 77 is not in marginTables",
            ),
            (
                '{"universe":[{"name":"A","szDecimals":1,"maxLeverage":3,"marginTableId":51}],"marginTables":'
                '[[51,{"marginTiers":[{"lowerBound":"5.0","maxLeverage":3}]}]]}',
                "the tiers of margin table 51 do not ascend from 0",
            ),
            (
                '{"universe":[{"name":"A","szDecimals":1,"maxLeverage":3},{"name":"A","szDecimals":1,"maxLeverage":3}]}',
                "symbol 'A': the name stands there 2 times",
            ),
        ],
    )
    def test_broken_rules_are_named(self, tmp_path: Path, meta: str, message: str) -> None:
        (line,) = refused(lambda: read_instruments(write_bytes(tmp_path / "meta.json", meta.encode())))
        assert message in line


class TestRecordedData:
    def test_eight_months_of_the_venue(self, shared_data: Path) -> None:
        read = read_candles([str(shared_data / "candles" / "hl_perp_candles_1h.parquet")])
        assert (read.interval, len(read.symbols), read.bars, read.filled) == (Interval.H1, 106, 518_760, {})
        batches = list(read.batches())
        assert sum(map(len, batches)) == 518_760 and len(batches) == 6077
        sample = np.concatenate([window.close[:: len(window) // 40] for window in read.windows])
        for price in sample.tolist():
            exponent = Decimal(repr(price)).normalize().as_tuple().exponent
            assert isinstance(exponent, int)
            assert price_decimals(np.array([price])) == max(0, -exponent)
        rules = {instrument.symbol: instrument.size_decimals for instrument in infer_instruments(read)}
        assert (rules["BTC"], rules["SOL"] >= 2, rules["kPEPE"]) == (5, True, 0)

    @pytest.mark.parametrize(("interval", "bars"), [("15m", 654_552), ("5m", 343_131), ("1m", 380_727)])
    def test_other_intervals_are_whole_too(self, shared_data: Path, interval: str, bars: int) -> None:
        read = read_candles([str(shared_data / "candles" / f"hl_perp_candles_{interval}.parquet")])
        assert (read.interval.value, read.bars) == (interval, bars)

    def test_candle_snapshots_as_they_were_recorded(self, shared_data: Path) -> None:
        folder = shared_data / "candles"
        raw = str(folder / "hl_candleSnapshot_BTC_15m_raw_20241204_20250125.json.gz")
        read = read_candles([raw], Interval.M15, ["BTC"])
        assert read.bars == 5001  # the recorder's own last row calls itself BTC-PERP
        numbers = read_candles([str(folder / "hl_candles_BTC_ETH_SOL_1h_202601.json.gz")])
        assert numbers.symbols == ("BTC", "ETH", "SOL") and numbers.bars == 1800

    def test_realised_funding(self, shared_data: Path) -> None:
        read = read_funding(str(shared_data / "candles" / "hl_perp_funding_1h.parquet"))
        assert len(read) == 521_916 and len(read.symbols) == 106
        assert read.at_hour(1_725_152_400_000)["ACE"] == Decimal("0.0000125")

    def test_the_real_meta_agrees_with_its_own_tables(self, shared_data: Path, tmp_path: Path) -> None:
        recorded = shared_data / "account" / "hl_info_exchange_vcr_go_2025.jsonl.gz"
        with gzip.open(recorded, "rt", encoding="utf-8") as lines:
            exchanges = [json.loads(line) for line in lines]
        answers = [e["response"] for e in exchanges if e["request"].get("type") in ("meta", "metaAndAssetCtxs")]
        assert len(answers) >= 5
        for answer in answers:
            rules = read_instruments(write_bytes(tmp_path / "meta.json", json.dumps(answer).encode()))
            markets = (answer[0] if isinstance(answer, list) else answer)["universe"]
            assert [(r.symbol, r.max_leverage) for r in rules] == [(m["name"], m["maxLeverage"]) for m in markets]
