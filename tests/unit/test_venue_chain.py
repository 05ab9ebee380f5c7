"""From signed bytes to the answer: who acts, what a block does in which order, and where money goes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from eth_account import Account
from hyperliquid.utils import signing  # type: ignore[import-untyped]

from adapters.sim.venue import words
from adapters.sim.venue.chain.actions import decode_action
from adapters.sim.venue.chain.chain import Chain, class_of
from adapters.sim.venue.chain.signers import Signers
from adapters.sim.venue.exchange.accounts import VenueAccount
from adapters.sim.venue.exchange.events import BalanceChanged, LedgerUpdate
from adapters.sim.venue.exchange.exchange import Exchange
from adapters.sim.venue.exchange.orders import Status
from adapters.sim.venue.limits import AddressBudget
from adapters.sim.venue.settings import Cadence, Limits, VenueSettings
from domain.instruments import Instrument, single_tier
from domain.intents import Side

START_MS = 1_800_000_000_000
BLOCK_MS = 70
FIRST_BLOCK_MS = (START_MS // BLOCK_MS + 1) * BLOCK_MS
BTC, ETH = Instrument("BTC", 5, single_tier(40)), Instrument("ETH", 4, single_tier(25))
MARKS = {"BTC": Decimal(85_000), "ETH": Decimal(3_000)}
ALICE, BOB, AGENT, STRANGER = (Account.from_key("0x" + f"{n:064x}") for n in (11, 12, 13, 14))
HOUSE = "0x" + 39 * "0" + "1"
CLOID = "0x1234567890abcdef1234567890abcdef"


def address(wallet: Any) -> str:
    return str(wallet.address).lower()


def order(
    price: str = "80000", size: str = "0.01", tif: str = "Gtc", *, buy: bool = True, **more: Any
) -> dict[str, Any]:
    return {"a": 0, "b": buy, "p": price, "s": size, "r": False, "t": {"limit": {"tif": tif}}} | more


def batch(*orders: dict[str, Any], grouping: object = "na", **more: object) -> dict[str, Any]:
    return {"type": "order", "orders": list(orders), "grouping": grouping} | more


class QuietMarket:
    """Only moves the exchange's time, and remembers which coins were asked for."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.synced: list[str] = []

    def advance(self, to_ms: int) -> None:
        self.exchange.now_ms = to_ms

    def sync(self, coin: str) -> None:
        self.synced.append(coin)


class World:
    """A venue with two rich accounts, a house that quotes BTC at 84,999 / 85,001, and a clock of its own."""

    def __init__(self, settings: VenueSettings | None = None) -> None:
        settings = settings or VenueSettings()
        self.exchange = Exchange((BTC, ETH), settings, START_MS)
        self.market = QuietMarket(self.exchange)
        self.signers = Signers(self.exchange.accounts, settings, START_MS)
        self.budget = AddressBudget(settings.limits)
        self.chain = Chain(self.exchange, self.market, self.signers, self.budget, settings)
        self.exchange.set_marks(MARKS, MARKS)
        house = self.exchange.open_account(HOUSE, is_house=True)
        self.exchange.rest_house(house, "BTC", Side.BUY, Decimal(84_999), Decimal(5))
        self.exchange.rest_house(house, "BTC", Side.SELL, Decimal(85_001), Decimal(5))
        self.alice = self.exchange.open_account(address(ALICE), cash=Decimal(10_000))
        self.bob = self.exchange.open_account(address(BOB), cash=Decimal(10_000))
        self.exchange.take_events()
        self.tickets = 0
        self.nonce = START_MS

    def post(self, action: Mapping[str, Any], wallet: Any = ALICE, **envelope: Any) -> int:
        """Sign as the official SDK does, and send."""
        nonce = envelope.get("nonce", self.next_nonce())
        vault, expires = envelope.get("vaultAddress"), envelope.get("expiresAfter")
        signature = signing.sign_l1_action(wallet, action, vault, nonce, expires, envelope.pop("mainnet", False))
        return self.send({"action": action, "nonce": nonce, "signature": signature} | envelope)

    def send(self, body: dict[str, Any]) -> int:
        self.tickets += 1
        assert self.chain.receive(self.tickets, json.dumps(body).encode()) is not None
        return self.tickets

    def run(self) -> dict[int, Any]:
        """Run the next block."""
        due = self.chain.next_due_ms()
        assert due is not None
        return dict(self.chain.run_block(due))

    def answer(self, action: Mapping[str, Any], wallet: Any = ALICE, **envelope: Any) -> Any:
        ticket = self.post(action, wallet, **envelope)
        return self.run()[ticket]

    def user_signed(self, sign: Any, action: dict[str, Any], wallet: Any = ALICE, **envelope: Any) -> Any:
        """Sign with the account's key; `mainnet` signs for the other network."""
        key = "time" if action["type"] in ("usdSend", "withdraw3", "spotSend") else "nonce"
        nonce = envelope.pop("inner", self.next_nonce())
        action = action | {key: nonce}
        signature = sign(wallet, action, envelope.pop("mainnet", False))
        ticket = self.send({"action": action, "nonce": nonce, "signature": signature} | envelope)
        return self.run()[ticket]

    def next_nonce(self) -> int:
        self.nonce += 1
        return self.nonce

    def approve(self, agent: Any = AGENT) -> None:
        assert self.signers.approve(address(ALICE), address(agent), "bot", self.exchange.now_ms, None) is None

    def sub_account(self) -> VenueAccount:
        created = self.answer({"type": "createSubAccount", "name": "second"})
        found = self.exchange.account(created["response"]["data"])
        assert found is not None
        return found


