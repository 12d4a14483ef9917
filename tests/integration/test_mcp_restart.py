"""A hundred calls at once from ten sessions, and a daemon that goes in the middle: one answer each, and the answers add up."""
import collections
import json
import threading
import time

import pytest

from tests.conftest import make_probe_home
from tests.rig.gated import effects, install_gated
from tests.rig.home import alive, b64u
from tests.rig.ports import wait_for
from tests.rig.probing import envelope
from tests.rig.relay import Relay
from tests.rig.streamable import Streamable

SESSIONS, CALLS = 10, 10


@pytest.fixture
def crowd_home(built, probe_folder, hostile_server, ca):
    made = make_probe_home(probe_folder, hostile_server, ca)
    install_gated(made, "once")
    yield made
    made.close()


def slow_effect(mark):
    """A POST that the provider takes note of at once and answers after a while; each session's first outlasts a stopping daemon."""
    seconds = 4 if mark.endswith("-0") else 0.5
    return {"calls": [b64u(envelope(f"https://slow.test/do/slow/{seconds}", "POST", body=mark))]}


class Member:
    """One session with ten calls under way. `answers`: how each one ended, as often as it was answered."""

    def __init__(self, home, number, answer_of):
        self.number, self.answers = number, collections.defaultdict(list)
        self._threads = []
        self.start(home, answer_of)

    def marks(self):
        return [f"{self.number}-{call}" for call in range(CALLS)]

    def take(self, mark, result):
        self.answers[mark].append(outcome(result))

    def join(self):
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "somebody waits for an answer for ever"

    def run(self, function, *args):
        thread = threading.Thread(target=function, args=args, daemon=True)
        thread.start()
        self._threads.append(thread)


class StdioMember(Member):
    def start(self, home, answer_of):
        self.relay = Relay(home)
        for call, mark in enumerate(self.marks()):
            self.relay.send({"jsonrpc": "2.0", "id": mark, "method": "tools/call",
                             "params": {"name": "once", "arguments": answer_of(mark), "_meta": {"progressToken": call}}})
        self.run(self.listen)

    def listen(self):
        """All answers, and a while longer for one too many."""
        while sum(map(len, self.answers.values())) < CALLS:
            self.hear(30)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            try:
                self.hear(0.3)
            except AssertionError:
                pass

    def hear(self, timeout):
        message = self.relay.receive(timeout)
        if "method" not in message:
            self.take(message["id"], message["result"])

    def close(self):
        self.relay.close()


class HttpMember(Member):
    def start(self, home, answer_of):
        self.client = Streamable(home, timeout=30)
        for mark in self.marks():
            self.run(self.call, mark, answer_of(mark))

    def call(self, mark, arguments):
        self.take(mark, self.client.call("once", arguments))

    def close(self):
        pass


def outcome(result):
    """done, unknown or failed; and what it says of it is the same in words."""
    text = result["content"][0]["text"]
    if not result.get("isError"):
        return "done"
    if result["structuredContent"]["error"].get("details", {}).get("outcome") == "unknown":
        assert "unknown whether this was carried out" in text and "Do not repeat" in text, text
        return "unknown"
    assert "nothing was done" in text or "Nothing was done" in text, text
    return "failed"


def gather(members):
    ends = collections.Counter()
    for member in members:
        assert sorted(member.answers) == sorted(member.marks())
        for mark, answers in member.answers.items():
            assert len(answers) == 1, f"{mark} was answered {answers}"
            ends[answers[0]] += 1
    assert sum(ends.values()) == SESSIONS * CALLS
    return ends


def ends_of(members, end):
    return {mark for member in members for mark, answers in member.answers.items() if answers == [end]}


def test_a_restart_in_the_middle(crowd_home, hostile):
    """Over both doors. What was done is what is said to be done, and what nobody can know is said to be unknown: no more, no less."""
    mark = hostile.mark()
    members = [(StdioMember if number % 2 else HttpMember)(crowd_home, number, slow_effect) for number in range(SESSIONS)]
    wait_for(lambda: len(effects(hostile, mark)) >= 20, "the first calls")
    crowd_home.stop()
    crowd_home.start()
    for member in members:
        member.join()
    ends, happened = gather(members), effects(hostile, mark)
    print(dict(ends), len(happened))
    assert len(set(happened)) == len(happened), "something was done twice"
    assert set(happened) == ends_of(members, "done") | ends_of(members, "unknown")
    assert ends["done"] and ends["unknown"] and ends["failed"]
    for member in members:
        if isinstance(member, StdioMember):
            assert not member.relay.call("probe", {"stdout": b64u(json.dumps({"output": {}}))}).get("isError")
        member.close()


def test_a_daemon_that_is_killed_in_the_middle(crowd_home, hostile):
    """It says nothing any more, so more is unknown than was done; but nothing is done that is not said, and nothing twice."""
    mark = hostile.mark()
    members = [StdioMember(crowd_home, number, slow_effect) for number in range(SESSIONS)]
    wait_for(lambda: len(effects(hostile, mark)) >= 20, "the first calls")
    crowd_home.remember()
    pid = crowd_home.pid()
    crowd_home.kill(pid)
    wait_for(lambda: not alive(pid), "its end")
    crowd_home.start()
    for member in members:
        member.join()
    ends, happened = gather(members), effects(hostile, mark)
    print(dict(ends), len(happened))
    assert len(set(happened)) == len(happened), "something was done twice"
    assert ends_of(members, "done") <= set(happened) <= ends_of(members, "done") | ends_of(members, "unknown")
    assert ends["unknown"] and ends["done"] and not ends["failed"]
    # The same session asking again gets the same answer, not a second effect.
    for member in members:
        for unknown in sorted(ends_of([member], "unknown") & set(happened))[:2]:
            assert outcome(member.relay.call("once", slow_effect(unknown))) == "unknown"
        member.close()
    assert len(effects(hostile, mark)) == len(happened)
