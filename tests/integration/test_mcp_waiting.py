"""Actions that a person must approve, as an agent sees them: over the relay and over HTTP, until its client gives up and after."""
import asyncio
import json
import time

import httpx2
import mcp
import pytest
from mcp.client.streamable_http import streamable_http_client

from tests.conftest import make_gated_home
from tests.rig import paths
from tests.rig.gated import action_text, approval, approvals, decide, effect, effects, wait_state
from tests.rig.ports import wait_for
from tests.rig.relay import Relay
from tests.rig.streamable import EVENTS, JSON, Streamable


@pytest.fixture(scope="module")
def gated_home(built, probe_folder, hostile_server, ca):
    made = make_gated_home(probe_folder, hostile_server, ca)
    yield made
    made.close()


class OverRelay:
    """A call over stdio."""

    def __init__(self, home):
        self.home, self.relay = home, Relay(home)
        self.number = 100

    def start(self, name, arguments, token=None):
        self.number += 1
        params = {"name": name, "arguments": arguments}
        if token is not None:
            params["_meta"] = {"progressToken": token}
        self.relay.send({"jsonrpc": "2.0", "id": self.number, "method": "tools/call", "params": params})
        return self.number

    def message(self, call):
        return self.relay.receive()

    def result(self, call):
        while True:
            message = self.relay.receive(30)
            if message.get("id") == call:
                return message["result"]

    def cancel(self, call):
        self.relay.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": call}})

    def leave(self, call):
        self.relay.process.kill()

    def tools(self):
        return self.relay.tools()

    def call(self, name, arguments=None):
        return self.relay.call(name, arguments)

    def close(self):
        self.relay.close()


class OverHttp:
    """The same over Streamable HTTP."""

    def __init__(self, home):
        self.home, self.client = home, Streamable(home)

    def start(self, name, arguments, token=None):
        reply = self.client.start(name, arguments, token)
        reply.number = self.client._next
        return reply

    def message(self, call):
        return call.message()

    def result(self, call):
        return call.answer()["result"]

    def cancel(self, call):
        assert self.client.notify("notifications/cancelled", {"requestId": call.number}) == 202

    def leave(self, call):
        call.close()

    def tools(self):
        return self.client.tools()

    def call(self, name, arguments=None):
        return self.client.call(name, arguments)

    def close(self):
        pass


@pytest.fixture(params=[OverRelay, OverHttp])
def agent(request, gated_home):
    made = request.param(gated_home)
    yield made
    made.close()


def newest(home, known):
    return wait_for(lambda: next((row["id"] for row in approvals(home, "pending") if row["id"] not in known), None), "a card")


def pending_ids(home):
    return {row["id"] for row in approvals(home, "pending")}


