"""A provider that fails, in every way the rig knows: the class, the details, how often it was asked.

Failures that are retried wait for seconds (1, 2, 4 by SPEC §6), so these tests run side by side: each asks for a
mail of its own and scripts that path alone.
"""
import concurrent.futures
import json
import time

import pytest

from tests.conftest import PROBE_TOKEN
from tests.rig.home import Home, credential
from tests.rig.probing import envelope, probe

MAIL = "/gmail/v1/users/me/messages/"
GMAIL = "gmail.googleapis.com"


class Case:
    """One mail's script, what its reading must end as, and how often the provider must have been asked."""

    def __init__(self, lines, cls=None, asked=1, retried=0, retriable=False, status=None, least=0.0, most=28.0, **details):
        self.lines, self.cls, self.asked, self.retried, self.retriable = lines, cls, asked, retried, retriable
        self.status, self.least, self.most, self.details = status, least, most, details


CASES = {
    "401": Case(["status/401"], "external_api_error", status=401),
    "403": Case(["status/403"], "external_api_error", status=403),
    "404": Case(["status/404"], "external_api_error", status=404),
    "400": Case(["status/400"], "external_api_error", status=400),
    "418": Case(["status/418"], "external_api_error", status=418),
    "429 then well": Case(["status/429/1"], asked=2, least=1.0),
    "429 with Retry-After": Case(["status/429/3"], asked=2, least=3.0),
    "429 for ever": Case(["status/429"] * 9, "external_api_error", 4, 3, True, 429, 7.0),
    "429 for an hour": Case(["status/429/3600"] * 9, "external_api_error", 1, 0, True, 429, 0, 5, retry_after=3600),
    "500 then well": Case(["status/500"], asked=2, least=1.0),
    "500 for ever": Case(["status/500"] * 9, "external_api_error", 4, 3, True, 500, 7.0),
    "503 twice": Case(["status/503", "status/503"], asked=3, least=3.0),
    "reset before the answer": Case(["reset_early"] * 9, "network_error", 4, 3, True, None, 7.0),
    "reset inside the answer": Case(["reset_mid"] * 9, "network_error", 4, 3, True, None, 7.0),
    "closed inside the answer": Case(["close_mid"] * 9, "network_error", 4, 3, True, None, 7.0),
    "half a chunk": Case(["truncated_chunk"] * 9, "network_error", 4, 3, True, None, 7.0),
    "no hexadecimal chunk": Case(["bad_chunk"] * 9, "network_error", 4, 3, True, None, 7.0),
    "no HTTP": Case(["garbage"] * 9, "network_error", 4, 3, True, None, 7.0),
    "reset once": Case(["reset_early"], asked=2, least=1.0),
    "too long": Case([f"big/{9 << 20}"], "resource_limit_exceeded"),
    "endless": Case(["endless"], "resource_limit_exceeded"),
}


@pytest.fixture(scope="module")
def outcomes(google_hostile_home, hostile_server):
    """All cases at once: name → (Result, seconds, requests seen)."""
    home, mark = google_hostile_home, hostile_server.mark()
    names = {name: f"case-{number}" for number, name in enumerate(CASES)}
    for name, case in CASES.items():
        # After its script a mail is answered as a small message.
        hostile_server.script(GMAIL, *case.lines, "message/" + names[name], path=MAIL + names[name])

    def run(name):
        started = time.monotonic()
        result = home.run_action("get-email", {"id": names[name]})
        return result, time.monotonic() - started

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        ran = dict(zip(CASES, pool.map(run, CASES), strict=True))
    return {name: (*ran[name], hostile_server.since(mark, MAIL + names[name])) for name in CASES}


@pytest.mark.parametrize("name", CASES)
def test_reading_a_mail(outcomes, name):
    case = CASES[name]
    result, seconds, seen = outcomes[name]
    answer = result.json()
    assert len(seen) == case.asked, repr(result)
    assert case.least <= seconds <= case.most, f"{seconds:.1f} s"
    if case.cls is None:
        assert result.code == 0, repr(result)
        assert sum(step["retried"] for step in answer["steps"]) == case.asked - 1
        return
    failure = answer["error"]
    assert result.code == 1 and failure["class"] == case.cls, repr(result)
    assert failure["retriable"] is case.retriable
    assert failure["details"].get("retried", 0) == case.retried, failure
    if case.status:
        assert failure["details"]["status"] == case.status and failure["boundary"] == "external"
    for key, value in case.details.items():
        assert failure["details"][key] == value
    assert "provider text" not in json.dumps(failure["details"])


def test_what_failed_is_on_record_without_the_providers_words(outcomes, google_hostile_home):
    events = google_hostile_home.audit("--type", "execution.failed", "--limit", "100")
    assert len(events) >= sum(case.cls is not None for case in CASES.values())
    assert "provider text" not in json.dumps(events)
    assert {event["payload"]["aileron.failure.class"] for event in events} == {"external_api_error", "network_error",
                                                                               "resource_limit_exceeded"}


