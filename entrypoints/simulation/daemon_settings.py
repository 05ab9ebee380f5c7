"""How the simulated daemon is configured: by variables and a file, like any other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from config.load import Configuration, load_configuration

SYMBOLS = ("BTC", "ETH", "SOL", "kPEPE", "DOGE", "XRP", "AVAX", "LINK", "SUI", "LTC")
URL = "http://127.0.0.1:1"
"""Where the venue would be; nobody connects to it."""
MAX_OPEN_POSITIONS = 7
MAX_NOTIONAL_USD = 2_500
MAX_MARGIN_SHARE = "0.5"

_OVERRIDES = f"""\
global:
  trade:
    entry_min_confidence: low
    add_min_confidence: low
    enable_reef_filter: false
    enable_ssf_filter: false
    reentry_cooldown_minutes: 0
    entry_cooldown_s: 20
    add_cooldown_minutes: 10
    allocation_pct: {{allocation}}
    max_open_positions: {MAX_OPEN_POSITIONS}
    max_notional_usd_per_order: {MAX_NOTIONAL_USD}
    max_total_margin_pct: {MAX_MARGIN_SHARE}
    smart_exit_adx_exhaustion_lt: 0
"""
ALLOCATIONS = ("0.03", "0.05", "0.02", "0.04")


def write_overrides(folder: Path, version: int) -> Path:
    """The overrides file in one of its versions, replaced at once as an editor would."""
    path = folder / "overrides.yaml"
    draft = folder / "overrides.yaml.new"
    draft.write_text(_OVERRIDES.format(allocation=ALLOCATIONS[version % len(ALLOCATIONS)]))
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
