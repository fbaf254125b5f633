"""What a host has, who holds which share of it, and what costs it speed."""
