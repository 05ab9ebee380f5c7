"""Intents: the durable decision behind every order, its identity, and the id an order carries.

An intent's key says *which decision* this is, and nothing else: no config hash, process id or
local time, so that a restart or a reload builds the same key for the same decision. OPEN and
ADD are unique per key for ever: at most one of each per symbol and candle. OPEN has no side in
its key, for a reload must not open both ways.
"""

from __future__ import annotations

import enum
import hashlib
import re
from dataclasses import dataclass
from decimal import Decimal

from domain.candles import Interval

CLOID_MAGIC = b"\xa1\x9c\x01"
"""First bytes of every cloid of ours: two of magic, one of version."""

_OUR_CLOID = re.compile(f"0x{CLOID_MAGIC.hex()}[0-9a-f]{{26}}", re.IGNORECASE)


class Action(enum.Enum):
    """What an intent wants of a position."""

    OPEN = "OPEN"
    ADD = "ADD"
    REDUCE = "REDUCE"
    CLOSE = "CLOSE"
    STOP = "STOP"
    TAKE_PROFIT = "TAKE_PROFIT"

    @property
    def increases_exposure(self) -> bool:
        return self in (Action.OPEN, Action.ADD)

    @property
    def rests_as_trigger(self) -> bool:
        """Protective orders that wait at the venue for a price."""
        return self in (Action.STOP, Action.TAKE_PROFIT)


class Side(enum.Enum):
    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class TimeInForce(enum.Enum):
    """`IOC` fills at once or dies; `GTC` rests; `ALO` only ever rests (add liquidity only)."""

    IOC = "ioc"
    GTC = "gtc"
    ALO = "alo"


class TriggerKind(enum.Enum):
    STOP_LOSS = "sl"
    TAKE_PROFIT = "tp"


@dataclass(frozen=True, slots=True)
class Trigger:
    """A price that turns a waiting order into a live one."""

    kind: TriggerKind
    price: Decimal


@dataclass(frozen=True, slots=True)
class IntentKey:
    """(account, strategy, symbol, action, interval, open time of the candle decided on, ordinal)."""

    account: str
    strategy: str
    symbol: str
    action: Action
    interval: Interval
    open_ms: int
    ordinal: int = 0

    @property
    def text(self) -> str:
        """Canonical form; two keys are one decision exactly when their texts are equal."""
        return ":".join(
            (
                _without_colon(self.account),
                _without_colon(self.strategy),
                _without_colon(self.symbol),
                self.action.value,
                self.interval.value,
                str(self.open_ms),
                str(self.ordinal),
            )
        )


def _without_colon(name: str) -> str:
    """A name may hold colons (`dex:GOLD`, `module:function`); in a key a colon only ever separates."""
    return name.replace("%", "%25").replace(":", "%3A")


@dataclass(frozen=True, slots=True)
class OrderIntent:
    """One decision to trade, as it stands in the ledger before anything is sent.

    `size` is positive and fits the instrument; `limit_price` is the worst acceptable price
    (for a trigger order: after the trigger). `reason` is the rule that decided, `why` a JSON
    text with signal, gates and values. `deadline_ms`: an entry is not sent after it.
    """

    key: IntentKey
    side: Side
    size: Decimal
    limit_price: Decimal
    time_in_force: TimeInForce
    reduce_only: bool
    trigger: Trigger | None
    decided_ms: int
    decided_seq: int
    deadline_ms: int | None
    leverage: Decimal
    reason: str
    why: str
    config_digest: str

    @property
    def intent_id(self) -> str:
        return intent_id_of(self.key)


def intent_id_of(key: IntentKey) -> str:
    """Short, stable name of a decision, derived from its key alone."""
    return hashlib.blake2b(key.text.encode(), digest_size=12).hexdigest()


def cloid_of(intent_id: str, attempt: int, instance_tag: bytes) -> str:
    """The client order id of one attempt: `0x` and 32 hex digits, the same after any restart.

    Three bytes of our magic and version, two of the ledger's instance tag, eleven of a hash
    of intent and attempt: recognisable as ours, and as whose.
    """
    assert len(instance_tag) == 2, "the instance tag has two bytes"
    digest = hashlib.blake2b(f"{intent_id}:{attempt}".encode(), digest_size=11).digest()
    return "0x" + (CLOID_MAGIC + instance_tag + digest).hex()


def is_our_cloid(cloid: str) -> bool:
    """Whether some ledger of ours made this id (not necessarily this one)."""
    return _OUR_CLOID.fullmatch(cloid) is not None


def next_nonce(last: int, at_ms: int) -> int:
    """The nonce of the next attempt: the time, or more than any before it; always even.

    Odd ones are the gateway's, for what is no attempt at an order (cancels, leverage): so both can count up without
    asking each other, and no nonce is used twice.
    """
    nonce = max(last + 1, at_ms)
    return nonce + (nonce & 1)


@dataclass(frozen=True, slots=True)
class Payload:
    """What will be signed for one attempt, word for word: written down before it leaves, and sent once.

    `action` is the unsigned action as JSON, its keys in the order in which they are hashed; `digest` names action,
    nonce and expiry together (hex). Past `expires_ms` in its own time the venue refuses it; a nonce is used up once.
    """

    nonce: int
    expires_ms: int
    action: str
    digest: str


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A rounded, venue-ready order: one attempt at an intent. Past `deadline_ms` it is not to take effect any more.

    `payload` is None where orders are not signed for: at the simulated exchange.
    """

    cloid: str
    intent_id: str
    symbol: str
    side: Side
    size: Decimal
    limit_price: Decimal
    time_in_force: TimeInForce
    reduce_only: bool
    trigger: Trigger | None
    leverage: Decimal
    deadline_ms: int | None = None
    payload: Payload | None = None


def request_for(intent: OrderIntent, attempt: int, instance_tag: bytes) -> OrderRequest:
    return OrderRequest(
        cloid=cloid_of(intent.intent_id, attempt, instance_tag),
        intent_id=intent.intent_id,
        symbol=intent.key.symbol,
        side=intent.side,
        size=intent.size,
        limit_price=intent.limit_price,
        time_in_force=intent.time_in_force,
        reduce_only=intent.reduce_only,
        trigger=intent.trigger,
        leverage=intent.leverage,
        deadline_ms=intent.deadline_ms,
    )
