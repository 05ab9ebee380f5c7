"""The way orders leave: one account on one venue."""

from __future__ import annotations

from typing import Protocol

from domain.intents import OrderRequest
from domain.orders import SubmitOutcome


class VenueUnavailable(Exception):
    """Nothing happened; try later."""


class OrderGateway(Protocol):
    """Places and cancels orders for one account on one venue."""

    async def submit(self, request: OrderRequest) -> SubmitOutcome:
        """Place one order whose size and price already fit the instrument.

        Never called twice for one attempt: the venue does not promise that a reused cloid is
        refused. Returns `Rejected` only on the venue's own word about this order; once bytes
        may have left, every failure is `Unknown`. Raises `VenueUnavailable` only when nothing
        was sent.
        """
        ...

    async def cancel(self, symbol: str, cloid: str) -> None:
        """Ask the venue to cancel. The result comes as an event (canceled, filled); asking again is harmless.

        Raises `VenueUnavailable` when the request did not get through.
        """
        ...

    async def cancel_foreign(self, symbol: str, oid: int) -> None:
        """Ask the venue to cancel an order by its own number for it: one that is not ours has no other name here.

        `symbol` is one of the session's. An order that is not there (any more) is no error: it has ended. As `cancel`
        otherwise. Thousands may be asked for at once; exits that are submitted later do not wait for them.
        """
        ...

    async def burn(self, nonce: int) -> bool:
        """Use up the nonce of an attempt whose fate is not known, by something that does nothing.

        True once it is certain that nothing signed with it can be accepted any more, whoever used it up: that says
        nothing about whether the attempt was accepted before. Asking again is harmless. Raises `VenueUnavailable` when
        nothing was sent.
        """
        ...
