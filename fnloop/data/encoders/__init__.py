"""Encoders: frozen records that turn the cells of a column into numbers."""
