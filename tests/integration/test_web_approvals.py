"""Deciding in Chromium, on a real daemon: what the page shows is what waits, and what is clicked is what happens, once."""
import http.client
import json

import pytest

from tests.conftest import make_gated_home
from tests.rig.chromium import CLICK_AT_ONCE, LOOKS, SignedIn, shot, url_of
from tests.rig.gated import (Background, Session, action_text, approval, approvals, decide, effect, effects, looking,
                             wait_state)
from tests.rig.ports import wait_for

HOSTILE = "<img src=x onerror=alert(1)> \u202egnp.exe \u200bzero p\u0430yp\u0430l"
APPROVE = "button.primary[aria-disabled=false]"
PATIENT_S = 40  # on a machine that does much else
SETTLED = "article button.primary[aria-disabled=false]"


@pytest.fixture(scope="module")
def home(built, probe_folder, hostile_server, ca):
    made = make_gated_home(probe_folder, hostile_server, ca)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def emptied(home):
    """What is pending in the end is denied, so that each test begins with an empty list."""
    yield
    while left := approvals(home, "pending"):
        for one in left:
            decide(home, one["id"], approved=False)


@pytest.fixture
def session(home):
    return Session(home, folder="/work/project", confinement="fence")


def card(tab, ident):
    return (tab.page if isinstance(tab, SignedIn) else tab).locator(f"article:has(a[href='/approvals/{ident}'])")


def approve(tab, ident):
    card(tab, ident).locator(APPROVE).click()


def gone(tab, ident):
    wait_for(lambda: card(tab, ident).count() == 0, "the card to vanish")


# --- deciding


@pytest.mark.parametrize("look", LOOKS)
def test_approve(home, browser, session, hostile, look):
    """In each look: who asks, for what; the click runs it once; the page follows it to its end."""
    mark = hostile.mark()
    ident = session.ask("gated", {**effect(f"click {look}"), "note": "two dates\nfor the offsite"})
    with SignedIn(browser, home, "/approvals", **LOOKS[look]) as tab:
        one = card(tab, ident)
        one.locator(APPROVE).wait_for()
        said = one.inner_text()
        for part in ("COMMS SEND", "Gated", "tester", "/work/project", "local://probe 1.0.0", session.id[-8:], "for the offsite",
                     '"note": "two dates'):
            assert part in said, part
        assert tab.page.title() == "(1) Approvals · Aileron"
        shot(tab, f"web-approval-{look}")
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= LOOKS[look]["viewport"]["width"]
        assert effects(hostile, mark) == []
        approve(tab, ident)
        gone(tab, ident)
        tab.page.wait_for_selector(".news >> text=done")
        tab.until("document.title === 'Approvals · Aileron'")
        assert effects(hostile, mark) == [f"click {look}"]
        tab.page.click(".news a")
        tab.page.wait_for_selector("text=It was done, once.")
        assert tab.page.locator("button.primary").count() == 0
        shot(tab, f"web-approved-{look}")
        assert tab.complaints == []


def test_deny_with_a_reason(home, browser, session, hostile):
    mark = hostile.mark()
    waiting = session.in_background("gated", effect("denied"))
    with SignedIn(browser, home, "/approvals") as tab:
        tab.page.wait_for_selector(SETTLED)
        tab.page.click("text=Deny")
        tab.page.keyboard.type("not on a Sunday")
        tab.page.keyboard.press("Enter")
        error = waiting.join().json()["error"]
        assert error["class"] == "approval_denied" and error["details"]["reason"] == "not on a Sunday"
        tab.page.click(".news a")
        tab.page.wait_for_selector("text=not on a Sunday")
        assert effects(hostile, mark) == []
        tab.visit("/approvals?show=over")
        tab.page.wait_for_selector("ul.rows >> text=denied")


@pytest.mark.parametrize("reason", ["\u00e9" * 800, "a" + "\u00e9" * 800, "\U0001f642" * 400, "x" * 5000, "\u202e<b>"])
def test_a_reason_of_any_length_and_kind(home, session, reason):
    """An overlong one is cut between two characters; the decision counts."""
    ident = session.ask("gated", effect("reason"))
    kept = decide(home, ident, approved=False, reason=reason).json()["reason"]
    assert reason.startswith(kept) and len(kept.encode()) >= min(len(reason.encode()), 1020)
    assert session.result(ident).json()["error"]["details"]["reason"] == kept


