"""A temporary AILERON_HOME with its vault and daemon, driven through the built command line as a person would."""
import base64
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from . import paths
from .ports import wait_for
from .vault import PASSPHRASE, Vault, oauth_value

SANITIZER_MARKS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "UndefinedBehaviorSanitizer")


def b64u(data):
    """Base64url without padding, as the probe connector takes and gives bytes."""
    data = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unb64u(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Result:
    """What a command printed and how it ended."""

    def __init__(self, done):
        self.args, self.code, self.out, self.err = done.args, done.returncode, done.stdout, done.stderr

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        command = " ".join(str(arg) for arg in self.args)
        return f"{command}\nexit {self.code}\n--- stdout\n{self.out[-4000:]}\n--- stderr\n{self.err[-4000:]}"


class UnixHTTPConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"HTTP {self.status} {self.body[:2000]!r}"


def children_of(pid):
    """All descendants of a process, itself excluded."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in task.read_text().split():
                found += [int(child), *children_of(int(child))]
        except OSError:
            continue
    return found


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def program_of(pid):
    """The command line of a process; the programs run from descriptors, so exe says little."""
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""


class Home:
    """`prefix` is put before `daemon start` (a namespace); `environment` is added to every command.

    With credentials or overrides there is a development vault (rig/vault.py) before the daemon starts, and start() unlocks
    it; without, there is none.
    """

    def __init__(self, credentials=(), connect_to=(), ca=None, prefix=(), environment=None, folder=None):
        self.base = pathlib.Path(folder or tempfile.mkdtemp(prefix="aileron-test-"))
        self._owned = folder is None
        self.path = self.base / "home"
        self.credentials, self.connect_to, self.ca, self.prefix = list(credentials), list(connect_to), ca, list(prefix)
        # HOME is a folder of the test: nothing may be read from or written to a person's own.
        (self.base / "user").mkdir(exist_ok=True)
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.base / "user"), "AILERON_HOME": str(self.path),
                            "LANG": "C.UTF-8", "TERM": "dumb", **(environment or {})}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                self.environment[name] = os.environ[name]
        self._pids = set()

    # --- commands

    def cli(self, *args, check=None, input=None, timeout=60, environment=None, prefix=()):
        """Runs `aileron ARGS`. check=0 (or another code) asserts on how it ends."""
        if args[:3] == ("config", "set", "approval.confirm") and self.vault_file.exists() and "--passphrase-file" not in args:
            args = (*args, "--passphrase-file", self.passphrase_file)  # a weaker one needs it
        command = [*prefix, str(paths.CLI), *[str(arg) for arg in args]]
        done = subprocess.run(command, env={**self.environment, **(environment or {})}, timeout=timeout, text=True,
                              input=input, stdin=subprocess.DEVNULL if input is None else None, capture_output=True,
                              cwd=self.base)
        result = Result(done)
        if check is not None:
            assert result.code == check, repr(result)
        for mark in SANITIZER_MARKS:
            assert mark not in result.err, repr(result)
        return result

    def start_args(self):
        args = []
        for row in self.connect_to:
            args += ["--dev-connect-to", row]
        if self.ca:
            args += ["--dev-ca", self.ca]
        return args

    @property
    def vault_file(self):
        return self.path / "secrets.json"

    @property
    def passphrase_file(self):
        file = self.base / "passphrase"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(PASSPHRASE + "\n")
        return file

    def make_vault(self):
        """The vault of these credentials, unless there is one already."""
        if self.vault_file.exists():
            return
        vault = Vault(dev=True)
        for row in self.credentials:
            vault.bind(**row)
        vault.write(self.vault_file)

    def vault(self, passphrase=PASSPHRASE):
        """The vault as it now stands on disk."""
        return Vault.read(self.vault_file, passphrase)

    def unlock(self, check=0):
        return self.cli("vault", "unlock", "--passphrase-file", self.passphrase_file, check=check)

    def start(self, check=0, unlock=True):
        if self.credentials or self.connect_to or self.ca:
            self.make_vault()
        result = self.cli("daemon", "start", *self.start_args(), prefix=self.prefix, check=check)
        if result.code == 0:
            self.remember()
            if unlock and self.vault_file.exists():
                self.unlock()
        return result

    def stop(self):
        self.remember()
        return self.cli("daemon", "stop", check=0)

    def install(self, folder, *actions, bind=()):
        """Installs a connector folder and action files (or folders of them); fails the test when one is refused."""
        self.cli("connector", "install", "--local", folder, check=0)
        for action in actions:
            self.cli("action", "add", "--local", action, *[word for pair in bind for word in ("--bind", pair)], check=0)

    def run_action(self, name, args=None, check=None, timeout=60, **more):
        """`aileron action run NAME --args - --json`: the Result; args is the JSON object."""
        return self.cli("action", "run", name, "--args", "-", "--json", input=json.dumps(args or {}), check=check,
                        timeout=timeout, **more)

    def output(self, name, args=None, **more):
        """The output of an action that must succeed."""
        return self.run_action(name, args, check=0, **more).json()["output"]

    def failure(self, name, args=None, **more):
        """The failure of an action that must fail: class, message, retriable, boundary, audit_id, details."""
        result = self.run_action(name, args, check=1, **more)
        failure = result.json()["error"]
        assert set(failure) >= {"class", "message", "retriable", "boundary", "audit_id", "details"}, repr(result)
        return failure

    # --- doors

    def discovery(self):
        return json.loads((self.path / "daemon.json").read_text())

    def api(self, method, path, body=None, token=None, headers=None, door="socket", timeout=30):
        """One request to the broker's HTTP door; token=None uses the owner's, "" sends none."""
        where = self.discovery()
        if door == "socket":
            connection = UnixHTTPConnection(where["socket"], timeout)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", int(where["url"].rsplit(":", 1)[1].strip("/")), timeout=timeout)
        headers = dict(headers or {})
        token = where["token"] if token is None else token
        if token:
            headers.setdefault("Authorization", f"Bearer {token}")
        data = None
        if body is not None:
            data = body if isinstance(body, (bytes, str)) else json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        result = Answer(answer.status, answer.headers, answer.read())
        connection.close()
        return result

    # --- what is there

    def pid(self):
        return self.discovery()["pid"]

    def processes(self):
        """pid → command line of the broker's children, at any depth."""
        return {pid: program_of(pid) for pid in children_of(self.pid())}

    def children(self, name):
        """The pids of the children whose command line names `name` (aileron-keeper, aileron-worker)."""
        return [pid for pid, line in self.processes().items() if name in line]

    def remember(self):
        try:
            pid = self.pid()
        except (OSError, ValueError, KeyError):
            return
        if alive(pid):
            self._pids |= {pid, *children_of(pid)}

    def log(self):
        path = self.path / "log/daemon.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def audit(self, *args):
        """The newest receipts, newest first, as the command lists them."""
        return self.cli("audit", "list", "--json", *args, check=0).json()["events"]

    def audit_files(self):
        return sorted((self.path / "audit").glob("audit-*.jsonl"))

    def audit_lines(self):
        """Every receipt in order, read from the files themselves."""
        return [json.loads(line) for path in self.audit_files() for line in path.read_bytes().splitlines()]

    def kill(self, pid, number=signal.SIGKILL):
        self._pids.add(pid)
        os.kill(pid, number)

    # --- the end

    def close(self):
        """Stops the daemon, then asserts that nothing of it is left and that no sanitizer spoke."""
        self.remember()
        log = ""
        try:
            if (self.path / "daemon.json").exists():
                self.cli("daemon", "stop", timeout=30)
            log = self.log()
            leaked = [pid for pid in self._pids if alive(pid)]
            deadline = time.monotonic() + 5
            while leaked and time.monotonic() < deadline:
                time.sleep(0.05)
                leaked = [pid for pid in leaked if alive(pid)]
            lines = {pid: program_of(pid) for pid in leaked}
            for pid in leaked:
                os.kill(pid, signal.SIGKILL)
            assert not leaked, f"these were left running: {lines}\n{log[-3000:]}"
            for mark in SANITIZER_MARKS:
                assert mark not in log, log[-8000:]
        finally:
            if self._owned:
                shutil.rmtree(self.base, ignore_errors=True)

    def wait_log(self, text, timeout=10):
        wait_for(lambda: text in self.log(), f"{text!r} in the log", timeout)


def credential(binding, connector, origins, value, **more):
    """One row of a home's vault; the access token alone stands for the whole value of an oauth2 binding."""
    if binding.startswith("oauth2/") and isinstance(value, str):
        value = oauth_value(value)
    return {"binding": binding, "connector_fqn": connector, "origins": origins, "value": value, **more}
