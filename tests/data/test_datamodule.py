import numpy as np
import pytest
import torch
from helpers.project import TINY

from fer_lightning.data.datamodule import EpochPermutation, FERDataModule, NoSmallRest
from fer_lightning.data.faces import Faces
from fer_lightning.data.protocols import Split, official
from fer_lightning.data.twins import image_ids, without_twin
from fer_lightning.process.errors import ConfigError
from fer_lightning.runs.predictions import read_predictions
from fer_lightning.runs.result import read_result


def make_faces(n=100, seed=0):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (n, 1, 48, 48), dtype=np.uint8)
    usage = np.repeat([0, 1, 2], [n - 20, 10, 10])
    return Faces(pixels, rng.integers(0, 7, n), usage, "made up", "unknown", {})


def batches(loader):
    return [tuple(part.clone() for part in batch) for batch in loader]


@pytest.mark.parametrize("least", [1, 2, 4])
@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 35, 36, 64, 65, 96, 97])
def test_the_last_batch_is_never_too_small(n, least):
    sampler = NoSmallRest(range(n), 32, least)
    sizes = [len(batch) for batch in sampler]
    assert sum(sizes) == n and len(sampler) == len(sizes)
    assert n < least or min(sizes) >= least
    assert max(sizes) < 32 + least


def test_a_batch_is_the_images_of_its_rows():
    faces = make_faces()
    data = FERDataModule(faces, official(faces), batch_size=16, seed=3)
    seen = []
    for pixels, labels, rows in data.train_dataloader():
        assert pixels.dtype == torch.uint8 and pixels.shape[1:] == (1, 48, 48)
        assert np.array_equal(pixels.numpy(), faces.pixels[rows]) and np.array_equal(labels.numpy(), faces.labels[rows])
        seen += rows.tolist()
    assert sorted(seen) == list(range(80))


def test_order_is_a_function_of_seed_and_epoch():
    def order(seed, epoch):
        sampler = EpochPermutation(50, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_evaluation_keeps_the_order():
    faces = make_faces()
    data = FERDataModule(faces, official(faces), eval_batch_size=7)
    assert torch.cat([rows for _, _, rows in data.val_dataloader()]).tolist() == list(range(80, 90))
    assert torch.cat([rows for _, _, rows in data.test_dataloader()]).tolist() == list(range(90, 100))


def test_class_counts_are_those_of_the_training_part():
    faces = make_faces()
    data = FERDataModule(faces, official(faces))
    assert data.class_counts.tolist() == np.bincount(faces.labels[:80], minlength=7).tolist()


def test_twins_are_equal_in_every_pixel():
    faces = make_faces()
    faces.pixels[90] = faces.pixels[5]
    faces.pixels[91] = faces.pixels[85]
    faces.pixels[92] = faces.pixels[6]
    faces.pixels[92, 0, 47, 47] ^= 1
    ids = image_ids(faces.pixels)
    assert len(np.unique(ids)) == 98 and ids[90] == ids[5]
    split = Split("p", np.arange(80), np.arange(80, 90), np.arange(90, 100))
    assert without_twin(ids, split.test, split.train).tolist() == [False] + [True] * 9
    assert without_twin(ids, split.test, np.arange(90)).tolist() == [False, False] + [True] * 8


def test_training_on_one_image_is_refused():
    faces = make_faces()
    one, rest = np.arange(1), np.arange(1, 100)
    with pytest.raises(ConfigError, match="protocol=mine: training takes 2 images or more; the train part has 1"):
        FERDataModule(faces, Split("mine", one, rest, rest))


@pytest.mark.parametrize("evaluation", ["single", "ten_crop"])
def test_a_part_of_one_image_has_its_scores(command, tmp_path, evaluation):
    sizes = ["data.train=5", "data.val=1", "data.test=1", "near_twins=0.94", "timed_passes=1"]
    done = command(*TINY, *sizes, f"evaluation={evaluation}", "logger=csv", "hydra.run.dir=run")
    assert done.code == 0, done.text
    metrics = read_result(tmp_path / "run")["metrics"]
    assert metrics["test"]["n"] == metrics["test"]["n_clean"] == 1 and metrics["val"]["accuracy"] in (0, 1)
    table = read_predictions(tmp_path / "run")
    assert table["row"].tolist() == [5, 6]
    right = table["label"] == table[[f"p{c}" for c in range(7)]].to_numpy().argmax(1)
    assert [metrics[part]["accuracy"] for part in table["split"]] == right.tolist()
