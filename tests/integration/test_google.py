"""Every operation of the Google connector with real data: the emulated Workspace behind nginx."""
import base64
import email
import email.policy
import json
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.rig import paths
from tests.rig.workspace import EMAIL


@pytest.fixture(autouse=True)
def fresh(workspace, google_home):
    """Every test begins with the seeded mailbox; the daemon's token stays valid."""
    workspace.reset()
    yield


def test_the_size_of_the_module():
    assert (paths.GOOGLE / "connector.wasm").stat().st_size < 200 * 1024


# --- mail

def test_list_recent_emails(google_home):
    output = google_home.output("list-recent-emails")
    assert {message["id"] for message in output["messages"]} == {"m-plan", "m-invoice", "m-lunch", "m-attach", "m-old"}
    assert all(set(message) >= {"id", "thread_id"} or set(message) >= {"id", "threadId"} for message in output["messages"])
    assert "m-foreign" not in json.dumps(output)


def test_list_recent_emails_by_pages(google_home):
    seen, token = [], None
    for _ in range(5):
        args = {"max_results": 2} | ({"page_token": token} if token else {})
        output = google_home.output("list-recent-emails", args)
        seen += [message["id"] for message in output["messages"]]
        token = output.get("next_page_token")
        if not token:
            break
    assert sorted(seen) == ["m-attach", "m-invoice", "m-lunch", "m-old", "m-plan"] and len(set(seen)) == 5


def test_list_recent_emails_by_query(google_home, nginx):
    mark = nginx.mark()
    query = 'from:jo@example.com subject:"Lunch?" & = + # ü /?'
    google_home.output("list-recent-emails", {"query": query})
    assert [m["id"] for m in google_home.output("list-recent-emails", {"query": "from:jo@example.com"})["messages"]] == ["m-lunch"]
    first = nginx.seen(mark)[0]["uri"]
    assert parse_qs(urlsplit(first).query)["q"] == [query], "the query arrives as it was said, and as one parameter"


@pytest.mark.parametrize("count", [0, -1, 101, 10_000])
def test_list_recent_emails_is_capped(google_home, nginx, count):
    mark = nginx.mark()
    result = google_home.run_action("list-recent-emails", {"max_results": count})
    if result.code == 0:
        assert count > 100 and "maxResults=100" in nginx.seen(mark)[0]["uri"]
    else:
        assert result.json()["error"]["class"] == "bad_input" and nginx.seen(mark) == []


def test_get_email(google_home):
    mail = google_home.output("get-email", {"id": "m-plan"})
    text = json.dumps(mail, ensure_ascii=False)
    assert mail["id"] == "m-plan" and "Quartalsplan — bitte prüfen ✓" in text and "Anna Müller" in text
    full = google_home.output("get-email", {"id": "m-plan", "format": "full"})
    assert "anbei der Plan für das Quartal" in json.dumps(full, ensure_ascii=False)


def test_get_email_with_attachment(google_home):
    mail = google_home.output("get-email", {"id": "m-attach", "format": "full"})
    text = json.dumps(mail, ensure_ascii=False)
    assert "Die Verträge im Anhang." in text and "contract.pdf" in text
    assert "<p>" not in text, "the text body, not the HTML one"


@pytest.mark.parametrize("identity", ["", "../drafts", "a/b", "a?b", "a#b", "x\r\ny", "ü", "a" * 5000])
def test_get_email_with_an_odd_id(google_home, nginx, identity):
    mark = nginx.mark()
    failure = google_home.failure("get-email", {"id": identity})
    assert failure["class"] in ("bad_input", "external_api_error"), failure
    for row in nginx.seen(mark):
        assert row["uri"].startswith("/gmail/v1/users/me/messages/") and "/drafts" not in row["uri"]


def test_get_email_bad_input(google_home):
    assert google_home.failure("get-email", {"id": "m-plan", "format": "raw"})["class"] == "bad_input"
    failure = google_home.failure("get-email", {"id": "no-such-mail"})
    assert failure["class"] == "external_api_error" and failure["details"]["status"] == 404


# --- drafts

def draft_of(workspace, identity):
    """The draft's message as the store holds it, parsed as RFC 5322."""
    [draft] = [draft for draft in workspace.drafts() if draft["gmail_id"] == identity]
    [message] = [message for message in workspace.messages() if message["gmail_id"] == draft["message_gmail_id"]]
    raw = base64.urlsafe_b64decode(message["raw"] + "=" * (-len(message["raw"]) % 4))
    return message, email.message_from_bytes(raw, policy=email.policy.default), raw


