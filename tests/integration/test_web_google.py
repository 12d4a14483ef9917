"""The web app over mail and a calendar that look real: previews, a draft that was edited meanwhile, both decisions.

With AILERON_DOCS_IMAGES=DIR the pictures of README.md and docs/ are made on the way:

    AILERON_DOCS_IMAGES=docs/images $(scripts/setup python-dir)/bin/python -m pytest -c tests/pytest.ini tests/integration/test_web_google.py

They show the pages as they are, without the lines that say that the rig's overrides are active.
"""
import base64
import json
import os
import pathlib
import urllib.request
from email.message import EmailMessage

import pytest

from tests.conftest import make_google_home
from tests.integration.test_approvals_google import sent
from tests.rig.chromium import SignedIn, Tab
from tests.rig.gated import Session, approval, wait_state
from tests.rig.ports import wait_for

IMAGES = os.environ.get("AILERON_DOCS_IMAGES")
VIEW = {"viewport": {"width": 1120, "height": 1050}}
BODY = """Hi Anna,

both Tuesday and Thursday work for us. I would take Thursday: the room on
the third floor is free all day, and Lee is back by then.

Shall I book it for ten people?

Best,
Mara
"""
MAIL = {"to": "Anna Müller <anna@example.org>", "cc": "lee@example.org", "subject": "Offsite: Thursday, third floor", "body": BODY}
EVENT = {"title": "Offsite: planning", "start_time": "2026-12-10T10:00:00+01:00", "end_time": "2026-12-10T10:30:00+01:00",
         "timezone": "Europe/Berlin", "location": "Third floor", "attendees": ["anna@example.org", "lee@example.org"]}


@pytest.fixture(scope="module")
def google(built, nginx, ca, workspace):
    workspace.reset()
    made = make_google_home(nginx.connect_to(), ca, workspace)
    made.cli("config", "set", "approval.confirm", "auto", check=0)
    yield made
    made.close()


def edit(google, workspace, draft, body):
    """The draft as another mail program of the same person would save it."""
    mail = EmailMessage()
    mail["To"], mail["Cc"], mail["Subject"] = MAIL["to"], MAIL["cc"], MAIL["subject"]
    mail.set_content(body)
    raw = base64.urlsafe_b64encode(mail.as_bytes()).decode()
    request = urllib.request.Request(f"http://127.0.0.1:{workspace.port}/gmail/v1/users/me/drafts/{draft}", method="PUT",
                                     data=json.dumps({"message": {"raw": raw}}).encode(),
                                     headers={"Authorization": f"Bearer {google.token}", "Content-Type": "application/json"})
    assert urllib.request.urlopen(request, timeout=10).status == 200


def picture(page, name, look="light"):
    if not IMAGES:
        return
    page.emulate_media(color_scheme=look)
    page.evaluate("""() => { scrollTo(0, 0); document.activeElement.blur(); const own = new CSSStyleSheet();
        own.replaceSync(".overrides, .notice:has(> ul:not(.changes)) { display: none }"); document.adoptedStyleSheets = [own]; }""")
    page.wait_for_timeout(500)
    # Below that the overview tells of folders of this machine.
    clip = {"clip": {"x": 0, "y": 0, "width": page.viewport_size["width"], "height": 545}} if name == "overview" else {}
    page.screenshot(path=pathlib.Path(IMAGES) / f"{name}.png", **clip)


def test_a_draft_and_an_event(google, browser, workspace):
    before = len(workspace.events())
    agent = Session(google, "Claude Code", folder="/home/mara/offsite", confinement="fence", launched=True)
    assert agent.run("list-recent-emails").status == 200
    draft = agent.run("draft-email", MAIL).json()["output"]["id"]
    mail, event = agent.ask("send-draft", {"draft_id": draft}), agent.ask("create-calendar-event", EVENT)
    with SignedIn(browser, google, "/approvals", color_scheme="light", **VIEW) as tab:
        page = tab.page
        first, second = (page.locator(f"article:has(a[href='/approvals/{ident}'])") for ident in (mail, event))
        first.locator("button.primary[aria-disabled=false]").wait_for()
        preview = first.get_by_role("region", name="Preview")
        assert preview.locator("dt").all_inner_texts() == ["To", "Cc", "Bcc", "Subject", "Body", "Body is", "Attachments"]
        assert preview.locator("pre.text").inner_text().strip() == BODY.strip()
        assert draft in first.locator("details.arguments").inner_text()
        assert "Thu" in second.inner_text() and "30 min" in second.inner_text()
        picture(page, "approvals-light")
        picture(page, "approvals-dark", "dark")

        # Somebody edits the draft; the click of a person who read the old one sends nothing.
        edit(google, workspace, draft, BODY.replace("ten people", "twenty people"))
        page.emulate_media(color_scheme="light")
        first.locator("button.primary[aria-disabled=false]").click()
        page.wait_for_selector("text=This changed since you looked")
        assert page.locator("article h2").all_inner_texts() == ["Send draft", "Create calendar event"], "it stays where it was"
        assert page.locator(".news p").count() == 0
        assert first.locator("ins").all_inner_texts() == ["twenty"] and sent(workspace) == []
        picture(page, "approval-changed")
        first.locator("button.primary[aria-disabled=false]").click()
        wait_state(google, mail, "completed")
        wait_for(lambda: len(sent(workspace)) == 1, "the mail")

        second.get_by_role("button", name="Deny").click()
        page.keyboard.type("Friday is better")
        page.keyboard.press("Enter")
        wait_state(google, event, "denied")
        assert len(workspace.events()) == before and approval(google, event)["reason"] == "Friday is better"
        agent.ask("create-calendar-event", {**EVENT, "start_time": "2026-12-11T10:00:00+01:00", "end_time": "2026-12-11T10:30:00+01:00"})
        page.set_viewport_size({"width": 1120, "height": 760})
        for path, name in (("/", "overview"), ("/audit", "audit"), ("/actions", "actions")):
            tab.visit(path)
            page.wait_for_selector("main .card")
            picture(page, name)
        assert tab.complaints == []


def test_an_account(google, browser):
    with SignedIn(browser, google, "/bindings") as tab:
        tab.page.wait_for_selector("text=aileron binding reauthorize oauth2/google/me")
        with Tab(browser) as stranger:
            stranger.page.goto(tab.page.url)
            stranger.page.wait_for_selector("text=aileron open")
            assert "google" not in stranger.page.inner_text("body")
