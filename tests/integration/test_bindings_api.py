"""Vault, bindings and the consent's callback at the HTTP door, with a keeper that says exactly what a test wants (rig/puppet.py)."""
import base64
import concurrent.futures
import hashlib
import http.client
import os
import re
import subprocess
import threading
import time

import pytest

from tests.rig import paths, puppet
from tests.rig.ports import wait_for
from tests.rig.puppet import PuppetHome

NAME = "oauth2/google/me"
PAST, FUTURE = "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"
EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
EVIL_QUERY = ("state=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&error=%3Cimg%20src=x%3Eleak4711"
              "&error_description=leak4712&iss=https://leak4713.test")


def binding(name=NAME, fqn="local://google", **more):
    kind, service, identity = name.split("/")
    return {"binding": name, "kind": kind, "service": service, "identity": identity, "connector_fqn": fqn, "status": "active",
            "default": False, "refresh_token_present": True, "granted": True, "origins": [], **more}


@pytest.fixture(scope="module")
def made(built):
    home = PuppetHome()
    yield home
    home.close()


@pytest.fixture
def home(made):
    """Unlocked, with one binding; whatever a test changed is undone."""
    made.on = {}
    wait_for(lambda: made.api("GET", "/v1/vault").status == 200, "the keeper")
    made.on = {}
    made.entries = [{"path": NAME, "kind": "binding", "type": "oauth2", "environment": "", "labels": {}}]
    made.tell(state=puppet.UNLOCKED, overrides=False, degraded="", bindings=[binding()])
    wait_for(lambda: made.api("GET", "/v1/vault").json().get("state") == "unlocked", "the state")
    return made


@pytest.fixture
def fresh(built):
    """For tests that end a keeper: the pause before the next one grows with each."""
    home = PuppetHome(bindings=[binding()])
    yield home
    home.close()


@pytest.fixture(scope="module")
def agent(made):
    return made.api("POST", "/v1/sessions", {"agent": "tests"}).json()["token"]


def error_of(answer, status, code):
    assert answer.status == status, answer
    error = answer.json()["error"]
    assert error["code"] == code and error["message"], answer
    return error


def told(home, **changes):
    """New facts, once the broker has them."""
    before = home.keeper
    home.tell(**changes)
    home.api("GET", "/v1/vault")  # asked after the STATE on the same channel, so the STATE has been read
    assert home.keeper is before


# --- who may

ROUTES = [("GET", "/v1/vault"), ("POST", "/v1/vault/lock"), ("GET", "/v1/bindings"), ("GET", f"/v1/bindings/{NAME}"),
          ("DELETE", f"/v1/bindings/{NAME}"), ("POST", "/v1/bindings/oauth2/start"), ("GET", "/v1/connectors/sha256:00")]


@pytest.mark.parametrize("door", ["socket", "tcp"])
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_the_owner_alone(home, agent, method, path, door):
    body = {"binding": NAME} if method == "POST" else None
    error_of(home.api(method, path, body, token=agent, door=door), 403, "forbidden")
    error_of(home.api(method, path, body, token="", door="tcp"), 401, "unauthorized")
    assert not any(kind in (puppet.LOCK, puppet.REVOKE, puppet.OAUTH_START) for kind, _ in list(home.keeper.seen.queue))


@pytest.mark.parametrize(("method", "path"), [("PUT", "/v1/vault"), ("POST", "/v1/vault"), ("GET", "/v1/vault/lock"),
                                              ("POST", f"/v1/bindings/{NAME}"), ("POST", "/v1/bindings"),
                                              ("PATCH", "/v1/bindings/oauth2/start")])
def test_other_methods(home, method, path):
    answer = home.api(method, path)
    assert answer.status == 405 and answer.headers["Allow"], answer


# --- the vault

@pytest.mark.parametrize(("state", "word"), [(puppet.MISSING, "missing"), (puppet.LOCKED, "locked"), (puppet.UNLOCKED, "unlocked")])
def test_the_vault_is_described(home, state, word):
    told(home, state=state, overrides=state == puppet.UNLOCKED)
    vault = home.api("GET", "/v1/vault").json()
    assert vault == {"state": word, "path": str(home.path / "secrets.json"), "auto_lock_s": 0,
                     "overrides_active": state == puppet.UNLOCKED, "entries": home.entries}
    status = home.api("GET", "/v1/status").json()
    assert status["vault_state"] == word and status["overrides_active"] is (state == puppet.UNLOCKED)