# --- requests that change something

DRAFT = {"to": "jo@example.com", "subject": "Once", "body": "Only once."}
DRAFTS = "/gmail/v1/users/me/drafts"


@pytest.mark.parametrize("line", ["status/500", "status/503", "status/429/1"])
def test_a_post_that_was_answered_with_an_error_is_not_repeated(google_hostile_home, hostile, line):
    mark = hostile.mark()
    hostile.script(GMAIL, line, path=DRAFTS)
    failure = google_hostile_home.failure("draft-email", DRAFT)
    assert failure["class"] == "external_api_error" and failure["details"].get("retried", 0) == 0
    assert len(hostile.since(mark, DRAFTS)) == 1


@pytest.mark.parametrize("line", ["reset_early", "reset_mid", "close_early", "close_mid", "garbage"])
def test_a_post_without_an_answer_has_an_unknown_outcome(google_hostile_home, hostile, line):
    mark = hostile.mark()
    hostile.script(GMAIL, line, path=DRAFTS)
    failure = google_hostile_home.failure("draft-email", DRAFT)
    assert failure["class"] == "network_error" and failure["retriable"] is False
    assert failure["details"]["outcome"] == "unknown"
    assert len(hostile.since(mark, DRAFTS)) == 1, "a request that may have left was sent again"


def test_a_step_that_may_be_repeated_is(probe_home, hostile):
    """The step itself says `idempotent = true`: then a POST without an answer is tried again."""
    mark = hostile.mark()
    hostile.script("evil.test", "reset_early", path="/sure")
    probed = probe(probe_home, envelope("https://evil.test/sure", "POST", body="x"), action="probe-sure")
    assert len(hostile.since(mark, "/sure")) == 2, repr(probed)


def test_a_step_that_must_not_be_repeated_is_not(probe_home, hostile):
    mark = hostile.mark()
    hostile.script("evil.test", "reset_early", path="/once")
    probed = probe(probe_home, envelope("https://evil.test/once"), action="probe-once")
    assert probed.failure["class"] == "network_error" and len(hostile.since(mark, "/once")) == 1


# --- slow ones: the probe's manifest gives a call 6 s

SLOW = ["hang", "drip", "drip_headers", "endless_continue", "endless_headers", "giant_header"]


@pytest.fixture(scope="module")
def slow_outcomes(probe_home):
    def run(line):
        started = time.monotonic()
        return probe(probe_home, envelope(f"https://slow.test/do/{line}")), time.monotonic() - started

    with concurrent.futures.ThreadPoolExecutor(len(SLOW)) as pool:
        return dict(zip(SLOW, pool.map(run, SLOW), strict=True))


@pytest.mark.parametrize("line", SLOW)
def test_time_is_bounded(slow_outcomes, line):
    probed, seconds = slow_outcomes[line]
    assert probed.failure is not None, repr(probed)
    assert probed.failure["class"] in ("network_error", "resource_limit_exceeded")
    assert seconds < 9


@pytest.mark.parametrize("line", ["bad_status/99", "bad_status/1000", "length_twice", "many_headers/20000", "upgrade"])
def test_answers_against_the_rules_do_no_harm(probe_home, line):
    probed = probe(probe_home, envelope(f"https://slow.test/do/{line}"), timeout=30)
    assert probed.failure is not None or probed.results[0]["rc"] in (0, -1)
    assert probe(probe_home, envelope("https://slow.test/do/ok")).results[0]["status"] == 200


# --- TLS

@pytest.mark.parametrize("port", ["expired_port", "wrong_port", "plain_port"])
def test_a_certificate_that_does_not_hold_is_refused(built, probe_folder, hostile, ca, port):
    home = Home([credential("api_key/probe/me", "local://probe", ["https://evil.test:443"], PROBE_TOKEN)],
                [f"evil.test:443:127.0.0.1:{getattr(hostile, port)}"], ca.path)
    try:
        home.start()
        home.install(probe_folder, probe_folder / "actions/probe-once.md")
        mark = hostile.mark()
        probed = probe(home, envelope("https://evil.test/do/echo", credential="api_key"), action="probe-once")
        assert probed.failure["class"] == "network_error"
        assert hostile.since(mark) == [], "a request left over a connection that was not checked"
    finally:
        home.close()


def test_a_server_that_nobody_vouches_for_is_refused(built, probe_folder, hostile):
    """Without --dev-ca the rig's certificate is worth nothing."""
    home = Home([credential("api_key/probe/me", "local://probe", ["https://evil.test:443"], PROBE_TOKEN)],
                [f"evil.test:443:127.0.0.1:{hostile.port}"])
    try:
        home.start()
        home.install(probe_folder, probe_folder / "actions/probe-once.md")
        mark = hostile.mark()
        assert probe(home, envelope("https://evil.test/do/ok"), action="probe-once").failure["class"] == "network_error"
        assert hostile.since(mark) == []
    finally:
        home.close()
