"""Signals: to the command once it runs, to the wait before that."""

import os
import signal
import time

import pytest

from fakedoor import (ALLOWED, DENIED, F_CANCEL, F_SIGNAL, PENDING, finish, state_of,
                      wait_until)

FORWARDED = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1,
             signal.SIGUSR2, signal.SIGCONT, signal.SIGWINCH]
CANCELLING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]


def is_waiting(shim):
    """Sleeping in ppoll(2): its signals are set up and its request is sent."""
    return state_of(shim.pid) == "S"


def running(door, shims, **options):
    shim = shims.start("git", **options)
    visit = door.request().ack(ALLOWED).message(b"runs")
    if shim.stderr:
        assert shim.stderr.readline() == b"clawrden: runs\n"
    return shim, visit


@pytest.mark.parametrize("number", FORWARDED)
def test_forwarded_while_running(door, shims, number):
    shim, visit = running(door, shims)
    shim.send_signal(number)
    assert visit.read_signal() == (number, 0)
    shim.send_signal(number)
    assert visit.read_signal() == (number, 0)
    visit.exit(9)
    assert finish(shim)[0] == 9


@pytest.mark.parametrize("number", CANCELLING)
@pytest.mark.parametrize("pending", [False, True])
def test_cancels_the_wait(door, shims, number, pending):
    shim = shims.start("git")
    visit = door.request()
    if pending:
        visit.ack(PENDING).message(b"waiting")
        shim.stderr.readline()
    wait_until(lambda: is_waiting(shim))
    shim.send_signal(number)
    assert visit.read_frame() == (F_CANCEL, b"")
    assert visit.socket.recv(1) == b""
    assert finish(shim)[0] == -number


def test_ends_a_refused_wait(door, shims):
    shim = shims.start("git")
    visit = door.request().ack(DENIED).message(b"no")
    assert shim.stderr.readline() == b"clawrden: no\n"
    shim.send_signal(signal.SIGTERM)
    assert visit.socket.recv(1) == b""
    assert finish(shim)[0] == -signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH])
def test_kept_for_the_command(door, shims, number):
    """What is no answer to the wait reaches the command as soon as it runs."""
    shim = shims.start("git")
    visit = door.request().ack(PENDING)
    wait_until(lambda: is_waiting(shim))
    shim.send_signal(number)
    assert visit.is_quiet()
    visit.ack(ALLOWED)
    assert visit.read_signal() == (number, 0)
    visit.exit(0)
    assert finish(shim)[0] == 0


@pytest.mark.parametrize("number", FORWARDED)
def test_ignored_stays_ignored(door, shims, number):
    """nohup, and background jobs of a shell without job control."""
    shim = shims.start("git", preexec_fn=lambda: signal.signal(number, signal.SIG_IGN))
    visit = door.request()
    wait_until(lambda: is_waiting(shim))
    shim.send_signal(number)
    assert visit.is_quiet()
    visit.ack(ALLOWED)
    shim.send_signal(number)
    assert visit.is_quiet()
    visit.exit(9)
    assert finish(shim)[0] == 9


@pytest.mark.parametrize("number", FORWARDED)
def test_blocked_stays_blocked(door, shims, number):
    shim = shims.start("git", preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [number]))
    visit = door.request().ack(ALLOWED)
    wait_until(lambda: is_waiting(shim))
    shim.send_signal(number)
    assert visit.is_quiet()
    shim.send_signal(signal.SIGINT if number != signal.SIGINT else signal.SIGTERM)
    assert visit.read_signal()[0] != number
    visit.exit(9)
    assert finish(shim)[0] == 9


def test_what_is_not_forwarded_has_its_own_effect(door, shims):
    shim, visit = running(door, shims)
    shim.send_signal(signal.SIGALRM)
    assert visit.socket.recv(1) == b""
    assert finish(shim)[0] == -signal.SIGALRM


def test_killed(door, shims):
    shim, visit = running(door, shims)
    shim.kill()
    assert visit.socket.recv(1) == b""
    assert finish(shim)[0] == -signal.SIGKILL


def test_a_storm_while_the_door_does_not_read(door, shims):
    """None is lost for good, the shim stays alive, and its memory does not grow: like the kernel it
    remembers each once."""
    shim, visit = running(door, shims)
    numbers = [signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP]
    for i in range(6000):
        shim.send_signal(numbers[i % 3])
    time.sleep(0.3)
    shim.send_signal(signal.SIGTERM)
    wait_until(lambda: is_waiting(shim))
    seen = set()
    while signal.SIGTERM not in seen:
        number, group = visit.read_signal()
        assert group == 0
        seen.add(number)
    visit.exit(0)
    assert finish(shim)[0] == 0
    assert seen == {*numbers, signal.SIGTERM}