def test_a_reason_can_be_taken_back(home, browser, session):
    ident = session.ask("gated", effect("back"))
    with SignedIn(browser, home, "/approvals") as tab:
        tab.page.wait_for_selector(SETTLED)
        tab.page.click("text=Deny")
        tab.page.keyboard.type("x")
        tab.page.keyboard.press("Escape")
        tab.page.wait_for_selector("form.deny", state="detached")
        tab.until("document.activeElement.textContent === 'Deny'")
        assert approval(home, ident)["state"] == "pending"


def test_it_changed_under_the_click(home, browser, session, hostile):
    """What the preview reads is other than it was: nothing runs, the card shows what changed, the next click is about that."""
    mark = hostile.mark()
    hostile.script("evil.test", "text/200/Dear Ann", path="/look")
    ident = session.ask("gated-seen", looking("changes"))
    with SignedIn(browser, home, "/approvals") as tab:
        tab.page.wait_for_selector("section[aria-label=Preview]")
        hostile.script("evil.test", "text/200/Dear Anna", path="/look")
        other = tab.another("/approvals")
        other.wait_for_selector(SETTLED)
        approve(tab, ident)
        tab.page.wait_for_selector("text=This changed since you looked")
        other.wait_for_selector("text=This changed since you looked")
        assert effects(hostile, mark) == [] and approval(home, ident)["state"] == "pending"
        assert tab.page.locator(".changes ins").count() == 1
        hostile.script("evil.test", "text/200/Dear Anna", path="/look")
        approve(tab, ident)
        tab.page.wait_for_selector(".news >> text=done")
        assert effects(hostile, mark) == ["changes"]


def test_no_preview(home, browser, session):
    ident = session.ask("gated-seen", looking("blind", look="https://nowhere.test/x"))
    with SignedIn(browser, home, f"/approvals/{ident}") as tab:
        tab.page.wait_for_selector("text=There is no preview")
        assert "What the agent gave" in tab.page.inner_text("article")


def test_an_unknown_outcome(home, browser, session, hostile):
    """It is explained, and a person can say that they have looked."""
    ident = session.ask("gated", effect("lost", "https://evil.test/do/close_early"))
    with SignedIn(browser, home, f"/approvals/{ident}") as tab:
        tab.page.click(APPROVE)
        wait_state(home, ident, "unknown")
        tab.page.wait_for_selector("text=Nobody knows whether this was done")
        assert f"aileron approval resolve {ident}" in tab.page.inner_text("article")
        tab.page.click("text=I have looked: resolved")
        tab.page.wait_for_selector("text=A person has looked after it since")
        assert approval(home, ident)["resolved_at"]


def test_the_agent_has_stopped_waiting(home, browser, session, hostile):
    """The connection of a call that waits is cut: the card says so, a yes still runs it once, and the answer is kept."""
    mark = hostile.mark()
    connection = http.client.HTTPConnection("127.0.0.1", int(url_of(home).rsplit(":", 1)[1]), timeout=10)
    connection.request("POST", "/v1/actions/gated/run", json.dumps({"args": effect("orphan")}),
                       {"Authorization": f"Bearer {session.token}", "Content-Type": "application/json", "Prefer": "wait=60"})
    with SignedIn(browser, home, "/approvals") as tab:
        tab.page.wait_for_selector(SETTLED)
        assert "has stopped waiting" not in tab.page.inner_text("main")
        connection.close()
        tab.page.wait_for_selector("text=has stopped waiting", timeout=3000)
        ident = approvals(home, "pending")[0]["id"]
        approve(tab, ident)
        tab.page.wait_for_selector(".news >> text=done")
        assert effects(hostile, mark) == ["orphan"] and session.result(ident).status == 200


def test_done_before(home, browser, session):
    first = session.ask("gated", effect("twice"))
    decide(home, first)
    wait_state(home, first, "completed")
    assert session.result(first).status == 200
    second = session.ask("gated", effect("twice"))
    assert second != first
    with SignedIn(browser, home, "/approvals") as tab:
        tab.page.click("text=look at it")
        tab.page.wait_for_selector("text=It was done, once.")
        assert tab.page.url.endswith(first)


