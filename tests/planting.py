"""Planting a bug: what it replaces comes back afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def planted(owner: Any, name: str, bug: Any) -> Iterator[None]:
    """Put `bug` in the place of `name` in a module or class of ours, to see who notices."""
    right = getattr(owner, name)
    setattr(owner, name, bug)
    try:
        yield
    finally:
        setattr(owner, name, right)
