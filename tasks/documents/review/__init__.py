"""Doubtful facts on a person's desk, and what becomes of the decisions."""
