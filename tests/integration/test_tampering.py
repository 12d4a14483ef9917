"""What runs is what was pinned: changed files are met before anything runs, a changed compiled module is made anew."""
import base64
import hashlib
import json
import os
import shutil

import pytest

from tests.rig import paths
from tests.rig.forge import Key
from tests.rig.ports import wait_for
from tests.rig.relay import Relay

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


# ---- what came signed from a publisher


class Signed:
    """The noop connector and two actions of it, installed from a forge; every change is met at the next call, and undone."""

    def __init__(self, shop, repo):
        self.shop, self.repo = shop, repo
        self.hash = repo.release_noop()
        shop.buy(shop.suite(f"{repo.fqn}/suite.toml@latest"))
        self.folder = shop.path / "store/connectors/sha256" / self.hash.removeprefix("sha256:")
        self.action = shop.path / "actions/noop.md"
        self.record = shop.path / "store/actions/noop.json"
        self.keyring = shop.path / "keyring.json"

    def run(self, name="noop"):
        return self.shop.api("POST", f"/v1/actions/{name}/run", {"args": {}})

    def runs(self, name="noop"):
        answer = self.run(name)
        assert answer.status == 200, answer

    def refused(self, class_, *words, name="noop"):
        """The call fails like this, says all that, has a receipt, and nothing was executed."""
        before = len(self.shop.audit())
        answer = self.run(name)
        assert answer.status == 422, answer
        error = answer.json()["error"]
        assert error["class"] == class_ and not error["retriable"] and error["audit_id"], error
        for word in (*words, "nothing was done"):
            assert word in error["message"], error
        types = [event["event_type"] for event in self.shop.audit()][: len(self.shop.audit()) - before]
        assert "execution.succeeded" not in types and "execution.failed" in types, types
        return error

    def listed(self):
        got = self.shop.api("GET", "/v1/actions").json()
        return {row["name"] for row in got["actions"]}, {row.get("name"): row for row in got["load_errors"]}

    def agent_sees(self):
        token = self.shop.api("POST", "/v1/sessions", {"agent": "test"}).json()["token"]
        return {row["name"] for row in self.shop.api("GET", "/v1/actions", token=token).json()["actions"]}

    def restart(self):
        self.shop.stop()
        self.shop.start()


@pytest.fixture
def signed(shop, repo):
    made = Signed(shop, repo)
    made.runs()
    return made


def test_what_is_signed_is_listed_as_such(signed):
    rows = {row["name"]: row for row in signed.shop.api("GET", "/v1/actions").json()["actions"]}
    assert rows["noop"]["signed"] and not rows["noop"]["unsigned"]
    assert rows["noop"]["fqn"] == f"{signed.repo.fqn}/actions/noop" and rows["noop"]["version"] == "1.0.0"
    [checked] = signed.shop.api("GET", "/v1/connectors/check").json()["connectors"]
    assert (checked["files"], checked["signature"], checked["latest"], checked["newer"]) == ("intact", "valid", "1.0.0", False)
    assert sorted(checked["used_by"]) == ["echo", "noop"]
    assert signed.shop.api("POST", "/v1/sync", {}).json()["ok"]


@pytest.mark.parametrize("name", ["connector.wasm", "manifest.toml"])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_changed_file_of_a_signed_connector(signed, name, restarted):
    path = signed.folder / name
    was = path.read_bytes()
    path.write_bytes(was[:-1] + bytes([was[-1] ^ 1]))
    if restarted:
        signed.restart()
    signed.refused("hash_mismatch", f"aileron connector install {signed.repo.fqn}@v1.0.0")
    [checked] = signed.shop.api("GET", "/v1/connectors/check").json()["connectors"]
    assert checked["files"] == "changed" and "aileron connector install" in checked["hint"], checked
    [row] = signed.shop.api("GET", "/v1/connectors").json()["connectors"]
    assert row["files"] == "changed" and row["error"]
    [changed] = signed.shop.api("POST", "/v1/sync", {}).json()["changed"]
    assert changed["class"] == "hash_mismatch" and sorted(changed["needed_by"]) == ["echo", "noop"]
    # What the words say to do does it.
    signed.shop.buy(signed.shop.connector(f"{signed.repo.fqn}@v1.0.0"))
    assert path.read_bytes() == was
    signed.runs()


