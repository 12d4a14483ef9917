"""A keeper or worker that dies or hangs costs the call that ran a structured failure, and is replaced."""
import concurrent.futures
import contextlib
import json
import os
import signal
import socket
import time

import pytest

from tests.conftest import make_probe_home
from tests.rig.home import alive
from tests.rig.ports import wait_for
from tests.rig.probing import args_of, ask, envelope, probe


@pytest.fixture(scope="module")
def module_home(built, probe_folder, hostile_server, ca):
    home = make_probe_home(probe_folder, hostile_server, ca)
    yield home
    home.close()


@contextlib.contextmanager
def running_call(home, hostile, *args, **more):
    """A call that is under way: its request has reached the hostile provider, or a worker runs it."""
    mark = hostile.mark()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(probe, home, *args, **more)
        if args:
            wait_for(lambda: hostile.since(mark), "the request", 10)
        else:
            wait_for(lambda: home.children("worker"), "a worker", 10)
            time.sleep(0.2)
        yield future


def works_again(home, **more):
    """A new keeper is there, its vault is opened once more, and it answers: what a person waits for after an incident."""
    envelope_text = envelope("https://evil.test/do/ok", **more)
    wait_for(lambda: home.unlock(check=None).code == 0, "a keeper that can be unlocked", 10, 0.1)
    wait_for(lambda: probe(home, envelope_text).results, "a call that works", 10, 0.1)


def test_a_killed_worker(module_home, hostile):
    with running_call(module_home, hostile, envelope("https://slow.test/do/hang"), action="probe-once") as call:
        for pid in module_home.children("worker"):
            os.kill(pid, signal.SIGKILL)
        started = time.monotonic()
        failure = call.result(10).failure
    assert failure["class"] == "connector_runtime_error" and failure["audit_id"].startswith("aud_")
    assert time.monotonic() - started < 3
    assert ask(module_home, "https://evil.test/do/ok")["status"] == 200
    assert module_home.audit("--type", "execution.failed")[0]["audit_id"] == failure["audit_id"]


def test_a_killed_keeper(module_home, hostile):
    [before] = module_home.children("keeper")
    with running_call(module_home, hostile, envelope("https://slow.test/do/hang", "POST", body="x"), action="probe-once") as call:
        module_home.kill(before)
        failure = call.result(10).failure
    # The POST had reached the provider: nobody knows what became of it.
    assert failure["class"] == "network_error" and failure["details"]["outcome"] == "unknown", failure
    works_again(module_home, credential="api_key")
    assert before not in module_home.children("keeper")


def test_a_keeper_that_hangs_is_replaced(module_home, hostile):
    [before] = module_home.children("keeper")
    os.kill(before, signal.SIGSTOP)
    try:
        started = time.monotonic()
        failure = probe(module_home, envelope("https://evil.test/do/ok"), action="probe-once", timeout=60).failure
        assert failure is not None and failure["class"] in ("network_error", "binding_failed", "resource_limit_exceeded")
        assert time.monotonic() - started < 12
        wait_for(lambda: before not in module_home.children("keeper"), "the end of the keeper that hangs", 10)
    finally:
        if alive(before):
            os.kill(before, signal.SIGCONT)
    works_again(module_home)


def test_a_worker_that_hangs_is_replaced(module_home, hostile):
    """Stopped, it cannot enforce its own time: the broker's SIGKILL comes one second after the limit."""
    with running_call(module_home, hostile, sleep_ms=100, spin=1, action="probe-once") as call:
        busy = module_home.children("worker")
        for pid in busy:
            os.kill(pid, signal.SIGSTOP)
        failure = call.result(15).failure
    assert failure["class"] in ("resource_limit_exceeded", "connector_runtime_error")
    wait_for(lambda: not any(alive(pid) for pid in busy), "the end of the stopped workers", 5)
    assert ask(module_home, "https://evil.test/do/ok")["status"] == 200


def test_killed_again_and_again(module_home):
    """Ten deaths in a row do not use up the supervisor's patience for long."""
    before = module_home.cli("status", "--json", check=0).json()["restarts"]["keeper"]
    for _ in range(6):
        [pid] = wait_for(lambda: module_home.children("keeper"), "a keeper", 20)
        module_home.kill(pid)
        wait_for(lambda: [other for other in module_home.children("keeper") if other != pid], "another keeper", 20)  # noqa: B023
    works_again(module_home)
    assert module_home.cli("status", "--json", check=0).json()["restarts"]["keeper"] >= before + 6


def test_the_end_of_the_broker_ends_all(built, probe_folder, hostile_server, hostile, ca):
    home = make_probe_home(probe_folder, hostile_server, ca)
    try:
        with running_call(home, hostile, envelope("https://slow.test/do/hang")) as call:
            children = list(home.processes())
            assert len(children) >= 2
            home.kill(home.pid())
            wait_for(lambda: not any(alive(pid) for pid in children), "the end of the children", 3)
            with pytest.raises(ValueError):
                call.result(20)
        home.start()
        assert ask(home, "https://evil.test/do/ok")["status"] == 200
        home.cli("audit", "verify", check=0)
    finally:
        home.close()


def test_a_client_that_leaves_does_not_stop_the_call(module_home, hostile):
    """What was started runs to its end and is receipted, whoever listens."""
    mark = hostile.mark()
    where = module_home.discovery()
    body = json.dumps({"args": args_of(envelope("https://slow.test/do/slow/1"))}).encode()
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(where["socket"])
        stream.sendall(b"POST /v1/actions/probe/run HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " +
                       where["token"].encode() + b"\r\nContent-Type: application/json\r\nContent-Length: " +
                       str(len(body)).encode() + b"\r\n\r\n" + body)
        wait_for(lambda: hostile.since(mark), "the request", 10)
    wait_for(lambda: module_home.audit("--limit", "1")[0]["event_type"] == "execution.succeeded", "its receipt", 6)


def test_many_calls_at_once(module_home, hostile):
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        results = list(pool.map(lambda _: ask(module_home, "https://evil.test/do/slow/0.2")["status"], range(48)))
    assert results == [200] * 48
    assert len(module_home.children("worker")) <= 16
