"""Records are built of one class only, the one that was recorded."""

import numpy as np
import pytest

import fnloop as fl
from fnloop import nn
from fnloop.core.decoding import Decoder, UnknownRecord, find_classes
from fnloop.runs import checkpoint

DATA = fl.Dataset(np.ones((8, 3)), np.arange(8.0))


def scale_in(module, **changes):
    """A layer that multiplies by a constant of its code, under the same name as another one, with changed members."""

    def forward(self, params, x, context):
        return x * self.factor, lambda dy, grads, need_dx: dy * self.factor, context.buffers

    members = {
        "__module__": module,
        "__qualname__": "Scale",
        "__annotations__": {"factor": float},
        "output_shape": lambda self, shape: shape,
        "forward": forward,
        **changes,
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


def refuse(*arguments):
    raise LookupError("a custom reason")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"__attrs_post_init__": refuse}, "a custom reason"),
        ({"__annotations__": {"factor": float, "offset": float}}, "needs offset"),
        ({"format_version": 2, "upcast": staticmethod(refuse)}, "a custom reason"),
    ],
    ids=["check", "field", "upcast"],
)
def test_a_changed_class_is_named_and_the_file_is_not_called_damaged(tmp_path, changes, reason):
    """Of a checkpoint and of a run file."""
    path, made = save(tmp_path, scale_in("train"))
    fl.fit(made, DATA, epochs=1, record=tmp_path / "a.run", progress=False)
    changed = [scale_in("train", **changes)]
    message = rf"has a record 'train\.Scale' that its class refuses: .*{reason}"
    with pytest.raises(fl.CheckpointError, match=message):
        fl.load_checkpoint(path, records=changed)
    with pytest.raises(fl.RunError, match=message):
        _ = fl.open_run(tmp_path / "a.run", records=changed).trainer


def test_the_form_of_a_custom_layer_is_upcast(tmp_path):
    """Snapshots of a run are read, although the model that they name has another text now."""
    made = trainer(scale_in("train"))
    fl.fit(made, DATA, epochs=3, record=tmp_path / "a.run", progress=False)

    def upcast(version, fields):
        return {"factor": fields["factor"], "offset": 0.0}

    newer = scale_in(
        "train",
        __annotations__={"factor": float, "offset": float},
        format_version=2,
        upcast=staticmethod(upcast),
    )
    run = fl.open_run(tmp_path / "a.run", records=[newer])
    assert run.last.epoch == 3
    assert run.last.params.model.layers[0].offset == 0.0
    with pytest.raises(fl.ReplayError, match="records have another form now"):
        run.state(1)
    fork = run.fork(3, tmp_path / "fork.run").resume(4, progress=False)
    assert str(fork.verify()) == "verified, 2 of 2"


def test_a_field_may_have_the_name_of_the_version(tmp_path):
    """It is a field like others, not the version of the class."""
    cls = scale_in("train", __annotations__={"factor": float, "format_version": int}, format_version=3)
    made = fl.Trainer(model=nn.Sequential(3, (cls(2.0, 4), nn.Dense(3, 1))), loss="mse")
    fl.fit(made, DATA, epochs=1, record=tmp_path / "a.run", progress=False)
    run = fl.open_run(tmp_path / "a.run", records=[cls])
    assert fl.same_bits(run.trainer, made)
    assert run.verify().ok


def test_advice_is_for_custom_classes_only():
    """A class of the package cannot be allowed; another version has it."""
    decoder = Decoder({}.__getitem__, {}.__getitem__)
    for name, advised in (("train.Scale", True), ("fnloop.StairLR", False)):
        with pytest.raises(UnknownRecord) as caught:
            decoder.value({"@": name})
        assert ("records=[...]" in str(caught.value)) is advised


def test_a_checkpoint_of_a_newer_format_is_not_called_damaged(tmp_path, monkeypatch):
    """The message says what to do."""
    monkeypatch.setattr(checkpoint, "VERSION", 2)
    path, _ = save(tmp_path, scale_in("train"))
    monkeypatch.undo()
    with pytest.raises(fl.CheckpointError, match=r"a\.npz' is of format 2, and fnloop \S+ reads format 1: update fnloop$"):
        fl.load(path)
