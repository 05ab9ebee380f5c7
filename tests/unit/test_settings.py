"""Settings from the environment, `.env` and the overrides file: defaults, precedence, messages, origins."""

import dataclasses
from decimal import Decimal
from pathlib import Path

import pytest

from config.environment import ENVIRONMENT, Written, gather, unknown_variables
from config.explain import MASK, masked, override_rows, setting_rows
from config.load import Configuration, load_configuration, project_root
from config.settings import Settings, read_settings, resolve
from config.variables import VARIABLES, KillSwitch, LogFormat, Mode, Network
from domain.candles import Interval
from ports.strategy_config import ConfigError

ROOT = Path("/home/of/daemon")
REPOSITORY = Path(__file__).resolve().parents[2]


def settings(**variables: str) -> Settings:
    """Settings of an environment; names without their prefix."""
    found, wrong = _resolved(variables)
    assert wrong == []
    return found


def problems(**variables: str) -> list[str]:
    return _resolved(variables)[1]


def _resolved(variables: dict[str, str]) -> tuple[Settings, list[str]]:
    written = {f"AI_QUANT_{name}": Written(text, ENVIRONMENT) for name, text in variables.items()}
    given, wrong = read_settings(written)
    found, contradictions = resolve(given, root=ROOT)
    return found, [str(problem) for problem in (*wrong, *contradictions)]


def test_without_any_setting_paper_runs_on_the_local_market_in_time_lapse() -> None:
    found = settings()
    assert (found.mode, found.network, found.time_scale) == (Mode.PAPER, Network.LOCAL, 60.0)
    assert (found.seed, found.run_for_s, found.symbols, found.local_symbols) == (7, None, (), 100)
    assert (found.interval, found.signal_on_candle_close, found.candle_close_grace_ms) == (Interval.M1, True, 1_000)
    assert found.paper_balance == Decimal(10_000)
    assert (found.strategy, found.strategy_mode) == ("mei_alpha_v1", None)
    assert found.strategy_yaml == ROOT / "config" / "strategy_overrides.yaml"
    assert found.db_path == ROOT / "user_data" / "paper-local.sqlite"
    assert found.market_db_path == ROOT / "user_data" / "paper-local.market.sqlite"
    assert (found.log_format, found.live_enable, found.live_confirm) == (LogFormat.AUTO, False, None)


@pytest.mark.parametrize("mode", ["live", "dry_live"])
def test_live_modes_are_on_mainnet_in_real_time_on_hourly_candles(mode: str) -> None:
    found = settings(MODE=mode)
    assert (found.network, found.time_scale, found.interval) == (Network.MAINNET, 1.0, Interval.H1)
    assert found.db_path == ROOT / "user_data" / f"{mode}-mainnet.sqlite"
    assert found.market_db_path == ROOT / "user_data" / "market-mainnet.sqlite"


def test_paper_on_mainnet_runs_in_real_time() -> None:
    found = settings(NETWORK="mainnet")
    assert (found.mode, found.time_scale, found.interval) == (Mode.PAPER, 1.0, Interval.H1)


def test_live_on_the_local_market_runs_in_real_time() -> None:
    assert settings(MODE="live", NETWORK="local").time_scale == 1.0


def test_a_ledger_is_named_after_the_account_too() -> None:
    address = "0xABCDEF01" + "0" * 32
    assert settings(MODE="live", ACCOUNT_ADDRESS=address).db_path.name == "live-mainnet-0xabcdef01.sqlite"
    assert settings(ACCOUNT_ADDRESS=address).db_path.name == "paper-local.sqlite"


def test_a_ledger_elsewhere_takes_the_local_candles_with_it() -> None:
    found = settings(DB_PATH="/elsewhere/seed-3.sqlite")
    assert found.market_db_path == Path("/elsewhere/seed-3.market.sqlite")
    assert settings(DB_PATH="/e/x.sqlite", MARKET_DB_PATH="/e/m.sqlite").market_db_path == Path("/e/m.sqlite")


