"""Work and results on their way between the conductor and workers that do not share its store."""
