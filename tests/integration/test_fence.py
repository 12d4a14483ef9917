"""
The fence from inside: what an agent's shell tries, as an ordinary user and as root, on this kernel and with Landlock as old as
Debian 12's. Every attempt is also made without the fence, where it must succeed: a probe that cannot reach what it asks for
would prove nothing.
"""
import json
import os
import pathlib
import shutil
import socket
import stat
import subprocess
import threading
import time

import pytest

from tests.rig.fence import PYTHON, UID, Fenced, UserHome, landlock_mask, programs
from tests.rig.home import alive, children_of
from tests.rig.ports import wait_for
from tests.rig.terminal import Terminal

VARIANTS = [(None, False), (None, True), (UID, False), (UID, True)]
NAMES = ["root", "root-abi2", "user", "user-abi2"]


@pytest.fixture(scope="module", params=VARIANTS, ids=NAMES)
def fenced(request, built):
    if os.geteuid() != 0:
        pytest.skip("needs root, to be two users")
    uid, old = request.param
    home = UserHome(uid)
    home.start()
    yield Fenced(home, landlock_mask() if old else None)
    home.close()


def tell(code):
    """Python that prints `reached` or what kept it."""
    lines = "\n".join("    " + line for line in code.strip().splitlines())
    return f"import os, socket, sys, fcntl, json\ntry:\n{lines}\n    print('reached')\nexcept BaseException as e:\n    print('held', repr(e))\n"


def both(fenced, code, *, more=None):
    """Runs the probe without the fence, where it has to work (once for each user is enough), and inside, where it must not."""
    if not fenced.old:
        result = fenced.python(tell(code), "--no-fence", environment=more)
        assert result.out.strip().endswith("reached"), f"the probe itself does not work: {result!r}"
    result = fenced.python(tell(code), environment=more)
    assert result.out.strip().splitlines()[-1].startswith("held"), repr(result)
    return result.out


class Listener:
    """A server of the person's that lies outside: it says HELLO to whoever comes."""

    def __init__(self, address, uid=None, kind=socket.SOCK_STREAM):
        self.address, self.socket = address, socket.socket(socket.AF_UNIX, kind)
        self.received = []
        if isinstance(address, pathlib.Path):
            address.unlink(missing_ok=True)
            self.socket.bind(str(address))
            os.chmod(address, 0o666)
            if uid is not None:
                os.chown(address, uid, uid)
        else:
            self.socket.bind(address)
        if kind == socket.SOCK_STREAM:
            self.socket.listen()
        threading.Thread(target=self._serve, args=(kind,), daemon=True).start()

    def _serve(self, kind):
        while True:
            try:
                if kind == socket.SOCK_STREAM:
                    connection, _ = self.socket.accept()
                    connection.send(b"HELLO")
                    connection.close()
                else:
                    self.received.append(self.socket.recv(100))
            except OSError:
                return

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR) if self.socket.type == socket.SOCK_STREAM else None
        self.socket.close()
        if isinstance(self.address, pathlib.Path):
            self.address.unlink(missing_ok=True)


def connect(address):
    return f"""
s = socket.socket(socket.AF_UNIX)
s.connect({str(address) if isinstance(address, pathlib.Path) else address!r})
assert s.recv(5) == b"HELLO"
""".replace(f"connect({address})", f"connect({str(address)!r})")


# --- our own


def test_state_and_session(fenced):
    result = fenced.run("grep -E '^(Cap|NoNewPrivs)' /proc/self/status; ls -A $AILERON_HOME")
    assert "fence: on" in result.err and "OFF" not in result.err
    status = dict(line.split(":\t") for line in result.out.splitlines() if ":" in line)
    assert status["NoNewPrivs"] == "1"
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert result.out.splitlines()[-2:] == ["agent", "session"]
    newest = fenced.home.cli("sessions", "list", "--json", check=0).json()["sessions"][0]
    assert newest["confinement"] == "fence" and newest["ended_at"]


def test_nothing_of_the_home_is_readable(fenced):
    files = [str(path) for path in fenced.home.path.rglob("*") if not path.is_dir()]
    assert any(path.endswith("daemon.json") for path in files) and len(files) > 5
    result = fenced.python(f"""
import glob, os
seen = []
for path in {files!r}:
    for at in (path, "/proc/1/root" + path, "/proc/self/root" + path, *[f + path for f in glob.glob("/proc/*/root")]):
        if os.path.exists(at) and not path.endswith("/agent/agent.sock"):
            seen.append(at)
for root, folders, names in os.walk({str(fenced.home.path)!r}):
    seen += [os.path.join(root, name) for name in names]
print(seen)
""")
    home = fenced.home.path
    assert sorted(eval(result.out)) == sorted([f"{home}/session", f"{home}/agent/agent.sock"])


