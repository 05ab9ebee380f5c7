"""Actions that move money or change who may do what: transfers, withdrawals, sub-accounts, agents (§5.8).

Every movement is exact and has a ledger row on each side. Money only comes and goes from outside by deposit and
withdrawal; a transfer between two accounts changes neither one's `deposits`.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import NamedTuple, assert_never

from adapters.sim.venue import words
from adapters.sim.venue.chain.actions import (
    ApproveAgent,
    ApproveBuilderFee,
    CreateSubAccount,
    ReserveRequestWeight,
    SendAsset,
    SetReferrer,
    SpotSend,
    SubAccountTransfer,
    TreasuryAction,
    UsdClassTransfer,
    UsdSend,
    UserSetAbstraction,
    Withdraw,
)
from adapters.sim.venue.chain.answers import Answer, done, err, with_data
from adapters.sim.venue.chain.signers import Signers
from adapters.sim.venue.exchange.accounts import VenueAccount
from adapters.sim.venue.exchange.events import LedgerUpdate
from adapters.sim.venue.exchange.exchange import Exchange
from adapters.sim.venue.exchange.margin import withdrawable
from adapters.sim.venue.limits import AddressBudget
from adapters.sim.venue.numbers import text

ZERO = Decimal(0)
WITHDRAWAL_FEE = Decimal(1)
REQUEST_PRICE = Decimal("0.0005")
SUB_ACCOUNTS = 10
PERP_DECIMALS = 6
SPOT_DECIMALS = 8
MOST_BUILDER_PERCENT = Decimal(1)
"""What is answered here; everything else is trading."""


class Pocket(NamedTuple):
    """One side of a transfer: an account's perp cash or its spot USDC."""

    account: VenueAccount
    is_spot: bool


