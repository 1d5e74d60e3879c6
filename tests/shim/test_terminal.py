"""A terminal: who gets Ctrl-C, Ctrl-Z and fg in a real shell, and the window's size."""

import fcntl
import os
import pty
import signal
import struct
import termios
import time

import pytest

from fakedoor import (ALLOWED, DENIED, F_SIGNAL, F_WINDOW, PATIENCE, PENDING, clean_env, finish,
                      state_of, wait_until)

INTERRUPT, QUIT, SUSPEND = b"\x03", b"\x1c", b"\x1a"


class Terminal:
    def __init__(self):
        self.master, self.slave = pty.openpty()
        self.resize(24, 80)
        self.seen = b""

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("<HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text)

    def expect(self, text):
        os.set_blocking(self.master, False)
        end = time.monotonic() + PATIENCE
        while text not in self.seen:
            assert time.monotonic() < end, self.seen
            try:
                self.seen += os.read(self.master, 4096)
            except BlockingIOError:
                time.sleep(0.01)
        before, _, self.seen = self.seen.partition(text)
        return before

    def close(self):
        os.close(self.master)
        os.close(self.slave)

    def own(self):
        """In the child: a session whose terminal this is."""
        os.setsid()
        fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)


@pytest.fixture
def terminal():
    result = Terminal()
    yield result
    result.close()


@pytest.fixture
def on_terminal(terminal, shims, door):
    """A shim that leads the terminal's foreground group, running."""
    fd = terminal.slave
    shim = shims.start("git", stdin=fd, stdout=fd, stderr=fd, preexec_fn=terminal.own)
    return shim, door.request().ack(ALLOWED)


@pytest.mark.parametrize("key, number", [(INTERRUPT, signal.SIGINT), (QUIT, signal.SIGQUIT)])
def test_keys(terminal, on_terminal, key, number):
    shim, visit = on_terminal
    wait_until(lambda: state_of(shim.pid) == "S")
    terminal.type(key)
    assert visit.read_signal() == (number, 1)  # 1: the terminal sent it, to the whole group
    shim.send_signal(number)
    assert visit.read_signal() == (number, 0)
    visit.died(number)
    assert finish(shim)[0] == -number


def test_interrupt_while_pending(terminal, shims, door):
    fd = terminal.slave
    shim = shims.start("git", stdin=fd, stdout=fd, stderr=fd, preexec_fn=terminal.own)
    visit = door.request().ack(PENDING).message(b"waiting for approval")
    terminal.expect(b"clawrden: waiting for approval\r\n")
    terminal.type(INTERRUPT)
    assert visit.read_question() == (signal.SIGINT, 1)
    visit.ack(DENIED)
    assert finish(shim)[0] == -signal.SIGINT


def test_window_size(terminal, on_terminal):
    shim, visit = on_terminal
    wait_until(lambda: state_of(shim.pid) == "S")
    for rows, columns in ((50, 132), (1, 1), (65535, 300)):
        terminal.resize(rows, columns)
        assert visit.read_frame() == (F_WINDOW, struct.pack("<HH", rows, columns))
        assert visit.read_frame() == (F_SIGNAL, bytes([signal.SIGWINCH, 1]))
    visit.exit(0)
    assert finish(shim)[0] == 0


@pytest.mark.parametrize("redirected", [(0,), (0, 1), (1, 2)])
def test_window_size_of_whatever_is_a_terminal(terminal, shims, door, redirected):
    null = os.open("/dev/null", os.O_RDWR)
    stdin, stdout, stderr = (null if fd in redirected else terminal.slave for fd in (0, 1, 2))
    shim = shims.start("git", stdin=stdin, stdout=stdout, stderr=stderr,
                       preexec_fn=terminal.own, pass_fds=[terminal.slave])
    os.close(null)
    visit = door.request().ack(ALLOWED)
    wait_until(lambda: state_of(shim.pid) == "S")
    terminal.resize(33, 44)
    assert visit.read_frame() == (F_WINDOW, struct.pack("<HH", 33, 44))
    assert visit.read_signal() == (signal.SIGWINCH, 1)
    visit.exit(0)
    assert finish(shim)[0] == 0


