"""The walk of docs/getting-started.md as it stands there, by a person at two terminals and a browser, with the real agents.

The page's commands are typed and its output compared; only this differs from a reader's machine: OWNER/REPO is a publisher
at the rig's forge, which answers as github.com through a daemon's development overrides (so the vault is made with --dev), Google is
the emulator, and the model is scripted. What happened is asserted on what the model, the emulator and the audit log have.
"""
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

from tests.rig import paths
from tests.rig.agents import AGENTS
from tests.rig.assistant import Mind, call, foreign, say
from tests.rig.chromium import CHROMIUM
from tests.rig.desk import Desk
from tests.rig.forge import Forge
from tests.rig.home import Home
from tests.rig.walk import Shell, difference, pattern_of, standing, steps_of
from tests.rig.workspace import EMAIL

PAGE = paths.ROOT / "docs/getting-started.md"
CARD = ["Lunch with Jo", "Thursday 5 March 2099, 12:30 (UTC+01:00, Europe/Berlin)", "30 min", "ACTION"]
PASSPHRASE = "a walk in the park"
READS = ["list_recent_emails", *["get_email"] * 5, "list_upcoming_events"]
WRITES = ["get_email", "draft_email", "create_calendar_event"]


# --- what the model does of each prompt


def five_emails(turn):
    if not turn.tools:  # who types at once is faster than a server's start; then Claude Code offers its model to wait
        yield [foreign("WaitForMcpServers")]
    gated = turn.tools["create_calendar_event"].get("description", "")
    assert "approve" in gated and "check_action_status" in turn.tools, sorted(turn.tools)
    [listed] = yield [say("I look at your mail."), call("list_recent_emails", max_results=5)]
    found = listed.json()["messages"]
    assert len(found) == 5, listed
    mails = yield [call("get_email", id=mail["id"], format="metadata") for mail in found]
    yield [say("Your mails: " + ", ".join(mail.json()["subject"] for mail in mails))]


def this_week(_):
    [events] = yield [call("list_upcoming_events", max_results=10)]
    yield [say("You have: " + ", ".join(event["title"] for event in events.json()["events"]))]


def draft_reply(_):
    [mail] = yield [call("get_email", id="m-lunch", format="full")]
    assert "12:30" in mail.text, mail
    [draft] = yield [call("draft_email", to="jo@example.com", subject="Re: Lunch?", body="Thursday at 12:30 is fine.", reply_to_id="m-lunch")]
    assert not draft.failed, draft
    yield [say("The draft is saved; I sent nothing.")]


def half_an_hour(_):
    [created] = yield [call("create_calendar_event", title="Lunch with Jo", start_time="2099-03-05T12:30:00+01:00",
                            end_time="2099-03-05T13:00:00+01:00", timezone="Europe/Berlin")]
    assert not created.failed and "pending" not in created.text, created
    yield [say("It is in your calendar.")]


TASKS = {"five most recent emails": five_emails, "calendar this week": this_week, "draft a reply": draft_reply, "put 30 minutes": half_an_hour}


# --- the person


