"""A real Slurm of one pretended node, on loopback and in a folder of its own, for tests.

It needs root, Linux and Debian's packages ``slurm-wlm`` and ``munge`` (``.ci/run`` installs them);
no accounting database, cgroups or systemd. Cores, memory and the GPU are pretended: Slurm counts
them, and nothing else knows of them.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
COMMANDS = ("sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo")
SBIN = "/usr/sbin:/sbin"
CPUS, MEMORY_MB = 8, 64000
ENDED = {"COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"}

SLURM_CONF = """
ClusterName=fornix
SlurmctldHost={host}(127.0.0.1)
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/completed.txt
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=60
KillWait=5
OverTimeLimit=0
MinJobAge=900
JobRequeue=1
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:fake:2
PartitionName=cpu Nodes={host} Default=YES DefMemPerCPU=500 MaxTime=UNLIMITED
PartitionName=gpu Nodes={host} DefMemPerCPU=500 MaxTime=UNLIMITED
"""
CGROUP_CONF = """
CgroupAutomount=no
ConstrainCores=no
ConstrainRAMSpace=no
ConstrainSwapSpace=no
ConstrainDevices=no
"""
GRES_CONF = """
NodeName={host} Name=gpu Type=fake File=/dev/null
NodeName={host} Name=gpu Type=fake File=/dev/zero
"""


def missing() -> str | None:
    """Say why there can be no Slurm here, or None."""
    if os.geteuid() != 0:
        return "a Slurm for tests needs root"
    lacking = [name for name in (*DAEMONS, *COMMANDS) if not _which(name)]
    if lacking:
        return f"{', '.join(lacking)} not found (apt-get install slurm-wlm munge)"
    return None


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SBIN}")


@dataclass
class Slurm:
    """The running daemons; ``environment`` makes any Slurm command talk to them."""

    folder: Path
    cpus: int = CPUS
    host: str = field(default_factory=lambda: socket.gethostname().split(".")[0])

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to find this Slurm."""
        return {
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": f"{self.folder / 'bin'}:{os.environ.get('PATH', '')}:{SBIN}",
        }

    def call(self, *words: str) -> str:
        """Run one of Slurm's commands and return what it prints."""
        done = subprocess.run(
            words,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if done.returncode:
            msg = f"{' '.join(words)} exited {done.returncode}: {done.stderr}"
            raise RuntimeError(msg)
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """Return what ``scontrol`` says of all jobs, those that ended included."""
        text = self.call("scontrol", "--oneliner", "show", "job")
        lines = [line for line in text.splitlines() if line.startswith("JobId=")]
        return [dict(re.findall(r"(?:^| )(\w+)=(\S*)", line)) for line in lines]

    def processes(self) -> list[int]:
        """Return the processes of this Slurm's jobs."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            pid = int(path.name)
            known = environment_of(pid)
            if known.get("SLURM_CONF") != str(self.folder / "slurm.conf"):
                continue
            if "SLURM_JOB_ID" in known or _name(pid) == "slurmstepd":
                found.append(pid)
        return found

    def start(self) -> None:
        """Start munge, the controller and the node; return when the node takes jobs."""
        for name in ("bin", "munge", "state", "spool"):
            (self.folder / name).mkdir(mode=0o755, parents=True)
        key = self.folder / "munge/key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        values = {"host": self.host, "folder": self.folder, "ports": _free_ports(2)}
        conf = SLURM_CONF.format(cpus=self.cpus, memory=MEMORY_MB, **values)
        (self.folder / "slurm.conf").write_text(conf)
        (self.folder / "gres.conf").write_text(GRES_CONF.format(**values))
        (self.folder / "cgroup.conf").write_text(CGROUP_CONF)
        # The executor plugin takes SLURM_CONF away from what a job starts by srun.
        srun = self.folder / "bin/srun"
        conf_of_srun = f"SLURM_CONF={self.folder}/slurm.conf"
        srun.write_text(f'#!/bin/sh\n{conf_of_srun} exec {_which("srun")} "$@"\n')
        srun.chmod(0o755)
        munge = self.folder / "munge"
        self.call(
            *("munged", "--force", f"--key-file={key}", f"--socket={munge}/socket"),
            *(f"--pid-file={munge}/munged.pid", f"--seed-file={munge}/seed"),
            f"--log-file={munge}/munged.log",
        )
        self.start_controller()
        self.start_node()

    def start_controller(self) -> None:
        """Start the controller, which goes on from what it has saved."""
        self.call("slurmctld")

    def kill_controller(self) -> None:
        """Take the controller away at once."""
        pid = int((self.folder / "slurmctld.pid").read_text())
        _send(pid, signal.SIGKILL)
        _wait_for_end([pid])

    def start_node(self) -> None:
        """Start the node's daemon, and wait until the node takes jobs."""
        self.call("slurmd", "-N", self.host)
        self.wait_for_node("idle", "mixed", "allocated")

    def tend(self) -> None:
        """Do what an administrator does after kills: nothing waits that could run."""
        if "drain" in self.call("sinfo", "--noheader", "--format=%T"):
            self.resume()
        for job in self.jobs():
            if job["JobState"] != "PENDING":
                continue
            if job.get("Reason") == "BeginTime":
                self.call("scontrol", "update", f"JobId={job['JobId']}", "StartTime=now")
            elif job.get("Reason", "").startswith("launch_failed"):
                self.call("scontrol", "release", job["JobId"])  # its node died while it began

    def resume(self) -> None:
        """Let a node take jobs again, from which Slurm itself has taken them.

        It does when a controller that was killed finds a job there that it never knew to run.
        """
        self.call("scontrol", "update", f"NodeName={self.host}", "State=RESUME")

    def kill_node(self) -> None:
        """Take the node away, as a power cut would: its daemon and all of its jobs."""
        pid = int((self.folder / "slurmd.pid").read_text())
        _kill(self.processes())
        os.kill(pid, signal.SIGKILL)
        _wait_for_end([pid])
        # What the controller does by itself once the node hasn't answered for SlurmdTimeout.
        self.call("scontrol", "update", f"NodeName={self.host}", "State=DOWN", "Reason=test")

    def wait_for_node(self, *states: str, seconds: float = 60) -> None:
        """Wait until the node is in one of these states."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                found = self.call("sinfo", "--noheader", "--format=%T").split()
            except RuntimeError:  # the controller isn't up yet
                found = []
            if found and all(one.rstrip("*~#$@") in states for one in found):
                return
            if any(one.startswith("drain") for one in found):
                self.resume()
            time.sleep(0.2)
        logs = [
            path.read_text(errors="replace")[-2000:] for path in sorted(self.folder.glob("*.log"))
        ]
        msg = f"the node isn't {' or '.join(states)} but {found}:\n" + "\n".join(logs)
        raise RuntimeError(msg)

    def stop(self) -> None:
        """End all jobs and daemons, by their process ids."""
        _kill(self.processes())
        pids = []
        for name in ("slurmd.pid", "slurmctld.pid", "munge/munged.pid"):
            path = self.folder / name
            if path.exists() and path.read_text().strip():
                pids.append(int(path.read_text()))
        for pid in pids:
            _send(pid, signal.SIGTERM)
        for pid in _wait_for_end(pids):
            _send(pid, signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _wait_for_end(pids: list[int], seconds: float = 15) -> list[int]:
    """Wait until processes have ended; return those that haven't."""
    deadline = time.monotonic() + seconds
    left = pids
    while left and time.monotonic() < deadline:
        left = [pid for pid in left if _alive(pid)]
        time.sleep(0.1)
    return left


def _alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    try:
        return "State:\tZ" not in status.read_text()
    except OSError:
        return False


def environment_of(pid: int) -> Mapping[str, str]:
    """Return the variables that a process was started with."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (one.partition("=") for one in raw.decode(errors="replace").split("\0"))
    return {key: value for key, _, value in pairs}


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _kill(pids: list[int]) -> None:
    for pid in pids:
        _send(pid, signal.SIGKILL)


@contextmanager
def cluster(folder: Path, cpus: int = CPUS) -> Iterator[Slurm]:
    """Give a running Slurm that whatever this process starts talks to."""
    slurm = Slurm(folder, cpus)
    before = dict(os.environ)
    try:
        slurm.start()
        os.environ.update(slurm.environment)
        yield slurm
    finally:
        slurm.stop()
        os.environ.clear()
        os.environ.update(before)
