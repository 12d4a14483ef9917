"""Many approvals at once, over kept connections, and what is left of them after a kill."""
import collections
import concurrent.futures
import http.client
import json

from .gated import effects


def kill_and_start(home):
    pid = home.pid()
    home.remember()
    home.kill(pid)
    home.start()


class Line:
    """One kept connection to the broker, for many requests in a row."""

    def __init__(self, home, token=None):
        where = home.discovery()
        self.connection = http.client.HTTPConnection("127.0.0.1", int(where["url"].rsplit(":", 1)[1].strip("/")), timeout=30)
        self.headers = {"Authorization": f"Bearer {token or where['token']}", "Content-Type": "application/json"}

    def ask(self, method, path, body=None):
        self.connection.request(method, path, json.dumps(body) if body is not None else None, self.headers)
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())


def park(home, session, name, arguments):
    """Parks them all over one connection: their ids in order."""
    line, idents = Line(home, session.token), []
    for args in arguments:
        status, body = line.ask("POST", f"/v1/actions/{name}/run", {"args": args})
        assert status == 202, body
        idents.append(body["approval_id"])
    return idents


def listed(home, status):
    """Every approval in this state, by id, page by page."""
    line, found, before = Line(home), {}, ""
    while True:
        code, page = line.ask("GET", f"/v1/approvals?status={status}&limit=1000{before}")
        assert code == 200, page
        found.update({one["id"]: one for one in page["approvals"]})
        if not page["more"]:
            return found
        before = f"&before={page['approvals'][-1]['id']}"


def seen(hostile, mark):
    return collections.Counter(effects(hostile, mark))


def approve_all(home, idents):
    """All at once, over a few connections."""
    def some(part):
        line = Line(home)
        return [line.ask("POST", f"/v1/approvals/{ident}/decide", {"approved": True})[0] for ident in part]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return [code for codes in pool.map(some, [idents[at::4] for at in range(4)]) for code in codes]
