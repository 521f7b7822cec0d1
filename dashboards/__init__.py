"""The web: pages, live stream, HTTP interface, access."""
