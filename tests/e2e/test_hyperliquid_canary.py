"""A canary key goes everywhere a key can go, and into wrong places; then all that was printed or written is searched.

Hex with and without 0x in either case, every form of the integer, base64, and halves of the hex: none may be found,
but in the one file that `--plain` writes on purpose.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import pty
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.hyperliquid.encoder import ActionEncoder
from adapters.hyperliquid.keys import AgentKey, KeyRefused, KeySources, key_problem, load_agent_key
from adapters.hyperliquid.nonces import NonceSource
from adapters.hyperliquid.signing import Signer, envelope
from domain.field_rules import SecretText
from domain.instruments import Instrument, Universe, single_tier
from entrypoints.logs import JsonFormatter, TextFormatter
from tests.daemon_process import PATIENCE_S, Daemon, aiq, environment

DIGITS = "c0ffee5ca1ab1e0ddba11dec0dedbadcab1efacade5afe5eaf00dfeedbabe123"
PASSPHRASE = "canary-passphrase-73b1"
NUMBER = int(DIGITS, 16)
FORMS = (DIGITS, DIGITS.upper(), str(NUMBER), DIGITS[:20], DIGITS[-20:], PASSPHRASE)
BINARY = (bytes.fromhex(DIGITS), base64.b64encode(bytes.fromhex(DIGITS))[:40])


def clean(what: str | bytes, where: str) -> None:
    raw = what if isinstance(what, bytes) else what.encode("utf-8", "replace")
    lowered = raw.lower()
    for form in FORMS:
        assert form.lower().encode() not in lowered, f"the canary's {form[:6]}… is in {where}"
    for binary in BINARY:
        assert binary not in raw, f"the canary is in {where}, as bytes"


def clean_folder(folder: Path, *allowed: Path) -> int:
    """Search every file below the folder, and their names; return how many there were."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        clean(str(path.relative_to(folder)), "a file's name")
        if path not in allowed:
            clean(path.read_bytes(), path.name)
    return len(files)


def clean_run(done: subprocess.CompletedProcess[str], what: str) -> str:
    clean(done.stdout, f"the output of {what}")
    clean(done.stderr, f"the messages of {what}")
    return done.stdout + done.stderr


def run_with_input(folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "entrypoints.cli", *arguments]
    return subprocess.run(
        command,
        env=environment(folder),
        cwd=folder,
        input=text,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.fixture
def user(tmp_path: Path) -> Path:
    folder = tmp_path / "user"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text(PASSPHRASE + "\n")
    path.chmod(0o600)
    return path


@contextmanager
def everything_logged() -> Iterator[io.StringIO]:
    """Every logger of this process at its most talkative, in both layouts."""
    stream = io.StringIO()
    handlers = [logging.StreamHandler(stream), logging.StreamHandler(stream)]
    for handler, formatter in zip(handlers, (JsonFormatter(), TextFormatter()), strict=True):
        handler.setFormatter(formatter)
    bare = logging.StreamHandler(stream)
    root, level = logging.getLogger(), logging.getLogger().level
    root.setLevel(1)
    for handler in (*handlers, bare):
        root.addHandler(handler)
    try:
        yield stream
    finally:
        root.setLevel(level)
        for handler in (*handlers, bare):
            root.removeHandler(handler)


# ── the command line ─────────────────────────────────────────────────────────────────────────────


def test_import_show_and_test_sign_with_a_keystore(user: Path, passphrase: Path) -> None:
    done = run_with_input(user, f"0x{DIGITS}\n", "wallet", "import", "--passphrase-file", str(passphrase), "--json")
    assert done.returncode == 0, clean_run(done, "import")
    clean_run(done, "import")
    made = json.loads(done.stdout)
    assert made["encrypted"] is True
    assert Path(made["file"]) == user / "agent.keystore.json"
    assert Path(made["file"]).stat().st_mode & 0o777 == 0o600
    extra = {
        "AI_QUANT_AGENT_KEYSTORE": made["file"],
        "AI_QUANT_AGENT_KEYSTORE_PASSPHRASE_FILE": str(passphrase),
        "AI_QUANT_NETWORK": "testnet",
    }
    for arguments in (("wallet", "show"), ("wallet", "test-sign"), ("show-config",)):
        for as_json in ((), ("--json",)):
            done = aiq(user, *arguments, *as_json, extra=extra)
            assert done.returncode == 0, done.stderr
            text = clean_run(done, " ".join(arguments))
            assert made["address"] in text or arguments == ("show-config",)
    again = run_with_input(user, DIGITS, "wallet", "import", "--passphrase-file", str(passphrase))
    assert again.returncode == 3
    assert "never replaced" in clean_run(again, "a second import")
    assert clean_folder(user) == 1


def test_a_plain_file_and_the_environment(user: Path) -> None:
    done = run_with_input(user, DIGITS.upper(), "wallet", "import", "--plain")
    assert done.returncode == 0, done.stderr
    clean_run(done, "import --plain")
    plain = user / "agent.key"
    assert plain.stat().st_mode & 0o777 == 0o600
    by_file = aiq(user, "wallet", "test-sign", extra={"AI_QUANT_AGENT_KEY_FILE": str(plain)})
    assert by_file.returncode == 0, by_file.stderr
    assert "network  local" in clean_run(by_file, "test-sign")
    told = {"AI_QUANT_AGENT_KEY": f"0x{DIGITS}"}
    for arguments in (("wallet", "show"), ("wallet", "test-sign"), ("show-config", "--changed")):
        done = aiq(user, *arguments, extra=told)
        assert done.returncode == 0, done.stderr
        clean_run(done, " ".join(arguments))
    refused = aiq(user, "wallet", "show", extra=told | {"AI_QUANT_NETWORK": "mainnet"})
    assert refused.returncode == 3
    assert "testnet and the local venue" in clean_run(refused, "show on mainnet")
    plain.chmod(0o644)
    open_file = aiq(user, "wallet", "show", extra={"AI_QUANT_AGENT_KEY_FILE": str(plain)})
    assert open_file.returncode == 3
    assert f"chmod 600 {plain}" in clean_run(open_file, "show of an open file")
    clean_folder(user, plain)


def test_a_question_at_a_terminal_does_not_echo(user: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "entrypoints.cli", "wallet", "import"]
    child = subprocess.Popen(
        command,
        env=environment(user),
        cwd=user,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""
    for asked, answer in ((b"Key of the agent", DIGITS), (b"Passphrase", PASSPHRASE), (b"Repeat", PASSPHRASE)):
        while asked not in seen:
            seen += os.read(ours, 4_096)
        os.write(ours, answer.encode() + b"\n")
    try:
        while chunk := os.read(ours, 4_096):
            seen += chunk
    except OSError:
        pass  # the other side is closed
    finally:
        os.close(ours)
    assert child.wait(timeout=PATIENCE_S) == 0, seen
    assert b"address  0x" in seen
    clean(seen, "the terminal")
    assert clean_folder(user) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("wallet", "import", f"0x{DIGITS}"),
        ("wallet", "import", "--from", DIGITS),
        ("wallet", f"0x{DIGITS}"),
        ("wallet", "show", DIGITS.upper()),
        ("wallet", "import", f"--key={DIGITS}"),
        (f"0x{DIGITS}",),
        ("why", f"0x{DIGITS}", "--limit", DIGITS),
    ],
)
def test_a_key_on_the_command_line_is_refused_and_not_repeated(user: Path, arguments: tuple[str, ...]) -> None:
    done = aiq(user, *arguments)
    assert done.returncode in (2, 3)
    clean_run(done, "a command with the key as argument")
    clean_folder(user)


