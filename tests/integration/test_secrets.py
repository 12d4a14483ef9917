"""Where a credential and the arguments of a call must never be: other processes' memory, argv, environ, logs, audit, answers."""
import pathlib
import re
import secrets

import pytest

from tests.conftest import make_probe_home
from tests.rig import paths
from tests.rig.home import Home, b64u, credential
from tests.rig.probing import args_of, ask, envelope, probe
from tests.rig.relay import Relay


@pytest.fixture(scope="module")
def secret():
    """Not a constant: no file or buffer of the tests' own may hold it by chance."""
    return "tok-" + secrets.token_hex(24)


@pytest.fixture(scope="module")
def secret_home(built, probe_folder, hostile_server, ca, secret):
    home = Home([credential("api_key/probe/me", "local://probe",
                            ["https://evil.test:443", "https://slow.test:443"], secret)],
                hostile_server.connect_to(["evil.test", "slow.test", "other.test", "elsewhere.test"]), ca.path)
    home.start()
    home.install(probe_folder, *sorted((probe_folder / "actions").glob("*.md")))
    yield home
    home.close()


def memory_holds(pid, needle):
    """Is `needle` anywhere in the readable memory of a process?"""
    if paths.sanitized():
        pytest.skip("ASan's shadow memory is terabytes wide; the plain build is searched")
    found = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
            where = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if not where or "[v" in line:
                continue
            at, end = (int(text, 16) for text in where.groups())
            tail = b""
            while at < end:
                size = min(end - at, 4 << 20)
                try:
                    memory.seek(at)
                    data = memory.read(size)
                except (OSError, ValueError, OverflowError):
                    break
                if needle in tail + data:
                    found.append(line)
                    break
                tail = data[-len(needle):]
                at += size
    return found


def use_it_in_every_way(home):
    for path in ("/do/echo", "/do/echo_split", "/do/status/401", "/do/redirects/2", "/do/echo_often/200"):
        ask(home, "https://evil.test" + path, credential="api_key")
    probe(home, envelope("https://evil.test/do/reset_mid", credential="api_key"), action="probe-once")
    probe(home, envelope("https://other.test/do/echo", credential="api_key"))
    probe(home, envelope("https://evil.test/do/redirect/302?to=https%3A%2F%2Felsewhere.test%2F", credential="api_key"))


def test_the_credential_is_in_the_keepers_memory_alone(secret_home, secret):
    use_it_in_every_way(secret_home)
    [keeper] = secret_home.children("keeper")
    others = {secret_home.pid(): "broker", **{pid: "child" for pid in secret_home.processes() if pid != keeper}}
    assert len(others) >= 2, "a worker should be there"
    try:
        assert memory_holds(keeper, secret.encode()), "the search itself finds it where it must be"
        for pid, what in others.items():
            for needle in (secret.encode(), b64u(secret).encode()[:-2], secret[:30].encode()):
                assert not memory_holds(pid, needle), f"{what} {secret_home.processes().get(pid)}"
    except PermissionError:
        pytest.skip("reading the memory of an undumpable process needs root")


def test_no_process_shows_it(secret_home, secret):
    for pid in [secret_home.pid(), *secret_home.processes()]:
        assert secret.encode() not in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        try:
            assert secret.encode() not in pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        except PermissionError:
            continue


def test_the_processes_cannot_be_dumped(secret_home):
    """Undumpable: /proc/PID belongs to root and core dumps are off."""
    for pid, line in [(secret_home.pid(), "broker"), *secret_home.processes().items()]:
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max core file size\s+0\s+0", limits), line


def test_no_file_holds_it(secret_home, secret):
    use_it_in_every_way(secret_home)
    for path in secret_home.path.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path


def test_no_answer_holds_it(secret_home, secret):
    for args in (["status"], ["status", "--json"], ["audit", "list", "--json"], ["connector", "list", "--json"],
                 ["action", "show", "probe", "--json"], ["config", "list", "--json"], ["daemon", "logs"]):
        result = secret_home.cli(*args, check=0)
        assert secret not in result.out + result.err, args
    for path in ("/v1/status", "/v1/bindings", "/v1/audit", "/v1/connectors"):
        assert secret.encode() not in secret_home.api("GET", path).body


