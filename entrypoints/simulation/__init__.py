"""Deterministic simulation of the whole daemon: days of trading under faults in seconds, the same each time."""
