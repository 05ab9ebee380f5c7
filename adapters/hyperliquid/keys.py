"""The agent's key: where it comes from, and an object that can sign with it and shows only its address.

One of four places, and only one: a systemd credential, an encrypted keystore, a 0600 file, or (testnet and the local
venue) the environment. Two at once are refused, for nobody could say which key signs. Until it is inside `AgentKey` the
key is behind a mask in every frame that can raise: a traceback shows no locals of use.
"""

from __future__ import annotations

import json
import re
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from Crypto.Hash import keccak

from adapters.hyperliquid.private_files import NotPrivate, read_private
from domain.field_rules import SecretText
from domain.strategy_config import Place
from ports.strategy_config import ConfigError, ConfigProblem

KEY_CREDENTIAL = "AI_QUANT_AGENT_KEY"
KEYSTORE_CREDENTIAL = "AI_QUANT_AGENT_KEYSTORE"
PASSPHRASE_CREDENTIAL = "AI_QUANT_AGENT_KEYSTORE_PASSPHRASE"
KEY_VARIABLE = "AI_QUANT_AGENT_KEY"
FILE_VARIABLE = "AI_QUANT_AGENT_KEY_FILE"
KEYSTORE_VARIABLE = "AI_QUANT_AGENT_KEYSTORE"
PASSPHRASE_VARIABLE = "AI_QUANT_AGENT_KEYSTORE_PASSPHRASE_FILE"

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_KEY = re.compile(r"(0x|0X)?[0-9a-fA-F]{64}")
_ADDRESS = re.compile(r"(0x|0X)?[0-9a-fA-F]{40}")
_PHRASE = re.compile(r"[a-z]+(\s+[a-z]+){11,23}")
_ENVIRONMENT = Place("environment")


class KeyRefused(ConfigError):
    """There is no key to sign with, or not one that may be used. Says why and what to do; never shows the key."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__([ConfigProblem(_ENVIRONMENT, name, message)])


@dataclass(frozen=True, slots=True)
class KeySources:
    """Where a key may come from. `credentials`: systemd's folder, `$CREDENTIALS_DIRECTORY`. What it gives under our
    names is found there; a file of another name is one of its credentials where its path lies in it.

    `allow_environment`: only where no real money is.
    """

    keystore: Path | None = None
    passphrase_file: Path | None = None
    key_file: Path | None = None
    environment: SecretText | None = None
    credentials: Path | None = None
    allow_environment: bool = False


class AgentKey:
    """A key that signs. Its text forms show the address; it is neither copied nor written."""

    __slots__ = ("_sign", "address", "source")

    def __init__(self, secret: SecretText, source: str) -> None:
        """`secret`: 64 hex digits, as `key_problem` accepts them."""
        self.source = source
        self._sign, self.address = _signing(secret)

    def sign_digest(self, digest: bytes) -> bytes:
        """65 bytes: r, s, and the recovery id 0 or 1. Deterministic (RFC 6979), with the low s."""
        return self._sign(digest)

    def __repr__(self) -> str:
        return f"AgentKey({self.address}, from {self.source})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key stays in its process")


def load_agent_key(sources: KeySources) -> AgentKey:
    """The one key there is. Raises `KeyRefused`. A crash of this process leaves no core file from here on."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    places = _places(sources)
    if not places:
        raise KeyRefused(
            KEYSTORE_VARIABLE,
            "there is no agent key: `./aiq wallet import` makes a keystore from one; or set "
            f"{FILE_VARIABLE}, or give the systemd credential {KEY_CREDENTIAL}",
        )
    if len(places) > 1:
        named = " and ".join(name for name, _, _ in places)
        raise KeyRefused(places[0][0], f"more than one key is named ({named}); keep one")
    name, source, read = places[0]
    secret = read()
    problem = key_problem(secret)
    if problem:
        raise KeyRefused(name, problem)
    return AgentKey(secret, source)


def key_problem(secret: SecretText) -> str:
    """Why a text is no key that can sign, in words that do not hold it; empty if it is one."""
    return _problem_in(secret.reveal().strip())


def address_of(secret: SecretText) -> str:
    """The address of a key, in lower case."""
    return _signing(secret)[1]


def keystore_json(secret: SecretText, passphrase: SecretText) -> bytes:
    """The key as an encrypted keystore, version 3 (scrypt): every Ethereum wallet reads it."""
    from eth_account import Account

    return json.dumps(Account.encrypt(_key_bytes(secret), passphrase.reveal(), kdf="scrypt"), indent=1).encode()


def keystore_secret(content: bytes, passphrase: SecretText) -> SecretText | str:
    """The key in a keystore, or what is wrong with it.

    The library's exceptions end here: their frames hold the passphrase, so not even a context may keep them.
    """
    from eth_account import Account

    try:
        key = Account.decrypt(content.decode(), passphrase.reveal())
        return SecretText(key.hex().removeprefix("0x"))
    except ValueError as error:
        if "MAC" in str(error):
            return "the passphrase does not open it"
    except (TypeError, KeyError, NotImplementedError, AttributeError, MemoryError):
        pass
    return "is not an encrypted keystore of version 3; `./aiq wallet import` makes one"


