"""The time ledger: availability that can be recomputed. Pure."""
