"""Approvals over time: a locked vault, restarts, kills, expiry, outcomes that nobody saw, and the passphrase."""
import pytest

from tests.conftest import PROBE_HOSTS, make_gated_home
from tests.rig.gated import (Session, approval, approvals, decide, effect, effects, install_gated, looking, wait_state)
from tests.rig.home import Home, credential
from tests.rig.keeper import Door
from tests.rig.ports import wait_for
from tests.rig.vault import PASSPHRASE

HANG = "https://evil.test/do/hang"


@pytest.fixture(scope="module")
def kept_home(built, probe_folder, hostile_server, ca):
    made = make_gated_home(probe_folder, hostile_server, ca)
    yield made
    made.close()


@pytest.fixture
def session(kept_home):
    return Session(kept_home)


def kill_and_start(home):
    pid = home.pid()
    home.remember()
    home.kill(pid)
    home.start()


def failed_of(home, ident):
    found = home.api("GET", "/v1/audit?type=execution.failed&limit=100").json()["events"]
    return [event for event in found if event["payload"].get("aileron.approval.id") == ident]


# ---- restarts


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_what_waits_survives_a_restart(kept_home, session, hostile, how):
    mark = hostile.mark()
    hostile.script("evil.test", "text/200/the same", "text/200/the same", path="/look")
    ident, seen = session.ask("gated", effect(how)), session.ask("gated-seen", looking(f"seen {how}"))
    before = [approval(kept_home, one) for one in (ident, seen)]
    if how == "kill":
        kill_and_start(kept_home)
    else:
        kept_home.stop()
        kept_home.start()
    for one, card in zip((ident, seen), before):
        after = approval(kept_home, one)
        assert after.pop("client_gone") and not card.pop("client_gone")
        assert after.pop("review_url") and card.pop("review_url")
        assert after == card
    assert session.ask("gated", effect(how)) == ident
    for one in (ident, seen):
        assert decide(kept_home, one).status == 200
        wait_state(kept_home, one, "completed")
    assert effects(hostile, mark) == [how, f"seen {how}"]


def test_results_survive_until_they_are_collected(kept_home, session, hostile):
    mark = hostile.mark()
    ident = session.ask("gated", effect("kept"))
    decide(kept_home, ident)
    wait_state(kept_home, ident, "completed")
    kill_and_start(kept_home)
    assert session.result(ident).status == 200
    assert approval(kept_home, ident)["collected_at"]
    assert effects(hostile, mark) == ["kept"]


def test_an_outcome_that_nobody_saw_is_unknown_and_never_run_again(kept_home, session, hostile):
    mark = hostile.mark()
    ident = session.ask("gated", effect("lost", HANG))
    assert decide(kept_home, ident).status == 200
    wait_for(lambda: effects(hostile, mark), "the request has left", 10)
    assert approval(kept_home, ident)["state"] == "running"
    kill_and_start(kept_home)
    card = approval(kept_home, ident)
    assert card["state"] == "unknown" and card["failure"]["details"]["outcome"] == "unknown"
    assert decide(kept_home, ident).status == 409
    assert len(failed_of(kept_home, ident)) == 1
    answer = session.run("gated", effect("lost", HANG))
    assert answer.status == 502 and answer.json()["error"]["details"]["outcome"] == "unknown"
    assert answer.json()["error"]["retriable"] is False
    assert effects(hostile, mark) == ["lost"]
    assert kept_home.api("POST", f"/v1/approvals/{ident}/resolve", {}).status == 200
    assert kept_home.api("POST", f"/v1/approvals/{ident}/resolve", {}).status == 409
    card = approval(kept_home, ident)
    assert card["state"] == "unknown" and card["resolved_at"]
    # Collected: the same may be asked for anew, and the card says that it may have been done.
    again = session.ask("gated", effect("lost", HANG))
    assert approval(kept_home, again)["before"]["id"] == ident
    decide(kept_home, again, approved=False)


def test_a_keeper_that_dies_under_a_run_leaves_it_unknown(kept_home, session, hostile):
    mark = hostile.mark()
    ident = session.ask("gated", effect("keeper", HANG))
    decide(kept_home, ident)
    wait_for(lambda: effects(hostile, mark), "the request has left", 10)
    keeper, = kept_home.children("aileron-keeper --home")
    kept_home.kill(keeper)
    assert wait_state(kept_home, ident, "unknown")["failure"]["details"]["outcome"] == "unknown"
    wait_for(lambda: kept_home.unlock(check=None).code == 0, "the next keeper", 20)
    assert effects(hostile, mark) == ["keeper"]


