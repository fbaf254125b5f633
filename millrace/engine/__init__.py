"""The engine: pipelines, plans, sessions and the store. It knows no stage kind by name."""