def test_hang_up(terminal, shims, door):
    master, slave = pty.openpty()

    def own():
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    shim = shims.start("git", stdin=slave, stdout=slave, stderr=slave, preexec_fn=own)
    os.close(slave)
    visit = door.request().ack(ALLOWED)
    wait_until(lambda: state_of(shim.pid) == "S")
    os.close(master)
    assert {visit.read_signal()[0] for _ in range(2)} == {signal.SIGHUP, signal.SIGCONT}
    visit.died(signal.SIGHUP)
    assert finish(shim)[0] == -signal.SIGHUP


@pytest.fixture
def shell(terminal, shims):
    """An interactive shell with job control on the terminal."""
    fd = terminal.slave
    process = shims.start("bash", "--norc", "--noprofile", "-i", path="/bin/bash", stdin=fd, stdout=fd,
                          stderr=fd, preexec_fn=terminal.own,
                          env=clean_env(PS1="@ ", TERM="dumb", HISTFILE="", PATH="/usr/bin:/bin"))
    terminal.expect(b"@ ")
    return process


def test_suspend_and_foreground_in_a_shell(terminal, shell, shims, door):
    terminal.type(shims.stand_in("git").encode() + b" log; echo code=$?\n")
    visit = door.request().ack(ALLOWED).message(b"runs")
    terminal.expect(b"clawrden: runs\r\n")
    for _ in range(2):
        terminal.type(SUSPEND)
        assert visit.read_signal() == (signal.SIGTSTP, 1)
        terminal.expect(b"Stopped")
        terminal.expect(b"@ ")
        terminal.type(b"fg\n")
        assert visit.read_signal() == (signal.SIGCONT, 1)
        assert visit.is_quiet()
    terminal.type(INTERRUPT)
    assert visit.read_signal() == (signal.SIGINT, 1)
    visit.exit(7)
    terminal.expect(b"@ ")
    terminal.type(b"echo is $?\n")
    terminal.expect(b"is 7\r\n")


def test_background_in_a_shell(terminal, shell, shims, door):
    """bg lets the command go on; its end is told like any job's."""
    terminal.type(shims.stand_in("git").encode() + b" gc\n")
    visit = door.request().ack(ALLOWED)
    time.sleep(0.2)
    terminal.type(SUSPEND)
    assert visit.read_signal() == (signal.SIGTSTP, 1)
    terminal.expect(b"Stopped")
    terminal.type(b"bg\n")
    assert visit.read_signal() == (signal.SIGCONT, 1)
    visit.exit(3)
    terminal.expect(b"@ ")
    terminal.type(b"wait %1; echo is $?\n")
    terminal.expect(b"is 3\r\n")


def test_suspend_while_pending_in_a_shell(terminal, shell, shims, door):
    terminal.type(shims.stand_in("git").encode() + b" push\n")
    visit = door.request().ack(PENDING).message(b"waiting for approval")
    terminal.expect(b"clawrden: waiting for approval\r\n")
    terminal.type(SUSPEND)
    terminal.expect(b"Stopped")
    assert visit.read_signal() == (signal.SIGTSTP, 1)
    terminal.type(b"fg\n")
    assert visit.read_signal() == (signal.SIGCONT, 1)
    visit.ack(ALLOWED)
    assert visit.is_quiet()
    visit.exit(0)
    terminal.expect(b"@ ")


def test_in_a_pipeline(terminal, shell, shims, door):
    """The whole job stops and goes on, the shim with it."""
    terminal.type(shims.stand_in("git").encode() + b" log | cat\n")
    visit = door.request(keep_fds=True).ack(ALLOWED)
    os.write(visit.fds[1], b"first\n")
    terminal.expect(b"first\r\n")
    terminal.type(SUSPEND)
    assert visit.read_signal() == (signal.SIGTSTP, 1)
    terminal.expect(b"Stopped")
    terminal.type(b"fg\n")
    assert visit.read_signal() == (signal.SIGCONT, 1)
    os.write(visit.fds[1], b"second\n")
    terminal.expect(b"second\r\n")
    visit.drop_fds()
    visit.exit(0)
    terminal.expect(b"@ ")