def test_draft_email(google_home, workspace):
    output = google_home.output("draft-email", {
        "to": "Jo <jo@example.com>, kim@example.com", "cc": "lee@example.org", "bcc": "boss@example.org",
        "subject": "Grüße aus Köln — 你好 ✓ and a very long subject line that has to be folded somewhere because it is long",
        "body": "Zeile eins\nZeile zwei — ü\n.\nFrom the start\n"})
    identity = output.get("draft_id") or output["id"]
    _, message, raw = draft_of(workspace, identity)
    assert message["Subject"].startswith("Grüße aus Köln — 你好 ✓") and message["Subject"].endswith("because it is long")
    assert [address.addr_spec for address in message["To"].addresses] == ["jo@example.com", "kim@example.com"]
    assert message["To"].addresses[0].display_name == "Jo"
    assert message["Cc"].addresses[0].addr_spec == "lee@example.org" and message["Bcc"].addresses[0].addr_spec == "boss@example.org"
    assert message.get_content().replace("\r\n", "\n") == "Zeile eins\nZeile zwei — ü\n.\nFrom the start\n"
    assert message.get_content_type() == "text/plain" and message.get_content_charset() == "utf-8"
    head, _, _ = raw.partition(b"\r\n\r\n")
    assert all(len(line) <= 998 and line.isascii() for line in head.split(b"\r\n")), "headers are ASCII on the wire"
    assert b"\n" not in raw.replace(b"\r\n", b""), "every line ends with CR LF"


def test_draft_email_as_a_reply(google_home, workspace):
    output = google_home.output("draft-email", {"to": "jo@example.com", "subject": "Re: Lunch?", "body": "Yes.",
                                                "reply_to_id": "m-lunch"})
    record, message, _ = draft_of(workspace, output.get("draft_id") or output["id"])
    assert message["In-Reply-To"] == "<lunch@example.com>" and "<lunch@example.com>" in message["References"]
    assert record["thread_id"] == "t-lunch"


INJECTED = {"subject": "Hello\r\nBcc: victim@example.org", "to": "jo@example.com\r\nBcc: victim@example.org",
            "cc": "kim@example.com\nX-Evil: 1", "bcc": "a@example.org\rX: y", "reply_to_id": "m-lunch\r\nX: y"}


@pytest.mark.parametrize("field", INJECTED)
def test_header_injection_is_refused(google_home, workspace, field):
    before = len(workspace.drafts())
    args = {"to": "jo@example.com", "subject": "s", "body": "b"} | {field: INJECTED[field]}
    failure = google_home.failure("draft-email", args)
    assert failure["class"] == "bad_input" and len(workspace.drafts()) == before


@pytest.mark.parametrize("to", ["", "nobody", "a@b@c", "<>", "a b@example.com", "jo@", "@example.com", ",", "jo@example.com,,x"])
def test_bad_recipients_are_refused(google_home, workspace, to):
    before = len(workspace.drafts())
    assert google_home.failure("draft-email", {"to": to, "subject": "s", "body": "b"})["class"] == "bad_input"
    assert len(workspace.drafts()) == before


def test_list_and_get_drafts(google_home):
    made = [google_home.output("draft-email", {"to": f"x{n}@example.com", "subject": f"Draft {n}", "body": "words " * n, "bcc": "b@example.org"})
            for n in range(1, 4)]
    ids = {output.get("draft_id") or output["id"] for output in made}
    listed = google_home.output("list-drafts", {"max_results": 10})
    assert ids <= {draft["id"] for draft in listed["drafts"]}
    draft = google_home.output("get-draft", {"id": sorted(ids)[0]})
    text = json.dumps(draft)
    assert "Draft" in text and "words" in text and "b@example.org" in text
    assert google_home.failure("get-draft", {"id": "no-such-draft"})["details"]["status"] == 404


# --- what waits for a person

@pytest.mark.parametrize(("action", "args"), [
    ("send-email", {"to": "jo@example.com", "subject": "s", "body": "b"}), ("send-draft", {"draft_id": "r-1"}),
    ("create-calendar-event", {"title": "t", "start_time": "2099-01-01T10:00:00Z", "end_time": "2099-01-01T11:00:00Z"})])
