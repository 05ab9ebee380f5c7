"""Reading the overrides file: what is refused, where the message points, and what a value means."""

from decimal import Decimal
from textwrap import dedent

import pytest

from config.suggestions import unknown_symbols
from config.yaml_reader import OverridesParser, parse_overrides
from config.yaml_tree import MAX_CHARACTERS, MAX_PROBLEMS
from domain.candles import Interval
from domain.confidence import Confidence
from domain.config_events import ABSENT, OverridesText
from domain.strategy_config import ConfigLayer, Given, MacdHistEntry, Place, StrategyBook, SymbolConfig
from ports.strategy_config import OverridesInvalid

PATH = "o.yaml"


def read(text: str, *, live: bool = False, mode: str | None = None) -> StrategyBook:
    return parse_overrides(dedent(text), PATH, live_layers=live, mode_name=mode)


def problems(text: str, mode: str | None = None) -> list[str]:
    with pytest.raises(OverridesInvalid) as caught:
        read(text, mode=mode)
    return [str(problem) for problem in caught.value.problems]


def trade_problem(line: str) -> str:
    """The one problem of a file with one line under `global.trade`, without its place."""
    [problem] = problems(f"global:\n  trade:\n    {line}\n")
    return problem.partition(" global.trade.")[2]


def test_every_section_is_read_with_the_type_of_its_key() -> None:
    book = read("""
        global:
          trade:
            allocation_pct: 0.02
            max_open_positions: 3
            sl_atr_mult: 25e-1
            enable_pyramiding: false
            entry_min_confidence: low
          market_regime: {enable_regime_gate: true}
          thresholds:
            entry: {macd_hist_entry_mode: sign, min_adx: 15}
          engine: {interval: 15m, signal_on_candle_close: false}
          risk: {max_drawdown_pct: 12.5}
          watchlist_exclude: [DOGE, kPEPE]
        """)
    trade = book.everyone.trade
    assert trade.allocation_pct == Decimal("0.02") and type(trade.allocation_pct) is Decimal
    assert trade.max_open_positions == 3 and type(trade.max_open_positions) is int
    assert trade.sl_atr_mult == 2.5 and type(trade.sl_atr_mult) is float
    assert trade.enable_pyramiding is False
    assert trade.entry_min_confidence is Confidence.LOW
    assert book.everyone.market_regime.enable_regime_gate
    assert book.everyone.thresholds.entry.macd_hist_entry_mode is MacdHistEntry.SIGN
    assert book.everyone.thresholds.entry.min_adx == 15.0
    assert (book.engine.interval, book.engine.signal_on_candle_close) == (Interval.M15, False)
    assert book.risk.max_drawdown_pct == Decimal("12.5")
    assert book.watchlist_exclude == ("DOGE", "kPEPE")


LAYERED = """
    global: {trade: {max_open_positions: 2}}
    symbols: {BTC: {trade: {max_open_positions: 3}}}
    live:
      global: {trade: {max_open_positions: 4}}
      symbols: {BTC: {trade: {max_open_positions: 5}}}
    modes:
      full:
        symbols: {BTC: {trade: {max_open_positions: 7}}}
        global: {trade: {max_open_positions: 6}}
      short: {trade: {max_open_positions: 8}}
    """


@pytest.mark.parametrize(
    ("live", "mode", "btc", "eth"),
    [
        (False, None, 3, 2),
        (True, None, 5, 4),
        (False, "full", 7, 6),
        (True, "full", 7, 6),
        (True, "short", 8, 8),
    ],
)
def test_precedence(live: bool, mode: str | None, btc: int, eth: int) -> None:
    book = read(LAYERED, live=live, mode=mode)
    assert book.for_symbol("BTC").trade.max_open_positions == btc
    assert book.for_symbol("ETH").trade.max_open_positions == eth


def test_precedence_does_not_hang_on_the_order_in_the_file() -> None:
    book = read("symbols: {BTC: {trade: {max_open_positions: 3}}}\nglobal: {trade: {max_open_positions: 2}}\n")
    assert book.for_symbol("BTC").trade.max_open_positions == 3


def test_live_in_its_short_form_holds_for_every_symbol() -> None:
    text = "symbols: {BTC: {trade: {max_open_positions: 3}}}\nlive: {trade: {max_open_positions: 1}}\n"
    book = read(text, live=True)
    assert book.for_symbol("BTC").trade.max_open_positions == 1, "what live says beats what a symbol says"
    assert book.origin("BTC", "trade.max_open_positions") == "o.yaml:2:36 (live)"