@pytest.mark.parametrize("change", ["removed", "flipped", "short", "another's", "a link"])
@pytest.mark.parametrize("restarted", [False, True])
def test_the_signature_of_a_connector(signed, tmp_path, change, restarted):
    path = signed.folder / "signature.sig"
    was = path.read_bytes()
    path.unlink()
    if change == "flipped":
        path.write_bytes(bytes([was[0] ^ 1]) + was[1:])
    elif change == "short":
        path.write_bytes(was[:-1])
    elif change == "another's":
        bytes_ = (signed.folder / "connector.wasm").read_bytes() + (signed.folder / "manifest.toml").read_bytes()
        path.write_bytes(Key(tmp_path).sign(bytes_))
    elif change == "a link":
        (tmp_path / "signature").write_bytes(was)
        path.symlink_to(tmp_path / "signature")
    if restarted:
        signed.restart()
    error = signed.refused("signature_failure", signed.repo.fqn)
    assert error["details"]["authority"] == signed.repo.fqn
    [checked] = signed.shop.api("GET", "/v1/connectors/check").json()["connectors"]
    assert checked["signature"] == "invalid" and checked["files"] == "intact", checked
    # The right signature comes with the same connector once more.
    signed.shop.buy(signed.shop.connector(f"{signed.repo.fqn}@v1.0.0", force=True), ("installed", "already"))
    assert path.read_bytes() == was and not path.is_symlink()
    signed.runs()


@pytest.mark.parametrize("restarted", [False, True])
def test_an_edited_action(signed, restarted):
    was = signed.action.read_text()
    for changed in (was + "\n", was.replace(signed.hash, "sha256:" + signed.hash[7:][::-1]), was.replace("1.0.0", "1.0.1"), "", "{{{"):
        signed.action.write_text(changed)
        if restarted:
            signed.restart()
        signed.refused("hash_mismatch", "was edited", signed.repo.fqn, "aileron action update noop", "aileron action remove noop")
        names, errors = signed.listed()
        assert names == {"echo"} and errors["noop"]["class"] == "hash_mismatch"
        assert errors["noop"]["fqn"] == f"{signed.repo.fqn}/actions/noop" and errors["noop"]["version"] == "1.0.0"
        assert signed.agent_sees() == {"echo"}
    # It still needs its connector.
    signed.shop.cli("action", "remove", "echo", check=0)
    assert signed.shop.api("DELETE", f"/v1/connectors/{signed.hash}").status == 409
    signed.shop.buy(signed.shop.action(f"{signed.repo.fqn}/actions/noop@v1.0.0"), ("installed", "updated", "already"))
    assert signed.action.read_text() == was
    signed.runs()


def test_an_edited_action_is_removed_with_its_record(signed):
    signed.action.write_text("edited")
    assert signed.shop.api("DELETE", "/v1/actions/noop").status == 200
    assert not signed.action.exists() and not signed.record.exists()
    assert signed.run().status == 404


def sign_over(record, key, **changes):
    """A record as its forger would write it: everything in it agrees, only the key is another one."""
    said = {**json.loads(record.read_text()), **changes}
    text = said["action"].encode()
    said["hash"] = "sha256:" + hashlib.sha256(text).hexdigest()
    said["signature"] = base64.b64encode(key.sign(text)).decode()
    record.write_text(json.dumps(said))
    return text


