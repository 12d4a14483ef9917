"""The real agents over Streamable HTTP instead of the relay: quick calls, and one that waits for a person."""
import json
import threading
import time

import pytest

from tests.conftest import make_probe_home
from tests.rig.agents import toml
from tests.rig.assistant import call, say
from tests.rig.gated import approvals, decide, effect, effects, install_gated

WAIT_S = 15  # longer than one interval of progress


@pytest.fixture(scope="module")
def gated_home(built, probe_folder, hostile_server, ca):
    made = make_probe_home(probe_folder, hostile_server, ca)
    install_gated(made, "gated")
    made.cli("config", "set", "approval.confirm", "never", check=0)
    yield made
    made.close()


def command(agent, home, prompt):
    """The agent with /mcp as its only server, as docs/mcp.md says."""
    token = home.api("POST", "/v1/sessions", {"agent": f"{agent.name} over HTTP"}).json()["token"]
    url, headers = home.discovery()["url"].rstrip("/") + "/mcp", {"Authorization": f"Bearer {token}"}
    if agent.name == "claude":
        config = agent.user / "http.json"
        config.write_text(json.dumps({"mcpServers": {"aileron": {"type": "http", "url": url, "headers": headers}}}))
        return [agent.program, *agent.headless_words(prompt), "--mcp-config", config, "--strict-mcp-config", "--allowedTools",
                "mcp__aileron__*"]
    settings = {"url": url, "http_headers": headers, "required": True, "startup_timeout_sec": 60, "tool_timeout_sec": 3600,
                "default_tools_approval_mode": "approve"}
    words = [word for key, value in settings.items() for word in ("-c", f"mcp_servers.aileron.{key}={toml(value)}")]
    return [agent.program, *words, *agent.headless_words(prompt)]


def approve_late(home):
    end = time.monotonic() + 60
    while time.monotonic() < end and not (waiting := approvals(home, "pending")):
        time.sleep(0.1)
    time.sleep(WAIT_S)
    decide(home, waiting[0]["id"])


def test_it_waits_for_a_person(gated_home, hostile, agent):
    def work(turn):
        assert {"gated", "check_action_status"} <= set(turn.tools), sorted(turn.tools)
        [sent] = yield [call("gated", **effect(f"{made.name} over HTTP"))]
        assert not sent.failed and sent.json()["results"][0]["status"] == 200, sent
        yield [say("It is sent.")]

    mark = hostile.mark()
    made = agent(gated_home, {"send it": work})
    person = threading.Thread(target=approve_late, args=(gated_home,))
    person.start()
    started = time.monotonic()
    done = made.execute(command(made, gated_home, "send it"), 110, made.by_hand)
    person.join()
    assert "It is sent." in done.stdout and not made.mind.failures, done.told
    assert time.monotonic() - started > WAIT_S
    assert effects(hostile, mark) == [f"{made.name} over HTTP"]
