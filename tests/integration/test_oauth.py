"""The consent dance by plain HTTP, against the emulated Google behind nginx and the stand-in, and what ends in a vault by it."""
import base64
import concurrent.futures
import hashlib
import json
import re
import signal
import urllib.parse

import pytest

from tests.rig import paths
from tests.rig.consent import Flow, PlainBrowser, query_of, with_query
from tests.rig.home import Home
from tests.rig.ports import wait_for
from tests.rig.standin import Standin
from tests.rig.vault import GRANTS
from tests.rig.workspace import EMAIL

FQN = "local://google"
TOKEN_HOST = "oauth2.googleapis.com"
ORIGINS = ["https://gmail.googleapis.com:443", "https://www.googleapis.com:443"]
SCOPES = {"gmail.readonly", "gmail.compose", "calendar.readonly", "calendar.events"}


def install(home, client_id, client_secret):
    home.cli("connector", "install", "--local", paths.GOOGLE, "--bind", f"client_id={client_id}", "--bind",
             f"client_secret={client_secret}", check=0)
    home.cli("action", "add", "--local", paths.GOOGLE / "actions", check=0)


def daemon_url(home):
    return home.discovery()["url"].rstrip("/")


@pytest.fixture(scope="module")
def emulated(built, nginx, ca, workspace):
    """An open vault without bindings, in front of the emulator: it checks PKCE and uses a code once, but consents always."""
    home = Home(connect_to=nginx.connect_to(), ca=ca.path)
    try:
        home.start()
        install(home, "test-client", "test-secret")
        workspace.reset()
        workspace.register(f"{daemon_url(home)}/oauth2/callback")
        home.browser = PlainBrowser(nginx.connect_to(), ca.path)
        yield home
    finally:
        home.close()


@pytest.fixture(scope="module")
def standin(rig_folder, built):
    server = Standin(rig_folder / "standin")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def played(standin):
    """The same in front of the stand-in: it can be told no, tells its issuer, rotates refresh tokens."""
    home = Home(connect_to=standin.connect_to(), ca=standin.ca)
    try:
        home.start()
        install(home, standin.client_id, standin.client_secret)
        home.browser = PlainBrowser(standin.connect_to(), standin.ca)
        yield home
    finally:
        home.close()


@pytest.fixture(scope="module")
def scripted(built, hostile_server, ca):
    """The same in front of the hostile provider, which has no page to consent at: the callback is called by hand."""
    home = Home(connect_to=hostile_server.connect_to(), ca=ca.path)
    try:
        home.start()
        install(home, "test-client", "test-secret")
        home.browser = PlainBrowser()
        yield home
    finally:
        home.close()


@pytest.fixture
def flow():
    """Starts flows, and ends those that a failed test leaves."""
    flows = []

    def start(home, *args):
        flows.append(Flow(home, *args))
        return flows[-1]

    yield start
    for each in flows:
        each.kill()


def setup_args(identity, *more):
    return ("binding", "setup", FQN, "--as", identity, "--yes", "--no-browser", *more)


def binding_of(home, name):
    answer = home.api("GET", f"/v1/bindings/{name}")
    return answer.json() if answer.status == 200 else None


def bind(home, flow, identity, email=None, *more):
    """A whole consent that must succeed; the callback's page."""
    started = flow(home, *setup_args(identity, *more))
    page = home.browser.load(home.browser.consent(started.url, email))
    code, _, err = started.end()
    assert code == 0 and page.status == 200, (page, err)
    return page


# --- the whole of it