def test_locking(home):
    def lock(keeper, fields):
        keeper.event("vault.locked", {"aileron.vault.path": "/h/secrets.json"})
        home.state = puppet.LOCKED
        keeper.send_state()
        return (puppet.OK,)

    home.on[puppet.LOCK] = lock
    assert home.api("POST", "/v1/vault/lock").json() == {"state": "locked"}
    assert home.api("GET", "/v1/status").json()["vault_state"] == "locked"
    # Asked for by a person, so a person's; one that comes by itself is the keeper's.
    last = home.audit_lines()[-1]
    assert last["event_type"] == "vault.locked" and last["actor"] == {"type": "human", "id": "owner"}
    home.keeper.event("vault.locked", {"aileron.vault.path": "/h/secrets.json"})
    wait_for(lambda: home.audit_lines()[-1]["actor"] == {"type": "service", "id": "keeper"}, "the keeper's own receipt")


def test_locking_what_is_not_there(home):
    told(home, state=puppet.MISSING)
    error_of(home.api("POST", "/v1/vault/lock"), 409, "vault_missing")


def test_auto_lock_takes_effect_at_once(home):
    assert home.api("PATCH", "/v1/config", {"vault.auto_lock": "15m"}).status == 200
    wait_for(lambda: home.keeper.configured[-1][1] == 900, "the keeper to hear of it")
    assert home.api("GET", "/v1/vault").json()["auto_lock_s"] == 900
    for wrong in ("5s", "never", 900, "40d", ""):
        error_of(home.api("PATCH", "/v1/config", {"vault.auto_lock": wrong}), 400, "bad_value")
    assert home.api("PATCH", "/v1/config", {"vault.auto_lock": None}).status == 200
    wait_for(lambda: home.keeper.configured[-1][1] == 0, "the keeper to hear of it")


# --- bindings

@pytest.mark.parametrize(("more", "state", "word"), [
    ({}, puppet.UNLOCKED, "active"),
    ({}, puppet.LOCKED, "locked"),
    ({"status": "stale", "stale_reason": "refresh_failed"}, puppet.LOCKED, "stale"),
    ({"status": "stale", "stale_reason": "no_grant_record"}, puppet.UNLOCKED, "no_grant"),
    ({"granted": False}, puppet.UNLOCKED, "no_grant"),
    ({"status": "revoked"}, puppet.UNLOCKED, "revoked"),
    ({"expires_at": PAST}, puppet.UNLOCKED, "active"),
    ({"expires_at": PAST, "refresh_token_present": False}, puppet.UNLOCKED, "expired_no_refresh"),
    ({"expires_at": FUTURE, "refresh_token_present": False}, puppet.UNLOCKED, "active"),
])
def test_a_bindings_state(home, more, state, word):
    row = binding(**more)
    told(home, state=state, bindings=[row])
    assert home.api("GET", "/v1/bindings").json()["bindings"] == [{**row, "connector_installed": False, "state": word}]
    one = home.api("GET", f"/v1/bindings/{NAME}").json()
    assert one["state"] == word and one["binding"] == NAME


@pytest.mark.parametrize("name", ["oauth2/google/you", "oauth2/google", "oauth2", "oauth2/google/me/more", "..", "oauth2/google/ME",
                                  "oauth2%2fgoogle%2fme", "%00", "oauth2/start"])
def test_no_such_binding(home, name):
    for method in ("GET", "DELETE"):
        assert home.api(method, f"/v1/bindings/{name}").status in (400, 404), (method, name)


def test_an_installed_connector_is_said_so(home, probe_folder):
    installed = home.api("POST", "/v1/connectors/install", {"path": str(probe_folder), "local": True})
    assert installed.status in (200, 201), installed
    shown = installed.json()
    told(home, bindings=[binding("api_key/probe/me", shown["fqn"])])
    assert home.api("GET", "/v1/bindings/api_key/probe/me").json()["connector_installed"] is True
    for name in (shown["hash"], shown["hash"][7:15]):
        one = home.api("GET", f"/v1/connectors/{name}").json()
        assert one["fqn"] == shown["fqn"] and one["hash"] == shown["hash"] and one["hosts"], one
        assert one["credential"]["kind"] == "api_key" and one["credential"]["header"] and "{key}" in one["credential"]["format"]
    for name in ("sha256:" + "0" * 64, "0000", shown["hash"][7:10]):
        error_of(home.api("GET", f"/v1/connectors/{name}"), 404, "not_found")


