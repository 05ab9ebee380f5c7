"""What a ledger says of money: trades, bookings, open positions and the account, all of one moment.

Read-only, beside a running daemon. Raises `StorageError` where there is no ledger, or one that cannot be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from adapters.sqlite import position_rows, tables
from adapters.sqlite.file_kinds import LEDGER
from adapters.sqlite.reading import reading
from domain.facts import CashFlowRecorded, ProtectionLapsed
from domain.intents import Side
from domain.performance import Booking
from domain.positions import Position, Trade
from domain.risk import RiskState
from domain.value_text import decimal_from_text

_NEWEST = " UNION ALL ".join(
    f"SELECT max({column}) AS at_ms FROM {table}"
    for table, column in (
        ("fills", "time_ms"),
        ("funding", "time_ms"),
        ("trades", "closed_ms"),
        ("orders", "updated_ms"),
        ("positions", "updated_ms"),
        ("account", "at_ms"),
        ("cash_flows", "at_ms"),
        ("risk_state", "updated_ms"),
        ("operator_acts", "at_ms"),
        ("protection_lapses", "until_ms"),
        ("cursors", "until_ms"),
    )
)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose ledger it is. `newest_ms` is the newest moment that it speaks of; None for one that says nothing yet."""

    mode: str
    network: str
    account: str
    newest_ms: int | None


@dataclass(frozen=True, slots=True)
class Books:
    """Trades in the order in which they closed, bookings in that of their times, positions that are open by symbol.

    `strategies` names, by the id of the intent that opened a trade, whose idea it was. `open_gaps` are (symbol, time)
    where fills are known to be missing: what is realised around them is not certain.
    """

    owner: Owner
    trades: tuple[Trade, ...]
    bookings: tuple[Booking, ...]
    positions: tuple[Position, ...]
    strategies: Mapping[str, str]
    open_gaps: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """The account. `cash_usd` is the venue's word of `cash_ms`, None before it was given; `bookings` are those since.

    `leverages` are by symbol, the lowest that an open position was entered with; one that is not ours has none.
    """

    owner: Owner
    cash_usd: Decimal | None
    cash_ms: int
    bookings: tuple[Booking, ...]
    positions: tuple[Position, ...]
    leverages: Mapping[str, Decimal]
    risk: RiskState
    flows: tuple[CashFlowRecorded, ...]


@dataclass(frozen=True, slots=True)
class RestingTrigger:
    """A trigger order that the venue may hold. `kind` is sl or tp, `left` what it would still close."""

    cloid: str
    kind: str
    trigger_price: Decimal
    left: Decimal
    reduce_only: bool
    status: str


@dataclass(frozen=True, slots=True)
class HeldPosition:
    """An open position and what is known of it. `intent_id` and `reason`: the decision; None where it was not ours.

    `resting`: newest last. `lapses`: while it was open, it had no stop at the venue in these spans.
    """

    position: Position
    reason: str | None
    strategy: str | None
    leverage: Decimal | None
    adopted: bool
    resting: tuple[RestingTrigger, ...]
    lapses: tuple[ProtectionLapsed, ...]


def books(path: Path, symbol: str | None = None) -> Books:
    """Everything that was ever booked; with `symbol`, on that symbol."""
    with reading(path, LEDGER) as connection:
        return Books(
            owner=_owner(connection),
            trades=_trades(connection, symbol),
            bookings=_bookings(connection, symbol),
            positions=_positions(connection, symbol),
            strategies=_strategies(connection),
            open_gaps=_open_gaps(connection, symbol),
        )


def standing(path: Path) -> Standing:
    """Where the account stands."""
    account, risk = tables.account, tables.risk_state
    with reading(path, LEDGER) as connection:
        cash = connection.execute(sa.select(account.c.cash_usd, account.c.at_ms)).first()
        state = connection.execute(sa.select(risk)).mappings().first()
        cash_ms = 0 if cash is None else cash.at_ms
        positions = _positions(connection, None)
        return Standing(
            owner=_owner(connection),
            cash_usd=None if cash is None else decimal_from_text(cash.cash_usd),
            cash_ms=cash_ms,
            bookings=tuple(each for each in _bookings(connection, None) if each.time_ms > cash_ms),
            positions=positions,
            leverages=_leverages(connection, positions),
            risk=RiskState() if state is None else position_rows.risk_of(state),
            flows=_flows(connection),
        )


