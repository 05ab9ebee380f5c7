"""What the venue answers about an account: positions, balances, its kind, its agents, limits and settings."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import msgspec

from adapters.hyperliquid.heard import DecodeError
from adapters.hyperliquid.wire_numbers import (
    Millis,
    Whole,
    exact,
    is_other_market,
    read,
    shown,
)
from adapters.hyperliquid.wire_rows import COLLATERAL, position_size

# ── what stands on the wire ──────────────────────────────────────────────────────────────────


class LeveragePart(msgspec.Struct, gc=False):
    type: Literal["cross", "isolated"]
    value: Whole
    raw_usd: str | None = msgspec.field(name="rawUsd", default=None)


class PositionPart(msgspec.Struct, gc=False):
    coin: str
    szi: str
    leverage: LeveragePart
    margin_used: str = msgspec.field(name="marginUsed")
    position_value: str = msgspec.field(name="positionValue")
    unrealized_pnl: str = msgspec.field(name="unrealizedPnl")
    entry_px: str | None = msgspec.field(name="entryPx", default=None)
    liquidation_px: str | None = msgspec.field(name="liquidationPx", default=None)


class PositionRow(msgspec.Struct, gc=False):
    type: Literal["oneWay"]
    position: PositionPart


class SummaryPart(msgspec.Struct, gc=False):
    account_value: str = msgspec.field(name="accountValue")
    total_margin_used: str = msgspec.field(name="totalMarginUsed")


class StateAnswer(msgspec.Struct):
    summary: SummaryPart = msgspec.field(name="marginSummary")
    withdrawable: str
    positions: list[PositionRow] = msgspec.field(name="assetPositions")
    time: Millis | None = None


class BalanceRow(msgspec.Struct, gc=False):
    coin: str
    total: str
    hold: str


class SpotAnswer(msgspec.Struct):
    balances: list[BalanceRow]


class RoleData(msgspec.Struct):
    user: str | None = None
    master: str | None = None


class RoleAnswer(msgspec.Struct):
    role: str
    data: RoleData | None = None


class AgentRow(msgspec.Struct):
    name: str
    address: str
    valid_until: Millis = msgspec.field(name="validUntil")


class LimitAnswer(msgspec.Struct):
    volume: str = msgspec.field(name="cumVlm")
    used: int = msgspec.field(name="nRequestsUsed")
    cap: int = msgspec.field(name="nRequestsCap")
    surplus: int = msgspec.field(name="nRequestsSurplus", default=0)


class FeesAnswer(msgspec.Struct):
    taker: str = msgspec.field(name="userCrossRate")
    maker: str = msgspec.field(name="userAddRate")


class AssetDataAnswer(msgspec.Struct):
    user: str
    coin: str
    leverage: LeveragePart
    max_sizes: tuple[str, str] = msgspec.field(name="maxTradeSzs")
    available: tuple[str, str] = msgspec.field(name="availableToTrade")
    mark_px: str | None = msgspec.field(name="markPx", default=None)


# ── what it means ────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class VenuePosition:
    """`size` is signed. `isolated_cash_usd` is the cash inside an isolated position, None where margin is crossed."""

    coin: str
    size: Decimal
    leverage: int
    isolated_cash_usd: Decimal | None
    entry_price: Decimal | None
    liquidation_price: Decimal | None
    margin_used_usd: Decimal
    value_usd: Decimal
    unrealized_usd: Decimal

    @property
    def is_cross(self) -> bool:
        return self.isolated_cash_usd is None


@dataclass(frozen=True, slots=True)
class AccountState:
    """The perp account. `time_ms` is None in recordings from before the venue told it."""

    equity_usd: Decimal
    margin_used_usd: Decimal
    withdrawable_usd: Decimal
    positions: tuple[VenuePosition, ...]
    time_ms: int | None
    skipped: int

    @property
    def cash_usd(self) -> Decimal:
        """Equity without the profit and loss of what is still open: what our own books call cash."""
        return self.equity_usd - sum((position.unrealized_usd for position in self.positions), Decimal(0))


@dataclass(frozen=True, slots=True)
class SpotState:
    """Spot balances: (total, hold) by token."""

    balances: dict[str, tuple[Decimal, Decimal]]

    @property
    def usdc(self) -> Decimal:
        """All USDC, held or not: the collateral of a unified account."""
        return self.balances.get(COLLATERAL, (Decimal(0), Decimal(0)))[0]


@dataclass(frozen=True, slots=True)
class UserRole:
    """`role` is the venue's word (`user`, `agent`, `vault`, `subAccount`, `missing`), `owner` the account behind it."""

    role: str
    owner: str | None


