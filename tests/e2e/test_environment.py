"""What of the environment reaches a command, and where commands are looked up."""

import os

import pytest

from harness import PRISONER, allow, ask, finish

quick = pytest.mark.quick


def environment_of(result):
    return dict(entry.split("=", 1) for entry in result.stdout.split("\0") if "=" in entry)


@quick
def test_useful_variables_pass(make_warden):
    warden = make_warden(allow("env"))
    seen = environment_of(warden.shim("env", "-0", env={
        "LC_TIME": "C", "TERM": "xterm", "TZ": "UTC", "NODE_ENV": "test"}))
    for name in ("PATH", "HOME", "LANG", "LC_TIME", "TERM", "TZ", "NODE_ENV"):
        assert name in seen, f"{name} is missing in {seen}"
    assert seen["HOME"] == warden.home


@quick
def test_dangerous_variables_do_not(make_warden):
    warden = make_warden(allow("env"))
    bad = ["LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "DOCKER_HOST", "KUBECONFIG", "BASH_ENV", "ENV",
           "PYTHONSTARTUP", "PYTHONPATH", "NODE_OPTIONS", "PERL5OPT", "RUBYOPT", "GIT_SSH_COMMAND",
           "GIT_EXTERNAL_DIFF", "GIT_EDITOR", "GIT_PAGER", "GIT_EXEC_PATH", "GIT_CONFIG_COUNT",
           "GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_0", "GIT_ASKPASS", "GIT_PROXY_COMMAND",
           "BASH_FUNC_ls%%", "IFS", "SECRET_TOKEN", "AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK",
           "GCONV_PATH", "LOCPATH", "MALLOC_CHECK_", "PROMPT_COMMAND", "SHELLOPTS", "BASHOPTS", "PS4"]
    seen = environment_of(warden.shim("env", "-0", env={name: "/nonexistent" for name in bad}))
    assert seen.pop("GIT_PAGER") == "cat"  # the executor's own: no pager that runs commands
    assert not set(seen) & set(bad), set(seen) & set(bad)


def test_our_own_variables_stay_outside_or_are_harmless(make_warden):
    warden = make_warden(allow("env"))
    seen = environment_of(warden.shim("env", "-0", env={"CLAWRDEN_WAIT": "5"}))
    assert "CLAWRDEN_WAIT" not in seen or seen["CLAWRDEN_WAIT"] == "5"


def test_odd_entries_are_dropped(make_warden):
    warden = make_warden(allow("env"))
    seen = warden.shim("env", "-0", env={"LC_ALL": "C\xff", "LANG": "two\nlines"})
    assert seen.code == 0


@quick
def test_path_never_finds_a_shim(make_warden):
    warden = make_warden(allow("echo"))
    warden.stand_in("echo")
    result = warden.agent("echo x", shims=["echo"],
                          env={"PATH": f"{warden.bin}:{warden.bin}/../bin:/usr/bin:/bin"})
    assert result.code == 0
    # sh has its own echo: ask for the program.
    result = warden.shim("echo", "real", env={"PATH": f"{warden.bin}:/usr/bin"})
    assert result.out == b"real\n"


def test_only_shims_on_path_is_not_found(make_warden):
    warden = make_warden(default_action="allow")
    result = warden.shim("echo", "x", env={"PATH": warden.bin})
    assert result.code == 127 and result.out == b""


def test_a_copied_or_linked_shim_is_not_found_either(make_warden):
    from harness import program
    import shutil
    warden = make_warden(default_action="allow")
    copies = os.path.join(warden.base, "copies")
    os.mkdir(copies)
    shutil.copy(program("clawrden-shim"), os.path.join(copies, "echo"))
    os.link(os.path.join(copies, "echo"), os.path.join(copies, "cat"))
    for name in ("echo", "cat"):
        result = warden.shim(name, "x", env={"PATH": f"{copies}"})
        assert result.code == 127, result
    result = warden.shim("echo", "x", env={"PATH": f"{copies}:/usr/bin"})
    assert result.out == b"x\n"