def held_positions(path: Path, symbol: str | None = None) -> tuple[Owner, list[HeldPosition]]:
    """Positions that are open, by symbol, and whose ledger it is."""
    with reading(path, LEDGER) as connection:
        held = _held_intents(connection)
        adopted = set(
            connection.execute(
                sa.select(tables.exit_states.c.symbol).where(tables.exit_states.c.adopted != 0)
            ).scalars()
        )
        return _owner(connection), [
            _held(connection, position, held.get(position.intent_id or ""), position.symbol in adopted)
            for position in _positions(connection, symbol)
        ]


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────


def _owner(connection: sa.Connection) -> Owner:
    row = connection.execute(sa.select(tables.meta)).mappings().one()
    newest = connection.exec_driver_sql(f"SELECT max(at_ms) FROM ({_NEWEST})").scalar()
    return Owner(row["mode"], row["network"], row["account"], newest or None)


def _trades(connection: sa.Connection, symbol: str | None) -> tuple[Trade, ...]:
    table = tables.trades
    wanted = _of_symbol(sa.select(table).order_by(table.c.closed_ms, table.c.id), table, symbol)
    return tuple(_trade_of(row) for row in connection.execute(wanted).mappings())


def _trade_of(row: Any) -> Trade:
    if row["side"] not in ("long", "short"):
        raise ValueError(f"{row['side']!r} is no side of a trade")
    amounts = ("size", "entry_price", "exit_price", "pnl", "fees", "funding")
    return Trade(
        symbol=row["symbol"],
        side=Side.BUY if row["side"] == "long" else Side.SELL,
        opened_ms=row["opened_ms"],
        closed_ms=row["closed_ms"],
        intent_id=row["intent_id"],
        exit_reason=row["exit_reason"],
        **{name: decimal_from_text(row[name]) for name in amounts},
    )


def _bookings(connection: sa.Connection, symbol: str | None) -> tuple[Booking, ...]:
    fills, funding = tables.fills, tables.funding
    executed = _of_symbol(sa.select(fills.c.time_ms, fills.c.symbol, fills.c.realised, fills.c.fee), fills, symbol)
    paid = _of_symbol(sa.select(funding.c.time_ms, funding.c.symbol, funding.c.amount_usd), funding, symbol)
    found = [
        Booking(time_ms, name, realised=decimal_from_text(realised), fee=decimal_from_text(fee))
        for time_ms, name, realised, fee in connection.execute(executed)
    ]
    found += (
        Booking(time_ms, name, funding=decimal_from_text(amount)) for time_ms, name, amount in connection.execute(paid)
    )
    return tuple(sorted(found, key=lambda each: each.time_ms))


def _positions(connection: sa.Connection, symbol: str | None) -> tuple[Position, ...]:
    table = tables.positions
    wanted = _of_symbol(sa.select(table).where(table.c.size != "0").order_by(table.c.symbol), table, symbol)
    return tuple(position_rows.position_of(row) for row in connection.execute(wanted).mappings())


def _strategies(connection: sa.Connection) -> dict[str, str]:
    intents, trades = tables.order_intents, tables.trades
    named = sa.select(intents.c.intent_id, intents.c.strategy).where(
        intents.c.intent_id.in_(sa.select(trades.c.intent_id).where(trades.c.intent_id.is_not(None)))
    )
    return {row.intent_id: row.strategy for row in connection.execute(named)}


