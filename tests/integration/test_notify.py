"""`notify.command`: run when an approval is requested, with three inert words, outside the broker's confinement and without its means."""
import os
import time

import pytest

from tests.conftest import make_probe_home
from tests.rig.gated import Session, approval, decide, effect, install_gated

SCRIPT = """#!/bin/sh
out=$(mktemp "$(dirname "$0")/told.XXXXXX.part")
{ echo "argc $#"; printf '%s\\n' "$@"; env | sort; ls -l /proc/self/fd; cat /proc/self/status; } >"$out"
mv "$out" "${out%.part}"
"""


@pytest.fixture(scope="module")
def home(built, probe_folder, hostile_server, ca):
    made = make_probe_home(probe_folder, hostile_server, ca)
    install_gated(made)
    yield made
    made.close()


@pytest.fixture
def command(home, tmp_path):
    script = tmp_path / "tell me"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    home.cli("config", "set", "notify.command", script, check=0)
    yield script
    home.cli("config", "set", "notify.command", "", check=0)


def told(script, count=1, seconds=10):
    end = time.monotonic() + seconds
    while True:
        files = sorted(file for file in script.parent.glob("told.*") if file.suffix != ".part")
        if len(files) >= count:
            return [file.read_text() for file in files]
        assert time.monotonic() < end, f"{len(files)} of {count} were told"
        time.sleep(0.05)


def test_it_gets_id_action_and_url_and_nothing_else(home, command):
    session = Session(home, agent="secret-agent", folder="/secret/folder")
    ident = session.ask("gated", {**effect("secret-body"), "note": "secret-note"})
    [text] = told(command)
    url = home.discovery()["url"] + "/approvals/" + ident
    assert text.startswith(f"argc 3\n{ident}\ngated\n{url}\n")
    for line in (f"AILERON_APPROVAL_ID={ident}", "AILERON_ACTION=gated", f"AILERON_REVIEW_URL={url}"):
        assert f"\n{line}\n" in text
    discovery = home.discovery()
    for word in ("secret-", session.token, discovery["token"], "code=", "AILERON_HOME", "SSH_", "DISPLAY"):
        assert word not in text, word
    assert "NoNewPrivs:\t0" in text and "Seccomp:\t0" in text  # the user's own rights
    assert "socket:" not in text and "memfd" not in text and str(home.path) not in text  # and none of the daemon's descriptors
    decide(home, ident, approved=False)


def test_an_ungated_or_repeated_call_tells_nobody(home, command):
    session = Session(home)
    first = session.ask("gated", effect("same"))
    assert session.ask("gated", effect("same")) == first
    session.run("once", effect("ungated"))
    told(command)
    time.sleep(0.5)
    assert len(told(command)) == 1
    decide(home, first, approved=False)


def test_many_are_all_told(home, command):
    session = Session(home)
    idents = [session.ask("gated", effect(f"many {i}")) for i in range(30)]
    assert {text.splitlines()[1] for text in told(command, 30, 30)} == set(idents)
    for ident in idents:
        decide(home, ident, approved=False)


def test_a_failing_command_hinders_nothing_and_is_logged(home, command):
    command.write_text("#!/bin/sh\nexit 3\n")
    ident = Session(home).ask("gated", effect("fails"))
    home.wait_log("notify.command ended with status 3")
    assert approval(home, ident)["state"] == "pending"
    command.unlink()
    other = Session(home).ask("gated", effect("gone"))
    home.wait_log("No such file")
    for one in (ident, other):
        decide(home, one, approved=False)


def test_what_may_not_be_set(home, tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    shared = tmp_path / "shared"
    shared.write_text("#!/bin/sh\n")
    shared.chmod(0o777)
    inside = home.path / "inside"
    inside.write_text("#!/bin/sh\n")
    inside.chmod(0o755)
    link = tmp_path / "link"
    link.symlink_to(inside)
    for value, word in ((plain, "no program"), (shared, "another user"), (inside, "may write"), (link, "may write"),
                        ("/no/such", "No such"), ("notify-send", "absolute"), ("/bin/sh -c true", "No such"), (tmp_path, "no program")):
        done = home.cli("config", "set", "notify.command", value)
        assert done.code == 1 and word in done.err, (value, done)
    inside.unlink()
    assert home.api("GET", "/v1/config").json() and "notify" not in (home.path / "config.toml").read_text()


def test_it_is_not_set_from_a_page(home, command):
    before = (home.path / "config.toml").read_text()
    for body in ({"notify.command": "/bin/true"}, {"notify.command": None}, {"approval.confirm": "never"},
                 {"log.level": "debug", "approval.confirm": None}):
        answer = home.api("PATCH", "/v1/config", body, door="tcp")
        assert answer.status == 403, answer
    assert (home.path / "config.toml").read_text() == before


def test_a_file_that_says_otherwise_runs_nothing(home, command):
    """Who writes into the home alone (a broker taken over) makes the helper run nothing of his own."""
    inside = home.path / "evil"
    inside.write_text(f"#!/bin/sh\ntouch {command.parent}/ran\n")
    inside.chmod(0o755)
    config = home.path / "config.toml"
    config.write_text(f'[notify]\ncommand = "{inside}"\n')
    home.stop()
    home.start()
    ident = Session(home).ask("gated", effect("evil"))
    home.wait_log("lies where the daemon itself may write")
    assert not (command.parent / "ran").exists()
    decide(home, ident, approved=False)
    inside.unlink()
    config.write_text("")
    home.stop()
    home.start()


def test_it_ends_with_the_daemon(home, command):
    command.write_text(f"#!/bin/sh\necho $$ >{command.parent}/pid.part; mv {command.parent}/pid.part {command.parent}/pid; sleep 1000\n")
    ident = Session(home).ask("gated", effect("lingers"))
    pid_file = command.parent / "pid"
    end = time.monotonic() + 10
    while not pid_file.exists() and time.monotonic() < end:
        time.sleep(0.02)
    pid = int(pid_file.read_text())
    home.stop()
    end = time.monotonic() + 5
    while time.monotonic() < end and os.path.exists(f"/proc/{pid}"):
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{pid}")
    home.start()
    decide(home, ident, approved=False)
