"""A gateway and an account of Hyperliquid over a transport that answers as told, or over a real local venue."""

from __future__ import annotations

import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import requests

from adapters.clocks import ManualClock, SystemClock
from adapters.hyperliquid.account import HyperliquidAccount
from adapters.hyperliquid.budget import AddressBudget, WeightBudget
from adapters.hyperliquid.encoder import ActionEncoder
from adapters.hyperliquid.gateway import GatewaySettings, HyperliquidGateway
from adapters.hyperliquid.http_pool import RequestsTransport
from adapters.hyperliquid.keys import AgentKey
from adapters.hyperliquid.nonces import NonceSource
from adapters.hyperliquid.rest import InfoClient
from adapters.hyperliquid.signing import Signer
from adapters.hyperliquid.transport import Bar, HttpReply, NotSentError
from adapters.hyperliquid.universe import read_universe
from adapters.hyperliquid.wire_account import decode_asset_settings
from domain.field_rules import SecretText
from domain.instruments import Instrument, PriceRounding, Universe, single_tier
from domain.intents import OrderRequest, Side, TimeInForce, Trigger, cloid_of, next_nonce
from ports.clock import Clock
from tests.daemon_process import PATIENCE_S

NOW_MS = 1_767_571_200_000
USER = "0x" + "ab" * 20
UNIVERSE = Universe(Instrument(symbol, 3, single_tier(40)) for symbol in ("BTC", "ETH", "SOL"))
ASSET_OF = {"BTC": 0, "ETH": 4, "SOL": 5}
ENCODER = ActionEncoder(UNIVERSE, ASSET_OF)
_NONCES = count()

Exchange = Callable[[dict[str, Any]], HttpReply | Exception]
Info = Callable[[dict[str, Any]], HttpReply | Exception]


def cloid(number: int) -> str:
    return cloid_of(f"intent {number}", 1, b"\x07\x07")


def order_request(
    number: int = 1,
    *,
    encoder: ActionEncoder | None = ENCODER,
    at_ms: int = NOW_MS,
    nonce: int | None = None,
    **changes: Any,
) -> OrderRequest:
    """A market buy of 0.01 BTC unless told otherwise, decided at `at_ms`; without an encoder nothing is signed."""
    terms: dict[str, Any] = {
        "cloid": cloid(number),
        "intent_id": f"intent {number}",
        "symbol": "BTC",
        "side": Side.BUY,
        "size": Decimal("0.01"),
        "limit_price": Decimal("91000"),
        "time_in_force": TimeInForce.IOC,
        "reduce_only": False,
        "trigger": None,
        "leverage": Decimal(3),
    }
    request = OrderRequest(**(terms | changes))
    if encoder is None:
        return request
    expires_ms = at_ms + 10_000
    if request.deadline_ms is not None:
        expires_ms = min(expires_ms, request.deadline_ms)
    if nonce is None:
        nonce = next_nonce(at_ms + 2 * next(_NONCES), at_ms)
    return replace(request, payload=encoder.payload(request, nonce, expires_ms))


def nonce_of(request: OrderRequest) -> int:
    assert request.payload is not None, "it was written down to be signed"
    return request.payload.nonce


def reply(body: object, status: int = 200) -> HttpReply:
    return HttpReply(status, body if isinstance(body, bytes) else json.dumps(body).encode())


def ok(*statuses: object, kind: str = "order") -> HttpReply:
    return reply({"status": "ok", "response": {"type": kind, "data": {"statuses": list(statuses)}}})


DONE = reply({"status": "ok", "response": {"type": "default"}})


def err(text: str) -> HttpReply:
    return reply({"status": "err", "response": text})


def leverage_answer(coin: str, value: int = 3, mode: str = "cross") -> HttpReply:
    leverage: dict[str, object] = {"type": mode, "value": value}
    return reply(
        {
            "user": USER,
            "coin": coin,
            "leverage": leverage if mode == "cross" else leverage | {"rawUsd": "0.0"},
            "maxTradeSzs": ["1.0", "1.0"],
            "availableToTrade": ["100.0", "100.0"],
            "markPx": "90000.0",
        }
    )


def accept_all(body: dict[str, Any]) -> HttpReply:
    """What a venue with no objections answers."""
    action = body["action"]
    if action["type"] == "order":
        return ok(*({"resting": {"oid": 100 + place}} for place in range(len(action["orders"]))))
    if action["type"] in ("cancelByCloid", "cancel"):
        return ok(*("success" for _ in action["cancels"]), kind="cancel")
    return DONE


def calm_info(request: dict[str, Any]) -> HttpReply:
    return leverage_answer(request["coin"]) if request["type"] == "activeAssetData" else reply({}, 500)


