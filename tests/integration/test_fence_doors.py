"""The fence from inside (see test_fence.py): terminals, sockets of the person's other programs, and the port of our page."""
import os
import pathlib
import shutil
import socket
import subprocess
import time

import pytest

from tests.rig.fence import PYTHON, Listener, both, connect, end_all, home_port, tell
from tests.rig.ports import wait_for
from tests.rig.terminal import Terminal

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
    """What a login session puts into /run/user/UID; for root into another XDG_RUNTIME_DIR, as root's own may be in use."""
    uid = fenced.home.uid
    folder = pathlib.Path(f"/run/user/{uid}") if uid else fenced.home.base / "runtime"
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
    both(fenced, f"open({str(runtime[0] / 'file')!r}).read()", more={"XDG_RUNTIME_DIR": str(runtime[0])})
    (runtime[0] / "file").unlink()
    result = fenced.run("systemd-run --user true 2>&1; echo $?", environment={"XDG_RUNTIME_DIR": str(runtime[0])})
    assert result.out.split()[-1] != "0"
    assert fenced.run("echo \"[$DISPLAY$WAYLAND_DISPLAY$DBUS_SESSION_BUS_ADDRESS]\"", environment={
        "DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/x"}).out == "[]\n"


def test_agents_for_keys_are_kept(fenced, runtime):
    """The only doors of the runtime folder that stay open."""
    folder = runtime[0]
    (folder / "gnupg").mkdir(exist_ok=True)
    fenced.home.own(folder / "gnupg")
    doors = [Listener(folder / name, fenced.home.uid) for name in ("gnupg/S.gpg-agent", "ssh-agent-test")]
    more = {"XDG_RUNTIME_DIR": str(folder), "SSH_AUTH_SOCK": str(doors[1].address)}
    try:
        for door in doors:
            assert fenced.python(tell(connect(door.address)), environment=more).out.strip() == "reached"
        assert fenced.run(f"ls {folder}", environment=more).out.split() == ["gnupg", "ssh-agent-test"]
    finally:
        for door in doors:
            door.close()
        (folder / "gnupg").rmdir()


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
