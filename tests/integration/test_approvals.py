"""Approvals at the door of the API: what parks, who decides, what then happens, once, and what never does."""
import json
import time

import pytest

from tests.conftest import make_gated_home
from tests.rig.home import b64u
from tests.rig.probing import args_of
from tests.rig.gated import (LOOK, Session, approval, approvals, decide, effect, effects, looking, wait_state)


@pytest.fixture(scope="module")
def gated_home(built, probe_folder, hostile_server, ca):
    made = make_gated_home(probe_folder, hostile_server, ca)
    yield made
    made.close()


@pytest.fixture
def session(gated_home):
    return Session(gated_home, folder="/work/project")


def events(home, kind, **match):
    found = home.api("GET", f"/v1/audit?type={kind}&limit=1000").json()["events"]
    return [event for event in found if all(event["payload"].get(f"aileron.{key}") == value for key, value in match.items())]


# ---- parking, deciding, running


def test_a_call_parks_is_approved_and_runs_once(gated_home, session, hostile):
    mark = hostile.mark()
    ident = session.ask("gated", effect("one"))
    card = approval(gated_home, ident)
    assert card["state"] == "pending" and card["badge"] == "COMMS SEND" and card["agent"] == "tester"
    assert card["folder"] == "/work/project" and card["connector"]["fqn"] == "local://probe"
    assert card["arguments"] == [{"op": "act", "args": effect("one")}]
    assert [pair[0] for pair in card["inputs"]] == ["Requests", "Note", "sleep_ms", "look"]
    assert not effects(hostile, mark)
    assert decide(gated_home, ident, seal=card["seal"]).status == 200
    done = wait_state(gated_home, ident, "completed")
    assert effects(hostile, mark) == ["one"] and done["output"]["results"][0]["status"] == 200
    assert decide(gated_home, ident).status == 409 and decide(gated_home, ident, approved=False).status == 409
    answer = session.result(ident)
    assert answer.status == 200 and answer.json()["output"] == done["output"]
    assert effects(hostile, mark) == ["one"]


def test_who_waits_gets_the_answer(gated_home, session, hostile):
    mark = hostile.mark()
    waiting = session.in_background("gated", effect("waits"))
    ident = poll_pending(gated_home, session)
    decide(gated_home, ident)
    answer = waiting.join()
    assert answer.status == 200 and answer.json()["output"]["results"][0]["status"] == 200
    assert approval(gated_home, ident)["collected_at"]
    assert effects(hostile, mark) == ["waits"]


def poll_pending(home, session):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        for found in approvals(home, "pending"):
            if found["session_id"] == session.id:
                return found["id"]
        time.sleep(0.02)
    raise AssertionError("nothing waits")


def test_a_denial_says_why_and_nothing_happens(gated_home, session, hostile):
    mark = hostile.mark()
    waiting = session.in_background("gated", effect("no"))
    ident = poll_pending(gated_home, session)
    assert decide(gated_home, ident, approved=False, reason="not on a Sunday").status == 200
    answer = waiting.join()
    error = answer.json()["error"]
    assert answer.status == 403 and error["class"] == "approval_denied" and error["boundary"] == "user"
    assert error["details"]["reason"] == "not on a Sunday" and error["audit_id"].startswith("aud_")
    assert not effects(hostile, mark)
    found = events(gated_home, "approval.denied", **{"approval.id": ident})
    assert len(found) == 1 and found[0]["payload"]["aileron.approval.reason"] == "not on a Sunday"
    assert found[0]["audit_id"] == error["audit_id"]


def test_receipts_of_an_approval(gated_home, session):
    ident = session.ask("gated", effect("receipts"))
    decide(gated_home, ident)
    wait_state(gated_home, ident, "completed")
    requested, = events(gated_home, "approval.requested", **{"approval.id": ident})
    approved, = events(gated_home, "approval.approved", **{"approval.id": ident})
    started, = events(gated_home, "execution.started", **{"approval.id": ident})
    succeeded, = events(gated_home, "execution.succeeded", **{"approval.id": ident})
    assert requested["seq"] < approved["seq"] < started["seq"] < succeeded["seq"]
    for event in (requested, approved, started, succeeded):
        assert event["session_id"] == session.id and event["payload"]["aileron.action.name"] == "gated"
    assert requested["payload"]["aileron.approval.kind"] == "comms_send"
    assert requested["payload"]["aileron.approval.seal"] == approved["payload"]["aileron.approval.seal"]
    assert approved["actor"] == {"type": "human", "id": "owner"} and approved["payload"]["aileron.approval.wait_ms"] >= 0
    assert started["payload"]["aileron.execution.disposition"] == "approved"
    assert "calls" not in json.dumps(requested)


