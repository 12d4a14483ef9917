"""Vault and bindings at the HTTP door with the real keeper: what is shown, what is not, and what ends what."""
import json

import pytest

from tests.rig.home import Home, credential
from tests.rig.ports import wait_for
from tests.rig.vault import PASSPHRASE

KEY, WORK_KEY, TOKEN, REFRESH = "key-of-me-7d1f0a", "key-of-work-93bb2c", "access-5e0d77aa", "refresh-1c44d0ef"
VALUES = [KEY, WORK_KEY, TOKEN, REFRESH, PASSPHRASE]


@pytest.fixture(scope="module")
def vault_home(built, probe_folder, hostile_server, ca):
    origins = ["https://evil.test:443"]
    rows = [credential("api_key/probe/me", "local://probe", origins, KEY),
            credential("api_key/probe/work", "local://probe", origins, WORK_KEY),
            credential("oauth2/google/me", "local://google", ["https://www.googleapis.com:443"],
                       {"access_token": TOKEN, "refresh_token": REFRESH, "expires_at": "2099-01-01T00:00:00Z", "token_type": "Bearer",
                        "client_id": "c", "token_url": "https://oauth2.googleapis.com/token"})]
    home = Home(rows, hostile_server.connect_to(["evil.test"]), ca.path)
    home.start()
    home.install(probe_folder, probe_folder / "actions/probe.md")
    yield home
    home.close()


@pytest.fixture
def home(vault_home):
    """Unlocked again, whatever a test did."""
    wait_for(lambda: vault_home.api("GET", "/v1/vault").status == 200, "the keeper")
    if vault_home.api("GET", "/v1/vault").json()["state"] != "unlocked":
        vault_home.unlock()
    return vault_home


def failure(home):
    answer = home.api("POST", "/v1/actions/probe/run", {"args": {}})
    assert answer.status == 412, answer
    return answer.json()["error"]


def bindings(home):
    return {row["binding"]: row for row in home.api("GET", "/v1/bindings").json()["bindings"]}


def test_names_and_labels_never_a_value(home):
    for locked in (False, True):
        if locked:
            assert home.api("POST", "/v1/vault/lock").json() == {"state": "locked"}
        vault = home.api("GET", "/v1/vault")
        assert vault.json()["state"] == ("locked" if locked else "unlocked")
        assert vault.json()["path"] == str(home.vault_file)
        shown = {entry["path"]: entry["kind"] for entry in vault.json()["entries"]}
        assert shown == {"api_key/probe/me": "binding", "api_key/probe/work": "binding", "oauth2/google/me": "binding"}
        listed = home.api("GET", "/v1/bindings")
        texts = [vault.body, listed.body, home.api("GET", "/v1/status").body]
        texts += [home.api("GET", f"/v1/bindings/{name}").body for name in shown]
        for text in texts:
            text = text.decode() if isinstance(text, bytes) else text
            assert not any(value in text for value in VALUES), text


def test_states(home):
    rows = bindings(home)
    assert {name: row["state"] for name, row in rows.items()} == dict.fromkeys(rows, "active")
    assert rows["api_key/probe/me"]["connector_installed"] and not rows["oauth2/google/me"]["connector_installed"]
    assert rows["api_key/probe/me"]["default"] is True and rows["api_key/probe/work"]["default"] is False
    assert rows["api_key/probe/me"]["origins"] == ["https://evil.test:443"]
    assert rows["oauth2/google/me"]["refresh_token_present"] is True and rows["oauth2/google/me"]["expires_at"]
    home.api("POST", "/v1/vault/lock")
    assert {row["state"] for row in bindings(home).values()} == {"locked"}
    assert all("origins" not in row for row in bindings(home).values())


def test_while_locked_a_call_says_so(home):
    home.api("POST", "/v1/vault/lock")
    failed = failure(home)
    assert failed["class"] == "binding_failed" and failed["details"]["reason"] == "vault_locked"
    assert "aileron vault unlock" in failed["message"]
    assert home.api("DELETE", "/v1/bindings/api_key/probe/work").status == 412
    # The choice is made from labels, so what is wrong with it is told first.
    assert home.api("POST", "/v1/actions/probe/run", {"args": {}, "as": "nobody"}).json()["error"]["class"] == "binding_required"
    assert "api_key/probe/work" in bindings(home)
    home.unlock()
    for wanted, name in ((None, "api_key/probe/me"), ("work", "api_key/probe/work"), ("api_key/probe/me", "api_key/probe/me")):
        body = {"args": {}, **({"as": wanted} if wanted else {})}
        assert home.api("POST", "/v1/actions/probe/run", body).json()["binding"] == name


