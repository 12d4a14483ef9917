"""Attacks on the web app from other pages of the very browser that is signed in."""
import http.server
import threading

import pytest

from tests.rig.chromium import SignedIn, url_of
from tests.rig.home import Home


@pytest.fixture(scope="module")
def home(built):
    made = Home()
    made.start()
    yield made
    made.close()


class Elsewhere:
    """A server on another port of 127.0.0.1, with one page."""

    def __init__(self, body):
        page = body.encode()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
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


ATTACK = """<title>waiting</title><body>
<form id="f" method="post" action="@/v1/stop" enctype="text/plain" target="t"><input name='{"a":"' value='"}'></form>
<iframe name="t"></iframe><iframe id="frame" src="@/approvals"></iframe><img id="img" src="@/icon.svg"><script>
const got = {};
const attempt = async (name, fn) => { try { got[name] = await fn(); } catch (error) { got[name] = "refused"; } };
addEventListener("load", async () => {
  await attempt("read", async () => (await fetch("@/v1/status")).status);
  await attempt("page", async () => (await fetch("@/")).text());
  await attempt("opaque", async () => (await fetch("@/v1/stop", {method: "POST", mode: "no-cors", body: "{}"})).type);
  await attempt("login", async () => (await fetch("@/v1/web/login", {method: "POST", mode: "no-cors", body: '{"code":"x"}'})).type);
  await attempt("bearer", async () => (await fetch("@/v1/status", {headers: {Authorization: "Bearer x"}})).status);
  await attempt("import", async () => Object.keys(await import("@/js/api.js")).join());
  await attempt("worker", async () => { new SharedWorker("@/js/worker.js", "aileron-events"); return "made"; });
  await attempt("frame", async () => document.getElementById("frame").contentWindow.sessionStorage.length);
  await attempt("storage", async () => sessionStorage.length + localStorage.length);
  await attempt("image", async () => document.getElementById("img").naturalWidth);
  await attempt("socket", () => new Promise((done, fail) => {
    const s = new WebSocket("@/v1/events".replace("http", "ws")); s.onopen = () => done("open"); s.onerror = fail;
  }));
  document.getElementById("f").submit();
  await new Promise(done => setTimeout(done, 300));
  window.got = got; document.title = "done";
});
</script>"""


def test_another_port_gets_nothing(home, browser):
    """In the very browser that is signed in: another origin can neither read nor drive anything."""
    with SignedIn(browser, home, "/approvals") as tab, Elsewhere(ATTACK.replace("@", url_of(home))) as elsewhere:
        other = tab.context.new_page()
        other.goto(elsewhere.url)
        other.wait_for_function("document.title === 'done'")
        got = other.evaluate("got")
        for name in ("read", "page", "bearer", "import", "worker", "frame", "socket"):
            assert got[name] == "refused", got
        assert got["storage"] == 0 and got["image"] == 0, got
        assert home.api("GET", "/v1/status").status == 200, "nobody stopped the daemon"
        framed = [frame for frame in other.frames if frame.url.startswith(url_of(home) + "/approvals")]
        assert all(not frame.locator("nav").count() for frame in framed)
        # A window that the attacker opens is another one's: no handle back.
        with tab.context.expect_page() as opened:
            other.evaluate(f"window.victim = window.open('{url_of(home)}/approvals')")
        opened.value.wait_for_load_state()
        assert other.evaluate("victim.closed") is True
        assert opened.value.evaluate("window.opener") is None
