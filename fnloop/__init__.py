"""fnloop: training as a fold over frozen states.

A training state is a frozen value. A step is a pure function from a state and a batch to the next state. An epoch folds the
step over its batches, and a run is a lazy stream of states. Early stopping ends the stream, a checkpoint saves from it, and
"best" selects from it.

    import fnloop as fl

    data = fl.datasets.lab()
    trainer = fl.Trainer(model=fl.mlp([10, 16, 1]), loss="bce", optimizer="adam", scheduler=0.01)
    result = fl.fit(trainer, data.train, data.validation, epochs=20)
    fl.evaluate(result.trainer, result.best, data.test)

Data
    Dataset, Batch, batches             examples; the batches of an epoch
    split, Split                        divide a dataset at random, by class or by group
    split_table, TableSplit             divide a table, and encode it by its training part
    Preprocessing                       a table to arrays: a schema, and fitted encoders of its columns
    datasets                            example datasets: datasets.lab(), digits(), iris() and others
Model and trainer
    mlp, summary, nn                    a multilayer perceptron; a table of its layers; all layers
    Trainer                             everything that defines a run: model, loss, optimizer, scheduler, metrics, seed
    losses, optimizers, schedulers, get_scheduler, metrics, EarlyStopping
    recipes                             recipes.tabular(train): a trainer whose settings follow from a table
    frozen                              the decorator for records: custom layers, losses, optimizers
    random                              random numbers addressed by seed, stream and counters
Training
    fit, Fit                            a whole run in one call, and its result
    epochs, steps                       the lazy stream of states, by epoch or by step
    init_state, make_step, make_epoch   the pure functions that generate the stream
    TrainState, averaged, restored      a state; with averaged parameters; with those of the best epoch
    Stopped, StopReason                 why, and where, a run ended
    lr_range_test, LRRange              find a learning rate
Functions of a stream
    best, top, last, every, history, moving_average, what_if
    tap, until, until_seconds, reaches, progress
Many runs
    sweep, Sweep                        many trainers in one fold; each has the bits of its own run
    ensemble, Ensemble                  several trained models that predict by their mean; with the spread among them
    grid, sample, spaces                the trainers of a sweep: all combinations, or draws from distributions
    compare, Comparison                 trainers over seeds, with paired differences and their intervals
    cross_validate, CrossValidation     trainers on each fold of a dataset; predictions of the rows left out
    search, Search                      hyperparameters by Optuna, whose trials train in one fold
After training
    evaluate, outputs                   the metrics of a state; the outputs of its model
    predict, predict_proba              labels or values; probabilities of the classes
    score_table, TableScores            scores in the terms of a table, next to those of a trivial predictor; importances
    confusion_matrix, plots             counts of predicted against true classes; pictures of runs
Files
    record, open_run, Run               write every state of a run to one file; replay, compare and fork it
    checkpoint, save, load, load_checkpoint, Checkpoint
    same_bits, digest                   compare two states by their bits; the hash of a state
Errors
    FnloopError, a ValueError: CheckpointError, EngineError, NoBestError, NonFiniteError, ReplayError, RunError
    NonFiniteWarning, RecordingWarning  warnings of a run that continues

`help(fl.Trainer)` documents each field, `help(fl.optimizers)` lists the optimizers, and `fnloop --help` lists the commands.
"""

from fnloop import losses, metrics, nn, optimizers, plots, recipes, schedulers
from fnloop.core import random
from fnloop.core.digest import digest, same_bits
from fnloop.core.errors import (
    CheckpointError,
    EngineError,
    FnloopError,
    NoBestError,
    NonFiniteError,
    NonFiniteWarning,
    RecordingWarning,
    ReplayError,
    RunError,
)
from fnloop.core.records import frozen
from fnloop.core.version import __version__
from fnloop.data import datasets
from fnloop.data.batching import Batch, batches
from fnloop.data.dataset import Dataset
from fnloop.data.preprocessing import Preprocessing
from fnloop.data.splits import Split, split
from fnloop.data.table_split import TableSplit, split_table
from fnloop.fitting import Fit, fit
from fnloop.nn import mlp, summary
from fnloop.populations import spaces
from fnloop.populations.candidates import grid, sample
from fnloop.populations.compare import compare
from fnloop.populations.comparison import Comparison
from fnloop.populations.cross_validate import cross_validate
from fnloop.populations.cross_validation import CrossValidation
from fnloop.populations.ensemble import ensemble
from fnloop.populations.results import Sweep
from fnloop.populations.search import search
from fnloop.populations.search_results import Search
from fnloop.populations.sweep import sweep
from fnloop.runs.checkpoint import Checkpoint, load, load_checkpoint, save
from fnloop.runs.checkpointing import checkpoint
from fnloop.runs.recording import record
from fnloop.runs.run import Run, open_run
from fnloop.schedulers import get_scheduler
from fnloop.streams.history import history, moving_average
from fnloop.streams.progress import progress
from fnloop.streams.select import best, every, last, top
from fnloop.streams.stopping import reaches, until, what_if
from fnloop.streams.tap import tap
from fnloop.streams.time import until_seconds
from fnloop.training.confusion_matrix import confusion_matrix
from fnloop.training.early_stopping import EarlyStopping
from fnloop.training.ensemble import Ensemble
from fnloop.training.evaluation import evaluate, outputs, predict, predict_proba
from fnloop.training.loop import epochs, make_epoch, make_step, steps
from fnloop.training.lr_range_test import LRRange, lr_range_test
from fnloop.training.start import init_state
from fnloop.training.state import Stopped, StopReason, TrainState, averaged, restored
from fnloop.training.table_scores import TableScores, score_table
from fnloop.training.trainer import Trainer

__all__ = [
    "Batch",
    "Checkpoint",
    "CheckpointError",
    "Comparison",
    "CrossValidation",
    "Dataset",
    "EarlyStopping",
    "EngineError",
    "Ensemble",
    "Fit",
    "FnloopError",
    "LRRange",
    "NoBestError",
    "NonFiniteError",
    "NonFiniteWarning",
    "Preprocessing",
    "RecordingWarning",
    "ReplayError",
    "Run",
    "RunError",
    "Search",
    "Split",
    "StopReason",
    "Stopped",
    "Sweep",
    "TableScores",
    "TableSplit",
    "TrainState",
    "Trainer",
    "__version__",
    "averaged",
    "batches",
    "best",
    "checkpoint",
    "compare",
    "confusion_matrix",
    "cross_validate",
    "datasets",
    "digest",
    "ensemble",
    "epochs",
    "evaluate",
    "every",
    "fit",
    "frozen",
    "get_scheduler",
    "grid",
    "history",
    "init_state",
    "last",
    "load",
    "load_checkpoint",
    "losses",
    "lr_range_test",
    "make_epoch",
    "make_step",
    "metrics",
    "mlp",
    "moving_average",
    "nn",
    "open_run",
    "optimizers",
    "outputs",
    "plots",
    "predict",
    "predict_proba",
    "progress",
    "random",
    "reaches",
    "recipes",
    "record",
    "restored",
    "same_bits",
    "sample",
    "save",
    "schedulers",
    "score_table",
    "search",
    "spaces",
    "split",
    "split_table",
    "steps",
    "summary",
    "sweep",
    "tap",
    "top",
    "until",
    "until_seconds",
    "what_if",
]
