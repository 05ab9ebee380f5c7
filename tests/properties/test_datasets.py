"""Whatever the candles are: every format gives them back, gaps fill one way, batches hold each bar once."""

import gzip
import json
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.datasets.candle_files import read_candles
from adapters.datasets.funding_files import read_funding
from adapters.datasets.instruments import price_decimals
from domain.candles import Interval, candle_problem
from domain.instruments import Instrument, Universe, single_tier
from ports.datasets import HOUR_MS, CandleSet, DatasetError

T0 = 1_733_270_400_000


class Bar(NamedTuple):
    """One row of a file, in the order of the columns symbol,t,o,h,l,c,v."""

    symbol: str
    t: int
    o: float
    h: float
    l: float  # noqa: E741 - the column's name
    c: float
    v: float


@st.composite
def bars(draw: st.DrawFn, gaps: bool = False) -> tuple[Interval, list[Bar]]:
    """Valid bars of a few symbols in file order; with gaps, but never so many that the interval cannot be seen."""
    interval = draw(st.sampled_from(Interval))
    symbols = draw(
        st.lists(st.sampled_from(["BTC", "ETH", "kPEPE", "kBONK", "@107", "xyz:CL"]), min_size=1, unique=True)
    )
    rows = []
    for symbol in symbols:
        start = draw(st.integers(0, 20))
        steps = [0, 1, *draw(st.lists(st.sampled_from([1, 1, 1, 4] if gaps else [1]), max_size=8)), 1, 1]
        for place in np.cumsum(steps).tolist():
            low, *middle, high = sorted(draw(st.lists(_prices, min_size=4, max_size=4)))
            first, last = draw(st.permutations(middle))
            volume = draw(st.decimals(0, 10**9, places=5))
            t = T0 + (start + place) * interval.ms
            rows.append(Bar(symbol, t, first, high, low, last, float(volume)))
    return interval, rows


_prices = st.one_of(
    st.decimals("0.000001", "999999.9", places=6).map(float),
    st.decimals("0.1", "99999.9", places=1).map(float),
    st.integers(1, 10**7).map(float),
)


def write(path: Path, rows: Sequence[Bar], said: Interval | None = None) -> str:
    """Write the rows in the format of the suffix; only JSON rows can say their interval."""
    kind = path.suffixes[0]
    if kind == ".parquet":
        with duckdb.connect(":memory:") as db:
            db.execute("create table rows (symbol varchar, t bigint, o double, h double, l double, c double, v double)")
            db.executemany("insert into rows values (?, ?, ?, ?, ?, ?, ?)", rows)
            db.execute(f"copy rows to '{path}' (format parquet)")
        return str(path)
    if kind == ".json":
        lines = [{"s": r.symbol, "t": r.t, "T": 0, **{k: repr(getattr(r, k)) for k in "ohlcv"}} for r in rows]
        text = json.dumps([{**line, "i": said.value} for line in lines] if said else lines)
    else:
        text = "\n".join(["symbol,t,o,h,l,c,v", *(",".join(map(str, row)) for row in rows), ""])
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return str(path)


def read_back(read: CandleSet) -> list[Bar]:
    return [
        Bar(window.symbol, *numbers)
        for window in read.windows
        for numbers in zip(
            window.open_ms.tolist(),
            *(column.tolist() for column in (window.open, window.high, window.low, window.close, window.volume)),
            strict=True,
        )
    ]


@given(data=bars())
@settings(max_examples=20)
def test_every_format_gives_back_what_was_written(data: tuple[Interval, list[Bar]]) -> None:
    interval, rows = data
    with tempfile.TemporaryDirectory() as folder:
        for name in ("c.csv", "c.csv.gz", "c.json", "c.json.gz", "c.parquet"):
            read = read_candles([write(Path(folder) / name, rows)])
            assert read.interval is interval
            assert read_back(read) == sorted(rows)


@given(data=bars(), cut=st.data())
@settings(max_examples=40)
def test_files_merge_to_the_same_set_however_they_are_split(
    data: tuple[Interval, list[Bar]], cut: st.DataObject
) -> None:
    interval, rows = data
    parts = cut.draw(st.lists(st.sets(st.integers(0, len(rows) - 1), min_size=1), min_size=1, max_size=3))
    covered = set().union(*parts)
    parts.append(set(range(len(rows))) - covered | {0})  # what nobody drew, and always one overlap
    with tempfile.TemporaryDirectory() as folder:
        paths = [
            write(Path(folder) / f"{n}.json", [rows[place] for place in sorted(part)], interval)
            for n, part in enumerate(parts)
        ]
        read = read_candles(paths)
    assert read_back(read) == sorted(rows)


