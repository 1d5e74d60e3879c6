"""Variables that make an allowed program run something else."""

import os

import pytest

from harness import allow

MARK = "mark"


@pytest.fixture
def warden(make_warden):
    warden = make_warden(allow("git", "bash", "sh", "python3", "perl", "ls", "env", "man"))
    warden.own("evil", f"#!/bin/sh\ntouch {warden.work}/mark\n")
    return warden


def attack(warden, env, *command):
    """In the home directory, so that only the variable can lead to what lies in `work` (@)."""
    env, command = ({name: value.replace("@", warden.work) for name, value in env.items()},
                    [word.replace("@", warden.work) for word in command])
    warden.shim(*command, env=env, timeout=30, cwd=warden.home)
    for directory in (warden.work, warden.home):
        assert not os.path.exists(os.path.join(directory, MARK)), f"{env} ran something"


def test_ld_preload(warden):
    source = os.path.join(warden.base, "evil.c")
    library = os.path.join(warden.work, "evil.so")
    with open(source, "w") as file:
        file.write("#include <fcntl.h>\n__attribute__((constructor)) static void f(void)"
                   f"{{ open(\"{warden.work}/mark\", O_CREAT | O_WRONLY, 0644); }}\n")
    assert os.system(f"gcc -shared -fPIC -o {library} {source}") == 0
    for name in ("LD_PRELOAD", "LD_AUDIT"):
        # Set for the command only: the shim itself is not ours to protect. It is static, so the
        # variable cannot reach it; in a sanitizer build it can, and then the mark is the shim's.
        if "asan" in os.environ.get("CLAWRDEN_BUILD", ""):
            pytest.skip("the shim of a sanitizer build is not static")
        attack(warden, {name: library}, "ls")


@pytest.mark.parametrize("env, command", [
    ({"BASH_ENV": "@/evil"}, ("bash", "-c", "true")),
    ({"ENV": "@/evil"}, ("sh", "-c", "true")),
    ({"BASH_FUNC_true%%": "() { touch @/mark; }"}, ("bash", "-c", "true")),
    ({"PROMPT_COMMAND": "touch @/mark"}, ("bash", "-c", "true")),
    ({"SHELLOPTS": "xtrace", "PS4": "$(touch @/mark)"}, ("bash", "-c", "true")),
    ({"PYTHONSTARTUP": "@/evil"}, ("python3", "-c", "pass")),
    ({"PYTHONPATH": "@"}, ("python3", "-c", "import evilmodule")),
    ({"PYTHONHOME": "@"}, ("python3", "-c", "pass")),
    ({"PERL5OPT": "-Mevil", "PERL5LIB": "@"}, ("perl", "-e", "1")),
    ({"GIT_SSH_COMMAND": "@/evil"}, ("git", "ls-remote", "ssh://localhost/x")),
    ({"GIT_SSH": "@/evil"}, ("git", "ls-remote", "ssh://localhost/x")),
    ({"GIT_PROXY_COMMAND": "@/evil"}, ("git", "ls-remote", "git://localhost/x")),
    ({"GIT_EXTERNAL_DIFF": "@/evil"}, ("git", "diff", "--no-index", "/etc/passwd", "/etc/group")),
    ({"GIT_PAGER": "@/evil"}, ("git", "--paginate", "version")),
    ({"PAGER": "@/evil"}, ("git", "--paginate", "version")),
    ({"GIT_EXEC_PATH": "@"}, ("git", "evil")),
    ({"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.fsmonitor", "GIT_CONFIG_VALUE_0": "@/evil"},
     ("git", "status")),
    ({"GIT_CONFIG_PARAMETERS": "'alias.version2=!touch @/mark'"}, ("git", "version2")),
    ({"GIT_CONFIG_GLOBAL": "@/gitconfig"}, ("git", "evilalias")),
    ({"GIT_TRACE2_EVENT": "@/mark"}, ("git", "version")),
    ({"GIT_TEMPLATE_DIR": "@/template"}, ("git", "init", "-q", "@/repo")),
    ({"GCONV_PATH": "@"}, ("ls",)),
])
def test_a_variable_runs_nothing(warden, env, command):
    mark = os.path.join(warden.work, MARK)
    warden.own("evilmodule.py", f"open('{mark}', 'w')\n")
    warden.own("evil.pm", f"package evil; open(F, '>{mark}'); 1;\n")
    warden.own("git-evil", f"#!/bin/sh\ntouch {mark}\n")
    warden.own("gitconfig", f"[alias]\n\tevilalias = !touch {mark}\n")
    attack(warden, env, *command)
