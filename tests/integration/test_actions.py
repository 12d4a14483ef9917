"""Actions and connectors through the front door: installing, validating, running, and how a connector may end."""
import json
import shutil
import time

import pytest

from tests.conftest import make_probe_home
from tests.rig.home import Home
from tests.rig.probing import args_of, envelope, probe

ACTION = """+++
name = "NAME"
version = "1.0.0"

[[requires.connectors]]
name = "local://probe"
version = "1.0.0"
hash = "@@HASH@@"
capabilities = ["probe"]

[match]
intent = "tests"

[[inputs]]
name = "text"
type = "string"
description = "some text"

[[execute]]
id = "one"
connector = "local://probe"
op = "probe"
+++
# NAME

Words.
"""


def write_action(home, name, text=ACTION):
    path = home.base / f"{name}.md"
    path.write_text(text.replace("NAME", name))
    return path


BROKEN = {
    "no front matter": ("+++", "---"),
    "unknown key": ('version = "1.0.0"\n\n[[req', 'version = "1.0.0"\nnosuch = 1\n\n[[req'),
    "unknown key in an input": ('description = "some text"', 'description = "some text"\nnosuch = 1'),
    "unknown table": ("[match]", "[nosuch]\nx = 1\n[match]"),
    "bad name": ('name = "NAME"\nversion', 'name = "Bad Name"\nversion'),
    "bad version": ('version = "1.0.0"\n\n[[req', 'version = "1.0"\n\n[[req'),
    "no intent": ('intent = "tests"', ""),
    "no inputs description": ('description = "some text"', ""),
    "unknown type": ('type = "string"', 'type = "text"'),
    "no steps": ('[[execute]]\nid = "one"\nconnector = "local://probe"\nop = "probe"', ""),
    "op not required": ('op = "probe"', 'op = "other"'),
    "connector not required": ('connector = "local://probe"', 'connector = "local://other"'),
    "undeclared name": ('op = "probe"', 'op = "probe"\ninputs = { stdout = "${args.nosuch}" }'),
    "two inputs alike": ("[[execute]]", '[[inputs]]\nname = "text"\ntype = "string"\ndescription = "x"\n\n[[execute]]'),
    "two steps alike": ('op = "probe"', 'op = "probe"\n\n[[execute]]\nid = "one"\nconnector = "local://probe"\nop = "probe"'),
    "a placeholder left over": ('hash = "@@HASH@@"', 'hash = "@@NOSUCH@@"'),
    "wrong hash": ('hash = "@@HASH@@"', 'hash = "sha256:' + "0" * 64 + '"'),
    "connector not installed": ("local://probe", "local://absent"),
    "not TOML": ("[match]", "[match"),
    "a key twice": ('intent = "tests"', 'intent = "tests"\nintent = "again"'),
    "multiline on a number": ('type = "string"', 'type = "integer"\nmultiline = true'),
    "items on text": ('type = "string"', 'type = "string"\nitems_type = "string"'),
    "deep dotted key": ("[match]", ".".join(["a"] * 5000) + " = 1\n[match]"),
    "NUL": ('intent = "tests"', 'intent = "te\0sts"'),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_action_is_refused_with_its_place(probe_home, what):
    old, new = BROKEN[what]
    assert old in ACTION
    path = write_action(probe_home, "broken", ACTION.replace(old, new))
    result = probe_home.cli("action", "add", "--local", path)
    assert result.code == 1 and "broken" in result.err and result.out == "", repr(result)
    assert len(result.err) < 2000
    assert "broken" not in [action["name"] for action in probe_home.cli("action", "list", "--json").json()["actions"]]


def test_validate_names_file_line_and_key(probe_home):
    path = write_action(probe_home, "broken", ACTION.replace('type = "string"', 'type = "text"'))
    result = probe_home.cli("action", "validate", path)
    assert result.code == 1, repr(result)
    said = result.out + result.err
    assert "broken.md" in said and "type" in said and ":16" in said.replace("line 16", ":16"), said
    good = write_action(probe_home, "good")
    assert probe_home.cli("action", "validate", good).code == 0


def test_an_action_that_others_wrote_into_the_home_is_reported(probe_home):
    """A file that does not parse is a load error in the list, not the end of the list."""
    path = probe_home.path / "actions/rotten.md"
    path.write_text("+++\nnosuch = 1\n+++\n")
    try:
        listed = probe_home.cli("action", "list", "--json", check=0).json()
        [error] = [error for error in listed["load_errors"] if "rotten" in error["file"]]
        assert error["line"] and error["message"] and "probe" in [action["name"] for action in listed["actions"]]
        shown = probe_home.cli("action", "list", check=0)
        assert "rotten" in shown.out + shown.err
    finally:
        path.unlink()


GATED = ACTION.replace("[[execute]]", "[approval]\nrequired = true\n\n[[execute]]")


def test_a_gated_action_is_refused_clearly(probe_home):
    path = write_action(probe_home, "gated", GATED)
    added = probe_home.cli("action", "add", "--local", path)
    if added.code == 0:
        result = probe_home.run_action("gated", {"text": "x"})
        assert result.code != 0 and "approv" in (result.out + result.err).lower(), repr(result)
        probe_home.api("DELETE", "/v1/actions/gated")
    else:
        assert "approv" in added.err.lower(), repr(added)


def test_a_chain_ends_at_its_first_failure(probe_home):
    ok, bad = '{"output":{"n":1}}', '{"error":{"class":"bad_input","message":"no"}}'
    answer = probe_home.run_action("probe-chain", args_of(first=ok, second='{"output":{"n":2}}'), check=0).json()
    assert answer["output"] == {"n": 2} and [step["id"] for step in answer["steps"]] == ["one", "two"]
    assert probe_home.failure("probe-chain", args_of(first=bad, second=ok))["class"] == "bad_input"
    started = [event["payload"].get("aileron.execution.step") for event in probe_home.audit("--type", "execution.*", "--limit", "2")]
    assert "two" not in started
    assert probe_home.failure("probe-chain", args_of(first=ok, second=bad))["class"] == "bad_input"


def test_a_template_is_a_limit(probe_home):
    """An argument cannot replace what the step's own inputs say."""
    text = ACTION.replace('op = "probe"\n+++', 'op = "probe"\ninputs = { stdout = "eyJvdXRwdXQiOnt9fQ", exit = 0 }\n+++')
    probe_home.cli("action", "add", "--local", write_action(probe_home, "fixed", text.replace('name = "text"', 'name = "stdout"')), check=0)
    assert probe_home.output("fixed", args_of(stdout='{"output":{"mine":1}}')) == {}


# --- how a connector may end

ENDINGS = {
    "nothing at all": (dict(stdout=""), None, {}),
    "an output": (dict(stdout='{"output":{"a":[1,2.5,"ü",null,true]}}'), None, {"a": [1, 2.5, "ü", None, True]}),
    "exit 3": (dict(exit=3, stderr="x" * 300 + "the end"), "connector_runtime_error", None),
    "an output and exit 1": (dict(exit=1, stdout='{"output":{}}'), "connector_runtime_error", None),
    "trap": (dict(trap=1), "connector_runtime_error", None),
    "not JSON": (dict(stdout="hello"), "connector_runtime_error", None),
    "an array": (dict(stdout="[]"), "connector_runtime_error", None),
    "neither": (dict(stdout='{"nosuch":1}'), "connector_runtime_error", None),
    "both": (dict(stdout='{"output":{},"error":{"class":"bad_input","message":"x"}}'), "connector_runtime_error", None),
    "a key twice": (dict(stdout='{"output":{},"output":{}}'), "connector_runtime_error", None),
    "output a list": (dict(stdout='{"output":[]}'), "connector_runtime_error", None),
    "too deep": (dict(stdout='{"output":' + '{"a":' * 100 + "1" + "}" * 101), "connector_runtime_error", None),
    "many nodes": (dict(stdout='{"output":{"a":[' + "{}," * 150_000 + "{}]}}"), "connector_runtime_error", None),
    "too long": (dict(flood=2 << 20), "resource_limit_exceeded", None),
    "too much memory": (dict(grow=200), "resource_limit_exceeded", None),
    "bad_input": (dict(stdout='{"error":{"class":"bad_input","message":"say it better"}}'), "bad_input", None),
    "binding_required": (dict(stdout='{"error":{"class":"binding_required","message":"m"}}'), "binding_required", None),
    "external_service_error": (dict(stdout='{"error":{"class":"external_service_error","message":"m","details":{"status":404}}}'),
                               "external_api_error", None),
    "unknown_op": (dict(stdout='{"error":{"class":"unknown_op","message":"m"}}'), "connector_runtime_error", None),
    "a class of ours": (dict(stdout='{"error":{"class":"approval_denied","message":"m"}}'), "connector_runtime_error", None),
    "a class of nobody's": (dict(stdout='{"error":{"class":"nosuch","message":"m"}}'), "connector_runtime_error", None),
}


@pytest.mark.parametrize("what", ENDINGS)
def test_how_a_connector_ends(probe_home, what):
    given, cls, output = ENDINGS[what]
    probed = probe(probe_home, **given)
    if cls is None:
        assert probed.failure is None and probed.result.json()["output"] == output, repr(probed)
        return
    failure = probed.failure
    assert failure["class"] == cls, repr(probed)
    expected = {"connector_runtime_error": "sandbox", "resource_limit_exceeded": "sandbox", "bad_input": "action",
                "binding_required": "runtime", "external_api_error": "external"}
    assert failure["boundary"] == expected[cls] and failure["retriable"] is False
    if what in ("a class of ours", "a class of nobody's", "unknown_op"):
        assert failure["details"]["connector_class"] == json.loads(given["stdout"])["error"]["class"]
    if what == "exit 3":
        assert "the end" in json.dumps(failure) and "x" * 260 not in json.dumps(failure)
    if what == "bad_input":
        assert "say it better" in failure["message"]
    if what == "external_service_error":
        assert failure["details"]["status"] == 404


def test_an_endless_loop_is_stopped(probe_home):
    started = time.monotonic()
    failure = probe(probe_home, spin=1).failure
    assert failure["class"] == "resource_limit_exceeded" and 5 < time.monotonic() - started < 9
    assert failure["details"].get("retried", 0) == 0


def test_a_long_sleep_is_stopped(probe_home):
    started = time.monotonic()
    assert probe(probe_home, sleep_ms=60_000).failure["class"] == "resource_limit_exceeded"
    assert time.monotonic() - started < 9


def test_every_call_has_a_fresh_instance(probe_home):
    """What one call left in memory is gone in the next: the same large allocation fits every time."""
    for _ in range(4):
        assert probe(probe_home, grow=40, stdout='{"output":{}}').failure is None


# --- installing connectors

def test_a_second_install_is_already_there(probe_home, probe_folder):
    result = probe_home.cli("connector", "install", "--local", probe_folder, check=0)
    assert "already" in (result.out + result.err).lower(), repr(result)


BROKEN_CONNECTORS = {
    "no manifest": lambda folder: (folder / "manifest.toml").unlink(),
    "no module": lambda folder: (folder / "connector.wasm").unlink(),
    "not a module": lambda folder: (folder / "connector.wasm").write_bytes(b"hello"),
    "a cut module": lambda folder: (folder / "connector.wasm").write_bytes((folder / "connector.wasm").read_bytes()[:1000]),
    "unknown key": lambda folder: replace(folder, "[provides]", "[provides]\nnosuch = 1"),
    "wildcard host": lambda folder: replace(folder, '"evil.test:443"', '"*.test:443"'),
    "host in capitals": lambda folder: replace(folder, '"evil.test:443"', '"Evil.test:443"'),
    "host without a port": lambda folder: replace(folder, '"evil.test:443"', '"evil.test"'),
    "port 0": lambda folder: replace(folder, '"evil.test:443"', '"evil.test:0"'),
    "forwarder": lambda folder: replace(folder, 'version = "1.0.0"', 'version = "1.0.0"\nforwarder = "x"'),
    "header with CR LF": lambda folder: replace(folder, 'header = "Authorization"', 'header = "X\\r\\nEvil"'),
    "format with LF": lambda folder: replace(folder, 'format = "Bearer {key}"', 'format = "Bearer {key}\\nX: y"'),
    "too much memory": lambda folder: replace(folder, "memory_mib = 64", "memory_mib = 1025"),
    "too much time": lambda folder: replace(folder, "wall_time_s = 6", "wall_time_s = 301"),
    "a name that is not local": lambda folder: replace(folder, "local://probe", "github://owner/repo"),
    "a bad name": lambda folder: replace(folder, "local://probe", "local://../probe"),
    "an undeclared import": lambda folder: replace(folder, "[capabilities.limits]",
                                                   '[capabilities.runtime]\nimports = ["log"]\n\n[capabilities.limits]'),
    "a link for a module": lambda folder: ((folder / "connector.wasm").rename(folder / "real"),
                                           (folder / "connector.wasm").symlink_to("/etc/passwd")),
}


def replace(folder, old, new):
    path = folder / "manifest.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("what", BROKEN_CONNECTORS)
def test_a_broken_connector_is_refused(probe_home, probe_folder, tmp_path, what):
    folder = tmp_path / "probe"
    shutil.copytree(probe_folder, folder)
    BROKEN_CONNECTORS[what](folder)
    before = probe_home.cli("connector", "list", "--json").json()
    result = probe_home.cli("connector", "install", "--local", folder)
    assert result.code == 1 and result.err and len(result.err) < 2000, repr(result)
    assert probe_home.cli("connector", "list", "--json").json() == before


def test_a_changed_module_is_noticed(built, probe_folder, hostile_server, ca):
    """What runs is what was installed: bytes changed in the store are refused, whatever was compiled before."""
    home = make_probe_home(probe_folder, hostile_server, ca)
    try:
        assert probe(home, stdout="{}").result.code in (0, 1)
        assert probe(home, stdout='{"output":{}}').failure is None
        [module] = (home.path / "store/connectors").rglob("connector.wasm")
        module.chmod(0o600)
        data = bytearray(module.read_bytes())
        data[-1] ^= 1
        module.write_bytes(bytes(data))
        failure = probe(home, stdout='{"output":{}}').failure
        assert failure["class"] == "hash_mismatch", failure
        assert home.audit("--limit", "1")[0]["event_type"] == "execution.failed"
    finally:
        home.close()


def test_a_removed_connector_fails_its_actions(built, probe_folder, hostile_server, ca):
    home = make_probe_home(probe_folder, hostile_server, ca)
    try:
        shutil.rmtree(home.path / "store/connectors")
        failure = probe(home, stdout='{"output":{}}').failure
        assert failure is not None and failure["class"] in ("hash_mismatch", "connector_runtime_error"), failure
    finally:
        home.close()


def test_the_compiled_module_is_kept_and_checked(built, probe_folder, hostile_server, ca):
    """A damaged cache costs a compilation, never a run of other code."""
    home = make_probe_home(probe_folder, hostile_server, ca)
    try:
        assert probe(home, stdout='{"output":{}}').failure is None
        home.stop()
        cached = [path for path in home.path.rglob("*") if path.is_file() and "cache" in str(path.relative_to(home.path))
                  and path.stat().st_size > 4096]
        assert cached, "no compiled module on disk"
        for path in cached:
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 0xff
            path.write_bytes(bytes(data))
        home.start()
        assert probe(home, stdout='{"output":{"well":true}}').result.json()["output"] == {"well": True}
    finally:
        home.close()


def test_a_manifests_closed_list_of_imports(probe_home, probe_folder, tmp_path):
    """With every function that the module imports in the list it is taken."""
    folder = tmp_path / "probe"
    shutil.copytree(probe_folder, folder)
    functions = ["log", "http_request", "http_response_status", "http_response_size", "http_response_read"]
    replace(folder, "[capabilities.limits]", f"[capabilities.runtime]\nimports = {json.dumps(functions)}\n\n[capabilities.limits]")
    replace(folder, "local://probe", "local://listed")
    probe_home.cli("connector", "install", "--local", folder, check=0)


def test_without_a_credential_the_call_says_so(built, probe_folder, hostile):
    home = Home()
    try:
        home.start()
        home.install(probe_folder, probe_folder / "actions/probe.md")
        mark = hostile.mark()
        failure = probe(home, envelope("https://evil.test/do/ok", credential="api_key")).failure
        assert failure["class"] in ("binding_required", "binding_failed"), failure
        assert hostile.since(mark) == []
    finally:
        home.close()
