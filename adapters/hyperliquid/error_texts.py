"""What the venue says on its error channel about a subscription. The socket lives on."""

from __future__ import annotations

import enum
import json

from adapters.hyperliquid.heard import subscription_key


class ErrorKind(enum.Enum):
    ALREADY_ON = "Already subscribed"
    ALREADY_OFF = "Already unsubscribed"
    INVALID = "Invalid subscription"
    UNREADABLE = "Error parsing JSON"
    TOO_MANY_USERS = "Cannot track more than"
    TOO_MANY = "Cannot subscribe to more than"
    OTHER = ""
    """It decides nothing about a stream."""


def read_error(text: str) -> tuple[ErrorKind, str]:
    """Which error it is, and the key of the subscription that it quotes (empty where it quotes none)."""
    kind = next(each for each in ErrorKind if text.startswith(each.value))
    return kind, _key_in(text)


def _key_in(text: str) -> str:
    """The subscription may stand alone or inside the frame that asked for it."""
    start = text.find("{")
    if start < 0:
        return ""
    try:
        quoted, _ = json.JSONDecoder().raw_decode(text[start:])
    except (ValueError, RecursionError):
        return ""
    if isinstance(quoted, dict) and isinstance(quoted.get("subscription"), dict):
        quoted = quoted["subscription"]
    return subscription_key(quoted) if isinstance(quoted, dict) else ""
