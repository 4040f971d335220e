"""A checkpoint file restores its state to the bit, and a damaged or foreign file is an error."""

import io
import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from toolz import nth, take

import fnloop as fl
from fnloop.core.arrays import read_only
from fnloop.core.encoding import canonical, sha256_of
from fnloop.core.fields import field_names
from fnloop.core.records import evolve


def data(seed=0):
    draw = np.random.default_rng(seed)
    x = draw.standard_normal((50, 4))
    return fl.Dataset(x, (x[:, 0] > 0).astype(np.int64))


def trainer(**changes):
    options = {
        "model": fl.mlp([4, 5, 1]),
        "loss": fl.losses.BinaryCrossEntropy(),
        "scheduler": fl.schedulers.ReduceLROnPlateau(0.01, metric="loss", patience=1, min_delta=1.0),
        "early_stopping": fl.EarlyStopping("loss", patience=3),
        "batch_size": 16,
    }
    return fl.Trainer(**{**options, **changes})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_state_is_restored_to_the_bit(tmp_path, dtype):
    """Every field, also in the middle of an epoch, with NaN metrics and read-only arrays."""
    for state in take(9, fl.steps(trainer(dtype=dtype), data())):
        odd = evolve(state, metrics={**state.metrics, "nan": float("nan"), "inf": float("-inf"), "zero": -0.0})
        fl.save(odd, tmp_path / "s.npz", trainer=trainer())
        loaded = fl.load(tmp_path / "s.npz")
        assert fl.same_bits(loaded, odd)
        assert fl.digest(loaded) == fl.digest(odd)
        assert not loaded.params.vector.flags.writeable
        assert fl.same_bits(fl.load_checkpoint(tmp_path / "s.npz").trainer, trainer())


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8", "<i2", ">i8", "u1", "?"])
def test_dtypes_and_byte_order_are_restored(tmp_path, dtype):
    """The dtype of an array is part of its bits."""
    state = evolve(fl.init_state(trainer()), buffers=(read_only(np.arange(6).reshape(2, 3).astype(dtype)),))
    fl.save(state, tmp_path / "s.npz")
    loaded = fl.load(tmp_path / "s.npz")
    assert loaded.buffers[0].dtype.str == np.dtype(dtype).str
    assert fl.same_bits(loaded, state)


def test_a_new_process_continues_to_the_same_bits(tmp_path):
    """Save at any step, load in a new process and continue: the state is that of an uninterrupted run."""
    program = """
import sys, fnloop as fl
sys.path.insert(0, sys.argv[1])
from test_checkpoint import data, trainer
from toolz import nth
print(fl.digest(nth(int(sys.argv[3]), fl.epochs(trainer(), data(), start=fl.load(sys.argv[2])))))
"""
    whole = nth(3, fl.epochs(trainer(), data()))
    for steps in (1, 4, 6, 8):  # within an epoch of 4 steps, and exactly at its end
        middle = nth(steps, fl.steps(trainer(), data()))
        fl.save(middle, tmp_path / "s.npz")
        more = str(3 - middle.epoch)
        arguments = [sys.executable, "-c", program, os.path.dirname(__file__), str(tmp_path / "s.npz"), more]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == fl.digest(whole)


def test_a_missing_field_is_found(tmp_path):
    """A file without one of the fields of the state does not load."""
    path, cut = tmp_path / "s.npz", tmp_path / "cut.npz"
    fl.save(nth(2, fl.epochs(trainer(), data())), path)
    for field in field_names(fl.TrainState):
        rewrite(path, cut, lambda header, field=field: header["record"]["state"].pop(field))
        with pytest.raises(fl.CheckpointError, match=r"cut\.npz"):
            fl.load(cut)


def test_a_changed_value_is_found(tmp_path):
    """By the digest, if the changed JSON is that of a state."""
    path, cut = tmp_path / "s.npz", tmp_path / "cut.npz"
    fl.save(nth(2, fl.epochs(trainer(), data())), path)
    for field, value in {"epoch": 7, "step": 0, "metrics": {"mapping": {"loss": 0.0}}}.items():
        rewrite(path, cut, lambda header, f=field, v=value: header["record"]["state"].update({f: v}))
        with pytest.raises(fl.CheckpointError, match="digest"):
            fl.load(cut)


