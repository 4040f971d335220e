"""Engines: what computes gradients and folds; every other room is the same for each of them."""