def test_what_consent_needs_of_an_oauth_connector(home):
    if not (paths.GOOGLE / "connector.wasm").exists():
        pytest.skip("the Google connector is not built")
    shown = home.api("POST", "/v1/connectors/install", {"path": str(paths.GOOGLE), "local": True}).json()
    one = home.api("GET", f"/v1/connectors/{shown['hash']}").json()
    oauth2 = one["credential"]["oauth2"]
    assert one["credential"]["kind"] == "oauth2" and one["hosts"] == ["gmail.googleapis.com:443", "www.googleapis.com:443"]
    assert oauth2["token_url"].startswith("https://") and oauth2["authorize_url"].startswith("https://") and oauth2["client_id"]
    assert all(isinstance(scope, str) for scope in oauth2["scopes"]) and oauth2["scopes"]


def test_revoking(home):
    asked = []
    home.on[puppet.REVOKE] = lambda keeper, fields: asked.append(fields.text()) or (puppet.OK, "the provider was not told: 500")
    assert home.api("DELETE", f"/v1/bindings/{NAME}").json() == {"revoked": NAME, "note": "the provider was not told: 500"}
    assert asked == [NAME]
    home.on[puppet.REVOKE] = lambda keeper, fields: (puppet.OK,)
    assert home.api("DELETE", f"/v1/bindings/{NAME}").json() == {"revoked": NAME}


@pytest.mark.parametrize(("result", "status", "code"), [
    (puppet.NO_LONGER_OPEN, 412, "vault_locked"), (puppet.NOT_FOUND, 404, "not_found"), (puppet.REFUSED, 409, "refused"),
    (puppet.FAILED, 500, "failed"), (puppet.BUSY, 429, "busy"), (puppet.TIMED_OUT, 504, "timed_out"),
    (puppet.NO_VAULT, 409, "vault_missing"),
])
def test_what_the_keeper_refuses(home, result, status, code):
    home.on[puppet.REVOKE] = lambda keeper, fields: (result, "", "")
    home.on[puppet.OAUTH_START] = lambda keeper, fields: (result, "words of its own", "and a hint")
    error_of(home.api("DELETE", f"/v1/bindings/{NAME}"), status, code)
    error = error_of(home.api("POST", "/v1/bindings/oauth2/start", {"binding": NAME}), status, code)
    assert error["message"] == "words of its own" and error["hint"] == "and a hint"


def test_a_new_consent(home):
    asked = []

    def start(keeper, fields):
        asked.append((fields.text(), fields.text()))
        return puppet.OK, "", "", "https://accounts.test/auth?x=1"

    home.on[puppet.OAUTH_START] = start
    answer = home.api("POST", "/v1/bindings/oauth2/start", {"binding": NAME})
    assert answer.json() == {"url": "https://accounts.test/auth?x=1", "expires_in_s": 600}
    assert asked == [(NAME, home.discovery()["url"] + "/oauth2/callback")]


@pytest.mark.parametrize("body", [{}, {"binding": 1}, {"binding": "me"}, {"binding": NAME, "redirect_uri": "http://x/"},
                                  {"binding": NAME.upper()}, None])
def test_a_consent_for_nothing(home, body):
    home.on[puppet.OAUTH_START] = lambda keeper, fields: pytest.fail("asked")
    error_of(home.api("POST", "/v1/bindings/oauth2/start", body), 400, "bad_request")
    error_of(home.api("POST", "/v1/bindings/oauth2/start", {"binding": "oauth2/google/you"}), 404, "not_found")


# --- the callback and its pages

def callback(home, query="state=s&code=c", method="GET", headers=None, timeout=30):
    """As a browser: the TCP door, no Authorization."""
    return home.api(method, f"/oauth2/callback?{query}" if query is not None else "/oauth2/callback", token="", door="tcp",
                    headers=headers, timeout=timeout)