@pytest.fixture
def world() -> World:
    return World()


def err(text: str) -> dict[str, object]:
    return {"status": "err", "response": text}


def statuses(*entries: object, kind: str = "order") -> dict[str, object]:
    return {"status": "ok", "response": {"type": kind, "data": {"statuses": list(entries)}}}


DONE = {"status": "ok", "response": {"type": "default"}}

# ── shapes of answers ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_resting_order_answers_its_oid_and_the_cloid_that_was_sent(world: World) -> None:
    said = world.answer(batch(order(c=CLOID), order(price="79000")))
    first, second = world.alice.orders
    assert said == statuses({"resting": {"oid": first, "cloid": CLOID}}, {"resting": {"oid": second}})


def test_what_filled_at_once_answers_size_and_average(world: World) -> None:
    said = world.answer(batch(order("86000", tif="Ioc")))
    (oid,) = world.alice.history
    assert said == statuses({"filled": {"totalSz": "0.01", "avgPx": "85001.0", "oid": oid}})


def test_every_order_of_a_batch_has_its_own_entry(world: World) -> None:
    said = world.answer(batch(order("86000", tif="Ioc"), order("80000", tif="Ioc"), order(size="0.0001")))
    entries = said["response"]["data"]["statuses"]
    assert "filled" in entries[0]
    assert entries[1:] == [{"error": words.IOC_NO_MATCH + " asset=0"}, {"error": words.MIN_NOTIONAL + " asset=0"}]


def test_children_wait_for_the_fill_of_their_parent(world: World) -> None:
    stop = {"trigger": {"isMarket": True, "triggerPx": "75000", "tpsl": "sl"}}
    child = order("70000", buy=False, r=True, t=stop)
    said = world.answer(batch(order(), child, grouping="normalTpsl"))
    assert said["response"]["data"]["statuses"][1] == "waitingForFill"


def test_cancels_answer_one_entry_each(world: World) -> None:
    world.answer(batch(order(c=CLOID)))
    (oid,) = world.alice.orders
    said = world.answer({"type": "cancel", "cancels": [{"a": 0, "o": oid}, {"a": 1, "o": 7}]})
    assert said == statuses("success", {"error": words.CANCEL_TOO_LATE + " asset=1"}, kind="cancel")


def test_a_cancel_by_cloid_answers_like_a_cancel(world: World) -> None:
    world.answer(batch(order(c=CLOID)))
    said = world.answer({"type": "cancelByCloid", "cancels": [{"asset": 0, "cloid": CLOID}]})
    assert said == statuses("success", kind="cancel") and not world.alice.orders


def test_a_modify_answers_without_the_new_oid_and_a_batch_with_it(world: World) -> None:
    world.answer(batch(order(c=CLOID)))
    (first,) = world.alice.orders
    assert world.answer({"type": "modify", "oid": first, "order": order("79000", c=CLOID)}) == DONE
    said = world.answer({"type": "batchModify", "modifies": [{"oid": CLOID, "order": order("78000", c=CLOID)}]})
    (last,) = world.alice.orders
    assert said == statuses({"resting": {"oid": last, "cloid": CLOID}})


def test_a_modify_of_nothing_is_refused(world: World) -> None:
    said = world.answer({"type": "modify", "oid": 7, "order": order()})
    assert said["status"] == "err" and words.CANNOT_MODIFY in said["response"]


def test_an_empty_batch_gets_one_error(world: World) -> None:
    assert world.answer(batch()) == statuses({"error": words.ORDERS_EMPTY})
    assert world.answer({"type": "cancel", "cancels": []}) == statuses({"error": words.ORDERS_EMPTY}, kind="cancel")


def test_assets_that_do_not_exist_are_refused(world: World) -> None:
    assert world.answer(batch(order(a=10_107))) == err("Invalid spot")
    assert world.answer(batch(order(a=2))) == statuses({"error": words.UNKNOWN_ASSET + " asset=2"})
    gone = {"error": words.CANCEL_TOO_LATE + " asset=2"}
    assert world.answer({"type": "cancel", "cancels": [{"a": 2, "o": 1}]}) == statuses(gone, kind="cancel")


def test_leverage_and_its_refusals(world: World) -> None:
    action = {"type": "updateLeverage", "asset": 0, "isCross": True, "leverage": 5}
    assert world.answer(action) == DONE
    assert world.alice.leverage["BTC"].value == 5
    assert world.answer(action | {"leverage": 41}) == err(words.BAD_LEVERAGE)


def test_isolated_margin_comes_in_millionths(world: World) -> None:
    world.answer({"type": "updateLeverage", "asset": 0, "isCross": False, "leverage": 10})
    world.answer(batch(order("86000", tif="Ioc")))
    before = world.alice.cash
    assert world.answer({"type": "updateIsolatedMargin", "asset": 0, "isBuy": True, "ntli": 1_500_000}) == DONE
    assert before - world.alice.cash == Decimal("1.5")


