"""What `/info` answers about an account, from lists of rows, in pages as the venue cuts them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.hyperliquid.transport import HttpReply
from domain.events import Event, FillArrived
from tests.hyperliquid_rigs import NOW_MS, USER, ToldRig, cloid, reply

HOUR_MS = 3_600_000
SINCE_MS = NOW_MS - 100 * HOUR_MS
MINUTE_MS = 60_000

Row = dict[str, Any]


def fill_row(number: int, time_ms: int, coin: str = "BTC", **changes: Any) -> Row:
    row: Row = {
        "coin": coin,
        "px": "90000.0",
        "sz": "0.001",
        "side": "B",
        "time": time_ms,
        "startPosition": f"{number / 1000}",
        "dir": "Open Long",
        "closedPnl": "0.0",
        "hash": "0x" + "00" * 32,
        "oid": 1_000 + number,
        "crossed": True,
        "fee": "0.01",
        "tid": 5_000 + number,
        "cloid": cloid(number),
        "feeToken": "USDC",
        "twapId": None,
    }
    return row | changes


def funding_row(time_ms: int, coin: str = "BTC") -> Row:
    delta = {"type": "funding", "coin": coin, "usdc": "-0.5", "szi": "0.1", "fundingRate": "0.00001", "nSamples": None}
    return {"time": time_ms, "hash": "0x" + "00" * 32, "delta": delta}


def ledger_row(time_ms: int, kind: str = "deposit", **delta: Any) -> Row:
    return {"time": time_ms, "hash": f"0x{time_ms:064x}", "delta": {"type": kind, **delta}}


def order_row(number: int, status: str, size: str = "0.01", **changes: Any) -> Row:
    order: Row = {
        "coin": "BTC",
        "side": "B",
        "limitPx": "90000.0",
        "sz": size,
        "oid": 1_000 + number,
        "timestamp": NOW_MS,
        "triggerCondition": "N/A",
        "isTrigger": False,
        "triggerPx": "0.0",
        "children": [],
        "isPositionTpsl": False,
        "reduceOnly": False,
        "orderType": "Limit",
        "origSz": "0.01",
        "tif": "Ioc",
        "cloid": cloid(number),
    }
    inner = {"order": order | changes, "status": status, "statusTimestamp": NOW_MS}
    return {"status": "order", "order": inner}


def open_row(number: int, **changes: Any) -> Row:
    row: Row = order_row(number, "open")["order"]["order"]
    return row | changes


@dataclass
class Books:
    """The venue's side: lists of rows, answered in pages."""

    fills: list[Row] = field(default_factory=list)
    fundings: list[Row] = field(default_factory=list)
    ledger: list[Row] = field(default_factory=list)
    orders: dict[str | int, Row] = field(default_factory=dict)
    positions: list[tuple[str, str, str]] = field(default_factory=list)
    """(coin, signed size, unrealised PnL)"""
    equity: str = "1000.0"
    abstraction: str = "default"
    resting: list[Row] = field(default_factory=list)
    state_ms: int | None = NOW_MS
    newest_first: bool = False
    spot_usdc: str = "5000.5"
    on_state: Callable[[], None] = lambda: None
    on_resting: Callable[[], None] = lambda: None
    asked: list[str] = field(default_factory=list)

    def answer(self, request: Row) -> HttpReply:
        assert request["user"] == USER
        self.asked.append(request["type"])
        match request["type"]:
            case "userFillsByTime":
                return reply(self._page(self.fills, request, 2_000))
            case "userFunding":
                return reply(self._page(self.fundings, request, 500))
            case "userNonFundingLedgerUpdates":
                return reply(self._page(self.ledger, request, 500))
            case "orderStatus":
                return reply(self.orders.get(request["oid"], {"status": "unknownOid"}))
            case "clearinghouseState":
                state = self._state()
                self.on_state()
                return reply(state)
            case "frontendOpenOrders":
                rows = list(self.resting)
                self.on_resting()
                return reply(rows)
            case "userAbstraction":
                return reply(self.abstraction)
            case "spotClearinghouseState":
                balance = {"coin": "USDC", "token": 0, "total": self.spot_usdc, "hold": "12.0", "entryNtl": "0.0"}
                return reply({"balances": [balance]})
            case other:
                raise AssertionError(other)

    def _page(self, rows: Sequence[Row], request: Row, limit: int) -> list[Row]:
        end = request.get("endTime")
        found = [row for row in rows if request["startTime"] <= row["time"] and (end is None or row["time"] <= end)]
        found.sort(key=lambda row: row["time"])  # stable
        return found[::-1][:limit] if self.newest_first else found[:limit]

    def _state(self) -> Row:
        summary = {
            "accountValue": self.equity,
            "totalNtlPos": "0.0",
            "totalRawUsd": self.equity,
            "totalMarginUsed": "0.0",
        }
        return {
            "marginSummary": summary,
            "crossMarginSummary": summary,
            "crossMaintenanceMarginUsed": "0.0",
            "withdrawable": self.equity,
            "assetPositions": [
                {
                    "type": "oneWay",
                    "position": {
                        "coin": coin,
                        "szi": size,
                        "leverage": {"type": "cross", "value": 3},
                        "entryPx": "90000.0",
                        "positionValue": "900.0",
                        "unrealizedPnl": unrealised,
                        "returnOnEquity": "0.0",
                        "liquidationPx": None,
                        "marginUsed": "300.0",
                        "maxLeverage": 40,
                        "cumFunding": {"allTime": "0.0", "sinceOpen": "0.0", "sinceChange": "0.0"},
                    },
                }
                for coin, size, unrealised in self.positions
            ],
            "time": self.state_ms,
        }


def rig_over(books: Books) -> ToldRig:
    rig = ToldRig()
    rig.transport.info = books.answer
    rig.budget._per_minute = 1_000_000  # time stands still here
    return rig


def whole_books() -> Books:
    return Books(
        fills=[fill_row(number, NOW_MS - HOUR_MS + number) for number in range(5)],
        fundings=[funding_row(NOW_MS - HOUR_MS)],
        orders={cloid(1): order_row(1, "canceled")},
        positions=[("BTC", "0.005", "0.0")],
    )


def fills_of(events: Sequence[Event]) -> list[int]:
    return [event.fill.tid - 5_000 for event in events if isinstance(event, FillArrived)]
