"""All that the venue says about an account's past and present: wholly, or not at all."""

from __future__ import annotations

from dataclasses import dataclass, replace

from adapters.hyperliquid.account import OVERLAP_MS, HyperliquidAccount
from adapters.hyperliquid.account_reads import AccountReader
from adapters.hyperliquid.old_orders import OldOrder, read_old_orders
from config.settings import Settings
from config.variables import Mode
from domain.events import AccountSnapshot, FillArrived, FundingPaid
from domain.fills import Fill
from entrypoints.venue_connection import connect


@dataclass(frozen=True, slots=True)
class VenueWord:
    """`orders` are those with a cloid of ours. Fills and payments from `since_ms` on, oldest first."""

    account: str
    fills: tuple[Fill, ...]
    payments: tuple[FundingPaid, ...]
    orders: tuple[OldOrder, ...]
    snapshot: AccountSnapshot
    since_ms: int


async def ask_venue(settings: Settings, since_ms: int) -> VenueWord:
    """Ask for orders, fills, payments and the account's state. Reads only: no key is used.

    Raises `VenueUnavailable` if one of the answers is missing or cannot be read.
    """
    connection = await connect(replace(settings, mode=Mode.DRY_LIVE))
    try:
        user = connection.account_address
        orders = await read_old_orders(AccountReader(connection.info, user, connection.sentinel.note))
        account = HyperliquidAccount(connection.info, user, connection.sentinel, connection.clock)
        told = await account.recover((), since_ms + OVERLAP_MS)
        snapshot = told[-1]
        assert isinstance(snapshot, AccountSnapshot), "the account's state comes last"
        return VenueWord(
            user,
            tuple(e.fill for e in told if isinstance(e, FillArrived) and e.fill.time_ms >= since_ms),
            tuple(e for e in told if isinstance(e, FundingPaid) and e.time_ms >= since_ms),
            orders,
            snapshot,
            since_ms,
        )
    finally:
        await connection.close()
