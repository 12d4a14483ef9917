"""Signed heads of the audit log: when they are made, what they hold, and what each way of meddling with log or heads is called."""
import base64
import hashlib
import json
import re
import shutil
import signal
import time

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tests.rig.home import Home
from tests.rig.ports import wait_for
from tests.rig.vault import Vault

LINE = re.compile(rb'\{"seq":[1-9]\d*,"hash":"sha256:[0-9a-f]{64}","key":"[A-Za-z0-9+/]{43}=","signature":"[A-Za-z0-9+/]{86}==",'
                  rb'"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"\}')


def heads_file(home):
    return home.path / "audit/heads.jsonl"


def heads(home):
    if not heads_file(home).exists():
        return []
    return [json.loads(line) for line in heads_file(home).read_bytes().splitlines()]


def log_lines(home):
    return [line for path in home.audit_files() for line in path.read_bytes().splitlines()]


def message(seq, hash_hex):
    return b"aileron-audit-head-v1\n" + seq.to_bytes(8, "big") + bytes.fromhex(hash_hex)


def sign(key, seq, line):
    """One head as the keeper and the broker would make it, of any key."""
    digest = hashlib.sha256(line).hexdigest()
    public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return json.dumps({"seq": seq, "hash": f"sha256:{digest}", "key": base64.b64encode(public).decode(),
                       "signature": base64.b64encode(key.sign(message(seq, digest))).decode(),
                       "timestamp": "2026-11-24T12:00:00.000Z"}, separators=(",", ":")).encode()


def chained(lines, start=0):
    """The lines with seq and prev made to fit from `start` on: what whoever can write the file can do."""
    made = list(lines[:start])
    for line in lines[start:]:
        prev = hashlib.sha256(made[-1]).hexdigest() if made else "0" * 64
        line = re.sub(rb'^\{"seq":\d+', b'{"seq":%d' % (len(made) + 1), line)
        made.append(line[:-66] + prev.encode() + b'"}')
    return made


def write_log(home, lines):
    """All of the log in its oldest file."""
    first, *others = home.audit_files()
    first.write_bytes(b"".join(line + b"\n" for line in lines))
    for path in others:
        path.unlink()


def write_heads(home, lines):
    heads_file(home).write_bytes(b"".join(line + b"\n" for line in lines))


def verify(home):
    """Exit code, the JSON, and what a person reads."""
    result, plain = home.cli("audit", "verify", "--json"), home.cli("audit", "verify")
    assert result.code == plain.code, repr(plain)
    return result.code, result.json(), plain.out + plain.err


def events(home, count):
    """Receipts that cost little."""
    for _ in range((count + 1) // 2):
        session = home.api("POST", "/v1/sessions", {"agent": "tests"}).json()["session_id"]
        assert home.api("POST", f"/v1/sessions/{session}/end").status in (200, 204)


def wait_covered(home, seq):
    wait_for(lambda: heads(home) and heads(home)[-1]["seq"] >= seq, f"a head of event {seq}", 5)


def make_home(folder=None):
    home = Home(folder=folder)
    home.path.mkdir(mode=0o700, exist_ok=True)
    Vault().write(home.vault_file)
    return home


@pytest.fixture
def vaulted(built):
    """A home with a vault, its daemon not started."""
    home = make_home()
    yield home
    home.close()


@pytest.fixture(scope="module")
def lived(built):
    """A stopped home that was unlocked twice, with events and heads of both times."""
    home = make_home()
    home.start()
    events(home, 40)
    home.stop()
    home.start(unlock=False)
    events(home, 10)
    home.unlock()
    events(home, 10)
    home.stop()
    yield home
    home.close()


@pytest.fixture
def copied(lived):
    """A copy of that home, to be damaged. Its daemon is not running."""
    home = Home()
    shutil.copytree(lived.path, home.path, ignore=shutil.ignore_patterns("daemon.json", "daemon.sock", "*.sock", "run", "cache"))
    yield home
    home.close()


def test_a_head_at_once_when_the_vault_opens(vaulted):
    vaulted.start(unlock=False)
    events(vaulted, 4)
    assert not heads_file(vaulted).exists()
    vaulted.unlock()
    unlocked = [event["seq"] for event in vaulted.audit_lines() if event["event_type"] == "vault.unlocked"]
    assert len(unlocked) == 1
    wait_covered(vaulted, unlocked[0])
    assert heads_file(vaulted).stat().st_mode & 0o777 == 0o600
    for line in heads_file(vaulted).read_bytes().splitlines():
        assert LINE.fullmatch(line), line
    lines = log_lines(vaulted)
    for head in heads(vaulted):
        digest = hashlib.sha256(lines[head["seq"] - 1]).hexdigest()
        assert head["hash"] == f"sha256:{digest}"
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(head["key"]))
        key.verify(base64.b64decode(head["signature"]), message(head["seq"], digest))
        with pytest.raises(InvalidSignature):
            key.verify(base64.b64decode(head["signature"]), message(head["seq"] + 1, digest))
    code, verdict, text = verify(vaulted)
    anchor = verdict["anchor"]
    assert code == 0 and anchor["confirmed"] is True and anchor["seq"] + anchor["later"] == verdict["events"]
    assert re.search(rf"anchored to seq {anchor['seq']}, {anchor['later']} later", text) and "the vault's own key" in text
    assert anchor["key"] == heads(vaulted)[-1]["key"]
    # The private half is in the vault and nowhere else.
    mark, seed = vaulted.vault().get("_audit/head-key").split(b"\n", 1)
    assert mark == b"aileron-head-key-v1"
    assert Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw) == base64.b64decode(anchor["key"])


