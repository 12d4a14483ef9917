"""`aileron open`: how the one-time code gets to the browser, and where it never appears."""
import getpass
import os
import pathlib
import re
import signal
import time

import pytest

from tests.conftest import make_probe_home
from tests.rig.gated import Session, decide, effect, install_gated
from tests.rig.terminal import Terminal

BROWSER = """#!/bin/sh
# Notes what a browser is given, then reads the page as one would.
{ printf '%s\\n' "$@"; tr '\\0' '\\n' </proc/$$/environ; } >"$SEEN/argv"
file=${1#file://}
stat -c '%a %U' "$file" >"$SEEN/mode"; stat -c '%a %U' "$(dirname "$file")" >>"$SEEN/mode"
[ -e "$SEEN/wait" ] && sleep 1000
cat "$file" >"$SEEN/part" && mv "$SEEN/part" "$SEEN/page"
[ -e "$SEEN/reads-only" ] && exit 0
set -- $(sed -n 's/.*;url=\\(http:..[^/]*\\).*#code=\\([A-Za-z0-9_-]*\\)".*/\\1 \\2/p' "$SEEN/page")
curl -s -o "$SEEN/login" -w '%{http_code}' -X POST -H 'Content-Type: application/json' -d "{\\"code\\":\\"$2\\"}" "$1/v1/web/login" >"$SEEN/status"
"""


@pytest.fixture(scope="module")
def home(built, probe_folder, hostile_server, ca):
    made = make_probe_home(probe_folder, hostile_server, ca)
    install_gated(made)
    yield made
    made.close()


@pytest.fixture
def seen(tmp_path):
    script = tmp_path / "browser"
    script.write_text(BROWSER)
    script.chmod(0o755)
    return tmp_path


@pytest.fixture
def place():
    """Where the page lies: hidden from agents in the fence, whatever the environment says."""
    runtime = pathlib.Path(f"/run/user/{os.geteuid()}")
    if runtime.is_dir() and runtime.stat().st_uid == os.geteuid() and not runtime.stat().st_mode & 0o77:
        return runtime
    return pathlib.Path(f"/tmp/aileron-{os.geteuid()}")


def display(seen, **more):
    return {"DISPLAY": ":77", "BROWSER": str(seen / "browser"), "SEEN": str(seen), **more}


def code_of(text):
    return re.search(r"#code=([A-Za-z0-9_-]+)", text).group(1)


def login(home, code):
    return home.api("POST", "/v1/web/login", {"code": code}, door="tcp", token=False)


def nothing_left(seen):
    """The page that the browser was given is gone, and its folder; others' may be there."""
    given = (seen / "argv" if (seen / "argv").exists() else seen / "address").read_text().splitlines()[0]
    return not pathlib.Path(given.removeprefix("file://")).parent.exists()


def test_the_code_travels_in_a_private_file(home, seen, place):
    done = home.cli("open", "approvals", environment=display(seen), check=0)
    page = (seen / "page").read_text()
    code = code_of(page)
    url = home.discovery()["url"] + "/approvals#code=" + code
    assert f'content="0;url={url}"' in page and 'content="no-referrer"' in page and "<script" not in page
    me = getpass.getuser()
    assert (seen / "mode").read_text() == f"600 {me}\n700 {me}\n"
    argv = (seen / "argv").read_text()
    assert argv.startswith(f"file://{place}/aileron-open-") and code not in argv
    assert code not in done.out + done.err and done.out == "" and "/approvals\n" in done.err
    assert nothing_left(seen)
    assert (seen / "status").read_text() == "201" and login(home, code).status == 401
    for file in home.path.rglob("*"):
        if file.is_file():
            assert code.encode() not in file.read_bytes(), file


@pytest.mark.parametrize("args,path", [((), "/"), (("approvals",), "/approvals"), (("audit",), "/audit"), (("sessions",), "/sessions")])
def test_pages(home, seen, args, path):
    home.cli("open", *args, environment=display(seen), check=0)
    assert f"{home.discovery()['url']}{path}#code=" in (seen / "page").read_text()


def test_one_approval_by_the_end_of_its_id(home, seen, place):
    ident = Session(home).ask("gated", effect("opened"))
    home.cli("open", "approval", ident[-8:], environment=display(seen), check=0)
    assert f"/approvals/{ident}#code=" in (seen / "page").read_text()
    decide(home, ident, approved=False)
    for args, code in ((("approval", "apr_01ARZ3NDEKTSV4RRFFQ69G5FAV"), 1), (("nosuch",), 2), (("approvals", "x"), 2), (("approval",), 2)):
        assert home.cli("open", *args, environment=display(seen)).code == code, args


def test_who_looks_is_not_yet_the_browser(home, seen, place):
    """What opens a page may read it first; it stays until the code is spent, and not for ever."""
    (seen / "reads-only").touch()
    started = time.monotonic()
    home.cli("open", environment=display(seen), check=0)
    assert 9 < time.monotonic() - started < 20 and nothing_left(seen)
    assert login(home, code_of((seen / "page").read_text())).status == 201


