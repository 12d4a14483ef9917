"""The agent's door over HTTP: Streamable HTTP at /mcp, byte for byte and with the official Python client."""
import asyncio
import json
import os
import re
import subprocess
import time

import httpx2
import mcp
import pytest
from mcp.client.streamable_http import streamable_http_client

from tests.conftest import make_probe_home
from tests.rig import paths
from tests.rig.gated import action_text
from tests.rig.ports import wait_for
from tests.rig.probing import args_of, envelope
from tests.rig.puppet import PuppetHome
from tests.rig.relay import Relay
from tests.rig.streamable import EVENTS, JSON, Streamable

PING = {"jsonrpc": "2.0", "id": 7, "method": "ping"}


@pytest.fixture
def client(probe_home):
    return Streamable(probe_home)


def slow(seconds):
    return args_of(envelope(f"https://slow.test/do/slow/{seconds}"))


def test_the_first_words(client):
    reply = client.request("initialize", {"protocolVersion": "2025-11-25", "capabilities": {},
                                          "clientInfo": {"name": "rig", "version": "1"}}, MCP_Protocol_Version=None)
    assert reply.status == 200 and "mcp-session-id" not in reply.headers and reply.headers["cache-control"] == "no-store"
    result = reply.json()["result"]
    assert result["protocolVersion"] == "2025-11-25" and result["capabilities"]["tools"]["listChanged"] is True
    assert client.notify("notifications/initialized") == 202
    assert {"probe", "probe_once", "probe_read"} <= set(client.tools())
    assert client.request("ping").json()["result"] == {}


def test_a_quick_call_is_answered_whole(client):
    reply = client.start("probe", args_of(stdout='{"output":{"ok":true}}'))
    assert reply.type == JSON and reply.json()["result"]["structuredContent"] == {"ok": True}


def test_the_head_of_a_slow_call_comes_at_once(client):
    started = time.monotonic()
    reply = client.start("probe", slow(1.5))
    assert reply.type == EVENTS and time.monotonic() - started < 0.8
    answer = reply.answer()
    assert time.monotonic() - started > 1.4 and not answer["result"].get("isError")
    assert reply.message() is None, "the stream ends with its answer"


@pytest.mark.parametrize(("accept", "fast", "late"), [
    (f"{JSON}, {EVENTS}", JSON, EVENTS), (None, JSON, EVENTS), ("*/*", JSON, EVENTS), (JSON, JSON, JSON), (EVENTS, EVENTS, EVENTS),
    ("application/*", JSON, JSON), ("TEXT/event-stream;q=0.5", EVENTS, EVENTS), (f"{JSON};q=0, {EVENTS}", EVENTS, EVENTS)])
def test_it_sends_what_is_accepted(client, accept, fast, late):
    assert client.request("ping", Accept=accept).type == fast
    reply = client.request("tools/call", {"name": "probe", "arguments": slow(0.6)}, Accept=accept)
    assert reply.type == late and not reply.answer()["result"].get("isError")


@pytest.mark.parametrize(("method", "message", "headers", "status", "code"), [
    ("POST", PING, {"Accept": "text/html"}, 406, -32600),
    ("POST", PING, {"Accept": f"{JSON};q=0"}, 406, -32600),
    ("POST", PING, {"Content_Type": "text/plain"}, 415, -32600),
    ("POST", PING, {"Content_Type": None}, 415, -32600),
    ("POST", PING, {"Content_Type": "application/jsonx"}, 415, -32600),
    ("POST", PING, {"MCP_Protocol_Version": "2099-01-01"}, 400, -32600),
    ("POST", PING, {"MCP_Protocol_Version": ""}, 400, -32600),
    ("POST", b"{broken", {}, 400, -32700),
    ("POST", b"", {}, 400, -32700),
    ("POST", b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', {}, 400, -32700),
    ("POST", b'"text"', {}, 400, -32700),
    ("POST", b"[" * 200 + b"]" * 200, {}, 400, -32700),
    ("POST", [PING, {**PING, "id": 8}], {}, 400, -32600),
    ("POST", [], {}, 400, -32600),
    ("POST", {"jsonrpc": "1.0", "id": 1, "method": "ping"}, {}, 400, -32600),
    ("POST", {"jsonrpc": "2.0", "id": {}, "method": "ping"}, {}, 400, -32600),
    ("POST", {"jsonrpc": "2.0", "id": None, "method": "ping"}, {}, 400, -32600),
    ("POST", {"jsonrpc": "2.0", "id": 1}, {}, 400, -32600),
    ("POST", {"jsonrpc": "2.0", "id": 1, "method": "no/such"}, {}, 200, -32601),
    ("POST", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "no_such"}}, {}, 200, -32602),
    ("POST", {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"cursor": "made up"}}, {}, 200, -32602),
    ("GET", b"", {"Accept": JSON}, 406, -32600),
    ("GET", b"", {"Accept": None}, 406, -32600),
    ("GET", b"", {"MCP_Protocol_Version": "2099-01-01"}, 400, -32600)])
