"""What runs is what was pinned: changed files are met before anything runs, a changed compiled module is made anew."""
import pytest

from tests.rig import paths

NOOP = paths.BUILD / "connectors/noop"


@pytest.fixture
def noop_home(home):
    home.start()
    home.cli("connector", "install", "--local", NOOP, "--bind", "HOST=127.0.0.1:9", check=0)
    home.cli("action", "add", "--local", NOOP / "actions/noop.md", check=0)
    assert home.output("noop") == {}
    return home


def installed(home):
    (folder,) = (home.path / "store/connectors/sha256").iterdir()
    return folder


@pytest.mark.parametrize("name", ["connector.wasm", "manifest.toml"])
def test_a_changed_file_of_the_store_is_not_run(noop_home, name):
    path = installed(noop_home) / name
    was = path.read_bytes()
    for changed in (was + b"\n", was[:-1], bytes([was[0] ^ 1]) + was[1:], b""):
        path.write_bytes(changed)
        failure = noop_home.failure("noop")
        assert failure["class"] == "hash_mismatch" and not failure["retriable"], failure
    path.write_bytes(was)
    assert noop_home.output("noop") == {}
    types = [event["event_type"] for event in noop_home.audit()]
    assert types.count("execution.succeeded") == 2 and types.count("execution.failed") == 4


def test_a_file_behind_a_link_is_not_run(noop_home, tmp_path):
    path = installed(noop_home) / "connector.wasm"
    (tmp_path / "elsewhere").write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    assert noop_home.failure("noop")["class"] == "hash_mismatch"


def test_a_changed_compiled_module_is_made_anew(noop_home):
    noop_home.stop()
    (module,) = (noop_home.path / "cache/modules").iterdir()
    code = bytearray(module.read_bytes())
    code[len(code) // 2] ^= 0xff
    module.write_bytes(code)
    noop_home.start()
    assert noop_home.output("noop") == {}
    assert module.read_bytes() != bytes(code)


def test_an_action_that_pins_another_hash_is_not_run(noop_home):
    path = noop_home.path / "actions/noop.md"
    pin = installed(noop_home).name
    path.write_text(path.read_text().replace(pin, pin[::-1]))
    assert noop_home.run_action("noop").code == 1
    path.write_text(path.read_text().replace(pin[::-1], pin))
    assert noop_home.output("noop") == {}


def test_a_log_cut_or_edited_at_its_end_is_told_while_the_daemon_runs(noop_home):
    (path,) = noop_home.audit_files()
    was = path.read_bytes()
    lines = was.splitlines(keepends=True)
    for changed in (b"".join(lines[:-1]), b"", b"".join(lines[:-1]) + lines[-1].replace(b'"noop"', b'"nope"')):
        path.write_bytes(changed)
        done = noop_home.cli("audit", "verify", "--json", check=1)
        verdict = done.json()
        assert not verdict["intact"] and ("cut" in verdict["what"] or "edited" in verdict["what"]), verdict
    path.write_bytes(was)
    assert noop_home.cli("audit", "verify", "--json", check=0).json()["intact"]
