"""The web app in Chromium: signing in, what each page shows, hostile strings, and attacks from other origins."""
import hashlib
import http.client
import http.server
import json
import re
import subprocess
import threading

import pytest

from tests.integration.test_browser import LOOKS, Tab, contrast, launch, luminance, playwright, shot  # noqa: F401
from tests.rig import paths
from tests.rig.home import Home
from tests.rig.ports import wait_for

WEB = paths.ROOT / "web"
PAGES = {"/": "Overview", "/approvals": "Approvals", "/actions": "Actions", "/bindings": "Accounts", "/audit": "Audit", "/sessions": "Sessions"}
HOSTILE = "<img src=x onerror=alert(1)> \u202egnp.exe \u200bzero p\u0430yp\u0430l"


@pytest.fixture(scope="module")
def browser(playwright):  # noqa: F811
    made = launch(playwright, 1)
    yield made
    made.close()


@pytest.fixture(scope="module")
def home(built):
    made = Home()
    made.start()
    yield made
    made.close()


def url_of(home):
    return home.discovery()["url"].rstrip("/")


def new_code(home):
    answer = home.api("POST", "/v1/web/code", {})
    assert answer.status == 201, answer
    return answer.json()["code"]


def login(home, code):
    return home.api("POST", "/v1/web/login", {"code": code}, token="", door="tcp")


def new_key(home):
    return login(home, new_code(home)).json()["key"]


class SignedIn(Tab):
    """A tab that was opened as `aileron open` does."""

    def __init__(self, browser, home, path="/", **options):
        super().__init__(browser, **options)
        self.home = home
        self.page.goto(f"{url_of(home)}{path}#code={new_code(home)}")
        self.page.wait_for_selector("nav")

    def visit(self, path):
        self.page.goto(url_of(self.home) + path)
        self.page.wait_for_selector("h1")


def until(tab, expression):
    """Waits without wait_for_function(), whose way of asking the page's policy forbids."""
    wait_for(lambda: tab.page.evaluate(expression), expression)


# --- codes and keys


def test_code_and_key(home):
    code = new_code(home)
    assert login(home, code[:-1] + ("A" if code[-1] != "A" else "B")).status == 401
    key = login(home, code).json()["key"]
    assert login(home, code).status == 401, "spent"
    assert home.api("GET", "/v1/status", token=key, door="tcp").status == 200
    assert home.api("GET", "/v1/status", token=key).status == 401, "a key counts on TCP only"
    assert home.api("GET", "/v1/status", token=code, door="tcp").status == 401, "a code is no key"
    assert home.api("POST", "/v1/web/code", {}, token=key, door="tcp").status == 403, "a key makes no codes"
    assert home.api("POST", "/v1/web/code", {}, door="tcp").status == 403, "nor does the owner's token"
    session = home.api("POST", "/v1/sessions", {"agent": "curious"}).json()
    assert home.api("POST", "/v1/web/code", {}, token=session["token"]).status == 403
    assert home.api("GET", "/v1/events", token=session["token"], door="tcp").status == 403
    assert home.api("GET", "/v1/events", token="", door="tcp").status == 401
    for text in (code, key):
        assert text not in home.log() and text not in json.dumps(home.audit_lines())


def test_guessing_is_slowed(built):
    """On a daemon of its own: the count is the daemon's. A right code is taken all the same."""
    made = Home()
    made.start()
    try:
        assert [login(made, f"guess{n}").status for n in range(12)] == [401] * 10 + [429] * 2
        assert login(made, new_code(made)).status == 201
    finally:
        made.close()


