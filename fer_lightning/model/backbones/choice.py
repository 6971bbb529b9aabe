"""The check of an option of a backbone against its choices."""

from fer_lightning.process.errors import ConfigError


def choose(key, value, known):
    """Returns `value` if it is one of `known`; otherwise ConfigError, which names backbone.`key` and the choices."""
    known = list(known)
    if value not in known:
        raise ConfigError(f"backbone.{key}={value}: choose {', '.join(map(str, known[:-1]))} or {known[-1]}.")
    return value