def test_what_is_refused(client, method, message, headers, status, code):
    reply = client.ask(method, message, **headers)
    assert reply.status == status
    answer = reply.json()
    assert answer["jsonrpc"] == "2.0" and answer["error"]["code"] == code and answer["error"]["message"]
    assert client.request("ping").json()["result"] == {}


def test_messages_without_an_answer(client):
    for message in ({"jsonrpc": "2.0", "method": "notifications/unknown"}, {"jsonrpc": "2.0", "id": 3, "result": {}},
                    {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "probe"}}):
        reply = client.ask("POST", message)
        assert reply.status == 202 and reply.headers.get("content-length", "0") == "0"


def test_other_versions_and_methods(client):
    assert client.ask("POST", PING, MCP_Protocol_Version=None).status == 200
    for version in ("2025-06-18", "2025-03-26"):
        assert client.ask("POST", PING, MCP_Protocol_Version=version).status == 200
    for method in ("DELETE", "PUT", "PATCH", "OPTIONS"):
        reply = client.ask(method)
        assert reply.status == 405 and set(reply.headers["allow"].split(", ")) == {"GET", "POST"}, method


def test_who_may_come(client, probe_home):
    owner = probe_home.discovery()["token"]
    for authorization, status in ((None, 401), ("Bearer wrong", 401), (f"Basic {client.token}", 401), (f"Bearer {owner}", 403)):
        for method in ("POST", "GET"):
            reply = client.ask(method, PING if method == "POST" else b"", Authorization=authorization)
            assert reply.status == status, (authorization, method)
            assert status != 403 or "session" in reply.json()["error"]["message"]
    for headers in ({"Host": "evil.test"}, {"Host": f"evil.test:{client.port}"}, {"Origin": "https://evil.test"}, {"Origin": "null"},
                    {"Origin": f"http://127.0.0.1:{client.port + 1}"}):
        assert client.ask("POST", PING, **headers).status == 403, headers
        assert client.ask("GET", **headers).status == 403, headers
    assert client.ask("POST", PING, Origin=f"http://127.0.0.1:{client.port}").status == 200


def test_the_owners_socket_is_no_other_door(client, probe_home):
    """There, too, an agent is what its token says, and the owner is no agent."""
    inside = Streamable(probe_home, token=client.token, where=probe_home.discovery()["socket"])
    assert "probe" in inside.tools()
    assert inside.ask("POST", PING, Authorization=None).status == 403


def test_an_ended_session(probe_home):
    gone = Streamable(probe_home)
    probe_home.api("POST", f"/v1/sessions/{gone.session['session_id']}/end")
    assert gone.request("ping").status == 401


def test_a_session_sees_what_it_may(probe_home):
    limited = Streamable(probe_home, only=["probe-re*"])
    assert set(limited.tools()) == {"probe_read"}
    assert limited.start("probe").json()["error"]["code"] == -32602