def test_the_first_decision_wins(gated_home, session, hostile):
    mark = hostile.mark()
    for number in range(6):
        ident = session.ask("gated", effect(f"race {number}"))
        both = [background(lambda yes=yes, ident=ident: decide(gated_home, ident, approved=yes).status) for yes in (True, False, True)]
        statuses = sorted(item.join() for item in both)
        assert statuses == [200, 409, 409]
        state = wait_state(gated_home, ident, "completed", "denied")["state"]
        seen = effects(hostile, mark).count(f"race {number}")
        assert seen == (1 if state == "completed" else 0)


def background(function):
    from tests.rig.gated import Background
    return Background(function)


# ---- the same call


def test_the_same_call_is_one_until_it_is_collected(gated_home, session, hostile):
    mark = hostile.mark()
    ident = session.ask("gated", effect("same"))
    assert session.ask("gated", effect("same")) == ident
    other = session.ask("gated", effect("other"))
    assert other != ident
    decide(gated_home, ident)
    wait_state(gated_home, ident, "completed")
    answer = session.run("gated", effect("same"))
    assert answer.status == 200 and effects(hostile, mark) == ["same"]
    again = session.ask("gated", effect("same"))
    assert again != ident
    assert approval(gated_home, again)["before"]["id"] == ident
    decide(gated_home, other, approved=False)
    decide(gated_home, again, approved=False)


def test_another_session_is_another_asker(gated_home, session):
    other = Session(gated_home, agent="second")
    ident = session.ask("gated", effect("two sessions"))
    theirs = other.ask("gated", effect("two sessions"))
    assert theirs != ident
    assert other.result(ident).status == 404 and session.result(theirs).status == 404
    for one in (ident, theirs):
        decide(gated_home, one, approved=False)


def test_a_denial_is_heard_once_and_then_it_may_be_asked_again(gated_home, session):
    ident = session.ask("gated", effect("asked twice"))
    decide(gated_home, ident, approved=False)
    assert session.run("gated", effect("asked twice")).status == 403
    again = session.ask("gated", effect("asked twice"))
    assert again != ident
    decide(gated_home, again, approved=False)


def test_an_idempotency_key_holds_at_any_time(gated_home, session, hostile):
    mark = hostile.mark()
    ident = session.ask("gated", effect("keyed"), key="key-1")
    decide(gated_home, ident)
    wait_state(gated_home, ident, "completed")
    first = session.run("gated", effect("keyed"), key="key-1")
    second = session.run("gated", effect("keyed"), key="key-1")
    assert first.status == second.status == 200 and first.json() == second.json()
    other = session.run("gated", effect("something else"), key="key-1")
    assert other.status == 422 and other.json()["error"]["code"] == "idempotency_key_reused"
    once = session.run("once", effect("ungated keyed"), key="key-2")
    assert session.run("once", effect("ungated keyed"), key="key-2").json() == once.json()
    assert effects(hostile, mark) == ["keyed", "ungated keyed"]


def test_an_ungated_call_that_is_under_way_is_joined(gated_home, session, hostile):
    mark = hostile.mark()
    args = {**effect("joined"), "sleep_ms": 700}
    both = [session.in_background("once", args, wait=0) for _ in range(3)]
    bodies = [item.join().json() for item in both]
    assert effects(hostile, mark) == ["joined"] and bodies[0] == bodies[1] == bodies[2]
    assert session.run("once", args).status == 200
    assert effects(hostile, mark) == ["joined", "joined"]


def test_harmless_calls_are_not_joined(gated_home, session, hostile):
    mark = hostile.mark()
    args = {**effect("harmless"), "sleep_ms": 300}
    for item in [session.in_background("looks", args, wait=0) for _ in range(3)]:
        assert item.join().status == 200
    assert effects(hostile, mark) == ["harmless"] * 3


# ---- previews and seals


