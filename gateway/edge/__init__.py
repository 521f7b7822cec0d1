"""The edge: reads the lines on a fixed grid, keeps readings until the core has them, says what is missing.

line → collect → filter → pack → outbox → courier → broker. The agent wires them and keeps the account.
"""
