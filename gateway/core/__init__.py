"""The core loop: one inbox, one writer."""
