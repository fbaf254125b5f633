"""The document workload: scans to pages, pages to facts, facts to a graph."""
