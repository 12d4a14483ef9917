"""Installing from a forge the right way: every form of a reference, whom one trusts, what is told, what is receipted."""
import base64
import json
import subprocess
import time

import pytest

from tests.rig import paths
from tests.rig.forge import NOOP, NOOP_BIND, Key
from tests.rig.ports import wait_for

COMMIT = "c0ffee" + "0" * 33 + "1"
PAD = [{"name": f"nightly-{i}", "commit": {"sha": f"{i:040x}"}} for i in range(150)]


# ---- the whole way


def test_a_suite_from_preview_to_a_listed_action(shop, forge):
    repo = forge.repository("acme", "tools")
    hash = repo.release_google()
    with shop.untouched():
        ready = shop.ready(shop.suite("github://acme/tools/suite.toml@latest"))
    assert [item["authority"] for item in ready["trust_needed"]] == ["github://acme/tools"]
    assert ready["trust_needed"][0]["fingerprint"] == repo.key.fingerprint
    assert ready["trust_needed"][0]["url"] == "https://raw.githubusercontent.com/acme/tools/HEAD/keys/publisher.pub"
    assert len(ready["actions"]) == 10 and len(ready["connectors"]) == 1
    assert ready["connectors"][0]["hash"] == hash and not ready["connectors"][0]["already_installed"]
    assert {item["signature"] for item in ready["actions"] + ready["connectors"]} == {"new_key"}
    texts = [sentence["text"] for sentence in ready["sentences"]]
    assert "can send mail as you, each time only after you approve" in texts, texts
    shop.buy(ready)
    assert len(shop.cli("action", "list", "--json", check=0).json()["actions"]) == 10
    with shop.untouched():
        again = shop.ready(shop.suite("github://acme/tools/suite.toml@v1.0.0"))
        assert not again["trust_needed"]
        assert all(item["already_installed"] for item in again["actions"] + again["connectors"])
        shop.buy(again, ("already",))


def test_ten_actions_in_a_moment_and_one_download_of_the_connector(shop, forge, nginx):
    repo = forge.repository("acme", "tools")
    repo.release_google()
    mark, begun = nginx.mark(), time.monotonic()
    shop.buy(shop.suite("github://acme/tools/suite.toml@latest"))
    took = time.monotonic() - begun
    seen = nginx.seen(mark, settle=0.3)
    archives = [row["uri"] for row in seen if row["host"] == "objects.githubusercontent.com"]
    assert len(archives) == 11 and len(set(archives)) == 11, archives
    assert sum("/tools/v1.0.0/" in uri for uri in archives) == 1
    assert sum("publisher.pub" in row["uri"] for row in seen) == 1, "the key was met once and is asked for no more"
    assert sum(row["host"] == "api.github.com" for row in seen) == 1
    # Under a second on a machine that does nothing else; this bound is for one that does.
    print(f"ten actions took {took:.2f} s")
    assert took < 3, f"{took:.2f} s"
    mark = nginx.mark()
    shop.buy(shop.suite("github://acme/tools/suite.toml@1.0.0"), ("already",))
    assert [row["uri"] for row in nginx.seen(mark, settle=0.3)] == ["/acme/tools/v1.0.0/suite.toml"]


def test_what_was_installed_runs(market, repo):
    repo.release_noop(actions=["echo"])
    market.buy(market.action(f"{repo.fqn}/actions/echo@latest"))
    assert market.output("echo", {"text": "hello"}) == {"text": "hello"}
    market.cli("action", "remove", "echo", check=0)