def test_headers_and_types(home):
    types = {"/": "text/html", "/approvals/apr_x": "text/html", "/js/app.js": "text/javascript", "/app.css": "text/css", "/icon.svg": "image/svg+xml"}
    for path, kind in types.items():
        answer = home.api("GET", path, token="", door="tcp")
        assert answer.status == 200 and answer.headers["Content-Type"].startswith(kind), path
        assert "'unsafe" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src")
        for name, value in {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
                            "Cross-Origin-Opener-Policy": "same-origin", "X-Frame-Options": "DENY"}.items():
            assert answer.headers[name] == value, path
        again = home.api("GET", path, token="", door="tcp", headers={"If-None-Match": answer.headers["ETag"]})
        assert again.status == 304 and not again.body
    for path in ("/index.htm", "/vendor/README", "/js/../app.css", "/js/", "/approvals/a/b", "/meson.build"):
        assert home.api("GET", path, token="", door="tcp").status in (400, 401, 404), path
    assert home.api("GET", "/", token="", door="tcp", headers={"Host": "evil.test"}).status == 403


def test_vendored_file_is_as_published():
    text = (WEB / "vendor/README").read_text()
    wanted = re.search(r"^sha256: ([0-9a-f]{64})$", text, re.M).group(1)
    assert hashlib.sha256((WEB / "vendor/htm/preact/standalone.module.js").read_bytes()).hexdigest() == wanted


def test_own_files_need_nothing_inline():
    for path in [*WEB.glob("*.html"), *WEB.glob("js/*.js")]:
        text = path.read_text()
        assert not re.search(r"innerHTML|dangerouslySet|eval\(|new Function|document\.write|javascript:", text), path
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=", text), path
        assert not re.search(r"https?://", text), path


