"""What a running daemon shows: banner, one line per decision that matters, heartbeat, summary."""

from __future__ import annotations

import asyncio
import logging
from decimal import Decimal

from adapters.hyperliquid.budget import WeightBudget
from application.candle_sources import CandleSources
from application.engine import UnifiedEngine
from application.step import Step
from config.settings import Settings
from config.variables import Mode, Network
from domain.facts import DecisionsRecorded, FillRecorded, IntentRecorded, OperatorActed, TradeClosed
from domain.gating import first_refusal
from domain.risk import Latch, drawdown_pct
from domain.signals import NO_GATE, Signal
from domain.verdicts import Verdict
from entrypoints.metrics.process import resident_bytes
from entrypoints.output import plain, usd

log = logging.getLogger("daemon")


def banner(settings: Settings, overrides: str, symbols: int) -> str:
    """Mode, venue, config and database, and how to change them: said at every start."""
    local = settings.network is Network.LOCAL
    if settings.venue_url is not None:
        venue = f"{settings.venue_url} (AI_QUANT_VENUE_URL)"
    elif local:
        pace = f", time-lapse {settings.time_scale:g}x" if settings.time_scale != 1 else ""
        venue = f"local simulated market, seed {settings.seed}{pace} (AI_QUANT_SEED, AI_QUANT_TIME_SCALE)"
    else:
        venue = f"Hyperliquid {settings.network.value} (AI_QUANT_NETWORK)"
    money = {
        Mode.PAPER: "no real money, no key" + (", no internet" if local else ""),
        Mode.DRY_LIVE: "orders are written, not sent",
        Mode.LIVE: "orders are signed and sent, toy money" if local else "REAL MONEY",
    }[settings.mode]
    rows = (
        ("mode", f"{settings.mode.value}: {money} (AI_QUANT_MODE)"),
        ("venue", venue),
        ("symbols", f"{symbols} on {settings.interval.value} candles, strategy {settings.strategy}"),
        ("config", f"{overrides} (edits are picked up while running)"),
        ("database", f"{settings.db_path}"),
    )
    width = max(len(text) for _, text in rows) + 12
    line = "─" * width
    body = "\n".join(f"│ {name:<9} {text:<{width - 12}} │" for name, text in rows)
    return f"┌{line}┐\n{body}\n└{line}┘"


