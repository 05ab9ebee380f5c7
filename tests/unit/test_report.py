"""The report of a backtest: its numbers from a small run made by hand, and a page that nothing can break out of."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from application.backtest import BacktestRecord, max_drawdown_pct
from domain.candles import CandleWindow, Interval
from domain.effects import Alert
from domain.facts import FillRecorded, FundingRecorded, TradeClosed
from domain.fills import Fill, MatchedVia
from domain.intents import Side
from domain.positions import Trade
from entrypoints.report.amounts import growth, money, percent, price
from entrypoints.report.charts import chart_payload, merged, pack_charts
from entrypoints.report.curves import CURVE_POINTS, curve_of, drawdowns_pct, months_of, years_of
from entrypoints.report.page import page_of, write_report
from entrypoints.report.report_data import ReportHeader, report_data
from entrypoints.report.tables import profit_factor
from ports.datasets import CandleSet

HOUR = Interval.H1.ms
JANUARY = 1_735_689_600_000  # 2025-01-01 00:00 UTC
FEBRUARY = JANUARY + 31 * 24 * HOUR
START = FEBRUARY - 3 * HOUR
HEADER = ReportHeader("Backtest", ("candles.csv",), "all", seed=7, config_digest="c0ffee", overrides_path=None)
HOSTILE = "</script><script>alert(1)</script>"


def window(
    symbol: str, closes: Sequence[float], interval: Interval = Interval.H1, open_ms: int = START
) -> CandleWindow:
    """Candles that open where the one before closed, with wicks of one."""
    close = np.array(closes, np.float64)
    open_ = np.concatenate([close[:1], close[:-1]])
    return CandleWindow(
        symbol,
        interval,
        open_ms + interval.ms * np.arange(len(close), dtype=np.int64),
        open_,
        np.maximum(open_, close) + 1,
        np.minimum(open_, close) - 1,
        close,
        np.ones(len(close)),
    )


def candle_set(*windows: CandleWindow) -> CandleSet:
    ordered = sorted(windows, key=lambda one: one.symbol)
    return CandleSet(ordered[0].interval, tuple(one.symbol for one in ordered), tuple(ordered), ("candles.csv",))


def fill(
    symbol: str, side: Side, size: str, at: str, hour: int, realised: str = "0", fee: str = "0.10"
) -> FillRecorded:
    execution = Fill(
        symbol, side, Decimal(at), Decimal(size), START + hour * HOUR, hour, hour, None, Decimal(fee), None
    )
    return FillRecorded(execution, "intent", MatchedVia.OID, Decimal(realised), "rule", seq=hour)


def trade(
    symbol: str, side: Side, hours: tuple[int, int], pnl: str, fees: str, funding: str, reason: str
) -> TradeClosed:
    opened, closed = START + hours[0] * HOUR, START + hours[1] * HOUR
    whole = Trade(
        symbol=symbol,
        side=side,
        opened_ms=opened,
        closed_ms=closed,
        size=Decimal("2"),
        entry_price=Decimal("100"),
        exit_price=Decimal("105"),
        pnl=Decimal(pnl),
        fees=Decimal(fees),
        funding=Decimal(funding),
        intent_id="intent",
        exit_reason=reason,
    )
    return TradeClosed(whole, "{}", seq=0)


def small_run(btc: str = "BTC") -> tuple[BacktestRecord, CandleSet]:
    """A long that wins 10 and is added to, a short that loses 4, and a long that stays open with 3 unrealised."""
    record = BacktestRecord(Decimal("1000"), bars=12, analyses=10, signals=5, digest="d1")
    record.fills = [
        fill(btc, Side.BUY, "1", "100", 0),
        fill(btc, Side.BUY, "1", "100", 1),
        fill(btc, Side.SELL, "2", "105", 2, realised="10"),
        fill("ETH", Side.SELL, "1", "50", 1),
        fill("ETH", Side.BUY, "1", "54", 3, realised="-4"),
        fill("ETH", Side.BUY, "1.5", "54", 4),
    ]
    record.fundings = [FundingRecorded(btc, START + HOUR, Decimal(1), Decimal(0), Decimal("-0.25"))]
    record.trades = [
        trade(btc, Side.BUY, (0, 2), "10", "0.30", "-0.25", "take_profit"),
        trade("ETH", Side.SELL, (1, 3), "-4", "0.20", "0", "stop_loss"),
    ]
    values = ["1000", "1020.50", "999.29", "1005.05", "1004.95", "1008.15"]
    record.equity = [(START + (hour + 1) * HOUR, Decimal(value)) for hour, value in enumerate(values)]
    return record, candle_set(window(btc, [100, 104, 105, 105, 106, 107]), window("ETH", [50, 51, 53, 54, 55, 56]))


def unpacked(data: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(data)))
    return payload


# ── amounts ──────────────────────────────────────────────────────────────────────────────────────


def test_money_has_two_decimals_rounds_half_to_even_and_zero_has_no_sign() -> None:
    texts = [money(Decimal(text)) for text in ("0.125", "0.135", "-0.001", "12345678901234567890.10")]
    assert texts == ["0.12", "0.14", "0.00", "12345678901234567890.10"]


def test_prices_keep_their_whole_digits_and_seven_significant_ones() -> None:
    texts = [
        price(Decimal(text)) for text in ("104321.5", "0.000012345678", "123456789", "100.00", "0", "33.33333333333")
    ]
    assert texts == ["104321.5", "0.00001234568", "123456789", "100", "0", "33.33333"]


def test_a_share_of_nothing_is_no_number() -> None:
    assert percent(Decimal(0), Decimal(0)) is None
    assert percent(Decimal(1), Decimal(3)) == "33.33"
    assert growth(Decimal(200), Decimal(150)) == "-25.00"


# ── numbers ──────────────────────────────────────────────────────────────────────────────────────


def test_totals_add_up_from_start_to_final_equity() -> None:
    totals = report_data(*small_run(), HEADER)["totals"]
    assert totals == {
        "start": "1000.00",
        "final": "1008.15",
        "net": "8.15",
        "return_pct": "0.82",
        "realised": "6.00",
        "fees": "0.60",
        "funding": "-0.25",
        "booked_net": "5.15",
        "unrealised": "3.00",
        "max_drawdown_pct": "2.08",
        "max_drawdown_ms": START + 3 * HOUR,
        "trades": 2,
        "wins": 1,
        "win_rate_pct": "50.00",
        "profit_factor": "2.25",
        "bars": 12,
        "analyses": 10,
        "signals": 5,
        "intents": 0,
        "fills": 6,
    }


def test_what_is_unrealised_is_what_the_open_positions_hold() -> None:
    report = report_data(*small_run(), HEADER)
    assert report["open_positions"] == [
        {
            "symbol": "ETH",
            "side": "long",
            "opened_ms": START + 4 * HOUR,
            "size": "1.5",
            "entry_price": "54",
            "last_price": "56",
            "unrealised": report["totals"]["unrealised"],
        }
    ]


def test_a_symbol_row_holds_what_was_booked_and_its_single_trades_net() -> None:
    bitcoin, ether = report_data(*small_run(), HEADER)["symbols"]
    assert bitcoin == {
        "name": "BTC",
        "trades": 1,
        "wins": 1,
        "win_rate_pct": "100.00",
        "pnl": "10.00",
        "fees": "0.30",
        "funding": "-0.25",
        "net": "9.45",
        "average_net": "9.45",
        "average_hold_ms": 2 * HOUR,
        "best": "9.45",
        "worst": "9.45",
    }
    assert (ether["name"], ether["pnl"], ether["fees"], ether["net"]) == ("ETH", "-4.00", "0.30", "-4.30")
    assert (ether["best"], ether["worst"], ether["win_rate_pct"]) == ("-4.20", "-4.20", "0.00")


def test_trades_are_grouped_by_exit_reason_and_by_side() -> None:
    report = report_data(*small_run(), HEADER)
    assert [(row["name"], row["trades"], row["net"]) for row in report["exits"]] == [
        ("stop_loss", 1, "-4.20"),
        ("take_profit", 1, "9.45"),
    ]
    assert [(row["name"], row["wins"]) for row in report["sides"]] == [("long", 1), ("short", 0)]


def test_without_a_losing_trade_there_is_no_profit_factor() -> None:
    record, _ = small_run()
    assert profit_factor([fact.trade for fact in record.trades[:1]]) is None
    assert profit_factor([]) is None


def test_a_symbol_that_was_never_filled_has_no_row_but_a_chart() -> None:
    record, candles = small_run()
    more = candle_set(*candles.windows, window("SOL", [20, 21]))
    report = report_data(record, more, HEADER)
    assert [row["name"] for row in report["symbols"]] == ["BTC", "ETH"]
    assert [item["symbol"] for item in report["charts"]["items"]] == ["BTC", "ETH", "SOL"]


# ── curves ───────────────────────────────────────────────────────────────────────────────────────


def test_the_curve_starts_with_the_start_equity_at_the_first_open() -> None:
    curve = report_data(*small_run(), HEADER)["curve"]
    assert curve["time_ms"][:2] == [START, START + HOUR]
    assert curve["equity"] == [1000.0, 1000.0, 1020.5, 999.29, 1005.05, 1004.95, 1008.15]
    assert curve["drawdown_pct"][:4] == [0.0, 0.0, 0.0, 2.078]


def test_drawdown_agrees_with_the_one_that_the_run_reports() -> None:
    record, _ = small_run()
    falls = drawdowns_pct(record.equity, record.start_equity_usd)
    assert float(max(falls)) == pytest.approx(max_drawdown_pct(record.equity, record.start_equity_usd))


def test_a_long_curve_is_thinned_and_keeps_its_extremes_and_ends() -> None:
    values = [Decimal(1000 + (place * 7919) % 500) for place in range(50_000)]
    values[31_111], values[41_234] = Decimal("2500.55"), Decimal("12.34")
    curve = curve_of([(START + place * HOUR, value) for place, value in enumerate(values, 1)], Decimal(1000), START)
    assert len(curve["equity"]) <= CURVE_POINTS
    assert len(curve["time_ms"]) == len(curve["equity"]) == len(curve["drawdown_pct"])
    assert (curve["points"], curve["time_ms"][0], curve["time_ms"][-1]) == (50_001, START, START + 50_000 * HOUR)
    assert (max(curve["equity"]), min(curve["equity"])) == (2500.55, 12.34)
    assert max(curve["drawdown_pct"]) == 99.507
    assert curve["time_ms"] == sorted(set(curve["time_ms"]))


def test_a_close_at_midnight_belongs_to_the_month_that_ends_there() -> None:
    record, _ = small_run()
    assert record.equity[2][0] == FEBRUARY
    assert months_of(record.equity, record.start_equity_usd, START) == [
        {"year": 2025, "month": 1, "return_pct": "-0.07", "start": "1000.00", "end": "999.29", "partial": True},
        {"year": 2025, "month": 2, "return_pct": "0.89", "start": "999.29", "end": "1008.15", "partial": True},
    ]
    assert years_of(record.equity, record.start_equity_usd) == [{"year": 2025, "return_pct": "0.82"}]


def test_a_month_that_is_there_from_its_first_to_its_last_candle_is_not_partial() -> None:
    equity = [(JANUARY + (hour + 1) * HOUR, Decimal(1000 + hour)) for hour in range(31 * 24)]
    (row,) = months_of(equity, Decimal(1000), JANUARY)
    assert (row["month"], row["partial"], row["return_pct"]) == (1, False, "74.30")


# ── charts ───────────────────────────────────────────────────────────────────────────────────────


def test_marks_say_what_each_execution_did_and_which_trade_it_belongs_to() -> None:
    charts = report_data(*small_run(), HEADER)["charts"]
    bitcoin, ether = (unpacked(item["data"]) for item in charts["items"])
    assert [(mark["kind"], mark["side"], mark["price"], mark["trade"]) for mark in bitcoin["marks"]] == [
        ("open", "long", "100", 0),
        ("add", "long", "100", 0),
        ("close", "long", "105", 0),
    ]
    assert [(mark["kind"], mark["side"], mark["trade"]) for mark in ether["marks"]] == [
        ("open", "short", 0),
        ("close", "short", 0),
        ("open", "long", -1),
    ]
    assert ether["trades"][0]["reason"] == "stop_loss"
    assert ether["trades"][0]["net"] == "-4.20"


def test_a_fill_that_turns_a_position_around_closes_one_trade_and_opens_the_next() -> None:
    record, candles = small_run()
    record.fills = [fill("BTC", Side.BUY, "1", "100", 0), fill("BTC", Side.SELL, "3", "104", 1, realised="4")]
    payload = unpacked(report_data(record, candles, HEADER)["charts"]["items"][0]["data"])
    assert [(mark["kind"], mark["side"], mark["size"], mark["trade"]) for mark in payload["marks"]] == [
        ("open", "long", "1", 0),
        ("close", "long", "1", 0),
        ("open", "short", "2", -1),
    ]


@pytest.mark.parametrize("closes", [[0.000012345, 0.0000124, 0.00001], [104321.5, 104000.0, 99999.0], [1.0, 3.0, 2.0]])
def test_prices_come_back_from_a_packed_chart_exactly(closes: list[float]) -> None:
    close = np.array(closes)
    one = CandleWindow("X", Interval.H1, START + HOUR * np.arange(3), close, close, close, close.copy(), close.copy())
    payload = chart_payload(one, (), None)
    before, seen = 0, []
    for gap, body in zip(payload["open_from_close"], payload["close_from_open"], strict=True):
        before += gap + body
        seen.append(before / 10 ** payload["decimals"])
    assert seen == closes


def test_too_many_candles_are_merged_into_the_finest_interval_that_fits() -> None:
    minutes = window("X", [float(100 + place % 60) for place in range(600)], Interval.M1, JANUARY)
    coarse = merged(minutes, 50)
    assert (coarse.interval, len(coarse)) == (Interval.M15, 40)
    assert coarse.open_ms[:2].tolist() == [JANUARY, JANUARY + Interval.M15.ms]
    assert (coarse.open[0], coarse.high[0], coarse.low[0], coarse.close[0]) == (100.0, 115.0, 99.0, 114.0)
    assert coarse.volume[0] == 15
    assert merged(minutes, 600) is minutes


def test_symbols_beyond_the_size_budget_are_left_out_least_traded_first_and_counted() -> None:
    record, candles = small_run()
    trades = {"ETH": [record.trades[1].trade]}
    charts = pack_charts(candles, trades, {}, budget_bytes=1)
    assert [item["symbol"] for item in charts["items"]] == ["ETH"]
    assert (charts["left_out"], charts["traded_left_out"]) == (1, 0)


# ── empty runs ───────────────────────────────────────────────────────────────────────────────────


def test_a_run_without_trades_says_at_which_step_nothing_came_out() -> None:
    _, candles = small_run()
    record = BacktestRecord(Decimal(1000))

    def note() -> str:
        return " ".join(report_data(record, candles, HEADER)["no_trades"])

    assert "no candle" in note()
    record.bars = 12
    assert "warm-up" in note()
    record.analyses = 10
    assert "none gave a signal" in note()
    record.signals = 3
    assert "entry gates or limits refused" in note()
    record.fills = [fill("BTC", Side.BUY, "1", "100", 0)]
    assert "open positions" in note()
    record.trades = [trade("BTC", Side.BUY, (0, 1), "1", "0", "0", "x")]
    assert note() == ""


def test_an_empty_run_makes_a_report_of_empty_parts() -> None:
    report = report_data(BacktestRecord(Decimal(1000)), CandleSet(Interval.H1, (), (), ()), HEADER)
    assert (report["period"], report["months"], report["symbols"], report["charts"]["items"]) == (None, [], [], [])
    assert (report["totals"]["final"], report["totals"]["win_rate_pct"]) == ("1000.00", None)
    assert report["totals"]["max_drawdown_ms"] is None
    assert Page(page_of(report)).data == report


# ── the page ─────────────────────────────────────────────────────────────────────────────────────


class Page(HTMLParser):
    """What a browser would see: elements, their attributes, and what stands inside script and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {"script": [], "style": [], "title": []}
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag
        if tag in self.inside:
            self.inside[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in self.inside:
            self.inside[self._open][-1] += data

    @property
    def data(self) -> Any:
        return json.loads(self.inside["script"][0])


def test_names_from_files_cannot_break_out_of_the_page() -> None:
    record, candles = small_run(HOSTILE)
    record.alerts = [Alert("code", HOSTILE)]
    header = replace(HEADER, title=HOSTILE, files=(HOSTILE, "\udcff.csv"), warnings=("<img src=x onerror=alert(1)>",))
    text = page_of(report_data(record, candles, header))
    page = Page(text)
    assert len(page.inside["script"]) == 2
    assert page.inside["title"] == [HOSTILE]
    assert page.data["symbols"][0]["name"] == HOSTILE
    assert "alert(1)" not in page.inside["script"][1]
    assert "<img" not in text
    assert page.data["warnings"] == ["<img src=x onerror=alert(1)>", f"code: {HOSTILE}"]


def test_the_page_fetches_nothing_and_its_policy_allows_only_its_own_script_and_style() -> None:
    text = page_of(report_data(*small_run(), HEADER))
    page = Page(text)
    assert "://" not in text
    names = {name for _, attributes in page.elements for name in attributes}
    assert not {"src", "style", "srcset", "action"} & names
    assert not [name for name in names if name.startswith("on")]
    assert [attributes["href"] for _, attributes in page.elements if "href" in attributes] == ["#summary"]
    (policy,) = [attributes["content"] for _, attributes in page.elements if attributes.get("http-equiv")]
    assert policy == (
        f"default-src 'none'; script-src {csp_hash(page.inside['script'][1])}; "
        f"style-src {csp_hash(page.inside['style'][0])}; base-uri 'none'; form-action 'none'"
    )
    assert not any(word in text for word in ("url(", "@import", "innerHTML", "eval(", "fetch(", "XMLHttpRequest"))


def csp_hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_same_run_gives_the_same_page() -> None:
    assert page_of(report_data(*small_run(), HEADER)) == page_of(report_data(*small_run(), HEADER))


# ── the file ─────────────────────────────────────────────────────────────────────────────────────


def test_a_report_replaces_the_one_before_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "out.html"
    path.write_text("old")
    write_report(path, *small_run(), HEADER)
    assert Page(path.read_text(encoding="utf-8")).data["totals"]["final"] == "1008.15"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.html"]


def test_a_report_that_cannot_be_written_names_the_path_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"missing.out\.html"):
        write_report(tmp_path / "missing" / "out.html", *small_run(), HEADER)
    with pytest.raises(OSError, match="directory"):
        write_report(tmp_path, *small_run(), HEADER)
    assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.parent.glob(".*.part")) == []


def test_a_report_to_a_link_replaces_the_file_behind_it(tmp_path: Path) -> None:
    (tmp_path / "real.html").write_text("old")
    (tmp_path / "link.html").symlink_to(tmp_path / "real.html")
    write_report(tmp_path / "link.html", *small_run(), HEADER)
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "real.html").stat().st_size > 10_000
