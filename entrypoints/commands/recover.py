"""A new ledger in place of one that is lost, from what the venue remembers."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from datetime import UTC, datetime

import click

from adapters.sqlite.ledger import LedgerIdentity
from adapters.sqlite.ledger_check import events_in
from adapters.sqlite.writer_lock import WriterLock
from config.load import Configuration
from config.settings import Settings
from config.variables import Mode, Network
from entrypoints.account_lock import account_held, refuse_held_account
from entrypoints.configuration import read_configuration
from entrypoints.container import account_name
from entrypoints.gates import GateClosed
from entrypoints.output import print_json, say
from entrypoints.recovery.identities import Identities
from entrypoints.recovery.new_ledger import refuse_filled, write_new
from entrypoints.recovery.rebuild import PLAIN_TARGET_ATR, Rebuilt, rebuild
from entrypoints.recovery.report import as_json, print_report
from entrypoints.recovery.venue_word import VenueWord, ask_venue

CANDLES = 2
"""Entries of so many candles are known again, whatever came of them."""


@click.command(name="recover")
@click.option("--from-venue", is_flag=True, required=True, help="Ask the venue: there is no other source.")
@click.option("--yes", is_flag=True, help="Write the ledger. Without it this is a dry run.")
@click.option("--since", metavar="TIME", help="Take only what happened from then on: 2026-11-22 (UTC) or epoch ms.")
@click.option("--json", "as_object", is_flag=True, help="Print one JSON object.")
def command(from_venue: bool, yes: bool, since: str | None, as_object: bool) -> None:
    """Rebuild a lost ledger from what the venue remembers: fills, payments, positions, orders that still rest.

    For the configured mode (live or dry_live), network and account. Reads the venue only: no key is needed, nothing is
    sent. Prints what would be written; with --yes the new ledger appears at its place, complete or not at all. A ledger
    that holds anything is never touched.
    """
    assert from_venue, "the option is required"
    configuration = read_configuration()
    settings = configuration.settings
    _refuse_elsewhere(settings)
    since_ms = 0 if since is None else _time_ms(since)
    refuse_filled(settings.db_path)
    refuse_held_account(settings)
    if not yes:
        word, rebuilt = _rebuilt(configuration, since_ms)
        _show(settings, word, rebuilt, as_object=as_object, is_written=False)
        return
    with closing(_Lock(settings)), account_held(settings):
        if settings.db_path.exists() and events_in(settings.db_path):
            refuse_filled(settings.db_path)
        word, rebuilt = _rebuilt(configuration, since_ms)
        write_new(settings.db_path, _identity(settings), rebuilt.facts)
    _show(settings, word, rebuilt, as_object=as_object, is_written=True)


class _Lock:
    """The place of the ledger, held as a daemon holds it."""

    def __init__(self, settings: Settings) -> None:
        self._lock = WriterLock(settings.db_path)

    def close(self) -> None:
        self._lock.release()


def _refuse_elsewhere(settings: Settings) -> None:
    if settings.mode is Mode.PAPER:
        raise GateClosed(
            "a paper account is in no venue: what its exchange remembers lies beside the ledger. Set "
            "AI_QUANT_MODE=live (or dry_live) with the account's address"
        )
    if settings.network is Network.LOCAL and settings.venue_url is None:
        raise GateClosed(
            "a rehearsal's venue starts anew each time: there is nothing to recover from it. AI_QUANT_VENUE_URL names "
            "one that runs already"
        )


def _identity(settings: Settings) -> LedgerIdentity:
    return LedgerIdentity(settings.mode.value, settings.network.value, account_name(settings))


def _rebuilt(configuration: Configuration, since_ms: int) -> tuple[VenueWord, Rebuilt]:
    settings, book = configuration.settings, configuration.book

    def target_atr(symbol: str) -> float:
        trade = book.for_symbol(symbol).trade
        apart = trade.enable_partial_tp and trade.tp_partial_atr_mult > 0
        return trade.tp_partial_atr_mult if apart else PLAIN_TARGET_ATR

    word = asyncio.run(ask_venue(settings, since_ms))
    identities = Identities(account_name(settings), settings.strategy, settings.interval)
    made = rebuild(
        word,
        identities,
        claims=settings.mode is Mode.LIVE,
        recent_ms=CANDLES * settings.interval.ms,
        target_atr=target_atr,
    )
    return word, made


def _show(settings: Settings, word: VenueWord, rebuilt: Rebuilt, *, as_object: bool, is_written: bool) -> None:
    path = str(settings.db_path)
    if as_object:
        print_json(as_json(word, rebuilt, path, is_written=is_written))
        return
    print_report(word, rebuilt)
    if is_written:
        print(f"{len(rebuilt.facts):,} facts written to {path}, and checked; the next start goes on from there")
    else:
        say(f"would write {len(rebuilt.facts):,} facts to {path}. Nothing was written: --yes does it")


def _time_ms(text: str) -> int:
    if text.isdigit():
        at_ms = int(text)
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise click.BadParameter(f"'{text}' is neither a time such as 2026-11-22 nor epoch ms") from None
        at_ms = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    if not 0 < at_ms < time.time_ns() // 1_000_000:
        raise click.BadParameter(f"'{text}' is not in the past")
    return at_ms