def test_consent(emulated, flow, nginx, workspace):
    mark = nginx.mark()
    started = flow(emulated, *setup_args("whole"))
    asked = query_of(started.url)
    assert started.url.startswith("https://accounts.google.com/o/oauth2/v2/auth?")
    assert asked["response_type"] == "code" and asked["client_id"] == "test-client"
    assert asked["redirect_uri"] == f"{daemon_url(emulated)}/oauth2/callback"
    assert asked["code_challenge_method"] == "S256" and re.fullmatch(r"[A-Za-z0-9_-]{43}", asked["code_challenge"])
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", asked["state"]), "32 random bytes"
    assert {scope.rsplit("/", 1)[1] for scope in asked["scope"].split()} == SCOPES
    assert asked["access_type"] == "offline" and asked["prompt"] == "consent"
    assert binding_of(emulated, "oauth2/google/whole") is None, "nothing is bound before the consent"
    for host in ORIGINS:
        assert host.removeprefix("https://") in started.err, "every host that may get the token was named"

    page = emulated.browser.load(emulated.browser.consent(started.url, EMAIL))
    assert page.status == 200, page
    code, out, err = started.end()
    assert code == 0 and "oauth2/google/whole" in out, err

    bound = binding_of(emulated, "oauth2/google/whole")
    assert bound["state"] == "active" and bound["refresh_token_present"] is True and bound["missing_scopes"] == []
    assert {scope.rsplit("/", 1)[1] for scope in bound["granted_scopes"]} == SCOPES
    mails = emulated.cli("action", "run", "list-recent-emails", "--as", "whole", "--json", check=0).json()["output"]
    assert len(mails["messages"]) == 5
    vault = emulated.vault()
    value, grant = vault.value("oauth2/google/whole"), vault.grant("oauth2/google/whole")
    assert value["client_id"] == "test-client" and value["refresh_token"].startswith("google_refresh_")
    assert grant["connector_fqn"] == FQN and sorted(grant["origins"]) == ORIGINS
    assert grant["token_url"] == "https://oauth2.googleapis.com/token"
    assert grant["value_sha256"].removeprefix("sha256:") == hashlib.sha256(vault.get("oauth2/google/whole")).hexdigest()
    seen = nginx.seen(mark)
    assert [row["method"] for row in seen if (row["host"], row["uri"]) == (TOKEN_HOST, "/token")] == ["POST"]
    assert {row["authorization"] for row in seen if row["host"] == "gmail.googleapis.com"} == {f"Bearer {value['access_token']}"}
    for secret in (value["access_token"], value["refresh_token"]):
        assert secret not in out + err + page.text


def test_the_verifier_is_the_challenges(scripted, hostile, flow):
    """What the token endpoint gets: RFC 7636, and nothing beyond what it needs."""
    hostile.script(TOKEN_HOST, "tokens/scripted-access-token/scripted-refresh-token", path="/token")
    started = flow(scripted, *setup_args("pkce"))
    mark = hostile.mark()
    assert scripted.browser.load(started.callback(code="4/a+b c", state=started.state)).status == 200
    assert started.end()[0] == 0
    [request] = hostile.since(mark)
    assert request.header("content-type").startswith("application/x-www-form-urlencoded")
    sent = query_of("?" + request.body.decode())
    digest = hashlib.sha256(sent["code_verifier"].encode()).digest()
    assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == query_of(started.url)["code_challenge"]
    assert re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", sent["code_verifier"])
    assert sent["code"] == "4/a+b c" and sent["grant_type"] == "authorization_code"
    assert sent["redirect_uri"] == started.redirect_uri and sent["client_id"] == "test-client"
    assert sent["client_secret"] == "test-secret" and request.header("authorization") is None


def test_two_accounts_and_one_default(emulated, flow):
    bind(emulated, flow, "first", EMAIL)
    bind(emulated, flow, "second", "other@example.com")
    mine = emulated.cli("action", "run", "list-recent-emails", "--as", "first", "--json", check=0).json()["output"]
    other = emulated.cli("action", "run", "list-recent-emails", "--as", "oauth2/google/second", "--json", check=0).json()["output"]
    assert {mail["id"] for mail in mine["messages"]}.isdisjoint(mail["id"] for mail in other["messages"])
    defaults = [row["binding"] for row in emulated.api("GET", "/v1/bindings").json()["bindings"] if row["default"]]
    assert len(defaults) == 1


def test_an_agent_does_not_choose_the_account(emulated, flow):
    bind(emulated, flow, "chosen", EMAIL)
    session = emulated.api("POST", "/v1/sessions", {"agent": "tests"}).json()["token"]
    path, body = "/v1/actions/list-recent-emails/run", {"args": {}}
    assert emulated.api("POST", path, body, token=session).status == 200
    for name in ("chosen", "oauth2/google/chosen", "nosuch"):
        assert emulated.api("POST", path, {**body, "as": name}, token=session).status == 403
    assert emulated.api("POST", path, {**body, "as": "chosen"}).status == 200, "the owner does"


# --- pages

