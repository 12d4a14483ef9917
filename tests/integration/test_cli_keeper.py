"""The command line's end of keeper.sock against a keeper that answers by script: what it sends, says, and never does."""
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

import pytest

from tests.rig import paths
from tests.rig.terminal import Terminal

VERSION, HELLO, CREATE, UNLOCK, CHANGE, PUT, DELETE = 2, 64, 65, 66, 67, 69, 70
BIND_KEY, BEGIN, AGAIN, PASTE, URL, PASTED, DONE = 71, 74, 75, 76, 77, 78, 79
OK, FAILED, REFUSED, WRONG = 0, 1, 2, 3
MISSING, LOCKED, UNLOCKED = 0, 1, 2

CONNECTOR = {"fqn": "local://mail", "version": "1.0.0", "hash": "sha256:" + "0" * 64, "unsigned": True,
             "hosts": ["www.mail.test:443"],
             "credential": {"kind": "oauth2", "scope": "Read your mail", "oauth2": {
                 "authorize_url": "https://login.mail.test/auth", "token_url": "https://login.mail.test/token",
                 "client_id": "1234", "scopes": ["read"]}}}


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("=I", len(data)) + data


def frame(kind, body, number=0):
    return struct.pack("=HHIII", 1, kind, number, len(body), 0) + body


def done(result, message="", hint="", detail=""):
    return frame(DONE, struct.pack("=B", result) + text(message) + text(hint) + text(detail))


class Fields:
    """The fields of a request in the order in which they were put."""

    def __init__(self, packet):
        self.version, self.kind, self.number, length, self.fds = struct.unpack("=HHIII", packet[:16])
        self.rest = packet[16:]
        assert self.version == 1 and len(self.rest) == length

    def bytes(self):
        (length,) = struct.unpack("=I", self.rest[:4])
        value, self.rest = self.rest[4:4 + length], self.rest[4 + length:]
        return value

    def byte(self):
        value, self.rest = self.rest[0], self.rest[1:]
        return value


class Daemon:
    """daemon.sock with the few answers that the commands ask for, and keeper.sock with those of `script`."""

    def __init__(self):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="aileron-fake-"))
        self.home = self.base / "home"
        self.home.mkdir(mode=0o700)
        self.state, self.version, self.seen, self.script, self.ended = UNLOCKED, VERSION, [], [], threading.Event()
        self.answers = {"/v1/connectors": {"connectors": [CONNECTOR]}, f"/v1/connectors/{CONNECTOR['hash']}": CONNECTOR,
                        f"/v1/connectors/sha256%3A{'0' * 64}": CONNECTOR, "/v1/bindings": {"bindings": []}}
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.base), "AILERON_HOME": str(self.home), "LANG": "C.UTF-8"}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                self.environment[name] = os.environ[name]
        self.program_version = self.run("version").stdout.split()[1]
        self.sockets = []
        self._listen("daemon.sock", socket.SOCK_STREAM, self._http)
        self._listen("keeper.sock", socket.SOCK_SEQPACKET, self._keeper)

    def _listen(self, name, kind, serve):
        listener = socket.socket(socket.AF_UNIX, kind)
        listener.bind(str(self.home / name))
        listener.listen(16)
        self.sockets.append(listener)

        def run():
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(peer,), daemon=True).start()
        threading.Thread(target=run, daemon=True).start()

    def _http(self, peer):
        request = peer.recv(65536).decode()
        path = request.split()[1]
        status = {"version": self.program_version, "url": "http://127.0.0.1:4711", "counts": {}, "overrides": [], "overrides_active": False}
        body = json.dumps(status if path == "/v1/status" else self.answers.get(path, {})).encode()
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        peer.close()

    def _keeper(self, peer):
        peer.send(frame(HELLO, struct.pack("=IB", self.version, self.state) + text(str(self.home / "secrets.json"))))
        while True:
            packet = peer.recv(65536)
            if not packet:
                self.ended.set()
                return
            self.seen.append(Fields(packet))
            for answer in self.script.pop(0) if self.script else []:
                if callable(answer):
                    answer = answer()
                if answer:
                    peer.send(answer)

    def run(self, *args, input=None, environment=None, timeout=30, **more):
        return subprocess.run([str(paths.CLI), *args], env={**self.environment, **(environment or {})}, input=input, timeout=timeout,
                              stdin=subprocess.DEVNULL if input is None else None, capture_output=True, text=True,
                              cwd=self.base, check=False, **more)

    def terminal(self, *args, **more):
        return Terminal(self.environment, args, cwd=self.base, **more)

    def private(self, name, content, mode=0o600):
        path = self.base / name
        path.touch(mode=0o600)
        path.write_text(content)
        path.chmod(mode)
        return str(path)

    def close(self):
        for listener in self.sockets:
            listener.close()
        shutil.rmtree(self.base)


