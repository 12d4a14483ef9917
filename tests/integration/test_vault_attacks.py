"""What somebody with access to secrets.json, or to keeper.sock, may try: none of it may forge a proof, a mark or a key, or end the keeper."""
import base64
import json
import os
import shutil
import subprocess
import tempfile
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.rig import keeper as door
from tests.rig.home import Home
from tests.rig.ports import wait_for
from tests.rig.vault import PASSPHRASE, Vault


OTHER = "another person's passphrase"


def made(vault=None, unlock=True, folder=None):
    home = Home(folder=folder)
    home.path.mkdir(mode=0o700, exist_ok=True)
    (vault or Vault()).write(home.vault_file)
    home.start(unlock=unlock)
    return home


@pytest.fixture
def home(built):
    home = made()
    yield home
    home.close()


def owner(home, **more):
    return door.Door(home.path / "keeper.sock", **more)


def replace(home, vault):
    new = home.path / "other.json"
    new.touch(mode=0o600)
    vault.write(new)
    os.rename(new, home.vault_file)


def keepers(home):
    return home.cli("status", "--json", check=0).json()["restarts"]["keeper"]


@pytest.mark.parametrize("open_before", [True, False])
def test_no_ticket_from_a_vault_put_in_the_place_of_the_owners(built, open_before):
    home = made(unlock=open_before)
    try:
        real = home.vault_file.read_bytes()
        replace(home, Vault(OTHER, salt=bytes(range(16, 32))))
        with owner(home) as peer:
            done = peer.ticket(OTHER, "apr_1", "sha256:00", check=False)
        home.vault_file.write_bytes(real)
        assert done.result != door.OK, "a ticket without the owner's passphrase"
    finally:
        home.close()


def test_a_vault_put_in_the_open_ones_place_is_refused(home):
    real = home.vault_file.read_bytes()
    other = Vault(OTHER, salt=bytes(range(16, 32)))
    replace(home, other)
    with owner(home) as peer:
        put = peer.put("x", b"12345678", check=False)
        unlock = peer.unlock(OTHER, check=False)
    assert put.result != door.OK and put.message and unlock.result != door.OK, (put, unlock)
    assert json.loads(home.vault_file.read_text()) == other.document, "written to"
    home.vault_file.write_bytes(real)
    with owner(home) as peer:
        peer.put("x", b"12345678")


def test_an_edited_salt_does_not_lock_the_owner_out(home):
    document = json.loads(home.vault_file.read_text())
    document["salt"] = base64.b64encode(bytes(16)).decode()
    home.vault_file.write_text(json.dumps(document))
    with owner(home) as peer:
        peer.put("x", b"secret value", check=False)
    home.stop()
    home.start(unlock=False)
    result = home.unlock(check=None)
    after = json.loads(home.vault_file.read_text())["salt"]
    assert result.code == 0 or after == document["salt"] and "x" not in json.loads(home.vault_file.read_text())["secrets"], repr(result)


@pytest.mark.parametrize("value", [b"aileron-dev-v1", b"aileron-head-key-v1\n" + bytes(32)])
def test_marks_of_ours_are_no_value_of_a_person(home, value):
    with owner(home) as peer:
        done = peer.put("x", value, check=False)
    assert done.result != door.OK


def test_a_known_key_does_not_become_the_signing_key(home):
    """A value of a person, copied on disk to the place of the signing key."""
    with owner(home) as peer:
        peer.put("x", bytes(range(32)))
        assert peer.put("y", b"aileron-head-key-v1\n" + bytes(range(32)), check=False).result != door.OK
    home.stop()
    vault = home.vault()
    vault.entries["_audit/head-key"]["value"] = vault.entries["x"]["value"]
    vault.write(home.vault_file)
    home.start()
    assert "no usable key to sign" in home.cli("status", check=0).out
    known = base64.b64encode(Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw)).decode()
    home.stop()
    heads = [json.loads(line) for line in (home.path / "audit/heads.jsonl").read_text().splitlines()]
    assert heads and known not in {head["key"] for head in heads}


def test_many_changes_do_not_end_the_keeper(built):
    """On a file system in memory a write takes no time, and each is a new state to tell."""
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("no file system in memory")
    folder = tempfile.mkdtemp(prefix="aileron-test-", dir="/dev/shm")
    home = made(folder=folder)
    try:
        with owner(home) as peer:
            for i in range(600):
                peer.put(f"s/{i % 20}", b"12345678")
        assert keepers(home) == 0, home.log()[-800:]
        assert home.cli("vault", "status", "--json").json()["state"] == "unlocked"
    finally:
        home.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("labels", [None, {}, {"connector_fqn": ""}])
