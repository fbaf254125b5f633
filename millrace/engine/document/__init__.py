"""The pipeline document: read with places, checked in one pass, written back."""