def test_the_pages(emulated, flow):
    page = bind(emulated, flow, "pages", EMAIL)
    bad = emulated.browser.load(f"{daemon_url(emulated)}/oauth2/callback?code=x&state=unknown")
    for each in (page, bad):
        policy = each.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "script-src" not in policy
        assert each.headers["Cache-Control"] == "no-store" and each.headers["Referrer-Policy"] == "no-referrer"
        assert each.headers["X-Content-Type-Options"] == "nosniff"
        assert each.headers["Content-Type"].lower().replace(" ", "") == "text/html;charset=utf-8"
        assert "<script" not in each.text and "http://" not in each.text and "//cdn" not in each.text
        assert "Set-Cookie" not in each.headers
    assert bad.status in (400, 404, 410)


@pytest.mark.parametrize("query", [
    "code={mark}&state=x{mark}", "error={mark}&state={mark}", "error=access_denied&error_description={mark}&state=x",
    "{mark}", "{mark}={mark}", "code=%3Cscript%3E{mark}&state=%22%3E%3Cb%3E", "state=%00&code=%ff%fe{mark}", "code={mark}&state=" + "s" * 7000])
def test_nothing_of_the_query_is_shown_or_kept(emulated, query):
    mark = "mark4c1b9e"
    page = emulated.browser.load(f"{daemon_url(emulated)}/oauth2/callback?{query.format(mark=mark)}")
    assert 400 <= page.status < 500, page
    assert mark not in page.text and "<b>" not in page.text
    assert mark not in emulated.log()
    assert not [path for path in emulated.audit_files() if mark in path.read_text()]


@pytest.mark.parametrize(("method", "headers", "statuses"), [
    ("POST", {}, {401, 405}), ("PUT", {}, {401, 405, 501}), ("GET", {"Host": "evil.test"}, {400, 403, 421}),
    ("GET", {"Host": "127.0.0.1:1"}, {400, 403, 421}), ("GET", {"Origin": "https://evil.test"}, {400, 403})])
def test_the_callback_is_for_a_navigation_to_this_machine(emulated, flow, method, headers, statuses):
    started = flow(emulated, *setup_args("navigation"))
    url = started.callback(code="stolen", state=started.state)
    assert emulated.browser.load(url, method=method, headers=headers).status in statuses
    assert started.is_waiting(), "the flow is still there: what was refused did not use its state up"
    started.cancel()


# --- what goes wrong

def test_deny(played, flow):
    started = flow(played, *setup_args("denied"))
    back = played.browser.consent(started.url, decision="deny")
    assert query_of(back)["error"] == "access_denied"
    page = played.browser.load(back)
    assert page.status < 500 and "access_denied" not in page.text
    code, out, err = started.end()
    assert code == 1 and not out and re.search(r"den|refus|declin|said no", err.lower()), err
    assert binding_of(played, "oauth2/google/denied") is None
    assert played.vault().entries.keys().isdisjoint({"oauth2/google/denied", GRANTS + "oauth2/google/denied"})
    assert "binding.failed" in [event["event_type"] for event in played.audit("--limit", "5")]


def test_a_wrong_state_touches_no_flow(emulated, flow, nginx):
    started = flow(emulated, *setup_args("state"))
    back = emulated.browser.consent(started.url, EMAIL)
    mark = nginx.mark()
    for state in ("wrong", started.state[:-1], started.state + "A", started.state.swapcase(), "", None):
        assert emulated.browser.load(with_query(back, state=state)).status in (400, 404, 410)
    assert started.is_waiting()
    assert [row for row in nginx.seen(mark) if row["uri"] == "/token"] == [], "a code went out for a state that was not ours"
    assert emulated.browser.load(back).status == 200
    assert started.end()[0] == 0


def test_a_replayed_callback(emulated, flow, nginx):
    started = flow(emulated, *setup_args("replayed"))
    back = emulated.browser.consent(started.url, EMAIL)
    assert emulated.browser.load(back).status == 200 and started.end()[0] == 0
    before, mark = emulated.vault().get("oauth2/google/replayed"), nginx.mark()
    page = emulated.browser.load(back)
    assert page.status in (400, 404, 410)
    assert [row for row in nginx.seen(mark) if row["uri"] == "/token"] == []
    assert emulated.vault().get("oauth2/google/replayed") == before


