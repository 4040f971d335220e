"""Results of populations refuse what is no result of a run, and counts that do not match."""

import numpy as np
import pytest

import fnloop as fl

DATA = fl.datasets.iris().train
TRAINER = fl.Trainer(model=fl.mlp([4, 3]), loss="cross_entropy", batch_size=64)
FIT = fl.fit(TRAINER, DATA, epochs=1, progress=False)
ROWS = (np.arange(10),)


class Study:
    def get_trials(self, deepcopy):
        return ()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fl.Sweep((), ()), "^fits must have at least one fl.Fit"),
        (lambda: fl.Sweep(1, 2), "^trainers must be a sequence, got 1"),
        (lambda: fl.Sweep((1,), (FIT,)), r"^trainers\[0\] must be a fl.Trainer, got 1"),
        (lambda: fl.Sweep((TRAINER,), (FIT, FIT)), "^fits must be one for each of the 1 trainers, got 2"),
        (lambda: fl.Comparison({}, ()), "^fits must have at least one trainer"),
        (lambda: fl.Comparison([FIT], (0,)), "^fits must map names of trainers to their results"),
        (lambda: fl.Comparison({"a": (FIT,)}, (0, 1)), r"^fits\['a'\] must have one result for each of the 2 seeds, got 1"),
        (lambda: fl.Comparison({"a": ()}, ()), r"^fits\['a'\] must have at least one fl.Fit"),
        (lambda: fl.Comparison({"a": (FIT,)}, ("b",)), r"^seeds\[0\] must be an integer"),
        (lambda: fl.CrossValidation({}, (), DATA), "^fits must have at least one trainer"),
        (lambda: fl.CrossValidation({"a": (3,)}, ROWS, DATA), r"^fits\['a'\]\[0\] must be a fl.Fit, got 3"),
        (
            lambda: fl.CrossValidation({"a": (FIT, FIT)}, ROWS, DATA),
            r"^fits\['a'\] must have one result for each of the 1 folds",
        ),
        (lambda: fl.CrossValidation({"a": (FIT,)}, ([0.5],), DATA), r"^rows\[0\] must be the numbers of rows, got \[0.5\]"),
        (lambda: fl.CrossValidation({"a": (FIT,)}, ROWS, 3), "^data must be a fl.Dataset, got 3"),
        (lambda: fl.Search(1, FIT, (FIT,)), "^study must be a study of Optuna, got 1"),
        (lambda: fl.Search(Study(), 2, (FIT,)), "^best must be a fl.Fit, got 2"),
        (lambda: fl.Search(Study(), FIT, ()), "^fits must have at least one fl.Fit"),
    ],
)
def test_a_result_is_checked_where_it_is_made(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_results_of_runs_show_themselves():
    for result in (fl.Sweep([TRAINER], [FIT]), fl.Comparison({"a": [FIT]}, [0]), fl.CrossValidation({"a": [FIT]}, ROWS, DATA)):
        assert "loss" in repr(result)
