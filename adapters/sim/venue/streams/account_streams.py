"""Accounts as the venue streams them: what happened to one, told to whoever watches its address.

Event streams (`orderUpdates`, `userFills`, …) tell one frame per account and publication with everything in order;
state streams (`openOrders`, …) tell the whole state at once and then by the clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice

from adapters.sim.venue import shapes
from adapters.sim.venue.exchange.accounts import ZERO, VenueAccount
from adapters.sim.venue.exchange.events import (
    BalanceChanged,
    Filled,
    FundingBooked,
    LedgerUpdate,
    Liquidated,
    NonUserCanceled,
    OrderChanged,
    Printed,
    VenueEvent,
    VenueFill,
    VenueFunding,
)
from adapters.sim.venue.exchange.state import VAULT
from adapters.sim.venue.info.readable import ReadableExchange, ReadableMarket, ReadableSigners
from adapters.sim.venue.numbers import text, usd
from adapters.sim.venue.outputs import Frame
from adapters.sim.venue.settings import Cadence
from adapters.sim.venue.streams.cadence_clock import CadenceClock
from adapters.sim.venue.streams.sockets import Stream, data_frame, leave
from adapters.sim.venue.streams.subscriptions import Kind, Subscription
from domain.intents import Side

Row = dict[str, object]

FILLS_SHOWN = 2_000
ORDERS_SHOWN = 2_000
ROWS_SHOWN = 500
_STATES = frozenset(
    {
        Kind.ACTIVE_ASSET_DATA,
        Kind.CLEARINGHOUSE_STATE,
        Kind.ALL_DEXS_CLEARINGHOUSE_STATE,
        Kind.OPEN_ORDERS,
        Kind.SPOT_STATE,
        Kind.TWAP_STATES,
        Kind.WEB_DATA_2,
        Kind.WEB_DATA_3,
    }
)


@dataclass(slots=True)
class _News:
    """What happened to one account since the last publication. `told` is for `userEvents`: frames in order."""

    orders: list[OrderChanged] = field(default_factory=list)
    fills: list[VenueFill] = field(default_factory=list)
    fundings: list[VenueFunding] = field(default_factory=list)
    updates: list[LedgerUpdate] = field(default_factory=list)
    told: list[tuple[str, object]] = field(default_factory=list)

    def add(self, event: VenueEvent) -> None:
        match event:
            case OrderChanged():
                self.orders.append(event)
            case Filled(fill=fill):
                self.fills.append(fill)
                self._tell_in_list("fills", shapes.fill_row(fill))
            case FundingBooked(funding=funding):
                self.fundings.append(funding)
                self.told.append(("funding", shapes.funding_event_row(funding)))
            case BalanceChanged(update=update):
                self.updates.append(update)
            case NonUserCanceled(coin=coin, oid=oid):
                self._tell_in_list("nonUserCancel", {"coin": coin, "oid": oid})
            case Liquidated():
                self.told.append(("liquidation", _liquidation_row(event)))
            case Printed():
                pass

    def _tell_in_list(self, key: str, row: Row) -> None:
        """Neighbours of one kind share a frame."""
        if self.told and self.told[-1][0] == key:
            rows = self.told[-1][1]
            assert isinstance(rows, list), "fills and cancels are lists"
            rows.append(row)
        else:
            self.told.append((key, [row]))


class AccountStreams:
    """Every stream that belongs to an address, known to the venue or not."""

    def __init__(
        self, exchange: ReadableExchange, market: ReadableMarket, signers: ReadableSigners, cadence: Cadence
    ) -> None:
        self._exchange = exchange
        self._market = market
        self._signers = signers
        self._clock = CadenceClock(cadence.account_state)
        self._watched: dict[str, dict[str, Stream]] = {}
        self._states: dict[str, Stream] = {}

    def subscribe(self, socket_id: int, subscription: Subscription, now_ms: int) -> list[str]:
        """Add a socket to a stream; answers the texts that it gets at once."""
        key = subscription.canonical
        if subscription.kind in _STATES:
            self._states.setdefault(key, Stream(subscription)).sockets.append(socket_id)
            self._clock.start(now_ms)
            return [self._state_text(subscription, now_ms)]
        streams = self._watched.setdefault(subscription.user, {})
        streams.setdefault(key, Stream(subscription)).sockets.append(socket_id)
        return self._snapshot(subscription)

    def unsubscribe(self, socket_id: int, subscription: Subscription) -> None:
        key, user = subscription.canonical, subscription.user
        streams = self._states if subscription.kind in _STATES else self._watched[user]
        leave(streams, key, socket_id)
        if not self._states:
            self._clock.stop()
        if not self._watched.get(user, True):
            del self._watched[user]

    def next_due_ms(self) -> int:
        return self._clock.due_ms

    def publish(self, now_ms: int, events: Sequence[VenueEvent], out: list[Frame]) -> None:
        if self._watched and events:
            for address, news in self._news(events).items():
                for stream in self._watched[address].values():
                    for told in _event_texts(stream.subscription, news):
                        stream.tell(told, out)
        if self._clock.strikes(now_ms):
            for stream in self._states.values():
                stream.tell(self._state_text(stream.subscription, now_ms), out)

    def _news(self, events: Sequence[VenueEvent]) -> dict[str, _News]:
        news: dict[str, _News] = {}
        for event in events:
            if not isinstance(event, Printed) and event.address in self._watched:
                news.setdefault(event.address, _News()).add(event)
        return news

    # -- snapshots ---------------------------------------------------------------------------------------------------

    def _snapshot(self, subscription: Subscription) -> list[str]:
        """Recent history; nothing for streams that have none (§1.6)."""
        key = _ROWS_OF.get(subscription.kind)
        if key is None:
            return []
        account = self._exchange.account(subscription.user)
        rows = [] if account is None else _history(subscription, account)
        data = {"isSnapshot": True, "user": subscription.user, key: rows}
        return [data_frame(subscription.kind.value, data)]

    # -- states ------------------------------------------------------------------------------------------------------

    def _state_text(self, subscription: Subscription, now_ms: int) -> str:
        return data_frame(subscription.kind.value, self._state(subscription, now_ms))

    def _state(self, subscription: Subscription, now_ms: int) -> object:
        user, exchange = subscription.user, self._exchange
        account = exchange.account(user)
        match subscription.kind:
            case Kind.ACTIVE_ASSET_DATA:
                return shapes.active_asset_data(exchange, user, account, subscription.coin)
            case Kind.CLEARINGHOUSE_STATE:
                state = shapes.clearinghouse_state(exchange, account, now_ms)
                return {"dex": "", "user": user, "clearinghouseState": state}
            case Kind.ALL_DEXS_CLEARINGHOUSE_STATE:
                state = shapes.clearinghouse_state(exchange, account, now_ms)
                return {"user": user, "clearinghouseStates": [["", state]]}
            case Kind.OPEN_ORDERS:
                return {"dex": "", "user": user, "orders": _open_orders(account)}
            case Kind.SPOT_STATE:
                return {"user": user, "spotState": shapes.spot_state(account)}
            case Kind.TWAP_STATES:
                return {"dex": "", "user": user, "states": []}
            case Kind.WEB_DATA_3:
                return self._web_data_3(user, account, now_ms)
            case _:
                return self._web_data_2(user, account, now_ms)

    def _web_data_3(self, user: str, account: VenueAccount | None, now_ms: int) -> Row:
        dex: Row = {"totalVaultEquity": "0.0"}
        capped = [coin for coin in self._exchange.by_coin if coin in self._exchange.capped]
        if capped:
            dex["perpsAtOpenInterestCap"] = capped
        agent, valid_until = self._agent(user, now_ms)
        state: Row = {
            "agentAddress": agent,
            "agentValidUntil": valid_until,
            "cumLedger": _cum_ledger(account),
            "serverTime": now_ms,
            "isVault": False,
            "user": user,
        }
        return {"userState": state, "perpDexStates": [dex]}

    def _web_data_2(self, user: str, account: VenueAccount | None, now_ms: int) -> Row:
        agent, valid_until = self._agent(user, now_ms)
        return {
            "clearinghouseState": shapes.clearinghouse_state(self._exchange, account, now_ms),
            "leadingVaults": [],
            "totalVaultEquity": "0.0",
            "openOrders": _open_orders(account),
            "agentAddress": agent,
            "agentValidUntil": valid_until,
            "cumLedger": _cum_ledger(account),
            "meta": shapes.meta(self._exchange),
            "assetCtxs": [
                shapes.asset_ctx(self._market.context(instrument.symbol)) for instrument in self._exchange.instruments
            ],
            "serverTime": now_ms,
            "isVault": False,
            "user": user,
            "twapStates": [],
            "spotState": shapes.spot_state(account),
        }

    def _agent(self, user: str, now_ms: int) -> tuple[str | None, int | None]:
        """The one unnamed agent, which the venue's own frontend uses."""
        for agent in self._signers.agents_of(user, now_ms):
            if agent.name is None:
                return agent.address, agent.valid_until
        return None, None


