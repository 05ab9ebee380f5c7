"""Does the simulation find bugs? Each of these is planted, by patching production code for one test, and is caught.

The gate plants those that a seed or two catch, at least one for most invariants; `--long` plants all.
A bug that stays unseen is a failure of the simulator: of its faults, or of its oracle.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

import adapters.hyperliquid.encoder
import application.live_oms
import domain.unknown
from adapters.hyperliquid.account_reads import AccountReader
from adapters.hyperliquid.gateway import HyperliquidGateway
from adapters.hyperliquid.outcomes import order_outcome
from adapters.hyperliquid.sending import ActionSender, Sent
from adapters.sqlite.ledger import SqliteLedger
from adapters.sqlite.projections import Projections
from application.committer import Committer
from application.effect_runner import EffectRunner
from application.flattening import Flattening
from application.inbox import Inbox
from application.live_oms import LiveOms
from application.protection import Protection
from application.protection_watch import ProtectionWatch
from application.risk_guard import RiskGuard
from application.supervisor import Supervisor
from application.unknown_orders import UnknownOrders
from application.venue_clock import VenueClock
from domain.effects import SubmitOrder
from domain.events import FillArrived, OperatorSpoke, OrderOutcome
from domain.fact_text import chained
from domain.facts import PositionChanged
from domain.fills import Fill, FillMatch, MatchedVia, match_fill
from domain.intents import OrderRequest
from domain.orders import Accepted, Rejected, RejectReason, Unknown
from domain.risk import Latch
from entrypoints.simulation import daemon_settings
from entrypoints.simulation.fault_kinds import NAMES
from entrypoints.simulation.life import CrashPoint
from entrypoints.simulation.oracle.cap_checks import CAPS_BY_GATE
from entrypoints.simulation.run import live_through

Patch = pytest.MonkeyPatch

LOST_ANSWERS = tuple(name for name in NAMES if name[:3] in ("F01", "F02", "F03", "F04", "F07", "F08"))
LATE = tuple(name for name in NAMES if name.startswith("F03"))
CRASHES = tuple(point.value for point in CrashPoint)
FRAMES = ("E11 account frame dropped", "E05 disconnect", "E13 frame cut off")
OPERATOR = tuple(name for name in NAMES if name.startswith("L07"))
STOPS_LOST = ("G26 orders canceled by hand", *LOST_ANSWERS)
GAPS = ("E07 lie on resubscribe", "E05n network cut")
"""What was missed is not told again by the next subscription."""
BY_HAND = tuple(name for name in NAMES if name.startswith(("G10", "G24")))
NOTHING: tuple[str, ...] = ()
MOST_SEEDS = 12
HOURS = 2.0
DENSITY = 8.0
"""More wishes and faults than a usual day has: what takes seeds to come together comes together sooner."""


# ── the order's way ──────────────────────────────────────────────────────────────────────────


def order_sent_before_its_row(patch: Patch) -> None:
    async def commit(self: Any, facts: Sequence[Any]) -> None:
        if facts:
            asyncio.get_running_loop().call_later(0.2, self._write, facts)

    patch.setattr(Committer, "commit", commit)


def dedupe_only_in_memory(patch: Patch) -> None:
    """As if keys were those of a process: a restart knows nothing of them, and the ledger would not mind."""
    load = SqliteLedger.load

    def forgetful(self: SqliteLedger) -> Any:
        return dataclasses.replace(load(self), intent_ids=frozenset())

    patch.setattr(SqliteLedger, "load", forgetful)


def signed_anew_after_a_timeout(patch: Patch) -> None:
    send = ActionSender.send

    async def stubborn(self: ActionSender, action: Any, expires: Any, nonce: Any = None, **more: Any) -> Sent:
        sent = await send(self, action, expires, nonce, **more)
        if sent.reply is None and action["type"] == "order":
            sent = await send(self, action, expires, sent.nonce + 2, **more)
        return sent

    patch.setattr(ActionSender, "send", stubborn)


def an_error_is_a_rejection(patch: Patch) -> None:
    judge = order_outcome

    def rash(reply: Any, request: Any) -> Any:
        outcome = judge(reply, request)
        return Rejected(RejectReason.OTHER, outcome.text) if isinstance(outcome, Unknown) else outcome

    patch.setattr("adapters.hyperliquid.gateway.order_outcome", rash)


def silence_is_a_rejection(patch: Patch) -> None:
    submit = HyperliquidGateway.submit

    async def rash(self: HyperliquidGateway, request: OrderRequest) -> Any:
        outcome = await submit(self, request)
        return Rejected(RejectReason.OTHER, outcome.text) if isinstance(outcome, Unknown) else outcome

    patch.setattr(HyperliquidGateway, "submit", rash)


def one_unknown_oid_is_death(patch: Patch) -> None:
    patch.setattr(domain.unknown, "proof_of_death", lambda known: "unknown by its id" if known.absent_ms else None)


def death_shortly_before_expiry(patch: Patch) -> None:
    """The nonce is not burned and the expiry is not waited for: only some time passes."""

    async def pretend(self: HyperliquidGateway, nonce: int) -> bool:
        return True

    patch.setattr(HyperliquidGateway, "burn", pretend)
    patch.setattr(domain.unknown, "EXPIRY_MARGIN_MS", -8_500)
    patch.setattr(domain.unknown, "VISIBILITY_MS", 0)


def noop_with_a_fresh_nonce(patch: Patch) -> None:
    burn = HyperliquidGateway.burn

    async def other(self: HyperliquidGateway, nonce: int) -> bool:
        return await burn(self, nonce + 1_000)

    patch.setattr(HyperliquidGateway, "burn", other)
    patch.setattr(domain.unknown, "EXPIRY_MARGIN_MS", -300_000)
    patch.setattr(domain.unknown, "VISIBILITY_MS", 0)


def duplicate_nonce_means_it_landed(patch: Patch) -> None:
    """The answer to a second noop is believed to be about the order."""
    burn = HyperliquidGateway.burn
    runner_burn = EffectRunner._burn

    async def twice(self: HyperliquidGateway, nonce: int) -> bool:
        await burn(self, nonce)
        return await burn(self, nonce)

    async def believe(self: Any, cloid: str, nonce: int) -> None:
        await runner_burn(self, cloid, nonce)
        self._put(OrderOutcome(cloid, Accepted(oid=1)))

    patch.setattr(HyperliquidGateway, "burn", twice)
    patch.setattr(EffectRunner, "_burn", believe)


def nobody_asks_about_unknown_orders(patch: Patch) -> None:
    patch.setattr(UnknownOrders, "ask", lambda self, step: None)


def entries_beside_an_unknown_order(patch: Patch) -> None:
    """A gate that says yes, and unknown orders that never end."""
    nobody_asks_about_unknown_orders(patch)
    patch.setattr(LiveOms, "has_unknown", lambda self, symbol: False)
    patch.setattr(LiveOms, "live_orders", lambda self, symbol: [])


def nonces_by_the_clock_alone(patch: Patch) -> None:
    patch.setattr(application.live_oms, "next_nonce", lambda last, at_ms: at_ms)


# ── what is in an order ──────────────────────────────────────────────────────────────────────


def exits_are_not_reduce_only(patch: Patch) -> None:
    encode = adapters.hyperliquid.encoder.ActionEncoder._order

    def naked(self: Any, request: OrderRequest) -> Any:
        return {**encode(self, request), "r": False}

    patch.setattr(adapters.hyperliquid.encoder.ActionEncoder, "_order", naked)


def another_action_is_signed(patch: Patch) -> None:
    """What leaves is not what was written down."""
    send = ActionSender.send

    async def other(self: ActionSender, action: Any, expires: Any, nonce: Any = None, **more: Any) -> Sent:
        if action["type"] == "order":
            order = action["orders"][0]
            action = {**action, "orders": [{**order, "s": str(Decimal(order["s"]) * 2)}]}
        return await send(self, action, expires, nonce, **more)

    patch.setattr(ActionSender, "send", other)


def prices_off_the_tick(patch: Patch) -> None:
    encode = adapters.hyperliquid.encoder.ActionEncoder._order

    def rough(self: Any, request: OrderRequest) -> Any:
        order = encode(self, request)
        return {**order, "p": f"{Decimal(str(order['p'])) * Decimal('1.0000001'):f}"[:18]}

    patch.setattr(adapters.hyperliquid.encoder.ActionEncoder, "_order", rough)


def limits_are_not_asked(patch: Patch) -> None:
    patch.setattr(RiskGuard, "gates", lambda self, *given: [])


def a_cap_ignores_unknown_orders(patch: Patch) -> None:
    """Whatever nobody knows the fate of is taken for nothing."""
    exposure = RiskGuard._exposure

    class Settled:
        def __init__(self, oms: LiveOms) -> None:
            self._oms = oms

        def all_live_orders(self) -> list[Any]:
            return [each for each in self._oms.all_live_orders() if not each.order.in_flight]

    def careless(self: Any, *given: Any) -> Any:
        oms, self._oms = self._oms, Settled(self._oms)
        try:
            return exposure(self, *given)
        finally:
            self._oms = oms

    patch.setattr(RiskGuard, "_exposure", careless)
    nobody_asks_about_unknown_orders(patch)
    patch.setattr("entrypoints.simulation.eager_strategy._RUSHES", 0.2)


def rates_are_forgotten_by_a_restart(patch: Patch) -> None:
    load = SqliteLedger.load
    patch.setattr(SqliteLedger, "load", lambda self: dataclasses.replace(load(self), recent_entries=()))


def one_cap_is_not_asked(gate: str) -> Callable[[Patch], None]:
    """In a daemon that has no other cap, for they cover for each other."""

    def plant(patch: Patch) -> None:
        gates = RiskGuard.gates
        alone = {cap: Decimal(1_000_000) for cap in daemon_settings.CAPS}
        kept = (CAPS_BY_GATE[gate], "max_total_margin_pct", "notional_window_s")
        alone |= {cap: daemon_settings.CAPS[cap] for cap in kept} | HIGHEST
        patch.setattr(daemon_settings, "CAPS", alone | {kept[0]: daemon_settings.CAPS[kept[0]]})
        patch.setattr("entrypoints.simulation.eager_strategy._RUSHES", 0.2)
        patch.setattr(
            RiskGuard, "gates", lambda self, *given: [each for each in gates(self, *given) if each.name != gate]
        )

    plant.__name__ = f"{gate}_is_not_asked"
    return plant


HIGHEST = {
    "max_open_positions": Decimal(1_000),
    "max_account_leverage": Decimal(50),
    "max_entry_orders_per_minute": Decimal(1_000),
    "max_entry_orders_per_minute_per_symbol": Decimal(1_000),
}
"""What their settings allow."""


# ── the latch ────────────────────────────────────────────────────────────────────────────────


def entries_leave_after_the_latch_is_shut(patch: Patch) -> None:
    """What was decided before goes its way: neither the supervisor nor the gateway asks again."""
    patch.setattr(RiskGuard, "bars_entries", lambda self: "")


def the_latch_is_forgotten_by_a_restart(patch: Patch) -> None:
    restore = RiskGuard.restore

    def forgetful(self: RiskGuard, state: Any) -> None:
        open_again = dataclasses.replace(state.risk, latch=Latch.OPEN, latch_why="", paused="")
        restore(self, dataclasses.replace(state, risk=open_again))

    patch.setattr(RiskGuard, "restore", forgetful)


def a_pause_is_in_memory_only(patch: Patch) -> None:
    def pause(self: Any, step: Any, reason: str) -> None:
        self.state = dataclasses.replace(self.state, paused=reason)

    patch.setattr(RiskGuard, "pause", pause)


def nobody_closes_after_a_kill(patch: Patch) -> None:
    patch.setattr(Flattening, "work", lambda self, *given: None)


def closing_takes_more_than_is_held(patch: Patch) -> None:
    place = LiveOms.place

    def reckless(self: LiveOms, step: Any, wish: Any) -> Any:
        if wish.reason == "flatten":
            wish = dataclasses.replace(wish, size=wish.size * 2)
        return place(self, step, wish)

    patch.setattr(LiveOms, "place", reckless)


def an_operator_is_not_heard(patch: Patch) -> None:
    put = Inbox.put
    patch.setattr(Inbox, "put", lambda self, event: None if isinstance(event, OperatorSpoke) else put(self, event))


def a_stop_keeps_its_size(patch: Patch) -> None:
    """The position grows or shrinks, and nobody looks."""
    stands = Protection._stands

    def easy(self: Any, step: Any, symbol: str, level: Any, resting: Any, tolerance: float) -> bool:
        return bool(resting) or stands(self, step, symbol, level, resting, tolerance)

    patch.setattr(Protection, "_stands", easy)


def nobody_looks_whether_stops_live(patch: Patch) -> None:
    patch.setattr(ProtectionWatch, "look", lambda self, *given: [])


def no_stop_is_placed(patch: Patch) -> None:
    patch.setattr(Protection, "follow", lambda self, *given, **more: None)


# ── the books ────────────────────────────────────────────────────────────────────────────────


def fills_are_known_by_size_and_price(patch: Patch) -> None:
    patch.setattr(
        Fill, "trade_id", property(lambda self: f"{self.symbol}:{self.time_ms}:0:{self.oid}:{self.side.value}")
    )


def a_fill_moves_no_position(patch: Patch) -> None:
    on_fill = LiveOms.on_fill

    def half(self: LiveOms, step: Any, event: FillArrived) -> Any:
        booked = on_fill(self, step, event)
        step.facts[:] = [fact for fact in step.facts if not isinstance(fact, PositionChanged)]
        return booked

    patch.setattr(LiveOms, "on_fill", half)


def a_row_is_not_projected(patch: Patch) -> None:
    """One of a transaction's facts does not reach its table."""
    make = Projections.__init__
    seen = [0]

    def lossy(self: Projections, facts: Sequence[Any]) -> None:
        kept = [fact for fact in facts if not (isinstance(fact, PositionChanged) and _every(seen, 3))]
        make(self, kept)

    patch.setattr(Projections, "__init__", lossy)


