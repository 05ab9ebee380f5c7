"""Info requests about an account's money, role and limits; and what an account without vaults or stake has of those."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from adapters.sim.venue import shapes
from adapters.sim.venue.exchange import margin
from adapters.sim.venue.exchange.accounts import VenueAccount
from adapters.sim.venue.info.fees import user_fees
from adapters.sim.venue.info.fields import Fields, UnanswerableError
from adapters.sim.venue.info.readable import ReadableBudget, ReadableExchange, ReadableMarket, ReadableSigners
from adapters.sim.venue.numbers import text, usd
from adapters.sim.venue.settings import VenueSettings

DAY_MS = 86_400_000
ROWS_PER_ANSWER = 500
ZERO = Decimal(0)
REFERRAL_VOLUME = Decimal(10_000)
"""What must have been traded before one may refer others."""

_WINDOWS = {"day": DAY_MS, "week": 7 * DAY_MS, "month": 30 * DAY_MS, "allTime": None}


class AccountQueries:
    """Unknown addresses have the empty state of everything."""

    def __init__(
        self,
        exchange: ReadableExchange,
        market: ReadableMarket,
        signers: ReadableSigners,
        budget: ReadableBudget,
        settings: VenueSettings,
    ) -> None:
        self._exchange, self._market = exchange, market
        self._signers, self._budget, self._settings = signers, budget, settings

    def _account(self, fields: Fields) -> VenueAccount | None:
        return self._exchange.account(fields.address())

    # ── money ────────────────────────────────────────────────────────────────────────────────

    def clearinghouse_state(self, fields: Fields, now_ms: int) -> object:
        account = self._account(fields)
        return shapes.clearinghouse_state(self._exchange, None if fields.dex() else account, now_ms)

    def spot_clearinghouse_state(self, fields: Fields, _now_ms: int) -> object:
        return shapes.spot_state(self._account(fields))

    def active_asset_data(self, fields: Fields, _now_ms: int) -> object:
        address, coin = fields.address(), fields.text("coin")
        if coin not in self._exchange.marks:
            raise UnanswerableError
        return shapes.active_asset_data(self._exchange, address, self._exchange.account(address), coin)

    def user_funding(self, fields: Fields, now_ms: int) -> object:
        account, start_ms, end_ms = self._account(fields), fields.integer("startTime"), _end(fields, now_ms)
        rows = () if account is None else account.fundings
        return [shapes.funding_row(row) for row in rows if start_ms <= row.time_ms <= end_ms][:ROWS_PER_ANSWER]

    def ledger_updates(self, fields: Fields, now_ms: int) -> object:
        account, start_ms, end_ms = self._account(fields), fields.integer("startTime"), _end(fields, now_ms)
        rows = () if account is None else account.ledger_updates
        return [shapes.ledger_row(row) for row in rows if start_ms <= row.time_ms <= end_ms][:ROWS_PER_ANSWER]

    def user_fees(self, fields: Fields, now_ms: int) -> object:
        account = self._account(fields)
        volumes = (self._market.context(coin).day_notional for coin in self._exchange.by_coin)
        return user_fees(account, self._settings.fees, sum(volumes, ZERO), now_ms)

    def portfolio(self, fields: Fields, now_ms: int) -> object:
        """One point each: the venue keeps no history of values, so profit counts from the account's beginning."""
        account = self._account(fields)
        return [
            [name + window[:1].upper() + window[1:] if name else window, self._window(account, span_ms, name, now_ms)]
            for name in ("", "perp")
            for window, span_ms in _WINDOWS.items()
        ]

    def _window(self, account: VenueAccount | None, span_ms: int | None, name: str, now_ms: int) -> dict[str, object]:
        if account is None:
            return {"accountValueHistory": [], "pnlHistory": [], "vlm": "0.0"}
        perp = margin.account_value(account, self._exchange.marks)
        recent = (fill for fill in account.fills if span_ms is not None and fill.time_ms > now_ms - span_ms)
        volume = account.volume if span_ms is None else sum((fill.price * fill.size for fill in recent), ZERO)
        value = perp if name else perp + account.spot_usdc
        return {
            "accountValueHistory": [[now_ms, usd(value)]],
            "pnlHistory": [[now_ms, usd(perp + account.spot_usdc - account.deposits)]],
            "vlm": text(volume),
        }

    # ── role and limits ──────────────────────────────────────────────────────────────────────

    def user_role(self, fields: Fields, now_ms: int) -> object:
        address = fields.address()
        master = self._signers.master_of(address, now_ms)
        account = self._exchange.account(address)
        if master is not None and master != address:
            return {"role": "agent", "data": {"user": master}}
        if account is None:
            return {"role": "missing"}
        if account.master is not None:
            return {"role": "subAccount", "data": {"master": account.master}}
        return {"role": "vault" if account.is_house else "user"}

    def extra_agents(self, fields: Fields, now_ms: int) -> object:
        """The named ones; the unnamed agent is nowhere listed."""
        agents = self._signers.agents_of(fields.address(), now_ms)
        return [
            {"name": agent.name, "address": agent.address, "validUntil": agent.valid_until}
            for agent in agents
            if agent.name is not None
        ]

    def user_rate_limit(self, fields: Fields, _now_ms: int) -> object:
        account = self._account(fields)
        volume, used, cap, surplus = (
            (ZERO, 0, self._settings.limits.address_requests, 0) if account is None else self._budget.status(account)
        )
        return {"cumVlm": text(volume), "nRequestsUsed": used, "nRequestsCap": cap, "nRequestsSurplus": surplus}

    def sub_accounts(self, fields: Fields, now_ms: int) -> object:
        """`null` when there are none."""
        account = self._account(fields)
        rows = [
            {
                "name": child.name,
                "subAccountUser": child.address,
                "master": child.master,
                "clearinghouseState": shapes.clearinghouse_state(self._exchange, child, now_ms),
                "spotState": shapes.spot_state(child),
            }
            for child in self._children(account)
        ]
        return rows or None

    def _children(self, account: VenueAccount | None) -> Iterable[VenueAccount]:
        found = (self._exchange.account(address) for address in (account.sub_accounts if account else ()))
        return (child for child in found if child is not None)

    def user_abstraction(self, fields: Fields, _now_ms: int) -> object:
        """Perp and spot balances are apart."""
        fields.address()
        return "default"

    def referral(self, fields: Fields, _now_ms: int) -> object:
        account = self._account(fields)
        volume = ZERO if account is None else account.volume
        stage: dict[str, object] = {"stage": "needToCreateCode"}
        if volume < REFERRAL_VOLUME:
            stage = {"stage": "needToTrade", "data": {"required": text(REFERRAL_VOLUME)}}
        return {
            "referredBy": None,
            "cumVlm": text(volume),
            "unclaimedRewards": "0.0",
            "claimedRewards": "0.0",
            "builderRewards": "0.0",
            "tokenToState": [],
            "referrerState": stage,
            "rewardHistory": [],
        }

    # ── what nobody has here ─────────────────────────────────────────────────────────────────

    def max_builder_fee(self, fields: Fields, _now_ms: int) -> object:
        fields.address(), fields.address("builder")
        return 0

    def delegator_summary(self, fields: Fields, _now_ms: int) -> object:
        fields.address()
        return {"delegated": "0.0", "undelegated": "0.0", "totalPendingWithdrawal": "0.0", "nPendingWithdrawals": 0}

    def empty_list(self, fields: Fields, _now_ms: int) -> object:
        """Vault equities, delegations, rewards, TWAPs, builders."""
        fields.address()
        return []

    def nothing(self, fields: Fields, _now_ms: int) -> object:
        """Multi-sig signers, dex abstraction."""
        fields.address()
        return None

    def vault_details(self, fields: Fields, _now_ms: int) -> object:
        """The house's vaults are not open to anybody."""
        fields.address("vaultAddress")
        return None


def _end(fields: Fields, now_ms: int) -> int:
    return fields.integer_or("endTime", now_ms)
