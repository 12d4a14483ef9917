"""Tokens that end: refreshing before a request and on 401, rotation, revoked grants, providers that answer anything at all."""
import concurrent.futures
import datetime
import json
import time
import urllib.parse

import pytest

from tests.conftest import GOOGLE_ORIGINS
from tests.rig import paths
from tests.rig.consent import PlainBrowser, query_of
from tests.rig.home import Home, credential
from tests.rig.ports import wait_for
from tests.rig.vault import oauth_value
from tests.rig.workspace import EMAIL

NAME = "oauth2/google/me"
TOKEN_HOST, API_HOST = "oauth2.googleapis.com", "gmail.googleapis.com"
REVOKE_URL = "https://oauth2.googleapis.com/revoke"


def in_seconds(seconds):
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def make_home(connect_to, ca, value, **more):
    home = Home([credential(NAME, "local://google", GOOGLE_ORIGINS, value, revoke_url=REVOKE_URL, **more)], connect_to, ca.path)
    home.start()
    home.install(paths.GOOGLE, paths.GOOGLE / "actions")
    return home


@pytest.fixture
def aged(built, hostile_server, hostile, ca):
    """Makes a home whose access token has so many seconds left (None: unknown), in front of the hostile provider."""
    homes = []

    def make(seconds=-3600, refresh="old-refresh-token", **more):
        expires = None if seconds is None else in_seconds(seconds)
        homes.append(make_home(hostile_server.connect_to(), ca,
                               oauth_value("old-access-token", refresh, expires_at=expires, **more)))
        return homes[-1]

    yield make
    for home in homes:
        home.close()


def api_path():
    return "/gmail/v1/users/me/messages/m1"


def read_mail(home):
    return home.run_action("get-email", {"id": "m1"})


def mail(hostile, times=1):
    """The next reads of the mail m1 are answered."""
    hostile.script(API_HOST, *["message/m1"] * times, path=api_path())


def asked(hostile, mark, path):
    return hostile.since(mark, path)


def bearers(hostile, mark):
    return [seen.header("authorization") for seen in asked(hostile, mark, api_path())]


def state_of(home):
    return home.api("GET", f"/v1/bindings/{NAME}").json()


def test_an_expired_token_is_refreshed_before_it_is_used(aged, hostile):
    home = aged()
    hostile.script(TOKEN_HOST, "tokens/new-access-token", path="/token")
    mail(hostile)
    mark = hostile.mark()
    assert read_mail(home).code == 0
    [request] = asked(hostile, mark, "/token")
    sent = query_of("?" + request.body.decode())
    assert sent == {"grant_type": "refresh_token", "refresh_token": "old-refresh-token", "client_id": "test-client",
                    "client_secret": "test-secret"}
    assert bearers(hostile, mark) == ["Bearer new-access-token"], "the old one was not sent any more"
    value = home.vault().value(NAME)
    assert value["access_token"] == "new-access-token"
    assert value["refresh_token"] == "old-refresh-token", "the provider gave no new one, so the old one stays"
    assert int(home.vault().labels(NAME)["last_refreshed_at"]) > time.time() - 60
    [event] = home.audit("--type", "binding.refreshed")
    assert event["payload"]["aileron.binding.name"] == NAME and "token" not in str(event["payload"]).lower().replace(
        "aileron.binding", "")


@pytest.mark.parametrize(("seconds", "refreshes"), [(30, 1), (59, 1), (120, 0), (None, 0)])
def test_a_minute_before_its_end(aged, hostile, seconds, refreshes):
    home = aged(seconds)
    hostile.script(TOKEN_HOST, "tokens/new-access-token", path="/token")
    mail(hostile)
    mark = hostile.mark()
    assert read_mail(home).code == 0
    assert len(asked(hostile, mark, "/token")) == refreshes


def test_without_a_refresh_token_the_old_one_is_tried(aged, hostile):
    home = aged(refresh=None)
    hostile.script(API_HOST, "status/401", path=api_path())
    mark = hostile.mark()
    failure = home.failure("get-email", {"id": "m1"})
    assert failure["class"] == "binding_failed" and f"aileron binding reauthorize {NAME}" in failure["message"], failure
    assert asked(hostile, mark, "/token") == []


