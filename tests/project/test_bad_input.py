"""Bad input raises at the call that received it, and the message names the argument, shows the value, says what is allowed."""

import math
from itertools import pairwise

import numpy as np
import pytest
from toolz import nth, reduce, take

import fnloop as fl
from fnloop import optimizers as opt
from fnloop import schedulers as sch
from fnloop import testing as laws
from fnloop.optimizers import SGD, Adam, AdamW, add_decayed_weights, chain, clip_by_global_norm
from fnloop.schedulers import ConstantLR, CosineAnnealingLR, ExponentialLR, ReduceLROnPlateau, StepLR
from tests.strategies import dataset

X, Y = np.zeros((4, 3)), np.array([0, 1, 0, 1])
DATA = dataset("binary", 10)
ROWS = {"a": np.arange(10.0), "y": np.array(["p", "q"] * 5)}
NAN, INF = math.nan, math.inf


def trainer(**changes):
    return fl.Trainer(**{"model": fl.mlp([3, 1]), "loss": fl.losses.BinaryCrossEntropy(), **changes})


def softmax(**changes):
    return trainer(**{"model": fl.mlp([3, 3]), "loss": fl.losses.SoftmaxCrossEntropy(), **changes})


def run(trainer, data=DATA, validation=None):
    return fl.make_epoch(trainer, data, validation)


def by_hand(n):
    """Return the state after n single steps, with batches of four examples."""
    return reduce(fl.make_step(trainer()), [fl.Batch(X, Y)] * n, fl.init_state(trainer()))


def with_bad(value):
    x = X.copy()
    x[2, 1] = value
    return x


