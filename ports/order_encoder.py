"""How an order is written for the venue, without any key: what will be signed, before anything is."""

from __future__ import annotations

from typing import Protocol

from domain.intents import OrderRequest, Payload


class OrderEncoder(Protocol):
    def payload(self, request: OrderRequest, nonce: int, expires_ms: int) -> Payload:
        """The attempt's payload. Pure: the same arguments give the same payload, on any machine.

        The request fits its instrument; one that does not is a bug of the caller (`AssertionError`).
        """
        ...
