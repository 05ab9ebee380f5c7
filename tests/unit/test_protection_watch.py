"""No position without a live stop: what counts as one, how long it was not there, and what the venue has to say."""

from dataclasses import replace
from decimal import Decimal

from application.order_shelf import LiveOrder
from application.step import Step
from domain.effects import Alert, CancelOrder
from domain.events import AccountSnapshot, OrderCanceled, OrderOutcome, RestingOrder, TimerFired
from domain.facts import ProtectionLapsed
from domain.intents import Action, OrderRequest, Side, TriggerKind
from domain.orders import Accepted
from tests.engine_builders import BUY, START_MS, EngineRig, effects_of, facts_of, submitted, universe_of

D = Decimal


def rig_with_position() -> EngineRig:
    rig = EngineRig(universe_of("BTC", "ETH"))
    rig.open_position("BTC")
    return rig


def stop_of(rig: EngineRig) -> LiveOrder:
    return [live for live in rig.engine.oms.live_orders("BTC") if live.intent.key.action is Action.STOP][-1]


def rest(rig: EngineRig, oid: int = 70) -> None:
    rig.take(OrderOutcome(stop_of(rig).order.request.cloid, Accepted(oid)))


def wait(rig: EngineRig, seconds: int) -> list[Step]:
    """Time passes, a second a look; prices stand still."""
    steps = []
    for _ in range(seconds):
        rig.now_ms += 1_000
        steps.append(rig.take(TimerFired()))
    return steps


def codes(*steps: Step) -> list[str]:
    return [alert.code for alert in effects_of(Alert, *steps)]


def snapshot(rig: EngineRig, *resting: RestingOrder) -> Step:
    size = rig.engine.portfolio.positions["BTC"].size
    return rig.take(AccountSnapshot(D(10_000), (("BTC", size),), rig.now_ms, resting=resting))


def as_rests(rig: EngineRig, **changes: object) -> RestingOrder:
    live = stop_of(rig)
    assert live.intent.trigger is not None
    request = live.order.request
    return replace(
        RestingOrder("BTC", 70, request.cloid, 0, Side.SELL, request.size, live.intent.trigger.price, True),
        **changes,  # type: ignore[arg-type]
    )


def test_a_stop_that_rests_is_protection_and_nothing_is_written() -> None:
    rig = rig_with_position()
    rest(rig)
    steps = wait(rig, 60)
    assert (facts_of(ProtectionLapsed, *steps), codes(*steps)) == ([], [])


def test_a_stop_that_the_venue_has_not_taken_is_none_and_is_told_after_a_while() -> None:
    rig = rig_with_position()
    steps = wait(rig, 40)
    assert codes(*steps) == ["position_unprotected"]
    (told,) = [step for step in steps if codes(step)]
    assert told.at_ms - steps[0].at_ms == 30_000
    rest(rig)
    (after,) = wait(rig, 1)
    (lapse,) = facts_of(ProtectionLapsed, after)
    assert (lapse.symbol, lapse.until_ms - lapse.since_ms, lapse.why) == ("BTC", 40_000, "its stop is on its way")
    assert codes(after) == ["position_protected"]


def test_a_stop_that_is_cancelled_is_placed_again_though_no_price_moves() -> None:
    rig = rig_with_position()
    rest(rig)
    cancelled = stop_of(rig)
    wait(rig, 20)
    rig.take(OrderCanceled(cancelled.order.request.cloid, "canceled"))
    sent = [each for each in submitted(*wait(rig, 2)) if each.trigger is not None]
    assert [each.size for each in sent] == [cancelled.order.request.size]
    rest(rig, 71)
    assert codes(*wait(rig, 60)) == []


def test_a_stop_that_the_venue_does_not_list_is_none() -> None:
    rig = rig_with_position()
    rest(rig)
    wait(rig, 10)
    snapshot(rig)
    assert rig.engine.protection.look(rig.steps[-1], 30) == []
    steps = wait(rig, 45)
    assert "position_unprotected" in codes(*steps)
    snapshot(rig, as_rests(rig))
    assert facts_of(ProtectionLapsed, *wait(rig, 1))


def test_a_stop_shortly_before_the_snapshot_may_not_be_in_it() -> None:
    rig = rig_with_position()
    rest(rig)
    wait(rig, 2)
    snapshot(rig)
    assert codes(*wait(rig, 60)) == []


def test_another_stop_than_ours_is_cancelled_and_told() -> None:
    for wrong in ({"trigger_price": D(1)}, {"reduce_only": False}, {"side": Side.BUY}):
        rig = rig_with_position()
        rest(rig)
        wait(rig, 10)
        step = snapshot(rig, as_rests(rig, **wrong))
        assert codes(step) == ["stop_differs"], wrong
        assert [each.cloid for each in effects_of(CancelOrder, step)] == [stop_of(rig).order.request.cloid]


def test_what_the_venue_did_not_say_is_no_difference() -> None:
    rig = rig_with_position()
    rest(rig)
    wait(rig, 10)
    step = snapshot(rig, as_rests(rig, side=None, size=None, trigger_price=None, reduce_only=None))
    assert codes(step) == []


def test_a_lapse_ends_with_its_position() -> None:
    rig = rig_with_position()
    wait(rig, 10)
    size = rig.engine.portfolio.positions["BTC"].size
    rig.strategy.script.clear()
    close = [each for each in submitted(rig.quote(80.0, "BTC", at_ms=rig.now_ms + 1_000)) if each.trigger is None]
    assert [each.size for each in close] == [size]
    rig.fill(close[0])
    (lapse,) = facts_of(ProtectionLapsed, *wait(rig, 2))
    assert lapse.symbol == "BTC"


def test_an_entry_that_fills_in_many_parts_at_once_moves_its_stop_once() -> None:
    """Each move is an order and a cancel: twenty of them take the venue's limits from everybody else."""
    rig = EngineRig(universe_of("BTC", "ETH"))
    rig.strategy.script["BTC", START_MS] = BUY
    (entry,) = submitted(rig.close_candle(START_MS))
    part = str(entry.size / 4)
    stops = [each for _ in range(4) for each in submitted(rig.fill(entry, size=part)) if is_stop(each)]
    assert [each.size for each in stops] == [entry.size / 4]
    later = [each for each in submitted(*wait(rig, 2)) if is_stop(each)]
    assert [each.size for each in later] == [entry.size], "a second later it is of the position's own size"


def is_stop(request: OrderRequest) -> bool:
    return request.trigger is not None and request.trigger.kind is TriggerKind.STOP_LOSS
