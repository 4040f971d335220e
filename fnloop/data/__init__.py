"""Datasets, batches, splits and tables, and how a table becomes arrays."""
