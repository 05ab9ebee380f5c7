"""A way out of this machine: what it takes, and how it says that it did not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from adapters.alerts.severities import Severity


@dataclass(frozen=True, slots=True)
class Message:
    """What one channel is to send once. `code`: the alert's, or a word for a summary of several. Already masked."""

    severity: Severity
    code: str
    text: str


class ChannelFailed(Exception):
    """The message did not go out, as far as is known. The text is fit for a log: it holds no secret."""


class AlertChannel(Protocol):
    """One service that carries messages to a person."""

    @property
    def name(self) -> str:
        """How logs call it; no secret is in it."""
        ...

    def deliver(self, title: str, text: str, severity: Severity) -> None:
        """Send one message and wait for the answer: seconds, if the service is slow.

        Raises `ChannelFailed`; a second call with the same message may say it twice.
        """
        ...


def problem_of(channel: AlertChannel, title: str, text: str, severity: Severity) -> str:
    """Deliver one message, and say why the channel did not take it; empty: it did. Raises nothing."""
    try:
        channel.deliver(title, text, severity)
    except ChannelFailed as error:
        return str(error) or "it did not say why"
    except Exception as error:  # noqa: BLE001  (a driver may raise anything; its words may hold a secret)
        return type(error).__name__
    return ""
