"""The last thing that happens to a log line: whatever looks like a key, a signature or a secret is taken out.

    digits      60 or more hexadecimal ones in a row (a key has 64, a signature 130; a hash looks the same and goes with
                them), and the r, s and v of a signature, whatever their length
    names       the value of anything called private_key, secret, passphrase, password, mnemonic, agent_key, api_key
    bytes       a Python bytes literal that is mostly not text
    addresses   the user of a URL, and all of a URL whose scheme is not the web's (Telegram, mail, …: they hold tokens)
    known       the texts that this daemon was given as secrets, and the parts of its alert URLs

What people need stays: addresses (40 digits), cloids (32), intents (24), config digests (12).
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping

REDACTED = "[redacted]"

TEXT_CHARS = 20_000
"""A traceback may be long, and what somebody put into a field without end."""

_QUOTE = r"""\\{0,8}["']"""
"""A quote, escaped or not: a line may be JSON in JSON."""
_NAME = r"(?:private_?key|secret|passphrase|password|mnemonic|agent_?key|api_?key)"
_TEXT_VALUE = rf"""\[redacted\]|{_QUOTE}(?:(?!{_QUOTE}).)*{_QUOTE}|[^\s,;)}}\]"']+"""

_DIGITS = re.compile(r"(?:0[xX])?[0-9a-fA-F]{60,}")
_BYTES = re.compile(r"""\bb(?P<quote>["'])(?P<body>(?:\\.|(?!(?P=quote))[^\\])*)(?P=quote)""")
_SIGNATURE_PART = re.compile(
    rf"(?P<name>{_QUOTE}[rs]{_QUOTE}\s*:\s*){_QUOTE}?(?:0[xX][0-9a-fA-F]+|[0-9]{{30,}}){_QUOTE}?"
)
_SIGNATURE_END = re.compile(rf"(?P<name>{_QUOTE}v{_QUOTE}\s*:\s*)[0-9]+")
_NAMED = re.compile(rf"(?P<name>\b\w*{_NAME}{_QUOTE}?\s*[:=]\s*)(?:{_TEXT_VALUE})", re.IGNORECASE)
_SIGNATURE = frozenset("rsv")
_USER_INFO = re.compile(r"://[^/\s@\"']+@")
_OTHER_URL = re.compile(r"\b(?!(?:https?|wss?|file|sqlite)://)(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]{1,30})://[^\s\"'\\]+")

_WORD = string.ascii_letters + string.digits + "+/=_:-"

_UNPRINTABLE = 6
"""Of the 32 bytes of a key about twenty are none that Python prints as they are."""

_TELLING_PART = re.compile(r"(?=.*[0-9A-Z])(?!localhost\b|[0-9.]+(:[0-9]+)?$)\S{8,}")
"""A part of a URL that may be a token: this machine, a number of dots and a word such as `services` are none."""


class Redaction:
    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """`secrets` are texts that must never be told, whatever they look like."""
        known = sorted(set(filter(None, secrets)), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def text(self, text: str) -> str:
        """A text without what must not be told, and no longer than `TEXT_CHARS`, about."""
        text = shortened(text)
        if self._known is not None:
            text = self._known.sub(REDACTED, text)
        text = _DIGITS.sub(REDACTED, text)
        if "\\x" in text:
            text = _BYTES.sub(_without_bytes, text)
        signed = _SIGNATURE_PART.sub(rf'\g<name>"{REDACTED}"', text)
        if signed != text:
            text = _SIGNATURE_END.sub(rf'\g<name>"{REDACTED}"', signed)
        text = _NAMED.sub(rf'\g<name>"{REDACTED}"', text)
        if "://" in text:
            text = _USER_INFO.sub(f"://{REDACTED}@", text)
            text = _OTHER_URL.sub(rf"\g<scheme>://{REDACTED}", text)
        return text

    def fields(self, fields: Mapping[str, object]) -> dict[str, object]:
        """Named values as JSON knows them, redacted wherever a text hides in them."""
        signed = _SIGNATURE if fields.keys() >= _SIGNATURE else frozenset[str]()
        return {
            self.text(str(name)): REDACTED if name in signed else self._value(value, str(name))
            for name, value in fields.items()
        }

    def _value(self, value: object, name: str = "") -> object:
        if name and re.search(_NAME + "$", name, re.IGNORECASE):
            return REDACTED
        match value:
            case None | bool() | float():
                return value
            case int():
                return value if abs(value) < 10**30 else REDACTED
            case bytes() | bytearray() | memoryview():
                return f"[{len(value)} bytes]"
            case Mapping():
                return self.fields(value)
            case list() | tuple() | set() | frozenset():
                return [self._value(each) for each in value]
            case _:
                return self.text(str(value))


def shortened(text: str) -> str:
    """The beginning and the end, which says what went wrong, of a text that is too long.

    No word stays that was cut: half a key is no key any more, and would not be known as one.
    """
    if len(text) <= TEXT_CHARS:
        return text
    head, tail = text[: TEXT_CHARS // 2], text[-TEXT_CHARS // 2 :]
    head, tail = head.rstrip(_WORD), tail.lstrip(_WORD)
    return f"{head} […{len(text) - len(head) - len(tail)} characters…] {tail}"


def _without_bytes(found: re.Match[str]) -> str:
    return REDACTED if found["body"].count("\\x") >= _UNPRINTABLE else found[0]


def url_secrets(urls: str) -> list[str]:
    """The URLs of a comma-separated list, and their parts that may be tokens by themselves."""
    found = [url.strip() for url in urls.split(",")]
    return found + [part for url in found for part in re.split(r"[/?&=@]+", url) if _TELLING_PART.fullmatch(part)]
