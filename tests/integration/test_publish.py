"""`aileron publish`: what it makes, plain tar, openssl and sha256sum can check; what plain tools make, it verifies."""
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from tests.rig import paths

FQN = "github://acme/tools"


@pytest.fixture
def desk(home):
    """A publisher's folder with a key, and the commands run in it."""
    home.desk = home.base / "desk"
    home.desk.mkdir()
    (home.desk / "cid").write_text("client-of-the-publisher\n")
    (home.desk / "csec").write_text("public-by-design\n")

    def publish(*args, check=0):
        done = subprocess.run([paths.CLI, "publish", *map(str, args)], cwd=home.desk, env=home.environment, text=True,
                              capture_output=True, timeout=60)
        assert done.returncode == check, done.stdout + done.stderr
        return done

    home.publish = publish
    publish("keygen")
    return home


def pack_google(desk, *more):
    done = desk.publish("pack", paths.GOOGLE, "--fqn", FQN, "--version", "v1.2.3", "--bind", "client_id=cid",
                        "--bind", "client_secret=csec", "--json", *more)
    return json.loads(done.stdout)[0]


def run(folder, *command, data=None):
    return subprocess.run(command, cwd=folder, input=data, check=True, capture_output=True).stdout


def test_keygen_never_overwrites_and_keeps_the_key_private(desk):
    key = desk.desk / "publisher.key"
    before = key.read_bytes(), (desk.desk / "keys/publisher.pub").read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE KEY" in before[0] and b"PUBLIC KEY" in before[1]
    assert "never overwritten" in desk.publish("keygen", check=1).stderr
    assert "never overwritten" in desk.publish("keygen", "--key", "second.key", check=1).stderr
    assert not (desk.desk / "second.key").exists()
    assert (key.read_bytes(), (desk.desk / "keys/publisher.pub").read_bytes()) == before
    key.chmod(0o640)
    assert "publisher.key" in desk.publish("pack", paths.GOOGLE, "--fqn", FQN, "--version", "1.0.0", "--bind", "client_id=cid",
                                           "--bind", "client_secret=csec", check=1).stderr


def test_plain_tools_verify_what_it_packs(desk):
    made = pack_google(desk)
    assert made["name"] == FQN and made["version"] == "1.2.3" and made["tag"] == "v1.2.3"
    archive = desk.desk / made["archive"]
    names = run(desk.desk, "tar", "tzf", archive).decode().split()
    assert names == ["connector.wasm", "manifest.toml", "signature.sig"]
    folder = desk.desk / "unpacked"
    folder.mkdir()
    run(folder, "tar", "xzf", archive)
    signed = (folder / "connector.wasm").read_bytes() + (folder / "manifest.toml").read_bytes()
    (folder / "message").write_bytes(signed)
    assert made["hash"] == "sha256:" + hashlib.sha256(signed).hexdigest()
    out = run(folder, "openssl", "pkeyutl", "-verify", "-pubin", "-inkey", desk.desk / "keys/publisher.pub", "-rawin",
              "-in", "message", "-sigfile", "signature.sig")
    assert b"Verified" in out
    assert "client-of-the-publisher" in (folder / "manifest.toml").read_text()
    assert "@@" not in (folder / "manifest.toml").read_text()
    # The same source gives the same bytes.
    first = archive.read_bytes()
    pack_google(desk)
    assert archive.read_bytes() == first


def test_it_verifies_what_plain_tools_make(desk):
    pack_google(desk)
    folder = desk.desk / "plain"
    folder.mkdir()
    run(folder, "tar", "xzf", desk.desk / "dist/aileron.tar.gz")
    message = (folder / "connector.wasm").read_bytes() + (folder / "manifest.toml").read_bytes()
    (folder / "message").write_bytes(message)
    run(folder, "openssl", "pkeyutl", "-sign", "-inkey", desk.desk / "publisher.key", "-rawin", "-in", "message", "-out",
        "signature.sig")
    run(folder, "tar", "czf", "aileron.tar.gz", "./connector.wasm", "./manifest.toml", "./signature.sig")
    assert FQN in desk.publish("verify", folder / "aileron.tar.gz").stdout
    # Any other key, any other byte.
    desk.publish("keygen", "--key", "other.key", "--public", "other.pub")
    assert "was not made by this key" in desk.publish("verify", folder / "aileron.tar.gz", "--key", "other.pub", check=1).stderr
    with open(folder / "manifest.toml", "a") as manifest:
        manifest.write("# one more line\n")
    run(folder, "tar", "czf", "aileron.tar.gz", "connector.wasm", "manifest.toml", "signature.sig")
    assert "was not made by this key" in desk.publish("verify", folder / "aileron.tar.gz", check=1).stderr


