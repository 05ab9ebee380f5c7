"""Recorded sessions: what there is, whether it is sound, and how to be rid of it or give it away."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from adapters.session_files.export import export as export_session
from adapters.session_files.prune import prune as prune_sessions
from adapters.session_files.reader import SessionReader
from adapters.session_files.shelf import ShelvedSession, sessions_in
from config.settings import Settings
from entrypoints.configuration import read_configuration
from entrypoints.exit_codes import ExitCode
from entrypoints.output import plain, print_json, print_table, say, utc
from entrypoints.progress import progress
from entrypoints.sessions.choose import SESSION_HELP, choose_session
from entrypoints.sessions.contents import Contents, read_contents
from entrypoints.sessions.difference import difference_lines
from entrypoints.sessions.import_command import command as import_command
from entrypoints.sessions.market_only import export_market
from entrypoints.sessions.redacting import ReplaysOtherwise, export_redacted

GB = 1_000_000_000
_LARGE = 20_000_000
"""Bytes from which on progress is shown: fewer take a second or two."""


@click.group(name="sessions", epilog=SESSION_HELP)
def command() -> None:
    """Look after recorded sessions."""


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def list_(as_json: bool) -> None:
    """List the recorded sessions, oldest first. Records and seq are those of closed files."""
    folder = _settings().sessions_dir
    found = sessions_in(folder)
    if as_json:
        print_json([_listed_json(each) for each in found])
        return
    print_table([_listed(each) for each in found], empty=f"no sessions in {folder}")
    for each in found:
        if each.problem:
            say(f"{each.id}: {each.problem}")
    if found:
        print(f"{len(found)} sessions, {_size(sum(each.bytes for each in found))}")


@command.command(name="show", epilog=SESSION_HELP)
@click.argument("session")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def show(ctx: click.Context, session: str, as_json: bool) -> None:
    """Show what a session is and what is in it. Reads all of it; of a damaged one, what is sound."""
    path, contents = _read(session)
    manifest = contents.reader.manifest
    if as_json:
        print_json({"path": str(path), "manifest": manifest, **contents.as_json()})
    else:
        _print_manifest(path, contents)
        print_table(
            [{"tag": tag, "entries": f"{count:,}"} for tag, count in contents.by_tag.items()], empty="no entries"
        )
        print(_summary(contents))
    ctx.exit(_verdict(contents))


@command.command(name="verify", epilog=SESSION_HELP)
@click.argument("session")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def verify(ctx: click.Context, session: str, as_json: bool) -> None:
    """Read every record of a session and check every hash. Ends with 0 if it is sound and with 8 if it is not.

    A session that was never ended, by a kill or a power cut, is sound as far as it goes.
    """
    path, contents = _read(session)
    if as_json:
        print_json({"path": str(path), **contents.as_json()})
    else:
        print(f"{path}: {_summary(contents)}")
        print("not sound" if contents.damage else "sound")
    ctx.exit(_verdict(contents))


@command.command(name="prune")
@click.option("--cap-gb", metavar="GB", help="Keep at most so much, instead of AI_QUANT_SESSIONS_CAP_GB.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def prune(cap_gb: str | None, dry_run: bool, as_json: bool) -> None:
    """Remove the oldest sessions until the rest fits. One that is being recorded or read stays."""
    settings = _settings()
    cap_bytes = int((settings.sessions_cap_gb if cap_gb is None else _amount(cap_gb)) * GB)
    removed, left = prune_sessions(settings.sessions_dir, cap_bytes, dry_run=dry_run)
    if as_json:
        print_json({"dry_run": dry_run, "cap_bytes": cap_bytes, "removed": removed, "bytes_left": left})
        return
    for each in removed:
        print(f"{'would remove' if dry_run else 'removed'} {each.id}, {_size(each.bytes)}")
    print(f"{_size(left)} {'would be left' if dry_run else 'left'}, of {plain(Decimal(cap_bytes) / GB)} GB allowed")
    if left > cap_bytes:
        say("what is left is being recorded or read: a daemon prunes its own session as it goes")


@command.command(name="export", epilog=SESSION_HELP)
@click.argument("session")
@click.option("--out", required=True, metavar="FILE", help="The bundle to write, a .tar; must not be there yet.")
@click.option("--hash-addresses", is_flag=True, help="Replace every address, and whatever is derived from one.")
@click.option("--market-only", is_flag=True, help="Leave the account out: the market alone, to trade on paper.")
@click.pass_context
def export(ctx: click.Context, session: str, out: str, hash_addresses: bool, market_only: bool) -> None:
    """Write a session into one file, to keep or to give away; `replay` and these commands open it as it is.

    A session holds no keys, but what was traded, and paths of this machine. With --hash-addresses it no longer says
    whose account it is: addresses, ids of orders and hashes of transactions are others, each always the same, and a
    replay of it finds no difference. For that the session is replayed first; what does not replay here is refused.

    What was traded, when and at which price cannot be hidden from whoever has the market's trades, nor can amounts be
    changed that decisions rest on: --market-only leaves all of the account out, orders, fills and decisions included.
    What is left begins with 10,000 USD and trades on paper, as an imported session does. The overrides text and risk
    limits stay in both; so do, where exits have an interval of their own, the candles streamed of what was held.
    """
    if hash_addresses and market_only:
        raise click.UsageError("--market-only leaves no address to hash: name one of the two")
    path = choose_session(session, _settings().sessions_dir)
    total, file = SessionReader(path).bytes, Path(out).expanduser()
    with progress("exporting", total, quiet=total < _LARGE) as tell:
        try:
            if hash_addresses:
                export_redacted(path, file, tell=tell)
            elif market_only:
                export_market(path, file, tell=tell)
            else:
                export_session(path, file, tell=tell)
        except ReplaysOtherwise as error:
            print("\n".join(difference_lines(error.difference)))
            say(str(error))
            ctx.exit(ExitCode.FAILED)
    print(f"{out}: {_size(file.stat().st_size)}")


command.add_command(import_command)


def _settings() -> Settings:
    return read_configuration().settings


def _read(session: str) -> tuple[Path, Contents]:
    path = choose_session(session, _settings().sessions_dir)
    reader = SessionReader(path, salvage=True)
    with progress("reading", reader.bytes, quiet=reader.bytes < _LARGE) as tell:
        return path, read_contents(reader, tell)


def _verdict(contents: Contents) -> ExitCode:
    if contents.damage is None:
        return ExitCode.DONE
    say(str(contents.damage))
    return ExitCode.DATA


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("nan")
    if not (amount.is_finite() and amount >= 0):
        raise click.BadParameter(f"must be a number of GB, such as 2.5 (got '{text}')", param_hint="--cap-gb")
    return amount


def _size(bytes_: int) -> str:
    return f"{bytes_ / GB:.2f} GB" if bytes_ >= GB else f"{bytes_ / 1_000_000:.1f} MB"


def _listed(session: ShelvedSession) -> dict[str, str]:
    manifest = session.manifest
    pruned = f", first {manifest.pruned} files pruned" if manifest and manifest.pruned else ""
    return {
        "session": session.id,
        "origin": manifest.origin if manifest else "",
        "began (UTC)": utc(manifest.began_ms) if manifest else "",
        "state": session.state.value + pruned,
        "size": _size(session.bytes),
        "records": "" if session.records is None else f"{session.records:,}",
        "seq": "" if session.seq_range is None else "{:,} to {:,}".format(*session.seq_range),
        "previous": (manifest.previous if manifest else None) or "",
    }


def _listed_json(session: ShelvedSession) -> dict[str, object]:
    manifest = session.manifest
    first, last = session.seq_range or (None, None)
    return {
        "session": session.id,
        "path": str(session.folder),
        "origin": manifest and manifest.origin,
        "began_ms": manifest and manifest.began_ms,
        "state": session.state.value,
        "ended": manifest and manifest.ended,
        "stopped": manifest and manifest.stopped,
        "previous": manifest and manifest.previous,
        "bytes": session.bytes,
        "records": session.records,
        "first_seq": first,
        "last_seq": last,
        "pruned": manifest and manifest.pruned,
        "problem": session.problem or None,
    }


def _print_manifest(path: Path, contents: Contents) -> None:
    manifest = contents.reader.manifest
    print(f"{path}: {manifest.origin}, began {utc(manifest.began_ms)}")
    if manifest.previous:
        print(f"continues {manifest.previous}")
    if manifest.ended is not None:
        print(f"ended {utc(manifest.ended.at_ms)}: {manifest.ended.reason}; digest {manifest.ended.digest or 'none'}")
    if manifest.stopped is not None:
        print(f"recording stopped before the end: {manifest.stopped}")
    if manifest.pruned:
        print(f"the first {manifest.pruned} files were removed to keep the cap, up to record {manifest.pruned_last}")
    if manifest.redacted:
        print("addresses are replaced")
    print("versions: " + ", ".join(f"{name} {version}" for name, version in manifest.versions.items()))
    for name, value in manifest.settings.items():
        print(f"  {name}={value}")
    print_table(
        [
            {
                "file": each.name,
                "records": f"{each.first:,} to {each.last:,}",
                "seq": "" if each.first_seq is None else f"{each.first_seq:,} to {each.last_seq:,}",
                "size": _size(each.bytes),
            }
            for each in manifest.segments
        ],
        empty="no file is closed yet",
    )


def _summary(contents: Contents) -> str:
    parts = [f"{contents.records:,} records, {contents.entries:,} entries"]
    if contents.seq is not None:
        parts.append("seq {:,} to {:,}".format(*contents.seq))
    if contents.at_ms is not None:
        parts.append("{} to {}".format(*map(utc, contents.at_ms)))
    if contents.tail is not None:
        parts.append(contents.tail)
    return "; ".join(parts)