@pytest.mark.parametrize(("text", "seconds"), [("20", 20), ("20s", 20), ("5m", 300), ("1h", 3_600)])
def test_a_span_may_name_its_unit(text: str, seconds: int) -> None:
    assert settings(RUN_FOR=text).run_for_s == seconds


@pytest.mark.parametrize("word", ["1", "true", "TRUE", "yes", "y", "on"])
def test_words_that_switch_on(word: str) -> None:
    assert settings(LIVE_ENABLE=word).live_enable


@pytest.mark.parametrize("word", ["0", "false", "no", "N", "off"])
def test_words_that_switch_off(word: str) -> None:
    assert not settings(WS_ENABLE_BBO=word).ws_enable_bbo


def test_symbols_keep_their_case_and_come_once() -> None:
    assert settings(SYMBOLS=" BTC, kPEPE,BTC,").symbols == ("BTC", "kPEPE")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("MODE", "lve", "must be one of paper, dry_live, live (got 'lve'), did you mean 'live'?"),
        ("MODE", "Paper", "must be one of paper, dry_live, live (got 'Paper'), did you mean 'paper'?"),
        (
            "INTERVAL",
            "1M",
            "must be one of 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 8h, 12h, 1d (got '1M'), did you mean '1m'?",
        ),
        ("CANDLE_CLOSE_GRACE_MS", "-1", "must be between 0 and 60000 (got '-1')"),
        ("SEED", "x", "must be a whole number (got 'x')"),
        ("PAPER_BALANCE", "nan", "must be a decimal number; it has to be finite (got 'nan')"),
        ("LIVE_ENABLE", "maybe", "must be 1 or 0 (got 'maybe')"),
        ("RUN_FOR", "0", "must be a span such as 20 (seconds), 20s, 5m or 1h (got '0')"),
        ("STRATEGY", "my strategy", "must be mei_alpha_v1, or module:function (got 'my strategy')"),
        ("ACCOUNT_ADDRESS", "0x12", "must be 0x and 40 hexadecimal digits (got '0x12')"),
        ("SYMBOLS", "BTC,E TH", "must be symbols, comma-separated, such as BTC,kPEPE; 'E TH' is not a symbol's name"),
        ("TIME_SCALE", "0.5", "must be between 1 and 3600 (got '0.5')"),
    ],
)
def test_a_problem_names_the_variable_the_value_and_what_is_allowed(name: str, text: str, message: str) -> None:
    [problem] = problems(**{name: text})
    assert problem.startswith(f"environment: AI_QUANT_{name}: {message}")


def test_all_problems_come_at_once() -> None:
    assert len(problems(MODE="x", SEED="x", INTERVAL="x")) == 3


@pytest.mark.parametrize("where", [{"MODE": "live"}, {"MODE": "live", "NETWORK": "local"}, {"NETWORK": "mainnet"}])
def test_time_lapse_is_for_paper_on_the_local_market(where: dict[str, str]) -> None:
    [problem] = problems(**where, TIME_SCALE="60")
    assert problem.startswith("environment: AI_QUANT_TIME_SCALE: time-lapse exists for paper on the local market only")
    assert settings(**where, TIME_SCALE="1").time_scale == 1.0


def test_time_lapse_can_be_set_where_it_exists() -> None:
    assert settings(TIME_SCALE="1").time_scale == 1.0
    assert settings(TIME_SCALE="120").time_scale == 120.0


def test_every_variable_is_a_field_of_the_settings_and_the_other_way_round() -> None:
    assert {variable.field for variable in VARIABLES} == {field.name for field in dataclasses.fields(Settings)}


# --- the environment and .env ---


def test_the_environment_beats_dotenv_and_an_empty_value_is_none() -> None:
    dotenv = "A=1\nexport B='two words'  # why\nC=\"#3\"\nD=4 # four\n# E=5\n\nF=\n"
    written, wrong = gather({"A": "9", "D": ""}, dotenv)
    assert wrong == []
    assert {name: entry.text for name, entry in written.items()} == {"A": "9", "B": "two words", "C": "#3", "D": "4"}
    assert str(written["B"].place) == ".env:2:1"


