"""The install path as somebody would use it against the person: what was shown is what is installed, or nothing is."""
import hashlib

import pytest

from tests.rig.forge import NOOP, NOOP_BIND, Key, archive
from tests.rig.shop import ACTIONS, CONNECTORS


def noop_manifest(more=""):
    return (NOOP / "manifest.toml").read_text().replace("@@HOST@@", "example.com:443") + more


def action_text(name, fqn, hash, version="1.0.0", connector_version="1.0.0", op="noop", approval="", read_only="true"):
    return f"""+++
name = "{name}"
version = "{version}"

[[requires.connectors]]
name = "{fqn}"
version = "{connector_version}"
hash = "{hash}"
capabilities = ["{op}"]

[match]
intent = "tests"

[[execute]]
id = "one"
connector = "{fqn}"
op = "{op}"
idempotent = true
read_only = {read_only}
{approval}
+++
Does it.
"""


def release_text(repo, name, text, version="1.0.0"):
    """An action of made-up text, signed by the repository's key."""
    data = text.encode()
    tag = f"actions/{name}/v{version}"
    repo.asset(tag, archive({"action.md": data, "signature.sig": repo.key.sign(data)}))
    repo.tag(tag)
    return "sha256:" + hashlib.sha256(data).hexdigest()


# ---- between what was shown and what is installed


def test_a_version_with_two_contents_is_installed_once(shop, repo):
    """Two previews of one version, between which it was released again: both were shown before any was installed."""
    first = repo.release_connector(NOOP, "1.0.0", bind=NOOP_BIND)
    one = shop.ready(shop.connector(f"{repo.fqn}@1.0.0"))
    second = repo.release_connector(NOOP, "1.0.0", manifest=noop_manifest("\n# other bytes\n"))
    other = shop.ready(shop.connector(f"{repo.fqn}@1.0.0"))
    assert first != second and other["connectors"][0]["hash"] == second
    shop.buy(one)
    shop.accept(other)
    done = shop.wait_plan(other["plan"], ("ready", "installing"))
    assert [item["state"] for item in done["results"]] == ["failed"], done
    assert second.removeprefix("sha256:") not in shop.installed_connectors()


def test_an_action_with_two_contents_is_installed_once(shop, repo):
    hash = repo.release_noop("1.0.0", ["noop"])
    one = shop.ready(shop.action(f"{repo.fqn}/actions/noop@1.0.0"))
    release_text(repo, "noop", action_text("noop", repo.fqn, hash) + "Other words.\n")
    other = shop.ready(shop.action(f"{repo.fqn}/actions/noop@1.0.0"))
    shop.buy(one)
    before = (shop.path / "actions/noop.md").read_bytes()
    shop.accept(other)
    done = shop.wait_plan(other["plan"], ("ready", "installing"))
    assert "failed" in {item["state"] for item in done.get("results", [{"state": "failed"}])}, done
    assert (shop.path / "actions/noop.md").read_bytes() == before
    shop.cli("action", "remove", "noop", check=0)


def test_a_second_key_is_not_trusted_by_an_older_preview(shop, repo):
    """Two previews while nobody is trusted, each with another key of a repository that changes hands in between. When the
    first was accepted, its publisher is known: a key more needs the person's own word (keyring trust), not an old question."""
    repo.release_connector(NOOP, "1.0.0", bind=NOOP_BIND)
    honest = shop.ready(shop.connector(f"{repo.fqn}@1.0.0"))
    thief = Key(repo.forge.folder, "thief")
    repo.release_connector(NOOP, "1.0.1", bind=NOOP_BIND, key=thief)
    repo.publish_key(thief)
    later = shop.ready(shop.connector(f"{repo.fqn}@1.0.1"))
    shop.buy(honest)
    shop.accept(later)
    shop.wait_plan(later["plan"], ("installing",))
    keys = [item["fingerprint"] for item in shop.api("GET", "/v1/keyring").json()["publishers"] if item["authority"] == repo.fqn]
    assert keys == [repo.key.fingerprint]


def test_nothing_wanted_trusts_nobody(shop, repo):
    repo.release_noop("1.0.0")
    plan = shop.ready(shop.suite(f"{repo.fqn}/suite.toml@1.0.0"))
    shop.accept(plan, only=[])
    shop.wait_plan(plan["plan"], ("installing",))
    assert not [item for item in shop.api("GET", "/v1/keyring").json()["publishers"] if item["authority"] == repo.fqn]


def test_a_key_that_was_revoked_after_the_preview_installs_nothing(shop, repo):
    repo.release_noop("1.0.0", ["noop"])
    shop.trust(repo.fqn, repo.key)
    plan = shop.ready(shop.action(f"{repo.fqn}/actions/noop@1.0.0"))
    assert not plan["trust_needed"]
    shop.revoke(repo.fqn)
    shop.accept(plan)
    done = shop.wait_plan(plan["plan"], ("installing",))
    assert {item["state"] for item in done["results"]} <= {"failed", "skipped"}, done
    assert "noop" not in shop.installed_actions()