def test_a_lock_is_on_record(home):
    wait_for(lambda: home.audit_lines()[-1]["event_type"] != "vault.locked", "the fixture's unlock")
    before = home.audit_lines()[-1]["seq"]
    home.api("POST", "/v1/vault/lock")
    home.unlock()
    path = {"aileron.vault.path": str(home.vault_file)}

    def events():
        return [(line["event_type"], line["actor"]["type"], line["payload"]) for line in home.audit_lines() if line["seq"] > before]

    wait_for(lambda: len(events()) > 1, "the second receipt")
    assert events() == [("vault.locked", "human", path), ("vault.unlocked", "human", path)]


QUERIES = ["state=x", "code=x", "state=%00&code=x", "state=a&state=b&code=c", "code=" + "y" * 8000 + "&state=z", "%zz=1", "&&&", "=",
           "state=%FF%FE&code=1", "error=access_denied&error_description=leak4711%3Cscript%3E", "state=leak4711&iss=https://leak4711.test",
           "state=%3Cscript%3Eleak4711%3C/script%3E&code=leak4711", "state=" + "A" * 43 + "&code=x"]


@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize("query", QUERIES)
def test_a_callback_that_nobody_waits_for(home, query, locked):
    if locked:
        home.api("POST", "/v1/vault/lock")
    pids, before = home.children("aileron-keeper"), home.audit_lines()[-1]["seq"]
    answer = home.api("GET", f"/oauth2/callback?{query}", token="", door="tcp")
    assert answer.status == 400, answer
    body = answer.body.decode() if isinstance(answer.body, bytes) else answer.body
    assert "This link is not good any more" in body and "leak4711" not in body and "<script" not in body
    assert home.children("aileron-keeper") == pids and "leak4711" not in home.log()
    # Of the fixture's unlock the receipt may come a moment later.
    assert {line["event_type"] for line in home.audit_lines() if line["seq"] > before} <= {"vault.unlocked"}


def test_no_consent_for_a_key(home):
    answer = home.api("POST", "/v1/bindings/oauth2/start", {"binding": "api_key/probe/me"})
    assert answer.status == 409 and answer.json()["error"]["message"], answer


def test_a_keeper_that_is_killed(home):
    before = home.audit_lines()[-1]["seq"]
    home.kill(home.children("aileron-keeper")[0])
    wait_for(lambda: home.api("GET", "/v1/vault").status == 200, "the next keeper")
    assert home.api("GET", "/v1/vault").json()["state"] == "locked"
    assert [line["event_type"] for line in home.audit_lines() if line["seq"] > before] == ["vault.locked"]
    assert failure(home)["details"]["reason"] == "vault_locked"
    home.unlock()
    assert home.run_action("probe", check=0)


def test_it_locks_itself(home):
    """The setting takes effect at once, and what locks is on record as the keeper's own."""
    before = home.audit_lines()[-1]["seq"]
    home.cli("config", "set", "vault.auto_lock", "10s", check=0)
    try:
        assert home.api("GET", "/v1/vault").json()["auto_lock_s"] == 10
        wait_for(lambda: home.api("GET", "/v1/vault").json()["state"] == "locked", "the lock", 20)
        last = [line for line in home.audit_lines() if line["seq"] > before][-1]
        assert last["event_type"] == "vault.locked" and last["actor"]["type"] == "service"
    finally:
        home.cli("config", "set", "vault.auto_lock", "off", check=0)


def test_revoking(home):
    """The last test of this home: value and grant are gone, from the file too."""
    before = home.audit_lines()[-1]["seq"]
    assert home.api("DELETE", "/v1/bindings/api_key/probe/work").json()["revoked"] == "api_key/probe/work"
    assert "api_key/probe/work" not in bindings(home)
    assert not any("probe/work" in path for path in home.vault().paths())
    line = [line for line in home.audit_lines() if line["seq"] > before][0]
    assert line["event_type"] == "binding.revoked" and line["actor"]["type"] == "human"
    assert line["payload"]["aileron.binding.name"] == "api_key/probe/work"
    assert home.api("DELETE", "/v1/bindings/api_key/probe/work").status == 404
    log = home.log() + json.dumps(home.audit_lines())
    assert not any(value in log for value in VALUES)
