"""Alerts that leave this machine: throttled, masked, sent by a thread of their own; the log has them all."""