class Walker:
    """Does the steps of a page one after the other."""

    def __init__(self, home, agent, desk, environment):
        self.home, self.agent, self.desk, self.environment = home, agent, desk, environment
        self.mind = agent.mind
        self.first = Shell(environment, agent.project)
        self.second = self.tab = None
        self.in_agent = self.spoken = False  # an agent runs; the last step was said to it
        self.shown = ""  # what the last command has shown

    def walk(self, steps):
        for at, step in enumerate(steps):
            following = steps[at + 1] if at + 1 < len(steps) and steps[at + 1].kind == "text" else None
            try:
                getattr(self, step.kind)(step, following)
            except AssertionError as error:
                raise AssertionError(f"{PAGE.name}, {step}: {error}\nmind: {self.mind.failures} {self.mind.calls}") from None

    def here(self, text):
        """What the page says, as it is on this machine."""
        text = text.replace("OWNER/REPO", "acme/google").replace("vault init", "vault init --dev").replace("agent claude", f"agent {self.agent.name}")
        return text.replace("--local claude", f"--local {self.agent.name}")

    def sh(self, step, following):
        command, self.spoken = self.here(step.text), False
        if command.endswith(" ID"):
            command = command.removesuffix("ID") + self.id_of("execution.succeeded", "create-calendar-event")
        if " launch " in command:
            self.first.begin(command)
            self.first.until(lambda: self.agent.ready in self.first.shown() or self.first.is_done(), "the agent")
            assert not self.first.is_done(), self.first.so_far()
            self.in_agent, self.shown = True, self.first.so_far()
            return
        shell = self.shell()
        if command.startswith("aileron open"):  # it ends when the browser has read what signs in
            shell.begin(command)
            self.tab = self.desk.open()
            code, self.shown = shell.finish()
        else:
            code, self.shown = shell.run(command, self.questions(following.text if following else ""), timeout=90)
        assert code == 0, f"exit {code}:\n{self.shown}"

    def text(self, step, _):
        """What the command before it has shown; or an agent's launcher, before the agent; or somewhere on its screen the agent itself."""
        if self.spoken:
            if self.agent.shows_progress:
                self.first.until(lambda: pattern_of(self.here(step.text)).search(self.first.shown() + "\n"), f"{step.text!r} on the screen", 30)
            return
        lines = [line for line in self.shown.split("\n") if not line.startswith("aileron: development overrides are active")]
        problem = difference(self.here(step.text), "\n".join(lines), whole=not self.in_agent)
        assert not problem, problem

    def say(self, step, _):
        assert self.in_agent, "nobody to talk to"
        self.first.wait_shown(self.agent.ready)
        if step.text == "/exit":
            return self.leave()
        ended, self.spoken = self.mind.ended, True
        self.first.type(step.text)
        self.first.wait_shown(step.text[-20:])
        self.first.send("\r")
        self.first.until(lambda: self.mind.ended > ended or self.pending(), "an answer of the agent", 90)
        assert not self.mind.failures

    def press(self, step, _):
        ended, page = self.mind.ended, self.tab
        assert page, "no page was opened"
        for words in CARD:
            page.get_by_text(words, exact=True).first.wait_for()
        page.get_by_role("button", name=step.text, exact=True).first.click()
        self.first.until(lambda: self.mind.ended > ended, "the agent to go on", 60)
        assert not self.pending()

    # ---

    def shell(self):
        if not self.in_agent:
            return self.first
        self.second = self.second or Shell(self.environment, self.agent.project)
        return self.second

    def questions(self, expected):
        """What the page says that is asked, and what it says that one answers."""
        found = []
        for line in self.here(expected).split("\n"):
            question, _, answer = line.partition("[y/N]: ")
            if answer:
                found.append((question + "[y/N]:", answer))
            elif line.rstrip().endswith("passphrase:"):
                found.append((line.rstrip(), PASSPHRASE))
            elif line.startswith("Waiting for your consent"):
                found.append((line, self.consent))
        return found

    def consent(self):
        page = self.desk.open()
        page.click(f"text={EMAIL}")
        page.wait_for_url("http://127.0.0.1:*/**")
        page.close()
        return ""

    def leave(self):
        self.first.type(self.agent.leave)
        self.first.wait_shown(self.agent.leave)
        self.first.send("\r")
        code, _ = self.first.finish()
        assert code == 0
        self.in_agent = self.spoken = False

    def pending(self):
        return self.home.api("GET", "/v1/approvals?status=pending").json()["approvals"]

    def id_of(self, event, about):
        row = next(line for line in reversed(self.shown.split("\n")) if event in line and about in line)
        return row.split()[-1]

    def close(self):
        for shell in (self.first, self.second):
            if shell:
                shell.close()


# --- the machine


@pytest.fixture(scope="module")
def playwright():
    from playwright.sync_api import sync_playwright
    assert pathlib.Path(CHROMIUM).exists(), "Debian's chromium is not installed (scripts/setup test)"
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def prefix(built, tmp_path_factory):
    """Aileron as `make install` leaves it."""
    root = tmp_path_factory.mktemp("installed")
    subprocess.run(["meson", "install", "-C", str(paths.BUILD), "--no-rebuild", "--quiet", "--destdir", str(root)], check=True, capture_output=True)
    [program] = root.rglob("bin/aileron")
    return program.parent.parent


@pytest.fixture(scope="module")
def publisher(nginx, rig_folder):
    forge = Forge(nginx, rig_folder / "forge-of-the-walk")
    repository = forge.repository("acme", "google")
    repository.release_google()
    yield repository
    forge.forget()


