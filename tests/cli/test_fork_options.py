"""The options of `fork` change the optimizer of a run, and keep the form in which it was written."""

import pytest

import fnloop as fl
from fnloop.cli.fork_options import ForkOptions
from fnloop.optimizers import (
    LAMB,
    SGD,
    Adam,
    AdamW,
    Lion,
    add_decayed_weights,
    add_l2_penalty,
    chain,
    clip_by_global_norm,
    ema,
    lookahead,
    masked,
    scheduled,
)
from fnloop.schedulers import ConstantLR


def masked_decay(weight_decay):
    return masked(add_decayed_weights(weight_decay), kinds=["weights"])


def optimizer_of(optimizer, **options):
    """The optimizer of a fork with these options."""
    trainer = fl.Trainer(model=fl.mlp([3, 1]), loss="bce", optimizer=optimizer)
    return ForkOptions(**options).changes(trainer, validation=False, epochs=10)["optimizer"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (AdamW(b1=0.8), AdamW(b1=0.8, weight_decay=0.2)),
        (Lion(), Lion(weight_decay=0.2)),
        (LAMB(), LAMB(weight_decay=0.2)),
        (lookahead(AdamW()), lookahead(AdamW(weight_decay=0.2))),
        (chain(clip_by_global_norm(1.0), AdamW()), chain(clip_by_global_norm(1.0), AdamW(weight_decay=0.2))),
        (chain(Adam(), masked_decay(0.1)), chain(Adam(), masked_decay(0.2))),
        (scheduled(AdamW(), b1=ConstantLR(0.9)), scheduled(AdamW(weight_decay=0.2), b1=ConstantLR(0.9))),
        (chain(add_l2_penalty(0.1), Adam()), chain(add_l2_penalty(0.2), Adam())),
        (SGD(), chain(SGD(), add_decayed_weights(0.2))),
        (chain(SGD(), ema(0.9)), chain(SGD(), add_decayed_weights(0.2), ema(0.9))),
        (chain(), chain(add_decayed_weights(0.2))),
    ],
    ids=repr,
)
def test_weight_decay_changes_the_field_that_holds_it(before, after):
    """Wherever it is; an optimizer without decay gets a part for it, before an average of the parameters."""
    assert optimizer_of(before, weight_decay=0.2) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (AdamW(), chain(clip_by_global_norm(2.0), AdamW())),
        (chain(clip_by_global_norm(1.0), AdamW()), chain(clip_by_global_norm(2.0), AdamW())),
        (chain(chain(clip_by_global_norm(1.0), SGD()), ema()), chain(clip_by_global_norm(2.0), SGD(), ema())),
    ],
    ids=repr,
)
def test_a_clip_comes_first_in_place_of_an_earlier_one(before, after):
    """Other transformations are unchanged."""
    assert optimizer_of(before, clip=2.0) == after


def test_no_clip_is_left_within_another_optimizer():
    """It would limit the norm, too."""
    parts = optimizer_of(lookahead(chain(clip_by_global_norm(1.0), SGD())), clip=2.0).parts
    assert [part for part in parts if isinstance(part, clip_by_global_norm)] == [clip_by_global_norm(2.0)] == [parts[0]]


def test_a_scheduled_weight_decay_cannot_be_changed():
    """The schedule would override the new value."""
    with pytest.raises(ValueError, match="--weight-decay must be left out if weight_decay follows a schedule"):
        optimizer_of(scheduled(AdamW(), weight_decay=ConstantLR(0.1)), weight_decay=0.2)