# ---- names


def test_another_publisher_takes_over_a_name_loudly(shop, forge, repo):
    """An action of the same name from somebody else replaces what the person relies on: that comes first, and loudly."""
    repo.release_noop("1.0.0", ["noop"])
    shop.buy(shop.action(f"{repo.fqn}/actions/noop@1.0.0"))
    other = forge.repository("evil", "other" + repo.name)
    other.release_noop("9.0.0", ["noop"])
    plan = shop.ready(shop.action(f"{other.fqn}/actions/noop@9.0.0"))
    loud = " ".join(change["text"] for change in plan["changes"] if change["level"] == "loud")
    assert repo.fqn in loud, plan["changes"]
    shop.drop(plan)
    shop.cli("action", "remove", "noop", check=0)


def test_one_plan_has_one_action_of_a_name(shop, forge, repo):
    """A suite that lists two actions of the same name by different publishers: which one wins must not be left to their order."""
    repo.release_noop("1.0.0", ["noop"])
    other = forge.repository("evil", "other" + repo.name)
    other.release_noop("1.0.0", ["noop"])
    repo.raw("v1.0.0", "suite.toml", 'name = "two"\ndescription = "Two."\n'
             f'actions = ["actions/noop", "{other.fqn}/actions/noop@1.0.0"]\n')
    shop.failed(shop.suite(f"{repo.fqn}/suite.toml@1.0.0"), "invalid_release", "noop")


def test_an_older_version_is_told(shop, repo):
    """Whoever owns the forge can make an old, signed release the latest one: going back must be seen."""
    repo.release_noop("2.0.0", ["noop"])
    shop.buy(shop.action(f"{repo.fqn}/actions/noop@latest"))
    repo.release_noop("1.0.0", ["noop"])
    plan = shop.ready(shop.action(f"{repo.fqn}/actions/noop@latest"))
    assert any(change["level"] == "loud" and "2.0.0" in change["text"] for change in plan["changes"]), plan["changes"]
    shop.drop(plan)
    done = shop.cli("action", "update", "--all", "--yes")
    assert "2.0.0" in (shop.path / "actions/noop.md").read_text(), done
    shop.cli("action", "remove", "noop", check=0)


def test_a_pin_names_what_its_hash_is(shop, forge, repo):
    """An action that says another connector's name with the hash of one that is installed."""
    repo.release_noop("1.0.0", ["noop"])
    shop.buy(shop.connector(f"{repo.fqn}@1.0.0"))
    (hash,) = [row["hash"] for row in shop.cli("connector", "list", "--json", check=0).json()["connectors"]
               if row["fqn"] == repo.fqn]
    evil = forge.repository("evil", "pins" + repo.name)
    release_text(evil, "harmless", action_text("harmless", "github://trusted/good", hash))
    plan = shop.action(f"{evil.fqn}/actions/harmless@1.0.0")
    assert plan["state"] == "failed", plan["actions"]


def test_a_signature_does_not_move_to_another_version_or_name(shop, repo):
    """Signed bytes of one release, uploaded as another by whoever owns the forge."""
    repo.release_noop("1.0.0", ["noop", "echo"])
    stolen = repo.asset_path("actions/noop/v1.0.0").read_bytes()
    for tag, ref in (("actions/echo/v1.0.0", "actions/echo@1.0.0"), ("actions/noop/v2.0.0", "actions/noop@2.0.0"),
                     ("v1.0.0", "@1.0.0")):
        repo.asset(tag, stolen)
        kind = shop.connector if ref.startswith("@") else shop.action
        with shop.untouched():
            shop.failed(kind(f"{repo.fqn}{'' if ref.startswith('@') else '/'}{ref}"), "invalid_release")


# ---- room


def test_installed_plans_hold_no_bytes(shop, repo):
    """What is installed waits for no decision: it must not take the room of the next installation."""
    for number in range(9):
        manifest = noop_manifest(f"\n# {number}\n")
        # Repeats far enough apart that deflate cannot see them: the archive stays below its ratio.
        wasm = (NOOP / "connector.wasm").read_bytes() + custom_section(60 * 1024 * 1024, number)
        repo.release_connector(NOOP, f"1.0.{number}", manifest=manifest, wasm=wasm)
        shop.buy(shop.connector(f"{repo.fqn}@1.0.{number}", timeout=120))


