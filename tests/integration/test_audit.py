"""Receipts: every event has what SPEC §9 requires, a broken chain is found, and without a receipt there is no effect."""
import hashlib
import json
import os
import re
import shutil
import subprocess

import pytest

from tests.conftest import PROBE_TOKEN, make_probe_home
from tests.rig.home import Home, credential
from tests.rig.ports import wait_for
from tests.rig.probing import args_of, ask, envelope, probe

EXECUTION = ["aileron.action.name", "aileron.action.version", "aileron.action.hash", "aileron.connector.fqn",
             "aileron.connector.version", "aileron.connector.hash", "aileron.connector.op", "aileron.execution.disposition"]
FAILURE = ["aileron.failure.class", "aileron.failure.boundary", "aileron.failure.retriable"]
INSTALLED = ["aileron.signature.status", "aileron.consent.decision"]
ACTION = ["aileron.action.version", "aileron.action.hash"]
CONNECTOR = ["aileron.connector.fqn", "aileron.connector.version", "aileron.connector.hash"]

REQUIRED = {
    "execution.started": EXECUTION,
    "execution.succeeded": [*EXECUTION, "aileron.execution.duration_ms"],
    "execution.failed": [*EXECUTION, "aileron.execution.duration_ms", *FAILURE],
    "action.installed": [*ACTION, *INSTALLED],
    "action.updated": [*ACTION, *INSTALLED],
    "connector.installed": [*CONNECTOR, *INSTALLED],
    "action.removed": ACTION,
    "action.enabled": ACTION,
    "action.disabled": ACTION,
    "connector.removed": CONNECTOR,
    "vault.created": ["aileron.vault.path"],
    "vault.unlocked": ["aileron.vault.path"],
    "vault.unlock_failed": ["aileron.vault.path"],
    "vault.locked": ["aileron.vault.path"],
    "vault.passphrase_changed": ["aileron.vault.path"],
    "binding.resolved": ["aileron.binding.name", "aileron.connector.fqn", "aileron.capability.kind"],
    "binding.failed": ["aileron.binding.name", "aileron.connector.fqn", "aileron.capability.kind"],
    "session.started": [],
    "session.ended": [],
    "daemon.started": [],
    "daemon.stopped": [],
    "audit.recovered": [],
    "capability.denied": [],
}
NAMES = re.compile(r"aileron\.(action\.(name|version|fqn|hash)|connector\.(fqn|version|hash|op)|binding\.name|capability\.\w+|"
                   r"approval\.\w+|execution\.\w+|http\.(method|host|status)|failure\.(class|boundary|retriable)|"
                   r"signature\.status|consent\.decision|install\.already_installed|vault\.path|keyring\.\w+|"
                   r"session\.\w+|daemon\.\w+|audit\.\w+|limit\.\w+)$")


@pytest.fixture(scope="module")
def eventful(built, probe_folder, hostile_server, ca):
    """A home in which everything happened that makes an event today; stopped and started once in between."""
    home = make_probe_home(probe_folder, hostile_server, ca)
    ask(home, "https://evil.test/do/ok", credential="api_key")
    probe(home, envelope("https://elsewhere.test/do/ok?secret=query"))
    probe(home, exit=3, stderr="words of the connector")
    probe(home, stdout='{"error":{"class":"bad_input","message":"words of the connector"}}')
    probe(home, envelope("https://other.test/do/ok", credential="api_key"))
    home.run_action("probe", {"nosuch": "argument"})
    home.cli("action", "disable", "probe-sure", check=0)
    home.cli("action", "enable", "probe-sure", check=0)
    home.install(probe_folder, probe_folder / "actions/probe-sure.md")
    # A changed file is an update.
    changed = home.base / "probe-sure.md"
    changed.write_text((probe_folder / "actions/probe-sure.md").read_text() + "\nMore words.\n")
    home.cli("action", "add", "--local", changed, check=0)
    session = home.api("POST", "/v1/sessions", {"agent": "tests"}).json()
    home.api("POST", "/v1/actions/probe/run", {"args": args_of(stdout='{"output":{}}')}, token=session["token"])
    home.api("POST", f"/v1/sessions/{session['session_id']}/end")
    home.api("DELETE", "/v1/actions/probe-read")
    home.stop()
    home.start()
    home.session_id = session["session_id"]
    yield home
    home.close()