def test_it_returns_when_the_code_is_spent(home, seen, place):
    started = time.monotonic()
    home.cli("open", environment=display(seen), check=0)
    assert time.monotonic() - started < 5 and nothing_left(seen)


def test_the_environment_does_not_choose_the_place(home, seen, place):
    mine = seen / "mine"
    mine.mkdir(mode=0o700)
    home.cli("open", environment=display(seen, XDG_RUNTIME_DIR=str(mine), TMPDIR=str(mine)), check=0)
    assert (seen / "argv").read_text().startswith(f"file://{place}/aileron-open-") and nothing_left(seen) and not list(mine.iterdir())


def test_ctrl_c_leaves_no_file(home, seen, place):
    (seen / "wait").touch()
    with Terminal({**home.environment, **display(seen)}, ("open",), cwd=home.base) as terminal:
        end = time.monotonic() + 10
        while not (seen / "mode").exists() and time.monotonic() < end:
            time.sleep(0.02)
        assert not nothing_left(seen)
        terminal.send("\x03")
        assert terminal.wait() == 130
    assert nothing_left(seen)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_leave_no_file(home, seen, place, number):
    (seen / "wait").touch()
    with Terminal({**home.environment, **display(seen)}, ("open",), cwd=home.base) as terminal:
        end = time.monotonic() + 10
        while not (seen / "mode").exists() and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(terminal.pid, number)
        assert terminal.wait() == 128 + number
    assert nothing_left(seen)


def test_without_a_display_it_is_printed_once_to_the_terminal(home, seen, place):
    port = home.discovery()["url"].rsplit(":", 1)[1]
    with Terminal(home.environment, ("open", "approvals"), cwd=home.base) as terminal:
        assert terminal.wait() == 0
        [code] = re.findall(r"#code=([A-Za-z0-9_-]+)", terminal.text)
        assert f"http://127.0.0.1:{port}/approvals#code={code}" in terminal.text
        assert re.search(rf"ssh -L {port}:127\.0\.0\.1:{port} \S+@\S+\n", terminal.text), terminal.text
    assert login(home, code).status == 201


def test_over_ssh_the_way_back_is_the_one_that_was_taken(home, seen, place):
    ssh = {"SSH_CONNECTION": "192.0.2.7 51000 192.0.2.9 2222", "DISPLAY": ":10"}
    with Terminal({**home.environment, **ssh}, ("open",), cwd=home.base) as terminal:
        assert terminal.wait() == 0
        assert "#code=" in terminal.text and re.search(r"ssh -p 2222 -L \d+:127\.0\.0\.1:\d+ \S+@192\.0\.2\.9\n", terminal.text)


def test_no_browser_prints_although_there_is_a_display(home, seen, place):
    with Terminal({**home.environment, **display(seen)}, ("open", "--no-browser"), cwd=home.base) as terminal:
        assert terminal.wait() == 0 and "#code=" in terminal.text
    assert not (seen / "argv").exists()


def test_never_to_what_is_no_terminal(home, seen, place):
    for args, environment in (((), {}), (("--no-browser",), display(seen))):
        done = home.cli("open", *args, environment=environment)
        assert done.code == 1 and "terminal" in done.err and "code=" not in done.out + done.err


def test_a_browser_that_fails(home, seen, place):
    script = seen / "browser"
    script.write_text('#!/bin/sh\nprintf "%s\\n" "$@" >"$SEEN/argv"\nexit 1\n')
    broken = display(seen)
    done = home.cli("open", environment=broken)
    assert done.code == 1 and "no browser" in done.err and "code=" not in done.out + done.err and nothing_left(seen)
    with Terminal({**home.environment, **broken}, ("open",), cwd=home.base) as terminal:
        assert terminal.wait() == 0 and "#code=" in terminal.text and "ssh -L" in terminal.text
    assert nothing_left(seen)


def test_a_real_browser_is_signed_in(home, seen, place):
    """Chromium reads the page and ends up signed in, its address without the code."""
    playwright = pytest.importorskip("playwright.sync_api")
    script = seen / "browser"
    script.write_text("#!/bin/sh\nprintf '%s' \"$1\" >\"$SEEN/part\"; mv \"$SEEN/part\" \"$SEEN/address\"\n")
    with Terminal({**home.environment, **display(seen)}, ("open", "approvals"), cwd=home.base) as terminal:
        end = time.monotonic() + 10
        while not (seen / "address").exists() and time.monotonic() < end:
            time.sleep(0.02)
        with playwright.sync_playwright() as play:
            browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            page = browser.new_page()
            page.goto((seen / "address").read_text())
            page.wait_for_url(home.discovery()["url"] + "/approvals")
            page.get_by_text("Nothing waits for you").wait_for()
            assert "code" not in page.url
            browser.close()
        assert terminal.wait() == 0
    assert nothing_left(seen)