def a_fill_belongs_to_whoever_is_there(patch: Patch) -> None:
    match = match_fill

    def generous(fill: Fill, attempts: Any) -> FillMatch:
        known = list(attempts)
        found = match(fill, known)
        if found.via is MatchedVia.EXTERNAL and known:
            return FillMatch(known[0].intent_id, known[0].cloid, MatchedVia.OID)
        return found

    patch.setattr("application.fill_desk.match_fill", generous)


def funding_is_forgotten(patch: Patch) -> None:
    patch.setattr(LiveOms, "on_funding", lambda self, step, event: False)


def what_was_missed_is_not_asked_for(patch: Patch) -> None:
    """Fills come by stream or never."""

    async def none(self: AccountReader, since_ms: int) -> list[Fill]:
        return []

    patch.setattr(AccountReader, "fills", none)


def the_chain_has_a_loose_link(patch: Patch) -> None:
    link = chained
    count = [0]

    def loose(previous: bytes, text: str) -> bytes:
        return link(b"" if _every(count, 40) else previous, text)

    patch.setattr("adapters.sqlite.ledger.chained", loose)


# ── time, tasks ──────────────────────────────────────────────────────────────────────────────


def candles_close_early(patch: Patch) -> None:
    now = VenueClock.now
    patch.setattr(VenueClock, "now", lambda self, at_ms: now(self, at_ms) + 9_000)