def test_a_code_that_was_used_elsewhere(emulated, flow):
    """Somebody was faster at the token endpoint: the provider says invalid_grant and nothing is bound."""
    first = flow(emulated, *setup_args("faster"))
    back = emulated.browser.consent(first.url, EMAIL)
    assert emulated.browser.load(back).status == 200 and first.end()[0] == 0
    second = flow(emulated, *setup_args("slower"))
    page = emulated.browser.load(second.callback(code=query_of(back)["code"], state=second.state))
    code, _, err = second.end()
    assert code == 1 and err and 400 <= page.status < 600
    assert binding_of(emulated, "oauth2/google/slower") is None


def test_a_code_of_another_flow(played, flow):
    """Mixed up or injected (RFC 9700 §4.5): the verifier belongs to the flow, so the provider refuses the code."""
    theirs, ours = flow(played, *setup_args("theirs")), flow(played, *setup_args("ours"))
    code = query_of(played.browser.consent(theirs.url))["code"]
    assert played.browser.load(ours.callback(code=code, state=ours.state)).status >= 400
    assert ours.end()[0] == 1 and binding_of(played, "oauth2/google/ours") is None
    assert theirs.is_waiting()
    theirs.cancel()


def test_another_issuer(played, flow):
    started = flow(played, *setup_args("issuer"))
    back = played.browser.consent(started.url)
    assert query_of(back)["iss"] == "https://accounts.google.com"
    page = played.browser.load(with_query(back, iss="https://evil.test"))
    assert page.status >= 400
    code, _, err = started.end()
    assert code == 1 and binding_of(played, "oauth2/google/issuer") is None, err
    # The code was not sent: the provider would take it still, were its verifier known.
    assert played.browser.load(back).status in (400, 404, 410), "the state is used up by the attempt"


def test_the_right_issuer(played, flow):
    bind(played, flow, "issued")
    assert binding_of(played, "oauth2/google/issued")["state"] == "active"


@pytest.mark.parametrize("how", ["code twice", "state twice", "code and error", "nothing", "empty code"])
def test_a_callback_that_is_none(emulated, flow, nginx, how):
    started = flow(emulated, *setup_args("odd"))
    query = {"code twice": f"code=a&code=b&state={started.state}", "state twice": f"code=a&state={started.state}&state={started.state}",
             "code and error": f"code=a&error=access_denied&state={started.state}", "nothing": f"state={started.state}",
             "empty code": f"code=&state={started.state}"}[how]
    mark = nginx.mark()
    assert emulated.browser.load(f"{started.redirect_uri}?{query}").status >= 400
    assert [row for row in nginx.seen(mark) if row["uri"] == "/token"] == []
    assert binding_of(emulated, "oauth2/google/odd") is None
    started.kill()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_whoever_gives_up_ends_the_flow(emulated, flow, how):
    """A closed tab: nobody ever comes. The command is stopped, and a consent that comes later binds nothing."""
    started = flow(emulated, *setup_args("closed"))
    back = emulated.browser.consent(started.url, EMAIL)
    started.process.send_signal(how)
    assert started.end()[0] != 0
    # 502: it came before the keeper had seen the command's end, and ended with it.
    assert emulated.browser.load(back).status in (400, 404, 410, 502)
    assert binding_of(emulated, "oauth2/google/closed") is None


def test_locking_ends_the_flow(emulated, flow):
    started = flow(emulated, *setup_args("locked"))
    back = emulated.browser.consent(started.url, EMAIL)
    emulated.cli("vault", "lock", check=0)
    try:
        assert emulated.browser.load(back).status >= 400
        assert started.end()[0] != 0
    finally:
        emulated.unlock()
    assert binding_of(emulated, "oauth2/google/locked") is None


def test_many_flows_are_bounded(emulated, flow):
    """Forty people cannot consent at once on one machine; the last are told, and room comes back."""
    started = []
    while len(started) < 40:
        try:
            started.append(flow(emulated, *setup_args(f"many{len(started)}")))
        except AssertionError as error:
            assert "ended" in str(error)
            break
    assert 8 <= len(started) < 40
    for each in started:
        each.kill()
    bind(emulated, flow, "after-many", EMAIL)


# --- what the token endpoint answers to a code

@pytest.mark.parametrize("line", ["status/500", "reset_early", "close_mid", "garbage", "big/70000", "endless", "oauth_error/invalid_client/401",
                                  "oauth_error/invalid_grant", "redirect_to/https%3A%2F%2Felsewhere.test%2F/307", "text/200/{}",
                                  "text/200/%7B%22access_token%22%3A%22some-access-token%22%2C%22token_type%22%3A%22mac%22%7D"])
