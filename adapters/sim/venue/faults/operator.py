"""The operator: acts on the venue's world from outside of what clients can do.

An account changed elsewhere (another device, another bot, the chain), money that comes and goes, a chain that
halts. Each act happens at the exchange's time, returns what it did as JSON-able data, or raises `OperatorRefused`;
both are logged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Protocol

from adapters.sim.venue.exchange.accounts import VenueAccount
from adapters.sim.venue.exchange.events import LedgerUpdate
from adapters.sim.venue.exchange.exchange import Exchange
from adapters.sim.venue.exchange.margin import withdrawable
from adapters.sim.venue.exchange.orders import FilledNow, Grouping, OrderSpec, Refused, Tif
from adapters.sim.venue.faults import operator_acts as acts
from adapters.sim.venue.faults.forms import BadForm
from adapters.sim.venue.faults.operator_acts import OperatorAct, act_arguments, act_name, read_act
from adapters.sim.venue.faults.switchboard import Act
from adapters.sim.venue.log import VenueLog
from adapters.sim.venue.numbers import text, usd
from domain.instruments import PriceRounding
from domain.intents import Side

ZERO = Decimal(0)
USD_STEP = Decimal("0.000001")
HAND_BOUND = Decimal("0.1")
"""How far from the mid price a trade by hand may go."""
WITHDRAW_FEE = Decimal(1)
Told = dict[str, object]


class OperatorRefused(Exception):
    """The act makes no sense now; nothing has changed."""


class Quoted(Protocol):
    """What the operator needs of the market."""

    def sync(self, coin: str) -> None: ...

    def mid(self, coin: str) -> Decimal | None: ...


class Haltable(Protocol):
    """What the operator needs of the chain."""

    halted_until_ms: int
    post_only_until_ms: int


class AgentHolder(Protocol):
    """What the operator needs of the signers."""

    def remove(self, agent: str) -> bool: ...


class Operator:
    def __init__(
        self, exchange: Exchange, market: Quoted, chain: Haltable, signers: AgentHolder, log: VenueLog
    ) -> None:
        self._exchange = exchange
        self._market = market
        self._chain = chain
        self._signers = signers
        self._log = log
        self._count = 0

    def perform(self, name: str, arguments: Mapping[str, object], *, rule: int | None = None) -> Told:
        """Do an act by its name with JSON arguments. `rule` is the fault rule behind it, for the log."""
        try:
            act = read_act(name, arguments)
        except BadForm as error:
            self._log.append("operator", self._now, act=name, arguments=arguments, rule=rule, refused=str(error))
            raise OperatorRefused(str(error)) from error
        return self._perform(act, rule)

    def perform_due(self, due: Iterable[Act]) -> None:
        """Do what fault rules ask for; what is refused by then only stands in the log."""
        for act in due:
            try:
                self.perform(act.name, act.arguments, rule=act.rule_id)
            except OperatorRefused:
                continue

    # ── the chain ────────────────────────────────────────────────────────────────────────────

    def delist(self, coin: str) -> Told:
        return self._perform(acts.Delist(coin))

    def halt(self, ms: int) -> Told:
        return self._perform(acts.Halt(ms))

    def post_only(self, ms: int) -> Told:
        return self._perform(acts.PostOnly(ms))

    # ── a user, elsewhere ────────────────────────────────────────────────────────────────────

    def set_leverage(self, user: str, coin: str, value: int, is_cross: bool = True) -> Told:
        return self._perform(acts.SetLeverage(user, coin, value, is_cross))

    def trade(self, user: str, coin: str, side: Side, size: Decimal, *, reduce_only: bool = False) -> Told:
        return self._perform(acts.Trade(user, coin, side.value, str(size), reduce_only))

    def cancel_all(self, user: str, coin: str | None = None) -> Told:
        return self._perform(acts.CancelAll(user, coin))

    def deposit(self, user: str, usd: Decimal) -> Told:
        return self._perform(acts.Deposit(user, str(usd)))

    def withdraw(self, user: str, usd: Decimal) -> Told:
        return self._perform(acts.Withdraw(user, str(usd)))

    def remove_agent(self, agent: str) -> Told:
        return self._perform(acts.RemoveAgent(agent))

    # ── the chain, to a user ─────────────────────────────────────────────────────────────────

    def liquidate(self, user: str) -> Told:
        return self._perform(acts.Liquidate(user))

    def deleverage(self, user: str, coin: str) -> Told:
        return self._perform(acts.Deleverage(user, coin))

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    @property
    def _now(self) -> int:
        return self._exchange.now_ms

    def _perform(self, act: OperatorAct, rule: int | None = None) -> Told:
        name, arguments = act_name(act), act_arguments(act)
        try:
            told = self._done(act)
        except OperatorRefused as refused:
            self._log.append("operator", self._now, act=name, arguments=arguments, rule=rule, refused=str(refused))
            raise
        self._log.append("operator", self._now, act=name, arguments=arguments, rule=rule, result=told)
        return told

    def _done(self, act: OperatorAct) -> Told:
        match act:
            case acts.Delist(coin):
                return self._delist(coin)
            case acts.Halt(ms):
                self._chain.halted_until_ms = self._now + ms
                return {"until_ms": self._now + ms}
            case acts.PostOnly(ms):
                self._chain.post_only_until_ms = self._now + ms
                return {"until_ms": self._now + ms}
            case acts.SetLeverage():
                return self._set_leverage(act)
            case acts.Trade():
                return self._trade(act)
            case acts.CancelAll(user, coin):
                return self._cancel_all(self._account(user), coin)
            case acts.Liquidate(user):
                return self._closed(self._account(user), None, lambda address: self._exchange.liquidate(address))
            case acts.Deleverage(user, coin):
                self._known(coin)
                account = self._account(user)
                return self._closed(account, coin, lambda address: self._exchange.deleverage(address, coin))
            case acts.Deposit(user, amount):
                return self._deposit(_address(user), _money(amount))
            case acts.Withdraw(user, amount):
                return self._withdraw(self._account(user), _money(amount))
            case acts.RemoveAgent(agent):
                if not self._signers.remove(_address(agent)):
                    raise OperatorRefused(f"{agent} is no agent")
                return {"agent": _address(agent)}
            case _:
                raise AssertionError(f"an act that nobody performs: {act}")

    def _delist(self, coin: str) -> Told:
        self._known(coin)
        if coin in self._exchange.delisted:
            raise OperatorRefused(f"{coin} is delisted already")
        if coin not in self._exchange.oracles:
            raise OperatorRefused(f"{coin} has no oracle price yet to settle at")
        self._exchange.delist(coin)
        return {"coin": coin}

    def _set_leverage(self, act: acts.SetLeverage) -> Told:
        asset, account = self._known(act.coin), self._account(act.user)
        refusal = self._exchange.update_leverage(account, asset, is_cross=act.is_cross, leverage=act.value)
        if refusal is not None:
            raise OperatorRefused(refusal)
        return {"coin": act.coin, "value": act.value, "is_cross": act.is_cross}

    def _trade(self, act: acts.Trade) -> Told:
        asset, account, side = self._known(act.coin), self._account(act.user), Side(act.side)
        instrument = self._exchange.instruments[asset]
        size = _number(act.size, "size")
        if size <= 0 or size != instrument.round_size(size):
            raise OperatorRefused(f"size {act.size} is no positive multiple of {instrument.size_step}")
        self._market.sync(act.coin)
        mid = self._market.mid(act.coin) or self._exchange.marks.get(act.coin)
        if mid is None:
            raise OperatorRefused(f"{act.coin} has no price yet")
        rounding = PriceRounding.DOWN if side is Side.BUY else PriceRounding.UP
        limit = instrument.round_price(mid * (1 + side.sign * HAND_BOUND), rounding)
        spec = OrderSpec(asset, side, limit, size, act.reduce_only, Tif.IOC, None, None)
        result = self._exchange.place(account, [spec], Grouping.NA, self._new_hash())[0]
        if isinstance(result, Refused):
            raise OperatorRefused(result.text)
        assert isinstance(result, FilledNow), "an immediate order fills or is refused"
        return {"oid": result.oid, "size": text(result.total_size), "price": text(result.average_price)}

    def _cancel_all(self, account: VenueAccount, coin: str | None) -> Told:
        if coin is not None:
            self._known(coin)
        before = [order for order in account.orders.values() if coin in (None, order.coin)]
        for order in before:
            if order.oid in account.orders:  # else its parent's cancel took it along
                self._market.sync(order.coin)
                self._exchange.cancel(account, self._exchange.asset_of(order.coin), order.oid)
        return {"canceled": [order.oid for order in before if order.oid not in account.orders]}

    def _closed(self, account: VenueAccount, coin: str | None, close: Callable[[str], None]) -> Told:
        """What an act that closes positions changed."""
        before = _sizes(account)
        if not before if coin is None else coin not in before:
            raise OperatorRefused(f"{account.address} has no position{'' if coin is None else f' in {coin}'}")
        for each in [coin] if coin is not None else before:
            if each not in self._exchange.marks:
                raise OperatorRefused(f"{each} has no mark price yet")
            self._market.sync(each)
        close(account.address)
        after = _sizes(account)
        changed = {each: text(after.get(each, ZERO)) for each in before if after.get(each, ZERO) != before[each]}
        return {"user": account.address, "positions": changed}

    def _deposit(self, address: str, amount: Decimal) -> Told:
        account = self._exchange.account(address)
        if account is None:
            account = self._exchange.open_account(address, cash=amount)
        else:
            update = LedgerUpdate(self._now, self._new_hash(), {"type": "deposit", "usdc": usd(amount)})
            self._exchange.change_balance(account, cash=amount, update=update, outside=amount)
        return {"user": address, "cash": usd(account.cash)}

    def _withdraw(self, account: VenueAccount, amount: Decimal) -> Told:
        most = withdrawable(account, self._exchange.marks, self._exchange.by_coin)
        if amount > most:
            raise OperatorRefused(f"{account.address} can withdraw {usd(most)} at most, not {usd(amount)}")
        if amount <= WITHDRAW_FEE:
            raise OperatorRefused(f"a withdrawal must be more than its fee of {WITHDRAW_FEE} USDC")
        delta: dict[str, object] = {
            "type": "withdraw",
            "usdc": usd(amount - WITHDRAW_FEE),
            "nonce": self._now,
            "fee": usd(WITHDRAW_FEE),
        }
        update = LedgerUpdate(self._now, self._new_hash(), delta)
        self._exchange.change_balance(account, cash=-amount, update=update, outside=-amount)
        return {"user": account.address, "cash": usd(account.cash)}

    def _account(self, user: str) -> VenueAccount:
        account = self._exchange.account(_address(user))
        if account is None:
            raise OperatorRefused(f"{user} has no account here; a deposit opens one")
        if account.is_house:
            raise OperatorRefused(f"{user} is the house's own account")
        return account

    def _known(self, coin: str) -> int:
        """The coin's asset id."""
        if coin not in self._exchange.by_coin:
            raise OperatorRefused(f"no coin {coin!r}; there are: {', '.join(self._exchange.by_coin)}")
        return self._exchange.asset_of(coin)

    def _new_hash(self) -> str:
        """A transaction's hash that no other act has."""
        self._count += 1
        return "0x" + hashlib.sha256(f"operator:{self._now}:{self._count}".encode()).hexdigest()


def _sizes(account: VenueAccount) -> dict[str, Decimal]:
    return {coin: held.size for coin, held in account.positions.items() if held.size}


def _address(user: str) -> str:
    address = user.lower()
    if len(address) != 42 or not address.startswith("0x") or set(address[2:]) - set("0123456789abcdef"):
        raise OperatorRefused(f"{user!r} is no address")
    return address


def _money(amount: str | int | float) -> Decimal:
    value = _number(amount, "usd")
    if value <= 0 or value != value.quantize(USD_STEP):
        raise OperatorRefused(f"usd {amount} is no positive amount of up to six decimals")
    return value


def _number(value: str | int | float, name: str) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise OperatorRefused(f"{name} {value!r} is no number") from error
    if not number.is_finite() or abs(number) >= Decimal(10) ** 15:
        raise OperatorRefused(f"{name} {value!r} is no amount")
    return number