def test_the_home_under_another_mount_is_hidden_too(fenced):
    other = fenced.home.base / "other"
    other.mkdir(exist_ok=True)
    script = f"cat {other}/home/daemon.json && echo reached"
    bind = ["unshare", "-m", "sh", "-c", f'mount --bind {fenced.home.base} {other} && exec "$@"', "sh"]
    assert "reached" in fenced.run(script, "--no-fence", prefix=bind).out
    assert "reached" not in fenced.run(script, prefix=bind, check=1).out
    bind = ["unshare", "-m", "sh", "-c", f'mount --bind {fenced.home.path} {other} && exec "$@"', "sh"]
    assert "reached" in fenced.run(f"cat {other}/daemon.json && echo reached", "--no-fence", prefix=bind).out
    assert "reached" not in fenced.run(f"cat {other}/daemon.json && echo reached", prefix=bind, check=1).out


def test_other_homes_of_ours_are_hidden(fenced):
    """One that runs elsewhere, and the usual one whether it runs or not."""
    other = UserHome(fenced.home.uid)
    usual = fenced.home.base / "user/.aileron"
    usual.mkdir(mode=0o700, exist_ok=True)
    (usual / "keyring.json").write_text("{}")
    fenced.home.own(usual)
    try:
        other.start()
        both(fenced, f"assert 'token' in open({str(other.path / 'daemon.json')!r}).read()")
        both(fenced, f"open({str(usual / 'keyring.json')!r}).read()")
    finally:
        other.close()


def test_owner_doors(fenced):
    home = fenced.home
    for door, kind in ((home.path / "daemon.sock", "SOCK_STREAM"), (home.path / "keeper.sock", "SOCK_SEQPACKET")):
        both(fenced, f"socket.socket(socket.AF_UNIX, socket.{kind}).connect({str(door)!r})")


def test_no_decision(fenced):
    """The loopback door is there, and takes nothing that can be found inside."""
    result = fenced.python(f"""
import http.client, json, os
token = open(os.environ["AILERON_HOME"] + "/session").read().strip()
tried = []
for key in ("", token):
    for method, path in (("GET", "/v1/approvals"), ("POST", "/v1/approvals/apr_1/decide"), ("POST", "/v1/web/code"), ("GET", "/v1/status"),
                         ("PATCH", "/v1/config"), ("POST", "/v1/sessions"), ("POST", "/v1/stop"), ("GET", "/v1/audit")):
        connection = http.client.HTTPConnection("127.0.0.1", {home_port(fenced.home)})
        connection.request(method, path, "{{}}" if method != "GET" else None,
                           {{"Content-Type": "application/json", **({{"Authorization": "Bearer " + key}} if key else {{}})}})
        tried.append((bool(key), connection.getresponse().status))
print(json.dumps(tried))
""")
    answers = json.loads(result.out)
    assert len(answers) == 16 and {status for key, status in answers if not key} == {401}
    assert {status for key, status in answers if key} == {403}


def home_port(home):
    return int(home.discovery()["url"].rsplit(":", 1)[1])


def end_all(home):
    """Sessions whose launcher could not end them."""
    for session in left_open(home):
        home.api("POST", f"/v1/sessions/{session['id']}/end", {})


def left_open(home):
    return [session for session in home.cli("sessions", "list", "--json", check=0).json()["sessions"] if not session.get("ended_at")]


def test_our_programs_cannot_be_seen_signalled_or_traced(fenced):
    home = fenced.home
    pids = [home.pid(), *home.processes()]
    assert len(pids) >= 2
    result = fenced.run("for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done; echo launcher $PPID")
    assert "aileron-broker" not in result.out and "aileron-keeper" not in result.out
    each = f"""
seen = []
for pid in {pids}:
    for way in (lambda: os.kill(pid, 0), lambda: open(f"/proc/{{pid}}/cmdline").read(), lambda: os.pidfd_open(pid)):
        try:
            way()
            seen.append(pid)
        except OSError:
            pass
"""
    both(fenced, each + f"assert len(seen) == {3 * len(pids)}, seen")
    both(fenced, each + "assert seen, seen")
    sleeper = subprocess.Popen(home.command("version", prefix=())[:-2] + ["sleep", "100"] if home.uid else ["sleep", "100"])
    try:
        attach = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
