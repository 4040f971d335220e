"""Records are built of one class only, the one that was recorded."""

import numpy as np
import pytest

import fnloop as fl
from fnloop import nn
from fnloop.core.decoding import UnknownRecord, find_classes


def scale_in(module):
    """A layer that multiplies by a constant of its code, under the same name as another one."""

    def forward(self, params, x, context):
        return x * self.factor, lambda dy, grads, need_dx: dy * self.factor, context.buffers

    members = {
        "__module__": module,
        "__qualname__": "Scale",
        "__annotations__": {"factor": float},
        "output_shape": lambda self, shape: shape,
        "forward": forward,
    }
    return fl.frozen(type("Scale", (nn.Layer,), members))


def trainer(*classes):
    return fl.Trainer(model=nn.Sequential(3, (*(cls(2.0) for cls in classes), nn.Dense(3, 1))), loss="mse", scheduler=0.1)


def save(tmp_path, *classes):
    made = trainer(*classes)
    fl.save(fl.init_state(made), tmp_path / "a.npz", trainer=made)
    return tmp_path / "a.npz", made


def test_a_class_that_moved_is_found(tmp_path):
    """Into a package; the class with the recorded id is preferred."""
    path, made = save(tmp_path, scale_in("train"))
    for module in ("train", "project.train", "a.project.train"):
        moved = scale_in(module)
        loaded = fl.load_checkpoint(path, records=[moved]).trainer
        assert type(loaded.model.layers[0]) is moved
    both = scale_in("project.train"), scale_in("train")
    assert type(fl.load_checkpoint(path, records=both).trainer.model.layers[0]) is both[1]
    assert fl.same_bits(fl.load_checkpoint(path, records=both).trainer, made)


def test_one_of_several_classes_is_not_guessed(tmp_path):
    """Two classes that moved, and two of one id, as after running a cell of a notebook again."""
    path, _ = save(tmp_path, scale_in("train"))
    for modules in (("a.train", "b.train"), ("train", "train")):
        with pytest.raises(
            ValueError, match=r"train\.Scale', which may be of any of 2 classes: .*train\.Scale, .*train\.Scale"
        ):
            fl.load_checkpoint(path, records=[scale_in(module) for module in modules])
    same = scale_in("train")
    assert find_classes("train.Scale", [same, same]) == [same]
    assert issubclass(UnknownRecord, ValueError)


def test_two_classes_of_one_id_are_not_recorded_as_one(tmp_path):
    """It is refused when written, since both would be read back as the same."""
    made = trainer(scale_in("train"), scale_in("train"))
    data = fl.Dataset(np.ones((4, 3), np.float32), np.ones(4))
    with pytest.raises(TypeError, match=r"trainer has records of two different classes train\.Scale, which"):
        fl.fit(made, data, epochs=1, record=tmp_path / "a.run", progress=False)
    with pytest.raises(TypeError, match=r"may be of any of 2 classes: train\.Scale, train\.Scale"):
        save(tmp_path, scale_in("train"), scale_in("train"))
    assert not list(tmp_path.iterdir())
    fl.fit(trainer(scale_in("train"), scale_in("eval")), data, epochs=1, record=tmp_path / "a.run", progress=False)
    run = fl.open_run(tmp_path / "a.run", records=[scale_in("train"), scale_in("eval")])
    assert [type(layer).__module__ for layer in run.trainer.model.layers[:2]] == ["train", "eval"]
