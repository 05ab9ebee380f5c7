"""Orders of somebody who signs with our key and names orders as we do, but is not us: a second daemon."""

from __future__ import annotations

from decimal import Decimal

from adapters.hyperliquid.keys import AgentKey
from adapters.hyperliquid.signing import Signer, envelope
from adapters.sim.venue.venue import Venue
from domain.instruments import PriceRounding

MAGIC = "a19c01"
"""What cloids of every ledger of ours begin with."""
OTHER_TAG = "ffee"
FAR = Decimal("0.8")
NOTIONAL_USD = Decimal(15)


def is_foreign(cloid: object) -> bool:
    return isinstance(cloid, str) and cloid.startswith(f"0x{MAGIC}{OTHER_TAG}")


def foreign_order(venue: Venue, key: AgentKey, coin: str, now_ms: int) -> bytes:
    """A signed request for a small order that rests far below the price."""
    instrument = venue.exchange.by_coin[coin]
    mid = venue.market.mid(coin) or venue.exchange.marks[coin]
    price = instrument.round_price(mid * FAR, PriceRounding.DOWN)
    size = instrument.round_size(NOTIONAL_USD / price) + instrument.size_step
    order = {
        "a": venue.exchange.asset_of(coin),
        "b": True,
        "p": f"{price.normalize():f}",
        "s": f"{size.normalize():f}",
        "r": False,
        "t": {"limit": {"tif": "Gtc"}},
        "c": f"0x{MAGIC}{OTHER_TAG}{now_ms:022x}",
    }
    action = {"type": "order", "orders": [order], "grouping": "na"}
    nonce = now_ms | 1
    signature = Signer(key, is_mainnet=False).sign_l1(action, nonce, None, None)
    return envelope(action, nonce, signature, None, None)
