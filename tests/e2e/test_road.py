"""The road of one command: intercepted, judged, run, ended as the command ended."""

import os
import signal

import pytest

from harness import IS_ROOT, PRISONER, allow, policy, wait_for

quick = pytest.mark.quick


@quick
def test_an_allowed_command_runs_with_its_output(make_warden):
    warden = make_warden(allow("echo"))
    result = warden.shim("echo", "hello", "two  words")
    assert (result.code, result.out, result.err) == (0, b"hello two  words\n", b"")


@quick
def test_stdout_and_stderr_stay_apart(make_warden):
    warden = make_warden(allow("sh"))
    result = warden.shim("sh", "-c", "echo out; echo err >&2; exit 7")
    assert (result.code, result.out, result.err) == (7, b"out\n", b"err\n")


@quick
def test_a_denied_command_does_not_run_and_says_why(make_warden):
    warden = make_warden({"name": "no-force-push", "command": "touch", "action": "deny",
                          "reason": "nothing may be touched; read instead"}, allow("echo"))
    result = warden.shim("touch", "mark")
    assert result.code == 126 and result.out == b""
    assert result.stderr.startswith("clawrden: denied: touch mark")
    assert "no-force-push" in result.stderr and "nothing may be touched; read instead" in result.stderr
    assert result.err.count(b"\n") == 1
    assert not os.path.exists(os.path.join(warden.work, "mark"))


@quick
def test_what_no_rule_names_is_denied(make_warden):
    warden = make_warden(allow("echo"))
    result = warden.shim("id")
    assert result.code == 126 and result.out == b""
    assert result.stderr.startswith("clawrden: denied: id")


def test_default_action_allow(make_warden):
    warden = make_warden({"command": "id", "action": "deny"}, default_action="allow")
    assert warden.shim("echo", "x").out == b"x\n"
    assert warden.shim("id").code == 126


def test_the_first_rule_that_matches_wins(make_warden):
    warden = make_warden({"command": "echo", "argv": {"any": ["secret"]}, "action": "deny"},
                         allow("echo"), {"command": "echo", "action": "deny"})
    assert warden.shim("echo", "open").out == b"open\n"
    assert warden.shim("echo", "a", "secret").code == 126


@quick
def test_a_command_that_does_not_exist(make_warden):
    warden = make_warden(default_action="allow")
    result = warden.shim("no-such-command-anywhere", "x")
    assert result.code == 127 and result.out == b""
    assert "no-such-command-anywhere" in result.stderr


def test_a_command_that_cannot_be_executed(make_warden):
    warden = make_warden(default_action="allow")
    path = warden.own("data", "not a program\n")
    os.chmod(path, 0o644)
    result = warden.shim(path)
    assert result.code == 126 and result.stderr.startswith("clawrden: ")


def test_every_exit_code(make_warden):
    warden = make_warden(allow("sh"))
    script = "for i in $(seq 0 255); do sh -c \"exit $i\"; [ $? = $i ] || echo $i; done; echo done"
    result = warden.agent(script, shims=["sh"], timeout=120)
    assert result.out == b"done\n", result


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGHUP,
                                    signal.SIGPIPE, signal.SIGUSR1, signal.SIGABRT, signal.SIGINT])
def test_death_by_signal_comes_back_as_it_was(make_warden, number):
    warden = make_warden(allow("sh"))
    result = warden.shim("sh", "-c", f"kill -{int(number)} $$")
    assert result.code == -number


def test_signal_death_is_in_the_journal(make_warden):
    warden = make_warden(allow("sh"))
    warden.shim("sh", "-c", "kill -9 $$")
    assert warden.recorded(event="ended")["signal"] == 9


@quick
def test_direct_mode(make_warden):
    warden = make_warden(allow("echo", "/bin/echo", "/usr/bin/echo"))
    assert warden.shim("echo", "a", direct=True).out == b"a\n"
    assert warden.shim("/usr/bin/echo", "b").out == b"b\n"


def test_the_working_directory_is_the_callers(make_warden):
    warden = make_warden(allow("pwd", "cat"))
    deep = os.path.join(warden.work, "a b", "ü\n")
    os.makedirs(deep)
    with open(os.path.join(deep, "file"), "w") as file:
        file.write("content")
    assert warden.shim("pwd", cwd=deep).out == os.fsencode(deep) + b"\n"
    assert warden.shim("cat", "file", cwd=deep).out == b"content"


def test_a_working_directory_that_was_removed(make_warden):
    warden = make_warden(allow("echo"))
    gone = os.path.join(warden.work, "gone")
    os.mkdir(gone)
    warden.stand_in("echo")
    result = warden.agent(f"cd {gone} && rmdir {gone} && echo x", shims=["echo"])
    # Either an honest run or a refusal: never a hang, never another directory's name.
    assert result.code in (0, 125, 126)
    if result.code:
        assert result.stderr.startswith("clawrden: ")


EMPTY_OR_ODD = [
    [b""], [b"", b"", b"a", b""], [b" "], [b"two words"], [b"line\nbreak"], [b"tab\t"], [b"'\"\\$`*?"],
    [b"\xff\xfe\x80"], [bytes(range(1, 256))], ["ü→𐍈".encode()], [b"-n"], [b"--"], [b"\x1b[31mred"],
    ["\u202eright-to-left".encode()],
]


