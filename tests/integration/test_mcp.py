"""The agent's door: aileron-mcp line by line, and with the official Python client."""
import asyncio
import concurrent.futures
import contextlib
import json
import pathlib
import socket
import subprocess
import time

import mcp
import pytest

from tests.conftest import make_probe_home
from tests.rig import paths
from tests.rig.home import alive
from tests.rig.ports import wait_for
from tests.rig.probing import args_of, envelope
from tests.rig.puppet import PuppetHome
from tests.rig.relay import Relay


def test_the_tools_are_there_at_once(probe_home):
    started = time.monotonic()
    with Relay(probe_home) as relay:
        tools = relay.tools()
        took = time.monotonic() - started
    assert took < 1.0, f"{took:.2f} s"
    assert set(tools) == {"probe", "probe_once", "probe_sure", "probe_read", "probe_chain"}
    server = relay.initialized
    assert server["protocolVersion"] == "2025-11-25" and server["serverInfo"]["name"] and "tools" in server["capabilities"]


def test_what_a_tool_says_of_itself(probe_home):
    with Relay(probe_home) as relay:
        tools = relay.tools()
    schema = tools["probe_chain"]["inputSchema"]
    assert schema["type"] == "object" and schema["additionalProperties"] is False
    assert schema["required"] == ["first", "second"]
    assert schema["properties"]["first"] == {"type": "string", "description": "what the first step prints, base64url"}
    assert tools["probe"]["inputSchema"]["properties"]["calls"]["items"] == {"type": "string"}
    assert not tools["probe"]["inputSchema"].get("required")
    assert "Prints twice." in tools["probe_chain"]["description"]
    for name, read_only, idempotent in (("probe", False, False), ("probe_once", False, False), ("probe_sure", False, True),
                                        ("probe_read", True, False)):
        annotations = tools[name]["annotations"]
        assert annotations["readOnlyHint"] is read_only and annotations["idempotentHint"] is idempotent, name
        assert annotations["destructiveHint"] is False and annotations["openWorldHint"] is True


def test_a_call(probe_home, hostile):
    mark = hostile.mark()
    with Relay(probe_home) as relay:
        result = relay.call("probe", args_of(envelope("https://evil.test/do/ok", credential="api_key")))
    assert not result.get("isError")
    assert result["structuredContent"]["results"][0]["status"] == 200
    assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
    assert hostile.since(mark)[0].header("authorization")


def test_a_failure_is_told_in_words(probe_home):
    with Relay(probe_home) as relay:
        result = relay.call("probe", args_of(envelope("https://elsewhere.test/do/ok")))
        bad = relay.call("probe", {"nosuch": 1})
    assert result["isError"] is True
    text, failure = result["content"][0]["text"], result["structuredContent"]
    failure = failure.get("error", failure)
    assert failure["class"] == "capability_denied" and failure["audit_id"] in text and "capability_denied" in text
    assert bad["isError"] is True and "bad_input" in bad["content"][0]["text"] and "nosuch" in bad["content"][0]["text"]