@pytest.fixture
def daemon():
    if not paths.CLI.exists():
        pytest.skip(f"not built: {paths.CLI}")
    made = Daemon()
    yield made
    made.close()


def passphrase_of(fields):
    return fields.bytes().decode()


# --- where a passphrase comes from


def test_nobody_to_ask_is_3(daemon):
    daemon.state = LOCKED
    result = daemon.run("vault", "unlock")
    assert result.returncode == 3 and result.stdout == "", result
    for way in ("terminal", "--passphrase-file", "AILERON_VAULT_PASSPHRASE"):
        assert way in result.stderr, result.stderr
    assert daemon.seen == []
    daemon.state = MISSING
    assert daemon.run("vault", "init").returncode == 3 and daemon.seen == []


def test_from_a_file_a_pipe_and_stdin(daemon):
    daemon.state = LOCKED
    daemon.script = [[done(OK)], [done(OK)], [done(OK)]]
    assert daemon.run("vault", "unlock", "--passphrase-file", daemon.private("pass", "of the file\n")).returncode == 0
    assert daemon.run("vault", "unlock", "--passphrase-file", "-", input="of stdin\n").returncode == 0
    shell = subprocess.run(["bash", "-c", f"{paths.CLI} vault unlock --passphrase-file <(printf 'of a pipe\\n')"],
                           env=daemon.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=30)
    assert shell.returncode == 0, shell
    assert [fields.kind for fields in daemon.seen] == [UNLOCK] * 3
    assert [passphrase_of(fields) for fields in daemon.seen] == ["of the file", "of stdin", "of a pipe"]
    assert all(fields.rest == b"" for fields in daemon.seen)


def test_the_file_goes_before_the_variable(daemon):
    daemon.state = LOCKED
    daemon.script = [[done(OK)], [done(OK)]]
    variable = {"AILERON_VAULT_PASSPHRASE": "of the variable"}
    assert daemon.run("vault", "unlock", environment=variable).returncode == 0
    assert daemon.run("vault", "unlock", "--passphrase-file", daemon.private("pass", "of the file"), environment=variable).returncode == 0
    assert [passphrase_of(fields) for fields in daemon.seen] == ["of the variable", "of the file"]


@pytest.mark.parametrize("content,mode,word", [("open", 0o644, "chmod 600"), ("open", 0o640, "chmod 600"), ("", 0o600, "empty"),
                                               ("\n", 0o600, "empty"), ("x" * 1025, 0o600, "1024")])
def test_a_file_that_cannot_be_it(daemon, content, mode, word):
    daemon.state = LOCKED
    result = daemon.run("vault", "unlock", "--passphrase-file", daemon.private("pass", content, mode))
    assert result.returncode == 1 and word in result.stderr and daemon.seen == [], result
    assert daemon.run("vault", "unlock", "--passphrase-file", "/no/such").returncode == 1


def test_the_longest_passphrase(daemon):
    daemon.state = LOCKED
    daemon.script = [[done(OK)], [done(OK)]]
    longest = "ä" * 512
    assert daemon.run("vault", "unlock", "--passphrase-file", daemon.private("pass", longest + "\n")).returncode == 0
    with daemon.terminal("vault", "unlock") as terminal:
        terminal.expect("Vault passphrase: ")
        terminal.line(longest)
        assert terminal.wait() == 0
    assert [passphrase_of(fields) for fields in daemon.seen] == [longest, longest]


