"""`dry_live`: every order is built and written down, and nothing there could send or sign it."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal

import pytest

from adapters.hyperliquid.dry_gateway import DryGateway
from adapters.hyperliquid.encoder import ActionEncoder
from domain.orders import Would
from ports.order_gateway import OrderGateway
from tests.daemon_process import ROOT
from tests.hyperliquid_rigs import ASSET_OF, NOW_MS, UNIVERSE, cloid, order_request


async def test_the_dry_gateway_writes_the_action_and_sends_nothing() -> None:
    written: list[str] = []
    gateway: OrderGateway = DryGateway(ActionEncoder(UNIVERSE, ASSET_OF), written.append)
    assert await gateway.submit(order_request(1, deadline_ms=5)) == Would()
    await gateway.cancel("BTC", cloid(1))
    assert await gateway.burn(NOW_MS) is True, "nothing was ever signed with it"
    order, cancel = (json.loads(line) for line in written)
    assert order["would"] == ActionEncoder(UNIVERSE, ASSET_OF).order(order_request(1))
    assert order["leverage"] == "3" and order["deadline_ms"] == 5
    assert cancel["would"] == {"type": "cancelByCloid", "cancels": [{"asset": 0, "cloid": cloid(1)}]}


async def test_the_dry_gateway_refuses_what_would_not_fit() -> None:
    written: list[str] = []
    with pytest.raises(AssertionError):
        await DryGateway(ActionEncoder(UNIVERSE, ASSET_OF), written.append).submit(
            order_request(1, encoder=None, size=Decimal("0.00001"))
        )
    assert written == []


def test_the_dry_gateway_s_modules_cannot_send_or_sign() -> None:
    code = (
        "import sys, adapters.hyperliquid.dry_gateway, adapters.hyperliquid.encoder\n"
        "print('\\n'.join(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    ours = {name for name in loaded if name.startswith("adapters.")}
    assert ours == {"adapters.hyperliquid"} | {
        f"adapters.hyperliquid.{name}" for name in ("action_hash", "dry_gateway", "encoder")
    }
    senders = ("requests", "urllib3", "websockets", "http.client", "eth_account", "eth_keys", "coincurve")
    assert not {name for name in loaded if name in senders or name.partition(".")[0] in senders}
    crypto = {".".join(name.split(".")[:2]) for name in loaded if name.startswith("Crypto.")}
    assert crypto <= {"Crypto.Hash", "Crypto.Util"}, "a hash is no signature"
