"""Everything we send against the official SDK: same msgpack, same hash, same r, s, v; and the local venue's opinion."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgpack  # type: ignore[import-untyped]
import msgspec
from eth_account import Account
from hyperliquid.utils import signing as sdk  # type: ignore[import-untyped]
from hyperliquid.utils.types import Cloid  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hyperliquid.action_hash import action_hash
from adapters.hyperliquid.encoder import ActionEncoder
from adapters.hyperliquid.keys import AgentKey, keystore_json, keystore_secret
from adapters.hyperliquid.signing import Signer, recover_l1
from adapters.sim.venue.chain.signing import read_signature
from adapters.sim.venue.chain.signing import recover_l1 as recovered_by_the_venue
from domain.field_rules import SecretText
from domain.instruments import Instrument, PriceRounding, Universe, single_tier
from domain.intents import OrderRequest, Side, TimeInForce, Trigger, TriggerKind

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
UNIVERSE = Universe(Instrument(f"S{decimals}", decimals, single_tier(50)) for decimals in range(6))
ASSETS = {"S0": 0, "S1": 127, "S2": 128, "S3": 255, "S4": 65_536, "S5": 110_007}
ENCODER = ActionEncoder(UNIVERSE, ASSETS)
TIF = {TimeInForce.IOC: "Ioc", TimeInForce.GTC: "Gtc", TimeInForce.ALO: "Alo"}
Action = dict[str, Any]

secrets = st.integers(1, CURVE_ORDER - 1).map(lambda number: f"0x{number:064x}")
cloids = st.binary(min_size=16, max_size=16).map(lambda raw: "0x" + raw.hex())
vaults = st.none() | st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
times = st.integers(0, 2**41) | st.integers(0, 2**64 - 1)
expiries = st.none() | st.integers(1, 2**64 - 1)
envelopes = st.tuples(secrets, times, vaults, expiries)
Envelope = tuple[str, int, str | None, int | None]


@st.composite
def prices(draw: st.DrawFn, instrument: Instrument) -> Decimal:
    raw = Decimal(draw(st.integers(1, 99_999))).scaleb(draw(st.integers(-6, 4)))
    return instrument.round_price(raw, PriceRounding.UP)


@st.composite
def order_requests(draw: st.DrawFn) -> OrderRequest:
    instrument = draw(st.sampled_from(UNIVERSE.instruments))
    size = Decimal(draw(st.integers(1, 10**9) | st.sampled_from([1000, 10**6]))) * instrument.size_step
    trigger = None
    if draw(st.booleans()):
        trigger = Trigger(draw(st.sampled_from(TriggerKind)), draw(prices(instrument)))
    return OrderRequest(
        cloid=draw(cloids),
        intent_id="intent",
        symbol=instrument.symbol,
        side=draw(st.sampled_from(Side)),
        size=size.normalize() if draw(st.booleans()) else size,  # 1E+3 is a size like any other
        limit_price=draw(prices(instrument)),
        time_in_force=draw(st.sampled_from(TimeInForce)),
        reduce_only=draw(st.booleans()),
        trigger=trigger,
        leverage=Decimal(1),
    )


def order_by_the_sdk(request: OrderRequest) -> Action:
    kind: Action = {"limit": {"tif": TIF[request.time_in_force]}}
    if request.trigger is not None:
        price = float(request.trigger.price)
        kind = {"trigger": {"triggerPx": price, "isMarket": True, "tpsl": request.trigger.kind.value}}
    order = {
        "coin": request.symbol,
        "is_buy": request.side is Side.BUY,
        "sz": float(request.size),
        "limit_px": float(request.limit_price),
        "order_type": kind,
        "reduce_only": request.reduce_only,
        "cloid": Cloid.from_str(request.cloid),
    }
    wire: Action = sdk.order_request_to_order_wire(order, ASSETS[request.symbol])
    return wire


def theirs_of(request: OrderRequest) -> Action:
    theirs: Action = sdk.order_wires_to_order_action([order_by_the_sdk(request)])
    return theirs


def check_against_the_sdk(ours: Action, theirs: Action, envelope: Envelope) -> None:
    secret, nonce, vault, expires = envelope
    assert msgpack.packb(ours) == msgpack.packb(theirs)
    assert action_hash(ours, nonce, vault, expires) == sdk.action_hash(theirs, vault, nonce, expires)
    wallet = Account.from_key(secret)
    for is_mainnet in (True, False):
        signer = Signer(AgentKey(SecretText(secret), "a test"), is_mainnet=is_mainnet)
        assert signer.address == wallet.address.lower()
        signed = signer.sign_l1(ours, nonce, vault, expires)
        assert signed == sdk.sign_l1_action(wallet, theirs, vault, nonce, expires, is_mainnet)
        assert recover_l1(ours, nonce, vault, expires, signed, is_mainnet=is_mainnet) == signer.address
        received = read_signature(str(signed["r"]), str(signed["s"]), int(signed["v"]))
        assert received is not None
        seen = recovered_by_the_venue(ours, nonce, vault, expires, received, mainnet=is_mainnet)
        assert seen == signer.address


@settings(max_examples=120)
@given(order_requests(), envelopes)
def test_orders(request: OrderRequest, envelope: Envelope) -> None:
    check_against_the_sdk(ENCODER.order(request), theirs_of(request), envelope)


@settings(max_examples=120)
@given(order_requests(), times, vaults, st.integers(1, 2**64 - 1))
def test_what_was_written_down_is_what_the_sdk_would_sign(
    request: OrderRequest, nonce: int, vault: str | None, expires_ms: int
) -> None:
    payload = ActionEncoder(UNIVERSE, ASSETS, vault).payload(request, nonce, expires_ms)
    assert (payload.nonce, payload.expires_ms) == (nonce, expires_ms)
    theirs = theirs_of(request)
    assert msgpack.packb(msgspec.json.decode(payload.action)) == msgpack.packb(theirs)
    assert payload.digest == sdk.action_hash(theirs, vault, nonce, expires_ms).hex()


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(UNIVERSE.symbols), cloids), min_size=1, max_size=40), envelopes)
def test_cancels(pairs: list[tuple[str, str]], envelope: Envelope) -> None:
    cancels = [{"asset": ASSETS[symbol], "cloid": Cloid.from_str(cloid).to_raw()} for symbol, cloid in pairs]
    check_against_the_sdk(ENCODER.cancel(pairs), {"type": "cancelByCloid", "cancels": cancels}, envelope)


@settings(max_examples=30)
@given(st.sampled_from(UNIVERSE.symbols), st.integers(1, 50), st.booleans(), envelopes)
def test_leverage_and_noop(symbol: str, leverage: int, is_cross: bool, envelope: Envelope) -> None:
    theirs = {"type": "updateLeverage", "asset": ASSETS[symbol], "isCross": is_cross, "leverage": leverage}
    check_against_the_sdk(ENCODER.leverage(symbol, leverage, is_cross), theirs, envelope)
    check_against_the_sdk(ENCODER.noop(), {"type": "noop"}, envelope)


@settings(max_examples=2)
@given(secrets, st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30))
def test_a_keystore_gives_back_its_key(secret: str, passphrase: str) -> None:
    content = keystore_json(SecretText(secret), SecretText(passphrase))
    opened = keystore_secret(content, SecretText(passphrase))
    assert isinstance(opened, SecretText)
    assert opened.reveal() == secret[2:]
    assert secret[2:].encode() not in content
    assert keystore_secret(content, SecretText(passphrase + "x")) == "the passphrase does not open it"
