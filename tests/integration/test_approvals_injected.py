"""The broker under a gated and an ungated call, stopped or refused something at each call that touches its journal or its log.

strace(1) counts the calls of the running broker and injects: the kill comes before the call is made, an error in its place.
"""
import http.client
import os
import signal
import subprocess
import time

import pytest

from tests.conftest import make_gated_home
from tests.rig.crowd import Line, listed, seen
from tests.rig.gated import Session, approval, decide, effect, wait_state
from tests.rig.home import alive
from tests.rig.ports import wait_for

# The calls that write: more of each than any scenario here makes.
WRITES, SYNCS = 18, 16
BROKEN = (OSError, http.client.HTTPException, ValueError)


@pytest.fixture(scope="module")
def traced_home(built, probe_folder, hostile_server, ca):
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: needs root to trace the broker, which lets nobody else")
    made = make_gated_home(probe_folder, hostile_server, ca)
    yield made
    made.close()


class Injected:
    """strace on the broker's calls that touch its journal and its log."""

    def __init__(self, home, what):
        files = [home.path / "approvals.jsonl", *home.audit_files()]
        self.home, self.pid, self.log = home, home.pid(), home.base / "strace"
        self.log.unlink(missing_ok=True)
        paths = [word for file in files for word in ("-P", str(file))]
        self.process = subprocess.Popen(["strace", "-f", "-o", str(self.log), "-p", str(self.pid), *paths, "-e",
                                         "trace=write,fdatasync,fsync,ftruncate", "-e", f"inject={what}"],
                                        stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        assert "attached" in line, line

    def stop(self):
        """Lets go of it: the calls that were injected."""
        # It cannot let go of what is dead already.
        self.process.send_signal(signal.SIGTERM if alive(self.pid) else signal.SIGKILL)
        self.process.wait(10)
        self.process.stderr.close()
        return [line for line in self.log.read_text().splitlines() if "INJECTED" in line or "killed" in line]

    def killed(self):
        """Whether the broker is gone; it may take a moment."""
        end = time.monotonic() + 0.5
        while alive(self.pid) and time.monotonic() < end:
            time.sleep(0.01)
        return not alive(self.pid)


class Story:
    """A gated call that is approved and collected, then an ungated one; what was heard of each step."""

    def __init__(self, home, session, name):
        self.home, self.session = home, session
        self.gated, self.ungated = f"{name} gated", f"{name} ungated"
        self.ident = self.decided = self.collected = self.answered = None

    def tell(self):
        """As far as it goes."""
        try:
            agent, owner = Line(self.home, self.session.token), Line(self.home)
            status, body = agent.ask("POST", "/v1/actions/gated/run", {"args": effect(self.gated)})
            if status == 202:
                self.ident = body["approval_id"]
                self.decided = owner.ask("POST", f"/v1/approvals/{self.ident}/decide", {"approved": True})[0]
                # Until it is over: the result is asked for as an agent does.
                for _ in range(200):
                    self.collected = agent.ask("GET", f"/v1/approvals/{self.ident}/result")[0]
                    if self.collected != 202:
                        break
                    time.sleep(0.01)
            self.answered = agent.ask("POST", "/v1/actions/once/run", {"args": effect(self.ungated)})[0]
        except BROKEN:
            pass

    def records(self):
        """Of the gated call, whatever was heard of it."""
        found = [listed(self.home, state) for state in ("pending", "completed", "unknown", "failed", "approved", "running")]
        return [one for states in found for one in states.values() if one["arguments"][0]["args"] == effect(self.gated)]

    def look(self, hostile, mark):
        """After the restart: what was told is so, and asking for everything again does nothing twice."""
        done, records = seen(hostile, mark), self.records()
        assert len(records) <= 1
        assert self.ident is None or [one["id"] for one in records] == [self.ident]
        state = records[0]["state"] if records else None
        allowed = {"completed": (1,), "unknown": (0, 1), "pending": (0,), "failed": (0,), None: (0,)}
        assert done[self.gated] in allowed[state], (state, done)
        if self.decided == 200:
            assert state in ("completed", "unknown", "failed"), state
        if self.collected == 200:
            assert state == "completed" and done[self.gated] == 1
        else:
            self.again(state)
        if self.answered == 200:
            assert done[self.ungated] == 1
        elif self.answered is None or not done[self.ungated]:
            answer = self.session.run("once", effect(self.ungated))
            assert answer.status == 200 or answer.json()["error"]["details"]["outcome"] in ("unknown", "done"), answer
        done = seen(hostile, mark)
        assert done[self.gated] <= 1 and done[self.ungated] <= 1, done

    def again(self, state):
        answer = self.session.run("gated", effect(self.gated))
        if state in ("completed", "unknown", "failed") and answer.status != 202:
            return
        # Whoever had it already when the broker died may ask anew, and is told when it was done.
        assert answer.status == 202, answer
        ident = answer.json()["approval_id"]
        card = approval(self.home, ident)
        if "before" in card:
            assert decide(self.home, ident, approved=False).status == 200
        else:
            assert decide(self.home, ident).status == 200
            wait_state(self.home, ident, "completed")


def restart(home):
    home.remember()
    wait_for(lambda: not alive(home.pid()), "the broker is gone", 10)
    home.start()


@pytest.mark.parametrize("call,most", [("write", WRITES), ("fdatasync", SYNCS)])
def test_killed_at_each_call(traced_home, hostile, call, most):
    kills = 0
    for number in range(1, most + 1):
        mark, session = hostile.mark(), Session(traced_home)
        story = Story(traced_home, session, f"{call} {number}")
        injected = Injected(traced_home, f"{call}:signal=SIGKILL:when={number}")
        story.tell()
        killed = injected.killed()
        injected.stop()
        killed = killed or injected.killed()  # while it was let go of
        if not killed:
            assert story.answered == 200, vars(story)
            break
        kills += 1
        restart(traced_home)
        story.look(hostile, mark)
    print(f"{call}: killed at each of {kills} calls")
    assert kills >= (8 if call == "write" else 3), kills
    assert kills < most, "there are more calls than were tried"


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_each_write_is_refused_once(traced_home, hostile, error):
    met = 0
    for number in range(1, WRITES + 1):
        mark, session = hostile.mark(), Session(traced_home)
        story = Story(traced_home, session, f"{error} {number}")
        injected = Injected(traced_home, f"write:error={error}:when={number}")
        story.tell()
        refused = injected.stop()
        story.look(hostile, mark)
        if not refused:
            assert story.collected == 200 and story.answered == 200, vars(story)
            break
        met += 1
    assert 8 <= met < WRITES, met
    # And what is on the disk is what was believed.
    pending = set(listed(traced_home, "pending"))
    traced_home.stop()
    traced_home.start()
    assert set(listed(traced_home, "pending")) == pending


def test_a_disk_that_fails_to_sync_lets_nothing_run(traced_home, hostile):
    """The first failure counts for ever: what a disk has lost it does not report twice."""
    mark, session = hostile.mark(), Session(traced_home)
    waiting = session.ask("gated", effect("waits for a bad disk"))
    injected = Injected(traced_home, "fdatasync:error=EIO:when=1+")
    assert decide(traced_home, waiting).status == 507
    assert injected.stop()
    assert approval(traced_home, waiting)["state"] == "pending"
    refused = session.run("gated", effect("asked of a bad disk"))
    assert refused.status == 507 and refused.json()["error"]["boundary"] == "runtime"
    once = session.run("once", effect("run on a bad disk"))
    assert once.status == 507
    # Nothing of it may begin by itself, whatever happens next.
    traced_home.api("POST", "/v1/vault/lock", {})
    traced_home.unlock()
    time.sleep(0.3)
    assert approval(traced_home, waiting)["state"] == "pending" and not seen(hostile, mark)
    traced_home.stop()
    traced_home.start()
    assert set(listed(traced_home, "pending")) >= {waiting} and not seen(hostile, mark)
    assert decide(traced_home, waiting).status == 200
    wait_state(traced_home, waiting, "completed")
    assert dict(seen(hostile, mark)) == {"waits for a bad disk": 1}


def test_a_denial_that_cannot_be_written_is_none(traced_home, hostile):
    """Neither half of it: who waits still waits, and a person may decide again."""
    mark, session = hostile.mark(), Session(traced_home)
    waiting = session.in_background("gated", effect("denied on a full disk"))
    wait_for(lambda: listed(traced_home, "pending"), "it waits", 10)
    ident, = [one["id"] for one in listed(traced_home, "pending").values() if one["session_id"] == session.id]
    # The second write is the journal's, behind the receipt.
    injected = Injected(traced_home, "write:error=ENOSPC:when=2")
    assert decide(traced_home, ident, approved=False, reason="no").status == 507
    assert injected.stop()
    assert approval(traced_home, ident)["state"] == "pending"
    assert decide(traced_home, ident).status == 200
    assert waiting.join().status == 200
    assert dict(seen(hostile, mark)) == {"denied on a full disk": 1}