assert libc.ptrace(16, {sleeper.pid}, 0, 0) == 0, ctypes.get_errno()
os.waitpid({sleeper.pid}, 0x40000000)
assert libc.ptrace(17, {sleeper.pid}, 0, 0) == 0
"""
        both(fenced, attach)
    finally:
        sleeper.kill()
        sleeper.wait()


def test_killing_all_there_is_kills_only_the_inside(fenced):
    pids = [fenced.home.pid(), *fenced.home.processes()]
    for script in ("sleep 60 & kill -9 -1", "kill -9 0; sleep 5", "kill -9 1; kill -9 $PPID; exit 3"):
        result = fenced.run(script, check=None)
        assert result.code in (0, 137, 3), repr(result)
    assert all(alive(pid) for pid in pids)
    assert not left_open(fenced.home)


def test_what_stays_behind_ends_with_the_agent(fenced):
    mark = f"7{os.getpid()}{int(time.time()) % 1000}"
    fenced.run(f"setsid sleep {mark} & setsid sh -c 'trap \"\" TERM HUP; sleep {mark}' & sleep 0.3")
    assert subprocess.run(["pgrep", "-f", f"sleep {mark}"], capture_output=True, check=False).returncode == 1


def test_a_killed_launcher_takes_the_inside_along(fenced):
    mark = f"8{os.getpid()}{int(time.time()) % 1000}"
    process = fenced.popen(f"trap '' TERM HUP; setsid sleep {mark} & echo ready; sleep {mark}", stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL)
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.wait()
    wait_for(lambda: subprocess.run(["pgrep", "-f", f"sleep {mark}"], capture_output=True, check=False).returncode == 1,
             "the end of everything inside", 5)
    process.stdout.close()
    end_all(fenced.home)


def test_no_descriptor_is_inherited(fenced):
    with open(fenced.home.path / "daemon.json", encoding="utf-8") as file:
        os.set_inheritable(file.fileno(), True)
        result = fenced.run("ls /proc/self/fd | tr '\\n' ' '", pass_fds=[file.fileno()])
    assert result.out.split() in (["0", "1", "2", "3"], ["0", "1", "2"])


# --- undoing it


def test_the_mounts_cannot_be_undone(fenced):
    home = fenced.home.path
    ways = ["umount -l $H", "umount -l $H/agent", "mount --move $H /mnt", "unshare -Urm umount -l $H",
            "unshare -Urm sh -c 'umount -l $H; umount -l $H; true'", "unshare -Urm mount --bind / /mnt",
            "unshare -Urm sh -c 'mount --rbind / /mnt && umount -l /mnt$H'", "unshare -Urmpf --mount-proc true",
            "nsenter -t 1 -m true", "nsenter -t 1 -U true", "chroot /proc/1/root true"]
    look = "cat $H/daemon.json $H/daemon.pid /mnt$H/daemon.json /proc/1/root$H/daemon.json && echo reached"
    script = [f"export H={home}"]
    for way in ways:
        inner = way.replace("unshare -Urm ", "").replace("'", '"')
        script += [way, look, f"unshare -Urm sh -c '{inner}; {look}'", "ls -A $H; echo ---"]
    result = fenced.run("\n".join(script))
    assert "reached" not in result.out and '"token"' not in result.out, repr(result)
    parts = result.out.split("---\n")
    assert len(parts) == len(ways) + 1
    for way, part in zip(ways, parts):
        assert part.split()[-2:] == ["agent", "session"], (way, part)


def test_the_agent_folder_is_read_only(fenced):
    both(fenced, f"os.rename({str(fenced.home.path / 'agent/agent.sock')!r}, {str(fenced.home.path / 'agent/moved')!r}); "
         f"os.rename({str(fenced.home.path / 'agent/moved')!r}, {str(fenced.home.path / 'agent/agent.sock')!r})")
    both(fenced, f"open({str(fenced.home.path / 'agent/x')!r}, 'w'); os.unlink({str(fenced.home.path / 'agent/x')!r})")


def test_no_other_home_is_put_in_its_place(fenced):
    """By renaming a folder above it, one that the agent may rename."""
    base = fenced.home.base
    both(fenced, f"os.rename({str(base)!r}, {str(base) + '-moved'!r}); os.rename({str(base) + '-moved'!r}, {str(base)!r})")
    result = fenced.python(tell(f"os.rename({str(fenced.home.path)!r}, {str(base / 'away')!r})"))
    assert result.out.startswith("held")


def test_our_programs_cannot_be_replaced(fenced):
    """They may lie in a folder of the person's, as after `make install PREFIX=~/.local`."""
    home = fenced.home
    place = shutil.copytree(programs(), home.base / "installed")
    home.own(place, *place.rglob("*"))
    usual, home.program = home.program, place / "src/cli/aileron"
    try:
        for name in ("src/cli/aileron", "src/relay/aileron-mcp", "libexec/aileron-keeper"):
            target = str(place / name)
            both(fenced, f"os.rename({target!r}, {target + '.old'!r}); os.rename({target + '.old'!r}, {target!r})")
            both(fenced, f"os.utime({target!r})")
    finally:
        home.program = usual
        shutil.rmtree(place)