TABLE = [
    (lambda: fl.optimizers.add_noise(eta=-0.1), ValueError, ["eta", "[0, inf)", "-0.1"]),
    (lambda: fl.optimizers.add_noise(eta=0.1, gamma=NAN), ValueError, ["gamma", "[0, inf)", "nan"]),
    (lambda: fl.optimizers.add_noise(eta=0.1, seed=-1), ValueError, ["seed", "at least 0", "-1"]),
    # shapes that do not match
    (lambda: fl.Dataset(X, Y[:3]), ValueError, ["x and y", "4", "3", "same length"]),
    (lambda: fl.Dataset(X[0], Y), ValueError, ["x", "(3,)", "2- to 5-dimensional", "[x]"]),
    (lambda: fl.Dataset(X, np.zeros((4, 1, 1))), ValueError, ["y", "(4, 1, 1)"]),
    (lambda: run(trainer(model=fl.mlp([4, 1]))), ValueError, ["train", "(N, 4)", "(10, 3)"]),
    (lambda: run(trainer(), DATA, fl.Dataset(X[:, :2], Y)), ValueError, ["validation", "(N, 3)", "(4, 2)"]),
    (lambda: run(trainer(), fl.Dataset(X, np.zeros((4, 2)))), ValueError, ["train", "targets", "(N,) or (N, 1)", "(4, 2)"]),
    (lambda: run(softmax(), fl.Dataset(X, np.zeros((4, 2)))), ValueError, ["targets", "(N, 3)", "(4, 2)"]),
    (
        lambda: run(trainer(model=fl.mlp([3, 2]), loss=fl.losses.MeanSquaredError()), fl.Dataset(X, Y)),
        ValueError,
        ["targets", "(N, 2)", "(4,)"],
    ),
    (
        lambda: run(trainer(model=fl.mlp([3, 2])), fl.Dataset(X, Y)),
        ValueError,
        ["targets", "(N, 2)", "(4,)", "SoftmaxCrossEntropy"],
    ),
    (lambda: trainer(loss=fl.losses.KLDivergence()), ValueError, ["KLDivergence", "2 or more", "1"]),
    (lambda: fl.losses.BinaryCrossEntropy(class_weights=[(1, 2), (3,)]), ValueError, ["class_weights", "pairs", "(3.0,)"]),
    (
        lambda: softmax(loss=fl.losses.BinaryCrossEntropy(label_smoothing=0, class_weights=[(1, 2)])),
        ValueError,
        ["class_weights", "3 such pairs", "(1.0,"],
    ),
    (lambda: fl.losses.BinaryCrossEntropy(class_weights=[1.0]), ValueError, ["class_weights", "2 numbers", "1", "(1.0,)"]),
    (
        lambda: softmax(loss=fl.losses.SoftmaxCrossEntropy(label_smoothing=0, class_weights=[1, 2])),
        ValueError,
        ["class_weights", "3 numbers", "(1.0, 2.0)"],
    ),
    (lambda: trainer(loss=fl.losses.Focal(gamma=2, class_weights=[1, 2, 3])), ValueError, ["class_weights", "2 numbers", "3"]),
    (lambda: softmax(loss=fl.losses.Focal(gamma=2, class_weights=[1, 2])), ValueError, ["class_weights", "3 numbers", "2"]),
    (lambda: run(softmax(loss=fl.losses.KLDivergence()), fl.Dataset(X, Y)), ValueError, ["targets", "(N, 3)", "(4,)"]),
    (
        lambda: run(softmax(loss=fl.losses.KLDivergence()), fl.Dataset(X, np.eye(3)[Y] * 2)),
        ValueError,
        ["targets", "sum to 1", "[2.0, 0.0, 0.0]", "[0]", "sum 2"],
    ),
    (lambda: run(trainer(loss=fl.losses.Hinge()), fl.Dataset(X, Y / 4)), ValueError, ["targets", "0 or 1", "Hinge", "0.25"]),
    (
        lambda: run(softmax(loss=fl.losses.Hinge()), fl.Dataset(X, np.full((4, 3), 1 / 3))),
        ValueError,
        ["targets", "0 or 1", "Hinge", "0.333"],
    ),
    (lambda: run(trainer(loss=fl.losses.Focal()), fl.Dataset(X, Y * [1, 2, 1, 3])), ValueError, ["targets", "[0, 1]", "3"]),
    (lambda: run(softmax(loss=fl.losses.Focal()), fl.Dataset(X, Y * 3)), ValueError, ["labels", "[0, 3)", "3"]),
    (lambda: run(trainer(loss=fl.losses.Huber()), fl.Dataset(X, np.eye(4))), ValueError, ["targets", "(N, 1)", "(4, 4)"]),
    (lambda: fl.losses.SoftmaxCrossEntropy(class_weights=3), TypeError, ["class_weights", "3", "sequence"]),
    (lambda: softmax(model=fl.mlp([3, 1])), ValueError, ["SoftmaxCrossEntropy", "2 or more", "1"]),
    (lambda: fl.predict(trainer(), fl.init_state(trainer()), X[:, :2]), ValueError, ["x", "(N, 3)", "(4, 2)"]),
    (lambda: fl.predict(trainer(), fl.init_state(trainer()), with_bad(NAN)), ValueError, ["x", "nan", "[2, 1]"]),
    (lambda: fl.evaluate(trainer(), fl.init_state(trainer()), (X, Y)), TypeError, ["data", "ndarray", "fl.Dataset"]),
    (lambda: fl.make_step(trainer())(fl.init_state(trainer()), fl.Batch(X[:, :1], Y)), ValueError, ["batch", "(4, 1)"]),
    (
        lambda: fl.make_step(trainer())(fl.init_state(trainer()), (X, Y)),
        TypeError,
        ["batch must be a fl.Batch(x, y)", "got ("],
    ),
    (lambda: fl.make_step(trainer())(fl.Batch(X, Y), fl.Batch(X, Y)), TypeError, ["state must be a TrainState", "Batch("]),
    (lambda: SGD().update(np.zeros(3), SGD().init(np.zeros(4)), np.zeros(4)), ValueError, ["gradient", "(4,)", "(3,)"]),
    # what no model can be trained on
    (lambda: fl.Dataset(X[:0], Y[:0]), ValueError, ["x", "at least one example", "(0, 3)"]),
    (lambda: fl.Dataset(with_bad(NAN), Y), ValueError, ["x", "finite", "nan", "[2, 1]"]),
    (lambda: fl.Dataset(with_bad(-INF), Y), ValueError, ["x", "finite", "-inf", "[2, 1]"]),
    (lambda: fl.Dataset(X, np.array([0, 1, NAN, 1])), ValueError, ["y", "finite", "nan", "[2]"]),
    (lambda: fl.Dataset(X.astype(complex), Y), TypeError, ["x", "complex128"]),
    (lambda: fl.Dataset(X, Y.astype("datetime64[D]")), TypeError, ["y", "datetime64"]),
    (lambda: fl.Dataset({"a": 1}, Y), TypeError, ["x", "an array, a list or a frame", "{'a': 1}"]),
    (lambda: run(trainer(), fl.Dataset(X, Y * [1, 2, 1, 3])), ValueError, ["targets", "[0, 1]", "3"]),
    (lambda: run(softmax(), fl.Dataset(X, Y * 3)), ValueError, ["labels", "[0, 3)", "3"]),
    (lambda: run(softmax(), fl.Dataset(X, Y - 1)), ValueError, ["labels", "[0, 3)", "-1"]),
    (lambda: run(softmax(), fl.Dataset(X, Y + 0.5)), ValueError, ["integer labels"]),
    (
        lambda: run(softmax(), fl.Dataset(X, np.ones((4, 3)))),
        ValueError,
        ["rows", "sum to 1", "several labels", "BinaryCrossEntropy()"],
    ),
    # numbers that no float holds once they are scaled or squared
    (lambda: fl.predict(trainer(), fl.init_state(trainer()), X + 1e300), ValueError, ["x", "3.4e+38", "float32", "1e+300"]),
    (lambda: run(trainer(), fl.Dataset(X - 1e300, Y)), ValueError, ["train", "x", "1e+300"]),
    (
        lambda: fl.split_table({"a": np.full(50, 1e200), "y": np.arange(50.0)}, "y"),
        ValueError,
        ["other than the target 'y'", "a: left out (constant)"],
    ),
    # what is no trainer, no state, or a state of another trainer
    *[
        (lambda call=call: call(None), TypeError, ["trainer", "fl.Trainer", "None"])
        for call in (
            fl.make_step,
            lambda v: fl.make_epoch(v, DATA),
            lambda v: fl.epochs(v, DATA),
            lambda v: fl.steps(v, DATA),
            lambda v: fl.fit(v, DATA),
            lambda v: fl.predict(v, fl.init_state(trainer()), X),
            lambda v: fl.evaluate(v, fl.init_state(trainer()), DATA),
        )
    ],
    (lambda: fl.predict(trainer(), None, X), TypeError, ["state", "TrainState", "None"]),
    (lambda: fl.evaluate(trainer(), None, DATA), TypeError, ["state", "TrainState", "None"]),
    *[
        (
            lambda changes=changes, data=data: fl.epochs(
                trainer(batch_size=3, **changes), data, start=nth(2, fl.steps(trainer(batch_size=3), DATA))
            ),
            ValueError,
            ["start is within an epoch", *said],
        )
        for changes, data, said in [
            ({"metrics": ()}, DATA, ["the metrics accuracy", "the metrics none"]),
            ({"metrics": ("f1",)}, DATA, ["the metrics accuracy", "the metrics f1"]),
            ({"accumulate": 2}, DATA, ["batches of 3", "batches of 6"]),
            ({"seed": 1}, DATA, ["seed 0", "seed 1"]),
            (
                {"loss": fl.losses.BinaryCrossEntropy(label_smoothing=0.1)},
                DATA,
                ["the loss", "BinaryCrossEntropy()", "smoothing=0.1"],
            ),
            ({}, fl.Dataset(DATA.x[:8], DATA.y[:8]), ["10 examples", "8 examples"]),
        ]
    ],
    (
        lambda: fl.epochs(trainer(batch_size=9), DATA, start=by_hand(3)),
        ValueError,
        ["start is within an epoch", "3 batches", "12 examples", "batches of 9"],
    ),
    (lambda: fl.save(fl.init_state(trainer()), "never.npz", trainer=5), TypeError, ["trainer", "5", "Trainer"]),
    (lambda: fl.save(fl.init_state(trainer()), "never.npz", preprocessing=5), TypeError, ["preprocessing", "5"]),
    (lambda: fl.save(fl.init_state(trainer()), ""), FileNotFoundError, ["path", "'.'", "a file"]),
    # splits
    (
        lambda: fl.split_table({"a": np.arange(9.0), "y": np.arange(9.0)}, "y", seed=2**32),
        ValueError,
        ["seed", str(2**32)],
    ),
    (
        lambda: fl.split_table(ROWS, "y", task="clasification"),
        ValueError,
        ["task", "'regression'", "'clasification'"],
    ),
    (lambda: fl.split_table(ROWS, "y", test="half"), TypeError, ["test", "(0, 1)", "'half'"]),
    *[
        (
            lambda t=t, v=v: fl.split_table(ROWS, "y", test=t, validation=v),
            ValueError,
            ["test", repr(t), repr(v), "10 rows"],
        )
        for t, v in [(0.99, 0.2), (0.2, 0.99)]
    ],
    # counts
    *[
        (lambda call=call, value=value: call(value), (ValueError, TypeError), [name, repr(value), "integer of at least"])
        for name, call in {
            "batch_size": lambda v: trainer(batch_size=v),
            "accumulate": lambda v: trainer(accumulate=v),
            "epochs": lambda v: fl.fit(trainer(), DATA, epochs=v),
            "patience": lambda v: fl.EarlyStopping(patience=v),
            "T_max": lambda v: CosineAnnealingLR(0.1, v),
            "step_size": lambda v: StepLR(0.1, v),
            "T_0": lambda v: sch.CosineAnnealingWarmRestarts(0.1, v),
            "T_mult": lambda v: sch.CosineAnnealingWarmRestarts(0.1, 3, T_mult=v),
            "step_size_up": lambda v: sch.CyclicLR(0.1, 0.2, step_size_up=v),
            "step_size_down": lambda v: sch.CyclicLR(0.1, 0.2, step_size_up=3, step_size_down=v),
            "total_steps": lambda v: sch.OneCycleLR(0.1, v),
            "period": lambda v: sch.repeat(ConstantLR(0.1), v),
            "size": lambda v: fl.batches(DATA, v, seed=0, epoch=0),
            "n": lambda v: fl.every(v, []),
            "k": lambda v: fl.metrics.TopKAccuracy(v),
            "sizes[1]": lambda v: fl.mlp([3, v, 1]),
        }.items()
        for value in (0, -1, 2.5, "3", True, None)
    ],
    *[
        (lambda call=call, value=value: call(value), (ValueError, TypeError), [name, repr(value), "integer of at least 0"])
        for name, call in {
            "total_iters": lambda v: sch.LinearLR(0.1, total_iters=v),
            "warmup": lambda v: sch.WarmupStableDecayLR(0.1, v, 1, 1),
            "stable": lambda v: sch.WarmupStableDecayLR(0.1, 1, v, 1),
            "decay": lambda v: sch.WarmupStableDecayLR(0.1, 1, 1, v),
            "milestones[1]": lambda v: sch.MultiStepLR(0.1, [3, v]),
            "times[0]": lambda v: sch.PiecewiseLR([v], [0.1]),
            "boundaries[0]": lambda v: sch.join([ConstantLR(0.1)] * 2, [v]),
            "length": lambda v: sch.warmup(ConstantLR(0.1), v),
        }.items()
        for value in (-1, 2.5, "3", None)
    ],
    (lambda: sch.MultiStepLR(0.1, [3, 2]), ValueError, ["milestones", "[3, 2]", "ascending"]),
    (lambda: sch.MultiStepLR(0.1, 3), TypeError, ["milestones", "3", "sequence"]),
    (lambda: sch.MultiStepLR(0.1, "33"), TypeError, ["milestones", "'33'", "sequence"]),
    (lambda: sch.PiecewiseLR([1, 2], [0.1]), ValueError, ["values", "as many as times", "1", "2"]),
    (lambda: sch.PiecewiseLR([], []), ValueError, ["values", "at least one"]),
    (lambda: sch.CyclicLR(0.2, 0.1), ValueError, ["max_lr", "0.1", "at least initial_lr=0.2"]),
    (lambda: sch.CosineAnnealingWarmRestarts(0.1, 3, eta_min=0.2), ValueError, ["eta_min", "0.2", "at most"]),
    (lambda: sch.WarmupStableDecayLR(0.1, 1, 1, 1, min_lr=0.2), ValueError, ["min_lr", "0.2", "at most"]),
    (lambda: sch.LambdaLR(0.1, 3), TypeError, ["function", "3", "callable"]),
    (lambda: sch.LambdaLR(0.1, lambda t: NAN)(2), ValueError, ["function", "nan", "t=2", "at least 0"]),
    (lambda: sch.join([ConstantLR(0.1)] * 2, []), ValueError, ["boundaries", "[]", "one fewer", "2"]),
    (lambda: sch.join([ConstantLR(0.1)] * 2, [3, 4]), ValueError, ["boundaries", "[3, 4]", "one fewer"]),
    (lambda: sch.join([ConstantLR(0.1)] * 3, [4, 3]), ValueError, ["boundaries", "(4, 3)", "ascending"]),
    (lambda: sch.join([ConstantLR(0.1), 0.2], [3]), TypeError, ["scheduler", "0.2", "a schedule, such as"]),
    (lambda: sch.warmup(0.1, 3), TypeError, ["scheduler", "0.1", "a schedule, such as"]),
    (
        lambda: sch.warmup(sch.LinearLR(0.1, total_iters=3, start_factor=0.0), 3),
        ValueError,
        ["scheduler", "above 0", "0.0", "LinearLR"],
    ),
    (lambda: sch.times(), ValueError, ["schedulers", "at least one"]),
    (lambda: sch.times(ConstantLR(0.1), "x"), TypeError, ["schedulers", "'x'"]),
    (lambda: sch.clamp(ConstantLR(0.1), 0.3, 0.2), ValueError, ["low", "0.3", "at most high=0.2"]),
    (
        lambda: trainer(scheduler=sch.times(2, ReduceLROnPlateau(1.0)), schedule_every="step"),
        ValueError,
        ["schedule_every", "'step'"],
    ),
    (lambda: ReduceLROnPlateau(0.1, patience=0), ValueError, ["patience", "0", "at least 1"]),
    (lambda: trainer(seed=-1), ValueError, ["seed", "-1"]),
    (lambda: trainer(seed=2**64), ValueError, ["seed", str(2**64)]),
    (lambda: fl.batches(DATA, 2, seed=0, epoch=-1), ValueError, ["epoch", "-1", "at least 0"]),
    (lambda: fl.mlp([3]), ValueError, ["sizes", "[3]", "[10, 16, 1]"]),
    # numbers out of range
    *[
        (lambda call=call, value=value: call(value), (ValueError, TypeError), [name, repr(value), "real number in"])
        for name, call, bad in [
            ("initial_lr", ConstantLR, [0, -0.1, NAN, INF, "1", None]),
            ("initial_lr", lambda v: fl.get_scheduler("cosine", v, T_max=3), [0, NAN]),
            ("gamma", lambda v: StepLR(0.1, 2, gamma=v), [0, -1, 1.5, NAN]),
            ("gamma", lambda v: ExponentialLR(0.1, gamma=v), [0, -1, 1.5, NAN]),
            ("factor", lambda v: ReduceLROnPlateau(0.1, factor=v), [0, -1, 1.5, NAN]),
            ("min_delta", lambda v: ReduceLROnPlateau(0.1, min_delta=v), [-1, NAN, INF]),
            ("min_delta", lambda v: fl.EarlyStopping(min_delta=v), [-1, NAN, INF]),
            ("eta_min", lambda v: CosineAnnealingLR(0.1, 3, eta_min=v), [-1, NAN]),
            ("decay_rate", lambda v: sch.InverseTimeLR(0.1, decay_rate=v), [-1, NAN]),
            ("timescale", lambda v: sch.InverseSqrtLR(0.1, timescale=v), [0, -1, NAN]),
            ("start_factor", lambda v: sch.LinearLR(0.1, total_iters=3, start_factor=v), [-1, NAN]),
            ("end_factor", lambda v: sch.LinearLR(0.1, total_iters=3, start_factor=1, end_factor=v), [-1, INF]),
            ("power", lambda v: sch.PolynomialLR(0.1, 3, power=v), [0, NAN]),
            ("end_lr", lambda v: sch.PolynomialLR(0.1, 3, power=1, end_lr=v), [-1, NAN]),
            ("decay", lambda v: sch.CosineAnnealingWarmRestarts(0.1, 3, decay=v), [0, 1.1]),
            ("max_lr", lambda v: sch.OneCycleLR(v, 3), [0, NAN]),
            ("pct_start", lambda v: sch.OneCycleLR(0.1, 3, pct_start=v), [-0.1, 1.1, NAN]),
            ("div_factor", lambda v: sch.OneCycleLR(0.1, 3, div_factor=v), [0, NAN]),
            ("final_div_factor", lambda v: sch.OneCycleLR(0.1, 3, final_div_factor=v), [0, NAN]),
            ("gamma", lambda v: sch.MultiStepLR(0.1, [2], gamma=v), [0, 1.5, NAN]),
            ("gamma", lambda v: sch.CyclicLR(0.1, 0.2, gamma=v), [0, 1.5, NAN]),
            ("values[1]", lambda v: sch.PiecewiseLR([0, 1], [0.1, v]), [-1, NAN, "1"]),
            ("start_factor", lambda v: sch.warmup(ConstantLR(0.1), 3, start_factor=v), [-0.1, 1.1, NAN]),
            ("low", lambda v: sch.clamp(ConstantLR(0.1), v), [-1, NAN]),
            ("b1", lambda v: Adam(b1=v), [-0.1, 1, NAN]),
            ("b2", lambda v: AdamW(b2=v), [-0.1, 1, NAN]),
            ("eps", lambda v: Adam(eps=v), [0, -1, NAN]),
            ("momentum", lambda v: SGD(momentum=v), [-0.1, 1, NAN]),
            ("weight_decay", add_decayed_weights, [-1, NAN]),
            ("max_norm", clip_by_global_norm, [0, -1, NAN, INF]),
            ("label_smoothing", lambda v: fl.losses.BinaryCrossEntropy(label_smoothing=v), [-0.1, 1, NAN, "1"]),
            ("label_smoothing", lambda v: fl.losses.SoftmaxCrossEntropy(label_smoothing=v), [-0.1, 1, NAN, None]),
            ("class_weights[1]", lambda v: fl.losses.BinaryCrossEntropy(class_weights=(1, v)), [-1, NAN, INF, "1"]),
            ("class_weights[0]", lambda v: fl.losses.SoftmaxCrossEntropy(class_weights=(v, 1)), [-1, NAN]),
            ("class_weights[0]", lambda v: fl.losses.Focal(class_weights=(v, 1)), [-1, NAN]),
            ("gamma", lambda v: fl.losses.Focal(gamma=v), [-0.1, NAN, INF, None]),
            ("delta", fl.losses.Huber, [0, -1, NAN, INF]),
        ]
        for value in bad
    ],
    (lambda: CosineAnnealingLR(0.1, 3, eta_min=0.2), ValueError, ["eta_min", "0.2", "at most"]),
    (lambda: ReduceLROnPlateau(0.1, min_lr=0.2), ValueError, ["min_lr", "0.2", "at most"]),
    (lambda: SGD(nesterov=True), ValueError, ["nesterov", "momentum"]),
    # optimizers: intervals, schedules, layers, averages
    *[
        (lambda make=make, bad=bad: make(bad), ValueError, [name, repr(bad)])
        for name, make, values in [
            ("b1", lambda v: opt.Adamax(b1=v), [1, -0.1, NAN]),
            ("b2", lambda v: opt.AMSGrad(b2=v), [1, NAN]),
            ("eps", lambda v: opt.NAdam(eps=v), [0, INF]),
            ("threshold", lambda v: opt.RAdam(threshold=v), [4, NAN]),
            ("alpha", lambda v: opt.RMSprop(alpha=v), [1, -1]),
            ("momentum", lambda v: opt.RMSprop(momentum=v), [1, -1]),
            ("initial_accumulator_value", lambda v: opt.Adagrad(initial_accumulator_value=v), [-1, INF]),
            ("rho", lambda v: opt.Adadelta(rho=v), [1, NAN]),
            ("eta_minus", lambda v: opt.Rprop(eta_minus=v), [0, 1]),
            ("eta_plus", lambda v: opt.Rprop(eta_plus=v), [1, INF]),
            ("min_step", lambda v: opt.Rprop(min_step=v), [0, 2]),
            ("max_step", lambda v: opt.Rprop(max_step=v), [0.5, NAN]),
            ("b2", lambda v: opt.Lion(b2=v), [1]),
            ("max_value", opt.clip_by_value, [0, INF]),
            ("l1", opt.add_l1_penalty, [-1, NAN]),
            ("l2", opt.add_l2_penalty, [-1, NAN]),
            ("max_norm", opt.clip_by_norm, [0, NAN]),
            ("clipping", opt.adaptive_grad_clip, [0, INF]),
            ("eps", lambda v: opt.adaptive_grad_clip(0.1, eps=v), [0]),
            ("trust_coefficient", lambda v: opt.scale_by_trust_ratio(trust_coefficient=v), [0]),
            ("weight_decay", lambda v: opt.LAMB(weight_decay=v), [-1]),
            ("decay", opt.ema, [1, NAN]),
            ("alpha", lambda v: opt.lookahead(SGD(), alpha=v), [0, 2]),
        ]
        for bad in values
    ],
    (lambda: opt.lookahead(SGD(), k=0), ValueError, ["k", "0", "at least 1"]),
    (lambda: opt.lookahead(None), TypeError, ["None", "optimizer"]),
    (lambda: opt.swa(start=0), ValueError, ["start", "0", "at least 1"]),
    (lambda: opt.swa(start=1, every=1.5), TypeError, ["every", "1.5"]),
    (lambda: opt.ema(debias=1), TypeError, ["debias", "1", "True or False"]),
    (lambda: chain(opt.ema(), SGD()), ValueError, ["average", "last", "ema", "SGD"]),
    (lambda: opt.lookahead(chain(SGD(), opt.swa(start=3))), ValueError, ["average", "last", "swa"]),
    (lambda: opt.scheduled(None, b1=ConstantLR(0.5)), TypeError, ["optimizer", "None"]),
    (lambda: opt.scheduled(Adam()), ValueError, ["schedules", "none"]),
    (lambda: opt.scheduled(Adam(), b3=ConstantLR(0.5)), ValueError, ["b3", "Adam", "b1, b2, eps"]),
    (lambda: opt.scheduled(SGD(momentum=0.9, nesterov=True), nesterov=ConstantLR(0.5)), ValueError, ["nesterov", "momentum"]),
    (lambda: opt.scheduled(SGD(), momentum=ConstantLR(0.5)), ValueError, ["momentum", "above 0", "SGD"]),
    (lambda: opt.scheduled(SGD(momentum=0.9), momentum=ConstantLR(2.0)), ValueError, ["momentum", "2.0", "[0, 1)"]),
    (lambda: opt.scheduled(SGD(momentum=0.9), momentum=0.5), TypeError, ["momentum", "0.5", "function of t"]),
    (lambda: opt.scheduled(SGD(momentum=0.9), momentum=ReduceLROnPlateau(0.5)), TypeError, ["momentum", "ReduceLROnPlateau"]),
    (lambda: opt.scheduled(clip_by_global_norm(1.0), max_norm=ConstantLR(2.0)), ValueError, ["max_norm", "none"]),
    (lambda: opt.scheduled(chain(Adam(), Adam()), b1=ConstantLR(0.5)), ValueError, ["b1", "several parts"]),
    (lambda: opt.masked(None, [0]), TypeError, ["transformation", "None"]),
    (lambda: opt.masked(clip_by_global_norm(1.0), [0]), ValueError, ["layer by layer", "clip_by_global_norm"]),
    (lambda: opt.masked(opt.ema(), [0]), ValueError, ["layer by layer", "ema"]),
    (lambda: opt.masked(Adam(), [-1]), ValueError, ["layers[0]", "-1", "at least 0"]),
    (lambda: opt.masked(Adam(), 1), TypeError, ["layers", "1"]),
    (lambda: opt.masked(Adam()), TypeError, ["layers=[0, ...]", "kinds=['weights', ...]", "neither"]),
    (lambda: opt.masked(Adam(), kinds="weights"), TypeError, ["kinds", "a sequence", "'weights'"]),
    (lambda: opt.masked(Adam(), kinds=[1]), TypeError, ["kinds[0]", "a non-empty string", "1"]),
    (
        lambda: opt.masked(SGD(), kinds=["weights"]).update(np.ones(2), SGD().init(np.ones(2)), np.ones(2)),
        ValueError,
        ["layout must be given", "kinds=('weights',)"],
    ),
    (
        lambda: fl.Trainer(
            model=fl.mlp([2, 1]), loss=fl.losses.MeanSquaredError(), optimizer=opt.masked(Adam(), kinds=["weight"])
        ),
        ValueError,
        ["optimizer", "kinds", "weights, biases", "'weight'"],
    ),
    (lambda: opt.freeze(0.5), TypeError, ["layers[0]", "0.5"]),
    (lambda: opt.scale_by_layer({0: -1.0}), ValueError, ["factors[0]", "-1"]),
    (lambda: opt.scale_by_layer(0.1), TypeError, ["factors", "0.1", "mapping"]),
    *[
        (lambda o=o: trainer(optimizer=o), ValueError, ["optimizer", "layer 1", "1 layers"])
        for o in (opt.freeze(1), opt.scale_by_layer([1, 1]), chain(opt.masked(opt.masked(Adam(), [1]), [0]), SGD()))
    ],
    (lambda: fl.averaged(None), TypeError, ["state", "TrainState", "None"]),
    (lambda: fl.averaged(fl.init_state(trainer())), ValueError, ["state", "ema", "swa", "no average"]),
    (lambda: ConstantLR(0.1)(-1), ValueError, ["t", "-1", "at least 0"]),
    (lambda: ConstantLR(0.1)(1.5), TypeError, ["t", "1.5", "integer"]),
    # names
    (lambda: sch.CyclicLR(0.1, 0.2, mode="square"), ValueError, ["mode", "'square'", "'triangular'", "'exp_range'"]),
    (lambda: sch.OneCycleLR(0.1, 3, anneal_strategy="x"), ValueError, ["anneal_strategy", "'x'", "'cos'", "'linear'"]),
    (
        lambda: sch.WarmupStableDecayLR(0.1, 1, 1, 1, min_lr=0, anneal_strategy="x"),
        ValueError,
        ["anneal_strategy", "'x'", "'sqrt'"],
    ),
    (lambda: sch.PiecewiseLR([0], [1.0], interpolate="x"), ValueError, ["interpolate", "'x'", "'previous'"]),
    (lambda: fl.get_scheduler(3, 0.1), TypeError, ["name", "string", "3"]),
    (lambda: fl.datasets.load(3), TypeError, ["name", "'iris'", "3"]),
    (lambda: fl.get_scheduler("magic", 0.1), ValueError, ["magic", "constant", "step", "exponential", "plateau", "cosine"]),
    (lambda: fl.get_scheduler("step", 0.1, steps=3), ValueError, ["steps", "step_size", "gamma"]),
    (lambda: fl.mlp([3, 1], "swoosh"), ValueError, ["activation", "swoosh", "relu", "sigmoid", "tanh", "identity"]),
    (lambda: trainer(metrics=("magic",)), ValueError, ["metrics", "magic", "accuracy", "r2"]),
    (lambda: trainer(metrics=(fl.metrics.F1,)), TypeError, ["metrics", "F1", "TopKAccuracy(3)"]),
    (lambda: trainer(metrics=(3,)), TypeError, ["metrics", "3", "names"]),
    (lambda: trainer(metrics=("f1", fl.metrics.F1())), ValueError, ["metrics", "f1", "different names"]),
    (lambda: trainer(metrics=("top_5_accuracy",)), ValueError, ["metrics", "'top_5_accuracy'", "k", "below", "1", "5"]),
    (lambda: softmax(metrics=(fl.metrics.TopKAccuracy(3),)), ValueError, ["'top_3_accuracy'", "outputs, 3", "got 3"]),
    *[
        (lambda m=m: trainer(loss=fl.losses.Huber(), metrics=(m,)), ValueError, ["metrics", m, "classification", "Huber"])
        for m in ("accuracy", "precision", "recall", "f1", "top_5_accuracy")
    ],
    *[
        (lambda m=m: softmax(metrics=(m,)), ValueError, ["metrics", m, "regression", "SoftmaxCrossEntropy"])
        for m in ("r2", "mae")
    ],
    (lambda: trainer(metrics=("accuracy", "accuracy")), ValueError, ["metrics", "accuracy"]),
    (
        lambda: trainer(loss=fl.losses.BinaryCrossEntropy),
        TypeError,
        ["loss", "call it: BinaryCrossEntropy(...)"],
    ),
    (lambda: trainer(early_stopping=3), TypeError, ["early_stopping", "3"]),
    (lambda: trainer(dtype="float16"), ValueError, ["dtype", "float16", "float32", "float64"]),
    (lambda: trainer(non_finite="hope"), ValueError, ["non_finite", "hope", "stop", "skip", "raise"]),
    (lambda: trainer(schedule_every="year"), ValueError, ["schedule_every", "year", "epoch", "step"]),
    (lambda: fl.EarlyStopping(mode="up"), ValueError, ["mode", "up", "min", "max"]),
    (lambda: ReduceLROnPlateau(0.1, mode="up"), ValueError, ["mode", "up", "min", "max"]),
    (lambda: fl.best("loss", [], mode="up"), ValueError, ["mode", "up", "min", "max"]),
    (lambda: fl.datasets.load("mnist"), ValueError, ["mnist", "lab", "iris"]),
    (lambda: fl.epochs(trainer(), DATA, engine="steam"), ValueError, ["engine", "steam", "numpy"]),
    (lambda: chain(Adam), TypeError, ["chain", "Adam", "index 0"]),
    # metrics that the run does not produce
    (
        lambda: run(trainer(early_stopping=fl.EarlyStopping("val_loss"))),
        ValueError,
        ["EarlyStopping", "val_loss", "no validation data", "loss, accuracy"],
    ),
    (
        lambda: run(trainer(scheduler=ReduceLROnPlateau(0.1, "f1")), DATA, DATA),
        ValueError,
        ["ReduceLROnPlateau", "f1", "val_accuracy"],
    ),
    (lambda: fl.fit(trainer(), DATA, monitor="f1"), ValueError, ["f1", "loss, accuracy"]),
    (lambda: fl.best("f1", take(2, fl.epochs(trainer(), DATA))), ValueError, ["f1", "loss, accuracy"]),
    (
        lambda: ReduceLROnPlateau(0.1, "f1").step(ReduceLROnPlateau(0.1, "f1").init(), {"loss": 1.0}),
        ValueError,
        ["f1", "loss"],
    ),
    (
        lambda: trainer(schedule_every="step", scheduler=ReduceLROnPlateau(0.1)),
        ValueError,
        ["schedule_every", "step", "epoch"],
    ),
    (
        lambda: trainer(model=fl.mlp([3, 1]), loss=fl.losses.MeanSquaredError(), metrics=("accuracy",)),
        ValueError,
        ["accuracy", "MeanSquaredError"],
    ),
    # states that do not belong
    (
        lambda: fl.epochs(trainer(), DATA, start=fl.init_state(trainer(model=fl.mlp([3, 2, 1])))),
        ValueError,
        ["start", "model"],
    ),
    (lambda: fl.epochs(trainer(), DATA, start=fl.init_state(trainer(dtype="float64"))), ValueError, ["start", "float64"]),
    (lambda: fl.epochs(trainer(), DATA, start=3), TypeError, ["start", "3"]),
    (lambda: fl.init_state("trainer"), TypeError, ["trainer"]),
    (lambda: fl.epochs(trainer(), X), TypeError, ["train", "ndarray", "fl.Dataset"]),
    (lambda: fl.last([]), ValueError, ["states", "empty"]),
    # laws and strategies
    (lambda: laws.check_scheduler(ConstantLR), TypeError, ["scheduler must be a schedule", "ConstantLR(...)"]),
    (lambda: laws.check_scheduler(ConstantLR(0.1), max_examples=0), ValueError, ["max_examples", "at least 1", "0"]),
    (lambda: laws.check_optimizer(Adam), TypeError, ["optimizer must be an optimizer", "Adam(...)"]),
    (lambda: laws.check_layer(len, 3), TypeError, ["layer must be a layer", "fl.nn.Dense(3, 2)", "len"]),
    (lambda: laws.check_layer(fl.nn.Dense(3, 1), 0), ValueError, ["inputs", "at least 1", "0"]),
    (lambda: laws.check_loss(fl.losses.MeanSquaredError(), 1, [0.0]), TypeError, ["targets", "array or a strategy", "[0.0]"]),
    (lambda: laws.check_loss(fl.losses.MeanSquaredError(), 1, Y, largest=0), ValueError, ["largest", "(0, inf)", "0"]),
    (lambda: laws.check_loss(None, 1, Y), TypeError, ["loss must be a loss", "None"]),
    (lambda: laws.check_step(None, 0.0, [1.0]), TypeError, ["step must be a function", "None"]),
    (lambda: laws.check_step(max, 0.0, []), ValueError, ["batches", "at least one batch", "[]"]),
    (lambda: laws.check_trainer(None, DATA), TypeError, ["trainer", "fl.Trainer", "None"]),
    (lambda: laws.check_selector("best"), TypeError, ["selector", "'best'"]),
    (lambda: laws.check_optimizer(SGD(), engine="torch", max_examples=1), ValueError, ["engine", "'jax'", "'torch'"]),
    (lambda: laws.check_gradients(np.sum, X, X[0]), ValueError, ["gradient", "(4, 3)", "(3,)"]),
    (lambda: laws.check_gradients(np.sum, X, X, rtol=-1), ValueError, ["rtol", "[0, inf)", "-1"]),
    (lambda: laws.datasets("ranking"), ValueError, ["kind", "'binary', 'softmax', 'mse'", "'ranking'"]),
    (lambda: laws.datasets(min_rows=5, max_rows=4), ValueError, ["max_rows", "at least 5", "4"]),
    (lambda: laws.trainers(kind="ranking"), ValueError, ["kind", "'ranking'"]),
    (lambda: laws.problems(inputs=0), ValueError, ["inputs", "at least 1", "0"]),
    (lambda: laws.states(max_steps=-1), ValueError, ["max_steps", "at least 0", "-1"]),
    (lambda: laws.layers(max_outputs=0), ValueError, ["max_outputs", "at least 1", "0"]),
    (lambda: laws.schedulers(max_parts=0), ValueError, ["max_parts", "at least 1", "0"]),
]