def check_page(answer, status, title):
    """What every page must be; its text without markup."""
    assert answer.status == status, answer
    page = answer.body.decode() if isinstance(answer.body, bytes) else answer.body
    headers = answer.headers
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Cache-Control"] == "no-store" and headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY"
    assert headers["Set-Cookie"] is None and headers["Access-Control-Allow-Origin"] is None
    style = re.search(r"<style>(.*?)</style>", page, re.S).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy == {"default-src": "'none'", "style-src": f"'sha256-{digest}'", "base-uri": "'none'", "form-action": "'none'",
                      "frame-ancestors": "'none'"}
    assert page.startswith("<!doctype html>") and f"<title>{title} · Aileron</title>" in page, page
    body = page.split("<body>", 1)[1]
    assert set(re.findall(r"</?([a-z0-9]+)", body)) <= {"main", "p", "h1", "code", "body", "html"}, body
    assert 'name="viewport"' in page and "prefers-color-scheme:dark" in style
    return re.sub(r"<[^>]*>", " ", body)


@pytest.mark.parametrize(("answer", "status", "title", "words"), [
    ((puppet.OK, "", "", NAME), 200, "Connected", [NAME, "go back to the terminal"]),
    ((puppet.DENIED, "", "", NAME), 200, "Access was denied", ["Nothing was stored"]),
    ((puppet.NOT_FOUND,), 400, "This link is not good any more", ["used already", "ten minutes"]),
    ((puppet.NO_LONGER_OPEN,), 412, "The vault is locked", ["aileron vault unlock"]),
    ((puppet.BUSY,), 503, "Too much at once", []),
    ((puppet.TIMED_OUT, "the provider did not answer"), 504, "The account was not connected", ["the provider did not answer"]),
    ((puppet.REFUSED, "the provider sent no token", "see `aileron daemon logs`"), 502, "The account was not connected",
     ["the provider sent no token", "aileron daemon logs"]),
])
def test_every_page(home, answer, status, title, words):
    asked = []
    home.on[puppet.OAUTH_CALLBACK] = lambda keeper, fields: asked.append(fields.text()) or answer
    page = check_page(callback(home, "state=a%20b&code=c"), status, title)
    assert asked == ["state=a%20b&code=c"]  # as it came
    for word in words:
        assert word in page, page


def test_nothing_of_the_query_comes_back(home):
    home.on[puppet.OAUTH_CALLBACK] = lambda keeper, fields: (puppet.NOT_FOUND,)
    answer = callback(home, EVIL_QUERY)
    check_page(answer, 400, "This link is not good any more")
    assert b"leak471" not in answer.body and b"script" not in answer.body and b"<img" not in answer.body
    assert "leak471" not in home.log() and "leak471" not in "".join(path.read_text() for path in home.audit_files())
    for path in home.path.rglob("*"):
        assert not path.is_file() or b"leak471" not in path.read_bytes(), path


def test_words_of_the_keeper_are_text(home):
    home.on[puppet.OAUTH_CALLBACK] = lambda keeper, fields: (puppet.FAILED, EVIL, EVIL, EVIL)
    answer = callback(home)
    check_page(answer, 502, "The account was not connected")
    assert b"<script" not in answer.body and b"<img" not in answer.body and b"&lt;script&gt;" in answer.body


@pytest.mark.parametrize("query", [None, "", "x" * 17_000])
def test_no_callback_at_all(home, query):
    home.on[puppet.OAUTH_CALLBACK] = lambda keeper, fields: pytest.fail("asked")
    check_page(callback(home, query), 400, "This link is not good any more")


def test_a_query_longer_than_a_header(home):
    assert callback(home, "state=" + "x" * 40_000).status in (400, 413, 414, 431)
    assert home.api("GET", "/v1/health").status == 200


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_the_callback_is_a_get(home, method):
    home.on[puppet.OAUTH_CALLBACK] = lambda keeper, fields: pytest.fail("asked")
    assert callback(home, method=method).status in (401, 405)
    assert home.api(method, "/oauth2/callback?state=s").status == 405


@pytest.mark.parametrize("headers", [{"Host": "attacker.test"}, {"Host": "attacker.test:80"}, {"Host": "127.0.0.1:1"},
                                     {"Origin": "https://accounts.test"}, {"Origin": "null"}])
def test_a_foreign_host_or_origin(home, headers):
    home.on[puppet.OAUTH_CALLBACK] = lambda keeper, fields: pytest.fail("asked")
    assert callback(home, headers=headers).status == 403


def test_localhost_is_fine_too(home):
    home.on[puppet.OAUTH_CALLBACK] = lambda keeper, fields: (puppet.OK, "", "", NAME)
    port = home.discovery()["url"].rsplit(":", 1)[1]
    check_page(callback(home, headers={"Host": f"localhost:{port}", "Sec-Fetch-Site": "cross-site"}), 200, "Connected")


