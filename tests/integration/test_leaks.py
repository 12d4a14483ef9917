"""After a full loop (consent, calls, a forced refresh, the relay) no secret is anywhere but in the keeper, in any encoding."""
import contextlib
import json
import os
import pathlib
import re
import secrets
import time

import pytest

from tests.rig import paths
from tests.rig.consent import PlainBrowser
from tests.rig.home import Home
from tests.rig.relay import Relay
from tests.rig.search import Needles, forms, may_search
from tests.rig.terminal import Terminal
from tests.rig.vault import Vault
from tests.rig.workspace import EMAIL

FQN, NAME = "local://google", "oauth2/google/me"
CLIENT = "own-client-1"


@pytest.fixture(scope="module")
def passphrase():
    """Not a constant: no file or buffer of the tests' own may hold it by chance."""
    return "phrase " + secrets.token_urlsafe(24)


@pytest.fixture(scope="module")
def client_secret():
    return "GOCSPX-" + secrets.token_urlsafe(24)


class Loop:
    """A home whose vault has a passphrase of its own; what was told to people and programs is kept in `told`."""

    def __init__(self, home, passphrase, client_secret):
        self.home, self.passphrase, self.client_secret = home, passphrase, client_secret
        self.key = home.vault(passphrase)._key
        self.told = []
        self.tokens = {}

    def run(self, *args, **more):
        result = self.home.cli(*args, **more)
        self.told.append(result.out + result.err)
        return result

    def remember_tokens(self, label):
        """Access and refresh token as they now stand, under names of their own."""
        value = self.home.vault(self.passphrase).value(NAME)
        for kind in ("access_token", "refresh_token"):
            if value.get(kind) and value[kind] not in self.tokens.values():
                self.tokens[f"{label} {kind}"] = value[kind]

    def needles(self):
        return Needles(**{"passphrase": self.passphrase, "key": self.key, "client secret": self.client_secret, **self.tokens})


def memory_is_clean(needles, pid, what):
    if may_search(pid):
        assert needles.in_memory(pid) == {}, what


def terminal(loop, *args, **more):
    return Terminal(loop.home.environment, args, cwd=loop.home.base, **more)


def setup_args(loop, identity, file):
    return ("binding", "setup", FQN, "--as", identity, "--yes", "--no-browser", "--client-id", CLIENT, "--client-secret-file", file)


@contextlib.contextmanager
def waiting(loop, identity, *more, typed=None, extra=None):
    """`binding setup` on a terminal, which has sent the person to a page and waits: the terminal and the address."""
    file = loop.home.base / "client-secret"
    file.touch(mode=0o600)
    file.write_text(loop.client_secret + "\n")
    try:
        with terminal(loop, *setup_args(loop, identity, file), *more, extra=extra, columns=4000) as shown:
            if typed:
                shown.expect("assphrase")
                shown.line(typed)
            shown.expect("https://accounts")
            yield shown, "https://accounts" + shown.expect("\n").strip()
            loop.told.append(shown.text)
    finally:
        file.unlink()


@pytest.fixture(scope="module")
def loop(built, nginx, ca, workspace, passphrase, client_secret):
    """Everything that the product does with an OAuth credential, once."""
    home = Home(connect_to=nginx.connect_to(), ca=ca.path)
    try:
        Vault(passphrase, salt=os.urandom(16), dev=True).write(home.vault_file)
        home.start(unlock=False)
        home.install(paths.GOOGLE, paths.GOOGLE / "actions")
        workspace.reset()
        workspace.register(f"{home.discovery()['url'].rstrip('/')}/oauth2/callback", CLIENT, client_secret)
        made = Loop(home, passphrase, client_secret)
        made.browser = PlainBrowser(nginx.connect_to(), ca.path)
        yield made
    finally:
        home.close()


def consent(loop, shown, url):
    page = loop.browser.load(loop.browser.consent(url, EMAIL))
    assert page.status == 200, page
    loop.told.append(page.text + str(page.headers))
    assert shown.wait() == 0, shown.text


def test_the_search_finds_what_is_there(tmp_path):
    secret = secrets.token_urlsafe(40)
    needles = Needles(it=secret)
    for name, form in forms(secret.encode()).items():
        file = tmp_path / "x"
        file.write_bytes(b"-" * 1000 + form + b"-" * 1000)
        assert needles.in_files(tmp_path) and needles.within(form), name
    assert needles.within("nothing here") == []


@pytest.fixture(scope="module")
def looped(loop, workspace):
    """Consent, calls, a forced refresh, and a relay that is still there."""
    with waiting(loop, "me", typed=loop.passphrase) as (shown, url):
        loop.command_line = pathlib.Path(f"/proc/{shown.pid}/cmdline").read_bytes()
        loop.found_while_waiting = loop.needles().in_memory(shown.pid) if may_search(shown.pid) else {}
        consent(loop, shown, url)
    loop.remember_tokens("first")
    loop.run("action", "run", "list-recent-emails", "--json", check=0)
    workspace.expire()
    loop.run("action", "run", "list-recent-emails", "--json", check=0)
    loop.remember_tokens("second")
    loop.relay = Relay(loop.home)
    loop.told.append(json.dumps(loop.relay.call("list_recent_emails")))
    loop.run("action", "run", "get-email", "--arg", "id=no-such-mail", "--json")
    yield loop
    loop.relay.end()


