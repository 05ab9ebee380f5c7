"""How a local venue behaves: its clock, its limits, its fees. Defaults are what was measured on the real one."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from domain.fees import BASE_TIER, FeeSchedule


@dataclass(frozen=True, slots=True)
class Cadence:
    """Milliseconds of venue time between things that come by themselves (`hyperliquid-protocol` §1.8)."""

    block: int = 70
    """Actions are collected and executed block by block; 0 executes each one as it arrives."""
    quotes: int = 1_000
    """How long the house's quotes stand; a minute is a multiple of it."""
    mark: int = 3_000
    all_mids: int = 5_000
    l2_book: int = 5_400
    l2_book_fast: int = 540
    asset_ctx: int = 1_000
    all_dexs_asset_ctxs: int = 13_600
    fast_asset_ctxs: int = 1_000
    account_state: int = 4_500
    candle: int = 600
    """Shortest time between two frames of one running candle."""
    idle_close: int = 60_000
    """A socket to which nothing was sent for so long is dropped."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one IP and one address may do (§9)."""

    enforced: bool = True
    weight_per_minute: int = 1_200
    connections: int = 10
    new_connections_per_minute: int = 30
    subscriptions: int = 1_000
    users: int = 15
    messages_per_minute: int = 2_000
    inflight_posts: int = 100
    address_requests: int = 10_000
    open_orders: int = 1_000
    action_items: int = 200
    body_bytes: int = 1_048_576


@dataclass(frozen=True, slots=True)
class VenueSettings:
    """`read_lag_ms`: by how much order and fill queries lag the chain. `nonces_from_start`: time runs faster
    than the clients' clocks, so nonces are judged from the venue's start on."""

    cadence: Cadence = field(default_factory=Cadence)
    limits: Limits = field(default_factory=Limits)
    fees: FeeSchedule = BASE_TIER
    read_lag_ms: int = 0
    nonces_from_start: bool = False
    schedule_cancel_volume_usd: Decimal = Decimal(1_000_000)
    price_band: Decimal = Decimal("0.8")
    agent_validity_ms: int = 90 * 86_400_000
