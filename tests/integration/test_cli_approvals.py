"""The command line around approvals: list, show, approve, deny, result, resolve, `action run --wait`, against the real daemon."""
import json
import socket
import subprocess
import threading
import time

import pytest

from tests.conftest import make_probe_home
from tests.rig import paths
from tests.rig.gated import Session, approval, approvals, decide, effect, effects, install_gated, looking, wait_state
from tests.rig.home import b64u
from tests.rig.terminal import Terminal
from tests.rig.vault import PASSPHRASE

FENCED = {"launched": True, "confinement": "fence"}
HOSTILE = "p\u0430ypal \u202egnp.exe a\u200bb \x1b[31mred\x07 \x9b2J <b>x</b> \ufe0f"


@pytest.fixture(scope="module")
def home(built, probe_folder, hostile_server, ca):
    made = make_probe_home(probe_folder, hostile_server, ca)
    install_gated(made)
    yield made
    made.close()


@pytest.fixture
def session(home):
    """Of an agent in our fence: no passphrase is needed."""
    return Session(home, agent="claude", folder="/work/project", **FENCED)


@pytest.fixture
def open_session(home):
    """Of an agent that is neither fenced nor contained."""
    return Session(home, agent="stranger")


def terminal(home, *args, **more):
    return Terminal(home.environment, args, cwd=home.base, **more)


# ---- list and show


def test_list_says_what_waits(home, session):
    assert home.cli("approval", "list", check=0).out == "nothing waits for you\n"
    first, second = session.ask("gated", effect("l1")), session.ask("gated", effect("l2"))
    out = home.cli("approval", "list", check=0).out
    assert out.index(first[-8:]) < out.index(second[-8:]) and "claude" in out and "COMMS SEND" in out and "waiting for you" in out
    listed = home.cli("approval", "list", "--json", check=0).json()
    assert [row["id"] for row in listed["approvals"]] == [second, first] and listed["pending"] == 2
    assert [row["id"] for row in home.cli("approval", "list", "-n", "1", "--json", check=0).json()["approvals"]] == [second]
    for ident in (first, second):
        home.cli("approval", "deny", ident, check=0)
    assert home.cli("approval", "list", check=0).out == "nothing waits for you\n"
    assert first[-8:] in home.cli("approval", "list", "--all", check=0).out
    denied = home.cli("approval", "list", "--status", "denied", "--json", check=0).json()["approvals"]
    assert {first, second} <= {row["id"] for row in denied}
    assert home.cli("approval", "list", "--status", "nosuch").code == 1
    assert home.cli("approval", "list", "--status", "denied", "--all").code == 2
    assert home.cli("approval", "list", "-n", "0").code == 2


def test_lists_of_more_than_a_page(home):
    mine = [Session(home, **FENCED) for _ in range(11)]
    made = [one.ask("gated", effect(f"many {i} {j}")) for i, one in enumerate(mine) for j in range(95)]
    listed = home.cli("approval", "list", "-n", "20000", "--json", check=0).json()
    assert [row["id"] for row in listed["approvals"]] == made[::-1] and listed["pending"] == len(made) == 1045
    shown = home.cli("approval", "list", check=0)
    assert shown.out.count("\n") == 101 and "the newest 100 of 1045" in shown.err
    for ident in made:
        assert decide(home, ident, approved=False).status == 200


def test_show_says_everything(home, session):
    ident = session.ask("gated", {**effect("shown"), "note": "two\nlines"})
    out = home.cli("approval", "show", ident[-8:], check=0).out
    card = approval(home, ident)
    for said in ("COMMS SEND  Gated", "waiting for you", "The agent claude asks", "What the agent gave", "Requests", "    │ two\n    │ lines\n",
                 "Exact arguments", '"note": "two\\nlines"', session.id, "/work/project", "local://probe@1.0.0", "api_key/probe/me",
                 ident, card["seal"], "Expires"):
        assert said in out, (said, out)
    assert home.cli("approval", "show", ident, "--json", check=0).json() == approval(home, ident)
    home.cli("approval", "deny", ident, check=0)
    assert "denied" in home.cli("approval", "show", ident, check=0).out
    for unknown in ("apr_01ARZ3NDEKTSV4RRFFQ69G5FAV", "ABC", "../status"):
        assert home.cli("approval", "show", unknown).code == 1