@pytest.fixture
def folder():
    """With a short name: where the program's lines break depends on it."""
    made = tempfile.mkdtemp(prefix="walk-")
    yield pathlib.Path(made)
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def walker(request, playwright, prefix, publisher, nginx, ca, workspace, folder):
    """Everything as on a new machine, but that the daemon runs already, with overrides that wait for a vault."""
    workspace.reset()
    home = Home(connect_to=nginx.connect_to(), ca=ca.path, folder=folder)
    agent = AGENTS[request.param](home, Mind(TASKS), folder)
    home.path = agent.user / ".aileron"
    home.environment = {**home.environment, "HOME": str(agent.user), "AILERON_HOME": str(home.path)}
    home.cli("daemon", "start", *home.start_args(), check=0)
    workspace.register(home.discovery()["url"].rstrip("/") + "/oauth2/callback")
    desk = Desk(playwright, folder, nginx.port)
    environment = {**agent.environment, **desk.environment}
    environment["PATH"] = f"{prefix}/bin:{environment['PATH']}"
    del environment["AILERON_HOME"]  # the default one
    made = Walker(home, agent, desk, environment)
    yield made
    made.close()
    desk.close()
    agent.stop()
    home.close()


@pytest.mark.parametrize("walker", sorted(AGENTS), indirect=True)
@pytest.mark.timeout(300)
def test_the_walk(walker, workspace):
    events = len(workspace.events())
    walker.walk(steps_of(PAGE.read_text()))
    mind, home = walker.mind, walker.home
    assert not mind.failures, mind.failures
    assert mind.names() == READS + WRITES
    assert len(mind.prompts) == len(TASKS), "every task of the model is asked for in the page"
    [confinement] = {session["confinement"] for session in home.cli("sessions", "list", "--json", check=0).json()["sessions"]}
    assert confinement == "fence"
    assert len(workspace.events()) == events + 1 and len(workspace.drafts()) == 1
    assert workspace.events()[-1]["summary"] == "Lunch with Jo"
    check_receipts(home.audit_lines())
    for secret in (PASSPHRASE, *re.findall(r"google_[A-Za-z0-9_-]{16,}", str(walker.home.log()))):
        assert secret not in walker.first.text and secret not in str(walker.agent.model.requests)


def check_receipts(lines):
    """Each call has its receipts in order; the gated one those of its approval, by a person, around its effect."""
    ran = [(line["event_type"], line["payload"]["aileron.action.name"], line["payload"].get("aileron.execution.disposition"))
           for line in lines if line["event_type"].startswith(("execution.", "approval."))]
    gated = [row for row in ran if row[1] == "create-calendar-event"]
    assert gated == [("approval.requested", "create-calendar-event", None), ("approval.approved", "create-calendar-event", None),
                     ("execution.started", "create-calendar-event", "approved"), ("execution.succeeded", "create-calendar-event", "approved")], ran
    for name, times in (("list-recent-emails", 1), ("get-email", 6), ("list-upcoming-events", 1), ("draft-email", 1)):
        assert [row[0] for row in ran if row[1] == name].count("execution.succeeded") == times, ran
        assert {row[2] for row in ran if row[1] == name} == {"unattended"}
    [approved] = [line for line in lines if line["event_type"] == "approval.approved"]
    assert approved["actor"]["type"] == "human"
    kinds = [line["event_type"] for line in lines]
    assert kinds.index("vault.created") < kinds.index("keyring.trusted") < kinds.index("binding.created") < kinds.index("session.started")
    assert "session.ended" in kinds


# --- the extractor, and that a page which lies is found out


SMALL = """
Words, and `code`.

```sh
aileron version
aileron stop
```
Between, press **Approve** or not.
```text
aileron 0.…
…
end
```
> Do it.
"""


def test_steps_of_a_page():
    assert [(step.kind, step.text) for step in steps_of(SMALL)] == [
        ("sh", "aileron version"), ("sh", "aileron stop"), ("press", "Approve"), ("text", "aileron 0.…\n…\nend"), ("say", "Do it.")]
    with pytest.raises(AssertionError, match="without an end"):
        steps_of("```sh\naileron version\n")
    with pytest.raises(AssertionError, match="bash"):
        steps_of("```bash\naileron version\n```\n")


@pytest.mark.parametrize("output, verdict", [
    ("aileron 0.1.0\nend\n", True), ("aileron 0.1.0\na\nb\nend\n", True), ("\naileron 0.1.0  \nend", True), ("aileron 1.1.0\nend\n", False),
    ("aileron 0.1.0\nend\nmore\n", False), ("before\naileron 0.1.0\nend\n", False), ("aileron 0.1.0\n", False), ("aileron 0.1.0\nends\n", False)])
def test_what_is_shown_is_compared(output, verdict):
    assert (difference("aileron 0.…\n…\nend", output) is None) == verdict


def test_progress_that_was_overwritten_is_gone():
    assert standing("\rone\n[1/2] … checking \r[2/2] … checking \rtwo\nthree\n") == "one\ntwo\nthree\n"
