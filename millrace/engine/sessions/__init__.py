"""Session hosts: the process group around a stage kind, its limits, its tools and its end."""