def test_nothing_that_is_shown_steers_the_terminal(home, session):
    """Every control, invisible, reversing and look-alike character of an agent's text is a visible number."""
    ident = session.ask("gated", {**effect("hostile"), "note": HOSTILE.replace("\x9b", "\u009b")})
    for args in (("approval", "show", ident), ("approval", "list"), ("approval", "show", ident, "--json")):
        out = home.cli(*args, check=0).out
        assert not set(out) & set("\u202e\u200b\x1b\x07\u009b") , args
    out = home.cli("approval", "show", ident, check=0).out
    for number in ("p\u0430⟨U+0430⟩ypal", "⟨U+202E⟩gnp.exe", "a⟨U+200B⟩b", "⟨U+001B⟩[31mred⟨U+0007⟩", "⟨U+009B⟩2J", "⟨U+FE0F⟩"):
        assert number in out, (number, out)
    home.cli("approval", "deny", ident, check=0)


def test_a_value_cannot_pass_for_a_line_of_ours(home, session):
    faked = "x\nWho asks, and what runs\n  Agent         somebody else\n  Seal          sha256:0"
    ident = session.ask("gated", {**effect("fake"), "note": faked})
    lines = home.cli("approval", "show", ident, check=0).out.splitlines()
    assert lines.count("Who asks, and what runs") == 1 and sum(line.startswith("  Agent ") for line in lines) == 1
    assert "    │   Agent         somebody else" in lines
    ours = {"  Agent", "Who asks, and what runs"}
    with terminal(home, "approval", "show", ident, columns=40) as narrow:
        assert narrow.wait() == 0
        assert sum(line in ours for line in narrow.text.splitlines()) == 2
        assert max(len(line) for line in narrow.text.splitlines() if not line.startswith("aileron:") and "decide:" not in line) <= 40
    home.cli("approval", "deny", ident, check=0)


def test_a_megabyte_is_shown_whole_and_asked_about_short(home, session):
    ident = session.ask("gated", {**effect("big"), "note": "word " * 180_000 + "THE END"})
    assert home.cli("approval", "show", ident, check=0).out.count("THE END") == 2
    with terminal(home, "approval", "approve", ident) as asked:
        text = asked.expect("Approve? [y/N]: ")
        assert "more lines are not shown here" in text and text.count("\n") < 250
        asked.line("n")
        assert asked.wait() == 1
    home.cli("approval", "deny", ident, check=0)


def test_no_agent_passes_for_the_owner(home, hostile):
    fake = Session(home, agent="you", **FENCED).ask("gated", effect("fake owner"))
    own = json.loads(home.cli("action", "run", "gated", "--args", json.dumps(effect("own")), "--json").out)["approval_id"]
    shown = {ident: home.cli("approval", "show", ident, check=0).out for ident in (fake, own)}
    assert "The agent you asks" in shown[fake] and "You ask" not in shown[fake] and "  Agent         you\n" in shown[fake]
    assert "You ask, " in shown[own] and "  Owner         you, by a command\n" in shown[own] and "Agent  " not in shown[own]
    rows = {line.split()[0]: line for line in home.cli("approval", "list", check=0).out.splitlines()}
    assert "agent you" in rows[fake[-8:]] and "agent" not in rows[own[-8:]].replace("Gated", "") and " you " in rows[own[-8:]]
    for ident in (fake, own):
        home.cli("approval", "deny", ident, check=0)


# ---- approve


