"""Prefect flows: the conductor of a run, one assignment in a pool, and the one-off flows."""
