"""Which keys of Lightning's Trainer a run obeys. The others would do nothing, or end in a record that is not true, and are refused."""

from omegaconf import OmegaConf

from fer_lightning.process.errors import ConfigError

_LENGTH = "a run lasts whole epochs: epochs=N, and with trainer.limit_train_batches=N epochs of N batches"
_UNUSED = "nothing in a run reads it; leave it out"

# {key that is not obeyed: what is instead}
INSTEAD = {
    "precision": "precision=... sets the precision of a run",
    "logger": "logger=csv, wandb or [csv,tensorboard] chooses where a run is logged",
    "callbacks": "patience, ema_decay and stability set those of a run, and callbacks=NAME adds your own",
    "plugins": "a run has plugins of its own, which trainer.strategy and precision set",
    "profiler": "result.json has the times of a run, and timed_passes=N measures the test",
    "enable_progress_bar": "a run itself shows how far it is",
    "enable_model_summary": "result.json has the size of the model, and `plan` shows it",
    "enable_checkpointing": "a run needs its checkpoints, to continue and to be tested",
    "default_root_dir": "hydra.run.dir=FOLDER is where a run writes, hydra.sweep.dir=FOLDER a sweep",
    "fast_dev_run": "trainer=smoke is the quick run, and it leaves a record",
    "overfit_batches": "trainer.limit_train_batches=N trains on N batches",
    "val_check_interval": "an epoch ends with its validation, which selects; trainer.limit_train_batches=N makes epochs shorter",
    "max_steps": _LENGTH,
    "min_steps": _LENGTH,
    "max_time": _LENGTH,
    "min_epochs": "a run lasts trainer.max_epochs, or less with patience=N",
    "num_sanity_val_steps": "trainer=smoke shows whether a run works from end to end",
    "log_every_n_steps": "scores are logged once an epoch, and steps.parquet has every step",
    "limit_predict_batches": "a run does not predict; the command `predict` does",
    "use_distributed_sampler": "the processes of a run divide each batch among them",
    "reload_dataloaders_every_n_epochs": _UNUSED,
    "enable_autolog_hparams": _UNUSED,
    "model_registry": _UNUSED,
    "barebones": _UNUSED,
}

LIMITS = ("limit_train_batches", "limit_val_batches", "limit_test_batches")


def check_trainer(trainer):
    """Raise ConfigError for a key of the trainer that a run does not obey, and for a part of no batches."""
    for key in trainer:
        if key in INSTEAD:
            raise ConfigError(f"trainer.{key}={trainer[key]} is refused: {INSTEAD[key]}.")
    for key in LIMITS:
        _check_limit(key, trainer.get(key))


def check_validation(cfg):
    """Raise ConfigError if a job, whose whole config this is, is not validated when it has to be."""
    every, trainer = cfg.trainer.get("check_val_every_n_epoch", 1), cfg.trainer
    if every == 1:
        return
    told = f"trainer.check_val_every_n_epoch={every}"
    if every > trainer.max_epochs:
        raise ConfigError(f"{told}: a run of {trainer.max_epochs} epochs would never be validated, so no epoch could be selected.")
    if cfg.phases:
        raise ConfigError(f"{told}: a run of several phases is validated after every epoch; leave it out.")
    if "monitor" in cfg.scheduler:
        raise ConfigError(f"{told}: the scheduler watches {cfg.scheduler.monitor}, which it needs after every epoch; choose another one.")


def _check_limit(key, value):
    share = isinstance(value, float) and 0 < value <= 1
    number = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if not (value is None or share or number):
        raise ConfigError(
            f"trainer.{key}={value}: give a whole number of batches, 1 or more, or a share of them, above 0.0 and at most 1.0 (null: all)."
        )


def check_epochs(cfg, typed):
    """Raise ConfigError if `epochs` is among the keys `typed` but does not decide how long the run is. cfg: with its references"""
    if "epochs" in typed and not OmegaConf.is_interpolation(cfg.trainer, "max_epochs"):
        raise ConfigError(
            f"epochs does nothing here: the trainer has max_epochs={cfg.trainer.max_epochs} of its own. Give trainer.max_epochs=N instead."
        )
