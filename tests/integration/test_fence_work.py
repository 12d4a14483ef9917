"""The fence from inside (see test_fence.py): what goes on working, and where there is none."""
import os
import pathlib
import shutil
import socket
import subprocess

import pytest

from tests.rig.fence import PYTHON, ROOT_ONLY, UID, USER_ONLY, Fenced, UserHome, both, left_open
from tests.rig.ports import wait_for

# --- what goes on working


def test_its_mcp_server_works_inside_and_after_a_restart(fenced):
    home = fenced.home
    code = f"""
import json, os, subprocess, sys
argv = json.load(open({str(fenced.agent._note)!r}))["argv"]
server = json.loads([word for word in argv if word.startswith("--mcp-config=")][0].partition("=")[2])["mcpServers"]["aileron"]
def ask():
    process = subprocess.Popen([server["command"]], env={{**os.environ, **server["env"]}}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    hello = {{"jsonrpc": "2.0", "id": 1, "method": "initialize",
             "params": {{"protocolVersion": "2025-11-25", "capabilities": {{}}, "clientInfo": {{"name": "x", "version": "1"}}}}}}
    process.stdin.write(json.dumps(hello).encode() + b"\\n")
    process.stdin.flush()
    print(json.loads(process.stdout.readline())["result"]["serverInfo"]["name"], flush=True)
    process.stdin.close()
    process.wait()
ask()
sys.stdin.readline()
ask()
"""
    (home.base / "inside.py").write_text(code)
    process = fenced.popen(f"exec {PYTHON} {home.base}/inside.py", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    first = process.stdout.readline()
    home.stop()
    home.start()
    out, err = process.communicate("\n", timeout=30)
    assert first and out == first, (first, out, err)


def test_a_dev_server_is_reached_from_outside(fenced):
    process = fenced.popen(f"exec {PYTHON} -u -c 'import http.server as h; s = h.HTTPServer((\"127.0.0.1\", 0), h.SimpleHTTPRequestHandler); "
                           "print(s.server_port); s.handle_request()'", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    port = int(process.stdout.readline())
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.send(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.0 200")
    assert process.wait(10) == 0
    process.stdout.close()


def test_a_socket_without_a_port_listens(fenced):
    out = fenced.python("import socket; s = socket.socket(); s.listen(); print(s.getsockname()[1]); t = socket.socket(socket.AF_INET6); t.listen(); "
                        "print(t.getsockname()[1])").out.split()
    assert all(1024 < int(port) < 65536 for port in out)


@pytest.mark.skipif(not shutil.which("gdb"), reason="no gdb")
def test_gdb(fenced):
    out = fenced.run("echo 'int main(void) { return 42; }' > t.c && cc -g -o t t.c && gdb -q -batch -ex 'break main' -ex run -ex next "
                     "-ex 'info line' ./t 2>&1; rm -f t t.c").out
    assert "Breakpoint 1, main" in out, out


def test_npm_install(fenced):
    package = fenced.home.project / "dep"
    package.mkdir(exist_ok=True)
    (package / "package.json").write_text('{"name":"dep","version":"1.0.0","scripts":{"postinstall":"echo built > built"}}')
    (fenced.home.project / "package.json").write_text('{"name":"app","version":"1.0.0","dependencies":{"dep":"file:./dep"}}')
    fenced.home.own(package, package / "package.json", fenced.home.project / "package.json")
    result = fenced.run("npm install --offline --no-audit --no-fund --install-links 2>&1; cat node_modules/dep/built", check=None, timeout=120)
    assert result.out.splitlines()[-1] == "built", repr(result)


@ROOT_ONLY
@pytest.mark.skipif(not pathlib.Path("/usr/sbin/sshd").exists() or not shutil.which("git"), reason="no sshd or no git")
def test_git_over_ssh_and_ssh_agent(fenced, tmp_path):
    """With a key that lies in the person's ssh-agent only."""
    tmp_path.chmod(0o700)
    pathlib.Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    (tmp_path / "authorized").write_text((tmp_path / "key.pub").read_text())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", tmp_path / "agent.sock"], stdout=subprocess.DEVNULL)
    sshd = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", "/dev/null", "-p", str(port), "-h", tmp_path / "host", "-o", "StrictModes=no", "-o",
                             f"AuthorizedKeysFile={tmp_path}/authorized", "-o", "ListenAddress=127.0.0.1", "-o", "PidFile=none",
                             "-o", "UsePAM=no", "-o", "PermitRootLogin=yes"], stderr=subprocess.DEVNULL)
    try:
        wait_for((tmp_path / "agent.sock").exists, "ssh-agent", 5)
        subprocess.run(["ssh-add", "-q", tmp_path / "key"], env={**os.environ, "SSH_AUTH_SOCK": str(tmp_path / "agent.sock")}, check=True)
        (tmp_path / "key").unlink()
        subprocess.run(["git", "init", "-q", "--bare", tmp_path / "repo.git"], check=True)
        script = f"""export GIT_SSH_COMMAND='ssh -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={fenced.home.project}/known'
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
rm -rf clone && git clone -q ssh://root@127.0.0.1:{port}{tmp_path}/repo.git clone
cd clone && git commit -q --allow-empty -m one && git push -q && echo pushed"""
        result = fenced.run(script, check=None, environment={"SSH_AUTH_SOCK": str(tmp_path / "agent.sock")})
        assert result.out.strip() == "pushed", repr(result)
    finally:
        sshd.terminate()
        agent.terminate()
        sshd.wait()
        agent.wait()


@USER_ONLY
def test_namespaces_inside_work(fenced):
    """What sandboxes of agents and browsers are made of. The kernel keeps them from a root without powers."""
    result = fenced.run("unshare -Ur true && unshare -Urnpm --fork sh -c 'mount -t tmpfs none /mnt && ip link show lo >/dev/null; echo made'")
    assert result.out == "made\n"


# --- where it cannot be


@USER_ONLY
def test_without_user_namespaces_it_refuses(fenced):
    home = fenced.home
    off = ["unshare", "-Ur", "sh", "-c", 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"', "sh"]
    fenced.agent._note.unlink(missing_ok=True)
    before = home.cli("sessions", "list", "--json", check=0).json()
    # As an ordinary user in a namespace where there are no more of them; the user in it is root of nothing.
    command = [*home.command()[:-1], *off, str(home.program), *fenced.args()]
    done = subprocess.run(command, env={**home.environment, **fenced.environment}, capture_output=True, text=True, cwd=home.project, check=False,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and "user namespaces are switched off" in done.stderr, done.stderr
    assert "user.max_user_namespaces" in done.stderr and "--no-fence" in done.stderr
    assert not fenced.agent.ran() and home.cli("sessions", "list", "--json", check=0).json() == before


def test_not_in_a_folder_that_is_hidden(fenced):
    home = fenced.home
    fenced.agent._note.unlink(missing_ok=True)
    result = fenced.run("true", cwd=home.path, check=1)
    assert "Aileron's own home" in result.err
    hidden = home.base / "user/.mozilla"
    hidden.mkdir(exist_ok=True)
    home.own(hidden)
    result = fenced.run("true", cwd=hidden, check=1)
    assert "hides the folder" in result.err and not fenced.agent.ran()
    assert not left_open(home)


def test_a_home_with_its_sockets_elsewhere(built):
    """A path too long for sockets: they lie in /run/user/UID, which is hidden, and the agent's is kept."""
    uid = UID + 1
    folder = pathlib.Path(f"/run/user/{uid}")
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    os.chown(folder, uid, uid)
    home = UserHome(uid, name="h" * 100)
    try:
        home.start()
        fenced = Fenced(home)
        assert str(folder) in home.discovery()["socket"]
        result = fenced.run(f"ls -A $AILERON_HOME; find {folder}; cat {folder}/aileron-*/session | cut -c1-4")
        sockets = pathlib.Path(home.discovery()["socket"]).parent
        assert set(result.out.split()) == {str(folder), str(sockets), f"{sockets}/agent", f"{sockets}/agent/agent.sock", f"{sockets}/session", "ags_"}
        both(fenced, f"socket.socket(socket.AF_UNIX).connect({home.discovery()['socket']!r})")
    finally:
        home.close()
        if made:
            shutil.rmtree(folder)
