"""From a file to pages: what `documents.read` does."""
