"""Signed actions as the venue reads them: strict types from JSON, and its own re-serialisation of them (§5).

The venue hashes what it read, never what was sent. So every struct here normalises itself (`"85000.0"` becomes
"85000", addresses and cloids lower case), and `wire` writes it down again in the documented order of keys,
without the optional ones that say nothing and without keys that nobody asked for. A client that signed
anything else recovers as a stranger, as on the real venue.

Actions that the account key signs itself are different: their texts are signed word by word and stay as sent.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from adapters.sim.venue.exchange.orders import Grouping, OrderSpec, Tif, TriggerSpec
from domain.intents import Side, Trigger, TriggerKind

# `\A … \Z`: `$` would let a line feed through, and `\d` digits of other scripts.
Address = Annotated[str, Meta(pattern=r"\A0x[0-9a-fA-F]{40}\Z")]
CloidText = Annotated[str, Meta(pattern=r"\A0x[0-9a-fA-F]{32}\Z")]
NumberText = Annotated[str, Meta(pattern=r"\A[0-9]{1,11}(\.[0-9]{1,16})?\Z")]
"""No sign, no exponent. So bounded, price times size at six decimals still fits 28 digits."""
ClassAmount = Annotated[str, Meta(pattern=r"\A[0-9]{1,11}(\.[0-9]{1,16})?( subaccount:0x[0-9a-fA-F]{40})?\Z")]
PercentText = Annotated[str, Meta(pattern=r"\A[0-9]{1,3}(\.[0-9]{1,8})?%\Z")]
ChainId = Annotated[str, Meta(pattern=r"\A0x[0-9a-fA-F]{1,16}\Z")]
Text = Annotated[str, Meta(pattern=r"\A[^\ud800-\udfff]{0,100}\Z")]
"""Free text that UTF-8 can carry: half a surrogate pair can be escaped in JSON, but not signed."""
U32 = Annotated[int, Meta(ge=0, lt=1 << 32)]
Count = Annotated[int, Meta(ge=0, lt=(1 << 63) - 1)]
"""The venue's u64, as far as any of its ids, times and amounts can reach."""
Signed = Annotated[int, Meta(gt=-(1 << 63), lt=(1 << 63) - 1)]


def normal(number: str) -> str:
    """The form that is hashed: "85000.0" is "85000", "007" is "7"."""
    whole, _, fraction = number.partition(".")
    whole, fraction = whole.lstrip("0") or "0", fraction.rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


class Part(Struct, rename="camel", omit_defaults=True):
    """A piece of an action; fields stand in the order in which they are hashed."""


# ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────────


class LimitKind(Part):
    tif: Literal["Gtc", "Ioc", "Alo", "FrontendMarket"]


class TriggerKindWire(Part):
    is_market: bool
    trigger_px: NumberText
    tpsl: Literal["tp", "sl"]

    def __post_init__(self) -> None:
        self.trigger_px = normal(self.trigger_px)


class OrderKind(Part, forbid_unknown_fields=True):
    limit: LimitKind | UnsetType = UNSET
    trigger: TriggerKindWire | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.limit is UNSET) is (self.trigger is UNSET):
            raise ValueError("an order is either limit or trigger")


class OrderWire(Part):
    a: U32
    b: bool
    p: NumberText
    s: NumberText
    r: bool
    t: OrderKind
    c: CloidText | None = None

    def __post_init__(self) -> None:
        self.p, self.s = normal(self.p), normal(self.s)
        self.c = None if self.c is None else self.c.lower()

    @property
    def tif(self) -> Tif | None:
        """None for a trigger."""
        return None if self.t.limit is UNSET else Tif(self.t.limit.tif)

    def spec(self) -> OrderSpec:
        return OrderSpec(
            asset=self.a,
            side=Side.BUY if self.b else Side.SELL,
            price=Decimal(self.p),
            size=Decimal(self.s),
            reduce_only=self.r,
            tif=self.tif,
            trigger=self._trigger(),
            cloid=self.c,
        )

    def _trigger(self) -> TriggerSpec | None:
        wire = self.t.trigger
        if wire is UNSET:
            return None
        return TriggerSpec(Trigger(TriggerKind(wire.tpsl), Decimal(wire.trigger_px)), wire.is_market)


class Priority(Part):
    """A fee for going first: `p / 1e8` of notional."""

    p: U32