def _open_gaps(connection: sa.Connection, symbol: str | None) -> tuple[tuple[str, int], ...]:
    gaps = tables.gaps
    wanted = sa.select(gaps.c.symbol, gaps.c.time_ms).where(gaps.c.closed_ms.is_(None)).order_by(gaps.c.id)
    return tuple((name, time_ms) for name, time_ms in connection.execute(_of_symbol(wanted, gaps, symbol)))


def _held_intents(connection: sa.Connection) -> dict[str, Any]:
    """The intents that opened what is open."""
    intents, positions = tables.order_intents, tables.positions
    opened = sa.select(positions.c.intent_id).where(positions.c.size != "0", positions.c.intent_id.is_not(None))
    rows = connection.execute(sa.select(intents).where(intents.c.intent_id.in_(opened))).mappings()
    return {row["intent_id"]: row for row in rows}


def _held(connection: sa.Connection, position: Position, intent: Any, adopted: bool) -> HeldPosition:
    return HeldPosition(
        position=position,
        reason=None if intent is None else intent["reason"],
        strategy=None if intent is None else intent["strategy"],
        leverage=_leverages(connection, (position,)).get(position.symbol),
        adopted=adopted,
        resting=_resting(connection, position.symbol),
        lapses=_lapses(connection, position),
    )


def _leverages(connection: sa.Connection, positions: Sequence[Position]) -> dict[str, Decimal]:
    """Of all entries the lowest: an ADD may have changed it at the venue, or have been refused there."""
    fills, intents = tables.fills, tables.order_intents
    found: dict[str, Decimal] = {}
    for position in positions:
        wanted = (
            sa.select(intents.c.leverage)
            .join(fills, fills.c.intent_id == intents.c.intent_id)
            .where(fills.c.symbol == position.symbol, fills.c.time_ms >= position.opened_ms)
            .where(intents.c.action.in_(("OPEN", "ADD")))
        )
        entered = [decimal_from_text(text) for text in connection.execute(wanted).scalars()]
        if position.intent_id is not None and entered:
            found[position.symbol] = min(entered)
    return found


def _resting(connection: sa.Connection, symbol: str) -> tuple[RestingTrigger, ...]:
    attempts, orders = tables.order_attempts, tables.orders
    wanted = (
        sa.select(attempts, orders.c.status, orders.c.filled)
        .join(orders, orders.c.cloid == attempts.c.cloid)
        .where(attempts.c.symbol == symbol, attempts.c.trigger_price.is_not(None), tables.MAY_LIVE)
        .order_by(attempts.c.sent_ms, attempts.c.cloid)
    )
    return tuple(
        RestingTrigger(
            cloid=row["cloid"],
            kind=row["trigger_kind"],
            trigger_price=decimal_from_text(row["trigger_price"]),
            left=decimal_from_text(row["size"]) - decimal_from_text(row["filled"]),
            reduce_only=bool(row["reduce_only"]),
            status=row["status"],
        )
        for row in connection.execute(wanted).mappings()
    )


def _lapses(connection: sa.Connection, position: Position) -> tuple[ProtectionLapsed, ...]:
    table = tables.protection_lapses
    wanted = (
        sa.select(table.c.symbol, table.c.since_ms, table.c.until_ms, table.c.why)
        .where(table.c.symbol == position.symbol, table.c.until_ms > position.opened_ms)
        .order_by(table.c.since_ms, table.c.id)
    )
    return tuple(ProtectionLapsed(*row) for row in connection.execute(wanted))


def _flows(connection: sa.Connection) -> tuple[CashFlowRecorded, ...]:
    table = tables.cash_flows
    rows = connection.execute(sa.select(table).order_by(table.c.time_ms, table.c.flow_id)).mappings()
    return tuple(
        CashFlowRecorded(
            row["flow_id"], row["kind"], row["time_ms"], decimal_from_text(row["amount_usd"]), row["at_ms"]
        )
        for row in rows
    )


def _of_symbol(wanted: sa.Select[Any], table: sa.Table, symbol: str | None) -> sa.Select[Any]:
    return wanted if symbol is None else wanted.where(table.c.symbol == symbol)