def test_a_wrong_one_from_a_file_fails_at_once(daemon):
    daemon.state = LOCKED
    daemon.script = [[done(WRONG, "the passphrase is wrong", "", "30")]]
    started = time.monotonic()
    result = daemon.run("vault", "unlock", "--passphrase-file", "-", input="guess")
    assert result.returncode == 1 and "wrong" in result.stderr and len(daemon.seen) == 1
    assert time.monotonic() - started < 5 and "guess" not in result.stderr + result.stdout


def test_only_one_thing_from_stdin(daemon):
    for args in (["secret", "set", "a", "--value-file", "-", "--passphrase-file", "-"],
                 ["vault", "change-passphrase", "--passphrase-file", "-", "--new-passphrase-file", "-"],
                 ["binding", "setup", "mail", "--yes", "--client-id", "1", "--client-secret-file", "-", "--passphrase-file", "-"],
                 ["action", "run", "x", "--args", "-", "--passphrase-file", "-"]):
        result = daemon.run(*args, input="x")
        assert result.returncode == 2 and "standard input" in result.stderr, result
    assert daemon.seen == []


# --- at the terminal


def test_the_first_vault(daemon):
    daemon.state = MISSING
    daemon.script = [[done(OK)]]
    with daemon.terminal("vault", "init", "--dev") as terminal:
        words = " ".join(terminal.expect("Vault passphrase: ").split())
        for said in ("new Aileron vault is being created", "protects every secret", "never stored", "never sent", "nobody can recover",
                     str(daemon.home / "secrets.json"), "add everything again", "Keep it safe"):
            assert said in words, words
        assert not terminal.echoes()
        terminal.line("first secret")
        terminal.expect("Confirm passphrase: ")
        terminal.line("first secret")
        assert terminal.wait() == 0 and terminal.is_restored()
        assert "first secret" not in terminal.text
    [created] = daemon.seen
    assert created.kind == CREATE and passphrase_of(created) == "first secret" and created.byte() == 1 and created.rest == b""


def test_a_mistyped_confirmation_asks_again(daemon):
    daemon.state = MISSING
    daemon.script = [[done(OK)]]
    with daemon.terminal("vault", "init") as terminal:
        for first, second in (("one", "two"), ("", None), ("three", "three")):
            terminal.expect("Vault passphrase: ")
            terminal.line(first)
            if second is not None:
                terminal.expect("Confirm passphrase: ")
                terminal.line(second)
        assert terminal.wait() == 0 and terminal.is_restored()
        assert "not the same" in terminal.text and "empty" in terminal.text
    assert [passphrase_of(fields) for fields in daemon.seen] == ["three"]


def test_three_mistyped_confirmations_end_it(daemon):
    daemon.state = MISSING
    with daemon.terminal("vault", "init") as terminal:
        for _ in range(3):
            terminal.expect("Vault passphrase: ")
            terminal.line("one")
            terminal.expect("Confirm passphrase: ")
            terminal.line("two")
        assert terminal.wait() == 1 and terminal.is_restored()
    assert daemon.seen == []


def test_pasting_both_at_once(daemon):
    daemon.state = MISSING
    daemon.script = [[done(OK)]]
    with daemon.terminal("vault", "init") as terminal:
        terminal.expect("Vault passphrase: ")
        terminal.send("pasted\npasted\n")
        assert terminal.wait() == 0 and "pasted" not in terminal.text
    assert [passphrase_of(fields) for fields in daemon.seen] == ["pasted"]


def test_backspace_and_kill(daemon):
    daemon.state = LOCKED
    daemon.script = [[done(OK)]]
    with daemon.terminal("vault", "unlock") as terminal:
        terminal.expect("Vault passphrase: ")
        terminal.send("nonsense\x15opeN\x7fn\n")
        assert terminal.wait() == 0
    assert [passphrase_of(fields) for fields in daemon.seen] == ["open"]


def test_a_wrong_one_is_asked_for_again_after_its_pause(daemon):
    daemon.state = LOCKED
    daemon.script = [[done(WRONG, "the passphrase is wrong", "", "1")], [done(OK)]]
    with daemon.terminal("vault", "unlock") as terminal:
        terminal.expect("Vault passphrase: ")
        terminal.line("wrong one")
        terminal.expect("wrong")
        started = time.monotonic()
        terminal.expect("1 s")
        terminal.expect("Vault passphrase: ")
        assert time.monotonic() - started > 0.8
        terminal.line("right one")
        assert terminal.wait() == 0 and terminal.is_restored()
    assert [passphrase_of(fields) for fields in daemon.seen] == ["wrong one", "right one"]