def test_a_401_refreshes_once(aged, hostile):
    """The clock says that it is good and the provider says no: the provider is right."""
    home = aged(3600)
    hostile.script(API_HOST, "status/401", "message/m1", path=api_path())
    hostile.script(TOKEN_HOST, "tokens/new-access-token", path="/token")
    mark = hostile.mark()
    assert read_mail(home).code == 0
    assert len(asked(hostile, mark, "/token")) == 1
    assert bearers(hostile, mark) == ["Bearer old-access-token", "Bearer new-access-token"]


def test_a_401_again_is_not_refreshed_again(aged, hostile):
    home = aged(3600)
    hostile.script(API_HOST, *["status/401"] * 5, path=api_path())
    hostile.script(TOKEN_HOST, *[f"tokens/new-access-token-{i}" for i in range(5)], path="/token")
    mark = hostile.mark()
    failure = home.failure("get-email", {"id": "m1"})
    assert failure["class"] in ("binding_failed", "external_api_error"), failure
    assert len(asked(hostile, mark, "/token")) == 1 and len(bearers(hostile, mark)) == 2


def test_rotation(aged, hostile):
    """The new refresh token is on disk before the new access token is used; the old one is not used again."""
    home = aged()
    hostile.script(TOKEN_HOST, "tokens/access-token-2/refresh-token-2", path="/token")
    hostile.script(API_HOST, "hang", path=api_path())
    mark = hostile.mark()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(read_mail, home)
        wait_for(lambda: bearers(hostile, mark), "the request that uses it")
        value = home.vault().value(NAME)
        assert (value["access_token"], value["refresh_token"]) == ("access-token-2", "refresh-token-2")
        # Even a keeper that dies at this moment has lost nothing.
        [keeper] = home.children("keeper")
        home.kill(keeper)
        running.result()
    wait_for(lambda: home.unlock(check=None).code == 0, "a new keeper", 10, 0.1)
    hostile.forget()
    hostile.script(API_HOST, "status/401", "message/m1", path=api_path())
    hostile.script(TOKEN_HOST, "tokens/access-token-3/refresh-token-3", path="/token")
    mark = hostile.mark()
    assert read_mail(home).code == 0
    [request] = asked(hostile, mark, "/token")
    assert query_of("?" + request.body.decode())["refresh_token"] == "refresh-token-2"


def test_a_hundred_calls_one_refresh(aged, hostile):
    home = aged()
    hostile.script(TOKEN_HOST, "late_tokens/0.5/new-access-token/new-refresh-token", path="/token")
    mail(hostile, 100)
    mark = hostile.mark()
    body = {"args": {"id": "m1"}}
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: home.api("POST", "/v1/actions/get-email/run", body, timeout=60).status, range(100)))
    assert answers == [200] * 100
    assert len(asked(hostile, mark, "/token")) == 1
    assert set(bearers(hostile, mark)) == {"Bearer new-access-token"}


def test_a_storm_of_401_is_one_refresh(aged, hostile):
    home = aged(3600)
    mail(hostile)
    assert read_mail(home).code == 0
    hostile.script(API_HOST, *["status/401"] * 20, *["message/m1"] * 20, path=api_path())
    hostile.script(TOKEN_HOST, *["late_tokens/0.5/new-access-token"] * 20, path="/token")
    mark = hostile.mark()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: read_mail(home).code, range(20)))
    assert len(asked(hostile, mark, "/token")) <= 2, "one for all who held the old token, at most one more for late comers"


# --- the provider says no

