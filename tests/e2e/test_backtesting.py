"""`./aiq backtesting` as a user runs it: exact accounts, one digest, clear refusals."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from adapters.sim.market import SimMarket
from domain.candles import Interval
from tests.daemon_process import aiq, aiq_json

START_MS = 1_767_571_200_000
CANDLES = 900
TOLERANCE = Decimal("1e-9")


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hourly candles of eight symbols of the simulated market, as CSV."""
    market = SimMarket(seed=5, symbol_count=8)
    path = tmp_path_factory.mktemp("data") / "candles.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("symbol", "t", "o", "h", "l", "c", "v"))
        for place, instrument in enumerate(market.instruments()):
            window = market.candles(place, Interval.H1, START_MS, START_MS + CANDLES * Interval.H1.ms)
            columns = (window.open_ms, window.open, window.high, window.low, window.close, window.volume)
            writer.writerows(
                (instrument.symbol, *row) for row in zip(*(column.tolist() for column in columns), strict=True)
            )
    return path


def run(folder: Path, candles: str, *more: str, extra: dict[str, str] | None = None) -> dict[str, Any]:
    summary: dict[str, Any] = aiq_json(folder, "backtesting", "--candles", candles, *more, extra=extra)
    return summary


def test_generated_candles_run_to_the_last_and_the_accounts_agree(generated: Path, tmp_path: Path) -> None:
    eager = tmp_path / "eager.yaml"
    eager.write_text("global:\n  trade:\n    entry_min_confidence: low\n")
    out = tmp_path / "out"
    summary = run(tmp_path, str(generated), "--overrides", str(eager), "--export", str(out))
    assert summary["symbols"] == 8
    assert summary["bars"] == 8 * CANDLES
    assert summary["analyses"] == summary["expected_analyses"] == 8 * (CANDLES - summary["warmup_bars"])
    assert summary["trades"] > 0
    check_accounts(summary, out, csv_closes(generated))


def test_the_digest_is_the_same_twice_and_for_every_hash_seed(generated: Path, tmp_path: Path) -> None:
    digests = {run(tmp_path, str(generated), extra={"PYTHONHASHSEED": str(seed)})["digest"] for seed in (0, 0, 1, 2, 3)}
    assert len(digests) == 1


@pytest.mark.timeout(400)
def test_eight_months_of_106_symbols(shared_data: Path, tmp_path: Path) -> None:
    candles = shared_data / "candles" / "hl_perp_candles_1h.parquet"
    funding = shared_data / "candles" / "hl_perp_funding_1h.parquet"
    arguments = ("--funding", str(funding), "--export", str(tmp_path / "out"))
    summary = run(tmp_path, str(candles), *arguments, extra={"PYTHONHASHSEED": "0"})
    lengths = duckdb.execute("SELECT count(*) FROM read_parquet(?) GROUP BY symbol", [str(candles)]).fetchall()
    assert summary["symbols"] == len(lengths) == 106
    expected = sum(max(0, count - summary["warmup_bars"]) for (count,) in lengths)
    assert summary["analyses"] == summary["expected_analyses"] == expected
    assert summary["trades"] > 0
    rows = duckdb.execute(
        "SELECT symbol, arg_max(c, t) FROM read_parquet(?) GROUP BY symbol", [str(candles)]
    ).fetchall()
    check_accounts(summary, tmp_path / "out", {symbol: Decimal(repr(close)) for symbol, close in rows})
    for seed in (1, 2, 3):
        again = run(tmp_path, str(candles), "--funding", str(funding), extra={"PYTHONHASHSEED": str(seed)})
        assert again["digest"] == summary["digest"]


def check_accounts(summary: dict[str, Any], out: Path, last_close: dict[str, Decimal]) -> None:
    """Recompute the end of a run from its exported rows and the candles: nothing of the engine is used."""
    size: dict[str, Decimal] = {}
    cost: dict[str, Decimal] = {}
    fees = realised = Decimal(0)
    for fill in rows_of(out / "fills.csv"):
        symbol, signed = fill["symbol"], Decimal(fill["size"]) * (1 if fill["side"] == "buy" else -1)
        price = Decimal(fill["price"])
        held, paid = size.get(symbol, Decimal(0)), cost.get(symbol, Decimal(0))
        assert Decimal(fill["start_position"]) == held, "fills chain"
        if held * signed < 0:  # reduces, and may turn around
            closing = min(abs(held), abs(signed)) * (1 if signed > 0 else -1)
            realised += -closing * price + paid * closing / held
            paid += paid * closing / held
            held, signed = held + closing, signed - closing
        size[symbol], cost[symbol] = held + signed, paid + signed * price
        fees += Decimal(fill["fee"])
    funding = sum((Decimal(row["amount_usd"]) for row in rows_of(out / "funding.csv")), Decimal(0))
    unrealised = sum((size[symbol] * last_close[symbol] - cost[symbol] for symbol in size if size[symbol]), Decimal(0))
    final = Decimal(str(summary["start_equity"])) + realised - fees + funding + unrealised
    assert abs(final - Decimal(str(summary["final_equity"]))) <= TOLERANCE
    assert abs(realised - Decimal(str(summary["pnl"]))) <= TOLERANCE
    assert abs(fees - Decimal(str(summary["fees"]))) <= TOLERANCE
    assert abs(funding - Decimal(str(summary["funding"]))) <= TOLERANCE
    closed = sum((Decimal(row["pnl"]) for row in rows_of(out / "trades.csv")), Decimal(0))
    assert summary["open_positions"] or abs(closed - realised) <= TOLERANCE, "trades add up to what was realised"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def csv_closes(path: Path) -> dict[str, Decimal]:
    return {row["symbol"]: Decimal(row["c"]) for row in rows_of(path)}


