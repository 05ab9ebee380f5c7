"""The gateway of `dry_live`: orders are built to the byte, written down, and not sent.

Nothing in here could send: there is no transport, no signer, no nonce, and no module of theirs is imported.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from domain.intents import OrderRequest
from domain.orders import SubmitOutcome, Would


class BuildsActions(Protocol):
    def order(self, request: OrderRequest) -> Mapping[str, object]: ...

    def cancel(self, pairs: Sequence[tuple[str, str]]) -> Mapping[str, object]: ...

    def cancel_oids(self, pairs: Sequence[tuple[str, int]]) -> Mapping[str, object]: ...


class DryGateway:
    """`write` gets one line of JSON per order or cancel: the action that would have been signed."""

    def __init__(self, encoder: BuildsActions, write: Callable[[str], None]) -> None:
        self._encoder = encoder
        self._write = write

    async def submit(self, request: OrderRequest) -> SubmitOutcome:
        self._note(self._encoder.order(request), leverage=str(request.leverage), deadline_ms=request.deadline_ms)
        return Would()

    async def cancel(self, symbol: str, cloid: str) -> None:
        self._note(self._encoder.cancel([(symbol, cloid)]))

    async def cancel_foreign(self, symbol: str, oid: int) -> None:
        self._note(self._encoder.cancel_oids([(symbol, oid)]))

    async def burn(self, nonce: int) -> bool:
        """Nothing was ever signed with it."""
        return True

    def _note(self, action: Mapping[str, object], **more: object) -> None:
        self._write(json.dumps({"would": action, **more}, separators=(",", ":")))