def test_what_publish_packs_is_what_installs(shop, forge):
    """The Google connector released by the program's own publisher's commands, from the key to the suite."""
    repo = forge.repository("acme", "published")
    desk = shop.base / "desk"
    desk.mkdir()
    (desk / "cid").write_text("client-of-the-publisher\n")
    (desk / "csec").write_text("public-by-design\n")

    def publish(*args):
        done = subprocess.run([paths.CLI, "publish", *map(str, args)], cwd=desk, env=shop.environment, text=True,
                              capture_output=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
    publish("keygen")
    packed = json.loads(publish("pack", paths.GOOGLE, "--fqn", repo.fqn, "--version", "2.0.0", "--bind", "client_id=cid",
                                "--bind", "client_secret=csec", "--json"))
    actions = sorted((paths.GOOGLE / "actions").glob("*.md"))
    packed += json.loads(publish("pack", *actions, "--connector", packed[0]["archive"], "--json"))
    for item in packed:
        repo.asset(item["tag"], (desk / item["archive"]).read_bytes())
        repo.tag(item["tag"])
    repo.raw("HEAD", "keys/publisher.pub", (desk / "keys/publisher.pub").read_bytes())
    repo.raw("v2.0.0", "suite.toml", (paths.GOOGLE / "suite.toml").read_bytes())
    repo.latest("v2.0.0")
    ready = shop.ready(shop.suite(f"{repo.fqn}/suite.toml@latest"))
    assert ready["connectors"][0]["hash"] == packed[0]["hash"] and ready["connectors"][0]["version"] == "2.0.0"
    shop.buy(ready)
    assert len(shop.installed_actions()) == 10
    manifest = (shop.path / "store/connectors/sha256" / packed[0]["hash"].removeprefix("sha256:") / "manifest.toml").read_text()
    assert "client-of-the-publisher" in manifest


# ---- forms of a reference


@pytest.mark.parametrize("form", ["latest", "v1.2.3", "1.2.3"])
def test_a_connector_by_version(market, repo, form):
    hash = repo.release_noop("1.2.3")
    ready = market.ready(market.connector(f"{repo.fqn}@{form}"))
    (item,) = ready["connectors"]
    assert (item["fqn"], item["version"], item["hash"]) == (repo.fqn, "1.2.3", hash) and item["hosts"] == ["example.com:443"]
    market.buy(ready)
    assert hash.removeprefix("sha256:") in market.installed_connectors()


def test_latest_is_what_the_forge_calls_so_not_the_highest(market, repo):
    repo.release_noop("2.0.0")
    repo.release_noop("1.9.0")
    ready = market.ready(market.connector(f"{repo.fqn}@latest"))
    assert ready["connectors"][0]["version"] == "1.9.0"
    market.drop(ready)


def test_a_connector_of_a_subpath(market, repo):
    hash = repo.release_connector(NOOP, "3.0.0-rc.1+build.7", "connectors/small", bind=NOOP_BIND)
    ready = market.ready(market.connector(f"{repo.fqn}/connectors/small@3.0.0-rc.1+build.7"))
    assert ready["connectors"][0]["fqn"] == f"{repo.fqn}/connectors/small" and ready["connectors"][0]["hash"] == hash
    market.buy(ready)


def test_latest_of_a_subpath_is_the_version_of_the_repository(market, repo):
    repo.release_connector(NOOP, "1.1.0", "connectors/small", bind=NOOP_BIND)
    repo.latest("v1.1.0")
    market.buy(market.connector(f"{repo.fqn}/connectors/small@latest"))


def test_a_commit_is_found_on_the_second_page_of_tags(market, repo):
    repo.release_noop("1.0.0")
    repo.tags = [*PAD, *repo.tags]
    repo.tag("v1.0.0")
    repo.tags = [*repo.tags[1:], {"name": "v1.0.0", "commit": {"sha": COMMIT}}]
    repo.publish_tags()
    assert repo.asset_path("v1.0.0").exists() and len(repo.tags) > 150
    market.buy(market.connector(f"{repo.fqn}@{COMMIT.upper()}"))


def test_a_commit_that_no_release_has_names_the_nearest(market, repo):
    repo.release_noop("1.0.0")
    repo.release_noop("1.4.0")
    with market.untouched():
        market.failed(market.connector(f"{repo.fqn}@{COMMIT}"), "not_found", COMMIT[:7], "1.4.0")


def test_a_commit_of_an_action_is_the_one_of_its_own_tag(market, repo):
    repo.release_noop("1.0.0", ["noop"])
    repo.tag("v9.0.0", COMMIT)
    repo.tag("actions/noop/v1.0.0", COMMIT)
    repo.tag("actions/other/v8.0.0", COMMIT)
    market.buy(market.action(f"{repo.fqn}/actions/noop@{COMMIT}"))
    market.cli("action", "remove", "noop", check=0)


@pytest.mark.parametrize("form", ["latest", "v1.0.0", COMMIT])
def test_a_suite_by_version_and_by_commit(market, repo, form):
    repo.release_noop()
    repo.tag("v1.0.0", COMMIT)
    repo.raw(COMMIT, "suite.toml", 'name = "small"\ndescription = "Of that commit."\nactions = ["actions/echo"]\n')
    ready = market.ready(market.suite(f"{repo.fqn}/suite.toml@{form}"))
    assert ready["suite"]["version"] == "1.0.0"
    assert len(ready["actions"]) == (1 if form == COMMIT else 2)
    market.drop(ready)


def test_a_local_suite_names_actions_in_full(shop, forge):
    one, other = forge.repository("acme", "one"), forge.repository("umbrella", "other")
    one.release_noop("1.0.0", ["noop"])
    other.release_noop("2.0.0", ["echo"])
    file = shop.base / "mine.toml"
    file.write_text('name = "mine"\ndescription = "Of two publishers."\nactions = [\n'
                    f'  "{one.fqn}/actions/noop@1.0.0",\n  "{other.fqn}/actions/echo@2.0.0",\n]\n')
    ready = shop.ready(shop.preview("/v1/actions", path=str(file), suite=True))
    assert {item["authority"] for item in ready["trust_needed"]} == {one.fqn, other.fqn}
    answer = shop.api("POST", "/v1/actions/install", {"plan": ready["plan"], "consent": "accepted", "trust": [
        {"authority": item["authority"], "fingerprint": ready["trust_needed"][0]["fingerprint"]}
        for item in ready["trust_needed"]]})
    assert answer.status == 409 and answer.json()["error"]["code"] == "trust_needed", answer
    shop.buy(ready)
    assert shop.installed_actions() == {"noop", "echo"}
    file.write_text('name = "mine"\ndescription = "Wrong."\nactions = ["actions/noop"]\n')
    with shop.untouched():
        shop.failed(shop.preview("/v1/actions", path=str(file), suite=True), "invalid_release", "mine.toml")


@pytest.mark.parametrize(["ref", "word"], [
    ("github://acme/tools", "@"), ("acme/tools@latest", "github://"), ("https://github.com/acme/tools", "github://"),
    ("github://acme@latest", "github://"), ("github://acme/tools@main", "@"), ("github://acme/tools@^1.0", "@"),
    ("github://acme/../tools@1.0.0", "github://"), ("github://acme/tools@c0ffee", "40"),
    ("gitlab://acme/tools@1.0.0", "gitlab"), ("local://tools@1.0.0", "--local"), ("github://acme/tools@1.0.0\nx", "@"),
    ("github://acme/tools@1.0.0@2.0.0", "@"), ("", "github://"), ("github://acme/t%6fols@1.0.0", "github://")])
def test_a_wrong_form_is_refused_with_the_right_one(market, nginx, ref, word):
    mark = nginx.mark()
    answer = market.api("POST", "/v1/connectors/preview", {"ref": ref})
    error = answer.json()["error"]
    assert answer.status == 400 and word in error["message"] + error.get("hint", ""), error
    assert not nginx.seen(mark)


# ---- trust


def test_a_trusted_key_is_not_asked_for_again(market, repo, nginx):
    repo.release_noop()
    market.trust(repo.fqn, repo.key)
    mark = nginx.mark()
    ready = market.ready(market.connector(f"{repo.fqn}@1.0.0"))
    assert not ready["trust_needed"] and ready["connectors"][0]["signature"] == "valid"
    assert ready["connectors"][0]["fingerprint"] == repo.key.fingerprint
    assert not any("publisher.pub" in row["uri"] for row in nginx.seen(mark))
    market.buy(ready)


def test_an_owners_key_speaks_for_all_repositories_of_the_owner_and_for_no_other(market, forge):
    key = Key(forge.folder, "owner")
    market.trust("github://initech", key)
    for name in ("one", "two"):
        repo = forge.repository("initech", name, key)
        repo.release_noop()
        ready = market.ready(market.connector(f"{repo.fqn}@1.0.0"))
        assert not ready["trust_needed"]
        market.buy(ready)
    for owner in ("initech2", "Initech"):
        repo = forge.repository(owner, "one", key)
        repo.release_noop()
        ready = market.ready(market.connector(f"{repo.fqn}@1.0.0"))
        assert [item["authority"] for item in ready["trust_needed"]] == [repo.fqn]
        market.drop(ready)


def test_a_repositorys_key_speaks_for_nothing_beside_it(market, forge):
    repo = forge.repository("hooli", "one")
    repo.release_noop()
    market.trust(repo.fqn, repo.key)
    other = forge.repository("hooli", "one2", repo.key)
    other.release_noop()
    ready = market.ready(market.connector(f"{other.fqn}@1.0.0"))
    assert [item["authority"] for item in ready["trust_needed"]] == [other.fqn]
    market.drop(ready)


def test_keys_of_owner_and_repository_both_count(market, forge):
    owner, own = Key(forge.folder, "vandelay"), Key(forge.folder, "own")
    market.trust("github://vandelay", owner)
    market.trust("github://vandelay/things", own)
    repo = forge.repository("vandelay", "things", own)
    repo.release_noop("1.0.0", key=own)
    repo.release_noop("1.1.0", key=owner)
    for version in ("1.0.0", "1.1.0"):
        market.buy(market.connector(f"{repo.fqn}@{version}"))


def test_a_new_key_of_a_trusted_publisher_is_refused_until_it_is_trusted(market, forge, repo):
    repo.release_noop("1.0.0")
    market.buy(market.connector(f"{repo.fqn}@1.0.0"))
    new = Key(forge.folder, "new")
    repo.publish_key(new)
    repo.release_noop("1.1.0", key=new)
    with market.untouched():
        market.failed(market.connector(f"{repo.fqn}@1.1.0"), "signature_failure", "no key that you trust", "keyring trust")
    told = market.api("POST", "/v1/keyring", {"authority": repo.fqn}).json()
    assert told["fingerprint"] == new.fingerprint and told["trusted"] is False
    wrong = market.api("POST", "/v1/keyring", {"authority": repo.fqn, "fingerprint": repo.key.fingerprint})
    assert wrong.status == 409, wrong
    assert market.api("POST", "/v1/keyring", {"authority": repo.fqn, "fingerprint": new.fingerprint}).json()["trusted"]
    market.buy(market.connector(f"{repo.fqn}@1.1.0"))


@pytest.mark.parametrize("form", ["pem", "raw"])
def test_a_key_that_was_brought_along_needs_no_key_of_the_forge(market, repo, form):
    hash = repo.release_noop("1.0.0", ["echo"])
    (repo._files("raw.githubusercontent.com") / "HEAD/keys/publisher.pub").unlink()
    market.failed(market.connector(f"{repo.fqn}@1.0.0"), "not_found", "keys/publisher.pub")
    key = repo.key.pem.decode() if form == "pem" else base64.b64encode(repo.key.raw).decode()
    market.buy(market.action(f"{repo.fqn}/actions/echo@1.0.0", keys=[key]))
    assert hash.removeprefix("sha256:") in market.installed_connectors()
    # Offline trust is trust: what it installed runs.
    assert market.output("echo", {"text": "x"}) == {"text": "x"}
    assert repo.fqn in [row["authority"] for row in market.api("GET", "/v1/keyring").json()["publishers"]]
    market.cli("action", "remove", "echo", check=0)


def test_a_wrong_key_that_was_brought_along_is_refused(market, forge, repo):
    repo.release_noop()
    other = Key(forge.folder, "other")
    with market.untouched():
        market.failed(market.connector(f"{repo.fqn}@1.0.0", keys=[base64.b64encode(other.raw).decode()]), "signature_failure")
    assert market.api("POST", "/v1/connectors/preview", {"ref": f"{repo.fqn}@1.0.0", "keys": ["nonsense"]}).status == 400


def test_trust_is_given_for_exactly_what_was_shown(market, repo, forge):
    repo.release_noop()
    other = Key(forge.folder, "other")
    ready = market.ready(market.connector(f"{repo.fqn}@1.0.0"))
    for trust in ([], None, [{"authority": repo.fqn}], [{"authority": repo.fqn, "fingerprint": other.fingerprint}],
                  [{"authority": "github://acme", "fingerprint": repo.key.fingerprint}], "all",
                  [{"authority": repo.fqn, "fingerprint": repo.key.fingerprint.upper()}]):
        with market.untouched():
            answer = market.api("POST", "/v1/connectors/install",
                                {"plan": ready["plan"], "consent": "accepted", "trust": trust})
            assert answer.status in (400, 409) and answer.json()["error"]["code"] in ("trust_needed", "bad_request"), answer
    market.buy(ready)


def test_a_key_that_is_revoked_between_preview_and_consent_counts_no_more(market, repo):
    repo.release_noop("1.0.0", ["echo"])
    market.trust(repo.fqn, repo.key)
    ready = market.ready(market.action(f"{repo.fqn}/actions/echo@1.0.0"))
    market.revoke(repo.fqn)
    with market.untouched():
        assert market.accept(ready).status == 202
        done = market.wait_plan(ready["plan"], ("installing",))
    assert {item["state"] for item in done["results"]} <= {"failed", "skipped"}, done
    assert done["results"][0]["error"]["code"] == "signature_failure", done


def test_what_a_revoked_key_had_signed_comes_back_with_its_trust(shop, repo):
    repo.release_noop("1.0.0", ["echo"])
    shop.buy(shop.suite(f"{repo.fqn}/suite.toml@1.0.0"))
    shop.revoke(repo.fqn)
    assert "trust" in shop.run_action("echo", {"text": "x"}, check=1).err
    again = shop.ready(shop.suite(f"{repo.fqn}/suite.toml@1.0.0"))
    assert [item["authority"] for item in again["trust_needed"]] == [repo.fqn]
    assert not any(item["already_installed"] for item in again["actions"] + again["connectors"])
    shop.buy(again, ("installed", "updated", "already"))
    assert shop.output("echo", {"text": "x"}) == {"text": "x"}


# ---- updates


def test_an_update_says_what_becomes_different(market, repo):
    repo.release_noop("1.0.0", ["echo"])
    market.buy(market.action(f"{repo.fqn}/actions/echo@1.0.0"))
    hash = repo.release_connector(NOOP, "1.1.0", bind={"HOST": "elsewhere.example:443"})
    repo.release_action(NOOP / "actions/echo.md", "1.1.0", hash=hash)
    ready = market.ready(market.action(f"{repo.fqn}/actions/echo@1.1.0"))
    (item,) = ready["actions"]
    assert item["updates"] == "1.0.0"
    assert any("elsewhere.example" in change["text"] and change["level"] == "loud" for change in ready["changes"]), ready["changes"]
    market.buy(ready, ("updated", "installed"))
    assert "1.1.0" in (market.path / "actions/echo.md").read_text()
    market.cli("action", "remove", "echo", check=0)


def test_only_some_actions_of_a_suite(market, repo):
    repo.release_noop("1.0.0", ["noop", "echo", "fail"])
    ready = market.ready(market.suite(f"{repo.fqn}/suite.toml@1.0.0"))
    done = market.buy(ready, ("installed", "skipped"), only=["echo"])
    assert [item["name"] for item in done["results"] if item["state"] == "installed"] == [repo.fqn, "echo"]
    assert market.installed_actions() == {"echo"}
    market.cli("action", "remove", "echo", check=0)


# ---- plans


def test_plans_are_few_and_are_forgotten_when_dropped(market, repo):
    repo.release_noop()
    made = [market.ready(market.connector(f"{repo.fqn}@1.0.0"))["plan"] for _ in range(16)]
    refused = market.api("POST", "/v1/connectors/preview", {"ref": f"{repo.fqn}@1.0.0"})
    assert refused.status == 429 and refused.json()["error"]["code"] == "too_many_plans", refused
    with market.untouched():
        for plan in made:
            market.drop(plan)
            assert market.api("GET", f"/v1/plans/{plan}").status == 404
            assert market.api("DELETE", f"/v1/plans/{plan}").status == 404
    market.drop(market.ready(market.connector(f"{repo.fqn}@1.0.0")))


def test_what_is_done_makes_room(market, repo):
    repo.release_noop()
    market.buy(market.connector(f"{repo.fqn}@1.0.0"))
    for _ in range(20):
        market.buy(market.connector(f"{repo.fqn}@1.0.0"), ("already",))
        market.connector(f"{repo.fqn}@7.7.7")


@pytest.mark.parametrize("body", [
    {}, {"ref": "github://a/b@1.0.0", "path": "/x"}, {"path": "/x"}, {"ref": 7}, {"ref": "github://a/b@1.0.0", "keys": "x"},
    {"ref": "github://a/b@1.0.0", "keys": [7]}, {"ref": "github://a/b@1.0.0", "keys": [base64.b64encode(bytes(32)).decode()] * 17}])
def test_a_body_that_says_nothing_clear_is_refused(market, body):
    assert market.api("POST", "/v1/connectors/preview", body).status == 400


def test_only_the_owner_sees_plans(market, repo):
    repo.release_noop()
    ready = market.ready(market.connector(f"{repo.fqn}@1.0.0"))
    for method, path, body in (("GET", f"/v1/plans/{ready['plan']}", None), ("DELETE", f"/v1/plans/{ready['plan']}", None),
                               ("POST", "/v1/connectors/preview", {"ref": f"{repo.fqn}@1.0.0"}), ("GET", "/v1/keyring", None),
                               ("POST", "/v1/connectors/install", {"plan": ready["plan"], "consent": "accepted"})):
        assert market.api(method, path, body, token="", door="tcp").status == 401
    market.drop(ready)


def test_a_decision_comes_once(market, repo):
    repo.release_noop()
    ready = market.ready(market.connector(f"{repo.fqn}@1.0.0"))
    for consent in (None, "yes", "", True):
        assert market.api("POST", "/v1/connectors/install", {"plan": ready["plan"], "consent": consent, "trust": []}).status == 400
    market.buy(ready)
    again = market.accept(ready)
    assert again.status == 409 and again.json()["error"]["code"] == "not_ready", again
    failed = market.connector(f"{repo.fqn}@9.9.9")
    assert market.accept({**failed, "trust_needed": []}).status == 409


def test_the_plans_of_a_daemon_end_with_it(shop, repo):
    repo.release_noop()
    ready = shop.ready(shop.connector(f"{repo.fqn}@1.0.0"))
    with shop.untouched():
        shop.stop()
        shop.start()
        assert shop.api("GET", f"/v1/plans/{ready['plan']}").status == 404
        assert shop.accept(ready).status == 404


# ---- receipts


def rows(shop, since, *types):
    return [(row["event_type"], row["payload"]) for row in shop.audit_lines()[since:] if not types or row["event_type"] in types]


def test_receipts_of_an_installation(shop, repo):
    repo.release_noop("1.0.0", ["echo"])
    since = len(shop.audit_lines())
    shop.buy(shop.suite(f"{repo.fqn}/suite.toml@1.0.0"))
    made = rows(shop, since)
    assert [type for type, _ in made] == ["keyring.trusted", "connector.installed", "action.installed"], made
    trusted, connector, action = [payload for _, payload in made]
    assert trusted["aileron.keyring.authority"] == repo.fqn and trusted["aileron.keyring.fingerprint"] == repo.key.fingerprint
    assert connector["aileron.connector.fqn"] == repo.fqn and connector["aileron.connector.version"] == "1.0.0"
    assert connector["aileron.connector.hash"].removeprefix("sha256:") in shop.installed_connectors()
    assert action["aileron.action.name"] == "echo" and action["aileron.action.fqn"] == f"{repo.fqn}/actions/echo"
    for payload in (connector, action):
        assert payload["aileron.signature.status"] == "valid" and payload["aileron.consent.decision"] == "accepted"
    repo.release_noop("1.1.0", ["echo"])
    since = len(shop.audit_lines())
    shop.buy(shop.suite(f"{repo.fqn}/suite.toml@1.1.0"), ("installed", "updated"))
    assert [type for type, _ in rows(shop, since)] == ["connector.installed", "action.updated"]
    assert shop.cli("audit", "verify", "--json", check=0).json()["intact"]


@pytest.mark.parametrize("way", ["drop", "cancel"])
def test_a_no_is_receipted_and_leaves_nothing(shop, repo, way):
    repo.release_noop("1.0.0", ["echo"])
    ready = shop.ready(shop.suite(f"{repo.fqn}/suite.toml@1.0.0"))
    since = len(shop.audit_lines())
    with shop.untouched():
        if way == "drop":
            shop.drop(ready)
        else:
            assert shop.api("POST", "/v1/actions/install", {"plan": ready["plan"], "consent": "cancelled"}).status == 200
    wait_for(lambda: len(shop.audit_lines()) >= since + 2, "the receipts", 5)
    made = rows(shop, since)
    assert [type for type, _ in made] == ["consent.cancelled"] * 2, made
    assert {payload["aileron.consent.decision"] for _, payload in made} == {"cancelled"}
    assert made[0][1]["aileron.connector.fqn"] == repo.fqn and made[1][1]["aileron.action.name"] == "echo"
    assert shop.api("GET", f"/v1/plans/{ready['plan']}").status == 404


def test_a_plan_that_nobody_could_decide_about_makes_no_receipt(shop, repo):
    since = len(shop.audit_lines())
    failed = shop.connector(f"{repo.fqn}@1.0.0")
    shop.failed(failed, "not_found")
    assert not rows(shop, since)


def test_receipts_are_on_disk_before_the_effect(shop, repo):
    """With an audit log that takes nothing more, nothing is installed and nobody is trusted."""
    repo.release_noop("1.0.0", ["echo"])
    ready = shop.ready(shop.suite(f"{repo.fqn}/suite.toml@1.0.0"))
    shop.audit_lines()
    for file in (shop.path / "audit").iterdir():
        if file.is_file():
            file.unlink()
    (shop.path / "audit").chmod(0o755)
    with shop.untouched():
        answer = shop.accept(ready)
        if answer.status == 202:
            done = shop.wait_plan(ready["plan"], ("installing",))
            assert done["state"] == "failed" or {item["state"] for item in done["results"]} <= {"failed", "skipped"}, done
    (shop.path / "audit").chmod(0o700)


# ---- the keyring's file


@pytest.fixture
def keyed(market, repo):
    """The keyring's file, put back after the test, and a release that can be asked for."""
    repo.release_noop()
    market.trust(repo.fqn, repo.key)
    path = market.path / "keyring.json"
    was = path.read_bytes()
    yield path, was, f"{repo.fqn}@1.0.0"
    path.unlink(missing_ok=True)
    path.write_bytes(was)
    path.chmod(0o600)


def refused(market, ref, *words):
    """A preview refuses with these words, and so does the list."""
    answer = market.api("POST", "/v1/connectors/preview", {"ref": ref})
    if answer.status == 202:
        plan = market.wait_plan(answer.json()["plan"], ("working",))
        assert plan["state"] == "failed", plan
        error = plan["error"]
    else:
        error = answer.json()["error"]
    said = error["message"] + error.get("hint", "")
    assert all(word in said for word in ("keyring.json", *words)), error
    assert market.api("GET", "/v1/keyring").json()["error"]["code"] == "invalid_keyring"


def test_a_keyring_that_others_may_change_is_not_believed(market, keyed):
    path, _, ref = keyed
    for mode in (0o644, 0o660, 0o602):
        path.chmod(mode)
        with market.untouched():
            refused(market, ref)


def test_a_keyring_behind_a_link_is_not_believed(market, keyed):
    path, was, ref = keyed
    other = market.base / "other-keyring.json"
    other.write_bytes(was)
    other.chmod(0o600)
    path.unlink()
    path.symlink_to(other)
    with market.untouched():
        refused(market, ref)


@pytest.mark.parametrize("text", [
    b"", b"{", b"[]", b'{"version":3}', b'{"version":2,"publishers":{"github://a/b":["short"]}}',
    b'{"version":2,"publishers":{"github://a/b":"x"}}', b'{"version":2,"others":{}}', b'{"version":2,"version":1}',
    b'{"version":2,"publishers":{"a/b":[]}}', b"\xff\xfe", b'{"version":2}' + b" " * 2_000_000])
def test_a_damaged_keyring_refuses_and_is_not_overwritten(market, keyed, text):
    path, _, ref = keyed
    path.write_bytes(text)
    with market.untouched():
        refused(market, ref)


def test_a_keyring_that_is_missing_trusts_nobody(market, keyed, repo):
    path, _, ref = keyed
    path.unlink()
    ready = market.ready(market.connector(ref))
    assert [item["authority"] for item in ready["trust_needed"]] == [repo.fqn]
    market.drop(ready)
    assert not path.exists()