def test_three_wrong_ones_end_it(daemon):
    daemon.state = LOCKED
    daemon.script = [[done(WRONG, "the passphrase is wrong", "", "0")]] * 3
    with daemon.terminal("vault", "unlock") as terminal:
        for _ in range(3):
            terminal.expect("Vault passphrase: ")
            terminal.line("guess")
        assert terminal.wait() == 1 and terminal.is_restored()
    assert len(daemon.seen) == 3


def test_end_of_input_is_no_passphrase(daemon):
    daemon.state = LOCKED
    with daemon.terminal("vault", "unlock") as terminal:
        terminal.expect("Vault passphrase: ")
        terminal.send("\x04")
        assert terminal.wait() == 1 and terminal.is_restored()
    assert daemon.seen == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_signals_put_the_terminal_back(daemon, number):
    daemon.state = LOCKED
    with daemon.terminal("vault", "unlock") as terminal:
        terminal.expect("Vault passphrase: ")
        terminal.send("half")
        os.kill(terminal.pid, number)
        assert terminal.wait() == 128 + number and terminal.is_restored()
    assert daemon.seen == []


@pytest.mark.parametrize("args,state,prompts", [
    (["vault", "unlock"], LOCKED, ["Vault passphrase: "]),
    (["vault", "init"], MISSING, ["Vault passphrase: "]),
    (["vault", "init"], MISSING, ["Vault passphrase: ", "Confirm passphrase: "]),
    (["vault", "change-passphrase"], UNLOCKED, ["Current passphrase: "]),
    (["vault", "change-passphrase"], UNLOCKED, ["Current passphrase: ", "New passphrase: "]),
    (["secret", "set", "user/github"], UNLOCKED, ["Value of user/github: "]),
    (["binding", "setup", "mail"], UNLOCKED, ["Allow? [y/N]: "]),
])
def test_ctrl_c_at_every_prompt(daemon, args, state, prompts):
    daemon.state = state
    daemon.script = [[done(OK)]] * 4
    with daemon.terminal(*args) as terminal:
        for prompt in prompts[:-1]:
            terminal.expect(prompt)
            terminal.line("something")
        terminal.expect(prompts[-1])
        terminal.send("half\x03")
        assert terminal.wait() == 130 and terminal.is_restored()
        assert terminal.echoes()


def test_ctrl_z_gives_the_terminal_back_and_asks_again(daemon):
    daemon.state = LOCKED
    daemon.script = [[done(OK)]]
    with daemon.terminal("-c", f"set -m; {paths.CLI} vault unlock; echo back; fg; echo ended $?", program="/bin/bash") as terminal:
        terminal.expect("Vault passphrase: ")
        terminal.send("half\x1a")
        terminal.expect("back")
        terminal.expect("Vault passphrase: ")
        deadline = time.monotonic() + 10
        while terminal.echoes() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not terminal.echoes()
        terminal.line("whole")
        terminal.expect("ended 0")
        assert terminal.wait() == 0 and terminal.is_restored()
        assert "whole" not in terminal.text
    assert [passphrase_of(fields) for fields in daemon.seen] == ["whole"]