def test_a_layer_above_the_file_wins() -> None:
    top = ConfigLayer(None, {"risk": {"max_drawdown_pct": Given(Decimal(5), Place("environment"), "A_VARIABLE")}})
    book = OverridesParser(False, top=(top,)).parse("global: {risk: {max_drawdown_pct: 50}}", PATH)
    assert book.risk.max_drawdown_pct == 5
    assert book.origin(None, "risk.max_drawdown_pct") == "environment (A_VARIABLE)"


def test_every_problem_is_named_at_once_in_the_order_of_lines() -> None:
    assert problems("""\
        global:
          trade:
            leverage: 55
            leverage: 3
            sl_atr_mlt: 2
            min_adx: 22
          risk: {max_drawdown_pct: -1}
        symbols:
          BTC: [1]
        glbal: {}
        """) == [
        "o.yaml:3:15: global.trade.leverage: must be between 1 and 50 (got 55)",
        "o.yaml:4:5: global.trade.leverage: is there twice, first in line 3",
        "o.yaml:5:5: global.trade.sl_atr_mlt: unknown key, did you mean 'sl_atr_mult'?",
        "o.yaml:6:5: global.trade.min_adx: unknown key here; 'min_adx' belongs to thresholds.entry",
        "o.yaml:7:28: global.risk.max_drawdown_pct: must be between 0 and 100 (got -1)",
        "o.yaml:9:8: symbols.BTC: must be keys and values, not a list",
        "o.yaml:10:1: glbal: unknown key, did you mean 'global'?",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("enable_pyramiding: NO", "enable_pyramiding: must be true or false (got NO)"),
        ("enable_pyramiding: on", "enable_pyramiding: must be true or false (got on)"),
        ("enable_pyramiding: True", "enable_pyramiding: must be true or false (got True)"),
        ("enable_pyramiding: 1", "enable_pyramiding: must be true or false (got 1)"),
        ("enable_pyramiding: 'true'", "enable_pyramiding: must be true or false, without quotes (got true)"),
        (
            "leverage: 010",
            "leverage: must be a decimal number; leading zeros are refused, because some readers take them for octal"
            " (got 010)",
        ),
        (
            "leverage: 12:30",
            "leverage: must be a decimal number; a colon makes it a time of day, which some readers turn into base 60"
            " (got 12:30)",
        ),
        ("sl_atr_mult: .nan", "sl_atr_mult: must be a number; it has to be finite (got .nan)"),
        ("sl_atr_mult: -.inf", "sl_atr_mult: must be a number; it has to be finite (got -.inf)"),
        ("leverage: '3'", "leverage: must be a decimal number, without quotes (got 3)"),
        ("leverage: 3x", "leverage: must be a decimal number (got 3x)"),
        ("leverage: 1_0", "leverage: must be a decimal number; write digits without separators (got 1_0)"),
        ("sl_atr_mult: .5", "sl_atr_mult: must be a number; write digits on both sides of the point (got .5)"),
        (
            "max_open_positions: 1e1",
            "max_open_positions: must be a whole number, written without point or exponent (got 1e1)",
        ),
        ("leverage:", "leverage: has no value; it must be a decimal number, 1 to 50"),
        ("leverage: null", "leverage: must be a decimal number (got null)"),
        ("leverage: [3]", "leverage: must be a decimal number, 1 to 50, not a list"),
        ("leverage: {a: 3}", "leverage: must be a decimal number, 1 to 50, not a section"),
        ("entry_min_confidence: hihg", "entry_min_confidence: must be one of low, medium, high (got hihg)"),
    ],
)
def test_the_key_decides_what_a_value_is(line: str, message: str) -> None:
    assert trade_problem(line) == message


def test_an_exponent_is_a_number_where_fractions_are_allowed() -> None:
    book = read("global: {trade: {max_notional_usd_per_order: 1e3, min_atr_pct: 1e-3}}")
    assert book.everyone.trade.max_notional_usd_per_order == Decimal(1000)
    assert book.everyone.trade.min_atr_pct == 0.001


def test_words_that_other_readers_take_for_switches_are_symbols() -> None:
    book = read("global: {watchlist_exclude: [NO, ON, null]}\nsymbols: {NO: {trade: {leverage_low: 2}}, y: {}}")
    assert book.watchlist_exclude == ("NO", "ON", "null")
    assert book.for_symbol("NO").trade.leverage_low == 2
    assert set(book.named) == {"NO", "y"}


def test_null_unsets_an_optional_key() -> None:
    text = "global: {trade: {min_margin_usd: 6}}\nsymbols: {BTC: {trade: {min_margin_usd: null}}}"
    book = read(text)
    assert book.for_symbol("ETH").trade.min_margin_usd == 6
    assert book.for_symbol("BTC").trade.min_margin_usd is None


