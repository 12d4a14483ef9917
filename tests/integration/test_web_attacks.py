"""Attacks on the web app: other pages of the very browser that is signed in, agents, replays, guesses. Nothing is read, decided or run."""
import http.server
import json
import threading

import pytest

from tests.conftest import make_probe_home
from tests.rig.chromium import CLICK_AT_ONCE, SignedIn, Tab, launch, new_code, url_of
from tests.rig.gated import Session, approval, effect, effects, install_gated, wait_state

APPROVE = "button.primary[aria-disabled=false]"


@pytest.fixture(scope="module")
def home(built, probe_folder, hostile_server, ca):
    made = make_probe_home(probe_folder, hostile_server, ca)
    install_gated(made, "gated")
    made.cli("config", "set", "approval.confirm", "never", check=0)
    yield made
    made.close()


@pytest.fixture
def session(home):
    return Session(home, folder="/work/project", confinement="fence")


class Elsewhere:
    """A server on another port of 127.0.0.1, with one page; it remembers what else it was asked for."""

    def __init__(self, body):
        page = body.encode()
        self.seen = seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append((self.path, dict(self.headers)))
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()


# @ is the address of the web app, % the approval that waits, $ its seal.
ATTACK = """<title>waiting</title><body>
<form id="f" method="post" action="@/v1/approvals/%/decide" enctype="text/plain" target="t">
<input name='{"approved":true,"seal":"$","x":"' value='"}'></form>
<iframe name="t"></iframe><iframe id="frame" src="@/approvals/%"></iframe><img id="img" src="@/icon.svg">
<link rel="stylesheet" href="@/app.css"><script src="@/js/text.js"></script><script>
const got = {};
const attempt = async (name, fn) => { try { got[name] = await fn(); } catch (error) { got[name] = "refused"; } };
const decide = (more) => fetch("@/v1/approvals/%/decide", {method: "POST", body: '{"approved":true,"seal":"$"}', ...more});
addEventListener("load", async () => {
  await attempt("read", async () => (await fetch("@/v1/approvals")).status);
  await attempt("with cookies", async () => (await fetch("@/v1/approvals", {credentials: "include"})).status);
  await attempt("page", async () => (await fetch("@/")).text());
  await attempt("decide", async () => (await decide({headers: {"Content-Type": "application/json"}})).status);
  await attempt("bearer", async () => (await decide({headers: {Authorization: "Bearer x"}})).status);
  await attempt("simple", async () => (await decide({})).status);
  await attempt("opaque", async () => (await decide({mode: "no-cors"})).type);
  await attempt("beacon", async () => navigator.sendBeacon("@/v1/approvals/%/decide", '{"approved":true,"seal":"$"}'));
  await attempt("stop", async () => (await fetch("@/v1/stop", {method: "POST", mode: "no-cors", body: "{}"})).type);
  await attempt("login", async () => (await fetch("@/v1/web/login", {method: "POST", mode: "no-cors", body: '{"code":"x"}'})).type);
  await attempt("import", async () => Object.keys(await import("@/js/api.js")).join());
  await attempt("worker", async () => { new SharedWorker("@/js/worker.js", "aileron-events"); return "made"; });
  await attempt("serviceworker", async () => { await navigator.serviceWorker.register("@/js/worker.js"); return "made"; });
  await attempt("frame", async () => document.getElementById("frame").contentWindow.sessionStorage.length);
  await attempt("storage", async () => sessionStorage.length + localStorage.length + document.cookie.length);
  await attempt("image", async () => document.getElementById("img").naturalWidth);
  await attempt("styles", async () => document.styleSheets[0] ? document.styleSheets[0].cssRules.length : 0);
  await attempt("socket", () => new Promise((done, fail) => {
    const s = new WebSocket("@/v1/events".replace("http", "ws")); s.onopen = () => done("open"); s.onerror = fail;
  }));
  await attempt("events", () => new Promise((done, fail) => {
    const s = new EventSource("@/v1/events"); s.onopen = () => done("open"); s.onerror = fail;
  }));
  await attempt("channel", () => new Promise((done, fail) => {
    const c = new BroadcastChannel("aileron-events"); c.onmessage = event => done(event.data); c.postMessage({key: null}); setTimeout(fail, 200);
  }));
  document.getElementById("f").submit();
  await new Promise(done => setTimeout(done, 300));
  window.got = got; document.title = "done";
});
</script>"""


