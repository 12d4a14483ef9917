"""Real Claude Code, run without an account against a scripted model, lists our tools and reads mail through them.

Everything is asserted on what the servers logged: the model server (which tools the agent found, which results it got)
and nginx (which requests left, with which credential). The agent's own exit code says little.
"""
import json
import os
import subprocess

import pytest

from tests.rig import paths
from tests.rig.model import Model, text, tool

PREFIX = "mcp__aileron__"


def run_claude(home, model, prompt, folder, timeout=110):
    """Claude Code, headless, with our relay as its only MCP server."""
    program = paths.claude()
    if not program.exists():
        pytest.skip(f"Claude Code has no program for this machine: {program}")
    (folder / "user").mkdir(exist_ok=True)
    config = folder / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"aileron": {
        "type": "stdio", "command": str(paths.RELAY), "args": [], "env": {"AILERON_HOME": str(home.path)}}}}))
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder / "user"), "TERM": "dumb", "LANG": "C.UTF-8",
        "ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "sk-ant-fake", "MCP_CONNECTION_NONBLOCKING": "0",
        "MCP_CONNECT_TIMEOUT_MS": "60000", "DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "IS_SANDBOX": "1"}
    command = [program, "-p", prompt, "--mcp-config", config, "--strict-mcp-config", "--allowedTools", PREFIX + "*",
               "--output-format", "stream-json", "--verbose", "--debug-file", folder / "debug.log"]
    done = subprocess.run([str(word) for word in command], env=environment, cwd=folder, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=timeout, check=False)
    return done


def content(block):
    """The text of a tool result as the model got it."""
    if isinstance(block["content"], str):
        return block["content"]
    return "".join(part.get("text", "") for part in block["content"])


@pytest.fixture
def model():
    servers = []

    def start(*turns):
        server = Model(turns)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


def newest_result(request):
    """The tool results in the newest message of a request."""
    return [content(block) for block in request["messages"][-1]["content"] if block["type"] == "tool_result"]


def test_it_lists_tools_and_reads_mail(google_home, nginx, model, tmp_path):
    found = []

    def read_them(request):
        [listed] = newest_result(request)
        found.extend(message["id"] for message in json.loads(listed)["messages"])
        return [tool(PREFIX + "get_email", {"id": identity, "format": "full"}) for identity in found]

    server = model(lambda _: [text("Looking."), tool(PREFIX + "list_recent_emails", {"max_results": 5})], read_them,
                   lambda _: [text("You have five mails.")])
    mark = nginx.mark()
    done = run_claude(google_home, server, "list my recent emails", tmp_path)

    offered = {offer["name"] for offer in server.requests[0]["tools"]}
    assert {PREFIX + name for name in ("list_recent_emails", "get_email", "draft_email", "list_upcoming_events")} <= offered, \
        f"{sorted(offered)}\n{done.stdout[-3000:]}\n{done.stderr[-2000:]}"
    results = server.tool_results()
    assert len(found) == 5 and len(results) == 6
    assert all(not block.get("is_error") for block in results)
    assert "Quartalsplan — bitte prüfen ✓" in "".join(content(block) for block in results)
    assert google_home.token not in json.dumps(server.requests), "the credential reached the agent"

    seen = nginx.seen(mark)
    assert {row["host"] for row in seen} == {"gmail.googleapis.com"} and len(seen) == 6
    assert {row["authorization"] for row in seen} == {f"Bearer {google_home.token}"}
    sessions = google_home.cli("sessions", "list", "--json", check=0).json()["sessions"]
    assert any("claude" in session["agent"].lower() and session["calls"] >= 6 for session in sessions), sessions
    assert "You have five mails." in done.stdout


def test_it_is_told_of_a_failure(google_home, model, tmp_path):
    server = model(lambda _: [tool(PREFIX + "get_email", {"id": "no-such-mail"})],
                   lambda _: [tool(PREFIX + "get_email", {"nosuch": 1})], lambda _: [text("Sorry.")])
    run_claude(google_home, server, "read a mail that is not there", tmp_path)
    failed, refused = server.tool_results()
    assert failed["is_error"] is True and "external_api_error" in content(failed) and "aud_" in content(failed)
    assert refused["is_error"] is True and "bad_input" in content(refused)


def test_it_drafts_a_reply(google_home, workspace, model, tmp_path):
    before = {draft["gmail_id"] for draft in workspace.drafts()}
    server = model(lambda _: [tool(PREFIX + "draft_email", {"to": "jo@example.com", "subject": "Re: Lunch? ☕",
                                                            "body": "Gerne, 12:30.", "reply_to_id": "m-lunch"})],
                   lambda _: [text("Drafted.")])
    run_claude(google_home, server, "answer Jo", tmp_path)
    [result] = server.tool_results()
    assert not result.get("is_error"), content(result)
    assert len({draft["gmail_id"] for draft in workspace.drafts()} - before) == 1