def test_a_top_up_brings_an_isolated_position_to_a_leverage(world: World) -> None:
    world.answer({"type": "updateLeverage", "asset": 0, "isCross": False, "leverage": 10})
    world.answer(batch(order("86000", tif="Ioc")))
    assert world.answer({"type": "topUpIsolatedOnlyMargin", "asset": 0, "leverage": "2.5"}) == DONE
    held = world.alice.positions["BTC"]
    assert held.raw_usd is not None
    equity = held.raw_usd + held.size * MARKS["BTC"]
    assert Decimal(340) <= equity < Decimal("340.000002")  # 850 USD at 2.5x
    assert world.answer({"type": "topUpIsolatedOnlyMargin", "asset": 0, "leverage": "5"}) == err(words.BAD_LEVERAGE)
    assert world.answer({"type": "topUpIsolatedOnlyMargin", "asset": 1, "leverage": "5"}) == err(words.EMPTY_POSITION)


def test_a_cross_position_has_no_margin_of_its_own_to_top_up(world: World) -> None:
    world.answer(batch(order("86000", tif="Ioc")))
    for leverage in ("2", "40"):
        said = world.answer({"type": "topUpIsolatedOnlyMargin", "asset": 0, "leverage": leverage})
        assert said == err(words.NOT_ISOLATED)


def test_twaps_are_refused_in_their_own_shape(world: World) -> None:
    twap = {"a": 0, "b": True, "s": "0.01", "r": False, "m": 1, "t": True}
    said = world.answer({"type": "twapOrder", "twap": twap})
    refusal = {"status": {"error": "Invalid TWAP duration: 1 min(s)"}}
    assert said == {"status": "ok", "response": {"type": "twapOrder", "data": refusal}}
    gone = {"status": {"error": words.TWAP_GONE}}
    assert world.answer({"type": "twapCancel", "a": 0, "t": 1}) == {
        "status": "ok",
        "response": {"type": "twapCancel", "data": gone},
    }


def test_the_dead_mans_switch_needs_volume_and_fires_before_the_block_it_is_due_in(world: World) -> None:
    due = START_MS + 10_000
    refused = world.answer({"type": "scheduleCancel", "time": due})
    assert refused == err(words.schedule_volume(Decimal(1_000_000), Decimal(0)))
    world.alice.volume = Decimal(2_000_000)
    world.answer(batch(order()))
    (oid,) = world.alice.orders
    assert world.answer({"type": "scheduleCancel", "time": due}) == DONE
    world.market.advance(due)
    said = world.answer({"type": "cancel", "cancels": [{"a": 0, "o": oid}]})
    assert said == statuses({"error": words.CANCEL_TOO_LATE + " asset=0"}, kind="cancel")
    assert world.alice.history[oid].status is Status.SCHEDULED_CANCEL


def test_the_dead_mans_switch_fires_without_any_action(world: World) -> None:
    world.alice.volume = Decimal(2_000_000)
    world.answer(batch(order()))
    world.answer({"type": "scheduleCancel", "time": START_MS + 10_001})
    due = world.chain.next_due_ms()
    assert due is not None and START_MS + 10_001 <= due < START_MS + 10_001 + BLOCK_MS and due % BLOCK_MS == 0
    assert world.chain.run_block(due - 1) == [] and world.alice.orders
    assert world.chain.run_block(due) == [] and not world.alice.orders
    assert world.chain.next_due_ms() is None


def test_a_cleared_switch_is_nothing_to_wait_for(world: World) -> None:
    world.alice.volume = Decimal(2_000_000)
    world.answer({"type": "scheduleCancel", "time": START_MS + 10_000})
    assert world.answer({"type": "scheduleCancel"}) == DONE
    assert world.chain.next_due_ms() is None


def test_every_coin_of_an_action_is_synced_before_it_runs(world: World) -> None:
    world.answer(batch(order(), order("2900", "0.1", a=1), order("81000")))
    assert world.market.synced == ["BTC", "ETH"]


def test_a_fast_cancel_is_not_for_triggers(world: World) -> None:
    world.answer(batch(order("86000", tif="Ioc")))
    stop = {"trigger": {"isMarket": True, "triggerPx": "75000", "tpsl": "sl"}}
    world.answer(batch(order("70000", buy=False, r=True, t=stop)))
    (oid,) = world.alice.orders
    said = world.answer({"type": "cancel", "cancels": [{"a": 0, "o": oid}], "f": True})
    assert "error" in said["response"]["data"]["statuses"][0] and oid in world.alice.orders


# ── who acts ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "sent",
    [
        batch(order("80000.0")),
        batch(order(c=CLOID.upper().replace("X", "x"))),
        {"grouping": "na", "orders": [order()], "type": "order"},
        batch(order(), note=1),
        batch(order(), builder=None),
    ],
    ids=["trailing zero", "upper-case cloid", "key order", "unknown key", "null"],
)
def test_whatever_hashes_differently_comes_from_a_stranger(world: World, sent: dict[str, Any]) -> None:
    said = world.answer(sent)
    assert said["status"] == "err" and said["response"].endswith("does not exist.")
    assert address(ALICE) not in said["response"]


