"""What leaves this machine says neither keys nor whole addresses."""

from __future__ import annotations

import re

REDACTED = "[redacted]"

_KEY = re.compile(r"(?:0[xX])?[0-9a-fA-F]{60,}")
"""A key has 64 hexadecimal digits, a signature more; a hash looks the same and goes with them."""
_ADDRESS = re.compile(r"(0[xX])?([0-9a-fA-F]{4})[0-9a-fA-F]{32,}([0-9a-fA-F]{4})")
"""40 hexadecimal digits or a few more; a cloid has 32 and stays."""
_USER_INFO = re.compile(r"://[^/\s@]+@")


def masked(text: str) -> str:
    """The text with every key and every password of a URL taken out, and every address shortened to 0x1234…abcd."""
    text = _USER_INFO.sub(f"://{REDACTED}@", _KEY.sub(REDACTED, text))
    return _ADDRESS.sub(lambda found: f"{found[1] or ''}{found[2]}…{found[3]}", text)