def test_approve_shows_asks_and_waits_for_the_end(home, session, hostile):
    mark = hostile.mark()
    ident = session.ask("gated", effect("yes"))
    with terminal(home, "approval", "approve", ident[-6:]) as asked:
        text = asked.expect("Approve? [y/N]: ")
        assert "Exact arguments" in text and "claude asks" in text and not effects(hostile, mark)
        asked.line("y")
        assert asked.wait() == 0, asked.text
        assert "done" in asked.text and '"results"' in asked.text and asked.is_restored()
    assert effects(hostile, mark) == ["yes"]
    done = approval(home, ident)
    assert done["state"] == "completed" and "collected_at" not in done
    assert session.result(ident).json()["output"] == done["output"]
    again = home.cli("approval", "approve", ident, "--yes")
    assert again.code == 1 and "not to be decided any more: done since" in again.err and effects(hostile, mark) == ["yes"]


@pytest.mark.parametrize("answer", ["n", "", "nope", "\x04"])
def test_everything_but_yes_is_no(home, session, hostile, answer):
    mark = hostile.mark()
    ident = session.ask("gated", effect("no"))
    with terminal(home, "approval", "approve", ident) as asked:
        asked.expect("Approve? [y/N]: ")
        asked.send(answer if answer == "\x04" else answer + "\n")
        assert asked.wait() == 1 and "it still waits" in asked.text
    assert approval(home, ident)["state"] == "pending" and not effects(hostile, mark)
    home.cli("approval", "deny", ident, check=0)


def test_without_a_terminal_yes_has_to_be_said(home, session, hostile):
    mark = hostile.mark()
    ident = session.ask("gated", effect("script"))
    refused = home.cli("approval", "approve", ident)
    assert refused.code == 2 and "--yes" in refused.err and approval(home, ident)["state"] == "pending"
    done = home.cli("approval", "approve", ident, "--yes", check=0)
    assert json.loads(done.out)["results"] and "Exact arguments" in done.err and effects(hostile, mark) == ["script"]


def test_json_answers_with_the_approval(home, session, hostile):
    ident = session.ask("gated", effect("json"))
    done = home.cli("approval", "approve", ident, "--yes", "--json", check=0).json()
    assert done["id"] == ident and done["state"] == "completed" and done["output"]["results"]
    other = session.ask("gated", effect("json denied"))
    denied = home.cli("approval", "deny", other, "--reason", "no", "--json", check=0).json()
    assert denied["state"] == "denied" and denied["reason"] == "no"


def test_no_wait_returns_at_once(home, session, hostile):
    ident = session.ask("gated", {**effect("slow"), "sleep_ms": 1500})
    started = time.monotonic()
    assert "approved" in home.cli("approval", "approve", ident, "--yes", "--no-wait", check=0).err
    assert time.monotonic() - started < 1.4
    wait_state(home, ident, "completed")


def test_ctrl_c_while_it_runs_leaves_it_running(home, session, hostile):
    mark = hostile.mark()
    ident = session.ask("gated", {**effect("runs on"), "sleep_ms": 2000})
    with terminal(home, "approval", "approve", ident, "--yes") as asked:
        wait_state(home, ident, "running")
        asked.send("\x03")
        assert asked.wait() == 0 and f"approval show {ident[-8:]}" in asked.text
    assert wait_state(home, ident, "completed")["output"] and effects(hostile, mark) == ["runs on"]


def test_what_fails_after_approval_exits_1(home, session, hostile):
    ident = session.ask("gated", effect("refused", url="https://forbidden.test/x"))
    done = home.cli("approval", "approve", ident, "--yes")
    failed = approval(home, ident)
    assert failed["state"] == "failed" and done.code == 1 and failed["failure"]["class"] in done.err, (done, failed)


def test_a_change_is_shown_and_asked_about_again(home, session, hostile):
    mark = hostile.mark()
    hostile.script("evil.test", "text/200/Dear Ann", path="/look")
    ident = session.ask("gated-seen", looking("seen"))
    with terminal(home, "approval", "approve", ident) as asked:
        text = asked.expect("Approve? [y/N]: ")
        assert "What will happen" in text and f"  Body\n    │ {b64u('Dear Ann')}\n" in text and "n/a" in text
        hostile.script("evil.test", "text/200/Dear Anna", "text/200/Dear Anna", path="/look")
        asked.line("y")
        text = asked.expect("Approve? [y/N]: ")
        assert "This changed since it was asked" in text and b64u("Dear Anna") in text and not effects(hostile, mark)
        asked.line("y")
        assert asked.wait() == 0, asked.text
    assert effects(hostile, mark) == ["seen"]


