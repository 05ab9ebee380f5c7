"""Settings: what the environment, the overrides file and the defaults say, as one frozen value.

Environment beats `.env` beats the file's `engine.*` beats the default. Everything that is wrong
is collected, with the variable, what was given, what is allowed and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from config.environment import Written, is_secret, looks_like_a_key
from config.suggestions import did_you_mean
from config.variables import RISK_KEYS, VARIABLES, KillSwitch, LogFormat, LogLevel, Mode, Network, Variable
from config.yaml_tree import shortened
from domain.candles import Interval
from domain.field_rules import Kind, Refusal, SecretText, Value, read_value
from domain.strategy_config import ConfigLayer, Given, Place, StrategyBook
from domain.strategy_sections import DrawdownPolicy
from ports.strategy_config import ConfigProblem

SWITCH_WORDS = {"1": True, "0": False, **dict.fromkeys(("true", "yes", "y", "on"), True)}
SWITCH_WORDS |= dict.fromkeys(("false", "no", "n", "off"), False)

_CAUTION = Place("cautious default of live")
_SECONDS = {"s": 1, "m": 60, "h": 3_600}
_LOCAL_TIME_SCALE = 60.0
_LOOPBACK = re.compile(r"http://(127(\.[0-9]{1,3}){3}|localhost|\[::1\])(:|/|$)")
_ADDRESS_FIELDS = ("account_address", "vault_address")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a start needs to know besides the strategy's config. Its secrets are behind masks.

    `time_scale`: simulated milliseconds per real one. `symbols`: empty means all of the market.
    """

    mode: Mode
    network: Network
    seed: int
    run_for_s: int | None
    time_scale: float
    symbols: tuple[str, ...]
    top_n: int | None
    watchlist_refresh_s: int
    builder_dexes: tuple[str, ...]
    interval: Interval
    exit_interval: Interval | None
    signal_on_candle_close: bool
    candle_close_grace_ms: int
    paper_balance: Decimal
    strategy: str
    strategy_deadline_ms: int
    strategy_yaml: Path
    strategy_mode: str | None
    user_dir: Path
    db_path: Path
    market_db_path: Path
    accept_foreign_orders: bool
    from_store: bool
    decisions_keep: int
    record: bool
    sessions_dir: Path
    sessions_cap_gb: Decimal
    session_segment_mb: int
    log_level: LogLevel
    log_format: LogFormat
    heartbeat_secs: int
    alert_urls: SecretText | None
    alert_window_s: int
    alerts_per_hour: int
    ws_enable_candle: bool
    ws_rest_ms: int
    ws_enable_bbo: bool
    local_symbols: int
    risk_max_drawdown_pct: Decimal | None
    risk_max_daily_loss_usd: Decimal | None
    risk_max_entry_orders_per_min: int | None
    risk_max_entry_orders_per_min_per_symbol: int | None
    risk_max_total_notional_usd: Decimal | None
    risk_max_symbol_notional_usd: Decimal | None
    risk_max_side_notional_usd: Decimal | None
    risk_max_account_leverage: Decimal | None
    risk_notional_window_s: int | None
    risk_max_notional_per_window_usd: Decimal | None
    risk_drawdown_reduce_policy: DrawdownPolicy | None
    kill_switch: KillSwitch
    kill_switch_file: Path
    adopt_positions: bool
    schedule_cancel_s: int | None
    metrics_port: int | None
    log_file: Path | None
    log_file_mb: int
    log_files_kept: int
    venue_url: str | None
    account_address: str | None
    vault_address: str | None
    agent_key_file: Path | None
    agent_keystore: Path | None
    agent_keystore_passphrase_file: Path | None
    agent_key: SecretText | None
    master_key_consent: str | None
    live_enable: bool
    live_confirm: str | None


GivenSettings = Mapping[str, Given]
"""By field: what somebody set, with its origin. A field that is not in it has its default."""


