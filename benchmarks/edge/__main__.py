"""`python -m benchmarks.edge`."""

from benchmarks.edge.main import main

main()