def test_what_is_wrong_in_dotenv_is_named_without_its_content() -> None:
    _, wrong = gather({}, "AI_QUANT_SEED=1\nAI_QUANT_SEED=2\nAI_QUANT_MODE paper-secret\nnot ours at all\n")
    assert [str(problem) for problem in wrong] == [
        ".env:2:1: AI_QUANT_SEED: is there twice, first in line 1",
        ".env:3:1: must be NAME=VALUE",
    ]


def test_unknown_variables_warn_with_a_suggestion() -> None:
    assert unknown_variables({"AI_QUANT_SYMBOL": "BTC", "PATH": "x", "AI_QUANT_MODE": "paper"}) == (
        "AI_QUANT_SYMBOL is unknown and has no effect, did you mean 'AI_QUANT_SYMBOLS'?",
    )


def test_variables_of_the_earlier_engine_warn_with_the_reason() -> None:
    warnings = unknown_variables(
        {"AI_QUANT_LOOKBACK_BARS": "200", "AI_QUANT_RISK_HEAT_ENABLED": "1", "HL_DEFAULT_LEVERAGE": "3"}
    )
    assert warnings == (
        "AI_QUANT_LOOKBACK_BARS has no effect: warm-up is always 600 candles, three times the longest window",
        "AI_QUANT_RISK_HEAT_ENABLED is NOT in force yet: the risk guard does not know this limit yet",
        "HL_DEFAULT_LEVERAGE has no effect: use trade.leverage in the overrides file",
    )


def test_a_warning_never_shows_a_value() -> None:
    assert "hunter2" not in "".join(unknown_variables({"AI_QUANT_PRIVATE_KEY": "hunter2"}))


# --- everything together ---


@pytest.mark.parametrize("text", ["1", "on", "halt"])
def test_a_switch_that_nothing_obeys_any_more_stops_the_start(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"HARD_KILL_SWITCH.*close_only ends entries, =halt closes everything"):
        load(tmp_path, HARD_KILL_SWITCH=text)


def test_a_switch_that_is_off_says_nothing_to_anybody(tmp_path: Path) -> None:
    assert load(tmp_path, HARD_KILL_SWITCH="0").settings.kill_switch is KillSwitch.OFF


def load(folder: Path, overrides: str | None = "global: {}\n", dotenv: str = "", **variables: str) -> Configuration:
    (folder / "config").mkdir(exist_ok=True)
    if overrides is not None:
        (folder / "config" / "strategy_overrides.yaml").write_text(overrides)
    (folder / ".env").write_text(dotenv)
    environ = {f"AI_QUANT_{name}": text for name, text in variables.items()}
    return load_configuration(environ, root=folder, cwd=folder, seen_ms=5)


def test_environment_beats_dotenv_beats_file_beats_default(tmp_path: Path) -> None:
    overrides = "global:\n  engine: {interval: 15m, heartbeat_every_s: 5, candle_close_grace_ms: 2000}\n"
    found = load(tmp_path, overrides, "AI_QUANT_INTERVAL=5m\nAI_QUANT_HEARTBEAT_SECS=7\n", INTERVAL="3m")
    assert found.settings.interval is Interval.M3
    assert found.settings.heartbeat_secs == 7
    assert found.settings.candle_close_grace_ms == 2_000
    assert found.settings.signal_on_candle_close is True


