"""Models: layers whose parameters stand in one flat vector, each with its forward and its hand-derived backward pass."""

from fnloop.nn.activations import Activation
from fnloop.nn.dense import Dense, DenseParams
from fnloop.nn.sequential import Layer, Sequential, mlp

__all__ = ["Activation", "Dense", "DenseParams", "Layer", "Sequential", "mlp"]
