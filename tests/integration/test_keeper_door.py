"""keeper.sock of a running daemon, through a client of its own (tests/rig/keeper.py): passphrases, secrets, offences, crashes."""
import concurrent.futures
import contextlib
import os
import random
import socket
import struct
import time

import pytest

from tests.rig import keeper
from tests.rig.home import Home
from tests.rig.keeper import Closed, Door
from tests.rig.ports import wait_for
from tests.rig.vault import PASSPHRASE

ROUNDS = 20


@pytest.fixture
def home(built):
    """A daemon without a vault."""
    home = Home()
    home.start()
    yield home
    home.close()


def door(home, **more):
    return Door(home.path / "keeper.sock", **more)


@pytest.fixture
def created(home):
    with door(home) as owner:
        assert owner.state == keeper.VAULT_MISSING
        assert owner.vault_path == str(home.vault_file)
        owner.create(PASSPHRASE)
    return home


def state(home):
    return home.api("GET", "/v1/status").json()["vault_state"]


def is_open(home):
    with door(home) as owner:
        return owner.state == keeper.VAULT_UNLOCKED


def relock(home):
    assert home.api("POST", "/v1/vault/lock").status == 200
    assert not is_open(home)


def test_create_put_delete(created):
    with door(created) as owner:
        assert owner.state == keeper.VAULT_UNLOCKED
        owner.put("folder/note", b"bytes \x00\xff of mine", "note", "test", {"label": "text"})
        assert owner.create("another", check=False).result == keeper.EXISTS
        assert owner.put("_dev", "aileron-dev-v1", check=False).result == keeper.REFUSED
    vault = created.vault()
    assert vault.get("folder/note") == b"bytes \x00\xff of mine"
    assert vault.labels("folder/note") == {"label": "text"}
    assert "_dev" not in vault.paths()
    with door(created) as owner:
        owner.delete("folder/note")
        assert owner.delete("folder/note", check=False).result == keeper.NOT_FOUND
    assert "folder/note" not in created.vault().paths()
    events = [line["event_type"] for line in created.audit_lines()]
    assert events.count("vault.created") == 1
    assert events.count("secret.written") == 1
    assert events.count("secret.deleted") == 1


def test_secrets_stay_in_the_vault(created):
    value = "value-that-nobody-may-see"
    with door(created) as owner:
        owner.put("note", value)
        owner.change(PASSPHRASE, "another passphrase of mine")
    files = [path for path in created.path.rglob("*") if path.is_file()]
    assert created.vault_file in files
    for path in files:
        content = path.read_bytes()
        for word in (value, PASSPHRASE, "another passphrase of mine"):
            assert word.encode() not in content, path
    assert created.vault("another passphrase of mine").get("note") == value.encode()


def test_wrong_passphrase_and_pause(created):
    relock(created)
    with door(created) as one, door(created) as two:
        done = one.unlock("wrong", check=False)
        assert (done.result, done.detail) == (keeper.WRONG_PASSPHRASE, "1")
        start = time.monotonic()
        # The pause is the keeper's, not the connection's.
        assert two.unlock("wrong", check=False).detail == "2"
        assert time.monotonic() - start >= 0.9
        start = time.monotonic()
        one.unlock(PASSPHRASE)
        assert time.monotonic() - start >= 1.9
    assert is_open(created)
    wait_for(lambda: [line["event_type"] for line in created.audit_lines()].count("vault.unlock_failed") == 2, "the receipts")


def test_two_clients_at_once(created):
    relock(created)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        def unlock(number):
            with door(created) as owner:
                return owner.unlock(PASSPHRASE, check=False).result
        assert set(pool.map(unlock, range(8))) == {keeper.OK}
    assert is_open(created)


def test_disconnect_amid_derivation(created):
    relock(created)
    for delay in (0, 0.01, 0.03, 0.06, 0.1):
        owner = door(created)
        owner.send(keeper.UNLOCK, keeper.data(PASSPHRASE))
        time.sleep(delay)
        owner.close()
    with door(created) as owner:
        owner.unlock(PASSPHRASE)
    pids = created.children("keeper")
    # The keeper and no child that was forgotten.
    wait_for(lambda: len(created.children("keeper")) == 1, "derivations to end")
    assert len(set(created.children("keeper")) & set(pids)) == 1


def test_answers_during_derivation(created):
    with door(created) as owner:
        owner.send(keeper.UNLOCK, keeper.data(PASSPHRASE))
        slowest, answers = 0, 0
        owner.socket.setblocking(False)
        done = None
        while done is None:
            start = time.monotonic()
            with door(created) as other:
                assert other.put("during", str(answers), check=False).result == keeper.OK
            slowest, answers = max(slowest, time.monotonic() - start), answers + 1
            with contextlib.suppress(BlockingIOError):
                done = owner.read_done()
        assert answers >= 2
        assert slowest < 2, created.log()


