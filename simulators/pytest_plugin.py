"""The `estate` fixture."""
