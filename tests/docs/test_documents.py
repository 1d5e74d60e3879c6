"""What the documents show is tried: policies load, commands run, links lead somewhere."""

import os
import re
import subprocess

import pytest

from harness import ROOT, program

DOCUMENTS = sorted(
    [name for name in os.listdir(ROOT) if name.endswith(".md")] +
    [os.path.join(directory[len(ROOT) + 1:], name)
     for directory, _, names in os.walk(os.path.join(ROOT, "docs"))
     for name in names if name.endswith(".md")])

# Fenced blocks: the info string says what is done with them.
#   ```yaml           loads with `clawrden-cli policy check`
#   ```yaml fragment  shows a part only
#   ```sh test        runs, in an empty directory with the programs on PATH
BLOCK = re.compile(r"^```(\S+)[ \t]*([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


def blocks(language, documents):
    found = []
    for name in documents:
        text = read(name)
        for match in BLOCK.finditer(text):
            if match.group(1) == language:
                line = text.count("\n", 0, match.start()) + 1
                found.append(pytest.param(match.group(2).split(), match.group(3), id=f"{name}:{line}"))
    return found


def path_with_programs():
    directory = os.path.dirname(program("clawrden-cli"))
    for name in ("clawrden-warden", "clawrden-shim"):
        program(name)
    return f"{directory}:/usr/sbin:/usr/bin:/sbin:/bin"


POLICIES = [name for name in DOCUMENTS if name in ("README.md", "docs/policy.md")]


@pytest.mark.parametrize("words, text", blocks("yaml", POLICIES))
def test_a_policy_in_a_document_loads(words, text, tmp_path):
    if "fragment" in words:
        pytest.skip("a fragment")
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    result = subprocess.run([program("clawrden-cli"), "policy", "check", str(path)],
                            capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("words, text", [block for block in blocks("sh", DOCUMENTS)
                                         if "test" in block.values[0]])
def test_commands_in_a_document_run(words, text, tmp_path):
    result = subprocess.run(["/bin/sh", "-eu", "-c", text], capture_output=True, text=True, timeout=60,
                            cwd=tmp_path, stdin=subprocess.DEVNULL,
                            env={"PATH": path_with_programs(), "HOME": str(tmp_path)})
    assert result.returncode == 0, result.stdout + result.stderr


def anchors(text):
    """As code hosts make them from headings."""
    found = set()
    for heading in re.findall(r"^#+ +(.*)$", re.sub(BLOCK, "", text), re.MULTILINE):
        plain = re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        found.add(re.sub(r"\s", "-", re.sub(r"[^\w\- ]", "", plain)))
    return found


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name):
    text = re.sub(BLOCK, "", read(name))
    text = re.sub(r"`[^`\n]*`", "", text)
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        full = os.path.normpath(os.path.join(ROOT, os.path.dirname(name), path)) if path else \
            os.path.join(ROOT, name)
        if not os.path.exists(full):
            wrong.append(target)
        elif anchor and full.endswith(".md"):
            if anchor not in anchors(read(os.path.relpath(full, ROOT))):
                wrong.append(target)
    assert not wrong, wrong


@pytest.mark.parametrize("name", [
    "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md",
    "docs/protocol.md", "docs/policy.md", "docs/security-model.md", "docs/performance.md",
    "docs/dependencies.md"])
def test_the_document_is_there(name):
    assert len(read(name)) > 300


def test_the_readme_names_the_two_commands():
    text = read("README.md")
    assert "make demo" in text and "make test" in text


MAN = os.path.join(ROOT, "docs", "man")


@pytest.mark.parametrize("name", sorted(name for name in os.listdir(MAN) if name.endswith(".scd")))
def test_a_man_page_is_well_formed(name):
    with open(os.path.join(MAN, name), "rb") as source:
        result = subprocess.run(["scdoc"], stdin=source, capture_output=True, timeout=20)
    assert result.returncode == 0 and result.stdout, result.stderr


def test_the_programs_have_man_pages():
    for page in ("clawrden-warden.8", "clawrden-cli.1", "clawrden-shim.1", "clawrden-policy.5"):
        assert os.path.exists(os.path.join(MAN, page + ".scd")), page


def test_every_option_is_in_the_man_page():
    for name, page in (("clawrden-warden", "clawrden-warden.8"), ("clawrden-cli", "clawrden-cli.1")):
        text = subprocess.run([program(name), "--help"], capture_output=True, text=True, timeout=20).stdout
        with open(os.path.join(MAN, page + ".scd"), encoding="utf-8") as file:
            manual = file.read().replace("\\", "")
        missing = [option for option in set(re.findall(r"--[a-z][a-z-]+", text)) if option not in manual]
        assert not missing, f"{page}: {missing}"


def test_every_key_of_a_policy_is_explained():
    keys = set()
    for name in ("schema.c", "schema-rule.c", "schema-ask.c", "schema-argv.c"):
        keys |= set(re.findall(r'\{"(\w+)", (?:schema_)?read_\w+\}', read(f"src/policy/{name}")))
    assert {"grant", "approvals", "rate", "most", "command", "jails", "only"} <= keys
    reference = read("docs/policy.md")
    manual = read("docs/man/clawrden-policy.5.scd").replace("\\", "")
    for key in sorted(keys):
        assert re.search(rf"`[^`]*\b{key}\b[^`]*`", reference), f"docs/policy.md: {key}"
        assert re.search(rf"\b{key}\b", manual), f"clawrden-policy(5): {key}"


def grants():
    """The rows of docs/policy.md that say which tools can have a wider grant."""
    text = read("docs/policy.md").split("| `grant` | tools |")[1].split("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == 3
    for form, tools in rows:
        for tool in re.findall(r"`([^`]+)`", tools):
            yield pytest.param(form.strip("`"), tool.split(" "), id=f"{form} {tool}")


@pytest.mark.parametrize("form, tool", grants())
def test_a_tool_can_have_the_grant_that_is_documented(form, tool, tmp_path):
    after = f"argv: {{after: [{tool[1]}]}}, " if len(tool) > 1 else ""
    path = tmp_path / "policy.yaml"
    if ":" in form and form[0] != "[":
        form = "{" + form + "}"
    path.write_text(f"rules:\n  - {{command: {tool[0]}, {after}action: ask, grant: {form}}}\n")
    result = subprocess.run([program("clawrden-cli"), "policy", "check", str(path)],
                            capture_output=True, text=True, timeout=30)
    assert result.returncode == 0 and "0 warnings" in result.stdout, result.stdout + result.stderr


def test_every_dependency_has_its_line():
    build = read("meson.build")
    documented = read("docs/dependencies.md")
    for name in re.findall(r"dependency\('([a-z0-9_-]+)'", build):
        stem = name.removeprefix("lib").split("_")[0].split("-")[0].rstrip("0123456789")
        assert stem in documented or stem == "threads", f"{name} is not in docs/dependencies.md"


def test_the_versions_agree():
    version = re.search(r"version: '([0-9.]+)'", read("meson.build")).group(1)
    assert f"## {version}" in read("CHANGELOG.md")


def test_no_unit_file_names_a_program_that_is_not_installed(tmp_path):
    subprocess.run([os.path.join(ROOT, "scripts", "install")], check=True, timeout=60, capture_output=True,
                   env={"PATH": "/usr/bin:/bin", "PREFIX": "/usr", "SYSCONFDIR": "/etc",
                        "DESTDIR": str(tmp_path), "BUILD": os.environ.get("CLAWRDEN_BUILD", "build")})
    unit = (tmp_path / "usr/lib/systemd/system/clawrden-warden.service").read_text()
    assert "@" not in re.sub(r"#.*", "", unit)
    for path in re.findall(r"^Exec\w+=(\S*clawrden\S*)", unit, re.MULTILINE):
        assert os.access(tmp_path / path.lstrip("/"), os.X_OK), path
    assert (tmp_path / "etc/clawrden/policy.yaml").stat().st_size > 100
    check = subprocess.run([tmp_path / "usr/bin/clawrden-cli", "policy", "check",
                            tmp_path / "etc/clawrden/policy.yaml"], capture_output=True, timeout=20)
    assert check.returncode == 0, check