def test_every_event_has_what_is_required_of_it(eventful):
    seen = set()
    for event in eventful.audit_lines():
        kind, payload = event["event_type"], event["payload"]
        seen.add(kind)
        assert kind in REQUIRED, f"{kind} is not in the table"
        missing = [key for key in REQUIRED[kind] if key not in payload]
        assert not missing, f"{kind} lacks {missing}: {payload}"
        if kind.startswith(("action.", "connector.")) and kind != "connector.removed":
            assert "aileron.action.name" in payload or "aileron.action.fqn" in payload or "aileron.connector.fqn" in payload
        for key in payload:
            assert NAMES.match(key), f"{kind} has {key}"
        assert event["actor"]["type"] in ("human", "agent", "connector", "service") and event["actor"]["id"]
        assert re.fullmatch(r"aud_[0-9A-HJKMNP-TV-Z]{26}", event["audit_id"])
    expected = {"execution.started", "execution.succeeded", "execution.failed", "action.installed", "action.updated",
                "connector.installed", "action.enabled", "action.disabled", "action.removed", "session.started",
                "session.ended", "daemon.started", "daemon.stopped", "capability.denied", "vault.unlocked"}
    assert expected <= seen, f"never seen: {expected - seen}"


def test_the_layout_of_a_line_is_fixed(eventful):
    for path in eventful.audit_files():
        assert path.stat().st_mode & 0o777 == 0o600
        assert re.fullmatch(r"audit-\d{4}-\d\d-\d\d\.jsonl", path.name)
        for line in path.read_bytes().splitlines():
            keys = list(json.loads(line))
            expected = ["seq", "audit_id", "timestamp", "event_type", "session_id", "actor", "payload", "prev"]
            assert keys == [key for key in expected if key in keys]
            assert json.dumps(json.loads(line), separators=(",", ":"), ensure_ascii=False).encode() == line


def test_the_chain_holds_by_our_own_reckoning(eventful):
    previous, sequence = "sha256:" + "0" * 64, None
    for path in eventful.audit_files():
        for line in path.read_bytes().splitlines():
            event = json.loads(line)
            assert event["prev"] == previous
            assert sequence is None or event["seq"] == sequence + 1
            previous, sequence = "sha256:" + hashlib.sha256(line).hexdigest(), event["seq"]


def test_whose_call_it_was(eventful):
    ran = [event for event in eventful.audit_lines() if event.get("session_id") == eventful.session_id]
    assert {event["event_type"] for event in ran} >= {"session.started", "execution.started", "execution.succeeded"}
    assert {event["actor"]["type"] for event in ran if event["event_type"].startswith("execution.")} == {"agent"}
    own = [event for event in eventful.audit_lines() if event["event_type"] == "execution.started" and "session_id" not in event]
    assert {event["actor"]["type"] for event in own} == {"human"}


def test_nothing_private_is_in_it(eventful):
    text = b"".join(path.read_bytes() for path in eventful.audit_files()).decode()
    for private in (PROBE_TOKEN, "secret=query", "words of the connector", "/do/ok", eventful.discovery()["token"]):
        assert private not in text, private


def test_listing_and_filters(eventful):
    every = eventful.audit("--limit", "1000")
    assert [event["seq"] for event in every] == sorted((event["seq"] for event in every), reverse=True)
    assert len(eventful.audit("--limit", "3")) == 3
    assert {event["event_type"] for event in eventful.audit("--type", "execution.failed")} == {"execution.failed"}
    assert all(event["payload"]["aileron.failure.class"] == "bad_input" for event in eventful.audit("--class", "bad_input"))
    assert all(event["session_id"] == eventful.session_id for event in eventful.audit("--session", eventful.session_id))
    newest = every[0]
    for name in (newest["audit_id"], newest["audit_id"][-8:]):
        assert eventful.cli("audit", "show", name, "--json", check=0).json()["audit_id"] == newest["audit_id"]
    assert eventful.cli("audit", "show", newest["audit_id"][-3:]).code != 0
    out = eventful.cli("audit", "list", check=0).out
    assert "execution.succeeded" in out or "succeeded" in out
    assert len(out.splitlines()) >= 10