class ToldTransport:
    """Answers as it is told, or raises what it is told, and keeps what came."""

    def __init__(self) -> None:
        self.exchange: Exchange = accept_all
        self.info: Info = calm_info
        self.actions: list[dict[str, Any]] = []
        self.urgent: list[bool] = []
        """Of each action."""
        self.asked: list[dict[str, Any]] = []

    async def post(
        self, path: str, body: bytes, timeout_s: float, *, urgent: bool = False, bar: Bar | None = None
    ) -> HttpReply:
        if bar is not None and (reason := bar()):
            raise NotSentError(reason)
        sent = json.loads(body)
        if path == "/exchange":
            self.actions.append(sent)
            self.urgent.append(urgent)
            answer = self.exchange(sent)
        else:
            self.asked.append(sent)
            answer = self.info(sent)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None: ...

    @property
    def kinds(self) -> list[str]:
        """What the actions were, in order of arrival."""
        return [sent["action"]["type"] for sent in self.actions]

    @property
    def cloids(self) -> list[str]:
        """Of the orders that came, in order of arrival: one per action."""
        orders = [sent["action"]["orders"] for sent in self.actions if sent["action"]["type"] == "order"]
        assert all(len(each) == 1 for each in orders), "an order has an action of its own"
        return [order["c"] for (order,) in orders]


class PlainSigner:
    def sign_l1(
        self, action: Mapping[str, object], nonce: int, vault: str | None, expires_after: int | None
    ) -> dict[str, str | int]:
        return {"r": "0x1", "s": "0x2", "v": 27}


class CountedNonces:
    """Odd ones, as `NonceSource` gives them."""

    def __init__(self) -> None:
        self.last = 0

    def next(self, now_ms: int) -> int:
        self.last = max(self.last + 1, now_ms) | 1
        return self.last


class KeptAlerts:
    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def send(self, code: str, text: str) -> None:
        self.sent.append((code, text))


class KeptDrift:
    def __init__(self) -> None:
        self.noted: list[tuple[str, str | bytes, str]] = []

    def note(self, where: str, raw: str | bytes, problem: str) -> None:
        self.noted.append((where, raw, problem))


class ToldRig:
    """The gateway and the account over a transport that answers as told, at a time that stands still."""

    def __init__(self, before_stop: Callable[[], None] = lambda: None, **settings: Any) -> None:
        self.barred = ""
        """Why no entry may leave."""
        self.clock = ManualClock(NOW_MS)
        self.transport = ToldTransport()
        self.budget = WeightBudget(self.clock)
        self.address_budget = AddressBudget()
        self.info = InfoClient(self.transport, self.budget, self.clock, pause_s=0.0, chance=random.Random(1))
        self.alerts = KeptAlerts()
        self.sentinel = KeptDrift()
        self.encoder = ENCODER
        self.gateway = HyperliquidGateway(
            self.transport,
            PlainSigner(),
            CountedNonces(),
            self.encoder,
            self.budget,
            self.address_budget,
            self.info,
            self.clock,
            GatewaySettings(USER, **settings),
            self.alerts,
            bars_entries=lambda: self.barred,
            before_stop=before_stop,
        )
        self.account = HyperliquidAccount(self.info, USER, self.sentinel, self.clock)


# ── over a real venue ────────────────────────────────────────────────────────────────────────────


@dataclass
class VenueControl:
    """The venue's control port: faults, acts of its operator, its log."""

    ready: dict[str, Any]
    account: int = 0

    @property
    def user(self) -> str:
        return str(self.ready["accounts"][self.account]["address"])

    @property
    def key(self) -> str:
        return str(self.ready["accounts"][self.account]["key"])

    def _ask(self, method: str, path: str, **body: Any) -> requests.Response:
        url = self.ready["control_url"] + path
        answer = requests.request(method, url, json=body or None, timeout=PATIENCE_S)
        assert answer.ok, answer.text
        return answer

    def fault(self, fault: str, *, match: Mapping[str, object] | None = None, times: int = 1, **more: object) -> None:
        """The next `times` matching events meet it; without `match` those are orders."""
        self._ask(
            "POST",
            "/faults",
            fault=fault,
            match={"action": "order"} if match is None else match,
            when={"times": times},
            **({"with": more} if more else {}),
        )

    def no_faults(self) -> None:
        self._ask("DELETE", "/faults")

    def operate(self, act: str, **arguments: object) -> None:
        self._ask("POST", f"/operator/{act}", **arguments)

    def now_ms(self) -> int:
        return int(self._ask("GET", "/state").json()["time"])

    def log(self, kind: str) -> list[dict[str, Any]]:
        """Rows of a kind of the whole run."""
        return [json.loads(line) for line in self._ask("GET", f"/log?kind={kind}").text.splitlines()]

    def orders(self, wanted: str) -> set[int]:
        """The oids that ever stood under a cloid."""
        return {row["oid"] for row in self.log("order") if row.get("cloid") == wanted}

    def lived(self, wanted: str) -> bool:
        """Whether the venue ever held an order of that cloid (a rejected one has an oid, too)."""
        rows = [row for row in self.log("order") if row.get("cloid") == wanted]
        return any(not row["status"].endswith("ejected") for row in rows)

    def requests_of(self, wanted: str) -> int:
        """How many requests with a cloid's order in them reached the venue."""
        return sum(f'"c":"{wanted}"' in json.dumps(row, separators=(",", ":")) for row in self.log("request"))

    def cloids(self) -> Counter[str]:
        """Distinct orders per cloid, of all there ever were."""
        pairs = {(row["cloid"], row["oid"]) for row in self.log("order") if row.get("cloid")}
        return Counter(name for name, _ in pairs)


