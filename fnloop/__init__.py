"""fnloop: training as a fold over frozen states.

A training state is a frozen value, a step is a pure function from a state and a batch to the next state, an epoch is that step
folded over its batches, and a run is the lazy stream of states. Stopping ends the stream, a checkpoint snapshots it, "best"
selects from it.
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
from fnloop.loop import epochs, evaluate, init_state, make_epoch, make_step, outputs, predict, predict_proba, steps
from fnloop.lr_range_test import LRRange, lr_range_test
from fnloop.nn import mlp, summary
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
