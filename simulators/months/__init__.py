"""Months of an estate in seconds: the plant's stories in columns, for judging detectors.

The plant of `simulators.plant` moves one asset in ticks of 200 ms and is served over real protocols; it shows
minutes and hours. Here many assets of one class move together, a step of seconds or a minute at a time, and
what their points say goes straight to a detector. Faults, names and expected rules are those of
`simulators.kinds` in both.
"""
