"""What becomes of the names in a session that is given away."""

from __future__ import annotations

import json

import pytest

from adapters.session_files.redaction import Ids, Redaction, without_addresses
from domain.intents import is_our_cloid
from tests.planting import planted

OURS = "0xa19c01" + "beef" + "7" * 22
THEIRS = "0x" + "c1" * 16
INTENT, OTHER_INTENT = "1f" * 12, "2e" * 12
DIGEST = "d5" * 32
HASH = "0x" + "4f" * 32
ADDRESS = "0x" + "ab12cd34" * 5


@pytest.fixture
def redact() -> Redaction:
    return Redaction(b"salt" * 8)


@pytest.fixture
def ids(redact: Redaction) -> Ids:
    return Ids(redact)


def test_a_hash_becomes_another_one_and_none_stays_none(redact: Redaction) -> None:
    none = "0x" + "0" * 64
    text = redact(f"{HASH} {HASH.upper().replace('X', 'x')} {none} {HASH}ff".encode()).decode().split()
    assert text[0] == text[1] != HASH and len(text[0]) == 66
    assert text[2] == none and text[3] == HASH + "ff", "what is longer is no hash"


def test_an_order_that_nobody_has_told_of_keeps_only_whose_it_is(ids: Ids) -> None:
    ours, theirs, again = ids.of_frame(f"{OURS} {THEIRS} {OURS.upper().replace('X', 'x')}".encode()).decode().split()
    assert ours == again != OURS and ours.startswith("0xa19c01beef") and len(ours) == len(OURS)
    assert theirs != THEIRS and not is_our_cloid(theirs) and len(theirs) == len(THEIRS)
    assert ids.of_frame(b"nothing of ours") == b"nothing of ours"


def test_what_is_learned_of_two_texts_is_replaced_wherever_it_stands(ids: Ids) -> None:
    new = "0xa19c01beef" + "9" * 22
    action = json.dumps({"orders": [{"c": OURS}], "intent": INTENT})
    assert ids.learn(action, action.replace(OURS, new).replace(INTENT, OTHER_INTENT))
    assert ids.of_inputs(f'["{INTENT}","{OURS}","{ADDRESS}"]'.encode()).decode() == (
        f'["{OTHER_INTENT}","{new}","{ADDRESS}"]'
    )
    assert ids.of_outputs(f"{THEIRS} {DIGEST} {INTENT}".encode()) == f"{THEIRS} {DIGEST} {OTHER_INTENT}".encode()


@pytest.mark.parametrize(
    ("recorded", "replayed"),
    [
        ("1.5", "1.6"),
        ("0." + "31" * 12, "0." + "32" * 12),
        (f"{INTENT} buys", f"{INTENT} sells"),
        (INTENT, DIGEST),
        (f"{INTENT} {INTENT}", INTENT),
        (f"{INTENT} {INTENT}", f"{OTHER_INTENT} {'3d' * 12}"),
    ],
    ids=["an amount", "a long amount", "a word", "another kind of id", "one less", "one id, two successors"],
)
def test_what_differs_in_more_than_ids_is_said(ids: Ids, recorded: str, replayed: str) -> None:
    assert not ids.learn(recorded, replayed)


def test_what_was_learned_once_stands(ids: Ids) -> None:
    assert ids.note(INTENT, OTHER_INTENT) and ids.note(INTENT, OTHER_INTENT)
    assert not ids.note(INTENT, "3d" * 12)
    assert ids.of_outputs(INTENT.encode()) == OTHER_INTENT.encode()


def test_an_order_whose_id_stayed_is_not_taken_for_a_strangers(ids: Ids) -> None:
    """A paper account has no address: nothing is derived from one."""
    assert ids.learn(OURS, OURS)
    assert ids.of_frame(OURS.encode()) == ids.of_inputs(OURS.encode()) == OURS.encode()


def test_digits_among_other_digits_are_no_id(ids: Ids) -> None:
    ids.note(INTENT, OTHER_INTENT)
    for text in (f"0{INTENT}", f"{INTENT}0", f"0x{INTENT}"):
        assert ids.of_inputs(text.encode()) == text.encode()


def test_stand_ins_are_of_this_export_alone(redact: Redaction) -> None:
    other = Redaction(b"pepper" * 5)
    assert redact.bare(INTENT) == redact.bare(INTENT) != other.bare(INTENT)
    assert redact.cloid(OURS) != other.cloid(OURS) and len(redact.bare(DIGEST)) == 64


def test_a_market_names_nobody() -> None:
    text = f'{{"users":["{ADDRESS}","{ADDRESS.upper().replace("X", "x")}"],"hash":"{HASH}"}}'
    assert without_addresses(text.encode()).decode() == f'{{"users":["0x0","0x0"],"hash":"{HASH}"}}'


def test_that_these_tests_notice_an_id_that_is_not_learned(ids: Ids) -> None:
    with planted(Ids, "note", lambda self, was, now: True):
        ids.learn(INTENT, OTHER_INTENT)
    assert ids.of_inputs(INTENT.encode()) == INTENT.encode()
