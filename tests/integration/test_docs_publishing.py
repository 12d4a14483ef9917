"""docs/publishing-a-connector.md: its commands run as they stand, and what they made installs from the rig's forge."""
import hashlib
import os
import re
import shutil
import subprocess

import pytest

from tests.rig import paths

PAGE = paths.ROOT / "docs/publishing-a-connector.md"
SDK = paths.BUILD / "sdk/c"

# Keeps what was released instead of uploading it: gh release create TAG FILE … → released/TAG/FILE.
GH = """#!/bin/sh
set -e
[ "$1 $2" = "release create" ]
mkdir -p "$RELEASED/$3"
cp "$4" "$RELEASED/$3/"
for word; do case "$word" in --latest) echo "$3" > "$RELEASED/latest";; esac; done
"""


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.S | re.M)


@pytest.fixture
def desk(home, built):
    """The repository of the page before its first command."""
    folder = home.base / "npm-tools"
    (folder / "actions").mkdir(parents=True)
    for name, target in {"npm.c": "", "manifest.toml": "", "connector.wasm": "", "latest-version.md": "actions/"}.items():
        shutil.copy(SDK / name, folder / target)
    (folder / "suite.toml").write_text(blocks("toml")[0])
    shutil.copytree(paths.GOOGLE, folder / "google", ignore=shutil.ignore_patterns("*.o", "*.p", "test-*"))
    (folder / "client_id.txt").write_text("an-id\n")
    (folder / "client_secret.txt").write_text("a-secret\n")
    tools = home.base / "tools"
    tools.mkdir()
    (tools / "gh").write_text(GH)
    (tools / "gh").chmod(0o755)
    (tools / "aileron").symlink_to(paths.CLI)
    home.desk, home.released, home.origin = folder, home.base / "released", home.base / "origin.git"
    home.tools = {**home.environment, "PATH": f"{tools}:{os.environ['PATH']}", "RELEASED": str(home.released),
                  "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_COMMITTER_NAME": "A",
                  "GIT_COMMITTER_EMAIL": "a@example.com", "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(home.base)}
    for command in (["init", "-q", "--bare", str(home.origin)], ["init", "-q", "-b", "main", "."],
                    ["remote", "add", "origin", str(home.origin)]):
        subprocess.run(["git", *command], cwd=folder, env=home.tools, check=True)
    return home


def run_page(desk):
    """All shell blocks in their order; what each printed."""
    said = []
    for text in blocks("sh"):
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=desk.desk, env=desk.tools, text=True,
                              capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        said.append(done.stdout)
    return said


def git(desk, *words):
    return subprocess.run(["git", *words], cwd=desk.origin, env=desk.tools, check=True, capture_output=True).stdout


def publish_on(forge, desk):
    """What the page tagged, pushed and uploaded, as GitHub serves it."""
    repo = forge.repository("acme", "npm-tools")
    for file in desk.released.rglob("aileron.tar.gz"):
        tag = str(file.parent.relative_to(desk.released))
        repo.asset(tag, file.read_bytes())
        repo.tag(tag)
    repo.latest((desk.released / "latest").read_text().strip())
    repo.raw("HEAD", "keys/publisher.pub", git(desk, "show", "main:keys/publisher.pub"))
    repo.raw("v1.0.0", "suite.toml", git(desk, "show", "v1.0.0:suite.toml"))
    return repo


def test_every_command_works(desk):
    assert len(blocks("sh")) >= 8
    said = run_page(desk)
    assert sorted(str(file.relative_to(desk.released)) for file in desk.released.rglob("*.gz")) == \
        ["actions/latest-version/v1.0.0/aileron.tar.gz", "v1.0.0/aileron.tar.gz"]
    tracked = git(desk, "ls-tree", "-r", "--name-only", "v1.0.0").decode().split()
    assert "keys/publisher.pub" in tracked and not {"publisher.key", "connector.wasm"} & set(tracked)
    # Plain tools and ours agree: hash, signature, fingerprint.
    assert (desk.desk / "plain/message").read_bytes() == (desk.desk / "check/message").read_bytes()
    assert (desk.desk / "plain/signature.sig").read_bytes() == (desk.desk / "check/signature.sig").read_bytes()
    assert f"sha256:{hashlib.sha256((desk.desk / 'check/message').read_bytes()).hexdigest()}" in said[1]
    fingerprint = re.search(r"fingerprint\s+(sha256:\S+)", said[0]).group(1)
    assert said[-1].strip() == fingerprint and fingerprint in said[1]
    # The new key is another one, and the old one is still there.
    rotated = re.findall(r"fingerprint\s+(sha256:\S+)", "".join(said))
    assert len(set(rotated)) == 2


def test_what_the_page_made_installs(desk, shop, forge):
    run_page(desk)
    publish_on(forge, desk)
    ready = shop.ready(shop.suite("github://acme/npm-tools/suite.toml@latest"))
    assert [item["authority"] for item in ready["trust_needed"]] == ["github://acme/npm-tools"]
    assert [item["name"] for item in ready["actions"]] == ["latest-version"]
    assert ready["connectors"][0]["hosts"] == ["registry.npmjs.org:443"]
    shop.buy(ready)
    assert shop.installed_actions() == {"latest-version"}


def test_commands_that_are_only_shown_exist(desk):
    """The lines after $ name commands and options that there are."""
    lines = [line.removeprefix("$ ").strip() for text in blocks("console") for line in text.splitlines() if line.startswith("$ ")]
    assert len(lines) >= 6
    for line in lines:
        words = line.split()
        assert words[0] == "aileron"
        shown = subprocess.run([paths.CLI, *words[1:3], "--help"], env=desk.tools, text=True, capture_output=True, check=True).stdout
        for option in re.findall(r"--[a-z-]+", line):
            assert option in shown, line


def test_validate_names_the_keys_of_ours(desk, probe_home):
    files = [paths.GOOGLE / "actions" / f"{name}.md" for name in ("send-draft", "get-email")]
    said = probe_home.cli("action", "validate", *map(str, files), check=0).out
    assert said.splitlines()[1].endswith("execute.read_only, approval.kind, approval.preview.bind")
    assert said.splitlines()[3].endswith(": execute.read_only")


def named_block(page, name):
    text = (paths.ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.search(r"\*\*`" + re.escape(name) + r"`\*\*\n\n```\w+\n(.*?)^```$", text, re.S | re.M).group(1)


def test_the_action_and_the_suite_of_the_pages_are_valid(probe_home, tmp_path, shop, forge):
    action = tmp_path / "send-note.md"
    action.write_text(named_block("authoring-an-action.md", "actions/send-note.md"))
    said = probe_home.cli("action", "validate", str(action), check=0).out
    assert "execute.read_only, approval.kind, approval.preview.bind" in said
    # Read to its end, entry by entry: what is missing is the release of the first action, nothing in the file.
    forge.repository("acme", "npm-tools").raw("v1.0.0", "suite.toml", named_block("authoring-an-action-suite.md", "suite.toml"))
    shop.failed(shop.suite("github://acme/npm-tools/suite.toml@1.0.0"), "not_found", "actions/latest-version@1.0.0")
