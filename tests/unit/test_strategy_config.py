"""The strategy's config: defaults, rules of fields and between fields, layers, digest, origins."""

from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from decimal import Decimal
from typing import Any, get_type_hints

import pytest

from domain.candles import Interval
from domain.confidence import Confidence
from domain.field_rules import FieldRule, Kind, Refusal, read_value, text_of
from domain.strategy_config import (
    ConfigLayer,
    Given,
    MacdHistEntry,
    Place,
    StrategyBook,
    SymbolConfig,
    TradeConfig,
    Tree,
    book_of,
    changes_between,
    leaves,
)
from domain.strategy_rules import broken_rules, value_at
from domain.strategy_sections import DrawdownPolicy, EngineSection, RiskConfig

SECTIONS = (SymbolConfig(), RiskConfig(), EngineSection())


def every_field(section: Any) -> list[tuple[str, Any, Any, FieldRule]]:
    """Name, annotated type, default and rule of each field, sections opened up."""
    hints, found = get_type_hints(type(section)), []
    for entry in fields(section):
        value = getattr(section, entry.name)
        if is_dataclass(value):
            found += every_field(value)
        else:
            found.append((entry.name, hints[entry.name], value, entry.metadata["rule"]))
    return found


ALL_FIELDS = [field for section in SECTIONS for field in every_field(section)]


def given(value: Any, line: int = 1, scope: str = "global") -> Given:
    return Given(value, Place("o.yaml", line, 3), scope)


def layer(symbol: str | None = None, /, **trade: Any) -> ConfigLayer:
    scope = "global" if symbol is None else f"symbols.{symbol}"
    return ConfigLayer(symbol, {"trade": {key: given(value, 7, scope) for key, value in trade.items()}})


def test_the_defaults_are_the_earlier_engines_code_defaults() -> None:
    config = SymbolConfig()
    assert config.trade.allocation_pct == Decimal("0.03")
    leverages = (config.trade.leverage_low, config.trade.leverage_medium, config.trade.leverage_high)
    assert leverages == (Decimal(1), Decimal(3), Decimal(5))
    assert (config.trade.sl_atr_mult, config.trade.tp_atr_mult) == (2.0, 4.0)
    assert config.trade.entry_min_confidence is Confidence.HIGH
    assert config.trade.max_total_margin_pct == Decimal("0.60")
    assert (config.indicators.ema_fast_window, config.indicators.ema_slow_window) == (20, 50)
    assert config.filters.enable_ranging_filter and not config.filters.require_volume_confirmation
    assert not config.market_regime.enable_regime_filter and not config.market_regime.enable_regime_gate
    assert config.thresholds.entry.min_adx == 22
    assert config.thresholds.entry.macd_hist_entry_mode is MacdHistEntry.ACCEL
    assert config.thresholds.tp_and_momentum.tp_mult_strong == 7
    assert RiskConfig().max_entry_orders_per_minute == 30


def test_low_confidence_overrides_are_unset_by_default_and_not_zero() -> None:
    low_conf = [(name, value) for name, _, value, _ in ALL_FIELDS if name.endswith("_low_conf")]
    assert len(low_conf) == 7
    assert all(value is None for _, value in low_conf)


@pytest.mark.parametrize(("name", "hint", "default", "rule"), ALL_FIELDS)
def test_a_field_keeps_its_own_rule(name: str, hint: Any, default: Any, rule: FieldRule) -> None:
    expected: dict[Kind, tuple[Any, ...]] = {
        Kind.AMOUNT: (Decimal, Decimal | None),
        Kind.NUMBER: (float, float | None),
        Kind.COUNT: (int, int | None),
        Kind.SWITCH: (bool, bool | None),
        Kind.CHOICE: (Confidence, MacdHistEntry, DrawdownPolicy, Interval | None),
    }
    assert hint in expected[rule.kind]
    assert rule.optional == (default is None)
    assert rule.help and not rule.help.endswith(".")
    assert rule.kind in (Kind.SWITCH, Kind.CHOICE) or (rule.low is not None and rule.high is not None)
    # The default can be written down, and read back as itself with its own type.
    back = read_value(rule, text_of(default))
    assert back == default and type(back) is type(default)


