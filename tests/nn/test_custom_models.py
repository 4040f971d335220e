"""Custom models: a subclass of `Model` inherits every default."""

import numpy as np
import pytest
from toolz import nth

import fnloop as fl
from fnloop import nn
from tests.strategies import dataset

DATA = dataset("mse", 20)
ONE_OUTPUT = fl.Dataset(DATA.x, DATA.y[:, 0])


@fl.frozen
class Linear(nn.Model):
    """A dense layer without biases, from the required members alone."""

    size: int
    shape = (1,)

    @property
    def inputs(self):
        return (self.size,)

    def init(self, seed, dtype="float32"):
        (weights,) = nn.Dense(self.size, 1, bias=False).initial(seed, 0)
        return nn.Params(weights.ravel().astype(dtype), self)

    def forward(self, params, x, context=nn.Context()):  # noqa: B008
        def backward(dy, grads, need_dx):
            grads[0][...] = x.T @ dy[:, 0]

        return (x @ params[0])[:, None], backward, ()


@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_a_model_with_the_required_members_trains(engine):
    """Its states agree with those of the layer of the package, from the same start."""
    dense = fl.Trainer(model=nn.Sequential(3, [nn.Dense(3, 1, bias=False)]), loss="mse", batch_size=8)
    custom = dense.replace(model=Linear(3))
    assert (custom.model.outputs, custom.model.random, custom.model.buffers) == (1, True, ())
    ours, theirs = (nth(3, fl.epochs(trainer, ONE_OUTPUT, engine=engine)) for trainer in (custom, dense))
    np.testing.assert_allclose(ours.params.vector, theirs.params.vector, rtol=1e-5)
    np.testing.assert_allclose(fl.predict(custom, ours, DATA.x), custom.model(ours.params.vector, DATA.x)[:, 0], rtol=1e-5)
    assert [params[0].shape for params in ours.params.layers] == [(3,)]
