"""One answer to an option that a backbone does not have."""

from fer_lightning.process.errors import ConfigError


def choose(key, value, known):
    """`value`, if it is one of `known`; else a ConfigError that names backbone.`key` and the choices."""
    known = list(known)
    if value not in known:
        raise ConfigError(f"backbone.{key}={value}: choose {', '.join(map(str, known[:-1]))} or {known[-1]}.")
    return value