def test_nothing_makes_one_more_powerful(fenced):
    """A program of root's with the set-user-id bit; for root a program that would get every capability."""
    program = fenced.home.base / "become"
    shutil.copy("/usr/bin/python3", program)
    program.chmod(0o4755)
    code = "import os; s = open('/proc/self/status').read(); print('reached' if 'CapEff:\\t0000000000000000' not in s else 'held')"
    assert fenced.run(f"{program} -c {json.dumps(code)}", "--no-fence").out.strip() == "reached"
    assert fenced.run(f"{program} -c {json.dumps(code)}").out.strip() == "held"


# --- the terminal


def test_no_input_is_put_into_the_terminal(fenced):
    code = """
import fcntl, os, ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
byte = ctypes.create_string_buffer(b"~")
kept = []
for number in (0x5412, 0x100005412, 0xffffffff00005412):
    r = libc.syscall(ctypes.c_long(16), ctypes.c_long(0), ctypes.c_ulong(number), byte)
    kept.append("reached" if r == 0 else "held")
linux = ctypes.create_string_buffer(b"\\3")
kept.append(ctypes.get_errno() if libc.syscall(ctypes.c_long(16), ctypes.c_long(0), ctypes.c_ulong(0x541C), linux) else 0)
print("tried", *kept, "end")
"""
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86-64")
    with open("/proc/sys/dev/tty/legacy_tiocsti", encoding="utf-8") as file:
        allowed = file.read().strip() == "1"
    file = fenced.home.base / "inside.py"
    file.write_text(code)
    for options, wanted in ((["--no-fence"], "reached reached reached"), ([], "held held held 1 end")):
        if options and not allowed:
            continue
        fenced.agent.does(f"{PYTHON} {file}")
        command = fenced.home.command(*fenced.args(*options))
        with Terminal({**fenced.home.environment, **fenced.environment}, command[1:], program=shutil.which(command[0]) or command[0],
                      cwd=fenced.home.project) as terminal:
            terminal.expect("tried " + wanted)
            assert terminal.wait() == 0


def test_other_terminals_are_out_of_reach(fenced):
    master, slave = os.openpty()
    try:
        name = os.ttyname(slave)
        if fenced.home.uid:
            os.chown(name, fenced.home.uid, fenced.home.uid)
        both(fenced, f"os.write(os.open({name!r}, os.O_WRONLY | os.O_NOCTTY), b'x')")
        result = fenced.run("ls /dev/pts; ls /dev | tr '\\n' ' '")
        assert result.out.splitlines()[0] == "ptmx"
        assert not any((pathlib.Path("/dev") / name).is_block_device() for name in result.out.split())
    finally:
        os.close(master)
        os.close(slave)


def test_the_terminal_is_the_agents_inside_too(fenced):
    fenced.agent.does("""tty; stty size
trap 'echo interrupted' INT; echo ready; sleep 30
read line; echo "got $line"; kill -STOP $$; echo back; exit 6""")
    command = " ".join(f"'{word}'" for word in fenced.home.command(*fenced.args()))
    shell = f"cd {fenced.home.project}; set -m; {command}; echo \"stopped with $?\"; fg; echo \"ended with $?\""
    with Terminal({**fenced.home.environment, **fenced.environment}, ["-c", shell], program="/bin/bash") as terminal:
        terminal.expect("/dev/console")
        terminal.expect("40 100")
        terminal.expect("ready")
        time.sleep(0.3)
        terminal.send("\x03")
        terminal.expect("interrupted")
        terminal.line("hello")
        terminal.expect("got hello")
        terminal.expect("stopped with 148")
        terminal.expect("back")
        terminal.expect("ended with 6")
        terminal.wait()


