"""What a config takes from the environment: no secret, however the reference is written; and nothing at all that others may see."""

import pytest
from omegaconf import OmegaConf

from fer_lightning.config.identity import shown_config
from fer_lightning.config.targets import plain
from fer_lightning.process.errors import ConfigError
from fer_lightning.safety.secrets import NAME, check_secrets, mask

SECRET = "5ec4e7-value"

WRITTEN = [
    "${oc.env:PGPASSWORD}",
    "${oc.env :PGPASSWORD}",
    "${ oc.env : 'PGPASSWORD' }",
    '${oc.env:"PGPASSWORD",none}',
    "${oc.env:${name}}",
    "${oc.env:PG${part}}",
    "${oc.${env}:PGPASSWORD}",
    "${oc.env:NOT_SET,${oc.env:PGPASSWORD}}",
    "${oc.select:x,${oc.env:PGPASSWORD}}",
    "${oc.decode:'\"${oc.env:PGPASSWORD}\"'}",
]
HIDDEN = [
    r"${oc.create:{a: '\${oc.env:PGPASSWORD}'}}",
    r"${oc.decode:'\${oc.env:PGPASSWORD}'}",
    r"\${oc.env:PGPASSWORD}",
    "${dollar}{oc.env:PGPASSWORD}",
]


def config(text):
    return {"x": text, "name": "PGPASSWORD", "part": "PASSWORD", "env": "env", "dollar": "$"}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("PGPASSWORD", SECRET)
    monkeypatch.setenv("PRIVATE_PLACE", "/home/me/place")


@pytest.mark.parametrize("text", WRITTEN)
def test_a_reference_to_a_secret_is_refused_as_it_is_written(text):
    with pytest.raises(ConfigError, match=r"^x refers to (PGPASSWORD|a variable that another reference names), which would be saved"):
        check_secrets(config(text))


@pytest.mark.parametrize("text", [*WRITTEN, *HIDDEN])
def test_no_reference_reads_a_secret_when_it_is_resolved(text):
    with pytest.raises(ConfigError) as refused:
        plain(OmegaConf.create(config(text)))
    assert SECRET not in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["${oc.env:PRIVATE_PLACE}/x", r"${oc.create:{a: '\${oc.env:PRIVATE_PLACE}'}}", "${y}"])
def test_what_others_see_holds_nothing_of_the_environment(text):
    cfg = OmegaConf.create(config(text) | {"y": "${oc.env:PRIVATE_PLACE}"})
    shown = shown_config(cfg)
    assert "***" in str(shown) and "place" not in str(shown) and "place" in str(plain(cfg))


def test_a_broken_reference_is_one_sentence():
    with pytest.raises(ConfigError, match=r"^x: '\$\{oc\.env:' is no reference"):
        check_secrets(config("${oc.env:"))


def test_names_of_secrets():
    secret = ["WANDB_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "PGPASSWORD", "MYSQL_PWD", "GH_PAT", "hf_token", "DB_PASS"]
    plain_names = ["PWD", "OLDPWD", "PATH", "HOME", "TOKENIZERS_PARALLELISM", "FER2013_ROOT", "KEYBOARD", "WANDB_PROJECT", "HF_HOME"]
    assert [name for name in [*secret, *plain_names] if NAME.search(name)] == secret


def test_values_of_secrets_are_masked():
    assert mask(f"password {SECRET} at /home/me/place") == "password *** at /home/me/place"
