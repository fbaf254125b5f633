"""What a run's journal adds up to, and the page that tells it."""
