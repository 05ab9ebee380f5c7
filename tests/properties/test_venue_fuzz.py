"""Whatever a client sends, the local venue answers as documented or refuses: never a crash, never money gone."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from coincurve import PrivateKey

from adapters.sim.venue.chain.signing import keccak
from adapters.sim.venue.market.generated_path import GeneratedPath
from adapters.sim.venue.outputs import Frame, HttpAnswer, SocketDropped
from adapters.sim.venue.settings import Cadence, Limits, VenueSettings
from adapters.sim.venue.venue import EXCHANGE, INFO, Venue
from tests.venue_books import assert_books_balance
from tests.venue_fuzz import ACTIONS, FRAMES, INFO_REQUESTS, nonsense, nonsense_bytes, signed

START_MS = 1_767_578_400_000
IP = "127.0.0.1"
KEY = PrivateKey(bytes([7]) * 32)
ADDRESS = "0x" + keccak(KEY.public_key.format(compressed=False)[1:])[-20:].hex()
MAY_FAIL = ("metaAndAssetCtxs", "fundingHistory")
"""Requests that the venue itself answers with 500 for unknown names (§1.2)."""


def venue() -> Venue:
    settings = VenueSettings(cadence=Cadence(block=0), limits=Limits(enforced=False))
    made = Venue(GeneratedPath(7, 3), settings, START_MS, 7)
    made.fund_account(ADDRESS, Decimal(100_000))
    return made


def ask(made: Venue, number: int, path: str, body: bytes) -> HttpAnswer:
    """The one answer to one request."""
    made.request(number, IP, "POST", path, "application/json", body)
    made.advance(made.now_ms)
    answers = [each for each in made.take_output() if isinstance(each, HttpAnswer)]
    assert len(answers) == 1, f"{len(answers)} answers to {body[:200]!r}"
    (answer,) = answers
    assert answer.request_id == number
    if answer.content_type == "application/json":
        msgspec.json.decode(answer.body)
    return answer


@pytest.mark.parametrize("variant", range(4))
def test_info_survives_nonsense(variant: int) -> None:
    chance, made = random.Random(variant), venue()
    seen: Counter[int] = Counter()
    for number in range(1, 12_501):
        body = nonsense_bytes(chance, INFO_REQUESTS)
        answer = ask(made, number, INFO, body)
        assert answer.status in (200, 400, 422, 500), body
        if answer.status == 500:
            assert answer.body == b"null" and any(name.encode() in body for name in MAY_FAIL), body
        seen[answer.status] += 1
        if number % 500 == 0:
            made.advance(made.now_ms + 1_000)
            made.take_output()
    assert min(seen[200], seen[400], seen[422]) > 100, seen


@pytest.mark.parametrize("variant", range(4))
def test_unsigned_actions_survive_nonsense(variant: int) -> None:
    chance, made = random.Random(variant), venue()
    envelopes: list[dict[str, Any]] = [
        {"action": action, "nonce": START_MS, "signature": {"r": "0x1", "s": "0x2", "v": 27}, "expiresAfter": None}
        for action in ACTIONS
    ]
    for number in range(1, 5_001):
        answer = ask(made, number, EXCHANGE, nonsense_bytes(chance, envelopes))
        assert answer.status in (200, 400, 422)
        if answer.status == 200:
            assert msgspec.json.decode(answer.body)["status"] == "err", "nobody signed this"
    assert_books_balance(made.exchange)
    assert not any(account.orders for account in made.exchange.accounts.values())


@pytest.mark.parametrize("variant", range(4))
def test_signed_actions_survive_nonsense(variant: int) -> None:
    """Well signed nonsense reaches the exchange: it is refused or carried out, and the books balance after it."""
    chance, made = random.Random(variant), venue()
    seen: Counter[str] = Counter()
    for number in range(1, 5_001):
        action = nonsense(chance, ACTIONS) if chance.random() < 0.8 else chance.choice(ACTIONS)
        body = signed(action, made.now_ms + number, KEY)
        answer = ask(made, number, EXCHANGE, msgspec.json.encode(body) if _fits(body) else repr(body).encode())
        assert answer.status in (200, 400, 422)
        seen[str(answer.status) if answer.status != 200 else msgspec.json.decode(answer.body)["status"]] += 1
        if number % 250 == 0:
            made.advance(made.now_ms + 1_000)
            made.take_output()
            assert_books_balance(made.exchange)
    assert min(seen["ok"], seen["err"], seen["422"]) > 100, seen


@pytest.mark.parametrize("variant", range(4))
def test_sockets_survive_nonsense(variant: int) -> None:
    chance, made = random.Random(variant), venue()
    socket = 0
    heard = dropped = 0
    for number in range(7_500):
        if number % 50 == 0:
            socket += 1
            made.open_socket(socket, IP)
        made.receive(socket, nonsense_bytes(chance, FRAMES).decode("utf-8", "replace"))
        if number % 10 == 0:
            made.advance(made.now_ms + 200)
        for output in made.take_output():
            if isinstance(output, Frame):
                assert set(msgspec.json.decode(output.text.encode())) <= {"channel", "data"}
                heard += 1
            if isinstance(output, SocketDropped):
                dropped += 1
                if output.socket_id == socket:
                    socket += 1
                    made.open_socket(socket, IP)
    assert heard > 2_000 and dropped > 10


def _fits(body: object) -> bool:
    try:
        msgspec.json.encode(body)
    except (OverflowError, msgspec.MsgspecError, TypeError, UnicodeEncodeError):
        return False
    return True
