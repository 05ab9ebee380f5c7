"""Every AI_QUANT_* variable: its rule, its default and its meaning. `.env.example` is written from this."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from decimal import Decimal

from domain.candles import Interval
from domain.field_rules import FieldRule, Kind, text_of
from domain.strategy_sections import DrawdownPolicy

PREFIX = "AI_QUANT_"
LIVE_CONFIRMATION = "I_UNDERSTAND_THIS_CAN_LOSE_MONEY"
MASTER_KEY_CONSENT = "I_ACCEPT_A_KEY_THAT_CAN_WITHDRAW"


class Mode(enum.Enum):
    PAPER = "paper"
    DRY_LIVE = "dry_live"
    LIVE = "live"


class Network(enum.Enum):
    """Where the venue is. `local` is our own, simulated, without internet."""

    LOCAL = "local"
    MAINNET = "mainnet"
    TESTNET = "testnet"


class KillSwitch(enum.Enum):
    """What the environment shuts at start."""

    OFF = "off"
    CLOSE_ONLY = "close_only"
    HALT = "halt"


class LogLevel(enum.Enum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(enum.Enum):
    """`auto`: text on a terminal, JSON otherwise."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Variable:
    """One setting. `default` is a text, read like any other; None with `default_words` says what happens without.

    `file_key`: the key under `engine.` in the overrides file that sets it too; the environment wins.
    `secret`: the value itself is one, and stands in the settings behind a mask.
    """

    field: str
    rule: FieldRule
    default: str | None
    default_words: str = ""
    own_name: str = ""
    file_key: str = ""
    secret: bool = False

    @property
    def name(self) -> str:
        return self.own_name or PREFIX + self.field.upper()

    @property
    def default_shown(self) -> str:
        return self.default_words or self.default or ""


def _word(options: type[enum.Enum], help: str) -> FieldRule:
    return FieldRule(Kind.CHOICE, help, choices=tuple((text_of(option), option) for option in options))


def _whole(low: int, high: int, help: str) -> FieldRule:
    return FieldRule(Kind.COUNT, help, Decimal(low), Decimal(high))


def _text(help: str, pattern: str = "", pattern_words: str = "") -> FieldRule:
    return FieldRule(Kind.TEXT, help, pattern=pattern, pattern_words=pattern_words)


def _amount(low: str, high: str, help: str) -> FieldRule:
    return FieldRule(Kind.AMOUNT, help, Decimal(low), Decimal(high))


def _switch(help: str) -> FieldRule:
    return FieldRule(Kind.SWITCH, help)


_NOT_SET = "not set"
_RISK = "; beats the overrides file"
_SCALE = FieldRule(Kind.NUMBER, "time-lapse; only for paper on the local market", Decimal(1), Decimal(3600))
_DURATION = ("[1-9][0-9]{0,6}[smh]?", "a span such as 20 (seconds), 20s, 5m or 1h")
_MODE_NAME = ("[A-Za-z0-9_-]{1,40}", "a mode's name: letters, digits, _ and -")
_STRATEGY = (r"mei_alpha_v1|[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*", "mei_alpha_v1, or module:function")
_ADDRESS = ("0x[0-9a-fA-F]{40}", "0x and 40 hexadecimal digits")
_HOST = r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])"
_URL = (rf"https?://{_HOST}(:[0-9]{{1,5}})?/?", "a URL without a path, such as http://127.0.0.1:8080")
_FILE = (r"(~|\.{1,2})?/[^\x00]+", "a file's path that starts with / or ~/ or ./")
_KEY = ("(0x)?[0-9a-fA-F]{64}", "64 hexadecimal digits, with 0x or without")
_ALERT_URLS = (r"[A-Za-z][A-Za-z0-9+.-]*://\S.*", "apprise URLs, comma-separated, such as tgram://TOKEN/CHAT")
_CONSENT = (MASTER_KEY_CONSENT, f"not set, or {MASTER_KEY_CONSENT}")

