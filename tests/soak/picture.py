"""A soak as a picture: one small chart below another, as SVG, with nothing but text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tests.soak.samples import Sample
from tests.soak.trends import Points
from tests.soak.verdict import DAY_S

WIDTH, HEIGHT, LEFT, GAP = 900, 110, 90, 26


def picture_of(samples: Sequence[Sample], scale: float) -> str:
    def points(name: str) -> Points:
        told = [(sample.at_s * scale / DAY_S, getattr(sample, name)) for sample in samples]
        return [(day, float(value)) for day, value in told if value is not None]

    charts = [(title, points(name)) for title, name in _CHARTS]
    charts = [(title, told) for title, told in charts if told]
    bottom = GAP + len(charts) * (HEIGHT + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 20}" height="{bottom + 20}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for place, (title, told) in enumerate(charts):
        parts += _chart(title, told, GAP + place * (HEIGHT + GAP))
    last = max((told[-1][0] for _, told in charts), default=0.0)
    parts.append(f'<text x="{LEFT}" y="{bottom + 10}">0</text>')
    parts.append(f'<text x="{LEFT + WIDTH}" y="{bottom + 10}" text-anchor="end">{last:.2f} simulated days</text>')
    return "\n".join([*parts, "</svg>", ""])


_CHARTS = (
    ("RSS of the daemon, MiB", "rss_mib"),
    ("PSS of the venue, MiB", "venue_pss_mib"),
    ("file descriptors", "fds"),
    ("threads", "threads"),
    ("tasks", "tasks"),
    ("positions", "positions"),
    ("ledger, MiB", "ledger_mib"),
    ("decisions, MiB", "decisions_mib"),
    ("sessions, MiB", "sessions_mib"),
    ("log files, MiB", "log_mib"),
)


def _chart(title: str, told: Points, top: int) -> list[str]:
    low, high = min(value for _, value in told), max(value for _, value in told)
    span, last = (high - low) or 1.0, told[-1][0] or 1.0
    line = " ".join(
        f"{LEFT + day / last * WIDTH:.1f},{top + HEIGHT - (value - low) / span * HEIGHT:.1f}" for day, value in told
    )
    return [
        f'<text x="{LEFT}" y="{top - 6}" font-weight="bold">{escape(title)}</text>',
        f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#ccc"/>',
        f'<text x="{LEFT - 6}" y="{top + 10}" text-anchor="end">{high:.6g}</text>',
        f'<text x="{LEFT - 6}" y="{top + HEIGHT}" text-anchor="end">{low:.6g}</text>',
        f'<polyline points="{line}" fill="none" stroke="#1f5fa8"/>',
    ]