def test_a_mainnet_signature_is_a_strangers(world: World) -> None:
    assert world.answer({"type": "noop"}, mainnet=True)["response"].endswith("does not exist.")


def test_a_signer_without_an_account_does_not_exist(world: World) -> None:
    assert world.answer({"type": "noop"}, STRANGER) == err(words.does_not_exist(address(STRANGER)))


def test_an_agent_acts_for_its_master_until_it_expires(world: World) -> None:
    world.approve()
    world.answer(batch(order()), AGENT)
    assert len(world.alice.orders) == 1
    world.signers.remove(address(AGENT))
    assert world.answer({"type": "noop"}, AGENT) == err(words.does_not_exist(address(AGENT)))


def test_a_signature_of_nobody_is_not_recovered(world: World) -> None:
    signature = {"r": "0x0", "s": "0x1", "v": 27}
    ticket = world.send({"action": {"type": "noop"}, "nonce": world.next_nonce(), "signature": signature})
    assert world.run()[ticket] == err(words.NO_SIGNER)


def test_a_vault_is_a_sub_account_of_whoever_acts(world: World) -> None:
    sub = world.sub_account()
    world.exchange.change_balance(sub, sub_deposit(world), cash=Decimal(1_000))
    world.approve()
    assert world.answer(batch(order(size="0.001")), AGENT, vaultAddress=sub.address)["status"] == "ok"
    assert len(sub.orders) == 1 and not world.alice.orders
    refusal = err(words.vault_not_registered(sub.address))
    assert world.answer({"type": "noop"}, BOB, vaultAddress=sub.address) == refusal
    assert world.answer({"type": "noop"}, vaultAddress=address(BOB)) == err(words.vault_not_registered(address(BOB)))
    nested = {"type": "createSubAccount", "name": "third"}
    assert world.answer(nested, vaultAddress=sub.address) == err(words.VAULT_NOT_ALLOWED)


def sub_deposit(world: World) -> LedgerUpdate:
    return LedgerUpdate(world.exchange.now_ms, "0x", {"type": "deposit", "usdc": "1000.0"})


# ── nonces, age, budgets ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_bytes_execute_once(world: World) -> None:
    nonce = world.next_nonce()
    first, second = world.post(batch(order()), nonce=nonce), world.post(batch(order()), nonce=nonce)
    said = world.run()
    assert said[first]["status"] == "ok"
    assert said[second] == err(f"Invalid nonce: duplicate nonce {nonce}")
    assert len(world.alice.orders) == 1


def test_a_refused_order_has_used_its_nonce(world: World) -> None:
    nonce = world.next_nonce()
    assert "error" in world.answer(batch(order(size="0.0001")), nonce=nonce)["response"]["data"]["statuses"][0]
    assert world.answer(batch(order()), nonce=nonce)["status"] == "err"


def test_nonces_belong_to_the_signer_and_not_to_the_account(world: World) -> None:
    world.approve()
    nonce = world.next_nonce()
    assert world.answer({"type": "noop"}, nonce=nonce) == world.answer({"type": "noop"}, AGENT, nonce=nonce) == DONE


def test_a_noop_takes_the_nonce_away_from_an_order_in_flight(world: World) -> None:
    nonce = world.next_nonce()
    flying, noop = world.post(batch(order()), nonce=nonce), world.post({"type": "noop"}, nonce=nonce)
    said = world.run()
    assert said[noop] == DONE and "duplicate nonce" in said[flying]["response"] and not world.alice.orders


def test_a_refusal_before_execution_leaves_the_nonce_free(world: World) -> None:
    nonce, many = world.next_nonce(), {"type": "cancel", "cancels": [{"a": 0, "o": 1}] * 201}
    assert world.answer(many, nonce=nonce) == err("Signed action over weight limit of 200.")
    assert world.answer({"type": "noop"}, nonce=nonce) == DONE


def test_200_items_are_still_one_action(world: World) -> None:
    assert world.answer({"type": "cancel", "cancels": [{"a": 0, "o": 1}] * 200})["status"] == "ok"
    assert world.budget.status(world.alice).used == 200


@pytest.mark.parametrize(("late_ms", "is_executed"), [(0, True), (1, False)])
def test_an_action_expires_by_block_time(world: World, late_ms: int, is_executed: bool) -> None:
    said = world.answer(batch(order()), expiresAfter=FIRST_BLOCK_MS - late_ms)
    assert said["status"] == ("ok" if is_executed else "err")
    assert len(world.alice.orders) == is_executed
    assert world.budget.status(world.alice).used == (1 if is_executed else 5)


def test_a_spent_address_may_only_cancel() -> None:
    world = World(VenueSettings(limits=Limits(address_requests=2)))
    world.answer(batch(order(), order("79000")))
    (oid, _) = world.alice.orders
    assert world.answer(batch(order()))["response"].startswith("Too many cumulative requests sent (2 > ")
    assert world.answer({"type": "cancel", "cancels": [{"a": 0, "o": oid}]})["status"] == "ok"


def test_a_repeated_action_costs_no_budget(world: World) -> None:
    nonce = world.next_nonce()
    for _ in range(3):
        world.answer({"type": "noop"}, nonce=nonce)
    assert world.budget.status(world.alice).used == 1


