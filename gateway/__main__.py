"""`python -m gateway` is the same as `steward`."""

from gateway.cli import main

main()
