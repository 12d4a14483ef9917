"""Real Claude Code and real Codex, run without an account against a scripted model, list our tools and use them.

Everything is asserted on what the servers logged: the model server (which tools the agent found, which results it got)
and nginx (which requests left, with which credential). The agent's own exit code says little.
"""
import json

from tests.rig.assistant import call, say

TOOLS = {"list_recent_emails", "get_email", "list_drafts", "get_draft", "draft_email", "list_upcoming_events"}


def test_it_lists_tools_and_reads_mail(google_home, nginx, agent):
    def read(turn):
        assert TOOLS <= set(turn.tools), sorted(turn.tools)
        [listed] = yield [say("Looking."), call("list_recent_emails", max_results=5)]
        mails = yield [call("get_email", id=each["id"], format="full") for each in listed.json()["messages"]]
        yield [say(f"You have {len(mails)} mails.")]

    made = agent(google_home, {"recent emails": read})
    mark = nginx.mark()
    done = made.run("list my recent emails")

    assert made.mind.names() == ["list_recent_emails", *["get_email"] * 5], done.told
    assert not any(result.failed for result in made.mind.calls), done.told
    assert "Quartalsplan — bitte prüfen ✓" in "".join(result.text for result in made.mind.calls)
    assert google_home.token not in json.dumps(made.model.requests), "the credential reached the agent"
    assert "You have 5 mails." in done.stdout, done.told

    seen = nginx.seen(mark)
    assert {row["host"] for row in seen} == {"gmail.googleapis.com"} and len(seen) == 6
    assert {row["authorization"] for row in seen} == {f"Bearer {google_home.token}"}
    sessions = google_home.cli("sessions", "list", "--json", check=0).json()["sessions"]
    assert any(made.name in session["agent"].lower() and session["calls"] >= 6 for session in sessions), sessions


def test_it_is_told_of_a_failure(google_home, agent):
    """In words: Codex keeps isError from its model."""
    def stumble(_):
        [failed] = yield [call("get_email", id="no-such-mail")]
        assert failed.failed in (True, None) and "external_api_error" in failed.text and "aud_" in failed.text, failed
        [refused] = yield [call("get_email", nosuch=1)]
        assert refused.failed in (True, None) and "bad_input" in refused.text, refused
        yield [say("Sorry.")]

    made = agent(google_home, {"not there": stumble})
    done = made.run("read a mail that is not there")
    assert made.mind.names() == ["get_email"] * 2 and "Sorry." in done.stdout, done.told


def test_it_drafts_a_reply(google_home, workspace, agent):
    def reply(_):
        [drafted] = yield [call("draft_email", to="jo@example.com", subject="Re: Lunch? ☕", body="Gerne, 12:30.", reply_to_id="m-lunch")]
        assert not drafted.failed and drafted.json()
        yield [say("Drafted.")]

    before = {draft["gmail_id"] for draft in workspace.drafts()}
    made = agent(google_home, {"answer": reply})
    done = made.run("answer Jo")
    assert made.mind.names() == ["draft_email"], done.told
    assert len({draft["gmail_id"] for draft in workspace.drafts()} - before) == 1


def test_five_reads_at_once(google_hostile_home, hostile, agent):
    """What the model asks for together runs together: when the first of five slow reads has ended, all five have begun."""
    mails = ["m-plan", "m-invoice", "m-lunch", "m-attach", "m-old"]
    for name in mails:
        hostile.script("gmail.googleapis.com", "slow/2", path=f"/gmail/v1/users/me/messages/{name}")

    def read(_):
        yield [call("get_email", id=name, format="metadata") for name in mails]
        yield [say("Read.")]

    made = agent(google_hostile_home, {"read": read})
    mark = len(google_hostile_home.audit_lines())
    done = made.run("read my mails")
    assert made.mind.names() == ["get_email"] * 5, done.told
    kinds = [line["event_type"] for line in google_hostile_home.audit_lines()[mark:] if line["event_type"].startswith("execution.")]
    ends = [at for at, kind in enumerate(kinds) if kind != "execution.started"]
    assert kinds[:ends[0]].count("execution.started") == 5, kinds
