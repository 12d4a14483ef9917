"""Mail that is sent and events that are created only after a person's yes, on the emulated Workspace, which counts the effects."""
import base64
import http.client
import json

import pytest

from tests.conftest import make_google_home
from tests.rig.gated import Session, approval, decide, wait_state

EVENT = {"title": "Roof inspection", "start_time": "2026-12-07T14:00:00+01:00", "end_time": "2026-12-07T14:30:00+01:00"}
MAIL = {"to": "ann@example.com", "subject": "Hello", "body": "Dear Ann,\n\nsee you.\n"}


@pytest.fixture(scope="module")
def google(built, nginx, ca, workspace):
    workspace.reset()
    made = make_google_home(nginx.connect_to(), ca, workspace)
    made.cli("config", "set", "approval.confirm", "never", check=0)
    yield made
    made.close()


@pytest.fixture
def agent(google, workspace):
    workspace.reset()
    return Session(google, agent="claude", confinement="fence")


def sent(workspace):
    return [message for message in workspace.messages() if "SENT" in json.dumps(message) and message["id"] != "m-old"]


def draft(google, **more):
    return google.output("draft-email", {**MAIL, **more})


def edit_draft(google, workspace, ident, text):
    """As another mail program of the same person would."""
    raw = base64.urlsafe_b64encode(f"To: ann@example.com\r\nSubject: Hello\r\n\r\n{text}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", workspace.port, timeout=10)
    connection.request("PUT", f"/gmail/v1/users/me/drafts/{ident}", json.dumps({"message": {"raw": raw}}),
                       {"Authorization": f"Bearer {google.token}", "Content-Type": "application/json"})
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, body
    connection.close()


def test_an_event_waits_and_is_created_once(google, agent, workspace):
    before = len(workspace.events())
    ident = agent.ask("create-calendar-event", EVENT)
    card = approval(google, ident)
    pairs = dict(card["preview"]["pairs"])
    assert card["badge"] == "ACTION" and pairs["Title"] == "Roof inspection" and "30" in pairs["Duration"]
    assert "Monday" in dict(card["inputs"])["Start"] or "Start" not in dict(card["inputs"])
    assert len(workspace.events()) == before
    assert decide(google, ident, seal=card["seal"]).status == 200
    wait_state(google, ident, "completed")
    assert len(workspace.events()) == before + 1
    assert agent.run("create-calendar-event", EVENT).status == 200
    assert len(workspace.events()) == before + 1


def test_a_denied_event_changes_nothing(google, agent, workspace):
    before = workspace.events()
    ident = agent.ask("create-calendar-event", EVENT)
    assert decide(google, ident, approved=False, reason="no roof").status == 200
    assert agent.run("create-calendar-event", EVENT).json()["error"]["details"]["reason"] == "no roof"
    assert workspace.events() == before


def test_a_draft_is_sent_as_it_was_shown(google, agent, workspace):
    made = draft(google)
    before = len(sent(workspace))
    ident = agent.ask("send-draft", {"draft_id": made["id"], "version": "an agent's own idea"})
    card = approval(google, ident)
    pairs = dict(card["preview"]["pairs"])
    assert card["badge"] == "COMMS SEND" and pairs["To"] == "ann@example.com" and "see you." in pairs["Body"]
    assert list(pairs)[:5] == ["To", "Cc", "Bcc", "Subject", "Body"] and card["preview"]["multiline"] == ["Body"]
    # The version that is shown is what the operation is held to, whatever the agent said.
    assert card["arguments"][0]["args"]["version"] not in ("", "an agent's own idea")
    assert decide(google, ident, seal=card["seal"]).status == 200
    wait_state(google, ident, "completed")
    assert len(sent(workspace)) == before + 1


def test_a_draft_that_was_edited_since_asks_again(google, agent, workspace):
    made = draft(google)
    before = len(sent(workspace))
    ident = agent.ask("send-draft", {"draft_id": made["id"]})
    card = approval(google, ident)
    edit_draft(google, workspace, made["id"], "Dear Ann,\n\nsee you!\n")
    answer = decide(google, ident, seal=card["seal"])
    assert answer.status == 409 and answer.json()["error"]["code"] == "changed"
    changed = {item["label"]: item for item in approval(google, ident)["difference"]}
    assert "see you." in changed["Body"]["before"] and "see you!" in changed["Body"]["after"]
    assert len(sent(workspace)) == before
    assert decide(google, ident).status == 200
    wait_state(google, ident, "completed")
    assert len(sent(workspace)) == before + 1


def test_a_mail_is_sent_only_after_a_yes(google, agent, workspace):
    before = len(sent(workspace))
    ident = agent.ask("send-email", MAIL)
    assert approval(google, ident)["preview"]["state"] == "none"
    assert len(sent(workspace)) == before
    decide(google, ident)
    wait_state(google, ident, "completed")
    assert len(sent(workspace)) == before + 1
