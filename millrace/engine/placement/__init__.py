"""Placement: which pool does each batch, at what price, and why no other. Pure arithmetic."""