def test_every_value_knows_where_it_came_from(tmp_path: Path) -> None:
    overrides = "global:\n  engine: {candle_close_grace_ms: 2000}\n"
    found = load(tmp_path, overrides, "AI_QUANT_HEARTBEAT_SECS=7\n", INTERVAL="3m", RISK_MAX_DRAWDOWN_PCT="12")
    rows = {row.key: (row.value, row.origin) for row in setting_rows(found)}
    assert rows["AI_QUANT_INTERVAL"] == ("3m", "environment (AI_QUANT_INTERVAL)")
    assert rows["AI_QUANT_HEARTBEAT_SECS"] == ("7", ".env:1:1 (AI_QUANT_HEARTBEAT_SECS)")
    assert rows["AI_QUANT_CANDLE_CLOSE_GRACE_MS"] == ("2000", "config/strategy_overrides.yaml:2:35 (global)")
    assert rows["AI_QUANT_MODE"] == ("paper", "default")
    assert rows["AI_QUANT_DB_PATH"] == (str(tmp_path / "user_data" / "paper-local.sqlite"), "default")
    assert len(rows) == len(VARIABLES)
    shared = {row.key: row for row in override_rows(found.book, "BTC")}
    assert shared["risk.max_drawdown_pct"].origin == "environment (AI_QUANT_RISK_MAX_DRAWDOWN_PCT)"
    assert shared["trade.leverage"].origin == "default"


def test_the_environments_risk_limits_beat_the_file_also_after_a_reload(tmp_path: Path) -> None:
    found = load(tmp_path, "global: {risk: {max_drawdown_pct: 50}}", RISK_MAX_DRAWDOWN_PCT="12")
    assert found.book.risk.max_drawdown_pct == 12
    assert found.parser.parse("global: {risk: {max_drawdown_pct: 99}}", "o.yaml").risk.max_drawdown_pct == 12


def test_problems_of_variables_and_of_the_file_come_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "global: {trade: {leverage: 99}}", "AI_QUANT_SEED=x\n", MODE="lve")
    assert [str(problem).split(": must")[0] for problem in caught.value.problems] == [
        ".env:1:1: AI_QUANT_SEED",
        "config/strategy_overrides.yaml:1:28: global.trade.leverage",
        "environment: AI_QUANT_MODE",
    ]


def test_live_layers_are_in_force_in_live_and_dry_live_only(tmp_path: Path) -> None:
    overrides = "live: {trade: {max_open_positions: 1}}"
    counts = {
        mode: load(tmp_path, overrides, MODE=mode).book.everyone.trade.max_open_positions
        for mode in ("paper", "dry_live", "live")
    }
    assert counts == {"paper": 20, "dry_live": 1, "live": 1}


def test_no_file_means_defaults_and_says_so(tmp_path: Path) -> None:
    found = load(tmp_path, None)
    assert found.warnings == ("config/strategy_overrides.yaml: there is no such file; defaults are in force",)


def test_a_file_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, STRATEGY_YAML=str(tmp_path / "mine.yaml"))
    assert str(caught.value) == "environment: AI_QUANT_STRATEGY_YAML: there is no such file (got 'mine.yaml')"


def test_an_empty_file_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="to mean no overrides"):
        load(tmp_path, "# nothing yet\n")


def test_a_dotenv_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"\.env: cannot be read as UTF-8 text"):
        load_configuration({}, root=tmp_path, cwd=tmp_path, seen_ms=0)


def test_secrets_are_masked() -> None:
    assert masked("AI_QUANT_PRIVATE_KEY", "hunter2") == MASK
    assert masked("AI_QUANT_WEB_TOKEN", "") == ""
    assert masked("AI_QUANT_SEED", "7") == "7"


def test_the_shipped_file_changes_nothing_and_its_examples_are_valid() -> None:
    found = load_configuration({}, root=REPOSITORY, cwd=REPOSITORY / "tests", seen_ms=0)
    assert found.warnings == ()
    assert found.book.layers[0].tree == {}
    assert found.first.content is not None
    header, _, examples = found.first.content.partition("# Examples, to be put in place of the last line:\n#\n")
    assert header
    text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in examples.splitlines() if line != "global: {}")
    book = found.parser.parse(text, "examples")
    assert book.warnings == ()
    assert book.for_symbol("BTC").trade.leverage_high == 4


def test_the_project_is_the_checkout_that_the_code_lies_in(tmp_path: Path) -> None:
    assert project_root(tmp_path) == REPOSITORY
