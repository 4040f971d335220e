"""The documentation that `MLPClassifier` and `MLPRegressor` share."""

DESCRIPTION = """
First weights, batches, solvers and the rule to stop are those of scikit-learn: with the same integer `random_state` it becomes
the same network, up to rounding, in a half to a third of the time.

Differences from scikit-learn's estimator, which it subclasses:

- Features in float64 are trained on in float32, the larger part of the gain on large networks, unless all rows are one batch,
  the solver is `"lbfgs"`, a column's values are further from zero than 10,000 times their range, or a feature or a target is
  beyond 1e15. Weights and predictions have the dtype of the features.
- Training uses one BLAS thread, or two for more than 100,000 parameters, and never more than the process is set to.
- Negative sample weights are refused. With sample weights, the penalty of a batch is divided by its number of rows times the
  mean weight of all rows, not by the sum of its own weights.
- Training ends with an error at the first loss that is not finite, not after `max_iter` iterations.
- `partial_fit` with another `solver` than before starts with a new state of the optimizer.
"""

PARAMETERS = """
hidden_layer_sizes: The width of each hidden layer: numbers, or one number. Default: (100,).
activation: The activation of the hidden layers: `"identity"`, `"logistic"`, `"tanh"` or `"relu"`. Default: `"relu"`.
solver: `"adam"`, `"sgd"`, or `"lbfgs"`, which uses all rows at once. Default: `"adam"`.
alpha: Weight of the penalty, at least 0: a batch of n rows has alpha / (2 n) times the sum of the squared weights. Default:
    0.0001.
batch_size: The number of rows in a batch; `"auto"`, the default, is `min(200, n_samples)`.
learning_rate: `"constant"`; `"invscaling"`, which is `learning_rate_init / (t_ + 1) ** power_t`; or `"adaptive"`, which is
    divided by 5 where training would stop, down to 1e-6. Only for `"sgd"`. Default: `"constant"`.
learning_rate_init: The first learning rate, above 0. Default: 0.001.
power_t: The exponent of `"invscaling"`, at least 0. Default: 0.5.
max_iter: The largest number of iterations, each over all rows. Default: 200.
shuffle: Whether the rows are shuffled in each iteration. Default: True.
random_state: A seed or a `RandomState`, for the first weights, the validation set and the order of the rows. Default:
    None, the generator of `numpy.random`, as everywhere in scikit-learn.
tol: The smallest improvement of the loss, or of the validation score, that counts. Default: 1e-4.
verbose: Whether to print the loss of each iteration. Default: False.
warm_start: Whether `fit` starts from the weights of the fit before. Default: False.
momentum: The momentum of `"sgd"`, in [0, 1]. Default: 0.9.
nesterovs_momentum: Whether it is Nesterov's. Default: True.
early_stopping: Whether training stops by the score on a validation set, whose best weights are kept. Default: False.
validation_fraction: The fraction of the rows in the validation set, in [0, 1). Default: 0.1.
beta_1: Adam's decay rate of the first moment, in [0, 1). Default: 0.9.
beta_2: Adam's decay rate of the second moment, in [0, 1). Default: 0.999.
epsilon: Added to the denominator of Adam; above 0. Default: 1e-8.
n_iter_no_change: Training stops after more than so many iterations in a row without an improvement. Default: 10.
max_fun: The largest number of evaluations of the loss by `"lbfgs"`. Default: 15000.
"""

ATTRIBUTES = """
Fitted attributes: `coefs_` and `intercepts_`, one array for each layer; `loss_`, `loss_curve_`, `best_loss_` (None with early
stopping); `validation_scores_` and `best_validation_score_` (None without); `n_iter_`, `t_` (rows seen), `n_layers_`,
`n_outputs_`, `out_activation_`, `n_features_in_` and, for frames, `feature_names_in_`.
"""
