"""The engine of the container tests itself, and its base images."""

import os
import signal
import subprocess
import sys
import time

import pytest

import engine as engines
import harness
import images

PRINT = "print('it', 'runs')"
LOG = "console.log('it', 'runs')"
# image: what to run as uid 1000 that says "it runs"
WORDS = {"debian:bookworm": ["bash", "-c", "echo it runs"], "debian:trixie": ["bash", "-c", "echo it runs"],
         "debian:bullseye": ["bash", "-c", "echo it runs"], "ubuntu:shaped": ["bash", "-c", "echo it runs"],
         "alpine:shaped": ["ash", "-c", "echo it runs"],
         "python:3.11-slim": ["bash", "-c", f'python -c "{PRINT}" && pip --version'],
         "node:18-slim": ["bash", "-c", f'node -e "{LOG}" && npm --version'],
         "node:18-ash": ["ash", "-c", f'node -e "{LOG}"'],
         "distroless:shaped": ["-c", PRINT], "scratch:static": ["it runs"]}


@pytest.mark.parametrize("image", images.RECIPES)
def test_a_base_image_runs(engine, image):
    result = engine.run(image, *WORDS.get(image, ["sh", "-c", "echo it runs"]), options=["--user", "1000"])
    assert result.code == 0 and "it runs" in result.stdout, result


@pytest.mark.parametrize("image", ["distroless:shaped", "scratch:static"])
def test_an_image_without_a_shell_has_none(engine, image):
    for shell in ("/bin/sh", "/bin/busybox"):
        result = engine.run(image, options=["--entrypoint", shell])
        assert result.code == 127, result


def test_apt_works_in_a_build(engine):
    engine.image("debian:bookworm")
    engine.build("test:apt", "FROM debian:bookworm\nRUN apt-get update -q && apt-get -s install -q tree\n")


def test_two_engines_do_not_meet_and_a_crashed_one_is_cleared(engine):
    """A session is killed with its engine and a container running: the next one ends all of it."""
    script = ("import sys, time; sys.path.insert(0, sys.argv[1]); import engine\n"
              "e = engine.Engine().start()\n"
              "c = e.start_container('alpine:shaped', 'sleep', '600')\n"
              "print(e.place, e.pid, c.pid, e.network.number, flush=True); time.sleep(600)\n")
    session = subprocess.Popen([sys.executable, "-c", script, os.path.dirname(__file__)],
                               stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    place, daemon, init, number = session.stdout.readline().decode().split()
    assert int(number) != engine.network.number and place != engine.place
    os.kill(session.pid, signal.SIGKILL)
    session.wait()
    session.stdout.close()
    time.sleep(0.1)
    assert harness.is_alive(int(daemon)) and harness.is_alive(int(init))

    engines.sweep()

    assert not harness.is_alive(int(daemon)) and not harness.is_alive(int(init))
    assert not os.path.exists(place)
    assert f" 10.{number}." not in images.run("ip", "-4", "-o", "addr")
    assert place not in open("/proc/self/mountinfo", encoding="utf-8").read()
    assert engine.run("alpine:shaped", "echo", "still here").stdout == "still here\n"


def test_a_prisoner_sees_its_jails_directory(engine, make_warden):
    """What it may do there is for the tests of the mirror; here: the socket is the jail's."""
    warden = make_warden(*harness.allow("ls"))
    prisoner = engine.prisoner(warden, "alpine:shaped")
    assert prisoner.exec("ls", "/run/clawrden").stdout.split()[-1] == "warden.sock"
    result = prisoner.exec("/usr/lib/clawrden-shim/clawrden-shim", "--version")
    assert result.stdout.startswith("clawrden-shim "), result
