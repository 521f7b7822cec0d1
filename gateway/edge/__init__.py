"""The edge loop: plan, poll, decode, keep, send."""
