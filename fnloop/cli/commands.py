"""The commands over run files: what is said of a run, and what is made from it."""

from collections.abc import Callable

from fnloop.cli.inspect import bisect, diff, log, probe, show, verify
from fnloop.cli.manage import export, fork, prune, resume

COMMANDS: dict[Callable[..., None], str] = {  # each with an example of its use
    log: "fnloop log lab.run --last 5",
    show: "fnloop show lab.run 12 --step 250",
    diff: "fnloop diff lab.run 12 13",
    bisect: 'fnloop bisect lab.run "val_loss > 0.3 and epoch > 5"',
    verify: "fnloop verify lab.run --processes 2",
    probe: "fnloop probe lab.run gradient_norm --epochs 3:7 --out norms.csv",
    resume: "fnloop resume lab.run --epochs 200",
    fork: "fnloop fork lab.run 12 clipped.run --clip 1.0 --epochs 50",
    export: "fnloop export lab.run best best.npz",
    prune: "fnloop prune lab.run --keep 10",
}