def the_feed_is_read_no_longer(patch: Patch) -> None:
    """A reader that stops in silence, with everything around it alive."""

    async def tired(self: Any) -> None:
        left = 400
        async for event in self._feed.events():
            self._inbox.put(event)
            left -= 1
            if left == 0:
                await asyncio.get_running_loop().create_future()

    patch.setattr(Supervisor, "_follow_feed", tired)


def stopping_waits_for_ever(patch: Patch) -> None:
    async def slow(self: Any, effects: Any) -> None:
        await asyncio.sleep(30)

    patch.setattr(Supervisor, "_drain", slow)


def a_bug_in_a_step(patch: Patch) -> None:
    run = EffectRunner.run

    def broken(self: EffectRunner, effects: Any, tasks: Any) -> None:
        assert sum(isinstance(effect, SubmitOrder) for effect in effects) < 2, "planted"
        run(self, effects, tasks)

    patch.setattr(EffectRunner, "run", broken)


def _every(count: list[int], times: int) -> bool:
    count[0] += 1
    return count[0] % times == 0


@dataclass(frozen=True)
class Planted:
    """`faults`: those that it takes. `breaks`: what may be said of it. `always`: also without `--long`."""

    plant: Callable[[Patch], None]
    breaks: Collection[str]
    faults: Collection[str] = NOTHING
    timer_s: float = 4.0
    density: float = DENSITY
    always: bool = False