def test_imports_that_fail(user: Path, passphrase: Path) -> None:
    account = {"AI_QUANT_ACCOUNT_ADDRESS": AgentKey(SecretText(DIGITS), "a test").address}
    source = user / "source"
    source.write_text(f"0x{DIGITS}\n")
    source.chmod(0o600)
    master = aiq(user, "wallet", "import", "--from", str(source), "--plain", extra=account)
    assert master.returncode == 3
    assert "AI_QUANT_MASTER_KEY_CONSENT=" in clean_run(master, "an import of the master key")
    for text in (DIGITS[:-1], DIGITS + "0", f"{DIGITS} {DIGITS}", f'{{"secret_key": "{DIGITS}"}}'):
        done = run_with_input(user, text, "wallet", "import", "--passphrase-file", str(passphrase))
        assert done.returncode == 3
        clean_run(done, "an import of a broken key")
    no_passphrase = run_with_input(user, DIGITS, "wallet", "import")
    assert no_passphrase.returncode == 3
    clean_run(no_passphrase, "an import without a passphrase")
    nowhere = run_with_input(user, DIGITS, "wallet", "import", "--plain", "--out", "/dev/null/agent.key")
    assert nowhere.returncode == 3
    assert "cannot be made" in clean_run(nowhere, "an import to nowhere")
    clean_folder(user, source)


# ── the daemon ───────────────────────────────────────────────────────────────────────────────────

WRONG_STARTS = [
    {"AI_QUANT_MODE": "live", "AI_QUANT_AGENT_KEY": DIGITS},
    {"AI_QUANT_MODE": "live", "AI_QUANT_AGENT_KEY": DIGITS, "AI_QUANT_NETWORK": "testnet", "AI_QUANT_INTERVAL": "7m"},
    {"AI_QUANT_AGENT_KEY": DIGITS + "0"},
    {"AI_QUANT_AGENT_KEY_FILE": f"0x{DIGITS}"},
    {"AI_QUANT_AGENT_KEYSTORE": DIGITS},
    {"AI_QUANT_AGENT_KEYSTORE_PASSPHRASE_FILE": PASSPHRASE},
    {"AI_QUANT_ACCOUNT_ADDRESS": f"0x{DIGITS}"},
    {"AI_QUANT_VAULT_ADDRESS": DIGITS.upper()},
    {"AI_QUANT_SYMBOLS": f"BTC,0x{DIGITS}"},
    {"AI_QUANT_SEED": str(NUMBER)},
    {"AI_QUANT_VENUE_URL": f"https://{DIGITS}@host"},
    {"AI_QUANT_STRATEGY": f"0x{DIGITS}"},
    {"AI_QUANT_PRIVATE_KEY": f"0x{DIGITS}", "AI_QUANT_AGENT_KEYS": DIGITS, "AI_QUANT_MODE": "nonsense"},
]


