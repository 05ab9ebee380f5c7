"""How a running daemon stands, as values that JSON can carry: what `./aiq status` shows. Money is text."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from adapters.hyperliquid.budget import WeightBudget
from adapters.session_files.writer import SessionWriter
from application.engine import UnifiedEngine
from application.inbox import Inbox
from application.order_shelf import LiveOrder
from config.settings import Settings
from domain.candles import NO_CANDLE_MS
from domain.intents import Action
from domain.orders import OrderStatus
from domain.positions import Position
from domain.risk import Latch, day_loss_usd, drawdown_pct
from entrypoints.output import plain, utc
from ports.clock import Clock
from ports.session_log import SessionLog

_CENTS = 8
"""Decimals of money and averages that are told: some have no end."""


@dataclass(frozen=True, slots=True)
class Life:
    """What does not change while a daemon runs. `began_real_ms` is the system's time, `began_mono_ms` its clock's."""

    session: str
    record: SessionLog
    pid: int
    began_real_ms: int
    began_mono_ms: int


class DaemonStatus:
    """Reads the engine; called in its loop, between two events. Changes nothing."""

    def __init__(
        self,
        settings: Settings,
        engine: UnifiedEngine,
        inbox: Inbox,
        decided_ms: Callable[[], int | None],
        budget: WeightBudget,
        clock: Clock,
        life: Life,
    ) -> None:
        """`decided_ms` tells when a batch was decided on last, in the market's time."""
        self._settings = settings
        self._engine = engine
        self._inbox = inbox
        self._decided_ms = decided_ms
        self._budget = budget
        self._clock = clock
        self._life = life

    def snapshot(self) -> dict[str, Any]:
        settings, engine, life = self._settings, self._engine, self._life
        now_ms = self._clock.now_ms()
        equity = engine.equity_usd()
        state, decided_ms = engine.guard.state, self._decided_ms()
        holds = engine.guard.holds
        barred = [engine.guard.bars_entries(), *(f"{who}: {why}" for who, why in sorted(holds.items()))]
        return {
            "mode": settings.mode.value,
            "network": settings.network.value,
            "account": engine.settings.account,
            "ledger": str(settings.db_path),
            "pid": life.pid,
            "session": life.session,
            "recording": isinstance(life.record, SessionWriter) and life.record.recording,
            "up_since": utc(life.began_real_ms),
            "up_s": (self._clock.monotonic_ms() - life.began_mono_ms) // 1000,
            "market_time": utc(now_ms),
            "entries": "; ".join(filter(None, barred)) or "open",
            "latch": {
                "state": state.latch.value,
                "why": state.latch_why,
                "since": utc(state.latched_ms) if state.latch is not Latch.OPEN else None,
            },
            "paused": state.paused,
            "tripped": state.tripped,
            "holds": holds,
            "differs": sorted(engine.reconciliation.differs),
            "leaving": dict(state.leaving),
            "residuals": dict(state.residuals),
            "equity_usd": _money(equity),
            "cash_usd": _money(engine.portfolio.cash_usd),
            "day_pnl_usd": _day_pnl(equity, state.day_start_equity_usd),
            "day_loss_usd": None if equity is None else _money(day_loss_usd(state, equity)),
            "drawdown_pct": None if equity is None else round(drawdown_pct(state, equity), 3),
            "positions": [
                self._position(engine.portfolio.positions[name]) for name in sorted(engine.portfolio.positions)
            ],
            "orders": [_order(live) for live in engine.oms.all_live_orders()],
            "symbols": len(engine.market.watched),
            "warming_up": engine.market.warm_up.awaited,
            "config": engine.book.digest[:12],
            "config_problems": [str(problem) for problem in engine.manager.standing_problems],
            "quote_age_ms": self._quote_ages(now_ms),
            "waiting_events": self._inbox.waiting,
            "weight_used": self._budget.used,
            "analyses": engine.analyses_done,
            "last_decision": None if decided_ms is None else utc(decided_ms),
        }

    def _position(self, position: Position) -> dict[str, Any]:
        engine, symbol = self._engine, position.symbol
        mark = engine.hub.mark(symbol)
        resting = [live for live in engine.oms.live_orders(symbol) if live.order.status is OrderStatus.OPEN]
        return {
            "symbol": symbol,
            "size": plain(position.size),
            "entry_price": _money(position.entry_price),
            "mark_price": _money(mark),
            "unrealised_usd": None if mark is None else _money(position.unrealised(mark)),
            "stops": _trigger_prices(resting, Action.STOP),
            "targets": _trigger_prices(resting, Action.TAKE_PROFIT),
            "in_our_care": engine.exits.in_our_care(symbol) is not None,
        }

    def _quote_ages(self, now_ms: int) -> dict[str, int] | None:
        """Of the symbols that are watched: since when prices were last known to be true. None before the first."""
        engine = self._engine
        known = [engine.hub.quotes.known_ms(engine.universe.id_of(symbol)) for symbol in engine.market.watched]
        venue_ms = engine.hub.venue_ms(now_ms)
        ages = [max(0, venue_ms - heard_ms) for heard_ms in known if heard_ms != NO_CANDLE_MS]
        if not ages:
            return None
        return {"worst": max(ages), "median": round(statistics.median(ages)), "never_heard": len(known) - len(ages)}


def _order(live: LiveOrder) -> dict[str, Any]:
    request, trigger = live.order.request, live.order.request.trigger
    return {
        "symbol": request.symbol,
        "action": live.intent.key.action.value,
        "side": request.side.value,
        "size": plain(request.size),
        "filled": plain(live.order.filled),
        "limit_price": plain(request.limit_price),
        "trigger_price": None if trigger is None else plain(trigger.price),
        "reduce_only": request.reduce_only,
        "status": live.order.status.value,
        "cloid": request.cloid,
    }


def _trigger_prices(resting: list[LiveOrder], action: Action) -> list[str]:
    orders = [live.order.request for live in resting if live.intent.key.action is action]
    return [plain(request.trigger.price) for request in orders if request.trigger is not None]


def _day_pnl(equity: Decimal | None, start: Decimal | None) -> str | None:
    return None if equity is None or start is None else _money(equity - start)


def _money(value: Decimal | None) -> str | None:
    return None if value is None else plain(round(value, _CENTS))
