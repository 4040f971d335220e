"""fnloop: training as a fold over frozen states.

A training state is a frozen value, a step is a pure function from a state and a batch to the next state, an epoch folds that
step over its batches, and a run is the lazy stream of states. Early stopping ends the stream, a checkpoint saves from it, and
"best" selects from it.

    import fnloop as fl

    data = fl.datasets.lab()
    trainer = fl.Trainer(model=fl.mlp([10, 16, 1]), loss="bce", optimizer="adam", scheduler=0.01)
    result = fl.fit(trainer, data.train, data.validation, epochs=20)
    fl.evaluate(result.trainer, result.best, data.test)

Data
    Dataset, Batch, batches             examples, and the batches of an epoch
    split, Split                        a dataset in parts: at random, by class or by group
    datasets                            small datasets in three parts: datasets.lab(), digits(), iris() and so on
Model and trainer
    mlp, summary, nn                    a multilayer perceptron; what a model is made of; layers
    Trainer                             all that defines a run: model, loss, optimizer, scheduler, metrics, seed
    losses, optimizers, schedulers, get_scheduler, metrics, EarlyStopping
Training
    fit, Fit                            the whole run in one call, and what it came to
    epochs, steps                       the stream of states that it is made of
    init_state, make_step, make_epoch   the functions that those are made of
    TrainState, averaged, restored      a state, with the averaged parameters, with those of the best epoch
    Stopped, StopReason                 how a run ended
    lr_range_test, LRRange              which learning rates are worth a try
Functions of a stream
    best, top, last, every, history, moving_average, what_if
    tap, until, until_seconds, reaches, progress
After training
    evaluate, outputs                   the metrics of a state, and what its model gives
    predict, predict_proba              its predictions, and the probabilities of classes
    confusion_matrix, plots             what is taken for what; pictures of a run
Files
    record, open_run, Run               every state of a run in one file, and what can be asked of it
    checkpoint, save, load, load_checkpoint, Checkpoint
    same_bits, digest                   whether two states are the same; a state's hash
Errors
    FnloopError, a ValueError: CheckpointError, EngineError, NoBestError, NonFiniteError, ReplayError, RunError
    NonFiniteWarning, RecordingWarning  for a run that goes on

`help(fl.Trainer)` says what each field means, `help(fl.optimizers)` lists the optimizers, and `fnloop --help` the commands.
"""

from fnloop import datasets, losses, metrics, nn, optimizers, plots, schedulers
from fnloop.confusion_matrix import confusion_matrix
from fnloop.data import Batch, Dataset, batches
from fnloop.early_stopping import EarlyStopping
from fnloop.errors import (
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
from fnloop.fit import Fit, fit
from fnloop.loop import epochs, init_state, make_epoch, make_step, steps
from fnloop.lr_range_test import LRRange, lr_range_test
from fnloop.nn import mlp, summary
from fnloop.prediction import evaluate, outputs, predict, predict_proba
from fnloop.progress import progress, until_seconds
from fnloop.record import digest, same_bits
from fnloop.runs.checkpoint import Checkpoint, load, load_checkpoint, save
from fnloop.runs.recording import record
from fnloop.runs.run import Run, open_run
from fnloop.runs.saving import checkpoint
from fnloop.schedulers import get_scheduler
from fnloop.splits import Split, split
from fnloop.state import Stopped, StopReason, TrainState, averaged, restored
from fnloop.streams import best, every, history, last, moving_average, reaches, tap, top, until, what_if
from fnloop.trainer import Trainer
from fnloop.version import __version__