def wait_status(shim):
    _, status = os.waitpid(shim.pid, os.WUNTRACED | os.WCONTINUED)
    return status


def in_a_group_of_its_own():
    os.setpgid(0, 0)  # not orphaned: its parent is in another group of the same session


@pytest.mark.parametrize("number", [signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU])
def test_stop_and_continue(door, shims, number):
    shim, visit = running(door, shims, preexec_fn=in_a_group_of_its_own)
    for _ in range(2):
        shim.send_signal(number)
        assert visit.read_frame() == (F_SIGNAL, bytes([signal.SIGTSTP, 0]))
        status = wait_status(shim)
        assert os.WIFSTOPPED(status) and os.WSTOPSIG(status) == number
        assert visit.is_quiet()
        shim.send_signal(signal.SIGCONT)
        assert os.WIFCONTINUED(wait_status(shim))
        assert visit.read_frame() == (F_SIGNAL, bytes([signal.SIGCONT, 0]))
        assert visit.is_quiet()
    visit.exit(9)
    assert finish(shim)[0] == 9


def test_stopped_time_does_not_count(door, shims):
    shim, visit = running(door, shims, preexec_fn=in_a_group_of_its_own, hasty=True)
    shim.send_signal(signal.SIGTSTP)
    assert visit.read_signal() == (signal.SIGTSTP, 0)
    assert os.WIFSTOPPED(wait_status(shim))
    time.sleep(2.5)
    shim.send_signal(signal.SIGCONT)
    assert visit.read_signal() == (signal.SIGCONT, 0)
    time.sleep(0.5)
    visit.exit(9)
    assert finish(shim)[0] == 9


def test_a_door_that_goes_on_while_the_shim_is_stopped(door, shims):
    shim, visit = running(door, shims, preexec_fn=in_a_group_of_its_own)
    shim.send_signal(signal.SIGTSTP)
    assert visit.read_signal() == (signal.SIGTSTP, 0)
    assert os.WIFSTOPPED(wait_status(shim))
    visit.exit(9)
    visit.socket.shutdown(1)
    assert visit.is_quiet()
    shim.send_signal(signal.SIGCONT)
    assert finish(shim)[0] == 9


@pytest.mark.parametrize("ack", [None, PENDING])
def test_stop_while_waiting(door, shims, ack):
    shim = shims.start("git", preexec_fn=in_a_group_of_its_own)
    visit = door.request()
    if ack:
        visit.ack(ack)
    wait_until(lambda: is_waiting(shim))
    shim.send_signal(signal.SIGTSTP)
    assert os.WIFSTOPPED(wait_status(shim))
    shim.send_signal(signal.SIGCONT)
    assert visit.is_quiet()  # the door need not know
    visit.ack(ALLOWED)
    assert visit.is_quiet()
    visit.exit(9)
    assert finish(shim)[0] == 9


def test_no_stop_where_nobody_could_continue(door, shims):
    """An orphaned process group (a session of its own, as under `docker exec`)."""
    shim, visit = running(door, shims, start_new_session=True)
    shim.send_signal(signal.SIGTSTP)
    assert visit.read_signal() == (signal.SIGTSTP, 0)
    assert visit.read_signal() == (signal.SIGCONT, 0)
    assert state_of(shim.pid) != "T"
    visit.exit(9)
    assert finish(shim)[0] == 9


def test_stop_that_is_ignored(door, shims):
    shim, visit = running(door, shims, preexec_fn=lambda: signal.signal(signal.SIGTSTP,
                                                                       signal.SIG_IGN))
    shim.send_signal(signal.SIGTSTP)
    assert visit.is_quiet()
    assert state_of(shim.pid) != "T"
    visit.exit(9)
    assert finish(shim)[0] == 9


def test_signals_pass_while_output_is_stuck(door, shims):
    read_end, write_end = os.pipe()
    shim = shims.start("git", stdout=write_end)
    os.close(write_end)
    visit = door.request().ack(ALLOWED)
    for _ in range(3):
        visit.frame(1, bytes(60_000))
    wait_until(lambda: is_waiting(shim))
    shim.send_signal(signal.SIGINT)
    assert visit.read_signal() == (signal.SIGINT, 0)
    os.close(read_end)
    assert finish(shim)[0] == -signal.SIGPIPE
