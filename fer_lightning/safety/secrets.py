"""Keys and passwords stay in the environment: a config that would save one is refused, a text that contains one is masked."""

import logging
import os
import re
from contextlib import suppress

from fer_lightning.process.errors import ConfigError

# The endings of such variables' names: WANDB_API_KEY, HF_TOKEN, MLFLOW_TRACKING_PASSWORD.
SECRET = r"(?:\w*_)?(?:API)?(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)"
NAME = re.compile(SECRET, re.IGNORECASE)
REFERENCE = re.compile(rf"oc\.env:\s*['\"]?({SECRET})\b", re.IGNORECASE)
LOGIN = re.compile(r"(\w+://)[^\s/@'\"]*:[^\s/@'\"]*@")

MASK = "***"

# Shorter values, such as `1` or `true`, occur in every text.
SHORTEST = 8


def check_secrets(node, key=""):
    """Raise ConfigError if a config, as plain containers with its references, names a secret: configs and overrides are saved."""
    if isinstance(node, dict):
        for name, child in node.items():
            if key == "hydra.job.env_set" and NAME.fullmatch(name):
                raise ConfigError(f"{key}.{name}: it would be saved with the config. Set {name} in the environment.")
            check_secrets(child, f"{key}.{name}".lstrip("."))
    elif isinstance(node, list):
        for place, child in enumerate(node):
            check_secrets(child, f"{key}.{place}")
    elif isinstance(node, str):
        if found := REFERENCE.search(node):
            raise ConfigError(f"{key} refers to {found[1]}, which would be saved with the config. Leave it in the environment.")
        if found := LOGIN.search(node):
            raise ConfigError(
                f"{key} holds a password ({_without_logins(found[0])}), which would be saved with the config. "
                "Set it in the environment, for example as MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
            )


def mask(text):
    """A text without the values of the environment's secrets and without the logins of URLs."""
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and NAME.fullmatch(name):
            text = text.replace(value, MASK)
    return _without_logins(text)


def _without_logins(text):
    return LOGIN.sub(rf"\1{MASK}@", text)


def mask_logs():
    """From now on, mask secrets in this process's log: libraries quote requests in their messages."""
    make = logging.getLogRecordFactory()
    if getattr(make, "masks", False):
        return

    def masked(*args, **kwargs):
        record = make(*args, **kwargs)
        with suppress(TypeError, ValueError):  # logging itself reports a message that does not fit its arguments
            record.msg, record.args = mask(record.getMessage()), ()
        return record

    masked.masks = True
    logging.setLogRecordFactory(masked)
