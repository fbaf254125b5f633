"""The engine: pipelines, plans, placement, sessions and the store. It knows no stage kind by name."""
