"""SIGKILL under approvals: many that wait and many that run, at any moment. All there, none twice: the provider counts what was done."""
import collections
import concurrent.futures
import http.client
import random
import threading
import time

import pytest

from tests.conftest import make_gated_home
from tests.rig import paths
from tests.rig.crowd import Line, approve_all, kill_and_start, listed, park, seen
from tests.rig.gated import Session, approval, decide, effect, wait_state
from tests.rig.ports import wait_for

HANG = "https://evil.test/do/hang"
SESSIONS, PARKED, RUNNING = 5, 1000, 16


def private_mib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as text:
        return sum(int(line.split()[1]) for line in text if line.startswith("Private_")) / 1024


@pytest.fixture(scope="module")
def killed_home(built, probe_folder, hostile_server, ca):
    made = make_gated_home(probe_folder, hostile_server, ca)
    made.cli("config", "set", "approval.max_pending", "2000", check=0)
    yield made
    made.close()


def running(home, session, hostile, mark, names):
    """Approves calls whose provider never answers: their ids, once every request has left."""
    idents = park(home, session, "gated", [effect(name, HANG) for name in names])
    assert approve_all(home, idents) == [200] * len(idents)
    wait_for(lambda: all(seen(hostile, mark)[name] for name in names), "every request has left", 20)
    return idents


def test_a_thousand_wait_and_sixteen_run(killed_home, hostile):
    mark = hostile.mark()
    sessions = [Session(killed_home, agent=f"agent-{number}") for number in range(SESSIONS)]
    marks, before_mib = [f"waits {number}" for number in range(PARKED)], private_mib(killed_home.pid())
    with concurrent.futures.ThreadPoolExecutor(SESSIONS) as pool:
        parts = list(pool.map(lambda at: park(killed_home, sessions[at], "gated", [effect(one) for one in marks[at::SESSIONS]]),
                              range(SESSIONS)))
    names = {ident: one for at, part in enumerate(parts) for ident, one in zip(part, marks[at::SESSIONS])}
    # Ten thousand of them have less than 100 MB.
    assert private_mib(killed_home.pid()) - before_mib < 100 * PARKED / 10_000 or paths.sanitized()
    hanging = [f"runs {number}" for number in range(RUNNING)]
    under_way = running(killed_home, sessions[0], hostile, mark, hanging)
    before = listed(killed_home, "pending")
    assert set(before) == set(names) and len(before) == PARKED

    kill_and_start(killed_home)

    after = listed(killed_home, "pending")
    assert {ident: one["seal"] for ident, one in after.items()} == {ident: one["seal"] for ident, one in before.items()}
    assert all(after[ident]["arguments"] == before[ident]["arguments"] for ident in names)
    assert set(listed(killed_home, "unknown")) == set(under_way)
    for ident in under_way:
        answer = sessions[0].result(ident)
        assert answer.status == 502 and answer.json()["error"]["details"]["outcome"] == "unknown"
        assert decide(killed_home, ident).status == 409
    # The agents come back and ask for the same: nothing new is made of it.
    again = park(killed_home, sessions[1], "gated", [effect(one) for one in marks[1::SESSIONS][:20]])
    assert again == parts[1][:20]

    chosen = [part[number] for part in parts for number in range(4)]
    assert approve_all(killed_home, chosen) == [200] * len(chosen)
    for ident in chosen:
        wait_state(killed_home, ident, "completed")
    assert seen(hostile, mark) == collections.Counter([names[ident] for ident in chosen] + hanging)
    assert len(listed(killed_home, "pending")) == PARKED - len(chosen)
    # Once more, with a journal that has a history.
    kill_and_start(killed_home)
    assert set(listed(killed_home, "pending")) == set(names) - set(chosen)
    assert set(listed(killed_home, "completed")) == set(chosen)
    assert seen(hostile, mark) == collections.Counter([names[ident] for ident in chosen] + hanging)
    assert "intact" in killed_home.cli("audit", "verify", check=0).out.lower()


