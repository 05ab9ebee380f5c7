"""The report as one HTML file: data, script and style inside, nothing fetched from anywhere.

The page's own policy allows exactly its one script and its one style, by hash. Names in the data come from users'
files: they stand in a JSON block that no text can end early, and the script only ever puts them in as text.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import json
import os
from pathlib import Path
from string import Template

from application.backtest import BacktestRecord
from entrypoints.report.report_data import ReportHeader, report_data
from entrypoints.report.shapes import Report
from ports.datasets import CandleSet

_ASSETS = Path(__file__).with_name("assets")
_SCRIPTS = (
    "format.js",
    "tables.js",
    "plot.js",
    "equity.js",
    "candle_data.js",
    "candle_draw.js",
    "candle_chart.js",
    "candle_panel.js",
    "main.js",
)
"""In the order they are put together: `main.js` starts the page and comes last."""


def write_report(path: Path, record: BacktestRecord, candles: CandleSet, header: ReportHeader) -> None:
    """Write the report of a run. A reader of `path` sees the old file or the whole new one, never a part.

    Raises `OSError` when it cannot be written; what stood there before is then untouched.
    """
    _write_whole(path, page_of(report_data(record, candles, header)).encode("utf-8", "xmlcharrefreplace"))


def page_of(report: Report) -> str:
    style = _asset("page.css")
    script = "\n".join(_asset(name) for name in _SCRIPTS)
    policy = (
        f"default-src 'none'; script-src {_hash_source(script)}; style-src {_hash_source(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return Template(_asset("page.html")).substitute(
        policy=html.escape(policy),
        title=html.escape(report["title"]),
        style=style,
        script=script,
        data=json_block(report),
    )


def json_block(report: Report) -> str:
    """JSON that may stand inside a script element: no `<` that could close it, and ASCII only."""
    text = json.dumps(report, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _hash_source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def _write_whole(path: Path, content: bytes) -> None:
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_bytes(content)  # a pipe or a device: renaming over it would replace it
        return
    target = path.resolve()  # through a link, the file it names is replaced and not the link
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(content)
        partial.replace(target)
    except OSError as error:
        error.filename, error.filename2 = os.fspath(path), None  # the name the user gave, not the one we made up
        raise
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()  # gone already, unless something went wrong