def test_actions_pin_the_packed_connector(desk):
    made = pack_google(desk)
    actions = sorted((paths.GOOGLE / "actions").glob("*.md"))
    packed = json.loads(desk.publish("pack", *actions, "--connector", made["archive"], "--json").stdout)
    assert len(packed) == len(actions) == 10
    for item in packed:
        assert item["kind"] == "action" and item["tag"] == f"actions/{item['name']}/v1.2.3"
        text = run(desk.desk, "tar", "xzOf", item["archive"], "action.md")
        assert item["hash"] == "sha256:" + hashlib.sha256(text).hexdigest()
        assert made["hash"].encode() in text and b"@@" not in text
    desk.publish("verify", *[item["archive"] for item in packed])
    assert "archive of an action" in desk.publish("pack", actions[0], "--connector", packed[0]["archive"], check=1).stderr


@pytest.mark.parametrize("args, words", [
    (["--fqn", FQN, "--version", "1.0.0", "--bind", "client_id=cid"], "@@client_secret@@"),
    (["--fqn", FQN, "--bind", "client_id=cid", "--bind", "client_secret=csec"], "@@VERSION@@"),
    (["--fqn", "local://tools", "--version", "1.0.0", "--bind", "client_id=cid", "--bind", "client_secret=csec"], "github://"),
    (["--fqn", "acme/tools", "--version", "1.0.0"], "acme/tools"),
    (["--fqn", FQN, "--version", "1.0"], "1.0"),
    (["--fqn", FQN, "--version", "1.0.0", "--bind", "client_id=nowhere"], "nowhere"),
    (["--fqn", FQN, "--version", "1.0.0", "--bind", "client_id"], "NAME=FILE"),
    (["--fqn", FQN, "--version", "1.0.0", "--bind", "client_id=cid", "--bind", "client_id=csec"], "twice"),
])
def test_pack_says_what_is_missing(desk, args, words):
    assert words in desk.publish("pack", paths.GOOGLE, *args, check=1).stderr
    assert not (desk.desk / "dist").exists()


def test_verify_refuses_strange_archives(desk):
    pack_google(desk)
    folder = desk.desk / "odd"
    folder.mkdir()
    run(folder, "tar", "xzf", desk.desk / "dist/aileron.tar.gz")

    def refused(words, *members, **more):
        run(folder, "tar", "czf", "odd.tar.gz", *members)
        more.get("then", lambda: None)()
        assert words in desk.publish("verify", folder / "odd.tar.gz", check=1).stderr

    refused("neither", "connector.wasm", "manifest.toml")
    refused("neither", "signature.sig")
    (folder / "extra").write_text("x")
    refused("does not belong", "connector.wasm", "manifest.toml", "signature.sig", "extra")
    os.symlink("manifest.toml", folder / "action.md")
    refused("no regular file", "action.md", "signature.sig")

    def pad():
        with open(folder / "odd.tar.gz", "ab") as archive:
            archive.write(b"\0" * 512)

    refused("goes on after its end", "connector.wasm", "manifest.toml", "signature.sig", then=pad)

    def cut():
        data = (folder / "odd.tar.gz").read_bytes()
        (folder / "odd.tar.gz").write_bytes(data[:-20])

    refused("cut off", "connector.wasm", "manifest.toml", "signature.sig", then=cut)


