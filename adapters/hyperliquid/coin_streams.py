"""One coin's silence: a quote comes when the top of its book changes, so a quiet coin and a dead stream sound alike.

What tells them apart is a spot check, a question for all mid prices. A stream that was silent since before the question
should have told of every change: the same price confirms its last word, another price twice in a row makes it dead.
The price to compare with is remembered from the first question in a silence: who asked may have taken the
answer for its own price since.

Some coins never agree: a book with one side has no mid, the venue then answers with its last trade. A stream that was
asked for again and is called dead again proves nothing about its connection for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from adapters.hyperliquid.feed_health import Judgement, Moment, Report, Verdict, silence_text

COIN_SUSPECT_MS = 30_000
"""Whatever is usual for a coin: two answers with another price prove more than a long wait, which would only let the
price be wrong for longer (100 s instead of 50 on recorded mids), and a silence alone proves nothing about a coin."""
SAME_PRICE_BPS = 5.0
"""Two mids that differ by no more are the same: prices move a little while the question travels."""
ON_ITS_WAY_MS = 2_500
"""A frame may travel so long (2.4 s in recordings): what came before that is no silence, what is missing no loss."""
CONFIRMED_FOR_MS = 30_000
"""How long an answer stands for what has not been heard since."""
DEAD_CHECKS = 2
DEATHS_CONTESTED = 2
CONTESTED_FOR_MS = 3_600_000
_LONG_AGO_MS = -(1 << 60)

PriceOf = Callable[[str], float | None]


@dataclass(slots=True)
class _Coin:
    heard_ms: int = 0
    """Real moment of the newest quote."""
    ours: float | None = None
    """The price that the stream left us with, once it was asked for in this silence."""
    theirs: float = 0.0
    checked_ms: int = _LONG_AGO_MS
    """When the last question was asked that says something about this silence."""
    agreed_ms: int = _LONG_AGO_MS
    differs: int = 0
    """Checks in a row with another price."""
    deaths: int = 0
    died_ms: int = _LONG_AGO_MS


class CoinStreams:
    """The quote streams of all connections. Times are real milliseconds."""

    def __init__(self) -> None:
        self._coins: dict[str, _Coin] = {}

    def look(self, report: Report, passed_ms: int, real_ms: int) -> None:
        """Take one connection's silences, `passed_ms` after the look before."""
        coins = self._coins
        for symbol, silence_ms in report.quiet.items():
            coin = coins.get(symbol)
            if coin is None:
                coin = coins[symbol] = _Coin()
            coin.heard_ms = real_ms - silence_ms
            if silence_ms <= passed_ms and coin.checked_ms != _LONG_AGO_MS:
                self._begin_anew(coin)

    def checked(self, asked_ms: int, mids: Mapping[str, float], price_of: PriceOf) -> None:
        """Compare the answer to a question for mid prices with our own, where nothing was heard since before it."""
        for symbol, theirs in mids.items():
            coin = self._coins.get(symbol)
            if coin is None or coin.heard_ms > asked_ms - ON_ITS_WAY_MS:
                continue
            if coin.ours is None:
                coin.ours = price_of(symbol)
            if coin.ours is None:
                continue
            coin.checked_ms, coin.theirs = asked_ms, theirs
            if abs(_bps(coin.ours, theirs)) > SAME_PRICE_BPS:
                coin.differs += 1
            else:
                coin.differs = 0
                coin.agreed_ms = asked_ms

    def asked_again(self, symbols: Iterable[str], real_ms: int) -> None:
        """Their streams were asked for anew: what was silent so far proves nothing any more."""
        for symbol in symbols:
            coin = self._coins[symbol]
            coin.deaths = coin.deaths + 1 if self._is_remembered(coin, real_ms) else 1
            coin.died_ms = real_ms
            self._begin_anew(coin)

    # ── what follows ─────────────────────────────────────────────────────────────────────────────

    def judged(self, report: Report, now: Moment) -> dict[str, Judgement]:
        """Those streams of a connection that speaks which are silent for too long."""
        found = {}
        for symbol, silence_ms in report.quiet.items():
            if silence_ms > COIN_SUSPECT_MS:
                found[symbol] = self._judgement(symbol, self._coins[symbol], silence_ms, report.number, now)
        return found

    def _judgement(self, symbol: str, coin: _Coin, silence_ms: int, number: int, now: Moment) -> Judgement:
        reason = f"{symbol} on connection {number}: {silence_text(silence_ms, now)} while others on it speak"
        since_ms = now.before(silence_ms)
        if coin.differs >= DEAD_CHECKS:
            return Judgement(Verdict.DEAD, f"{reason}; its price went from {_moved(coin)}", since_ms)
        if coin.agreed_ms >= now.real_ms - CONFIRMED_FOR_MS:
            return Judgement(Verdict.QUIET, f"{reason}; its price is still {coin.theirs:g}", since_ms)
        return Judgement(Verdict.SUSPECT, reason, since_ms)

    def moved(self, symbols: Iterable[str], silent_since_ms: int, real_ms: int) -> str:
        """Whose price is another now than before a silence that began then, in words; empty where none is known."""
        for symbol in symbols:
            coin = self._coins.get(symbol)
            if coin is None or not coin.differs or self._is_contested(coin, real_ms):
                continue
            if coin.checked_ms > silent_since_ms and coin.checked_ms <= real_ms - ON_ITS_WAY_MS:
                return f"{symbol} went from {_moved(coin)}"
        return ""

    def are_confirmed(self, symbols: Iterable[str], silent_since_ms: int, real_ms: int) -> bool:
        """Whether a recent answer, asked for in this silence, says that our prices are still the venue's."""
        oldest_ms = max(silent_since_ms, real_ms - CONFIRMED_FOR_MS)
        known = [coin for symbol in symbols if (coin := self._coins.get(symbol)) is not None]
        known = [coin for coin in known if not self._is_contested(coin, real_ms) and coin.checked_ms > oldest_ms]
        return bool(known) and not any(coin.differs for coin in known)

    def silence_ms(self, symbol: str, real_ms: int) -> int | None:
        """None where no quote stream of it is known."""
        coin = self._coins.get(symbol)
        return None if coin is None else real_ms - coin.heard_ms

    def _is_contested(self, coin: _Coin, real_ms: int) -> bool:
        return coin.deaths >= DEATHS_CONTESTED and self._is_remembered(coin, real_ms)

    def _is_remembered(self, coin: _Coin, real_ms: int) -> bool:
        return real_ms - coin.died_ms <= CONTESTED_FOR_MS

    def _begin_anew(self, coin: _Coin) -> None:
        coin.ours = None
        coin.differs = 0
        coin.checked_ms = coin.agreed_ms = _LONG_AGO_MS


def _bps(before: float, now: float) -> float:
    return (now / before - 1) * 10_000


def _moved(coin: _Coin) -> str:
    assert coin.ours is not None, "it was compared"
    return f"{coin.ours:g} to {coin.theirs:g} ({_bps(coin.ours, coin.theirs):+.1f} bps)"