def test_no_failure_holds_it(secret_home, hostile, secret):
    for line in ("echo", "echo_split", "status/500", "close_mid"):
        hostile.script("evil.test", line, path="/failing")
        result = secret_home.run_action("probe-once", args_of(envelope("https://evil.test/failing", credential="api_key")))
        assert secret not in result.out + result.err


MARK = "argument-that-must-not-be-kept-0d5e"


def test_arguments_are_in_no_log_and_no_receipt(secret_home, hostile):
    """Whatever the call does: succeed, fail, be refused, be malformed, come over any door."""
    home = secret_home
    calls = [
        ("probe", args_of(envelope(f"https://evil.test/do/ok?{MARK}"))),
        ("probe", args_of(envelope(f"https://elsewhere.test/do/ok?{MARK}"))),
        ("probe", args_of(envelope(f"https://evil.test/do/status/500?{MARK}", "POST", body=MARK))),
        ("probe", args_of(f"not JSON {MARK}")),
        ("probe", args_of(stdout=f'{{"error":{{"class":"bad_input","message":"{MARK}"}}}}')),
        ("probe", args_of(stdout=MARK)),
        ("probe", args_of(stderr=MARK, exit=3)),
        ("probe", {"nosuch": MARK}),
        ("probe", {"exit": MARK}),
        ("probe-chain", {"first": b64u("{}"), "second": b64u(MARK)}),
    ]
    for name, args in calls:
        home.run_action(name, args)
        home.api("POST", f"/v1/actions/{name}/run", {"args": args})
    home.api("POST", f"/v1/actions/probe/run?{MARK}={MARK}", "{broken " + MARK)
    home.api("GET", f"/v1/{MARK}")
    home.api("POST", f"/v1/actions/{MARK}/run", {"args": {}})
    relay = Relay(home)
    relay.call("probe", calls[0][1])
    relay.request("tools/call", {"name": "probe", "arguments": {"nosuch": MARK}})
    relay.send('{"jsonrpc":"2.0","id":9,"method":"' + MARK)
    relay.receive()
    relay.end()
    home.cli("action", "run", "probe", "--arg", f"stderr={MARK}")
    encoded = [MARK, b64u(MARK)[:-2], b64u("x" + MARK)[4:-4], b64u("xy" + MARK)[4:-4]]
    kept = [*home.audit_files(), *(home.path / "log").iterdir(), *(home.path / "audit").rglob("*.jsonl")]
    for path in kept:
        text = path.read_text(errors="replace")
        for form in encoded:
            assert form not in text, f"{path.name}: {next(line for line in text.splitlines() if form in line)}"


def test_what_a_connector_logs_is_logged_cleaned(secret_home):
    """The log function exists to be read; what must not come through is anything that forges a line."""
    secret_home.cli("config", "set", "log.level", "debug", check=0)
    probe(secret_home, logs=["said by the connector\nforged line\x1b[31m\x00"], level="warn")
    log = secret_home.log()
    assert "said by the connector" in log
    assert "\x1b" not in log and "\x00" not in log
    assert not any(line.startswith("forged line") for line in log.splitlines())


def test_an_unknown_level_and_bad_text_do_no_harm(secret_home):
    probe(secret_home, logs=[b"\xff\xfe not UTF-8", b"", b"x" * 100_000], level="no such level")
    assert max(len(line) for line in secret_home.log().splitlines()) < 4096


def test_a_flood_of_log_lines_is_cut(built, probe_folder, hostile_server, ca):
    home = make_probe_home(probe_folder, hostile_server, ca)
    try:
        before = len(home.log())
        assert probe(home, logs=["line"] * 5000).failure is None
        assert len(home.log()) - before < 200_000
    finally:
        home.close()
