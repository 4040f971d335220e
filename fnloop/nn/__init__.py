"""Models and layers: parameters in one flat vector, and a hand-derived backward function for each layer."""

from fnloop.nn.activations import ACTIVATIONS, Activation
from fnloop.nn.convolution import Conv1d, Conv2d
from fnloop.nn.dense import Dense, DenseParams, WeightParams
from fnloop.nn.dropout import Dropout
from fnloop.nn.embedding import Embedding, EmbeddingParams
from fnloop.nn.function import Function
from fnloop.nn.initializers import INITIALIZERS
from fnloop.nn.layer import Context, Layer
from fnloop.nn.model import Model, Params
from fnloop.nn.model_summary import Summary, summary
from fnloop.nn.normalization import BatchNorm, LayerNorm, NormParams
from fnloop.nn.pooling import AvgPool1d, AvgPool2d, GlobalAvgPool, MaxPool1d, MaxPool2d
from fnloop.nn.residual import Residual
from fnloop.nn.sequential import Sequential, mlp
from fnloop.nn.shaping import Flatten, Reshape

__all__ = [
    "ACTIVATIONS",
    "INITIALIZERS",
    "Activation",
    "AvgPool1d",
    "AvgPool2d",
    "BatchNorm",
    "Context",
    "Conv1d",
    "Conv2d",
    "Dense",
    "DenseParams",
    "Dropout",
    "Embedding",
    "EmbeddingParams",
    "Flatten",
    "Function",
    "GlobalAvgPool",
    "Layer",
    "LayerNorm",
    "MaxPool1d",
    "MaxPool2d",
    "Model",
    "NormParams",
    "Params",
    "Reshape",
    "Residual",
    "Sequential",
    "Summary",
    "WeightParams",
    "mlp",
    "summary",
]
