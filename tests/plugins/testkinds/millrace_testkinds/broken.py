"""A kind whose module fails on import in a way that is no ImportError."""

raise RuntimeError("this module needs a moon phase")
