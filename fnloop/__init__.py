"""fnloop: training as a fold over frozen states."""

from fnloop import losses, optimizers, schedulers
from fnloop.data import Batch, Dataset, batches
from fnloop.early_stopping import EarlyStopping, StopReason
from fnloop.errors import CheckpointError, FnloopError, NoBestError, NonFiniteError
from fnloop.loop import epochs, evaluate, init_state, make_epoch, make_step, predict, predict_proba, steps
from fnloop.nn import mlp
from fnloop.record import digest, same_bits
from fnloop.schedulers import get_scheduler
from fnloop.state import TrainState
from fnloop.streams import best, every, history, last, tap
from fnloop.trainer import Trainer
