"""Many models in one fold: sweeps over hyperparameters and seeds, whose members are ordinary runs."""