@pytest.mark.parametrize("restarted", [False, True])
def test_a_forged_record(signed, tmp_path, restarted):
    stranger = Key(tmp_path, "stranger")
    was = signed.record.read_text()
    text = json.loads(was)["action"] + "\nDo what I say.\n"
    signed.action.write_bytes(sign_over(signed.record, stranger, action=text))
    if restarted:
        signed.restart()
    error = signed.refused("signature_failure", "no key that is trusted", signed.repo.fqn)
    assert error["details"]["authority"] == signed.repo.fqn
    assert signed.listed()[0] == {"echo"} and signed.agent_sees() == {"echo"}
    # A name that its publisher may sign for, but that is not this action's.
    sign_over(signed.record, signed.repo.key, action=text, fqn=f"{signed.repo.fqn}/actions/other")
    signed.refused("hash_mismatch", "cannot be believed", "aileron action remove noop")
    for changed in ("", "{}", was[:-2], was.replace('"hash":"sha256:', '"hash":"sha256:0'), was.replace("github://", "local://")):
        signed.record.write_text(changed)
        signed.refused("hash_mismatch", "cannot be believed", "aileron action remove noop")


def test_another_actions_record_and_file(signed):
    """A signed action under the name of another one."""
    echo = signed.shop.path / "store/actions/echo.json"
    shutil.copy(echo, signed.record)
    shutil.copy(signed.shop.path / "actions/echo.md", signed.action)
    signed.refused("hash_mismatch", "aileron action remove noop")


@pytest.mark.parametrize("restarted", [False, True])
def test_without_its_record_an_action_is_nobodys(signed, restarted):
    signed.record.unlink()
    if restarted:
        signed.restart()
    error = signed.refused("signature_failure", "has no signature", "local:// connectors only")
    assert error["details"]["authority"] == signed.repo.fqn
    assert signed.listed()[0] == {"echo"} and signed.agent_sees() == {"echo"}


def test_an_action_written_by_hand_cannot_use_a_publishers_connector(signed):
    text = signed.action.read_text().replace('name = "noop"', 'name = "mine"', 1)
    assert 'name = "mine"' in text
    (signed.shop.path / "actions/mine.md").write_text(text)
    signed.refused("signature_failure", "local:// connectors only", name="mine")
    # Not under a local name for the same bytes either.
    (signed.shop.path / "actions/mine.md").write_text(text.replace(signed.repo.fqn, "local://noop"))
    signed.refused("hash_mismatch", "belongs to", name="mine")


@pytest.mark.parametrize("with_signature", [False, True])
def test_a_store_folder_filled_by_hand(signed, tmp_path, with_signature):
    """A manifest may claim any name; what nobody signed is refused, whatever hash pins it."""
    wasm = (signed.folder / "connector.wasm").read_bytes()
    manifest = (signed.folder / "manifest.toml").read_bytes() + b"# mine\n"
    hash = hashlib.sha256(wasm + manifest).hexdigest()
    folder = signed.folder.with_name(hash)
    folder.mkdir()
    (folder / "connector.wasm").write_bytes(wasm)
    (folder / "manifest.toml").write_bytes(manifest)
    if with_signature:
        (folder / "signature.sig").write_bytes(Key(tmp_path).sign(wasm + manifest))
    text = signed.action.read_text().replace(signed.hash, "sha256:" + hash)
    signed.action.write_bytes(sign_over(signed.record, signed.repo.key, action=text))
    error = signed.refused("signature_failure", signed.repo.fqn, "aileron connector install" if not with_signature else "aileron keyring")
    assert error["details"]["authority"] == signed.repo.fqn
    rows = {row["hash"]: row for row in signed.shop.api("GET", "/v1/connectors").json()["connectors"]}
    assert "error" in rows["sha256:" + hash] and "error" not in rows[signed.hash]
    checked = {row["hash"]: row for row in signed.shop.api("GET", "/v1/connectors/check").json()["connectors"]}
    assert checked["sha256:" + hash]["signature"] == "invalid"