class Builder(Part):
    """Whoever built the client takes `f` tenths of a basis point."""

    b: Address
    f: U32

    def __post_init__(self) -> None:
        self.b = self.b.lower()


class L1Action(Part, tag_field="type"):
    """Hashed with msgpack; an agent may sign it."""

    @property
    def items(self) -> int:
        """What it weighs: orders, cancels or modifies, and one for everything else."""
        return 1


class Order(L1Action, tag="order"):
    orders: list[OrderWire]
    grouping: Literal["na", "normalTpsl", "positionTpsl"] | Priority
    builder: Builder | None = None

    @property
    def items(self) -> int:
        return max(1, len(self.orders))

    @property
    def priority(self) -> int:
        return self.grouping.p if isinstance(self.grouping, Priority) else 0

    @property
    def kind(self) -> Grouping:
        return Grouping.NA if isinstance(self.grouping, Priority) else Grouping(self.grouping)


class CancelWire(Part):
    a: U32
    o: Count


class Cancel(L1Action, tag="cancel"):
    cancels: list[CancelWire]
    f: bool | None = None

    def __post_init__(self) -> None:
        self.f = self.f or None

    @property
    def items(self) -> int:
        return max(1, len(self.cancels))


class CloidCancelWire(Part):
    asset: U32
    cloid: CloidText

    def __post_init__(self) -> None:
        self.cloid = self.cloid.lower()


class CancelByCloid(L1Action, tag="cancelByCloid"):
    cancels: list[CloidCancelWire]
    f: bool | None = None

    def __post_init__(self) -> None:
        self.f = self.f or None

    @property
    def items(self) -> int:
        return max(1, len(self.cancels))


class Modify(L1Action, tag="modify"):
    """`a`: place the new order whatever it is and whether or not the old one could be canceled."""

    oid: Count | CloidText
    order: OrderWire
    a: bool | None = None

    def __post_init__(self) -> None:
        self.oid, self.a = _lower(self.oid), self.a or None


class ModifyWire(Part):
    oid: Count | CloidText
    order: OrderWire

    def __post_init__(self) -> None:
        self.oid = _lower(self.oid)


class BatchModify(L1Action, tag="batchModify"):
    modifies: list[ModifyWire]
    a: bool | None = None

    def __post_init__(self) -> None:
        self.a = self.a or None

    @property
    def items(self) -> int:
        return max(1, len(self.modifies))


def _lower(oid: int | str) -> int | str:
    return oid.lower() if isinstance(oid, str) else oid


class ScheduleCancel(L1Action, tag="scheduleCancel"):
    time: Count | None = None


# ── leverage, margin, the rest that agents sign ──────────────────────────────────────────────────────────────────


class UpdateLeverage(L1Action, tag="updateLeverage"):
    asset: U32
    is_cross: bool
    leverage: U32


class UpdateIsolatedMargin(L1Action, tag="updateIsolatedMargin"):
    """`ntli`: signed millionths of USDC. `is_buy` has no effect."""

    asset: U32
    is_buy: bool
    ntli: Signed


class TopUpIsolatedOnlyMargin(L1Action, tag="topUpIsolatedOnlyMargin"):
    asset: U32
    leverage: NumberText

    def __post_init__(self) -> None:
        self.leverage = normal(self.leverage)


class Noop(L1Action, tag="noop"):
    """Uses up its nonce."""


class ReserveRequestWeight(L1Action, tag="reserveRequestWeight"):
    weight: U32


class CreateSubAccount(L1Action, tag="createSubAccount"):
    name: Text


class SubAccountTransfer(L1Action, tag="subAccountTransfer"):
    """`usd`: millionths of USDC."""

    sub_account_user: Address
    is_deposit: bool
    usd: Count

    def __post_init__(self) -> None:
        self.sub_account_user = self.sub_account_user.lower()


class SetReferrer(L1Action, tag="setReferrer"):
    code: Text


class Twap(Part):
    a: U32
    b: bool
    s: NumberText
    r: bool
    m: U32
    t: bool

    def __post_init__(self) -> None:
        self.s = normal(self.s)


class TwapOrder(L1Action, tag="twapOrder"):
    twap: Twap


class TwapCancel(L1Action, tag="twapCancel"):
    a: U32
    t: Count


# ── signed by the account key itself ─────────────────────────────────────────────────────────────────────────────


