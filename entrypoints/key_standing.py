"""Whether the key may sign for the account: asked of the venue before anything is traded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from adapters.hyperliquid.budget import Lane
from adapters.hyperliquid.key_checks import KeyCase, KeyFindings, Standing, check_key, read_agents, read_standing
from adapters.hyperliquid.rest import InfoClient
from config.settings import Settings
from domain.strategy_config import Place
from ports.clock import Clock
from ports.strategy_config import ConfigError, ConfigProblem

if TYPE_CHECKING:
    from entrypoints.venue_connection import VenueConnection


async def refuse_wrong_key(info: InfoClient, connection: VenueConnection, settings: Settings) -> None:
    """Raise `ConfigError` with everything that is wrong with key and addresses, and how to mend it."""
    findings = await key_findings(info, connection, settings)
    if findings.refusals:
        place = Place("environment")
        raise ConfigError([ConfigProblem(place, "AI_QUANT_ACCOUNT_ADDRESS", text) for text in findings.refusals])


async def key_findings(info: InfoClient, connection: VenueConnection, settings: Settings) -> KeyFindings:
    """What the venue says of signer, account and vault. Raises `VenueUnavailable` where it says nothing."""
    assert connection.key is not None, "there is a key to ask about"
    account = settings.account_address or connection.account_address
    return check_key(await key_case(info, connection.clock, settings, signer=connection.key.address, account=account))


async def key_case(info: InfoClient, clock: Clock, settings: Settings, *, signer: str, account: str) -> KeyCase:
    """All that the venue says of these addresses. Raises `VenueUnavailable`."""
    vault = settings.vault_address

    known: dict[str, Standing] = {}

    async def standing(address: str) -> Standing:
        user = address.lower()
        if user not in known:
            answer = await info.ask({"type": "userRole", "user": user}, lane=Lane.ACCOUNT)
            known[user] = read_standing(json.loads(answer))
        return known[user]

    agents = await info.ask({"type": "extraAgents", "user": account.lower()}, lane=Lane.ACCOUNT)
    return KeyCase(
        signer=signer,
        signer_standing=await standing(signer),
        account=account,
        account_standing=await standing(account),
        vault=vault,
        vault_standing=None if vault is None else await standing(vault),
        agents=read_agents(json.loads(agents)),
        now_ms=clock.now_ms(),
        master_key_accepted=settings.master_key_consent is not None,
    )