def test_zero_unsets_a_low_confidence_override_with_a_warning_once() -> None:
    book = read("""\
        global: {trade: {rsi_exit_ub_lo_profit_low_conf: 0}}
        symbols: {BTC: {trade: {rsi_exit_ub_lo_profit_low_conf: 0.0}}}
        """)
    assert book.everyone.trade.rsi_exit_ub_lo_profit_low_conf is None
    assert book.warnings == (
        "o.yaml:1:50: global.trade.rsi_exit_ub_lo_profit_low_conf: "
        "0 is read as not set; write null, or leave it out, to say so (2 times)",
    )


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "{}", "--- {}\n...\n", "\ufeff"])
def test_a_file_without_keys_is_refused(text: str) -> None:
    [problem] = problems(text)
    assert problem.endswith("holds no keys; write `global: {}` to mean no overrides")


@pytest.mark.parametrize("text", ["global", "[global]", "42", "- global: {}"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    assert problems(text) == ["o.yaml:1:1: must be keys and values, such as `global: {}`"]


@pytest.mark.parametrize(
    "text", ["global: {}", "global: {trade: {}}\n", "symbols: {}", "--- # one document\nlive: {}\n"]
)
def test_a_file_that_says_nothing_on_purpose_is_accepted(text: str) -> None:
    assert read(text).for_symbol("BTC") == SymbolConfig()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("global: &g {}\nlive: *g\n", "o.yaml:1:9: global: anchors are refused: write the values out (got &g)"),
        (
            "global: !!python/object:os.system {}",
            "o.yaml:1:9: global: tags are refused: the key decides what a value is",
        ),
        ("global: {trade: {leverage: !!int 3}}", "o.yaml:1:28: global.trade.leverage: tags are refused"),
        ("global: {}\n--- \nglobal: {}\n", "o.yaml:2:1: only one document per file"),
        ("? [global]\n: {}\n", "o.yaml:1:3: a key must be a word"),
        ("global: {}\nglobal: {}\n", "o.yaml:2:1: global: is there twice, first in line 1"),
        ("global:\n  trade: {leverage: 3\n", "o.yaml:3:1: not YAML: "),
        ("global:\n\ttrade: {}\n", "o.yaml:2:1: not YAML: found character '\\t'"),
        ("global: {}\nlive: \x07", "o.yaml:2:7: character U+0007 is not allowed"),
        ("global: @x", "o.yaml:1:9: not YAML: "),
        ("global: " + "[" * 1000, "o.yaml:1:21: global: is nested deeper than 12 levels"),
        (r'global: "\UFFFFFFFF"', "o.yaml: not YAML: a number or character code is too large"),
        ("%YAML 1" + "0" * 5000 + ".1\n---\nglobal: {}\n", "o.yaml: not YAML: a number or character code is too large"),
        ("# " + "x" * MAX_CHARACTERS, "o.yaml: is larger than 256 KiB"),
    ],
)
def test_what_is_no_plain_file_is_refused(text: str, problem: str) -> None:
    assert problems(text)[0].startswith(problem)


def test_a_message_is_one_printable_line_whatever_the_file_holds() -> None:
    found = problems(r"""{"a\nb": 1, global: {"\ud800": "\e[31m", trade: {leverage: "x\ny"}}, modes: {"\0": {x: 1}}}""")
    assert len(found) == 4
    assert all(line.isprintable() for line in found)


def test_an_alias_bomb_is_refused_at_its_first_alias() -> None:
    lines = ["global: &a0 {trade: {}}", *(f"x{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))]
    assert "o.yaml:2:10: x1: aliases are refused: write the values out (got *a0)" in problems("\n".join(lines))


def test_a_flood_of_problems_is_cut_off() -> None:
    found = problems("global:\n" + "".join(f"  leverag{n}: 1\n" for n in range(5000)))
    assert len(found) == MAX_PROBLEMS
    assert found[-1].endswith("and more from here on")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("trade: {}", "o.yaml:1:1: trade: must stand under `global:` (or under a symbol, `live` or a mode)"),
        (
            "symbols: {BTC: {risk: {}}}",
            "o.yaml:1:17: symbols.BTC.risk: holds for all symbols together: put it under `global`",
        ),
        (
            "symbols: {BTC: {watchlist_exclude: []}}",
            "o.yaml:1:17: symbols.BTC.watchlist_exclude: holds for all symbols",
        ),
        ("live: {global: {}, trade: {}}", "o.yaml:1:20: live.trade: stands beside `global` or `symbols`"),
        ("symbols: {'B C': {}}", "o.yaml:1:11: symbols: is not a symbol's name (got B C)"),
        ("global: {watchlist_exclude: BTC}", "o.yaml:1:29: global.watchlist_exclude: must be a list such as"),
        ("global: {watchlist_exclude: [[BTC]]}", "o.yaml:1:30: global.watchlist_exclude: is not a symbol's name"),
        ("global:\n", "o.yaml:1:8: global: has no keys; write {} or leave it out"),
        ("global: {trade: }", "o.yaml:1:16: global.trade: has no keys; write {} or leave it out"),
        ("modes: {careful: {trade: {leverage: 99}}}", "o.yaml:1:37: modes.careful.trade.leverage: must be between"),
        ("live: {trade: {leverage: 99}}", "o.yaml:1:26: live.trade.leverage: must be between"),
    ],
)
def test_everything_has_its_place(text: str, problem: str) -> None:
    [found] = problems(text)
    assert found.startswith(problem)


