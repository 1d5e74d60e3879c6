"""A person or an agent with a terminal."""

import os
import signal
import time

import pytest

from harness import SANITIZED, allow, ask, wait_for


def shim_knows(warden):
    """A key that interrupts a shim which still waits for its answer withdraws the command; one that
    comes later is the command's."""
    wait_for(lambda: warden.journal(event="started"))
    time.sleep(0.5)


def test_the_command_has_the_terminal(make_warden, terminal):
    warden = make_warden(allow("python3"))
    screen = terminal(warden, "python3", "-c",
                      "import os; print([os.isatty(i) for i in range(3)], os.ttyname(0)); "
                      "print('size', *os.get_terminal_size())", rows=31, columns=117)
    screen.expect("[True, True, True]")
    screen.expect("size 117 31")
    assert screen.wait() == 0


def test_typing(make_warden, terminal):
    warden = make_warden(allow("sh"))
    screen = terminal(warden, "sh", "-c", "read line; echo got:$line")
    screen.send("hello\n")
    screen.expect("got:hello")
    assert screen.wait() == 0


def test_the_window_changes(make_warden, terminal):
    warden = make_warden(allow("bash"))
    screen = terminal(warden, "bash", "-c",
                      "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.1; done")
    screen.expect("ready")
    screen.resize(40, 100)
    screen.expect("40 100")
    assert screen.wait() == 0


def test_ctrl_c_ends_the_command(make_warden, terminal):
    warden = make_warden(allow("sleep"))
    screen = terminal(warden, "sleep", "1234")
    wait_for(lambda: warden.journal(event="started"))
    screen.send("\x03")
    assert screen.wait() == -signal.SIGINT


def test_ctrl_c_may_be_handled(make_warden, terminal):
    warden = make_warden(allow("bash"))
    screen = terminal(warden, "bash", "-c",
                      "trap 'echo cau''ght; exit 9' INT; echo rea''dy; while :; do sleep 0.1; done")
    screen.expect("ready")
    shim_knows(warden)
    screen.send("\x03")
    screen.expect("caught")
    assert screen.wait() == 9


def test_ctrl_c_comes_once(make_warden, terminal):
    warden = make_warden(allow("python3"))
    screen = terminal(warden, "python3", "-c",
                      "import signal, time\nn = []\nsignal.signal(2, lambda *a: n.append(1))\n"
                      "print('rea' + 'dy', flush=True)\n"
                      "t = time.time()\nwhile time.time() - t < 1.5: time.sleep(0.1)\n"
                      "print('count', len(n))")
    screen.expect("ready")
    shim_knows(warden)
    screen.send("\x03")
    screen.expect("count 1")


def test_ctrl_backslash_quits(make_warden, terminal):
    warden = make_warden(allow("sleep"))
    screen = terminal(warden, "sleep", "1234")
    wait_for(lambda: warden.journal(event="started"))
    screen.send("\x1c")
    assert screen.wait() in (-signal.SIGQUIT, 128 + signal.SIGQUIT)


def test_ctrl_z_and_fg_under_a_shell(make_warden, terminal):
    warden = make_warden(allow("bash"))
    warden.stand_in("bash")
    screen = terminal(warden, "/bin/bash", "--norc", "--noprofile", "-i", through_shim=False,
                      env={"PS1": "prompt> ", "HISTFILE": None})
    screen.expect("prompt> ")
    screen.send(f"{warden.bin}/bash -c 'echo be''gin; read line; echo got:$line'\n")
    screen.expect("begin")
    screen.send("\x1a")
    screen.expect("Stopped")
    screen.expect("prompt> ")
    screen.send("echo shell-is-$((1+1))\n")
    screen.expect("shell-is-2")
    screen.send("jobs\n")
    screen.expect("Stopped")
    screen.send("fg\n")
    screen.expect("bash -c")
    screen.send("hello\n")
    screen.expect("got:hello")
    screen.send("exit\n")
    screen.wait()


def test_ctrl_c_while_pending(make_warden, terminal):
    warden = make_warden(ask("touch"))
    screen = terminal(warden, "touch", "mark")
    screen.expect("waiting for approval")
    screen.send("\x03")
    assert screen.wait() == -signal.SIGINT
    wait_for(lambda: warden.queue() == [])
    assert not os.path.exists(os.path.join(warden.work, "mark"))


def test_a_script_in_a_terminal_goes_on_after_ctrl_c(make_warden, terminal):
    warden = make_warden(allow("sleep"))
    warden.stand_in("sleep")
    screen = terminal(warden, "/bin/bash", "-c", "trap : INT; sleep 1234; echo code:$?; sleep 0; echo end",
                      through_shim=False)
    wait_for(lambda: warden.journal(event="started"))
    screen.send("\x03")
    screen.expect("code:130")
    screen.expect("end")


def test_the_terminal_is_sane_afterwards(make_warden, terminal):
    warden = make_warden(allow("stty"))
    screen = terminal(warden, "stty", "-a")
    before = screen.expect("iexten")
    assert "speed" in before
    assert screen.wait() == 0


@pytest.mark.skipif(SANITIZED, reason="the sanitizers' run-time itself needs more than this")
def test_a_pager_like_program(make_warden, terminal):
    warden = make_warden(allow("python3"))
    screen = terminal(warden, "python3", "-c",
                      "import sys, termios, tty\nold = termios.tcgetattr(0)\ntty.setraw(0)\n"
                      "print('ra' + 'w', flush=True)\nkey = sys.stdin.read(1)\n"
                      "termios.tcsetattr(0, termios.TCSANOW, old)\nprint('key', ord(key))")
    screen.expect("raw")
    screen.send("\x03")
    screen.expect("key 3")
    assert screen.wait() == 0
