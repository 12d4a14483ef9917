"""What the fence's tests need: an ordinary user's home, an older kernel's Landlock, and an agent that runs a script inside."""
import atexit
import functools
import os
import pathlib
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading

import pytest

from . import paths
from .agent import FakeAgent
from .home import Home, Result, SANITIZER_MARKS

PYTHON = "/usr/bin/python3"  # one that every user can start

UID = 54321  # nobody's on any machine

# Who, and whether with Landlock as old as Debian 12's; and the halves of that, for tests that say nothing about the other.
FENCED = [(None, False), (None, True), (UID, False), (UID, True)]
FENCED_NAMES = ["root", "root-abi2", "user", "user-abi2"]
ROOT_ONLY = pytest.mark.parametrize("fenced", FENCED[:2], ids=FENCED_NAMES[:2], indirect=True, scope="module")
USER_ONLY = pytest.mark.parametrize("fenced", FENCED[2:], ids=FENCED_NAMES[2:], indirect=True, scope="module")

# landlock_create_ruleset as a kernel with version 2 answers it, for programs that are started with this in LD_PRELOAD.
MASK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
long syscall(long number, ...)
{
    static long (*real)(long, ...);
    long a[6];
    va_list args;
    va_start(args, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(args, long);
    va_end(args);
    if (!real)
        real = (long (*)(long, ...)) dlsym(RTLD_NEXT, "syscall");
    if (number == 444 && a[2] == 1)
        return real(number, a[0], a[1], a[2]) < 2 ? -1 : 2;
    if (number == 444 && a[0]) {
        const uint64_t *rules = (const uint64_t *) a[0];
        for (long i = 1; i < a[1] / 8; i++)
            if (rules[i]) {
                errno = E2BIG;
                return -1;
            }
        if (!rules[0] || rules[0] >> 14) {
            errno = rules[0] ? EINVAL : ENOMSG;
            return -1;
        }
    }
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
"""


@functools.lru_cache
def programs():
    """The built programs where every user can start them; the folder of the tests may be root's alone."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="aileron-programs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    for program in (paths.CLI, paths.RELAY, paths.BROKER, paths.KEEPER, paths.WORKER):
        place = folder / program.relative_to(paths.BUILD)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(program, place)
    (folder / "libexec").mkdir()
    for program in (paths.BROKER, paths.KEEPER, paths.WORKER):
        (folder / "libexec" / program.name).symlink_to(folder / program.relative_to(paths.BUILD))
    return folder


@functools.lru_cache
def landlock_mask():
    """The shared object of MASK, where every user can load it; a path for LD_PRELOAD."""
    source, made = programs() / "mask.c", programs() / "mask.so"
    source.write_text(MASK)
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", made, source, "-ldl"], check=True)
    return made


class UserHome(Home):
    """A home of an ordinary user, or (uid None) of who runs the tests; every command runs as that user."""

    def __init__(self, uid=None, name="home", **more):
        self.uid = uid
        folder = pathlib.Path(tempfile.mkdtemp(prefix="aileron-test-"))
        super().__init__(folder=folder, **more)
        self._owned = True
        self.path = folder / name
        self.environment["AILERON_HOME"] = str(self.path)
        self.project = folder / "project"
        self.project.mkdir()
        self.own(folder, folder / "user", self.project)
        self.program = programs() / paths.CLI.relative_to(paths.BUILD)

    def own(self, *found):
        for path in found:
            if self.uid is not None:
                os.chown(path, self.uid, self.uid)

    def close(self):
        try:
            super().close()
        finally:
            # Folders that the fence makes before it hides them; a real user's are left alone.
            for name in ("tmux", "aileron", "cc-daemon", "codex-daemon") if self.uid is not None else ():
                folder = pathlib.Path(f"/tmp/{name}-{self.uid}")
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()

    def command(self, *args, prefix=()):
        user = []
        if self.uid is not None:
            user = ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups", "--"]
        return [str(word) for word in (*prefix, *user, self.program, *args)]

    def cli(self, *args, check=None, input=None, timeout=60, environment=None, prefix=(), cwd=None, pass_fds=()):
        done = subprocess.run(self.command(*args, prefix=prefix), env={**self.environment, **(environment or {})}, timeout=timeout,
                              text=True, input=input, stdin=subprocess.DEVNULL if input is None else None, capture_output=True,
                              cwd=cwd or self.project, pass_fds=pass_fds, check=False)
        result = Result(done)
        if check is not None:
            assert result.code == check, repr(result)
        for mark in SANITIZER_MARKS:
            assert mark not in result.err, repr(result)
        return result


class Fenced:
    """`run` is what the agent's shell does, inside unless told otherwise; what it prints and how it ends comes back."""

    def __init__(self, home, preload=None):
        self.home, self.old = home, preload is not None
        self.agent = FakeAgent(home.base / "agent")
        home.own(home.base / "agent", home.base / "agent/bin")
        self.environment = dict(self.agent.environment)
        if preload:
            self.environment["LD_PRELOAD"] = str(preload)
            if "ASAN_OPTIONS" in home.environment:
                self.environment["ASAN_OPTIONS"] = home.environment["ASAN_OPTIONS"] + ":verify_asan_link_order=0"

    def args(self, *options):
        return ["launch", "--local", "--force", *options, "claude"]

    def run(self, script, *options, check=0, environment=None, **more):
        self.agent.does(script)
        return self.home.cli(*self.args(*options), environment={**self.environment, **(environment or {})}, check=check, **more)

    def python(self, code, *options, **more):
        """The same for Python code."""
        file = self.home.base / "inside.py"
        file.write_text(code)
        return self.run(f"exec {PYTHON} {shlex.quote(str(file))}", *options, **more)

    def popen(self, script, *options, **more):
        self.agent.does(script)
        return subprocess.Popen(self.home.command(*self.args(*options)), env={**self.home.environment, **self.environment}, text=True,
                                cwd=self.home.project, **more)


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


def home_port(home):
    return int(home.discovery()["url"].rsplit(":", 1)[1])


def end_all(home):
    """Sessions whose launcher could not end them."""
    for session in left_open(home):
        home.api("POST", f"/v1/sessions/{session['id']}/end", {})


def left_open(home):
    return [session for session in home.cli("sessions", "list", "--json", check=0).json()["sessions"] if not session.get("ended_at")]