def test_reserving_requests_costs_money_and_is_not_for_agents(world: World) -> None:
    world.approve()
    action = {"type": "reserveRequestWeight", "weight": 1_000}
    assert world.answer(action, AGENT) == err(words.must_deposit(address(AGENT)))
    assert world.answer(action) == DONE
    assert world.alice.cash == Decimal("9999.5")
    assert world.budget.status(world.alice).surplus == 1_000
    assert world.exchange.fees_collected == Decimal("0.5")
    assert world.answer(action | {"weight": 1 << 31}) == err(words.NO_BALANCE_FOR_TRANSFER)


# ── blocks ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_block_ends_at_the_next_multiple_of_its_length(world: World) -> None:
    assert world.chain.next_due_ms() is None
    world.post({"type": "noop"})
    assert world.chain.next_due_ms() == FIRST_BLOCK_MS
    assert world.chain.run_block(FIRST_BLOCK_MS - 1) == []
    assert len(world.chain.run_block(FIRST_BLOCK_MS)) == 1
    assert world.chain.next_due_ms() is None and world.exchange.now_ms == FIRST_BLOCK_MS


def test_what_arrives_at_a_boundary_waits_for_the_next(world: World) -> None:
    signature = {"r": "0x1", "s": "0x1", "v": 27}
    world.chain.receive(1, {"action": {"type": "noop"}, "nonce": 1, "signature": signature}, FIRST_BLOCK_MS)
    assert world.chain.next_due_ms() == FIRST_BLOCK_MS + BLOCK_MS


def test_post_only_orders_go_first_then_cancels_then_takers(world: World) -> None:
    taker = world.post(batch(order("86000", tif="Ioc")))
    gtc = world.post(batch(order()), BOB)
    cancel = world.post({"type": "cancel", "cancels": [{"a": 0, "o": 1}]})
    leverage = world.post({"type": "updateLeverage", "asset": 0, "isCross": True, "leverage": 5})
    alo = world.post(batch(order(tif="Alo")))
    assert list(world.run()) == [leverage, alo, cancel, taker, gtc]


def test_takers_that_pay_go_first_among_themselves(world: World) -> None:
    ioc = batch(order("86000", tif="Ioc"))
    cancel = world.post({"type": "cancel", "cancels": [{"a": 0, "o": 1}]})
    free, small, large = (world.post(ioc | {"grouping": how}, BOB) for how in ("na", {"p": 10}, {"p": 500}))
    assert list(world.run()) == [cancel, large, small, free]


def test_later_blocks_come_after_earlier_ones_whatever_their_class(world: World) -> None:
    taker = world.post(batch(order("86000", tif="Ioc")))
    world.market.advance(FIRST_BLOCK_MS)
    noop = world.post({"type": "noop"})
    assert list(dict(world.chain.run_block(FIRST_BLOCK_MS + BLOCK_MS))) == [taker, noop]


def test_without_blocks_actions_run_as_they_arrive() -> None:
    world = World(VenueSettings(cadence=Cadence(block=0)))
    taker, noop = world.post(batch(order("86000", tif="Ioc"))), world.post({"type": "noop"})
    assert world.chain.next_due_ms() == START_MS
    assert list(world.run()) == [taker, noop]


def test_while_the_chain_is_halted_actions_wait(world: World) -> None:
    ticket = world.post(batch(order()))
    world.chain.halted_until_ms = FIRST_BLOCK_MS + 1_000
    due = world.chain.next_due_ms()
    assert due is not None and due >= FIRST_BLOCK_MS + 1_000 and due % BLOCK_MS == 0
    assert world.chain.run_block(due - 1) == []
    assert list(dict(world.chain.run_block(due))) == [ticket]


def test_after_an_upgrade_only_post_only_orders_are_taken(world: World) -> None:
    world.chain.post_only_until_ms = FIRST_BLOCK_MS + 1
    said = world.answer(batch(order(), order("79000", tif="Alo"), order("86000", tif="Ioc")))
    refused = {"error": words.POST_ONLY_PHASE + " asset=0"}
    entries = said["response"]["data"]["statuses"]
    assert entries[0] == entries[2] == refused and "resting" in entries[1]
    assert [each.status for each in world.alice.history.values()] == [Status.REJECTED, Status.OPEN, Status.REJECTED]
    assert "resting" in world.answer(batch(order()))["response"]["data"]["statuses"][0]


def test_during_the_post_only_phase_no_group_and_no_taking_modify_is_taken(world: World) -> None:
    world.answer(batch(order()))
    (oid,) = world.alice.orders
    world.chain.post_only_until_ms = START_MS + 60_000
    stop = {"trigger": {"isMarket": True, "triggerPx": "75000", "tpsl": "sl"}}
    said = world.answer(batch(order(), order("70000", buy=False, r=True, t=stop), grouping="normalTpsl"))
    assert said == statuses({"error": words.POST_ONLY_PHASE + " asset=0"})
    assert world.answer({"type": "modify", "oid": oid, "order": order("79000"), "a": True})["status"] == "err"
    assert world.answer({"type": "modify", "oid": oid, "order": order("79000", tif="Alo")}) == DONE


