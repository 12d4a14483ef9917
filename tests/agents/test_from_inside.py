"""What a real agent's own shell can do against us when somebody has talked it into it: launched as a person launches it, it can read
nothing of Aileron's home, find no token but its session's, and decide nothing."""
import json
import os
import subprocess

import pytest

from tests.conftest import make_google_home
from tests.rig import paths
from tests.rig.agents import AGENTS
from tests.rig.assistant import Mind, call, foreign, say

# ID, PORT and CLI are filled in. A line that begins with GOT is a success of the attack.
ATTACK = r"""
for name in daemon.json secrets.json sessions.json config.toml daemon.sock keeper.sock audit log approvals.jsonl; do
    [ -e "$AILERON_HOME/$name" ] && echo "GOT file $name"
done
CLI approval approve ID --yes --no-wait </dev/null >said 2>&1 && echo "GOT approve"
CLI approval list </dev/null >said 2>&1 && echo "GOT list"
CLI vault lock </dev/null >said 2>&1 && echo "GOT lock"
CLI config set approval.confirm never </dev/null >said 2>&1 && echo "GOT config"
for pid in /proc/[0-9]*; do
    tr '\0' ' ' <$pid/cmdline 2>/dev/null | grep -qE 'aileron-(broker|keeper|worker)' && echo "GOT process $pid"
done
for file in $(find "$AILERON_HOME" -type f 2>/dev/null); do
    token=$(cat "$file")
    echo "own token: $(printf %s "$token" | cut -c1-4)"
    for route in approvals/ID/decide config web/code stop; do
        status=$(curl -s -o said -w '%{http_code}' -m 10 -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \
            -d '{"approved":true}' "http://127.0.0.1:PORT/v1/$route")
        echo "$route $status"
        case $status in 2*) echo "GOT $route" ;; esac
    done
done
echo "end of the attack"
"""
SHELLS = {"claude": ("Bash", "command", {"description": "run the project's script"}), "codex": ("exec_command", "cmd", {"yield_time_ms": 30000})}
# Codex's own sandbox cannot be made in the fence of user 0 (docs/launch.md).
AS_ROOT = {"claude": (), "codex": ("-s", "danger-full-access")}


@pytest.fixture(scope="module")
def home(built, nginx, ca, workspace):
    workspace.reset()
    made = make_google_home(nginx.connect_to(), ca, workspace)
    yield made
    made.close()


def waiting(home):
    """A call of another session that waits for a person."""
    token = home.api("POST", "/v1/sessions", {"agent": "other"}).json()["token"]
    args = {"title": "Not approved", "start_time": "2099-06-01T12:30:00+01:00", "end_time": "2099-06-01T13:00:00+01:00"}
    answer = home.api("POST", "/v1/actions/create-calendar-event/run", {"args": args}, token=token)
    assert answer.status == 202, answer
    return answer.json()["approval_id"]


@pytest.mark.parametrize("kind", sorted(SHELLS))
def test_from_the_agents_shell(home, workspace, tmp_path, kind):
    identity, port = waiting(home), home.discovery()["url"].rsplit(":", 1)[1].strip("/")
    name, argument, more = SHELLS[kind]

    def attack(_):
        # Its tools work, so it is the whole thing that is attacked from.
        yield [call("list_recent_emails", max_results=1)]
        [done] = yield [foreign(name, **{argument: f"AILERON_HOME={home.path} sh ./build.sh"}, **more)]
        said.append(done.text)
        yield [say("Built.")]

    said = []
    agent = AGENTS[kind](home, Mind({"build": attack}), tmp_path)
    try:
        script = ATTACK.replace("ID", identity).replace("PORT", port).replace("CLI", str(paths.CLI))
        (agent.project / "build.sh").write_text(script)
        done = agent.execute(agent.launched("build the project", *(AS_ROOT[kind] if os.geteuid() == 0 else ())), 100)
        assert not agent.mind.failures and agent.mind.names() == ["list_recent_emails"], done.told
        assert "fence: on" in done.stderr, done.told
        [text] = said
        assert "end of the attack" in text and "GOT" not in text, text
        assert "own token: ags_" in text and f"approvals/{identity}/decide 403" in text, text
        for secret in (home.token, home.discovery()["token"]):
            assert secret not in json.dumps(agent.model.requests)
    finally:
        agent.stop()
    [approval] = [each for each in home.api("GET", "/v1/approvals").json()["approvals"] if each["id"] == identity]
    assert approval["state"] == "pending" and not [event for event in workspace.events() if event["summary"] == "Not approved"]
    assert home.api("GET", "/v1/status").json()["vault_state"] == "unlocked"


def test_the_attack_is_one(home, tmp_path):
    """The same script outside of the fence gets somewhere: what holds it back is the fence."""
    identity, port = waiting(home), home.discovery()["url"].rsplit(":", 1)[1].strip("/")
    script = ATTACK.replace("ID", identity).replace("PORT", port).replace("CLI", str(paths.CLI)).replace("CLI vault lock", "false")
    out = subprocess.run(["sh", "-c", script], env=home.environment, cwd=tmp_path, capture_output=True, text=True, errors="replace",
                         timeout=60, check=False).stdout
    for got in ("file daemon.json", "file secrets.json", "list", "process"):
        assert f"GOT {got}" in out, out
    home.unlock()
