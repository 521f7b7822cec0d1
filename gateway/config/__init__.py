"""Site files: YAML with line marks to typed objects."""
