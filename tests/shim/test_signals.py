"""Signals: to the command once it runs, to the wait before that. Between the command's start and our
hearing of it lies a moment in which only the door can tell one from the other."""

import os
import signal
import subprocess
import time

import pytest

from fakedoor import (ALLOWED, DENIED, F_CANCEL, F_EXIT, F_SIGNAL, F_STDOUT, PATIENCE, PENDING, finish,
                      finish_in_flight, state_of, wait_until)

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


def waiting(door, shims, pending, **options):
    """A shim that waits: for the first word, or for a human."""
    shim = shims.start("git", **options)
    visit = door.request()
    if pending:
        visit.ack(PENDING).message(b"waiting")
        shim.stderr.readline()
    wait_until(lambda: is_waiting(shim))
    return shim, visit


def read_end(visit, number):
    """What the door reads of a shim that dies of this signal, after the signal itself."""
    if number in (signal.SIGINT, signal.SIGQUIT):  # TERM and HUP: an agent's patience has ended
        assert visit.read_frame() == (F_CANCEL, b"")
    assert visit.socket.recv(1) == b""


@pytest.mark.parametrize("number", CANCELLING)
@pytest.mark.parametrize("pending", [False, True])
def test_ends_the_wait(door, shims, number, pending):
    """The door says that nothing runs: the shim dies of the signal, and says nothing."""
    shim, visit = waiting(door, shims, pending, patient=True)
    shim.send_signal(number)
    assert visit.read_question() == (number, 0)
    visit.send(bytes([DENIED, F_EXIT, 2, 0, 0, 0, 0, 126]))
    assert finish(shim) == (-number, b"", b"")


@pytest.mark.parametrize("number", CANCELLING)
@pytest.mark.parametrize("pending", [False, True])
def test_a_command_that_runs_already(door, shims, number, pending):
    """The ack was on its way when the signal came: the command has got it, and its end counts."""
    shim, visit = waiting(door, shims, pending, patient=True)
    shim.send_signal(number)
    assert visit.read_question() == (number, 0)
    visit.tick().ack(ALLOWED).message(b"runs")
    assert shim.stderr.readline() == b"clawrden: runs\n"
    assert visit.is_quiet()  # it is not told twice
    shim.send_signal(number)
    assert visit.read_signal() == (number, 0)
    visit.exit(9)
    assert finish(shim)[0] == 9


@pytest.mark.parametrize("number", CANCELLING)
def test_an_ack_that_waits_to_be_read(door, shims, number):
    """The same, and the ack is there before the signal."""
    shim, visit = waiting(door, shims, False, patient=True)
    shim.send_signal(signal.SIGSTOP)
    wait_until(lambda: state_of(shim.pid) == "T")
    visit.ack(ALLOWED)
    shim.send_signal(number)
    shim.send_signal(signal.SIGCONT)
    assert visit.read_question() == (number, 0)
    visit.exit(9)
    assert finish(shim)[0] == 9


@pytest.mark.parametrize("number", CANCELLING)
@pytest.mark.parametrize("pending", [False, True])
def test_a_door_that_does_not_answer_a_signal(door, shims, number, pending):
    shim, visit = waiting(door, shims, pending)
    shim.send_signal(number)
    assert visit.read_question() == (number, 0)
    read_end(visit, number)
    assert finish(shim) == (-number, b"", b"")


@pytest.mark.parametrize("words", [b"", b"patience"])
def test_a_door_that_says_everything_but_the_answer(door, shims, words):
    """Ticks and messages without end buy no time."""
    shim, visit = waiting(door, shims, False, stderr=subprocess.DEVNULL)
    shim.send_signal(signal.SIGTERM)
    end = time.monotonic() + PATIENCE
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        while time.monotonic() < end:
            visit.message(words) if words else visit.tick()
    assert finish(shim)[0] == -signal.SIGTERM


@pytest.mark.parametrize("number", CANCELLING)
@pytest.mark.parametrize("answer", [b"", bytes([F_STDOUT]) * 5])
def test_a_door_that_breaks_instead_of_answering(door, shims, number, answer):
    shim, visit = waiting(door, shims, False, patient=True)
    shim.send_signal(number)
    assert visit.read_question() == (number, 0)
    visit.send(answer)
    visit.close()
    assert finish(shim) == (-number, b"", b"")


@pytest.mark.parametrize("first, second", [(signal.SIGTERM, signal.SIGTERM),
                                           (signal.SIGTERM, signal.SIGINT),
                                           (signal.SIGINT, signal.SIGHUP)])
def test_a_second_signal_waits_for_nobody(door, shims, first, second):
    """However long the answer may take: it is the second one that ends the shim."""
    shim, visit = waiting(door, shims, True, patient=True)
    shim.send_signal(first)
    assert visit.read_question() == (first, 0)
    shim.send_signal(second)
    read_end(visit, second)
    assert finish(shim)[0] == -second


