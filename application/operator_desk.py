"""OperatorDesk: what an operator asks for becomes a decision, a row in the ledger, and an answer.

Every request is answered, once it is durable. Asking again does no harm: what is shut stays shut, what is being closed
goes on being closed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from application.exit_desk import ExitDesk
from application.flattening import Flattening
from application.live_oms import LiveOms
from application.portfolio import Portfolio
from application.risk_guard import RiskGuard
from application.step import Step
from domain.effects import AnswerOperator
from domain.events import OperatorSpoke
from domain.facts import OperatorActed
from domain.intents import Action
from domain.operator import OperatorVerb
from domain.orders import OrderStatus
from domain.risk import FOREVER_MS, Latch
from domain.strategy_config import StrategyBook


@dataclass(frozen=True, slots=True)
class _Answer:
    text: str
    is_done: bool = True


class OperatorDesk:
    def __init__(
        self,
        portfolio: Portfolio,
        oms: LiveOms,
        guard: RiskGuard,
        exits: ExitDesk,
        flattening: Flattening,
        equity_usd: Callable[[], Decimal | None],
        on_resume: Callable[[], None],
        config_said: Callable[[], str],
    ) -> None:
        """`on_resume` lets go of what else holds entries until somebody has looked; `config_said` tells what came of
        the newest overrides text."""
        self._portfolio = portfolio
        self._oms = oms
        self._guard = guard
        self._exits = exits
        self._flattening = flattening
        self._equity_usd = equity_usd
        self._on_resume = on_resume
        self._config_said = config_said

    def hear(self, step: Step, event: OperatorSpoke, open_ms: int, book: StrategyBook) -> None:
        """Do what is asked. `open_ms`: the candle that decisions of this moment are counted to."""
        who = f"{event.source}: {event.reason}" if event.reason else event.source
        symbol = event.symbol
        if symbol is not None and symbol not in self._portfolio.positions and event.verb in _NEED_POSITION:
            held = ", ".join(sorted(self._portfolio.positions)) or "nothing"
            answer = _Answer(f"no position in {symbol}; held: {held}", is_done=False)
        else:
            answer = self._act(step, event.verb, symbol, who, open_ms, book)
        step.facts.append(
            OperatorActed(
                event.request_id,
                event.verb.value,
                symbol,
                event.source,
                event.reason,
                answer.is_done,
                answer.text,
                step.at_ms,
            )
        )
        step.effects.append(AnswerOperator(event.request_id, answer.is_done, answer.text))

    def _act(
        self, step: Step, verb: OperatorVerb, symbol: str | None, who: str, open_ms: int, book: StrategyBook
    ) -> _Answer:
        match verb:
            case OperatorVerb.PAUSE:
                self._guard.pause(step, who)
                return _Answer("entries are paused; exits and stops go on")
            case OperatorVerb.RESUME:
                self._guard.resume(step)
                self._on_resume()
                held = self._guard.bars_entries() or "; ".join(f"{by}: {why}" for by, why in self._guard.holds.items())
                return _Answer(f"the pause is over, but {held}" if held else "entries may go on")
            case OperatorVerb.KILL_SOFT:
                return self._kill(step, Latch.CLOSE_ONLY, who)
            case OperatorVerb.KILL_HARD:
                return self._kill(step, Latch.HALT, who)
            case OperatorVerb.KILL_CLEAR:
                return self._clear(step)
            case OperatorVerb.FLATTEN:
                if symbol is None:
                    self._guard.pause(step, f"flattened, {who}")
                else:
                    self._guard.cool(step, symbol, FOREVER_MS)
                return self._close(step, symbol, f"flatten, {who}", "no new entries until `resume`")
            case OperatorVerb.FORCE_EXIT:
                return self._close(step, symbol, f"force-exit, {who}", "entries go on")
            case OperatorVerb.CANCEL_ORDERS:
                return self._cancel(step, symbol)
            case OperatorVerb.ADOPT:
                return self._adopt(step, symbol, open_ms, book)
            case OperatorVerb.RELOAD:
                return _Answer(self._config_said())

    # ── latch ────────────────────────────────────────────────────────────────────────────────

    def _kill(self, step: Step, latch: Latch, who: str) -> _Answer:
        before = self._guard.state.latch
        self._guard.shut(step, latch, who)
        self._cancel_entries(step, None)
        now = self._guard.state.latch
        if now is not Latch.HALT:
            return _Answer("the kill latch is close_only: no entries, exits go on; `kill --clear` opens it")
        if latch is not Latch.HALT and before is Latch.HALT:
            return _Answer("the kill latch is halt already, which is tighter")
        closed = self._close(step, None, f"kill hard, {who}", "`kill --clear` opens it")
        return _Answer(f"the kill latch is halt: no entries; {closed.text}")

    def _clear(self, step: Step) -> _Answer:
        before = self._guard.state
        if before.latch is Latch.OPEN:
            return _Answer("the kill latch was open")
        left = self._left()
        self._guard.open(step, self._equity_usd())
        return _Answer(f"the kill latch is open again; it was {before.latch.value}: {before.latch_why}{left}")

    # ── positions and orders ─────────────────────────────────────────────────────────────────

    def _close(self, step: Step, symbol: str | None, why: str, after: str) -> _Answer:
        symbols = self._flattening.everything() if symbol is None else [symbol]
        self._cancel_entries(step, symbol)
        closing = self._flattening.begin(step, symbols, why, even_foreign=symbol is not None)
        if not closing:
            return _Answer(f"nothing of ours to close; {after}{self._left()}")
        return _Answer(f"closing {', '.join(closing)}; {after}{self._left()}")

    def _left(self) -> str:
        """What is listed as not closed."""
        listed = [f"{symbol} ({why})" for symbol, why in self._guard.state.residuals]
        return f"; not closed: {', '.join(listed)}" if listed else ""

    def _cancel(self, step: Step, symbol: str | None) -> _Answer:
        """Everything but what closes or protects a position."""
        count = 0
        for live in self._oms.all_live_orders():
            is_meant = symbol is None or live.intent.key.symbol == symbol
            if is_meant and live.intent.key.action not in (Action.STOP, Action.CLOSE, Action.REDUCE):
                self._oms.cancel(step, live)
                count += 1
        return _Answer(f"{count} orders are asked to end; stops stay")

    def _cancel_entries(self, step: Step, symbol: str | None) -> None:
        for live in self._oms.all_live_orders():
            is_meant = symbol is None or live.intent.key.symbol == symbol
            is_entry = live.intent.key.action.increases_exposure
            if is_meant and is_entry and live.order.status is OrderStatus.OPEN:
                self._oms.cancel(step, live)

    def _adopt(self, step: Step, symbol: str | None, open_ms: int, book: StrategyBook) -> _Answer:
        symbols = sorted(self._portfolio.positions) if symbol is None else [symbol]
        adopted = [each for each in symbols if self._exits.in_our_care(each) is None]
        for each in adopted:
            self._exits.adopt(step, each, open_ms, book)
        if not adopted:
            return _Answer("every position is in our care already" if symbols else "there are no positions")
        return _Answer(f"adopted {', '.join(adopted)}: stops and exits are in force from the next price on")


_NEED_POSITION = (OperatorVerb.FLATTEN, OperatorVerb.FORCE_EXIT, OperatorVerb.ADOPT)
