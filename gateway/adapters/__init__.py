"""Adapters of the ports: brokers, stores, clocks."""