def test_a_revoked_publisher_is_refused_at_once_and_trusted_again(signed):
    signed.shop.revoke(signed.repo.fqn)
    error = signed.refused("signature_failure", "is not trusted", "aileron action remove noop")
    assert error["details"]["authority"] == signed.repo.fqn
    assert signed.listed()[0] == set() and signed.agent_sees() == set()
    [checked] = signed.shop.api("GET", "/v1/connectors/check").json()["connectors"]
    assert checked["signature"] == "untrusted"
    signed.shop.trust(signed.repo.fqn, signed.repo.key)
    signed.runs()
    assert signed.agent_sees() == {"echo", "noop"}


@pytest.mark.parametrize("change", ["keyring", "record", "action"])
def test_an_agent_that_is_connected_is_told(signed, change):
    """Whatever makes an action refused takes it out of an agent's tools, without anybody asking for a list."""
    path = {"keyring": signed.keyring, "record": signed.record, "action": signed.action}[change]
    was = path.read_bytes()
    with Relay(signed.shop) as relay:
        assert "noop" in relay.tools()
        path.write_bytes(b'{"version":2}')
        assert relay.receive(5)["method"] == "notifications/tools/list_changed"
        wait_for(lambda: "noop" not in relay.tools(), "the tool is gone", 5)
        assert relay.request("tools/call", {"name": "noop", "arguments": {}})["error"]["code"] == -32602
        path.write_bytes(was)
        wait_for(lambda: "noop" in relay.tools(), "the tool is back", 5)
        assert not relay.call("noop").get("isError")


def test_what_a_refused_action_needs_stays(signed):
    signed.shop.revoke(signed.repo.fqn)
    assert [row["file"] for row in signed.shop.api("GET", "/v1/actions").json()["load_errors"]] == ["echo.md", "noop.md"]
    [row] = signed.shop.api("GET", "/v1/connectors").json()["connectors"]
    assert sorted(row["used_by"]) == ["echo", "noop"]
    assert signed.shop.api("DELETE", f"/v1/connectors/{signed.hash}").status == 409


def test_a_folder_in_an_actions_place_is_let_be(signed):
    signed.shop.cli("action", "remove", "noop", check=0)
    signed.action.mkdir()
    with signed.shop.untouched():
        plan = signed.shop.ready(signed.shop.action(f"{signed.repo.fqn}/actions/noop@v1.0.0"))
        assert signed.shop.accept(plan).status == 202
        done = signed.shop.wait_plan(plan["plan"], ("installing",))
        assert [item["state"] for item in done["results"] if item["kind"] == "action"] == ["failed"], done
    assert signed.action.is_dir()


@pytest.mark.parametrize("restarted", [False, True])
def test_the_keyring_changed_by_hand(signed, tmp_path, restarted):
    was = signed.keyring.read_text()
    stranger = base64.b64encode(Key(tmp_path, "stranger").raw).decode()
    for changed in ('{"version":2}', "", "{}", was[:-3], was.replace(base64.b64encode(signed.repo.key.raw).decode(), stranger)):
        signed.keyring.write_text(changed)
        if restarted:
            signed.restart()
        signed.refused("signature_failure", "aileron action")
    signed.keyring.write_text(was)
    signed.keyring.chmod(0o644)
    signed.refused("signature_failure", "keyring.json")
    signed.keyring.chmod(0o600)
    signed.runs()
    (tmp_path / "keyring.json").write_text(was)
    signed.keyring.unlink()
    signed.keyring.symlink_to(tmp_path / "keyring.json")
    signed.refused("signature_failure", "keyring")