def test_a_click_is_not_enough(home, browser):
    """An agent that is not fenced: the page says so, names the command, and a click through the API is refused as well."""
    home.cli("config", "set", "approval.confirm", "auto", check=0)
    try:
        ident = Session(home, "loose").ask("gated", effect("loose"))
        with SignedIn(browser, home, "/approvals") as tab:
            tab.page.wait_for_selector(f"text=aileron approval approve {ident}")
            assert card(tab, ident).locator("button.primary").count() == 0
            key = tab.page.evaluate("sessionStorage.getItem('aileron.key')")
            body = {"approved": True, "seal": approval(home, ident)["seal"]}
            answer = home.api("POST", f"/v1/approvals/{ident}/decide", body, token=key, door="tcp")
            assert answer.status == 428, answer
            card(tab, ident).get_by_role("button", name="Deny").click()
            tab.page.keyboard.press("Enter")
            gone(tab, ident)
            assert approval(home, ident)["state"] == "denied"
    finally:
        home.cli("config", "set", "approval.confirm", "never", check=0)


def test_who_asks(home, browser):
    """The owner's own call is told from that of an agent which calls itself so."""
    mine = home.api("POST", "/v1/actions/gated/run", {"args": effect("my own")}).json()["approval_id"]
    posing = Session(home, "you, on the command line", confinement="fence").ask("gated", effect("posing"))
    with SignedIn(browser, home, "/approvals") as tab:
        card(tab, posing).wait_for()
        assert "Asked by\nyou, on the command line" in card(tab, mine).inner_text() and "Session" not in card(tab, mine).locator(".meta").inner_text()
        assert "Agent\nyou, on the command line" in card(tab, posing).inner_text() and "Session" in card(tab, posing).locator(".meta").inner_text()
    for ident in (mine, posing):
        decide(home, ident, approved=False)


# --- several windows, several people


def test_a_card_vanishes_in_the_second_tab(home, browser, session):
    ident, other = session.ask("gated", effect("first tab")), session.ask("gated", effect("stays"))
    with SignedIn(browser, home, "/approvals") as tab:
        second = tab.another("/approvals")
        second.wait_for_selector(SETTLED)
        approve(tab, ident)
        gone(second, ident)
        second.wait_for_selector(".news >> text=decided in another window")
        assert card(second, other).count() == 1
        # What moved into the place of another is not clicked by a hand that was on its way.
        assert second.title().startswith("(1) ")


def test_two_people_at_once(home, browser, session, hostile):
    """Both have the card before them; the later one is told, and nothing happens twice."""
    mark = hostile.mark()
    ident = session.ask("gated", effect("two people"))
    with SignedIn(browser, home, f"/approvals/{ident}") as one, SignedIn(browser, home, f"/approvals/{ident}") as two:
        for tab in (one, two):
            tab.page.wait_for_selector(SETTLED)
        # The second one's page does not hear of it before the click.
        two.page.route("**/v1/approvals/*", lambda route: route.abort() if route.request.method == "GET" else route.continue_())
        one.page.click(APPROVE)
        one.page.wait_for_selector("text=It was done, once.")
        two.page.click(APPROVE)
        two.page.wait_for_selector("text=done")
        assert two.page.locator("button.primary").count() == 0
        assert effects(hostile, mark) == ["two people"]


def test_a_click_meant_for_something_else(home, browser, session):
    """A card that has just come before the person, or into another's place, is not approved by the click under way."""
    first, second = session.ask("gated", effect("settle 1")), session.ask("gated", effect("settle 2"))
    with SignedIn(browser, home, "/sessions") as tab:
        tab.page.evaluate(CLICK_AT_ONCE)
        tab.follow("/approvals")
        tab.page.wait_for_selector(SETTLED)
        links = tab.page.locator("article h2 a").evaluate_all("all => all.map(one => one.getAttribute('href'))")
        assert links == [f"/approvals/{first}", f"/approvals/{second}"], "who has waited longest is first"
        assert tab.page.evaluate("clicked") == 1 and approval(home, first)["state"] == "pending"
        # The second click of a double one falls on the card that has come into the place of the first.
        tab.page.evaluate("""first => { const card = () => document.querySelector("article"), was = card();
            new MutationObserver((_, seen) => { if (card() === was) return; seen.disconnect(); clicked++;
                card().querySelector("button.primary").click(); }).observe(document, {childList: true, subtree: true});
            was.querySelector("button.primary").click(); }""")
        gone(tab, first)
        tab.page.wait_for_selector(SETTLED)
        assert tab.page.evaluate("clicked") == 2 and approval(home, second)["state"] == "pending"
        tab.until(f"document.activeElement.getAttribute('href') === '/approvals/{second}'")


