"""The web app: its files, codes and keys, text made honest; and in Chromium: signing in, the stream of events, a restart."""
import hashlib
import http.client
import json
import re
import subprocess

import pytest

from tests.rig import paths
from tests.rig.chromium import SignedIn, Tab, login, new_code, new_key, url_of
from tests.rig.home import Home
from tests.rig.ports import wait_for

WEB = paths.ROOT / "web"


@pytest.fixture(scope="module")
def home(built):
    made = Home()
    made.start()
    yield made
    made.close()


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
    script = f"import {{ marked, parts, plain }} from '{WEB / 'js/text.js'}';" + r"""
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
        assert.deepEqual(kinds("e" + "\u0301".repeat(9)), ["unseen U+0301 ×6"]);
        assert.deepEqual(kinds("a" + "\u200b".repeat(500)), ["unseen U+200B ×500"]);
        // Words of one script are as they are, also beside Latin; words that mix, and twins of Latin where Latin is written, are not.
        for (const fine of ["\u041e\u0442\u0447\u0451\u0442.txt", "Wi-Fi-\u0441\u0435\u0442\u044c", "\u0430 \u043e \u0441 \u044f",
            "x\u00b2 5 m\u00b3", "\u65f6\u95f4\uff1a10:00\uff08\u5317\u4eac\uff09", "\u30b3\u30fc\u30d2\u30fc\u30fb\u30bf\u30a4\u30e0",
            "\u2764\ufe0f \ud83d\udc69\u200d\ud83d\udcbb 1\ufe0f\u20e3"])
            assert.deepEqual(kinds(fine), [], fine);
        for (const posed of ["\u0430\u0440\u0440\u04cf\u0435", "m\u0131crosoft", "\u0261oogle", "pay\u09ea", "\u03c1aypal",
            "\ud835\uddc9aypal", "g\u043e\u043egle"])
            assert.ok(kinds(posed).some(kind => kind.startsWith("posing")), posed);
        // Emptiness that would push the rest out of sight.
        assert.deepEqual(kinds("a" + "\n".repeat(50) + "b"), ["blank 49 empty lines"]);
        assert.deepEqual(kinds("a" + " ".repeat(400) + "b"), ["blank 400 spaces"]);
        assert.deepEqual(kinds("a\n\nb   c"), []);
        assert.equal(parts("hi\u{e0069}")[1].about, "hidden “i”");
        assert.deepEqual(marked(parts("a\u200bb\u200bc\u202e")), [["zero-width space", 2], ["right-to-left override", 1]]);
        assert.equal(parts("x\u202ey").map(part => part.text).join(""), "xU+202Ey");
        assert.equal(plain("a\u202e\nb"), "a‹U+202E› b");
        // Whatever it is made of, a text takes its time by its length, not by the square of it.
        const time = text => { const start = performance.now(); parts(text); return performance.now() - start; };
        for (const bit of ["a\u200b", "\u0430", "\u0430b", "\u200d", "\u0301", "\n \t", "\ud83d\ude00\ufe0f"])
            assert.ok(time(bit.repeat(80000 / bit.length)) < 200 + 20 * time(bit.repeat(10000 / bit.length)), bit);
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


def test_events_reach_the_page(home, browser):
    with SignedIn(browser, home, "/sessions") as tab:
        tab.page.wait_for_selector("h1")
        tab.until("!document.querySelector('main > [role=status]').textContent")
        home.api("POST", "/v1/sessions", {"agent": "late riser"})
        tab.page.wait_for_selector("text=late riser", timeout=3000)


def test_an_address_pasted_over_the_page(home, browser):
    """Only the fragment changes then: the code is taken all the same, and leaves the address."""
    with Tab(browser) as tab:
        tab.page.goto(url_of(home))
        tab.page.wait_for_selector("text=aileron open")
        tab.page.evaluate("code => { location.hash = 'code=' + code; }", new_code(home))
        tab.page.wait_for_selector("nav")
        assert tab.page.url == url_of(home) + "/"
        tab.page.goto(url_of(home) + "/approvals/%E0%A4%A")
        tab.page.wait_for_selector("main [role=alert]")
        assert tab.complaints == []


def test_a_browser_without_shared_workers(home, browser):
    with Tab(browser) as tab:
        tab.context.add_init_script("delete globalThis.SharedWorker")
        tab.page.goto(f"{url_of(home)}/sessions#code={new_code(home)}")
        tab.page.wait_for_selector("nav")
        home.api("POST", "/v1/sessions", {"agent": "seen by asking"})
        tab.page.wait_for_selector("text=seen by asking", timeout=5000)
        assert tab.complaints == []


def test_restart_under_the_page(built, browser):
    made = Home()
    made.start()
    try:
        with SignedIn(browser, made) as tab:
            tab.until("!document.querySelector('main > [role=status]').textContent")
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


def test_many_tabs(home, browser):
    """All tabs share one stream; one that comes without a key gets that of the others, and none outlives them."""
    with SignedIn(browser, home, "/sessions") as tab:
        tabs = [tab.context.new_page() for _ in range(2)]
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
