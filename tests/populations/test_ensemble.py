"""An ensemble predicts the mean of its members; it is saved as one checkpoint."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fnloop as fl
from fnloop.core.records import evolve

DRAW = np.random.default_rng(0)
X = DRAW.standard_normal((40, 4))
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
LOSSES = {
    "cross_entropy": (3, LABELS),
    "bce": (1, LABELS.clip(max=1)),
    "labels": (2, np.stack([LABELS > 0, LABELS > 1], 1).astype(float)),
    "mse": (2, X[:, :2] ** 2),
    "mae": (1, X[:, 0]),
    "hinge": (3, LABELS),
}
WITH_PROBABILITIES = ["cross_entropy", "bce", "labels"]


def trained(loss, seeds=range(3), width=6, scale=1.0, **changes):
    """Members of several seeds, whose outputs are multiplied by a scale."""
    k, y = LOSSES[loss]
    name = {"labels": "bce"}.get(loss, loss)
    for seed in seeds:
        trainer = fl.Trainer(model=fl.mlp([4, width, k]), loss=name, seed=seed, scheduler=0.05, **changes)
        state = fl.init_state(trainer, fl.Dataset(X, y))
        params = evolve(state.params, vector=state.params.vector * np.float32(scale))
        yield trainer, evolve(state, params=params)


def mean_of(loss, **options):
    members = list(trained(loss, **options))
    return fl.ensemble(members), members


@pytest.mark.parametrize("loss", WITH_PROBABILITIES)
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_probabilities_are_the_mean_of_those_of_the_members(loss, scale):
    """For classes and labels, also where they are almost 0 or 1; the predictions are the likeliest classes of the mean."""
    model, members = mean_of(loss, scale=scale)
    wanted = np.mean([fl.predict_proba(t, s, X).astype(float) for t, s in members], axis=0)
    np.testing.assert_allclose(model.predict_proba(X), wanted, rtol=1e-5, atol=1e-7)
    if loss == "cross_entropy":  # the outputs are logarithms of probabilities, which a custom metric may read
        np.testing.assert_allclose(np.exp(model.outputs(X)).sum(1), 1, rtol=1e-9)
    likeliest = (wanted > 0.5).astype(int) if loss == "labels" else wanted.argmax(1)
    clear = np.abs(wanted - 0.5).min(1) > 1e-5 if loss == "labels" else np.ptp(np.sort(wanted, 1)[:, -2:], axis=1) > 1e-5
    np.testing.assert_array_equal(model.predict(X)[clear], likeliest[clear])


@pytest.mark.parametrize("loss", ["mse", "mae", "hinge"])
def test_values_and_scores_are_the_mean_of_those_of_the_members(loss):
    """For quantities, and for a loss without probabilities."""
    model, members = mean_of(loss)
    wanted = np.mean([fl.outputs(t, s, X) for t, s in members], axis=0)
    np.testing.assert_allclose(model.outputs(X), wanted, rtol=1e-5)
    if loss == "hinge":
        with pytest.raises(TypeError, match="has no probabilities"):
            model.predict_proba(X)


@pytest.mark.parametrize("loss", WITH_PROBABILITIES)
def test_the_loss_of_classes_is_the_cross_entropy_of_the_mean_probabilities(loss):
    """And so is the metric; weights of examples count."""
    model, members = mean_of(loss, metrics=("log_loss",))
    _, y = LOSSES[loss]
    weights = DRAW.uniform(0.5, 2, len(X))
    p = np.mean([fl.predict_proba(t, s, X).astype(float) for t, s in members], axis=0)
    each = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(1) if loss == "labels" else -np.log(p[np.arange(len(y)), y])
    found = model.evaluate(fl.Dataset(X, y))
    assert found["loss"] == pytest.approx(each.mean(), rel=1e-5)
    assert found["log_loss"] == pytest.approx(each.mean(), rel=1e-5)
    weighted = model.evaluate(fl.Dataset(X, y, weights))["loss"]
    assert weighted == pytest.approx((each * weights).mean(), rel=1e-5)


@given(st.sampled_from(sorted(LOSSES)), st.integers(2, 5))
def test_the_mean_is_no_worse_than_the_members_are_on_average(loss, count):
    """Every loss here is convex in the mean."""
    model, members = mean_of(loss, seeds=range(count))
    data = fl.Dataset(X, LOSSES[loss][1])
    of_members = [fl.evaluate(t, s, data)["loss"] for t, s in members]
    assert model.evaluate(data)["loss"] <= np.mean(of_members) + 1e-5


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_an_ensemble_of_one_equals_the_member_to_the_bit(loss):
    """In outputs, predictions, probabilities and metrics, whose dtypes are those of the member; the spread is 0."""
    model, [(trainer, state)] = mean_of(loss, seeds=[3], metrics=("log_loss",) if loss in WITH_PROBABILITIES else ())
    data = fl.Dataset(X, LOSSES[loss][1])
    pairs = [(model.outputs(X), fl.outputs(trainer, state, X)), (model.predict(X), fl.predict(trainer, state, X))]
    if loss in WITH_PROBABILITIES:
        pairs.append((model.predict_proba(X), fl.predict_proba(trainer, state, X)))
    assert all(fl.same_bits(a, b) for a, b in pairs)
    assert model.evaluate(data) == fl.evaluate(trainer, state, data)
    assert not model.spread(X).any()


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_equal_members_predict_as_one_does(loss):
    """To rounding, also in the loss, the metrics, and the scores of all examples at once."""
    metrics = ("log_loss", "roc_auc") if loss in ("bce", "cross_entropy") else None
    [member] = trained(loss, seeds=[1], **({"metrics": metrics} if metrics else {}))
    model, data = fl.ensemble([member] * 3), fl.Dataset(X, LOSSES[loss][1])
    wanted = fl.evaluate(*member, data)
    assert model.evaluate(data) == pytest.approx(wanted, rel=1e-5)
    np.testing.assert_allclose(model.spread(X), 0, atol=1e-12)


@given(st.permutations(range(4)), st.sampled_from(sorted(LOSSES)))
def test_the_order_of_members_changes_only_the_rounding(order, loss):
    """Of outputs, spread and metrics."""
    members = list(trained(loss, seeds=range(4)))
    one, other = fl.ensemble(members), fl.ensemble([members[i] for i in order])
    np.testing.assert_allclose(one.outputs(X), other.outputs(X), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(one.spread(X), other.spread(X), rtol=1e-9, atol=1e-12)
    data = fl.Dataset(X, LOSSES[loss][1])
    assert one.evaluate(data) == pytest.approx(other.evaluate(data), rel=1e-9)


def test_the_spread_is_a_standard_deviation_among_the_members():
    """Of the probability of the predicted class, of the probability of each label, of each value."""
    model, members = mean_of("cross_entropy")
    p = np.stack([fl.predict_proba(t, s, X) for t, s in members]).astype(float)
    np.testing.assert_allclose(model.spread(X), p.std(0)[np.arange(len(X)), p.mean(0).argmax(1)], rtol=1e-4, atol=1e-7)
    model, members = mean_of("bce")
    p = np.stack([fl.predict_proba(t, s, X)[:, 1] for t, s in members]).astype(float)
    np.testing.assert_allclose(model.spread(X), p.std(0), rtol=1e-4, atol=1e-7)
    for loss, shape in (("mse", (40, 2)), ("mae", (40,)), ("labels", (40, 2)), ("hinge", (40,))):
        assert mean_of(loss)[0].spread(X).shape == shape
    model, members = mean_of("mae")
    np.testing.assert_allclose(model.spread(X), np.std([fl.predict(t, s, X) for t, s in members], axis=0), rtol=1e-4)


def test_logits_of_any_size_have_a_finite_loss():
    """Where the mean probability of a class rounds to 0 or 1."""
    for loss in WITH_PROBABILITIES:
        model, _ = mean_of(loss, scale=1e4)
        assert np.isfinite(model.outputs(X)).all()
        assert np.isfinite(model.evaluate(fl.Dataset(X, LOSSES[loss][1]))["loss"])


def test_a_sweep_is_an_ensemble_of_its_best_states():
    """Members may differ in architecture, optimizer and dtype; labels and columns are those of the training."""
    data = fl.datasets.iris()
    frame = fl.Dataset(data.train.x, np.array(["a", "b", "c"])[data.train.y], columns=["u", "v", "w", "z"])
    base = fl.Trainer(model=fl.mlp([4, 5, 3]), loss="cross_entropy", scheduler=0.02)
    sweep = fl.sweep(
        [base, base.replace(model=fl.mlp([4, 8, 6, 3]), optimizer="sgd", dtype="float64")], frame, epochs=2, progress=False
    )
    model = fl.ensemble(sweep)
    assert model.states == tuple(fit.best for fit in sweep)
    assert set(model.predict(data.test.x)) <= {"a", "b", "c"}
    swapped = fl.Dataset(data.test.x[:, [1, 0, 2, 3]], data.test.y, columns=["v", "u", "w", "z"])
    np.testing.assert_array_equal(model.predict_proba(swapped), model.predict_proba(data.test.x))


def test_the_folds_of_a_cross_validation_are_an_ensemble():
    """Its members validate on different rows."""
    data = fl.Dataset(X, LABELS)
    trainer = next(trained("cross_entropy"))[0]
    [fits] = fl.cross_validate(trainer, data, folds=3, epochs=1, progress=False).fits.values()
    model = fl.ensemble(fits)
    np.testing.assert_allclose(model.predict_proba(X), np.mean([fit.predict_proba(X) for fit in fits], axis=0), atol=1e-6)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_a_file_restores_an_ensemble_to_the_bit(tmp_path, loss):
    """With its trainers and states; equal ensembles give equal files."""
    model, _ = mean_of(loss)
    fl.save(model, tmp_path / "a.npz")
    fl.save(fl.load(tmp_path / "a.npz"), tmp_path / "b.npz")
    loaded = fl.load_checkpoint(tmp_path / "b.npz")
    assert fl.same_bits(loaded.state, model)
    assert loaded.trainer is None
    assert fl.same_bits(loaded.state.outputs(X), model.outputs(X))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_checkpoint_of_a_stream_never_replaces_an_ensemble(tmp_path):
    """It cannot be compared with a state."""
    model, [(trainer, _), *_] = mean_of("mae")
    fl.save(model, tmp_path / "e.npz")
    data = fl.Dataset(X, LOSSES["mae"][1])
    with pytest.raises(fl.CheckpointError, match="has a state of another model"):
        fl.last(fl.checkpoint(tmp_path / "e.npz", fl.epochs(trainer, data, data)))
    assert fl.same_bits(fl.load(tmp_path / "e.npz"), model)


def test_scores_of_a_table_have_those_of_each_member():
    """They are the scores of each member alone, and are shown as their mean and standard deviation."""
    table = fl.datasets.iris()
    trainers = fl.grid(fl.Trainer(model=fl.mlp([4, 5, 3]), loss="cross_entropy"), seed=range(2))
    model = fl.ensemble(fl.sweep(trainers, table.train, table.validation, epochs=1, progress=False))
    scores = fl.score_table(model, table)
    alone = [fl.score_table(t, s, table) for t, s in model]
    assert [dict(member) for member in scores.members] == [dict(of_one.scores) for of_one in alone]
    assert "one member" in str(scores)
    assert "one member" in scores._repr_html_()
    assert "one member" not in str(alone[0])
    assert fl.score_table(model, table=table, seed=42) == scores
    assert fl.score_table(model.members[1], table) == alone[1]


def test_the_table_follows_an_ensemble():
    """An ensemble has its own states; a trainer needs one."""
    table = fl.datasets.iris()
    trainer = fl.Trainer(model=fl.mlp([4, 3]), loss="cross_entropy")
    model = fl.ensemble([fl.fit(trainer, table.train, epochs=1, progress=False)])
    trainer, state = next(iter(model))
    for arguments, message in (
        ((model, state, table), "state must be left out for an ensemble, which has its own, got TrainState"),
        ((model,), "table must be what fl.split_table returns, got None"),
        ((model, table.test), "table must be what fl.split_table returns, got Dataset"),
        ((trainer, table), "state must be a TrainState, got TableSplit"),
        (((trainer, state), table), "trainer must be a fl.Trainer, got "),
    ):
        with pytest.raises(TypeError, match=message):
            fl.score_table(*arguments)


def test_bad_input_is_named():
    """The message has the argument, the member, and what is allowed."""
    [first, second] = trained("cross_entropy", seeds=range(2))
    fit = fl.fit(first[0], fl.Dataset(X, LABELS), epochs=1, progress=False)
    with pytest.raises(TypeError, match="members must be several, such as a Sweep"):
        fl.ensemble(fit)
    with pytest.raises(ValueError, match="members must have at least one member, got none"):
        fl.ensemble([])
    with pytest.raises(TypeError, match=r"members\[1\] must be a Fit, or a trainer and a state, got 3"):
        fl.ensemble([fit, 3])
    with pytest.raises(fl.NoBestError, match="there is no best state"):
        fl.ensemble([evolve(fit, best_state=None)])
    for other, what in ((next(trained("hinge")), "loss"), (next(trained("mse")), "number of outputs")):
        with pytest.raises(ValueError, match=f"must have the same {what}: .* of member 1 is not"):
            fl.ensemble([first, other])
    named = fl.init_state(second[0], fl.Dataset(X, LABELS, columns=list("abcd")))
    with pytest.raises(ValueError, match="must have the same columns"):
        fl.ensemble([first, (second[0], named)])
    with pytest.raises(ValueError, match=r"states\[1\] is a state of another model"):
        fl.ensemble([first, (second[0], next(trained("cross_entropy", width=9))[1])])
    with pytest.raises(ValueError, match="must be as many, at least one, got 1 trainer and 2 states"):
        fl.Ensemble((first[0],), (first[1], second[1]))
    with pytest.raises(ValueError, match="trainer must be None for an ensemble"):
        fl.save(fl.ensemble([first]), "unused.npz", trainer=first[0])
    with pytest.raises(ValueError, match=r"x must be of shape \(N, 4\)"):
        fl.ensemble([first]).predict(X[:, :2])
