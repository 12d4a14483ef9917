"""MCP's own test tools: the conformance suite against /mcp, and the Inspector's command line over both doors."""
import json
import re
import subprocess
import threading
import time

import pytest

from tests.conftest import make_probe_home
from tests.rig import paths
from tests.rig.front import Front
from tests.rig.gated import approvals, decide
from tests.rig.home import b64u

# What the suite wants to find; an action's name may have underscores, too.
ACTION = """+++
name = "{name}"
version = "1.0.0"

[[requires.connectors]]
name = "local://probe"
version = "1.0.0"
hash = "@@HASH@@"
capabilities = ["act"]

[match]
intent = "fixture of the conformance suite"

[[execute]]
id = "act"
connector = "local://probe"
op = "act"
inputs = {{ stdout = "{stdout}" }}
{more}
+++
# {name}

A fixture.
"""
SAID = {"output": {"text": "This is a simple text response for testing."}}
FAILED = {"error": {"class": "bad_input", "message": "This tool intentionally returns an error for testing"}}
FIXTURES = {"test_simple_text": (SAID, ""), "test_error_handling": (FAILED, ""),
            "test_tool_with_progress": (SAID, "[approval]\nrequired = true")}
# Of those that apply, these must have been run: a suite that was renamed passes nothing.
MUST_PASS = {"server-initialize", "ping", "tools-list", "tools-call-simple-text", "tools-call-error", "tools-call-with-progress",
             "server-sse-multiple-streams", "dns-rebinding-protection"}


@pytest.fixture(scope="module")
def fixture_home(built, probe_folder, hostile_server, ca):
    home = make_probe_home(probe_folder, hostile_server, ca)
    home.cli("config", "set", "approval.confirm", "never", check=0)
    for name, (stdout, more) in FIXTURES.items():
        path = home.base / f"{name}.md"
        path.write_text(ACTION.format(name=name, stdout=b64u(json.dumps(stdout)), more=more))
        home.cli("action", "add", "--local", path, check=0)
    yield home
    home.close()


@pytest.fixture(scope="module")
def front(fixture_home, tmp_path_factory):
    token = fixture_home.api("POST", "/v1/sessions", {"agent": "conformance"}).json()["token"]
    made = Front(fixture_home, tmp_path_factory.mktemp("front"), token)
    yield made
    made.stop()


def approve_patiently(home, over):
    """The fixture reports its progress by waiting for a person: at once, and after ten seconds, and after twenty."""
    while not over.wait(0.1):
        for row in approvals(home, "pending"):
            asked = time.monotonic()
            while time.monotonic() - asked < 21 and not over.wait(0.1):
                pass
            decide(home, row["id"])


def test_conformance(fixture_home, front):
    over = threading.Event()
    person = threading.Thread(target=approve_patiently, args=(fixture_home, over))
    person.start()
    try:
        done = subprocess.run([paths.node22(), paths.node_modules() / "@modelcontextprotocol/conformance/dist/index.js", "server",
                               "--url", front.url, "--suite", "all", "--expected-failures",
                               paths.ROOT / "tests/agents/expected-failures.yml"],
                              capture_output=True, text=True, timeout=200, check=False)
    finally:
        over.set()
        person.join()
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-6000:]
    summary = said[said.index("=== SUMMARY ==="):]
    passed = {name for mark, name in re.findall(r"^\W*([✓✗]) ([\w-]+)", summary, re.M) if mark == "✓"}
    assert MUST_PASS <= passed, summary


def inspect(*args, timeout=60):
    """One command of the Inspector; what it printed, as JSON."""
    program = paths.node_modules() / "@modelcontextprotocol/inspector-cli/build/cli.js"
    done = subprocess.run([paths.node22(), program, "--cli", *[str(arg) for arg in args]], capture_output=True, text=True, timeout=timeout,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def doors(home, front):
    yield [front.url, "--transport", "http"]
    yield [paths.RELAY, "-e", f"AILERON_HOME={home.path}", "-e", f"HOME={home.environment['HOME']}"]


def test_the_inspector_lists_and_calls(fixture_home, front):
    for target in doors(fixture_home, front):
        tools = {tool["name"]: tool for tool in inspect(*target, "--method", "tools/list")["tools"]}
        assert {"test_simple_text", "probe", "check_action_status"} <= set(tools)
        assert tools["test_tool_with_progress"]["annotations"]["destructiveHint"] is True
        said = inspect(*target, "--method", "tools/call", "--tool-name", "test_simple_text")
        assert said["structuredContent"] == SAID["output"] and not said.get("isError")
        failed = inspect(*target, "--method", "tools/call", "--tool-name", "test_error_handling")
        assert failed["isError"] is True and "intentionally" in failed["content"][0]["text"]
        echoed = inspect(*target, "--method", "tools/call", "--tool-name", "probe", "--tool-arg",
                         f"stdout={b64u(json.dumps(SAID))}")
        assert echoed["structuredContent"] == SAID["output"]
