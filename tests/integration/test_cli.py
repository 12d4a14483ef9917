"""The command line as a person meets it: help, exit codes, --json, colour, errors as one line and a hint."""
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import time

import pytest

from tests.rig import paths
from tests.rig.probing import args_of

HELP = paths.CLI.exists() and subprocess.run([paths.CLI, "help"], capture_output=True, text=True, check=False).stdout or ""
GROUPS = ["daemon", "action", "connector", "binding", "vault", "secret", "audit", "sessions", "config"]
COMMANDS = ["version", "status", "stop", "daemon start", "daemon stop", "daemon status", "daemon logs", "connector install",
            "connector list", "action add", "action list", "action show", "action run", "action enable", "action disable",
            "action validate", "audit list", "audit show", "audit verify", "sessions list", "sessions get", "config list",
            "config get", "config set", "demo", "binding setup", "binding list", "binding inspect", "binding rebind",
            "binding reauthorize", "binding revoke", "vault init", "vault status", "vault unlock", "vault lock", "vault list",
            "vault put", "vault delete", "vault change-passphrase", "secret set", "secret list", "secret delete"]


def test_version(home):
    result = home.cli("version", check=0)
    assert re.fullmatch(r"aileron \d+\.\d+\.\d+\S*\n", result.out) and result.err == ""
    assert not (home.path / "daemon.json").exists(), "version must not start the daemon"
    assert home.cli("--version").out == result.out