def test_the_tools_say_it(agent):
    tools = agent.tools()
    gated, status = tools["gated"], tools["check_action_status"]
    assert gated["annotations"] == {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": True}
    assert "approv" in gated["description"]
    assert set(status["annotations"]) == {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}
    assert status["inputSchema"]["required"] == ["approval_id"] and status["annotations"]["readOnlyHint"] is True


def test_a_call_waits_and_says_for_what(agent, gated_home, hostile):
    mark, known = hostile.mark(), pending_ids(gated_home)
    call = agent.start("gated", effect("waits"), token="tok")
    ident = newest(gated_home, known)
    progress = agent.message(call)
    assert progress["method"] == "notifications/progress" and progress["params"]["progressToken"] == "tok"
    url = approval(gated_home, ident)["review_url"]
    assert progress["params"]["message"] == f"Waiting for your approval: gated · {url} · aileron approval approve {ident}"
    assert not effects(hostile, mark)
    decide(gated_home, ident)
    result = agent.result(call)
    assert not result.get("isError") and result["structuredContent"]["results"][0]["status"] == 200
    assert effects(hostile, mark) == ["waits"]
    assert approval(gated_home, ident)["collected_at"]


def test_a_denial_is_told_in_words(agent, gated_home, hostile):
    mark, known = hostile.mark(), pending_ids(gated_home)
    call = agent.start("gated", effect("denied"))
    decide(gated_home, newest(gated_home, known), approved=False, reason="not on a Sunday")
    result = agent.result(call)
    text = result["content"][0]["text"]
    assert result["isError"] is True and "denied" in text and "othing was done" in text and "not on a Sunday" in text
    assert result["structuredContent"]["error"]["class"] == "approval_denied" and result["structuredContent"]["summary"] == text
    assert not effects(hostile, mark)


@pytest.mark.parametrize("how", ["cancel", "leave"])
def test_who_gives_up_ends_only_the_wait(agent, gated_home, hostile, how):
    mark, known = hostile.mark(), pending_ids(gated_home)
    mine = f"{how} {type(agent).__name__}"
    call = agent.start("gated", effect(mine))
    ident = newest(gated_home, known)
    assert approval(gated_home, ident)["client_gone"] is False
    getattr(agent, how)(call)
    wait_for(lambda: approval(gated_home, ident)["client_gone"], "the client's end to be seen")
    decide(gated_home, ident)
    done = wait_state(gated_home, ident, "completed")
    assert effects(hostile, mark) == [mine] and not done.get("collected_at")
    if how == "leave" and isinstance(agent, OverRelay):
        return  # its session went with it
    result = agent.call("check_action_status", {"approval_id": ident})
    assert not result.get("isError") and result["structuredContent"]["results"][0]["status"] == 200
    assert effects(hostile, mark) == [mine] and approval(gated_home, ident)["collected_at"]


def test_collecting(agent, gated_home, hostile):
    """What is not there yet, what is somebody else's, what is no id."""
    mark, known = hostile.mark(), pending_ids(gated_home)
    call = agent.start("gated", effect("collected"))
    ident = newest(gated_home, known)
    result = agent.call("check_action_status", {"approval_id": ident})
    assert not result.get("isError") and result["structuredContent"]["status"] == "pending_approval"
    assert ident in result["content"][0]["text"] and "check_action_status" in result["content"][0]["text"]
    other = OverHttp(gated_home)
    for arguments in ({"approval_id": ident}, {"approval_id": "apr_00000000000000000000000000"}):
        assert other.call("check_action_status", arguments)["isError"] is True
    for arguments in ({}, {"approval_id": 1}, {"approval_id": "../" + ident}, {"approval_id": ident, "approved": True}):
        assert agent.call("check_action_status", arguments)["structuredContent"]["error"]["class"] == "bad_input"
    assert not effects(hostile, mark), "asking approves nothing"
    decide(gated_home, ident)
    assert not agent.result(call).get("isError")
    assert not agent.call("check_action_status", {"approval_id": ident}).get("isError")
    assert effects(hostile, mark) == ["collected"]


def test_the_same_call_again_is_the_same_approval(agent, gated_home, hostile):
    mark, known = hostile.mark(), pending_ids(gated_home)
    first = agent.start("gated", effect("twice"), token=1)
    ident = newest(gated_home, known)
    if isinstance(agent, OverHttp):
        first.close()
    else:
        agent.cancel(first)
    wait_for(lambda: approval(gated_home, ident)["client_gone"], "the client's end to be seen")
    second = agent.start("gated", effect("twice"), token=2)
    progress = agent.message(second)
    while progress["params"]["progressToken"] != 2:
        progress = agent.message(second)
    assert ident in progress["params"]["message"] and pending_ids(gated_home) == known | {ident}
    decide(gated_home, ident)
    assert not agent.result(second).get("isError") and effects(hostile, mark) == ["twice"]


def test_an_answer_without_a_stream(gated_home):
    """A client that takes JSON alone waits for its head, and its going is seen all the same."""
    client, known = Streamable(gated_home), pending_ids(gated_home)
    message = client.message("tools/call", {"name": "gated", "arguments": effect("json"), "_meta": {"progressToken": 1}})
    stream = client.connect()
    stream.sendall(client.head("POST", json.dumps(message).encode(), Accept=JSON))
    ident = newest(gated_home, known)
    decide(gated_home, ident)
    reply = client.read(stream)
    assert reply.type == JSON and not reply.json()["result"].get("isError")

    known = pending_ids(gated_home)
    message["params"]["arguments"] = effect("json gone")
    stream = client.connect()
    stream.sendall(client.head("POST", json.dumps(message).encode(), Accept=JSON))
    ident = newest(gated_home, known)
    stream.close()
    wait_for(lambda: approval(gated_home, ident)["client_gone"], "the client's end to be seen")


def test_the_api_sees_its_client_go(gated_home):
    client, known = Streamable(gated_home), pending_ids(gated_home)
    body = json.dumps({"args": effect("api gone")}).encode()
    stream = client.connect()
    head = client.head("POST", body, Accept=None, Prefer="wait=60").replace(b"/mcp", b"/v1/actions/gated/run", 1)
    stream.sendall(head)
    ident = newest(gated_home, known)
    assert approval(gated_home, ident)["client_gone"] is False
    stream.close()
    wait_for(lambda: approval(gated_home, ident)["client_gone"], "the client's end to be seen")
    decide(gated_home, ident, approved=False)


@pytest.mark.timeout(120)
def test_a_client_that_no_launcher_started_gets_the_pending_answer(gated_home, hostile):
    """After 45 s, on both doors at once; until then it hears every ten seconds what it waits for, and always further."""
    mark, started, calls = hostile.mark(), time.monotonic(), []
    for kind in (OverRelay, OverHttp):
        known = pending_ids(gated_home)
        agent = kind(gated_home)
        calls.append((agent, agent.start("gated", effect(f"late {kind.__name__}"), token=3), newest(gated_home, known)))
    known = pending_ids(gated_home)
    silent, changes = a_silent_call(gated_home), an_ended_stream(gated_home)
    of_silent = newest(gated_home, known)
    for agent, call, ident in calls:
        result, heard = None, []
        while result is None:
            message = agent.message(call)
            heard.append((time.monotonic(), message.get("params")))
            result = message.get("result")
        assert 40 < time.monotonic() - started < 55
        told = [params for _, params in heard[:-1]]
        assert len(told) == 5 and len({params["message"] for params in told}) == 1 and ident in told[0]["message"]
        assert [params["progress"] for params in told] == sorted({params["progress"] for params in told})
        if agent is calls[0][0]:
            assert all(5 < later - earlier < 12 for (earlier, _), (later, _) in zip(heard[:4], heard[1:5])), heard
        is_pending(gated_home, ident, result)
        decide(gated_home, ident)
        wait_state(gated_home, ident, "completed")
        assert not agent.call("check_action_status", {"approval_id": ident}).get("isError")
        agent.close()
    assert sorted(effects(hostile, mark)) == ["late OverHttp", "late OverRelay"]
    is_pending(gated_home, of_silent, silent.answer()["result"])
    assert silent.comments >= 2 and not silent.before, "no progress without a token, but signs of life"
    decide(gated_home, of_silent, approved=False)
    assert changes.message() is None


def is_pending(home, ident, result):
    body = approval(home, ident)
    assert not result.get("isError")
    assert result["structuredContent"] == {"status": "pending_approval", "approval_id": ident, "review_url": body["review_url"]}
    text = result["content"][0]["text"]
    assert ident in text and body["review_url"] in text and "check_action_status" in text


def a_silent_call(home):
    reply = Streamable(home, timeout=60).start("gated", effect("silent"))
    assert reply.type == EVENTS
    return reply


def an_ended_stream(home):
    """A stream of changes of a session that ends."""
    client = Streamable(home, timeout=60)
    stream = client.ask("GET")
    home.api("POST", f"/v1/sessions/{client.session['session_id']}/end")
    return stream


def test_a_limited_session(gated_home):
    """The tool that collects is there only when something it sees may wait."""
    limited = Streamable(gated_home, only=["probe*"])
    assert "check_action_status" not in limited.tools() and "gated" not in limited.tools()
    for name in ("gated", "check_action_status"):
        assert limited.start(name).json()["error"]["code"] == -32602
    assert limited.home.api("POST", "/v1/actions/gated/run", {"args": effect("only")}, token=limited.token).status in (403, 404)
    some = Streamable(gated_home, only=["gated"])
    assert set(some.tools()) == {"gated", "check_action_status"}


def test_its_name_is_taken(gated_home):
    """No action can pose as the tool by which results are collected."""
    path = gated_home.base / "check-action-status.md"
    path.write_text(action_text("once").replace('name = "once"', 'name = "check-action-status"'))
    refused = gated_home.cli("action", "add", "--local", path)
    assert refused.code == 1 and "check_action_status" in refused.err
    client = Streamable(gated_home)
    assert client.tools()["check_action_status"]["annotations"]["readOnlyHint"] is True


# --- the official client

@pytest.mark.parametrize("door", ["stdio", "http"])
def test_the_official_client_waits(gated_home, hostile, door):
    """It hears what it waits for and gets the answer; and over stdio it hears of tools that change."""
    mark, known, heard, told = hostile.mark(), pending_ids(gated_home), [], asyncio.Event()

    async def on_progress(progress, total, message):
        heard.append(message)

    async def on_message(message):
        if isinstance(message, mcp.types.ToolListChangedNotification):
            told.set()

    async def on_thread(function, *args):
        return await asyncio.get_running_loop().run_in_executor(None, function, *args)

    async def conversation(transport):
        async with mcp.Client(transport, read_timeout_seconds=30, mode="legacy", message_handler=on_message) as client:
            call = asyncio.create_task(client.call_tool("gated", effect(f"official {door}"), progress_callback=on_progress))
            ident = await on_thread(newest, gated_home, known)
            while not heard:
                await asyncio.sleep(0.05)
            assert ident in heard[0] and heard[0].startswith("Waiting for your approval: gated")
            await on_thread(decide, gated_home, ident)
            result = await call
            assert not result.is_error and result.structured_content["results"][0]["status"] == 200
            # Over HTTP this client opens its stream of changes only to servers with an Mcp-Session-Id.
            for word in ("disable", "enable") if door == "stdio" else ():
                told.clear()
                await on_thread(lambda word=word: gated_home.cli("action", word, "probe-sure", check=0))
                await asyncio.wait_for(told.wait(), 10)

    async def over_http():
        token = gated_home.api("POST", "/v1/sessions", {"agent": "official"}).json()["token"]
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=30) as http:
            url = gated_home.discovery()["url"].rstrip("/") + "/mcp"
            await conversation(streamable_http_client(url, http_client=http))

    stdio = mcp.StdioServerParameters(command=str(paths.RELAY), env=gated_home.environment, cwd=str(gated_home.base))
    asyncio.run(asyncio.wait_for(over_http() if door == "http" else conversation(stdio), 60))
    assert effects(hostile, mark) == [f"official {door}"]


def test_who_goes_while_collecting_has_not_collected(gated_home, hostile):
    """GET …/result waits too; an answer that nobody is there to take is kept for the next who asks."""
    client, mark = Streamable(gated_home), hostile.mark()
    answer = gated_home.api("POST", "/v1/actions/gated/run", {"args": effect("collect later")}, token=client.token)
    ident = answer.json()["approval_id"]
    path, stream = f"/v1/approvals/{ident}/result".encode(), client.connect()
    stream.sendall(client.head("GET", Accept=None, Prefer="wait=60").replace(b"/mcp", path, 1))
    time.sleep(0.2)
    stream.close()
    time.sleep(0.2)
    decide(gated_home, ident)
    done = wait_state(gated_home, ident, "completed")
    assert effects(hostile, mark) == ["collect later"] and not done.get("collected_at")
    assert not client.call("check_action_status", {"approval_id": ident}).get("isError")
    assert approval(gated_home, ident)["collected_at"]
