"""The consent dance as people do it: in Chromium, against the emulated Google and the stand-in; and how the pages look."""
import pytest

from tests.integration.test_oauth import binding_of, daemon_url, emulated, flow, played, setup_args, standin  # noqa: F401
from tests.rig.chromium import LOOKS, Tab, axe, contrast, launch, luminance, shot
from tests.rig.ports import wait_for
from tests.rig.workspace import EMAIL


@pytest.fixture(scope="module")
def at_emulator(playwright, nginx):
    browser = launch(playwright, nginx.port)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def at_standin(playwright, standin):  # noqa: F811
    browser = launch(playwright, standin.port)
    yield browser
    browser.close()


def test_consent(emulated, flow, at_emulator):  # noqa: F811
    started = flow(emulated, *setup_args("chromium"))
    with Tab(at_emulator) as tab:
        tab.page.goto(started.url)
        with tab.page.expect_navigation(url=lambda url: url.startswith(daemon_url(emulated))) as navigation:
            tab.page.click(f"text={EMAIL}")
        assert navigation.value.status == 200
        assert started.end()[0] == 0
        assert "oauth2/google/chromium" in tab.page.inner_text("body")
        assert tab.complaints == []
        ours = [url for url in tab.requests if url.startswith(daemon_url(emulated))]
        assert len(ours) <= 2, "the page loads nothing else (a browser may ask for an icon)"
        # Going back and forth with the keys of the browser replays the callback; it must do no harm.
        before = emulated.vault().get("oauth2/google/chromium")
        tab.page.reload()
        assert emulated.vault().get("oauth2/google/chromium") == before
        assert "chromium" not in tab.page.inner_text("body")


def test_cancel(played, flow, at_standin):  # noqa: F811
    started = flow(played, *setup_args("cancelled"))
    with Tab(at_standin) as tab:
        tab.page.goto(started.url)
        assert "Read your mail" in tab.page.inner_text("body")
        tab.page.click("text=Cancel")
        tab.page.wait_for_url(lambda url: url.startswith(daemon_url(played)))
        assert started.end()[0] == 1
        assert "code=" not in tab.page.inner_text("body")
    assert binding_of(played, "oauth2/google/cancelled") is None


def test_a_closed_tab(played, flow, at_standin):  # noqa: F811
    """Nobody comes back: the command waits, says so, and Ctrl-C ends it."""
    started = flow(played, *setup_args("tab"))
    with Tab(at_standin) as tab:
        tab.page.goto(started.url)
    assert started.is_waiting()
    code, _, _ = started.cancel()
    assert code != 0 and binding_of(played, "oauth2/google/tab") is None


def test_another_page_cannot_finish_a_flow(played, flow, at_standin, hostile):  # noqa: F811
    """A page of another origin sends the browser to the callback, by navigation, image, fetch and form."""
    started = flow(played, *setup_args("forged"))
    attack = f"""<img src="{daemon_url(played)}/oauth2/callback?code=x&amp;state=guess">
        <script>fetch("{daemon_url(played)}/oauth2/callback?code=x&state=guess").then(a => a.text()).then(t => document.title = t,
        () => document.title = "refused")</script>"""
    with Tab(at_standin) as tab:
        tab.page.route("https://accounts.google.com/attack", lambda route: route.fulfill(body=attack, content_type="text/html"))
        tab.page.goto("https://accounts.google.com/attack")
        wait_for(tab.page.title, "an end of the fetch")
        assert tab.page.title() == "refused"
    assert started.is_waiting()
    started.cancel()


@pytest.mark.parametrize("look", LOOKS)
def test_how_the_pages_look(played, flow, at_standin, look):  # noqa: F811
    """No scroll bar to the side, enough contrast, one heading; AILERON_TEST_SCREENSHOTS=DIR keeps the pictures."""
    browser = played.browser
    bound = flow(played, *setup_args(f"look-{look}"))
    denied = flow(played, *setup_args(f"denied-{look}"))
    failed = flow(played, *setup_args(f"failed-{look}"))
    pages = {"bound": browser.consent(bound.url), "denied": browser.consent(denied.url, decision="deny"),
             "failed": failed.callback(code="wrong", state=failed.state),
             "unknown": f"{daemon_url(played)}/oauth2/callback?code=x&state=y"}
    for name, url in pages.items():
        with Tab(at_standin, **LOOKS[look]) as tab:
            tab.page.goto(url)
            shot(tab, f"{name}-{look}")
            width = tab.page.evaluate("document.documentElement.scrollWidth")
            assert width <= LOOKS[look]["viewport"]["width"], f"{name} is {width} wide"
            assert tab.page.locator("h1").count() == 1 and tab.page.title()
            assert tab.complaints == []
            ground, ink = (luminance(tab.page.evaluate(f"getComputedStyle(document.body).{what}")) for what in
                           ("backgroundColor", "color"))
            assert contrast(ground, ink) >= 4.5, name
            assert (ground < 0.2) == (look == "dark"), name
            assert axe(tab.page) == [], name
    for each in (bound, denied, failed):
        each.end()
