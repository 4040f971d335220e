"""Engines fold a computation over batches. They know arrays and datasets, but neither trainers nor training states."""

from fnloop.engines.base import Carry, Computation, Engine, Fault
from fnloop.engines.selection import get_engine

__all__ = ["Carry", "Computation", "Engine", "Fault", "get_engine"]