def test_another_port_gets_nothing(home, browser, session, hostile):
    """In the very browser that is signed in, while something waits: another origin can neither read nor drive anything."""
    mark = hostile.mark()
    ident = session.ask("gated", effect("forged"))
    page = ATTACK.replace("@", url_of(home)).replace("%", ident).replace("$", approval(home, ident)["seal"])
    with SignedIn(browser, home, f"/approvals/{ident}") as tab, Elsewhere(page) as elsewhere:
        tab.page.wait_for_selector(APPROVE)
        other = tab.context.new_page()
        other.goto(elsewhere.url)
        other.wait_for_function("document.title === 'done'")
        got = other.evaluate("got")
        for name in ("read", "with cookies", "page", "decide", "bearer", "simple", "import", "worker", "serviceworker", "frame", "socket",
                     "events", "channel"):
            assert got[name] == "refused", (name, got)
        assert got["storage"] == 0 and got["image"] == 0 and got["styles"] in (0, "refused"), got
        framed = [frame for frame in other.frames if frame.url.startswith(url_of(home))]
        assert all(not frame.locator("nav, article").count() for frame in framed)
        assert home.api("GET", "/v1/status").status == 200, "nobody stopped the daemon"
        assert approval(home, ident)["state"] == "pending" and effects(hostile, mark) == []
        # A window that the attacker opens is another one's: no handle back, and no referrer of ours elsewhere.
        tab.context.add_init_script(CLICK_AT_ONCE)
        with tab.context.expect_page() as opened:
            other.evaluate(f"window.victim = window.open('{url_of(home)}/approvals/{ident}')")
        opened.value.wait_for_load_state()
        assert other.evaluate("victim.closed") is True and opened.value.evaluate("window.opener") is None
        # It was brought to the front by somebody else: a click that is on its way approves nothing.
        opened.value.wait_for_selector(APPROVE)
        assert opened.value.evaluate("clicked") == 1
        assert approval(home, ident)["state"] == "pending"
        assert all("Referer" not in headers or url_of(home) not in headers["Referer"] for _, headers in elsewhere.seen)


def test_another_name_for_this_address(home, playwright):
    """DNS rebinding: the browser holds a foreign name for 127.0.0.1 and is told so, page and API alike."""
    rebound = launch(playwright, int(url_of(home).rsplit(":", 1)[1]), "rebound.test")
    try:
        with Tab(rebound) as tab:
            answer = tab.page.goto("http://rebound.test/")
            assert answer.status == 403 and "answers only to its own name" in tab.page.inner_text("body")
            seen = tab.page.evaluate("""async () => [(await fetch("/v1/status")).status, (await fetch("/js/app.js")).status,
                (await fetch("/v1/web/login", {method: "POST", body: '{"code":"x"}', headers: {"Content-Type": "application/json"}})).status]""")
            assert seen == [403, 403, 403]
            tab.page.goto("about:blank")
            assert tab.page.goto(f"http://rebound.test/#code={new_code(home)}").status == 403
            assert tab.page.evaluate("sessionStorage.length") == 0
    finally:
        rebound.close()