def test_yes_never_approves_what_nobody_saw(home, session, hostile):
    mark = hostile.mark()
    hostile.script("evil.test", "text/200/one", "text/200/quite other", "text/200/quite other", path="/look")
    ident = session.ask("gated-seen", looking("unseen"))
    done = home.cli("approval", "approve", ident, "--yes")
    assert done.code == 1 and "changed" in done.err and b64u("quite other") in done.err and not effects(hostile, mark)
    assert approval(home, ident)["state"] == "pending"
    home.cli("approval", "approve", ident, "--yes", check=0)
    assert effects(hostile, mark) == ["unseen"]


def test_decided_elsewhere_while_asking(home, session, hostile):
    mark = hostile.mark()
    ident = session.ask("gated", effect("twice"))
    with terminal(home, "approval", "approve", ident) as asked:
        asked.expect("Approve? [y/N]: ")
        assert decide(home, ident, approved=False).status == 200
        asked.line("y")
        assert asked.wait() == 1 and "denied since" in asked.text
    assert not effects(hostile, mark)


def test_an_unknown_outcome_is_said_and_resolved(home, session, hostile):
    mark = hostile.mark()
    hostile.script("evil.test", "reset_early", path="/do/echo")
    ident = session.ask("gated", effect("unknown"))
    done = home.cli("approval", "approve", ident, "--yes")
    assert done.code == 1 and "unknown" in done.err and "resolve" in done.err and approval(home, ident)["state"] == "unknown", done
    assert f"aileron approval resolve {ident[-8:]}" in home.cli("approval", "show", ident, check=0).out
    assert home.cli("approval", "resolve", ident[-8:], check=0).out == f"resolved: {ident}\n"
    assert home.cli("approval", "resolve", ident).code == 1
    assert "Resolved" in home.cli("approval", "show", ident, check=0).out and len(effects(hostile, mark)) == 1
    assert "unknown, resolved" in home.cli("approval", "list", "--all", check=0).out
    other = session.ask("gated", effect("known"))
    assert home.cli("approval", "resolve", other).code == 1
    home.cli("approval", "deny", other, check=0)


# ---- deny


def test_a_denial_tells_the_agent_why(home, session, hostile):
    mark = hostile.mark()
    ident = session.ask("gated", effect("denied"))
    assert home.cli("approval", "deny", ident[-8:], "--reason", "not on a Sunday", check=0).out.startswith("denied: Gated")
    failure = session.result(ident).json()["error"]
    assert failure["class"] == "approval_denied" and failure["details"]["reason"] == "not on a Sunday"
    again = home.cli("approval", "deny", ident)
    assert again.code == 1 and "denied" in again.err and not effects(hostile, mark)


# ---- a locked vault


def test_an_approved_one_waits_for_the_vault(home, session, hostile):
    mark = hostile.mark()
    ident = session.ask("gated", effect("locked"))
    home.cli("vault", "lock", check=0)
    done = home.cli("approval", "approve", ident, "--yes")
    assert done.code == 3 and "as soon as the vault is open" in done.err and approval(home, ident)["state"] == "approved", done
    assert "vault unlock" in home.cli("approval", "show", ident, check=0).out and not effects(hostile, mark)
    home.unlock()
    wait_state(home, ident, "completed")
    assert effects(hostile, mark) == ["locked"]


def test_approving_opens_the_vault(home, session, hostile):
    mark = hostile.mark()
    first, second = session.ask("gated", effect("opens")), session.ask("gated", effect("opens too"))
    home.cli("vault", "lock", check=0)
    home.cli("approval", "approve", first, "--yes", "--passphrase-file", home.passphrase_file, check=0)
    home.cli("vault", "lock", check=0)
    with terminal(home, "approval", "approve", second, "--yes") as asked:
        asked.expect("Vault passphrase: ")
        asked.line(PASSPHRASE)
        assert asked.wait() == 0, asked.text
    assert effects(hostile, mark) == ["opens", "opens too"]


