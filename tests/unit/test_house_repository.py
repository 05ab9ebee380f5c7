"""What the repository keeps, and what it keeps out."""

import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_what_a_user_or_a_tool_leaves_behind_is_never_committed() -> None:
    ignored = set((ROOT / ".gitignore").read_text().splitlines())
    assert {"user_data/", ".env", ".venv/", "__pycache__/", ".hypothesis/", "*.sqlite", "*.sqlite-wal"} <= ignored


def test_the_licence_is_the_unaltered_apache_2_0_text() -> None:
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
