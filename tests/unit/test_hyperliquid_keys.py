"""Where the agent's key comes from, which rights its files need, whose key it is; and that it is never shown."""

from __future__ import annotations

import json
import os
import resource
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account

from adapters.hyperliquid.key_checks import (
    EXPIRES_SOON_MS,
    KeyCase,
    NamedAgent,
    Role,
    Standing,
    check_key,
    read_agents,
    read_standing,
)
from adapters.hyperliquid.keys import (
    KEY_CREDENTIAL,
    KEYSTORE_CREDENTIAL,
    PASSPHRASE_CREDENTIAL,
    KeyRefused,
    KeySources,
    key_problem,
    load_agent_key,
)
from adapters.hyperliquid.private_files import NotPrivate, read_private, write_private
from config.environment import ENVIRONMENT, Written
from config.explain import masked
from config.settings import read_settings, resolve
from domain.field_rules import MASK, SecretText

KEY = "0x0123456789012345678901234567890123456789012345678901234567890123"
ADDRESS = "0x14791697260e4c9a71f18484c9f997b308e59325"
PASSPHRASE = "correct horse battery"


def private(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def keystore(path: Path) -> Path:
    cheap = Account.encrypt(bytes.fromhex(KEY[2:]), PASSPHRASE, kdf="pbkdf2", iterations=10)
    return private(path, json.dumps(cheap))


def refusal(sources: KeySources) -> str:
    with pytest.raises(KeyRefused) as caught:
        load_agent_key(sources)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    for secret in (KEY[2:], KEY[2:].upper(), PASSPHRASE, str(int(KEY, 16))):
        assert secret not in shown, "neither a message nor a local variable gives it away"
    assert caught.value.__context__ is None, "nor an exception behind it"
    return str(caught.value)


# ── places ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", [KEY, KEY[2:], KEY[2:].upper() + "\n", f"  {KEY}\r\n"])
def test_from_a_file(tmp_path: Path, text: str) -> None:
    path = private(tmp_path / "agent.key", text)
    key = load_agent_key(KeySources(key_file=path))
    assert (key.address, key.source) == (ADDRESS, f"file {path}")


def test_from_a_keystore(tmp_path: Path) -> None:
    path = keystore(tmp_path / "agent.json")
    passphrase = private(tmp_path / "passphrase", PASSPHRASE + "\n", 0o400)
    key = load_agent_key(KeySources(keystore=path, passphrase_file=passphrase))
    assert (key.address, key.source) == (ADDRESS, f"keystore {path}")


def test_from_systemd(tmp_path: Path) -> None:
    private(tmp_path / KEY_CREDENTIAL, KEY, 0o440)
    assert load_agent_key(KeySources(credentials=tmp_path)).source == "systemd credential"
    (tmp_path / KEY_CREDENTIAL).chmod(0o444)
    assert "others may use it (mode 0444)" in refusal(KeySources(credentials=tmp_path))


@pytest.mark.parametrize("mode", [0o400, 0o440])
def test_a_file_of_any_name_that_lies_among_systemd_s_credentials_is_one(tmp_path: Path, mode: int) -> None:
    """Newer systemd gives its rights by an ACL, whose mask shows as the group's."""
    path = private(tmp_path / "agent-key", KEY, mode)
    key = load_agent_key(KeySources(key_file=path, credentials=tmp_path))
    assert (key.address, key.source) == (ADDRESS, f"file {path}")
    path.chmod(0o444)
    assert "others may use it (mode 0444)" in refusal(KeySources(key_file=path, credentials=tmp_path))


def test_nothing_else_is_a_credential(tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    (folder / "deeper").mkdir(parents=True)
    for path in (tmp_path / "agent-key", folder / "deeper" / "agent-key", folder / ".." / "agent-key"):
        private(path, KEY, 0o440)
        assert "others may use it (mode 0440)" in refusal(KeySources(key_file=path, credentials=folder))
        path.chmod(0o600)


def test_a_credential_that_is_named_too_is_one_key(tmp_path: Path) -> None:
    path = private(tmp_path / KEY_CREDENTIAL, KEY, 0o440)
    assert load_agent_key(KeySources(key_file=path, credentials=tmp_path)).address == ADDRESS


def test_a_folder_in_which_others_may_replace_them_holds_no_credentials(tmp_path: Path) -> None:
    private(tmp_path / KEY_CREDENTIAL, KEY, 0o400)
    tmp_path.chmod(0o770)
    assert "chmod go-w" in refusal(KeySources(credentials=tmp_path))


def test_keystore_and_passphrase_may_both_be_credentials(tmp_path: Path) -> None:
    keystore(tmp_path / KEYSTORE_CREDENTIAL).chmod(0o440)
    private(tmp_path / PASSPHRASE_CREDENTIAL, PASSPHRASE + "\n", 0o440)
    key = load_agent_key(KeySources(credentials=tmp_path))
    assert (key.address, key.source) == (ADDRESS, f"keystore {tmp_path / KEYSTORE_CREDENTIAL}")


def test_a_keystore_that_is_named_beats_the_credential(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    private(credentials / KEYSTORE_CREDENTIAL, "nonsense", 0o440)
    private(credentials / PASSPHRASE_CREDENTIAL, PASSPHRASE, 0o440)
    named = keystore(tmp_path / "agent.json")
    assert load_agent_key(KeySources(keystore=named, credentials=credentials)).source == f"keystore {named}"


def test_the_passphrase_may_be_a_credential(tmp_path: Path) -> None:
    private(tmp_path / PASSPHRASE_CREDENTIAL, PASSPHRASE, 0o400)
    sources = KeySources(keystore=keystore(tmp_path / "agent.json"), credentials=tmp_path)
    assert load_agent_key(sources).address == ADDRESS


def test_from_the_environment_only_where_no_real_money_is() -> None:
    sources = KeySources(environment=SecretText(KEY), allow_environment=True)
    assert load_agent_key(sources).source == "environment"
    assert "testnet and the local venue" in refusal(replace(sources, allow_environment=False))


def test_without_a_key_it_says_how_to_get_one() -> None:
    assert "./aiq wallet import" in refusal(KeySources())


def test_two_keys_are_refused_for_nobody_could_say_which_signs(tmp_path: Path) -> None:
    path = private(tmp_path / "agent.key", KEY)
    sources = KeySources(key_file=path, environment=SecretText(KEY), allow_environment=True)
    assert "AI_QUANT_AGENT_KEY_FILE and AI_QUANT_AGENT_KEY); keep one" in refusal(sources)
    private(tmp_path / KEY_CREDENTIAL, KEY)
    assert "more than one key" in refusal(KeySources(key_file=path, credentials=tmp_path))


def test_a_crash_leaves_no_core_file(tmp_path: Path) -> None:
    load_agent_key(KeySources(key_file=private(tmp_path / "agent.key", KEY)))
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)


# ── rights ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o602, 0o610, 0o601, 0o777])
def test_a_file_that_others_may_use_is_refused_with_the_fix(tmp_path: Path, mode: int) -> None:
    path = private(tmp_path / "agent.key", KEY, mode)
    text = refusal(KeySources(key_file=path))
    assert f"others may use it (mode {mode:04o}); chmod 600 {path}" in text
    assert f"chmod 600 {path}" in refusal(KeySources(keystore=path, passphrase_file=path))


def test_the_passphrase_file_is_judged_alike(tmp_path: Path) -> None:
    passphrase = private(tmp_path / "passphrase", PASSPHRASE, 0o644)
    sources = KeySources(keystore=keystore(tmp_path / "agent.json"), passphrase_file=passphrase)
    assert f"AI_QUANT_AGENT_KEYSTORE_PASSPHRASE_FILE: {passphrase} others may use it" in refusal(sources)


def test_a_folder_that_others_may_write_in_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    path = private(folder / "agent.key", KEY)
    folder.chmod(0o770)
    assert f"chmod go-w {folder}" in refusal(KeySources(key_file=path))
    with pytest.raises(NotPrivate, match="chmod go-w"):
        write_private(folder / "other.key", b"x")
    folder.chmod(0o1777)
    assert load_agent_key(KeySources(key_file=path)).address == ADDRESS, "in a sticky folder only the owner replaces it"


def test_links_folders_pipes_and_giants_are_refused(tmp_path: Path) -> None:
    path = private(tmp_path / "agent.key", KEY)
    (tmp_path / "link").symlink_to(path)
    assert f"is a link; name the file itself ({path.resolve()})" in refusal(KeySources(key_file=tmp_path / "link"))
    assert "is not a file" in refusal(KeySources(key_file=tmp_path))
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "is not a file" in refusal(KeySources(key_file=tmp_path / "pipe"))
    giant = private(tmp_path / "giant", KEY + 70_000 * " ")
    assert "this is something else" in refusal(KeySources(key_file=giant))
    assert "there is no such file" in refusal(KeySources(key_file=tmp_path / "none"))


def test_what_is_written_is_private_and_never_replaces_anything(tmp_path: Path) -> None:
    path = tmp_path / "new" / "agent.key"
    old = os.umask(0)
    try:
        write_private(path, KEY.encode())
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert read_private(path) == KEY.encode()
    with pytest.raises(NotPrivate, match="never replaced"):
        write_private(path, b"other")
    assert read_private(path) == KEY.encode()


# ── contents ─────────────────────────────────────────────────────────────────────────────────────

WORDS = "abandon ability able about above absent absorb abstract absurd abuse access accident"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("hello", "64 hexadecimal digits"),
        (KEY[:-1], "64 hexadecimal digits"),
        (KEY + "0", "64 hexadecimal digits"),
        ("0x" + 64 * "0", "none that are a key"),
        ("0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141", "none that are a key"),
        (64 * "f", "none that are a key"),
        (ADDRESS, "is an address, not a key"),
        (WORDS, "recovery phrase"),
        ('{"crypto": {}}', "AI_QUANT_AGENT_KEYSTORE"),
        ("\udcff", "64 hexadecimal digits"),
    ],
)
def test_what_is_no_key_says_what_it_is(text: str, says: str) -> None:
    assert says in key_problem(SecretText(text))


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", "null", "garbage", '{"version": 3}', '{"version": 3, "crypto": 1}']
)
def test_what_is_no_keystore_says_so(tmp_path: Path, content: str) -> None:
    path = private(tmp_path / "agent.json", content)
    passphrase = private(tmp_path / "passphrase", PASSPHRASE)
    assert "is not an encrypted keystore" in refusal(KeySources(keystore=path, passphrase_file=passphrase))


