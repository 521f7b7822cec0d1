"""Steward's edge beside what a user would pick instead: same devices, same broker, same run.

Every client reads the simulated devices of `devices`, publishes to one Mosquitto, and is judged by what a
subscriber saw (`listener`) and by the devices' own request log (`requests`). `docs/benchmarks.md` has the
figures, `steward bench edge` makes them.
"""