def test_a_flipped_bit_is_found_or_harmless(tmp_path):
    """A damaged file gives a `CheckpointError` or the saved state, never another one."""
    path = tmp_path / "s.npz"
    state = fl.init_state(trainer())
    fl.save(state, path)
    content = path.read_bytes()
    for at in range(0, len(content), 7):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
        try:
            loaded = fl.load(path)
        except fl.CheckpointError:
            continue
        assert fl.same_bits(loaded, state)


def test_a_truncated_file_is_found(tmp_path):
    """At any length."""
    path = tmp_path / "s.npz"
    fl.save(fl.init_state(trainer()), path)
    content = path.read_bytes()
    for size in range(0, len(content), 97):
        path.write_bytes(content[:size])
        with pytest.raises(fl.CheckpointError):
            fl.load(path)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04"])
def test_a_foreign_file_is_an_error(tmp_path, content):
    """The message names the file."""
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    with pytest.raises(fl.CheckpointError, match=r"other\.npz"):
        fl.load(path)


def test_a_file_never_runs_code(tmp_path):
    """Neither a pickle in an array nor a type that is not on the list is built."""
    path, cut = tmp_path / "s.npz", tmp_path / "cut.npz"
    fl.save(fl.init_state(trainer()), path)
    objects = io.BytesIO()
    np.save(objects, np.array([print], dtype=object))
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(cut, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) if name == "record.json" else objects.getvalue())
    with pytest.raises(fl.CheckpointError, match="allow_pickle=False"):
        fl.load(cut)

    def plant(header):
        header["record"]["state"] = {"@": "subprocess.Popen", "args": "true"}
        header["digest"] = sha256_of(canonical(header["record"]))

    rewrite(path, cut, plant)
    with pytest.raises(fl.CheckpointError, match="Popen"):
        fl.load(cut)


def test_a_failed_write_keeps_the_former_file(tmp_path, monkeypatch):
    """No temporary file stays, and one of another process does not block the next write."""
    path = tmp_path / "s.npz"
    first, second = take(2, fl.epochs(trainer(), data()))
    fl.save(first, path)
    (tmp_path / ".s.npz.00000000.partial").write_bytes(b"left over")

    def fail(*_):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="no space"):
            fl.save(second, path)
    assert fl.same_bits(fl.load(path), first)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".s.npz.00000000.partial", "s.npz"]
    fl.save(second, path)
    fl.save(fl.load(path), path)  # over the file it was read from
    assert fl.same_bits(fl.load(path), second)


def test_equal_states_make_equal_files(tmp_path):
    """They have no time stamp."""
    for name in ("a.npz", "b.npz"):
        fl.save(nth(1, fl.epochs(trainer(), data())), tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_parameters_alone(tmp_path):
    """They are restored, and NumPy alone can read the arrays of each layer by name."""
    state = nth(1, fl.epochs(trainer(), data()))
    fl.save(state.params, tmp_path / "w.npz")
    assert fl.same_bits(fl.load(tmp_path / "w.npz"), state.params)
    with np.load(tmp_path / "w.npz") as arrays:
        assert np.array_equal(arrays["state.layers.1.weights"], state.params.layers[1].weights)


def test_invalid_arguments_of_save(tmp_path):
    """A trainer that holds a function, a folder that does not exist, and an object that is not a state."""
    state = fl.init_state(trainer())
    with pytest.raises(TypeError, match=r"trainer\.metrics\[0\] cannot be written to a file"):
        fl.save(state, tmp_path / "s.npz", trainer=trainer(metrics=(lambda outputs, targets: outputs[:, 0],)))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        fl.save(state, tmp_path / "nowhere" / "s.npz")
    with pytest.raises(TypeError, match="state must be"):
        fl.save({}, tmp_path / "s.npz")


def rewrite(source, target, change):
    """Copy a checkpoint with its JSON changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "record.json":
                header = json.loads(content)
                change(header)
                content = json.dumps(header).encode()
            new.writestr(name, content)
