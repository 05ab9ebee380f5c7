"""Whether a key may trade for an account: what the venue says of each address, and what to do where it is wrong.

Pure: answers of `userRole` and `extraAgents` in, findings out. An answer that cannot be read is no permission.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass

EXPIRES_SOON_MS = 7 * 86_400_000
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_PAGE = "app.hyperliquid.xyz/API (testnet: app.hyperliquid-testnet.xyz/API)"


class Role(enum.Enum):
    """What an address is at the venue. The value is how messages say it."""

    USER = "an account of its own"
    AGENT = "an agent (API wallet)"
    VAULT = "a vault"
    SUB_ACCOUNT = "a sub-account"
    MISSING = "unknown to the venue"
    UNREADABLE = "something the venue's answer does not let us tell"


@dataclass(frozen=True, slots=True)
class Standing:
    """One address. `master`: the account that an agent acts for, or that owns a sub-account; lower case."""

    role: Role
    master: str | None = None


@dataclass(frozen=True, slots=True)
class NamedAgent:
    name: str
    address: str
    valid_until_ms: int


@dataclass(frozen=True, slots=True)
class KeyFindings:
    """No refusals: the key may sign. `expires_ms`: None for an unnamed agent, whose end no answer tells."""

    refusals: tuple[str, ...]
    warnings: tuple[str, ...]
    expires_ms: int | None


@dataclass(frozen=True, slots=True)
class KeyCase:
    """All that is known. Addresses in any case. `vault` and its standing: None if there is none to trade for.

    `agents`: named agents of the account; None if the answer could not be read.
    `master_key_accepted`: the user typed the consent to a key that can withdraw.
    """

    signer: str
    signer_standing: Standing
    account: str
    account_standing: Standing
    vault: str | None
    vault_standing: Standing | None
    agents: tuple[NamedAgent, ...] | None
    now_ms: int
    master_key_accepted: bool = False


def read_standing(answer: object) -> Standing:
    """The standing in an answer to `userRole`."""
    if not isinstance(answer, Mapping):
        return Standing(Role.UNREADABLE)
    data = answer.get("data")
    inner = data if isinstance(data, Mapping) else {}
    match answer.get("role"):
        case "user":
            return Standing(Role.USER)
        case "vault":
            return Standing(Role.VAULT)
        case "missing":
            return Standing(Role.MISSING)
        case "agent" if (master := _address(inner.get("user"))) is not None:
            return Standing(Role.AGENT, master)
        case "subAccount" if (master := _address(inner.get("master"))) is not None:
            return Standing(Role.SUB_ACCOUNT, master)
        case _:
            return Standing(Role.UNREADABLE)


def read_agents(answer: object) -> tuple[NamedAgent, ...] | None:
    """The rows of an answer to `extraAgents`; None if one of them cannot be read."""
    if not isinstance(answer, list):
        return None
    found = []
    for row in answer:
        if not isinstance(row, Mapping):
            return None
        name, address, until = row.get("name"), _address(row.get("address")), row.get("validUntil")
        if not isinstance(name, str) or address is None or type(until) is not int:
            return None
        found.append(NamedAgent(name, address, until))
    return tuple(found)


def check_key(case: KeyCase) -> KeyFindings:
    """Everything that is wrong, at once."""
    findings = signer_findings(case)
    refusals = (*account_problems(case), *vault_problems(case), *findings.refusals)
    return KeyFindings(refusals, findings.warnings, findings.expires_ms)


def signer_findings(case: KeyCase) -> KeyFindings:
    """What is wrong with the key itself, and how long it lasts."""
    refusals: list[str] = []
    warnings: list[str] = []
    expires_ms = None
    if case.signer.lower() == case.account.lower():
        if case.master_key_accepted:
            warnings.append(f"the key is that of the account {case.account} itself: whoever reads it can withdraw")
        else:
            refusals.append(
                f"the key is that of the account {case.account} itself, and can withdraw: approve an agent at {_PAGE} "
                "and give its key; or type the consent that AI_QUANT_MASTER_KEY_CONSENT asks for"
            )
    else:
        refusals += _about_signer(case)
        expires_ms = _expiry(case)
        if case.agents is None:
            warnings.append("the venue's list of agents cannot be read: it is not known when the key ends")
        if expires_ms is not None and expires_ms <= case.now_ms:
            refusals.append(f"the agent {case.signer} has expired: approve a new one, with a new key, at {_PAGE}")
        elif expires_ms is not None and expires_ms - case.now_ms < EXPIRES_SOON_MS:
            hours = (expires_ms - case.now_ms) / 3_600_000
            warnings.append(f"the agent {case.signer} ends in {hours:.0f} hours: approve a new one, with a new key")
    return KeyFindings(tuple(refusals), tuple(warnings), expires_ms)


def _about_signer(case: KeyCase) -> list[str]:
    signer, standing = case.signer.lower(), case.signer_standing
    match standing.role:
        case Role.AGENT if standing.master == case.account.lower():
            return []
        case Role.AGENT:
            return [
                f"the key {signer} is an agent of {standing.master}, not of {case.account}: give the key of an agent "
                f"of that account, or set AI_QUANT_ACCOUNT_ADDRESS={standing.master}"
            ]
        case Role.USER:
            return [
                f"the key {signer} is an account of its own, not an agent of {case.account}: orders would be that "
                f"account's, and its key can withdraw. Approve an agent at {_PAGE} and give its key"
            ]
        case Role.MISSING:
            return [
                f"the venue does not know the key {signer}: it was not approved, has expired, or was removed. "
                f"Approve it for {case.account} at {_PAGE}; after an expiry with a new key, never the old one"
            ]
        case Role.VAULT | Role.SUB_ACCOUNT:
            return [f"the key {signer} is {standing.role.value}, which has no key of its own: this cannot be"]
        case Role.UNREADABLE:
            return [f"whether {signer} may sign for {case.account} is not known: the venue's answer cannot be read"]


def account_problems(case: KeyCase) -> list[str]:
    """What is wrong with the account's address."""
    account, standing = case.account.lower(), case.account_standing
    match standing.role:
        case Role.USER:
            return []
        case Role.AGENT:
            return [
                f"AI_QUANT_ACCOUNT_ADDRESS is an agent's address, for which every query answers empty: "
                f"set it to the account of that agent, {standing.master}"
            ]
        case Role.SUB_ACCOUNT:
            return [
                "AI_QUANT_ACCOUNT_ADDRESS is a sub-account: "
                f"set it to its owner {standing.master}, and AI_QUANT_VAULT_ADDRESS={account}"
            ]
        case Role.VAULT:
            return [
                "AI_QUANT_ACCOUNT_ADDRESS is a vault: "
                f"set it to the account that leads the vault, and AI_QUANT_VAULT_ADDRESS={account}"
            ]
        case Role.MISSING:
            return [
                f"the venue does not know the account {account}: check AI_QUANT_ACCOUNT_ADDRESS and AI_QUANT_NETWORK; "
                "a new account exists from its first deposit on"
            ]
        case Role.UNREADABLE:
            return [f"what {account} is cannot be told: the venue's answer cannot be read"]


