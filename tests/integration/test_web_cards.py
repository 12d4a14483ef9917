"""The approvals page in Chromium before a stand-in of the API, for what a real daemon does seldom or slowly."""
import pytest

from tests.rig.chromium import LOOKS, SignedIn, shot
from tests.rig.home import Home
from tests.rig.ports import wait_for

HOSTILE = "<img src=x onerror=alert(1)> \u202egnp.exe \u200bzero p\u0430yp\u0430l"
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


@pytest.fixture(scope="module")
def home(built):
    made = Home()
    made.start()
    yield made
    made.close()


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
            assert "U+202E" in tab.page.inner_text("article h2") and tab.page.locator("article dd b, article img").count() == 0
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
            tab.page.wait_for_selector("main .news a")
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
        assert tab.page.locator(".changes ins").all_inner_texts() == ["3"] and tab.page.locator(".changes del").all_inner_texts() == ["2"]
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
        assert tab.page.title().startswith("(1000) ") and "970 left" in tab.page.inner_text("main")
        tab.page.evaluate("watch('decided', () => document.title.startsWith('(999) ')); document.querySelector('article button.primary').click()")
        wait_for(lambda: tab.page.title().startswith("(999) "), "the decision")
        tab.until("window.took.decided")
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
