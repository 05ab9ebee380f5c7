"""Doors that stay shut until somebody opens them on purpose."""

from __future__ import annotations


class GateClosed(Exception):
    """Not allowed as things are set; the message says what would open it. Nothing has happened."""