@given(data=bars(gaps=True))
@settings(max_examples=60)
def test_filling_adds_only_still_candles_and_leaves_no_gap(data: tuple[Interval, list[Bar]]) -> None:
    interval, rows = data
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "c.json", rows, interval)
        read = read_candles([path], interval, fill_gaps=True)
        gaps = sum(read.filled.values())
        if gaps:
            with pytest.raises(DatasetError, match="missing in"):
                read_candles([path], interval)
    real = {(row.symbol, row.t): row for row in rows}
    before: Bar | None = None
    for row in read_back(read):
        assert candle_problem(row.o, row.h, row.l, row.c, row.v) is None
        if before is not None and before.symbol == row.symbol:
            assert row.t == before.t + interval.ms
        if (row.symbol, row.t) in real:
            assert row == real.pop((row.symbol, row.t))
        else:
            assert before is not None
            assert row == Bar(before.symbol, row.t, before.c, before.c, before.c, before.c, 0.0)
            gaps -= 1
        before = row
    assert not real and gaps == 0


@given(data=bars(), order=st.data())
@settings(max_examples=60)
def test_batches_hold_each_bar_once_in_order_of_time(data: tuple[Interval, list[Bar]], order: st.DataObject) -> None:
    interval, rows = data
    symbols = sorted({row.symbol for row in rows})
    names = order.draw(st.permutations([*symbols, "OTHER"]))
    universe = Universe(Instrument(name, 2, single_tier(10)) for name in names)
    with tempfile.TemporaryDirectory() as folder:
        read = read_candles([write(Path(folder) / "c.json", rows)])
    for known in (None, universe):
        named = symbols if known is None else known.symbols
        seen = []
        times = []
        for batch in read.batches(known):
            times.append(batch.open_ms)
            assert batch.interval is interval
            assert np.all(np.diff(batch.ids) > 0)
            columns = (batch.open, batch.high, batch.low, batch.close, batch.volume)
            for place, *numbers in zip(batch.ids.tolist(), *(column.tolist() for column in columns), strict=True):
                seen.append(Bar(named[place], batch.open_ms, *numbers))
        assert times == sorted(set(times))
        assert len(seen) == len(rows) == read.bars
        assert sorted(seen) == sorted(rows)


@given(data=bars(), damage=st.data())
@settings(max_examples=60)
def test_a_damaged_row_is_never_read_in_silence(data: tuple[Interval, list[Bar]], damage: st.DataObject) -> None:
    _, rows = data
    place = damage.draw(st.integers(0, len(rows) - 1))
    row = rows[place]
    broken = damage.draw(
        st.sampled_from(
            [
                row._replace(h=row.l / 2),
                row._replace(l=row.h * 2),
                row._replace(o=-row.o),
                row._replace(c=float("nan")),
                row._replace(v=-1.0),
                row._replace(t=row.t + 1),
                row._replace(t=row.t // 1000),
                row._replace(o=row.h * 3),
            ]
        )
    )
    kind = damage.draw(st.sampled_from(["json", "json", "csv", "parquet"]))
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / f"c.{kind}", [*rows[:place], broken, *rows[place + 1 :]])
        with pytest.raises(DatasetError) as caught:
            read_candles([path])
    assert row.symbol in {problem.symbol for problem in caught.value.problems}
    assert all(problem.file == path for problem in caught.value.problems)


@given(
    payments=st.dictionaries(
        st.tuples(st.sampled_from(["BTC", "ETH", "kPEPE"]), st.integers(0, 30)),
        st.tuples(st.decimals("-0.04", "0.04", places=10), st.integers(0, 1218)),
        min_size=1,
    )
)
@settings(max_examples=60)
def test_every_payment_is_found_at_its_hour_and_nowhere_else(
    payments: dict[tuple[str, int], tuple[Decimal, int]],
) -> None:
    rows = [
        {"coin": symbol, "time": T0 + hour * HOUR_MS + jitter, "fundingRate": f"{rate:.10f}"}
        for (symbol, hour), (rate, jitter) in sorted(payments.items())
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.json"
        path.write_text(json.dumps(rows))
        read = read_funding(str(path))
    expected = {key: rate for key, (rate, _) in payments.items()}
    for hour in range(-1, 32):
        at_hour = read.at_hour(T0 + hour * HOUR_MS)
        assert at_hour == {symbol: rate for (symbol, h), rate in expected.items() if h == hour}
        for symbol in ("BTC", "ETH", "kPEPE"):
            assert read.rate(symbol, T0 + hour * HOUR_MS) == at_hour.get(symbol)
    assert len(read) == len(payments)


@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 6)), min_size=1))
def test_decimals_are_those_of_the_finest_text(drawn: list[tuple[int, int]]) -> None:
    prices = [Decimal(number).scaleb(-decimals) for number, decimals in drawn]
    written = [Decimal(repr(float(price))).normalize().as_tuple().exponent for price in prices]
    finest = max(max(0, -int(exponent)) for exponent in written)
    assert price_decimals(np.array([float(price) for price in prices])) == finest