@pytest.mark.parametrize(
    ("raw", "rank"),
    [
        (batch(order(tif="Alo")), 0),
        (batch(order(tif="Alo"), order()), 2),
        (batch(order(tif="FrontendMarket")), 2),
        (batch(order(t={"trigger": {"isMarket": True, "triggerPx": "1", "tpsl": "sl"}})), 0),
        ({"type": "modify", "oid": 1, "order": order(tif="Alo")}, 0),
        ({"type": "batchModify", "modifies": [{"oid": 1, "order": order()}]}, 2),
        ({"type": "cancelByCloid", "cancels": []}, 1),
        ({"type": "scheduleCancel"}, 0),
    ],
)
def test_the_class_of_an_action(raw: dict[str, Any], rank: int) -> None:
    read = decode_action(raw)
    assert read is not None and class_of(read.action)[0] == rank


def test_a_transaction_has_a_hash_of_its_own(world: World) -> None:
    world.answer(batch(order("86000", tif="Ioc"), order("86000", tif="Ioc")))
    world.answer(batch(order("86000", tif="Ioc"), order("86000", tif="Ioc")))
    hashes = [fill.hash for fill in world.alice.fills]
    assert hashes[0] == hashes[1] != hashes[2] == hashes[3]
    assert all(len(each) == 66 and each.startswith("0x") for each in hashes)


def test_priority_is_for_ioc_orders(world: World) -> None:
    assert world.answer(batch(order(), grouping={"p": 10})) == err(words.PRIORITY_IS_FOR_IOC)
    assert world.answer(batch(order(tif="Ioc"), grouping={"p": 80_001})) == err(words.PRIORITY_TOO_HIGH)


# ── signed by the account's own key ──────────────────────────────────────────────────────────────────────────────

CLASS = {"type": "usdClassTransfer", "amount": "100.25", "toPerp": False}


def usd(destination: str, amount: str = "25.5") -> dict[str, Any]:
    return {"type": "usdSend", "destination": destination, "amount": amount}


def test_money_moves_between_perp_and_spot(world: World) -> None:
    sign = signing.sign_usd_class_transfer_action
    assert world.user_signed(sign, CLASS) == DONE
    assert (world.alice.cash, world.alice.spot_usdc) == (Decimal("9899.75"), Decimal("100.25"))
    assert world.user_signed(sign, CLASS | {"toPerp": True, "amount": "100.26"}) == err(words.NO_SPOT_BALANCE)
    assert world.user_signed(sign, CLASS | {"toPerp": True, "amount": "100.25"}) == DONE
    assert (world.alice.cash, world.alice.spot_usdc) == (Decimal(10_000), Decimal(0))
    assert world.alice.deposits == Decimal(10_000)
    assert world.alice.ledger_updates[-1].delta == {"type": "accountClassTransfer", "usdc": "100.25", "toPerp": True}


def test_a_sub_accounts_money_moves_between_its_own_classes(world: World) -> None:
    sub = world.sub_account()
    world.answer({"type": "subAccountTransfer", "subAccountUser": sub.address, "isDeposit": True, "usd": 5_000_000})
    sign = signing.sign_usd_class_transfer_action
    assert world.user_signed(sign, CLASS | {"amount": f"2 subaccount:{sub.address}"}) == DONE
    assert (sub.cash, sub.spot_usdc) == (Decimal(3), Decimal(2))
    other = CLASS | {"amount": f"2 subaccount:{address(BOB)}"}
    assert world.user_signed(sign, other) == err(words.BAD_SUB_ACCOUNT)


def test_money_sent_to_another_account_arrives_whole(world: World) -> None:
    assert world.user_signed(signing.sign_usd_transfer_action, usd(BOB.address)) == DONE
    assert (world.alice.cash, world.bob.cash) == (Decimal("9974.5"), Decimal("10025.5"))
    told = [event for event in world.exchange.take_events() if isinstance(event, BalanceChanged)]
    assert [event.address for event in told] == [address(ALICE), address(BOB)]
    assert told[0].update.delta["type"] == "internalTransfer" and told[0].update.delta["usdc"] == "25.5"
    assert told[0].update.hash == told[1].update.hash != "0x" + 64 * "0"
    assert world.alice.deposits == world.bob.deposits == Decimal(10_000)


def test_money_opens_an_account_at_a_new_address(world: World) -> None:
    assert world.user_signed(signing.sign_usd_transfer_action, usd(address(STRANGER))) == DONE
    opened = world.exchange.account(address(STRANGER))
    assert opened is not None and opened.cash == Decimal("25.5") and opened.deposits == 0
    assert world.answer({"type": "noop"}, STRANGER) == DONE


@pytest.mark.parametrize(
    ("amount", "refusal"),
    [("10000.000001", words.NO_BALANCE_FOR_TRANSFER), ("0", words.ZERO_TRANSFER), ("1.0000001", words.BAD_AMOUNT)],
)
def test_money_that_cannot_leave_stays(world: World, amount: str, refusal: str) -> None:
    assert world.user_signed(signing.sign_usd_transfer_action, usd(address(STRANGER), amount)) == err(refusal)
    assert world.alice.cash == Decimal(10_000) and world.exchange.account(address(STRANGER)) is None