# ---- the vault


def test_what_is_approved_waits_for_the_vault(kept_home, session, hostile):
    mark = hostile.mark()
    ident = session.ask("gated", effect("locked"))
    kept_home.api("POST", "/v1/vault/lock", {})
    answer = decide(kept_home, ident)
    assert answer.status == 200 and answer.json()["state"] == "approved"
    locked = session.run("gated", effect("asked while it is locked"))
    assert locked.status == 412 and locked.json()["error"]["details"]["reason"] == "vault_locked"
    assert not effects(hostile, mark)
    kept_home.unlock()
    wait_state(kept_home, ident, "completed")
    assert effects(hostile, mark) == ["locked"]


def test_what_was_approved_and_not_started_asks_again_after_a_kill(kept_home, session, hostile):
    mark = hostile.mark()
    ident = session.ask("gated", effect("approved before"))
    kept_home.api("POST", "/v1/vault/lock", {})
    assert decide(kept_home, ident).json()["state"] == "approved"
    kill_and_start(kept_home)
    assert approval(kept_home, ident)["state"] == "pending"
    assert not effects(hostile, mark)
    decide(kept_home, ident)
    wait_state(kept_home, ident, "completed")
    assert effects(hostile, mark) == ["approved before"]


# ---- expiry


def test_nobody_decides_in_time(kept_home, session, hostile):
    mark = hostile.mark()
    kept_home.cli("config", "set", "approval.expiry", "1s", check=0)
    try:
        waiting = session.in_background("gated", effect("too late"))
        answer = waiting.join()
        assert answer.status == 408 and answer.json()["error"]["class"] == "approval_timeout"
        assert answer.json()["error"]["audit_id"].startswith("aud_")
        ident = answer.json()["error"]["details"]["approval_id"]
        assert approval(kept_home, ident)["state"] == "expired"
        assert decide(kept_home, ident).status == 409
        assert not effects(hostile, mark)
    finally:
        kept_home.cli("config", "set", "approval.expiry", "24h", check=0)


# ---- the journal's file


def test_a_torn_end_is_nothing_and_a_broken_line_is_told(kept_home, session):
    ident = session.ask("gated", effect("journal"))
    kept_home.stop()
    journal = kept_home.path / "approvals.jsonl"
    whole = journal.read_bytes()
    assert journal.stat().st_mode & 0o777 == 0o600
    journal.write_bytes(whole + b'{"state":"approved","id":"' + ident.encode())
    kept_home.start()
    assert approval(kept_home, ident)["state"] == "pending"
    kept_home.stop()
    journal.write_bytes(b"not a line\n" + whole)
    result = kept_home.start(check=4)
    assert "approvals.jsonl:1" in result.err
    journal.write_bytes(whole)
    kept_home.start()
    decide(kept_home, ident, approved=False)


def test_a_rewritten_journal_approves_nothing(kept_home, session, hostile):
    mark = hostile.mark()
    ident = session.ask("gated", effect("forged"))
    kept_home.stop()
    journal = kept_home.path / "approvals.jsonl"
    lines = [line for line in journal.read_text().splitlines() if ident in line]
    journal.write_text(journal.read_text() + lines[-1].replace('"state":"pending"', '"state":"approved"') + "\n")
    kept_home.start()
    assert approval(kept_home, ident)["state"] == "pending"
    assert not effects(hostile, mark)
    decide(kept_home, ident, approved=False)


# ---- the passphrase


@pytest.fixture
def confirming(kept_home):
    kept_home.cli("config", "set", "approval.confirm", "auto", check=0)
    yield kept_home
    kept_home.cli("config", "set", "approval.confirm", "never", check=0)


def ticket(home, ident, seal, passphrase=PASSPHRASE):
    with Door(home.discovery()["socket"].replace("daemon.sock", "keeper.sock")) as door:
        return door.ticket(passphrase, ident, seal).detail


