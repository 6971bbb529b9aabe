"""Pretrained weights from outside: connect to a hub, check a file, and say what does not fit."""

from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path

from huggingface_hub import constants, get_session
from safetensors import SafetensorError

from fer_lightning.process.errors import ConfigError


@contextmanager
def hub(name, instead):
    """Download files of `name` in here; ConfigError within seconds if the hub cannot be reached and the cache does not have them.

    huggingface_hub retries a dead connection for 23 s per file, and timm needs two files. So one request comes first; if it fails, only
    the cache is read.
    """
    offline, reason = constants.HF_HUB_OFFLINE, ""
    try:
        get_session().head(constants.ENDPOINT, timeout=5)
    except Exception as e:  # name service, proxy, certificate, HF_HUB_OFFLINE: each raises its own
        constants.HF_HUB_OFFLINE, reason = True, f"not in the cache, and {constants.ENDPOINT} could not be reached ({first_line(e)})"
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as e:  # not there, or damaged in the cache
        why = reason if reason and isinstance(e, OSError) else first_line(e)
        raise ConfigError(f"backbone: cannot get {name!r}: {why}. {instead}") from e
    finally:
        constants.HF_HUB_OFFLINE = offline


def local(named):
    """The path that backbone.pretrained names. For FILE@sha256:HEX, ConfigError unless the file has this hash."""
    name, _, wanted = str(named).partition("@sha256:")
    path = Path(name).expanduser().absolute()
    if wanted:
        if not path.is_file():
            raise ConfigError(f"backbone.pretrained: {path} is no file, so it has no sha256.")
        with open(path, "rb") as stream:
            found = file_digest(stream, "sha256").hexdigest()
        if found != wanted.lower():
            raise ConfigError(f"backbone.pretrained: {path} has the sha256 {found}, not {wanted}. Download it again.")
    return path


@contextmanager
def reading(file):
    """ConfigError for an error in here: a damaged weight file can raise anything."""
    try:
        yield
    except Exception as e:
        raise ConfigError(f"backbone.pretrained: {file} is damaged or no plain weight file: {first_line(e)}") from e


def fitted(values, channels):
    """One value per channel; if the weights have another number of channels, the mean of their values for all."""
    return tuple(values) if len(values) == channels else (sum(values) / len(values),)


def mismatch(missing, unexpected, resized):
    """A sentence of the keys that are missing in a file, unexpected, or of another shape: their number and the first names."""
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": resized}
    return "; ".join(f"{len(keys)} keys {kind} ({listed(sorted(keys))})" for kind, keys in kinds.items() if keys)


def listed(names):
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "none"


def first_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0]