def test_nobody_sends_money_to_himself(world: World) -> None:
    assert world.user_signed(signing.sign_usd_transfer_action, usd(ALICE.address)) == err(words.SELF_TRANSFER)
    assert world.alice.cash == Decimal(10_000)


def test_margin_in_use_cannot_be_sent(world: World) -> None:
    world.answer(batch(order("86000", "1", "Ioc")))  # 85,000 at 20x ties up 10 % of notional: 8,500
    free = world.alice.cash
    assert world.user_signed(signing.sign_usd_transfer_action, usd(BOB.address, "2000")) == err(
        words.NO_BALANCE_FOR_TRANSFER
    )
    assert world.user_signed(signing.sign_usd_transfer_action, usd(BOB.address, "1000")) == DONE
    assert world.alice.cash == free - 1_000


def test_a_withdrawal_pays_its_fee_out_of_the_amount_and_leaves_the_venue(world: World) -> None:
    sign = signing.sign_withdraw_from_bridge_action
    action = {"type": "withdraw3", "destination": ALICE.address, "amount": "25"}
    assert world.user_signed(sign, action) == DONE
    assert world.alice.cash == world.alice.deposits == Decimal(9_975)
    delta = world.alice.ledger_updates[-1].delta
    assert (delta["type"], delta["usdc"], delta["fee"]) == ("withdraw", "24.0", "1.0")
    assert world.user_signed(sign, action | {"amount": "9975.01"}) == err(words.NO_BALANCE_FOR_WITHDRAWAL)
    assert world.user_signed(sign, action | {"amount": "1"}) == err(words.WITHDRAWAL_TOO_SMALL)


def asset(destination: str, **more: str) -> dict[str, Any]:
    return {
        "type": "sendAsset",
        "destination": destination,
        "sourceDex": "",
        "destinationDex": "spot",
        "token": "USDC",
        "amount": "10",
        "fromSubAccount": "",
    } | more


def test_assets_move_between_dexes_and_users(world: World) -> None:
    sign = signing.sign_send_asset_action
    assert world.user_signed(sign, asset(ALICE.address)) == DONE
    assert (world.alice.cash, world.alice.spot_usdc) == (Decimal(9_990), Decimal(10))
    assert world.user_signed(sign, asset(BOB.address, sourceDex="spot", destinationDex="")) == DONE
    assert (world.alice.spot_usdc, world.bob.cash) == (Decimal(0), Decimal(10_010))
    assert world.user_signed(sign, asset(ALICE.address, destinationDex="")) == err(words.SELF_TRANSFER)
    assert world.user_signed(sign, asset(BOB.address, token="HYPE")) == err(words.BAD_TOKEN)
    assert world.user_signed(sign, asset(BOB.address, destinationDex="xyz")) == err(words.BAD_DEX)
    assert world.user_signed(sign, asset(BOB.address, fromSubAccount=address(BOB))) == err(words.BAD_SUB_ACCOUNT)


def test_spot_money_is_sent_as_a_token(world: World) -> None:
    world.user_signed(signing.sign_usd_class_transfer_action, CLASS)
    action = {"type": "spotSend", "destination": BOB.address, "token": "USDC:0x6d1e7cde", "amount": "0.25"}
    assert world.user_signed(signing.sign_spot_transfer_action, action) == DONE
    assert (world.alice.spot_usdc, world.bob.spot_usdc) == (Decimal(100), Decimal("0.25"))
    other = action | {"token": "HYPE:0x0d01dc56dcaaca66ad901c959b4011ec"}
    assert world.user_signed(signing.sign_spot_transfer_action, other) == err(words.BAD_TOKEN)


def test_an_approved_agent_may_trade_but_not_send(world: World) -> None:
    action = {"type": "approveAgent", "agentAddress": AGENT.address, "agentName": "bot"}
    assert world.user_signed(signing.sign_agent, action) == DONE
    assert world.answer({"type": "noop"}, AGENT) == DONE
    sent = world.user_signed(signing.sign_usd_transfer_action, usd(BOB.address), AGENT)
    assert sent == err(words.does_not_exist(address(AGENT)))
    assert world.alice.cash == Decimal(10_000)


def test_an_agent_without_a_name_is_approved_as_the_sdk_does_it(world: World) -> None:
    nonce = world.next_nonce()
    action = {"type": "approveAgent", "agentAddress": AGENT.address, "agentName": "", "nonce": nonce}
    signature = signing.sign_agent(ALICE, action, False)
    del action["agentName"]
    ticket = world.send({"action": action, "nonce": nonce, "signature": signature})
    assert world.run()[ticket] == DONE
    assert [agent.name for agent in world.signers.agents_of(address(ALICE), START_MS)] == [None]


def test_an_address_that_never_deposited_can_move_nothing(world: World) -> None:
    sent = world.user_signed(signing.sign_usd_transfer_action, usd(BOB.address), STRANGER)
    assert sent == err(words.must_deposit(address(STRANGER)))


