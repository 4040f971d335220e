"""Replacements for arguments that optimizers have in other packages, for error messages."""

LEARNING_RATE_HINT = (
    "the learning rate belongs to the scheduler, as in Trainer(scheduler=fl.schedulers.ConstantLR(1e-3)), "
    "or scheduler=1e-3 for short"
)
TRANSFORMATION_HINTS = {
    **dict.fromkeys(("lr", "learning_rate", "initial_lr", "rate", "step_size"), LEARNING_RATE_HINT),
    "betas": "they are b1 and b2",
    "weight_decay": "AdamW(weight_decay=...) has it, and chain(Adam(), add_decayed_weights(...))",
    "l2": "write chain(add_l2_penalty(...), Adam())",
    **dict.fromkeys(("clipnorm", "clip_norm", "max_norm"), "write chain(clip_by_global_norm(...), Adam())"),
}
OPTIMIZER_HINTS = {"": LEARNING_RATE_HINT, **TRANSFORMATION_HINTS}  # "": a number without a name, as in Adam(1e-3)
