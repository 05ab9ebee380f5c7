"""Order requests as unsigned actions, to the byte: key order, number texts and optional keys as the venue hashes them.

What does not fit the instrument never leaves: requests come rounded, so a misfit is a bug of ours, and an assertion.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from adapters.hyperliquid.action_hash import action_hash
from domain.instruments import Instrument, Universe
from domain.intents import OrderRequest, Payload, TimeInForce, Trigger

MAX_PER_ACTION = 200
"""More cancels in one action are refused as a whole."""

_TIF = {TimeInForce.IOC: "Ioc", TimeInForce.GTC: "Gtc", TimeInForce.ALO: "Alo"}
_CLOID = re.compile(r"0x[0-9a-f]{32}")
_MAX_DECIMALS = 8

Action = dict[str, object]


def wire_number(value: Decimal) -> str:
    """A number in the venue's normal form: no exponent, no sign, no trailing zeros, at most 8 decimals.

    The venue hashes its own spelling: with any other, the signature recovers to a stranger. Exact at any length.
    """
    assert value.is_finite() and value >= 0, "sizes and prices are finite and not negative"
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    text = "0" if value == 0 else text  # zero may have a sign
    assert len(text.partition(".")[2]) <= _MAX_DECIMALS, "the venue knows 8 decimals"
    return text


class ActionEncoder:
    """Builds actions for one network: `asset_of` is that network's numbering of the symbols.

    `vault` is named in what is signed, where the agent's master trades for somebody else.
    """

    def __init__(self, universe: Universe, asset_of: Mapping[str, int], vault: str | None = None) -> None:
        self._universe = universe
        self._asset_of = dict(asset_of)
        self._vault = vault

    def payload(self, request: OrderRequest, nonce: int, expires_ms: int) -> Payload:
        """See `OrderEncoder`: one order in an action of its own, so that its nonce answers for it alone."""
        action = self.order(request)
        digest = action_hash(action, nonce, self._vault, expires_ms).hex()
        return Payload(nonce, expires_ms, msgspec.json.encode(action).decode(), digest)

    def order(self, request: OrderRequest) -> Action:
        """A market order is an IOC with the request's own limit."""
        return {"type": "order", "orders": [self._order(request)], "grouping": "na"}

    def cancel(self, pairs: Sequence[tuple[str, str]]) -> Action:
        """Cancel orders by (symbol, cloid)."""
        assert 1 <= len(pairs) <= MAX_PER_ACTION, "an action has 1 to 200 cancels"
        cancels = [{"asset": self._asset(symbol), "cloid": _checked_cloid(cloid)} for symbol, cloid in pairs]
        return {"type": "cancelByCloid", "cancels": cancels}

    def cancel_oids(self, pairs: Sequence[tuple[str, int]]) -> Action:
        """Cancel orders by (symbol, the venue's number for it)."""
        assert 1 <= len(pairs) <= MAX_PER_ACTION, "an action has 1 to 200 cancels"
        return {"type": "cancel", "cancels": [{"a": self._asset(symbol), "o": oid} for symbol, oid in pairs]}

    def leverage(self, symbol: str, leverage: int, is_cross: bool) -> Action:
        limit = self._instrument(symbol).max_leverage
        assert type(leverage) is int and 1 <= leverage <= limit, f"{symbol} has whole leverages from 1 to {limit}"
        return {"type": "updateLeverage", "asset": self._asset(symbol), "isCross": is_cross, "leverage": leverage}

    def noop(self) -> Action:
        """Does nothing but use up its nonce."""
        return {"type": "noop"}

    def schedule_cancel(self, at_ms: int | None) -> Action:
        """Have every order cancelled at a moment of the venue's time, or clear that (None)."""
        return {"type": "scheduleCancel"} | ({} if at_ms is None else {"time": at_ms})

    def _order(self, request: OrderRequest) -> Action:
        instrument = self._instrument(request.symbol)
        assert instrument.is_valid_size(request.size), f"a size of {request.symbol} fits its step"
        assert instrument.is_valid_price(request.limit_price), f"a limit price of {request.symbol} fits its tick"
        return {
            "a": self._asset(request.symbol),
            "b": request.side.sign > 0,
            "p": wire_number(request.limit_price),
            "s": wire_number(request.size),
            "r": request.reduce_only,
            "t": _order_type(request, instrument),
            "c": _checked_cloid(request.cloid),
        }

    def _instrument(self, symbol: str) -> Instrument:
        assert symbol in self._universe, f"{symbol} is a symbol of this session"
        return self._universe.instrument(symbol)

    def _asset(self, symbol: str) -> int:
        asset = self._asset_of.get(symbol)
        assert asset is not None, f"the venue's number of {symbol} is known"
        return asset


def _order_type(request: OrderRequest, instrument: Instrument) -> Action:
    if request.trigger is None:
        return {"limit": {"tif": _TIF[request.time_in_force]}}
    return {"trigger": _trigger(request.trigger, instrument)}


def _trigger(trigger: Trigger, instrument: Instrument) -> Action:
    """At the trigger it becomes a market order; the order's limit bounds what that may cost."""
    assert instrument.is_valid_price(trigger.price), f"a trigger price of {instrument.symbol} fits its tick"
    return {"isMarket": True, "triggerPx": wire_number(trigger.price), "tpsl": trigger.kind.value}


def _checked_cloid(cloid: str) -> str:
    assert _CLOID.fullmatch(cloid), "a cloid is 0x and 32 hexadecimal digits in lower case"
    return cloid