def test_a_code_that_brings_no_token(scripted, hostile, flow, line):
    """Down, rude or refusing: nothing is bound, both ends say so, and the next attempt is a new one."""
    hostile.script(TOKEN_HOST, *[line] * 4, path="/token")
    started = flow(scripted, *setup_args("nothing"))
    mark = hostile.mark()
    page = scripted.browser.load(started.callback(code="some-code", state=started.state))
    assert page.status >= 400, page
    code, out, err = started.end()
    assert code == 1 and not out and "some-code" not in err + page.text and "provider text" not in err + page.text
    assert len(hostile.since(mark, "/token")) == 1, "a code is sent once, whatever becomes of it"
    assert not [seen for seen in hostile.since(mark) if seen.header("host") == "elsewhere.test"]
    assert binding_of(scripted, "oauth2/google/nothing") is None
    assert "oauth2/google/nothing" not in scripted.vault().entries
    assert "some-code" not in scripted.log()


def test_fewer_scopes_than_asked_for(scripted, hostile, flow):
    granted = "https://www.googleapis.com/auth/gmail.readonly https://www.googleapis.com/auth/calendar.readonly openid"
    answer = {"access_token": "some-access-token", "refresh_token": "some-refresh-token", "token_type": "bearer", "expires_in": 3600,
              "scope": granted}
    hostile.script(TOKEN_HOST, "text/200/" + urllib.parse.quote(json.dumps(answer), safe=""), path="/token")
    started = flow(scripted, *setup_args("fewer"))
    assert scripted.browser.load(started.callback(code="c", state=started.state)).status == 200
    code, _, err = started.end()
    assert code == 0 and "NOT GRANTED" in err and "gmail.compose" in err and "calendar.events" in err, err
    bound = binding_of(scripted, "oauth2/google/fewer")
    assert {scope.rsplit("/", 1)[1] for scope in bound["missing_scopes"]} == {"gmail.compose", "calendar.events"}


def test_no_refresh_token(scripted, hostile, flow):
    hostile.script(TOKEN_HOST, "tokens/some-access-token", path="/token")
    started = flow(scripted, *setup_args("no-refresh"))
    assert scripted.browser.load(started.callback(code="c", state=started.state)).status == 200
    code, _, err = started.end()
    assert code == 0 and "refresh" in err and "reauthorize" in err, err
    assert binding_of(scripted, "oauth2/google/no-refresh")["refresh_token_present"] is False


def test_a_keeper_that_dies_in_the_middle(scripted, hostile, flow):
    """The code is out and no answer is there: the flow is lost, the daemon is not."""
    hostile.script(TOKEN_HOST, "hang", path="/token")
    started = flow(scripted, *setup_args("killed"))
    mark = hostile.mark()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        loading = pool.submit(scripted.browser.load, started.callback(code="c", state=started.state))
        wait_for(lambda: hostile.since(mark, "/token"), "the exchange")
        [keeper] = scripted.children("keeper")
        scripted.kill(keeper)
        assert loading.result().status in (502, 503)
    assert started.end()[0] != 0
    wait_for(lambda: scripted.unlock(check=None).code == 0, "a new keeper", 10, 0.1)
    assert binding_of(scripted, "oauth2/google/killed") is None
    hostile.script(TOKEN_HOST, "tokens/some-access-token/some-refresh-token", path="/token")
    again = flow(scripted, *setup_args("killed"))
    assert scripted.browser.load(again.callback(code="c", state=again.state)).status == 200 and again.end()[0] == 0


# --- over ssh

def test_no_browser_here(emulated, flow):
    """The same command over ssh: the address is printed and nothing is opened."""
    opened = emulated.base / "opened"
    script = emulated.base / "browser.sh"
    script.write_text(f"#!/bin/sh\necho \"$1\" >> {opened}\n")
    script.chmod(0o755)
    before = dict(emulated.environment)
    emulated.environment |= {"BROWSER": str(script), "DISPLAY": ":99"}
    try:
        started = flow(emulated, "binding", "setup", FQN, "--as", "opened", "--yes")
        wait_for(opened.exists, "the browser")
        assert wait_for(opened.read_text, "its address").strip() == started.url
        started.cancel()
        opened.unlink()
        emulated.environment["SSH_CONNECTION"] = "192.0.2.1 1 192.0.2.2 22"
        flow(emulated, "binding", "setup", FQN, "--as", "opened", "--yes").cancel()
        assert not opened.exists()
    finally:
        emulated.environment = before


