"""The venue's `/info`: from a request's type to the method that answers it (§1.2, §3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from adapters.sim.venue.info.account import AccountQueries
from adapters.sim.venue.info.candles import CandleQuery
from adapters.sim.venue.info.fields import Fields, UnanswerableError, UnreadableError
from adapters.sim.venue.info.market import MarketQueries
from adapters.sim.venue.info.orders import OrderQueries
from adapters.sim.venue.info.readable import ReadableBudget, ReadableExchange, ReadableMarket, ReadableSigners
from adapters.sim.venue.settings import VenueSettings

UNREADABLE = "Failed to deserialize the JSON body into the target type"

FAILS_ON_UNKNOWN_NAMES = frozenset({"metaAndAssetCtxs", "fundingHistory"})
"""What the venue is known to answer with 500 for names that it does not have (§1.2). Where nobody recorded its
answer, ours is that of `l2Book`: 200 with `null`."""

Query = Callable[[Fields, int], object]


@dataclass(frozen=True, slots=True)
class InfoAnswer:
    """`body` goes out as JSON, None as `null`; with status 422 it is the plain text of the answer.

    `rows` is how many list entries were returned and `weight_type` the request's type ("" where it is
    unknown): together they are what the request weighs.
    """

    status: int
    body: object
    rows: int
    weight_type: str


class InfoDesk:
    """Answers every request that a perp trader makes. Nothing that a client sends makes it raise.

    `special_status` is what `exchangeStatus` shows during special phases, such as post-only after an upgrade.
    """

    def __init__(
        self,
        exchange: ReadableExchange,
        market: ReadableMarket,
        signers: ReadableSigners,
        budget: ReadableBudget,
        settings: VenueSettings,
    ) -> None:
        self.special_status: str | None = None
        self._queries: dict[str, Query] = {
            "exchangeStatus": self._exchange_status,
            "candleSnapshot": CandleQuery(exchange, market).answer,
            **_market_table(MarketQueries(exchange, market)),
            **_order_table(OrderQueries(exchange, settings)),
            **_account_table(AccountQueries(exchange, market, signers, budget, settings)),
        }

    @property
    def types(self) -> frozenset[str]:
        """Every request type that is answered."""
        return frozenset(self._queries)

    def answer(self, request: object, now_ms: int) -> InfoAnswer:
        """`request` is the parsed JSON body, whatever it is."""
        name = request.get("type") if isinstance(request, Mapping) else None
        query = self._queries.get(name) if isinstance(name, str) else None
        if query is None or not isinstance(name, str):
            return InfoAnswer(422, UNREADABLE, 0, "")
        try:
            body = query(Fields(request), now_ms)
        except UnreadableError:
            return InfoAnswer(422, UNREADABLE, 0, name)
        except UnanswerableError:
            return InfoAnswer(500 if name in FAILS_ON_UNKNOWN_NAMES else 200, None, 0, name)
        return InfoAnswer(200, body, len(body) if isinstance(body, list) else 0, name)

    def _exchange_status(self, _fields: Fields, now_ms: int) -> object:
        return {"time": now_ms, "specialStatuses": self.special_status}


def _market_table(market: MarketQueries) -> dict[str, Query]:
    return {
        "meta": market.meta,
        "metaAndAssetCtxs": market.meta_and_asset_ctxs,
        "allPerpMetas": market.all_perp_metas,
        "allMids": market.all_mids,
        "l2Book": market.l2_book,
        "recentTrades": market.recent_trades,
        "fundingHistory": market.funding_history,
        "predictedFundings": market.predicted_fundings,
        "perpDexs": market.perp_dexs,
        "perpDexLimits": market.perp_dex_limits,
        "perpDexStatus": market.perp_dex_status,
        "perpsAtOpenInterestCap": market.perps_at_open_interest_cap,
        "maxMarketOrderNtls": market.max_market_order_ntls,
        "marginTable": market.margin_table,
        "spotMeta": market.spot_meta,
        "spotMetaAndAssetCtxs": market.spot_meta_and_asset_ctxs,
        "perpDeployAuctionStatus": market.perp_deploy_auction,
        "spotDeployState": market.spot_deploy_state,
    }


def _order_table(orders: OrderQueries) -> dict[str, Query]:
    return {
        "openOrders": orders.open_orders,
        "frontendOpenOrders": orders.frontend_open_orders,
        "orderStatus": orders.order_status,
        "historicalOrders": orders.historical_orders,
        "userFills": orders.user_fills,
        "userFillsByTime": orders.user_fills_by_time,
    }


def _account_table(account: AccountQueries) -> dict[str, Query]:
    return {
        "clearinghouseState": account.clearinghouse_state,
        "spotClearinghouseState": account.spot_clearinghouse_state,
        "activeAssetData": account.active_asset_data,
        "userFunding": account.user_funding,
        "userNonFundingLedgerUpdates": account.ledger_updates,
        "userFees": account.user_fees,
        "portfolio": account.portfolio,
        "userRole": account.user_role,
        "extraAgents": account.extra_agents,
        "userRateLimit": account.user_rate_limit,
        "subAccounts": account.sub_accounts,
        "userAbstraction": account.user_abstraction,
        "referral": account.referral,
        "maxBuilderFee": account.max_builder_fee,
        "delegatorSummary": account.delegator_summary,
        "userVaultEquities": account.empty_list,
        "delegations": account.empty_list,
        "delegatorHistory": account.empty_list,
        "delegatorRewards": account.empty_list,
        "userTwapSliceFills": account.empty_list,
        "twapHistory": account.empty_list,
        "approvedBuilders": account.empty_list,
        "userToMultiSigSigners": account.nothing,
        "userDexAbstraction": account.nothing,
        "vaultDetails": account.vault_details,
    }
