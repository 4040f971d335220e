"""RealMLP-TD-S in a process of its own, because it needs PyTorch: `start` it once, then ask it for `predictions`.

The process is `python benchmarks/tabular_realmlp.py`, with any Python that has pytabkit. It reads pickled requests from
standard input and writes pickled answers to standard output. What is imported and compiled once is not in the times that it
answers.
"""

import os
import pickle
import subprocess
import sys
import time
import traceback
import warnings
from functools import cache
from typing import NamedTuple


class Request(NamedTuple):
    """A fit and its predictions: columns of floats and of strings as arrays."""

    train: dict
    labels: object
    test: dict
    task: str
    seed: int
    settings: dict


@cache
def start(python):
    """The process, once it is ready."""
    try:
        worker = subprocess.Popen([python, "-W", "ignore", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        pickle.load(worker.stdout)
    except (OSError, EOFError):
        raise SystemExit(f"--realmlp-python must be a Python that has pytabkit (pip install pytabkit), got {python}") from None
    return worker


def predictions(python, train, labels, test, task, seed):
    """The predictions for the rows of test, with the wall and processor seconds that they took."""
    worker = start(python)
    columns = [{name: frame[name].to_numpy() for name in frame} for frame in (train, test)]
    try:
        pickle.dump(tuple(Request(columns[0], labels, columns[1], task, seed, {})), worker.stdin)
        worker.stdin.flush()
        answer = pickle.load(worker.stdout)
    except (EOFError, BrokenPipeError):
        start.cache_clear()
        raise RuntimeError(f"the process of RealMLP ended with {worker.wait()}") from None
    if isinstance(answer, str):
        raise RuntimeError(answer)
    return answer


def answer_to(request):
    import numpy as np
    import pandas as pd
    from pytabkit import RealMLP_TD_S_Classifier, RealMLP_TD_S_Regressor

    train, test = pd.DataFrame(request.train), pd.DataFrame(request.test)
    estimator = RealMLP_TD_S_Classifier if request.task == "classification" else RealMLP_TD_S_Regressor
    started = time.perf_counter(), time.process_time()
    medians = train.median(numeric_only=True).fillna(0.0)
    model = estimator(device="cpu", n_threads=1, random_state=request.seed, **request.settings)
    model.fit(train.fillna(medians), request.labels)
    predicted = np.asarray(model.predict(test.fillna(medians)))
    return predicted, time.perf_counter() - started[0], time.process_time() - started[1]


def serve():
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed does not disturb the answers
    warnings.simplefilter("ignore")
    try:
        import numpy as np
        import pytabkit  # noqa: F401
        import torch
    except ImportError as error:
        sys.exit(str(error))
    torch.set_flush_denormal(True)  # subnormal numbers more than double the time of some fits
    few = {"number": np.arange(40.0), "category": np.array(["a", "b"] * 20, object)}
    answer_to(Request(few, np.arange(40.0), few, "regression", 0, {"n_epochs": 1}))
    pickle.dump("ready", channel)
    channel.flush()
    while True:
        try:
            request = Request(*pickle.load(sys.stdin.buffer))
        except EOFError:
            return
        try:
            answer = answer_to(request)
        except Exception:
            answer = traceback.format_exc().strip().splitlines()[-1]
        pickle.dump(answer, channel)
        channel.flush()


if __name__ == "__main__":
    serve()