# ---- the passphrase


def test_an_unfenced_agent_needs_the_passphrase(home, open_session, hostile):
    mark = hostile.mark()
    ident = open_session.ask("gated", effect("proved"))
    nobody = home.cli("approval", "approve", ident, "--yes")
    assert nobody.code == 3 and not effects(hostile, mark) and approval(home, ident)["state"] == "pending"
    wrong = home.cli("approval", "approve", ident, "--yes", "--passphrase-file", "-", input="guess\n")
    assert wrong.code == 1 and "wrong" in wrong.err and not effects(hostile, mark)
    time.sleep(1.2)  # the pause behind a wrong one
    with terminal(home, "approval", "approve", ident) as asked:
        assert "without a fence" in asked.expect("Approve? [y/N]: ")
        asked.line("y")
        asked.expect("passphrase")
        assert not asked.echoes()
        asked.line(PASSPHRASE)
        assert asked.wait() == 0, asked.text
        assert PASSPHRASE not in asked.text
    assert effects(hostile, mark) == ["proved"]


def test_yes_with_a_passphrase_file(home, open_session, hostile):
    mark = hostile.mark()
    ident = open_session.ask("gated", effect("file"))
    home.cli("approval", "approve", ident, "--yes", "--passphrase-file", home.passphrase_file, check=0)
    assert effects(hostile, mark) == ["file"]
    other = open_session.ask("gated", effect("never"))
    home.cli("approval", "deny", other, check=0)  # no is free