def vault_problems(case: KeyCase) -> list[str]:
    """What is wrong with the vault's or sub-account's address, if one is given."""
    if case.vault is None:
        return []
    vault, standing = case.vault.lower(), case.vault_standing or Standing(Role.UNREADABLE)
    if vault == case.account.lower():
        return ["AI_QUANT_VAULT_ADDRESS is the account itself: remove it to trade for the account"]
    match standing.role:
        case Role.VAULT:
            return []  # who leads it, no role tells; the venue refuses everybody else
        case Role.SUB_ACCOUNT if standing.master == case.account.lower():
            return []
        case Role.SUB_ACCOUNT:
            return [f"AI_QUANT_VAULT_ADDRESS is a sub-account of {standing.master}, not of {case.account}"]
        case Role.UNREADABLE:
            return [f"what AI_QUANT_VAULT_ADDRESS {vault} is cannot be told: the venue's answer cannot be read"]
        case Role.USER | Role.AGENT | Role.MISSING:
            return [
                f"AI_QUANT_VAULT_ADDRESS {vault} is {standing.role.value}, neither a vault nor a sub-account: remove it"
            ]


def _expiry(case: KeyCase) -> int | None:
    own = [agent.valid_until_ms for agent in case.agents or () if agent.address == case.signer.lower()]
    return min(own, default=None)


def _address(value: object) -> str | None:
    return value.lower() if isinstance(value, str) and _ADDRESS.fullmatch(value) else None
