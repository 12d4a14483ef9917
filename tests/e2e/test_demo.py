"""The two things that a newcomer does: `aileron demo`, from the build folder and after `make install`."""
import concurrent.futures
import os
import pathlib
import subprocess
import time

import pytest

from tests.rig import paths


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


def check_story(done):
    """Publishes, makes a vault, installs the suite, consents, then mails, the week, a draft, a refresh and the receipts."""
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    told = done.stdout.lower()
    for word in ("publish pack", "vault init --dev", "action add-suite github://", "keyring.trusted", "[10/10]", "11 of 11 done",
                 "presses allow", "mail", "digest", "week", "draft", "refreshed", "binding.refreshed",
                 "audit list", "audit verify", "intact"):
        assert word in told, f"{word!r} is not told:\n{done.stdout}\n{done.stderr}"
    assert "\x1b[" not in done.stdout
    said = done.stderr.lower()
    for word in ("not yet trusted", "fingerprint: sha256:", "can send mail as you, each time only after you approve", "cannot delete",
                 "connects only to gmail.googleapis.com and www.googleapis.com"):
        assert word in said, f"{word!r} is not said:\n{done.stderr}"
    for secret in ("ya29.demo-", "1//demo-", "4%2F", "code="):
        assert secret not in done.stdout + done.stderr, f"{secret!r} was shown"


@pytest.mark.parametrize("args", [[], ["--auto-approve"]])
def test_the_demo(built, tmp_path, args):
    done, took = run_demo(paths.CLI, tmp_path, *args)
    check_story(done)
    assert took < 5 or paths.sanitized(), f"{took:.1f} s"
    assert not processes(tmp_path), "the demo left processes"
    assert not list((tmp_path / "tmp").iterdir()), "the demo left files in TMPDIR"
    assert not (tmp_path / "user/.aileron").exists(), "the demo touched the home of its user"


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