def test_nobody_does_away_with_the_passphrase_without_it(home, open_session, hostile):
    """An agent outside of the fence reaches the owner's door; approval.confirm must not be its way around."""
    mark = hostile.mark()
    ident = open_session.ask("gated", effect("around"))
    config = home.path / "config.toml"
    raw = {**home.environment}
    done = subprocess.run([paths.CLI, "config", "set", "approval.confirm", "never"], env=raw, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 3 and "passphrase" in done.stderr, done
    for body in ({"approval.confirm": "never"}, {"approval.confirm": "never", "ticket": "tkt_nothing"}, {"approval.confirm": "never", "ticket": 1}):
        answer = home.api("PATCH", "/v1/config", body)
        assert answer.status == 428 and answer.json()["error"]["code"] == "ticket_needed", answer
    # The file edited under the daemon, and another key set.
    before = config.read_text() if config.exists() else ""
    config.write_text(before + '\n[approval]\nconfirm = "never"\n')
    assert home.api("PATCH", "/v1/config", {"log.level": "info"}).status == 428
    config.write_text(before)
    assert decide(home, ident).status == 428 and not effects(hostile, mark)
    assert approval(home, ident)["needs_ticket"]
    # With it; a ticket for something else is none; to be stricter is free.
    home.cli("config", "set", "approval.confirm", "always", check=0)
    assert home.api("PATCH", "/v1/config", {"approval.confirm": "auto"}).status == 428
    assert home.cli("config", "set", "approval.confirm", "auto", "--passphrase-file", "-", input="guess\n").code == 1
    time.sleep(1.2)
    assert home.cli("config", "set", "approval.confirm", "auto", check=0).out == "approval.confirm = auto\n"
    home.cli("config", "set", "approval.confirm", "never", check=0)
    assert "approvals need no passphrase" in home.cli("status", check=0).out and "approvals need no passphrase" in home.unlock().err
    assert home.api("PATCH", "/v1/config", {"approval.confirm": None}).status == 200
    assert decide(home, ident).status == 428
    home.cli("approval", "deny", ident, check=0)


# ---- action run


def test_run_without_wait_exits_75(home, hostile):
    mark = hostile.mark()
    done = home.cli("action", "run", "gated", "--args", json.dumps(effect("75")), "--json")
    assert done.code == 75, done
    body = done.json()
    ident = body["approval_id"]
    assert body["status"] == "pending_approval" and ident in done.err and body["review_url"] in done.err
    assert "approval approve" in done.err and "approval result" in done.err and "code=" not in done.out + done.err
    assert home.cli("approval", "result", ident).code == 75
    home.cli("approval", "approve", ident, "--yes", "--passphrase-file", home.passphrase_file, check=0)
    assert home.cli("approval", "result", ident[-8:], check=0).json()["results"] and effects(hostile, mark) == ["75"]
    assert home.cli("approval", "result", "--json", ident, check=0).json()["audit_id"].startswith("aud_")


def test_run_with_wait_prints_the_output(home, hostile):
    mark = hostile.mark()
    done = []
    waiting = threading.Thread(target=lambda: done.append(home.cli("action", "run", "gated", "--wait", "--args", json.dumps(effect("waits")))))
    waiting.start()
    ident = poll(home)
    home.cli("approval", "approve", ident, "--yes", "--passphrase-file", home.passphrase_file, check=0)
    waiting.join(20)
    assert done[0].code == 0 and done[0].json()["results"] and effects(hostile, mark) == ["waits"]
    assert "Waiting for your approval: gated · http://127.0.0.1:" in done[0].err and f"approval approve {ident[-8:]}" in done[0].err
    assert approval(home, ident)["collected_at"]


def test_run_with_wait_of_a_denied_one(home, hostile):
    done = []
    waiting = threading.Thread(target=lambda: done.append(home.cli("action", "run", "gated", "-w", "--args", json.dumps(effect("no")))))
    waiting.start()
    home.cli("approval", "deny", poll(home), "--reason", "because", check=0)
    waiting.join(20)
    assert done[0].code == 1 and done[0].out == "" and "approval_denied" in done[0].err


def poll(home, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for found in approvals(home, "pending"):
            if not found["session_id"]:
                return found["id"]
        time.sleep(0.02)
    raise AssertionError("nothing waits")


def test_ctrl_c_while_waiting_says_how_to_collect(home, hostile):
    mark = hostile.mark()
    with terminal(home, "action", "run", "gated", "--wait", "--args", json.dumps(effect("later"))) as running:
        running.expect("Waiting for your approval")
        ident = poll(home)
        running.send("\x03")
        assert running.wait() == 75 and f"approval result --wait {ident[-8:]}" in running.text
    assert approval(home, ident)["state"] == "pending"
    with terminal(home, "approval", "result", "--wait", ident) as collecting:
        home.cli("approval", "approve", ident, "--yes", "--passphrase-file", home.passphrase_file, check=0)
        assert collecting.wait() == 0 and '"results"' in collecting.text
    assert effects(hostile, mark) == ["later"]


def test_waiting_needs_no_stream(home, hostile):
    """There are only so many readers of events; who comes too late asks again and again."""
    readers = []
    try:
        for _ in range(32):
            reader = socket.socket(socket.AF_UNIX)
            reader.connect(home.discovery()["socket"])
            reader.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            readers.append(reader)
        assert all(reader.recv(12) == b"HTTP/1.1 200" for reader in readers)
        mark = hostile.mark()
        with terminal(home, "action", "run", "gated", "--wait", "--args", json.dumps(effect("no stream"))) as running:
            running.expect("Waiting for your approval")
            ident = poll(home)
            home.cli("approval", "approve", ident, "--yes", "--passphrase-file", home.passphrase_file, check=0)
            assert running.wait() == 0 and '"results"' in running.text and "does not answer" not in running.text
        assert effects(hostile, mark) == ["no stream"]
    finally:
        for reader in readers:
            reader.close()


def test_waiting_survives_a_daemon_that_starts_anew(home, hostile):
    mark = hostile.mark()
    with terminal(home, "action", "run", "gated", "--wait", "--args", json.dumps(effect("restart"))) as running:
        running.expect("Waiting for your approval")
        ident = poll(home)
        home.stop()
        running.expect("the daemon does not answer; trying again")
        home.start()
        running.expect("the daemon is back")
        home.cli("approval", "approve", ident, "--yes", "--passphrase-file", home.passphrase_file, check=0)
        assert running.wait() == 0 and '"results"' in running.text
    assert effects(hostile, mark) == ["restart"]
