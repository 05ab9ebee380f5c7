"""What can be looked at without a network: configuration, key, a dry signature, the ledger's file, the disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from adapters.hyperliquid.keys import AgentKey, KeyRefused, load_agent_key
from adapters.sqlite.ledger import LedgerIdentity
from adapters.sqlite.ledger_look import look_at_ledger
from config.load import Configuration
from config.settings import Settings
from config.variables import Mode, Network
from entrypoints.agent_key import key_sources
from entrypoints.container import account_name, refuse_closed
from entrypoints.doctor.findings import Finding, bad, from_error, ok, skipped, warning
from entrypoints.dry_signature import sign_dry
from entrypoints.exit_codes import ExitCode
from entrypoints.gates import GateClosed
from ports.ledger import StorageError

_MIB = 1024 * 1024
LITTLE_MIB = 2_048
TOO_LITTLE_MIB = 200
"""A ledger that cannot be written stops the daemon."""


def is_ours(settings: Settings) -> bool:
    """Whether the venue is a child of ours, with toy accounts."""
    return settings.network is Network.LOCAL and settings.venue_url is None


def look_at_configuration(configuration: Configuration) -> list[Finding]:
    settings, first = configuration.settings, configuration.first
    findings = [ok("configuration", f"{settings.mode.value} on {settings.network.value}")]
    said = configuration.warnings
    if first.is_absent:
        findings.append(ok("overrides", f"{first.path}: there is no such file, every key has its default"))
        said = tuple(text for text in said if not text.startswith(first.path))
    else:
        findings.append(ok("overrides", f"{first.path} can be read, version {configuration.book.digest[:12]}"))
    findings += [warning("configuration", text) for text in said]
    try:
        refuse_closed(settings)
    except GateClosed as error:
        findings.append(warning("gates", str(error)))
    return findings


def look_at_key(settings: Settings) -> tuple[AgentKey | None, list[Finding]]:
    """The key, where one signs and may be used."""
    if settings.mode is not Mode.LIVE:
        return None, [skipped("key", f"{settings.mode.value} signs nothing")]
    if is_ours(settings):
        return None, [skipped("key", "the local venue gives a toy key; a key of yours is not used there")]
    try:
        key = load_agent_key(key_sources(settings))
    except KeyRefused as error:
        return None, from_error("key", error)
    return key, [ok("key", f"that of {key.address}, from {key.source}")]


def look_at_signature(settings: Settings, key: AgentKey | None) -> list[Finding]:
    if key is None:
        return [skipped("signature", "there is no key to try")]
    signed = sign_dry(key, is_mainnet=settings.network is Network.MAINNET)
    if signed.recovered != key.address:
        text = f"a signature of {key.address} recovers to {signed.recovered}: do not trade with this set-up"
        return [bad("signature", text, ExitCode.CONFIGURATION)]
    return [ok("signature", f"a noop was signed in {signed.took_ms:.1f} ms and recovers to the key; nothing was sent")]


def look_at_database(settings: Settings) -> list[Finding]:
    path = settings.db_path
    try:
        look = look_at_ledger(path)
    except StorageError as error:
        return from_error("database", error)
    if look is None:
        return [ok("database", f"{path}: not there yet, the first start makes it")]
    wanted = LedgerIdentity(settings.mode.value, settings.network.value, account_name(settings))
    if look.identity is not None and look.identity != wanted:
        text = (
            f"{path} belongs to {look.identity}, and this set-up is {wanted}: name another file in AI_QUANT_DB_PATH, "
            "or set mode, network and account back"
        )
        return [bad("database", text, ExitCode.REFUSED)]
    if not os.access(path, os.R_OK | os.W_OK):
        return [bad("database", f"{path} cannot be written: chmod u+rw {path}", ExitCode.DATA)]
    findings = []
    if look.identity is None:
        findings.append(warning("database", f"{path}: a start that did not end cleanly; the next one finishes it"))
    if look.writer is not None:
        text = f"{path}: process {look.writer} is writing it; stop that one before you start another"
        findings.append(warning("database", text))
    if path.stat().st_mode & 0o077:
        findings.append(warning("database", f"{path}: others may use it; chmod 600 {path} (the next start does it)"))
    return findings or [ok("database", f"{path}, {wanted}; nobody is writing it")]


def look_at_disk(settings: Settings) -> list[Finding]:
    """The disk of the user folder, and of the ledger's where that is another one."""
    folders = {settings.user_dir.absolute(), settings.db_path.absolute().parent}
    return [_folder(folder) for folder in sorted(folders)]


def _folder(folder: Path) -> Finding:
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not there.is_dir():
        return bad("disk", f"{folder}: {there} is a file, not a folder; name another one", ExitCode.DATA)
    if not os.access(there, os.W_OK | os.X_OK):
        return bad("disk", f"{folder}: this user may not write in {there}; name another folder", ExitCode.DATA)
    free_mib = shutil.disk_usage(there).free // _MIB
    text = f"{folder}: {free_mib / 1024:,.1f} GiB free"
    if free_mib < TOO_LITTLE_MIB:
        return bad("disk", f"{text}, which is too little to trade: make room", ExitCode.DATA)
    if free_mib < LITTLE_MIB:
        return warning("disk", f"{text}: make room, a full disk stops the daemon")
    return ok("disk", text)
