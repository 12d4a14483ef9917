"""The HTTP door: who may ask what, and what malformed or foreign requests get."""
import socket
import time

import pytest

from tests.rig.probing import args_of

OWNER_ONLY = [("GET", "/v1/status"), ("POST", "/v1/stop"), ("GET", "/v1/actions/probe"), ("PATCH", "/v1/actions/probe"),
              ("DELETE", "/v1/actions/probe"), ("POST", "/v1/actions/install"), ("POST", "/v1/actions/validate"),
              ("GET", "/v1/connectors"), ("POST", "/v1/connectors/install"), ("DELETE", "/v1/connectors/sha256:00"),
              ("GET", "/v1/connectors/sha256:00"), ("GET", "/v1/vault"), ("POST", "/v1/vault/lock"), ("GET", "/v1/bindings"),
              ("GET", "/v1/bindings/oauth2/x/me"), ("DELETE", "/v1/bindings/oauth2/x/me"),
              ("POST", "/v1/bindings/oauth2/start"), ("GET", "/v1/audit"), ("GET", "/v1/audit/verify"), ("GET", "/v1/audit/aud_x"),
              ("GET", "/v1/sessions"), ("POST", "/v1/sessions"), ("GET", "/v1/sessions/ses_x"),
              ("POST", "/v1/sessions/ses_x/end"), ("GET", "/v1/config"), ("PATCH", "/v1/config")]


@pytest.fixture(scope="module")
def agent(probe_home):
    return probe_home.api("POST", "/v1/sessions", {"agent": "tests"}).json()


@pytest.mark.parametrize("door", ["socket", "tcp"])
@pytest.mark.parametrize(("method", "path"), OWNER_ONLY)
def test_an_agents_token_may_not(probe_home, agent, method, path, door):
    answer = probe_home.api(method, path, {} if method in ("POST", "PATCH") else None, token=agent["token"], door=door)
    assert answer.status == 403, answer
    assert answer.json()["error"]["code"] and probe_home.api("GET", "/v1/health").status == 200


@pytest.mark.parametrize("door", ["socket", "tcp"])
def test_an_agents_token_may_list_and_run(probe_home, agent, door):
    listed = probe_home.api("GET", "/v1/actions", token=agent["token"], door=door)
    assert listed.status == 200 and "probe" in [action["name"] for action in listed.json()["actions"]]
    ran = probe_home.api("POST", "/v1/actions/probe/run", {"args": args_of(stdout='{"output":{"x":1}}')}, token=agent["token"],
                         door=door)
    assert ran.status == 200 and ran.json()["output"] == {"x": 1}


@pytest.mark.parametrize(("method", "path"), OWNER_ONLY + [("GET", "/v1/actions"), ("POST", "/v1/actions/probe/run")])
@pytest.mark.parametrize("token", ["", "wrong", "ags_" + "A" * 43, "Bearer"])
def test_nobody_may_without_a_credential(probe_home, method, path, token):
    answer = probe_home.api(method, path, {} if method in ("POST", "PATCH") else None, token=token, door="tcp")
    assert answer.status == 401, answer


def test_health_is_open(probe_home):
    for door in ("socket", "tcp"):
        assert probe_home.api("GET", "/v1/health", token="", door=door).status == 200


