"""The gateway: shared vocabulary at the bottom, two loops in the middle, the roof on top.

The import contract in pyproject.toml is the picture of who may use whom.
"""
