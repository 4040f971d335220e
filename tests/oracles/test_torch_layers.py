"""Layers against PyTorch's, where it is installed: channels first there, last here."""

import numpy as np
import pytest

from fnloop import nn
from fnloop.nn.layer import Context

torch = pytest.importorskip("torch")
DRAW = np.random.default_rng(0)


def first(x):
    return torch.tensor(np.moveaxis(x, -1, 1))


def last(x):
    return np.moveaxis(x.detach().numpy(), 1, -1)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), (3, 2)])
def test_conv2d(stride, padding):
    """Against torch.nn.functional.conv2d, with its gradient of the weights."""
    x, w, b = DRAW.standard_normal((2, 7, 6, 3)), DRAW.standard_normal((3, 2, 3, 4)), DRAW.standard_normal(4)
    y, backward, _ = nn.Conv2d(3, 4, (3, 2), stride=stride, padding=padding).forward(nn.DenseParams(w, b), x, Context())
    weights = torch.tensor(w.transpose(3, 2, 0, 1)).requires_grad_()
    theirs = torch.nn.functional.conv2d(first(x), weights, torch.tensor(b), stride=stride, padding=padding)
    np.testing.assert_allclose(y, last(theirs), rtol=1e-10, atol=1e-12)
    grads = nn.DenseParams(np.empty_like(w), np.empty_like(b))
    backward(y, grads, False)
    theirs.backward(theirs.detach())
    np.testing.assert_allclose(grads.weights, weights.grad.numpy().transpose(2, 3, 1, 0), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("ours", "theirs"), [("MaxPool2d", "max_pool2d"), ("AvgPool2d", "avg_pool2d")])
def test_pools(ours, theirs):
    """Against the pooling functions of torch.nn.functional."""
    x = DRAW.standard_normal((2, 7, 6, 3))
    expected = getattr(torch.nn.functional, theirs)(first(x), (3, 2), stride=2)
    np.testing.assert_allclose(getattr(nn, ours)((3, 2), stride=2).forward((), x, Context())[0], last(expected), rtol=1e-12)


def test_batch_norm():
    """Against torch.nn.BatchNorm2d in training and in evaluation, with its running moments."""
    layer, theirs = nn.BatchNorm(3, momentum=0.3), torch.nn.BatchNorm2d(3, momentum=0.3, dtype=torch.float64)
    params, buffers = nn.NormParams(*layer.initial(0, 0)), layer.buffers
    for _ in range(3):
        x = DRAW.standard_normal((4, 2, 5, 3)) * 2 + 1
        y, _, buffers = layer.forward(params, x, Context(buffers, lambda n, address: np.zeros(n)))
        np.testing.assert_allclose(y, last(theirs(first(x))), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(buffers[0], theirs.running_mean.numpy(), rtol=1e-12)
    np.testing.assert_allclose(buffers[1], theirs.running_var.numpy(), rtol=1e-12)
    theirs.eval()
    np.testing.assert_allclose(layer.forward(params, x, Context(buffers))[0], last(theirs(first(x))), rtol=1e-10, atol=1e-12)


def test_layer_norm():
    """Against torch.nn.functional.layer_norm."""
    x, scale, shift = DRAW.standard_normal((4, 5, 6)), DRAW.standard_normal(6), DRAW.standard_normal(6)
    theirs = torch.nn.functional.layer_norm(torch.tensor(x), (6,), torch.tensor(scale), torch.tensor(shift))
    np.testing.assert_allclose(
        nn.LayerNorm(6).forward(nn.NormParams(scale, shift), x, Context())[0], theirs.numpy(), rtol=1e-10
    )