@pytest.mark.parametrize("wrong", WRONG_STARTS, ids=lambda wrong: "+".join(wrong))
def test_a_start_with_a_wrong_setting(user: Path, wrong: dict[str, str]) -> None:
    with Daemon(user, {"AI_QUANT_RUN_FOR": "2", **wrong}) as daemon:
        assert daemon.process.wait(timeout=PATIENCE_S) == 3
        clean(daemon.text, "the daemon's output")
    done = aiq(user, "show-config", extra=wrong)
    clean_run(done, "show-config")
    assert clean_folder(user) >= 1


def test_a_dotenv_with_a_broken_line(user: Path) -> None:
    dotenv = user / ".env"
    dotenv.write_text(f"AI_QUANT_AGENT_KEY {DIGITS}\nAI_QUANT_AGENT_KEY=0x{DIGITS} # mine\nAI_QUANT_MODE=lvie\n")
    with Daemon(user) as daemon:
        assert daemon.process.wait(timeout=PATIENCE_S) == 3
        clean(daemon.text, "the daemon's output")
    clean_folder(user, dotenv)


def test_a_whole_run_with_the_key_in_the_environment_leaves_no_trace(user: Path) -> None:
    extra = {"AI_QUANT_AGENT_KEY": f"0x{DIGITS}", "AI_QUANT_RUN_FOR": "4", "AI_QUANT_LOG_LEVEL": "debug"}
    with Daemon(user, extra) as daemon:
        assert daemon.process.wait(timeout=PATIENCE_S) == 0, daemon.text[-2000:]
        clean(daemon.text, "the daemon's output")
    assert clean_folder(user) >= 4, "ledger, decisions, candles and output were searched"


# ── in the process ───────────────────────────────────────────────────────────────────────────────


def test_signing_failures_exceptions_logs_and_reprs(tmp_path: Path) -> None:
    with everything_logged() as logged:
        log = logging.getLogger("canary")
        path = tmp_path / "agent.key"
        path.write_text(DIGITS)
        path.chmod(0o600)
        sources = KeySources(environment=SecretText(DIGITS), allow_environment=True)
        key = load_agent_key(sources)
        signer = Signer(key, is_mainnet=True)
        nonces = NonceSource(tmp_path / "nonces")
        universe = Universe((Instrument("BTC", 5, single_tier(40)),))
        encoder = ActionEncoder(universe, {"BTC": 0})
        nonce = nonces.next(1_790_000_000_000)
        action = encoder.leverage("BTC", 3, is_cross=True)
        body = envelope(action, nonce, signer.sign_l1(action, nonce, None, None), None, None)
        clean(body, "a request")
        for thing in (sources, key, signer, nonces, sources.environment, [key], {"key": signer}):
            for text in (repr(thing), str(thing), f"{thing}", f"{thing!r}", "%s" % (thing,)):  # noqa: UP031
                clean(text, f"a text of {type(thing)}")
            log.warning("thing", extra={"thing": thing})
            log.debug("%r %s", thing, thing)
        failures: list[Callable[[], object]] = [
            lambda: signer.sign_l1({"price": 1.5}, 1, None, None),
            lambda: signer.sign_l1({"type": "noop"}, 1, "0x12", None),
            lambda: signer.sign_l1({"type": "noop"}, -1, None, None),
            lambda: key.sign_digest(b"short"),
            lambda: load_agent_key(KeySources(environment=SecretText(DIGITS))),
            lambda: load_agent_key(KeySources(environment=SecretText(DIGITS + "0"), allow_environment=True)),
            lambda: load_agent_key(KeySources(key_file=path, environment=SecretText(DIGITS), allow_environment=True)),
            lambda: load_agent_key(KeySources(keystore=path, passphrase_file=path)),
            lambda: json.dumps({"key": sources.environment}),
        ]
        for failure in failures:
            with pytest.raises((AssertionError, ValueError, TypeError, KeyRefused)) as caught:
                failure()
            log.error("failed", exc_info=caught.value)
            shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
            # The first frame is this test, whose own local variables hold the canary.
            ours = [line for frame in shown.stack[1:] for line in (frame.locals or {}).values()]
            clean("\n".join([str(caught.value), repr(caught.value), *ours]), "an exception")
        assert "64" in key_problem(SecretText(DIGITS[:-1]))
        nonces.close()
    text = logged.getvalue()
    assert text.count("failed") >= 3 * len(failures)
    clean(text, "a log")
    path.unlink()
    clean_folder(tmp_path)