@pytest.mark.parametrize(
    "name", ["allocation_pct", "leverage_high", "slippage_bps", "min_notional_usd", "tp_partial_pct"]
)
def test_what_multiplies_money_is_exact(name: str) -> None:
    assert isinstance(getattr(TradeConfig(), name), Decimal)


def test_the_defaults_break_no_rule_between_fields() -> None:
    assert broken_rules(SymbolConfig()) == ()


@pytest.mark.parametrize(
    ("section", "changes", "keys"),
    [
        ("indicators", {"ema_fast_window": 50}, ("indicators.ema_fast_window", "indicators.ema_slow_window")),
        ("trade", {"leverage_low": Decimal(4)}, ("trade.leverage_low", "trade.leverage_medium")),
        ("trade", {"leverage_max_cap": Decimal("0.999")}, ("trade.leverage_max_cap", "trade.leverage_max_cap")),
        (
            "trade",
            {"reentry_cooldown_min_mins": 181},
            ("trade.reentry_cooldown_min_mins", "trade.reentry_cooldown_max_mins"),
        ),
        ("trade", {"rsi_exit_lb_lo_profit": 80.0}, ("trade.rsi_exit_lb_lo_profit", "trade.rsi_exit_ub_lo_profit")),
        (
            "trade",
            {"max_notional_usd_per_order": Decimal(10), "min_notional_usd": Decimal(11)},
            ("trade.min_notional_usd", "trade.max_notional_usd_per_order"),
        ),
    ],
)
def test_contradictions_are_found(section: str, changes: dict[str, Any], keys: tuple[str, str]) -> None:
    whole = SymbolConfig()
    config = replace(whole, **{section: replace(getattr(whole, section), **changes)})
    assert [rule.keys for rule in broken_rules(config)] == [keys]


def test_an_unset_limit_contradicts_nothing() -> None:
    config = replace(SymbolConfig(), trade=replace(TradeConfig(), min_notional_usd=Decimal(5000)))
    assert broken_rules(config) == ()


def test_layers_lie_on_top_of_each_other_in_their_order() -> None:
    book = book_of(
        [
            layer(leverage_low=Decimal(2), max_open_positions=9),
            layer("BTC", leverage_low=Decimal("2.5"), entry_cooldown_s=1),
            layer(max_open_positions=1, entry_cooldown_s=2),
            layer("BTC", entry_cooldown_s=3),
        ]
    )
    btc, eth = book.for_symbol("BTC").trade, book.for_symbol("ETH").trade
    assert (btc.leverage_low, btc.max_open_positions, btc.entry_cooldown_s) == (Decimal("2.5"), 1, 3)
    assert (eth.leverage_low, eth.max_open_positions, eth.entry_cooldown_s) == (Decimal(2), 1, 2)


def test_one_symbols_overrides_do_not_reach_another_nor_a_later_book() -> None:
    tree: Tree = {"trade": {"leverage_low": given(Decimal(2))}}
    first = book_of([ConfigLayer("BTC", tree)])
    assert first.for_symbol("ETH") == SymbolConfig()
    assert book_of([]).for_symbol("BTC") == SymbolConfig()
    assert tree == {"trade": {"leverage_low": given(Decimal(2))}}


def test_symbols_are_case_sensitive() -> None:
    book = book_of([layer("kPEPE", leverage_low=Decimal(2))])
    assert book.for_symbol("KPEPE").trade.leverage_low == 1


def test_nothing_that_comes_out_can_be_changed() -> None:
    book = book_of([layer("BTC", leverage_low=Decimal(2))])
    with pytest.raises(FrozenInstanceError):
        book.for_symbol("BTC").trade.leverage_low = Decimal(9)  # type: ignore[misc]


def test_an_origin_names_the_highest_layer_that_has_the_key() -> None:
    book = book_of([layer(leverage_low=Decimal(2)), layer("BTC", leverage_low=Decimal(3))])
    assert book.origin("BTC", "trade.leverage_low") == "o.yaml:7:3 (symbols.BTC)"
    assert book.origin("ETH", "trade.leverage_low") == "o.yaml:7:3 (global)"
    assert book.origin("BTC", "trade.leverage_high") == "default"


