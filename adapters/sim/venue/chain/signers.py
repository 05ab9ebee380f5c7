"""Who may sign for whom, and with which nonces (`hyperliquid-protocol` §5.8, §7.3, §7.6).

All addresses here are lower case.
"""

from __future__ import annotations

import re
from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from adapters.sim.venue.exchange.accounts import VenueAccount
from adapters.sim.venue.settings import VenueSettings
from adapters.sim.venue.words import (
    AGENT_TAKEN,
    BAD_VALIDITY,
    LONGEST_AGENT_NAME,
    NAME_TOO_LONG,
    NO_SUCH_AGENT,
    duplicate_nonce,
    nonce_too_high,
    nonce_too_low,
    too_many_agents,
)

DAY_MS = 86_400_000
NONCES_KEPT = 100
OLDEST_NONCE_MS = 2 * DAY_MS
NEWEST_NONCE_MS = DAY_MS
NAMED_AGENTS = 3
AGENTS_PER_SUB_ACCOUNT = 2
LONGEST_VALIDITY_MS = 180 * DAY_MS
REMOVAL = "0x" + 40 * "0"
"""Approved as an agent, it empties the slot of that name [P]."""

NAME_WITH_EXPIRY = re.compile(r"(?P<name>.*?) ?\bvalid_until (?P<valid_until>[0-9]{1,16})", re.DOTALL)


class Agent(NamedTuple):
    """`name` is None for the one unnamed agent. It signs up to `valid_until`, exclusive."""

    name: str | None
    address: str
    valid_until: int


class AgentName(NamedTuple):
    name: str | None
    valid_until: int | None


def read_agent_name(text: str | None) -> AgentName:
    """Split the wire's `agentName` into the name and the expiry behind it: `bot valid_until 1767776120478`."""
    if not text:
        return AgentName(None, None)
    parts = NAME_WITH_EXPIRY.fullmatch(text)
    if parts is None:
        return AgentName(text, None)
    return AgentName(parts["name"] or None, int(parts["valid_until"]))


@dataclass(slots=True)
class NonceSet:
    """The highest nonces that a signer used, in rising order."""

    rising: list[int] = field(default_factory=list)
    used: set[int] = field(default_factory=set)

    @property
    def is_full(self) -> bool:
        return len(self.rising) >= NONCES_KEPT

    def add(self, nonce: int) -> None:
        insort(self.rising, nonce)
        self.used.add(nonce)
        if len(self.rising) > NONCES_KEPT:
            self.used.remove(self.rising.pop(0))