def test_an_unfenced_agent_needs_the_passphrase(confirming, session, hostile):
    mark = hostile.mark()
    ident, other = session.ask("gated", effect("with passphrase")), session.ask("gated", effect("another one"))
    card = approval(confirming, ident)
    assert card["needs_ticket"]
    refused = decide(confirming, ident, seal=card["seal"])
    assert refused.status == 428 and ident in refused.json()["error"]["hint"]
    for bad in ("", "tkt_nothing", ticket(confirming, other, approval(confirming, other)["seal"]),
                ticket(confirming, ident, "sha256:" + "0" * 64)):
        assert decide(confirming, ident, ticket=bad).status == 428
    assert not effects(hostile, mark) and approval(confirming, ident)["state"] == "pending"
    good = ticket(confirming, ident, card["seal"])
    assert decide(confirming, ident, ticket=good, seal=card["seal"]).status == 200
    wait_state(confirming, ident, "completed")
    assert decide(confirming, other, ticket=good).status == 428
    # A no needs nothing: it is always the safe side.
    assert decide(confirming, other, approved=False).status == 200
    assert effects(hostile, mark) == ["with passphrase"]


def test_a_fenced_agent_needs_none_unless_always(confirming, hostile):
    mark = hostile.mark()
    fenced = Session(confirming, agent="fenced", confinement="fence")
    ident = fenced.ask("gated", effect("fenced"))
    assert not approval(confirming, ident)["needs_ticket"]
    assert decide(confirming, ident).status == 200
    wait_state(confirming, ident, "completed")
    confirming.cli("config", "set", "approval.confirm", "always", check=0)
    ident = fenced.ask("gated", effect("always"))
    assert decide(confirming, ident).status == 428
    decide(confirming, ident, approved=False)
    assert effects(hostile, mark) == ["fenced"]


def test_what_a_fenced_agent_asked_is_known_after_a_restart(confirming):
    fenced = Session(confirming, agent="fenced", confinement="fence")
    ident = fenced.ask("gated", effect("fenced before"))
    kill_and_start(confirming)
    assert not approval(confirming, ident)["needs_ticket"]
    decide(confirming, ident, approved=False)


def test_a_ticket_is_for_what_was_shown(confirming, session, hostile):
    mark = hostile.mark()
    hostile.script("evil.test", "text/200/Dear Ann", path="/look")
    ident = session.ask("gated-seen", looking("ticket"))
    seal = approval(confirming, ident)["seal"]
    good = ticket(confirming, ident, seal)
    hostile.script("evil.test", "text/200/Dear Bob", path="/look")
    answer = decide(confirming, ident, ticket=good, seal=seal)
    assert answer.status == 409 and answer.json()["error"]["code"] == "changed"
    hostile.script("evil.test", "text/200/Dear Bob", path="/look")
    assert decide(confirming, ident, ticket=good).status == 428
    assert not effects(hostile, mark)
    decide(confirming, ident, approved=False)
    hostile.forget()


def test_nothing_is_left_waiting(kept_home):
    assert not [card for card in approvals(kept_home, "pending")]
    assert kept_home.cli("audit", "verify", check=0)


def test_another_account_is_another_thing_to_approve(built, probe_folder, hostile_server, ca, hostile):
    """The account stands on the card: a new default does not take its place behind a yes."""
    rows = [credential(f"api_key/probe/{who}", "local://probe", ["https://evil.test:443"], f"{who}-key-31c0ffee5a") for who in ("me", "work")]
    home = Home(rows, hostile_server.connect_to(PROBE_HOSTS), ca.path)
    try:
        home.start()
        home.install(probe_folder)
        install_gated(home, "gated")
        home.cli("config", "set", "approval.confirm", "never", check=0)
        mark, asker = hostile.mark(), Session(home)
        ident = asker.ask("gated", effect("which account"))
        card = approval(home, ident)
        assert card["binding"] == "api_key/probe/me"
        with Door(home.discovery()["socket"].replace("daemon.sock", "keeper.sock")) as door:
            door.default("api_key/probe/work")
        answer = decide(home, ident, seal=card["seal"])
        assert answer.status == 409 and answer.json()["error"]["code"] == "changed"
        after = approval(home, ident)
        assert [item["label"] for item in after["difference"]] == ["Binding"] and after["binding"] == "api_key/probe/work"
        assert not effects(hostile, mark)
        assert decide(home, ident, seal=after["seal"]).status == 200
        wait_state(home, ident, "completed")
        assert effects(hostile, mark) == ["which account"]
    finally:
        home.close()


def test_a_revoked_binding_cancels_what_waits_for_it(kept_home, session, hostile):
    """The last test: the binding is gone afterwards."""
    mark = hostile.mark()
    ident = session.ask("gated", effect("revoked"))
    assert kept_home.api("DELETE", "/v1/bindings/api_key/probe/me").status == 200
    card = wait_state(kept_home, ident, "cancelled")
    assert "binding" in card["reason"]
    assert session.result(ident).status == 403 and not effects(hostile, mark)