def test_a_search_through_everything(eventful):
    """`--text` finds what a line holds, in any case, also far behind the newest; the API has bounds."""
    wanted = [event["audit_id"] for event in eventful.audit("-n", "1000") if "connector.installed" in json.dumps(event)]
    found = [event["audit_id"] for event in eventful.audit("--text", "Connector.INSTALLED", "-n", "1000")]
    assert found == wanted != []
    assert eventful.audit("--text", found[-1].lower())[0]["audit_id"] == found[-1]
    assert eventful.audit("--text", "no such text anywhere") == []
    assert eventful.api("GET", "/v1/audit?text=" + "x" * 256).status == 400


@pytest.fixture
def copied(eventful):
    """A stopped home with a copy of the log, to be damaged."""
    home = Home()
    home.path.mkdir(mode=0o700)
    shutil.copytree(eventful.path / "audit", home.path / "audit")
    yield home
    home.close()


def verify(home):
    result = home.cli("audit", "verify", "--json")
    return result, result.json()


def test_an_untouched_copy_is_intact(copied):
    result, verdict = verify(copied)
    assert result.code == 0 and verdict["intact"] is True, repr(result)


def edit(lines):
    lines[4] = lines[4].replace(b'"actor"', b'"actoR"')


def edit_a_digit(lines):
    lines[3] = lines[3].replace(b"1.0.0", b"1.0.1") if b"1.0.0" in lines[3] else lines[3][:-3] + b'0"}'


DAMAGE = {
    "edited": edit,
    "edited by a digit": edit_a_digit,
    "a line taken out": lambda lines: lines.pop(5),
    "the first taken out": lambda lines: lines.pop(0),
    "two swapped": lambda lines: lines.__setitem__(slice(5, 7), [lines[6], lines[5]]),
    "one doubled": lambda lines: lines.insert(5, lines[5]),
    "one put in": lambda lines: lines.insert(5, lines[5].replace(b'"seq":', b'"seq":1')),
    "a blank line": lambda lines: lines.insert(5, b""),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_found_and_placed(copied, what):
    path = copied.audit_files()[0]
    lines = path.read_bytes().splitlines()
    before = list(lines)
    DAMAGE[what](lines)
    assert lines != before
    path.write_bytes(b"\n".join(lines) + b"\n")
    result, verdict = verify(copied)
    assert result.code == 1 and verdict["intact"] is False, repr(result)
    assert path.name in verdict["where"] and re.search(r"\d", verdict["where"].split(path.name)[1]), verdict
    plain = copied.cli("audit", "verify")
    assert plain.code == 1 and path.name in plain.out + plain.err


def test_disk_full_means_no_effect(built, probe_folder, hostile_server, hostile, ca):
    """No receipt, no effect: nothing is sent while the log cannot grow, and it works again when it can."""
    if os.geteuid() != 0:
        pytest.skip("a small file system needs root")
    row = credential("api_key/probe/me", "local://probe", ["https://evil.test:443"], PROBE_TOKEN)
    home = Home([row], hostile_server.connect_to(["evil.test"]), ca.path)
    home.path.mkdir(mode=0o700)
    (home.path / "audit").mkdir(mode=0o700)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", home.path / "audit"],
                             check=False, capture_output=True, text=True)
    if mounted.returncode:
        home.close()
        pytest.skip(f"mount: {mounted.stderr.strip()}")
    try:
        home.start()
        home.install(probe_folder, probe_folder / "actions/probe.md")
        assert ask(home, "https://evil.test/do/ok")["status"] == 200
        filler = home.path / "audit/filler"
        with open(filler, "wb", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(b"\0" * 512)
        # What is left of the last page may still take a line or two.
        for _ in range(40):
            mark = hostile.mark()
            result = home.run_action("probe", args_of(envelope("https://evil.test/do/ok")))
            if result.code != 0:
                break
        assert result.code != 0, "the log should be full by now"
        assert hostile.since(mark) == [], "an effect without a receipt"
        assert home.cli("status", check=0).out
        assert "audit" in home.cli("status").out.lower()
        filler.unlink()
        wait_for(lambda: home.run_action("probe", args_of(envelope("https://evil.test/do/ok"))).code == 0, "work again", 10)
        home.cli("audit", "verify", check=0)
    finally:
        try:
            home.cli("daemon", "stop", timeout=30)
        finally:
            subprocess.run(["umount", home.path / "audit"], check=False)
            home.close()