def test_a_head_every_256_events(vaulted):
    vaulted.start()
    wait_for(lambda: heads(vaulted), "the first head", 5)
    time.sleep(0.3)
    first = heads(vaulted)[-1]["seq"]
    events(vaulted, 200)
    assert heads(vaulted)[-1]["seq"] == first, "between two heads nothing is signed"
    events(vaulted, 400)
    wait_covered(vaulted, first + 512)
    assert [head["seq"] for head in heads(vaulted)] == sorted({head["seq"] for head in heads(vaulted)})
    code, verdict, _ = verify(vaulted)
    assert code == 0 and verdict["anchor"]["later"] < 256 + 100


def test_the_stop_is_covered(vaulted):
    vaulted.start()
    events(vaulted, 6)
    vaulted.stop()
    last = json.loads(log_lines(vaulted)[-1])
    assert last["event_type"] == "daemon.stopped"
    assert heads(vaulted)[-1]["seq"] == last["seq"]


def test_a_locked_vault_cannot_confirm_the_key(lived, copied):
    code, verdict, text = verify(copied)
    assert code == 0 and verdict["anchor"]["confirmed"] is False and verdict["anchor"]["seq"] == len(log_lines(lived))
    assert "not confirmed while the vault is locked" in text and "aileron vault unlock" in text
    copied.unlock()
    code, verdict, text = verify(copied)
    assert code == 0 and verdict["anchor"]["confirmed"] is True and "the vault's own key" in text


def swap_types(lines, at):
    lines[at], lines[at + 1] = lines[at + 1], lines[at]


FORGED = {
    "edited": lambda lines: lines.__setitem__(5, lines[5].replace(b'"type":"human"', b'"type":"agent"')),
    "a line cut out": lambda lines: lines.pop(6),
    "the first cut out": lambda lines: lines.pop(0),
    "two reordered": lambda lines: swap_types(lines, 5),
    "one put in": lambda lines: lines.insert(6, lines[8]),
}


@pytest.mark.parametrize("what", FORGED)
@pytest.mark.parametrize("unlocked", [False, True])
def test_a_log_made_to_fit_its_chain_is_found_by_its_heads(copied, what, unlocked):
    lines = log_lines(copied)
    signed = {head["seq"] for head in heads(copied)}
    before = list(lines)
    FORGED[what](lines)
    lines = chained(lines)
    assert lines != before
    write_log(copied, lines)
    # A vault.unlocked is signed over at once; the places that were signed before stay.
    if unlocked:
        copied.start()
    code, verdict, text = verify(copied)
    assert code == 1 and verdict["intact"] is False, verdict
    changed = next(i for i, line in enumerate(lines) if line != before[i]) + 1
    place = min(seq for seq in signed if seq >= changed)
    assert verdict["where"].endswith(f" line {place}") and "is not the one that was signed" in verdict["what"], verdict
    assert "BROKEN" in text and verdict["where"] in text
    held = [seq for seq in signed if seq < place]
    assert (verdict["anchor"]["seq"] if verdict["anchor"] else None) == (max(held) if held else None)