def read_settings(written: Mapping[str, Written]) -> tuple[dict[str, Given], list[ConfigProblem]]:
    """Read each variable by its own rule."""
    given: dict[str, Given] = {}
    problems: list[ConfigProblem] = []
    for variable in VARIABLES:
        source = written.get(variable.name)
        if source is None:
            continue
        value = _read(variable, source.text.strip())
        if isinstance(value, Refusal):
            silent = variable.secret or is_secret(variable.name) or looks_like_a_key(source.text)
            message = value.message if silent else f"{value.message} (got '{shortened(source.text)}')"
            problems.append(ConfigProblem(source.place, variable.name, message + _near(variable, source.text)))
        else:
            given[variable.field] = Given(value, source.place, variable.name)
    return given, problems


def with_engine_section(given: GivenSettings, book: StrategyBook) -> dict[str, Given]:
    """Add what the overrides file says under `engine.` where the environment says nothing."""
    joined = dict(given)
    for variable in VARIABLES:
        found = book.given(None, f"engine.{variable.file_key}") if variable.file_key else None
        if found is not None and found.value is not None:
            joined.setdefault(variable.field, found)
    return joined


def risk_layer(given: GivenSettings) -> tuple[ConfigLayer, ...]:
    """The environment's risk limits as a layer that lies on top of the file."""
    limits = {key: given[field] for field, key in RISK_KEYS.items() if field in given}
    return (ConfigLayer(None, {"risk": limits}),) if limits else ()


def cautious_layer(settings: Settings) -> tuple[ConfigLayer, ...]:
    """What orders on a real network begin with, below the file: whoever wants more writes it down.

    The rehearsal (`dry_live`) has the same, so that it shows what live would do.
    """
    if settings.mode is Mode.PAPER or settings.network is Network.LOCAL:
        return ()
    values: dict[str, Value] = {"max_notional_usd_per_order": Decimal(25), "max_open_positions": 1}
    return (ConfigLayer(None, {"trade": {key: Given(value, _CAUTION, "") for key, value in values.items()}}),)


def resolve(given: GivenSettings, *, root: Path) -> tuple[Settings, list[ConfigProblem]]:
    """Fill in defaults, also those that follow from other settings. `root`: where default paths start."""
    chosen: dict[str, Any] = {variable.field: _default(variable) for variable in VARIABLES}
    chosen.update({field: entry.value for field, entry in given.items()})
    paper = chosen["mode"] is Mode.PAPER
    chosen["network"] = network = chosen["network"] or (Network.LOCAL if paper else Network.MAINNET)
    local = network is Network.LOCAL
    chosen["run_for_s"] = _seconds(chosen["run_for_s"])
    chosen["symbols"] = chosen["symbols"] or ()
    chosen["builder_dexes"] = chosen["builder_dexes"] or ()
    chosen["interval"] = chosen["interval"] or (Interval.M1 if local else Interval.H1)
    problems = _time_scale_problems(given, paper=paper, local=local)
    problems += _venue_problems(given, network)
    problems += _watchlist_problems(given, chosen)
    chosen["time_scale"] = chosen["time_scale"] or (_LOCAL_TIME_SCALE if paper and local else 1.0)
    chosen["strategy_yaml"] = _path(chosen["strategy_yaml"], default_overrides(root))
    for field in ("agent_key_file", "agent_keystore", "agent_keystore_passphrase_file", "log_file"):
        chosen[field] = None if chosen[field] is None else Path(chosen[field]).expanduser()
    chosen["user_dir"] = user_dir = _path(chosen["user_dir"], root / "user_data")
    chosen["db_path"] = ledger = _path(chosen["db_path"], user_dir / _ledger_name(chosen))
    chosen["kill_switch_file"] = _path(chosen["kill_switch_file"], ledger.with_suffix(".kill"))
    market = ledger.with_suffix(".market.sqlite") if local else user_dir / f"market-{network.value}.sqlite"
    chosen["market_db_path"] = _path(chosen["market_db_path"], market)
    chosen["sessions_dir"] = _path(chosen["sessions_dir"], user_dir / "sessions")
    return Settings(**chosen), problems


def default_overrides(root: Path) -> Path:
    return root / "config" / "strategy_overrides.yaml"