def test_the_preview_is_shown_and_not_told_to_the_agent(gated_home, session, hostile):
    hostile.script("evil.test", "text/200/draft one", path="/look")
    answer = session.run("gated-seen", looking("seen"))
    ident = answer.json()["approval_id"]
    assert "draft" not in answer.body.decode()
    card = approval(gated_home, ident)
    assert [pair[0] for pair in card["preview"]["pairs"]] == ["Status", "Body", "Missing"]
    pairs = dict(card["preview"]["pairs"])
    assert pairs["Status"] == "200" and pairs["Missing"] == "n/a" and card["preview"]["multiline"] == ["Body"]
    requested, = events(gated_home, "approval.requested", **{"approval.id": ident})
    assert requested["payload"]["aileron.approval.preview_hash"].startswith("sha256:")
    assert not events(gated_home, "execution.started", **{"action.name": "gated-seen", "connector.op": "look"})
    decide(gated_home, ident, approved=False)


def test_what_changed_since_it_was_shown_asks_again(gated_home, session, hostile):
    mark = hostile.mark()
    hostile.script("evil.test", "text/200/Dear Ann", path="/look")
    ident = session.ask("gated-seen", looking("changes"))
    before = approval(gated_home, ident)
    hostile.script("evil.test", "text/200/Dear Anna", path="/look")
    answer = decide(gated_home, ident, seal=before["seal"])
    assert answer.status == 409 and answer.json()["error"]["code"] == "changed"
    after = approval(gated_home, ident)
    assert after["state"] == "pending" and after["seal"] != before["seal"]
    assert [item["label"] for item in after["difference"]] == ["Body"]
    assert not effects(hostile, mark)
    # A decision about the old card counts for nothing.
    hostile.script("evil.test", "text/200/Dear Anna", path="/look")
    assert decide(gated_home, ident, seal=before["seal"]).status == 409
    assert not effects(hostile, mark)
    assert decide(gated_home, ident, seal=after["seal"]).status == 200
    wait_state(gated_home, ident, "completed")
    assert effects(hostile, mark) == ["changes"]


def test_a_preview_that_fails_leaves_the_inputs_and_says_why(gated_home, session, hostile):
    hostile.script("evil.test", "reset_early", path="/look")
    hostile.script("evil.test", "reset_early", path="/look")
    hostile.script("evil.test", "reset_early", path="/look")
    ident = session.ask("gated-seen", looking("no preview", look="https://nowhere.test/x"))
    card = approval(gated_home, ident)
    assert card["preview"]["state"] == "unavailable" and card["preview"]["reason"]
    assert dict(card["inputs"])["Note"] == "(not given)"
    assert decide(gated_home, ident).status == 200
    hostile.forget()
    wait_state(gated_home, ident, "completed")


def test_a_preview_may_only_read(gated_home, session, hostile):
    mark = hostile.mark()
    args = looking("sneaky")
    args["look"] = effect("from the preview")["calls"][0]
    ident = session.ask("gated-seen", args)
    assert approval(gated_home, ident)["preview"]["state"] == "unavailable"
    assert not effects(hostile, mark)
    decide(gated_home, ident, approved=False)


def test_an_updated_action_asks_again(gated_home, session, hostile):
    mark = hostile.mark()
    ident = session.ask("gated-again", effect("updated"))
    before = approval(gated_home, ident)
    from tests.rig.gated import action_text
    path = gated_home.base / "gated-again.md"
    path.write_text(action_text("gated-again", "1.0.1"))
    gated_home.cli("action", "add", "--local", path, check=0)
    answer = decide(gated_home, ident, seal=before["seal"])
    assert answer.status == 409 and answer.json()["error"]["code"] == "changed"
    assert [item["label"] for item in approval(gated_home, ident)["difference"]] == ["Action"]
    assert not effects(hostile, mark)
    assert decide(gated_home, ident).status == 200
    wait_state(gated_home, ident, "completed")
    assert effects(hostile, mark) == ["updated"]


# ---- what ends without a decision