def test_shared_keys_are_resolved_for_all_symbols_together() -> None:
    tree: Tree = {
        "risk": {"max_drawdown_pct": given(Decimal(15))},
        "engine": {"interval": given(Interval.M15)},
        "watchlist_exclude": given(("DOGE",)),
    }
    book = book_of([ConfigLayer(None, tree), ConfigLayer(None, {"watchlist_exclude": given(("XRP",))})])
    assert book.risk.max_drawdown_pct == 15
    assert book.engine.interval is Interval.M15
    assert book.watchlist_exclude == ("XRP",), "a list replaces the one below"


def digest(*layers: ConfigLayer) -> str:
    return book_of(layers).digest


def test_the_digest_says_what_is_in_force_and_nothing_else() -> None:
    low = layer(leverage_low=Decimal(2))
    elsewhere = ConfigLayer(None, {"trade": {"leverage_low": given(Decimal("2.00"), 99, "live")}})
    assert digest(low) == digest(elsewhere), "neither place nor spelling matters"
    assert digest(layer(leverage_low=Decimal(1))) == digest(), "writing a default down changes nothing"
    assert digest(layer("BTC", leverage_low=Decimal(1))) == digest()
    assert digest(low) != digest()
    assert digest(layer("BTC", leverage_low=Decimal(2))) not in (digest(low), digest())
    assert digest(layer("BTC", leverage_low=Decimal(2))) != digest(layer("ETH", leverage_low=Decimal(2)))


def test_the_digest_covers_risk_and_watchlist_but_not_the_engine() -> None:
    assert digest(ConfigLayer(None, {"risk": {"max_drawdown_pct": given(Decimal(15))}})) != digest()
    assert digest(ConfigLayer(None, {"watchlist_exclude": given(("A", "B"))})) != digest()
    assert digest(ConfigLayer(None, {"engine": {"interval": given(Interval.M15)}})) == digest()


def test_changes_name_what_everyone_gets_once_and_then_what_symbols_get() -> None:
    before = book_of([layer("BTC", leverage_low=Decimal(2))])
    after = book_of([layer(max_open_positions=1), layer("BTC", leverage_low=Decimal(3))])
    assert [str(change) for change in changes_between(before, after)] == [
        "trade.max_open_positions: 20 -> 1",
        "BTC trade.leverage_low: 2 -> 3",
    ]
    assert changes_between(after, after) == ()


def test_every_key_can_be_looked_up_by_its_dotted_name() -> None:
    config = SymbolConfig()
    assert {key: value_at(config, key) for key, _ in leaves(config)} == dict(leaves(config))


def test_confidence_is_ordered_and_spelled_in_lower_case() -> None:
    assert Confidence.LOW < Confidence.MEDIUM < Confidence.HIGH
    assert [step.text for step in Confidence] == ["low", "medium", "high"]


def test_a_book_is_found_by_value_in_a_worker_process() -> None:
    import pickle

    book = book_of([layer("BTC", leverage_low=Decimal(2))])
    back = pickle.loads(pickle.dumps(book))
    assert isinstance(back, StrategyBook)
    assert back.digest == book.digest and back.for_symbol("BTC") == book.for_symbol("BTC")


RULE = FieldRule(Kind.NUMBER, "a share", Decimal("0.1"), Decimal(1))


@pytest.mark.parametrize("text", ["0.1", "1", "1e0", "1.0", "5E-1", "+0.5"])
def test_numbers_as_people_write_them_are_read(text: str) -> None:
    assert isinstance(read_value(RULE, text), float)


NO_NUMBERS = (
    """010 0.09 1.01 1e .5 5. 1_0 1,0 12:30 .nan nan NaN inf -.inf 0x1 \N{ARABIC-INDIC DIGIT THREE} 1e999 true one"""
)


@pytest.mark.parametrize("text", [*NO_NUMBERS.split(), "", " 1", "1\n", "1" * 25, "0" * 30])
def test_everything_else_is_refused_where_a_number_is_wanted(text: str) -> None:
    assert isinstance(read_value(RULE, text), Refusal)


@pytest.mark.parametrize("text", ["1e-100", "1e\N{ARABIC-INDIC DIGIT THREE}", "0.1e-400"])
def test_a_number_too_small_to_be_meant_is_refused_instead_of_becoming_zero(text: str) -> None:
    assert isinstance(read_value(FieldRule(Kind.NUMBER, "", Decimal(0), Decimal(1)), text), Refusal)
