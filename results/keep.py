"""Keep the small files of a study here: what a report is made of, without checkpoints, logs, steps and paths of a machine.

    python results/keep.py multirun/NAME [--without-predictions]

Writes results/NAME/. Run it again after more jobs have finished. Of the predictions the test part is kept, without one the validation part,
probabilities to 9 bits: 50 KB instead of 330 a run, and never another answer.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from fer_lightning.process.files import make_folder, replace_file, replacing
from fer_lightning.runs.layout import METRICS, PREDICTIONS_OF_VIEWS, RESULT
from fer_lightning.runs.predictions import predictions_file, read_predictions
from fer_lightning.runs.result import read_results

HERE = Path(__file__).parent


def keep(study, target, predictions=True):
    """Copy study.json and, of each run that is done, its small files. Returns how many runs."""
    results, _ = read_results(study)
    done = {name: result for name, result in results.items() if result["status"] == "done"}
    for name, result in done.items():
        folder = target / name
        make_folder(folder / ".hydra")
        result["data"]["source"] = Path(result["data"]["source"]).name
        replace_file(folder / RESULT, json.dumps(result, indent=1) + "\n")
        for file in (METRICS, ".hydra/config.yaml"):
            replace_file(folder / file, (study / name / file).read_text())
        for kind in (None, *PREDICTIONS_OF_VIEWS) if predictions else ():
            if predictions_file(study / name, kind).exists():
                _pack(read_predictions(study / name, kind), predictions_file(folder, kind))
    replace_file(target / "study.json", (study / "study.json").read_text())
    return len(done)


def _pack(frame, path):
    frame = frame[frame["split"] == ("test" if (frame["split"] == "test").any() else "val")].copy()
    columns = list(frame.select_dtypes("float32"))
    frame[columns] = shortened(frame[columns].to_numpy())
    with replacing(path) as part:
        frame.to_parquet(part, compression="zstd", compression_level=19, use_dictionary=False, use_byte_stream_split=columns)


def shortened(probabilities):
    """Probabilities (N, C) to 9 significant bits; a row whose largest would be another one stays as it is."""
    mantissas, exponents = np.frexp(probabilities)
    short = np.ldexp(np.round(512 * mantissas) / 512, exponents)
    same = short.argmax(1) == probabilities.argmax(1)
    return np.where(same[:, None], short, probabilities).astype(probabilities.dtype)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder of a study")
    parser.add_argument("--without-predictions", action="store_true", help="keep scores and curves only")
    arguments = parser.parse_args()
    target = HERE / arguments.study.resolve().name
    print(f"{keep(arguments.study, target, not arguments.without_predictions)} runs are kept in {target}")


if __name__ == "__main__":
    main()
