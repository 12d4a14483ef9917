"""`aileron launch`: an agent with a session of its own, at the terminal, and nothing left when it ends. The fence has tests of its own."""
import fcntl
import http.server
import json
import os
import re
import signal
import socketserver
import struct
import subprocess
import sys
import termios
import threading
import time
import tomllib

import pytest

from tests.rig import paths
from tests.rig.agent import FakeAgent
from tests.rig.ports import wait_for
from tests.rig.terminal import Terminal
from tests.rig.vault import PASSPHRASE

ECHO = """+++
name = "NAME"
version = "1.0.0"
[[requires.connectors]]
name = "local://probe"
version = "1.0.0"
hash = "@@HASH@@"
capabilities = ["echo"]
[match]
intent = "say it again"
[[execute]]
id = "a"
connector = "local://probe"
op = "echo"
+++
# Echo
"""

BANNER = re.compile(r"✈️ Aileron — webapp (http://127\.0\.0\.1:\d+) — session (ses_[0-9A-Z]{26})\n")


@pytest.fixture
def agent(tmp_path):
    return FakeAgent(tmp_path)


def launch(home, agent, *args, fence=False, **more):
    options = [] if fence else ["--no-fence"]
    return home.cli("launch", "--local", *options, *args, environment=agent.environment, **more)


def sessions(home):
    return home.cli("sessions", "list", "--json", check=0).json()["sessions"]


def open_sessions(home):
    return [session for session in sessions(home) if not session.get("ended_at")]


@pytest.fixture
def probe(probe_home):
    assert not open_sessions(probe_home)
    yield probe_home
    assert not open_sessions(probe_home), "a session was left open"


# --- what it is given, what it gives back


def test_banner_session_and_exit_code(probe, agent):
    agent.does("cat; echo out; echo err >&2; exit 7")
    result = launch(probe, agent, "claude", "-p", "say hi", "--local", "--help", "--", "x", input="typed\n", check=7)
    assert result.out == "typed\nout\n" and result.err.endswith("err\n")
    url, session_id = BANNER.search(result.err).groups()
    assert url == probe.discovery()["url"] and "fence: OFF" in result.err and "passphrase" in result.err
    assert agent.note()["argv"][-6:] == ["-p", "say hi", "--local", "--help", "--", "x"]
    assert agent.note()["cwd"] == str(probe.base)
    newest = sessions(probe)[0]
    assert newest["id"] == session_id and newest["agent"] == "claude" and newest["folder"] == str(probe.base)
    assert newest["confinement"] == "none" and newest["ended_at"]


def test_signals_of_the_agent_become_exit_codes(probe, agent):
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV):
        agent.does(f"kill -{int(number)} $$")
        launch(probe, agent, "claude", check=128 + number)


def test_nothing_of_ours_is_inherited(probe, agent):
    launch(probe, agent, "claude", check=0)
    note = agent.note()
    assert note["fds"] in (["0", "1", "2", "3"], ["0", "1", "2"])  # the last is the folder that is being listed
    assert "AILERON_VAULT_PASSPHRASE" not in note["environment"] and "AILERON_SESSION_TOKEN" not in note["environment"]