def _read(variable: Variable, text: str) -> Value | Refusal:
    if variable.rule.kind is not Kind.SYMBOLS:
        words = text.lower() if variable.rule.kind is Kind.SWITCH else text  # `1M` is a month, not a minute
        value = read_value(variable.rule, words, SWITCH_WORDS)
        return SecretText(value) if variable.secret and isinstance(value, str) else value
    symbols: list[str] = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        read = read_value(variable.rule, item)
        if isinstance(read, Refusal):
            shown = "one item" if looks_like_a_key(item) else f"'{shortened(item)}'"
            return Refusal(f"must be symbols, comma-separated, such as BTC,kPEPE; {shown} {read.message}")
        if item not in symbols:
            symbols.append(item)
    return tuple(symbols)


def _default(variable: Variable) -> Value:
    value = None if variable.default is None else _read(variable, variable.default)
    assert not isinstance(value, Refusal), f"the default of {variable.name} keeps its own rule"
    return value


def _near(variable: Variable, text: str) -> str:
    return did_you_mean(text.strip(), (word for word, _ in variable.rule.choices))


def _path(text: str | None, default: Path) -> Path:
    return default if text is None else Path(text).expanduser()


def _seconds(span: str | None) -> int | None:
    if span is None:
        return None
    return int(span.rstrip("smh")) * _SECONDS.get(span[-1], 1)


def _time_scale_problems(given: GivenSettings, *, paper: bool, local: bool) -> list[ConfigProblem]:
    entry = given.get("time_scale")
    if entry is None or (paper and local) or entry.value == 1:
        return []
    message = "time-lapse exists for paper on the local market only; remove it, or set it to 1"
    return [ConfigProblem(entry.place, entry.scope, message)]


def _venue_problems(given: GivenSettings, network: Network) -> list[ConfigProblem]:
    """Settings of venue, account and key that each keep their rule, and together cannot be meant."""
    problems = []

    def refuse(field: str, message: str) -> None:
        problems.append(ConfigProblem(given[field].place, given[field].scope, message))

    url = given.get("venue_url")
    if url is not None and str(url.value).startswith("http:") and _LOOPBACK.match(str(url.value)) is None:
        refuse("venue_url", "must be https://: signed orders would travel in the open (http is for this machine only)")
    account, vault = (str(given[field].value).lower() if field in given else None for field in _ADDRESS_FIELDS)
    if vault is not None and vault == account:
        refuse("vault_address", "is the account itself; remove it to trade for the account")
    if network is Network.MAINNET and "agent_key" in given:
        refuse(
            "agent_key",
            "is for testnet and the local venue: every child and tool of this user can read an environment. "
            "Remove it; `./aiq wallet import` puts the key into a file for AI_QUANT_AGENT_KEYSTORE",
        )
    return problems


def _watchlist_problems(given: GivenSettings, chosen: Mapping[str, Any]) -> list[ConfigProblem]:
    """Settings of what is watched that contradict each other."""
    problems = []

    def refuse(field: str, message: str) -> None:
        problems.append(ConfigProblem(given[field].place, given[field].scope, message))

    if "top_n" in given and chosen["symbols"]:
        refuse("top_n", "the symbols are named already, by AI_QUANT_SYMBOLS; remove one of the two")
    if "exit_interval" in given and chosen["exit_interval"].ms > chosen["interval"].ms:
        longest = chosen["interval"].value
        refuse("exit_interval", f"exits look more often than signals, not less: at most {longest}, the interval")
    if "builder_dexes" in given and chosen["mode"] is not Mode.PAPER:
        refuse("builder_dexes", "works in paper only: what an account holds on another dex is not read yet")
    return problems


def _ledger_name(chosen: Mapping[str, Any]) -> str:
    """A ledger belongs to one mode, network and account; so its name says them."""
    address = chosen["account_address"]
    account = f"-{address[:10].lower()}" if address and chosen["mode"] is not Mode.PAPER else ""
    return f"{chosen['mode'].value}-{chosen['network'].value}{account}.sqlite"
