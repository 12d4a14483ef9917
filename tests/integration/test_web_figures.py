"""How quick the web app is with much to show: a thousand approvals that wait, a hundred thousand receipts."""
import datetime
import hashlib
import json
import os

import pytest

from tests.conftest import make_probe_home
from tests.rig.chromium import SignedIn
from tests.rig.gated import Session, effect, install_gated
from tests.rig.home import Home
from tests.rig.ports import wait_for

PAINT_MS, DECIDED_MS, FILTER_MS = 500, 200, 200
SESSIONS, EACH, RECEIPTS = 10, 100, 100_000
# Others may work on this machine at the same time: the best of so many counts.
TRIES = 6
WATCH = """([act, done]) => new Promise(ready => { const start = performance.now(), end = new Function("return " + done);
    const look = () => end() ? requestAnimationFrame(() => ready(performance.now() - start)) : setTimeout(look, 1);
    new Function(act)(); look(); })"""


def best(measure, budget):
    """Within the budget; where more runs than the machine has processors, by as much longer."""
    took, share = [], max(1.0, os.getloadavg()[0] / os.cpu_count())
    while len(took) < TRIES and (not took or min(took) >= budget):
        took.append(measure())
    print(f"{measure.__name__}: {', '.join(f'{one:.0f}' for one in took)} ms (budget {budget}, load {share:.1f})")
    assert min(took) < budget * share, took


@pytest.fixture(scope="module")
def busy(built, probe_folder, hostile_server, ca):
    made = make_probe_home(probe_folder, hostile_server, ca)
    install_gated(made, "gated")
    made.cli("config", "set", "approval.confirm", "never", check=0)
    for number in range(SESSIONS):
        session = Session(made, f"agent {number}", folder=f"/work/{number}", confinement="fence")
        for each in range(EACH):
            session.ask("gated", {**effect("x"), "note": f"request {each} of agent {number}"})
    yield made
    made.close()


def took(tab, act, done):
    """Milliseconds from an act in the page to the frame in which something is so; the policy forbids the page itself to make functions."""
    return tab.page.evaluate(WATCH, [act, done])


def test_a_thousand_wait(busy, browser):
    """Shown at once, decided at once, on a page that is loaded anew each time."""
    with SignedIn(browser, busy, "/sessions", bypass_csp=True) as tab:
        def first_paint():
            tab.visit("/approvals")
            tab.until("performance.getEntriesByName('aileron-cards').length > 0")
            # From the request of the page to the frame with cards in it.
            return tab.page.evaluate("""performance.getEntriesByName("aileron-cards").at(-1).startTime""")

        def decision():
            tab.page.wait_for_selector("article button.primary[aria-disabled=false]")
            waiting = int(tab.page.title()[1:].split(")")[0])
            return took(tab, "document.querySelector('article button.primary').click()", f"document.title.startsWith('({waiting - 1}) ')")

        tab.context.add_init_script("""new MutationObserver((_, seen) => {
            if (!document.querySelector("article button.primary"))
                return;
            seen.disconnect();
            requestAnimationFrame(() => performance.mark("aileron-cards"));
        }).observe(document, {childList: true, subtree: true})""")
        best(first_paint, PAINT_MS)
        assert tab.page.title().startswith(f"({SESSIONS * EACH}) ") and "970 left" in tab.page.inner_text("main")
        best(decision, DECIDED_MS)
        tab.page.click("text=Show more")
        wait_for(lambda: tab.page.locator("article").count() >= 50, "more of them")
        assert tab.complaints == []


def test_pages_of_the_list(busy):
    """From the oldest, each page behind the last one of the page before: what waits, once each, in the order of asking."""
    seen, after = [], ""
    while True:
        page = busy.api("GET", f"/v1/approvals?status=pending&order=oldest&limit=300{after}").json()
        seen += [one["id"] for one in page["approvals"]]
        if not page["more"]:
            break
        after = f"&after={seen[-1]}"
    assert seen == sorted(set(seen)) and len(seen) == page["pending"] > 900
    newest = busy.api("GET", "/v1/approvals?status=pending&limit=5").json()["approvals"]
    assert [one["id"] for one in newest] == seen[:-6:-1]
    assert busy.api("GET", "/v1/approvals?order=random").status == 400


def write_receipts(folder, number):
    """A chained log as the daemon writes it, of yesterday."""
    day = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    previous, lines = "0" * 64, []
    for seq in range(1, number + 1):
        rare = seq % 5000 == 0
        event = {"seq": seq, "audit_id": f"aud_01{seq:024d}", "timestamp": f"{day:%Y-%m-%d}T10:00:00.000Z",
                 "event_type": "session.ended" if rare else "session.started", "session_id": f"ses_01{seq % 40:024d}",
                 "actor": {"type": "human", "id": "owner"}, "payload": {"aileron.session.agent": f"needle/{seq}" if rare else f"hay/{seq}"},
                 "prev": f"sha256:{previous}"}
        line = json.dumps(event, separators=(",", ":"))
        previous = hashlib.sha256(line.encode()).hexdigest()
        lines.append(line)
    folder.mkdir(mode=0o700, parents=True)
    file = folder / f"audit-{day:%Y-%m-%d}.jsonl"
    file.touch(mode=0o600)
    file.write_text("\n".join(lines) + "\n")


def test_a_hundred_thousand_receipts(built, browser):
    made = Home()
    made.path.mkdir(mode=0o700)
    write_receipts(made.path / "audit", RECEIPTS)
    made.start()
    try:
        with SignedIn(browser, made, "/audit", bypass_csp=True) as tab:
            tab.page.wait_for_selector("text=/chain of 100,00\\d events is intact/")

            def fill(name, value, done):
                act = f"const field = document.querySelector('[name={name}]'); field.value = '{value}';"
                return took(tab, act + "field.dispatchEvent(new Event('input', {bubbles: true}))", done)

            def filter_by_type():
                fill("type", "", "document.querySelectorAll('ul.events li').length >= 100")
                return fill("type", "session.ended", "document.querySelectorAll('ul.events li').length === 20")

            def search():
                fill("type", "", "document.querySelectorAll('ul.events li').length >= 100")
                try:
                    return fill("text", "Needle/100000", "document.querySelectorAll('ul.events li').length === 1")
                finally:
                    fill("text", "", "document.querySelectorAll('ul.events li').length >= 100")

            best(filter_by_type, FILTER_MS)
            best(search, FILTER_MS)
            assert tab.complaints == []
    finally:
        made.close()
