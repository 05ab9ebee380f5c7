"""The local venue's `/info` about accounts: margin, roles, limits, fees, and the empty forms."""

from __future__ import annotations

from decimal import Decimal

import pytest

from adapters.sim.venue.limits import info_weight
from tests.venue_desks import (
    AGENT,
    CHILD,
    HOUSE,
    START_MS,
    TRADER,
    ReadVenue,
    busy_venue,
    part,
    rows,
)

HOUR_MS = 3_600_000
STRANGER = "0x" + "99" * 20


@pytest.fixture(scope="module")
def venue() -> ReadVenue:
    """Only read from."""
    return busy_venue()


class TestAccount:
    def test_margin_modes_stand_side_by_side(self, venue: ReadVenue) -> None:
        state = venue.ask("clearinghouseState")
        positions = [part(each, "position") for each in rows(part(state, "assetPositions"))]
        held = {part(each, "coin"): part(each, "leverage", "type") for each in positions}
        assert held["BTC"] == held["ETH"] == "cross" and held["HYPE"] == "isolated"
        assert part(state, "time") == venue.exchange.now_ms

    def test_roles(self, venue: ReadVenue) -> None:
        assert venue.ask("userRole") == {"role": "user"}
        assert venue.ask("userRole", user=AGENT) == {"role": "agent", "data": {"user": TRADER}}
        assert venue.ask("userRole", user=CHILD) == {"role": "subAccount", "data": {"master": TRADER}}
        assert venue.ask("userRole", user=HOUSE) == {"role": "vault"}
        assert venue.ask("userRole", user=STRANGER) == {"role": "missing"}
        assert info_weight("userRole", 0) == 60

    def test_only_named_agents_are_listed(self) -> None:
        venue = busy_venue()
        assert venue.signers.approve(TRADER, STRANGER, None, venue.exchange.now_ms) is None
        (bot,) = rows(venue.ask("extraAgents"))
        assert list(bot) == ["name", "address", "validUntil"] and bot["address"] == AGENT
        assert venue.ask("userRole", user=STRANGER) == {"role": "agent", "data": {"user": TRADER}}

    def test_rate_limits_grow_with_volume(self, venue: ReadVenue) -> None:
        found = venue.ask("userRateLimit")
        volume = venue.trader.volume
        assert part(found, "nRequestsCap") == 10_000 + int(volume) and part(found, "nRequestsUsed") == 0
        assert venue.ask("userRateLimit", user=STRANGER) == {
            "cumVlm": "0.0",
            "nRequestsUsed": 0,
            "nRequestsCap": 10_000,
            "nRequestsSurplus": 0,
        }

    def test_fees_show_what_was_traded_per_day(self, venue: ReadVenue) -> None:
        found = venue.ask("userFees")
        days = rows(part(found, "dailyUserVlm"))
        assert len(days) == 15 and days[-1]["date"] == "2026-10-06"
        taken = sum((each.price * each.size for each in venue.trader.fills if each.crossed), Decimal(0))
        assert Decimal(str(days[-1]["userCross"])) == taken > 0 and days[-1]["userAdd"] == "49.2"
        assert (part(found, "userCrossRate"), part(found, "userAddRate")) == ("0.00045", "0.00015")

    def test_sub_accounts_or_null(self, venue: ReadVenue) -> None:
        (child,) = rows(venue.ask("subAccounts"))
        assert (child["name"], child["subAccountUser"], child["master"]) == ("Test", CHILD, TRADER)
        assert part(child, "clearinghouseState", "marginSummary", "accountValue") == "29.78"
        assert venue.ask("subAccounts", user=CHILD) is None is venue.ask("subAccounts", user=STRANGER)

    def test_funding_and_ledger_are_bounded_in_time_and_number(self) -> None:
        venue = busy_venue()
        assert [part(row, "delta", "coin") for row in rows(venue.ask("userFunding", startTime=START_MS))] == [
            "ETH",
            "HYPE",
            "BTC",
        ]
        assert (
            venue.ask("userFunding", startTime=START_MS + 1)
            == []
            == venue.ask("userFunding", startTime=0, endTime=START_MS - 1)
        )
        assert (
            part(rows(venue.ask("userNonFundingLedgerUpdates", startTime=0, endTime=None))[0], "delta", "type")
            == "deposit"
        )
        venue.trader.fundings.extend(list(venue.trader.fundings) * 200)
        answer = venue.desk.answer({"type": "userFunding", "user": TRADER, "startTime": 0}, venue.exchange.now_ms)
        assert (answer.rows, info_weight(answer.weight_type, answer.rows)) == (500, 45)

    def test_the_portfolio_has_eight_windows(self, venue: ReadVenue) -> None:
        found = venue.ask("portfolio")
        assert isinstance(found, list)
        assert [name for name, _ in found] == [
            *("day", "week", "month", "allTime", "perpDay", "perpWeek", "perpMonth", "perpAllTime")
        ]
        windows = dict(found)
        spot = Decimal(windows["allTime"]["accountValueHistory"][0][1])
        assert spot - Decimal(windows["perpAllTime"]["accountValueHistory"][0][1]) == Decimal("12.5")

    def test_a_referrer_has_to_trade_first(self, venue: ReadVenue) -> None:
        assert part(venue.ask("referral"), "referrerState", "stage") == "needToTrade"
        rich = ReadVenue()
        rich.trader.volume = Decimal(10_000)
        assert part(rich.ask("referral"), "referrerState") == {"stage": "needToCreateCode"}

    def test_what_nobody_has(self, venue: ReadVenue) -> None:
        assert venue.ask("userAbstraction") == "default"
        assert venue.ask("maxBuilderFee", builder=AGENT) == 0
        for kind in ("userVaultEquities", "delegations", "twapHistory", "userTwapSliceFills", "approvedBuilders"):
            assert venue.ask(kind) == []
        assert part(venue.ask("delegatorSummary"), "nPendingWithdrawals") == 0