def test_contradictions_are_shown_where_they_were_written_last() -> None:
    assert problems("""\
        global: {trade: {leverage_low: 4}}
        symbols:
          BTC: {indicators: {ema_fast_window: 60}}
          ETH: {trade: {leverage_medium: 2, leverage_low: 1}}
          SOL: {trade: {leverage_high: 2, leverage_low: 1}}
        """) == [
        "o.yaml:1:32: global.trade.leverage_low: must be at most trade.leverage_medium (these are 4 and 3)",
        "o.yaml:3:39: symbols.BTC.indicators.ema_fast_window: must be below indicators.ema_slow_window"
        " (these are 60 and 50)",
        "o.yaml:5:32: symbols.SOL.trade.leverage_high: contradicts trade.leverage_medium, which must be at most"
        " trade.leverage_high (these are 3 and 2)",
    ]


def test_a_mode_that_the_file_does_not_have_is_refused_with_a_suggestion() -> None:
    assert problems("modes: {flat: {}, careful: {}}", mode="falt") == [
        "o.yaml: modes.falt: AI_QUANT_STRATEGY_MODE asks for a mode that is not in the file (there are: flat, careful)"
        ", did you mean 'flat'?"
    ]


def test_keys_of_the_earlier_engine_without_effect_load_with_a_warning() -> None:
    book = read("""\
        global:
          engine: {loop_target_s: 60, entry_interval: 3m, interval: 1h}
          risk: {perf_stop: {enabled: true, anything: [goes]}}
        symbols: {BTC: {trade: {pullback_pct: 1}}}
        """)
    starts = [
        "o.yaml:2:12: global.engine.loop_target_s: has no effect: ",
        "o.yaml:2:31: global.engine.entry_interval: has no effect: ",
        "o.yaml:3:10: global.risk.perf_stop: is NOT in force yet: ",
        "o.yaml:4:25: symbols.BTC.trade.pullback_pct: has no effect: ",
    ]
    assert len(book.warnings) == len(starts)
    assert all(line.startswith(start) for line, start in zip(book.warnings, starts, strict=True))


def test_even_what_has_no_effect_must_not_stand_twice() -> None:
    assert problems("global: {engine: {loop_target_s: 1, loop_target_s: 2}}") == [
        "o.yaml:1:37: global.engine.loop_target_s: is there twice, first in line 1"
    ]


def test_unknown_symbols_warn_and_case_is_suggested() -> None:
    text = "global: {watchlist_exclude: [DOGE, XYZ]}\nsymbols: {kpepe: {}, BTC: {}}"
    book = parse_overrides(text, PATH, live_layers=False, known_symbols=["BTC", "DOGE", "kPEPE"])
    assert book.warnings == (
        "the overrides name 'XYZ', which is not in this market",
        "the overrides name 'kpepe', which is not in this market, did you mean 'kPEPE'?",
    )
    assert unknown_symbols(book, ["BTC", "DOGE", "XYZ", "kpepe"]) == ()


def test_a_look_that_found_nothing_to_read_is_refused_with_its_reason() -> None:
    look = OverridesText(PATH, None, "cannot be read: Permission denied", 0, 0, 0, 0)
    with pytest.raises(OverridesInvalid, match=r"^o\.yaml: cannot be read: Permission denied$"):
        OverridesParser(False).parse_look(look)


def test_no_file_means_defaults_unless_a_mode_was_asked_for() -> None:
    assert OverridesParser(False).defaults(PATH).for_symbol("BTC") == SymbolConfig()
    with pytest.raises(OverridesInvalid, match="asks for mode 'flat', but there is no such file"):
        OverridesParser(False, "flat").defaults(PATH)
    assert OverridesText(PATH, None, ABSENT, 0, 0, 0, 0).is_absent
