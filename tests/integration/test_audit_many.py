"""A hundred thousand receipts in real files: what is rare and far back is found, soon, and nobody else waits for it meanwhile."""
import concurrent.futures
import threading
import time

import pytest

from tests.rig import paths
from tests.rig.home import Home
from tests.rig.longlog import ulid, write
from tests.rig.ports import wait_for

EVENTS = 100_000
RARE_SESSION = "ses_" + ulid(4711)
# Far back, each by something that no other event has.
RARE = {
    3: {"kind": "approval.denied"},
    5: {"kind": "approval.denied"},
    7: {"session": RARE_SESSION},
    11: {"more": ',"aileron.failure.class":"network_error"', "kind": "execution.failed"},
    13: {"more": ',"aileron.http.host":"a.needle.test"'},
}
QUERIES = {"type=approval.denied": [5, 3], "type=approval.*": [5, 3], f"session={RARE_SESSION}": [7], f"session={RARE_SESSION[-8:]}": [7],
           "class=network_error": [11], "text=A.Needle": [13], "connector=github://acme/other": [],
           "until=2026-01-01T12:00:00.004Z&type=execution.*": [2, 1, 0]}


@pytest.fixture(scope="module")
def long_home(built):
    made = Home()
    write(made.path / "audit", EVENTS, rare=RARE)
    made.path.chmod(0o700)
    made.start()
    yield made
    made.close()


@pytest.mark.parametrize("query", QUERIES)
def test_what_is_rare_is_found_soon(long_home, query):
    took = []
    for _ in range(5):
        began = time.perf_counter()
        answer = long_home.api("GET", f"/v1/audit?{query}&limit=100")
        took.append(time.perf_counter() - began)
        assert answer.status == 200, answer
        assert [event["seq"] - 1 for event in answer.json()["events"]] == QUERIES[query]
    # The budget is 200 ms; the best of five, because the machine does other things too.
    assert min(took) < 0.2 or paths.sanitized(), took


def test_pages_reach_the_beginning(long_home):
    last = long_home.api("GET", "/v1/audit?limit=1000&until=2026-01-01T12:00:01Z").json()["events"][-1]
    older = long_home.api("GET", f"/v1/audit?limit=1000&before={last['audit_id']}").json()["events"]
    assert [event["seq"] for event in older] == list(range(last["seq"] - 1, 0, -1))[:1000]


def test_nobody_else_waits_meanwhile(long_home):
    """Four search all of it again and again; who only asks how things are is answered between their pieces."""
    stop = threading.Event()

    def search():
        count = 0
        while not stop.is_set():
            assert long_home.api("GET", "/v1/audit?class=hash_mismatch").json() == {"events": []}
            count += 1
        return count

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        searches = [pool.submit(search) for _ in range(4)]
        time.sleep(0.1)
        took = []
        for _ in range(40):
            began = time.perf_counter()
            assert long_home.api("GET", "/v1/health").status == 200
            took.append(time.perf_counter() - began)
        stop.set()
        assert all(one.result() for one in searches)
    assert sorted(took)[len(took) // 2] < 0.1 or paths.sanitized(), took


def test_too_many_searches_are_told_so_and_one_that_is_left_ends(long_home):
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda _: long_home.api("GET", "/v1/audit?class=hash_mismatch"), range(24)))
    assert {answer.status for answer in answers} <= {200, 429}
    assert any(answer.status == 200 for answer in answers)
    for _ in range(12):  # clients that do not wait for their answer take nobody's place for long
        with pytest.raises(OSError):
            long_home.api("GET", "/v1/audit?class=hash_mismatch", timeout=0.001)
    wait_for(lambda: long_home.api("GET", "/v1/audit?class=hash_mismatch").status == 200, "a place", 20)
