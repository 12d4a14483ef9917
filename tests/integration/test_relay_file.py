"""The relay takes its launcher's token from a file, so that it stands in nobody's environment."""
import subprocess

from tests.rig import paths
from tests.rig.relay import Relay


def open_session(home):
    home.start()
    return home.api("POST", "/v1/sessions", {"agent": "filed", "launched": True}).json()


def test_a_token_from_a_file(home, tmp_path):
    session = open_session(home)
    file = tmp_path / "session"
    file.write_text(session["token"] + "\n")
    home.environment |= {"AILERON_SESSION_FILE": str(file), "AILERON_AGENT_SOCKET": str(home.path / "agent/agent.sock")}
    relay = Relay(home)
    assert "tools" in relay.request("tools/list")["result"]
    relay.process.stdin.close()
    assert relay.process.wait(10) == 0
    [seen] = home.cli("sessions", "list", "--json", check=0).json()["sessions"]
    assert seen["id"] == session["session_id"] and not seen.get("ended_at")


def test_a_file_that_is_not_there_or_empty_is_said(home, tmp_path):
    (tmp_path / "empty").write_text("\n")
    for name, words in (("absent", "cannot read the session's token"), ("empty", "there is no token in")):
        done = subprocess.run([paths.RELAY], env={**home.environment, "AILERON_SESSION_FILE": str(tmp_path / name)},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert done.returncode == 1 and words in done.stderr, done.stderr