def test_marks_of_text():
    """The function that makes deceptive text honest, in node."""
    script = f"import {{ parts, plain }} from '{WEB / 'js/text.js'}';" + r"""
        import assert from "node:assert";
        const kinds = text => parts(text).filter(part => part.kind).map(part => part.kind + " " + part.text);
        assert.deepEqual(parts("plain <b>text</b>\n\tas it is"), [{ text: "plain <b>text</b>\n\tas it is" }]);
        assert.deepEqual(parts(""), []);
        assert.deepEqual(kinds("a\u202eb"), ["unseen U+202E"]);
        assert.deepEqual(kinds("a\u200b\u2066\u{e0041}\x00\x7f\u0085\ud800"), ["unseen U+200B", "unseen U+2066", "unseen U+E0041", "unseen U+0000",
            "unseen U+007F", "unseen U+0085", "unseen U+D800"]);
        assert.deepEqual(kinds("\u00a0\u3164\u2800\ufe0f\r"), ["unseen U+00A0", "unseen U+3164", "unseen U+2800", "unseen U+FE0F", "unseen U+000D"]);
        assert.deepEqual(kinds("p\u0430ypal.com"), ["posing \u0430"]);
        assert.deepEqual(kinds("\u0430\u0440\u0440.example.com"), ["posing \u0430", "posing \u0440", "posing \u0440"]);
        assert.deepEqual(kinds("\uff41bc a\u2024b \ud835\udc00"), ["posing \uff41", "posing \u2024", "posing \ud835\udc00"]);
        assert.deepEqual(kinds("\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! caf\u00e9"), []);
        assert.deepEqual(kinds("\u65e5\u672c \u05e9\u05dc\u05d5\u05dd \u2026 \ud83d\ude00"), []);
        assert.equal(kinds("e" + "\u0301".repeat(9)).length, 6);
        assert.equal(parts("x\u202ey").map(part => part.text).join(""), "xU+202Ey");
        assert.equal(plain("a\u202e\nb"), "a‹U+202E› b");
        const big = "a\u200b".repeat(500000), start = Date.now();
        parts(big);
        assert.ok(Date.now() - start < 5000);
        """
    done = subprocess.run(["node", "--input-type=module", "-e", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


# --- in the browser


def test_signing_in(home, browser):
    with Tab(browser) as tab:
        tab.page.goto(url_of(home) + "/audit")
        assert "aileron open" in tab.page.inner_text("main") and tab.page.locator("nav").count() == 0
        code = new_code(home)
        tab.page.goto(f"{url_of(home)}/sessions#code={code}")
        # Only the fragment differs when the path is the same, so this was a new page.
        tab.page.wait_for_selector("nav")
        assert tab.page.url == f"{url_of(home)}/sessions", "the code left the address"
        assert not [url for url in tab.requests if code in url], "a fragment is not sent"
        assert tab.page.evaluate("Object.keys(localStorage).length + document.cookie.length") == 0
        key = tab.page.evaluate("sessionStorage.getItem('aileron.key')")
        assert key.startswith("agw_")
        tab.page.go_back()
        tab.page.wait_for_selector("h1")
        tab.page.go_forward()
        tab.page.wait_for_selector("nav")
        assert code not in tab.page.url
        assert tab.complaints == []
    with Tab(browser) as other:
        other.page.goto(f"{url_of(home)}/#code={code}")
        other.page.wait_for_selector("[role=alert]")
        assert "spent" in other.page.inner_text("main") and other.page.locator("nav").count() == 0


def test_pages_show_what_is(home, browser):
    home.api("POST", "/v1/sessions", {"agent": "worker bee", "folder": "/tmp/somewhere"})
    with SignedIn(browser, home) as tab:
        for path, title in PAGES.items():
            tab.visit(path)
            until(tab, f"document.querySelector('h1').textContent.startsWith('{title}') && document.title === '{title} · Aileron'")
        assert "worker bee" in tab.page.inner_text("main") and "/tmp/somewhere" in tab.page.inner_text("main")
        tab.visit("/")
        wait_for(lambda: "aileron vault init" in tab.page.inner_text("main"), "how to mend it")
        tab.visit("/audit")
        tab.page.wait_for_selector("ul.events li")
        assert "session.started" in tab.page.inner_text("ul.events")
        tab.page.fill("input[name=type]", "daemon.started")
        wait_for(lambda: "session.started" not in tab.page.inner_text("ul.events"), "the filter")
        tab.page.click("ul.events summary")
        wait_for(lambda: "aileron.daemon.pid" in tab.page.inner_text("ul.events pre"), "one event whole")
        tab.page.click("text=Check the chain")
        tab.page.wait_for_selector("text=/chain of \\d+ events is intact/")
        assert tab.complaints == []


def test_events_reach_the_page(home, browser):
    with SignedIn(browser, home, "/sessions") as tab:
        tab.page.wait_for_selector("h1")
        until(tab, "!document.querySelector('main > [role=status]').textContent")
        home.api("POST", "/v1/sessions", {"agent": "late riser"})
        tab.page.wait_for_selector("text=late riser", timeout=3000)


def test_hostile_strings(home, browser, tmp_path):
    home.api("POST", "/v1/sessions", {"agent": HOSTILE, "folder": "/x/<script>alert(2)</script>"})
    with SignedIn(browser, home, "/sessions") as tab:
        tab.page.on("dialog", lambda dialog: tab.complaints.append(dialog.message))
        tab.page.wait_for_selector("text=<img src=x")
        assert tab.page.locator("main img, main script").count() == 0
        marks = tab.page.locator("h2 .mark").all_inner_texts()
        assert marks == ["U+202E", "U+200B", "\u0430", "\u0430"]
        assert "\u202e" not in tab.page.inner_text("main") and "\u200b" not in tab.page.inner_text("main")
        shot(tab, "web-hostile", tmp_path)
        assert tab.complaints == []


@pytest.mark.parametrize("look", LOOKS)
def test_how_it_looks(home, browser, tmp_path, look):
    with SignedIn(browser, home, **LOOKS[look]) as tab:
        for path, title in PAGES.items():
            tab.visit(path)
            until(tab, "document.querySelector('main').textContent.length > 20")
            shot(tab, f"web-{title.lower()}-{look}", tmp_path)
            width = tab.page.evaluate("document.documentElement.scrollWidth")
            assert width <= LOOKS[look]["viewport"]["width"], f"{path} is {width} wide"
            assert tab.page.locator("h1").count() == 1
            ground, ink = (luminance(tab.page.evaluate(f"getComputedStyle(document.body).{what}")) for what in ("backgroundColor", "color"))
            assert contrast(ground, ink) >= 4.5 and (ground < 0.2) == (look == "dark")
        assert tab.complaints == []


def test_keyboard_alone(home, browser):
    with SignedIn(browser, home) as tab:
        tab.page.wait_for_selector("h1")
        for _ in range(12):
            tab.page.keyboard.press("Tab")
            if tab.page.evaluate("document.activeElement.textContent") == "Sessions":
                break
        tab.page.keyboard.press("Enter")
        wait_for(lambda: tab.page.url.endswith("/sessions"), "the page of sessions")
        wait_for(lambda: tab.page.evaluate("document.activeElement.id") == "title", "the focus on the new page")


def test_restart_under_the_page(built, browser):
    made = Home()
    made.start()
    try:
        with SignedIn(browser, made) as tab:
            until(tab, "!document.querySelector('main > [role=status]').textContent")
            made.stop()
            tab.page.wait_for_selector("text=aileron daemon start", timeout=3000)
            made.start()
            tab.page.wait_for_selector("text=aileron open", timeout=3000)
            assert tab.page.evaluate("sessionStorage.length") == 0, "a dead key is not kept"
    finally:
        made.close()


def test_streams_are_few_and_freed(home):
    """Thirty-two may watch; one that has gone makes room for the next."""
    key = new_key(home)
    port = int(url_of(home).rsplit(":", 1)[1])

    def watch():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/v1/events", headers={"Authorization": f"Bearer {key}"})
        return connection, connection.getresponse()

    def free():
        connection, answer = watch()
        opened.append((connection, answer))
        return answer.status == 200

    opened = []
    try:
        while free():
            assert len(opened) <= 32
        # A browser of an earlier test may still hold one for a moment.
        assert len(opened) >= 32 and opened[-1][1].status == 503
        home.api("POST", "/v1/sessions", {"agent": "seen by all"})
        for _, answer in opened[:-1]:
            lines = [answer.readline() for _ in range(5)]
            assert b"event: session\n" in lines, lines
        for connection, answer in opened:
            answer.close()
            connection.close()
        wait_for(free, "room for another")
    finally:
        for connection, answer in opened:
            answer.close()
            connection.close()


def test_actions(probe_home, browser, tmp_path):
    """What an action may do, its body, enabling and disabling; a switch that is thrown elsewhere moves here too."""
    name = probe_home.api("GET", "/v1/actions").json()["actions"][0]["name"]
    with SignedIn(browser, probe_home, "/actions") as tab:
        card = tab.page.get_by_role("article", name=f"Action {name}", exact=True)
        switch = card.get_by_role("switch")
        switch.wait_for()
        assert switch.get_attribute("aria-checked") == "true" and "local://probe" in card.inner_text()
        switch.focus()
        tab.page.keyboard.press("Space")
        wait_for(lambda: switch.get_attribute("aria-checked") == "false", "the switch")
        assert probe_home.api("GET", f"/v1/actions/{name}").json()["enabled"] is False
        probe_home.api("PATCH", f"/v1/actions/{name}", {"enabled": True})
        wait_for(lambda: switch.get_attribute("aria-checked") == "true", "the other's doing")
        card.locator("summary").click()
        wait_for(lambda: "What the agent reads" in card.inner_text() and "sha256:" in card.inner_text(), "the body")
        shot(tab, "web-action", tmp_path)
        assert tab.complaints == []


def test_accounts(probe_home, browser, tmp_path):
    with SignedIn(browser, probe_home, "/bindings") as tab:
        card = tab.page.get_by_role("article", name="Account api_key/probe/me")
        card.wait_for()
        wait_for(lambda: "active" in card.inner_text(), "its state")
        probe_home.cli("vault", "lock", check=0)
        wait_for(lambda: "aileron vault unlock" in card.inner_text(), "the command that mends it")
        shot(tab, "web-account", tmp_path)
        probe_home.unlock()
        wait_for(lambda: "active" in card.inner_text(), "its state")
        assert tab.complaints == []


def test_many_tabs(home, browser):
    """Ten tabs share one stream; one that comes without a key gets that of the others, and none outlives them."""
    with SignedIn(browser, home, "/sessions") as tab:
        tabs = [tab.context.new_page() for _ in range(9)]
        for page in tabs:
            page.goto(url_of(home) + "/sessions")
            page.wait_for_selector("nav")
        home.api("POST", "/v1/sessions", {"agent": "seen in all tabs"})
        for page in [tab.page, *tabs]:
            page.wait_for_selector("text=seen in all tabs", timeout=3000)
    with Tab(browser) as stranger:
        stranger.page.goto(url_of(home) + "/sessions")
        stranger.page.wait_for_selector("text=aileron open")
        assert stranger.page.locator("nav").count() == 0


# --- the approvals page before a stand-in of the API

CARD = {
    "id": "apr_01JABCDEFGHJKMNPQRSTVWXYZ0", "state": "pending", "session_id": "ses_1", "agent": HOSTILE, "folder": "/home/x", "action": "send-mail",
    "version": "1.0.0", "action_hash": "sha256:" + "a" * 64, "kind": "send", "badge": "COMMS SEND", "title": "Send \u202email",
    "binding": "oauth2/google/me",
    "connector": {"fqn": "github://a/b", "version": "1.2.3", "hash": "sha256:" + "b" * 64}, "requested_at": "2026-01-01T00:00:00.000Z",
    "expires_at": "2026-01-02T00:00:00.000Z", "seal": "sha256:" + "c" * 64, "needs_ticket": False, "client_gone": False,
    "preview": {"state": "available",
                "pairs": [["To", "p\u0430ul@example.com"], ["Body", "line 1\nline 2 <b>no</b>"]], "multiline": ["Body"]},
    "inputs": [["To", "x"]], "arguments": [{"op": "send", "args": {"to": "x", "raw": "A" * 1000000}}], "review_url": "",
}


def stand_in(tab, decided, answer):
    """Answers the approvals API in this tab."""
    state = {"card": dict(CARD)}

    def serve(route):
        request = route.request
        if request.method == "POST":
            decided.append(request.post_data_json)
            status, body, state["card"] = answer(dict(state["card"]), request.post_data_json)
            route.fulfill(status=status, json=body)
        elif "status=pending" in request.url:
            route.fulfill(json={"approvals": [state["card"]] if state["card"]["state"] == "pending" else []})
        else:
            route.fulfill(json=state["card"])
    tab.page.route("**/v1/approvals**", serve)


def decide(card, sent):
    card = {**card, "state": "approved" if sent["approved"] else "denied", "reason": sent.get("reason")}
    return 200, card, card


def test_approve_and_deny(home, browser, tmp_path):
    for look, options in LOOKS.items():
        decided = []
        with SignedIn(browser, home, **options) as tab:
            stand_in(tab, decided, decide)
            tab.visit("/approvals")
            tab.page.wait_for_selector("article")
            assert tab.page.title().startswith("(1) ")
            assert "U+202E" in tab.page.inner_text("article h2") and tab.page.locator("article b, article img").count() == 0
            assert "\u0430" in tab.page.locator("dd .mark.posing").all_inner_texts()
            assert "Show all 1,000," in tab.page.inner_text("article details[open]")
            shot(tab, f"web-approval-{look}", tmp_path)
            assert tab.page.evaluate("document.documentElement.scrollWidth") <= options["viewport"]["width"]
            if look == "dark":
                tab.page.click("text=Deny")
                tab.page.keyboard.type("not today")
                tab.page.keyboard.press("Enter")
            else:
                tab.page.click("text=Approve >> nth=-1")
            tab.page.wait_for_selector("main .notice[role=status] a")
            tab.page.wait_for_selector("text=Nothing waits for you")
            assert decided == [{"approved": False, "seal": CARD["seal"], "reason": "not today"} if look == "dark"
                               else {"approved": True, "seal": CARD["seal"]}]
            assert tab.complaints == []


def test_changed_under_the_click(home, browser):
    def changed(card, sent):
        card = {**card, "seal": "sha256:" + "d" * 64, "difference": [{"label": "Body", "before": "line 2", "after": "line 3"}]}
        return 409, {"error": {"code": "changed", "message": "it changed"}, "approval": card}, card

    decided = []
    with SignedIn(browser, home) as tab:
        stand_in(tab, decided, changed)
        tab.visit("/approvals")
        tab.page.click("article button.primary")
        tab.page.wait_for_selector("text=This changed since you looked")
        assert "line 3" in tab.page.inner_text("article table")
        tab.page.click("article button.primary")
        wait_for(lambda: len(decided) == 2, "the second click")
        assert [one["seal"][7] for one in decided] == ["c", "d"], "the second click decides what is shown now"


def test_a_click_meant_for_something_else(home, browser):
    """A card that has just come before the person, or into another's place, is not approved by the click under way."""
    other = {**CARD, "id": CARD["id"][:-1] + "1", "title": "The second", "requested_at": "2026-01-01T00:00:01.000Z"}
    decided, cards = [], [other, CARD]

    def serve(route):
        if route.request.method == "POST":
            decided.append(route.request.url)
            cards[:] = [card for card in cards if card["id"] not in route.request.url]
            route.fulfill(json={**CARD, "state": "approved"})
        else:
            route.fulfill(json={"approvals": cards})

    with SignedIn(browser, home) as tab:
        tab.page.route("**/v1/approvals**", serve)
        tab.visit("/approvals")
        tab.page.wait_for_selector("article button.primary")
        tab.page.evaluate("document.querySelector('article button.primary').click()")
        assert decided == []
        titles = tab.page.locator("article h2").all_inner_texts()
        assert "The second" in titles[1], "who has waited longest is first"
        tab.page.locator("article button.primary").first.click()
        wait_for(lambda: tab.page.locator("article").count() == 1, "the first to vanish")
        tab.page.evaluate("document.querySelector('article button.primary').click()")
        tab.page.wait_for_selector("article button.primary[aria-disabled=false]")
        assert len(decided) == 1 and CARD["id"] in decided[0]


def test_a_thousand_wait(home, browser):
    """Shown at once, decided at once."""
    cards = [{**CARD, "id": f"apr_{n:026d}", "arguments": [{"op": "send", "args": {"to": "x"}}]} for n in range(1000)]

    def serve(route):
        if route.request.method == "POST":
            route.fulfill(json={**cards[-1], "state": "approved"})
        else:
            route.fulfill(json={"approvals": cards})

    with SignedIn(browser, home, "/sessions") as tab:
        tab.page.route("**/v1/approvals**", serve)
        tab.page.evaluate("""window.took = {}; window.watch = (name, done) => { const start = performance.now();
            const look = () => done() ? window.took[name] = performance.now() - start : requestAnimationFrame(look); look(); }; 0""")
        tab.page.evaluate("watch('paint', () => document.querySelector('article button.primary'));"
                          "document.querySelector('a[href=\"/approvals\"]').click()")
        tab.page.wait_for_selector("article button.primary[aria-disabled=false]")
        assert tab.page.title().startswith("(1000) ") and "950 left" in tab.page.inner_text("main")
        tab.page.evaluate("watch('decided', () => document.title.startsWith('(999) ')); document.querySelector('article button.primary').click()")
        wait_for(lambda: tab.page.title().startswith("(999) "), "the decision")
        until(tab, "window.took.decided")
        took = tab.page.evaluate("took")
        # The budgets are 500 and 200 ms on a quiet machine; here others work at the same time.
        assert took["paint"] < 1500 and took["decided"] < 600, took
        print(took)


def test_ticket_is_needed(home, browser):
    def ticket(card, sent):
        return 428, {"error": {"code": "ticket_needed", "message": "a passphrase is needed"}}, card

    with SignedIn(browser, home) as tab:
        stand_in(tab, [], ticket)
        tab.visit("/approvals")
        tab.page.click("article button.primary")
        tab.page.wait_for_selector(f"text=aileron approval approve {CARD['id']}")
        assert tab.page.locator("article button.primary").count() == 0 and tab.page.locator("article button.danger").count() == 1


# --- attacks


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
