"""What one IP and one address may ask of the local venue."""

from dataclasses import replace
from decimal import Decimal

import pytest

from adapters.sim.venue.exchange.accounts import VenueAccount
from adapters.sim.venue.limits import AddressBudget, BudgetStatus, IpLimits, exchange_weight, info_weight
from adapters.sim.venue.settings import Limits

NOW = 1_700_000_000_000
IP, OTHER_IP = "127.0.0.1", "127.0.0.2"
USER = "0x" + 40 * "a"
OFF = Limits(enforced=False)


@pytest.mark.parametrize(
    ("request_type", "rows", "weight"),
    [
        ("l2Book", 0, 2),
        ("allMids", 500, 2),
        ("clearinghouseState", 0, 2),
        ("orderStatus", 0, 2),
        ("spotClearinghouseState", 0, 2),
        ("exchangeStatus", 0, 2),
        ("userRole", 0, 60),
        ("meta", 0, 20),
        ("openOrders", 1_000, 20),
        ("userRateLimit", 0, 20),
        ("userFills", 19, 20),
        ("userFills", 20, 21),
        ("userFillsByTime", 2_000, 120),
        ("historicalOrders", 2_000, 120),
        ("recentTrades", 30, 21),
        ("fundingHistory", 500, 45),
        ("userFunding", 500, 45),
        ("userNonFundingLedgerUpdates", 41, 22),
        ("candleSnapshot", 59, 20),
        ("candleSnapshot", 60, 21),
        ("candleSnapshot", 5_000, 103),
    ],
)
def test_weights_of_info_requests(request_type: str, rows: int, weight: int) -> None:
    assert info_weight(request_type, rows) == weight


@pytest.mark.parametrize(("items", "weight"), [(0, 1), (1, 1), (39, 1), (40, 2), (79, 2), (80, 3), (200, 6)])
def test_weights_of_actions(items: int, weight: int) -> None:
    assert exchange_weight(items) == weight


class TestWeight:
    def test_1200_in_a_sliding_minute(self) -> None:
        limits = IpLimits(Limits())
        assert limits.weigh(IP, 600, NOW)
        assert limits.weigh(IP, 600, NOW + 30_000)
        assert not limits.weigh(IP, 1, NOW + 59_999)
        assert limits.weigh(IP, 600, NOW + 60_000)
        assert not limits.weigh(IP, 1, NOW + 89_999)
        assert limits.weigh(IP, 600, NOW + 90_000)

    def test_what_is_refused_does_not_count(self) -> None:
        limits = IpLimits(Limits())
        assert limits.weigh(IP, 1_190, NOW)
        assert not limits.weigh(IP, 20, NOW)
        assert limits.weigh(IP, 10, NOW)
        assert limits.weight_used(IP, NOW) == 1_200

    def test_rows_are_charged_behind_the_limit_and_refuse_the_next(self) -> None:
        limits = IpLimits(Limits())
        assert limits.weigh(IP, 1_200, NOW)
        limits.charge(IP, 83, NOW + 1)
        assert limits.weight_used(IP, NOW + 1) == 1_283
        assert limits.weight_used(IP, NOW + 60_000) == 83
        assert not limits.weigh(IP, 1_118, NOW + 60_000)
        assert limits.weigh(IP, 1_117, NOW + 60_000)

    def test_each_ip_has_its_own(self) -> None:
        limits = IpLimits(Limits())
        assert limits.weigh(IP, 1_200, NOW)
        assert limits.weigh(OTHER_IP, 1_200, NOW)

    def test_switched_off_it_only_counts(self) -> None:
        limits = IpLimits(OFF)
        for _ in range(3):
            assert limits.weigh(IP, 1_200, NOW)
        assert limits.weight_used(IP, NOW) == 3_600
        assert limits.weight_used(IP, NOW + 60_000) == 0