class UserSigned(Struct, rename="camel", tag_field="type", kw_only=True):
    """Hashed field by field (EIP-712): the order of keys is free."""

    signature_chain_id: ChainId
    hyperliquid_chain: Literal["Mainnet", "Testnet"]

    @property
    def items(self) -> int:
        return 1

    @property
    def inner_nonce(self) -> int:
        """The nonce that was signed; the envelope must repeat it."""
        raise NotImplementedError


class Stamped(UserSigned):
    nonce: Count

    @property
    def inner_nonce(self) -> int:
        return self.nonce


class Timed(UserSigned):
    time: Count

    @property
    def inner_nonce(self) -> int:
        return self.time


class ApproveAgent(Stamped, tag="approveAgent"):
    """An agent without a name is signed with an empty one, whatever the JSON says."""

    agent_address: Address
    agent_name: Text | None = None

    def __post_init__(self) -> None:
        self.agent_address = self.agent_address.lower()
        self.agent_name = self.agent_name or ""


class UsdClassTransfer(Stamped, tag="usdClassTransfer"):
    """`amount` may name a sub-account whose money moves: "100 subaccount:0x…"."""

    amount: ClassAmount
    to_perp: bool


class SendAsset(Stamped, tag="sendAsset"):
    destination: Address
    source_dex: Text
    destination_dex: Text
    token: Text
    amount: NumberText
    from_sub_account: Annotated[str, Meta(pattern=r"\A(0x[0-9a-fA-F]{40})?\Z")]


class ApproveBuilderFee(Stamped, tag="approveBuilderFee"):
    max_fee_rate: PercentText
    builder: Address

    def __post_init__(self) -> None:
        self.builder = self.builder.lower()


class UserSetAbstraction(Stamped, tag="userSetAbstraction"):
    user: Address
    abstraction: Literal["default", "disabled", "unifiedAccount", "portfolioMargin"]

    def __post_init__(self) -> None:
        self.user = self.user.lower()


class UsdSend(Timed, tag="usdSend"):
    destination: Address
    amount: NumberText


class Withdraw(Timed, tag="withdraw3"):
    destination: Address
    amount: NumberText


class SpotSend(Timed, tag="spotSend"):
    destination: Address
    token: Text
    amount: NumberText


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

UserAction = (
    ApproveAgent | UsdClassTransfer | SendAsset | ApproveBuilderFee | UserSetAbstraction | UsdSend | Withdraw | SpotSend
)
TreasuryAction = ReserveRequestWeight | CreateSubAccount | SubAccountTransfer | SetReferrer | UserAction
"""What moves money or rights."""
TradingAction = (
    Order
    | Cancel
    | CancelByCloid
    | Modify
    | BatchModify
    | ScheduleCancel
    | UpdateLeverage
    | UpdateIsolatedMargin
    | TopUpIsolatedOnlyMargin
    | Noop
    | TwapOrder
    | TwapCancel
)
Action = TradingAction | TreasuryAction


class HexSignature(Struct):
    r: Annotated[str, Meta(pattern=r"\A0x[0-9a-fA-F]{1,64}\Z")]
    s: Annotated[str, Meta(pattern=r"\A0x[0-9a-fA-F]{1,64}\Z")]
    v: Annotated[int, Meta(ge=0, lt=256)]


class Envelope(Struct, rename="camel"):
    """What is posted to `/exchange`. `vault_address` is lower case."""

    action: Action
    nonce: Count
    signature: HexSignature
    vault_address: Address | None = None
    expires_after: Count | None = None

    def __post_init__(self) -> None:
        self.vault_address = None if self.vault_address is None else self.vault_address.lower()


class Decoded(NamedTuple):
    """`canonical`: the venue's own re-serialisation, `type` first."""

    action: Action
    canonical: dict[str, object]


class _Alone(Struct):
    action: Action


def decode_action(raw: object) -> Decoded | None:
    """Read one action from JSON values; None for whatever the venue answers with 422."""
    try:
        action = msgspec.convert({"action": raw}, _Alone).action
    except (msgspec.ValidationError, RecursionError):
        return None
    return Decoded(action, canonical(action))


def decode_envelope(body: object) -> Envelope | None:
    """Read a signed request from its bytes, or from JSON values that somebody else parsed; None is a 422."""
    try:
        if isinstance(body, bytes):
            return msgspec.json.decode(body, type=Envelope)
        return msgspec.convert(body, Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def canonical(action: Action) -> dict[str, object]:
    written: dict[str, object] = msgspec.to_builtins(action)
    return written
