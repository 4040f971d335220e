"""The documentation that `LoopClassifier` and `LoopRegressor` share."""

DESCRIPTION = """
The result does not depend on the order of the rows, and equal rows are never in both the training and the validation set.
Whole sample weights are repeated rows if their mean is at most 10; others are scaled to a mean of 1. Sparse features are
refused. Predictions are computed by NumPy in float64.

A trainer that is given sees the features as they are. The default one sees them with any scale removed, and outliers clipped
smoothly, as the numbers of `fl.Preprocessing` are, by the rows of the first `fit` or `partial_fit`; so do `run_` and functions
such as `fl.predict` with `trainer_` and `state_`.
"""

PARAMETERS = """
epochs: The number of epochs; the trainer's early stopping may end the run before. Default: 100.
validation_fraction: The fraction of the rows in the validation set, in [0, 1). With one, the state that is best by the
    metric of early stopping, else by the loss, predicts; with 0, the last one. Default: 0.1.
record: The path of a run file to write, which `run_` opens. Default: None, no file.
overwrite: Whether to replace a run file at this path, as when a fit is repeated. Default: False.
random_state: The seed of everything random, or a `RandomState` that draws it. Default: None, the seed of the trainer.
warm_start: Whether `fit` continues where the fit before ended; `epochs` counts all of them. Default: False.
verbose: Whether to show progress, or the number of epochs between two lines. Default: False.
engine: `"numpy"` or `"jax"`, which trains, as in `fl.epochs`. Default: `"numpy"`.
"""

ATTRIBUTES = """
Fitted attributes: `trainer_`, with the seed and everything that depends on the data; `state_`, the `TrainState` that predicts,
and which `fl.save` writes; `history_`, each metric with a value for each epoch; `stop_reason_`; `run_`, the recorded `fl.Run`;
`n_features_in_` and, for frames, `feature_names_in_`.
"""