def test_protocol_errors(probe_home):
    relay = Relay(probe_home)
    try:
        assert relay.request("tools/call", {"name": "no_such_tool", "arguments": {}})["error"]["code"] == -32602
        assert relay.request("tools/call", {"arguments": {}})["error"]["code"] == -32602
        assert relay.request("tools/call", {"name": "probe", "arguments": []})["error"]["code"] == -32602
        assert relay.request("no/such")["error"]["code"] == -32601
        assert relay.request("ping")["result"] == {}
        for text, code in (("{broken", -32700), ("[]", -32600), ('"text"', None), ('{"jsonrpc":"1.0","id":77,"method":"ping"}', -32600),
                           ('{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600), ('{"jsonrpc":"2.0","id":77}', -32600),
                           ('{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', None), ("[" * 200 + "]" * 200, None)):
            relay.send(text)
            error = relay.receive()["error"]
            assert error["code"] == code if code else error["code"] in (-32700, -32600), (text, error)
        assert relay.request("ping")["result"] == {}, "the connection lives on"
    finally:
        relay.end()


@pytest.mark.parametrize(("asked", "given"), [("2025-11-25", "2025-11-25"), ("2025-06-18", "2025-06-18"),
                                              ("2025-03-26", None), ("2024-11-05", None), ("2099-01-01", "2025-11-25")])
def test_versions(probe_home, asked, given):
    with Relay(probe_home, initialize=False) as relay:
        answer = relay.request("initialize", {"protocolVersion": asked, "capabilities": {},
                                              "clientInfo": {"name": "rig", "version": "1"}})["result"]
    assert answer["protocolVersion"] == given if given else answer["protocolVersion"] in ("2025-06-18", "2025-11-25", asked)


def test_calls_run_side_by_side_and_answer_as_they_end(probe_home):
    with Relay(probe_home) as relay:
        started = time.monotonic()
        for number, seconds in ((101, 1.0), (102, 0.1), (103, 1.0)):
            relay.send({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {
                "name": "probe", "arguments": args_of(envelope(f"https://slow.test/do/slow/{seconds}"))}})
        order = [relay.receive()["id"] for _ in range(3)]
        assert order[0] == 102 and set(order) == {101, 102, 103}
        assert time.monotonic() - started < 2.5
        # A ping is answered while a call runs.
        relay.send({"jsonrpc": "2.0", "id": 104, "method": "tools/call", "params": {
            "name": "probe", "arguments": args_of(envelope("https://slow.test/do/slow/1"))}})
        assert relay.request("ping", timeout=0.8)["result"] == {}


def test_a_cancelled_wait_gets_no_answer(probe_home):
    relay = Relay(probe_home)
    try:
        relay.send({"jsonrpc": "2.0", "id": 201, "method": "tools/call", "params": {
            "name": "probe", "arguments": args_of(envelope("https://slow.test/do/slow/1"))}})
        relay.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 201, "reason": "tests"}})
        time.sleep(1.5)
        assert relay.request("ping")["id"] != 201
        started = time.monotonic()
        assert relay.close() == 0 and time.monotonic() - started < 2, "nobody waits for the answer of what was cancelled"
    finally:
        relay.end()


def test_the_list_changes(probe_home):
    with Relay(probe_home) as relay:
        assert relay.initialized["capabilities"]["tools"].get("listChanged") is True
        assert "probe_sure" in relay.tools()
        probe_home.cli("action", "disable", "probe-sure", check=0)
        try:
            assert relay.receive(5)["method"] == "notifications/tools/list_changed"
            assert "probe_sure" not in relay.tools()
            assert relay.request("tools/call", {"name": "probe_sure", "arguments": {}})["error"]["code"] == -32602
        finally:
            probe_home.cli("action", "enable", "probe-sure", check=0)


def test_a_session_of_its_own(probe_home):
    def sessions():
        return probe_home.cli("sessions", "list", "--json", check=0).json()["sessions"]

    before = {session["id"] for session in sessions()}
    with Relay(probe_home) as relay:
        relay.call("probe", args_of(stdout="{}"))
        [mine] = [session for session in sessions() if session["id"] not in before]
        assert mine["calls"] >= 1 and not mine.get("ended_at")
        assert probe_home.cli("sessions", "get", mine["id"], "--json", check=0).json()["id"] == mine["id"]
        assert probe_home.cli("sessions", "get", mine["id"][-8:], check=0)
        started = [event for event in probe_home.audit("--session", mine["id"])]
        assert {event["actor"]["type"] for event in started if event["event_type"].startswith("execution.")} == {"agent"}
    wait_for(lambda: [s for s in sessions() if s["id"] == mine["id"]][0].get("ended_at"), "the session's end with its client", 5)


def test_it_starts_the_daemon(home):
    with Relay(home) as relay:
        assert relay.tools() == {}
    home.remember()
    assert home.api("GET", "/v1/health").status == 200