def test_revoking_a_binding_of_another_program(built, labels):
    vault = Vault()
    vault.put("oauth2/x/me", json.dumps({"access_token": "a" * 20, "client_id": "c", "token_url": "https://t.test/t"}), labels=labels)
    home = made(vault=vault)
    try:
        answer = home.api("DELETE", "/v1/bindings/oauth2/x/me")
        assert answer.status == 200, answer
        assert keepers(home) == 0, home.log()[-500:]
        assert "oauth2/x/me" not in json.loads(home.vault_file.read_text())["secrets"]
    finally:
        home.close()


def test_a_vault_full_of_labels_does_not_keep_the_daemon_from_starting(built):
    vault = Vault()
    long = "x" * 1000
    value = vault.document["verification"]
    for i in range(2000):
        vault.entries[f"oauth2/s{i}/me"] = {"value": value, "metadata": {"Type": "oauth2", "Environment": "", "Labels": {
            "account": long, "scope": long, "granted_scopes": long, "missing_scopes": long, "connector_fqn": "local://x"}}}
    home = made(vault=vault, unlock=False)
    try:
        assert keepers(home) == 0, home.log()[-500:]
        assert home.cli("status", check=0).out
    finally:
        home.close()


def test_refused_paths_leave_no_receipt(home):
    with owner(home) as peer:
        for path in ("oauth2/google/me", "a//b", "x/../y"):
            assert peer.put(path, b"12345678", check=False).result != door.OK, path
    assert "secret.written" not in [event["event_type"] for event in home.audit_lines()]


def test_wrong_passphrases_do_not_keep_it_open(built):
    home = made(unlock=False)
    try:
        home.cli("config", "set", "vault.auto_lock", "10s", check=0)
        home.unlock()
        began = time.monotonic()
        while time.monotonic() - began < 14:
            with owner(home) as peer:
                peer.ticket("", "a", "b", check=False)
            time.sleep(0.3)
        assert home.cli("vault", "status", "--json").json()["state"] == "locked"
    finally:
        home.close()


@pytest.mark.parametrize("garbage", [b"\0", b"x" * 15, b"\xff" * 16, door.HEADER.pack(1, 65, 1, 0x7FFFFFFF, 0),
                                     door.HEADER.pack(1, 65, 1, 0, 0)])
def test_garbage_ends_only_its_own_connection(home, garbage):
    with owner(home) as good, owner(home) as bad:
        bad.send_raw(garbage)
        bad.socket.settimeout(5)
        with pytest.raises(door.Closed):
            bad.receive()
        good.put("x", b"12345678")
    assert keepers(home) == 0


@pytest.fixture
def full(built):
    """A home on a small file system of its own, its audit log on another; `full.fill()` leaves no room for the vault."""
    if os.geteuid() != 0:
        pytest.skip("a small file system needs root")
    home = Home()
    home.path.mkdir(mode=0o700)

    def mount(folder, size):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", folder], check=False,
                              capture_output=True, text=True)
        if done.returncode:
            home.close()
            pytest.skip(f"mount: {done.stderr.strip()}")

    mount(home.path, "600k")
    (home.path / "audit").mkdir(mode=0o700)
    mount(home.path / "audit", "600k")

    def fill():
        with open(home.path / "filler", "wb", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(b"\0" * 512)

    home.fill = fill
    Vault().write(home.vault_file)
    home.start()
    yield home
    try:
        home.cli("daemon", "stop", timeout=30)
    finally:
        subprocess.run(["umount", home.path / "audit"], check=False)
        subprocess.run(["umount", home.path], check=False)
        home.close()


def test_a_full_disk_changes_nothing(full):
    with owner(full) as peer:
        peer.put("kept", b"a value that stays")
        before = full.vault_file.read_bytes()
        full.fill()
        put = peer.put("lost", b"x" * 8000, check=False)
        change = peer.change(PASSPHRASE, OTHER, check=False)
        gone = peer.delete("kept", check=False)
    assert put.result != door.OK and change.result != door.OK and gone.result != door.OK, (put, change, gone)
    assert put.message and change.message
    assert full.vault_file.read_bytes() == before
    assert not [path for path in full.path.iterdir() if path.name.startswith(".secrets.json")], "a piece was left"
    (full.path / "filler").unlink()
    with owner(full) as peer:
        peer.put("later", b"12345678")
        assert peer.unlock(OTHER, check=False).result != door.OK
    assert full.vault().get("kept") == b"a value that stays" and full.vault().get("later") == b"12345678"


def test_another_vault_that_is_opened_is_told(home):
    """Nobody can keep a process of the owner from opening a vault of its own in a locked daemon; it does not stay unnoticed."""
    home.stop()
    home.start(unlock=False)
    replace(home, Vault(OTHER, salt=bytes(range(16, 32))))
    with owner(home) as peer:
        peer.unlock(OTHER)
    wait_for(lambda: "not the vault whose key signed" in home.cli("status", check=0).out, "the status", 5)
    verdict = home.cli("audit", "verify", "--json").json()
    assert verdict["intact"] is False and "another key" in verdict["what"], verdict
