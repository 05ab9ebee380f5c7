"""How the simulated daemon is configured: by variables and a file, like any other."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from config.load import Configuration, load_configuration

SYMBOLS = ("BTC", "ETH", "SOL", "kPEPE", "DOGE", "XRP", "AVAX", "LINK", "SUI", "LTC")
URL = "http://127.0.0.1:1"
"""Where the venue would be; nobody connects to it."""
CAPS = {
    "max_open_positions": Decimal(4),
    "max_notional_usd_per_order": Decimal(1_300),
    "max_total_margin_pct": Decimal("0.5"),
    "max_total_notional_usd": Decimal(2_600),
    "max_symbol_notional_usd": Decimal(1_700),
    "max_side_notional_usd": Decimal(2_000),
    "max_account_leverage": Decimal("0.25"),
    "max_entry_orders_per_minute": Decimal(2),
    "max_entry_orders_per_minute_per_symbol": Decimal(1),
    "notional_window_s": Decimal(900),
    "max_notional_per_window_usd": Decimal(2_200),
}
"""So tight that a day comes up against them; the account has 10,000 USD."""

_OVERRIDES = """\
global:
  trade:
    entry_min_confidence: low
    add_min_confidence: low
    enable_reef_filter: false
    enable_ssf_filter: false
    reentry_cooldown_minutes: 0
    entry_cooldown_s: 20
    add_cooldown_minutes: 0
    add_min_profit_atr: 0
    allocation_pct: {allocation}
    max_open_positions: {max_open_positions}
    max_notional_usd_per_order: {max_notional_usd_per_order}
    max_total_margin_pct: {max_total_margin_pct}
    smart_exit_adx_exhaustion_lt: 0
  risk:
    max_total_notional_usd: {max_total_notional_usd}
    max_symbol_notional_usd: {max_symbol_notional_usd}
    max_side_notional_usd: {max_side_notional_usd}
    max_account_leverage: {max_account_leverage}
    max_entry_orders_per_minute: {max_entry_orders_per_minute}
    max_entry_orders_per_minute_per_symbol: {max_entry_orders_per_minute_per_symbol}
    notional_window_s: {notional_window_s}
    max_notional_per_window_usd: {max_notional_per_window_usd}
"""
ALLOCATIONS = ("0.03", "0.05", "0.02", "0.04")


def write_overrides(folder: Path, version: int) -> Path:
    """The overrides file in one of its versions, replaced at once as an editor would."""
    path = folder / "overrides.yaml"
    draft = folder / "overrides.yaml.new"
    draft.write_text(_OVERRIDES.format(allocation=ALLOCATIONS[version % len(ALLOCATIONS)], **CAPS))
    draft.rename(path)
    return path


def configuration_in(
    folder: Path, account: str, symbols: Sequence[str], *, bbo: bool, sessions: Path | None, seen_ms: int
) -> Configuration:
    """`sessions`: where runs are recorded; None for nowhere."""
    environ = {
        "AI_QUANT_MODE": "live",
        "AI_QUANT_NETWORK": "local",
        "AI_QUANT_VENUE_URL": URL,
        "AI_QUANT_ACCOUNT_ADDRESS": account,
        "AI_QUANT_SYMBOLS": ",".join(symbols),
        "AI_QUANT_INTERVAL": "1m",
        "AI_QUANT_STRATEGY_YAML": str(folder / "overrides.yaml"),
        "AI_QUANT_USER_DIR": str(folder),
        "AI_QUANT_DB_PATH": str(folder / "ledger.sqlite"),
        "AI_QUANT_HEARTBEAT_SECS": "3600",
        "AI_QUANT_WATCHLIST_REFRESH_S": "3600",
        "AI_QUANT_WS_ENABLE_BBO": "1" if bbo else "0",
        "AI_QUANT_RECORD": "0" if sessions is None else "1",
        "AI_QUANT_SESSIONS_DIR": str(sessions or folder / "sessions"),
    }
    return load_configuration(environ, root=folder, cwd=folder, seen_ms=seen_ms)
