"""The vault's file as an attacker or an accident leaves it, and what a development vault alone switches on."""
import json
import os
import shutil

import pytest

from tests.conftest import PROBE_HOSTS, PROBE_TOKEN
from tests.rig import paths
from tests.rig.home import Home, credential
from tests.rig.probing import ask, envelope, probe
from tests.rig.vault import GRANTS, Vault

ORIGINS = ["https://evil.test:443"]


@pytest.fixture
def locked(home):
    """A running daemon and a good vault that nobody has unlocked."""
    home.credentials = [credential("api_key/probe/me", "local://probe", ORIGINS, PROBE_TOKEN)]
    home.start(unlock=False)
    return home


def refused(home, *words):
    """`vault unlock` refuses, names what is wrong, and leaves the file as it was."""
    before = home.vault_file.read_bytes() if home.vault_file.exists() else None
    result = home.unlock(check=None)
    assert result.code not in (0, 2), repr(result)
    assert any(word in result.err for word in words), repr(result)
    assert "Traceback" not in result.err and PROBE_TOKEN not in result.out + result.err
    assert (home.vault_file.read_bytes() if home.vault_file.exists() else None) == before
    assert home.cli("status", "--json").json()["vault_state"] != "unlocked"


def test_what_python_wrote_opens(locked):
    locked.unlock()
    [binding] = locked.api("GET", "/v1/bindings").json()["bindings"]
    assert binding["binding"] == "api_key/probe/me" and binding["granted"] is True and binding["origins"] == ORIGINS
    assert locked.vault().get("api_key/probe/me") == PROBE_TOKEN.encode(), "and what the keeper wrote since opens here"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o666])
def test_a_vault_that_others_can_read_is_refused(locked, mode):
    locked.vault_file.chmod(mode)
    refused(locked, "0600", "others", "chmod")
    locked.vault_file.chmod(0o600)
    locked.unlock()


def test_a_symbolic_link_is_refused(locked):
    elsewhere = locked.base / "elsewhere.json"
    locked.vault_file.rename(elsewhere)
    locked.vault_file.symlink_to(elsewhere)
    refused(locked, "symbolic", "symlink", "link")


def test_a_vault_of_another_owner_is_refused(locked):
    if os.geteuid() != 0:
        pytest.skip("giving a file away needs root")
    os.chown(locked.vault_file, 65534, -1)
    refused(locked, "own", "Permission denied")  # root's keeper has given up reading the files of others


@pytest.mark.parametrize("kind", ["folder", "fifo"])
def test_what_is_no_file_is_refused_and_nothing_hangs(locked, kind):
    locked.vault_file.unlink()
    if kind == "folder":
        locked.vault_file.mkdir(mode=0o700)
    else:
        os.mkfifo(locked.vault_file, 0o600)
    result = locked.unlock(check=None)
    assert result.code not in (0, 2) and "secrets.json" in result.err, repr(result)
    assert locked.api("GET", "/v1/health").status == 200


