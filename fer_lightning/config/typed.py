"""What a user types, before Hydra reads it: options may stand anywhere, and a slip of the keyboard is answered with what was meant."""

import re
from dataclasses import fields

from fer_lightning.config.schema import Config
from fer_lightning.process.errors import ConfigError, near

# Hydra's options, and what may follow each.
FLAGS = ("--help", "-h", "--hydra-help", "--version", "--resolve", "--run", "-r", "--multirun", "-m", "--shell-completion", "-sc")
WITH_VALUE = ("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd")
WITH_VALUE += ("--experimental-rerun",)
CFG = ("job", "hydra", "all")
INFO = {"--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")}
INFO["-i"] = INFO["--info"]

# Of these Hydra takes one.
ACTIONS = {"--multirun": "-m", "--run": "-r", "--cfg": "-c", "--info": "-i"}


def arrange(arguments):
    """The arguments with Hydra's options first, because Hydra takes no setting behind `-m` if others stand before it.

    ConfigError for an argument that is neither an option of Hydra nor KEY=VALUE.
    """
    options, settings, rest = [], [], list(arguments)
    while rest:
        word = rest.pop(0)
        name = _full_name(word.partition("=")[0])
        if name in FLAGS or name in WITH_VALUE or name in INFO:
            options.append(word)
            if "=" not in word and rest and (name in WITH_VALUE or rest[0] in INFO.get(name, ())):
                options.append(rest.pop(0))
            shown = options[-1].rpartition("=")[2]
            if name in ("--cfg", "-c") and shown not in CFG:
                raise ConfigError(f"{name} needs to know what to show: {name} {', '.join(CFG[:-1])} or {CFG[-1]}.")
        elif word.startswith("-"):
            key, equals, value = word.lstrip("-").partition("=")
            value = value if equals else rest[0] if rest and "=" not in rest[0] else "VALUE"
            raise ConfigError(f"{word}: there is no such option. A setting has no dashes: {key}={value}.")
        else:
            settings.append(word)
    _check_actions(options)
    for place, word in enumerate(settings):
        _check_setting(word, settings[:place], settings[place + 1 :])
    return options + settings


def setting_as_command(word, rest):
    """What to say of `epochs 3`, which looks like a command; None if the word is no setting."""
    if word.partition(".")[0] not in [field.name for field in fields(Config)]:
        return None
    value = next((other for other in rest if other != "="), "VALUE").removeprefix("=")
    return f"{word} is a setting: write {word}={value}."


def _full_name(name):
    """An option may be shortened as long as one fits."""
    fits = [option for option in (*FLAGS, *WITH_VALUE, *INFO) if name.startswith("--") and len(name) > 2 and option.startswith(name)]
    return fits[0] if name not in fits and len(fits) == 1 else name


def _check_actions(options):
    named = {_full_name(option.partition("=")[0]) for option in options}
    actions = [action for action, short in ACTIONS.items() if named & {action, short}]
    if len(actions) > 1:
        remedy = "Give one of them"
        if "--multirun" in actions:
            remedy = f"{actions[-1]} is of one job: leave out --multirun (-m), and give each swept key one of its values"
        raise ConfigError(f"{' and '.join(actions)} do not go together. {remedy}.")


def _check_setting(word, before, after):
    if re.match(r"[^=]+=\s*~", word):
        key, _, path = word.partition("=")
        raise ConfigError(f"{word}: neither the shell nor Hydra reads this ~. Write {key}=$HOME{path.strip()[1:]}.")
    if ("=" in word and not word.startswith("=")) or word.startswith("~"):
        return
    parts = [*before[-1:], word, *after[:2]]
    apart = word.startswith(("=", ",")) or bool(before and before[-1].endswith(("=", ",")))
    if apart or (after and after[0].startswith("=")):
        parts = parts if apart else parts[len(before[-1:]) :]
        parts = list(_joined(parts))
        raise ConfigError(f"{' '.join(parts)}: write {''.join(parts)} without spaces.")
    meant = setting_as_command(word, [other for other in after[:1] if "=" not in other])
    if before and "=" in before[-1] and not (meant and after):
        key, _, value = before[-1].partition("=")
        raise ConfigError(f"{word} is no KEY=VALUE. A value with spaces has two pairs of quotes: '{key}=\"{value} {word}\"'.")
    raise ConfigError(meant or f"{word} is no KEY=VALUE. {near(word, [field.name for field in fields(Config)])}")


def _joined(parts):
    """The parts that belong together: as long as a = or a comma joins them."""
    yield parts[0]
    for left, right in zip(parts, parts[1:]):
        if not (left.endswith(("=", ",")) or right.startswith(("=", ","))):
            return
        yield right