def test_a_wrong_passphrase_says_so(tmp_path: Path) -> None:
    path = keystore(tmp_path / "agent.json")
    wrong = private(tmp_path / "passphrase", PASSPHRASE + " ")
    assert f"{path} the passphrase does not open it" in refusal(KeySources(keystore=path, passphrase_file=wrong))
    assert "needs its passphrase" in refusal(KeySources(keystore=path))
    for content in ("", "\n", "two\nlines\n"):
        empty = private(tmp_path / "other", content)
        assert "must hold one line" in refusal(KeySources(keystore=path, passphrase_file=empty))


def test_a_bare_key_as_keystore_is_not_shown(tmp_path: Path) -> None:
    path = private(tmp_path / "agent.json", KEY)
    passphrase = private(tmp_path / "passphrase", PASSPHRASE)
    assert "is not an encrypted keystore" in refusal(KeySources(keystore=path, passphrase_file=passphrase))


def test_a_key_with_one_digit_too_many_is_in_no_frame(tmp_path: Path) -> None:
    path = private(tmp_path / "agent.key", KEY + "0")
    assert "is not a key" in refusal(KeySources(key_file=path))
    as_keystore = keystore(tmp_path / "agent.json")
    as_keystore.write_text(as_keystore.read_text() + KEY)
    passphrase = private(tmp_path / "passphrase", PASSPHRASE)
    assert "is not an encrypted keystore" in refusal(KeySources(keystore=as_keystore, passphrase_file=passphrase))


