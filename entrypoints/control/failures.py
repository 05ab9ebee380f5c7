"""Why a daemon could not be asked."""

from __future__ import annotations


class NotRunning(Exception):
    """No daemon listens; the message says where, and what to do. Nothing was asked of anybody."""


class NoAnswer(Exception):
    """A daemon has the request, or may have it, and what came of it is not known. The message says what to do."""
