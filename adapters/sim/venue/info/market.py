"""Info requests about the market: the same answer for everybody (§3.2 - §3.7, §3.15)."""

from __future__ import annotations

import zlib
from decimal import Decimal

from adapters.sim.venue import shapes
from adapters.sim.venue.info.fields import Fields, UnanswerableError
from adapters.sim.venue.info.readable import ReadableExchange, ReadableMarket
from adapters.sim.venue.numbers import ratio, text

HOUR_MS = 3_600_000
ROWS_PER_ANSWER = 500
FUNDING_HOURS_KEPT = 10_000
FUNDING_STAMP_MS = 118
"""Payments are stamped up to so long after the hour."""
TRADES_PER_ANSWER = 30
BOOK_DEPTH = 20
DEPLOY_AUCTION_S = 111_600
EIGHT_HOURS = 8
FUNDING_BASE = Decimal("0.0001")
FUNDING_CLAMP = Decimal("0.0005")

# From this leverage on, the largest market order in USD (§8).
_MARKET_ORDER_LIMITS = ((25, 30_000_000), (20, 5_000_000), (10, 2_000_000), (1, 500_000))

_USDC: dict[str, object] = {
    "name": "USDC",
    "szDecimals": 8,
    "weiDecimals": 8,
    "index": 0,
    "tokenId": "0x6d1e7cde53ba9467b783cb7c530ce054",
    "isCanonical": True,
    "evmContract": None,
    "fullName": None,
    "deployerTradingFeeShare": "0.0",
}