@pytest.mark.parametrize(
    ("call", "error", "said"), TABLE, ids=[f"{i}: {' '.join(row[2])[:40]}" for i, row in enumerate(TABLE)]
)
def test_bad_input_raises_where_it_came_in(call, error, said):
    """The message has all the words, on a few lines at most, and hides no other error."""
    with pytest.raises(error) as caught:
        call()
    for word in said:
        assert word in str(caught.value), f"{word!r} not in {caught.value}"


def exploding(non_finite, **changes):
    """A run whose loss is no longer finite in its second epoch: 1e200 squared overflows."""
    x = np.array([[1.0], [2.0], [3.0], [4.0]])
    data = fl.Dataset(x, np.array([1.0, -1.0, 2.0, 0.5]) * 1e3)
    options = {
        "model": fl.mlp([1, 1]),
        "loss": fl.losses.MeanSquaredError(),
        "optimizer": SGD(),
        "scheduler": ConstantLR(1e6),
        "batch_size": 1,
        "seed": 3,
        "non_finite": non_finite,
    }
    return fl.Trainer(**{**options, **changes}), data


def test_non_finite_stops_with_the_last_finite_state():
    """It has the bits of the state before the fault, and the reason; training it further changes nothing."""
    trainer, data = exploding("stop")
    states = list(fl.steps(trainer, data))
    last, before = states[-1], states[-2]
    assert last.stop_reason == "non-finite"
    assert np.isfinite(last.params.vector).all()
    for part in ("params", "optimizer", "scheduler", "epoch", "step", "progress", "metrics"):
        assert fl.same_bits(getattr(last, part), getattr(before, part))
    assert fl.same_bits(fl.last(fl.epochs(trainer, data)), last)
    result = fl.fit(trainer, data, progress=False)
    assert result.stop_reason == "non-finite"
    assert fl.same_bits(result.last, last)
    if last.epoch == 0:
        with pytest.raises(fl.NoBestError, match="non-finite"):
            _ = result.best


