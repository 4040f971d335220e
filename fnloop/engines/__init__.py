"""Engines: what computes gradients and folds; every other room is the same for each of them."""

from fnloop.engines.base import Engine, get_engine

__all__ = ["Engine", "get_engine"]
