"""Optimizers: `init(vector) -> OptimizerState`, `update(gradient, state, vector) -> (direction, state)`.

The parameters move by `-lr * direction`. A custom optimizer is a subclass of `Elementwise` with one kernel. Optimizers are
named as in their papers; transformations, which are parts of a `chain`, are in lower case. All are frozen records.
"""

from fnloop.optimizers.adagrad import Adadelta, Adagrad
from fnloop.optimizers.adam import Adam, AdamW
from fnloop.optimizers.adam_variants import Adamax, AMSGrad, RAdam
from fnloop.optimizers.averaging import ema, swa
from fnloop.optimizers.chaining import Chain, chain
from fnloop.optimizers.elementwise import Elementwise, OptimizerState
from fnloop.optimizers.hyperparameters import scheduled
from fnloop.optimizers.kernel import Scaled, StepContext
from fnloop.optimizers.layerwise import LAMB, adaptive_grad_clip, centralize, clip_by_norm, scale_by_trust_ratio
from fnloop.optimizers.lion import Lion
from fnloop.optimizers.masks import freeze, masked, scale_by_layer
from fnloop.optimizers.nadam import NAdam
from fnloop.optimizers.named import get_optimizer
from fnloop.optimizers.noise import add_noise
from fnloop.optimizers.rmsprop import RMSprop
from fnloop.optimizers.rprop import Rprop
from fnloop.optimizers.sgd import SGD
from fnloop.optimizers.slow_weights import lookahead
from fnloop.optimizers.transforms import (
    add_decayed_weights,
    add_l1_penalty,
    add_l2_penalty,
    clip_by_global_norm,
    clip_by_value,
)

__all__ = [
    "LAMB",
    "SGD",
    "AMSGrad",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Chain",
    "Elementwise",
    "Lion",
    "NAdam",
    "OptimizerState",
    "RAdam",
    "RMSprop",
    "Rprop",
    "Scaled",
    "StepContext",
    "adaptive_grad_clip",
    "add_decayed_weights",
    "add_l1_penalty",
    "add_l2_penalty",
    "add_noise",
    "centralize",
    "chain",
    "clip_by_global_norm",
    "clip_by_norm",
    "clip_by_value",
    "ema",
    "freeze",
    "get_optimizer",
    "lookahead",
    "masked",
    "scale_by_layer",
    "scale_by_trust_ratio",
    "scheduled",
    "swa",
]
