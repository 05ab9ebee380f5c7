"""What the venue's ledger says about money that came to the account or left it by no trade (reference §3.15).

An account trades with its perp cash; where it keeps its collateral in spot (a unified account), with all its USDC. A
flow is what a row did to that money: a transfer from one of the account's own pockets to another is one only if the
other does not count. Each row is read as legs: whose pocket, which one, and how much came to it.

Who pays a fee is not documented. Seen: a withdrawal's stands beside its amount, and both are gone; that of a transfer
between accounts is taken from what arrives; of a send it comes on top.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import msgspec

from adapters.hyperliquid.heard import DecodeError
from adapters.hyperliquid.wire_numbers import Millis, exact, not_negative, read, shown
from adapters.hyperliquid.wire_rows import COLLATERAL
from domain.events import CashFlowed

WHERE = "userNonFundingLedgerUpdates"
PERP, SPOT = "", "spot"
"""Pockets by the venue's names of their dexes; a builder's dex has its own."""
ZERO = Decimal(0)


class _Delta(msgspec.Struct, gc=False, rename="camel"):
    type: str
    usdc: str | None = None
    amount: str | None = None
    token: str | None = None
    fee: str | None = None
    fee_token: str | None = None
    to_perp: bool | None = None
    user: str | None = None
    destination: str | None = None
    source_dex: str | None = None
    destination_dex: str | None = None
    vault: str | None = None
    net_withdrawn_usd: str | None = None
    commission: str | None = None
    operation: str | None = None


class _Row(msgspec.Struct, gc=False):
    time: Millis
    hash: str
    delta: msgspec.Raw


class _Leg(NamedTuple):
    address: str
    pocket: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A row of the ledger as the venue wrote it: equal rows are the same movement, told again."""

    time_ms: int
    hash: str
    delta: bytes


_ROWS = msgspec.json.Decoder(list[_Row])
_DELTA = msgspec.json.Decoder(_Delta)


def decode_ledger(body: bytes) -> tuple[LedgerEntry, ...]:
    """`userNonFundingLedgerUpdates`. What a single row means is read by `flow_of`."""
    rows = read(_ROWS.decode, body, WHERE)
    return tuple(LedgerEntry(row.time, row.hash, bytes(row.delta)) for row in rows)


def flow_of(entry: LedgerEntry, own: str, *, in_spot: bool, note: Callable[[str], None]) -> CashFlowed | None:
    """What a row did to the money that `own` (in lower case) trades with; None where that is nothing.

    `note` is told what is wrong with a row whose kind nobody knows, or that cannot be read: the first is a flow only
    where it names an amount and on which side of it we are, the second never.
    """
    try:
        delta = read(_DELTA.decode, entry.delta, WHERE)
        legs = _legs(delta, own)
        if delta.type not in _KINDS:
            note(f"a kind of movement that nobody has heard of: {shown(delta.type)}")
        elif not legs and delta.type not in _WITHOUT_MONEY and delta.token in (None, COLLATERAL):
            note(f"{delta.type}: it does not say what it did to the account")
    except DecodeError as error:
        note(f"it cannot be read, and moved nothing in our books: {error.problem}")
        return None
    amount = sum((leg.amount for leg in legs if in_spot or leg.pocket == PERP), ZERO)
    if not amount:
        return None
    return CashFlowed(_id_of(entry, delta.type, amount), delta.type, entry.time_ms, amount)


def _id_of(entry: LedgerEntry, kind: str, amount: Decimal) -> str:
    """The same whenever the row is told. A digest in the shape of a transaction's hash: what is given away of a session
    has such names replaced."""
    text = f"{entry.hash}:{entry.time_ms}:{kind}:{amount.normalize():f}"
    return "0x" + hashlib.blake2b(text.encode(), digest_size=32).hexdigest()


def _legs(delta: _Delta, own: str) -> list[_Leg]:
    """The legs of a row that are our own."""
    legs = _KINDS.get(delta.type, _of_unknown)(delta, own)
    return [leg for leg in legs if leg.address.lower() == own]


# ── the amounts of a row ─────────────────────────────────────────────────────────────────────────


def _usd(text: str | None, name: str) -> Decimal:
    if text is None:
        raise DecodeError(f"{WHERE}.{name}", f"{name} is missing")
    return not_negative(text, f"{WHERE}.{name}")


def _fee(delta: _Delta) -> Decimal:
    """In USDC; one in another token is none of ours. It may be a rebate."""
    if delta.fee is None:
        return ZERO
    in_usdc = delta.fee_token == COLLATERAL or (not delta.fee_token and delta.token in (None, COLLATERAL))
    return exact(delta.fee, f"{WHERE}.fee") if in_usdc else ZERO


def _amount(delta: _Delta) -> Decimal:
    """Of a token that is named beside it; zero where that is not USDC."""
    return _usd(delta.amount, "amount") if delta.token in (None, COLLATERAL) else ZERO


def _party(address: str | None, name: str) -> str:
    if address is None:
        raise DecodeError(f"{WHERE}.{name}", f"{name} is missing")
    return address


# ── kinds ────────────────────────────────────────────────────────────────────────────────────────


def _deposit(delta: _Delta, own: str) -> Sequence[_Leg]:
    return (_Leg(own, PERP, _usd(delta.usdc, "usdc")),)


