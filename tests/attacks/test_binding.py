"""What was approved is what runs."""

import contextlib
import mmap
import os
import shutil
import subprocess
import time

import pytest

from harness import PRISONER, WAIT_FOREVER, Raw, allow, ask, finish, in_child, policy, wait_for

MARK = "mark"


def mark_of(warden):
    return os.path.join(warden.work, MARK)


def give(path):
    if os.geteuid() == 0:
        os.chown(path, PRISONER, PRISONER)


def ask_then(warden, change, *command, env=None, approve=True):
    """Asks, lets the attacker change something, approves, and returns how it ended."""
    process = warden.spawn(*command, stdin=subprocess.DEVNULL, env=env)
    request = warden.pending_id()
    change()
    if approve:
        warden.cli("approve", request)
    return finish(process), request


def must_not_run(warden, result, request, drift=True):
    assert result.code in (125, 126), result
    assert not os.path.exists(mark_of(warden)), "the changed program ran"
    assert result.stderr.count("clawrden: ")
    if drift:
        assert warden.recorded(event="drift", request=request)
    assert warden.shim("true").code == 0
    warden.verify()


@pytest.fixture
def warden(make_warden):
    return make_warden(ask("mine", "sh", "python3", "tool"), allow("true"))


def evil(path):
    """A way to write other content of the same size into a script."""
    with open(path, "rb") as file:
        size = len(file.read())
    return b"#!/bin/sh\ntouch mark\n".ljust(size, b"#")


GOOD = "#!/bin/sh\necho original\n" + "# padding\n" * 20


def own_path(warden):
    return {"PATH": f"{warden.work}:/usr/bin:/bin"}


def test_unchanged_it_runs(warden):
    warden.own("mine", GOOD)
    result, _ = ask_then(warden, lambda: None, "mine", env=own_path(warden))
    assert (result.code, result.out) == (0, b"original\n"), result


def test_a_script_rewritten_in_place(warden):
    path = warden.own("mine", GOOD)

    def change():
        content = evil(path)
        with open(path, "r+b") as file:
            file.write(content)

    must_not_run(warden, *ask_then(warden, change, "mine", env=own_path(warden)))


def test_a_script_replaced_by_another_file(warden):
    path = warden.own("mine", GOOD)

    def change():
        other = warden.own("other", evil(path))
        os.rename(other, path)

    must_not_run(warden, *ask_then(warden, change, "mine", env=own_path(warden)))