def test_a_key_given_twice_is_the_keepers_matter(home):
    asked = []
    home.on[puppet.OAUTH_CALLBACK] = lambda keeper, fields: asked.append(fields.text()) or (puppet.NOT_FOUND,)
    check_page(callback(home, "state=1&state=2"), 400, "This link is not good any more")
    assert asked == ["state=1&state=2"]


def test_at_most_so_many_at_once(fresh):
    held = []
    fresh.on[puppet.OAUTH_CALLBACK] = lambda keeper, fields: held.append(keeper)
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        answers = [pool.submit(callback, fresh, f"state={i}", timeout=20) for i in range(40)]
        wait_for(lambda: sum(answer.done() for answer in answers) == 8 and len(held) == 32, "eight to be refused")
        refused = [answer.result() for answer in answers if answer.done()]
        # The others get theirs; whoever comes then is heard again.
        fresh.on[puppet.OAUTH_CALLBACK] = lambda keeper, fields: (puppet.OK, "", "", NAME)
        fresh.keeper.die()
        rest = [answer.result() for answer in answers]
    assert len(refused) == 8
    for answer in refused:
        check_page(answer, 503, "Too much at once")
    assert sum("interrupted" in answer.body.decode() for answer in rest) == 32
    wait_for(lambda: fresh.api("GET", "/v1/vault").status == 200, "the next keeper")
    check_page(callback(fresh), 200, "Connected")


def test_a_keeper_that_dies_meanwhile(fresh):
    fresh.on[puppet.OAUTH_CALLBACK] = lambda keeper, fields: threading.Thread(target=keeper.die).start()
    before = fresh.audit_lines()[-1]["seq"]
    page = check_page(callback(fresh), 503, "Aileron was interrupted")
    assert "aileron binding list" in page
    assert [line["event_type"] for line in fresh.audit_lines() if line["seq"] > before] == ["vault.locked"]
    fresh.on[puppet.REVOKE] = fresh.on[puppet.OAUTH_CALLBACK]
    wait_for(lambda: fresh.api("GET", "/v1/vault").status == 200, "the next keeper")
    error_of(fresh.api("DELETE", f"/v1/bindings/{NAME}"), 503, "keeper_lost")


def test_a_browser_that_does_not_wait(home):
    """Its request goes on; the daemon lives."""
    numbers = []
    home.on[puppet.OAUTH_CALLBACK] = lambda keeper, fields: numbers.append(1)
    connection = http.client.HTTPConnection("127.0.0.1", int(home.discovery()["url"].rsplit(":", 1)[1]), timeout=5)
    connection.request("GET", "/oauth2/callback?state=s")
    wait_for(lambda: numbers, "the keeper to be asked")
    connection.close()
    time.sleep(0.1)
    number = [number for kind, number in list(home.keeper.seen.queue) if kind == puppet.OAUTH_CALLBACK][-1]
    home.keeper.done(number, puppet.OK, "", "", NAME)
    assert home.api("GET", "/v1/vault").status == 200


def test_the_daemon_stops_while_a_consent_comes_back(fresh):
    numbers = []
    fresh.on[puppet.OAUTH_CALLBACK] = lambda keeper, fields: numbers.append(1)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        held = pool.submit(callback, fresh)
        wait_for(lambda: numbers, "the keeper to be asked")
        assert fresh.stop_broker() == 0
        with pytest.raises((http.client.HTTPException, OSError)):
            held.result()


# --- receipts of the keeper

BOUND = {"aileron.binding.name": NAME, "aileron.connector.fqn": "local://google", "aileron.capability.kind": "oauth2"}


@pytest.mark.parametrize(("kind", "payload", "actor"), [
    ("vault.created", {"aileron.vault.path": "/h/secrets.json"}, "human"),
    ("vault.unlocked", {"aileron.vault.path": "/h/secrets.json"}, "human"),
    ("vault.unlock_failed", {"aileron.vault.path": "/h/secrets.json"}, "human"),
    ("vault.passphrase_changed", {"aileron.vault.path": "/h/secrets.json"}, "human"),
    ("vault.locked", {"aileron.vault.path": "/h/secrets.json"}, "service"),
    ("secret.written", {"aileron.vault.path": "work/token"}, "human"),
    ("secret.deleted", {"aileron.vault.path": "work/token"}, "human"),
    ("binding.created", {**BOUND, "aileron.consent.decision": "granted", "aileron.binding.origins": ["https://a.test:443"]}, "human"),
    ("binding.rebound", {**BOUND, "aileron.consent.decision": "granted"}, "human"),
    ("binding.revoked", BOUND, "human"),
    ("binding.refreshed", BOUND, "service"),
    ("binding.failed", BOUND, "service"),
])
def test_a_receipt_is_on_disk_before_the_keeper_hears_of_it(home, kind, payload, actor):
    home.keeper.events.clear()
    home.keeper.event(kind, payload, wait=True, number=4711)
    wait_for(lambda: 4711 in home.keeper.events, "the answer")
    assert home.keeper.events[4711] == 1
    last = home.audit_lines()[-1]
    assert last["event_type"] == kind and last["payload"] == payload and last["actor"]["type"] == actor
    assert last["actor"]["id"] == {"human": "owner", "service": "keeper"}[actor]


