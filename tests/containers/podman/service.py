"""podman's service as a second engine, with the Docker API and Docker's own client (engine.py).

What differs from dockerd: the service is one process without state; each container has a conmon
that outlives it; there is no bridge (containers of these tests have no network).
"""

import contextlib
import os
import shutil
import subprocess

import engine as engines
import harness
import images

PODMAN = "/usr/bin/podman"

# runc and no systemd, as everywhere here; its events into a file, as there is no journald.
CONFIG = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]

[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


def missing():
    return engines.missing() or (None if os.path.exists(PODMAN) else f"needs {PODMAN} (scripts/bootstrap test)")


class Podman(engines.Engine):
    KINDS = [("volume",)]

    def start(self):
        with open(os.path.join(self.place, "containers.conf"), "w", encoding="utf-8") as file:
            file.write(CONFIG)
        self.launch()
        return self

    def launch(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(  # pylint: disable=consider-using-with
                [PODMAN, "--root", f"{self.place}/data", "--runroot", f"{self.place}/run", "--tmpdir",
                 f"{self.place}/tmp", "--storage-driver", "overlay", "system", "service", "--time=0", self.url],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={"PATH": images.PATH, "HOME": self.place,
                     "CONTAINERS_CONF": f"{self.place}/containers.conf"})
        self.await_answer(PODMAN)

    def stop(self):
        if self.process and self.process.poll() is None:
            with contextlib.suppress(AssertionError):
                self.tidy()
            self.process.terminate()
            self.process.wait(30)
        for pid in engines.processes_about(self.place, (b"podman", b"conmon")):
            for child in [*harness.children(pid), pid]:
                harness.kill_quietly(child)
        for path in engines.mounts_below(self.place):
            engines.quietly("umount", "-l", path)
        shutil.rmtree(self.place, ignore_errors=True)
        harness.reap()
