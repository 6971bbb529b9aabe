"""A sweep on a real SLURM of one node, which is started here: Debian's slurm-wlm, as root. `make test-all` runs it where that is installed.

sacct, which needs a database, is answered from scontrol.
"""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from helpers.sweeps import LONG, finish, kill_tree, needs, results, start, wait_for

DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch", "srun")

pytestmark = [
    pytest.mark.slow,
    needs("submitit"),
    pytest.mark.skipif(os.geteuid() != 0, reason="slurmctld and slurmd need root"),
    pytest.mark.skipif(not all(map(shutil.which, DAEMONS)), reason="no SLURM here (Debian: slurm-wlm)"),
]

CONFIG = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
SchedulerParameters=sched_interval=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""

SACCT = r"""#!/bin/sh
echo 'JobID|State|NodeList'
scontrol -o show job |
sed -n 's/.*ArrayJobId=\([0-9]*\) ArrayTaskId=\([0-9]*\) .* JobState=\([A-Z_]*\) .* NodeList=\([^ ]*\) .*/\1_\2|\3|\4/p'
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A SLURM of this machine alone, of two cores, that the commands of SLURM find."""
    folder = tmp_path / "slurm"
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir(parents=True)
    (folder / "slurm.conf").write_text(CONFIG.format(host=socket.gethostname().partition(".")[0], folder=folder))
    (folder / "bin" / "sacct").write_text(SACCT)
    (folder / "bin" / "sacct").chmod(0o755)
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
    daemons = []
    if subprocess.run(["munge", "-n"], capture_output=True).returncode:
        Path("/run/munge").mkdir(exist_ok=True)
        Path("/run/munge/munge.socket.2").unlink(missing_ok=True)  # of one that was killed, as here
        shutil.chown("/run/munge", "munge", "munge")
        daemons.append(subprocess.Popen(["su", "-s", "/bin/sh", "munge", "-c", "munged --foreground"]))
        wait_for(Path("/run/munge/munge.socket.2").exists)
    for name in ("slurmctld", "slurmd"):
        daemons.append(subprocess.Popen([name, "-D", "-L", folder / f"{name}.log"], stderr=subprocess.DEVNULL))
        time.sleep(2)
    try:
        wait_for(lambda: b"idle" in subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True).stdout, 60)
        yield
    finally:
        subprocess.run(["scancel", "-u", "root"], check=False)
        for daemon in reversed(daemons):
            kill_tree(daemon.pid)


def number(tmp_path, name):
    """SLURM's own number of a job."""
    return yaml.safe_load((tmp_path / "multirun" / "s" / name / ".hydra" / "hydra.yaml").read_text())["hydra"]["job"]["id"]


def test_a_sweep_on_slurm_with_a_job_taken_off_and_one_cancelled(slurm, tmp_path):
    args = [*LONG, "hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1", "head.act=relu,gelu,mish"]
    running = start(tmp_path, *args)
    wait_for(lambda: [result["status"] for result in results(tmp_path).values()] == ["running", "running"])
    subprocess.run(["scancel", "--signal=USR2", number(tmp_path, "relu-s0")], check=True)  # as shortly before the time is up
    wait_for(lambda: results(tmp_path)["relu-s0"]["status"] == "interrupted")
    subprocess.run(["scancel", number(tmp_path, "gelu-s0")], check=True)
    done = finish(tmp_path, running)
    assert done.code == 1 and "the same command runs the rest" in done.text, done.text
    assert results(tmp_path)["relu-s0"]["status"] == "done"
    wait_for(lambda: results(tmp_path).get("mish-s0", {}).get("status") == "done")
    before = results(tmp_path)
    again = finish(tmp_path, start(tmp_path, *args))
    assert again.code == 0 and "3 of 3 jobs done" in again.text, again.text
    assert [name for name, result in results(tmp_path).items() if result != before[name]] == ["gelu-s0"]
