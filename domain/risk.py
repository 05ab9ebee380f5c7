"""Risk limits: what may be added to the account's exposure now, whatever the strategy wants.

State is durable and only ever restores equal or tighter. Everything here limits entries;
an exit never asks.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from decimal import Decimal

from domain.gating import GateResult
from domain.strategy_config import RiskConfig

DAY_MS = 86_400_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000


class Latch(enum.Enum):
    """How much of trading is shut, until somebody opens it on purpose.

    `CLOSE_ONLY`: nothing that increases exposure leaves; exits and stops go on as ever. `HALT`: besides, every order is
    cancelled and every position closed, and then nothing is sent.
    """

    OPEN = "open"
    CLOSE_ONLY = "close_only"
    HALT = "halt"


_TIGHTNESS = {Latch.OPEN: 0, Latch.CLOSE_ONLY: 1, Latch.HALT: 2}


def tighter(one: Latch, other: Latch) -> Latch:
    return max(one, other, key=lambda latch: _TIGHTNESS[latch])


@dataclass(frozen=True, slots=True)
class RiskState:
    """What limits must remember over restarts. Money in USD; a day is a UTC day by number.

    `peak_equity_usd` is None before equity was first known. `tripped` names a limit that closed entries until the day
    ends (daily loss). `latch` is opened by nobody but an operator; `latch_why` says who shut it and why, `latched_ms`
    when. `paused` is an operator's reason for a pause of entries, empty for none. `leaving` are symbols that are being
    closed until they are flat, with who wanted it; `residuals` those that could not be, with the reason. `cooldowns`
    are (symbol, until_ms) after a refusal of the venue, `slippage_bps` what the newest entries cost against the price
    that they were decided at, in basis points, oldest first.
    """

    peak_equity_usd: Decimal | None = None
    day: int = 0
    day_start_equity_usd: Decimal | None = None
    tripped: str = ""
    latch: Latch = Latch.OPEN
    latch_why: str = ""
    latched_ms: int = 0
    paused: str = ""
    leaving: tuple[tuple[str, str], ...] = ()
    residuals: tuple[tuple[str, str], ...] = ()
    cooldowns: tuple[tuple[str, int], ...] = ()
    slippage_bps: tuple[Decimal, ...] = ()


def with_equity(state: RiskState, equity_usd: Decimal, at_ms: int, config: RiskConfig) -> RiskState:
    """Fold a new equity into peak, day and trips. Returns the same object when nothing changed."""
    day = at_ms // DAY_MS
    peak = state.peak_equity_usd
    if peak is None or equity_usd > peak:
        state = replace(state, peak_equity_usd=equity_usd)
    if day > state.day or state.day_start_equity_usd is None:  # a clock set back does not begin a day
        tripped = "" if state.tripped == "daily_loss" else state.tripped
        state = replace(state, day=day, day_start_equity_usd=equity_usd, tripped=tripped)
    if state.tripped == "drawdown":
        return state
    if config.max_drawdown_pct > 0 and drawdown_pct(state, equity_usd) > config.max_drawdown_pct:
        return replace(state, tripped="drawdown")  # also over a daily loss, which the day's end would clear
    if state.tripped:
        return state
    if config.max_daily_loss_usd > 0 and day_loss_usd(state, equity_usd) > config.max_daily_loss_usd:
        return replace(state, tripped="daily_loss")
    return state


def drawdown_pct(state: RiskState, equity_usd: Decimal) -> float:
    peak = state.peak_equity_usd
    if peak is None or peak <= 0:
        return 0.0
    return float((peak - equity_usd) / peak * 100)


def day_loss_usd(state: RiskState, equity_usd: Decimal) -> Decimal:
    if state.day_start_equity_usd is None:
        return Decimal(0)
    return max(Decimal(0), state.day_start_equity_usd - equity_usd)


@dataclass(frozen=True, slots=True)
class Exposure:
    """The worst case now: positions plus everything that may still fill, assumed filled. USD.

    `recent_entries` counts entry intents of the last minute, `recent_entries_symbol` those of one symbol.
    """

    equity_usd: Decimal
    margin_usd: Decimal
    notional_usd: Decimal
    open_positions: int
    recent_entries: int
    recent_entries_symbol: int


def entry_risk_gates(
    state: RiskState,
    exposure: Exposure,
    config: RiskConfig,
    max_open_positions: int,
    max_total_margin_pct: Decimal,
    new_margin_usd: Decimal,
    new_notional_usd: Decimal,
    *,
    opens_position: bool,
) -> list[GateResult]:
    """Every limit an entry must stay within, the new order counted in."""
    positions = exposure.open_positions + (1 if opens_position else 0)
    margin_limit = exposure.equity_usd * max_total_margin_pct
    gates = [
        GateResult("risk_tripped", state.tripped or "no", "no", not state.tripped),
        GateResult("max_open_positions", positions, max_open_positions, positions <= max_open_positions),
        GateResult(
            "entries_per_minute",
            exposure.recent_entries + 1,
            config.max_entry_orders_per_minute,
            exposure.recent_entries < config.max_entry_orders_per_minute,
        ),
        GateResult(
            "entries_per_minute_symbol",
            exposure.recent_entries_symbol + 1,
            config.max_entry_orders_per_minute_per_symbol,
            exposure.recent_entries_symbol < config.max_entry_orders_per_minute_per_symbol,
        ),
        GateResult(
            "margin_cap",
            float(exposure.margin_usd + new_margin_usd),
            float(margin_limit),
            exposure.margin_usd + new_margin_usd <= margin_limit,
        ),
    ]
    if config.max_total_notional_usd > 0:
        total = exposure.notional_usd + new_notional_usd
        gates.append(
            GateResult(
                "total_notional",
                float(total),
                float(config.max_total_notional_usd),
                total <= config.max_total_notional_usd,
            )
        )
    return gates
