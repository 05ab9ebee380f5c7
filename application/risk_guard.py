"""RiskGuard: the account's worst case now, the limits an entry must stay within, and the kill latch.

Everything that limits is in `RiskState` and durable: each change is a fact, and a restart finds it equal or tighter.
Rates are counted from the intents that the ledger holds. Exits never ask here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal

from application.live_oms import LiveOms
from application.order_shelf import LiveOrder
from application.portfolio import Portfolio
from application.step import Step
from domain.effects import Alert
from domain.events import CashFlowed
from domain.facts import CashFlowRecorded, LedgerState, RiskChanged
from domain.gating import GateResult, truth_gate
from domain.intents import Side
from domain.positions import Position
from domain.risk import (
    HOUR_MS,
    MINUTE_MS,
    Exposure,
    Latch,
    RiskState,
    entry_risk_gates,
    opened,
    tightened,
    with_cooldown,
    with_equity,
    with_flow,
    with_slippage,
)
from domain.sizing import SizedEntry
from domain.strategy_config import RiskConfig, SymbolConfig

ZERO = Decimal(0)
DEFAULT_LEVERAGE = Decimal(1)

PEAK_STEP = Decimal("0.0005")
"""Between two candles a peak is taken when it is higher by this share: each is written down."""


LOOKS = 3
"""At equity between two candles, until one counts."""

DRAWDOWN_TRIP = "drawdown"
"""What stood in `tripped` for ever before there was a latch."""


class RiskGuard:
    """Counts everything that may still fill as filled. Its state only restores equal or tighter."""

    def __init__(
        self, portfolio: Portfolio, oms: LiveOms, mark: Callable[[str], Decimal | None] = lambda _: None
    ) -> None:
        """`mark` tells the newest price of a symbol; None where it is not known."""
        self._portfolio = portfolio
        self._oms = oms
        self._mark = mark
        self.state = RiskState()
        self._entries: deque[tuple[int, str, Decimal]] = deque()
        self._leverage: dict[str, Decimal] = {}
        self._held: dict[str, str] = {}
        self._flow_ids: set[str] = set()
        self._looks: deque[Decimal] = deque(maxlen=LOOKS)

    def restore(self, state: LedgerState) -> None:
        """Take over what earlier sessions left: limits, and the entries that still count against the rates."""
        self.state = state.risk
        if self.state.tripped == DRAWDOWN_TRIP:
            why = "a drawdown, in a session before there was a latch"
            self.state = replace(tightened(self.state, Latch.CLOSE_ONLY, why, 0), tripped="")
        self._entries.extend(state.recent_entries)
        self._flow_ids.update(state.flow_ids)

    # ── asking ───────────────────────────────────────────────────────────────────────────────

    @property
    def holds(self) -> dict[str, str]:
        """Who holds entries for now, and why; the latch, a pause and a trip are in `state`."""
        return dict(self._held)

    @property
    def is_holding(self) -> bool:
        """Whether entries are held at all, by whomever."""
        return bool(self._held or self.bars_entries())

    def bars_entries(self) -> str:
        """Why nothing that increases exposure may leave, though it was decided; empty where it may.

        Asked again right before an order leaves: what was decided a moment ago may wait for its turn.
        """
        state = self.state
        if state.latch is not Latch.OPEN:
            return f"the kill latch is {state.latch.value}: {state.latch_why}"
        if state.paused:
            return f"entries are paused: {state.paused}"
        return f"the limit on {state.tripped} is reached" if state.tripped else ""

    def leverage(self, symbol: str) -> Decimal | None:
        """What margin of this symbol is counted with; None where nobody has said."""
        return self._leverage.get(symbol)

    def gates(
        self,
        symbol: str,
        side: Side,
        sized: SizedEntry,
        equity_usd: Decimal,
        config: SymbolConfig,
        risk: RiskConfig,
        at_ms: int,
    ) -> list[GateResult]:
        """Every limit's answer to this entry, worst case counted."""
        held = "; ".join(f"{source}: {reason}" for source, reason in sorted(self._held.items()))
        return [
            truth_gate("entries_held", not held, held or "no", "no"),
            *entry_risk_gates(
                self.state,
                self._exposure(symbol, side, equity_usd, risk, at_ms),
                risk,
                config.trade,
                symbol,
                sized.worst_margin_usd,
                sized.worst_usd,
                at_ms,
                opens_position=symbol not in self._portfolio.positions,
            ),
        ]

    # ── hearing ──────────────────────────────────────────────────────────────────────────────

    def hold_entries(self, source: str, reason: str) -> None:
        """Refuse entries for this reason until the source says otherwise: an empty one lifts its own hold only."""
        if reason:
            self._held[source] = reason
        else:
            self._held.pop(source, None)

    def set_leverage(self, symbol: str, leverage: Decimal) -> None:
        """Count with the venue's own word."""
        self._leverage[symbol] = leverage

    def note_entry(self, symbol: str, leverage: Decimal, at_ms: int, notional_usd: Decimal) -> None:
        """An entry is about to be sent: it counts against the rates, and its leverage against margin."""
        self._entries.append((at_ms, symbol, notional_usd))
        if symbol in self._portfolio.positions:  # the venue may yet refuse it: what is held keeps the lower leverage
            leverage = min(leverage, self._leverage.get(symbol, DEFAULT_LEVERAGE))
        self._leverage[symbol] = leverage

    def note_refusal(self, step: Step, symbol: str, config: RiskConfig) -> None:
        """The venue has refused an entry for a reason that will not pass at once."""
        if config.reject_cooldown_s:
            until_ms = step.at_ms + config.reject_cooldown_s * 1000
            self._become(step, with_cooldown(self.state, symbol, until_ms, step.at_ms))

    def note_entry_cost(self, step: Step, bps: Decimal, config: RiskConfig) -> None:
        """An entry has filled at so much worse than the price it was decided at."""
        self._become(step, with_slippage(self.state, bps, step.at_ms, config.slippage_guard))

    def note_flow(self, step: Step, flow: CashFlowed) -> None:
        """Money came or went, by no trade: once, however often it is told."""
        if flow.flow_id in self._flow_ids:
            return
        self._flow_ids.add(flow.flow_id)
        step.facts.append(CashFlowRecorded(flow.flow_id, flow.kind, flow.time_ms, flow.amount_usd, step.at_ms))
        step.effects.append(Alert("cash_flow", f"{flow.kind}: {flow.amount_usd:+} USD"))
        self._looks.clear()  # what was seen before it is another account's equity
        self._become(step, with_flow(self.state, flow.amount_usd))

    def update_equity(
        self, step: Step, equity_usd: Decimal, config: RiskConfig, *, between_candles: bool = False
    ) -> None:
        """Fold the newest equity into peak and limits.

        Between candles it is the median of three looks: one price that was not real must neither shut anything nor
        raise the peak.
        """
        peak_step = PEAK_STEP if between_candles else ZERO
        before = self.state
        if between_candles:
            self._looks.append(equity_usd)
            if len(self._looks) < LOOKS:
                return
            equity_usd = sorted(self._looks)[LOOKS // 2]
        self._become(step, with_equity(before, equity_usd, step.at_ms, config, peak_step))
        if self.state.tripped and self.state.tripped != before.tripped:
            text = f"{self.state.tripped} limit reached at equity {equity_usd:.2f}: no entries until the day ends (UTC)"
            step.effects.append(Alert("risk_tripped", text))
        elif before.tripped and not self.state.tripped:
            step.effects.append(Alert("risk_lifted", f"a new day: {before.tripped} does not hold entries any more"))

    # ── latch and pause ──────────────────────────────────────────────────────────────────────

    def shut(self, step: Step, latch: Latch, why: str) -> None:
        """Shut the latch at least this far."""
        self._become(step, tightened(self.state, latch, why, step.at_ms))

    def open(self, step: Step, equity_usd: Decimal | None) -> None:
        """Open the latch: only an operator's word leads here."""
        self._become(step, opened(self.state, equity_usd))

    def pause(self, step: Step, reason: str) -> None:
        self._become(step, replace(self.state, paused=reason))

    def resume(self, step: Step) -> None:
        """End a pause, and cool-downs; nothing else that holds entries."""
        self._become(step, replace(self.state, paused="", cooldowns=()))

    def cool(self, step: Step, symbol: str, until_ms: int) -> None:
        """No entries in one symbol until then."""
        self._become(step, with_cooldown(self.state, symbol, until_ms, step.at_ms))

    def set_leaving(self, step: Step, leaving: Iterable[tuple[str, str]], residuals: Iterable[tuple[str, str]]) -> None:
        """Remember what is being closed, and what could not be."""
        state = replace(self.state, leaving=tuple(sorted(leaving)), residuals=tuple(sorted(residuals)))
        self._become(step, state)

    def _become(self, step: Step, state: RiskState) -> None:
        """Every change of the state comes through here: it is a fact, and a latch that shuts is told."""
        before = self.state
        if state == before:
            return
        self.state = state
        step.facts.append(RiskChanged(state, step.at_ms))
        if state.latch is not before.latch:
            if state.latch is Latch.OPEN:
                step.effects.append(Alert("kill_latch_opened", f"it was {before.latch.value}: {before.latch_why}"))
            else:
                step.effects.append(Alert("kill_latch", f"{state.latch.value}: {state.latch_why}"))

    # ── the worst case ───────────────────────────────────────────────────────────────────────

    def _exposure(self, symbol: str, side: Side, equity_usd: Decimal, risk: RiskConfig, at_ms: int) -> Exposure:
        while self._entries and self._entries[0][0] <= at_ms - HOUR_MS:
            self._entries.popleft()
        margin = notional = of_symbol = of_side = ZERO
        for position in self._portfolio.positions.values():
            value = self._value(position)
            notional += value
            of_symbol += value if position.symbol == symbol else ZERO
            of_side += value if position.side is side else ZERO
            margin += value / self._leverage.get(position.symbol, DEFAULT_LEVERAGE)
        opening = set(self._portfolio.positions)
        for live in self._oms.all_live_orders():
            if live.intent.key.action.increases_exposure:
                value = self._worst_usd(live)
                notional += value
                of_symbol += value if live.intent.key.symbol == symbol else ZERO
                of_side += value if live.intent.side is side else ZERO
                margin += value / live.intent.leverage
                opening.add(live.intent.key.symbol)
        minute = [entered for entry_ms, entered, _ in self._entries if entry_ms > at_ms - MINUTE_MS]
        since_ms = at_ms - risk.notional_window_s * 1000
        return Exposure(
            equity_usd=equity_usd,
            margin_usd=margin,
            notional_usd=notional,
            symbol_usd=of_symbol,
            side_usd=of_side,
            open_positions=len(opening),
            recent_entries=len(minute),
            recent_entries_symbol=minute.count(symbol),
            recent_usd=sum((value for entry_ms, _, value in self._entries if entry_ms > since_ms), ZERO),
        )

    def _worst_usd(self, live: LiveOrder) -> Decimal:
        """What an entry may yet come to: a buy pays its limit at most, a sell may get what the price is."""
        limit, mark = live.intent.limit_price, self._mark(live.intent.key.symbol)
        dearest = limit if mark is None or live.intent.side is Side.BUY else max(limit, mark)
        return live.order.remaining * dearest

    def _value(self, position: Position) -> Decimal:
        """What a position counts with: its worth now, and never less than what it was opened for."""
        mark = self._mark(position.symbol)
        cost = position.notional(position.entry_price)
        return cost if mark is None else max(cost, position.notional(mark))