# --- doors that lead out


@pytest.fixture
def runtime(fenced):
    """/run/user/UID with what a login session puts there."""
    uid = fenced.home.uid or 0
    folder = pathlib.Path(f"/run/user/{uid}")
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    fenced.home.own(folder)
    (folder / "systemd").mkdir(exist_ok=True)
    fenced.home.own(folder / "systemd")
    doors = [Listener(folder / name, fenced.home.uid) for name in ("bus-test", "systemd/private-test", "wayland-test")]
    yield folder, doors
    for door in doors:
        door.close()
    if made:
        shutil.rmtree(folder)


def test_the_login_session_is_hidden(fenced, runtime):
    for door in runtime[1]:
        both(fenced, connect(door.address), more={"XDG_RUNTIME_DIR": str(runtime[0])})
    (runtime[0] / "file").write_text("x")
    fenced.home.own(runtime[0] / "file")
    both(fenced, f"open({str(runtime[0] / 'file')!r}).read()")
    (runtime[0] / "file").unlink()
    result = fenced.run("systemd-run --user true 2>&1; echo $?", environment={"XDG_RUNTIME_DIR": str(runtime[0])})
    assert result.out.split()[-1] != "0"
    assert fenced.run("echo \"[$DISPLAY$WAYLAND_DISPLAY$DBUS_SESSION_BUS_ADDRESS]\"", environment={
        "DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/x"}).out == "[]\n"


def test_docker_and_the_like_are_hidden(fenced):
    door = Listener(pathlib.Path("/run/docker-aileron-test.sock"))
    try:
        both(fenced, connect(door.address))
    finally:
        door.close()


def test_any_listening_socket_of_the_person_is_hidden(fenced):
    """Emacs, VS Code, watchman, a tmux with a socket of its own: whatever listens and may run what it is told."""
    door = Listener(fenced.home.base / "user/some.sock", fenced.home.uid)
    project = Listener(fenced.home.project / "db.sock", fenced.home.uid)
    try:
        both(fenced, connect(door.address))
        assert fenced.python(tell(connect(project.address))).out.strip() == "reached", "the project's own database is kept"
    finally:
        door.close()
        project.close()


