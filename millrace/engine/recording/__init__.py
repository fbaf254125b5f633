"""The Prefect server that records runs, and the one adapter to its client."""
