"""The commands of `fnloop`, in the order of its help, each with the example that its help shows."""

from collections.abc import Callable

from fnloop.cli.compare import compare
from fnloop.cli.demo import demo
from fnloop.cli.inspect import bisect, diff, log, probe, show, verify
from fnloop.cli.manage import copy, export, fork, prune, resume
from fnloop.cli.predict import predict
from fnloop.cli.train import train
from fnloop.cli.tune import tune

COMMANDS: dict[Callable[..., None], str] = {
    demo: "fnloop demo --out demo",
    train: "fnloop train table.csv --target species --hidden 64,64 --epochs 200 --out run",
    tune: "fnloop tune table.csv --target species --trials 200 --epochs 50 --storage trials.log",
    predict: "fnloop predict run/best.npz new_rows.csv --out predictions.csv",
    compare: "fnloop compare table.csv --schedulers constant,step,cosine --seeds 16",
    log: "fnloop log lab.run --last 5",
    show: "fnloop show lab.run 12 --step 250",
    diff: "fnloop diff lab.run 12 13",
    bisect: 'fnloop bisect lab.run "val_loss > 0.3 and epoch > 5"',
    verify: "fnloop verify lab.run --processes 2",
    probe: "fnloop probe lab.run gradient_norm --epochs 3:7 --out norms.csv",
    resume: "fnloop resume lab.run --epochs 200",
    fork: "fnloop fork lab.run 12 clipped.run --clip 1.0 --epochs 50",
    export: "fnloop export lab.run best best.npz",
    copy: "fnloop copy lab.run copy.run",
    prune: "fnloop prune lab.run --keep 10",
}