# ── settings ─────────────────────────────────────────────────────────────────────────────────────


def problems(**variables: str) -> str:
    written = {f"AI_QUANT_{name}": Written(text, ENVIRONMENT) for name, text in variables.items()}
    given, wrong = read_settings(written)
    settings, contradictions = resolve(given, root=Path("/root"))
    text = "\n".join(map(str, (*wrong, *contradictions)))
    for shown in (text, repr(settings), str(settings), repr(given), f"{settings.agent_key}"):
        assert KEY[2:] not in shown
        assert KEY[2:50] not in shown
    return text


def test_the_key_in_the_environment_is_for_testnet_and_local() -> None:
    for network in ("testnet", "local"):
        assert problems(AGENT_KEY=KEY, NETWORK=network, MODE="live") == ""
    assert "is for testnet and the local venue" in problems(AGENT_KEY=KEY, MODE="live")
    assert "is for testnet and the local venue" in problems(AGENT_KEY=KEY, NETWORK="mainnet")


@pytest.mark.parametrize(
    "name",
    [
        "AGENT_KEY_FILE",
        "AGENT_KEYSTORE",
        "AGENT_KEYSTORE_PASSPHRASE_FILE",
        "MASTER_KEY_CONSENT",
        "ACCOUNT_ADDRESS",
        "VAULT_ADDRESS",
        "VENUE_URL",
        "SYMBOLS",
        "STRATEGY",
        "SEED",
        "MODE",
    ],
)
def test_a_key_in_the_wrong_place_is_refused_and_not_shown(name: str) -> None:
    assert f"AI_QUANT_{name}" in problems(**{name: KEY})
    assert f"AI_QUANT_{name}" in problems(**{name: f"BTC,{KEY}"})


