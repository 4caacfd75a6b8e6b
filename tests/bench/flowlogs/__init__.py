"""Measure the reading of flow logs against other programs, on the same files in one run."""