def test_gated_actions_do_nothing_yet(google_home, workspace, nginx, action, args):
    mark = nginx.mark()
    messages, events = len(workspace.messages()), len(workspace.events())
    result = google_home.run_action(action, args)
    assert result.code != 0, repr(result)
    said = (result.out + result.err).lower()
    assert "approv" in said, repr(result)
    assert (len(workspace.messages()), len(workspace.events())) == (messages, events)
    assert [row for row in nginx.seen(mark) if row["method"] != "GET"] == []


# --- calendar

def test_list_upcoming_events(google_home):
    output = google_home.output("list-upcoming-events")
    text = json.dumps(output, ensure_ascii=False)
    assert "Stand-up" in text and "Überprüfung" in text and "Raum 4" in text
    assert "Long ago" not in text and "Team day" not in text


def test_list_upcoming_events_of_another_calendar(google_home):
    output = google_home.output("list-upcoming-events", {"calendar_id": "team@group.calendar.google.com"})
    text = json.dumps(output)
    assert "Team day" in text and "Stand-up" not in text


def test_list_upcoming_events_until(google_home):
    text = json.dumps(google_home.output("list-upcoming-events", {"time_max": "2099-03-02T23:00:00+01:00"}), ensure_ascii=False)
    assert "Stand-up" in text and "Überprüfung" not in text
    assert len(google_home.output("list-upcoming-events", {"max_results": 1})["events"]) == 1


@pytest.mark.parametrize("time", ["tomorrow", "2099-03-02", "2099-03-02T23:00:00", "2099-13-02T23:00:00Z", "2099-02-30T23:00:00Z",
                                  "2099-03-02T25:00:00Z", "", "2099-03-02T23:00:00Z\r\nX: y"])
def test_times_that_are_not_rfc_3339_are_refused(google_home, nginx, time):
    mark = nginx.mark()
    assert google_home.failure("list-upcoming-events", {"time_max": time})["class"] == "bad_input"
    assert nginx.seen(mark) == []


@pytest.mark.parametrize("calendar", ["../../x", "a/b?c", "no such calendar", "primary/events"])
def test_a_calendar_id_stays_one_segment(google_home, nginx, calendar):
    mark = nginx.mark()
    failure = google_home.failure("list-upcoming-events", {"calendar_id": calendar})
    assert failure["class"] in ("bad_input", "external_api_error")
    for row in nginx.seen(mark):
        path = row["uri"].split("?")[0]
        assert path.count("/") == 5 and unquote(path.split("/")[4]) == calendar


# --- all of them

def test_only_the_two_hosts_are_asked_each_with_the_token(google_home, nginx):
    mark = nginx.mark()
    google_home.output("list-recent-emails")
    google_home.output("get-email", {"id": "m-lunch"})
    google_home.output("list-drafts")
    google_home.output("list-upcoming-events")
    seen = nginx.seen(mark)
    assert {row["host"] for row in seen} == {"gmail.googleapis.com", "www.googleapis.com"}
    assert {row["authorization"] for row in seen} == {f"Bearer {google_home.token}"}
    assert all(row["host"] == row["sni"] and not row["cookie"] for row in seen)


def test_five_reads_side_by_side(google_home):
    ids = ["m-plan", "m-invoice", "m-lunch", "m-attach", "m-old"]
    with ThreadPoolExecutor(5) as pool:
        mails = list(pool.map(lambda identity: google_home.output("get-email", {"id": identity}), ids))
    assert [mail["id"] for mail in mails] == ids


@pytest.mark.parametrize(("action", "args"), [
    ("get-email", {}), ("get-email", {"id": 7}), ("get-email", {"id": "x", "nosuch": 1}), ("list-recent-emails", {"max_results": "ten"}),
    ("list-recent-emails", {"max_results": 1.5}), ("draft-email", {"to": "a@example.com"}), ("draft-email", {"to": ["a@example.com"]}),
    ("get-draft", {}), ("list-upcoming-events", {"calendar_id": None})])
def test_arguments_that_do_not_fit(google_home, nginx, action, args):
    mark = nginx.mark()
    failure = google_home.api("POST", f"/v1/actions/{action}/run", {"args": args}).json()["error"]
    assert failure["class"] == "bad_input" and failure["boundary"] == "action"
    # The command says the same, with the action's usage when an input is missing.
    assert google_home.run_action(action, args).code in (1, 2)
    assert nginx.seen(mark) == []


def test_whose_mailbox(google_home, workspace):
    assert EMAIL in json.dumps(google_home.output("get-email", {"id": "m-plan"}))
    assert google_home.failure("get-email", {"id": "m-foreign"})["details"]["status"] == 404