@pytest.mark.parametrize("arguments", EMPTY_OR_ODD, ids=range(len(EMPTY_OR_ODD)))
def test_arguments_arrive_as_bytes(make_warden, arguments):
    warden = make_warden(allow("printf"))
    result = warden.shim("printf", "<%s>\\0", *arguments)
    assert result.code == 0, result
    assert result.out == b"".join(b"<" + argument + b">\0" for argument in arguments)


def test_arguments_of_two_mebibytes(make_warden):
    warden = make_warden(allow("sh"))
    arguments = [b"x" * 100_000] * 20
    result = warden.shim("sh", "-c", 'echo $#; printf %s "$@" | wc -c', "sh", *arguments,
                         env={"PADDING": "y" * 60_000})
    assert result.out.split() == [b"20", b"2000000"], result.err


def test_thousands_of_arguments(make_warden):
    warden = make_warden(allow("sh"))
    result = warden.shim("sh", "-c", "echo $#", "sh", *(["a"] * 20_000))
    assert result.out == b"20000\n"


def test_more_than_the_protocol_carries_is_refused_clearly(make_warden):
    warden = make_warden(allow("true"))
    # The kernel takes up to 6 MiB where the stack limit is large enough; ask for all of it.
    script = "ulimit -s 60000 2>/dev/null; true " + "$(head -c 120000 /dev/zero | tr '\\0' x) " * 60
    result = warden.agent(script, shims=["true"], shell="/bin/bash",
                          env={"PATH": f"{warden.bin}:/usr/bin:/bin"})
    assert result.code in (126, 1, 0) or result.stderr, result
    if result.code == 126 and "clawrden" in result.stderr:
        assert "too long" in result.stderr or "too large" in result.stderr


@pytest.mark.root
def test_the_command_is_the_caller(make_warden):
    warden = make_warden(allow("sh"))
    result = warden.shim("sh", "-c", "id -u; id -g; id -G; grep -E 'NoNewPrivs|CapEff' /proc/self/status")
    assert result.stdout.split("\n")[:3] == [str(PRISONER)] * 3
    assert "NoNewPrivs:\t1" in result.stdout
    assert "CapEff:\t0000000000000000" in result.stdout


@pytest.mark.root
def test_supplementary_groups_are_kept(make_warden):
    warden = make_warden(allow("id"))
    result = warden.shim("id", "-G", extra_groups=[PRISONER, 54100, 54101])
    assert sorted(result.stdout.split()) == sorted([str(PRISONER), "54100", "54101"])


def test_the_commands_umask_and_limits_are_the_callers(make_warden):
    warden = make_warden(allow("sh"))
    result = warden.agent("umask 027; ulimit -n 123; nice -n 5 sh -c 'umask; ulimit -n'", shims=["sh"])
    assert result.stdout.split() == ["0027", "123"]


def test_nothing_is_inherited_but_stdio(make_warden):
    warden = make_warden(allow("ls"))
    result = warden.shim("ls", "/proc/self/fd")
    # 3 is the directory that ls reads.
    assert result.stdout.split() == ["0", "1", "2", "3"]


def test_many_at_once(make_warden):
    warden = make_warden(allow("sh"))
    warden.stand_in("sh")
    running = [warden.spawn("sh", "-c", f"sleep 0.2; echo {i}; exit {i}") for i in range(60)]
    for i, process in enumerate(running):
        out, _ = process.communicate(timeout=60)
        assert (process.returncode, out) == (i, b"%d\n" % i)
    wait_for(lambda: len(warden.journal(event="ended")) == 60)
    warden.verify()


def test_without_a_warden(make_warden):
    warden = make_warden(allow("echo"))
    result = warden.shim("echo", "x", env={"CLAWRDEN_SOCKET": "/nonexistent/warden.sock"})
    assert result.code == 125 and result.out == b""
    assert "cannot reach the warden" in result.stderr


def test_after_the_warden_has_stopped(make_warden):
    warden = make_warden(allow("echo"))
    warden.terminate()
    result = warden.shim("echo", "x")
    assert result.code == 125 and result.out == b"" and result.stderr.startswith("clawrden: ")


def test_allowed_paths(make_warden):
    outside = "/usr"
    warden = make_warden(allow("pwd"), warden_options={"start": False})
    warden.write_policy(policy(*allow("pwd"), allowed_paths=[warden.work + "/*"]))
    warden.start()
    os.makedirs(os.path.join(warden.work, "deep", "er"))
    assert warden.shim("pwd").code == 0
    assert warden.shim("pwd", cwd=os.path.join(warden.work, "deep", "er")).code == 0
    result = warden.shim("pwd", cwd=outside)
    assert result.code == 126 and "allowed_paths" in result.stderr


def test_a_rule_may_name_a_user(make_warden):
    warden = make_warden({"command": "id", "uid": PRISONER, "action": "allow"})
    assert warden.shim("id", "-u").stdout.strip() == str(PRISONER)
    if IS_ROOT:
        assert warden.shim("id", "-u", uid=PRISONER + 7).code == 126


def test_jails_have_their_own_sockets(make_warden):
    warden = make_warden({"command": "echo", "jail": "blue", "action": "allow"},
                         jails={"blue": {"commands": ["echo"]}, "green": {"commands": ["echo"]}})
    assert warden.shim("echo", "x", jail="blue").out == b"x\n"
    assert warden.shim("echo", "x", jail="green").code == 126
    assert warden.shim("echo", "x").code == 126
    assert warden.recorded(event="judged", jail="blue")["command"] == "echo"
