"""A provider that repeats the credential, in every encoding and at every border: nothing of it comes out of the keeper."""
import base64
import json
import re
import secrets
import urllib.parse

import pytest

from tests.conftest import PROBE_HOSTS
from tests.rig.home import Home, credential
from tests.rig.hostile import behaviour
from tests.rig.probing import ask, envelope, probe
from tests.rig.search import Needles


@pytest.fixture(scope="module")
def token():
    """With characters that base64, percent and JSON write differently."""
    return "tok?/+~" + secrets.token_hex(20) + "\\\"%>"


@pytest.fixture(scope="module")
def home(built, probe_folder, hostile_server, ca, token):
    made = Home([credential("api_key/probe/me", "local://probe", ["https://evil.test:443"], token)],
                hostile_server.connect_to(PROBE_HOSTS), ca.path)
    made.start()
    made.install(probe_folder, *sorted((probe_folder / "actions").glob("*.md")))
    yield made
    made.close()


def encodings(token):
    data = token.encode()
    wrapped = "\r\n".join(base64.b64encode(data).decode()[at:at + 16] for at in range(0, 80, 16))
    return {
        "raw": token,
        "base64": base64.b64encode(data).decode(),
        "base64url, no padding": base64.urlsafe_b64encode(data).decode().rstrip("="),
        "a header in base64": base64.b64encode(b"Authorization: Bearer " + data + b"\r\nHost: evil.test").decode(),
        "basic": base64.b64encode(b"user:" + data).decode(),
        "base64 in lines": wrapped,
        "percent": urllib.parse.quote(token, safe=""),
        "percent, lower": re.sub("%..", lambda match: match[0].lower(), urllib.parse.quote(token, safe="")),
        "percent, all": "".join(f"%{byte:02x}" for byte in data),
        "base64 in a query": urllib.parse.quote(base64.b64encode(data).decode(), safe=""),
        "hex": data.hex(),
        "HEX": data.hex().upper(),
        "JSON": json.dumps(token),
        "JSON, slashes": json.dumps(token).replace("/", "\\/"),
        "JSON, all": "".join(f"\\u{byte:04X}" for byte in data),
        "base64 in JSON": json.dumps({"t": base64.b64encode(data).decode()}).replace("/", "\\/"),
        "lines in JSON": json.dumps(wrapped),
    }


@behaviour
def echo_encoded(c, r, name, before="0", piece="65536"):
    """What came as a bearer token, encoded as asked, behind so many bytes, in chunks of so many."""
    token = r.header("authorization").removeprefix("Bearer ")
    body = b"." * int(before) + b"<" + encodings(token)[name].encode() + b">"
    c.head("Transfer-Encoding: chunked", "Content-Type: text/plain")
    for at in range(0, len(body), int(piece)):
        c.chunk(body[at:at + int(piece)])
    c.chunk(b"")


@behaviour
def redirect_with_it(c, r, where):
    token = r.header("authorization").removeprefix("Bearer ")
    label = "".join(char for char in token if char.isalnum())
    target = {"host": f"https://{label}.elsewhere.test/", "path": f"https://elsewhere.test/{urllib.parse.quote(token, safe='')}",
              "user": f"https://{label}@evil.test/", "broken": f"https://[{label}]/"}[where]
    c.answer(302, b"", [("Location", target)])


@behaviour
def status_line_with_it(c, r):
    token = r.header("authorization").removeprefix("Bearer ")
    c.answer(500, token.encode(), [("Retry-After", token.replace("\\", "")), ("WWW-Authenticate", f'Bearer error="{token}"')], reason=token)


def path_of(name, *more):
    return "https://evil.test/do/" + "/".join(urllib.parse.quote(str(part), safe="") for part in ("echo_encoded", name, *more))


@pytest.mark.parametrize("name", encodings("x"))
def test_an_echo_is_masked(home, hostile, token, name):
    needles = Needles(token=token)
    assert needles.within(encodings(token)[name]) or "lines" in name, "the search would find it"
    for before, piece in [(0, 65536), (0, 1), (7, 3), (16300, 4096), (16384 + 1500, 1000)]:
        body = ask(home, path_of(name, before, piece), credential="api_key")["body"]
        assert needles.within(body) == [], (name, before, piece)
        assert body.startswith(b"." * before + b"<") and body.endswith(b">") and len(body) < before + 80, (name, body[before:])


@pytest.mark.parametrize("name", encodings("x"))
def test_without_a_credential_nothing_is_masked(home, hostile, token, name):
    """What is not a secret of this request passes byte for byte."""
    text = encodings("not-the-secret-" + "0" * 30)[name]
    hostile.script("evil.test", "text/200/" + urllib.parse.quote(text, safe=""), path="/plain")
    assert ask(home, "https://evil.test/plain", credential="api_key")["body"] == text.encode()


@pytest.mark.parametrize("where", ["host", "path", "user", "broken"])
def test_a_redirect_tells_nothing(home, hostile, token, where):
    label = "".join(char for char in token if char.isalnum())
    needles = Needles(token=token, label=label)
    probed = probe(home, envelope(f"https://evil.test/do/redirect_with_it/{where}", credential="api_key"))
    assert needles.within(json.dumps(probed.failure) + repr(probed.result)) == [], probed
    assert needles.in_files(home.path) == {}


def test_status_line_and_headers_tell_nothing(home, hostile, token):
    needles = Needles(token=token)
    probed = probe(home, envelope("https://evil.test/do/status_line_with_it", credential="api_key"), action="probe-once")
    assert needles.within(repr(probed.result)) == []
    for item in probed.results or []:
        assert needles.within(item["body"]) == []
    assert needles.in_files(home.path) == {}
