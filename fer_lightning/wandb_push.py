"""Bring offline W&B runs up to the server under the ids they have, and see to it that nothing gets lost on the way.

    python -m fer_lightning.wandb_push FOLDER      a run folder, multirun/NAME, or multirun

The client's own `wandb sync` uploads. Each run is then read back and compared with its run folder: every epoch, every score, the config,
the files of the record. What is missing is sent once more from the folder. The same command again uploads what is new and checks all.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from fer_lightning.config.identity import digest
from fer_lightning.loggers.wandb_offline import connect, differences, mend, offline_runs, opened
from fer_lightning.process.errors import UserError
from fer_lightning.runs.study_file import LEDGER, read_ledger

# Seconds between looks at a run: a server may take a while until what it was given can be read back.
PATIENCE = (2, 5, 15)

REPORT = ("report.md", "report.html", "results.csv", LEDGER)


def push(folder, entity=None, project=None, patience=PATIENCE):
    """Upload what is not up yet, check all of it, and print a line a run. entity, project: where to, if not where a run was meant to go.

    Returns how many runs are not on the server as they are in their folders.
    """
    runs = offline_runs(folder)
    api = connect()
    new = [run for run in runs if not run.is_up]
    said = _upload(new, entity, project) if new else ""
    places = {run: (entity or run.about.get("entity") or api.default_entity, project or run.about.get("project")) for run in runs}
    first = _check(api, {run: place for run, place in places.items() if run.is_up}, patience)
    torn = {run: places[run] for run, found in first.items() if found and ("run" not in dict(found))}
    for run, place in torn.items():
        mend(*place, run, dict(first[run]))
    last = first | _check(api, torn, patience)
    short = 0
    for run in runs:
        if run.is_up:
            wrong = "; ".join(sentence for _, sentence in last[run])
        else:
            wrong = "not uploaded: " + (" ".join(line for line in said.splitlines() if run.id in line) or said)
        done = ("uploaded" if run in new else "up before") + (" and mended" if run in torn else "")
        print(f"{run.folder.name}  {run.id}  {wrong or f'{done}, all there'}")
        short += bool(wrong)
    for study, place in {run.folder.parent: place for run, place in places.items()}.items():
        if all((study / name).exists() for name in (LEDGER, "report.md")):
            print(f"report of {study.name}  {_push_report(study, *place)}")
    print(f"{len(runs) - short} of {len(runs)} runs are on {api.settings['base_url']} as they are in their folders.")
    return short


def _upload(runs, entity, project):
    """Let the client bring them up. Returns what it said."""
    where = [*(["--entity", entity] if entity else []), *(["--project", project] if project else [])]
    command = [sys.executable, "-m", "wandb", "sync", *where, *(str(run.file.parent) for run in runs)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"WANDB_MODE": "online"})
    return (done.stdout + done.stderr).strip()


def _check(api, places, patience):
    """{run: its differences}, looked at again for a while where there are any."""
    found = {run: differences(api, *place, run) for run, place in places.items()}
    for seconds in patience:
        if not any(found.values()):
            break
        time.sleep(seconds)
        found |= {run: differences(api, *places[run], run) for run in found if found[run]}
    return found


def _push_report(study, entity, project):
    """The study's report as the notes and the artifact of one run in the study's group. Returns its address."""
    import wandb

    ledger = read_ledger(study)
    name = ledger["study"]["name"]
    id = f"report-{digest({'name': name, **ledger['base']})}"
    notes = (study / "report.md").read_text()
    with opened(entity, project, id=id, resume="allow", name=f"report of {name}", group=name, job_type="report", notes=notes) as run:
        report = wandb.Artifact(run.id, type="study-report")
        for file in REPORT:
            if (study / file).exists():
                report.add_file(str(study / file), policy="immutable", skip_cache=True)
        run.log_artifact(report)
        return run.url


def main():
    parser = argparse.ArgumentParser(prog="python -m fer_lightning.wandb_push", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a run folder, multirun/NAME, or multirun")
    parser.add_argument("--entity", help="user or team; default: as logged, else the login's own")
    parser.add_argument("--project", help="default: as logged")
    args = parser.parse_args()
    try:
        sys.exit(1 if push(args.folder, args.entity, args.project) else 0)
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
