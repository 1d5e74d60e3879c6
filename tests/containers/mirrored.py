"""A prisoner whose commands are mirrored back into its container, for the tests of that.

Shims stand in /usr/local/sbin, in front of PATH, as they do in a hardened image; the real programs
are where they were.
"""

import os
import shlex

import harness

SHIM = "/usr/lib/clawrden-shim/clawrden-shim"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PYTHON = "/usr/local/bin/python3"  # in the image that has one
# What every such prisoner has a shim for.
COMMANDS = ["cat", "env", "grep", "id", "ls", "pwd", "python3", "sh", "sleep", "sort", "true", "tty"]


class Prisoner:
    def __init__(self, engine, warden, image="debian:bookworm", jail="default", options=(), user="1000:1000",
                 command=()):
        self.engine, self.warden = engine, warden
        shims = os.path.join(warden.base, "shims")
        if not os.path.isdir(shims):
            os.mkdir(shims)
            for name in COMMANDS:
                os.symlink(SHIM, os.path.join(shims, name))
        self.container = engine.prisoner(
            warden, image, *(command or ("/bin/sleep", "600")), jail=jail,
            options=["--user", user, "-v", f"{shims}:/usr/local/sbin:ro", "-e", f"PATH={PATH}",
                     *options])

    @property
    def id(self):
        return self.container.id

    def run(self, *command, options=(), **more):
        """A command in the container; by a bare name it goes through its shim."""
        return self.container.exec(*command, options=options, **more)

    def script(self, text, options=(), **more):
        """A shell script whose own shell is not intercepted."""
        return self.run("/bin/sh", "-c", text, options=options, **more)

    def python(self, text, *arguments, options=(), **more):
        return self.run(PYTHON, "-c", text, *arguments, options=options, **more)

    def processes(self):
        """{pid as the host sees it: command line} of all in it."""
        listed = self.engine.docker("top", self.id, "-eo", "pid,args").stdout.splitlines()[1:]
        return {int(line.split(None, 1)[0]): line.split(None, 1)[1] for line in listed}

    def refusal(self, result):
        """The reason in the one line that a refused command prints."""
        assert result.code == 125 and result.out == b"", result
        return result.stderr


def quoted(*words):
    return " ".join(shlex.quote(word) for word in words)


def everything():
    return harness.allow(*COMMANDS)
