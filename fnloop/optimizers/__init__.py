"""Optimizers: `init(vector) -> OptimizerState`, `update(gradient, state, vector) -> (direction, state)`.

The parameters move by `-lr * direction`. A user's own optimizer is a record over `Elementwise` with one kernel.
"""

from fnloop.optimizers.adam import Adam, AdamW
from fnloop.optimizers.chain import Chain, chain
from fnloop.optimizers.elementwise import Elementwise, OptimizerState
from fnloop.optimizers.sgd import SGD
from fnloop.optimizers.transforms import add_decayed_weights, clip_by_global_norm

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Chain",
    "Elementwise",
    "OptimizerState",
    "add_decayed_weights",
    "chain",
    "clip_by_global_norm",
]