@dataclass(frozen=True, slots=True)
class Agent:
    name: str
    address: str
    valid_until_ms: int


@dataclass(frozen=True, slots=True)
class RequestBudget:
    """Requests of an address since ever: used, allowed, and bought on top."""

    used: int
    cap: int
    surplus: int
    volume_usd: Decimal


@dataclass(frozen=True, slots=True)
class FeeRates:
    """Shares of the notional; a maker's may be negative."""

    taker: Decimal
    maker: Decimal


@dataclass(frozen=True, slots=True)
class AssetSettings:
    """What is set for one coin, with or without a position; pairs are (buy, sell)."""

    user: str
    coin: str
    leverage: int
    is_cross: bool
    max_sizes: tuple[Decimal, Decimal]
    available_usd: tuple[Decimal, Decimal]
    mark_price: Decimal | None


# ── answers over HTTP ────────────────────────────────────────────────────────────────────────

_TEXT = msgspec.json.Decoder(str)
_ROLE = msgspec.json.Decoder(RoleAnswer)
_AGENTS = msgspec.json.Decoder(list[AgentRow])
_LIMIT = msgspec.json.Decoder(LimitAnswer)
_FEES = msgspec.json.Decoder(FeesAnswer)
_ASSET_DATA = msgspec.json.Decoder(AssetDataAnswer)
_STATE = msgspec.json.Decoder(StateAnswer)
_SPOT = msgspec.json.Decoder(SpotAnswer)


def decode_account_state(body: bytes) -> AccountState:
    """`clearinghouseState` of the first dex. Every position or an error: never a part."""
    where = "clearinghouseState"
    answer = read(_STATE.decode, body, where)
    positions: list[VenuePosition] = []
    skipped = 0
    for row in answer.positions:
        if is_other_market(row.position.coin):
            skipped += 1
            continue
        position = _position(row.position, f"{where}.position")
        if position.size:
            positions.append(position)
    coins = {position.coin for position in positions}
    if len(coins) != len(positions):
        raise DecodeError(where, "a coin stands there twice")
    return AccountState(
        equity_usd=exact(answer.summary.account_value, f"{where}.accountValue"),
        margin_used_usd=exact(answer.summary.total_margin_used, f"{where}.totalMarginUsed"),
        withdrawable_usd=exact(answer.withdrawable, f"{where}.withdrawable"),
        positions=tuple(positions),
        time_ms=answer.time,
        skipped=skipped,
    )


def _position(part: PositionPart, where: str) -> VenuePosition:
    if not part.coin:
        raise DecodeError(where, "a position without a coin")
    isolated_cash = None
    if part.leverage.type == "isolated":
        if part.leverage.raw_usd is None:
            raise DecodeError(f"{where}.leverage.rawUsd", "missing")
        isolated_cash = exact(part.leverage.raw_usd, f"{where}.leverage.rawUsd")
    return VenuePosition(
        coin=part.coin,
        size=position_size(part.szi, f"{where}.szi"),
        leverage=part.leverage.value,
        isolated_cash_usd=isolated_cash,
        entry_price=_optional(part.entry_px, f"{where}.entryPx"),
        liquidation_price=_optional(part.liquidation_px, f"{where}.liquidationPx"),
        margin_used_usd=exact(part.margin_used, f"{where}.marginUsed"),
        value_usd=exact(part.position_value, f"{where}.positionValue"),
        unrealized_usd=exact(part.unrealized_pnl, f"{where}.unrealizedPnl"),
    )