def test_version_is_quick(home):
    took = []
    for _ in range(20):
        started = time.perf_counter()
        subprocess.run([paths.CLI, "version"], env=home.environment, stdout=subprocess.DEVNULL, check=True)
        took.append(time.perf_counter() - started)
    assert sorted(took)[len(took) // 2] < 0.05


def test_help_lists_every_group(home):
    for args in (["help"], ["--help"], ["-h"]):
        out = home.cli(*args, check=0).out
        for group in GROUPS:
            assert re.search(rf"\b{group}\b", out), f"{group} is not in the help"
    assert not (home.path / "daemon.json").exists()


@pytest.mark.parametrize("command", COMMANDS + GROUPS)
def test_help_everywhere(home, command):
    words = command.split()
    shown = home.cli("help", *words, check=0).out
    assert home.cli(*words, "--help", check=0).out == shown
    assert command in shown and len(shown.splitlines()) >= 2
    assert not (home.path / "daemon.json").exists(), "help must not start the daemon"


@pytest.mark.parametrize("args", [["frobnicate"], ["action", "frobnicate"], ["action", "list", "--frobnicate"],
                                  ["action", "show"], ["action", "run"], ["action", "add"], ["action", "add", "--local"],
                                  ["connector", "install"], ["audit", "show"], ["sessions", "get"],
                                  ["config", "set", "log.level"], ["version", "superfluous"], ["daemon", "start", "--dev-ca"],
                                  ["audit", "list", "--limit"], ["help", "frobnicate"], ["binding", "setup"], ["binding", "inspect"],
                                  ["vault", "frobnicate"], ["vault", "put"], ["vault", "unlock", "--passphrase-file"],
                                  ["vault", "status", "--passphrase-file", "x"], ["secret", "set", "a", "b"]])
def test_wrong_usage_is_2(home, args):
    result = home.cli(*args)
    assert result.code == 2, repr(result)
    assert result.out == "" and result.err.startswith("aileron") and len(result.err.splitlines()) <= 4, repr(result)


def test_a_slip_of_the_finger_gets_a_suggestion(home):
    assert "status" in home.cli("statsu").err
    assert "list" in home.cli("action", "lsit").err


def test_an_unknown_action_is_1(probe_home):
    result = probe_home.cli("action", "show", "no-such-action")
    assert result.code == 1 and "no-such-action" in result.err and result.out == ""
    assert probe_home.cli("action", "run", "no-such-action").code == 1
    assert probe_home.cli("audit", "show", "aud_00000000000000000000000000").code == 1
    assert probe_home.cli("sessions", "get", "ses_00000000000000000000000000").code == 1


@pytest.mark.parametrize("args", [["status"], ["daemon", "status"], ["action", "list"], ["action", "show", "probe"],
                                  ["connector", "list"], ["audit", "list"], ["audit", "verify"], ["sessions", "list"],
                                  ["config", "list"], ["config", "get", "log.level"], ["vault", "status"], ["vault", "list"],
                                  ["binding", "list"], ["binding", "inspect", "probe"]])
def test_json_wherever_something_is_shown(probe_home, args):
    probe_home.api("POST", "/v1/sessions", {"agent": "tests"})
    plain = probe_home.cli(*args, check=0)
    assert plain.out.strip() and not plain.out.lstrip().startswith("{")
    result = probe_home.cli(*args, "--json", check=0)
    json.loads(result.out)


def test_run_prints_json(probe_home):
    answer = probe_home.run_action("probe", args_of(stdout='{"output":{"a":1}}'), check=0).json()
    assert answer["output"] == {"a": 1} and answer["audit_id"].startswith("aud_")
    assert answer["connector_version"] == "1.0.0" and answer["connector_hash"].startswith("sha256:")
    assert [step["id"] for step in answer["steps"]] == ["probe"]


def test_arguments_by_name(probe_home):
    """k=v is converted by the input's declared type, arrays by repetition."""
    result = probe_home.cli("action", "run", "probe", "--arg", f"stdout={args_of(stdout='{}')['stdout']}", "--arg", "exit=3")
    assert result.code == 1 and "exit" in result.err.lower() or "3" in result.err, repr(result)
    calls = args_of("{}", "[]")["calls"]
    given = [word for call in calls for word in ("--arg", f"calls={call}")]
    result = probe_home.cli("action", "run", "probe", "--json", *given, check=0)
    assert [item["rc"] for item in result.json()["output"]["results"]] == [-2, -2]
    assert probe_home.cli("action", "run", "probe", "--arg", "exit=three").code in (1, 2)
    assert probe_home.cli("action", "run", "probe", "--arg", "nosuch=1").code in (1, 2)
    assert probe_home.cli("action", "run", "probe", "--arg", "exit").code == 2


def test_arguments_from_a_file_and_from_stdin(probe_home):
    args = json.dumps(args_of(stdout='{"output":{"from":"here"}}'))
    (probe_home.base / "args.json").write_text(args)
    for given, piped in ((args, None), ("@args.json", None), ("-", args)):
        result = probe_home.cli("action", "run", "probe", "--args", given, "--json", input=piped, check=0)
        assert result.json()["output"] == {"from": "here"}
    assert probe_home.cli("action", "run", "probe", "--args", "@no-such-file").code in (1, 2)
    assert probe_home.cli("action", "run", "probe", "--args", "{broken").code in (1, 2)
    assert probe_home.cli("action", "run", "probe", "--args", "[]").code in (1, 2)


def test_a_missing_input_prints_the_usage_of_the_action(probe_home):
    result = probe_home.cli("action", "run", "probe-chain", "--arg", "first=e30")
    assert result.code != 0 and "second" in result.err and "--arg" in result.err, repr(result)


def test_enable_and_disable(probe_home):
    probe_home.cli("action", "disable", "probe-sure", check=0)
    try:
        assert "probe-sure" in probe_home.cli("action", "list", check=0).out
        [row] = [row for row in probe_home.cli("action", "list", "--json").json()["actions"] if row["name"] == "probe-sure"]
        assert row["enabled"] is False
        result = probe_home.run_action("probe-sure", {})
        assert result.code == 1 and "disabled" in result.err + result.out
        assert json.loads((probe_home.path / "action-state.json").read_text())["probe-sure"] == {"enabled": False}
    finally:
        probe_home.cli("action", "enable", "probe-sure", check=0)
    probe_home.run_action("probe-sure", args_of(stdout="{}"))


def in_terminal(home, args, environment=None, columns=100):
    """Runs a command on a pseudo-terminal; its output as the terminal got it."""
    pid, fd = pty.fork()
    if pid == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        os.chdir(home.base)
        os.execve(paths.CLI, ["aileron", *args], {**home.environment, "TERM": "xterm-256color", **(environment or {})})
    out = b""
    while True:
        try:
            part = os.read(fd, 65536)
        except OSError:
            break
        if not part:
            break
        out += part
    os.waitpid(pid, 0)
    os.close(fd)
    return out.decode()


def test_colour_only_on_a_terminal(probe_home):
    assert "\x1b[" not in probe_home.cli("audit", "list").out
    assert "\x1b[" not in probe_home.cli("help").out
    assert "\x1b[" in in_terminal(probe_home, ["audit", "list"])
    assert "\x1b[" not in in_terminal(probe_home, ["audit", "list"], {"NO_COLOR": "1"})
    assert "\x1b[" not in in_terminal(probe_home, ["audit", "list"], {"TERM": "dumb"})


def test_a_listing_fits_the_terminal(probe_home):
    out = in_terminal(probe_home, ["audit", "list"], {"NO_COLOR": "1"}, 100)
    rows = [line for line in out.splitlines() if line.startswith("20")]
    assert rows and max(len(line) for line in rows) <= 100


def test_what_a_connector_says_cannot_steer_the_terminal(probe_home):
    result = probe_home.run_action("probe", args_of(stdout='{"error":{"class":"bad_input","message":"\\u001b[31mred\\u0007"}}'))
    plain = probe_home.cli("action", "run", "probe", "--args", "-", input=json.dumps(
        args_of(stdout='{"error":{"class":"bad_input","message":"\\u001b[31mred\\u0007\\r\\nforged"}}')))
    assert result.code == plain.code == 1
    assert "\x1b" not in plain.err + plain.out and "\x07" not in plain.err + plain.out and "\r" not in plain.err


def test_an_error_is_one_line_and_a_hint(probe_home):
    result = probe_home.cli("connector", "install", "--local", "/no/such/folder")
    assert result.code == 1 and result.out == "" and 1 <= len(result.err.splitlines()) <= 3, repr(result)
    assert "/no/such/folder" in result.err


def test_unsigned_is_said_loudly(probe_home):
    assert "unsigned" in probe_home.cli("connector", "list").out.lower()
    assert "unsigned" in probe_home.cli("action", "show", "probe").out.lower()


def test_config(home):
    home.start()
    assert home.cli("config", "get", "log.level", check=0).out.strip() == "info"
    home.cli("config", "set", "log.level", "debug", check=0)
    assert home.cli("config", "get", "log.level", check=0).out.strip() == "debug"
    assert "debug" in (home.path / "config.toml").read_text()
    for key, value in (("no.such", "1"), ("log.level", "shouting"), ("web.port", "70000"), ("web.port", "x")):
        result = home.cli("config", "set", key, value)
        assert result.code in (1, 2) and key.split(".")[0] in result.err, repr(result)
    assert home.cli("config", "get", "log.level", check=0).out.strip() == "debug"


def test_a_config_file_with_an_unknown_key_names_its_line(home):
    home.path.mkdir(mode=0o700)
    (home.path / "config.toml").write_text('[log]\nlevel = "info"\n\n[nosuch]\nkey = 1\n')
    result = home.start(check=None)
    assert result.code in (1, 4) and "config.toml" in result.err and "4" in result.err, repr(result)


def test_status_shouts_about_overrides(probe_home):
    out = probe_home.cli("status", check=0).out
    for word in ("dev-connect-to", "dev-ca"):
        assert word in out, out
    status = probe_home.cli("status", "--json").json()
    assert status["vault_state"] == "unlocked" and status["overrides_active"] is True
    result = probe_home.cli("action", "list", check=0)
    assert "develop" in (result.err + result.out).lower(), "every command shows that overrides are active"
    probe_home.cli("vault", "lock", check=0)
    try:
        assert "not active" in probe_home.cli("status", check=0).out
        assert "develop" not in probe_home.cli("action", "list", check=0).err.lower()
    finally:
        probe_home.unlock()