def test_a_log_cut_while_no_daemon_ran(copied):
    lines = log_lines(copied)
    write_log(copied, lines[:-6])
    # The daemon that verifies writes receipts of its own behind the cut: fewer than were cut, then more.
    code, verdict, _ = verify(copied)
    assert code == 1 and verdict["intact"] is False
    assert verdict["where"] == "the end of the log" and f"event {len(lines)} was signed" in verdict["what"], verdict
    status = copied.cli("status", check=0).out
    assert f"event {len(lines)} was signed but is gone" in status
    events(copied, 20)
    code, verdict, _ = verify(copied)
    assert code == 1 and verdict["where"].endswith(f" line {len(lines)}") and "not the one that was signed" in verdict["what"]
    # Unlocking signs what is there now, and hides nothing.
    copied.unlock()
    wait_covered(copied, len(lines) + 1)
    code, verdict, _ = verify(copied)
    assert code == 1 and verdict["where"].endswith(f" line {len(lines)}")


def break_signature(lines):
    head = json.loads(lines[0])
    raw = bytearray(base64.b64decode(head["signature"]))
    raw[7] ^= 1
    head["signature"] = base64.b64encode(raw).decode()
    lines[0] = json.dumps(head, separators=(",", ":")).encode()


HEADS = {
    "a signature": (break_signature, "heads.jsonl line 1", "the signature of the head"),
    "another event": (lambda lines: lines.append(re.sub(rb'^\{"seq":\d+', b'{"seq":4711', lines[-1])),
                      "heads.jsonl line {}", "the signature of the head of event 4711 is wrong"),
    "reordered": (lambda lines: lines.reverse(), "heads.jsonl line 2", "reordered"),
    "doubled": (lambda lines: lines.insert(1, lines[0]), "heads.jsonl line 2", "reordered"),
    "not a head": (lambda lines: lines.insert(1, b"{}"), "heads.jsonl line 2", "edited: not a signed head"),
    "spaces": (lambda lines: lines.__setitem__(0, lines[0].replace(b",", b", ")), "heads.jsonl line 1", "edited: not a signed head"),
}


@pytest.mark.parametrize("what", HEADS)
def test_meddling_with_the_heads(copied, what):
    change, where, words = HEADS[what]
    lines = heads_file(copied).read_bytes().splitlines()
    assert len(lines) >= 3
    change(lines)
    write_heads(copied, lines)
    code, verdict, _ = verify(copied)
    assert code == 1 and verdict["where"] == where.format(len(lines)) and words in verdict["what"], verdict


def test_heads_deleted_or_cut_back_to_before_an_unlock(copied):
    unlocks = [event["seq"] for event in copied.audit_lines() if event["event_type"] == "vault.unlocked"]
    lines = heads_file(copied).read_bytes().splitlines()
    write_heads(copied, [line for line in lines if json.loads(line)["seq"] < unlocks[-1]])
    code, verdict, _ = verify(copied)
    assert code == 1 and verdict["where"] == "heads.jsonl" and "missing" in verdict["what"], verdict
    assert f"open from event {unlocks[-1]} on" in verdict["what"]
    heads_file(copied).unlink()
    code, verdict, _ = verify(copied)
    assert code == 1 and verdict["where"] == "heads.jsonl" and verdict["anchor"] is None


def test_heads_cut_while_the_daemon_runs(vaulted):
    vaulted.start()
    wait_for(lambda: heads(vaulted), "the first head", 5)
    first = heads_file(vaulted).read_bytes()
    events(vaulted, 600)
    wait_covered(vaulted, 500)
    heads_file(vaulted).write_bytes(first.splitlines(keepends=True)[0])
    code, verdict, _ = verify(vaulted)
    assert code == 1 and verdict["where"] == "heads.jsonl" and "cut: the head of event" in verdict["what"], verdict
    heads_file(vaulted).unlink()
    code, verdict, _ = verify(vaulted)
    assert code == 1 and verdict["where"] == "heads.jsonl"
    # The next head covers everything again.
    events(vaulted, 300)
    wait_for(lambda: heads(vaulted), "a new head", 5)
    code, verdict, _ = verify(vaulted)
    assert code == 0 and verdict["anchor"]["confirmed"] is True, verdict


def test_heads_of_an_attackers_key(copied):
    """Log and heads made anew as a whole by somebody without the vault's key."""
    lines = log_lines(copied)
    FORGED["edited"](lines)
    lines = chained(lines)
    write_log(copied, lines)
    attacker = Ed25519PrivateKey.generate()
    write_heads(copied, [sign(attacker, seq, lines[seq - 1]) for seq in (4, len(lines))])
    code, verdict, text = verify(copied)
    assert code == 0 and verdict["anchor"]["confirmed"] is False, "a locked vault cannot tell"
    assert "not confirmed while the vault is locked" in text
    copied.unlock()
    wait_for(lambda: len(heads(copied)) > 2, "a head of the vault's", 5)
    code, verdict, _ = verify(copied)
    assert code == 1 and verdict["where"] == "heads.jsonl line 3" and "signed by another key" in verdict["what"], verdict


