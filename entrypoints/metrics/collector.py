"""Every metric of a daemon, read from its parts while somebody scrapes, in the loop that also changes them.

Nothing is counted twice and nothing is kept for the scrape's sake. Labels are words of ours; a symbol is one only while
it is held.
"""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from adapters.hyperliquid.session import Phase
from domain.risk import Latch, drawdown_pct
from entrypoints.alerting import alert_counts
from entrypoints.metrics.families import Value, counter, counters, gauge, gauges
from entrypoints.metrics.process import open_files, resident_bytes
from entrypoints.metrics.tally import DIFFERENCE_KINDS
from entrypoints.metrics.watched import Watched
from entrypoints.recording import versions


def registry_of(watched: Watched) -> CollectorRegistry:
    """A registry of this daemon's own: no library's metrics, none of another daemon in the process."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    registry.register(DaemonCollector(watched))
    return registry


class DaemonCollector(Collector):
    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        settings = watched.settings
        self._build = {
            "version": versions()["ai-quant"],
            "mode": settings.mode.value,
            "network": settings.network.value,
            "strategy": settings.strategy,
        }

    def describe(self) -> list[Metric]:
        """Nothing is collected before somebody asks: the parts may not be at work yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("aiq_build", "What runs here", value=self._build)
        yield from self._loop()
        yield from self._feed()
        yield from self._venue()
        yield from self._orders()
        yield from self._account()
        yield from self._risk()
        yield from self._process()

    # ── the loop and the disk ────────────────────────────────────────────────────────────────

    def _loop(self) -> Iterator[Metric]:
        watched = self._watched
        yield gauge("aiq_recovered", "1 once recovery is over", watched.health.turn_age_ms is not None)
        yield gauge(
            "aiq_loop_turn_age_seconds", "Since the engine's loop came round", _seconds(watched.health.turn_age_ms)
        )
        inbox = watched.inbox
        yield gauges("aiq_inbox_events", "Events that wait for the engine", "lane", inbox.waiting)
        yield counter("aiq_inbox_taken", "Events that the engine took", inbox.counts.taken)
        yield counter("aiq_inbox_conflated", "Market events that gave way to newer ones", inbox.counts.conflated)
        yield gauge("aiq_recording", "1 while the session is recorded", watched.is_recording)
        yield from watched.committer.seconds.collect()
        yield gauge(
            "aiq_commit_waiting_seconds",
            "How long the commit under way takes; 0: none is",
            _seconds(watched.committer.waiting_ms),
        )

    # ── the market ───────────────────────────────────────────────────────────────────────────

    def _feed(self) -> Iterator[Metric]:
        watched = self._watched
        ages = watched.price_ages_s()
        symbols = watched.engine.market.watched
        yield gauge("aiq_watched_symbols", "Symbols that are streamed and kept warm", len(symbols))
        yield gauge("aiq_warming_symbols", "Symbols without history yet", watched.engine.market.warm_up.awaited)
        yield gauge("aiq_unpriced_symbols", "Watched symbols without any price yet", len(symbols) - len(ages))
        age_of = {"max": max(ages), "median": statistics.median(ages)} if ages else {}
        yield gauges(
            "aiq_price_age_seconds",
            "Market time since the prices of the watched symbols were last known to be true",
            "stat",
            age_of,
        )
        stream = watched.row.stream
        phases = Counter(report.phase for report in stream.line_reports())
        yield gauges(
            "aiq_feed_connections",
            "Connections to the venue's stream",
            "phase",
            {phase.value: phases[phase] for phase in Phase},
        )
        yield counter("aiq_feed_frames", "Frames received", stream.frames)
        yield counter("aiq_feed_connects", "Connections opened", stream.counts.connections_opened)
        yield counter("aiq_feed_disconnects", "Connections lost, or not opened", stream.counts.connections_lost)
        yield gauge("aiq_feed_given_up_streams", "Streams that the venue does not give us", len(stream.given_up))
        drifted = sum(watched.sentinel.counts.values())
        yield counter("aiq_venue_drifted", "Messages of the venue that are not what we know", drifted)
        yield from watched.tally.decision_latency.collect()

    # ── the venue's limits ───────────────────────────────────────────────────────────────────

    def _venue(self) -> Iterator[Metric]:
        budget, address = self._watched.budget, self._watched.row.address_budget
        yield gauge("aiq_venue_weight_used", "Request weight of the last minute (market time)", budget.used)
        yield counter("aiq_venue_weight_spent", "Request weight since the start", budget.spent)
        yield gauge("aiq_venue_requests_waiting", "Requests that wait for weight", budget.waiting)
        left = None if address is None else address.left
        yield gauge("aiq_address_requests_left", "Orders and cancels that the address may still send", left)

    # ── orders ───────────────────────────────────────────────────────────────────────────────

    def _orders(self) -> Iterator[Metric]:
        tally, oms = self._watched.tally, self._watched.engine.oms
        live = oms.all_live_orders()
        yield gauge("aiq_orders_live", "Orders that may still fill", len(live))
        yield gauge(
            "aiq_orders_in_flight", "Orders whose outcome is not known", sum(each.order.in_flight for each in live)
        )
        outcomes = {status.value: count for status, count in tally.orders.items()}
        yield counters("aiq_orders", "Orders that reached this status", "outcome", outcomes)
        yield counters("aiq_order_rejections", "Orders that the venue refused", "reason", tally.rejections)
        yield counters("aiq_fills", "Fills booked, by the evidence that ties them to an intent", "via", tally.fills)

    # ── the account ──────────────────────────────────────────────────────────────────────────

    def _account(self) -> Iterator[Metric]:
        watched = self._watched
        portfolio, mark = watched.engine.portfolio, watched.engine.hub.mark
        equity, cash = watched.engine.equity_usd(), portfolio.cash_usd
        size: dict[str, Value] = {}
        notional: dict[str, Value] = {}
        unrealised: dict[str, Value] = {}
        for symbol, position in portfolio.positions.items():
            price = mark(symbol)
            size[symbol] = position.size
            notional[symbol] = None if price is None else position.notional(price)
            unrealised[symbol] = None if price is None else position.unrealised(price)
        start = watched.engine.guard.state.day_start_equity_usd
        yield gauge("aiq_equity_usd", "Cash and unrealised PnL", equity)
        yield gauge("aiq_cash_usd", "Cash, by the venue's word and what was booked since", cash)
        yield gauge("aiq_unrealised_usd", "Unrealised PnL", None if equity is None or cash is None else equity - cash)
        yield gauge(
            "aiq_day_pnl_usd",
            "Equity against that at the day's start (UTC)",
            None if equity is None or start is None else equity - start,
        )
        yield gauge("aiq_realised_usd", "Realised PnL of the ledger, before fees", portfolio.realised_usd)
        yield gauge("aiq_fees_usd", "Fees of the ledger", portfolio.fees_usd)
        yield gauge("aiq_funding_usd", "Funding of the ledger, received is positive", portfolio.funding_usd)
        yield gauge("aiq_positions", "Open positions", len(portfolio.positions))
        yield gauges("aiq_position_size", "Signed size of an open position", "symbol", size)
        yield gauges("aiq_position_notional_usd", "What an open position is worth", "symbol", notional)
        yield gauges("aiq_position_unrealised_usd", "Unrealised PnL of an open position", "symbol", unrealised)
        heard_ms = watched.row.account_watch.heard_ms
        heard_age_ms = None if heard_ms is None else watched.clock.monotonic_ms() - heard_ms
        yield gauge(
            "aiq_account_snapshot_age_seconds", "Since the venue said how the account stands", _seconds(heard_age_ms)
        )
        yield from self._differences()

    def _differences(self) -> Iterator[Metric]:
        differences = self._watched.tally.differences.values()
        kinds = Counter({**dict.fromkeys(DIFFERENCE_KINDS, 0)})
        kinds.update(each.kind for each in differences)
        yield gauges("aiq_differences_open", "Our books and the venue say different things", "kind", kinds)
        oldest_ms = min((each.opened_ms for each in differences), default=None)
        age_ms = 0 if oldest_ms is None else self._watched.clock.now_ms() - oldest_ms
        yield gauge(
            "aiq_difference_age_seconds", "Market time since the oldest open one began; 0: none", _seconds(age_ms)
        )

    # ── limits ───────────────────────────────────────────────────────────────────────────────

    def _risk(self) -> Iterator[Metric]:
        guard = self._watched.engine.guard
        state, equity = guard.state, self._watched.engine.equity_usd()
        fall = None if equity is None or state.peak_equity_usd is None else drawdown_pct(state, equity)
        yield gauge("aiq_drawdown_percent", "Below the highest equity", fall)
        yield gauges(
            "aiq_latch",
            "1 for the state that the kill latch is in",
            "state",
            {each.value: state.latch is each for each in Latch},
        )
        yield gauge("aiq_paused", "1 while an operator has paused entries", bool(state.paused))
        yield gauge("aiq_entries_held", "1 while no entry may leave, for whatever reason", guard.is_holding)
        yield gauges(
            "aiq_entries_held_by", "1 for each who holds entries", "source", dict.fromkeys(self._watched.held_by, 1)
        )
        yield gauge("aiq_positions_leaving", "Symbols that are being closed until they are flat", len(state.leaving))
        yield gauge("aiq_positions_residual", "Symbols that could not be closed", len(state.residuals))
        yield counters("aiq_alerts", "Alerts, repeated ones too", "code", alert_counts(self._watched.row.alerts))

    # ── the process ──────────────────────────────────────────────────────────────────────────

    def _process(self) -> Iterator[Metric]:
        yield gauge("aiq_resident_memory_bytes", "Memory of the process", resident_bytes())
        yield gauge("aiq_open_files", "Open file descriptors", open_files())
        yield counter("aiq_cpu_seconds", "Processor time used", time.process_time())
        yield gauge("aiq_tasks", "Tasks of the event loop", len(asyncio.all_tasks()))
        yield gauge("aiq_threads", "Threads", threading.active_count())


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000
