"""Upload offline W&B runs, read them back, and send again what is missing on the server."""

import os
import subprocess
import sys
import time

from fer_lightning.config.identity import digest
from fer_lightning.loggers.wandb_offline import connect, differences, mend, offline_runs, opened
from fer_lightning.process.visible import visible
from fer_lightning.runs.study_file import LEDGER, read_ledger
from fer_lightning.safety.untrusted_files import check_file, read_text

# Seconds between two looks at a run: a server may need a while until it returns what it received.
PATIENCE = (2, 5, 15)

REPORT = ("report.md", "report.html", "results.csv", LEDGER)


def upload(folder, entity=None, project=None, patience=PATIENCE):
    """Upload what is not uploaded yet, check all runs, and print a line for each. entity, project: override where a run was meant to go.

    Returns how many runs are not on the server as they are in their folders.
    """
    runs = offline_runs(folder)
    api = connect()
    new = [run for run in runs if not run.is_up and not run.fault]
    said = _sync(new, entity, project) if new else ""
    places = {run: (entity or run.about.get("entity") or api.default_entity, project or run.about.get("project")) for run in runs}
    first = _check(api, {run: place for run, place in places.items() if run.is_up and not run.fault}, patience)
    incomplete = {run: places[run] for run, found in first.items() if found and ("run" not in dict(found))}
    for run, place in incomplete.items():
        mend(*place, run, dict(first[run]))
    last = first | _check(api, incomplete, patience)
    missing = 0
    for run in runs:
        if run.fault:
            wrong = f"not uploaded: {run.fault}"
        elif run.is_up:
            wrong = "; ".join(sentence for _, sentence in last[run])
        else:
            wrong = "not uploaded: " + (" ".join(line for line in said.splitlines() if run.id in line) or said)
        done = ("uploaded" if run in new else "up before") + (" and mended" if run in incomplete else "")
        print(visible(f"{run.folder.name}  {run.id}  {wrong or f'{done}, all there'}"))
        missing += bool(wrong)
    for study, place in {run.folder.parent: place for run, place in places.items()}.items():
        if all((study / name).exists() for name in (LEDGER, "report.md")):
            print(visible(f"report of {study.name}  {_push_report(study, *place)}"))
    print(f"{len(runs) - missing} of {len(runs)} runs are on {api.settings['base_url']} as they are in their folders.")
    return missing


def _sync(runs, entity, project):
    """Let the client upload runs. Returns what it printed."""
    where = [*(["--entity", entity] if entity else []), *(["--project", project] if project else [])]
    command = [sys.executable, "-m", "wandb", "sync", *where, *(str(run.file.parent) for run in runs)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", env=os.environ | {"WANDB_MODE": "online"})
    return (done.stdout + done.stderr).strip()


def _check(api, places, patience):
    """{run: its differences}. Looks again for a while if there are any."""
    found = {run: differences(api, *place, run) for run, place in places.items()}
    for seconds in patience:
        if not any(found.values()):
            break
        time.sleep(seconds)
        found |= {run: differences(api, *places[run], run) for run in found if found[run]}
    return found


def _push_report(study, entity, project):
    """Upload the study's report as the notes and the artifact of one run in the study's group. Returns its address."""
    import wandb

    ledger = read_ledger(study)
    name = ledger["study"]["name"]
    id = f"report-{digest({'name': name, **ledger['base']})}"
    notes = read_text(study / "report.md")
    with opened(entity, project, id=id, resume="allow", name=f"report of {name}", group=name, job_type="report", notes=notes) as run:
        report = wandb.Artifact(run.id, type="study-report")
        for file in REPORT:
            if (study / file).exists():
                check_file(study / file)
                report.add_file(str(study / file), policy="immutable", skip_cache=True)
        run.log_artifact(report)
        return run.url