def test_a_value_that_looks_like_a_key_is_masked_wherever_it_stands() -> None:
    assert masked("AI_QUANT_LIVE_CONFIRM", KEY) == MASK
    assert masked("AI_QUANT_AGENT_KEY", "anything") == MASK
    assert masked("AI_QUANT_AGENT_KEY_FILE", "/etc/agent.key") == "/etc/agent.key"
    assert masked("AI_QUANT_AGENT_KEY_FILE", f"/etc/{KEY}") == MASK


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://localhost:1/", True),
        ("http://[::1]:8080", True),
        ("https://api.hyperliquid.xyz", True),
        ("http://api.hyperliquid.xyz", False),
        ("http://127.0.0.1.evil.example", False),
        ("http://localhost.example:80", False),
        ("https://user:word@host", False),
        ("https://host/path", False),
        ("ftp://host", False),
        ("host:80", False),
    ],
)
def test_where_the_venue_is(url: str, fine: bool) -> None:
    assert (problems(VENUE_URL=url) == "") is fine


def test_a_vault_is_not_the_account_itself() -> None:
    assert "is the account itself" in problems(ACCOUNT_ADDRESS=ADDRESS, VAULT_ADDRESS=ADDRESS.upper().replace("X", "x"))
    assert problems(ACCOUNT_ADDRESS=ADDRESS, VAULT_ADDRESS="0x" + 40 * "1") == ""


def test_consent_is_typed_in_full() -> None:
    assert problems(MASTER_KEY_CONSENT="I_ACCEPT_A_KEY_THAT_CAN_WITHDRAW") == ""
    assert "must be not set, or I_ACCEPT_A_KEY_THAT_CAN_WITHDRAW" in problems(MASTER_KEY_CONSENT="yes")


# ── whose key it is ──────────────────────────────────────────────────────────────────────────────

NOW = 1_790_000_000_000
ACCOUNT = "0x" + 40 * "a"
AGENT = "0x" + 40 * "b"
OTHER = "0x" + 40 * "c"
VAULT = "0x" + 40 * "d"
USER = Standing(Role.USER)
CASE = KeyCase(
    signer=AGENT,
    signer_standing=Standing(Role.AGENT, ACCOUNT),
    account=ACCOUNT,
    account_standing=USER,
    vault=None,
    vault_standing=None,
    agents=(),
    now_ms=NOW,
)


@pytest.mark.parametrize(
    ("answer", "standing"),
    [
        ({"role": "user"}, USER),
        ({"role": "agent", "data": {"user": ACCOUNT.upper().replace("X", "x")}}, Standing(Role.AGENT, ACCOUNT)),
        ({"role": "vault"}, Standing(Role.VAULT)),
        ({"role": "subAccount", "data": {"master": ACCOUNT}}, Standing(Role.SUB_ACCOUNT, ACCOUNT)),
        ({"role": "missing"}, Standing(Role.MISSING)),
        ({"role": "agent"}, Standing(Role.UNREADABLE)),
        ({"role": "agent", "data": {"user": 5}}, Standing(Role.UNREADABLE)),
        ({"role": "agent", "data": None}, Standing(Role.UNREADABLE)),
        ({"role": "king"}, Standing(Role.UNREADABLE)),
        ({}, Standing(Role.UNREADABLE)),
        (None, Standing(Role.UNREADABLE)),
        ([], Standing(Role.UNREADABLE)),
    ],
)
def test_roles_are_read_strictly(answer: object, standing: Standing) -> None:
    assert read_standing(answer) == standing


def test_agents_are_read_all_or_none(shared_data: Path) -> None:
    row = {"name": "ok", "address": AGENT.upper().replace("X", "x"), "validUntil": NOW}
    assert read_agents([row]) == (NamedAgent("ok", AGENT, NOW),)
    assert read_agents([]) == ()
    rows: list[object] = [None, {}, [row, {}], [row | {"validUntil": "soon"}], [row | {"address": "0x1"}]]
    for wrong in [*rows, [row | {"name": 1}]]:
        assert read_agents(wrong) is None
    sample = shared_data.parent / "hyperliquid-samples" / "rest_extraAgents.json"
    recorded = read_agents(json.loads(sample.read_text())["response"])
    assert recorded is not None
    assert [agent.name for agent in recorded] == ["ok", "new"]


def test_an_agent_of_the_account_may_sign() -> None:
    assert check_key(CASE) == check_key(replace(CASE, account=ACCOUNT.upper().replace("X", "x")))
    assert check_key(CASE).refusals == check_key(CASE).warnings == ()


