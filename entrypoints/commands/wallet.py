"""The agent's key: put it into a file, see whose it is, try a signature. The key itself is never printed."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from config.settings import Settings
from config.variables import MASTER_KEY_CONSENT, Network
from domain.field_rules import SecretText
from entrypoints.configuration import read_configuration
from entrypoints.output import print_json, say

_KEY_LIMIT = 4_096


@click.group(name="wallet")
def command() -> None:
    """The agent's key: put it into a file, see whose it is, try a signature. The key itself is never printed."""


@command.command(name="import")
@click.option("--from", "source", metavar="FILE", help="A file that holds the key.  [default: ask, or read a pipe]")
@click.option("--out", metavar="FILE", help="Where to write.  [default: agent.keystore.json in the user folder]")
@click.option("--plain", is_flag=True, help="Write the bare key into a 0600 file instead of an encrypted keystore.")
@click.option("--passphrase-file", metavar="FILE", help="A 0600 file with the keystore's passphrase.  [default: ask]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def import_(source: str | None, out: str | None, plain: bool, passphrase_file: str | None, as_json: bool) -> None:
    """Write a key into a file that only you may read, and show whose key it is.

    The key comes from a question that does not echo, from a pipe, or from a file: never from the command line, which
    every user of this machine can read.
    """
    from adapters.hyperliquid.keys import KeyRefused, address_of, key_problem, keystore_json
    from adapters.hyperliquid.private_files import NotPrivate, write_private

    settings = read_configuration().settings
    path = Path(out or settings.user_dir / ("agent.key" if plain else "agent.keystore.json")).expanduser().absolute()
    secret = _key(source)
    problem = key_problem(secret)
    if problem:
        raise KeyRefused("the key", problem)
    address = address_of(secret)
    _refuse_master_key(settings, address)
    content = _plain(secret) if plain else keystore_json(secret, _passphrase(settings, passphrase_file))
    try:
        write_private(path, content)
    except NotPrivate as error:
        raise KeyRefused("--out", f"{path} {error}") from None
    variable = "AI_QUANT_AGENT_KEY_FILE" if plain else "AI_QUANT_AGENT_KEYSTORE"
    if as_json:
        print_json({"address": address, "file": str(path), "encrypted": not plain, "variable": variable})
        return
    print(f"address  {address}\nfile     {path}\nsetting  {variable}={path}")
    if not plain:
        say("The daemon also needs AI_QUANT_AGENT_KEYSTORE_PASSPHRASE_FILE: a 0600 file with the passphrase.")
    if source is not None:
        say(f"{source} still holds the key: remove it when this file is safe.")


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(as_json: bool) -> None:
    """Print whose key the daemon would sign with, and where the key comes from."""
    from adapters.hyperliquid.keys import load_agent_key
    from entrypoints.agent_key import key_sources

    settings = read_configuration().settings
    key = load_agent_key(key_sources(settings))
    is_master = _is_account(settings, key.address)
    if as_json:
        print_json(
            {
                "address": key.address,
                "source": key.source,
                "account": settings.account_address,
                "is_account_itself": is_master,
            }
        )
        return
    print(f"address  {key.address}\nfrom     {key.source}\naccount  {settings.account_address or 'not set'}")
    if is_master:
        say("warning: this is the key of the account itself, which can withdraw; an agent's key cannot")


@command.command(name="test-sign")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def test_sign(as_json: bool) -> None:
    """Sign an action that does nothing, and check by recovering the signer. Nothing is sent."""
    from adapters.hyperliquid.keys import KeyRefused, load_agent_key
    from entrypoints.agent_key import key_sources
    from entrypoints.dry_signature import sign_dry

    settings = read_configuration().settings
    is_mainnet = settings.network is Network.MAINNET
    key = load_agent_key(key_sources(settings))
    signed = sign_dry(key, is_mainnet=is_mainnet)
    recovered, took_ms = signed.recovered, signed.took_ms
    if recovered != key.address:
        raise KeyRefused("the signature", f"is that of {recovered}, not of {key.address}: do not trade with this setup")
    network = settings.network.value
    if as_json:
        figures = {"address": key.address, "source": key.source, "network": network, "recovered": recovered}
        print_json({**figures, "ok": True, "sign_ms": round(took_ms, 3)})
        return
    print(f"address  {key.address}\nfrom     {key.source}\nnetwork  {network}")
    print(f"ok       a noop was signed in {took_ms:.2f} ms and recovers to this address; nothing was sent")


def _key(source: str | None) -> SecretText:
    """The key's text, from wherever it is told without being seen."""
    from adapters.hyperliquid.keys import KeyRefused

    if source is None and sys.stdin.isatty():
        return SecretText(click.prompt("Key of the agent (not shown)", hide_input=True, err=True))
    if source is None or source == "-":
        return SecretText(sys.stdin.read(_KEY_LIMIT))
    try:
        with Path(source).open("rb") as file:
            return SecretText(file.read(_KEY_LIMIT).decode("utf-8", "replace"))
    except OSError as error:
        problem = error.strerror
    raise KeyRefused("--from", f"cannot be read ({problem})")


def _passphrase(settings: Settings, named: str | None) -> SecretText:
    from adapters.hyperliquid.keys import KeyRefused, passphrase_in
    from adapters.hyperliquid.private_files import NotPrivate, read_private

    path = Path(named).expanduser() if named else settings.agent_keystore_passphrase_file
    if path is None:
        if not sys.stdin.isatty():
            raise KeyRefused("--passphrase-file", "is needed where nobody can be asked; or write a bare key by --plain")
        return SecretText(
            click.prompt("Passphrase of the keystore", hide_input=True, confirmation_prompt=True, err=True)
        )
    try:
        found = passphrase_in(read_private(path))
    except NotPrivate as error:
        found = str(error)
    if isinstance(found, str):
        raise KeyRefused("--passphrase-file", f"{path} {found}")
    return found


def _plain(secret: SecretText) -> bytes:
    return (secret.reveal().strip() + "\n").encode()


def _is_account(settings: Settings, address: str) -> bool:
    return settings.account_address is not None and settings.account_address.lower() == address


def _refuse_master_key(settings: Settings, address: str) -> None:
    from adapters.hyperliquid.keys import KeyRefused

    if _is_account(settings, address) and settings.master_key_consent is None:
        raise KeyRefused(
            "the key",
            f"is that of the account {address} itself, and can withdraw. Give an agent's key; or, to go on all the "
            f"same, set AI_QUANT_MASTER_KEY_CONSENT={MASTER_KEY_CONSENT}",
        )