def test_a_revoked_grant(built, nginx, ca, workspace):
    """The person took it back at the provider: the binding is stale, says so without asking again, and can be mended."""
    workspace.reset()
    home = make_home(nginx.connect_to(), ca, oauth_value("gone-access-token", "gone-refresh-token", expires_at=in_seconds(-10)),
                     authorize_url="https://accounts.google.com/o/oauth2/v2/auth")
    try:
        workspace.register(f"{home.discovery()['url'].rstrip('/')}/oauth2/callback")
        failure = home.failure("get-email", {"id": "m-plan"})
        assert failure["class"] == "binding_failed" and f"aileron binding reauthorize {NAME}" in failure["message"], failure
        bound = state_of(home)
        assert bound["state"] == "stale" and bound["stale_reason"] == "refresh_failed", bound
        assert home.vault().labels(NAME)["status"] == "stale"
        [event] = home.audit("--type", "binding.failed")
        assert event["payload"]["aileron.binding.name"] == NAME
        mark = nginx.mark()
        assert home.failure("get-email", {"id": "m-plan"})["class"] == "binding_failed"
        assert nginx.seen(mark) == [], "a binding that is known to be stale asks nobody"
        url = home.api("POST", "/v1/bindings/oauth2/start", {"binding": NAME}).json()["url"]
        browser = PlainBrowser(nginx.connect_to(), ca.path)
        assert browser.load(browser.consent(url, EMAIL)).status == 200
        assert state_of(home)["state"] == "active"
        assert home.output("get-email", {"id": "m-plan"})["id"] == "m-plan"
        # Expired in the middle of its hour, as the clock cannot know.
        workspace.expire()
        assert home.output("get-email", {"id": "m-plan"})["id"] == "m-plan"
    finally:
        home.close()


def test_a_grant_that_is_revoked_in_the_middle_of_an_hour(aged, hostile):
    home = aged(3600)
    hostile.script(API_HOST, "status/401", path=api_path())
    hostile.script(TOKEN_HOST, "oauth_error/invalid_grant", path="/token")
    failure = home.failure("get-email", {"id": "m1"})
    assert failure["class"] == "binding_failed" and f"aileron binding reauthorize {NAME}" in failure["message"], failure
    assert state_of(home)["state"] == "stale"


@pytest.mark.parametrize("line", ["oauth_error/invalid_client/401", "oauth_error/unauthorized_client", "oauth_error/invalid_request"])
def test_other_refusals_name_the_binding(aged, hostile, line):
    home = aged()
    hostile.script(TOKEN_HOST, line, path="/token")
    mark = hostile.mark()
    failure = home.failure("get-email", {"id": "m1"})
    assert failure["class"] in ("binding_failed", "network_error") and "provider text" not in json.dumps(failure)
    assert bearers(hostile, mark) == []


# --- the provider is down, or odd

TRIES = 8  # at most so many requests are one call's, with all that retries it
DOWN = ["status/500", "status/503/1", "reset_early", "close_early", "close_mid", "garbage",
        "redirect_to/https%3A%2F%2Felsewhere.test%2F", "redirect_to/https%3A%2F%2Foauth2.googleapis.com%2Ftoken%3Fagain/307"]
ODD = {
    "no JSON": "text/200/<html>",
    "a list": "text/200/[]",
    "empty": "text/200/",
    "no token": 'text/200/{"token_type":"Bearer"}',
    "a token that is none": 'text/200/{"access_token":7,"token_type":"Bearer"}',
    "an empty token": 'text/200/{"access_token":"","token_type":"Bearer"}',
    "another type": 'text/200/{"access_token":"some-access-token","token_type":"mac"}',
    "a line end in it": 'text/200/{"access_token":"some-access\\r\\nX-Evil: 1","token_type":"Bearer"}',
    "the same key twice": 'text/200/{"access_token":"some-access-token","access_token":"another-token","token_type":"Bearer"}',
    "something behind": 'text/200/{"access_token":"some-access-token","token_type":"Bearer"}{}',
    "too large": "big/70000",
    "endless": "endless",
    "an end in the past": 'text/200/{"access_token":"some-access-token","token_type":"Bearer","expires_in":-5}',
    "an end that is none": 'text/200/{"access_token":"some-access-token","token_type":"Bearer","expires_in":"soon"}',
    "another error in 200": 'text/200/{"error":"temporarily_unavailable"}',
}