class TestSockets:
    def test_ten_at_once(self) -> None:
        limits = IpLimits(Limits())
        assert [limits.connect(IP, NOW) for _ in range(11)] == 10 * [True] + [False]
        assert limits.connect(OTHER_IP, NOW)
        limits.disconnect(IP)
        assert limits.connect(IP, NOW)

    def test_thirty_new_ones_a_minute(self) -> None:
        limits = IpLimits(Limits())
        for second in range(30):
            assert limits.connect(IP, NOW + 1_000 * second)
            limits.disconnect(IP)
        assert not limits.connect(IP, NOW + 59_999)
        assert limits.connect(IP, NOW + 60_000)

    def test_2000_messages_a_minute_over_all_sockets(self) -> None:
        limits = IpLimits(Limits())
        for place in range(2_000):
            assert limits.message(IP, NOW + place) is None
        assert limits.message(IP, NOW + 59_999) == "Cannot send more than 2000 messages per minute."
        assert limits.message(IP, NOW + 60_000) is None
        assert limits.message(IP, NOW + 60_000) is not None
        assert limits.message(OTHER_IP, NOW) is None

    def test_1000_subscriptions(self) -> None:
        limits = IpLimits(Limits())
        for _ in range(1_000):
            assert limits.subscribe(IP, None) is None
        assert limits.subscribe(IP, None) == "Cannot subscribe to more than 1000 channels."
        limits.unsubscribe(IP, None)
        assert limits.subscribe(IP, None) is None

    def test_fifteen_users_however_often_each(self) -> None:
        limits = IpLimits(Limits())
        for number in range(15):
            assert limits.subscribe(IP, f"user {number}") is None
            assert limits.subscribe(IP, f"user {number}") is None
        assert limits.subscribe(IP, "one more") == "Cannot track more than 15 total users."
        assert limits.subscribe(IP, None) is None
        limits.unsubscribe(IP, "user 3")
        assert limits.subscribe(IP, "one more") is not None
        limits.unsubscribe(IP, "user 3")
        assert limits.subscribe(IP, "one more") is None

    def test_the_text_names_the_limit(self) -> None:
        limits = IpLimits(replace(Limits(), users=4))
        for number in range(4):
            assert limits.subscribe(IP, f"user {number}") is None
        assert limits.subscribe(IP, "one more") == "Cannot track more than 4 total users."

    def test_100_posts_in_flight(self) -> None:
        limits = IpLimits(Limits())
        for post_id in range(100):
            assert limits.begin_post(IP, post_id) is None
        assert limits.begin_post(IP, 1234) == "too many pending post requests id=1234"
        limits.end_post(IP)
        assert limits.begin_post(IP, 1235) is None

    def test_switched_off_nothing_is_refused_and_everything_counted(self) -> None:
        limits = IpLimits(
            replace(OFF, connections=1, subscriptions=1, users=1, messages_per_minute=1, inflight_posts=1)
        )
        for number in range(3):
            assert limits.connect(IP, NOW)
            assert limits.message(IP, NOW) is None
            assert limits.subscribe(IP, f"user {number}") is None
            assert limits.begin_post(IP, number) is None
        for number in range(3):
            limits.disconnect(IP)
            limits.unsubscribe(IP, f"user {number}")
            limits.end_post(IP)

    def test_ending_what_never_began_is_a_mistake_of_ours(self) -> None:
        limits = IpLimits(Limits())
        with pytest.raises(AssertionError):
            limits.disconnect(IP)
        with pytest.raises(AssertionError):
            limits.unsubscribe(IP, None)
        with pytest.raises(AssertionError):
            limits.end_post(IP)
        limits.subscribe(IP, "a user")
        with pytest.raises(AssertionError):
            limits.unsubscribe(IP, "another")


SMALL = Limits(address_requests=10)