class Screen:
    """Turns steps into log lines. One line per decision; symbols without a signal share a line per batch."""

    def __init__(self, engine: UnifiedEngine, sources: CandleSources, budget: WeightBudget) -> None:
        self._engine = engine
        self._sources = sources
        self._budget = budget
        self._warmed = 0
        self.trades = 0
        self.wins = 0
        self.realised = Decimal(0)
        self.fees = Decimal(0)
        self.funding = Decimal(0)
        self.worst_drawdown_pct = 0.0
        self.decided_ms: int | None = None
        """When a batch was decided on last, in the market's time."""

    def show(self, step: Step) -> None:
        self._show_warm_up()
        for fact in step.facts:
            match fact:
                case DecisionsRecorded():
                    self._decisions(fact)
                case IntentRecorded(intent=intent):
                    log.info(
                        "intent",
                        extra={
                            "symbol": intent.key.symbol,
                            "action": intent.key.action.value,
                            "side": intent.side.value,
                            "size": plain(intent.size),
                            "reason": intent.reason,
                            "seq": step.seq,
                        },
                    )
                case FillRecorded(fill=fill):
                    log.info(
                        "fill",
                        extra={
                            "symbol": fill.symbol,
                            "side": fill.side.value,
                            "size": plain(fill.size),
                            "price": plain(fill.price),
                            "reason": fact.reason,
                            "via": fact.via.value,
                            "seq": step.seq,
                        },
                    )
                case TradeClosed(trade=trade):
                    self._trade(fact)
                    log.info(
                        "trade_closed",
                        extra={
                            "symbol": trade.symbol,
                            "side": "long" if trade.side.sign > 0 else "short",
                            "pnl": usd(trade.pnl - trade.fees + trade.funding),
                            "exit": trade.exit_reason,
                            "seq": step.seq,
                        },
                    )
                case OperatorActed():
                    log.info(
                        "operator",
                        extra={
                            "verb": fact.verb,
                            "symbol": fact.symbol or "all",
                            "source": fact.source,
                            "reason": fact.reason,
                            "done": fact.is_done,
                            "answer": fact.answer,
                            "seq": step.seq,
                        },
                    )
                case _:
                    pass

    def heartbeat(self) -> None:
        equity = self._note_equity()
        log.info(
            "heartbeat",
            extra={
                "equity": "unknown" if equity is None else usd(equity),
                "positions": len(self._engine.portfolio.positions),
                "orders": len(self._engine.oms.all_live_orders()),
                "analyses": self._engine.analyses_done,
                "config": self._engine.book.digest[:8],
                **self._shut(),
                **_resources(),
            },
        )

    def summary(self, decisions: str) -> str:
        """What the session did, and where to look next."""
        equity = self._note_equity()
        portfolio = self._engine.portfolio
        rows = (
            ("trades closed", f"{self.trades}" + (f", {self.wins / self.trades:.0%} won" if self.trades else "")),
            ("positions open", f"{len(portfolio.positions)}"),
            ("analyses", f"{self._engine.analyses_done:,}"),
            ("realised pnl", f"{usd(portfolio.realised_usd - self.realised)} USD"),
            ("fees", f"{usd(portfolio.fees_usd - self.fees)} USD"),
            ("funding", f"{usd(portfolio.funding_usd - self.funding)} USD"),
            ("equity", "unknown" if equity is None else f"{usd(equity)} USD"),
            ("max drawdown", f"{self.worst_drawdown_pct:.2f} %"),
        )
        body = "\n".join(f"  {name:<15}{text:>22}" for name, text in rows)
        return f"session summary\n{body}\nnext: ./aiq show-trades   {decisions}   ./aiq show-config --changed"

    def begin(self) -> None:
        """Count this session from here: the ledger's totals may go further back."""
        portfolio = self._engine.portfolio
        self.realised, self.fees, self.funding = portfolio.realised_usd, portfolio.fees_usd, portfolio.funding_usd

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _decisions(self, record: DecisionsRecorded) -> None:
        self.decided_ms = record.at_ms
        self._note_equity()
        analyses = record.analyses
        quiet: dict[str, int] = {}
        tells_all = log.isEnabledFor(logging.DEBUG)
        opinions = zip(record.symbols, analyses.signal.tolist(), analyses.first_no.tolist(), strict=True)
        for place, (symbol, signal, gate) in enumerate(opinions):
            if not signal:  # neutral
                name = analyses.gate_names[gate] if gate != NO_GATE else "none"
                quiet[name] = quiet.get(name, 0) + 1
                if tells_all:
                    extra = {"symbol": symbol, "verdict": Verdict.NO_SIGNAL.name, "gate": name, "seq": record.seq}
                    log.debug("decision", extra=extra)
                continue
            refusal = first_refusal(record.entry_gates.get(place, []))
            fields: dict[str, object] = {
                "symbol": symbol,
                "signal": Signal(int(record.signal[place])).name,
                "confidence": int(analyses.confidence[place]),
                "verdict": Verdict(int(record.verdict[place])).name,
                "seq": record.seq,
            }
            if refusal is not None:
                fields |= {"gate": refusal.name, "value": refusal.value, "needs": refusal.threshold}
            log.info("decision", extra=fields)
        if quiet:
            reasons = ", ".join(f"{name} {count}" for name, count in sorted(quiet.items(), key=lambda item: -item[1]))
            level = logging.INFO if record.batch_no == 0 else logging.DEBUG  # stragglers come one by one
            fields = {"symbols": sum(quiet.values()), "first_no": reasons, "seq": record.seq}
            log.log(level, "no_signal", extra=fields)

    def _show_warm_up(self) -> None:
        """How far the histories have come, about ten lines in all, and what they cost."""
        total, awaited = len(self._engine.market.watched), self._engine.market.warm_up.awaited
        done = total - awaited
        if done == self._warmed or (awaited and done * 10 // total == self._warmed * 10 // total):
            return
        self._warmed = done
        counts = self._sources.counts
        fields = {
            "symbols": f"{done}/{total}",
            "still_to_come": awaited,
            "from_store": counts.from_store,
            "from_venue": counts.from_venue,
            "weight": self._budget.spent,
        }
        log.info("warming_up", extra=fields)

    def _trade(self, fact: TradeClosed) -> None:
        self.trades += 1
        if fact.trade.pnl - fact.trade.fees + fact.trade.funding > 0:
            self.wins += 1

    def _shut(self) -> dict[str, object]:
        """What keeps entries from leaving, where something does."""
        state = self._engine.guard.state
        latch = {} if state.latch is Latch.OPEN else {"latch": state.latch.value, "latch_why": state.latch_why}
        paused = {"paused": state.paused} if state.paused else {}
        return {**latch, **paused}

    def _note_equity(self) -> Decimal | None:
        equity = self._engine.equity_usd()
        if equity is not None:
            self.worst_drawdown_pct = max(self.worst_drawdown_pct, drawdown_pct(self._engine.guard.state, equity))
        return equity


def _resources() -> dict[str, object]:
    """What the process takes, as far as the system tells it."""
    memory = resident_bytes()
    return {"tasks": len(asyncio.all_tasks()), **({} if memory is None else {"rss_mb": memory // 1_000_000})}