def test_the_stream_of_changes(client, probe_home):
    stream, silent = client.ask("GET"), client.request("ping")
    assert stream.status == 200 and stream.type == EVENTS and silent.json()
    probe_home.cli("action", "disable", "probe-sure", check=0)
    try:
        assert stream.message() == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
        assert "probe_sure" not in client.tools()
    finally:
        probe_home.cli("action", "enable", "probe-sure", check=0)
    assert stream.message()["method"] == "notifications/tools/list_changed"
    stream.close()


def test_streams_are_counted(probe_home):
    client, other = Streamable(probe_home), Streamable(probe_home)
    held = [client.ask("GET") for _ in range(16)]
    assert {reply.status for reply in held} == {200}
    assert client.ask("GET").status == 429
    assert other.ask("GET").status == 200 and client.request("ping").status == 200
    held.pop().close()
    wait_for(lambda: client.ask("GET").status == 200, "a place")
    for reply in held:
        reply.close()


def test_a_long_list_comes_in_pages(built, probe_folder, hostile_server, ca):
    """Over both doors; the official client turns the pages by itself."""
    home = make_probe_home(probe_folder, hostile_server, ca)
    try:
        folder = home.base / "many"
        folder.mkdir()
        for number in range(230):
            name = f"once-{number:03}"
            (folder / f"{name}.md").write_text(action_text("once").replace('name = "once"', f'name = "{name}"'))
        home.cli("action", "add", "--local", folder, check=0)
        client, found, sizes, cursor = Streamable(home), [], [], None
        while not sizes or cursor:
            page = client.request("tools/list", {"cursor": cursor} if cursor else {}).json()["result"]
            found += [tool["name"] for tool in page["tools"]]
            sizes.append(len(page["tools"]))
            cursor = page.get("nextCursor")
        assert sizes == [100, 100, 35] and len(set(found)) == 235
        with Relay(home) as relay:
            first = relay.request("tools/list")["result"]
            second = relay.request("tools/list", {"cursor": first["nextCursor"]})["result"]
            assert [tool["name"] for tool in first["tools"] + second["tools"]] == found[:200]
            assert relay.request("tools/list", {"cursor": "bm9wZQ"})["error"]["code"] == -32602
    finally:
        home.close()


def test_a_call_is_cancelled_by_another_request(client, probe_home):
    reply = client.start("probe", slow(3))
    started = time.monotonic()
    assert client.notify("notifications/cancelled", {"requestId": client._next}) == 202
    assert reply.message() is None and time.monotonic() - started < 1
    # Another session's cancellation means its own calls.
    reply = client.start("probe", slow(1))
    Streamable(probe_home).notify("notifications/cancelled", {"requestId": client._next})
    assert reply.answer()["result"]["structuredContent"]


def test_ids_of_two_agents_with_one_token(client, probe_home):
    """Both count from 1: each gets its own answer, and a cancellation that could mean either ends none."""
    twin = Streamable(probe_home, token=client.token)
    first, second = client.start("probe", slow(1)), twin.start("probe", slow(1))
    assert client._next == twin._next
    assert client.notify("notifications/cancelled", {"requestId": twin._next}) == 202
    assert first.answer()["id"] == second.answer()["id"] == twin._next


def test_a_client_that_goes_is_forgotten(client, hostile):
    """It leaves while its call runs: nothing breaks, and what runs ends as it would have."""
    mark = hostile.mark()
    for seconds in (0.1, 0.9, 1, 1.1):
        client.start("probe", slow(seconds)).close()
    wait_for(lambda: len([seen for seen in hostile.since(mark) if seen.path.startswith("/do/slow")]) >= 4, "the requests")
    assert client.request("ping").json()["result"] == {}


def test_pipelined_requests(client, probe_home):
    """A client that does not wait for its answer once ended servers on this library: the next request comes while one waits."""
    body = json.dumps(client.message("tools/call", {"name": "probe", "arguments": slow(0.7)})).encode()
    for accept in (JSON, f"{JSON}, {EVENTS}"):
        stream = client.connect()
        stream.sendall(client.head("POST", body, Accept=accept))
        time.sleep(0.1)
        stream.sendall(client.head("POST", json.dumps(PING).encode(), Accept=accept) * 3)
        reply = client.read(stream)
        assert not reply.answer()["result"].get("isError")
        if accept == JSON:
            for _ in range(3):
                reply = client.read(stream, reply._file)
                assert reply.json()["result"] == {}
        reply.close()
    assert probe_home.api("GET", "/v1/health").status == 200


