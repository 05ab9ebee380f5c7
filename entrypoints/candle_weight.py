"""What candles over REST cost: refused at start where the venue's limits cannot carry it, with the arithmetic."""

from __future__ import annotations

from adapters.hyperliquid.budget import PER_MINUTE, RESERVE
from adapters.hyperliquid.history import TAIL_WEIGHT
from config.settings import Settings
from domain.strategy_config import Place
from ports.strategy_config import ConfigError, ConfigProblem

OTHERS_WEIGHT = 50
"""A minute of everything else: spot checks, volumes, the account, repairs."""
CANDLES_WEIGHT = PER_MINUTE - RESERVE - OTHERS_WEIGHT
_MINUTE_MS = 60_000


def refuse_too_heavy(settings: Settings, watched: int, held_most: int) -> None:
    """Raise `ConfigError` where one candle of each symbol, asked for when it has closed, is more than we may ask.

    `held_most`: positions at once, whose candles of the exit interval are asked for besides.
    """
    if settings.ws_enable_candle:
        return
    interval = settings.interval
    weight = watched * TAIL_WEIGHT * _MINUTE_MS / interval.ms
    sums = f"{watched} symbols x {TAIL_WEIGHT} weight every {interval.value}"
    if settings.exit_interval is not None and settings.exit_interval is not interval:
        weight += held_most * TAIL_WEIGHT * _MINUTE_MS / settings.exit_interval.ms
        sums += f" and up to {held_most} positions x {TAIL_WEIGHT} every {settings.exit_interval.value}"
    if weight <= CANDLES_WEIGHT:
        return
    most = int(CANDLES_WEIGHT * interval.ms / _MINUTE_MS / TAIL_WEIGHT)
    problem = (
        f"without the candle stream each closed candle is asked for over REST: {sums} = {weight:,.0f} a minute, and at "
        f"most {CANDLES_WEIGHT} may go to candles (half of the venue's 1,200 is {PER_MINUTE}, less {RESERVE} for exits "
        f"and {OTHERS_WEIGHT} for everything else). Set it to 1, watch at most {most} symbols (AI_QUANT_SYMBOLS, "
        "AI_QUANT_TOP_N), or take a longer AI_QUANT_INTERVAL"
    )
    raise ConfigError([ConfigProblem(Place("environment"), "AI_QUANT_WS_ENABLE_CANDLE", problem)])
