"""FER+: what its file must be, which copies it can be joined to, what becomes of labels, targets and scores, and the real votes."""

import csv
import json
import os
import tempfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.project import TABLE, compose, needs_fer2013
from helpers.written_runs import read_jobs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import entropy

from fer_lightning.analysis.published import compare
from fer_lightning.config.identity import job_id
from fer_lightning.data import fer2013, ferplus
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.faces import CLASSES, NO_LABEL, SPLITS
from fer_lightning.data.ferplus import OPTIONS, distribution, majority, read_votes
from fer_lightning.data.protocols import official, random_70_15_15
from fer_lightning.model.losses import prior_bias
from fer_lightning.model.metrics import agreement, matches
from fer_lightning.process.errors import ConfigError, DataError
from fer_lightning.transforms.augment import Augment

VOTES_FILE = Path(os.environ.get("FERPLUS_CSV") or TABLE.parent / "fer2013new.csv")
needs_votes = pytest.mark.skipif(not VOTES_FILE.is_file(), reason="no fer2013new.csv: neither $FERPLUS_CSV nor beside fer2013.csv")

HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
# Each class by what FER+ calls it.
NAMES = dict(zip(CLASSES, ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"), strict=True))

RNG = np.random.default_rng(0)
USAGE = np.repeat([0, 1, 2], [64, 24, 24])
LABELS = RNG.permutation(np.arange(len(USAGE)) % 7)
PIXELS = RNG.integers(0, 256, (len(USAGE), 1, 48, 48), dtype=np.uint8)
VOTES = RNG.multinomial(10, [0.25, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05], len(USAGE))
VOTES[3] = VOTES[70] = 9 * [0] + [10]
TINY = ["data.accept_modified=true", "trainer=smoke", "batch_size=16", "backbone.widths=[8,8,16]", "logger=csv"]


def votes(**counts):
    """(1, 10) votes by the names of the options."""
    return np.array([[counts.get(name, 0) for name in OPTIONS]], np.uint8)


def lines(table=VOTES, usage=USAGE):
    names = ("" if row[-1] == 10 else f"fer{k:07d}.png" for k, row in enumerate(table))
    return [HEADER, *(f"{SPLITS[s]},{name},{','.join(map(str, row))}" for s, name, row in zip(usage, names, table, strict=True))]


def write_votes(folder, text=None):
    (folder / "fer2013new.csv").write_text("\n".join(text or lines()) + "\n")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A made-up copy, which for this test has the order of the published one."""
    monkeypatch.setattr(ferplus, "ORDER", sha256(LABELS.astype(np.uint8)).hexdigest())
    folder = tmp_path / "copy"
    folder.mkdir()
    rows = (f"{c},{' '.join(map(str, p.ravel()))},{SPLITS[s]}\n" for c, p, s in zip(LABELS, PIXELS, USAGE, strict=True))
    (folder / "fer2013.csv").write_text("emotion,pixels,Usage\n" + "".join(rows))
    return folder


def read(root, **kwargs):
    return fer2013.read(root, accept_modified=True, **kwargs)


def test_the_votes_are_those_of_the_file(tmp_path):
    write_votes(tmp_path)
    table, usage = read_votes(tmp_path / "fer2013new.csv")
    assert table.dtype == np.uint8 and np.array_equal(table, VOTES) and np.array_equal(usage, USAGE)
    (tmp_path / "fer2013new.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines()).encode())
    assert np.array_equal(read_votes(tmp_path / "fer2013new.csv")[0], VOTES)


DAMAGE = {
    "empty": (lambda t: [""], r"line 1: the header must be Usage,Image name,neutral,.*; found: ''"),
    "another file": (lambda t: ["emotion,pixels,Usage", *t[1:]], "line 1: .* found: 'emotion,pixels,Usage'"),
    "columns in another order": (lambda t: [t[0].replace("anger,disgust", "disgust,anger"), *t[1:]], "line 1: the header"),
    "cut row": (lambda t: [*t[:5], t[5][:-2]], "line 6: it has 11 columns rather than 12"),
    "blank line": (lambda t: [*t[:5], "", *t[5:]], "line 6: it has 1 columns"),
    "comma in the name": (lambda t: [*t[:5], t[5].replace(".png", ",png")], "line 6: it has 13 columns"),
    "unknown Usage": (lambda t: [*t[:5], t[5].replace("Training", "Train")], r"line 6: Usage is 'Train' \(did you mean Training\?\); a "),
    "no number": (lambda t: [*t[:5], "Training,,4,x,0,0,6,0,0,0,0,0"], "line 6: happiness is 'x'; an option has 0 to 10 votes"),
    "negative": (lambda t: [*t[:5], "Training,,11,-1,0,0,0,0,0,0,0,0"], "line 6: neutral is '11'"),
    "eleven votes": (lambda t: [*t[:5], "Training,,5,6,0,0,0,0,0,0,0,0"], "line 6: it has 11 votes rather than ten"),
    "eight votes": (lambda t: [*t[:5], "Training,,5,3,0,0,0,0,0,0,0,0"], "line 6: it has 8 votes rather than ten"),
    "missing row": (lambda t: t[:-1], "it has 111 rows rather than 112, one per image"),
    "swapped rows": (lambda t: [*t[:64], t[65], t[64], *t[66:]], "line 65: Usage is PublicTest, .* of Training in .*copy"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named_with_file_and_line(root, caplog, damage):
    change, sentence = DAMAGE[damage]
    write_votes(root, change(lines()))
    with pytest.raises(DataError, match=rf"fer2013new\.csv[,:].*{sentence}.*Download it again from https://github"):
        read(root, labels="ferplus_majority")
    assert read(root).votes is None
    assert caplog.text.count("The run goes on without FER+ scores.") == 1
    with pytest.raises(DataError, match=sentence):
        read(root, ferplus=root / "fer2013new.csv")


SMALL = "\n".join(lines()[:4]).encode()
PIECES = st.sampled_from([b"", b",", b"\n", b"0", b"1", b"10", b" ", b'"', b"x", b"\xff"])
EDITS = st.lists(st.tuples(st.integers(len(HEADER), len(SMALL)), st.integers(0, 2), PIECES), max_size=3)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS)
def test_a_mutated_file_is_refused_or_read_as_the_standard_library_reads_it(tmp_path, edits):
    content = SMALL
    for place, length, piece in edits:
        content = content[:place] + piece + content[place + length :]
    path = tmp_path / "votes.csv"
    path.write_bytes(content)
    try:
        ours, usage = read_votes(path)
    except DataError as error:
        assert str(error).startswith(str(path))
        return
    with open(path, newline="", encoding="latin-1") as stream:
        theirs = list(csv.reader(stream, quoting=csv.QUOTE_NONE))[1:]
    assert ours.tolist() == [[int(cell) for cell in row[2:]] for row in theirs]
    assert [SPLITS[s] for s in usage] == [row[0] for row in theirs]


def test_votes_are_found_beside_the_data(root, tmp_path):
    assert read(root).votes is None
    for labels in ("ferplus_majority", "ferplus_votes"):
        with pytest.raises(DataError, match=r"no file .*copy/fer2013new.csv or .*https://github.com/microsoft/FERPlus.*data.ferplus="):
            read(root, labels=labels)
    with pytest.raises(DataError, match=r"There are no FER\+ votes: no file .*elsewhere.csv\. Put fer2013new.csv from"):
        read(root, ferplus=tmp_path / "elsewhere.csv")
    write_votes(root)
    for place in (root, root / "fer2013.csv"):
        assert np.array_equal(read(place).votes, VOTES)
    (root / "fer2013new.csv").rename(tmp_path / "elsewhere.csv")
    assert np.array_equal(read(root, ferplus=tmp_path / "elsewhere.csv").votes, VOTES)
    with pytest.raises(ConfigError, match="data.labels=ferplus: .* Did you mean ferplus_"):
        read(root, labels="ferplus")


def test_votes_leave_the_labels_of_fer_as_they_are(root):
    before = read(root)
    write_votes(root)
    after = read(root)
    assert np.array_equal(after.labels, LABELS) and after.label_set == "fer"
    assert (after.verdict, after.fingerprint) == (before.verdict, before.fingerprint)


def test_folders_keep_another_order_and_are_refused(root, tmp_path, caplog):
    folder = tmp_path / "folders"
    for k, (label, usage) in enumerate(zip(LABELS, USAGE, strict=True)):
        place = folder / ("train", "val", "test")[usage] / CLASSES[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(PIXELS[k, 0]).save(place / f"im{np.sum(LABELS[:k][USAGE[:k] == usage] == label)}.png")
    write_votes(folder)
    with pytest.raises(DataError, match=r"fer2013new.csv: .*folders does not have the labels .* in its order.* Use fer2013.csv, icml"):
        read(folder, labels="ferplus_votes")
    assert read(folder).votes is None and "without FER+ scores" in caplog.text


@pytest.mark.parametrize(
    ("counts", "label"),
    [
        *[({option: 10}, name) for name, option in NAMES.items()],
        ({"neutral": 4, "fear": 3, "sadness": 3}, "neutral"),
        ({"neutral": 5, "fear": 5}, None),
        ({"neutral": 4, "contempt": 4, "fear": 2}, None),
        ({"contempt": 6, "anger": 4}, None),
        ({"unknown": 6, "anger": 4}, None),
        ({"NF": 10}, None),
        ({"fear": 4, "contempt": 2, "unknown": 2, "NF": 2}, "fear"),
    ],
)
def test_the_majority_is_a_class_with_more_votes_than_any_other_option(counts, label):
    assert majority(votes(**counts)).tolist() == [CLASSES.index(label) if label else NO_LABEL]


def test_the_distribution_is_over_the_seven_classes():
    share = distribution(np.concatenate([votes(neutral=3, fear=1, contempt=6), votes(NF=10)]))
    assert share[0].tolist() == [0, 0, 0.25, 0, 0, 0, 0.75] and share[1].tolist() == [0] * 7


@pytest.mark.parametrize("label_set", ["ferplus_majority", "ferplus_votes"])
def test_images_without_a_majority_leave_every_part(root, caplog, label_set):
    write_votes(root)
    caplog.set_level("INFO")
    faces = read(root, labels=label_set)
    labelled = np.flatnonzero(majority(VOTES) != NO_LABEL)
    for protocol in (official, random_70_15_15):
        split = protocol(faces)
        assert split.protocol == f"{protocol.__name__}_ferplus"
        assert np.array_equal(np.sort(np.concatenate([split.train, split.val, split.test])), labelled)
    assert set(labelled[USAGE[labelled] == 1]) == set(official(faces).val)
    missing = [int(np.sum((majority(VOTES) == NO_LABEL) & (s == USAGE))) for s in range(3)]
    assert min(missing) > 0 and f"{missing[0]} of Training, {missing[1]} of PublicTest, {missing[2]} of PrivateTest" in caplog.text
    with pytest.raises(DataError, match="protocol=official needs them all"):
        official(replace(faces, label_set="fer"))


def test_votes_are_targets_in_training_only(root):
    write_votes(root)
    faces = read(root, labels="ferplus_votes")
    data = FERDataModule(faces, official(faces), batch_size=16)
    expected = VOTES[:, [OPTIONS.index(name) for name in NAMES.values()]]
    for _, targets, rows in data.train_dataloader():
        shares = expected[rows] / expected[rows].sum(1, keepdims=True)
        np.testing.assert_allclose(targets, shares, rtol=1e-6)
        assert targets.argmax(1).tolist() == majority(VOTES)[rows].tolist()
    for loader in (data.val_dataloader(), data.test_dataloader()):
        for _, labels, rows in loader:
            assert labels.tolist() == majority(VOTES)[rows].tolist()
    train = data.split.train
    shares = (expected[train] / expected[train].sum(1, keepdims=True)).mean(0)
    np.testing.assert_allclose(prior_bias(data.class_counts).softmax(0), shares, rtol=1e-5)


@pytest.mark.parametrize(
    "kwargs", [{"mixup": 0.4}, {"crops": "ten_crop", "crop_size": 40, "erase": 0.5}, {"crops": "five_crop", "crop_size": 40, "mixup": 1}]
)
def test_probabilities_are_augmented_as_the_class_ids_that_they_say(kwargs):
    labels = torch.arange(12) % 7
    pixels = torch.randint(0, 256, (12, 1, 48, 48), dtype=torch.uint8)
    outs = []
    for targets in (labels, torch.eye(7)[labels]):
        torch.manual_seed(0)
        outs.append(Augment(**kwargs)(pixels, targets)[:2])
    (pixels, ids), (same, soft) = outs
    assert torch.equal(pixels, same) and soft.shape == (len(pixels), 7)
    assert torch.equal(soft, ids if ids.ndim == 2 else torch.eye(7)[ids])


def test_ties_are_split():
    shares = torch.from_numpy(distribution(np.concatenate([votes(neutral=4, anger=4, NF=2), votes(fear=9, contempt=1), votes(NF=10)])))
    for choice, expected in ((6, [0.5, 0, 0]), (0, [0.5, 0, 0]), (2, [0, 1, 0]), (5, [0, 0, 0])):
        assert matches(torch.full((3,), choice), shares).tolist() == expected


def test_divergence_is_scipys():
    logits = torch.randn(len(VOTES), 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shares = torch.from_numpy(distribution(VOTES)).double()
    seen = shares.sum(1) > 0
    expected = entropy(shares[seen].numpy(), logits.softmax(1)[seen].numpy(), axis=1).mean()
    assert agreement(logits, shares)["ferplus_kl"] == pytest.approx(expected) and seen.sum() == len(VOTES) - 2
    perfect = agreement((shares[seen] + 1e-30).log(), shares[seen])
    assert perfect["ferplus_kl"] == pytest.approx(0, abs=1e-6)


def result(folder):
    return json.loads((folder / "result.json").read_text())


def test_a_run_with_fer_labels_is_scored_against_the_votes_too(command, root, tmp_path):
    write_votes(root)
    done = command(f"data.root={root}", *TINY, "hydra.run.dir=run")
    assert done.code == 0, done.text
    found = result(tmp_path / "run")
    assert (found["protocol"], found["data"]["labels"]) == ("official", "fer")
    table = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    probabilities = table[[f"p{c}" for c in range(7)]].to_numpy(float)
    counts = VOTES[table["row"]][:, [OPTIONS.index(name) for name in NAMES.values()]]
    leads = (counts == counts.max(1, keepdims=True)) & (counts > 0)
    hit = leads[np.arange(len(table)), probabilities.argmax(1)] / np.maximum(leads.sum(1), 1)
    for part in ("val", "test"):
        chosen = (table["split"] == part).to_numpy()
        faces = chosen & (counts.sum(1) > 0)
        scores = found["metrics"][part]
        assert scores["ferplus_agreement"] == pytest.approx(hit[chosen].mean())
        assert scores["ferplus_kl"] == pytest.approx(entropy(counts[faces], probabilities[faces], axis=1).mean(), rel=1e-4)
    (root / "fer2013new.csv").unlink()
    assert command(f"data.root={root}", *TINY, "hydra.run.dir=without").code == 0
    assert not any(name.startswith("ferplus") for name in result(tmp_path / "without")["metrics"]["test"])


def test_runs_on_votes_and_on_majority(command, root, tmp_path):
    """Where all ten agree, shares of votes are the majority: both label sets then train the same network."""
    unanimous = np.eye(10, dtype=int)[RNG.integers(0, 7, len(USAGE))] * 10
    unanimous[5] = 9 * [0] + [10]
    write_votes(root, lines(unanimous))
    recipe = ["+augment.mixup=0.4", "+augment.crop_size=40", "+augment.crops=five_crop", "prior_bias=true", "loss.weights=balanced"]
    done = command("-m", "data.labels=ferplus_majority,ferplus_votes", f"data.root={root}", *TINY, *recipe, "hydra.sweep.dir=multirun/f")
    assert done.code == 0, done.text
    jobs = read_jobs(tmp_path / "multirun" / "f")
    assert jobs["labels"].tolist() == ["ferplus_majority", "ferplus_votes"] and set(jobs["protocol"]) == {"official_ferplus"}
    for name in ("val_loss", "test_loss", "test_brier", "test_ferplus_kl"):
        assert jobs[name][0] == pytest.approx(jobs[name][1], rel=1e-4)
    for path in (tmp_path / "multirun" / "f").glob("*/result.json"):
        found = result(path.parent)
        test = found["metrics"]["test"]
        assert test["n"] == 24 and sum(found["data"]["counts"]["train"].values()) == 63
        assert test["accuracy"] == pytest.approx(test["ferplus_agreement"])
    entry = {"cell": {"data.labels": "ferplus_votes"}, "row": "S4-1", "test_accuracy": "50.0"}
    study = {"protocol": "official", "images": 24, "published": [entry]}
    (verdict,) = compare(jobs.assign(verdict="official"), study)["verdict"]
    assert verdict == "not comparable: measured under official_ferplus, published under official"


def test_identity_has_the_labels_and_not_the_place_of_the_votes():
    plain, other, moved = (job_id(compose(*overrides)) for overrides in ([], ["data.labels=ferplus_votes"], ["data.ferplus=/a/b.csv"]))
    assert plain == moved != other


@pytest.fixture(scope="module")
def real():
    with tempfile.TemporaryDirectory() as cache:
        yield fer2013.read(TABLE, cache, ferplus=VOTES_FILE)


@needs_fer2013
@needs_votes
class TestRealVotes:
    def test_nine_votes_once_and_ten_everywhere_else(self, real):
        totals = real.votes.sum(1)
        assert len(totals) == 35887 and np.flatnonzero(totals != 10).tolist() == [10435] and totals[10435] == 9
        assert real.verdict == "official"

    @pytest.mark.parametrize(
        ("split", "agreed", "plurality", "unseen", "no_face"),
        [("Training", 63.4, 61.4, 16.2, 150), ("PublicTest", 63.1, 61.4, 17.6, 10), ("PrivateTest", 63.3, 61.2, 16.2, 16)],
    )
    def test_how_fer_labels_agree_with_the_votes(self, real, split, agreed, plurality, unseen, no_face):
        part = real.usage == SPLITS.index(split)
        labels, table = real.labels[part], real.votes[part]
        shares = torch.from_numpy(distribution(table))
        assert round(100 * matches(torch.from_numpy(labels), shares).mean().item(), 1) == agreed
        assert round(100 * np.mean(majority(table) == labels), 1) == plurality
        assert round(100 * (shares[range(len(labels)), labels] == 0).double().mean().item(), 1) == unseen
        assert np.sum(table[:, OPTIONS.index("NF")] == 10) == no_face

    def test_images_with_a_majority(self, real):
        faces = ferplus.relabel(real, "ferplus_majority")
        split = official(faces)
        assert [len(part) for part in (split.train, split.val, split.test)] == [26778, 3372, 3350]
        assert faces.verdict == "official"