def _optional(text: str | None, where: str) -> Decimal | None:
    return None if text is None else exact(text, where)


def decode_spot_state(body: bytes) -> SpotState:
    """`spotClearinghouseState`: where the collateral of unified accounts lies."""
    where = "spotClearinghouseState"
    balances: dict[str, tuple[Decimal, Decimal]] = {}
    for row in read(_SPOT.decode, body, where).balances:
        if row.coin in balances:
            raise DecodeError(where, f"{shown(row.coin)} stands there twice")
        balances[row.coin] = (exact(row.total, f"{where}.total"), exact(row.hold, f"{where}.hold"))
    return SpotState(balances)


def decode_abstraction(body: bytes) -> str:
    """`userAbstraction`: the venue's word for how the account keeps its collateral."""
    return read(_TEXT.decode, body, "userAbstraction")


def keeps_collateral_in_spot(abstraction: str) -> bool:
    """Whether spot balances are this account's collateral. An unknown word is a `DecodeError`: its cash is unknown."""
    if abstraction in ("unifiedAccount", "portfolioMargin"):
        return True
    if abstraction in ("default", "disabled", "dexAbstraction"):
        return False
    raise DecodeError("userAbstraction", f"unknown kind of account: {shown(abstraction)}")


def decode_user_role(body: bytes) -> UserRole:
    """`userRole`. Agents and sub-accounts without the account behind them are an error."""
    answer = read(_ROLE.decode, body, "userRole")
    data = answer.data or RoleData()
    owner = {"agent": data.user, "subAccount": data.master}.get(answer.role)
    if owner is None and answer.role in ("agent", "subAccount"):
        raise DecodeError("userRole.data", f"{answer.role} without an account behind it")
    return UserRole(answer.role, None if owner is None else owner.lower())


def decode_extra_agents(body: bytes) -> tuple[Agent, ...]:
    """`extraAgents`: named agents and when each ends; addresses in lower case."""
    rows = read(_AGENTS.decode, body, "extraAgents")
    return tuple(Agent(row.name, row.address.lower(), row.valid_until) for row in rows)


def decode_rate_limit(body: bytes) -> RequestBudget:
    """`userRateLimit`."""
    answer = read(_LIMIT.decode, body, "userRateLimit")
    return RequestBudget(answer.used, answer.cap, answer.surplus, exact(answer.volume, "userRateLimit.cumVlm"))


def decode_fee_rates(body: bytes) -> FeeRates:
    """`userFees`, the perp rates in force."""
    answer = read(_FEES.decode, body, "userFees")
    return FeeRates(exact(answer.taker, "userFees.userCrossRate"), exact(answer.maker, "userFees.userAddRate"))


def decode_asset_settings(body: bytes) -> AssetSettings:
    """`activeAssetData`: the leverage set for a coin, with or without a position."""
    where = "activeAssetData"
    answer = read(_ASSET_DATA.decode, body, where)
    if answer.leverage.value < 1:
        raise DecodeError(f"{where}.leverage", f"{answer.leverage.value} is no leverage")
    return AssetSettings(
        user=answer.user.lower(),
        coin=answer.coin,
        leverage=answer.leverage.value,
        is_cross=answer.leverage.type == "cross",
        max_sizes=_pair(answer.max_sizes, f"{where}.maxTradeSzs"),
        available_usd=_pair(answer.available, f"{where}.availableToTrade"),
        mark_price=None if answer.mark_px is None else exact(answer.mark_px, f"{where}.markPx"),
    )


def _pair(texts: tuple[str, str], where: str) -> tuple[Decimal, Decimal]:
    return exact(texts[0], where), exact(texts[1], where)
