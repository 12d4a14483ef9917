"""The rig itself: a test that asserts on what a server saw is worth as much as the server."""
import base64
import hashlib
import json
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request

import pytest

from tests.rig import paths
from tests.rig.dns import Dns
from tests.rig.workspace import EMAIL


def fetch(ca, port, host, path, method="GET", headers=None, body=None, timeout=5):
    """One request with TLS to a host name on a loopback port: (status, headers, body)."""
    context = ssl.create_default_context(cafile=ca.path)
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as raw:
        with context.wrap_socket(raw, server_hostname=host) as stream:
            lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
            lines += [f"{key}: {value}" for key, value in (headers or {}).items()]
            if body is not None:
                lines += [f"Content-Length: {len(body)}"]
            stream.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))
            data = b""
            while part := stream.recv(65536):
                data += part
    head, _, rest = data.partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    return int(status.split()[1]), [tuple(f.split(": ", 1)) for f in fields], rest


def test_workspace_behind_nginx(nginx, ca, workspace):
    workspace.reset()
    mark = nginx.mark()
    headers = {"Authorization": f"Bearer {workspace.token()}"}
    status, _, body = fetch(ca, nginx.port, "gmail.googleapis.com", "/gmail/v1/users/me/messages", headers=headers)
    assert status == 200
    found = json.loads(body)
    assert {message["id"] for message in found["messages"]} == {"m-plan", "m-invoice", "m-lunch", "m-attach", "m-old"}
    assert [(row["host"], row["method"], row["authorization"]) for row in nginx.seen(mark)] == [
        ("gmail.googleapis.com", "GET", headers["Authorization"])]


def test_workspace_refuses_a_foreign_token(nginx, ca, workspace):
    status, _, _ = fetch(ca, nginx.port, "www.googleapis.com", "/calendar/v3/calendars/primary/events",
                         headers={"Authorization": "Bearer nonsense"})
    assert status == 401
    assert EMAIL not in str(workspace.messages("other@example.com")[0]["to"])


def test_github_hosts_serve_files(nginx, ca):
    (nginx.files("raw.githubusercontent.com") / "o").mkdir(exist_ok=True)
    (nginx.files("raw.githubusercontent.com") / "o/key.pub").write_text("key\n")
    assert fetch(ca, nginx.port, "raw.githubusercontent.com", "/o/key.pub")[::2] == (200, b"key\n")
    assert fetch(ca, nginx.port, "github.com", "/o/key.pub")[0] == 404


def test_the_certificate_is_checked(nginx, hostile, ca):
    with pytest.raises(ssl.SSLError):
        fetch(ca, nginx.port, "evil.test", "/")
    with pytest.raises(ssl.SSLError):
        fetch(ca, hostile.expired_port, "evil.test", "/do/ok")


def test_hostile_logs_and_echoes(hostile, ca):
    mark = hostile.mark()
    status, headers, body = fetch(ca, hostile.port, "evil.test", "/do/echo?x=1", "POST", {"Authorization": "Bearer t"}, b"hi")
    assert status == 200 and dict(headers)["X-Token"] == "t" and json.loads(body)["body"] == "hi"
    [seen] = hostile.since(mark)
    assert (seen.sni, seen.method, seen.query, seen.header("authorization")) == ("evil.test", "POST", {"x": "1"}, "Bearer t")


def test_hostile_scripts_then_passes_on(hostile, ca, workspace):
    workspace.reset()
    headers = {"Authorization": f"Bearer {workspace.token()}"}
    hostile.script("gmail.googleapis.com", "status/503", "status/429/7")
    answers = [fetch(ca, hostile.port, "gmail.googleapis.com", "/gmail/v1/users/me/messages/m-lunch", headers=headers)
               for _ in range(3)]
    assert [answer[0] for answer in answers] == [503, 429, 200]
    assert dict(answers[1][1])["Retry-After"] == "7"
    assert json.loads(answers[2][2])["id"] == "m-lunch"


def test_hostile_resets(hostile):
    for path in (b"/do/reset_early", b"/do/reset_mid"):
        with socket.create_connection(("127.0.0.1", hostile.plain_port), timeout=5) as stream:
            stream.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: evil.test\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                while stream.recv(4096):
                    pass


def test_plain_port(hostile):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"http://127.0.0.1:{hostile.plain_port}/do/status/418", timeout=5)
    assert caught.value.code == 418


def test_dns_answers_from_its_table():
    server = Dns({"meta.test": ["169.254.169.254"]}, "127.0.0.1", 0)
    port = server._socket.getsockname()[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x04meta\x04test\0\0\x01\0\x01"
        client.sendto(query, ("127.0.0.1", port))
        answer = client.recv(512)
    assert answer[:2] == b"\x12\x34" and answer.endswith(b"\xa9\xfe\xa9\xfe")
    server.stop()


def test_probe_builds(probe_folder):
    assert (probe_folder / "connector.wasm").read_bytes()[:4] == b"\0asm"
    assert paths.claude().exists()


def test_the_emulators_authorization_server(nginx, ca, workspace):
    """The consent tests trust it to check PKCE and to use a code once."""
    workspace.reset()
    workspace.register("http://127.0.0.1:4711/oauth2/callback")
    challenge = base64.urlsafe_b64encode(hashlib.sha256(b"v" * 43).digest()).decode().rstrip("=")
    fields = {"email": EMAIL, "redirect_uri": "http://127.0.0.1:4711/oauth2/callback", "scope": "mail", "state": "s",
              "client_id": "test-client", "code_challenge": challenge, "code_challenge_method": "S256"}
    form = [("Content-Type", "application/x-www-form-urlencoded")]

    def post(host, path, **fields):
        return fetch(ca, nginx.port, host, path, "POST", dict(form), urllib.parse.urlencode(fields).encode())

    def code():
        status, headers, _ = post("accounts.google.com", "/o/oauth2/v2/auth/callback", **fields)
        assert status == 302
        return urllib.parse.parse_qs(urllib.parse.urlsplit(dict(headers)["location"]).query)["code"][0]

    def token(code, **more):
        status, _, body = post("oauth2.googleapis.com", "/token", grant_type="authorization_code", code=code, client_id="test-client",
                               client_secret="test-secret", redirect_uri=fields["redirect_uri"], **more)
        return status, json.loads(body)

    before = workspace.grants()

    def grew():
        return {name: count - before[name] for name, count in workspace.grants().items()}

    assert token(code(), code_verifier="w" * 43)[0] == 400
    once = code()
    status, given = token(once, code_verifier="v" * 43)
    assert status == 200 and given["refresh_token"] and grew() == {"refresh": 1, "access": 1}
    assert token(once, code_verifier="v" * 43)[0] == 400
    workspace.expire()
    workspace.revoke()
    assert workspace.grants() == {"refresh": 0, "access": 0}