def test_the_command_that_waits_has_nothing(looped):
    """While the person is in the browser: the passphrase was typed, the client secret was read."""
    assert looped.found_while_waiting == {}
    assert looped.needles().within(looped.command_line) == []


def test_the_keeper_alone_has_it(looped):
    assert len(looped.tokens) >= 3, "an access and a refresh token, and what the refresh brought"
    [keeper] = looped.home.children("keeper")
    if may_search(keeper):
        held = looped.needles().in_memory(keeper)
        assert any("access_token" in name for name in held), "the search itself finds it where it must be"
    others = {pid: line for pid, line in looped.home.processes().items() if pid != keeper}
    assert any("worker" in line for line in others.values())
    for pid, line in {looped.home.pid(): "broker", looped.relay.process.pid: "relay", **others}.items():
        memory_is_clean(looped.needles(), pid, line)


def test_that_memory_was_searched(looped):
    """The tests here leave that part out where it cannot be done; this one says so."""
    [keeper] = looped.home.children("keeper")
    if not may_search(keeper):
        pytest.skip("reading the memory of an undumpable process needs root, and a build without ASan's shadow memory")


def test_what_the_keeper_forgets(looped):
    """Once locked, not even the keeper has it."""
    [keeper] = looped.home.children("keeper")
    looped.run("vault", "lock", check=0)
    try:
        memory_is_clean(looped.needles(), keeper, "a locked keeper")
    finally:
        with terminal(looped, "vault", "unlock") as shown:
            shown.expect("assphrase")
            shown.line(looped.passphrase)
            assert shown.wait() == 0, shown.text
            looped.told.append(shown.text)


def test_the_environment_is_wiped(looped):
    """AILERON_VAULT_PASSPHRASE is gone from the command's memory and environment by the time that it waits."""
    looped.run("vault", "lock", check=0)
    with waiting(looped, "other", extra={"AILERON_VAULT_PASSPHRASE": looped.passphrase}) as (shown, _):
        assert looped.needles().within(pathlib.Path(f"/proc/{shown.pid}/environ").read_bytes()) == []
        memory_is_clean(looped.needles(), shown.pid, "aileron binding setup")


def test_no_file_holds_any_of_it(looped):
    assert looped.needles().in_files(looped.home.path) == {}


def test_no_answer_holds_any_of_it(looped):
    for args in (["status"], ["status", "--json"], ["audit", "list", "--json"], ["connector", "list", "--json"], ["binding", "list"],
                 ["binding", "list", "--json"], ["binding", "inspect", NAME], ["binding", "inspect", NAME, "--json"],
                 ["vault", "list", "--json"], ["vault", "status"], ["secret", "list"], ["config", "list", "--json"],
                 ["daemon", "logs"], ["audit", "verify"]):
        looped.run(*args, check=0)
    for path in ("/v1/status", "/v1/bindings", f"/v1/bindings/{NAME}", "/v1/vault", "/v1/audit", "/v1/connectors", "/v1/sessions",
                 "/v1/actions", "/v1/config"):
        answer = looped.home.api("GET", path)
        looped.told.append(answer.body.decode() + str(answer.headers))
    for told in looped.told:
        assert looped.needles().within(told) == [], told[:400]


def test_no_process_can_be_dumped(looped):
    for pid, line in [(looped.home.pid(), "broker"), *looped.home.processes().items()]:
        assert re.search(r"Max core file size\s+0\s+0", pathlib.Path(f"/proc/{pid}/limits").read_text()), line


def test_the_deriving_child_cannot_be_dumped(looped):
    """The keeper forks it for each passphrase; it has the passphrase, so it is looked at while it works."""
    [keeper] = looped.home.children("keeper")
    file = looped.home.base / "typed"
    file.touch(mode=0o600)
    file.write_text(looped.passphrase)
    seen = []
    try:
        for _ in range(10):
            looped.run("vault", "lock", check=0)
            with terminal(looped, "vault", "unlock", "--passphrase-file", file) as shown:
                deadline = time.monotonic() + 5
                while not shown._ended() and time.monotonic() < deadline:
                    for child in pathlib.Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split():
                        with contextlib.suppress(OSError):
                            limits = pathlib.Path(f"/proc/{child}/limits").read_text()
                            seen.append((limits, os.stat(f"/proc/{child}/mem").st_uid))
                shown.wait()
            if seen:
                break
    finally:
        file.unlink()
    assert seen, "the child was never there"
    for limits, owner in seen:
        assert re.search(r"Max core file size\s+0\s+0", limits) and owner == 0, limits
