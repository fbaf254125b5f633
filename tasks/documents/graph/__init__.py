"""From facts to a graph: what `documents.load` does, and how the graph is asked."""