@pytest.mark.parametrize("number", CANCELLING)
def test_no_answer_while_messages_are_stuck(door, shims, number):
    """Nor does a stderr that nobody reads make it immune."""
    read_end_of_pipe, write_end = os.pipe()
    os.set_blocking(write_end, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(write_end, bytes(4096))
    os.set_blocking(write_end, True)
    shim = shims.start("git", stderr=write_end)
    os.close(write_end)
    visit = door.request().ack(PENDING).message(b"waiting")
    wait_until(lambda: is_waiting(shim))
    shim.send_signal(number)
    assert visit.read_question() == (number, 0)
    assert shim.wait(PATIENCE) == -number
    os.close(read_end_of_pipe)


@pytest.mark.parametrize("number", CANCELLING)
def test_killed_while_sending(door, shims, number):
    """Half a request is none: nothing is asked."""
    shim = shims.start("git", *["x" * 100_000] * 15)
    visit = door.accept()
    wait_until(lambda: is_waiting(shim))  # for room
    shim.send_signal(number)
    assert finish_in_flight(shim)[0] == -number
    with pytest.raises((EOFError, ConnectionResetError)):
        visit.read_request()


def test_a_stop_while_the_answer_is_awaited(door, shims):
    """Time in which the shim is stopped is nobody's."""
    shim = shims.start("git", preexec_fn=in_a_group_of_its_own)
    visit = door.request()
    wait_until(lambda: is_waiting(shim))
    shim.send_signal(signal.SIGTERM)
    assert visit.read_question() == (signal.SIGTERM, 0)
    shim.send_signal(signal.SIGTSTP)
    assert visit.read_signal() == (signal.SIGTSTP, 1)
    assert os.WIFSTOPPED(wait_status(shim))
    time.sleep(1.5)
    visit.ack(ALLOWED)
    shim.send_signal(signal.SIGCONT)
    assert visit.read_signal() == (signal.SIGCONT, 1)
    visit.exit(9)
    assert finish(shim)[0] == 9


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
        assert visit.read_frame() == (F_SIGNAL, bytes([signal.SIGTSTP, 1]))
        status = wait_status(shim)
        assert os.WIFSTOPPED(status) and os.WSTOPSIG(status) == number
        assert visit.is_quiet()
        shim.send_signal(signal.SIGCONT)
        assert os.WIFCONTINUED(wait_status(shim))
        assert visit.read_frame() == (F_SIGNAL, bytes([signal.SIGCONT, 1]))
        assert visit.is_quiet()
    visit.exit(9)
    assert finish(shim)[0] == 9


def test_stopped_time_does_not_count(door, shims):
    shim, visit = running(door, shims, preexec_fn=in_a_group_of_its_own, hasty=True)
    shim.send_signal(signal.SIGTSTP)
    assert visit.read_signal() == (signal.SIGTSTP, 1)
    assert os.WIFSTOPPED(wait_status(shim))
    time.sleep(2.5)
    shim.send_signal(signal.SIGCONT)
    assert visit.read_signal() == (signal.SIGCONT, 1)
    time.sleep(0.5)
    visit.exit(9)
    assert finish(shim)[0] == 9


def test_a_door_that_goes_on_while_the_shim_is_stopped(door, shims):
    shim, visit = running(door, shims, preexec_fn=in_a_group_of_its_own)
    shim.send_signal(signal.SIGTSTP)
    assert visit.read_signal() == (signal.SIGTSTP, 1)
    assert os.WIFSTOPPED(wait_status(shim))
    visit.exit(9)
    visit.socket.shutdown(1)
    assert visit.is_quiet()
    shim.send_signal(signal.SIGCONT)
    assert finish(shim)[0] == 9


@pytest.mark.parametrize("ack", [None, PENDING])
def test_stop_while_waiting(door, shims, ack):
    """The door hears of it: what starts meanwhile is stopped as well."""
    shim = shims.start("git", preexec_fn=in_a_group_of_its_own)
    visit = door.request()
    if ack:
        visit.ack(ack)
    wait_until(lambda: is_waiting(shim))
    shim.send_signal(signal.SIGTSTP)
    assert os.WIFSTOPPED(wait_status(shim))
    assert visit.read_signal() == (signal.SIGTSTP, 1)
    visit.ack(ALLOWED)
    assert visit.is_quiet()
    shim.send_signal(signal.SIGCONT)
    assert visit.read_signal() == (signal.SIGCONT, 1)
    assert visit.is_quiet()
    visit.exit(9)
    assert finish(shim)[0] == 9


def test_stop_while_sending(door, shims):
    """No frame may stand in the middle of the request."""
    shim = shims.start("git", *["x" * 100_000] * 15, preexec_fn=in_a_group_of_its_own)
    visit = door.accept()
    wait_until(lambda: is_waiting(shim))  # for room
    shim.send_signal(signal.SIGTSTP)
    assert os.WIFSTOPPED(wait_status(shim))
    shim.send_signal(signal.SIGCONT)
    visit.read_request().ack(ALLOWED)
    assert visit.is_quiet()
    visit.exit(9)
    assert finish(shim)[0] == 9


def assert_goes_on(shim, visit):
    """Neither the shim is stopped nor, as far as the door has heard, the command."""
    shim.send_signal(signal.SIGWINCH)  # the highest number, so the last of all that is pending
    last, seen = None, None
    while seen != signal.SIGWINCH:
        last, seen = seen, visit.read_signal()[0]
    assert last in (None, signal.SIGCONT)


@pytest.mark.parametrize("number", [signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU])
@pytest.mark.parametrize("ack", [None, ALLOWED])
def test_a_continuation_is_never_lost(door, shims, number, ack):
    """At whatever moment of the stop it comes: before it, while the door is told, after it."""
    shim = shims.start("git", preexec_fn=in_a_group_of_its_own)
    visit = door.request()
    if ack is not None:
        visit.ack(ack)
    wait_until(lambda: is_waiting(shim))
    for i in range(50):
        shim.send_signal(number)
        if i % 3 == 1:
            time.sleep(i / 1000)
        elif i % 3 == 2:
            while not visit.is_quiet(0):
                visit.read_signal()
            # The stop is told, or was before: a stopped shim that is continued and stopped again
            # before it runs has nothing new to say.
            wait_until(lambda: not visit.is_quiet(0) or state_of(shim.pid) == "T")
        shim.send_signal(signal.SIGCONT)
        if ack is not None:
            assert_goes_on(shim, visit)
    if ack is None:
        visit.ack(ALLOWED)
        assert_goes_on(shim, visit)
    visit.exit(9)
    assert finish(shim)[0] == 9


def test_continued_though_that_is_blocked(door, shims):
    """SIGCONT continues even who blocks or ignores it (signal(7)), so the command goes on too."""
    def arrange():
        os.setpgid(0, 0)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCONT])

    shim, visit = running(door, shims, preexec_fn=arrange)
    shim.send_signal(signal.SIGTSTP)
    assert visit.read_signal() == (signal.SIGTSTP, 1)
    assert os.WIFSTOPPED(wait_status(shim))
    shim.send_signal(signal.SIGCONT)
    assert visit.read_signal() == (signal.SIGCONT, 1)
    visit.exit(9)
    assert finish(shim)[0] == 9