def passphrase_in(content: bytes) -> SecretText | str:
    """A passphrase file's one line, or what is wrong with it. Only the end of the line is taken off."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return "is not UTF-8 text"
    text = text.removesuffix("\n").removesuffix("\r")
    if not text or "\n" in text:
        return "must hold one line: the passphrase"
    return SecretText(text)


_Place = tuple[str, str, Callable[[], SecretText]]


def _places(sources: KeySources) -> list[_Place]:
    """Every place that a key is said to be in: the setting's name, what to call it, and how to read it."""
    found: list[_Place] = []
    credential = _credential(sources, KEY_CREDENTIAL)
    if credential is not None and credential != sources.key_file:
        name = f"credential {KEY_CREDENTIAL}"
        found.append((name, "systemd credential", lambda: _text(_content(name, credential, sources))))
    keystore = sources.keystore or _credential(sources, KEYSTORE_CREDENTIAL)
    if keystore is not None:
        found.append((KEYSTORE_VARIABLE, f"keystore {keystore}", lambda: _from_keystore(keystore, sources)))
    if (key_file := sources.key_file) is not None:
        found.append((FILE_VARIABLE, f"file {key_file}", lambda: _text(_content(FILE_VARIABLE, key_file, sources))))
    if (given := sources.environment) is not None:
        if not sources.allow_environment:
            raise KeyRefused(
                KEY_VARIABLE,
                "a key in the environment is for testnet and the local venue; remove it, and let "
                "`./aiq wallet import` put the key into a keystore",
            )
        found.append((KEY_VARIABLE, "environment", lambda: given))
    return found


def _credential(sources: KeySources, name: str) -> Path | None:
    """The file of a credential that systemd gives under a name of ours."""
    path = None if sources.credentials is None else sources.credentials / name
    return path if path is not None and path.exists() else None


def _from_keystore(path: Path, sources: KeySources) -> SecretText:
    content = _content(KEYSTORE_VARIABLE, path, sources)
    opened = keystore_secret(content, _passphrase(sources))
    if isinstance(opened, str):
        raise KeyRefused(KEYSTORE_VARIABLE, f"{path} {opened}")
    return opened


def _passphrase(sources: KeySources) -> SecretText:
    name = PASSPHRASE_VARIABLE if sources.passphrase_file is not None else f"credential {PASSPHRASE_CREDENTIAL}"
    path = sources.passphrase_file or _credential(sources, PASSPHRASE_CREDENTIAL)
    if path is None:
        raise KeyRefused(PASSPHRASE_VARIABLE, "the keystore needs its passphrase: name a 0600 file that holds it")
    passphrase = passphrase_in(_content(name, path, sources))
    if isinstance(passphrase, str):
        raise KeyRefused(name, f"{path} {passphrase}")
    return passphrase


class _Content(bytes):
    """A file's content that prints as nothing, should a traceback print locals."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"


def _content(name: str, path: Path, sources: KeySources) -> bytes:
    is_credential = sources.credentials is not None and path.parent == sources.credentials
    try:
        return _Content(read_private(path, credential=is_credential))
    except NotPrivate as error:
        problem = str(error)
    raise KeyRefused(name, f"{path} {problem}")


def _text(content: bytes) -> SecretText:
    return SecretText(content.decode("utf-8", "replace").strip())


def _problem_in(text: str) -> str:
    if _KEY.fullmatch(text):
        valid = 0 < int(text[-64:], 16) < _ORDER
        return "" if valid else "is 64 hexadecimal digits, but none that are a key"
    if _ADDRESS.fullmatch(text):
        return "is an address, not a key: a key has 64 hexadecimal digits"
    if _PHRASE.fullmatch(text):
        return "is a recovery phrase, which rules everything you own: give the key of an agent (API wallet) instead"
    if text.startswith("{"):
        return f"is a keystore, not a bare key: name it in {KEYSTORE_VARIABLE}"
    return "is not a key: a key is 64 hexadecimal digits, with 0x or without" if text else "is empty"


def _key_bytes(secret: SecretText) -> bytes:
    return bytes.fromhex(secret.reveal().strip()[-64:])


def _signing(secret: SecretText) -> tuple[Callable[[bytes], bytes], str]:
    """A function that signs 32 bytes, and the address it signs for. coincurve has no release for Python 3.14;
    eth_keys gives the same signatures, a hundred times slower."""
    try:
        from coincurve import PrivateKey
    except ImportError:
        return _signing_slowly(secret)
    key = PrivateKey(_key_bytes(secret))
    point = key.public_key.format(compressed=False)[1:]
    return lambda digest: key.sign_recoverable(digest, hasher=None), _address(point)


def _signing_slowly(secret: SecretText) -> tuple[Callable[[bytes], bytes], str]:
    from eth_keys.datatypes import PrivateKey

    key = PrivateKey(_key_bytes(secret))
    return lambda digest: key.sign_msg_hash(digest).to_bytes(), _address(key.public_key.to_bytes())


def _address(point: bytes) -> str:
    return "0x" + keccak.new(digest_bits=256, data=point).digest()[12:].hex()
