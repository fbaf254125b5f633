"""Millrace stage kinds that run a person's own command or Python function, once per item."""
