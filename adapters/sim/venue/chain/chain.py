"""The chain: collects signed actions, executes them block by block, and answers each one.

    receive ─▶ queue ─▶ block: order by class (§10.1) ─▶ signer ─▶ nonce, expiry, budget ─▶ execution

An action waits for the end of the block in which it arrived; everything in a block happens at the block's time.
A refusal before the nonce is taken leaves the nonce free; whatever comes after has used it up, so the same
signed bytes are executed at most once (§7.6).
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import NamedTuple

import msgspec

from adapters.sim.venue import words
from adapters.sim.venue.chain.actions import (
    Action,
    BatchModify,
    Cancel,
    CancelByCloid,
    CreateSubAccount,
    Envelope,
    Modify,
    Order,
    ReserveRequestWeight,
    SetReferrer,
    SubAccountTransfer,
    TradingAction,
    TreasuryAction,
    UserSigned,
    canonical,
    decode_envelope,
)
from adapters.sim.venue.chain.answers import Answer, err
from adapters.sim.venue.chain.execution import Execution, RunningMarket
from adapters.sim.venue.chain.signers import Signers
from adapters.sim.venue.chain.signing import Signature, recover_l1, recover_user_signed
from adapters.sim.venue.chain.treasury import Treasury
from adapters.sim.venue.exchange.accounts import VenueAccount
from adapters.sim.venue.exchange.exchange import Exchange
from adapters.sim.venue.exchange.orders import Tif
from adapters.sim.venue.limits import AddressBudget
from adapters.sim.venue.settings import VenueSettings

TAKING = (Tif.GTC, Tif.IOC, Tif.FRONTEND_MARKET)
MASTER_ONLY = (CreateSubAccount, SubAccountTransfer, SetReferrer)
"""L1 actions that no sub-account can send."""


class Parsed(NamedTuple):
    """A request that is now in the queue. `items` decides its weight for the IP."""

    ticket: int
    kind: str
    items: int


class Queued(NamedTuple):
    ticket: int
    arrival: int
    """Its place among everything that ever arrived."""
    due_ms: int
    envelope: Envelope
    canonical: dict[str, object]


class Admitted(NamedTuple):
    """Who acts, for which account (its own or a sub-account), and who owns that."""

    signer: str
    account: VenueAccount
    master: VenueAccount


class Chain:
    """`halted_until_ms`: no blocks before, actions wait. `post_only_until_ms`: the phase after an upgrade."""

    def __init__(
        self,
        exchange: Exchange,
        market: RunningMarket,
        signers: Signers,
        budget: AddressBudget,
        settings: VenueSettings,
    ) -> None:
        self._exchange = exchange
        self._market = market
        self._signers = signers
        self._budget = budget
        self._limits = settings.limits
        self._block_ms = settings.cadence.block
        self._execution = Execution(exchange, market)
        self.treasury = Treasury(exchange, signers, budget)
        self.halted_until_ms = 0
        self.post_only_until_ms = 0
        self._queue: list[Queued] = []
        self._arrivals = 0
        self._armed: dict[str, VenueAccount] = {}

    # ── the queue ────────────────────────────────────────────────────────────────────────────

    def receive(self, ticket: int, body: bytes | dict[str, object], now_ms: int | None = None) -> Parsed | None:
        """Queue a signed request; None where its JSON does not fit (HTTP 422). `ticket` is the caller's own
        number for the answer. `now_ms` is when it arrived, by default the exchange's time."""
        envelope = decode_envelope(body)
        if envelope is None:
            return None
        action = envelope.action
        arrived = self._exchange.now_ms if now_ms is None else now_ms
        written = canonical(action)
        self._queue.append(Queued(ticket, self._arrivals, self._end_of_block(arrived), envelope, written))
        self._arrivals += 1
        return Parsed(ticket, str(written["type"]), action.items)

    def forget(self, ticket: int) -> None:
        """Take a request that was only just received out of the queue again: its IP may not send it."""
        self._queue = [queued for queued in self._queue if queued.ticket != ticket]

    def acts_for(self, body: bytes | dict[str, object]) -> str | None:
        """The account that a signed request would act for; None where nobody's key signed it. Changes nothing."""
        envelope = decode_envelope(body)
        if envelope is None:
            return None
        signature = Signature(int(envelope.signature.r, 16), int(envelope.signature.s, 16), envelope.signature.v)
        written = canonical(envelope.action)
        if isinstance(envelope.action, UserSigned):
            signer = recover_user_signed(written, signature)
        else:
            nonce, vault, expiry = envelope.nonce, envelope.vault_address, envelope.expires_after
            signer = vault or recover_l1(written, nonce, vault, expiry, signature)
        return None if signer is None else self._signers.account_of(signer, self._exchange.now_ms)

    def next_due_ms(self) -> int | None:
        """When `run_block` has something to do: actions, or a dead man's switch. None while nothing waits."""
        due = [queued.due_ms for queued in self._queue] + self._switches_due_ms()
        return max(min(due), self._first_block_from(self.halted_until_ms)) if due else None

    def run_block(self, now_ms: int) -> list[tuple[int, Answer]]:
        """Execute what is due by `now_ms`, and answer by ticket in the order of execution."""
        next_due_ms = self.next_due_ms()
        if next_due_ms is None or next_due_ms > now_ms:
            return []
        due = [queued for queued in self._queue if queued.due_ms <= now_ms]
        self._queue = [queued for queued in self._queue if queued.due_ms > now_ms]
        if self._exchange.now_ms < now_ms:
            self._market.advance(now_ms)
        self._exchange.expire_schedules()
        self._armed = {address: account for address, account in self._armed.items() if _is_armed(account)}
        self._execution.post_only = self._exchange.now_ms < self.post_only_until_ms
        return [(queued.ticket, self._execute(queued)) for queued in sorted(due, key=self._place_in_chain)]

    def _end_of_block(self, arrived_ms: int) -> int:
        block = self._block_ms
        return (arrived_ms // block + 1) * block if block else arrived_ms

    def _first_block_from(self, time_ms: int) -> int:
        block = self._block_ms
        return -(-time_ms // block) * block if block else time_ms

    def _switches_due_ms(self) -> list[int]:
        times = [account.scheduled_cancel_ms for account in self._armed.values()]
        return [self._first_block_from(time_ms) for time_ms in times if time_ms is not None]

    def _place_in_chain(self, queued: Queued) -> tuple[int, int, int, int]:
        if not self._block_ms:
            return (0, 0, 0, queued.arrival)
        rank, priority = class_of(queued.envelope.action)
        return (max(queued.due_ms, self._first_block_from(self.halted_until_ms)), rank, -priority, queued.arrival)

    # ── one action ───────────────────────────────────────────────────────────────────────────

    def _execute(self, queued: Queued) -> Answer:
        envelope = queued.envelope
        action, signature = envelope.action, envelope.signature
        signed = Signature(int(signature.r, 16), int(signature.s, 16), signature.v)
        if isinstance(action, UserSigned):
            admitted = self._who_signed_alone(action, envelope, queued.canonical, signed)
        else:
            admitted = self._who_signed(action, envelope, queued.canonical, signed)
        if isinstance(admitted, str):
            return err(admitted)
        refusal = self._use_up(admitted, envelope)
        if refusal is not None:
            return err(refusal)
        tx = self._hash(queued)
        if isinstance(action, TreasuryAction):
            return self.treasury.run(admitted.account, action, tx)
        answer = self._execution.run(admitted.account, action, tx, self._builder_percent(admitted, action))
        if _is_armed(admitted.account):
            self._armed[admitted.account.address] = admitted.account
        return answer

    def _who_signed(
        self, action: Action, envelope: Envelope, written: dict[str, object], signature: Signature
    ) -> Admitted | str:
        """Whoever acts with an L1 action: an account's own key or an agent's, perhaps for a sub-account."""
        signer = recover_l1(written, envelope.nonce, envelope.vault_address, envelope.expires_after, signature)
        if signer is None:
            return words.NO_SIGNER
        master = self._account_behind(signer)
        if master is None:
            return words.does_not_exist(signer)
        if isinstance(action, ReserveRequestWeight) and signer != master.address:
            return words.must_deposit(signer)
        account = master
        if envelope.vault_address is not None:
            sub_account = self._exchange.account(envelope.vault_address)
            if sub_account is None or sub_account.master != master.address:
                return words.vault_not_registered(envelope.vault_address)
            if isinstance(action, MASTER_ONLY):
                return words.VAULT_NOT_ALLOWED
            account = sub_account
        if action.items > self._limits.action_items and self._limits.enforced:
            return words.over_weight(self._limits.action_items)
        return Admitted(signer, account, master)

    def _account_behind(self, signer: str) -> VenueAccount | None:
        address = self._signers.account_of(signer, self._exchange.now_ms)
        return None if address is None else self._exchange.account(address)

    def _who_signed_alone(
        self, action: UserSigned, envelope: Envelope, written: dict[str, object], signature: Signature
    ) -> Admitted | str:
        """Whoever signed with the account's own key: no agent, no vault, no expiry."""
        if action.hyperliquid_chain != "Testnet":
            return words.WRONG_NETWORK
        if action.inner_nonce != envelope.nonce:
            return words.NONCE_MISMATCH
        if envelope.vault_address is not None:
            return words.VAULT_NOT_ALLOWED
        if envelope.expires_after is not None:
            return words.NO_EXPIRY_HERE
        signer = recover_user_signed(written, signature)
        if signer is None:
            return words.NO_SIGNER
        if self._signers.account_of(signer, self._exchange.now_ms) != signer:
            return words.does_not_exist(signer)
        account = self._exchange.account(signer)
        return words.must_deposit(signer) if account is None else Admitted(signer, account, account)

    def _use_up(self, admitted: Admitted, envelope: Envelope) -> str | None:
        """Take the nonce, then judge age and budget: a stale action costs budget, a repeated one nothing."""
        now_ms, action = self._exchange.now_ms, envelope.action
        refusal = self._signers.use_nonce(admitted.signer, envelope.nonce, now_ms)
        if refusal is not None:
            return refusal
        if envelope.expires_after is not None and now_ms > envelope.expires_after:
            self._budget.charge_stale(admitted.account)
            return words.EXPIRED
        cancels = isinstance(action, Cancel | CancelByCloid)
        return self._budget.spend(admitted.account, action.items, now_ms, cancels=cancels)

    def _builder_percent(self, admitted: Admitted, action: TradingAction) -> Decimal | None:
        if not isinstance(action, Order) or action.builder is None:
            return None
        return self.treasury.builder_fees.get(admitted.master.address, {}).get(action.builder.b)

    def _hash(self, queued: Queued) -> str:
        """The transaction's hash: the same action at another time or place is another transaction."""
        seed = f"{self._exchange.now_ms}:{queued.ticket}:".encode() + msgspec.json.encode(queued.canonical)
        return "0x" + hashlib.sha256(seed).hexdigest()


def _is_armed(account: VenueAccount) -> bool:
    return account.scheduled_cancel_ms is not None


def class_of(action: Action) -> tuple[int, int]:
    """An action's class within a block (0 goes first) and the priority that it pays for inside its class."""
    match action:
        case Cancel() | CancelByCloid():
            return 1, 0
        case Order():
            takes = any(order.tif in TAKING for order in action.orders)
            pays = takes and all(order.tif is Tif.IOC for order in action.orders)
            return 2 if takes else 0, action.priority if pays else 0
        case Modify():
            return 2 if action.order.tif in TAKING else 0, 0
        case BatchModify():
            return 2 if any(each.order.tif in TAKING for each in action.modifies) else 0, 0
        case _:
            return 0, 0