def test_the_variable_is_gone_from_the_command_itself(daemon):
    daemon.state = LOCKED
    daemon.script = [[lambda: time.sleep(1) or done(OK)]]
    process = subprocess.Popen([paths.CLI, "vault", "unlock"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               env={**daemon.environment, "AILERON_VAULT_PASSPHRASE": "from the variable"})
    while not daemon.seen:
        time.sleep(0.01)
    environment = pathlib.Path(f"/proc/{process.pid}/environ").read_bytes()
    memory = pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes()
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert b"AILERON_HOME" in environment and b"from the variable" not in environment + memory


# --- what the keeper says


def test_a_keeper_of_another_version(daemon):
    daemon.version = VERSION + 1
    result = daemon.run("vault", "unlock", "--passphrase-file", "-", input="open")
    assert result.returncode == 1 and "version" in result.stderr and daemon.seen == []


@pytest.mark.parametrize("answer", [b"", b"\0" * 8, frame(DONE, b""), frame(DONE, b"\xff" + text("") * 3), frame(200, b""),
                                    done(OK) + b"x", frame(DONE, struct.pack("=B", OK) + text("") * 3 + b"left over")])
def test_a_malformed_answer_is_no_success(daemon, answer):
    daemon.state = LOCKED
    daemon.script = [[answer or frame(DONE, b"\0")]]
    result = daemon.run("vault", "unlock", "--passphrase-file", "-", input="open")
    assert result.returncode == 1 and "unlocked" not in result.stderr, result


def test_a_slow_answer_is_noted_on_a_terminal(daemon):
    daemon.state = LOCKED
    daemon.script = [[lambda: time.sleep(1.5) or done(OK)]]
    with daemon.terminal("vault", "unlock", "--passphrase-file", daemon.private("pass", "open")) as terminal:
        terminal.expect("deriving the key")
        assert terminal.wait() == 0


def test_what_the_keeper_says_cannot_steer_the_terminal(daemon):
    daemon.script = [[done(REFUSED, "no\x1b[2J\r\nforged: yes", "try\x07 this")]]
    result = daemon.run("secret", "set", "a", "--value-file", "-", input="value")
    assert result.returncode == 1 and "no" in result.stderr
    assert not set("\x1b\x07\r") & set(result.stderr) and "\nforged" not in result.stderr


# --- secrets


def test_secret_set_sends_path_value_labels(daemon):
    daemon.script = [[done(OK)], [done(OK)]]
    value = daemon.private("value", "of the file\n")
    assert daemon.run("secret", "set", "backup/key", "--value-file", value, "--label", "for=backup", "--label", "x=").returncode == 0
    with daemon.terminal("secret", "set", "user/github") as terminal:
        terminal.expect("Value of user/github: ")
        assert not terminal.echoes()
        terminal.line("typed token")
        assert terminal.wait() == 0 and terminal.is_restored() and "typed token" not in terminal.text
    first, second = daemon.seen
    assert (first.kind, first.bytes(), first.bytes()) == (PUT, b"backup/key", b"of the file")
    assert (first.bytes(), first.bytes()) == (b"", b"") and json.loads(first.bytes()) == {"for": "backup", "x": ""}
    assert (second.bytes(), second.bytes()) == (b"user/github", b"typed token")


def test_a_secret_without_a_source_is_wrong_usage(daemon):
    result = daemon.run("secret", "set", "a")
    assert result.returncode == 2 and "--value-file" in result.stderr and daemon.seen == []


def test_delete_asks_and_knows_kinds(daemon):
    daemon.answers["/v1/vault"] = {"state": "unlocked", "entries": [{"path": "a", "kind": "secret"},
                                                                   {"path": "oauth2/mail/me", "kind": "binding"}]}
    daemon.script = [[done(OK)], [done(OK)]]
    result = daemon.run("secret", "delete", "a")
    assert result.returncode == 2 and "--yes" in result.stderr
    result = daemon.run("secret", "delete", "oauth2/mail/me", "--yes")
    assert result.returncode == 1 and "binding revoke" in result.stderr
    assert daemon.run("secret", "delete", "nothing", "--yes").returncode == 1 and daemon.seen == []
    assert daemon.run("secret", "delete", "a", "--yes").returncode == 0
    with daemon.terminal("secret", "delete", "a") as terminal:
        terminal.expect("Delete a? [y/N]: ")
        terminal.line("n")
        assert terminal.wait() == 1
    assert [(fields.kind, fields.bytes()) for fields in daemon.seen] == [(DELETE, b"a")]


# --- consent and OAuth


def begin_spec(fields):
    assert fields.kind == BEGIN
    return json.loads(fields.bytes()), fields.bytes()


def test_no_person_no_consent(daemon):
    result = daemon.run("binding", "setup", "mail")
    assert result.returncode == 2 and "--yes" in result.stderr and daemon.seen == []


def test_the_consent_is_shown_and_a_no_changes_nothing(daemon):
    for answer in ("n", "", "yes please", "\x04"):
        with daemon.terminal("binding", "setup", "mail") as terminal:
            shown = terminal.expect("Allow? [y/N]: ")
            for part in ("local://mail", "1.0.0", "UNSIGNED", "oauth2/mail/me", "Read your mail", "www.mail.test:443", "login.mail.test",
                         "The token will be sent to"):
                assert part in shown, shown
            terminal.send("\x04" if answer == "\x04" else answer + "\n")
            assert terminal.wait() == 1
    assert daemon.seen == []


def test_pasting_the_address(daemon):
    daemon.script = [[frame(URL, text("https://login.mail.test/auth?state=1"))],
                     [frame(PASTED, struct.pack("=B", REFUSED) + text("that is another flow's address") + text("look again"))],
                     [frame(PASTED, struct.pack("=B", OK) + text("") + text("")),
                      done(OK, detail=json.dumps({"binding": "oauth2/mail/work", "granted_scopes": ["read"], "missing_scopes": ["send"],
                                                  "expires_at": "2030-01-01T00:00:00Z", "refresh_token_present": True}))]]
    with daemon.terminal("binding", "setup", "local://mail", "--as", "work", "--default", "--no-browser") as terminal:
        terminal.expect("Allow? [y/N]: ")
        terminal.line("y")
        terminal.expect("https://login.mail.test/auth?state=1")
        terminal.expect("10 minutes")
        terminal.expect("paste the address that your browser shows afterwards: ")
        terminal.line("  http://127.0.0.1:4711/oauth2/callback?code=wrong  ")
        terminal.expect("another flow")
        terminal.expect("paste the address that your browser shows afterwards: ")
        terminal.line("http://127.0.0.1:4711/oauth2/callback?code=right")
        assert terminal.wait() == 0, terminal.text
        assert "NOT GRANTED: send" in terminal.text and "bound oauth2/mail/work" in terminal.text and "2030" in terminal.text
    spec, secret = begin_spec(daemon.seen[0])
    assert secret == b"" and daemon.seen[0].rest == b""
    assert spec == {"binding": "oauth2/mail/work", "connector_fqn": "local://mail", "origins": ["https://www.mail.test:443"],
                    "authorize_url": "https://login.mail.test/auth", "token_url": "https://login.mail.test/token", "client_id": "1234",
                    "scopes": ["read"], "labels": {"scope": "Read your mail"}, "default": True,
                    "redirect_uri": "http://127.0.0.1:4711/oauth2/callback"}
    assert [fields.bytes() for fields in daemon.seen[1:]] == [b"http://127.0.0.1:4711/oauth2/callback?code=wrong",
                                                              b"http://127.0.0.1:4711/oauth2/callback?code=right"]
    assert [fields.kind for fields in daemon.seen[1:]] == [PASTE, PASTE]


def test_the_callback_ends_the_wait_for_a_paste(daemon):
    daemon.script = [[frame(URL, text("https://login.mail.test/auth")), lambda: time.sleep(0.5),
                      done(OK, detail='{"binding":"oauth2/mail/me"}')]]
    with daemon.terminal("binding", "setup", "mail", "--yes", extra={"SSH_CONNECTION": "1 2 3 4", "DISPLAY": ":0"}) as terminal:
        terminal.expect("paste the address")
        assert terminal.wait() == 0 and terminal.is_restored()


def test_ctrl_c_while_waiting_leaves_nothing(daemon):
    daemon.script = [[frame(URL, text("https://login.mail.test/auth"))]]
    with daemon.terminal("binding", "setup", "mail", "--yes", "--no-browser") as terminal:
        terminal.expect("paste the address")
        terminal.send("half\x03")
        assert terminal.wait() == 130 and terminal.is_restored()
    assert daemon.ended.wait(5), "the keeper is told by the end of the connection"


def fake_browser(daemon, name="xdg-open"):
    """A browser that notes how it was called."""
    folder = daemon.base / "bin"
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\nset -C\nprintf '%s\\n' \"$#\" \"$1\" >'{folder}/called'\n"
                       f"cat /proc/$$/environ >'{folder}/environ'\nls -l /proc/$$/fd >'{folder}/fds'\n"
                       f"cut -d' ' -f6 /proc/$$/stat >'{folder}/session'\n: >'{folder}/finished'\n")
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize("browser", ["xdg-open", "BROWSER", "BROWSER %s", "wslview"])
def test_the_browser(daemon, browser):
    name = "my browser".replace(" ", "-") if browser.startswith("BROWSER") else browser
    folder = fake_browser(daemon, name)
    extra = {"DISPLAY": ":0", "PATH": f"{folder}:/usr/bin:/bin" if name != "wslview" else f"{folder}:/bin-without"}
    if name == "wslview":
        for tool in ("sh", "cat", "ls", "cut"):
            (folder / tool).symlink_to(shutil.which(tool))
    if browser.startswith("BROWSER"):
        extra["BROWSER"] = f"{name}{' --new %s' if '%s' in browser else ''}:other"
    url = "https://login.mail.test/auth?a=1&b=$(touch%20x)';x"

    def opened():
        deadline = time.monotonic() + 10
        while not (folder / "finished").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        return done(OK, detail='{"binding":"oauth2/mail/me"}')

    daemon.state = LOCKED
    daemon.script = [[done(OK)], [frame(URL, text(url)), opened]]
    inherited = os.pipe()
    try:
        result = daemon.run("binding", "setup", "mail", "--yes", "--json", input="for nobody", pass_fds=inherited,
                            environment={**extra, "AILERON_VAULT_PASSPHRASE": "for the command alone"})
    finally:
        for fd in inherited:
            os.close(fd)
    assert result.returncode == 0, result
    assert json.loads(result.stdout)["binding"] == "oauth2/mail/me" and url in result.stderr
    called = (folder / "called").read_text().splitlines()
    assert called == (["2", "--new"] if "%s" in browser else ["1", url])
    environment = (folder / "environ").read_bytes()
    assert b"DISPLAY=:0" in environment and b"for the command alone" not in environment and b"PASSPHRASE" not in environment
    fds = (folder / "fds").read_text()
    assert "socket:" not in fds and "pipe:" not in fds and fds.count("/dev/null") >= 2, fds


