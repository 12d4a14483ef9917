"""Releases that are not what they should be: each is refused with words of its own and leaves everything as it was."""
import gzip
import hashlib
import io
import os
import tarfile

import pytest

from tests.rig.forge import NOOP, NOOP_BIND, Key, archive

MIB = 1024 * 1024


@pytest.fixture
def parts(market, repo):
    """connector.wasm, manifest.toml and the signature of a good release, whose publisher is trusted already."""
    repo.latest("v1.0.0")
    repo.tag("v1.0.0")
    market.trust(repo.fqn, repo.key)
    return repo.release_parts(NOOP, bind=NOOP_BIND)


def entry(name, data=b"", type=tarfile.REGTYPE, link="", **more):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = type, link, len(data)
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def tar(*entries, format=tarfile.GNU_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as made:
        for info, data in entries:
            made.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return out.getvalue()


def good(parts):
    wasm, manifest, signature = parts
    return [entry("connector.wasm", wasm), entry("manifest.toml", manifest), entry("signature.sig", signature)]


def packed(*entries, **more):
    return gzip.compress(tar(*entries, **more), 6, mtime=0)


def without(parts, name, *others):
    return packed(*[row for row in good(parts) if row[0].name != name], *others)


def renamed(parts, name):
    """connector.wasm under another name."""
    return without(parts, "connector.wasm", entry(name, parts[0]))


def many(parts):
    return packed(*good(parts), *[entry(f"f{i}") for i in range(100_000)])


def many_folders(parts):
    return packed(*[entry(f"d{i}", type=tarfile.DIRTYPE) for i in range(100_000)], *good(parts))


def wrong_checksum(parts):
    data = bytearray(tar(*good(parts)))
    data[148] ^= 1
    return gzip.compress(bytes(data))


def negative_size(parts):
    data = bytearray(tar(*good(parts)))
    data[124:136] = b"\xff" * 12
    return gzip.compress(bytes(data))


def wrong_crc(parts):
    data = bytearray(packed(*good(parts)))
    data[-8] ^= 1
    return bytes(data)


def bomb(parts):
    return without(parts, "connector.wasm", entry("connector.wasm", b"\0" * (63 * MIB)))


def too_big(parts):
    return without(parts, "connector.wasm", entry("connector.wasm", (os.urandom(1024) + bytes(63 * 1024)) * 1040))


ARCHIVES = {
    "empty": lambda p: b"",
    "no gzip": lambda p: tar(*good(p)),
    "a page of HTML": lambda p: b"<!doctype html><title>Sign in</title>" * 100,
    "no tar": lambda p: gzip.compress(b"not a tar at all" * 1000),
    "an empty tar": lambda p: packed(),
    "gzip of nothing": lambda p: gzip.compress(b""),
    "cut by a byte": lambda p: packed(*good(p))[:-1],
    "cut in the middle": lambda p: packed(*good(p))[:1000],
    "tar cut": lambda p: gzip.compress(tar(*good(p))[:2000]),
    "padded with zeros": lambda p: packed(*good(p)) + bytes(512),
    "padded with junk": lambda p: packed(*good(p)) + b"junk",
    "second gzip member": lambda p: packed(*good(p)) + gzip.compress(b"more"),
    "second empty member": lambda p: packed(*good(p)) + gzip.compress(b""),
    "junk after the tar's end": lambda p: gzip.compress(tar(*good(p)) + b"x" * 512),
    "a tar after the tar": lambda p: gzip.compress(tar(*good(p)) + tar(entry("x", b"y"))),
    "wrong CRC": wrong_crc,
    "wrong checksum of a header": wrong_checksum,
    "a negative size": negative_size,
    "bomb by ratio": bomb,
    "bomb by size": too_big,
    "symbolic link": lambda p: without(p, "connector.wasm", entry("connector.wasm", type=tarfile.SYMTYPE, link="manifest.toml")),
    "symbolic link out": lambda p: packed(entry("out", type=tarfile.SYMTYPE, link="/etc"), *good(p)),
    "hard link": lambda p: without(p, "connector.wasm", entry("connector.wasm", type=tarfile.LNKTYPE, link="manifest.toml")),
    "hard link through a link": lambda p: packed(entry("a", type=tarfile.SYMTYPE, link="/etc/passwd"),
                                                 entry("connector.wasm", type=tarfile.LNKTYPE, link="a"), *good(p)[1:]),
    "device": lambda p: packed(*good(p), entry("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)),
    "pipe": lambda p: packed(*good(p), entry("pipe", type=tarfile.FIFOTYPE)),
    "100,000 entries": many,
    "100,000 folders": many_folders,
    "twice": lambda p: packed(*good(p), entry("manifest.toml", p[1])),
    "twice with a dot": lambda p: packed(*good(p), entry("./manifest.toml", p[1])),
    "no signature": lambda p: without(p, "signature.sig"),
    "no manifest": lambda p: without(p, "manifest.toml"),
    "no module": lambda p: without(p, "connector.wasm"),
    "an extra file": lambda p: packed(*good(p), entry("README.md", b"hello")),
    "an action's file": lambda p: packed(*good(p), entry("action.md", b"+++\n+++\n")),
    "an absolute name": lambda p: renamed(p, "/connector.wasm"),
    "a name that climbs": lambda p: renamed(p, "../connector.wasm"),
    "a name that climbs and comes back": lambda p: renamed(p, "x/../connector.wasm"),
    "a name in a folder": lambda p: renamed(p, "dist/connector.wasm"),
    "a name in capitals": lambda p: renamed(p, "CONNECTOR.WASM"),
    "a name with a blank": lambda p: renamed(p, "connector.wasm "),
    "a name with an invisible letter": lambda p: renamed(p, "connector\u200b.wasm"),
    "a name in wide letters": lambda p: renamed(p, "\uff43onnector.wasm"),
    "a name with a combining mark": lambda p: renamed(p, "connector.wasm\u0301"),
    "a name with a newline": lambda p: renamed(p, "connector.wasm\nmanifest.toml"),
    "a name with a backslash": lambda p: renamed(p, ".\\connector.wasm"),
    "a name of 10,000 letters": lambda p: packed(*good(p), entry("n" * 10_000, b"x")),
    "a pax header with another name": lambda p: packed(*good(p), entry("x", b"x", pax_headers={"path": "../../escaped"}),
                                                       format=tarfile.PAX_FORMAT),
    "a sparse file": lambda p: packed(*good(p), entry("hole", type=tarfile.GNUTYPE_SPARSE)),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_that_is_not_right(market, repo, parts, name):
    repo.asset("v1.0.0", ARCHIVES[name](parts))
    with market.untouched():
        error = market.failed(market.connector(f"{repo.fqn}@1.0.0"), "invalid_release", f"{repo.fqn}@1.0.0")
    assert "escaped" not in error["message"] and "passwd" not in error["message"], error


def test_the_same_entries_are_taken_when_nothing_is_wrong_with_them(market, repo, parts):
    """So that the tests above fail for what they are about. A folder and ./names are what plain tar makes."""
    dotted = [entry("./" + row[0].name, row[1]) for row in good(parts)]
    repo.asset("v1.0.0", packed(entry("./", type=tarfile.DIRTYPE), *dotted))
    market.drop(market.ready(market.connector(f"{repo.fqn}@1.0.0")))
    repo.asset("v1.0.0", packed(*good(parts)))
    market.buy(market.connector(f"{repo.fqn}@1.0.0"))


def test_an_archive_that_is_too_large_is_not_read_to_its_end(market, repo, parts, nginx):
    repo.asset("v1.0.0", os.urandom(MIB) * 65)
    with market.untouched():
        market.failed(market.connector(f"{repo.fqn}@1.0.0"), "too_large", f"{repo.fqn}@1.0.0")


@pytest.mark.parametrize("how", ["short", "long", "base64", "zero", "flipped", "of the manifest alone", "of the other order"])
def test_a_signature_that_is_none(market, repo, parts, how):
    wasm, manifest, signature = parts
    made = {"short": signature[:63], "long": signature + b"\n", "base64": signature.hex().encode(), "zero": bytes(64),
            "flipped": bytes([signature[0] ^ 1]) + signature[1:], "of the manifest alone": repo.key.sign(manifest),
            "of the other order": repo.key.sign(manifest + wasm)}[how]
    repo.asset("v1.0.0", packed(*good((wasm, manifest, made))))
    with market.untouched():
        market.failed(market.connector(f"{repo.fqn}@1.0.0"), "signature_failure")


@pytest.mark.parametrize("part", ["module", "manifest"])
def test_what_was_changed_after_signing(market, repo, parts, part):
    wasm, manifest, signature = parts
    changed = (wasm + b"\0", manifest, signature) if part == "module" else (wasm, manifest + b"# more\n", signature)
    repo.asset("v1.0.0", packed(*good(changed)))
    with market.untouched():
        market.failed(market.connector(f"{repo.fqn}@1.0.0"), "signature_failure")


def test_a_byte_moved_from_one_file_to_the_other_has_another_manifest(market, repo, parts):
    """The signature is over both in a row: what it does not say must not matter."""
    wasm, manifest, signature = parts
    repo.asset("v1.0.0", packed(*good((wasm + manifest[:1], manifest[1:], signature))))
    plan = market.connector(f"{repo.fqn}@1.0.0")
    if plan["state"] == "ready":
        with market.untouched():
            assert market.accept(plan).status == 202
            done = market.wait_plan(plan["plan"], ("installing",))
        assert done["results"][0]["state"] == "failed", done


@pytest.mark.parametrize("force", [False, True])
def test_a_key_that_is_not_the_publishers(market, forge, repo, force):
    repo.release_noop(key=Key(forge.folder, "thief"))
    with market.untouched():
        market.failed(market.connector(f"{repo.fqn}@1.0.0", force=force), "signature_failure", "publisher's own key")
    market.trust(repo.fqn, repo.key)
    with market.untouched():
        market.failed(market.connector(f"{repo.fqn}@1.0.0", force=force), "signature_failure", "no key that you trust")


@pytest.mark.parametrize("text", [
    b"", b"nonsense", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", b"A" * 200_000, b"\xff" * 44,
    b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_publishers_key_that_is_none(market, repo, text):
    repo.release_noop()
    repo.raw("HEAD", "keys/publisher.pub", text)
    code = "too_large" if len(text) > 100_000 else "invalid_release"
    with market.untouched():
        market.failed(market.connector(f"{repo.fqn}@1.0.0"), code, "publisher.pub")


# ---- names, versions, placeholders


def manifest_of(repo, **more):
    text = (NOOP / "manifest.toml").read_text()
    for name, value in {"FQN": repo.fqn, "VERSION": "1.0.0", **NOOP_BIND, **more}.items():
        text = text.replace(f"@@{name}@@", value)
    return text


@pytest.mark.parametrize("make", [
    lambda repo: manifest_of(repo, FQN="github://acme/other"), lambda repo: manifest_of(repo, FQN=repo.fqn.upper()),
    lambda repo: manifest_of(repo, FQN="local://noop"), lambda repo: manifest_of(repo, FQN=repo.fqn + "/x"),
    lambda repo: manifest_of(repo, VERSION="1.0.1"), lambda repo: manifest_of(repo, VERSION="1.0.0+build"),
    lambda repo: manifest_of(repo) + "# @@client_id@@\n", lambda repo: manifest_of(repo, HOST="@@HOST@@"),
    lambda repo: manifest_of(repo, HOST="*.example.com:443"), lambda repo: manifest_of(repo) + "\n[surprise]\nx = 1\n",
    lambda repo: manifest_of(repo) + "\0", lambda repo: "", lambda repo: "[connector"])
def test_a_manifest_of_another(market, repo, make):
    market.trust(repo.fqn, repo.key)
    repo.release_connector(NOOP, manifest=make(repo))
    with market.untouched():
        market.failed(market.connector(f"{repo.fqn}@1.0.0"), "invalid_release")


def action_text(repo, hash, **more):
    text = (NOOP / "actions/echo.md").read_text()
    for name, value in {"FQN": repo.fqn, "VERSION": "1.0.0", "HASH": hash}.items():
        text = text.replace(f"@@{name}@@", value)
    for old, new in more.items():
        text = text.replace(*{"name": ('name = "echo"', f'name = "{new}"'),
                              "version": ('version = "1.0.0"\nsource', f'version = "{new}"\nsource'),
                              "op": ('op = "echo"', f'op = "{new}"'), "intent": ("hand the arguments back", new),
                              "fqn": (f'connectors]]\nname = "{repo.fqn}"', f'connectors]]\nname = "{new}"')}[old])
    return text


@pytest.mark.parametrize("more", [{"name": "other"}, {"name": "Echo"}, {"version": "1.0.1"}, {"intent": "@@INTENT@@"},
                                  {"fqn": "local://noop"}])
def test_an_action_of_another(market, repo, more):
    market.trust(repo.fqn, repo.key)
    hash = repo.release_noop("1.0.0", [])
    repo.release_action(NOOP / "actions/echo.md", text=action_text(repo, hash, **more))
    with market.untouched():
        error = market.failed(market.action(f"{repo.fqn}/actions/echo@1.0.0"), "invalid_release")
    assert "INTENT" not in str(more) or "@@INTENT@@" in error["message"], error


def test_an_action_under_another_actions_tag(market, repo):
    market.trust(repo.fqn, repo.key)
    repo.release_noop("1.0.0", ["echo", "fail"])
    repo.asset("actions/echo/v1.0.0", repo.asset_path("actions/fail/v1.0.0").read_bytes())
    with market.untouched():
        market.failed(market.action(f"{repo.fqn}/actions/echo@1.0.0"), "invalid_release", "fail@1.0.0")


def test_a_release_of_another_repository_of_the_same_publisher(market, forge, repo):
    """A signature of the same key is not enough: the name inside decides."""
    other = forge.repository(repo.owner, repo.name + "-other", repo.key)
    market.trust(f"github://{repo.owner}/{repo.name}", repo.key)
    other.release_noop()
    repo.asset("v1.0.0", other.asset_path("v1.0.0").read_bytes())
    with market.untouched():
        market.failed(market.connector(f"{repo.fqn}@1.0.0"), "invalid_release", other.fqn)


def test_an_older_version_under_a_newer_tag(market, repo):
    market.trust(repo.fqn, repo.key)
    repo.release_noop("1.0.0")
    repo.asset("v2.0.0", repo.asset_path("v1.0.0").read_bytes())
    with market.untouched():
        market.failed(market.connector(f"{repo.fqn}@2.0.0"), "invalid_release", "1.0.0")


def test_a_connector_where_an_action_is_asked_for_and_the_reverse(market, repo):
    market.trust(repo.fqn, repo.key)
    repo.release_noop("1.0.0", ["echo"])
    with market.untouched():
        market.failed(market.action(f"{repo.fqn}@1.0.0"), "invalid_release")
        market.failed(market.connector(f"{repo.fqn}/actions/echo@1.0.0"), "invalid_release")


# ---- hashes


def test_an_action_that_pins_another_hash(market, repo):
    market.trust(repo.fqn, repo.key)
    repo.release_noop("1.0.0", [])
    other = "sha256:" + hashlib.sha256(b"other").hexdigest()
    repo.release_action(NOOP / "actions/echo.md", hash=other)
    with market.untouched():
        market.failed(market.action(f"{repo.fqn}/actions/echo@1.0.0"), "hash_mismatch", other)


def test_a_release_that_was_made_again_under_its_tag(market, repo):
    market.trust(repo.fqn, repo.key)
    first = repo.release_noop("1.0.0", ["echo"])
    market.buy(market.action(f"{repo.fqn}/actions/echo@1.0.0"))
    second = repo.release_connector(NOOP, bind={"HOST": "evil.example:443"})
    repo.release_action(NOOP / "actions/echo.md", hash=second)
    repo.release_action(NOOP / "actions/noop.md", hash=second)
    assert first != second
    with market.untouched():
        # By number it is there already; what has to be fetched is met.
        again = market.ready(market.connector(f"{repo.fqn}@1.0.0"))
        assert again["connectors"][0]["already_installed"] and again["connectors"][0]["hash"] == first
        market.drop(again)
        for ref in (f"{repo.fqn}@latest",):
            market.failed(market.connector(ref), "hash_mismatch", first, "again")
        market.failed(market.connector(f"{repo.fqn}@1.0.0", force=True), "hash_mismatch", "again")
        market.failed(market.action(f"{repo.fqn}/actions/echo@1.0.0", force=True), "hash_mismatch", "again")
        market.failed(market.action(f"{repo.fqn}/actions/echo@latest"), "hash_mismatch", "again")
        market.failed(market.action(f"{repo.fqn}/actions/noop@1.0.0"), "hash_mismatch", "again")
    market.cli("action", "remove", "echo", check=0)


def test_an_edited_action_is_made_good_only_by_what_was_signed(market, repo):
    market.trust(repo.fqn, repo.key)
    hash = repo.release_noop("1.0.0", ["echo"])
    market.buy(market.action(f"{repo.fqn}/actions/echo@1.0.0"))
    file = market.path / "actions/echo.md"
    was = file.read_bytes()
    file.write_bytes(was.replace(b"hand the arguments back", b"hand the arguments over"))
    good = repo.asset_path("actions/echo/v1.0.0").read_bytes()
    repo.release_action(NOOP / "actions/echo.md", text=action_text(repo, hash, intent="something else"))
    with market.untouched():
        market.failed(market.action(f"{repo.fqn}/actions/echo@1.0.0"), "hash_mismatch", "again")
    repo.asset("actions/echo/v1.0.0", good)
    market.buy(market.action(f"{repo.fqn}/actions/echo@1.0.0"), ("installed", "updated", "already"))
    assert file.read_bytes() == was
    market.cli("action", "remove", "echo", check=0)


def test_a_suite_is_refused_as_a_whole(market, repo):
    """One action of three pins a wrong hash, is missing, or is signed by another: nothing of the suite is offered."""
    market.trust(repo.fqn, repo.key)
    repo.release_noop("1.0.0", ["noop", "echo", "fail"])
    good = repo.asset_path("actions/fail/v1.0.0").read_bytes()
    for break_, code, words in (
            (lambda: repo.release_action(NOOP / "actions/fail.md", hash="sha256:" + "0" * 64), "invalid_release", "different hashes"),
            (lambda: repo.asset_path("actions/fail/v1.0.0").unlink(), "not_found", "actions/fail@1.0.0"),
            (lambda: repo.asset("actions/fail/v1.0.0", good[:-20]), "invalid_release", "actions/fail@1.0.0")):
        break_()
        with market.untouched():
            market.failed(market.suite(f"{repo.fqn}/suite.toml@1.0.0"), code, words)
        repo.asset("actions/fail/v1.0.0", good)


@pytest.mark.parametrize("text", [
    "", "name = ", 'name = "x"\n', 'name = "x"\ndescription = "y"\nactions = []\n',
    'name = "x"\ndescription = "y"\nactions = ["actions/echo", "actions/echo"]\n',
    'name = "x"\ndescription = "y"\nactions = ["../echo"]\n', 'name = "x"\ndescription = "y"\nactions = ["actions/echo"]\nz = 1\n',
    'name = "x"\ndescription = "y"\nactions = ["local://echo@1.0.0"]\n', "\0", "x" * 100_000])
def test_a_suite_that_is_none(market, repo, text):
    repo.release_noop("1.0.0", ["echo"])
    repo.raw("v1.0.0", "suite.toml", text)
    with market.untouched():
        plan = market.suite(f"{repo.fqn}/suite.toml@1.0.0")
        market.failed(plan, "too_large" if len(text) > 70_000 else "invalid_release")


# ---- what only the engine finds


@pytest.mark.parametrize("wasm", [b"", b"MZ" + bytes(1000), b"\0asm\1\0\0\0", b"\0asm\1\0\0\0" + os.urandom(500)])
def test_a_module_that_does_not_compile_is_not_installed(market, repo, wasm):
    market.trust(repo.fqn, repo.key)
    if wasm:
        hash = repo.release_connector(NOOP, bind=NOOP_BIND, wasm=wasm)
    else:
        text = manifest_of(repo).encode()
        hash = "sha256:" + hashlib.sha256(text).hexdigest()
        repo.asset("v1.0.0", archive({"connector.wasm": b"", "manifest.toml": text, "signature.sig": repo.key.sign(text)}))
    repo.release_action(NOOP / "actions/echo.md", hash=hash)
    with market.untouched():
        plan = market.action(f"{repo.fqn}/actions/echo@1.0.0")
        if plan["state"] == "failed":
            market.failed(plan, "invalid_release")
            return
        assert market.accept(market.ready(plan)).status == 202
        done = market.wait_plan(plan["plan"], ("installing",))
    assert [item["state"] for item in done["results"]] == ["failed", "skipped"], done


def test_one_failure_does_not_stop_the_rest(shop, forge):
    bad, good = forge.repository("acme", "bad"), forge.repository("acme", "good")
    for repo in (bad, good):
        shop.trust(repo.fqn, repo.key)
    hash = bad.release_connector(NOOP, bind=NOOP_BIND, wasm=b"\0asm\1\0\0\0")
    bad.release_action(NOOP / "actions/noop.md", hash=hash)
    good.release_noop("1.0.0", ["echo"])
    file = shop.base / "mine.toml"
    file.write_text(f'name = "mine"\ndescription = "Half."\nactions = ["{bad.fqn}/actions/noop@1.0.0", "{good.fqn}/actions/echo@1.0.0"]\n')
    plan = shop.ready(shop.preview("/v1/actions", path=str(file), suite=True))
    assert shop.accept(plan).status == 202
    done = shop.wait_plan(plan["plan"], ("installing",))
    states = {item["name"]: item["state"] for item in done["results"]}
    assert states == {bad.fqn: "failed", good.fqn: "installed", "noop": "skipped", "echo": "installed"}, done
    assert shop.installed_actions() == {"echo"} and len(shop.installed_connectors()) == 1
    assert all(item["error"]["message"] for item in done["results"] if item["state"] in ("failed", "skipped"))