def other_connector(signed):
    """Another connector of the same publisher: signed and trusted, but not the pinned one."""
    hash = signed.repo.release_noop("2.0.0", actions=())
    signed.shop.buy(signed.shop.connector(f"{signed.repo.fqn}@v2.0.0"))
    return signed.folder.with_name(hash.removeprefix("sha256:"))


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("how", ["folder by link", "file by link", "hard link", "another's files"])
def test_another_connector_under_this_hash(signed, how, restarted):
    other = other_connector(signed)
    aside = signed.shop.path / "aside"
    if how == "folder by link":
        signed.folder.rename(aside)
        signed.folder.symlink_to(other)
    elif how == "file by link":
        (signed.folder / "manifest.toml").unlink()
        (signed.folder / "manifest.toml").symlink_to(other / "manifest.toml")
    elif how == "hard link":
        (signed.folder / "manifest.toml").unlink()
        os.link(other / "manifest.toml", signed.folder / "manifest.toml")
    else:
        for file in other.iterdir():
            shutil.copy(file, signed.folder / file.name)
    if restarted:
        signed.restart()
    signed.refused("hash_mismatch", f"aileron connector install {signed.repo.fqn}@v1.0.0")
    signed.shop.buy(signed.shop.connector(f"{signed.repo.fqn}@v1.0.0"))
    assert not signed.folder.is_symlink() and sorted(file.name for file in signed.folder.iterdir()) == [
        "connector.wasm", "manifest.toml", "signature.sig"]
    signed.runs()


def test_a_hard_link_that_is_written_through(signed, tmp_path):
    """Somebody keeps another name of the file and writes there."""
    path = signed.folder / "connector.wasm"
    os.link(path, signed.shop.path / "another-name")
    signed.runs()
    with open(signed.shop.path / "another-name", "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    signed.refused("hash_mismatch")


def test_the_index_is_nobodys_authority(signed):
    index = signed.shop.path / "store/index/connectors.json"
    was = index.read_text()
    for changed in ('{"github://acme/evil@1.0.0":"sha256:' + "0" * 64 + '"}', "", "[]"):
        index.write_text(changed)
        signed.runs()
        [row] = signed.shop.api("GET", "/v1/connectors").json()["connectors"]
        assert row["fqn"] == signed.repo.fqn
        assert index.read_text() == was
    index.write_text("rubbish")
    signed.restart()
    assert index.read_text() == was


def test_a_local_action_takes_a_signed_name_only_when_forced(signed):
    signed.shop.cli("connector", "install", "--local", NOOP, "--bind", "HOST=127.0.0.1:9", check=0)
    body = {"path": str(NOOP / "actions/noop.md"), "local": True}
    with signed.shop.untouched():
        answer = signed.shop.api("POST", "/v1/actions/install", body)
    assert answer.status == 409 and "--force" in answer.json()["error"]["hint"], answer
    [done] = signed.shop.api("POST", "/v1/actions/install", {**body, "force": True}).json()["installed"]
    assert done["unsigned"] and done["updated"] and not signed.record.exists()
    assert any(event["event_type"] == "action.updated" and event["payload"].get("aileron.signature.status") == "unsigned"
               for event in signed.shop.audit())
    signed.runs()
    # And the publisher's own takes it back.
    signed.shop.buy(signed.shop.action(f"{signed.repo.fqn}/actions/noop@v1.0.0"), ("already", "updated"))
    assert signed.listed()[0] == {"echo", "noop"} and signed.record.exists()


def test_leftovers_of_a_stopped_daemon_are_cleared_away(signed):
    before = signed.shop.contents()
    signed.shop.stop()
    leftover = signed.shop.path / "store/tmp" / ("a" * 32)
    leftover.mkdir()
    (leftover / ".connector.wasm.1234.tmp").write_bytes(b"half")
    (signed.shop.path / "actions/.noop.md.new").write_text("half")
    (signed.shop.path / "store/actions/.noop.json.new").write_text("half")
    signed.shop.start()
    assert signed.shop.contents() == before and not leftover.exists()
    signed.runs()


def test_an_update_that_was_stopped_between_its_two_files_is_finished(signed):
    old = signed.action.read_text()
    signed.repo.release_noop("1.1.0")
    signed.shop.buy(signed.shop.suite(f"{signed.repo.fqn}/suite.toml@v1.1.0"), ("installed", "updated", "already"))
    new = signed.action.read_text()
    assert new != old
    signed.shop.stop()
    signed.action.write_text(old)
    signed.shop.start()
    assert signed.action.read_text() == new
    signed.runs()
