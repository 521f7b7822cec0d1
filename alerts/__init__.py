"""The brain: rules, alarms, responsibility and work orders. Pure: time is an argument, nothing does I/O."""