@pytest.mark.parametrize("closed", ["<&-", "<&- >&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("options", ["", "--no-fence"])
def test_closed_streams_become_no_door(probe, agent, closed, options):
    agent.does(f"found=$(ls -l /proc/$$/fd); echo \"$found\" >{agent.folder}/fds")
    subprocess.run(["sh", "-c", f"exec {paths.CLI} launch --local {options} claude {closed}"], check=True, cwd=probe.base,
                   env={**probe.environment, **agent.environment})
    found = dict(line.split()[-3::2] for line in (agent.folder / "fds").read_text().splitlines() if "->" in line)
    assert {number: found[number] for number in "012"[:closed.count("&-")]} == dict.fromkeys("012"[:closed.count("&-")], "/dev/null")
    assert not [target for target in found.values() if "socket" in target or "home" in target or "signalfd" in target], found


def test_the_token_is_nowhere_to_be_seen(probe, agent):
    agent.does("tr '\\0' '\\n' </proc/$PPID/cmdline; env; tr '\\0' '\\n' </proc/$$/cmdline")
    result = launch(probe, agent, "claude", check=0)
    assert "ags_" not in result.out + result.err + json.dumps(agent.note()["argv"]) + json.dumps(agent.note()["environment"])


def use_session(agent):
    """A script in which the agent starts our MCP server as it was told to and lists its tools."""
    return f"""exec {sys.executable} - <<'END'
import json, os, subprocess
argv = json.load(open({str(agent._note)!r}))["argv"]
server = json.loads([word for word in argv if word.startswith("--mcp-config=")][0].partition("=")[2])["mcpServers"]["aileron"]
asked = [
    {{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {{"protocolVersion": "2025-11-25", "capabilities": {{}},
      "clientInfo": {{"name": "fake", "version": "1"}}}}}},
    {{"jsonrpc": "2.0", "method": "notifications/initialized"}},
    {{"jsonrpc": "2.0", "id": 2, "method": "tools/list"}}]
done = subprocess.run([server["command"], *server["args"]], env={{**os.environ, **server["env"]}}, text=True, capture_output=True,
                      input="".join(json.dumps(line) + "\\n" for line in asked))
print(done.stderr, end="")
print(json.dumps(sorted(tool["name"] for line in done.stdout.splitlines() for tool in json.loads(line)["result"].get("tools", []))))
END"""


def test_its_mcp_server_works_in_its_session(probe, agent):
    agent.does(use_session(agent))
    result = launch(probe, agent, "claude", check=0)
    assert {"probe", "probe_chain"} <= set(json.loads(result.out))
    assert agent.server()["timeout"] == 3600000
    environment = agent.note()["environment"]
    assert environment["MCP_CONNECTION_NONBLOCKING"] == "0" and environment["MCP_CONNECT_TIMEOUT_MS"] == "60000"
    assert sessions(probe)[0]["last_seen_at"]


def test_only_some_actions(probe, agent):
    agent.does(use_session(agent))
    assert json.loads(launch(probe, agent, "--only", "*-chain", "--only", "nothing", "claude", check=0).out) == ["probe_chain"]
    result = launch(probe, agent, "--only", "nothing-*", "claude", check=1)
    assert "no enabled action fits --only" in result.err and "--force" in result.err
    assert json.loads(launch(probe, agent, "--only", "nothing-*", "--force", "claude", check=0).out) == []


def test_codex_is_told_by_overrides(probe, tmp_path):
    codex = FakeAgent(tmp_path, name="codex")
    launch(probe, codex, "codex", "exec", "-c", "x=1", "do it", check=0)
    argv = codex.note()["argv"]
    assert argv[1:3] == ["--no-daemon", "-c"] and argv[3].startswith("mcp_servers.aileron={") and argv[4:] == ["exec", "-c", "x=1", "do it"]
    server = tomllib.loads(argv[3])["mcp_servers"]["aileron"]
    assert server["command"] == str(paths.RELAY) and server["required"] is True and server["tool_timeout_sec"] == 3600
    assert server["default_tools_approval_mode"] == "approve" and server["startup_timeout_sec"] == 60
    assert set(server["env"]) == {"AILERON_AGENT_SOCKET", "AILERON_SESSION_FILE"}


# --- what stops it before


def test_without_local_it_refuses(home, agent):
    result = home.cli("launch", "claude", environment=agent.environment, check=2)
    assert "container" in result.err and "not built yet" in result.err and "aileron launch --local claude" in result.err
    result = home.cli("launch", "claude", "--local", environment=agent.environment, check=2)
    assert "not built yet" in result.err
    assert not agent.ran() and not home.path.exists(), "something was started"


def test_unknown_and_missing_agents(home, agent, tmp_path):
    result = home.cli("launch", "--local", "cursor", environment=agent.environment, check=2)
    assert "claude, codex" in result.err
    empty = tmp_path / "empty"
    empty.mkdir()
    for name, package in (("claude", "@anthropic-ai/claude-code"), ("codex", "@openai/codex")):
        result = home.cli("launch", "--local", name, environment={"PATH": str(empty)}, check=1)
        assert "not installed" in result.err and f"npm install -g {package}" in result.err
    home.cli("launch", "--local", environment=agent.environment, check=2)
    assert not home.path.exists(), "something was started"


def test_without_actions_it_stops(home, agent):
    result = launch(home, agent, "claude", check=1)
    assert "no action is installed" in result.err and "aileron action add-suite" in result.err
    assert not agent.ran() and sessions(home) == []
    result = launch(home, agent, "--force", "claude", check=0)
    assert "no action is installed" in result.err and agent.ran()


def test_disabled_actions_do_not_count(probe, agent):
    names = [action["name"] for action in probe.cli("action", "list", "--json", check=0).json()["actions"]]
    try:
        for name in names:
            probe.cli("action", "disable", name, check=0)
        result = launch(probe, agent, "claude", check=1)
        assert "all actions are disabled" in result.err and "aileron action enable" in result.err and not agent.ran()
    finally:
        for name in names:
            probe.cli("action", "enable", name, check=0)


def test_missing_credentials_are_listed_with_their_command(home, agent, probe_folder):
    home.start()
    home.install(probe_folder, *sorted((probe_folder / "actions").glob("*.md")))
    result = launch(home, agent, "claude", check=0)
    assert "local://probe has no usable credential" in result.err and "aileron binding setup local://probe" in result.err
    assert agent.ran()


def test_many_tools_are_warned_of(probe, agent, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    have = len(probe.cli("action", "list", "--json", check=0).json()["actions"])
    names = [f"many-{number}" for number in range(61 - have)]
    for name in names:
        (folder / f"{name}.md").write_text(ECHO.replace("NAME", name))
    try:
        probe.cli("action", "add", "--local", folder, check=0)
        result = launch(probe, agent, "claude", check=0)
        assert re.search(r"61 tools, about \d{3,} tokens", result.err)
        assert " tools, about" not in launch(probe, agent, "--only", "many-*", "claude", check=0).err
    finally:
        for name in names:
            probe.cli("action", "remove", name)


# --- the vault


def test_a_locked_vault_is_opened_first(probe, agent):
    probe.cli("vault", "lock", check=0)
    try:
        result = launch(probe, agent, "claude", check=3)
        assert "--passphrase-file" in result.err and not agent.ran()
        launch(probe, agent, "--passphrase-file", probe.passphrase_file, "claude", check=0)
        assert agent.ran() and "AILERON_VAULT_PASSPHRASE" not in agent.note()["environment"]
        probe.cli("vault", "lock", check=0)
        agent.does("env; cat /proc/$PPID/environ | tr '\\0' '\\n'")
        result = home_with_variable(probe, agent)
        assert PASSPHRASE not in result.out and PASSPHRASE not in json.dumps(agent.note())
    finally:
        probe.unlock()


def home_with_variable(home, agent):
    return home.cli("launch", "--local", "--no-fence", "claude", check=0,
                    environment={**agent.environment, "AILERON_VAULT_PASSPHRASE": PASSPHRASE})


def test_ctrl_c_at_the_passphrase_prompt(probe, agent):
    probe.cli("vault", "lock", check=0)
    try:
        before = sessions(probe)
        with Terminal(probe.environment, ["launch", "--local", "--no-fence", "claude"], extra=agent.environment) as terminal:
            terminal.expect("Vault passphrase: ")
            terminal.send("\x03")
            assert terminal.wait() in (130, 1)
            assert terminal.is_restored()
        assert sessions(probe) == before and not agent.ran()
    finally:
        probe.unlock()


# --- the terminal


def at_terminal(home, agent, *args, **more):
    return Terminal(home.environment, ["launch", "--local", "--no-fence", "claude", *args], extra=agent.environment, **more)


def test_the_terminal_is_the_agents(probe, agent):
    agent.does("""stty size; test -t 0 && test -t 1 && test -t 2 && echo all three
trap 'echo resized $(stty size)' WINCH
ps -o pid=,pgid=,tpgid= -p $$ | awk '{print ($2 == $3) ? "in front" : "behind"}'
read line; echo "got $line"; exit 5""")
    with at_terminal(probe, agent) as terminal:
        terminal.expect("40 100")
        terminal.expect("all three")
        terminal.expect("in front")
        terminal.line("hello")
        terminal.expect("got hello")
        assert terminal.wait() == 5 and terminal.is_restored()


def test_ctrl_c_reaches_the_agent_alone(probe, agent):
    agent.does("trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.05; done")
    with at_terminal(probe, agent) as terminal:
        terminal.expect("ready")
        terminal.send("\x03")
        terminal.expect("interrupted")
        assert terminal.wait() == 9


def test_the_window_size_is_told(probe, agent):
    agent.does("trap 'echo now $(stty size); exit 0' WINCH; echo ready; while :; do sleep 0.05; done")
    with at_terminal(probe, agent) as terminal:
        terminal.expect("ready")
        fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
        terminal.expect("now 33 77")
        assert terminal.wait() == 0


def test_stop_and_go_on(probe, agent):
    """Ctrl-Z stops the agent and us; SIGCONT, as `fg` sends it, lets both go on, the agent with the terminal."""
    agent.does("echo ready; read line; echo \"got $line\"")
    shell = f"""set -m
{paths.CLI} launch --local --no-fence claude
echo "stopped with $?"
fg
echo "ended with $?"
"""
    with Terminal(probe.environment, ["-c", shell], extra=agent.environment, program="/bin/bash") as terminal:
        terminal.expect("ready")
        terminal.send("\x1a")
        terminal.expect("stopped with 148")
        terminal.expect("--no-fence claude")
        terminal.line("again")
        terminal.expect("got again")
        terminal.expect("ended with 0")
        assert terminal.wait() == 0


def test_an_agent_that_stops_itself(probe, agent):
    agent.does("echo ready; kill -STOP $$; echo back")
    shell = f"set -m; {paths.CLI} launch --local --no-fence claude; echo \"stopped with $?\"; fg; echo \"ended with $?\""
    with Terminal(probe.environment, ["-c", shell], extra=agent.environment, program="/bin/bash") as terminal:
        terminal.expect("stopped with 148")
        terminal.expect("back")
        terminal.expect("ended with 0")
        terminal.wait()


def test_a_killed_agent_leaves_a_sane_terminal(probe, agent):
    agent.does("stty raw -echo; kill -9 $$")
    with at_terminal(probe, agent) as terminal:
        assert terminal.wait() == 137
        assert terminal.is_restored()


def test_a_signal_to_us_is_handed_on(probe, agent):
    agent.does("trap 'echo asked to end; exit 4' TERM; echo ready; while :; do sleep 0.05; done")
    process = subprocess.Popen([paths.CLI, "launch", "--local", "--no-fence", "claude"], env={**probe.environment, **agent.environment},
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 4 and process.stdout.read() == "asked to end\n"
    process.stdout.close()


def test_a_terminal_that_goes_away(probe, agent):
    agent.does("trap 'sleep 0.1; touch hung-up; exit 0' HUP; echo ready; while :; do sleep 0.05; done")
    (probe.base / "hung-up").unlink(missing_ok=True)
    with Terminal(probe.environment, ["launch", "--local", "--no-fence", "claude"], extra=agent.environment, cwd=probe.base) as terminal:
        terminal.expect("ready")
        os.close(terminal.slave)
        os.close(terminal.master)
        terminal.master, terminal.slave = os.openpty()
        wait_for(lambda: terminal._ended(), "the end of the launcher", 20)
    assert (probe.base / "hung-up").exists()


# --- ends that are none of the agent's doing


def test_a_program_that_cannot_run(probe, agent, tmp_path):
    (agent.bin / "claude").write_text("#!/nowhere/at/all\n")
    before = len(sessions(probe))
    result = launch(probe, agent, "claude", check=1)
    assert "cannot start" in result.err and len(sessions(probe)) == before + 1


def test_the_daemon_may_go_meanwhile(home, agent):
    """The session ends when the daemon is there again to end it; the agent's exit code stands."""
    home.start()
    agent.does(f"{paths.CLI} daemon stop; exit 3")
    result = launch(home, agent, "--force", "claude", check=3)
    assert "could not be ended" in result.err and "sessions list" in result.err


def test_nothing_is_left_behind(probe, agent):
    def traces():
        return {name for folder in ("/tmp", "/run/user/0") if os.path.isdir(folder) for name in os.listdir(folder) if "aileron" in name}

    before = traces()
    launch(probe, agent, "claude", check=0)
    launch(probe, agent, "--only", "nothing", "claude", check=1)
    assert traces() == before


class Stuck(http.server.BaseHTTPRequestHandler):
    """A daemon that answers everything but the opening of a session."""

    answers = {"/v1/status": {"version": "0.1.0", "vault_state": "missing", "url": "http://127.0.0.1:1", "overrides": []},
               "/v1/actions": {"actions": [{"name": "a", "enabled": True}]}, "/v1/sync": {}}

    def answer(self):
        if self.path == "/v1/sessions":
            self.server.stuck.wait(60)
            return
        body = json.dumps(self.answers[self.path]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


class StuckServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def get_request(self):
        connection, _ = super().get_request()
        return connection, ("local", 0)


def test_a_daemon_that_hangs_is_given_up(home, agent):
    """No signal ends the launcher while the session is being opened, so that wait has an end of its own."""
    (home.path / "agent").mkdir(parents=True, mode=0o700)
    home.path.chmod(0o700)
    server = StuckServer(str(home.path / "daemon.sock"), Stuck)
    server.stuck = threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        started = time.monotonic()
        result = launch(home, agent, "claude", check=1, timeout=40)
        assert 9 < time.monotonic() - started < 30 and not agent.ran(), repr(result)
    finally:
        server.stuck.set()
        server.shutdown()
        server.server_close()