def test_no_stop_where_nobody_could_continue(door, shims):
    """An orphaned process group (a session of its own, as under `docker exec`)."""
    shim, visit = running(door, shims, start_new_session=True)
    shim.send_signal(signal.SIGTSTP)
    assert visit.read_signal() == (signal.SIGTSTP, 1)
    assert visit.read_signal() == (signal.SIGCONT, 1)
    assert state_of(shim.pid) != "T"
    visit.exit(9)
    assert finish(shim)[0] == 9


def with_signal(number, disposition):
    def arrange():
        os.setpgid(0, 0)
        signal.signal(number, disposition)
    return arrange


@pytest.mark.parametrize("number", [signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU])
def test_stop_that_is_ignored(door, shims, number):
    shim = shims.start("git", preexec_fn=with_signal(number, signal.SIG_IGN))
    visit = door.request()
    wait_until(lambda: is_waiting(shim))
    shim.send_signal(number)
    visit.ack(ALLOWED)
    shim.send_signal(number)
    shim.send_signal(signal.SIGWINCH)
    assert visit.read_signal() == (signal.SIGWINCH, 0)
    assert state_of(shim.pid) != "T"
    visit.exit(9)
    assert finish(shim)[0] == 9


def test_another_stop_than_the_ignored_one(door, shims):
    shim, visit = running(door, shims, preexec_fn=with_signal(signal.SIGTSTP, signal.SIG_IGN))
    shim.send_signal(signal.SIGTSTP)
    shim.send_signal(signal.SIGTTIN)
    assert visit.read_signal() == (signal.SIGTSTP, 1)
    status = wait_status(shim)
    assert os.WIFSTOPPED(status) and os.WSTOPSIG(status) == signal.SIGTTIN
    shim.send_signal(signal.SIGCONT)
    assert visit.read_signal() == (signal.SIGCONT, 1)
    visit.exit(9)
    assert finish(shim)[0] == 9


def test_stop_that_is_blocked(door, shims):
    def arrange():
        os.setpgid(0, 0)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTSTP])

    shim, visit = running(door, shims, preexec_fn=arrange)
    shim.send_signal(signal.SIGTSTP)
    shim.send_signal(signal.SIGWINCH)
    assert visit.read_signal() == (signal.SIGWINCH, 0)
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