def test_sign_writes_the_same_signature_as_pack(desk):
    pack_google(desk)
    folder = desk.desk / "final"
    folder.mkdir()
    run(folder, "tar", "xzf", desk.desk / "dist/aileron.tar.gz")
    shutil.move(folder / "signature.sig", folder / "expected")
    desk.publish("sign", folder)
    assert (folder / "signature.sig").read_bytes() == (folder / "expected").read_bytes()
    assert "@@" in desk.publish("sign", paths.GOOGLE, check=1).stderr


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_pack_writes_everything_or_nothing(desk):
    made = pack_google(desk)
    good = paths.GOOGLE / "actions/get-email.md"
    bad = desk.desk / "bad.md"
    bad.write_text("+++\nname = \"bad\"\n+++\n")
    before = tree(desk.desk)
    assert "bad.md" in desk.publish("pack", good, bad, "--connector", made["archive"], check=1).stderr
    said = desk.publish("pack", good, good, "--connector", made["archive"], check=1).stderr
    assert "dist/actions/get-email/aileron.tar.gz" in said
    assert tree(desk.desk) == before


def test_pack_names_the_keys_of_ours(desk):
    made = pack_google(desk)
    done = desk.publish("pack", paths.GOOGLE / "actions/send-draft.md", "--connector", made["archive"])
    assert "execute.read_only, approval.kind, approval.preview.bind" in done.stdout
    assert "keys_of_ours" not in made
    packed = json.loads(desk.publish("pack", paths.GOOGLE / "actions/get-email.md", "--connector", made["archive"], "--json").stdout)
    assert packed[0]["keys_of_ours"] == ["execute.read_only"]


def test_a_key_that_people_are_not_shown_is_told(desk):
    desk.publish("keygen", "--key", "new.key", "--public", "new.pub")
    done = desk.publish("pack", paths.GOOGLE, "--fqn", FQN, "--version", "1.0.0", "--bind", "client_id=cid", "--bind",
                        "client_secret=csec", "--key", "new.key")
    assert "another key than the one in keys/publisher.pub" in done.stderr
    assert "another key" not in desk.publish("pack", paths.GOOGLE, "--fqn", FQN, "--version", "1.0.0", "--bind", "client_id=cid",
                                             "--bind", "client_secret=csec").stderr


def test_keygen_leaves_no_half_a_key(desk):
    links = desk.desk / "links"
    links.mkdir()
    os.symlink("nowhere", links / "dangling.pub")
    for public in ("links/dangling.pub", "missing/folder.pub", "/proc/no.pub"):
        desk.publish("keygen", "--key", "half.key", "--public", public, check=1)
        assert not (desk.desk / "half.key").exists()
    os.symlink("elsewhere.key", desk.desk / "linked.key")
    assert "never overwritten" in desk.publish("keygen", "--key", "linked.key", "--public", "linked.pub", check=1).stderr
    assert not (desk.desk / "elsewhere.key").exists() and not (desk.desk / "linked.pub").exists()