def test_no_receipt_no_effect(built):
    """A full disk: the keeper hears that its receipt is not written, however many it asks for, and that it is when there is room."""
    if os.geteuid() != 0:
        pytest.skip("a small file system needs root")
    mounted = []

    def prepare(path):
        audit = path / "audit"
        audit.mkdir(mode=0o700)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", audit], check=False, capture_output=True)
        mounted.extend([audit] if done.returncode == 0 else [])

    home = PuppetHome(prepare=prepare)
    try:
        if not mounted:
            pytest.skip("no mount here")
        keeper, filler = home.keeper, mounted[0] / "filler"
        with open(filler, "wb", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(b"\0" * 512)
        for number in range(1, 101):
            keeper.event("secret.written", {"aileron.vault.path": "x" * 200}, wait=True, number=number)
        wait_for(lambda: len(keeper.events) == 100, "every answer")
        written = sum(keeper.events.values())
        assert keeper.events[100] == 0 and written < 40
        assert sum(line["event_type"] == "secret.written" for line in home.audit_lines()) == written
        filler.unlink()
        keeper.event("secret.written", {"aileron.vault.path": "y"}, wait=True, number=101)
        wait_for(lambda: keeper.events.get(101) == 1, "room")
    finally:
        home.close()
        for audit in mounted:
            subprocess.run(["umount", "-l", audit], check=False)


@pytest.mark.parametrize(("kind", "payload"), [
    ("binding.resolved", BOUND), ("execution.started", {}), ("session.started", {}), ("", {}),
    ("binding.created", {"aileron.binding.name": NAME}),
    ("secret.written", {}), ("secret.written", {"aileron.vault.path": ""}),
    ("secret.written", {"aileron.vault.path": "a", "value": "x"}),
    ("secret.written", {"aileron.vault.path": "x" * 5000}),
    ("secret.written", {"aileron.vault.path": {"a": "b"}}),
    ("binding.created", {**BOUND, "aileron.binding.origins": ["a"] * 33}),
    ("binding.created", {**BOUND, "aileron.binding.origins": [["a"]]}),
])
def test_an_event_that_cannot_be_ends_the_keeper(fresh, kind, payload):
    before, keepers = fresh.audit_lines()[-1]["seq"], len(fresh.keepers)
    fresh.keeper.event(kind, payload)
    wait_for(lambda: len(fresh.keepers) > keepers, "another keeper")
    assert [line["event_type"] for line in fresh.audit_lines() if line["seq"] > before] == ["vault.locked"]
    wait_for(lambda: fresh.api("GET", "/v1/vault").status == 200, "it to be there")


def test_a_flood_of_events_ends_the_keeper(fresh):
    before, keepers = fresh.audit_lines()[-1]["seq"], len(fresh.keepers)
    first = fresh.keeper
    with pytest.raises(OSError):
        for number in range(100_000):
            first.event("binding.refreshed", BOUND, number=number)
    wait_for(lambda: len(fresh.keepers) > keepers, "another keeper")
    assert fresh.audit_lines()[-1]["seq"] - before < 5000
    wait_for(lambda: fresh.api("GET", "/v1/vault").status == 200, "it to be there")


# --- what calls meet

@pytest.fixture
def probe(home, probe_folder):
    fqn = home.api("POST", "/v1/connectors/install", {"path": str(probe_folder), "local": True}).json()["fqn"]
    for file in sorted((probe_folder / "actions").glob("probe.md")):
        assert home.api("POST", "/v1/actions/install", {"path": str(file), "local": True}).status in (200, 201)
    return fqn


def run(home, **more):
    answer = home.api("POST", "/v1/actions/probe/run", {"args": {}, **more})
    return answer.json()["error"] if answer.status != 200 else answer.json()


def test_a_call_without_a_binding(home, probe):
    told(home, bindings=[])
    failure = run(home)
    assert failure["class"] == "binding_required" and f"`aileron binding setup {probe}`" in failure["message"]
    told(home, bindings=[binding("api_key/probe/me", probe)])
    failure = run(home, **{"as": "work"})
    assert failure["class"] == "binding_required" and "api_key/probe/me" in failure["message"]
    assert f"`aileron binding setup {probe} --as work`" in failure["message"]
    assert home.api("GET", "/v1/actions/probe").json()["needs_credential"] is True


def test_a_call_with_two_bindings(home, probe, agent):
    two = [binding("api_key/probe/me", probe), binding("api_key/probe/work", probe)]
    told(home, bindings=two)
    failure = run(home)
    assert failure["class"] == "binding_required" and "`aileron action run probe --as IDENTITY`" in failure["message"]
    assert "api_key/probe/me, api_key/probe/work" in failure["message"]
    for wanted in ("work", "api_key/probe/work"):
        assert run(home, **{"as": wanted})["binding"] == "api_key/probe/work"
    told(home, bindings=[two[0], {**two[1], "default": True}])
    assert run(home)["binding"] == "api_key/probe/work"
    # Whose account it is, is not the agent's choice.
    for wanted in ("me", "work", "api_key/probe/work"):
        error_of(home.api("POST", "/v1/actions/probe/run", {"args": {}, "as": wanted}, token=agent, door="tcp"), 403, "forbidden")
    assert home.api("POST", "/v1/actions/probe/run", {"args": {}}, token=agent, door="tcp").json()["binding"] == "api_key/probe/work"
    for wrong in ("Work", "a/b", "", "api_key/probe/work/x", 1):
        assert home.api("POST", "/v1/actions/probe/run", {"args": {}, "as": wrong}).status == 400


@pytest.mark.parametrize(("more", "reason", "command"), [
    ({"status": "stale", "stale_reason": "refresh_failed"}, "stale", "aileron binding reauthorize api_key/probe/me"),
    ({"granted": False}, "no_grant", "aileron binding rebind api_key/probe/me"),
    ({"status": "revoked"}, "revoked", "aileron binding setup local://probe"),
])
def test_a_call_whose_binding_cannot_be_used(home, probe, more, reason, command):
    told(home, bindings=[binding("api_key/probe/me", probe, **more)])
    failure = run(home)
    assert failure["class"] == "binding_failed" and failure["details"]["reason"] == reason and f"`{command}`" in failure["message"]


def test_a_call_while_locked(home, probe):
    row = binding("api_key/probe/me", probe)
    del row["granted"]
    told(home, state=puppet.LOCKED, bindings=[row])
    failure = run(home)
    assert failure["class"] == "binding_failed" and failure["details"]["reason"] == "vault_locked"
    assert "`aileron vault unlock`" in failure["message"] and not failure["retriable"]
    told(home, state=puppet.MISSING, bindings=[])
    assert run(home)["class"] == "binding_required"


def test_overrides_without_a_vault_for_them(built, ca):
    home = PuppetHome(flags=["--dev-connect-to", "a.test:443:127.0.0.1:1", "--dev-ca", str(ca.path)])
    try:
        def degraded():
            return [row["what"] for row in home.api("GET", "/v1/status").json()["degraded"]]

        status = home.api("GET", "/v1/status").json()
        assert status["overrides"] == ["--dev-connect-to a.test:443:127.0.0.1:1", f"--dev-ca {ca.path}"]
        assert status["overrides_active"] is False and any("no effect" in what for what in degraded())
        told(home, overrides=True)
        assert not any("no effect" in what for what in degraded())
        home.wait_log("development overrides are active")
        told(home, overrides=False, state=puppet.LOCKED, degraded="something of the keeper's")
        assert "something of the keeper's" in degraded() and not any("no effect" in what for what in degraded())
    finally:
        home.close()


def test_a_name_with_control_characters(home):
    for name in ("a\nb", "\x1b[2Jclaude", "x\x7f", "x\u009b31m"):
        error_of(home.api("POST", "/v1/sessions", {"agent": name}), 400, "bad_request")
    assert home.api("POST", "/v1/sessions", {"agent": "Claude Codé ✈"}).status == 201