_ROWS_OF = {
    Kind.USER_FILLS: "fills",
    Kind.USER_FUNDINGS: "fundings",
    Kind.USER_LEDGER: "nonFundingLedgerUpdates",
    Kind.USER_HISTORICAL_ORDERS: "orderHistory",
    Kind.USER_TWAP_SLICE_FILLS: "twapSliceFills",
    Kind.USER_TWAP_HISTORY: "history",
}
"""The streams that begin with a snapshot, and what their rows are called."""


def _history(subscription: Subscription, account: VenueAccount) -> list[Row]:
    """Newest first, fundings oldest first, as recorded."""
    match subscription.kind:
        case Kind.USER_FILLS:
            fills: Iterable[VenueFill] = reversed(account.fills)
            if subscription.aggregate:
                fills = reversed(shapes.merged_by_time(account.fills))
            return [shapes.fill_row(fill) for fill in islice(fills, FILLS_SHOWN)]
        case Kind.USER_FUNDINGS:
            newest = list(islice(reversed(account.fundings), ROWS_SHOWN))
            return [shapes.funding_event_row(funding) for funding in reversed(newest)]
        case Kind.USER_LEDGER:
            return [shapes.ledger_row(update) for update in islice(reversed(account.ledger_updates), ROWS_SHOWN)]
        case Kind.USER_HISTORICAL_ORDERS:
            return [shapes.status_row(order) for order in islice(reversed(account.history.values()), ORDERS_SHOWN)]
        case _:
            return []


