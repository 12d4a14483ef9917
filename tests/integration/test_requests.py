"""What a connector may ask of the network, and what it may not: envelopes, hosts, credentials, redirects, echoes.

Every test of a refusal asserts on what the servers saw; an error message alone proves nothing.
"""
import json
from urllib.parse import quote

import pytest

from tests.conftest import PROBE_TOKEN
from tests.rig.probing import ask, envelope, probe, refused

EVIL = "https://evil.test"


def test_a_plain_request(probe_home, hostile):
    mark = hostile.mark()
    result = ask(probe_home, f"{EVIL}/do/ok?q=1")
    assert result["status"] == 200 and json.loads(result["body"])["path"] == "/do/ok"
    [seen] = hostile.since(mark)
    assert seen.target == "/do/ok?q=1" and seen.header("host") == "evil.test"
    assert seen.header("authorization") is None, "a credential was added without being asked for"
    assert seen.header("cookie") is None and seen.header("expect") is None


def test_method_headers_and_body_arrive(probe_home, hostile):
    mark = hostile.mark()
    ask(probe_home, f"{EVIL}/do/ok", "POST", headers={"Content-Type": "text/x-test", "X-Own": "value"}, body="grüße")
    ask(probe_home, f"{EVIL}/do/ok", "PUT", body_base64="AAECAw==")
    ask(probe_home, f"{EVIL}/do/ok", "DELETE")
    posted, put, deleted = hostile.since(mark)
    assert posted.method == "POST" and posted.body == "grüße".encode()
    assert posted.header("content-type") == "text/x-test" and posted.header("x-own") == "value"
    assert put.method == "PUT" and put.body == bytes([0, 1, 2, 3])
    assert deleted.method == "DELETE" and deleted.body == b""


def test_the_credential_is_added_by_the_keeper(probe_home, hostile):
    mark = hostile.mark()
    ask(probe_home, f"{EVIL}/do/ok", credential="api_key")
    [seen] = hostile.since(mark)
    assert seen.header("authorization") == f"Bearer {PROBE_TOKEN}"