class Caller(threading.Thread):
    """Makes ungated calls one after the other until the connection breaks; `answered` is what it was told."""

    def __init__(self, home, session, marks):
        super().__init__(daemon=True)
        self.line, self.marks, self.answered = Line(home, session.token), marks, []
        self.start()

    def run(self):
        for one in self.marks:
            try:
                status, body = self.line.ask("POST", "/v1/actions/once/run", {"args": effect(one)})
            except (OSError, http.client.HTTPException, ValueError):
                return
            assert status == 200, body
            self.answered.append(one)


@pytest.mark.parametrize("seed", range(10))
def test_killed_at_a_random_moment(killed_home, hostile, seed):
    chance, mark = random.Random(seed), hostile.mark()
    session, other = Session(killed_home), Session(killed_home)
    marks = [f"{seed}: {number}" for number in range(30)]
    names = dict(zip(park(killed_home, session, "gated", [effect(one) for one in marks]), marks))
    ungated = [f"{seed}: ungated {number}" for number in range(500)]
    told = {}

    def approve():
        line = Line(killed_home)
        for ident in names:
            try:
                status, body = line.ask("POST", f"/v1/approvals/{ident}/decide", {"approved": True})
            except (OSError, http.client.HTTPException, ValueError):
                return
            told[ident] = (status, body["state"])

    caller, approver = Caller(killed_home, other, ungated), threading.Thread(target=approve, daemon=True)
    approver.start()
    time.sleep(chance.uniform(0, 0.12))
    kill_and_start(killed_home)
    caller.join(30)
    approver.join(30)

    states = {ident: approval(killed_home, ident)["state"] for ident in names}
    counted = seen(hostile, mark)
    for ident, name in names.items():
        allowed = {"completed": (1,), "unknown": (0, 1), "pending": (0,)}
        assert counted[name] in allowed[states[ident]], (name, states[ident], counted[name])
        # Who was told that it runs finds it as what may have happened, never as what may still happen.
        assert ident not in told or told[ident][0] == 200 and states[ident] != "pending"
    # What was answered is over; of the one that was not, nobody knows, and asking again does not do it twice.
    assert all(counted[one] == 1 for one in caller.answered)
    lost = ungated[len(caller.answered)]
    answer = other.run("once", effect(lost))
    if answer.status != 200:
        assert answer.status == 502 and answer.json()["error"]["details"]["outcome"] == "unknown"
    assert seen(hostile, mark)[lost] == 1 or answer.status == 502 and seen(hostile, mark)[lost] == 0
    assert all(seen(hostile, mark)[one] == 0 for one in ungated[len(caller.answered) + 1:])

    left = [ident for ident, state in states.items() if state == "pending"]
    assert approve_all(killed_home, left) == [200] * len(left)
    for ident in left:
        wait_state(killed_home, ident, "completed")
    counted = seen(hostile, mark)
    assert all(counted[names[ident]] == 1 for ident in left) and all(counted[name] <= 1 for name in marks)


@pytest.mark.parametrize("program", ["aileron-keeper --home", "aileron-worker"])
def test_its_helpers_are_killed_under_running_calls(killed_home, hostile, program):
    mark, session = hostile.mark(), Session(killed_home)
    names = [f"{program} {number}" for number in range(8)]
    waits = park(killed_home, session, "gated", [effect(f"{program} waits")])
    under_way = running(killed_home, session, hostile, mark, names)
    killed_home.remember()
    victims = killed_home.children(program)
    assert victims
    for pid in victims:
        killed_home.kill(pid)
    for ident in under_way:
        card = wait_state(killed_home, ident, "unknown")
        assert card["failure"]["details"]["outcome"] == "unknown" and card["failure"]["retriable"] is False
    wait_for(lambda: killed_home.unlock(check=None).code == 0, "a keeper", 20)
    assert approval(killed_home, waits[0])["state"] == "pending"
    assert decide(killed_home, waits[0]).status == 200
    wait_state(killed_home, waits[0], "completed")
    assert seen(hostile, mark) == collections.Counter([*names, f"{program} waits"])