# ── what a user's data may look like ─────────────────────────────────────────────────────────────


def one_symbol(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    return [rows[0], *(row for row in rows[1:] if row[0] == "BTC")]


def write(path: Path, rows: list[list[str]]) -> str:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(path)


def _nan(rows: list[list[str]]) -> None:
    rows[5][4] = "nan"


def _negative(rows: list[list[str]]) -> None:
    rows[5][2] = "-1.0"


def _upside_down(rows: list[list[str]]) -> None:
    rows[5][3], rows[5][4] = rows[5][4], str(float(rows[5][3]) * 2)


def _twice(rows: list[list[str]]) -> None:
    rows.insert(6, rows[5])


def _unordered(rows: list[list[str]]) -> None:
    rows[5], rows[9] = rows[9], rows[5]


def _gap(rows: list[list[str]]) -> None:
    del rows[5:8]


def _columns(rows: list[list[str]]) -> None:
    rows[0][5] = "clsoe"


@pytest.mark.parametrize("damage", [_nan, _negative, _upside_down, _twice, _unordered, _gap, _columns])
def test_damaged_candles_are_refused_with_8_and_one_message(
    generated: Path, tmp_path: Path, damage: Callable[[list[list[str]]], None]
) -> None:
    rows = one_symbol(generated)
    damage(rows)
    done = aiq(tmp_path, "backtesting", "--candles", write(tmp_path / "bad.csv", rows))
    assert done.returncode == 8, done.stderr
    assert "bad.csv" in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_a_gap_may_be_filled_on_request(generated: Path, tmp_path: Path) -> None:
    rows = one_symbol(generated)
    _gap(rows)
    assert run(tmp_path, write(tmp_path / "gap.csv", rows), "--fill-gaps")["filled_gaps"] == 3


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("--candles", "nowhere.parquet"), 8, "nowhere.parquet"),
        (("--symbols", "btc"), 8, "BTC"),
        (("--interval", "15m"), 8, "15m"),
        (("--interval", "7m"), 3, "7m"),
        (("--overrides", "nowhere.yaml"), 3, "nowhere.yaml"),
        (("--balance", "much"), 3, "AI_QUANT_PAPER_BALANCE"),
        (("--strategy", "nowhere:analyze"), 3, "nowhere"),
        (("--funding", "nowhere.csv"), 8, "nowhere.csv"),
        (("--sybmols", "BTC"), 2, "--symbols"),
    ],
)
def test_a_run_that_cannot_be_says_why_once(
    generated: Path, tmp_path: Path, arguments: tuple[str, ...], status: int, says: str
) -> None:
    done = aiq(tmp_path, "backtesting", "--candles", str(generated), *arguments)
    assert done.returncode == status, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_candle_snapshots_run_as_they_come_from_the_venue(generated: Path, tmp_path: Path) -> None:
    rows = [
        {"t": int(t), "T": int(t) + 3_599_999, "s": symbol, "i": "1h", "o": o, "h": h, "l": low, "c": c, "v": v, "n": 1}
        for symbol, t, o, h, low, c, v in one_symbol(generated)[1:]
    ]
    path = tmp_path / "btc.json.gz"
    path.write_bytes(gzip.compress(json.dumps(rows).encode()))
    from_json = run(tmp_path, str(path))
    from_csv = run(tmp_path, write(tmp_path / "btc.csv", one_symbol(generated)))
    assert from_json["digest"] == from_csv["digest"]


def test_a_user_s_strategy_trades_through_its_worker(generated: Path, tmp_path: Path) -> None:
    (tmp_path / "my_strategy.py").write_text(
        "def analyze(df, symbol, btc_bullish, config):\n"
        "    row = df.iloc[-1].copy()\n"
        "    row['ATR'] = (df['High'] - df['Low']).tail(14).mean()\n"
        "    row['RSI'] = 50.0\n"
        "    row['MACD_hist'] = 0.0\n"
        "    up = df['Close'].iloc[-1] > df['Close'].iloc[-20:].mean()\n"
        "    return ('BUY' if up else 'SELL'), 'high', row\n"
    )
    data = write(tmp_path / "btc.csv", one_symbol(generated)[:640])
    extra = {"PYTHONPATH": f"{Path(__file__).resolve().parents[2]}:{tmp_path}"}
    summary = run(tmp_path, data, "--strategy", "my_strategy:analyze", extra=extra)
    assert summary["analyses"] == summary["expected_analyses"] == 39
    assert summary["signals"] == 39
    assert summary["intents"] > 0


def test_the_report_is_one_file_that_fetches_nothing(generated: Path, tmp_path: Path) -> None:
    report = tmp_path / "out.html"
    run(tmp_path, str(generated), "--report", str(report))
    page = report.read_text()
    assert "<html" in page
    assert "http://" not in page
    assert "https://" not in page