def truncated(text):
    return text[:len(text) // 2]


def with_field(key, value):
    return lambda text: json.dumps({**json.loads(text), key: value})


BROKEN = {
    "empty": lambda text: "",
    "no JSON": lambda text: "{",
    "truncated": truncated,
    "a list": lambda text: "[]",
    "another version": with_field("version", 2),
    "short salt": with_field("salt", "AAAA"),
    "no base64 in the salt": with_field("salt", "%%%%"),
    "no base64 in the verification": with_field("verification", "%%%%"),
    "secrets is a list": with_field("secrets", []),
    "twice the same key": lambda text: text.replace('"version"', '"version": 1, "version"', 1),
    "deep": lambda text: "[" * 5000 + "]" * 5000,
    "garbage behind": lambda text: text + "{}",
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_is_refused(locked, how):
    locked.vault_file.write_text(BROKEN[how](locked.vault_file.read_text()))
    refused(locked, "secrets.json")


def test_a_tampered_verification_is_not_a_wrong_passphrase(locked):
    """It opens, to something else: the passphrase is right and the file is not."""
    other = Vault()
    other.put("x", b"aileron-vault-v2")
    document = locked.vault().document
    document["verification"] = other.entries["x"]["value"]
    locked.vault_file.write_text(json.dumps(document))
    refused(locked, "tamper", "damaged", "changed")


def rewrite(home, change):
    vault = home.vault()
    change(vault)
    vault.write(home.vault_file)


def test_a_corrupt_entry_spoils_only_itself(locked):
    def corrupt(vault):
        vault.bind("api_key/probe/other", "local://probe", ORIGINS, "another-key-77261")
        vault.entries["api_key/probe/other"]["value"] = vault.entries["_dev"]["value"][:-8] + "AAAAAAA="

    rewrite(locked, corrupt)
    locked.unlock()
    states = {row["binding"]: row["state"] for row in locked.api("GET", "/v1/bindings").json()["bindings"]}
    assert states["api_key/probe/me"] == "active" and set(states) == {"api_key/probe/me", "api_key/probe/other"}


# --- edits of a file whose entries can be moved about by whoever can write it

def swap_values(vault):
    a, b = vault.entries["api_key/probe/me"], vault.entries["api_key/probe/two"]
    a["value"], b["value"] = b["value"], a["value"]


def swap_grants(vault):
    a, b = vault.entries[GRANTS + "api_key/probe/me"], vault.entries[GRANTS + "api_key/probe/two"]
    a["value"], b["value"] = b["value"], a["value"]


def move_grant(vault):
    vault.entries[GRANTS + "api_key/probe/me"] = vault.entries[GRANTS + "api_key/probe/two"]


def swap_both(vault):
    swap_values(vault)
    swap_grants(vault)


def drop_grant(vault):
    del vault.entries[GRANTS + "api_key/probe/me"]


def grant_of_another_passphrase(vault):
    foreign = Vault("another passphrase")
    foreign.bind("api_key/probe/me", "local://probe", ["https://other.test:443"], PROBE_TOKEN)
    vault.entries[GRANTS + "api_key/probe/me"] = foreign.entries[GRANTS + "api_key/probe/me"]


EDITS = [swap_values, swap_grants, move_grant, swap_both, drop_grant, grant_of_another_passphrase]


@pytest.mark.parametrize("open_before", [True, False])
@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_file_sends_no_secret_anywhere(built, probe_folder, hostile_server, hostile, ca, edit, open_before):
    """Two bindings, granted for different origins: no edit makes either go where the other may."""
    other = "the-other-secret-9c20e"
    home = Home([credential("api_key/probe/me", "local://probe", ORIGINS, PROBE_TOKEN),
                 credential("api_key/probe/two", "local://probe", ["https://other.test:443"], other)],
                hostile_server.connect_to(PROBE_HOSTS), ca.path)
    try:
        home.start(unlock=open_before)
        home.install(probe_folder, probe_folder / "actions/probe-once.md")
        if open_before:
            assert ask(home, "https://evil.test/do/ok", action="probe-once", credential="api_key")["status"] == 200
        rewrite(home, edit)
        if not open_before:
            home.unlock()
        mark = hostile.mark()
        for host in ("evil.test", "other.test"):
            probed = probe(home, envelope(f"https://{host}/do/ok", credential="api_key"), action="probe-once")
            assert probed.failure and probed.failure["class"] in ("binding_failed", "capability_denied"), repr(probed)
        assert [seen.header("authorization") for seen in hostile.since(mark)] == []
    finally:
        home.close()


def test_labels_decide_nothing(built, probe_folder, hostile_server, hostile, ca):
    """They are plain text: whoever writes the file can claim another connector, and gets nothing for it."""
    home = Home([credential("api_key/probe/me", "local://elsewhere", ORIGINS, PROBE_TOKEN,
                            labels={"connector_fqn": "local://probe", "default": "true"})],
                hostile_server.connect_to(PROBE_HOSTS), ca.path)
    try:
        home.start()
        home.install(probe_folder, probe_folder / "actions/probe-once.md")
        mark = hostile.mark()
        probed = probe(home, envelope("https://evil.test/do/ok", credential="api_key"), action="probe-once")
        assert probed.failure["class"] in ("binding_failed", "binding_required", "capability_denied"), repr(probed)
        assert hostile.since(mark) == []
    finally:
        home.close()


# --- overrides

def reaches_the_rig(home, hostile):
    """By a connector that needs no credential, so that nothing but the override is missing."""
    mark = hostile.mark()
    home.run_action("fetch", {"url": "https://evil.test/do/ok"})
    return len(hostile.since(mark)) > 0


@pytest.fixture
def overridden(built, hostile_server, ca):
    """A daemon with override flags; the vault is the test's own choice."""
    made = Home(connect_to=hostile_server.connect_to(["evil.test"]), ca=ca.path)
    made.start(unlock=False)
    made.cli("connector", "install", "--local", paths.BUILD / "connectors/noop", "--bind", "HOST=evil.test:443", check=0)
    made.cli("action", "add", "--local", paths.BUILD / "connectors/noop/actions/fetch.md", check=0)
    yield made
    made.close()


def test_overrides_wait_for_the_unlock(overridden, hostile):
    status = overridden.cli("status", "--json", check=0).json()
    assert status["overrides"] and status["overrides_active"] is False
    assert not reaches_the_rig(overridden, hostile)
    overridden.unlock()
    assert overridden.cli("status", "--json", check=0).json()["overrides_active"] is True
    assert reaches_the_rig(overridden, hostile)
    overridden.cli("vault", "lock", check=0)
    assert overridden.cli("status", "--json", check=0).json()["overrides_active"] is False
    assert not reaches_the_rig(overridden, hostile)


@pytest.mark.parametrize("mark", [None, b"", b"aileron-dev-v2"])
def test_overrides_stay_off_with_a_vault_of_a_person(overridden, hostile, mark):
    vault = Vault()
    if mark is not None:
        vault.put("_dev", mark)
    vault.write(overridden.vault_file)
    overridden.unlock()
    status = overridden.cli("status", "--json", check=0).json()
    assert status["overrides_active"] is False and "vault init --dev" in str(status["degraded"]), status
    assert not reaches_the_rig(overridden, hostile)


def test_a_mark_of_another_vault_switches_nothing_on(overridden, hostile):
    """The mark is sealed: it cannot be carried over from a vault whose passphrase is known."""
    vault = Vault()
    vault.entries["_dev"] = Vault("known to everybody", dev=True).entries["_dev"]
    vault.write(overridden.vault_file)
    overridden.unlock()
    assert overridden.cli("status", "--json", check=0).json()["overrides_active"] is False
    assert not reaches_the_rig(overridden, hostile)


def test_a_replaced_vault_is_not_believed_without_its_seals(locked):
    """Somebody else's vault in the place of the open one: its entries do not open, and it is not overwritten."""
    locked.unlock()
    foreign = Vault("another passphrase", salt=bytes(16))
    foreign.put("api_key/foreign/me", "value-of-somebody")
    shutil.copy(foreign.write(locked.base / "foreign.json"), locked.vault_file)
    before = locked.vault_file.read_bytes()
    locked.cli("secret", "set", "some/path", input="value\n")
    locked.cli("vault", "lock")
    assert locked.vault_file.read_bytes() == before