def test_user_signed_refusals_before_anything_moves(world: World) -> None:
    sign, action = signing.sign_usd_transfer_action, usd(BOB.address)
    assert world.user_signed(sign, action, mainnet=True) == err(words.WRONG_NETWORK)
    assert world.user_signed(sign, action, inner=world.nonce, nonce=world.nonce + 5) == err(words.NONCE_MISMATCH)
    assert world.user_signed(sign, action, vaultAddress=address(BOB)) == err(words.VAULT_NOT_ALLOWED)
    assert world.user_signed(sign, action, expiresAfter=START_MS * 2) == err(words.NO_EXPIRY_HERE)
    assert world.alice.cash == Decimal(10_000)


def test_a_user_signed_nonce_serves_once(world: World) -> None:
    nonce = world.next_nonce()
    assert world.user_signed(signing.sign_usd_transfer_action, usd(BOB.address), inner=nonce) == DONE
    again = world.user_signed(signing.sign_usd_transfer_action, usd(BOB.address), inner=nonce)
    assert again == err(f"Invalid nonce: duplicate nonce {nonce}") and world.bob.cash == Decimal("10025.5")


def test_the_account_stays_in_its_mode(world: World) -> None:
    sign = signing.sign_user_set_abstraction_action
    action = {"type": "userSetAbstraction", "user": address(ALICE), "abstraction": "disabled"}
    assert world.user_signed(sign, action) == DONE
    assert world.user_signed(sign, action | {"abstraction": "unifiedAccount"}) == err(words.BAD_ABSTRACTION)
    assert world.user_signed(sign, action | {"user": address(BOB)}) == err(words.BAD_SUB_ACCOUNT)


def test_a_builder_needs_an_approval_that_covers_its_fee(world: World) -> None:
    built = batch(order(), builder={"b": address(BOB), "f": 10})
    assert world.answer(built) == err(words.BUILDER_NOT_APPROVED)
    sign = signing.sign_approve_builder_fee
    approval = {"type": "approveBuilderFee", "maxFeeRate": "0.009%", "builder": BOB.address}
    assert world.user_signed(sign, approval) == DONE
    assert world.answer(built) == err(words.BUILDER_NOT_APPROVED)
    assert world.user_signed(sign, approval | {"maxFeeRate": "0.01%"}) == DONE
    assert world.answer(built)["status"] == "ok"
    assert world.answer(batch(order(), builder={"b": address(BOB), "f": 101})) == err(words.BAD_BUILDER_FEE)
    assert world.user_signed(sign, approval | {"maxFeeRate": "1.01%"}) == err(words.BAD_BUILDER_FEE)


# ── sub-accounts ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_sub_account_is_created_and_filled_and_emptied(world: World) -> None:
    sub = world.sub_account()
    assert (sub.master, sub.name, world.alice.sub_accounts) == (address(ALICE), "second", [sub.address])
    move = {"type": "subAccountTransfer", "subAccountUser": sub.address, "isDeposit": True, "usd": 1_234_567}
    assert world.answer(move) == DONE
    assert (world.alice.cash, sub.cash) == (Decimal("9998.765433"), Decimal("1.234567"))
    assert sub.ledger_updates[-1].delta == {
        "type": "subAccountTransfer",
        "usdc": "1.234567",
        "user": address(ALICE),
        "destination": sub.address,
    }
    assert world.answer(move | {"isDeposit": False, "usd": 1_234_568}) == err(words.NO_BALANCE_FOR_TRANSFER)
    assert world.answer(move | {"isDeposit": False}) == DONE
    assert (world.alice.cash, sub.cash) == (Decimal(10_000), Decimal(0))


def test_only_the_master_reaches_a_sub_account(world: World) -> None:
    sub = world.sub_account()
    move = {"type": "subAccountTransfer", "subAccountUser": sub.address, "isDeposit": True, "usd": 1_000_000}
    assert world.answer(move, BOB) == err(words.BAD_SUB_ACCOUNT)
    assert world.answer(move | {"subAccountUser": address(BOB)}) == err(words.BAD_SUB_ACCOUNT)


def test_there_are_only_so_many_sub_accounts(world: World) -> None:
    made = {world.sub_account().address for _ in range(10)}
    assert len(made) == 10
    assert world.answer({"type": "createSubAccount", "name": "x"}) == err(words.TOO_MANY_SUB_ACCOUNTS)


def test_nobody_knows_a_referral_code(world: World) -> None:
    assert world.answer({"type": "setReferrer", "code": "ABC"}) == err(words.BAD_REFERRAL)


# ── requests that do not fit ─────────────────────────────────────────────────────────────────────────────────────


def test_what_does_not_fit_is_not_queued(world: World) -> None:
    assert world.chain.receive(1, b"{}") is None
    assert world.chain.receive(1, {"action": {"type": "noop"}, "nonce": "1", "signature": {}}) is None
    assert world.chain.next_due_ms() is None


def test_a_request_can_be_taken_back_before_its_block(world: World) -> None:
    gone, kept = world.post(batch(order())), world.post({"type": "noop"}, BOB)
    world.chain.forget(gone)
    assert list(world.run()) == [kept] and not world.alice.orders


def test_a_parsed_request_tells_its_kind_and_weight(world: World) -> None:
    signature = {"r": "0x1", "s": "0x1", "v": 27}
    body = {"action": batch(order(), order()), "nonce": 1, "signature": signature}
    assert world.chain.receive(9, body) == (9, "order", 2)
