"""What the venue's ledger says of money, against where the money is: in recorded words, and in the local venue's."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest
from hyperliquid.utils import signing  # type: ignore[import-untyped]

from adapters.hyperliquid.cash_flows import decode_ledger, flow_of
from adapters.sim.venue.shapes import ledger_row as venue_row
from domain.events import AccountSnapshot, CashFlowed, Event
from ports.order_gateway import VenueUnavailable
from tests.hyperliquid_books import MINUTE_MS, SINCE_MS, Books, Row, ledger_row, rig_over
from tests.hyperliquid_rigs import NOW_MS, USER, reply
from tests.unit.test_venue_chain import ALICE, BOB, CLASS, DONE, World, asset, batch, order, usd

OTHER = "0x" + "cd" * 20
VAULT = "0x" + "ef" * 20


def told(row: Row, *, in_spot: bool = False, own: str = USER) -> tuple[Decimal, list[str]]:
    """How much came (zero for no flow), and what was noted."""
    notes: list[str] = []
    (entry,) = decode_ledger(json.dumps([row]).encode())
    flow = flow_of(entry, own, in_spot=in_spot, note=notes.append)
    if flow is None:
        return Decimal(0), notes
    assert (flow.kind, flow.time_ms) == (row["delta"]["type"], row["time"])
    return flow.amount_usd, notes


def between(source: str, target: str, **more: Any) -> Row:
    return {"user": source, "destination": target, **more}


def send(source: str, target: str, from_dex: str, to_dex: str, **more: Any) -> Row:
    return between(source, target, sourceDex=from_dex, destinationDex=to_dex, amount="10.0", token="USDC", **more)


SPOT_SEND = {"token": "USDC", "amount": "10.5", "usdcValue": "10.5", "fee": "1.0", "feeToken": ""}
VAULT_EXIT = {"requestedUsd": "72.0", "commission": "1.5", "closingCost": "0.25", "basis": "70.0"}


@pytest.mark.parametrize(
    ("kind", "delta", "perp", "unified"),
    [
        ("deposit", {"usdc": "3000.0"}, "3000", "3000"),
        ("withdraw", {"usdc": "99.0", "nonce": 1, "fee": "1.0"}, "-100", "-100"),
        ("accountClassTransfer", {"usdc": "12.0", "toPerp": True}, "12", "0"),
        ("accountClassTransfer", {"usdc": "12.0", "toPerp": False}, "-12", "0"),
        ("internalTransfer", between(USER, OTHER, usdc="150.0", fee="1.0"), "-150", "-150"),
        ("internalTransfer", between(OTHER, USER, usdc="150.0", fee="1.0"), "149", "149"),
        ("internalTransfer", between(OTHER, USER.upper().replace("X", "x"), usdc="150.0", fee="0.0"), "150", "150"),
        ("subAccountTransfer", between(USER, OTHER, usdc="5.0"), "-5", "-5"),
        ("subAccountTransfer", between(OTHER, USER, usdc="5.0"), "5", "5"),
        ("spotTransfer", between(USER, OTHER, **SPOT_SEND), "0", "-11.5"),
        ("spotTransfer", between(OTHER, USER, **SPOT_SEND), "0", "10.5"),
        ("spotTransfer", between(OTHER, USER, **(SPOT_SEND | {"token": "HYPE"})), "0", "0"),
        ("spotTransfer", between(USER, OTHER, **(SPOT_SEND | {"token": "HYPE", "feeToken": "USDC"})), "0", "-1"),
        ("send", send(USER, OTHER, "", "", fee="0.1", feeToken="USDC"), "-10.1", "-10.1"),
        ("send", send(OTHER, USER, "xyz", "", fee="0.1", feeToken="USDC"), "10", "10"),
        ("send", send(OTHER, USER, "", "spot"), "0", "10"),
        ("send", send(USER, USER, "", "spot"), "-10", "0"),
        ("send", send(USER, USER, "spot", ""), "10", "0"),
        ("send", send(USER, USER, "", "xyz"), "-10", "0"),
        ("vaultDeposit", {"vault": VAULT, "usdc": "7.0"}, "-7", "-7"),
        ("vaultDeposit", {"vault": USER, "usdc": "7.0"}, "7", "7"),
        ("vaultCreate", {"vault": VAULT, "usdc": "100.0", "fee": "10.0"}, "-110", "-110"),
        ("vaultWithdraw", {"vault": VAULT, "user": USER, "netWithdrawnUsd": "70.25", **VAULT_EXIT}, "70.25", "70.25"),
        ("vaultWithdraw", {"vault": USER, "user": OTHER, "netWithdrawnUsd": "70.25", **VAULT_EXIT}, "-71.75", "-71.75"),
        ("vaultDistribution", {"vault": VAULT, "usdc": "3.0"}, "3", "3"),
        ("vaultLeaderCommission", {"user": USER, "usdc": "3.0"}, "3", "3"),
        ("rewardsClaim", {"amount": "4.0", "token": "USDC"}, "0", "4"),
        ("rewardsClaim", {"amount": "4.0", "token": "HYPE"}, "0", "0"),
        ("borrowLend", {"token": "USDC", "operation": "borrow", "amount": "8.0", "interestAmount": "0.1"}, "0", "8"),
        ("borrowLend", {"token": "USDC", "operation": "repay", "amount": "8.0", "interestAmount": "0.1"}, "0", "-8"),
        ("liquidation", {"liquidatedNtlPos": "356.8", "accountValue": "2.9", "leverageType": "Cross"}, "0", "0"),
        ("cStakingTransfer", {"token": "HYPE", "amount": "1.0", "isDeposit": True}, "0", "0"),
        ("spotGenesis", {"token": "PURR", "amount": "1.0"}, "0", "0"),
    ],
)
def test_a_row_moves_the_money_that_the_account_trades_with(kind: str, delta: Row, perp: str, unified: str) -> None:
    row = ledger_row(NOW_MS, kind, **delta)
    assert told(row) == (Decimal(perp), [])
    assert told(row, in_spot=True) == (Decimal(unified), [])


@pytest.mark.parametrize(
    ("kind", "delta", "amount", "noted"),
    [
        ("newThing", {"amount": "5.0", "token": "USDC"}, "0", "nobody has heard of: 'newThing'"),
        ("newThing", {"usdc": "5.0"}, "0", "nobody has heard of"),
        ("newThing", between(OTHER, USER, usdc="5.0"), "5", "nobody has heard of"),
        ("newThing", between(USER, OTHER, usdc="5.0"), "-5", "nobody has heard of"),
        ("activateDexAbstraction", {"dex": "xyz", "token": "USDC", "amount": "5.0"}, "0", "nobody has heard of"),
        ("internalTransfer", between(OTHER, VAULT, usdc="5.0"), "0", "does not say what it did"),
        ("deposit", {}, "0", "usdc is missing"),
        ("deposit", {"usdc": 5.0}, "0", "cannot be read"),
        ("deposit", {"usdc": "-5.0"}, "0", "negative"),
        ("deposit", {"usdc": "much"}, "0", "not a number"),
        ("accountClassTransfer", {"usdc": "5.0"}, "0", "toPerp is missing"),
        ("internalTransfer", {"usdc": "5.0", "user": USER}, "0", "destination is missing"),
        ("borrowLend", {"token": "USDC", "operation": "gift", "amount": "8.0"}, "0", "'gift'"),
    ],
)
def test_what_is_not_unmistakable_is_noted_and_moves_nothing(kind: str, delta: Row, amount: str, noted: str) -> None:
    found, notes = told(ledger_row(NOW_MS, kind, **delta))
    assert found == Decimal(amount)
    assert len(notes) == 1 and noted in notes[0]


def test_its_name_is_the_same_however_often_it_is_told_and_another_s_is_another() -> None:
    rows = [
        ledger_row(NOW_MS, usdc="5.0"),
        ledger_row(NOW_MS, usdc="5.1"),
        ledger_row(NOW_MS, "subAccountTransfer", **between(OTHER, USER, usdc="5.0")),
        ledger_row(NOW_MS, usdc="5.0") | {"hash": "0x" + "77" * 32},
        ledger_row(NOW_MS + 1, usdc="5.0") | {"hash": f"0x{NOW_MS:064x}"},
    ]
    names = [
        [flow.flow_id for flow in flows_in(rows, USER)],
        [flow.flow_id for flow in flows_in([rows[0] | {"delta": {"usdc": "5.00", "type": "deposit"}}], USER)],
    ]
    assert len(set(names[0])) == len(rows)
    assert names[1] == names[0][:1], "however it is spelled"
    hashes = {str(row["hash"]) for row in rows}
    assert not hashes & set(names[0]) and not any(f"{NOW_MS:x}" in name for name in names[0]), "it names no transaction"


def flows_in(rows: Iterable[Row], own: str, *, in_spot: bool = False) -> list[CashFlowed]:
    entries = decode_ledger(json.dumps(list(rows)).encode())
    flows = [flow_of(entry, own, in_spot=in_spot, note=pytest.fail) for entry in entries]
    return [flow for flow in flows if flow is not None]


# ── the local venue: what its rows say is what its accounts have ─────────────────────────────────


def test_flows_add_up_to_the_money_that_moved_whatever_an_owner_does() -> None:
    world = World()
    sub = world.sub_account()
    accounts = [world.alice, world.bob, sub]
    before = {account.address: (account.cash, account.spot_usdc) for account in accounts}
    skipped = {account.address: len(account.ledger_updates) for account in accounts}
    send_asset, class_transfer = signing.sign_send_asset_action, signing.sign_usd_class_transfer_action
    world.user_signed(class_transfer, CLASS)
    to_sub = {"type": "subAccountTransfer", "subAccountUser": sub.address, "isDeposit": True, "usd": 50_000_000}
    assert world.answer(to_sub) == DONE
    assert world.answer(to_sub | {"isDeposit": False, "usd": 1_500_000}) == DONE
    world.user_signed(class_transfer, CLASS | {"amount": f"2 subaccount:{sub.address}"})
    world.user_signed(signing.sign_usd_transfer_action, usd(BOB.address))
    world.user_signed(send_asset, asset(ALICE.address))
    world.user_signed(send_asset, asset(BOB.address, sourceDex="spot", destinationDex=""))
    spot = {"type": "spotSend", "destination": BOB.address, "token": "USDC:0x6d1e7cde", "amount": "0.25"}
    world.user_signed(signing.sign_spot_transfer_action, spot)
    withdraw = {"type": "withdraw3", "destination": ALICE.address, "amount": "25"}
    world.user_signed(signing.sign_withdraw_from_bridge_action, withdraw)
    assert world.answer({"type": "reserveRequestWeight", "weight": 1_000}) == DONE
    for account in accounts:
        rows = [venue_row(update) for update in list(account.ledger_updates)[skipped[account.address] :]]
        cash, spot_usdc = before[account.address]
        assert rows
        assert total(flows_in(rows, account.address)) == account.cash - cash
        moved = account.cash + account.spot_usdc - cash - spot_usdc
        assert total(flows_in(rows, account.address, in_spot=True)) == moved


def test_a_trade_is_no_flow() -> None:
    world = World()
    rows = len(world.alice.ledger_updates)
    world.answer(batch(order("86000", "1", "Ioc")))
    assert world.alice.cash != Decimal(10_000) and len(world.alice.ledger_updates) == rows


def total(flows: Iterable[CashFlowed]) -> Decimal:
    return sum((flow.amount_usd for flow in flows), Decimal(0))


# ── the account that reads them ──────────────────────────────────────────────────────────────────


async def recovered(books: Books, since_ms: int = SINCE_MS) -> list[Event]:
    return list(await rig_over(books).account.recover((), since_ms))


def amounts(events: Iterable[Event]) -> list[Decimal]:
    return [event.amount_usd for event in events if isinstance(event, CashFlowed)]


async def test_flows_are_told_before_the_snapshot_from_the_same_moment_as_fills() -> None:
    since_ms = SINCE_MS - 10 * MINUTE_MS
    books = Books(ledger=[ledger_row(at, usdc=f"{at % 7}.5") for at in (since_ms - 1, since_ms, NOW_MS)])
    events = await recovered(books)
    assert amounts(events) == [Decimal(since_ms % 7) + Decimal("0.5"), Decimal(NOW_MS % 7) + Decimal("0.5")]
    assert isinstance(events[-1], AccountSnapshot)


async def test_without_a_past_the_ledger_is_not_asked_for() -> None:
    books = Books(ledger=[ledger_row(NOW_MS, usdc="5.0")])
    assert amounts(await recovered(books, 0)) == []
    assert "userNonFundingLedgerUpdates" not in books.asked


@pytest.mark.parametrize("newest_first", [False, True])
async def test_all_pages_are_read_and_what_they_repeat_is_told_once(newest_first: bool) -> None:
    rows = [ledger_row(NOW_MS - 5_000 + number // 2, usdc=f"{number}.25") for number in range(1_203)]
    books = Books(ledger=rows, newest_first=newest_first)
    found = amounts(await recovered(books))
    assert sorted(found) == [Decimal(number) + Decimal("0.25") for number in range(1_203)]
    assert books.asked.count("userNonFundingLedgerUpdates") == 3


async def test_money_that_came_while_the_account_was_read_is_told_with_the_cash_that_has_it() -> None:
    books = Books(state_ms=NOW_MS, equity="1000.0")
    looks = 0

    def money_comes() -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            books.ledger.append(ledger_row(NOW_MS + 5, usdc="250.0"))
            books.equity, books.state_ms = "1250.0", NOW_MS + 10

    books.on_state = money_comes
    events = await recovered(books)
    snapshot = events[-1]
    assert isinstance(snapshot, AccountSnapshot)
    assert (amounts(events), snapshot.cash_usd, looks) == ([Decimal(250)], Decimal(1_250), 2)


async def test_where_the_state_never_gets_as_new_as_the_ledger_there_is_no_answer() -> None:
    books = Books(state_ms=NOW_MS, ledger=[ledger_row(NOW_MS + 5, usdc="250.0")])
    with pytest.raises(VenueUnavailable, match="money moved"):
        await recovered(books)


async def test_a_row_that_nobody_can_read_is_shown_to_the_sentinel_and_the_rest_is_told() -> None:
    books = Books(ledger=[ledger_row(NOW_MS - 9, usdc="much"), ledger_row(NOW_MS - 8, usdc="2.0")])
    rig = rig_over(books)
    events = list(await rig.account.recover((), SINCE_MS))
    assert amounts(events) == [Decimal(2)] and isinstance(events[-1], AccountSnapshot)
    ((where, raw, problem),) = rig.sentinel.noted
    assert isinstance(raw, bytes)
    assert where == "userNonFundingLedgerUpdates" and b"much" in raw
    assert "not a number" in problem


async def test_of_a_unified_account_all_its_usdc_counts() -> None:
    rows = [
        ledger_row(NOW_MS - 9, "accountClassTransfer", usdc="12.0", toPerp=True),
        ledger_row(NOW_MS - 8, "spotTransfer", **between(OTHER, USER, **SPOT_SEND)),
    ]
    assert amounts(await recovered(Books(ledger=rows, abstraction="unifiedAccount"))) == [Decimal("10.5")]
    assert amounts(await recovered(Books(ledger=rows))) == [Decimal(12)]


async def test_a_page_that_is_no_list_of_movements_is_no_answer() -> None:
    books = Books()
    rig = rig_over(books)
    rig.transport.info = lambda request: (
        reply([{"time": 5}]) if request["type"] == "userNonFundingLedgerUpdates" else books.answer(request)
    )
    with pytest.raises(VenueUnavailable, match="cannot be read"):
        await rig.account.recover((), SINCE_MS)