Change = Callable[[KeyCase], KeyCase]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda case: replace(case, signer_standing=Standing(Role.AGENT, OTHER)), f"AI_QUANT_ACCOUNT_ADDRESS={OTHER}"),
        (lambda case: replace(case, signer_standing=USER), "is an account of its own, not an agent"),
        (lambda case: replace(case, signer_standing=Standing(Role.MISSING)), "does not know the key"),
        (lambda case: replace(case, signer_standing=Standing(Role.VAULT)), "this cannot be"),
        (lambda case: replace(case, signer_standing=Standing(Role.SUB_ACCOUNT, ACCOUNT)), "this cannot be"),
        (lambda case: replace(case, signer_standing=Standing(Role.UNREADABLE)), "is not known"),
        (lambda case: replace(case, account_standing=Standing(Role.AGENT, OTHER)), f"account of that agent, {OTHER}"),
        (
            lambda case: replace(case, account_standing=Standing(Role.SUB_ACCOUNT, OTHER)),
            f"owner {OTHER}, and AI_QUANT_VAULT_ADDRESS={ACCOUNT}",
        ),
        (lambda case: replace(case, account_standing=Standing(Role.VAULT)), f"AI_QUANT_VAULT_ADDRESS={ACCOUNT}"),
        (lambda case: replace(case, account_standing=Standing(Role.MISSING)), "first deposit"),
        (lambda case: replace(case, account_standing=Standing(Role.UNREADABLE)), "cannot be told"),
        (lambda case: replace(case, vault=ACCOUNT, vault_standing=USER), "is the account itself"),
        (lambda case: replace(case, vault=VAULT, vault_standing=USER), "neither a vault nor a sub-account"),
        (lambda case: replace(case, vault=VAULT, vault_standing=Standing(Role.MISSING)), "unknown to the venue"),
        (lambda case: replace(case, vault=VAULT, vault_standing=Standing(Role.AGENT, OTHER)), "an agent (API wallet)"),
        (lambda case: replace(case, vault=VAULT, vault_standing=None), "cannot be told"),
        (
            lambda case: replace(case, vault=VAULT, vault_standing=Standing(Role.SUB_ACCOUNT, OTHER)),
            f"a sub-account of {OTHER}, not of {ACCOUNT}",
        ),
        (lambda case: replace(case, agents=(NamedAgent("bot", AGENT, NOW),)), "has expired"),
        (lambda case: replace(case, signer=ACCOUNT, signer_standing=USER), "AI_QUANT_MASTER_KEY_CONSENT"),
    ],
)
def test_what_is_wrong_is_said_with_the_fix(change: Change, says: str) -> None:
    refusals = check_key(change(CASE)).refusals
    assert len(refusals) == 1
    assert says in refusals[0]


def test_a_vault_and_an_own_sub_account_may_be_traded_for() -> None:
    for standing in (Standing(Role.VAULT), Standing(Role.SUB_ACCOUNT, ACCOUNT)):
        assert check_key(replace(CASE, vault=VAULT, vault_standing=standing)).refusals == ()


def test_the_accounts_own_key_needs_the_typed_consent_and_keeps_warning() -> None:
    own = replace(CASE, signer=ACCOUNT.upper().replace("X", "x"), signer_standing=USER)
    assert "can withdraw" in check_key(own).refusals[0]
    accepted = check_key(replace(own, master_key_accepted=True))
    assert accepted.refusals == ()
    assert "can withdraw" in accepted.warnings[0]
    stranger = replace(CASE, signer_standing=USER, master_key_accepted=True)
    assert check_key(stranger).refusals != (), "consent is to the account's own key, not to a stranger's"


def test_a_key_that_ends_soon_is_warned_about() -> None:
    agents = (NamedAgent("other", OTHER, NOW - 1), NamedAgent("bot", AGENT, NOW + EXPIRES_SOON_MS - 1))
    findings = check_key(replace(CASE, agents=agents))
    assert (findings.refusals, findings.expires_ms) == ((), NOW + EXPIRES_SOON_MS - 1)
    assert "ends in 168 hours" in findings.warnings[0]
    later = check_key(replace(CASE, agents=(NamedAgent("bot", AGENT, NOW + EXPIRES_SOON_MS),)))
    assert later.warnings == ()
    assert "not known when the key ends" in check_key(replace(CASE, agents=None)).warnings[0]


def test_everything_that_is_wrong_comes_at_once() -> None:
    case = replace(CASE, signer_standing=USER, account_standing=Standing(Role.VAULT), vault=VAULT)
    assert len(check_key(case).refusals) == 3