@pytest.mark.parametrize("path", ["/mcp", "/v1/actions/probe/run"])
def test_bytes_that_nobody_asked_for(client, probe_home, path):
    """While a call waits, next to nothing is read; what is pushed stays with who pushes it."""
    pid = probe_home.pid()
    message = client.message("tools/call", {"name": "probe", "arguments": slow(1)}) if path == "/mcp" else {"args": slow(1)}
    stream = client.connect()
    stream.sendall(client.head("POST", json.dumps(message).encode(), Accept=JSON).replace(b"/mcp", path.encode(), 1))
    time.sleep(0.1)
    stream.settimeout(0.3)
    pushed = 0
    try:
        for _ in range(200):
            pushed += stream.send(b"GET / HTTP/1.1\r\n" * 8192)
    except TimeoutError:
        pass
    assert pushed < 20 << 20, "it reads on"
    stream.settimeout(10)
    reply = client.read(stream)
    assert reply.status == 200 and reply.json()
    stream.close()
    assert probe_home.api("GET", "/v1/health").status == 200 and probe_home.pid() == pid


def test_its_token_survives_a_restart(built):
    home = PuppetHome()
    try:
        client = Streamable(home)
        stream = client.ask("GET")
        assert client.request("ping").status == 200
        home.stop()
        home.start()
        assert stream.message() is None
        again = Streamable(home, token=client.token)
        assert again.request("ping").json()["result"] == {} and again.ask("GET").status == 200
    finally:
        home.close()


# --- the official client

@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_the_official_client_reads_mail(google_home, mode):
    token = google_home.api("POST", "/v1/sessions", {"agent": "official"}).json()["token"]
    url = google_home.discovery()["url"].rstrip("/") + "/mcp"

    async def conversation():
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=20) as http:
            async with mcp.Client(streamable_http_client(url, http_client=http), mode=mode, read_timeout_seconds=20) as client:
                tools = {tool.name: tool for tool in (await client.list_tools()).tools}
                assert {"list_recent_emails", "get_email", "draft_email", "list_upcoming_events"} <= set(tools)
                listed = await client.call_tool("list_recent_emails", {"max_results": 3})
                ids = [message["id"] for message in listed.structured_content["messages"]]
                mails = await asyncio.gather(*(client.call_tool("get_email", {"id": identity}) for identity in ids))
                assert [mail.structured_content["id"] for mail in mails] == ids
                failed = await client.call_tool("get_email", {"id": "no-such-mail"})
                assert failed.is_error and "external_api_error" in failed.content[0].text
                with pytest.raises(mcp.MCPError) as caught:
                    await client.call_tool("no_such_tool", {})
                assert caught.value.error.code == -32602

    asyncio.run(asyncio.wait_for(conversation(), 60))


def test_the_commands_of_the_page(built):
    """docs/mcp.md: a session, then a call, with curl."""
    page = (paths.ROOT / "docs/mcp.md").read_text(encoding="utf-8")
    opening, calling = re.findall(r"^```sh\n(.*?)^```$", page, re.S | re.M)
    home = PuppetHome()
    try:
        environment = dict(os.environ, HOME=str(home.base / "user"))
        (home.base / "user/.aileron").symlink_to(home.path)
        opened = subprocess.run(["sh", "-ec", opening], env=environment, capture_output=True, text=True, check=True)
        environment |= {"TOKEN": json.loads(opened.stdout)["token"], "URL": home.discovery()["url"].rstrip("/")}
        assert (home.path / "daemon.url").read_text().strip().rstrip("/") == environment["URL"]
        listed = subprocess.run(["sh", "-ec", calling], env=environment, capture_output=True, text=True, check=True)
        assert json.loads(listed.stdout)["result"] == {"tools": []}
    finally:
        home.close()
