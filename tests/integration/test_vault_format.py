"""The vault's file between two implementations: the keeper's (src/keeper/vault-tool drives it without the keeper around it) and the
one of tests/rig/vault.py, which shares no line with it. What either writes the other opens, keeps and leaves as it was."""
import hashlib
import json
import os
import stat
import subprocess

import pytest

from tests.rig.paths import BUILD
from tests.rig.vault import GRANTS, PASSPHRASE, Damaged, Vault, WrongPassphrase, oauth_value, seal

TOOL = BUILD / "src/keeper/vault-tool"
# Results of src/keeper/vault.h as the tool's exit status.
NO_BINDING, UNUSABLE, WRONG_PASSPHRASE, NOT_THERE, ALREADY_THERE, NO_ENTRY, REFUSED = 11, 12, 13, 15, 16, 17, 18
FAILED = 1
OAUTH, KEY = "oauth2/google/mara", "api_key/probe/me"
KEY_GRANT = {"connector_fqn": "local://probe", "origins": ["https://api.test:443"], "header": "X-Key", "format": "k={key}"}


class Tool:
    def __init__(self, home):
        self.home = home
        self.file = home / "secrets.json"

    def run(self, *arguments, value=b"", passphrase=PASSPHRASE, new=None):
        ours, theirs = os.pipe()
        with open(theirs, "wb") as pipe:
            pipe.write(passphrase.encode() + (b"" if new is None else b"\n" + new.encode()))
        try:
            return subprocess.run([TOOL, self.home, str(ours), *arguments], input=value, capture_output=True, pass_fds=[ours],
                                  timeout=30, check=False)
        finally:
            os.close(ours)

    def ok(self, *arguments, **options):
        done = self.run(*arguments, **options)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def fails(self, status, *arguments, **options):
        done = self.run(*arguments, **options)
        assert done.returncode == status, (done.returncode, done.stderr.decode())
        return done.stderr.decode()