def test_a_locked_vault_keeps_nobody_waiting(built, probe_folder, hostile_server, ca):
    """Greeting and list come in milliseconds; a call that needs a credential says what is missing."""
    home = make_probe_home(probe_folder, hostile_server, ca)
    try:
        home.cli("vault", "lock", check=0)
        environment, _ = given(home)
        took = []
        for _ in range(5):
            started = time.perf_counter()
            with Relay(home, environment=environment) as relay:
                assert "probe" in relay.tools()
                took.append(time.perf_counter() - started)
                result = relay.call("probe", args_of(envelope("https://evil.test/do/ok", credential="api_key")))
        assert min(took) < 0.05, took
        assert result["isError"] and "locked" in result["content"][0]["text"] and "othing was done" in result["content"][0]["text"]
    finally:
        home.close()


def test_it_ends_with_its_client(probe_home):
    relay = Relay(probe_home)
    assert relay.close() == 0


def given(home, **more):
    """A session as a launcher gives it: the environment of its relay."""
    session = home.api("POST", "/v1/sessions", {"agent": "launched", **more}).json()
    where = home.path / "agent/agent.sock"
    return {"AILERON_SESSION_TOKEN": session["token"], "AILERON_AGENT_SOCKET": str(where)}, session


def answer_to(relay, identity, timeout=20):
    """The answer, and the methods of the notifications before it."""
    told = []
    while "method" in (message := relay.receive(timeout)):
        told.append(message["method"])
    assert message["id"] == identity
    return message, told


def listens(path):
    with socket.socket(socket.AF_UNIX) as stream:
        return stream.connect_ex(str(path)) == 0


def crash(home):
    """The daemon dies with everything it has under way; the last of its threads takes the socket along."""
    home.remember()
    pid = home.pid()
    home.kill(pid)
    wait_for(lambda: not alive(pid) and not listens(home.path / "agent/agent.sock"), "its end")


def test_it_lives_through_a_restart_of_the_daemon(built, probe_folder, hostile_server, ca):
    home = make_probe_home(probe_folder, hostile_server, ca)
    try:
        with Relay(home) as relay:
            assert relay.tools()
            for number, end in enumerate((home.stop, lambda: crash(home))):
                end()
                relay.send({"jsonrpc": "2.0", "id": 901, "method": "tools/list"})
                home.start()
                answer, told = answer_to(relay, 901)
                assert len(answer["result"]["tools"]) == 5 and "notifications/tools/list_changed" in told
                # Another one each time: a daemon that is killed right behind an answer cannot know that it arrived.
                result = relay.call("probe", args_of(stdout=f'{{"output":{{"ok":{number}}}}}'))
                assert result["structuredContent"] == {"ok": number}
        sessions = home.cli("sessions", "list", "--json", check=0).json()["sessions"]
        assert len(sessions) == 1 and sessions[0]["ended_at"], sessions
    finally:
        home.close()


def test_a_call_that_a_dying_daemon_took_along(built, probe_folder, hostile_server, ca, hostile):
    """Its answer is honest, and it is not made a second time by ourselves."""
    home = make_probe_home(probe_folder, hostile_server, ca)
    mark = hostile.mark()
    try:
        with Relay(home) as relay:
            relay.send({"jsonrpc": "2.0", "id": "x\u00e9", "method": "tools/call", "params": {
                "name": "probe_once", "arguments": args_of(envelope("https://slow.test/do/slow/2", "POST"))}})
            wait_for(lambda: hostile.since(mark), "the request")
            crash(home)
            result = answer_to(relay, "x\u00e9", timeout=2)[0]["result"]
            assert result["isError"] is True
            text, failure = result["content"][0]["text"], result["structuredContent"]["error"]
            assert "probe_once" in text and "unknown whether this was carried out" in text and "Do not repeat" in text
            assert failure["details"]["outcome"] == "unknown" and result["structuredContent"]["summary"] == text
            # While nobody is there: told at the call, after a moment's patience; nothing was done.
            started = time.monotonic()
            for _ in range(2):
                result = relay.call("probe", args_of(stdout="{}"))
                assert result["isError"] and "Nothing was done" in result["content"][0]["text"]
                assert "aileron daemon start" in result["structuredContent"]["summary"]
            assert time.monotonic() - started < 5
            assert relay.request("tools/list")["error"]["code"] == -32003
            assert not alive(home.pid()), "a daemon that somebody stopped stays stopped"
            home.start()
            assert not relay.call("probe", args_of(stdout='{"output":{}}')).get("isError")
        assert len(hostile.since(mark)) == 1
    finally:
        home.close()