class MarketQueries:
    """The first perp dex, and no other; a spot market with one token and no pair."""

    def __init__(self, exchange: ReadableExchange, market: ReadableMarket) -> None:
        self._exchange, self._market = exchange, market

    def meta(self, fields: Fields, _now_ms: int) -> object:
        if fields.dex():
            raise UnanswerableError
        return shapes.meta(self._exchange)

    def meta_and_asset_ctxs(self, fields: Fields, now_ms: int) -> object:
        contexts = (self._market.context(instrument.symbol) for instrument in self._exchange.instruments)
        return [self.meta(fields, now_ms), [shapes.asset_ctx(context) for context in contexts]]

    def all_perp_metas(self, _fields: Fields, _now_ms: int) -> object:
        return [shapes.meta(self._exchange)]

    def perp_dexs(self, _fields: Fields, _now_ms: int) -> object:
        return [None]

    def perp_dex_limits(self, fields: Fields, _now_ms: int) -> object:
        """Only builders' dexes have limits, and there are none."""
        fields.text("dex")
        return None

    def perp_dex_status(self, fields: Fields, _now_ms: int) -> object:
        if fields.dex():
            raise UnanswerableError
        accounts = self._exchange.accounts.values()
        deposits = sum((account.deposits for account in accounts if not account.is_house), Decimal(0))
        return {"totalNetDeposit": text(deposits)}

    def margin_table(self, fields: Fields, _now_ms: int) -> object:
        table = shapes.margin_table(self._exchange, fields.integer("id"))
        if table is None:
            raise UnanswerableError
        return table

    def all_mids(self, fields: Fields, _now_ms: int) -> object:
        if fields.dex():
            return {}
        found = {coin: self._mid_or_last(coin) for coin in sorted(self._exchange.by_coin)}
        return {coin: text(price) for coin, price in found.items() if price is not None}

    def _mid_or_last(self, coin: str) -> Decimal | None:
        """With an empty book the last trade, as for a delisted coin, which keeps its last price for good."""
        mid = self._market.mid(coin)
        if mid is not None:
            return mid
        trades = self._market.recent_trades(coin, 1)
        return trades[-1].price if trades else self._exchange.marks.get(coin)

    def l2_book(self, fields: Fields, now_ms: int) -> object:
        coin = fields.text("coin")
        significant = fields.choice("nSigFigs", (2, 3, 4, 5))
        mantissa = fields.choice("mantissa", (1, 2, 5) if significant == 5 else ())
        if coin not in self._exchange.by_coin:
            return None
        sides = self._market.levels(coin, BOOK_DEPTH, significant, mantissa)
        return shapes.l2_book(coin, now_ms, sides, spread=None if significant is None else self._spread(coin))

    def _spread(self, coin: str) -> Decimal | None:
        bids, asks = self._market.levels(coin, 1)
        return asks[0].price - bids[0].price if bids and asks else None

    def recent_trades(self, fields: Fields, _now_ms: int) -> object:
        trades = self._market.recent_trades(self._known(fields), TRADES_PER_ANSWER)
        return [shapes.trade_row(printed) for printed in trades]

    def _known(self, fields: Fields) -> str:
        coin = fields.text("coin")
        if coin not in self._exchange.by_coin:
            raise UnanswerableError
        return coin

    # ── funding ──────────────────────────────────────────────────────────────────────────────

    def funding_history(self, fields: Fields, now_ms: int) -> object:
        """What was paid at full hours, oldest first."""
        start_ms = fields.integer("startTime")
        end_ms = min(fields.integer_or("endTime", now_ms), now_ms)
        coin = self._known(fields)
        place = self._exchange.asset_of(coin)
        first_ms = max(start_ms, now_ms - FUNDING_HOURS_KEPT * HOUR_MS)
        rows: list[dict[str, object]] = []
        for hour_ms in range(max(first_ms // HOUR_MS, 0) * HOUR_MS, end_ms + 1, HOUR_MS):
            time_ms = funding_stamp_ms(hour_ms)
            if start_ms <= time_ms <= end_ms:
                rate = self._market.path.funding_rate(place, hour_ms)
                rows.append(
                    {"coin": coin, "fundingRate": ratio(rate), "premium": ratio(premium_of(rate)), "time": time_ms}
                )
            if len(rows) == ROWS_PER_ANSWER:
                break
        return rows

    def predicted_fundings(self, _fields: Fields, now_ms: int) -> object:
        """Of other venues nothing is known here."""
        next_ms = now_ms - now_ms % HOUR_MS + HOUR_MS
        return [
            [
                instrument.symbol,
                [
                    ["BinPerp", None],
                    [
                        "HlPerp",
                        {
                            "fundingRate": ratio(self._market.context(instrument.symbol).funding),
                            "nextFundingTime": next_ms,
                            "fundingIntervalHours": 1,
                        },
                    ],
                    ["BybitPerp", None],
                ],
            ]
            for instrument in self._exchange.instruments
            if instrument.symbol not in self._exchange.delisted
        ]

    # ── the venue as a whole ─────────────────────────────────────────────────────────────────

    def perps_at_open_interest_cap(self, fields: Fields, _now_ms: int) -> object:
        if fields.dex():
            return []
        return [item.symbol for item in self._exchange.instruments if item.symbol in self._exchange.capped]

    def max_market_order_ntls(self, _fields: Fields, _now_ms: int) -> object:
        return [[leverage, text(Decimal(limit))] for leverage, limit in _MARKET_ORDER_LIMITS]

    def spot_meta(self, _fields: Fields, _now_ms: int) -> object:
        return {"universe": [], "tokens": [_USDC]}

    def spot_meta_and_asset_ctxs(self, fields: Fields, now_ms: int) -> object:
        return [self.spot_meta(fields, now_ms), []]

    def perp_deploy_auction(self, _fields: Fields, now_ms: int) -> object:
        return _auction(now_ms)

    def spot_deploy_state(self, fields: Fields, now_ms: int) -> object:
        fields.address()
        return {"states": [], "gasAuction": _auction(now_ms)}


def _auction(now_ms: int) -> dict[str, object]:
    """A deploy auction that nobody bids in. Times are in seconds."""
    start_s = now_ms // 1_000 - now_ms // 1_000 % DEPLOY_AUCTION_S
    return {
        "startTimeSeconds": start_s,
        "durationSeconds": DEPLOY_AUCTION_S,
        "startGas": "500.0",
        "currentGas": "500.0",
        "endGas": None,
    }


def funding_stamp_ms(hour_ms: int) -> int:
    """When the payment of an hour was booked: 1 to 118 ms after it, for all coins alike."""
    return hour_ms + 1 + zlib.crc32(str(hour_ms).encode()) % FUNDING_STAMP_MS


def premium_of(rate: Decimal) -> Decimal:
    """An average premium that gives this hourly rate; at the base rate, where many do, zero."""
    eight_hours = rate * EIGHT_HOURS
    if eight_hours == FUNDING_BASE:
        return Decimal(0)
    return eight_hours + (FUNDING_CLAMP if eight_hours > FUNDING_BASE else -FUNDING_CLAMP)