def test_a_shim_named_by_its_path_leads_to_the_real_program(make_warden):
    warden = make_warden(default_action="allow")
    result = warden.shim(warden.stand_in("echo"), "x")
    assert (result.code, result.out) == (0, b"x\n")


def test_nested_shims_ask_again(make_warden):
    warden = make_warden(allow("bash", "echo"), {"command": "id", "action": "deny", "reason": "nested"})
    warden.stand_in("bash", "id", "uname")
    script = "id; echo code:$?; uname; echo code:$?"
    result = warden.shim("bash", "-c", script)
    assert result.out == b"code:126\ncode:126\n", result
    assert "nested" in result.stderr


def test_a_nested_question(make_warden):
    warden = make_warden(allow("bash"), ask("touch"))
    warden.stand_in("bash", "touch")
    process = warden.spawn("bash", "-c", "touch mark; echo code:$?")
    warden.cli("approve", warden.pending_id())
    assert finish(process).out == b"code:0\n"
    assert os.path.exists(os.path.join(warden.work, "mark"))


def test_a_relative_path_entry_is_the_callers(make_warden):
    """`PATH=.` finds the prisoner's own program: never trusted by a rule on its name."""
    warden = make_warden(allow("git"))
    warden.own("git", "#!/bin/sh\necho hijacked\n")
    result = warden.shim("git", "status", env={"PATH": f".:{warden.work}:/usr/bin"})
    assert b"hijacked" not in result.out


def test_a_writable_directory_in_front_of_path(make_warden):
    warden = make_warden(allow("git"))
    directory = os.path.join(warden.work, "mine")
    os.mkdir(directory, 0o755)
    os.chown(directory, PRISONER, PRISONER)
    path = os.path.join(directory, "git")
    with open(path, "w") as file:
        file.write("#!/bin/sh\necho hijacked\n")
    os.chmod(path, 0o755)
    result = warden.shim("git", "--version", env={"PATH": f"{directory}:/usr/bin"})
    assert b"hijacked" not in result.out and result.code == 126
    # A file of root's in a directory of the prisoner's is no better.
    os.chown(path, 0, 0)
    assert b"hijacked" not in warden.shim("git", "x", env={"PATH": f"{directory}:/usr/bin"}).out


def test_a_link_of_the_prisoners_to_a_real_program(make_warden):
    """A link can be turned: its name vouches for nothing."""
    warden = make_warden(allow("harmless"))
    os.symlink("/usr/bin/id", os.path.join(warden.work, "harmless"))
    result = warden.shim("harmless", env={"PATH": f"{warden.work}:/usr/bin"})
    assert b"uid=" not in result.out


def test_scripts_run_with_their_path_and_arguments(make_warden):
    warden = make_warden(allow("hello"))
    warden.tool("hello", "#!/bin/sh -e\necho \"$0\" \"$#\" \"$2\"\n")
    result = warden.shim("hello", "a", "b c")
    if warden.privileged:
        assert result.out == f"{warden.tools}/hello 2 b c\n".encode(), result


def test_an_approved_script_of_the_prisoner_runs(make_warden):
    warden = make_warden(ask("mine"))
    warden.own("mine", "#!/bin/sh\necho own script: $1\n")
    process = warden.spawn("mine", "arg", env={"PATH": f"{warden.work}:/usr/bin:/bin"})
    warden.cli("approve", warden.pending_id())
    assert finish(process).out == b"own script: arg\n"


def test_an_approved_script_operand_runs(make_warden):
    warden = make_warden(ask("sh"))
    warden.own("script.sh", "echo operand: $1\n")
    process = warden.spawn("sh", "script.sh", "arg")
    warden.cli("approve", warden.pending_id())
    assert finish(process).out == b"operand: arg\n"