def test_ten_tabs(home, browser, session):
    with SignedIn(browser, home, "/approvals") as tab:
        tabs = [tab.page, *(tab.another("/approvals") for _ in range(9))]
        ident = session.ask("gated", effect("ten tabs"))
        for page in tabs:
            page.locator(f"a[href='/approvals/{ident}']").wait_for(timeout=3000)
        decide(home, ident, approved=False)
        for page in tabs:
            gone(page, ident)
        assert tab.complaints == []


def test_a_flood(home, browser):
    """Many are asked and decided at once, so that answers overtake each other: in the end every window shows what is."""
    idents = []

    def ask(number):
        agent = Session(home, f"agent {number}", confinement="fence")
        for each in range(50):
            idents.append(agent.ask("gated", effect(f"flood {number} {each}")))

    with SignedIn(browser, home, "/approvals") as tab:
        pages = [tab.page, tab.another("/approvals")]
        for work in [Background(lambda number=number: ask(number)) for number in range(3)]:
            work.join()
        for page in pages:
            wait_for(lambda page=page: page.title().startswith("(150) ") and page.locator("article").count() >= 30, "all of them", PATIENT_S)
        for work in [Background(lambda ident=ident: decide(home, ident, approved=False)) for ident in idents[:140]]:
            work.join()
        left = sorted(idents[140:])
        shown = "[...document.querySelectorAll('article h2 a')].map(one => one.getAttribute('href').split('/').at(-1)).join()"
        for page in pages:
            wait_for(lambda page=page: page.title().startswith("(10) ") and page.evaluate(shown) == ",".join(left), "the rest of them, in order",
                     PATIENT_S)
        for ident in left:
            decide(home, ident, approved=False)
        for page in pages:
            wait_for(lambda page=page: page.locator("article").count() == 0 and page.title() == "Approvals · Aileron", "none", PATIENT_S)
        assert tab.complaints == []


def test_restart_under_the_page(home, browser, session, hostile):
    """The page is back within two seconds and says how to sign in; what waited still does."""
    mark = hostile.mark()
    ident = session.ask("gated", effect("over a restart"))
    with SignedIn(browser, home, "/approvals") as tab:
        tab.page.wait_for_selector(SETTLED)
        home.stop()
        tab.page.wait_for_selector("text=aileron daemon start", timeout=3000)
        home.start()
        tab.page.wait_for_selector("text=aileron open", timeout=2000)
        assert tab.page.locator("article").count() == 0 and tab.page.evaluate("sessionStorage.length") == 0
    with SignedIn(browser, home, "/approvals") as tab:
        approve(tab, ident)
        tab.page.wait_for_selector(".news >> text=done")
        assert effects(hostile, mark) == ["over a restart"]


# --- hostile and large


def test_hostile_strings(home, browser, hostile):
    session = Session(home, HOSTILE, folder="/x/<script>alert(2)</script>", confinement="fence")
    ident = session.ask("gated", {**effect("hostile"), "note": HOSTILE + "\n" * 60 + "after the gap"})
    with SignedIn(browser, home, "/approvals") as tab:
        one = card(tab, ident)
        one.locator(APPROVE).wait_for()
        said = one.inner_text()
        assert "<img src=x onerror=alert(1)>" in said and "<script>alert(2)</script>" in said
        assert "\u202e" not in said and "\u200b" not in said
        for part in ("U+202E", "U+200B", "empty lines", "right-to-left override", "Some characters here are not what they seem"):
            assert part in said, part
        assert one.locator("img, script, dd b").count() == 0
        assert "\u0430" in one.locator(".mark.posing").all_inner_texts()
        shot(tab, "web-hostile")
        decide(home, ident, approved=False)
        assert tab.complaints == []