@pytest.mark.parametrize("headers", [{"Host": "attacker.test"}, {"Host": "attacker.test:80"}, {"Host": "127.0.0.1:1"}, {"Host": ""},
                                     {"Origin": "https://attacker.test"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"},
                                     {"Origin": "http://localhost"}])
def test_a_foreign_host_or_origin_is_403(probe_home, headers):
    for path in ("/v1/health", "/v1/status"):
        answer = probe_home.api("GET", path, headers=headers, door="tcp")
        assert answer.status == 403, (headers, answer)
        assert answer.headers.get("Access-Control-Allow-Origin") is None


def test_the_door_is_on_loopback_alone(probe_home):
    port = int(probe_home.discovery()["url"].rsplit(":", 1)[1].strip("/"))
    try:
        others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
    except OSError:
        others = set()  # a machine that does not know its own name
    for address in [*others, "127.0.0.2", "127.0.1.1"]:
        with socket.socket() as probe:
            probe.settimeout(1)
            assert probe.connect_ex((address, port)) != 0, address


def test_unknown_paths_and_methods(probe_home):
    assert probe_home.api("GET", "/v1/nosuch").status == 404
    assert probe_home.api("GET", "/").status in (200, 404)
    answer = probe_home.api("DELETE", "/v1/health")
    assert answer.status == 405 and answer.headers.get("Allow") == "GET"
    assert probe_home.api("GET", "/v1/actions/nosuch").status == 404
    assert probe_home.api("POST", "/v1/actions/nosuch/run", {"args": {}}).status == 404


@pytest.mark.parametrize("path", ["/v1/actions/..%2F..%2Fdaemon.json", "/v1/actions/%00", "/v1/actions/a%2Fb", "/v1/actions/%zz",
                                  "/v1/audit/..%2f", "/v1/actions/" + "x" * 5000, "/v1/audit?limit=0", "/v1/audit?limit=1001",
                                  "/v1/audit?limit=x", "/v1/audit?since=yesterday", "/v1/audit?nosuch=1"])
def test_odd_paths_and_queries_are_refused(probe_home, path):
    assert 400 <= probe_home.api("GET", path).status < 500


BAD_BODIES = {"not JSON": "hello", "an array": "[]", "key twice": '{"args":{},"args":{}}', "too deep": '{"args":' * 100,
              "unknown key": '{"args":{},"nosuch":1}', "args a list": '{"args":[]}', "args text": '{"args":"x"}',
              "not UTF-8": b'{"args":{"stdout":"\xff"}}', "NUL": b'{"args":{}}\0', "bytes after it": '{"args":{}}{}',
              "nodes": '{"args":{"calls":[' + '"",' * 120_000 + '""]}}'}


@pytest.mark.parametrize("what", BAD_BODIES)
def test_a_malformed_body_is_400(probe_home, what):
    answer = probe_home.api("POST", "/v1/actions/probe/run", BAD_BODIES[what])
    assert answer.status in (400, 413), answer
    assert answer.json()["error"]["message"]


def test_bad_arguments_are_bad_input(probe_home):
    for args in ({"nosuch": 1}, {"exit": "x"}, {"exit": 1.5}, {"calls": "x"}, {"calls": [1]}, {"stdout": None}):
        answer = probe_home.api("POST", "/v1/actions/probe/run", {"args": args})
        failure = answer.json()["error"]
        assert answer.status == 400 and failure["class"] == "bad_input" and failure["boundary"] == "action", answer
        assert failure["retriable"] is False


def raw(home, data, timeout=5):
    port = int(home.discovery()["url"].rsplit(":", 1)[1].strip("/"))
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as stream:
        stream.sendall(data.replace(b"PORT", str(port).encode()))
        answer = b""
        try:
            while part := stream.recv(65536):
                answer += part
                if b"\r\n\r\n" in answer and len(answer) > 50:
                    break
        except (TimeoutError, ConnectionResetError):
            pass
    return answer


RAW = {
    "two lengths": b"POST /v1/actions HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "length and chunks": b"POST /v1/stop HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nContent-Length: 2\r\n"
                         b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no host": b"GET /v1/health HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nHost: attacker.test\r\n\r\n",
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "an absolute URL": b"GET http://attacker.test/v1/health HTTP/1.1\r\nHost: attacker.test\r\n\r\n",
    "headers too long": b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
    "a negative length": b"POST /v1/stop HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nContent-Length: -1\r\n\r\n",
    "CONNECT": b"CONNECT attacker.test:443 HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n\r\n",
    "two tokens": b"GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
}


@pytest.mark.parametrize("what", RAW)
def test_rude_requests_get_no_answer_of_value(probe_home, what):
    answer = raw(probe_home, RAW[what])
    assert not answer.startswith(b"HTTP/1.1 2"), answer[:200]
    assert probe_home.api("GET", "/v1/health").status == 200


def test_a_body_over_the_limit_is_refused(probe_home):
    try:
        answer = probe_home.api("POST", "/v1/actions/probe/run", b'{"args":{"stdout":"' + b"x" * (3 << 20) + b'"}}')
        assert answer.status in (400, 413), answer
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert probe_home.api("GET", "/v1/health").status == 200


def test_a_thousand_idle_clients_do_not_shut_out_the_owner(probe_home):
    port = int(probe_home.discovery()["url"].rsplit(":", 1)[1].strip("/"))
    clients = []
    try:
        for _ in range(1500):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
            clients.append(client)
        time.sleep(0.5)
        assert probe_home.api("GET", "/v1/health").status == 200
    finally:
        for client in clients:
            client.close()


def test_no_cookie_authenticates(probe_home):
    token = probe_home.discovery()["token"]
    for headers in ({"Cookie": f"token={token}"}, {"X-Token": token}, {"Authorization": f"Basic {token}"},
                    {"Authorization": token}):
        assert probe_home.api("GET", "/v1/status", token="", headers=headers, door="tcp").status == 401
    assert probe_home.api("GET", f"/v1/status?token={token}", token="", door="tcp").status == 401
