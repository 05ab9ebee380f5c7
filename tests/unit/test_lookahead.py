"""The look-ahead check catches what looks ahead, and nothing else."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from adapters.strategies.lookahead import LookaheadReport, Probe, ProbeTable, Verdict, find_lookahead
from adapters.strategies.probes import analyze_probe, mei_probe
from domain.candles import CandleWindow
from ports.strategy import StrategyFailed
from tests.strategy_samples import book_with, random_window

WINDOWS = [random_window("ETH", 1, 300), random_window("SOL", 2, 260)]


def checked(analyze: Any, **settings: Any) -> LookaheadReport:
    return find_lookahead(analyze_probe(analyze, book_with(), None), WINDOWS, **{"warmup": 60, **settings})


def honest(df: Any, symbol: str, btc_bullish: bool | None, config: dict[str, Any]) -> Any:
    df["mean"] = df["Close"].rolling(10).mean()
    df["ewm"] = df["Close"].ewm(span=5).mean()
    df["note"] = np.where(df["Close"] > df["mean"], "above", "below")
    return ("BUY" if df["Close"].iloc[-1] > df["mean"].iloc[-1] else "SELL"), "low", df.iloc[-1]


def test_an_honest_strategy_is_clean() -> None:
    report = checked(honest)
    assert report.verdict is Verdict.CLEAN
    assert report.biased_columns == ()
    assert report.differing_signals == ()
    assert report.compared_columns == ("ewm", "mean", "note")
    assert report.checked_bars == 40


@pytest.mark.parametrize(
    ("column", "formula"),
    [
        ("shifted", lambda df: df["Close"].shift(-1)),
        ("centred", lambda df: df["Close"].rolling(9, center=True, min_periods=1).mean()),
        ("scaled", lambda df: df["Close"] / df["Close"].max()),
        ("backfilled", lambda df: df["Close"].where(df.index % 7 == 0).bfill()),
        ("ranked", lambda df: df["Close"].rank()),
        ("words", lambda df: np.where(df["Close"].shift(-1) > df["Close"], "up", "down")),
    ],
)
def test_a_column_that_knows_later_candles_is_caught(column: str, formula: Any) -> None:
    def looks_ahead(df: Any, symbol: str, btc_bullish: bool | None, config: dict[str, Any]) -> Any:
        answer = honest(df, symbol, btc_bullish, config)
        df[column] = formula(df)
        return answer

    report = checked(looks_ahead)
    assert report.verdict is Verdict.LOOKS_AHEAD
    assert report.biased_columns == (column,)


def test_a_changed_candle_column_counts_too() -> None:
    def smooths(df: Any, symbol: str, btc_bullish: bool | None, config: dict[str, Any]) -> Any:
        df["Close"] = df["Close"].rolling(3, center=True, min_periods=1).mean()
        return "NEUTRAL", "low", df.iloc[-1]

    assert checked(smooths).biased_columns == ("Close",)


def test_a_function_that_leaves_its_frame_alone_shows_nothing_to_compare() -> None:
    def silent(df: Any, symbol: str, btc_bullish: bool | None, config: dict[str, Any]) -> Any:
        return honest(df.copy(), symbol, btc_bullish, config)

    report = checked(silent)
    assert report.verdict is Verdict.NOTHING_TO_COMPARE
    assert report.compared_columns == ()


def test_a_strategy_that_remembers_later_candles_gives_differing_signals() -> None:
    longest: dict[str, Any] = {}

    def remembers(df: Any, symbol: str, btc_bullish: bool | None, config: dict[str, Any]) -> Any:
        if len(df) >= len(longest.get(symbol, ())):
            longest[symbol] = df["Close"].to_numpy()
        known, place = longest[symbol], len(df) - 1
        following = known[min(place + 1, len(known) - 1)]
        return ("BUY" if following > known[place] else "NEUTRAL"), "low", None

    report = checked(remembers)
    assert report.verdict is Verdict.LOOKS_AHEAD
    assert report.differing_signals
    difference = report.differing_signals[0]
    assert difference.symbol in ("ETH", "SOL")
    assert (difference.alone, difference.later) == ("NEUTRAL", "BUY")


def test_chance_gives_differing_signals() -> None:
    coin = itertools.cycle(["BUY", "SELL", "NEUTRAL", "SELL", "BUY"])

    def guesses(df: Any, symbol: str, btc_bullish: bool | None, config: dict[str, Any]) -> Any:
        return next(coin), "low", None

    assert checked(guesses).verdict is Verdict.LOOKS_AHEAD


def test_a_column_filled_for_the_last_row_only_is_no_look_ahead() -> None:
    def fills_last(df: Any, symbol: str, btc_bullish: bool | None, config: dict[str, Any]) -> Any:
        df.loc[df.index[-1], "level"] = df["Close"].iloc[-10:].max()
        if df["Close"].iloc[-1] > df["Open"].iloc[-1]:
            df["only sometimes"] = df["Close"].shift(1)
        return "NEUTRAL", "low", None

    report = checked(fills_last)
    assert report.verdict is Verdict.CLEAN
    assert "level" in report.compared_columns


def test_values_that_depend_on_the_first_candle_are_a_warning_only() -> None:
    def cumulates(df: Any, symbol: str, btc_bullish: bool | None, config: dict[str, Any]) -> Any:
        df["total"] = df["Volume"].cumsum()
        df["mean"] = df["Close"].rolling(10).mean()
        return "NEUTRAL", "low", None

    report = checked(cumulates)
    assert report.verdict is Verdict.CLEAN
    assert report.start_dependent_columns == ("total",)


def test_a_failing_strategy_says_where() -> None:
    def fails(df: Any, symbol: str, btc_bullish: bool | None, config: dict[str, Any]) -> Any:
        raise KeyError("no such column")

    with pytest.raises(StrategyFailed, match="ETH, 61 candles: analyze raised KeyError"):
        checked(fails)

    def nonsense(df: Any, symbol: str, btc_bullish: bool | None, config: dict[str, Any]) -> Any:
        return "HOLD", "low", None

    with pytest.raises(StrategyFailed, match="signal has to be"):
        checked(nonsense)

    def adds(df: Any, symbol: str, btc_bullish: bool | None, config: dict[str, Any]) -> Any:
        df.loc[len(df)] = df.loc[0]
        return "NEUTRAL", "low", None

    with pytest.raises(StrategyFailed, match="number of rows"):
        checked(adds)


def test_a_window_that_is_too_short_checks_nothing() -> None:
    report = checked(honest, warmup=299)
    assert report.checked_bars == 0
    assert report.verdict is Verdict.NOTHING_TO_COMPARE


def test_mei_does_not_look_ahead() -> None:
    entry = {"enable_pullback_entries": True, "enable_slow_drift_entries": True}
    windows = [random_window(symbol, seed, 760, drift=0.001) for symbol, seed in (("BTC", 3), ("kPEPE", 4))]
    report = find_lookahead(mei_probe(book_with(thresholds={"entry": entry}), True), windows, warmup=600)
    assert report.verdict is Verdict.CLEAN
    assert report.checked_bars == 40
    assert {"atr", "stoch_k", "gate min_adx", "gate pullback_path"} <= set(report.compared_columns)
    assert "adx" not in report.start_dependent_columns


def test_a_planted_look_ahead_in_mei_is_caught() -> None:
    def planted(window: CandleWindow) -> ProbeTable:
        table = mei_probe(book_with(), True)(window)
        rsi = np.concatenate((table.columns["rsi"][1:], table.columns["rsi"][-1:]))
        signals = [*table.signals[1:], table.signals[-1]]
        return ProbeTable({**table.columns, "rsi": rsi}, signals)

    probe: Probe = planted
    report = find_lookahead(probe, [random_window("BTC", 3, 900, drift=0.002)], warmup=600, bars_per_window=200)
    assert report.verdict is Verdict.LOOKS_AHEAD
    assert report.biased_columns == ("rsi",)
    assert report.differing_signals