class Treasury:
    """`builder_fees`: by account and builder, the highest fee that was approved, in percent."""

    def __init__(self, exchange: Exchange, signers: Signers, budget: AddressBudget) -> None:
        self._exchange = exchange
        self._signers = signers
        self._budget = budget
        self.builder_fees: dict[str, dict[str, Decimal]] = {}

    def run(self, account: VenueAccount, action: TreasuryAction, tx: str) -> Answer:
        """Carry out one admitted action of `account`; `tx` is the hash on its ledger rows."""
        match action:
            case CreateSubAccount():
                return self._create_sub_account(account, action)
            case SubAccountTransfer():
                return _answer(self._transfer_with_sub_account(account, action, tx))
            case UsdClassTransfer():
                return _answer(self._transfer_between_classes(account, action, tx))
            case UsdSend():
                return _answer(self._send_usd(account, action, tx))
            case SpotSend():
                return _answer(self._send_spot(account, action, tx))
            case SendAsset():
                return _answer(self._send_asset(account, action, tx))
            case Withdraw():
                return _answer(self._withdraw(account, action, tx))
            case ReserveRequestWeight():
                return _answer(self._reserve(account, action, tx))
            case ApproveAgent():
                name = action.agent_name or None
                now_ms = self._exchange.now_ms
                return _answer(self._signers.approve(account.address, action.agent_address, name, now_ms, None))
            case ApproveBuilderFee():
                return _answer(self._approve_builder(account, action))
            case UserSetAbstraction():
                return _answer(self._set_abstraction(account, action))
            case SetReferrer():
                return err(words.BAD_REFERRAL)
            case _:
                assert_never(action)

    # ── sub-accounts and rights ──────────────────────────────────────────────────────────────

    def _create_sub_account(self, account: VenueAccount, action: CreateSubAccount) -> Answer:
        if len(account.sub_accounts) >= SUB_ACCOUNTS:
            return err(words.TOO_MANY_SUB_ACCOUNTS)
        seed = f"sub-account {len(account.sub_accounts)} of {account.address}"
        address = "0x" + hashlib.sha256(seed.encode()).hexdigest()[:40]
        self._exchange.open_account(address, master=account.address, name=action.name)
        account.sub_accounts.append(address)
        return with_data("createSubAccount", address)

    def _approve_builder(self, account: VenueAccount, action: ApproveBuilderFee) -> str | None:
        percent = Decimal(action.max_fee_rate.removesuffix("%"))
        if percent > MOST_BUILDER_PERCENT:
            return words.BAD_BUILDER_FEE
        self.builder_fees.setdefault(account.address, {})[action.builder] = percent
        return None

    def _set_abstraction(self, account: VenueAccount, action: UserSetAbstraction) -> str | None:
        """The venue keeps perp and spot apart; setting what is set already is no change."""
        if action.user != account.address and self._sub_account(account, action.user) is None:
            return words.BAD_SUB_ACCOUNT
        return None if action.abstraction in ("default", "disabled") else words.BAD_ABSTRACTION

    def _sub_account(self, master: VenueAccount, address: str) -> VenueAccount | None:
        found = self._exchange.account(address)
        return found if found is not None and found.master == master.address else None

    # ── transfers ────────────────────────────────────────────────────────────────────────────

    def _transfer_with_sub_account(self, account: VenueAccount, action: SubAccountTransfer, tx: str) -> str | None:
        sub = self._sub_account(account, action.sub_account_user)
        if sub is None:
            return words.BAD_SUB_ACCOUNT
        source, target = (account, sub) if action.is_deposit else (sub, account)
        amount = Decimal(action.usd).scaleb(-PERP_DECIMALS)
        delta: dict[str, object] = {
            "type": "subAccountTransfer",
            "usdc": text(amount),
            "user": source.address,
            "destination": target.address,
        }
        return self._move(Pocket(source, is_spot=False), Pocket(target, is_spot=False), amount, delta, tx)

    def _transfer_between_classes(self, account: VenueAccount, action: UsdClassTransfer, tx: str) -> str | None:
        number, _, sub_account = action.amount.partition(" subaccount:")
        owner: VenueAccount | None = account
        if sub_account:
            owner = self._sub_account(account, sub_account.lower())
        if owner is None:
            return words.BAD_SUB_ACCOUNT
        amount = Decimal(number)
        delta: dict[str, object] = {"type": "accountClassTransfer", "usdc": text(amount), "toPerp": action.to_perp}
        source, target = Pocket(owner, is_spot=action.to_perp), Pocket(owner, is_spot=not action.to_perp)
        return self._move(source, target, amount, delta, tx)

    def _send_usd(self, account: VenueAccount, action: UsdSend, tx: str) -> str | None:
        destination, amount = action.destination.lower(), Decimal(action.amount)
        delta: dict[str, object] = {
            "type": "internalTransfer",
            "usdc": text(amount),
            "user": account.address,
            "destination": destination,
            "fee": "0.0",
        }
        return self._send(Pocket(account, is_spot=False), destination, amount, delta, tx, to_spot=False)

    def _send_spot(self, account: VenueAccount, action: SpotSend, tx: str) -> str | None:
        if not _is_usdc(action.token):
            return words.BAD_TOKEN
        destination, amount = action.destination.lower(), Decimal(action.amount)
        delta: dict[str, object] = {
            "type": "spotTransfer",
            "token": "USDC",
            "amount": text(amount),
            "usdcValue": text(amount),
            "user": account.address,
            "destination": destination,
            "fee": "0.0",
            "nativeTokenFee": "0.0",
            "nonce": action.time,
            "feeToken": "",
        }
        return self._send(Pocket(account, is_spot=True), destination, amount, delta, tx, to_spot=True)

    def _send_asset(self, account: VenueAccount, action: SendAsset, tx: str) -> str | None:
        if not _is_usdc(action.token):
            return words.BAD_TOKEN
        if not {action.source_dex, action.destination_dex} <= {"", "spot"}:
            return words.BAD_DEX
        owner: VenueAccount | None = account
        if action.from_sub_account:
            owner = self._sub_account(account, action.from_sub_account.lower())
        if owner is None:
            return words.BAD_SUB_ACCOUNT
        destination, amount = action.destination.lower(), Decimal(action.amount)
        delta: dict[str, object] = {
            "type": "send",
            "user": owner.address,
            "destination": destination,
            "sourceDex": action.source_dex,
            "destinationDex": action.destination_dex,
            "token": "USDC",
            "amount": text(amount),
            "usdcValue": text(amount),
            "fee": "0.0",
            "nativeTokenFee": "0.0",
            "nonce": action.nonce,
            "feeToken": "",
        }
        source = Pocket(owner, is_spot=action.source_dex == "spot")
        return self._send(source, destination, amount, delta, tx, to_spot=action.destination_dex == "spot")

    def _send(
        self, source: Pocket, destination: str, amount: Decimal, delta: dict[str, object], tx: str, *, to_spot: bool
    ) -> str | None:
        """Move money to an address; one that the venue does not know yet gets its account with it."""
        refusal = self._lacks(source, amount, spot_too=to_spot)
        if refusal is not None:
            return refusal
        receiver = self._exchange.account(destination) or self._exchange.open_account(destination)
        return self._move(source, Pocket(receiver, is_spot=to_spot), amount, delta, tx)

    def _move(self, source: Pocket, target: Pocket, amount: Decimal, delta: dict[str, object], tx: str) -> str | None:
        if source.account is target.account and source.is_spot is target.is_spot:
            return words.SELF_TRANSFER
        refusal = self._lacks(source, amount, spot_too=target.is_spot)
        if refusal is not None:
            return refusal
        if source.account is target.account:
            self._book(source.account, delta, tx, **_both(source, target, amount))
            return None
        self._book(source.account, delta, tx, **_one(source, -amount))
        self._book(target.account, delta, tx, **_one(target, amount))
        return None

    # ── money that leaves ────────────────────────────────────────────────────────────────────

    def _withdraw(self, account: VenueAccount, action: Withdraw, tx: str) -> str | None:
        """The fee comes out of the amount and leaves the venue with it."""
        amount = Decimal(action.amount)
        refusal = self._lacks(Pocket(account, is_spot=False), amount, words.NO_BALANCE_FOR_WITHDRAWAL)
        if refusal is not None:
            return refusal
        if amount <= WITHDRAWAL_FEE:
            return words.WITHDRAWAL_TOO_SMALL
        delta: dict[str, object] = {
            "type": "withdraw",
            "usdc": text(amount - WITHDRAWAL_FEE),
            "nonce": action.time,
            "fee": text(WITHDRAWAL_FEE),
        }
        self._book(account, delta, tx, cash=-amount, outside=-amount)
        return None

    def _reserve(self, account: VenueAccount, action: ReserveRequestWeight, tx: str) -> str | None:
        price = action.weight * REQUEST_PRICE
        refusal = self._lacks(Pocket(account, is_spot=False), price)
        if refusal is not None:
            return refusal
        delta: dict[str, object] = {"type": "reserveRequestWeight", "usdc": text(price), "weight": action.weight}
        self._book(account, delta, tx, cash=-price)
        self._exchange.fees_collected += price
        self._budget.buy(account, action.weight)
        return None

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _lacks(
        self, source: Pocket, amount: Decimal, refusal: str = words.NO_BALANCE_FOR_TRANSFER, *, spot_too: bool = False
    ) -> str | None:
        """Why `amount` cannot leave this pocket; perp money has fewer decimals than spot tokens."""
        if amount <= 0:
            return words.ZERO_TRANSFER
        decimals = SPOT_DECIMALS if source.is_spot and spot_too else PERP_DECIMALS
        if amount != round(amount, decimals):
            return words.BAD_AMOUNT
        if source.is_spot:
            return words.NO_SPOT_BALANCE if amount > source.account.spot_usdc else None
        exchange = self._exchange
        return refusal if amount > withdrawable(source.account, exchange.marks, exchange.by_coin) else None

    def _book(
        self,
        account: VenueAccount,
        delta: dict[str, object],
        tx: str,
        *,
        cash: Decimal = ZERO,
        spot_usdc: Decimal = ZERO,
        outside: Decimal = ZERO,
    ) -> None:
        update = LedgerUpdate(self._exchange.now_ms, tx, delta)
        self._exchange.change_balance(account, update=update, cash=cash, spot_usdc=spot_usdc, outside=outside)


def _one(pocket: Pocket, amount: Decimal) -> dict[str, Decimal]:
    return {"spot_usdc" if pocket.is_spot else "cash": amount}


def _both(source: Pocket, target: Pocket, amount: Decimal) -> dict[str, Decimal]:
    return _one(source, -amount) | _one(target, amount)


def _is_usdc(token: str) -> bool:
    return token.partition(":")[0] == "USDC"


def _answer(refusal: str | None) -> Answer:
    return done() if refusal is None else err(refusal)
