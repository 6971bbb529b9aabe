"""The jobs of a sweep, without running them: what each trains, how large it is, and how long it would take on this machine.

    python -m fer_lightning.plan study=NAME
    python -m fer_lightning.plan head.act=relu,gelu head.norm=none,bn seed=0,1,2
"""

from fer_lightning.process.command_line import command
from fer_lightning.process.errors import UserError
from fer_lightning.process.terminal import console


def add_arguments(parser):
    parser.add_argument("overrides", nargs="+", metavar="OVERRIDE", help="what follows `python -m fer_lightning --multirun`")
    parser.add_argument("-m", "--multirun", action="store_true", help="changes nothing, so that the arguments of a sweep can be pasted")


def run(arguments):
    from fer_lightning.config.error_messages import explain
    from fer_lightning.data.published_copy import OFFICIAL_COUNTS
    from fer_lightning.sweep.planning import estimates, plan

    try:
        jobs = plan(arguments.overrides)
        images = sum(OFFICIAL_COUNTS["Training"].values())
        show(jobs, estimates(jobs, images), images)
    except Exception as error:
        sentence = explain(error)
        if sentence is None:
            raise
        raise UserError(sentence) from error


def show(jobs, estimates, images):
    """Print a row for each job, and the sum."""
    from rich.table import Table

    table = Table("job", "backbone", "parameters", "trainable", "input", "epochs", "batch", "estimate", title=f"{len(jobs)} jobs")
    for name, cfg in jobs.items():
        model, seconds = estimates[name]
        table.add_row(
            name,
            cfg.backbone["_target_"].rsplit(".", 1)[-1],
            f"{model['parameters'] / 1e6:.2f} M",
            f"{model['trainable'] / 1e6:.2f} M",
            " x ".join(map(str, model["input"])),
            str(cfg.trainer.max_epochs),
            str(cfg.batch_size),
            _duration(seconds),
        )
    screen = console()
    screen.print(table)
    screen.print(
        f"About {_duration(sum(seconds for _, seconds in estimates.values()))} in all on this machine, one job after the other, on the "
        f"{images:,} training images of FER-2013: from a few training steps of each model, without evaluation. "
        "Features of a frozen backbone count for the first of the jobs that share them."
    )


def _duration(seconds):
    return f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"


main = command("plan", __doc__, add_arguments, run)

if __name__ == "__main__":
    main()