def _event_texts(subscription: Subscription, news: _News) -> Iterator[str]:
    """The frames that one stream makes of an account's news."""
    kind, user = subscription.kind, subscription.user
    match kind:
        case Kind.ORDER_UPDATES:
            if news.orders:
                yield data_frame(kind.value, [shapes.order_change_row(told.order, told.change) for told in news.orders])
        case Kind.USER_EVENTS:
            for key, payload in news.told:
                yield data_frame("user", {key: payload})
        case Kind.NOTIFICATION:
            for fill in news.fills:
                if not fill.crossed:
                    yield data_frame(kind.value, {"notification": _resting_filled(fill)})
        case _:
            rows = _new_rows(subscription, news)
            if rows:
                yield data_frame(kind.value, {"user": user, _ROWS_OF[kind]: rows})


def _new_rows(subscription: Subscription, news: _News) -> list[Row]:
    match subscription.kind:
        case Kind.USER_FILLS:
            fills = shapes.merged_by_time(news.fills) if subscription.aggregate else news.fills
            return [shapes.fill_row(fill) for fill in fills]
        case Kind.USER_FUNDINGS:
            return [shapes.funding_event_row(funding) for funding in news.fundings]
        case Kind.USER_LEDGER:
            return [shapes.ledger_row(update) for update in news.updates]
        case Kind.USER_HISTORICAL_ORDERS:
            latest = {told.order.oid: told.order for told in news.orders}
            return [shapes.status_row(order) for order in latest.values()]
        case _:
            return []


def _open_orders(account: VenueAccount | None) -> list[Row]:
    """Newest first; children of an order that has not filled stand inside it."""
    if account is None:
        return []
    return [shapes.frontend_order(order) for order in reversed(account.orders.values()) if shapes.is_open(order)]


def _cum_ledger(account: VenueAccount | None) -> str:
    return usd(ZERO if account is None else account.deposits)


def _liquidation_row(event: Liquidated) -> Row:
    """This one object of the venue spells its keys with underscores."""
    return {
        "lid": event.lid,
        "liquidator": VAULT,
        "liquidated_user": event.address,
        "liquidated_ntl_pos": usd(event.notional),
        "liquidated_account_value": usd(event.account_value),
    }


def _resting_filled(fill: VenueFill) -> str:
    verb = "Bought" if fill.side is Side.BUY else "Sold"
    return f"Resting order filled: {verb} {_plain(fill.size)} {fill.coin} at ${_plain(fill.price)}"


def _plain(value: Decimal) -> str:
    return text(value).removesuffix(".0")