def test_non_finite_skips_that_update():
    """The parameters, the count of updates and a schedule by step stay; the stream continues, and means exclude the batch."""
    trainer, data = exploding("skip", schedule_every="step", scheduler=ExponentialLR(1e6, gamma=0.999))
    states = list(take(60, fl.steps(trainer, data)))
    skipped = [(a, b) for a, b in pairwise(states) if b.optimizer.count == a.optimizer.count]
    assert skipped
    for before, after in skipped:
        assert after.step == before.step + 1
        assert fl.same_bits(after.params, before.params)
        assert after.scheduler == before.scheduler
    assert all(np.isfinite(state.params.vector).all() for state in states)
    assert fl.same_bits(fl.last(take(3, fl.epochs(trainer, data))).params, states[8].params)


def test_non_finite_raises_with_its_place():
    """Epoch, step and batch, counted from 1."""
    trainer, data = exploding("raise")
    stopped = fl.last(fl.steps(exploding("stop")[0], data))
    place = f"epoch {stopped.epoch + 1}, step {stopped.step + 1}, batch {stopped.progress.batches + 1} "
    with pytest.raises(fl.NonFiniteError, match=place):
        fl.last(fl.epochs(trainer, data))


def test_an_interrupted_fit_returns_what_it_has(monkeypatch):
    """Ctrl-C ends a run as any other reason does."""
    seen = []

    def interrupt(outputs, targets):
        seen.append(1)
        if len(seen) > 16:  # the first four try the function, before anything is trained
            raise KeyboardInterrupt
        return outputs[:, 0]

    result = fl.fit(trainer(metrics=(interrupt,), batch_size=4), DATA, epochs=50, progress=False)
    assert result.stop_reason == "interrupted"
    assert result.last.epoch == len(result.history["loss"]) == 4
    assert "interrupted" in result.summary()