@pytest.fixture
def tool(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return Tool(home)


def test_python_reads_what_the_keeper_wrote(tool):
    tool.ok("create")
    tool.ok("put", "prod/db", json.dumps({"team": "blue"}), value=b"p\x00w\xff")
    tool.ok("bind", KEY, json.dumps(KEY_GRANT), value=b"secret-key")
    vault = Vault.read(tool.file)
    assert vault.get("prod/db") == b"p\x00w\xff"
    assert vault.entries["prod/db"]["metadata"] == {"Type": "text", "Environment": "test", "Labels": {"team": "blue"}}
    assert vault.get(KEY) == b"secret-key"
    assert vault.grant(KEY) == {**KEY_GRANT, "binding": KEY, "value_sha256": hashlib.sha256(b"secret-key").hexdigest()}
    assert vault.labels(KEY).items() >= {"service": "probe", "identity": "me", "connector_fqn": "local://probe", "status": "active",
                                         "default": "true"}.items()
    with pytest.raises(WrongPassphrase):
        Vault.read(tool.file, "another")


def test_form_of_the_file(tool):
    tool.ok("create")
    for path in ("b", "a", "c/d"):
        tool.ok("put", path, value=b"x")
    text = tool.file.read_text()
    document = json.loads(text)
    assert list(document) == ["version", "salt", "verification", "secrets"]
    assert list(document["secrets"]) == sorted(document["secrets"])
    assert text == json.dumps(document, indent=2) + "\n"
    assert stat.S_IMODE(tool.file.stat().st_mode) == 0o600
    assert [path.name for path in tool.home.iterdir()] == ["secrets.json"]


def test_a_salt_and_nonces_of_its_own_each_time(tool, tmp_path):
    tool.ok("create")
    other = Tool(tmp_path / "other")
    other.home.mkdir(mode=0o700)
    other.ok("create")
    assert Vault.read(tool.file).document["salt"] != Vault.read(other.file).document["salt"]
    tool.ok("put", "a", value=b"same")
    first = Vault.read(tool.file).entries["a"]["value"]
    tool.ok("put", "a", value=b"same")
    assert Vault.read(tool.file).entries["a"]["value"] != first


@pytest.mark.parametrize("passphrase", ["x", "Zürich 🔑 8001", " blanks around ", "p" * 1000])
def test_keeper_reads_what_python_wrote(tool, passphrase):
    vault = Vault(passphrase, salt=os.urandom(16))
    vault.put("prod/db", b"p\x00w\xff", "password", "prod", {"team": "blue"})
    vault.bind(OAUTH, "local://google", ["https://gmail.googleapis.com:443"], oauth_value("ya29.first-token", "1//refresh"))
    vault.bind(KEY, "local://probe", ["https://api.test"], "secret-key", header="X-Key", format="{key}")
    vault.write(tool.file)
    assert tool.ok("get", "prod/db", passphrase=passphrase) == b"p\x00w\xff"
    assert tool.ok("lend", OAUTH, "local://google", passphrase=passphrase) == b"ya29.first-token"
    assert tool.ok("lend", KEY, "local://probe", passphrase=passphrase) == b"secret-key"
    tool.fails(NO_BINDING, "lend", KEY, "local://google", passphrase=passphrase)
    tool.fails(WRONG_PASSPHRASE, "open", passphrase=passphrase + "!")
    rows = {row["binding"]: row for row in json.loads(tool.ok("describe", passphrase=passphrase))}
    assert rows[OAUTH]["granted"] and rows[OAUTH]["refresh_token_present"] and rows[OAUTH]["default"]
    assert rows[KEY]["origins"] == ["https://api.test:443"]
    # What the tool has not touched is as it was, to the byte of each seal.
    before = vault.entries["prod/db"]
    tool.ok("put", "new", value=b"1", passphrase=passphrase)
    assert Vault.read(tool.file, passphrase).entries["prod/db"] == before


def lower(document):
    """The same file as a writer of another taste has it."""
    document = {key.upper(): value for key, value in document.items()}
    document["SECRETS"] = {path: {"VALUE": entry["value"], "Metadata": {key.lower(): part for key, part in entry["metadata"].items()}}
                           for path, entry in document["SECRETS"].items()}
    return document


def test_keys_in_any_case_and_unknown_ones(tool):
    vault = Vault()
    vault.put("a", "1", "t", "e", {"x": "y"})
    vault.document = lower(vault.document)
    vault.document["Future"] = {"kept": [1, None, "é"]}
    vault.document["SECRETS"]["a"]["later"] = 1
    vault.document["SECRETS"]["a"]["Metadata"]["Owner"] = "mara"
    vault.write(tool.file)
    assert tool.ok("get", "a") == b"1"
    tool.ok("put", "b", value=b"2")
    document = json.loads(tool.file.read_text())
    assert document["Future"] == {"kept": [1, None, "é"]}
    assert document["secrets"]["a"]["later"] == 1
    assert document["secrets"]["a"]["metadata"] == {"Type": "t", "Environment": "e", "Labels": {"x": "y"}, "Owner": "mara"}


def test_legacy_vault_gets_a_verification(tool):
    vault = Vault()
    vault.put("a", "1")
    del vault.document["verification"]
    vault.write(tool.file)
    tool.fails(WRONG_PASSPHRASE, "open", passphrase="another")
    tool.ok("put", "b", value=b"2")
    assert Vault.read(tool.file).get("a") == b"1"
    vault.entries.clear()
    vault.write(tool.file)
    assert "aileron vault init" in tool.fails(NOT_THERE, "open")
    tool.ok("create", passphrase="chosen now")
    Vault.read(tool.file, "chosen now")
    tool.fails(ALREADY_THERE, "create")


def test_rekey(tool):
    vault = Vault(dev=True)
    vault.bind(OAUTH, "local://google", ["https://gmail.googleapis.com:443"], oauth_value("ya29.first-token"))
    vault.put("a", "1", "t", "e", {"x": "y"})
    vault.write(tool.file)
    tool.ok("rekey", new="the new one")
    again = Vault.read(tool.file, "the new one")
    assert again.document["salt"] != vault.document["salt"]
    assert again.get("a") == b"1" and again.entries["a"]["metadata"] == vault.entries["a"]["metadata"]
    assert set(again.paths()) == {*vault.paths(), "_audit/head-key"}
    assert tool.ok("lend", OAUTH, "local://google", passphrase="the new one") == b"ya29.first-token"
    with pytest.raises(WrongPassphrase):
        Vault.read(tool.file)


def test_rekey_refuses_with_a_damaged_entry(tool):
    vault = Vault()
    vault.put("whole", "1")
    vault.put("broken/one", "2")
    vault.entries["broken/one"]["value"] = seal(bytes(32), b"under another key")
    vault.write(tool.file)
    tool.ok("put", "third", value=b"3")
    before = tool.file.read_bytes()
    assert "broken/one" in tool.fails(FAILED, "rekey", new="the new one")
    assert tool.file.read_bytes() == before
    assert "broken/one" in tool.fails(FAILED, "get", "broken/one")
    assert tool.ok("get", "whole") == b"1"
    tool.ok("delete", "broken/one")
    tool.ok("rekey", new="the new one")


def test_tampered_verification(tool):
    vault = Vault()
    vault.put("a", "1")
    vault.document["verification"] = vault.entries["a"]["value"]
    vault.write(tool.file)
    assert "tampered" in tool.fails(FAILED, "open")
    with pytest.raises(Damaged):
        Vault.read(tool.file)


@pytest.mark.parametrize("change", [
    lambda grant: grant.update(value_sha256="0" * 64),
    lambda grant: grant.update(binding="api_key/probe/other"),
    lambda grant: grant.update(origins=[]),
    lambda grant: grant.update(origins=["http://api.test"]),
    lambda grant: grant.update(header="Host"),
    lambda grant: grant.update(format="no place"),
    lambda grant: grant.update(wider=True),
    lambda grant: grant.pop("value_sha256"),
    lambda grant: grant.pop("connector_fqn"),
])
def test_grants_are_read_strictly(tool, change):
    vault = Vault()
    vault.bind(KEY, "local://probe", ["https://api.test:443"], "secret-key")
    vault.write(tool.file)
    assert tool.ok("lend", KEY, "local://probe") == b"secret-key"
    grant = vault.grant(KEY)
    change(grant)
    vault.put(GRANTS + KEY, grant)
    vault.write(tool.file)
    assert KEY in tool.fails(UNUSABLE, "lend", KEY, "local://probe")


@pytest.mark.parametrize("change", [lambda grant: grant.pop("binding"),
                                    lambda grant: grant.update(value_sha256="sha256:" + grant["value_sha256"])])
def test_grants_of_another_writer(tool, change):
    vault = Vault()
    vault.bind(KEY, "local://probe", ["https://api.test:443"], "secret-key")
    grant = vault.grant(KEY)
    change(grant)
    vault.put(GRANTS + KEY, grant)
    vault.write(tool.file)
    assert tool.ok("lend", KEY, "local://probe") == b"secret-key"


@pytest.mark.parametrize("value", ["not json", "{}", '{"access_token":"short"}', oauth_value("ya29 with blank"),
                                   oauth_value("ya29.line\r\nX-Evil: 1"), {**oauth_value("ya29.fine-token"), "expires_at": "soon"}])
def test_oauth_values_that_are_no_tokens(tool, value):
    vault = Vault()
    vault.bind(OAUTH, "local://google", ["https://gmail.googleapis.com:443"], oauth_value("ya29.fine-token"))
    vault.put(OAUTH, value, "oauth2", "", vault.labels(OAUTH))
    content = json.dumps(value) if isinstance(value, dict) else value
    vault.put(GRANTS + OAUTH, {**vault.grant(OAUTH), "value_sha256": hashlib.sha256(content.encode()).hexdigest()})
    vault.write(tool.file)
    said = tool.fails(UNUSABLE, "lend", OAUTH, "local://google")
    assert "ya29" not in said


def test_a_binding_of_another_writer_asks_for_consent(tool):
    vault = Vault()
    vault.bind(KEY, "local://probe", ["https://api.test:443"], "secret-key", grant=False)
    vault.write(tool.file)
    assert f"aileron binding rebind {KEY}" in tool.fails(UNUSABLE, "lend", KEY, "local://probe")
    tool.ok("regrant", KEY, json.dumps(KEY_GRANT))
    assert tool.ok("lend", KEY, "local://probe") == b"secret-key"
    assert Vault.read(tool.file).get(KEY) == b"secret-key"


def test_what_cannot_be_written(tool):
    tool.ok("create")
    for path in ("_dev", "/a", "a/", "a//b", "../a", "a\nb", "x" * 201, KEY, OAUTH):
        tool.fails(REFUSED, "put", path, value=b"1")
    tool.fails(REFUSED, "put", "a", value=b"")
    tool.fails(REFUSED, "put", "a", value=b"x" * (32 * 1024 + 1))
    tool.fails(REFUSED, "put", "a", value=b"aileron-dev-v1")
    tool.fails(NO_ENTRY, "get", "a")
    tool.ok("put", "a", value=b"x" * (32 * 1024))


def test_a_file_that_others_can_read_is_refused(tool):
    tool.ok("create")
    tool.file.chmod(0o644)
    assert "chmod 600" in tool.fails(FAILED, "open")
    tool.file.chmod(0o600)
    tool.home.chmod(0o777)
    assert "chmod 700" in tool.fails(FAILED, "open")
