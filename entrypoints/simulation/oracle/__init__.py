"""The judge outside of the daemon: what the venue knows, what the ledger says, and what must be true of both.

Nothing here does arithmetic with the daemon's own code: two that share a mistake agree.
"""