# --- one's own client

def test_a_placeholder_client_is_refused(emulated, tmp_path):
    home = Home()
    try:
        home.start()
        home.cli("connector", "install", "--local", paths.GOOGLE, check=0)
        result = home.cli("binding", "setup", FQN, "--yes", "--no-browser", "--passphrase-file", home.passphrase_file)
        assert result.code == 1 and "placeholder" in result.err and "google-account.md" in result.err, repr(result)
        assert "--client-id" in result.err and not home.vault_file.exists()
    finally:
        home.close()


def test_ones_own_client(emulated, flow, workspace, nginx, tmp_path):
    workspace.register(f"{daemon_url(emulated)}/oauth2/callback", "own-client", "own-client-secret-55e1")
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("own-client-secret-55e1\n")
    bind(emulated, flow, "own", EMAIL, "--client-id", "own-client", "--client-secret-file", secret)
    value = emulated.vault().value("oauth2/google/own")
    assert (value["client_id"], value["client_secret"]) == ("own-client", "own-client-secret-55e1")
    for where in (emulated.vault_file.read_text(), emulated.log(), *(path.read_text() for path in emulated.audit_files())):
        assert "own-client-secret-55e1" not in where


# --- afterwards

def test_reauthorize_keeps_grant_and_client(emulated, flow, workspace):
    bind(emulated, flow, "again", EMAIL)
    before, vault = emulated.vault().grant("oauth2/google/again"), emulated.vault()
    started = flow(emulated, "binding", "reauthorize", "oauth2/google/again", "--no-browser")
    assert query_of(started.url)["client_id"] == "test-client"
    assert emulated.browser.load(emulated.browser.consent(started.url, EMAIL)).status == 200
    assert started.end()[0] == 0
    after = emulated.vault()
    assert after.value("oauth2/google/again")["access_token"] != vault.value("oauth2/google/again")["access_token"]
    new = after.grant("oauth2/google/again")
    assert {key: part for key, part in new.items() if key != "value_sha256"} == {
        key: part for key, part in before.items() if key != "value_sha256"}
    assert new["value_sha256"] != before["value_sha256"]


def test_reauthorize_through_the_api(emulated, flow):
    bind(emulated, flow, "api", EMAIL)
    before = emulated.vault().value("oauth2/google/api")["access_token"]
    answer = emulated.api("POST", "/v1/bindings/oauth2/start", {"binding": "oauth2/google/api"})
    assert answer.status == 200 and answer.json()["expires_in_s"] == 600
    assert emulated.browser.load(emulated.browser.consent(answer.json()["url"], EMAIL)).status == 200
    assert emulated.vault().value("oauth2/google/api")["access_token"] != before


def test_revoke_tells_the_provider(emulated, flow, workspace, nginx):
    bind(emulated, flow, "revoked", EMAIL)
    value, mark = emulated.vault().value("oauth2/google/revoked"), nginx.mark()
    before = workspace.grants()
    emulated.cli("binding", "revoke", "oauth2/google/revoked", "--yes", check=0)
    assert [row["uri"] for row in nginx.seen(mark)] == ["/revoke"]
    assert workspace.grants() != before
    vault = emulated.vault()
    assert vault.entries.keys().isdisjoint({"oauth2/google/revoked", GRANTS + "oauth2/google/revoked"})
    assert binding_of(emulated, "oauth2/google/revoked") is None
    [event] = [event for event in emulated.audit("--type", "binding.revoked")
               if event["payload"]["aileron.binding.name"] == "oauth2/google/revoked"]
    assert value["access_token"] not in str(event)


def test_a_binding_is_receipted_before_it_is_there(emulated, flow):
    bind(emulated, flow, "receipts", EMAIL)
    [event] = [event for event in emulated.audit("--type", "binding.created")
               if event["payload"]["aileron.binding.name"] == "oauth2/google/receipts"]
    payload = event["payload"]
    assert payload["aileron.connector.fqn"] == FQN and payload["aileron.capability.kind"] == "oauth2"
    assert payload["aileron.consent.decision"] == "granted" and sorted(payload["aileron.binding.origins"]) == ORIGINS
    emulated.cli("audit", "verify", check=0)
