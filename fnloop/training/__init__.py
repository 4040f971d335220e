"""The training state, the trainer, and the fold of steps into epochs and runs."""