def test_wrong_keys_are_named_as_what_they_are(desk):
    def pack_with(key):
        return desk.publish("pack", paths.GOOGLE, "--fqn", FQN, "--version", "1.0.0", "--bind", "client_id=cid", "--bind",
                            "client_secret=csec", "--key", key, check=1).stderr

    folder = desk.desk
    run(folder, "openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "rsa.key")
    run(folder, "openssl", "pkey", "-in", "publisher.key", "-aes256", "-passout", "pass:x", "-out", "locked.key")
    shutil.copy(folder / "keys/publisher.pub", folder / "public.key")
    (folder / "empty.key").touch()
    os.symlink("publisher.key", folder / "link.key")
    (folder / "folder.key").mkdir()
    for name in ("rsa", "locked", "public", "empty", "link", "folder"):
        (folder / f"{name}.key").chmod(0o700 if name == "folder" else 0o600)
    for name in ("rsa", "locked", "public"):
        assert f"{name}.key is no unencrypted Ed25519 private key" in pack_with(f"{name}.key")
    assert "empty.key is no key" in pack_with("empty.key")
    assert "symbolic link" in pack_with("link.key")
    assert "folder.key" in pack_with("folder.key")
    assert "absent.key" in pack_with("absent.key")
    pack_google(desk)
    assert "publisher.key" in desk.publish("verify", "dist/aileron.tar.gz", "--key", "publisher.key", check=1).stderr
    assert not list(folder.glob("dist/.*")) and not list(folder.glob(".*"))


def test_output_that_is_there_or_cannot_be_written(desk):
    first = desk.desk / pack_google(desk)["archive"]
    bytes_ = first.read_bytes()
    # What is there is replaced; a link is replaced, not followed.
    first.unlink()
    precious = desk.desk / "precious"
    precious.write_text("mine")
    first.symlink_to(precious)
    pack_google(desk)
    assert not first.is_symlink() and first.read_bytes() == bytes_ and precious.read_text() == "mine"
    # A file where the folder should be, a folder where the file should be, and a place where nothing can be written.
    (desk.desk / "file").touch()
    (desk.desk / "full/aileron.tar.gz").mkdir(parents=True)
    for out in ("file", "full", "/proc/self"):
        done = desk.publish("pack", paths.GOOGLE, "--fqn", FQN, "--version", "1.0.0", "--bind", "client_id=cid", "--bind",
                            "client_secret=csec", "--out", out, check=1)
        assert out in done.stderr and not done.stdout
    assert [path.name for path in (desk.desk / "full").iterdir()] == ["aileron.tar.gz"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_a_failure(desk):
    with open("/dev/full", "w") as full:
        done = subprocess.run([paths.CLI, "publish", "keygen", "--key", "f.key", "--public", "f.pub"], cwd=desk.desk,
                              env=desk.environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1


def fake_connector(folder, wasm):
    folder.mkdir()
    (folder / "connector.wasm").write_bytes(b"\0asm\1\0\0\0" + wasm)
    (folder / "manifest.toml").write_text('[connector]\nname = "@@FQN@@"\nversion = "@@VERSION@@"\n')
    return folder


@pytest.mark.parametrize(("make", "words"), [
    (lambda: os.urandom(64 * 1024 * 1024), "connector.wasm"),
    (lambda: os.urandom(64 * 1024 * 1024 - 2000), ""),
    (lambda: bytes(32 * 1024 * 1024), ""),
], ids=["larger than a file may be", "larger than an archive may be", "packed too well"])
def test_what_no_installation_would_take_is_not_packed(desk, make, words):
    folder = fake_connector(desk.desk / "huge", make())
    done = desk.publish("pack", folder, "--fqn", FQN, "--version", "1.0.0", check=1)
    assert words in done.stderr and "makes no sense" not in done.stderr, done.stderr
    assert not (desk.desk / "dist").exists()


def test_an_action_with_a_byte_order_mark(desk):
    made = pack_google(desk)
    text = (paths.GOOGLE / "actions/get-email.md").read_bytes()
    (desk.desk / "get-email.md").write_bytes(b"\xef\xbb\xbf\r\n" + text.replace(b"\n", b"\r\n"))
    packed = json.loads(desk.publish("pack", "get-email.md", "--connector", made["archive"], "--json").stdout)[0]
    inside = run(desk.desk, "tar", "xzOf", packed["archive"], "action.md")
    assert inside.startswith(b"\xef\xbb\xbf\r\n+++\r\n") and packed["hash"] == "sha256:" + hashlib.sha256(inside).hexdigest()
    desk.publish("verify", packed["archive"])


def test_a_disk_without_room_leaves_no_key(desk):
    before = tree(desk.desk)
    done = subprocess.run(["bash", "-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" publish keygen --key f.key --public f.pub",
                           str(paths.CLI)], cwd=desk.desk, env=desk.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "f.key" in done.stderr, done
    assert tree(desk.desk) == before


def test_ctrl_c_leaves_all_archives_or_none(desk):
    made = pack_google(desk)
    actions = sorted(str(path) for path in (paths.GOOGLE / "actions").glob("*.md"))
    seen = set()
    for number in range(12):
        out = desk.desk / f"out-{number}"
        pack = subprocess.Popen([paths.CLI, "publish", "pack", *actions, "--connector", made["archive"], "--out", str(out)],
                                cwd=desk.desk, env=desk.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        time.sleep(0.05 * number)
        pack.send_signal(signal.SIGINT)
        pack.communicate(timeout=60)
        files = [path.name for path in out.rglob("*") if not path.is_dir()]
        assert files in ([], ["aileron.tar.gz"] * len(actions)), files
        seen.add(len(files))
    assert 0 in seen
