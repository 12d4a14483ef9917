"""Approvals under an agent that means ill: the largest, deepest and most it may send, clients that leave at bad moments, sessions that end."""
import http.client
import json
import random
import threading
import time

import pytest

from tests.conftest import make_gated_home
from tests.rig import paths
from tests.rig.crowd import Line, approve_all, kill_and_start, listed, park, seen
from tests.rig.gated import Session, approval, decide, effect, looking, wait_state
from tests.rig.ports import wait_for

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def bounds_home(built, probe_folder, hostile_server, ca):
    made = make_gated_home(probe_folder, hostile_server, ca)
    yield made
    made.close()


@pytest.fixture
def session(bounds_home):
    return Session(bounds_home)


def memory_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1024


# ---- sizes


# Each as large as a request may be by one of the limits: bytes, values, and what a journal and a card make of them.
LARGEST = {
    "a megabyte of text": {"note": "x" * (MIB - 200)},
    "a megabyte that is shown larger": {"note": "\u202e" * (MIB // 3 - 200)},
    "a megabyte of controls": {"note": "\x01" * (MIB // 6 - 200)},
    "many values": {"calls": ["x"] * 99_000},
    "many empty values": {"calls": [""] * 99_000},
}


@pytest.mark.parametrize("what", LARGEST)
def test_the_largest_calls_wait_and_survive_a_restart(bounds_home, session, what):
    answer = session.run("gated", LARGEST[what])
    if answer.status == 507:  # said before anything is promised
        assert answer.json()["error"]["class"] == "resource_limit_exceeded" and answer.json()["error"]["details"]["nothing_done"]
        kill_and_start(bounds_home)
        assert not [one for one in listed(bounds_home, "pending").values() if one["session_id"] == session.id]
        return
    assert answer.status == 202, answer
    ident = answer.json()["approval_id"]
    before = approval(bounds_home, ident)
    assert before["arguments"][0]["args"] == LARGEST[what]
    kill_and_start(bounds_home)
    after = approval(bounds_home, ident)
    assert after["state"] == "pending" and after["seal"] == before["seal"] and after["arguments"] == before["arguments"]
    assert decide(bounds_home, ident, approved=False, reason="large").status == 200
    assert session.result(ident).status == 403
    kill_and_start(bounds_home)
    assert approval(bounds_home, ident)["state"] == "denied"


def test_deep_arguments_of_any_depth_that_is_taken_survive_a_restart(bounds_home, session):
    """The type of an item is checked by the action; what it lets through must be read again."""
    deep = "x"
    for _ in range(58):
        deep = [deep]
    answer = session.run("gated", {"calls": deep})
    assert answer.status in (202, 400), answer
    kill_and_start(bounds_home)
    if answer.status == 202:
        assert approval(bounds_home, answer.json()["approval_id"])["state"] == "pending"
        decide(bounds_home, answer.json()["approval_id"], approved=False)


def test_what_waits_takes_bounded_memory(bounds_home):
    """A hundred calls of a megabyte are allowed by their number; they stop at their bytes, and the daemon is as well as before."""
    session, answers = Session(bounds_home), []
    for number in range(60):
        answers.append(session.run("gated", {"note": f"{number}" + "x" * (MIB - 1000)}))
        if answers[-1].status != 202:
            break
    assert 10 < len(answers) < 60 and answers[-1].status == 507, (len(answers), answers[-1])
    assert answers[-1].json()["error"]["details"]["reason"] == "approvals_full"
    assert memory_mib(bounds_home.pid()) < 400 or paths.sanitized()
    # Others are still heard, and whoever lists gets pages that can be carried.
    other = Session(bounds_home)
    ident = other.ask("gated", effect("small"))
    answer = bounds_home.api("GET", "/v1/approvals?status=pending&limit=1000")
    assert answer.json()["more"] and len(answer.body) < 12 * MIB
    assert answer.json()["pending"] == len(answers)
    kill_and_start(bounds_home)
    assert bounds_home.api("GET", "/v1/approvals?limit=1").json()["pending"] == len(answers)
    waits = [answer.json()["approval_id"] for answer in answers[:-1]]
    for waiting in [*waits, ident]:
        assert decide(bounds_home, waiting, approved=False).status == 200
    assert session.ask("gated", effect("room again"))


def test_asking_and_leaving_writes_no_journal(bounds_home, session):
    """Whether somebody listens is no business of the journal: an agent that comes and goes fills no disk."""
    args = {"note": "y" * (MIB // 2)}
    ident, journal = session.ask("gated", args), bounds_home.path / "approvals.jsonl"
    before = journal.stat().st_size
    for _ in range(20):
        leave(bounds_home, session, "gated", args, 0.01)
    wait_for(lambda: approval(bounds_home, ident)["client_gone"], "its client is gone", 10)
    assert journal.stat().st_size <= before
    decide(bounds_home, ident, approved=False)


# ---- bad moments


def leave(home, session, name, args, after):
    """Asks, waits for a moment, and goes without its answer."""
    where = home.discovery()
    connection = http.client.HTTPConnection("127.0.0.1", int(where["url"].rsplit(":", 1)[1].strip("/")), timeout=10)
    connection.request("POST", f"/v1/actions/{name}/run", json.dumps({"args": args}),
                       {"Authorization": f"Bearer {session.token}", "Content-Type": "application/json", "Prefer": "wait=60"})
    time.sleep(after)
    connection.close()


def test_the_same_ungated_call_after_its_client_left(bounds_home, session, hostile):
    """The end that nobody took is the answer to whoever comes back, once."""
    mark, args = hostile.mark(), {**effect("left behind"), "sleep_ms": 300}
    leave(bounds_home, session, "once", args, 0.1)
    wait_for(lambda: seen(hostile, mark)["left behind"], "it was carried out", 10)
    time.sleep(0.4)
    assert session.run("once", args).status == 200
    assert seen(hostile, mark)["left behind"] == 1
    assert session.run("once", args).status == 200
    assert seen(hostile, mark)["left behind"] == 2


def test_clients_that_leave_at_any_moment(bounds_home, session, hostile):
    """While it is looked at, while it goes to disk, while it waits, while it runs: it is there once or not at all, and runs once."""
    chance, mark = random.Random(5), hostile.mark()
    hostile.script("evil.test", *["text/200/the same"] * 200, path="/look")
    for number in range(30):
        leave(bounds_home, session, "gated-seen", looking(f"left {number}"), chance.choice([0, 0.001, 0.003, 0.01, 0.03]))
    time.sleep(0.5)
    waits = listed(bounds_home, "pending")
    names = [one["arguments"][0]["args"]["calls"][0] for one in waits.values() if one["session_id"] == session.id]
    assert len(names) == len(set(names)) and all(one["client_gone"] for one in waits.values() if one["session_id"] == session.id)
    mine = [ident for ident, one in waits.items() if one["session_id"] == session.id]
    assert approve_all(bounds_home, mine) == [200] * len(mine)
    for ident in mine:
        wait_state(bounds_home, ident, "completed")
    assert len(seen(hostile, mark)) == len(mine) and set(seen(hostile, mark).values()) <= {1}
    hostile.forget()


def test_a_session_that_ends_leaves_its_calls(bounds_home, hostile):
    mark, session = hostile.mark(), Session(bounds_home)
    waiting = session.in_background("gated", effect("of an ended session"))
    wait_for(lambda: [one for one in listed(bounds_home, "pending").values() if one["session_id"] == session.id], "it waits", 10)
    ident, = [one["id"] for one in listed(bounds_home, "pending").values() if one["session_id"] == session.id]
    assert bounds_home.api("POST", f"/v1/sessions/{session.id}/end", {}).status in (200, 204)
    assert decide(bounds_home, ident).status == 200
    wait_state(bounds_home, ident, "completed")
    assert seen(hostile, mark)["of an ended session"] == 1
    waiting.join()
    # Its token is nobody's any more.
    assert session.result(ident).status == 401


def test_an_action_that_goes_while_its_calls_are_looked_at(bounds_home, hostile):
    """Removed and installed again under asks, previews and approvals: each call runs at most once, and everybody is answered."""
    mark, session, stop = hostile.mark(), Session(bounds_home), threading.Event()
    hostile.script("evil.test", *["text/200/the same"] * 400, path="/look")

    def flip():
        while not stop.is_set():
            for enabled in (False, True):
                bounds_home.api("PATCH", "/v1/actions/gated-seen", {"enabled": enabled})
                time.sleep(0.02)

    flipping = threading.Thread(target=flip, daemon=True)
    flipping.start()
    statuses, line = [], Line(bounds_home)
    try:
        for number in range(40):
            answer = session.run("gated-seen", looking(f"flip {number}"), wait=0)
            statuses.append(answer.status)
            if answer.status == 202:
                code, _ = line.ask("POST", f"/v1/approvals/{answer.json()['approval_id']}/decide", {"approved": True})
                assert code in (200, 409), code
    finally:
        stop.set()
        flipping.join(10)
        bounds_home.api("PATCH", "/v1/actions/gated-seen", {"enabled": True})
    assert set(statuses) <= {202, 403, 404, 409}, statuses
    wait_for(lambda: not listed(bounds_home, "running") and not listed(bounds_home, "approved"), "everything has ended", 15)
    assert set(seen(hostile, mark).values()) <= {1}
    for ident, one in listed(bounds_home, "pending").items():
        if one["session_id"] == session.id:
            decide(bounds_home, ident, approved=False)
    hostile.forget()


def test_a_stop_with_previews_and_decisions_under_way(bounds_home, hostile):
    """The daemon stops cleanly in the middle; nothing is lost and nothing that was asked runs by itself afterwards."""
    mark, session = hostile.mark(), Session(bounds_home)
    slow = looking("stopped", look="https://evil.test/do/hang")
    asking = [session.in_background("gated-seen", {**slow, "note": str(number)}) for number in range(3)]
    waits = park(bounds_home, session, "gated", [effect(f"stopped {number}") for number in range(5)])
    waiting = [session.in_background("gated", effect(f"stopped {number}")) for number in range(5)]
    time.sleep(0.2)
    bounds_home.stop()
    for one in [*asking, *waiting]:
        try:
            assert one.join().status in (202, 412, 500, 502, 503, 507)
        except (OSError, http.client.HTTPException):
            continue
    bounds_home.start()
    assert set(waits) <= set(listed(bounds_home, "pending"))
    time.sleep(0.3)
    assert not seen(hostile, mark)
    for ident in listed(bounds_home, "pending"):
        decide(bounds_home, ident, approved=False)


def test_many_that_were_approved_while_the_vault_was_locked(bounds_home, hostile):
    """More than the workers can queue: all run when it opens, once."""
    mark, session = hostile.mark(), Session(bounds_home)
    bounds_home.cli("config", "set", "approval.max_pending", "400", check=0)
    idents = park(bounds_home, session, "gated", [effect(f"locked {number}") for number in range(330)])
    bounds_home.api("POST", "/v1/vault/lock", {})
    assert approve_all(bounds_home, idents) == [200] * len(idents)
    assert len(listed(bounds_home, "approved")) == len(idents) and not seen(hostile, mark)
    bounds_home.unlock()
    wait_for(lambda: not listed(bounds_home, "approved") and not listed(bounds_home, "running"), "all have run", 60)
    assert len(seen(hostile, mark)) == len(idents) and set(seen(hostile, mark).values()) == {1}
    assert not set(listed(bounds_home, "failed")) & set(idents)
    bounds_home.cli("config", "set", "approval.max_pending", "100", check=0)


def test_more_are_approved_at_once_than_can_wait_for_a_worker(bounds_home, hostile):
    mark, session = hostile.mark(), Session(bounds_home)
    bounds_home.cli("config", "set", "approval.max_pending", "400", check=0)
    idents = park(bounds_home, session, "gated", [{**effect(f"slow {number}"), "sleep_ms": 150} for number in range(330)])
    assert approve_all(bounds_home, idents) == [200] * len(idents)
    wait_for(lambda: not listed(bounds_home, "approved") and not listed(bounds_home, "running"), "all have run", 60)
    assert len(seen(hostile, mark)) == len(idents) and set(seen(hostile, mark).values()) == {1}
    bounds_home.cli("config", "set", "approval.max_pending", "100", check=0)


def test_ends_that_nobody_takes_are_bounded(bounds_home):
    """Ungated calls whose clients left are kept for who comes back, in a bounded number of bytes."""
    session, before = Session(bounds_home), memory_mib(bounds_home.pid())
    for number in range(120):
        leave(bounds_home, session, "once", {"note": f"{number}" + "z" * (MIB - 1000)}, 0)
    wait_for(lambda: bounds_home.api("GET", "/v1/health").status == 200, "it answers", 20)
    assert memory_mib(bounds_home.pid()) < before + 350 or paths.sanitized()