def _withdrawal(delta: _Delta, own: str) -> Sequence[_Leg]:
    return (_Leg(own, PERP, -_usd(delta.usdc, "usdc") - _fee(delta)),)


def _between_classes(delta: _Delta, own: str) -> Sequence[_Leg]:
    usdc = _usd(delta.usdc, "usdc")
    if delta.to_perp is None:
        raise DecodeError(f"{WHERE}.toPerp", "toPerp is missing")
    to_perp = usdc if delta.to_perp else -usdc
    return _Leg(own, PERP, to_perp), _Leg(own, SPOT, -to_perp)


def _between_accounts(delta: _Delta, own: str) -> Sequence[_Leg]:
    usdc = _usd(delta.usdc, "usdc")
    source, target = _party(delta.user, "user"), _party(delta.destination, "destination")
    return _Leg(source, PERP, -usdc), _Leg(target, PERP, usdc - _fee(delta))


def _send(delta: _Delta, own: str) -> Sequence[_Leg]:
    """Tokens from somebody's pocket to another; a spot transfer names no dexes."""
    from_pocket = SPOT if delta.source_dex is None else delta.source_dex
    to_pocket = SPOT if delta.destination_dex is None else delta.destination_dex
    source, target, amount = _party(delta.user, "user"), _party(delta.destination, "destination"), _amount(delta)
    return _Leg(source, from_pocket, -amount - _fee(delta)), _Leg(target, to_pocket, amount)


def _into_vault(delta: _Delta, own: str) -> Sequence[_Leg]:
    """It does not say whose money it is: the account's whose ledger it stands in, or it is the vault's own."""
    usdc, vault = _usd(delta.usdc, "usdc"), _party(delta.vault, "vault").lower()
    return (_Leg(own, PERP, usdc if vault == own else -usdc - _fee(delta)),)


def _out_of_vault(delta: _Delta, own: str) -> Sequence[_Leg]:
    """What it cost to close positions is in the vault's fills already; the commission is its leader's."""
    net, commission = _usd(delta.net_withdrawn_usd, "netWithdrawnUsd"), _usd(delta.commission, "commission")
    user, vault = _party(delta.user, "user"), _party(delta.vault, "vault")
    return _Leg(user, PERP, net), _Leg(vault, PERP, -net - commission)


def _distribution(delta: _Delta, own: str) -> Sequence[_Leg]:
    usdc, vault = _usd(delta.usdc, "usdc"), _party(delta.vault, "vault").lower()
    return (_Leg(own, PERP, -usdc if vault == own else usdc),)


def _commission(delta: _Delta, own: str) -> Sequence[_Leg]:
    return (_Leg(_party(delta.user, "user"), PERP, _usd(delta.usdc, "usdc")),)


def _reward(delta: _Delta, own: str) -> Sequence[_Leg]:
    return (_Leg(own, SPOT, _amount(delta)),)


def _price_in_usdc(delta: _Delta, own: str) -> Sequence[_Leg]:
    return (_Leg(own, PERP, -_usd(delta.usdc, "usdc")),)


def _price_in_tokens(delta: _Delta, own: str) -> Sequence[_Leg]:
    return (_Leg(own, SPOT, -_amount(delta)),)


def _lending(delta: _Delta, own: str) -> Sequence[_Leg]:
    sign = {"borrow": 1, "withdraw": 1, "repay": -1, "supply": -1}.get(delta.operation or "")
    if sign is None:
        raise DecodeError(
            f"{WHERE}.operation", f"an operation that nobody has heard of: {shown(delta.operation or '')}"
        )
    return (_Leg(own, SPOT, sign * _amount(delta)),)


def _nothing(delta: _Delta, own: str) -> Sequence[_Leg]:
    return ()


def _of_unknown(delta: _Delta, own: str) -> Sequence[_Leg]:
    """Of a kind that nobody knows: an amount of USDC from one account to another is what it says it is."""
    if delta.usdc is None or delta.user is None or delta.destination is None:
        return ()
    return _between_accounts(delta, own)


_WITHOUT_MONEY = frozenset(("liquidation", "cStakingTransfer", "spotGenesis"))
"""A liquidation's money moves by its fills; the others are about tokens."""

_KINDS: Mapping[str, Callable[[_Delta, str], Sequence[_Leg]]] = {
    "deposit": _deposit,
    "withdraw": _withdrawal,
    "accountClassTransfer": _between_classes,
    "internalTransfer": _between_accounts,
    "subAccountTransfer": _between_accounts,
    "spotTransfer": _send,
    "send": _send,
    "vaultCreate": _into_vault,
    "vaultDeposit": _into_vault,
    "vaultWithdraw": _out_of_vault,
    "vaultDistribution": _distribution,
    "vaultLeaderCommission": _commission,
    "rewardsClaim": _reward,
    "reserveRequestWeight": _price_in_usdc,
    "deployGasAuction": _price_in_tokens,
    "gossipPriorityGasAuction": _price_in_tokens,
    "accountActivationGas": _price_in_tokens,
    "borrowLend": _lending,
    **dict.fromkeys(_WITHOUT_MONEY, _nothing),
}
"""Every kind known today whose words say what it did. `activateDexAbstraction` does not."""