def custom_section(size, seed):
    """A section that WebAssembly ignores: pseudo-random blocks, each followed by zeros, so that it packs to about a fiftieth."""
    block = hashlib.shake_128(bytes([seed])).digest(1024) + bytes(49 * 1024)
    data = b"\x04junk" + block * (size // len(block))
    length, out = len(data), b""
    while True:
        out += bytes([(length & 0x7F) | (0x80 if length > 0x7F else 0)])
        length >>= 7
        if not length:
            return b"\0" + out + data


@pytest.mark.parametrize("letter", ["ä", "€", "😀"])
def test_a_long_word_of_a_publisher_breaks_no_answer(shop, repo, letter):
    """Errors quote what they refuse and are cut to their length: never within a character."""
    for shift in range(4):
        version = f"1.0.{shift}"
        repo.release_connector(NOOP, version, manifest=noop_manifest("\n[\"" + "x" * shift + letter * 2000 + "\"]\n"))
        shop.failed(shop.connector(f"{repo.fqn}@{version}"), "invalid_release")


# ---- what others may ask


def test_an_agent_sees_no_plan_and_no_keyring(market, repo):
    repo.release_noop("1.0.0", ["noop"])
    plan = market.ready(market.action(f"{repo.fqn}/actions/noop@1.0.0"))
    session = market.api("POST", "/v1/sessions", {"agent": "claude"}).json()
    asked = [("GET", f"/v1/plans/{plan['plan']}", None), ("DELETE", f"/v1/plans/{plan['plan']}", None), ("GET", "/v1/keyring", None),
             ("POST", "/v1/keyring", {"authority": "github://evil", "key": Key(repo.forge.folder, "a").pem.decode()}),
             ("DELETE", "/v1/keyring", {"authority": repo.fqn}), ("POST", f"{CONNECTORS}/preview", {"ref": f"{repo.fqn}@1.0.0"}),
             ("POST", f"{ACTIONS}/install", {"plan": plan["plan"], "consent": "accepted", "trust": plan["trust_needed"]}),
             ("POST", "/v1/sync", {})]
    with market.untouched():
        for method, path, body in asked:
            assert market.api(method, path, body, token=session["token"]).status == 403, (method, path)
    assert market.api("GET", f"/v1/plans/{plan['plan']}").json()["state"] == "ready"
    market.drop(plan)


@pytest.mark.parametrize("answer", [
    [], [{"authority": "REPO", "fingerprint": "sha256:AAAA"}], [{"authority": "github://acme", "fingerprint": "RIGHT"}],
    [{"authority": "REPO"}], [{"fingerprint": "RIGHT"}], [None, 1, "x"], "RIGHT", {"authority": "REPO", "fingerprint": "RIGHT"},
])
def test_half_an_answer_to_trust_is_none(market, repo, answer):
    repo.release_noop("1.0.0", ["noop"])
    plan = market.ready(market.action(f"{repo.fqn}/actions/noop@1.0.0"))

    def fill(value):
        if isinstance(value, dict):
            return {key: fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [fill(item) for item in value]
        return {"REPO": repo.fqn, "RIGHT": repo.key.fingerprint}.get(value, value)

    with market.untouched():
        refused = market.api("POST", f"{ACTIONS}/install", {"plan": plan["plan"], "consent": "accepted", "trust": fill(answer)})
        assert refused.status == 409 and refused.json()["error"]["code"] == "trust_needed", refused
    market.drop(plan)


def test_a_plan_is_installed_once(market, repo):
    repo.release_noop("1.0.0", ["noop"])
    plan = market.ready(market.action(f"{repo.fqn}/actions/noop@1.0.0"))
    answers = [market.accept(plan).status for _ in range(3)]
    assert answers.count(202) == 1, answers
    market.wait_plan(plan["plan"], ("installing",))
    market.cli("action", "remove", "noop", check=0)


def test_what_is_installed_can_be_used(shop, repo):
    """A manifest that is taken at the installation is one that a call reads, whatever its size."""
    hash = repo.release_connector(NOOP, "1.0.0", manifest=noop_manifest("\n" + "# padding\n" * 10_000))
    release_text(repo, "pad", action_text("pad", repo.fqn, hash))
    plan = shop.action(f"{repo.fqn}/actions/pad@1.0.0")
    if plan["state"] == "ready":
        shop.buy(plan)
        assert shop.output("pad") == {}


def test_a_refused_action_changes_hands_loudly_too(shop, forge, repo):
    """As above, when the one that is there was edited and is refused: it is still the other publisher's name."""
    repo.release_noop("1.0.0", ["noop"])
    shop.buy(shop.action(f"{repo.fqn}/actions/noop@1.0.0"))
    with open(shop.path / "actions/noop.md", "a", encoding="utf-8") as file:
        file.write("Edited.\n")
    other = forge.repository("evil", "other" + repo.name)
    other.release_noop("1.0.0", ["noop"])
    plan = shop.ready(shop.action(f"{other.fqn}/actions/noop@1.0.0"))
    loud = " ".join(change["text"] for change in plan["changes"] if change["level"] == "loud")
    assert repo.fqn in loud, plan["changes"]
