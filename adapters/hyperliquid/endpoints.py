"""Where Hyperliquid is, and which of its networks a signature is for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`is_mainnet` decides the signatures: the real main network, and nothing else."""

    url: str
    is_mainnet: bool

    @property
    def ws_url(self) -> str:
        return "ws" + self.url.removeprefix("http") + "/ws"


MAINNET = Endpoint("https://api.hyperliquid.xyz", is_mainnet=True)
TESTNET = Endpoint("https://api.hyperliquid-testnet.xyz", is_mainnet=False)


def local_endpoint(url: str) -> Endpoint:
    """The local venue: it takes testnet signatures."""
    return Endpoint(url.rstrip("/"), is_mainnet=False)
