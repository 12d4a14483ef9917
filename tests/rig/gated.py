"""Gated actions on the probe connector, in front of the hostile provider: what they send and what their preview reads is the test's."""
import threading
import time

from .home import b64u
from .probing import envelope

LOOK = "https://evil.test/look"
ACT = "https://evil.test/do/echo"

HEAD = """+++
name = "NAME"
version = "1.0.0"

[[requires.connectors]]
name = "local://probe"
version = "1.0.0"
hash = "@@HASH@@"
capabilities = ["act", "look"]

[match]
intent = "tests of approvals"

[[inputs]]
name = "calls"
type = "array"
items_type = "string"
label = "Requests"
description = "request envelopes, base64url"
required = false

[[inputs]]
name = "note"
type = "string"
label = "Note"
description = "what it is about"
required = false

[[inputs]]
name = "sleep_ms"
type = "integer"
description = "see probe.c"
required = false

[[inputs]]
name = "look"
type = "string"
description = "the preview's request envelope, base64url"
required = false

[[execute]]
id = "act"
connector = "local://probe"
op = "OP"
"""

TAIL = """
+++
# NAME

Sends what it is told to.
"""

PREVIEW = """
[approval.preview]
op = "look"
args = { calls = ["${args.look}"] }
multiline = ["Body"]

[approval.preview.render]
Status = "results.0.status"
Body = "results.0.body"
Missing = "results.0.nothing"
"""

# name → its text
ACTIONS = {
    "gated": HEAD + 'idempotent = false\n\n[approval]\nrequired = true\nkind = "comms_send"\n' + TAIL,
    "gated-seen": HEAD + "idempotent = false\n\n[approval]\nrequired = true\n" + PREVIEW + TAIL,
    "gated-again": HEAD + "idempotent = true\n\n[approval]\nrequired = true\n" + TAIL,
    "once": HEAD + "idempotent = false\n" + TAIL,
    "looks": HEAD.replace('"OP"', '"look"') + "idempotent = true\n" + TAIL,
}


def action_text(name, version="1.0.0"):
    return ACTIONS[name].replace("NAME", name).replace('"OP"', '"act"').replace('version = "1.0.0"', f'version = "{version}"', 1)


def install_gated(home, *names):
    """Installs the actions above (all of them) into a home with the probe connector."""
    for name in names or ACTIONS:
        path = home.base / f"{name}.md"
        path.write_text(action_text(name))
        home.cli("action", "add", "--local", path, check=0)


def effect(mark="x", url=ACT):
    """Arguments whose execution the provider sees as one POST with this body."""
    return {"calls": [b64u(envelope(url, "POST", body=mark))]}


def looking(mark="x", look=LOOK):
    """The same for `gated-seen`: the preview reads `look`."""
    return {**effect(mark), "look": b64u(envelope(look))}


def effects(hostile, mark=0):
    """The bodies of what was posted since a mark, in order."""
    return [request.body.decode() for request in hostile.since(mark) if request.method == "POST"]


class Session:
    """An agent's session over HTTP."""

    def __init__(self, home, agent="tester", **more):
        answer = home.api("POST", "/v1/sessions", {"agent": agent, **more})
        assert answer.status == 201, answer
        self.home, self.id, self.token = home, answer.json()["session_id"], answer.json()["token"]

    def run(self, name, args=None, wait=0, key=None, timeout=30):
        headers = {"Prefer": f"wait={wait}"} if wait else {}
        if key:
            headers["Idempotency-Key"] = key
        return self.home.api("POST", f"/v1/actions/{name}/run", {"args": args or {}}, token=self.token, headers=headers, timeout=timeout)

    def ask(self, name, args=None, **more):
        """A call that must park: the approval's id."""
        answer = self.run(name, args, **more)
        assert answer.status == 202, answer
        body = answer.json()
        assert body["status"] == "pending_approval" and body["review_url"].endswith("/approvals/" + body["approval_id"])
        return body["approval_id"]

    def result(self, approval, wait=0):
        headers = {"Prefer": f"wait={wait}"} if wait else {}
        return self.home.api("GET", f"/v1/approvals/{approval}/result", token=self.token, headers=headers)

    def in_background(self, name, args=None, wait=30, **more):
        """A call that waits in a thread: `.join()` gives its answer."""
        return Background(lambda: self.run(name, args, wait=wait, timeout=wait + 15, **more))


class Background:
    def __init__(self, function):
        self._answer = None
        self._thread = threading.Thread(target=self._go, args=(function,), daemon=True)
        self._thread.start()

    def _go(self, function):
        try:
            self._answer = function()
        except Exception as error:
            self._answer = error

    def join(self, timeout=60):
        self._thread.join(timeout)
        assert not self._thread.is_alive(), "it did not answer"
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def approval(home, ident):
    answer = home.api("GET", f"/v1/approvals/{ident}")
    assert answer.status == 200, answer
    return answer.json()


def approvals(home, status=None):
    answer = home.api("GET", "/v1/approvals" + (f"?status={status}" if status else ""))
    assert answer.status == 200, answer
    return answer.json()["approvals"]


def decide(home, ident, approved=True, **more):
    return home.api("POST", f"/v1/approvals/{ident}/decide", {"approved": approved, **more})


def wait_state(home, ident, *states, seconds=15):
    """The approval once it is in one of these states."""
    end = time.monotonic() + seconds
    while True:
        found = approval(home, ident)
        if found["state"] in states:
            return found
        assert time.monotonic() < end, f"{ident} is {found['state']}, not {states}"
        time.sleep(0.02)
