"""Doubtful facts on a person's desk, and what becomes of the decisions."""

VARIABLE = "MILLRACE_REVIEW"
"""The environment variable that names the database of the queue. It may hold a password."""
