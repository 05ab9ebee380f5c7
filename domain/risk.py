"""Risk limits: what may be added to the account's exposure now, whatever the strategy wants.

State is durable and only ever restores equal or tighter. Everything here limits entries;
an exit never asks.
"""

from __future__ import annotations

import enum
import statistics
from dataclasses import dataclass, replace
from decimal import Decimal

from domain.gating import GateResult
from domain.strategy_config import RiskConfig, TradeConfig
from domain.strategy_sections import DrawdownPolicy, SlippageGuard

DAY_MS = 86_400_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAILY_LOSS = "daily_loss"
FOREVER_MS = 2**53
"""The end of a cool-down that only an operator ends."""


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


def tightened(state: RiskState, latch: Latch, why: str, at_ms: int) -> RiskState:
    """Shut the latch this far, for this reason; the same object where it is shut as far already."""
    if tighter(state.latch, latch) is state.latch:
        return state
    return replace(state, latch=latch, latch_why=why, latched_ms=at_ms)


def opened(state: RiskState, equity_usd: Decimal | None) -> RiskState:
    """Open the latch. The peak is counted anew from here: what was lost before is accepted with it."""
    peak = state.peak_equity_usd if equity_usd is None else equity_usd
    return replace(
        state,
        latch=Latch.OPEN,
        latch_why="",
        latched_ms=0,
        peak_equity_usd=peak,
        leaving=(),
        residuals=(),
        slippage_bps=(),
    )


def with_equity(
    state: RiskState, equity_usd: Decimal, at_ms: int, config: RiskConfig, peak_step: Decimal = Decimal(0)
) -> RiskState:
    """Fold a new equity into peak, day and breaches. Returns the same object when nothing changed.

    `peak_step`, a share: a peak that is higher by less is left for later. A breach of the daily loss holds until the
    day ends, one of the drawdown shuts the latch.
    """
    day = at_ms // DAY_MS
    peak = state.peak_equity_usd
    if peak is None or equity_usd > peak * (1 + peak_step):
        state = replace(state, peak_equity_usd=equity_usd)
    if day > state.day or state.day_start_equity_usd is None:  # a clock set back does not begin a day
        state = replace(state, day=day, day_start_equity_usd=equity_usd, tripped="")
    if config.max_daily_loss_usd > 0 and day_loss_usd(state, equity_usd) > config.max_daily_loss_usd:
        state = state if state.tripped else replace(state, tripped=DAILY_LOSS)
    fall = drawdown_pct(state, equity_usd)
    if config.max_drawdown_pct > 0 and fall > config.max_drawdown_pct:
        leaves = config.drawdown_reduce_policy is DrawdownPolicy.CLOSE_ALL
        why = (
            f"drawdown: equity {equity_usd:.2f} is {fall:.2f} % below its peak, {config.max_drawdown_pct} % are allowed"
        )
        state = tightened(state, Latch.HALT if leaves else Latch.CLOSE_ONLY, why, at_ms)
    return state


def with_flow(state: RiskState, amount_usd: Decimal) -> RiskState:
    """Money came or went by no trade, no gain and no loss: what those are counted from moves with it."""
    peak, start = state.peak_equity_usd, state.day_start_equity_usd
    return replace(
        state,
        peak_equity_usd=None if peak is None else max(peak + amount_usd, Decimal(0)),
        day_start_equity_usd=None if start is None else start + amount_usd,
    )


def with_slippage(state: RiskState, bps: Decimal, at_ms: int, guard: SlippageGuard) -> RiskState:
    """Fold in what an entry cost against the price it was decided at; a breach of the median shuts the latch."""
    newest = (*state.slippage_bps, bps)[-guard.window_fills :]
    state = replace(state, slippage_bps=newest)
    median = statistics.median(newest)
    if guard.enabled and len(newest) == guard.window_fills and median > guard.max_median_bps:
        why = f"slippage: the last {len(newest)} entries cost {median:.1f} bps, {guard.max_median_bps} are allowed"
        state = tightened(state, Latch.CLOSE_ONLY, why, at_ms)
    return state


def with_cooldown(state: RiskState, symbol: str, until_ms: int, at_ms: int) -> RiskState:
    """No entries in a symbol for a while; what is over is dropped. A longer one stands."""
    kept = {name: until for name, until in state.cooldowns if until > at_ms}
    kept[symbol] = max(kept.get(symbol, 0), until_ms)
    return replace(state, cooldowns=tuple(sorted(kept.items())))


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

    `symbol_usd` and `side_usd` are those of the entry's own symbol and side. `recent_entries` counts entry intents of
    the last minute, `recent_entries_symbol` those of one symbol, `recent_usd` is what those of the window were worth.
    """

    equity_usd: Decimal
    margin_usd: Decimal
    notional_usd: Decimal
    symbol_usd: Decimal
    side_usd: Decimal
    open_positions: int
    recent_entries: int
    recent_entries_symbol: int
    recent_usd: Decimal


def entry_risk_gates(
    state: RiskState,
    exposure: Exposure,
    config: RiskConfig,
    trade: TradeConfig,
    symbol: str,
    new_margin_usd: Decimal,
    new_notional_usd: Decimal,
    at_ms: int,
    *,
    opens_position: bool,
) -> list[GateResult]:
    """Every limit an entry must stay within, the new order counted in."""
    positions = exposure.open_positions + (1 if opens_position else 0)
    cooling_ms = dict(state.cooldowns).get(symbol, 0) - at_ms
    shut = "open" if state.latch is Latch.OPEN else f"{state.latch.value}: {state.latch_why}"
    gates = [
        GateResult("kill_latch", shut, "open", state.latch is Latch.OPEN),
        GateResult("paused", state.paused or "no", "no", not state.paused),
        GateResult("risk_tripped", state.tripped or "no", "no", not state.tripped),
        GateResult("reject_cooldown_ms", max(cooling_ms, 0), 0, cooling_ms <= 0),
        GateResult("max_open_positions", positions, trade.max_open_positions, positions <= trade.max_open_positions),
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
        _cap("margin_cap", exposure.margin_usd + new_margin_usd, exposure.equity_usd * trade.max_total_margin_pct),
    ]
    limits: tuple[tuple[str, Decimal, Decimal | None], ...] = (
        ("order_notional", Decimal(0), trade.max_notional_usd_per_order),
        ("total_notional", exposure.notional_usd, config.max_total_notional_usd or None),
        ("symbol_notional", exposure.symbol_usd, config.max_symbol_notional_usd or None),
        ("side_notional", exposure.side_usd, config.max_side_notional_usd or None),
        ("window_notional", exposure.recent_usd, config.max_notional_per_window_usd or None),
    )
    gates += [_cap(name, before + new_notional_usd, cap) for name, before, cap in limits if cap is not None]
    if config.max_account_leverage > 0:
        most = exposure.equity_usd * config.max_account_leverage
        gates.append(_cap("account_leverage", exposure.notional_usd + new_notional_usd, most))
    return gates


def _cap(name: str, value: Decimal, limit: Decimal) -> GateResult:
    return GateResult(name, float(value), float(limit), value <= limit)
