"""The pages of the web app in Chromium: what they show, how they look, for keyboards and screen readers too."""
import pytest

from tests.rig.chromium import LOOKS, SignedIn, Tab, axe, contrast, luminance, shot, url_of
from tests.rig.gated import Session, decide, effect, install_gated
from tests.rig.home import Home
from tests.rig.ports import wait_for

PAGES = {"/": "Overview", "/approvals": "Approvals", "/actions": "Actions", "/bindings": "Accounts", "/audit": "Audit", "/sessions": "Sessions"}
HOSTILE = "<img src=x onerror=alert(1)> \u202egnp.exe \u200bzero p\u0430yp\u0430l"


@pytest.fixture(scope="module")
def home(built):
    made = Home()
    made.start()
    yield made
    made.close()


def test_pages_show_what_is(home, browser):
    home.api("POST", "/v1/sessions", {"agent": "worker bee", "folder": "/tmp/somewhere"})
    with SignedIn(browser, home) as tab:
        for path, title in PAGES.items():
            tab.visit(path)
            tab.until(f"document.querySelector('h1').textContent.startsWith('{title}') && document.title === '{title} · Aileron'")
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


def test_hostile_strings(home, browser):
    home.api("POST", "/v1/sessions", {"agent": HOSTILE, "folder": "/x/<script>alert(2)</script>"})
    with SignedIn(browser, home, "/sessions") as tab:
        tab.page.on("dialog", lambda dialog: tab.complaints.append(dialog.message))
        tab.page.wait_for_selector("text=<img src=x")
        assert tab.page.locator("main img, main script").count() == 0
        marks = tab.page.locator("h2 .mark").all_inner_texts()
        assert marks == ["U+202E", "U+200B", "\u0430", "\u0430"]
        assert "\u202e" not in tab.page.inner_text("main") and "\u200b" not in tab.page.inner_text("main")
        shot(tab, "web-hostile")
        assert tab.complaints == []


@pytest.fixture(scope="module")
def full(probe_home):
    """Something on every page: cards that wait (one of them strange), one that was denied, an account, actions, sessions."""
    install_gated(probe_home, "gated")
    probe_home.cli("config", "set", "approval.confirm", "auto", check=0)
    fenced = Session(probe_home, "worker bee", folder="/work/project", confinement="fence")
    decide(probe_home, fenced.ask("gated", effect("denied")), approved=False, reason="not today")
    made = [fenced.ask("gated", {**effect("waits"), "note": "two lines\nof text"}), Session(probe_home, HOSTILE).ask("gated", effect("loose"))]
    yield probe_home, made[0]
    for ident in made:
        decide(probe_home, ident, approved=False)


@pytest.mark.parametrize("look", LOOKS)
def test_how_it_looks(full, browser, look):
    """No scroll bar to the side, enough contrast, one heading, nothing serious for axe-core; AILERON_TEST_SCREENSHOTS=DIR keeps the pictures."""
    home, waiting = full
    more = {"/approvals?show=over": "Approvals", f"/approvals/{waiting}": "Gated"}
    with SignedIn(browser, home, **LOOKS[look]) as tab:
        for path, title in {**PAGES, **more}.items():
            tab.visit(path)
            tab.until(f"document.querySelector('h1').textContent.startsWith('{title}') && document.querySelector('main .card, main .rows')")
            tab.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
            name = path.strip("/").replace("?show=", "-").split("/")
            shot(tab, f"web-{'one' if len(name) > 1 else name[0] or 'overview'}-{look}")
            width = tab.page.evaluate("document.documentElement.scrollWidth")
            assert width <= LOOKS[look]["viewport"]["width"], f"{path} is {width} wide"
            assert tab.page.locator("h1").count() == 1
            ground, ink = (luminance(tab.page.evaluate(f"getComputedStyle(document.body).{what}")) for what in ("backgroundColor", "color"))
            assert contrast(ground, ink) >= 4.5 and (ground < 0.2) == (look == "dark")
            assert "Development overrides are active" in tab.page.inner_text("body")
            assert look == "narrow" or axe(tab.page) == [], path
        assert tab.complaints == []
    with Tab(browser, **LOOKS[look]) as stranger:
        stranger.page.goto(url_of(home))
        stranger.page.wait_for_selector("text=aileron open")
        assert axe(stranger.page) == []


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


def test_actions(probe_home, browser):
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
        shot(tab, "web-action")
        assert tab.complaints == []


def test_accounts(probe_home, browser):
    with SignedIn(browser, probe_home, "/bindings") as tab:
        card = tab.page.get_by_role("article", name="Account api_key/probe/me")
        card.wait_for()
        wait_for(lambda: "active" in card.inner_text(), "its state")
        probe_home.cli("vault", "lock", check=0)
        wait_for(lambda: "aileron vault unlock" in card.inner_text(), "the command that mends it")
        shot(tab, "web-account")
        probe_home.unlock()
        wait_for(lambda: "active" in card.inner_text(), "its state")
        assert tab.complaints == []