VARIABLES = (
    Variable("mode", _word(Mode, "what orders do"), "paper"),
    Variable("network", _word(Network, "where the venue is"), None, "local in paper, mainnet otherwise"),
    Variable("seed", _whole(0, 2**32 - 1, "seed of everything simulated"), "7"),
    Variable("run_for_s", _text("stop after this time", *_DURATION), None, _NOT_SET, own_name="AI_QUANT_RUN_FOR"),
    Variable("time_scale", _SCALE, None, "60 for paper on the local market, 1 otherwise"),
    Variable(
        "symbols",
        FieldRule(Kind.SYMBOLS, "the watchlist, comma-separated, case-sensitive", pattern_words="such as BTC,kPEPE"),
        None,
        "all of the market",
    ),
    Variable("top_n", _whole(1, 500, "watch so many of the most traded symbols instead"), None, _NOT_SET),
    Variable("watchlist_refresh_s", _whole(60, 86_400, "seconds between two looks at who is most traded"), "600"),
    Variable(
        "builder_dexes",
        FieldRule(Kind.SYMBOLS, "builder dexes to watch in paper, for names as xyz:CL", pattern_words="such as xyz"),
        None,
        _NOT_SET,
    ),
    Variable(
        "interval",
        _word(Interval, "candle that signals come from"),
        None,
        "1m on the local market, 1h otherwise",
        file_key="interval",
    ),
    Variable(
        "exit_interval",
        _word(Interval, "candle at whose close indicators may end a position; stops are looked at on every price"),
        None,
        "exits are looked at on every price",
        file_key="exit_interval",
    ),
    Variable("signal_on_candle_close", _switch("decide on closed candles"), "1", file_key="signal_on_candle_close"),
    Variable(
        "candle_close_grace_ms",
        _whole(0, 60_000, "wait after a candle's end before it counts as closed"),
        "1000",
        file_key="candle_close_grace_ms",
    ),
    Variable("paper_balance", _amount("10", "1000000000", "cash of a new paper account, USD"), "10000"),
    Variable("strategy", _text("the strategy", *_STRATEGY), "mei_alpha_v1"),
    Variable("strategy_deadline_ms", _whole(10, 600_000, "time a strategy of yours has for one batch"), "5000"),
    Variable("strategy_yaml", _text("the overrides file"), None, "config/strategy_overrides.yaml of this project"),
    Variable("strategy_mode", _text("mode of the overrides file to put on top", *_MODE_NAME), None, _NOT_SET),
    Variable("user_dir", _text("folder of everything that is written"), None, "user_data of this project"),
    Variable("db_path", _text("the ledger"), None, "{mode}-{network}.sqlite in the user folder"),
    Variable(
        "market_db_path",
        _text("the candles"),
        None,
        "market-{network}.sqlite in the user folder; on the local market beside the ledger",
    ),
    Variable(
        "accept_foreign_orders",
        _switch(
            "lift the stop of entries after an order of another daemon, or of a lost ledger, was seen: at one start"
        ),
        "0",
    ),
    Variable("from_store", _switch("start only symbols whose candles are stored; of the others nothing is asked"), "0"),
    Variable("decisions_keep", _whole(1_000, 1_000_000_000, "newest decisions to keep, in rows"), "1000000"),
    Variable("record", _switch("record every run, so that it can be replayed"), "1"),
    Variable("sessions_dir", _text("folder of the recorded sessions"), None, "sessions in the user folder"),
    Variable(
        "sessions_cap_gb",
        _amount("0.001", "1000000", "recorded sessions take at most so many GB; oldest go first"),
        "5",
    ),
    Variable(
        "session_segment_mb", _whole(1, 1_024, "a session's next file begins after so many MiB, uncompressed"), "64"
    ),
    Variable("log_level", _word(LogLevel, "least level to log"), "info"),
    Variable("log_format", _word(LogFormat, "auto: text on a terminal, JSON otherwise"), "auto"),
    Variable(
        "heartbeat_secs", _whole(1, 3_600, "seconds between two heartbeat lines"), "30", file_key="heartbeat_every_s"
    ),
    Variable(
        "alert_urls",
        _text("where alerts go besides the log; needs the extra `alerts`", *_ALERT_URLS),
        None,
        _NOT_SET,
        secret=True,
    ),
    Variable("alert_window_s", _whole(1, 86_400, "an alert about one subject goes out once in so many seconds"), "900"),
    Variable("alerts_per_hour", _whole(1, 1_000, "alerts go out so often at most; critical ones always do"), "30"),
    Variable("ws_enable_candle", _switch("candles over the WebSocket; off: asked for when they have closed"), "1"),
    Variable(
        "ws_rest_ms", _whole(0, 1_000, "market data are read so often, in ms; the account's at once in any case"), "80"
    ),
    Variable("ws_enable_bbo", _switch("best bid and ask over the WebSocket; off: one stream of all mid prices"), "1"),
    Variable("local_symbols", _whole(1, 2_000, "symbols of the local market"), "100"),
    Variable("risk_max_drawdown_pct", _amount("0", "100", "risk.max_drawdown_pct" + _RISK), None, _NOT_SET),
    Variable("risk_max_daily_loss_usd", _amount("0", "1000000000", "risk.max_daily_loss_usd" + _RISK), None, _NOT_SET),
    Variable(
        "risk_max_entry_orders_per_min", _whole(1, 1_000, "risk.max_entry_orders_per_minute" + _RISK), None, _NOT_SET
    ),
    Variable(
        "risk_max_entry_orders_per_min_per_symbol",
        _whole(1, 1_000, "risk.max_entry_orders_per_minute_per_symbol" + _RISK),
        None,
        _NOT_SET,
    ),
    Variable(
        "risk_max_total_notional_usd", _amount("0", "1000000000", "risk.max_total_notional_usd" + _RISK), None, _NOT_SET
    ),
    Variable(
        "risk_max_symbol_notional_usd",
        _amount("0", "1000000000", "risk.max_symbol_notional_usd" + _RISK),
        None,
        _NOT_SET,
    ),
    Variable(
        "risk_max_side_notional_usd", _amount("0", "1000000000", "risk.max_side_notional_usd" + _RISK), None, _NOT_SET
    ),
    Variable("risk_max_account_leverage", _amount("0", "50", "risk.max_account_leverage" + _RISK), None, _NOT_SET),
    Variable("risk_notional_window_s", _whole(1, 3_600, "risk.notional_window_s" + _RISK), None, _NOT_SET),
    Variable(
        "risk_max_notional_per_window_usd",
        _amount("0", "1000000000", "risk.max_notional_per_window_usd" + _RISK),
        None,
        _NOT_SET,
    ),
    Variable(
        "risk_drawdown_reduce_policy",
        _word(DrawdownPolicy, "risk.drawdown_reduce_policy" + _RISK),
        None,
        _NOT_SET,
    ),
    Variable(
        "kill_switch",
        FieldRule(
            Kind.CHOICE,
            "shuts the kill latch at start: close_only lets exits go on, halt closes everything; `./aiq kill --clear` "
            "opens it again",
            choices=(
                ("off", KillSwitch.OFF),
                ("close_only", KillSwitch.CLOSE_ONLY),
                ("halt", KillSwitch.HALT),
                ("0", KillSwitch.OFF),
                ("1", KillSwitch.CLOSE_ONLY),
                ("on", KillSwitch.CLOSE_ONLY),
            ),
        ),
        "off",
    ),
    Variable(
        "kill_switch_file",
        _text("a file that shuts the kill latch as soon as it is there; its text: soft or hard"),
        None,
        "beside the ledger, with the ending .kill",
    ),
    Variable(
        "adopt_positions",
        _switch("take positions that were open before this ledger began into our care: stops, targets, exits"),
        "0",
    ),
    Variable(
        "schedule_cancel_s",
        _whole(
            10,
            86_400,
            "have the venue cancel every order once this daemon is silent for so long, while no stop rests",
        ),
        None,
        _NOT_SET,
    ),
    Variable("metrics_port", _whole(1, 65_535, "serve /metrics and /healthz on this port of loopback"), None, _NOT_SET),
    Variable("log_file", _text("write the log to this file too", *_FILE), None, _NOT_SET),
    Variable("log_file_mb", _whole(1, 10_000, "begin the next log file after so many MB"), "50"),
    Variable("log_files_kept", _whole(1, 1_000, "log files to keep, the oldest go first"), "10"),
    Variable("venue_url", _text("where the venue is, if not at the network's own place", *_URL), None, _NOT_SET),
    Variable("account_address", _text("master account, never the agent's address", *_ADDRESS), None, _NOT_SET),
    Variable("vault_address", _text("vault or sub-account to trade for", *_ADDRESS), None, _NOT_SET),
    Variable("agent_key_file", _text("file (0600) that holds the agent's key", *_FILE), None, _NOT_SET),
    Variable("agent_keystore", _text("encrypted keystore (0600) of the agent's key", *_FILE), None, _NOT_SET),
    Variable("agent_keystore_passphrase_file", _text("file (0600) that holds its passphrase", *_FILE), None, _NOT_SET),
    Variable("agent_key", _text("the agent's key itself; testnet and local only", *_KEY), None, _NOT_SET, secret=True),
    Variable("master_key_consent", _text("lets the account's own key sign", *_CONSENT), None, _NOT_SET),
    Variable("live_enable", _switch("first of two switches that live on a real network needs"), "0"),
    Variable("live_confirm", _text(f"second one: {LIVE_CONFIRMATION}"), None, _NOT_SET),
)

RISK_KEYS = {
    "risk_max_drawdown_pct": "max_drawdown_pct",
    "risk_max_daily_loss_usd": "max_daily_loss_usd",
    "risk_max_entry_orders_per_min": "max_entry_orders_per_minute",
    "risk_max_entry_orders_per_min_per_symbol": "max_entry_orders_per_minute_per_symbol",
    "risk_max_total_notional_usd": "max_total_notional_usd",
    "risk_max_symbol_notional_usd": "max_symbol_notional_usd",
    "risk_max_side_notional_usd": "max_side_notional_usd",
    "risk_max_account_leverage": "max_account_leverage",
    "risk_notional_window_s": "notional_window_s",
    "risk_max_notional_per_window_usd": "max_notional_per_window_usd",
    "risk_drawdown_reduce_policy": "drawdown_reduce_policy",
}
"""Settings that are a key of `risk.*` in the overrides file, and that key."""