def test_a_launched_relay_waits_for_its_daemon(home):
    """It is greeted at once although nobody is there, and the tools come when the daemon does."""
    home.start()
    environment, session = given(home)
    home.stop()
    with Relay(home, environment=environment) as relay:
        assert relay.initialized["protocolVersion"] == "2025-11-25"
        assert relay.request("tools/list")["error"]["message"]
        home.start()
        assert relay.receive()["method"] == "notifications/tools/list_changed"
        assert relay.tools() == {}
        home.api("POST", f"/v1/sessions/{session['session_id']}/end")
        assert relay.request("ping")["error"]["code"] == -32001
        result = relay.request("tools/list")
        assert "unknown or ended session" in result["error"]["message"]


def test_a_launched_relay_needs_a_session(home):
    home.start()
    environment, _ = given(home)
    for change in ({"AILERON_SESSION_TOKEN": "ags_wrong"}, {"AILERON_AGENT_SOCKET": ""}, {"AILERON_SESSION_TOKEN": "a\nb"}):
        relay = Relay(home, initialize=False, environment={**environment, **change})
        assert relay.process.wait(5) == 1
        assert b"session" in relay.process.stderr.read()
        relay.close()


def test_it_is_quick_and_small(home):
    """From its start to a greeting by a daemon that runs: the program itself has no time to lose, so neither has the agent."""
    home.start()
    environment, _ = given(home)
    assert paths.RELAY.stat().st_size < 1 << 20
    hello = (json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}}) + "\n").encode()
    took = []
    for _ in range(20):
        started = time.perf_counter()
        process = subprocess.Popen([paths.RELAY], env={**home.environment, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process.stdin.write(hello)
        process.stdin.flush()
        assert b'"result"' in process.stdout.readline()
        took.append(time.perf_counter() - started)
        process.communicate()
    assert min(took) < 0.02, took


def agent_socket(home, first, *lines):
    """Talks to agent.sock itself: the token line, then messages; what came back until it was closed or fell silent."""
    path = home.path / "agent/agent.sock"
    if not path.exists():
        path = pathlib.Path(home.discovery()["socket"]).parent / "agent/agent.sock"
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(3)
        stream.connect(str(path))
        stream.sendall(first)
        out = b""
        try:
            with contextlib.suppress(BrokenPipeError):  # it has spoken, and does not listen any more
                for line in lines:
                    stream.sendall(line)
            while part := stream.recv(65536):
                out += part
                if out.endswith(b"\n") and lines:
                    break
        except (TimeoutError, ConnectionResetError, BrokenPipeError):
            pass
        return out


PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n'


def test_the_socket_wants_a_token_first(probe_home):
    token = probe_home.api("POST", "/v1/sessions", {"agent": "tests"}).json()["token"].encode()
    assert b'"result"' in agent_socket(probe_home, token + b"\n", PING)
    owner = probe_home.discovery()["token"].encode()
    for first in (b"\n", b"wrong\n", PING, owner + b"\n", token[:-1] + b"\n", b"x" * 100_000 + b"\n"):
        assert b'"result"' not in agent_socket(probe_home, first, PING), first[:40]


def test_the_end_of_a_session_ends_its_token(probe_home):
    session = probe_home.api("POST", "/v1/sessions", {"agent": "tests"}).json()
    probe_home.api("POST", f"/v1/sessions/{session['session_id']}/end")
    assert b'"result"' not in agent_socket(probe_home, session["token"].encode() + b"\n", PING)
    assert probe_home.api("GET", "/v1/actions", token=session["token"], door="tcp").status == 401


def test_a_token_outlives_a_restart(built, probe_folder, hostile_server, ca):
    home = make_probe_home(probe_folder, hostile_server, ca)
    try:
        session = home.api("POST", "/v1/sessions", {"agent": "tests"}).json()
        home.stop()
        home.start()
        assert home.api("GET", "/v1/actions", token=session["token"], door="tcp").status == 200
        for path in home.path.rglob("*"):
            assert not path.is_file() or session["token"].encode() not in path.read_bytes(), path
    finally:
        home.close()


def test_a_session_has_so_many_places(built):
    """An agent that leaks connections harms itself: another session, and its own once it lets go, are heard."""
    home = PuppetHome()
    try:
        tokens = [home.api("POST", "/v1/sessions", {"agent": "tests"}).json()["token"].encode() for _ in range(2)]
        held = []
        for _ in range(64):
            stream = socket.socket(socket.AF_UNIX)
            stream.settimeout(5)
            stream.connect(str(home.path / "agent/agent.sock"))
            stream.sendall(tokens[0] + b"\n" + PING)
            assert b'"result"' in stream.recv(65536)
            held.append(stream)
        refused = agent_socket(home, tokens[0] + b"\n", PING)
        assert b'"error"' in refused and b"too many connections" in refused, refused
        assert b'"result"' in agent_socket(home, tokens[1] + b"\n", PING)
        held.pop().close()
        wait_for(lambda: b'"result"' in agent_socket(home, tokens[0] + b"\n", PING), "a place")
        for stream in held:
            stream.close()
    finally:
        home.close()


def test_an_endless_line_is_cut_off(probe_home):
    token = probe_home.api("POST", "/v1/sessions", {"agent": "tests"}).json()["token"].encode()
    out = agent_socket(probe_home, token + b"\n", b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * (3 << 20))
    assert b'"result"' not in out
    assert probe_home.api("GET", "/v1/health").status == 200


# --- the official client

def stdio(home):
    return mcp.StdioServerParameters(command=str(paths.RELAY), env=home.environment, cwd=str(home.base))


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_the_official_client_reads_mail(google_home, mode):
    async def conversation():
        async with mcp.Client(stdio(google_home), mode=mode, read_timeout_seconds=20) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert {"list_recent_emails", "get_email", "draft_email", "list_upcoming_events"} <= set(tools)
            assert tools["get_email"].annotations.read_only_hint is True
            listed = await client.call_tool("list_recent_emails", {"max_results": 3})
            assert not listed.is_error and len(listed.structured_content["messages"]) == 3
            identity = listed.structured_content["messages"][0]["id"]
            mail = await client.call_tool("get_email", {"id": identity, "format": "full"})
            assert not mail.is_error and mail.structured_content["id"] == identity
            failed = await client.call_tool("get_email", {"id": "no-such-mail"})
            assert failed.is_error and "external_api_error" in failed.content[0].text
            with pytest.raises(mcp.MCPError) as caught:
                await client.call_tool("no_such_tool", {})
            assert caught.value.error.code == -32602

    asyncio.run(asyncio.wait_for(conversation(), 60))


def test_the_official_client_calls_in_parallel(google_home):
    async def conversation():
        async with mcp.Client(stdio(google_home), read_timeout_seconds=20) as client:
            listed = await client.call_tool("list_recent_emails", {})
            ids = [message["id"] for message in listed.structured_content["messages"]]
            mails = await asyncio.gather(*(client.call_tool("get_email", {"id": identity}) for identity in ids))
            assert [mail.structured_content["id"] for mail in mails] == ids

    asyncio.run(asyncio.wait_for(conversation(), 60))


def test_many_clients_at_once(probe_home):
    def one(_):
        with Relay(probe_home) as relay:
            return relay.call("probe", args_of(stdout='{"output":{"ok":true}}'))["structuredContent"]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(24))) == [{"ok": True}] * 24