class TestAddressBudget:
    def test_one_request_per_dollar_and_the_buffer(self) -> None:
        budget, account = AddressBudget(Limits()), VenueAccount(USER, volume=Decimal("357.45105"))
        assert budget.status(account) == BudgetStatus(Decimal("357.45105"), 0, 10_357, 0)
        assert budget.spend(account, 231, NOW, cancels=False) is None
        assert budget.status(account) == BudgetStatus(Decimal("357.45105"), 231, 10_357, 0)

    def test_the_recorded_text(self) -> None:
        budget, account = AddressBudget(Limits()), VenueAccount(USER, volume=Decimal("87457.46"))
        assert budget.spend(account, 97_460, NOW, cancels=True) is None
        assert budget.spend(account, 1, NOW, cancels=False) == (
            "Too many cumulative requests sent (97460 > 97456) for cumulative volume traded $87457.46. "
            "Place taker orders to free up 1 request per USDC traded."
        )

    def test_the_cap_itself_may_be_used_up(self) -> None:
        budget, account = AddressBudget(SMALL), VenueAccount(USER)
        assert budget.spend(account, 9, NOW, cancels=False) is None
        assert budget.spend(account, 2, NOW, cancels=False) is not None
        assert budget.spend(account, 1, NOW, cancels=False) is None
        assert budget.spend(account, 1, NOW, cancels=False) is not None
        assert budget.status(account).used == 10

    def test_volume_frees_requests(self) -> None:
        budget, account = AddressBudget(SMALL), VenueAccount(USER)
        assert budget.spend(account, 10, NOW, cancels=False) is None
        account.volume = Decimal("1.99")
        assert budget.spend(account, 1, NOW, cancels=False) is None
        assert budget.spend(account, 1, NOW, cancels=False) is not None

    def test_exhausted_one_every_ten_seconds(self) -> None:
        budget, account = AddressBudget(SMALL), VenueAccount(USER)
        assert budget.spend(account, 10, NOW, cancels=False) is None
        for wait in (1, 5_000, 9_999):  # refused ones neither count nor restart the wait
            assert budget.spend(account, 1, NOW + wait, cancels=False) is not None
        assert budget.spend(account, 3, NOW + 10_000, cancels=False) is None
        assert budget.status(account).used == 13
        assert budget.spend(account, 1, NOW + 19_999, cancels=False) is not None
        assert budget.spend(account, 1, NOW + 20_000, cancels=False) is None

    def test_cancels_go_on_up_to_twice_the_cap(self) -> None:
        budget, account = AddressBudget(SMALL), VenueAccount(USER)
        assert budget.spend(account, 10, NOW, cancels=False) is None
        assert budget.spend(account, 1, NOW, cancels=False) is not None
        for _ in range(10):
            assert budget.spend(account, 1, NOW, cancels=True) is None
        assert "(20 > 19)" in str(budget.spend(account, 1, NOW, cancels=True))
        assert budget.spend(account, 1, NOW + 10_000, cancels=True) is None

    def test_cancels_never_get_more_than_100000_on_top(self) -> None:
        budget, account = AddressBudget(Limits(address_requests=150_000)), VenueAccount(USER)
        assert budget.spend(account, 250_000, NOW, cancels=True) is None
        assert budget.spend(account, 1, NOW, cancels=True) is not None

    def test_a_stale_action_costs_five_even_beyond_the_cap(self) -> None:
        budget, account = AddressBudget(SMALL), VenueAccount(USER)
        for _ in range(3):
            budget.charge_stale(account)
        assert budget.status(account).used == 15

    def test_bought_requests_count_beside_the_cap(self) -> None:
        budget, account = AddressBudget(SMALL), VenueAccount(USER)
        budget.buy(account, 5)
        assert budget.status(account) == BudgetStatus(Decimal(0), 0, 10, 5)
        assert budget.spend(account, 15, NOW, cancels=False) is None
        assert budget.spend(account, 1, NOW, cancels=False) is not None

    def test_a_sub_account_has_its_own(self) -> None:
        budget, sub = AddressBudget(SMALL), VenueAccount("0x" + 40 * "b", master=USER)
        assert budget.spend(VenueAccount(USER), 10, NOW, cancels=False) is None
        assert budget.spend(sub, 10, NOW, cancels=False) is None

    def test_the_house_has_none(self) -> None:
        budget, house = AddressBudget(SMALL), VenueAccount("0x" + 40 * "1", is_house=True)
        for _ in range(20):
            assert budget.spend(house, 1, NOW, cancels=False) is None
        budget.charge_stale(house)
        assert budget.status(house).used == 0

    def test_switched_off_it_only_counts(self) -> None:
        budget, account = AddressBudget(replace(SMALL, enforced=False)), VenueAccount(USER)
        for _ in range(3):
            assert budget.spend(account, 10, NOW, cancels=False) is None
        assert budget.status(account) == BudgetStatus(Decimal(0), 30, 10, 0)
