"""What an operator can do to the venue's world, as data: the acts' names and arguments.

The control port, timed fault rules and the operator itself read the same table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from adapters.sim.venue.faults.forms import read_form, read_object, require_known

Milliseconds = Annotated[int, Meta(ge=0)]
Amount = str | int | float
"""A decimal amount; text is exact, a number is read by its shortest text."""


class OperatorAct(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of one act."""


class Delist(OperatorAct, frozen=True):
    """Close a market: its orders are canceled, its positions settled."""

    coin: str


class Halt(OperatorAct, frozen=True):
    """No blocks for so long from now on; actions wait. 0 ends a halt."""

    ms: Milliseconds


class PostOnly(OperatorAct, frozen=True):
    """Only post-only orders for so long from now on, as after a network upgrade. 0 ends it."""

    ms: Milliseconds


class SetLeverage(OperatorAct, frozen=True):
    """The user changes leverage elsewhere."""

    user: str
    coin: str
    value: Annotated[int, Meta(ge=1)]
    is_cross: bool = True


class Trade(OperatorAct, frozen=True):
    """The user trades by hand, elsewhere: a market order without a cloid."""

    user: str
    coin: str
    side: Literal["buy", "sell"]
    size: Amount
    reduce_only: bool = False


class CancelAll(OperatorAct, frozen=True):
    """The user cancels by hand every open order, or those of one coin."""

    user: str
    coin: str | None = None


class Liquidate(OperatorAct, frozen=True):
    user: str


class Deleverage(OperatorAct, frozen=True):
    """Close the user's position against the other side of a bankrupt account, at the mark (ADL)."""

    user: str
    coin: str


class Deposit(OperatorAct, frozen=True):
    """Money arrives in the perp account; an unknown address gets an account by it."""

    user: str
    usd: Amount


class Withdraw(OperatorAct, frozen=True):
    """Money leaves over the bridge. The venue's fee of 1 USDC is kept from the amount."""

    user: str
    usd: Amount


class RemoveAgent(OperatorAct, frozen=True):
    """The API wallet stops being one at once, as when it was removed, pruned or has expired."""

    agent: str


ACTS: Mapping[str, type[OperatorAct]] = {
    "delist": Delist,
    "halt": Halt,
    "post_only": PostOnly,
    "set_leverage": SetLeverage,
    "trade": Trade,
    "cancel_all": CancelAll,
    "liquidate": Liquidate,
    "deleverage": Deleverage,
    "deposit": Deposit,
    "withdraw": Withdraw,
    "remove_agent": RemoveAgent,
}
_NAMES = {act: name for name, act in ACTS.items()}


def act_name(act: OperatorAct) -> str:
    return _NAMES[type(act)]


def act_arguments(act: OperatorAct) -> dict[str, object]:
    return {name: value for name in act.__struct_fields__ if (value := getattr(act, name)) is not None}


def read_act(name: str, arguments: object) -> OperatorAct:
    """Raise `BadForm` for an unknown act or arguments that do not fit it."""
    require_known([name], ACTS, "the operator")
    return read_form(read_object(arguments, f"arguments of {name}"), ACTS[name], f"arguments of {name}")
