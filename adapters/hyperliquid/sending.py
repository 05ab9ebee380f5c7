"""One signed action on its way to `/exchange`: one nonce, one signature, sent once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from adapters.hyperliquid.signing import Signature, envelope
from adapters.hyperliquid.transport import Bar, BrokenError, HttpReply, HttpTransport, NotSentError
from ports.clock import Clock
from ports.order_gateway import VenueUnavailable

EXCHANGE = "/exchange"
ORDERS_PER_WEIGHT = 40
"""A batch weighs 1, and 1 more for every so many entries."""


class SignsActions(Protocol):
    def sign_l1(
        self, action: Mapping[str, object], nonce: int, vault: str | None, expires_after: int | None
    ) -> Signature: ...


class GivesNonces(Protocol):
    def next(self, now_ms: int) -> int: ...


@dataclass(frozen=True, slots=True)
class Sent:
    """An action that may have arrived. `reply` is None when there is no answer; `problem` then says why."""

    nonce: int
    expires_after: int | None
    reply: HttpReply | None
    problem: str = ""

    @property
    def trace(self) -> str:
        """What one needs to prove later that the action can have no effect any more."""
        expiry = "" if self.expires_after is None else f", expires {self.expires_after}"
        return f"nonce {self.nonce}{expiry}"


class ActionSender:
    def __init__(
        self,
        transport: HttpTransport,
        signer: SignsActions,
        nonces: GivesNonces,
        clock: Clock,
        vault: str | None,
        timeout_s: float,
    ) -> None:
        self._transport = transport
        self._signer = signer
        self._nonces = nonces
        self._clock = clock
        self._vault = vault
        self._timeout_s = timeout_s

    async def send(
        self,
        action: Mapping[str, object],
        expires_after: int | None,
        nonce: int | None = None,
        *,
        urgent: bool = False,
        bar: Bar | None = None,
    ) -> Sent:
        """Sign and post, once; under a nonce of our own where none is given. `urgent`, `bar`: see `HttpTransport`.

        Raises `VenueUnavailable` only when nothing has left.
        """
        if nonce is None:
            nonce = self._nonces.next(self._clock.now_ms())
        signature = self._signer.sign_l1(action, nonce, self._vault, expires_after)
        body = envelope(action, nonce, signature, self._vault, expires_after)
        try:
            reply = await self._transport.post(EXCHANGE, body, self._timeout_s, urgent=urgent, bar=bar)
        except NotSentError as e:
            raise VenueUnavailable(str(e)) from e
        except BrokenError as e:
            return Sent(nonce, expires_after, None, str(e))
        return Sent(nonce, expires_after, reply)


def action_weight(entries: int) -> int:
    """What an action of so many entries weighs per IP."""
    return 1 + entries // ORDERS_PER_WEIGHT
