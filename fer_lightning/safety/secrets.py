"""Keys and passwords stay in the environment: a config that would save one is refused, a text that contains one is masked.

Importing this guards OmegaConf's resolver oc.env, the only way from a config to the environment. However a reference is written, nested,
escaped or put together, no secret is read by it; and while the environment is hidden, nothing is.
"""

import logging
import os
import re
from contextlib import contextmanager, suppress
from contextvars import ContextVar

from omegaconf import OmegaConf
from omegaconf.errors import GrammarParseError
from omegaconf.grammar_parser import OmegaConfGrammarParser, parse
from omegaconf.resolvers import oc

from fer_lightning.process.errors import ConfigError
from fer_lightning.process.visible import visible

# Words in the names of variables that hold secrets: WANDB_API_KEY, AWS_ACCESS_KEY_ID, PGPASSWORD, MYSQL_PWD (but not PWD), SENTRY_DSN.
NAME = re.compile(
    r"KEYS?$|(^|_)KEYS?_|TOKEN(?!IZ)|SECRET|PASSW|PASSPHRASE|CREDENTIAL|COOKIE|WEBHOOK|(^|_)(PASS|PAT|AUTH|JWT|DSN)($|_)|_PWD$",
    re.IGNORECASE,
)
LOGIN = re.compile(r"(\w+://)[^\s/@'\"]*:[^\s/@'\"]*@")

MASK = "***"

# Shorter values, such as `1` or `true`, occur in every text.
SHORTEST = 8

_hidden = ContextVar("hidden", default=False)


@contextmanager
def environment_hidden():
    """In this block every value that a config takes from the environment is masked."""
    token = _hidden.set(True)
    try:
        yield
    finally:
        _hidden.reset(token)


def _environment(name, *default):
    """The resolver oc.env."""
    if NAME.search(str(name)):
        raise ConfigError(f"a reference reads {name}. Keys and passwords stay in the environment.")
    return MASK if _hidden.get() else oc.env(name, *default)


OmegaConf.register_new_resolver("oc.env", _environment, replace=True)


def check_secrets(node, key=""):
    """Raise ConfigError if a config, as plain containers with its references, names a secret: configs and overrides are saved."""
    if isinstance(node, dict):
        for name, child in node.items():
            if key == "hydra.job.env_set" and NAME.search(name):
                raise ConfigError(f"{key}.{name}: it would be saved with the config. Set {name} in the environment.")
            check_secrets(child, f"{key}.{name}".lstrip("."))
    elif isinstance(node, list):
        for place, child in enumerate(node):
            check_secrets(child, f"{key}.{place}")
    elif isinstance(node, str):
        for name in _variables(key, node):
            if name is None or NAME.search(name):
                what = "a variable that another reference names" if name is None else name
                raise ConfigError(f"{key} refers to {what}, which would be saved with the config. Leave it in the environment.")
        if found := LOGIN.search(node):
            raise ConfigError(
                f"{key} holds a password ({_without_logins(found[0])}), which would be saved with the config. "
                "Set it in the environment, for example as MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
            )


def _variables(key, text):
    """The variables that the references in a text read; None for one whose name, or whose resolver, is known only when it is resolved."""
    if "${" not in text:
        return
    try:
        nodes = [parse(text)]
    except GrammarParseError as error:
        raise ConfigError(f"{key}: {text!r} is no reference: {' '.join(str(error).split())}.") from error
    while nodes:
        node = nodes.pop()
        nodes += getattr(node, "children", None) or ()
        if isinstance(node, OmegaConfGrammarParser.InterpolationResolverContext):
            resolver, arguments = node.resolverName().getText(), node.sequence()
            name = arguments.element(0).getText().strip(" '\"") if arguments and arguments.element(0) else ""
            if "${" in resolver or (resolver == "oc.env" and "${" in name):
                yield None
            elif resolver == "oc.env":
                yield name


def mask(text):
    """A text without the values of the environment's secrets and without the logins of URLs."""
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and NAME.search(name):
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
            record.msg, record.args = visible(mask(record.getMessage())), ()
        return record

    masked.masks = True
    logging.setLogRecordFactory(masked)