@pytest.mark.parametrize("environment", [{"DISPLAY": ":0", "SSH_TTY": "/dev/pts/1"}, {"DISPLAY": ":0", "SSH_CONNECTION": "x"}, {}])
def test_no_browser_where_nobody_looks(daemon, environment):
    folder = fake_browser(daemon)
    daemon.script = [[frame(URL, text("https://login.mail.test/auth")), lambda: time.sleep(0.3),
                      done(OK, detail='{"binding":"oauth2/mail/me"}')]]
    result = daemon.run("binding", "setup", "mail", "--yes", environment={"PATH": f"{folder}:/usr/bin:/bin", **environment})
    assert result.returncode == 0 and "https://login.mail.test/auth" in result.stderr, result
    assert not (folder / "called").exists()


@pytest.mark.parametrize("client_id", ["", "@@client_id@@", "<id>", "your-client-id", "EXAMPLE", "xxxx"])
def test_a_placeholder_is_refused(daemon, client_id):
    connector = json.loads(json.dumps(CONNECTOR))
    connector["credential"]["oauth2"]["client_id"] = client_id
    for path in list(daemon.answers):
        if path.startswith("/v1/connectors/"):
            daemon.answers[path] = connector
    result = daemon.run("binding", "setup", "mail", "--yes")
    assert result.returncode == 1 and "--client-id" in result.stderr and "google-account.md" in result.stderr, result
    assert daemon.seen == []
    daemon.script = [[done(FAILED, "later")]]
    result = daemon.run("binding", "setup", "mail", "--yes", "--client-id", "my-own", "--client-secret-file",
                        daemon.private("secret", "my secret\n"))
    spec, secret = begin_spec(daemon.seen[0])
    assert spec["client_id"] == "my-own" and secret == b"my secret" and "later" in result.stderr


def test_no_such_connector(daemon):
    result = daemon.run("binding", "setup", "nothing", "--yes")
    assert result.returncode == 1 and "connector install" in result.stderr
    other = {**CONNECTOR, "fqn": "github://acme/mail"}
    daemon.answers["/v1/connectors"] = {"connectors": [CONNECTOR, other]}
    result = daemon.run("binding", "setup", "mail", "--yes")
    assert result.returncode == 1 and "several" in result.stderr and daemon.seen == []