def test_the_attackers_heads_are_the_newest(vaulted):
    """While the vault is open the keeper says whose the newest head is."""
    vaulted.start()
    wait_for(lambda: heads(vaulted), "the first head", 5)
    time.sleep(0.3)
    lines = log_lines(vaulted)
    write_heads(vaulted, [sign(Ed25519PrivateKey.generate(), len(lines), lines[-1])])
    code, verdict, _ = verify(vaulted)
    assert code == 1 and verdict["where"] == "heads.jsonl line 1"
    assert "signed by another key than the vault's" in verdict["what"] and verdict["anchor"]["confirmed"] is False


def test_a_vault_made_anew_has_a_key_of_its_own(copied):
    old = heads(copied)[-1]["key"]
    copied.vault_file.unlink()
    copied.start(unlock=False)
    copied.cli("vault", "init", "--passphrase-file", copied.passphrase_file, check=0)
    wait_for(lambda: heads(copied)[-1]["key"] != old, "a head of the new vault", 5)
    created = [event["seq"] for event in copied.audit_lines() if event["event_type"] == "vault.created"]
    assert len(created) == 1
    code, verdict, _ = verify(copied)
    assert code == 0 and verdict["anchor"]["confirmed"] is True and verdict["anchor"]["key"] != old
    copied.stop()
    # Without the receipt of the creation the change of key is a fault.
    lines = log_lines(copied)
    lines[created[0] - 1] = lines[created[0] - 1].replace(b"vault.created", b"vault.unlocked")
    key = Ed25519PrivateKey.generate()
    old_heads = [line for line in heads_file(copied).read_bytes().splitlines() if json.loads(line)["key"] == old]
    lines = chained(lines, created[0] - 1)
    write_log(copied, lines)
    write_heads(copied, [*old_heads, sign(key, len(lines), lines[-1])])
    code, verdict, _ = verify(copied)
    assert code == 1 and verdict["where"] == f"heads.jsonl line {len(old_heads) + 1}" and "another key" in verdict["what"], verdict


def test_killed_between_receipt_and_head(vaulted):
    """The keeper is stopped, so the head is asked for and never signed; then the broker dies."""
    vaulted.start()
    wait_for(lambda: heads(vaulted), "the first head", 5)
    time.sleep(0.3)
    first = heads(vaulted)[-1]["seq"]
    vaulted.remember()
    keeper = vaulted.children("aileron-keeper")[0]
    vaulted.kill(keeper, signal.SIGSTOP)
    events(vaulted, 300)
    vaulted.kill(vaulted.pid())
    vaulted.start(unlock=False)
    assert heads(vaulted)[-1]["seq"] == first
    code, verdict, _ = verify(vaulted)
    assert code == 0 and verdict["anchor"]["later"] >= 300, verdict
    vaulted.unlock()
    wait_covered(vaulted, first + 300)
    code, verdict, _ = verify(vaulted)
    assert code == 0 and verdict["anchor"]["confirmed"] is True and verdict["anchor"]["later"] < 5


def test_killed_at_random_instants(vaulted):
    for round_ in range(6):
        vaulted.start()
        events(vaulted, 40 + 60 * round_)
        vaulted.remember()
        vaulted.kill(vaulted.pid())
    vaulted.start()
    code, verdict, _ = verify(vaulted)
    assert code == 0 and verdict["anchor"]["confirmed"] is True, verdict


def test_a_keeper_that_hangs_does_not_hold_up_the_stop(vaulted):
    vaulted.start()
    wait_for(lambda: heads(vaulted), "the first head", 5)
    time.sleep(0.3)
    vaulted.remember()
    vaulted.kill(vaulted.children("aileron-keeper")[0], signal.SIGSTOP)
    events(vaulted, 2)
    began = time.monotonic()
    vaulted.stop()
    assert time.monotonic() - began < 4
    assert json.loads(log_lines(vaulted)[-1])["event_type"] == "daemon.stopped"
    assert heads(vaulted)[-1]["seq"] < len(log_lines(vaulted))


def test_a_torn_head_is_moved_away(copied):
    whole = heads_file(copied).read_bytes()
    heads_file(copied).write_bytes(whole + whole.splitlines()[-1][:70])
    copied.start(unlock=False)
    assert heads_file(copied).read_bytes() == whole
    assert [path.name for path in (copied.path / "audit/torn").iterdir()] == [f"heads.jsonl.{len(whole)}.0"]
    assert "audit.recovered" in [event["event_type"] for event in copied.audit_lines()]
    assert verify(copied)[0] == 0