def test_abstract_sockets(fenced):
    name = f"\0aileron-test-{os.getpid()}-{time.monotonic_ns()}"
    door = Listener(name)
    packets = Listener(name + "-packets", kind=socket.SOCK_DGRAM)
    try:
        both(fenced, connect(name))
        send = f"socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', {name + '-packets'!r})"
        both(fenced, send)
        both(fenced, f"socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', {name + '-packets'!r})")
        # The kernel reads 32 bits of the family; so must whoever looks at it.
        both(fenced, f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
fd = libc.syscall(ctypes.c_long({41 if os.uname().machine == "x86_64" else 198}), ctypes.c_ulong(0x700000001), ctypes.c_ulong(1), ctypes.c_ulong(0))
assert fd >= 0, ctypes.get_errno()
s = socket.socket(fileno=fd)
s.connect({name!r})
""")
    finally:
        door.close()
        packets.close()
    assert fenced.python(tell("""
a, name = socket.socket(socket.AF_UNIX), "\\0inside"
a.bind(name); a.listen()
b = socket.socket(socket.AF_UNIX); b.connect(name)
c, _ = a.accept()
b.send(b"hello"); assert c.recv(5) == b"hello"
assert c.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[4:8] == os.getuid().to_bytes(4, "little")
p, q = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
p.send(b"pair"); assert q.recv(9) == b"pair" and not p.get_inheritable()
n = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
assert fcntl.fcntl(n, fcntl.F_GETFL) & os.O_NONBLOCK and fcntl.fcntl(n, fcntl.F_GETFD) & 1
""")).out.strip() == "reached", "inside, unix sockets work as everywhere"


def tmux(home, *args, **more):
    return subprocess.run(home.command()[:-1] + ["tmux", *args], env=home.environment, capture_output=True, text=True, check=False, **more)


@pytest.mark.skipif(not shutil.which("tmux"), reason="no tmux")
@pytest.mark.parametrize("early", [True, False], ids=["before", "after"])
def test_tmux(fenced, early):
    """A server of the person's, also one that starts when the fence is up already."""
    home, said = fenced.home, fenced.home.base / "said"
    said.unlink(missing_ok=True)
    own = f"aileron-{os.getpid()}"
    start = ["-L", own, "-f", "/dev/null", "new-session", "-d", "sh"]
    attack = f"tmux -L {own} send-keys 'echo typed > {said}' Enter; sleep 0.5; tmux -L {own} ls"
    try:
        wait_for(lambda: tmux(home, *start).returncode == 0, "a tmux server", 10)
        fenced.run(attack, "--no-fence")
        wait_for(said.exists, "the probe's effect outside", 5)
        said.unlink()
        if not early:
            tmux(home, "-L", own, "kill-server")
        process = fenced.popen(f"while ! test -e go; do sleep 0.05; done; {attack}; echo done", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        wait_for(fenced.agent.ran, "the agent", 10)
        time.sleep(0.5)
        if not early:
            wait_for(lambda: tmux(home, *start).returncode == 0, "a new tmux server", 10)
        (home.project / "go").touch()
        out = process.communicate(timeout=30)[0]
        assert "done" in out and process.returncode == 0
        assert not said.exists() and ("no server" in out or "error connecting" in out), out
    finally:
        (home.project / "go").unlink(missing_ok=True)
        tmux(home, "-L", own, "kill-server")


@pytest.mark.parametrize("name", ["cc-daemon", "codex-daemon"])
def test_background_servers_of_agents(fenced, name):
    """Claude Code's and Codex's, that start when the fence is up already: they run outside what a session asks for."""
    folder = pathlib.Path(f"/tmp/{name}-{fenced.home.uid or 0}")
    inside = fenced.home.base / "later.py"
    inside.write_text(tell(connect(folder / "aileron-test.sock")))
    for options, said in ((["--no-fence"], "reached"), ([], "held")):
        if folder.exists() and not any(folder.iterdir()):
            folder.rmdir()
        up, go = fenced.home.project / "up", fenced.home.project / "go"
        script = f"touch up; while ! test -e go; do sleep 0.05; done; exec {PYTHON} {inside}"
        process = fenced.popen(script, *options, stdout=subprocess.PIPE)
        wait_for(up.exists, "the agent", 10)
        folder.mkdir(mode=0o700, exist_ok=True)
        fenced.home.own(folder)
        door = Listener(folder / "aileron-test.sock", fenced.home.uid)
        try:
            go.touch()
            assert process.communicate(timeout=30)[0].strip().startswith(said)
        finally:
            door.close()
            for path in (door.address, up, go):
                path.unlink(missing_ok=True)


def test_browser_profiles_are_hidden(fenced):
    profile = fenced.home.base / "user/.config/chromium/Default"
    profile.mkdir(parents=True, exist_ok=True)
    (profile / "000003.log").write_text("the key of our page")
    both(fenced, f"assert 'key' in open({str(profile / '000003.log')!r}).read()")


def test_cgroups_of_ours_cannot_be_mounted(fenced):
    way = "unshare -UrmC mount -t cgroup2 none /mnt && echo reached"
    assert "reached" in fenced.run(way, "--no-fence", check=None).out
    assert "reached" not in fenced.run(way, check=None).out
    assert "reached" not in fenced.run("unshare -UC true && echo reached", check=None).out
    # clone3 keeps its flags in memory, where a filter cannot look: it is not there at all.
    both(fenced, """
import ctypes, struct
args = ctypes.create_string_buffer(struct.pack("8Q", 0x12000000, 0, 0, 0, 17, 0, 0, 0))
pid = ctypes.CDLL(None, use_errno=True).syscall(435, args, 64)
if pid == 0:
    os._exit(0)
assert pid > 0, ctypes.get_errno()
""")


def test_io_uring_is_not_there(fenced):
    if os.uname().machine not in ("x86_64", "aarch64"):
        pytest.skip("the number is not known here")
    code = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
params = ctypes.create_string_buffer(200)
assert libc.syscall(425, 4, params) >= 0, ctypes.get_errno()
"""
    both(fenced, code)


def test_devices_made_elsewhere_are_no_devices(fenced):
    node = fenced.home.base / "zero"
    if not node.exists():
        os.mknod(node, 0o666 | stat.S_IFCHR, os.makedev(1, 5))
        node.chmod(0o666)
    both(fenced, f"assert open({str(node)!r}, 'rb').read(1)")


def test_shared_memory_is_apart(fenced):
    shm = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
"""
    key = 0x41000000 + os.getpid()
    make = subprocess.run([*fenced.home.command()[:-1], PYTHON, "-c", f"{shm}print(libc.shmget({key}, 4096, 0o1666))"],
                          capture_output=True, text=True, check=True)
    try:
        both(fenced, f"{shm}assert libc.shmget({key}, 4096, 0) >= 0, ctypes.get_errno()")
    finally:
        subprocess.run(["ipcrm", "-m", make.stdout.strip()], check=True)


def test_the_first_process_inside_is_closed(fenced):
    result = fenced.python(tell("open('/proc/1/environ').read()"))
    assert result.out.startswith("held"), repr(result)
    result = fenced.python(tell("import ctypes\nassert ctypes.CDLL(None, use_errno=True).ptrace(16, 1, 0, 0) == 0"))
    assert result.out.startswith("held"), repr(result)


def test_the_namespaces_are_nested_twice(fenced):
    """Seen from outside: what made the mounts, what tends the inside, and the agent."""
    process = fenced.popen("echo ready; read line", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.stdout.readline()
    first, second, agent = children_of(process.pid)[:3]

    def spaces(pid):
        return {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ("user", "mnt", "pid", "ipc", "net")}

    us, outer, inner, program = spaces("self"), spaces(first), spaces(second), spaces(agent)
    assert inner == program
    for kind in ("user", "mnt", "pid"):
        assert len({us[kind], outer[kind], inner[kind]}) == 3, kind
    assert us["ipc"] != inner["ipc"] and us["net"] == inner["net"]
    assert (outer["net"] == us["net"]) != fenced.old, "sockets are made in an empty network exactly where Landlock is too old"
    process.communicate("\n", timeout=20)


def test_root_without_powers_writes_nothing_of_the_kernel(fenced):
    if fenced.home.uid is not None:
        pytest.skip("what others cannot write anyhow")
    both(fenced, "f = open('/proc/sys/kernel/core_pattern', 'r+'); t = f.read(); f.seek(0); f.write(t); f.close()")
    tuned = "/sys/kernel/mm/transparent_hugepage/enabled"
    if os.path.exists(tuned):
        both(fenced, f"t = open({tuned!r}).read().partition('[')[2].partition(']')[0]; open({tuned!r}, 'w').write(t)")
    for cgroups in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
        if os.path.exists(cgroups + "/cgroup.procs"):
            both(fenced, f"os.mkdir('{cgroups}/aileron-test'); os.rmdir('{cgroups}/aileron-test')")
    both(fenced, "open('/etc/aileron-test', 'w').close(); os.unlink('/etc/aileron-test')")
    both(fenced, "open('/var/spool/aileron-test', 'w').close(); os.unlink('/var/spool/aileron-test')")
    pattern = "/proc/sys/kernel/core_pattern"
    again = f"unshare -Urmpf --mount-proc sh -c 'cat {pattern} >/tmp/p && cat /tmp/p >{pattern} && echo reached'"
    assert "reached" in fenced.run(again, "--no-fence", check=None).out
    assert "reached" not in fenced.run(again, check=None).out


# --- the port of our page


TAKE = """
import os, socket, sys, time
port = int(sys.argv[1])
while not os.path.exists("go"):
    time.sleep(0.02)
taken = []
for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::1"), (socket.AF_INET6, "::")):
    for options in ([], [socket.SO_REUSEADDR], [socket.SO_REUSEPORT], [socket.SO_REUSEADDR, socket.SO_REUSEPORT]):
        s = socket.socket(family)
        for option in options:
            s.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            s.bind((host, port))
            s.listen()
            taken.append((host, options))
        except OSError as e:
            assert "in use" in str(e), e
        s.close()
print("taken", len(taken), flush=True)
"""


def test_the_port_cannot_be_taken_over(fenced):
    home = fenced.home
    port = home_port(home)
    file = home.base / "take.py"
    file.write_text(TAKE)
    for options, wanted in ((["--no-fence"], lambda number: number >= 8), ([], lambda number: number == 0)):
        process = fenced.popen(f"exec {PYTHON} {file} {port}", *options, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        wait_for(fenced.agent.ran, "the agent", 10)
        time.sleep(0.3)
        home.stop()
        (home.project / "go").touch()
        out = process.communicate(timeout=30)[0]
        (home.project / "go").unlink()
        assert wanted(int(out.partition("taken ")[2].split()[0])), out
        home.start()
        assert home_port(home) == port
    end_all(home)


EARLY = """
import os, socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
print("bound", flush=True)
sys.stdin.readline()
try:
    s.listen()
    print("reached")
except OSError as e:
    print("held", e)
"""


def test_nor_by_having_bound_it_before_it_was_ours(fenced):
    """Two sockets may be bound to one port as long as neither listens; so the daemon comes to a port that the agent waits for."""
    home = fenced.home
    file = home.base / "early.py"
    file.write_text(EARLY)
    try:
        for options, wanted in (((["--no-fence"], "reached"),) if not fenced.old else ()) + (([], "held"),):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            process = fenced.popen(f"exec {PYTHON} {file} {port}", *options, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL)
            assert process.stdout.readline() == "bound\n"
            home.api("PATCH", "/v1/config", {"web.port": port})
            home.stop()
            home.start()
            assert home_port(home) == port
            home.stop()
            out = process.communicate("\n", timeout=20)[0]
            home.start()
            assert out.startswith(wanted), (options, out)
    finally:
        home.api("PATCH", "/v1/config", {"web.port": None})
        home.stop()
        home.start()
        end_all(home)


RACE = """
import os, socket, sys, threading, time
port = int(sys.argv[1])
while not os.path.exists("go"):
    time.sleep(0.02)
end, got = time.monotonic() + 2, 0
plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
inet = socket.socket()
inet.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
slot = os.dup(plain.fileno())
stop = False
def swap():
    while not stop:
        os.dup2(inet.fileno(), slot)
        os.dup2(plain.fileno(), slot)
threads = [threading.Thread(target=swap) for _ in range(2)]
for thread in threads:
    thread.start()
import ctypes, struct
libc = ctypes.CDLL(None, use_errno=True)
address = ctypes.create_string_buffer(struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port), socket.inet_aton("127.0.0.1")))
while time.monotonic() < end:
    libc.bind(slot, address, 16)
    libc.listen(slot, 5)
stop = True
for thread in threads:
    thread.join()
print("bound" if inet.getsockname()[1] == port else "free", "listening" if inet.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and
      inet.getsockname()[1] == port else "quiet", flush=True)
"""


def test_nor_by_swapping_the_socket_under_the_call(fenced):
    """Whoever looks at one socket and lets the call go on with another has lost."""
    home = fenced.home
    port = home_port(home)
    file = home.base / "race.py"
    file.write_text(RACE)
    process = fenced.popen(f"exec {PYTHON} {file} {port}", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_for(fenced.agent.ran, "the agent", 10)
    time.sleep(0.3)
    home.stop()
    (home.project / "go").touch()
    out = process.communicate(timeout=40)[0]
    (home.project / "go").unlink()
    home.start()
    end_all(home)
    assert "free quiet" in out or "bound quiet" in out, out


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


@pytest.mark.skipif(not pathlib.Path("/usr/sbin/sshd").exists() or not shutil.which("git"), reason="no sshd or no git")
def test_git_over_ssh_and_ssh_agent(fenced, tmp_path):
    """With a key that lies in the person's ssh-agent only."""
    if fenced.home.uid is not None:
        pytest.skip("ssh refuses to work for a user without a name")
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


def test_namespaces_inside_work(fenced):
    """What sandboxes of agents and browsers are made of. The kernel keeps them from a root without powers."""
    if fenced.home.uid is None:
        pytest.skip("not for root without powers")
    result = fenced.run("unshare -Ur true && unshare -Urnpm --fork sh -c 'mount -t tmpfs none /mnt && ip link show lo >/dev/null; echo made'")
    assert result.out == "made\n"


# --- where it cannot be


def test_without_user_namespaces_it_refuses(fenced):
    home = fenced.home
    if home.uid is None:
        pytest.skip("root of the machine is not limited like that")
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
    folder = pathlib.Path(f"/run/user/{UID}")
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    os.chown(folder, UID, UID)
    home = UserHome(UID, name="h" * 100)
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


def test_what_signs_a_browser_in(fenced):
    """The page that hands a code to the browser lies where no fenced agent looks, also one that was launched before."""
    place = pathlib.Path(f"/run/user/{fenced.home.uid or 0}")
    if not place.is_dir():
        place = pathlib.Path(f"/tmp/aileron-{fenced.home.uid or 0}")
        fenced.run("true")  # it exists from the first launch on
        assert place.is_dir()
    page = place / "aileron-open-probe"
    page.write_text("http://127.0.0.1/#code=secret")
    if fenced.home.uid:
        os.chown(page, fenced.home.uid, fenced.home.uid)
    try:
        both(fenced, f"assert 'secret' in open({str(page)!r}).read()")
    finally:
        page.unlink()
