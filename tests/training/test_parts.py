"""The forms in which the fields of a trainer may be given."""

import pytest

import fnloop as fl
from fnloop.schedulers import SCHEDULERS


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("written", [str.lower, str.upper, lambda name: f"{name[:2]}-{name[2:]}"])
def test_the_name_of_a_schedule_lacks_a_rate(name, written):
    """The error has an expression of the same schedule that works, however the name is written."""
    with pytest.raises(ValueError, match="needs a learning rate, write fl") as error:
        fl.Trainer(model=fl.mlp([3, 1]), loss="bce", scheduler=written(name))
    expression = str(error.value).partition(", write ")[2].partition(";")[0]
    schedule = eval(expression, {"fl": fl})
    assert type(schedule) is SCHEDULERS[name]
    assert fl.Trainer(model=fl.mlp([3, 1]), loss="bce", scheduler=schedule).scheduler == schedule