MANY = 200


def test_a_megabyte_and_two_hundred_fields(home, browser, session, hostile):
    """What is folded is counted beside the buttons, and one click shows all of it; the card stays quick."""
    text = action_text("gated")
    head, steps = text.split("[[execute]]")
    fields = "".join(f'[[inputs]]\nname = "field_{n}"\ntype = "string"\ndescription = "one of many"\nrequired = false\n\n' for n in range(MANY))
    file = home.base / "gated-wide.md"
    file.write_text(head.replace('"gated"', '"gated-wide"') + fields + "[[execute]]" + steps)
    home.cli("action", "add", "--local", file, check=0)
    mark = hostile.mark()
    args = {**effect("wide"), "note": "A" * 900_000 + "the end", **{f"field_{n}": f"value {n}" for n in range(MANY)}}
    ident = session.ask("gated-wide", args)
    with SignedIn(browser, home, "/approvals") as tab:
        one = card(tab, ident)
        one.locator(APPROVE).wait_for()
        assert one.get_by_role("button", name="Approve", exact=True).count() == 0, "not without saying that not all was seen"
        said = one.locator(".decide").inner_text()
        assert "164 fields" in said and "characters of 2 long texts" in said and "Approve without seeing all" in said
        assert "value 199" not in one.locator("dl.fields").first.inner_text()
        took = tab.page.evaluate("""() => { const start = performance.now(); [...document.querySelectorAll('button')].find(one =>
            one.textContent === 'Show everything').click(); return new Promise(done => requestAnimationFrame(() => setTimeout(() =>
            done(performance.now() - start)))); }""")
        assert took < 3000, took
        one.get_by_role("button", name="Approve", exact=True).wait_for()
        assert "value 199" in one.locator("dl.fields").first.inner_text()
        assert one.locator("pre.text").last.evaluate("pre => pre.textContent.includes('Athe end')")
        one.get_by_role("button", name="Approve", exact=True).click()
        tab.page.wait_for_selector(".news >> text=done")
        assert effects(hostile, mark) == ["wide"]


# --- the keyboard alone


def test_keyboard_alone(home, browser, session, hostile):
    """Tab and Enter are enough: approve the first, deny the second with a reason; the focus is never lost."""
    mark = hostile.mark()
    first, second = session.ask("gated", effect("by key")), session.ask("gated", effect("denied by key"))
    with SignedIn(browser, home, "/approvals") as tab:
        tab.page.wait_for_selector(SETTLED)

        def tab_to(wanted):
            for _ in range(60):
                tab.page.keyboard.press("Tab")
                if tab.page.evaluate("document.activeElement.textContent") == wanted:
                    return
            raise AssertionError(f"no way to {wanted}")

        tab_to("Approve")
        assert tab.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        tab.page.keyboard.press("Enter")
        gone(tab, first)
        tab.until(f"document.activeElement.getAttribute('href') === '/approvals/{second}'")
        tab_to("Deny")
        tab.page.keyboard.press("Space")
        tab.page.keyboard.type("no")
        tab.page.keyboard.press("Enter")
        gone(tab, second)
        tab.until("document.activeElement.id === 'title'")
        assert approval(home, second)["reason"] == "no"
        wait_state(home, first, "completed")
        assert effects(hostile, mark) == ["by key"]




def test_what_is_forgotten(home, browser, session):
    """A day after the answer was collected nothing of the card is left but its end; here the daemon's answer is played."""
    ident = session.ask("gated", effect("forgotten"))
    kept = {key: value for key, value in approval(home, ident).items() if key in ("id", "session_id", "seal", "requested_at", "review_url")}
    played = {**kept, "state": "completed", "needs_ticket": False, "client_gone": False, "collected_at": "2026-01-01T00:00:00.000Z"}
    with SignedIn(browser, home, "/sessions") as tab:
        tab.page.route(f"**/v1/approvals/{ident}", lambda route: route.fulfill(json=played))
        tab.follow(f"/approvals/{ident}")
        tab.page.wait_for_selector("text=What it was about is not kept any longer")
        said = tab.page.inner_text("main")
        assert f"Approval …{ident[-8:]}" in said and "It was done, once." in said and "What the agent gave" not in said
        assert tab.complaints == []