def test_an_agents_token_signs_nobody_in(home, browser, session, hostile):
    """A page that was given an agent's token shows and decides nothing, also with requests of its own making."""
    mark = hostile.mark()
    ident = session.ask("gated", effect("by its own hand"))
    seal = approval(home, ident)["seal"]
    with Tab(browser) as tab:
        tab.page.goto(url_of(home))
        tab.page.evaluate("token => sessionStorage.setItem('aileron.key', token)", session.token)
        tab.page.goto(f"{url_of(home)}/approvals/{ident}")
        tab.page.wait_for_selector("main [role=alert]")
        assert tab.page.locator("article, button.primary").count() == 0
        answers = tab.page.evaluate("""async ([id, seal, token]) => { const all = {}; for (const [method, path, body] of [
            ["GET", "/v1/approvals"], ["GET", `/v1/approvals/${id}`], ["POST", `/v1/approvals/${id}/decide`, {approved: true, seal}],
            ["POST", `/v1/approvals/${id}/resolve`, {}], ["GET", "/v1/events"], ["GET", "/v1/audit"], ["GET", "/v1/bindings"],
            ["GET", "/v1/sessions"], ["GET", "/v1/config"], ["PATCH", "/v1/config", {"approval.confirm": "never"}],
            ["POST", "/v1/web/code", {}], ["PATCH", "/v1/actions/gated", {enabled: false}], ["POST", "/v1/stop", {}], ["POST", "/v1/vault/lock", {}],
            ["GET", "/v1/status"]]) all[method + " " + path] =
            (await fetch(path, {method, headers: {Authorization: `Bearer ${token}`, "Content-Type": "application/json"},
            body: body && JSON.stringify(body)})).status; return all; }""", [ident, seal, session.token])
        assert set(answers.values()) == {403}, answers
    assert approval(home, ident)["state"] == "pending" and effects(hostile, mark) == []


def test_replays_and_guesses(home, browser, session, hostile):
    mark = hostile.mark()
    ident = session.ask("gated", effect("once"))
    with SignedIn(browser, home, f"/approvals/{ident}") as tab:
        with tab.page.expect_request("**/decide") as sent:
            tab.page.click(APPROVE)
        wait_state(home, ident, "completed")
        again = """([path, body, key]) => fetch(path, {method: "POST", body, headers: {Authorization: `Bearer ${key}`,
            "Content-Type": "application/json"}}).then(answer => answer.status)"""
        body, key = sent.value.post_data, tab.page.evaluate("sessionStorage.getItem('aileron.key')")
        assert json.loads(body)["seal"].startswith("sha256:")
        assert [tab.page.evaluate(again, [f"/v1/approvals/{ident}/decide", body, key]) for _ in range(3)] == [409] * 3
        # The same decision, for another one that waits: its seal is another.
        other = session.ask("gated", effect("another"))
        assert tab.page.evaluate(again, [f"/v1/approvals/{other}/decide", body, key]) == 409
        for guess in (ident[:-1] + ("A" if ident[-1] != "A" else "B"), "apr_", "apr_%", "*", "..%2fstatus"):
            assert tab.page.evaluate(again, [f"/v1/approvals/{guess}/decide", body, key]) in (400, 404), guess
        tab.visit("/approvals/apr_01M8QTA8N00V2VMQ2D97079E57")
        tab.page.wait_for_selector("text=there is no such approval")
        assert tab.page.locator("article, button.primary").count() == 0
        for bad in ("agw_", key[:-1], key + "A", key.upper(), "null", ""):
            assert tab.page.evaluate(again, [f"/v1/approvals/{other}/decide", body, bad]) == 401, bad
        assert effects(hostile, mark) == ["once"] and approval(home, other)["state"] == "pending"


def test_secrets_of_signing_in_are_nowhere(home, browser, session):
    """Neither code nor key stands in an address, the history, a log, a receipt, a file of the home or what an agent is told."""
    waiting = session.run("gated", effect("told")).body
    assert "#" not in json.loads(waiting)["review_url"] and "code" not in json.loads(waiting)["review_url"]
    code = new_code(home)
    with Tab(browser) as tab:
        tab.page.goto(f"{url_of(home)}/approvals#code={code}")
        tab.page.wait_for_selector("nav")
        key = tab.page.evaluate("sessionStorage.getItem('aileron.key')")
        entries = tab.page.evaluate("performance.getEntriesByType('resource').map(one => one.name).join()")
        assert not [url for url in tab.requests if key in url or code in url]
        for text in (tab.page.url, entries, tab.page.content(), tab.page.evaluate("document.cookie + JSON.stringify({...localStorage})")):
            assert code not in text and key not in text
    for file in home.path.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert code.encode() not in data and key.encode() not in data, file