def test_a_script_changed_and_its_times_put_back(warden):
    path = warden.own("mine", GOOD)

    def change():
        before = os.stat(path)
        content = evil(path)
        with open(path, "r+b") as file:
            file.write(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    must_not_run(warden, *ask_then(warden, change, "mine", env=own_path(warden)))


def test_a_script_changed_through_an_existing_mapping(warden):
    """Such a write moves no time stamp (a fact of ext4, tmpfs and overlay)."""
    path = warden.own("mine", GOOD)
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        content = evil(path)
        mapping[0:1] = mapping[0:1]  # the page is dirty: the next write needs no notification

        def change():
            mapping[:] = content

        must_not_run(warden, *ask_then(warden, change, "mine", env=own_path(warden)))


def test_a_script_operand_changed(warden):
    path = warden.own("script.sh", "echo original\n" + "# padding\n" * 20)

    def change():
        with open(path, "r+b") as file:
            file.write(b"touch mark\n")

    must_not_run(warden, *ask_then(warden, change, "sh", "script.sh"))


def test_a_script_operand_behind_a_link_that_turns(warden):
    warden.own("one.sh", "echo original\n")
    warden.own("two.sh", "touch mark\n")
    link = os.path.join(warden.work, "script.sh")
    os.symlink("one.sh", link)

    def change():
        os.unlink(link)
        os.symlink("two.sh", link)

    result, request = ask_then(warden, change, "sh", "script.sh")
    if result.code == 0:
        assert result.out == b"original\n" and not os.path.exists(mark_of(warden))
    else:
        must_not_run(warden, result, request, drift=False)


def test_a_directory_above_the_script_renamed(warden):
    directory = os.path.join(warden.work, "d")
    os.mkdir(directory)
    give(directory)
    warden.own("d/mine", GOOD)

    def change():
        os.rename(directory, directory + ".old")
        os.mkdir(directory)
        give(directory)
        warden.own("d/mine", evil(directory + ".old/mine"))

    must_not_run(warden, *ask_then(warden, change, "mine", env={"PATH": f"{directory}:/usr/bin:/bin"}),
                 drift=False)


def elf(warden, name, program):
    path = os.path.join(warden.work, name)
    shutil.copyfile(program, path)
    os.chmod(path, 0o755)
    give(path)
    return path


def test_an_approved_program_of_the_prisoner_runs(warden):
    elf(warden, "tool", "/usr/bin/echo")
    result, _ = ask_then(warden, lambda: None, "tool", "hello", env=own_path(warden))
    assert result.out == b"hello\n", result


def test_a_program_replaced(warden):
    path = elf(warden, "tool", "/usr/bin/echo")

    def change():
        other = elf(warden, "other", "/usr/bin/touch")
        os.rename(other, path)

    must_not_run(warden, *ask_then(warden, change, "tool", MARK, env=own_path(warden)))


def test_a_program_rewritten_in_place(warden):
    path = elf(warden, "tool", "/usr/bin/echo")

    def change():
        with open("/usr/bin/touch", "rb") as source, open(path, "r+b") as file:
            file.write(source.read())
            file.truncate()

    must_not_run(warden, *ask_then(warden, change, "tool", MARK, env=own_path(warden)))


def test_a_program_changed_through_an_existing_mapping(warden):
    path = elf(warden, "tool", "/usr/bin/touch")
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        mapping[-1:] = mapping[-1:]

        def change():
            mapping[-1:] = bytes([mapping[-1] ^ 0xFF])

        must_not_run(warden, *ask_then(warden, change, "tool", MARK, env=own_path(warden)))


def test_a_program_is_a_link_that_turns(warden):
    link = os.path.join(warden.work, "tool")
    os.symlink("/usr/bin/echo", link)

    def change():
        os.unlink(link)
        os.symlink("/usr/bin/touch", link)

    result, request = ask_then(warden, change, "tool", MARK, env=own_path(warden))
    if result.code == 0:
        assert result.out == b"mark\n" and not os.path.exists(mark_of(warden))
    else:
        must_not_run(warden, result, request, drift=False)


def test_a_program_that_appears_earlier_on_path(warden):
    first = os.path.join(warden.work, "first")
    os.mkdir(first)
    give(first)
    elf(warden, "tool", "/usr/bin/echo")

    def change():
        path = os.path.join(first, "tool")
        shutil.copyfile("/usr/bin/touch", path)
        os.chmod(path, 0o755)

    result, request = ask_then(warden, change, "tool", MARK,
                               env={"PATH": f"{first}:{warden.work}:/usr/bin:/bin"})
    if result.code == 0:
        assert result.out == b"mark\n" and not os.path.exists(mark_of(warden))
    else:
        must_not_run(warden, result, request, drift=False)


def test_a_running_script_cannot_be_changed_any_more(warden):
    """The shell reads a script as it goes: it must read the approved bytes to the end."""
    path = warden.own("mine", "#!/bin/sh\necho begin\nsleep 1\necho original\n" + "# padding\n" * 500)
    process = warden.spawn("mine", stdin=subprocess.DEVNULL, env=own_path(warden))
    request = warden.pending_id()
    warden.cli("approve", request)
    wait_for(lambda: warden.journal(event="started", request=request))
    time.sleep(0.3)
    with open(path, "r+b") as file:
        file.write(b"#!/bin/sh\necho begin\nsleep 1\ntouch mark #")
    result = finish(process)
    assert b"original" in result.out and not os.path.exists(mark_of(warden)), result


def test_a_working_directory_replaced(warden):
    """The directory is the one that was open when it was asked about, whatever its name now is."""
    inner = os.path.join(warden.work, "inner")
    os.mkdir(inner)
    give(inner)
    process = warden.spawn("sh", "-c", "touch mark; pwd -P", cwd=inner, stdin=subprocess.DEVNULL)
    request = warden.pending_id()
    os.rename(inner, inner + ".old")
    os.symlink("/tmp", inner)
    warden.cli("approve", request)
    result = finish(process)
    assert not os.path.exists("/tmp/mark")
    if result.code == 0:
        assert os.path.exists(os.path.join(inner + ".old", "mark"))
    else:
        assert result.code in (125, 126)


# allowed_paths: the directory counts, not what anybody calls it.

@pytest.fixture
def fenced(make_warden):
    warden = make_warden(warden_options={"start": False})
    for name in ("inside", "inside/deep", "inside-not", "outside"):
        path = os.path.join(warden.work, name)
        os.mkdir(path)
        give(path)
    warden.write_policy(policy(*allow("pwd"), allowed_paths=[os.path.join(warden.work, "inside") + "/*"]))
    warden.start()
    return warden


@pytest.mark.parametrize("spelling, good", [
    ("inside", True), ("inside/deep", True), ("inside/../inside/deep", True), ("inside//deep/.", True),
    ("outside/../inside", True), ("inside/..", False), ("inside/../outside", False),
    ("inside-not", False), ("outside", False), ("inside/deep/../../outside", False), ("inside/link", False),
    ("linked-in", True),
])
def test_spellings_of_a_directory(fenced, spelling, good):
    os.symlink("../outside", os.path.join(fenced.work, "inside", "link"))
    os.symlink("inside/deep", os.path.join(fenced.work, "linked-in"))
    result = fenced.agent(f"cd '{fenced.work}/{spelling}' && exec {fenced.stand_in('pwd')} -P")
    assert result.code == (0 if good else 126), result


def lie_about_cwd(path, claimed, real):
    raw = Raw(path)
    opened = [os.open("/dev/null", os.O_RDWR) for _ in range(3)]
    opened.append(os.open(real, os.O_PATH | os.O_DIRECTORY))
    from harness import request
    with contextlib.suppress(BrokenPipeError):  # refused before it was all sent: read why
        raw.send(request(["pwd"], cwd=claimed, flags=15, wait_ms=WAIT_FOREVER), opened)
    return raw.answer()


def test_a_lie_about_the_directory(fenced):
    inside, outside = (os.path.join(fenced.work, name) for name in ("inside", "outside"))
    ack, code, _ = in_child(lie_about_cwd, fenced.socket_path(), inside, outside)
    assert ack != 0 and code == 126
    for claimed in (inside + "/../inside", "/", "", "relative", "\n", inside + "/./"):
        ack, code, _ = in_child(lie_about_cwd, fenced.socket_path(), claimed, outside)
        assert ack != 0 and code in (125, 126)


def test_a_directory_moved_out_while_it_is_asked_about(make_warden):
    warden = make_warden(warden_options={"start": False})
    inside = os.path.join(warden.work, "inside")
    os.mkdir(inside)
    os.mkdir(os.path.join(inside, "here"))
    for path in (inside, os.path.join(inside, "here")):
        give(path)
    warden.write_policy(policy(*ask("touch"), allowed_paths=[inside + "/*"]))
    warden.start()
    process = warden.spawn("touch", MARK, cwd=os.path.join(inside, "here"), stdin=subprocess.DEVNULL)
    request = warden.pending_id()
    os.rename(os.path.join(inside, "here"), os.path.join(warden.work, "moved"))
    warden.cli("approve", request)
    result = finish(process)
    assert result.code in (125, 126), result
    assert not os.path.exists(os.path.join(warden.work, "moved", MARK))
