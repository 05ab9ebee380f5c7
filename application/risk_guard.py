"""RiskGuard: the account's worst case now, and the limits an entry must stay within."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Decimal

from application.live_oms import LiveOms
from application.portfolio import Portfolio
from application.step import Step
from domain.effects import Alert
from domain.facts import RiskChanged
from domain.gating import GateResult, truth_gate
from domain.risk import MINUTE_MS, Exposure, RiskState, entry_risk_gates, with_equity
from domain.sizing import SizedEntry
from domain.strategy_config import RiskConfig, SymbolConfig

ZERO = Decimal(0)
DEFAULT_LEVERAGE = Decimal(1)


class RiskGuard:
    """Counts everything that may still fill as filled. Its state only restores equal or tighter."""

    def __init__(self, portfolio: Portfolio, oms: LiveOms) -> None:
        self._portfolio = portfolio
        self._oms = oms
        self.state = RiskState()
        self._entries: deque[tuple[int, str]] = deque()
        self._leverage: dict[str, Decimal] = {}
        self._held: dict[str, str] = {}

    def restore(self, state: RiskState) -> None:
        self.state = state

    def hold_entries(self, source: str, reason: str) -> None:
        """Refuse entries for this reason until the source says otherwise: an empty one lifts its own hold only."""
        if reason:
            self._held[source] = reason
        else:
            self._held.pop(source, None)

    @property
    def is_holding(self) -> bool:
        """Whether entries are held at all, by whomever."""
        return bool(self._held or self.state.tripped)

    def leverage(self, symbol: str) -> Decimal | None:
        """What margin of this symbol is counted with; None where nobody has said."""
        return self._leverage.get(symbol)

    def set_leverage(self, symbol: str, leverage: Decimal) -> None:
        """Count with the venue's own word."""
        self._leverage[symbol] = leverage

    def note_entry(self, symbol: str, leverage: Decimal, at_ms: int) -> None:
        """An entry intent was written: it counts against the rates, and its leverage against margin."""
        self._entries.append((at_ms, symbol))
        if symbol in self._portfolio.positions:  # the venue may yet refuse it: what is held keeps the lower leverage
            leverage = min(leverage, self._leverage.get(symbol, DEFAULT_LEVERAGE))
        self._leverage[symbol] = leverage

    def recall_entries(self, last_entry_ms: Iterable[tuple[str, int]]) -> None:
        """Count each symbol's newest entry of earlier sessions against the rates: a restart lifts no limit."""
        self._entries.extend(sorted((entry_ms, symbol) for symbol, entry_ms in last_entry_ms))

    def update_equity(self, step: Step, equity_usd: Decimal, config: RiskConfig) -> None:
        """Fold the newest equity into peak and trips; a change is a fact, a trip is told."""
        state = with_equity(self.state, equity_usd, step.at_ms, config)
        if state == self.state:
            return
        if state.tripped and state.tripped != self.state.tripped:
            step.effects.append(
                Alert("risk_tripped", f"{state.tripped} limit reached at equity {equity_usd}: no new entries")
            )
        self.state = state
        step.facts.append(RiskChanged(state, step.at_ms))

    def gates(
        self, symbol: str, sized: SizedEntry, equity_usd: Decimal, config: SymbolConfig, risk: RiskConfig, at_ms: int
    ) -> list[GateResult]:
        """Every limit's answer to this entry, worst case counted."""
        exposure = self._exposure(symbol, equity_usd, at_ms)
        held = "; ".join(f"{source}: {reason}" for source, reason in sorted(self._held.items()))
        return [
            truth_gate("entries_held", not held, held or "no", "no"),
            *entry_risk_gates(
                self.state,
                exposure,
                risk,
                config.trade.max_open_positions,
                config.trade.max_total_margin_pct,
                sized.margin_usd,
                sized.notional_usd,
                opens_position=symbol not in self._portfolio.positions,
            ),
        ]

    def _exposure(self, symbol: str, equity_usd: Decimal, at_ms: int) -> Exposure:
        while self._entries and self._entries[0][0] <= at_ms - MINUTE_MS:
            self._entries.popleft()
        margin = notional = ZERO
        for position in self._portfolio.positions.values():
            value = position.notional(position.entry_price)
            notional += value
            margin += value / self._leverage.get(position.symbol, DEFAULT_LEVERAGE)
        opening = set(self._portfolio.positions)
        for live in self._oms.all_live_orders():
            if live.intent.key.action.increases_exposure:
                value = live.order.remaining * live.intent.limit_price
                notional += value
                margin += value / live.intent.leverage
                opening.add(live.intent.key.symbol)
        return Exposure(
            equity_usd=equity_usd,
            margin_usd=margin,
            notional_usd=notional,
            open_positions=len(opening),
            recent_entries=len(self._entries),
            recent_entries_symbol=sum(1 for _, entered in self._entries if entered == symbol),
        )