MALFORMED = {
    "not JSON": b"hello",
    "empty": b"",
    "an array": b"[]",
    "text": b'"https://evil.test/do/ok"',
    "no url": b'{"method":"GET"}',
    "url a number": b'{"url":7}',
    "method a number": b'{"method":1,"url":"https://evil.test/do/ok"}',
    "key twice": b'{"url":"https://evil.test/do/ok","url":"https://evil.test/do/ok"}',
    "key twice, nested": b'{"url":"https://evil.test/do/ok","headers":{"X-A":"1","X-A":"2"}}',
    "key in another case": b'{"URL":"https://evil.test/do/ok"}',
    "key in two cases": b'{"url":"https://evil.test/do/ok","Url":"https://elsewhere.test/do/ok"}',
    "credential in two cases": b'{"url":"https://evil.test/do/ok","credential":"api_key","Credential":"api_key"}',
    "header in two cases": b'{"url":"https://evil.test/do/ok","headers":{"X-A":"1","x-a":"2"}}',
    "unknown key": b'{"url":"https://evil.test/do/ok","follow":true}',
    "bytes after it": b'{"url":"https://evil.test/do/ok"} trailing',
    "two documents": b'{"url":"https://evil.test/do/ok"}{"url":"https://evil.test/do/ok"}',
    "not UTF-8": b'{"url":"https://evil.test/do/ok\xff"}',
    "escaped NUL in the url": b'{"url":"https://evil.test/do/ok\\u0000.x"}',
    "raw NUL": b'{"url":"https://evil.test/do/ok\x00"}',
    "too deep": b'{"url":"https://evil.test/do/ok","headers":' + b'{"a":' * 80 + b"1" + b"}" * 80 + b"}",
    "too many nodes": b'{"url":"https://evil.test/do/ok","x":[' + b"{}," * 150_000 + b"{}]}",
    "body twice": b'{"method":"POST","url":"https://evil.test/do/ok","body":"a","body_base64":"YQ=="}',
    "body a list": b'{"method":"POST","url":"https://evil.test/do/ok","body":[1]}',
    "bad base64": b'{"method":"POST","url":"https://evil.test/do/ok","body_base64":"!!"}',
    "headers a list": b'{"url":"https://evil.test/do/ok","headers":["X: y"]}',
    "header value a number": b'{"url":"https://evil.test/do/ok","headers":{"X":1}}',
    "header value with CR LF": b'{"url":"https://evil.test/do/ok","headers":{"X":"a\\r\\nEvil: 1"}}',
    "header value with LF": b'{"url":"https://evil.test/do/ok","headers":{"X":"a\\nEvil: 1"}}',
    "header value with NUL": b'{"url":"https://evil.test/do/ok","headers":{"X":"a\\u0000b"}}',
    "header name with CR LF": b'{"url":"https://evil.test/do/ok","headers":{"X: 1\\r\\nEvil":"1"}}',
    "header name with a space": b'{"url":"https://evil.test/do/ok","headers":{"X Y":"1"}}',
    "header name empty": b'{"url":"https://evil.test/do/ok","headers":{"":"1"}}',
    "header name with a colon": b'{"url":"https://evil.test/do/ok","headers":{"X:Y":"1"}}',
    "method with CR LF": b'{"method":"GET / HTTP/1.1\\r\\nEvil: 1\\r\\n","url":"https://evil.test/do/ok"}',
    "method with a space": b'{"method":"GET /x","url":"https://evil.test/do/ok"}',
    "method empty": b'{"method":"","url":"https://evil.test/do/ok"}',
    "method CONNECT": b'{"method":"CONNECT","url":"https://evil.test/do/ok"}',
    "method TRACE": b'{"method":"TRACE","url":"https://evil.test/do/ok"}',
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_envelope_sends_nothing(probe_home, hostile, what):
    mark = hostile.mark()
    probed = probe(probe_home, MALFORMED[what])
    assert hostile.since(mark) == []
    if probed.failure is None:
        assert probed.results[0]["rc"] == -2 and probed.results[0]["status"] == -1, repr(probed)
    else:
        assert probed.failure["class"] in ("capability_denied", "connector_runtime_error", "bad_input"), repr(probed)


URLS = {
    "userinfo": "https://user:secret@evil.test/do/ok",
    "userinfo, empty password": "https://user@evil.test/do/ok",
    "userinfo that looks like the host": "https://evil.test@elsewhere.test/do/ok",
    "userinfo with a port": "https://evil.test:443@elsewhere.test/do/ok",
    "empty userinfo": "https://@evil.test/do/ok",
    "backslash": "https://evil.test\\@elsewhere.test/do/ok",
    "backslashes for slashes": "https:\\\\evil.test/do/ok",
    "NUL in the host": "https://evil.test\0.elsewhere.test/do/ok",
    "percent NUL in the host": "https://evil.test%00.elsewhere.test/do/ok",
    "percent in the host": "https://evil%2etest/do/ok",
    "CR LF in the path": "https://evil.test/do/ok\r\nEvil: 1",
    "CR LF in the host": "https://evil.test\r\n.elsewhere.test/",
    "tab in the host": "https://ev\til.test/do/ok",
    "space in the path": "https://evil.test/do/ok now",
    "space before": " https://evil.test/do/ok",
    "no scheme": "evil.test/do/ok",
    "scheme-relative": "//evil.test/do/ok",
    "file": "file:///etc/passwd",
    "ftp": "ftp://evil.test/do/ok",
    "gopher": "gopher://evil.test:443/_x",
    "javascript": "javascript:1",
    "one slash": "https:/evil.test/do/ok",
    "no host": "https:///do/ok",
    "port 0": "https://evil.test:0/do/ok",
    "port too large": "https://evil.test:65979/do/ok",
    "port with a sign": "https://evil.test:+443/do/ok",
    "port with a letter": "https://evil.test:443x/do/ok",
    "empty url": "",
    "not ASCII host": "https://evıl.test/do/ok",
    "brackets": "https://[evil.test]/do/ok",
    "IPv6 zone": "https://[::1%25lo]/do/ok",
    "a dot after the host": "https://evil.test./do/ok",
    "far too long": "https://evil.test/do/ok?" + "x" * 100_000,
}


@pytest.mark.parametrize("what", URLS)
def test_an_odd_url_sends_nothing(probe_home, hostile, what):
    mark = hostile.mark()
    probed = probe(probe_home, envelope(URLS[what], credential="api_key"))
    assert hostile.since(mark) == []
    assert probed.failure is not None or probed.results[0]["rc"] in (-1, -2), repr(probed)
    assert "secret" not in probe_home.log().replace(PROBE_TOKEN, "")


OUTSIDE = {
    "another host": "https://elsewhere.test/do/ok",
    "another port": "https://evil.test:8443/do/ok",
    "a host below": "https://sub.evil.test/do/ok",
    "a host that ends alike": "https://notevil.test/do/ok",
    "plain http": "http://evil.test/do/ok",
    "plain http on 443": "http://evil.test:443/do/ok",
    "an address": "https://192.0.2.1/do/ok",
}


@pytest.mark.parametrize("what", OUTSIDE)
@pytest.mark.parametrize("credential", [None, "api_key"])
def test_a_host_outside_the_manifest_is_denied(probe_home, hostile, what, credential):
    mark = hostile.mark()
    failure = refused(probe_home, OUTSIDE[what], **({"credential": credential} if credential else {}))
    assert hostile.since(mark) == []
    assert failure["class"] == "capability_denied" and failure["retriable"] is False
    assert failure["boundary"] in ("connector_manifest", "sandbox")


def test_a_denial_is_on_record(probe_home):
    failure = refused(probe_home, "https://elsewhere.test/do/ok?private=query")
    newest = probe_home.audit("--limit", "5")
    assert failure["audit_id"] in [event["audit_id"] for event in newest]
    assert "capability.denied" in [event["event_type"] for event in newest]
    assert "private=query" not in json.dumps(newest)


def test_the_host_is_compared_without_case(probe_home, hostile):
    mark = hostile.mark()
    assert ask(probe_home, "HTTPS://EVIL.TEST:443/do/ok")["status"] == 200
    [seen] = hostile.since(mark)
    assert seen.header("host").lower() in ("evil.test", "evil.test:443")


@pytest.mark.parametrize("name", ["Host", "host", "Content-Length", "Transfer-Encoding", "transfer-encoding", "Connection",
                                  "Proxy-Authorization", "Proxy-Connection", "Cookie", "Authorization", "AUTHORIZATION"])
@pytest.mark.parametrize("credential", [None, "api_key"])
def test_headers_that_are_not_the_connectors_to_set(probe_home, hostile, name, credential):
    mark = hostile.mark()
    more = {"credential": credential} if credential else {}
    probed = probe(probe_home, envelope(f"{EVIL}/do/ok", headers={name: "x"}, **more))
    assert hostile.since(mark) == []
    assert probed.failure is not None or probed.results[0]["rc"] in (-1, -2)


def test_another_kind_of_credential_is_refused(probe_home, hostile):
    mark = hostile.mark()
    for kind in ("oauth2", "basic", "", "API_KEY"):
        probed = probe(probe_home, envelope(f"{EVIL}/do/ok", credential=kind))
        assert probed.failure is not None or probed.results[0]["rc"] in (-1, -2), repr(probed)
    assert hostile.since(mark) == []


def test_a_credential_goes_only_where_it_was_granted(probe_home, hostile):
    """other.test is in the manifest but not in the grant."""
    mark = hostile.mark()
    failure = refused(probe_home, "https://other.test/do/echo", credential="api_key")
    assert failure["class"] == "capability_denied" and hostile.since(mark) == []
    assert ask(probe_home, "https://other.test/do/ok")["status"] == 200


def test_a_refusal_is_sticky(probe_home, hostile):
    """A connector that hides a refusal and reports success has failed all the same."""
    mark = hostile.mark()
    probed = probe(probe_home, envelope("https://elsewhere.test/do/ok"), envelope(f"{EVIL}/do/ok"),
                   stdout='{"output":{"all":"well"}}')
    assert probed.failure["class"] == "capability_denied"
    assert all(request.header("host") != "elsewhere.test" for request in hostile.since(mark))


def test_read_only_allows_get_and_head_alone(probe_home, hostile):
    mark = hostile.mark()
    assert ask(probe_home, f"{EVIL}/do/ok", action="probe-read")["status"] == 200
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        failure = refused(probe_home, f"{EVIL}/do/ok", method, action="probe-read")
        assert failure["class"] == "capability_denied", failure
    assert [request.method for request in hostile.since(mark)] == ["GET"]


# --- redirects

def test_three_redirects_on_the_origin_are_followed(probe_home, hostile):
    mark = hostile.mark()
    result = ask(probe_home, f"{EVIL}/do/redirects/3", credential="api_key")
    assert result["status"] == 200
    assert [seen.path for seen in hostile.since(mark)] == [f"/do/redirects/{n}/302".replace("/3/302", "/3") for n in (3, 2, 1, 0)]
    assert all(seen.header("authorization") == f"Bearer {PROBE_TOKEN}" for seen in hostile.since(mark))


@pytest.mark.parametrize("path", ["/do/redirects/4", "/do/redirect_loop", "/do/redirects/50"])
def test_a_fourth_is_not(probe_home, hostile, path):
    mark = hostile.mark()
    probed = probe(probe_home, envelope(EVIL + path))
    assert probed.failure is not None, repr(probed)
    assert len(hostile.since(mark)) <= 4


OFF_ORIGIN = ["https://other.test/do/echo", "https://elsewhere.test/do/echo", "http://evil.test/do/echo",
              "https://evil.test:444/do/echo", "//elsewhere.test/do/echo", "https://evil.test@elsewhere.test/do/echo",
              "https://user:pw@evil.test/do/echo", "https://elsewhere.test\\@evil.test/do/echo", "file:///etc/passwd",
              "https://evil.test\t.elsewhere.test/", "http://127.0.0.1/do/echo", "https://EVIL.TEST.:443/do/echo"]


@pytest.mark.parametrize(("code", "target"), [(302, target) for target in OFF_ORIGIN]
                         + [(code, OFF_ORIGIN[0]) for code in (301, 303, 307, 308)])
def test_a_redirect_off_the_origin_leaks_nothing(probe_home, hostile, code, target):
    mark = hostile.mark()
    failure = refused(probe_home, f"{EVIL}/do/redirect/{code}?to={quote(target, safe='')}", credential="api_key")
    seen = hostile.since(mark)
    assert [request.path for request in seen] == [f"/do/redirect/{code}"], "a redirect was followed off the origin"
    assert failure["class"] == "capability_denied" and PROBE_TOKEN not in json.dumps(failure)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_post_is_never_sent_again_by_a_redirect(probe_home, hostile, code):
    mark = hostile.mark()
    probe(probe_home, envelope(f"{EVIL}/do/redirects/1/{code}", "POST", body="once", credential="api_key"))
    seen = hostile.since(mark)
    assert [request.body for request in seen].count(b"once") == 1
    assert [request.method for request in seen].count("POST") == 1


def test_a_redirect_without_a_place_is_an_answer(probe_home, hostile):
    probed = probe(probe_home, envelope(f"{EVIL}/do/redirect_without"))
    assert probed.failure is not None or probed.results[0]["status"] == 302


# --- what comes back

def test_an_echo_of_the_credential_is_masked(probe_home, hostile):
    mark = hostile.mark()
    for path in ("/do/echo", "/do/echo_split", "/do/echo_often/5000"):
        result = ask(probe_home, EVIL + path, credential="api_key")
        assert PROBE_TOKEN.encode() not in result["body"], path
        assert b"Bearer" in result["body"], "the rest of the answer stays"
    assert all(seen.header("authorization") == f"Bearer {PROBE_TOKEN}" for seen in hostile.since(mark))
    assert PROBE_TOKEN not in probe_home.log()


def test_an_error_page_with_the_credential_is_masked(probe_home, hostile):
    hostile.script("evil.test", "echo")
    probed = probe(probe_home, envelope(f"{EVIL}/x", credential="api_key"))
    assert PROBE_TOKEN not in probed.result.out + probed.result.err


def test_cookies_are_neither_kept_nor_sent(probe_home, hostile):
    mark = hostile.mark()
    for _ in range(3):
        ask(probe_home, f"{EVIL}/do/cookie")
    assert all(seen.header("cookie") is None for seen in hostile.since(mark))


def test_alternative_services_are_ignored(probe_home, hostile):
    mark = hostile.mark()
    for _ in range(3):
        ask(probe_home, f"{EVIL}/do/alt_svc", credential="api_key")
    assert {seen.sni for seen in hostile.since(mark)} == {"evil.test"}


def test_compressed_bodies_are_not_inflated(probe_home, hostile):
    result = ask(probe_home, f"{EVIL}/do/gzip_bomb/64")
    assert result["size"] < 1024 * 1024


def test_the_largest_body_that_is_allowed(probe_home):
    size = 8 * 1024 * 1024
    assert ask(probe_home, f"{EVIL}/do/big/{size}")["size"] == size
    assert ask(probe_home, f"{EVIL}/do/big_chunked/{size}")["size"] == size


@pytest.mark.parametrize("path", ["/do/big/8388609", "/do/big_chunked/8388609", f"/do/big/{9 << 20}", "/do/endless",
                                  "/do/endless_identity"])
def test_one_byte_more_fails(probe_home, hostile, path):
    failure = refused(probe_home, EVIL + path)
    assert failure["class"] == "resource_limit_exceeded", failure
    assert ask(probe_home, f"{EVIL}/do/ok")["status"] == 200