PLANTED = (
    Planted(order_sent_before_its_row, ("I-02",)),
    Planted(dedupe_only_in_memory, ("I-01", "I-36"), CRASHES),
    Planted(signed_anew_after_a_timeout, ("I-01", "I-03"), LOST_ANSWERS),
    Planted(an_error_is_a_rejection, ("I-01", "I-08"), LOST_ANSWERS),
    Planted(silence_is_a_rejection, ("I-01", "I-08"), LOST_ANSWERS, always=True),
    Planted(one_unknown_oid_is_death, ("I-08",), LATE, always=True),
    Planted(death_shortly_before_expiry, ("I-08",), LATE, timer_s=0.4),
    Planted(noop_with_a_fresh_nonce, ("I-03", "I-04", "I-08"), LATE, timer_s=0.4),
    Planted(duplicate_nonce_means_it_landed, ("I-08",), LOST_ANSWERS),
    Planted(nobody_asks_about_unknown_orders, ("I-28",), LOST_ANSWERS, always=True),
    Planted(entries_beside_an_unknown_order, ("I-09",), LOST_ANSWERS),
    Planted(nonces_by_the_clock_alone, ("I-03", "I-04"), always=True),
    Planted(exits_are_not_reduce_only, ("I-27",), always=True),
    Planted(another_action_is_signed, ("I-02",), always=True),
    Planted(prices_off_the_tick, ("I-06",), always=True),
    Planted(limits_are_not_asked, ("I-07",), always=True),
    Planted(a_cap_ignores_unknown_orders, ("I-07",), LOST_ANSWERS),
    Planted(rates_are_forgotten_by_a_restart, ("I-07",), CRASHES),
    *(Planted(one_cap_is_not_asked(name), ("I-07",)) for name in CAPS_BY_GATE if name != "margin_cap"),
    Planted(entries_leave_after_the_latch_is_shut, ("I-26",), OPERATOR, always=True),
    Planted(the_latch_is_forgotten_by_a_restart, ("I-26",), (*OPERATOR, *CRASHES), always=True),
    Planted(a_pause_is_in_memory_only, ("I-26",), OPERATOR),
    Planted(nobody_closes_after_a_kill, ("I-26",), OPERATOR),
    Planted(closing_takes_more_than_is_held, ("I-27",), OPERATOR, always=True),
    Planted(an_operator_is_not_heard, ("I-26",), OPERATOR),
    Planted(a_stop_keeps_its_size, ("I-29",), always=True),
    Planted(nobody_looks_whether_stops_live, ("I-29",), (*BY_HAND, *STOPS_LOST)),
    Planted(no_stop_is_placed, ("I-29",), always=True),
    Planted(fills_are_known_by_size_and_price, ("I-10",)),
    Planted(a_fill_moves_no_position, ("I-11", "I-27"), always=True),
    Planted(a_row_is_not_projected, ("I-16",), always=True),
    Planted(a_fill_belongs_to_whoever_is_there, ("I-13",), BY_HAND, always=True),
    Planted(funding_is_forgotten, ("I-14",), always=True),
    Planted(what_was_missed_is_not_asked_for, ("I-10", "I-11"), (*FRAMES, *GAPS), density=24.0),
    Planted(the_chain_has_a_loose_link, ("I-18",), always=True),
    Planted(candles_close_early, ("I-20",), always=True),
    Planted(the_feed_is_read_no_longer, ("I-28",)),
    Planted(stopping_waits_for_ever, ("I-35",), always=True),
    Planted(a_bug_in_a_step, ("I-36",)),
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "bug",
    [pytest.param(bug, id=bug.plant.__name__, marks=() if bug.always else pytest.mark.long) for bug in PLANTED],
)
def test_a_planted_bug_is_caught(bug: Planted, monkeypatch: Patch) -> None:
    bug.plant(monkeypatch)
    said: set[str] = set()
    for seed in range(1, MOST_SEEDS + 1):
        said |= {
            violation.invariant
            for violation in live_through(
                seed, HOURS, only=bug.faults, density=bug.density, timer_s=bug.timer_s
            ).violations
        }
        if said & set(bug.breaks):
            return
    raise AssertionError(f"{bug.plant.__name__} lived through {MOST_SEEDS} seeds; said was {sorted(said)}")