def test_offences_end_one_connection(created):
    packets = [b"", b"x", os.urandom(16), os.urandom(4096), keeper.HEADER.pack(1, keeper.UNLOCK, 1, 0, 0),
               keeper.HEADER.pack(2, keeper.UNLOCK, 1, 0, 0), keeper.HEADER.pack(1, keeper.UNLOCK, 1, 5, 0) + b"\2\0\0\0x",
               keeper.HEADER.pack(1, keeper.UNLOCK, 1, 6, 0) + b"\1\0\0\0xy", keeper.HEADER.pack(1, keeper.DONE, 1, 0, 0),
               keeper.HEADER.pack(1, keeper.UNLOCK, 1, 4, 0) + b"\xff\xff\xff\xff", keeper.HEADER.pack(1, 12, 1, 0, 0),
               keeper.HEADER.pack(1, keeper.OAUTH_PASTE, 1, 4, 0) + struct.pack("=I", 0)]
    with door(created) as witness:
        for packet in packets:
            with door(created) as owner:
                if packet:
                    owner.send_raw(packet)
                else:
                    owner.socket.shutdown(socket.SHUT_WR)
                with pytest.raises(Closed):
                    owner.receive()
        # A descriptor has no business here.
        with door(created) as owner:
            body = keeper.data(PASSPHRASE)
            with open("/dev/null") as file:
                socket.send_fds(owner.socket, [keeper.HEADER.pack(1, keeper.UNLOCK, 1, len(body), 1) + body], [file.fileno()])
            with pytest.raises(Closed):
                owner.receive()
        assert witness.put("still", "here").result == keeper.OK
    assert len(created.children("keeper")) == 1
    assert state(created) == "unlocked"


def test_fuzzed_frames(created):
    """Random bodies under every known type: each is answered, or the connection ends; the keeper never does."""
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    pid = created.children("keeper")
    for _ in range(300):
        with door(created, timeout=10) as owner:
            # Not PASTE, CREATE, UNLOCK and so on with a passphrase that would only cost a pause.
            kind = dice.choice([keeper.PUT, keeper.DELETE, keeper.BIND_KEY, keeper.REBIND, keeper.DEFAULT, keeper.OAUTH_BEGIN,
                                keeper.OAUTH_AGAIN, keeper.OAUTH_PASTE, dice.randrange(65536)])
            fields = b"".join(keeper.data(dice.randbytes(dice.randrange(64))) for _ in range(dice.randrange(6)))
            body = fields if dice.random() < 0.5 else dice.randbytes(dice.randrange(256))
            owner.send(kind, body)
            with contextlib.suppress(Closed):
                answer, _, _ = owner.receive()
                assert answer in (keeper.DONE, keeper.URL), (seed, answer)
    assert created.children("keeper") == pid, f"seed {seed}"


def test_more_connections_than_places(created):
    with contextlib.ExitStack() as stack:
        doors = [stack.enter_context(door(created)) for _ in range(64)]
        late = stack.enter_context(door(created, hello=False))
        late.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            late.receive()
        doors[0].put("full", "house")
        doors.pop(3).close()
        late.socket.settimeout(10)
        late.greet()
        late.put("in", "turn")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user(created):
    path = created.path / "keeper.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    for folder in (created.base, created.path):
        folder.chmod(0o755)
    path.chmod(0o666)
    child = os.fork()
    if child == 0:
        try:
            os.setresuid(65534, 65534, 65534)
            door(created, timeout=5)
            os._exit(1)
        except (Closed, PermissionError):
            os._exit(0)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    created.path.chmod(0o700)
    created.base.chmod(0o700)
    assert state(created) == "unlocked"


def put_storm(home, number, acknowledged):
    """Writes until the keeper is gone."""
    with contextlib.suppress(Closed, ConnectionError, OSError):
        with door(home, timeout=20) as owner:
            for count in range(100000):
                path, value = f"storm-{number}-{count}", os.urandom(24)
                if owner.put(path, value, check=False).result != keeper.OK:
                    return
                acknowledged[path] = value


def unlock_next(home):
    """The keeper that replaces the one that was killed; its clients queue meanwhile."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with door(home, timeout=20) as owner:
                owner.unlock(PASSPHRASE)
                return
        except (Closed, OSError):
            assert time.monotonic() < deadline, "no keeper came back"
            time.sleep(0.05)


def test_killed_amid_writes(created):
    """What was acknowledged is there after the next unlock, whenever the keeper was killed."""
    acknowledged, seed = {}, random.randrange(2**32)
    dice = random.Random(seed)
    for number in range(ROUNDS):
        if number % 5 == 4:
            # A daemon that lost many keepers waits longer and longer before the next; a new one does not.
            created.stop()
            created.start()
            unlock_next(created)
        (pid,) = created.children("keeper")
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            storms = [pool.submit(put_storm, created, f"{number}-{part}", acknowledged) for part in range(2)]
            time.sleep(dice.uniform(0.01, 0.3))
            created.kill(pid)
            for storm in storms:
                storm.result(60)
        unlock_next(created)
        vault = created.vault()
        lost = [path for path, value in acknowledged.items() if path not in vault.paths()]
        assert not lost, f"seed {seed}, round {number}: {lost[:5]}"
    assert len(acknowledged) > ROUNDS, f"seed {seed}"
    vault = created.vault()
    for path, value in acknowledged.items():
        assert vault.get(path) == value
    # Nothing half-written stays behind.
    assert [path.name for path in created.path.glob("secrets*")] == ["secrets.json"]
    # What is in the vault has its receipt before it.
    written = {line["payload"]["aileron.vault.path"] for line in created.audit_lines()
               if line["event_type"] == "secret.written"}
    assert {path for path in vault.paths() if path.startswith("storm-")} <= written