def test_a_disabled_action_cancels_what_waits_for_it(gated_home, session, hostile):
    mark = hostile.mark()
    waiting = session.in_background("gated-again", effect("cancelled"))
    ident = poll_pending(gated_home, session)
    gated_home.cli("action", "disable", "gated-again", check=0)
    try:
        answer = waiting.join()
        assert answer.status == 403 and answer.json()["error"]["class"] == "approval_denied"
        assert approval(gated_home, ident)["state"] == "cancelled"
        assert events(gated_home, "approval.cancelled", **{"approval.id": ident})
        assert not effects(hostile, mark)
    finally:
        gated_home.cli("action", "enable", "gated-again", check=0)


def test_a_client_that_goes_is_seen_and_its_call_still_runs_once(gated_home, session, hostile):
    import http.client
    mark = hostile.mark()
    where = gated_home.discovery()
    connection = http.client.HTTPConnection("127.0.0.1", int(where["url"].rsplit(":", 1)[1]), timeout=10)
    connection.request("POST", "/v1/actions/gated/run", json.dumps({"args": effect("orphan")}),
                       {"Authorization": f"Bearer {session.token}", "Content-Type": "application/json", "Prefer": "wait=60"})
    ident = poll_pending(gated_home, session)
    connection.close()
    end = time.monotonic() + 5
    while not approval(gated_home, ident)["client_gone"] and time.monotonic() < end:
        time.sleep(0.02)
    assert approval(gated_home, ident)["client_gone"]
    decide(gated_home, ident)
    wait_state(gated_home, ident, "completed")
    assert session.result(ident).status == 200 and effects(hostile, mark) == ["orphan"]


def test_caps_are_told(gated_home, hostile):
    full = Session(gated_home, agent="full")
    gated_home.cli("config", "set", "approval.max_pending", "3", check=0)
    try:
        idents = [full.ask("gated", effect(f"cap {number}")) for number in range(3)]
        answer = full.run("gated", effect("one too many"))
        assert answer.status == 507 and answer.json()["error"]["class"] == "resource_limit_exceeded"
        assert answer.json()["error"]["boundary"] == "runtime"
        for ident in idents:
            decide(gated_home, ident, approved=False)
    finally:
        gated_home.cli("config", "set", "approval.max_pending", "100", check=0)


# ---- what is said of a failure


def test_nothing_was_done_is_said_only_when_nothing_was_done(gated_home, session):
    """A connector may fail in any class after it has changed something."""
    bad = '{"error":{"class":"bad_input","message":"no"}}'
    for calls, done in ((effect("changed something"), True), ({"calls": []}, False)):
        answer = gated_home.api("POST", "/v1/actions/probe-once/run", {"args": {**calls, "stdout": b64u(bad)}}, token=session.token)
        assert answer.status == 400
        assert answer.json()["error"]["details"].get("nothing_done", False) is not done, answer
    refused = gated_home.api("POST", "/v1/actions/probe-once/run", {"args": {"nosuch": 1}}, token=session.token)
    assert refused.json()["error"]["details"]["nothing_done"] is True
    chain = gated_home.api("POST", "/v1/actions/probe-chain/run", {"args": args_of(first='{"output":{}}', second=bad)}, token=session.token)
    assert chain.json()["error"]["details"]["steps_done"] == 1 and "nothing_done" not in chain.json()["error"]["details"]


# ---- who may decide


def test_an_agent_may_not_decide_or_look(gated_home, session):
    ident = session.ask("gated", effect("agent decides"))
    for method, path, body in (("POST", f"/v1/approvals/{ident}/decide", {"approved": True}), ("GET", "/v1/approvals", None),
                               ("GET", f"/v1/approvals/{ident}", None), ("POST", f"/v1/approvals/{ident}/resolve", {})):
        for door in ("socket", "tcp"):
            assert gated_home.api(method, path, body, token=session.token, door=door).status == 403
            assert gated_home.api(method, path, body, token="ags_nobody", door=door).status == 401
    assert approval(gated_home, ident)["state"] == "pending"
    decide(gated_home, ident, approved=False)


def test_a_session_with_only_sees_and_runs_nothing_else(gated_home):
    narrow = Session(gated_home, agent="narrow", only=["look*"])
    listed = gated_home.api("GET", "/v1/actions", token=narrow.token).json()["actions"]
    assert [action["name"] for action in listed] == ["looks"]
    assert narrow.run("gated", effect("forbidden")).status == 404
    assert narrow.run("looks", effect("fine")).status == 200
    assert LOOK
