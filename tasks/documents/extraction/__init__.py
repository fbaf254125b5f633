"""From pages to facts: what `documents.extract` does."""
