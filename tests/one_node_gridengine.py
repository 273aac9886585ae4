"""A real Grid Engine of one node, on loopback and in a folder of its own, for tests.

It needs root, Linux on x86-64 and Debian's packages ``gridengine-master``, ``gridengine-exec`` and
``gridengine-client`` (``.ci/run`` installs them).
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LIBRARY = Path("/usr/lib/gridengine")
SHARED = Path("/usr/share/gridengine")
SBIN = "/usr/sbin:/sbin"
NEEDED = ("qconf", "qsub", "qstat", "qdel", "qhost", "sge_qmaster", "sge_execd")
ARCH = "lx-amd64"
HOST = "localhost"
SLOTS = 4

BOOTSTRAP = """\
admin_user none
default_domain none
ignore_fqdn false
spooling_method berkeleydb
spooling_lib libspoolb
spooling_params {root}/spooldb
binary_path /usr/sbin
qmaster_spool_dir {root}/qmaster
security_mode none
listener_threads 2
worker_threads 2
scheduler_threads 1
"""
SETTINGS = {
    **{"execd_spool_dir": "{root}/execd", "min_uid": "0", "min_gid": "0"},
    "login_shells": "none",  # what root's own shell does at its start is no part of a test
}
PARALLEL_ENVIRONMENT = f"""\
pe_name smp
slots {SLOTS}
user_lists NONE
xuser_lists NONE
start_proc_args NONE
stop_proc_args NONE
allocation_rule $pe_slots
control_slaves FALSE
job_is_first_task TRUE
urgency_slots min
accounting_summary FALSE
qsort_args NONE
"""
HOSTS = f"""\
group_name @allhosts
hostlist {HOST}
"""
LIMITS = "".join(
    f"{hardness}_{what} INFINITY\n"
    for what in ("rt", "cpu", "fsize", "data", "stack", "core", "rss", "vmem")
    for hardness in "sh"
)
QUEUE = f"""\
qname all.q
hostlist @allhosts
seq_no 0
load_thresholds NONE
suspend_thresholds NONE
nsuspend 1
suspend_interval 00:05:00
priority 0
min_cpu_interval 00:05:00
processors UNDEFINED
qtype BATCH
ckpt_list NONE
pe_list smp
rerun FALSE
slots {SLOTS}
tmpdir /tmp
shell /bin/bash
prolog NONE
epilog NONE
shell_start_mode posix_compliant
starter_method NONE
suspend_method NONE
resume_method NONE
terminate_method NONE
notify 00:00:60
owner_list NONE
user_lists NONE
xuser_lists NONE
subordinate_list NONE
complex_values NONE
projects NONE
xprojects NONE
calendar NONE
initial_state default
{LIMITS}"""


def missing() -> str | None:
    """Say why there can be no Grid Engine here, or None."""
    if os.geteuid() != 0:
        return "a Grid Engine for tests needs root"
    if platform.machine() != "x86_64":
        return "a Grid Engine for tests needs x86-64"
    lacking = [name for name in NEEDED if not shutil.which(name, path=f"/usr/bin:{SBIN}")]
    if lacking or not LIBRARY.exists():
        packages = "gridengine-master gridengine-exec gridengine-client"
        return f"{', '.join(lacking) or LIBRARY} not found (apt-get install {packages})"
    return None


def call(*words: str | Path) -> str:
    """Run one of Grid Engine's commands and return what it prints."""
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode:
        msg = f"{' '.join(map(str, words))} exited {done.returncode}: {done.stdout}{done.stderr}"
        raise RuntimeError(msg)
    return done.stdout


def _lay_out(root: Path) -> None:
    """Make the folders that the daemons look for, and their first settings."""
    common = root / "default/common"
    for folder in (common, root / "qmaster/job_scripts", root / "execd", root / "spooldb"):
        folder.mkdir(parents=True)
    for name in ("bin", "lib", "utilbin"):
        (root / name).mkdir()
        (root / name / ARCH).symlink_to(LIBRARY)
    (root / "util").symlink_to(SHARED / "util")
    (common / "bootstrap").write_text(BOOTSTRAP.format(root=root))
    (common / "act_qmaster").write_text(f"{HOST}\n")
    own = socket.gethostname()
    (common / "host_aliases").write_text(f"{HOST} {own} {own.partition('.')[0]}\n")
    lines = (SHARED / "default-configuration").read_text().splitlines()
    known = [line for line in lines if line.split()[:1] and line.split()[0] not in SETTINGS]
    known += [f"{key} {value.format(root=root)}" for key, value in SETTINGS.items()]
    (root / "configuration").write_text("\n".join(known) + "\n")
    call(LIBRARY / "spoolinit", "berkeleydb", "libspoolb", root / "spooldb", "init")
    defaults = LIBRARY / "spooldefaults"
    call(defaults, "configuration", root / "configuration")
    call(defaults, "complexes", SHARED / "util/resources/centry")
    call(defaults, "usersets", SHARED / "util/resources/usersets")
    call(defaults, "managers", "root")


def _start(root: Path) -> None:
    """Start the master and the node; return when the node takes jobs."""
    call("sge_qmaster")
    _wait_for(lambda: HOST in call("qconf", "-sh"))
    call("qconf", "-as", HOST)
    for option, text in (("-Ap", PARALLEL_ENVIRONMENT), ("-Ahgrp", HOSTS), ("-Aq", QUEUE)):
        (root / "setting").write_text(text)
        call("qconf", option, root / "setting")
    quick = re.sub("(?m)^(schedule_interval).*", r"\1 0:0:1", call("qconf", "-ssconf"))
    (root / "setting").write_text(quick)
    call("qconf", "-Msconf", root / "setting")
    call("sge_execd")
    _wait_for(lambda: " -NA- " not in call("qstat", "-f") and HOST in call("qstat", "-f"))


def _wait_for(what: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with suppress(RuntimeError):
            if what():
                return
        if time.monotonic() > deadline:
            messages = [path.read_text() for path in Path(os.environ["SGE_ROOT"]).rglob("messages")]
            raise RuntimeError("Grid Engine doesn't start:\n" + "\n".join(messages))
        time.sleep(0.2)


def _stop(root: Path) -> None:
    """End all jobs and daemons."""
    with suppress(RuntimeError):
        call("qdel", "-f", "-u", "*")
    for path in (*root.glob("execd/*/execd.pid"), root / "qmaster/qmaster.pid"):
        with suppress(OSError, ValueError):
            os.kill(int(path.read_text()), signal.SIGKILL)


@contextmanager
def cluster(root: Path) -> Iterator[None]:
    """Run a Grid Engine that whatever this process starts talks to."""
    with socket.socket() as master, socket.socket() as node:
        for one in (master, node):
            one.bind(("127.0.0.1", 0))
        ports = master.getsockname()[1], node.getsockname()[1]
    before = dict(os.environ)
    os.environ |= {
        "SGE_ROOT": str(root),
        "SGE_CELL": "default",
        "SGE_QMASTER_PORT": str(ports[0]),
        "SGE_EXECD_PORT": str(ports[1]),
        "PATH": f"{os.environ.get('PATH', '')}:{SBIN}",
    }
    try:
        _lay_out(root)
        _start(root)
        yield
    finally:
        _stop(root)
        os.environ.clear()
        os.environ.update(before)