@pytest.mark.parametrize("line", DOWN)
def test_a_provider_that_is_down(aged, hostile, line):
    """It is not the binding's fault: it stays, and the call may be tried again."""
    home = aged()
    hostile.script("elsewhere.test", *["tokens/stolen-access-token"] * TRIES)
    hostile.script(TOKEN_HOST, *[line] * TRIES, path="/token")
    mark = hostile.mark()
    failure = home.failure("get-email", {"id": "m1"})
    assert failure["class"] in ("network_error", "external_api_error", "binding_failed"), failure
    assert 1 <= len(asked(hostile, mark, "/token")) <= TRIES
    assert bearers(hostile, mark) == [] and not [seen for seen in hostile.since(mark) if seen.header("host") == "elsewhere.test"]
    assert state_of(home)["state"] in ("active", "expired_no_refresh"), "a provider that is down makes no binding stale"
    hostile.forget()
    hostile.script(TOKEN_HOST, "tokens/new-access-token", path="/token")
    mail(hostile, 2)
    wait_for(lambda: read_mail(home).code == 0, "a call that works when the pause is over", 5, 0.2)


@pytest.mark.parametrize("how", ODD)
def test_an_answer_that_is_none(aged, hostile, how):
    home = aged()
    name, *arguments = ODD[how].split("/", 2)
    line = "/".join([name, *(urllib.parse.quote(argument, safe="") for argument in arguments)])
    hostile.script(TOKEN_HOST, *[line] * TRIES, path="/token")
    mark = hostile.mark()
    failure = home.failure("get-email", {"id": "m1"})
    assert failure["class"] in ("network_error", "external_api_error", "binding_failed"), failure
    assert 1 <= len(asked(hostile, mark, "/token")) <= TRIES
    assert bearers(hostile, mark) == [], "nothing of a bad answer was used"
    assert home.vault().value(NAME)["refresh_token"] == "old-refresh-token"
    assert state_of(home)["state"] == "active"


def test_down_while_there_is_time_left(aged, hostile):
    """Forty seconds are left: it would have been refreshed, but it still works."""
    home = aged(40)
    hostile.script(TOKEN_HOST, *["status/500"] * TRIES, path="/token")
    mail(hostile)
    mark = hostile.mark()
    assert read_mail(home).code == 0
    assert bearers(hostile, mark) == ["Bearer old-access-token"]


# --- clocks

@pytest.mark.parametrize(("expires_in", "again"), [("3600", 0), ("0", 0), ("30", 0), ("99999999999999", 0), ("", 0)])
def test_how_long_it_lasts(aged, hostile, expires_in, again):
    """Whatever the provider says of its end, the token is used once it was given. 0 and nothing are an end that nobody knows;
    one that is always near is no reason to ask at every call, only every ten seconds."""
    home = aged()
    hostile.script(TOKEN_HOST, f"tokens/new-access-token//{expires_in}", "tokens/newer-access-token", path="/token")
    mail(hostile, 2)
    mark = hostile.mark()
    assert read_mail(home).code == 0
    assert read_mail(home).code == 0
    assert len(asked(hostile, mark, "/token")) == 1 + again
    assert bearers(hostile, mark)[0] == "Bearer new-access-token"


def test_a_clock_that_is_behind(aged, hostile):
    """The machine believes in hours that are over: the 401 is believed."""
    home = aged(8 * 3600)
    hostile.script(API_HOST, "status/401", "message/m1", path=api_path())
    hostile.script(TOKEN_HOST, "tokens/new-access-token", path="/token")
    assert read_mail(home).code == 0


# --- the end

def test_revoking_when_the_provider_is_down(aged, hostile):
    home = aged(3600)
    hostile.script(TOKEN_HOST, "status/503", path="/revoke")
    result = home.cli("binding", "revoke", NAME, "--yes", check=0)
    assert "provider" in result.err.lower() or "told" in result.err.lower(), repr(result)
    assert home.api("GET", f"/v1/bindings/{NAME}").status == 404
    assert NAME not in home.vault().entries


def test_revoking_sends_the_refresh_token(aged, hostile):
    home = aged(3600)
    hostile.script(TOKEN_HOST, "ok", path="/revoke")
    mark = hostile.mark()
    home.cli("binding", "revoke", NAME, "--yes", check=0)
    [request] = asked(hostile, mark, "/revoke")
    assert query_of("?" + request.body.decode())["token"] == "old-refresh-token"
    assert "token" not in request.target.lower().removeprefix("/revoke"), "not in the address, where it would be logged"
