"""The two things that a newcomer does: `aileron demo`, from the build folder and after `make install`."""
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest

from tests.rig import paths
from tests.rig.terminal import Terminal


def processes(folder):
    """Programs of ours that were started in this folder and still run: their home, environment or working folder tells."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            told = [(entry / name).read_bytes() for name in ("cmdline", "environ")]
        except OSError:
            continue
        if any(str(folder).encode() in text for text in told) and b"aileron" in told[0]:
            found.append(told[0].replace(b"\0", b" ").decode())
    return found


def run_demo(program, folder, *args, **environment):
    (folder / "user").mkdir(exist_ok=True)
    (folder / "tmp").mkdir(exist_ok=True)
    started = time.monotonic()
    done = subprocess.run([program, "demo", *args], capture_output=True, text=True, timeout=60, check=False, cwd=folder,
                          stdin=subprocess.DEVNULL, env={"PATH": os.environ["PATH"], "HOME": str(folder / "user"), "LANG": "C.UTF-8",
                                                         "TMPDIR": str(folder / "tmp"), "TERM": "dumb", **environment})
    return done, time.monotonic() - started


BROWSER = r"""#!/bin/sh
# Notes what it is given, reads the page and signs in.
printf '%s\n' "$@" >"$SEEN/argv"
cat "${1#file://}" >"$SEEN/page"
set -- $(sed -n 's/.*;url=\(http:..[^/]*\).*#code=\([A-Za-z0-9_-]*\)".*/\1 \2/p' "$SEEN/page")
curl -s -o /dev/null -X POST -H 'Content-Type: application/json' -d "{\"code\":\"$2\"}" "$1/v1/web/login"
"""


def check_story(done):
    """Publishes, makes a vault, installs the suite, consents, then mails, the week, a draft, a refresh, an event and the receipts."""
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    told = done.stdout.lower()
    for word in ("publish pack", "vault init --dev", "action add-suite github://", "keyring.trusted", "[10/10]", "11 of 11 done",
                 "presses allow", "mail", "digest", "week", "draft", "refreshed", "binding.refreshed", "approval.confirm",
                 "audit list", "audit verify", "intact"):
        assert word in told, f"{word!r} is not told:\n{done.stdout}\n{done.stderr}"
    assert "\x1b[" not in done.stdout
    said = done.stderr.lower()
    for word in ("not yet trusted", "fingerprint: sha256:", "can send mail as you, each time only after you approve", "cannot delete",
                 "connects only to gmail.googleapis.com and www.googleapis.com"):
        assert word in said, f"{word!r} is not said:\n{done.stderr}"
    for secret in ("ya29.demo-", "1//demo-", "4%2F", "code="):
        assert secret not in done.stdout + done.stderr, f"{secret!r} was shown"


def check_decided_alone(done):
    """A first event is denied and changes nothing, a second one is approved and is there, once."""
    told = [line.strip() for line in done.stdout.splitlines()]
    denied = next(i for i, line in enumerate(told) if line.startswith("$ aileron approval deny "))
    approved = next(i for i, line in enumerate(told) if line.startswith("$ aileron approval approve "))
    assert denied < approved
    assert any("the agent is told: create-calendar-event was denied" in line and "Anna is away that day" in line for line in told[denied:approved])
    between, after = "\n".join(told[denied:approved]), "\n".join(told[approved:])
    unchanged = re.search(r"^the calendar is as it was: (\d+) events$", between, re.M)
    changed = re.search(r"^the calendar has it, once: (\d+) events instead of (\d+)$", after, re.M)
    assert unchanged[1] == changed[2] and int(changed[1]) == int(changed[2]) + 1
    events = [line.split()[2] for line in told if re.match(r"\d{4}-\d\d-\d\d .*create-calendar-event", line) and "installed" not in line]
    assert events == ["approval.requested", "approval.denied", "approval.requested", "approval.approved", "execution.started", "execution.succeeded"]
    assert "What will happen" in done.stderr and "Pilot budget with Jonas" in done.stderr


@pytest.mark.parametrize("args", [[], ["--auto-approve"]])
def test_the_demo(built, tmp_path, args):
    done, took = run_demo(paths.CLI, tmp_path, *args)
    check_story(done)
    check_decided_alone(done)
    assert took < 15 or paths.sanitized(), f"{took:.1f} s"
    assert not processes(tmp_path), "the demo left processes"
    assert not list((tmp_path / "tmp").iterdir()), "the demo left files in TMPDIR"
    assert not (tmp_path / "user/.aileron").exists(), "the demo touched the home of its user"


@pytest.fixture
def stage(built, tmp_path):
    for name in ("user", "tmp"):
        (tmp_path / name).mkdir()
    yield {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "user"), "LANG": "C.UTF-8", "TMPDIR": str(tmp_path / "tmp")}
    assert not processes(tmp_path), "the demo left processes"
    assert not list((tmp_path / "tmp").iterdir()), "the demo left files in TMPDIR"


def waiting_demo(stage, terminal):
    """Until the demo waits for a person: its environment, and the approval."""
    text = terminal.expect(" aileron approval watch\n", timeout=40)
    inner = {**stage, "AILERON_HOME": re.search(r"AILERON_HOME=(\S+) aileron approval watch", text)[1], "TERM": "dumb"}
    listed = subprocess.run([paths.CLI, "approval", "list", "--json"], env=inner, capture_output=True, check=True, text=True)
    [approval] = json.loads(listed.stdout)["approvals"]
    return text, inner, approval


@pytest.mark.parametrize("approve", [True, False])
def test_somebody_at_the_terminal_decides(stage, tmp_path, approve):
    with Terminal(stage, ("demo",), cwd=tmp_path) as terminal:
        text, inner, approval = waiting_demo(stage, terminal)
        url = re.search(r"http://127\.0\.0\.1:\d+/approvals/(\w+)#code=([\w-]+)", text)
        assert url[1] == approval["id"] and text.count("#code=") == 1 and not approval["needs_ticket"] and "ssh -L " in text
        words = ["approve", approval["id"], "--yes"] if approve else ["deny", approval["id"]]
        subprocess.run([paths.CLI, "approval", *words], env=inner, capture_output=True, check=True)
        terminal.expect("decided: done" if approve else "decided: denied")
        terminal.expect("the calendar has it, once" if approve else "the calendar is as it was")
        assert terminal.wait() == 0, terminal.text


def test_the_page_opens_as_aileron_open_does(stage, tmp_path):
    browser = tmp_path / "browser"
    browser.write_text(BROWSER)
    browser.chmod(0o755)
    stage = {**stage, "DISPLAY": ":77", "BROWSER": str(browser), "SEEN": str(tmp_path)}
    with Terminal(stage, ("demo",), cwd=tmp_path) as terminal:
        text, inner, approval = waiting_demo(stage, terminal)
        assert f"/approvals/{approval['id']}\n" in text and "code=" not in text
        code = re.search(r"#code=([\w-]+)", (tmp_path / "page").read_text())[1]
        assert code not in (tmp_path / "argv").read_text()
        subprocess.run([paths.CLI, "approval", "approve", approval["id"], "--yes"], env=inner, capture_output=True, check=True)
        assert terminal.wait() == 0 and code not in terminal.text


def test_ctrl_c_while_it_waits_leaves_nothing(stage, tmp_path):
    with Terminal(stage, ("demo",), cwd=tmp_path) as terminal:
        waiting_demo(stage, terminal)
        terminal.send("\x03")
        assert terminal.wait() == 1 and "interrupted" in terminal.text


def test_the_demo_ignores_a_proxy_and_a_home(built, tmp_path):
    done, _ = run_demo(paths.CLI, tmp_path, http_proxy="http://127.0.0.1:9", https_proxy="http://127.0.0.1:9",
                       AILERON_HOME=str(tmp_path / "mine"))
    check_story(done)
    assert not (tmp_path / "mine").exists()


def test_two_demos_at_once(built, tmp_path):
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for done, _ in pool.map(lambda folder: run_demo(paths.CLI, folder), folders):
            check_story(done)


def test_the_demo_uses_no_network(built, tmp_path):
    """In a network namespace with nothing but loopback it tells the same story."""
    if os.geteuid() != 0:
        pytest.skip("a network namespace needs root")
    script = 'ip link set lo up && exec "$@"'
    probe = subprocess.run(["unshare", "-n", "sh", "-c", script, "sh", "true"], check=False, capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"unshare: {probe.stderr.strip()}")
    (tmp_path / "user").mkdir()
    done = subprocess.run(["unshare", "-n", "sh", "-c", script, "sh", str(paths.CLI), "demo"], capture_output=True, text=True, timeout=60,
                          check=False, cwd=tmp_path, stdin=subprocess.DEVNULL,
                          env={"PATH": os.environ["PATH"], "HOME": str(tmp_path / "user"), "TERM": "dumb"})
    check_story(done)


def test_what_make_demo_builds_is_enough(built, tmp_path):
    """Where nothing but its own targets was built, as after `make demo` in a fresh clone."""
    said = subprocess.run(["make", "-n", "demo"], capture_output=True, text=True, check=True, cwd=paths.ROOT).stdout
    [line] = [line for line in said.splitlines() if " src/cli/aileron " in line]
    targets = [word for word in line.split() if (paths.BUILD / word).is_file()]
    assert len(targets) > 15 and "connectors/google/connector.wasm" in targets
    for target in targets:
        (tmp_path / "build" / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(paths.BUILD / target, tmp_path / "build" / target)
    shutil.copytree(paths.BUILD / "libexec", tmp_path / "build/libexec", symlinks=True)
    done, _ = run_demo(tmp_path / "build/src/cli/aileron", tmp_path)
    check_story(done)


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """`meson install` into a folder, as `make install DESTDIR= PREFIX=` does it."""
    root = tmp_path_factory.mktemp("installed")
    subprocess.run(["meson", "install", "-C", str(paths.BUILD), "--no-rebuild", "--quiet", "--destdir", str(root)], check=True,
                   capture_output=True)
    [program] = root.rglob("bin/aileron")
    return program.parent.parent


def test_what_is_installed(installed):
    files = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file() or path.is_symlink()}
    expected = {"bin/aileron", "bin/aileron-mcp", "libexec/aileron/aileron-broker", "libexec/aileron/aileron-keeper",
                "libexec/aileron/aileron-worker", "libexec/aileron/aileron-demo-workspace"}
    assert expected <= files, expected - files
    assert any(name.startswith("share/man/man1/aileron.1") for name in files), sorted(files)
    assert any(name.endswith("google/connector.wasm") for name in files)
    assert {name for name in files if name.startswith("bin/")} == {"bin/aileron", "bin/aileron-mcp"}
    assert not any("test" in pathlib.Path(name).name for name in files)


def test_the_installed_demo(installed, tmp_path):
    done, _ = run_demo(installed / "bin/aileron", tmp_path)
    check_story(done)


def test_the_installed_program_is_self_contained(installed):
    """Nothing of the build folder is opened by it."""
    out = subprocess.run(["strace", "-f", "-e", "trace=openat,open,execve,readlink", installed / "bin/aileron", "version"],
                         capture_output=True, text=True, check=False).stderr
    assert "execve" in out, "strace does not work here"
    assert str(paths.BUILD) not in out


def test_manual_pages(installed):
    for page in installed.rglob("share/man/**/*.[1-9]*"):
        name = page.name
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(page)], capture_output=True, text=True, check=False)
        assert not done.stdout.strip(), f"{name}: {done.stdout}"
