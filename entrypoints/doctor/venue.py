"""What only the venue can tell: is it there, what time has it, what are our addresses, what may they still ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from adapters.clocks import SystemClock
from adapters.hyperliquid.budget import Lane, WeightBudget
from adapters.hyperliquid.endpoints import Endpoint
from adapters.hyperliquid.heard import DecodeError
from adapters.hyperliquid.http_pool import RequestsTransport
from adapters.hyperliquid.key_checks import KeyCase, Role, Standing, account_problems, signer_findings, vault_problems
from adapters.hyperliquid.keys import AgentKey
from adapters.hyperliquid.rest import InfoClient
from adapters.hyperliquid.watch import ClockLook, look_at_clock
from adapters.hyperliquid.wire_account import decode_rate_limit
from config.load import Configuration
from config.settings import Settings
from config.suggestions import unknown_symbols
from config.variables import Mode
from entrypoints.doctor.findings import Finding, bad, from_error, ok, skipped, warning
from entrypoints.doctor.machine import is_ours
from entrypoints.exit_codes import ExitCode
from entrypoints.key_standing import key_case
from entrypoints.local_market import LocalMarket, local_market
from entrypoints.output import utc
from entrypoints.venue_child import VenueChild
from entrypoints.venue_connection import (
    LOCAL_WEIGHT,
    PLANNED_WEIGHT,
    account_of,
    child_of,
    endpoint_of,
    markets_of,
)
from ports.clock import Clock
from ports.ledger import LedgerRefused, StorageError
from ports.order_gateway import VenueUnavailable
from ports.strategy_config import ConfigError

LOOKS = 3
"""The first one opens the connection; the quickest one counts."""
TIMEOUT_S = 5.0
SLOW_MS = 1_000
SKEW_OK_MS = 1_000
SKEW_BAD_MS = 5_000
FEW_REQUESTS = 1_000

_CHECKS = ("clock", "symbols", "account", "agent", "requests")
_DAY_MS = 86_400_000
_HINT = "; check the internet connection, firewall and AI_QUANT_VENUE_URL. AI_QUANT_NETWORK=local needs no internet"


@dataclass(frozen=True, slots=True)
class _Visit:
    settings: Settings
    endpoint: Endpoint
    clock: Clock
    info: InfoClient
    local: LocalMarket | None
    child: VenueChild | None


async def look_at_venue(configuration: Configuration, key: AgentKey | None) -> list[Finding]:
    """All that the venue tells. A venue of our own is started for it, and stopped again."""
    try:
        async with _visiting(configuration.settings) as visit:
            try:
                looks = [await look_at_clock(visit.info, visit.clock) for _ in range(LOOKS)]
            except VenueUnavailable as error:
                where = VenueUnavailable(f"{visit.endpoint.url}: {error}")
                return [*from_error("network", where, _HINT), *_unseen("the venue does not answer")]
            best = min(looks, key=lambda look: look.round_trip_ms)
            return [
                *_network(visit, best),
                _clock(visit, best),
                *await _symbols(visit, configuration),
                *await _addresses(visit, key),
                await _requests(visit),
            ]
    except (VenueUnavailable, ConfigError, LedgerRefused, StorageError) as error:
        return [*from_error("network", error), *_unseen("the venue was not asked")]


@asynccontextmanager
async def _visiting(settings: Settings) -> AsyncIterator[_Visit]:
    local = local_market(settings) if is_ours(settings) else None
    child = None if local is None else child_of(settings, local)
    try:
        endpoint = endpoint_of(settings, child)
        clock: Clock = SystemClock() if local is None or local.scale == 1 else local.clock()
        transport = RequestsTransport(endpoint.url)
        try:
            budget = WeightBudget(clock, per_minute=PLANNED_WEIGHT if child is None else LOCAL_WEIGHT)
            info = InfoClient(transport, budget, clock, TIMEOUT_S, deadline_s=TIMEOUT_S)
            yield _Visit(settings, endpoint, clock, info, local, child)
        finally:
            await transport.close()
    finally:
        if child is not None:
            child.stop()


def _unseen(why: str) -> list[Finding]:
    return [skipped(check, why) for check in _CHECKS]


def _network(visit: _Visit, look: ClockLook) -> list[Finding]:
    name = visit.settings.network.value
    where = f"{name}, a venue of our own" if visit.child is not None else f"{name} at {visit.endpoint.url}"
    text = f"{where}, answers in {look.round_trip_ms} ms"
    findings = [
        warning("network", f"{text}: orders will be late") if look.round_trip_ms > SLOW_MS else ok("network", text)
    ]
    if look.special:
        findings.append(warning("network", f"the venue says of itself: {look.special}; orders may be refused"))
    return findings


def _clock(visit: _Visit, look: ClockLook) -> Finding:
    if visit.child is not None:
        return skipped("clock", "the venue runs on this machine, by the same clock")
    seconds = abs(look.skew_ms) / 1000
    text = f"our clock is {seconds:.1f} s {'behind' if look.skew_ms > 0 else 'ahead of'} the venue's"
    fix = "; let NTP set it (timedatectl set-ntp true)"
    if abs(look.skew_ms) >= SKEW_BAD_MS:
        return bad("clock", f"{text}: orders expire and nonces are refused{fix}", ExitCode.FAILED)
    if abs(look.skew_ms) >= SKEW_OK_MS:
        return warning("clock", text + fix)
    return ok("clock", f"our clock agrees with the venue's, to {max(look.round_trip_ms, 1)} ms")


async def _symbols(visit: _Visit, configuration: Configuration) -> list[Finding]:
    try:
        universe = (await markets_of(visit.settings, visit.local, visit.info)).universe
    except (ConfigError, VenueUnavailable) as error:
        return from_error("symbols", error)
    named = unknown_symbols(configuration.book, universe.symbols)
    return [ok("symbols", f"{len(universe)} to trade"), *(warning("overrides", text) for text in named)]


async def _addresses(visit: _Visit, key: AgentKey | None) -> list[Finding]:
    """What each address is, what is wrong with it, and how long the agent may sign."""
    settings = visit.settings
    if settings.mode is Mode.PAPER:
        why = "paper's account is simulated, the venue knows nothing of it"
        return [skipped("account", why), skipped("agent", "paper signs nothing")]
    if visit.child is not None:
        why = "the local venue gives a toy account with its own key"
        return [skipped("account", why), skipped("agent", why)]
    try:
        account = (settings.account_address or account_of(settings)).lower()
        signer = account if key is None else key.address
        case = await key_case(visit.info, visit.clock, settings, signer=signer, account=account)
    except (ConfigError, VenueUnavailable) as error:
        return [*from_error("account", error), skipped("agent", "it is not known whose agent it would be")]
    findings = _about("account", account, case.account_standing, account_problems(case))
    if case.vault is not None:
        standing = case.vault_standing or Standing(Role.UNREADABLE)
        findings += _about("vault", case.vault, standing, vault_problems(case))
    if key is None:
        signs = settings.mode is Mode.LIVE
        return [*findings, skipped("agent", "there is no key" if signs else f"{settings.mode.value} signs nothing")]
    return [*findings, *_agent(case)]


def _about(check: str, address: str, standing: Standing, problems: list[str]) -> list[Finding]:
    if problems:
        code = ExitCode.VENUE if standing.role is Role.UNREADABLE else ExitCode.CONFIGURATION
        return [bad(check, problem, code) for problem in problems]
    of = f" of {standing.master}" if standing.master else ""
    return [ok(check, f"{address.lower()} is {standing.role.value}{of}")]


def _agent(case: KeyCase) -> list[Finding]:
    found = signer_findings(case)
    code = ExitCode.VENUE if case.signer_standing.role is Role.UNREADABLE else ExitCode.CONFIGURATION
    findings = [bad("agent", text, code) for text in found.refusals]
    findings += [warning("agent", text) for text in found.warnings]
    if findings:
        return findings
    if found.expires_ms is None:
        end = "it has no name there, so that nobody can ask when it ends"
    else:
        days = (found.expires_ms - case.now_ms) / _DAY_MS
        end = f"it ends at {utc(found.expires_ms)} UTC, in {days:.0f} days"
    return [ok("agent", f"{case.signer} is an agent of {case.account}; {end}")]


async def _requests(visit: _Visit) -> Finding:
    """What the account may still send to the exchange: it earns requests by trading."""
    settings = visit.settings
    if settings.mode is not Mode.LIVE or visit.child is not None:
        return skipped(
            "requests", "nothing is sent that would count" if visit.child is None else "toy accounts have plenty"
        )
    try:
        address = account_of(settings)
        told = decode_rate_limit(await visit.info.ask({"type": "userRateLimit", "user": address}, lane=Lane.ACCOUNT))
    except (ConfigError, VenueUnavailable) as error:
        return from_error("requests", error)[0]
    except DecodeError as error:
        return warning("requests", f"the venue's answer cannot be read: {error}")
    granted = told.cap + told.surplus
    left = granted - told.used
    text = f"{max(left, 0):,} of {granted:,} requests are left to {address}"
    if left <= 0:
        return bad("requests", f"{text}: one in ten seconds until it has traded more; or buy some", ExitCode.VENUE)
    if left < FEW_REQUESTS:
        return warning("requests", f"{text}: every USD traded earns one; entries stop before exits do")
    return ok("requests", text)