class Signers:
    """Agents and nonces of the whole venue. `accounts` is the exchange's own, by address."""

    def __init__(self, accounts: Mapping[str, VenueAccount], settings: VenueSettings, start_ms: int) -> None:
        self._accounts = accounts
        self._validity_ms = min(settings.agent_validity_ms, LONGEST_VALIDITY_MS)
        self._nonces_since_ms = start_ms if settings.nonces_from_start else None
        self._nonces: dict[str, NonceSet] = {}
        self._slots: dict[str, dict[str | None, Agent]] = {}
        """Each master's agents by name, oldest first; an expired one stays until something is approved."""
        self._masters: dict[str, str] = {}
        self._former: set[str] = set()

    # Nonces

    def use_nonce(self, signer: str, nonce: int, now_ms: int) -> str | None:
        """Take a nonce, or say why not; a refused one stays unused. `now_ms` is block time.

        Ask only for signers that may act: nonces are remembered for whoever asks.
        """
        newest = now_ms + NEWEST_NONCE_MS
        if nonce >= newest:
            return nonce_too_high(nonce, newest)
        oldest = (now_ms if self._nonces_since_ms is None else self._nonces_since_ms) - OLDEST_NONCE_MS
        if nonce <= oldest:
            return nonce_too_low(nonce, oldest)
        kept = self._nonces.setdefault(signer, NonceSet())
        if nonce in kept.used:
            return duplicate_nonce(nonce)
        if kept.is_full and nonce < kept.rising[0]:
            return nonce_too_low(nonce, kept.rising[0])
        kept.add(nonce)
        return None

    # Agents

    def account_of(self, signer: str, now_ms: int) -> str | None:
        """The account that a signer acts for: its master's for an agent, else its own.

        None for an agent that expired, was replaced or removed. Whether the venue knows the account is
        another question.
        """
        if signer in self._masters:
            return self.master_of(signer, now_ms)
        return None if signer in self._former and signer not in self._accounts else signer

    def master_of(self, address: str, now_ms: int) -> str | None:
        """The master of an agent that may act now; None for every other address."""
        master = self._masters.get(address)
        if master is None:
            return None
        valid = any(agent.address == address and now_ms < agent.valid_until for agent in self._slots[master].values())
        return master if valid else None

    def agents_of(self, master: str, now_ms: int) -> list[Agent]:
        """A master's valid agents, the unnamed one included, in the order in which their slots were filled."""
        return [agent for agent in self._slots.get(master, {}).values() if now_ms < agent.valid_until]

    def approve(
        self, master: str, agent: str, name: str | None, now_ms: int, valid_until: int | None = None
    ) -> str | None:
        """Fill the slot of a name, or say why not. Who held the slot signs no more from now on.

        `name` may be the wire's, with its expiry; `valid_until` outranks that. An address that the venue still
        holds, even for the same master, is refused [P]: it is removed first (`REMOVAL`) and then comes back.
        """
        name, suffix = read_agent_name(name)
        self._prune_expired(master, now_ms)
        if agent == REMOVAL:
            return None if self._empty_slot(master, name) else NO_SUCH_AGENT
        self._prune_expired(self._masters.get(agent, master), now_ms)
        valid_until = valid_until if valid_until is not None else suffix
        refusal = self._refusal(master, agent, name, now_ms, valid_until)
        if refusal is not None:
            return refusal
        self._empty_slot(master, name)
        self._former.discard(agent)
        self._masters[agent] = master
        expiry = valid_until if valid_until is not None else now_ms + self._validity_ms
        self._slots.setdefault(master, {})[name] = Agent(name, agent, expiry)
        return None

    def remove(self, agent: str) -> bool:
        """End an agent as if its master had removed it; False where the address is none."""
        master = self._masters.get(agent)
        if master is None:
            return False
        name = next(held.name for held in self._slots[master].values() if held.address == agent)
        return self._empty_slot(master, name)

    def _refusal(self, master: str, agent: str, name: str | None, now_ms: int, valid_until: int | None) -> str | None:
        if agent in self._accounts or agent in self._masters:
            return AGENT_TAKEN
        if name is not None and len(name) > LONGEST_AGENT_NAME:
            return NAME_TOO_LONG
        if valid_until is not None and not now_ms < valid_until <= now_ms + LONGEST_VALIDITY_MS:
            return BAD_VALIDITY
        slots = self._slots.get(master, {})
        if name is None or name in slots:
            return None
        limit = self._named_agents(master)
        named = sum(1 for held in slots if held is not None)
        return too_many_agents(limit) if named >= limit else None

    def _named_agents(self, master: str) -> int:
        account = self._accounts.get(master)
        return NAMED_AGENTS + AGENTS_PER_SUB_ACCOUNT * (len(account.sub_accounts) if account is not None else 0)

    def _prune_expired(self, master: str, now_ms: int) -> None:
        for held in list(self._slots.get(master, {}).values()):
            if held.valid_until <= now_ms:
                self._empty_slot(master, held.name)

    def _empty_slot(self, master: str, name: str | None) -> bool:
        """Forget who held a slot, its nonces too: if its key ever comes back, so may what it signed (§7.3)."""
        held = self._slots.get(master, {}).pop(name, None)
        if held is None:
            return False
        del self._masters[held.address]
        self._nonces.pop(held.address, None)
        self._former.add(held.address)
        return True