@dataclass
class VenueRig:
    """The real transport, signer, nonces and info client, as the daemon has them."""

    control: VenueControl
    transport: RequestsTransport
    gateway: HyperliquidGateway
    account: HyperliquidAccount
    info: InfoClient
    universe: Universe
    encoder: ActionEncoder
    clock: Clock
    alerts: KeptAlerts
    sentinel: KeptDrift

    async def mid(self, symbol: str) -> Decimal:
        return Decimal(json.loads(await self.info.ask({"type": "allMids"}))[symbol])

    async def request(self, number: int, symbol: str = "BTC", usd: int = 100, **changes: Any) -> OrderRequest:
        """A market order that fits the venue's market as it stands; `away` moves its limit off the mid, in percent."""
        instrument, mid = self.universe.instrument(symbol), await self.mid(symbol)
        side: Side = changes.get("side", Side.BUY)
        away = Decimal(changes.pop("away", 5))
        limit = mid * (1 + side.sign * away / 100)
        rounding = PriceRounding.UP if side is Side.BUY else PriceRounding.DOWN
        size = instrument.round_size(Decimal(usd) / mid) + instrument.size_step
        trigger = changes.pop("trigger", None)
        if trigger is not None:
            kind, off = trigger
            price = instrument.round_price(mid * (1 + Decimal(off) / 100), PriceRounding.DOWN)
            trigger = Trigger(kind, price)
        terms: dict[str, Any] = {"symbol": symbol, "size": size, "trigger": trigger}
        terms["limit_price"] = instrument.round_price(limit, rounding)
        moment: dict[str, Any] = {"encoder": self.encoder, "at_ms": self.clock.now_ms()}
        return order_request(number, **(moment | terms | changes))

    async def leverage(self, symbol: str = "BTC") -> int:
        """What is set at the venue."""
        body = await self.info.ask({"type": "activeAssetData", "user": self.control.user, "coin": symbol})
        return decode_asset_settings(body).leverage

    async def position(self, symbol: str) -> Decimal:
        body = await self.info.ask({"type": "clearinghouseState", "user": self.control.user})
        held = {row["position"]["coin"]: row["position"]["szi"] for row in json.loads(body)["assetPositions"]}
        return Decimal(held.get(symbol, "0"))


@contextlib.asynccontextmanager
async def venue_rig(
    control: VenueControl, folder: Path, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[VenueRig]:
    """A rig on a running venue. Its nonces go on where the folder's last ones ended."""
    clock = clock or SystemClock()
    transport = RequestsTransport(control.ready["url"])
    # Tests ask more than a daemon plans for.
    budget = WeightBudget(clock, per_minute=100_000)
    info = InfoClient(transport, budget, clock, pause_s=0.02)
    nonces = NonceSource(folder / "nonces")
    alerts, sentinel = KeptAlerts(), KeptDrift()
    try:
        markets = await read_universe(info)
        encoder = ActionEncoder(markets.universe, markets.asset_of)
        gateway = HyperliquidGateway(
            transport,
            Signer(AgentKey(SecretText(control.key.removeprefix("0x")), "a test"), is_mainnet=False),
            nonces,
            encoder,
            budget,
            AddressBudget(),
            info,
            clock,
            GatewaySettings(control.user, **settings),
            alerts,
        )
        account = HyperliquidAccount(info, control.user, sentinel, clock)
        yield VenueRig(control, transport, gateway, account, info, markets.universe, encoder, clock, alerts, sentinel)
        await gateway.close()
    finally:
        nonces.close()
        await transport.close()
