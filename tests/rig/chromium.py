"""Debian's Chromium, driven by Playwright: tabs that remember what the browser complained of, and signed-in ones."""
import os
import pathlib

from . import paths
from .ports import wait_for

CHROMIUM = "/usr/bin/chromium"
# Where to put pictures of what was seen; without it none are made.
KEEP = os.environ.get("AILERON_TEST_SCREENSHOTS")
LOOKS = {"light": {"color_scheme": "light", "viewport": {"width": 1000, "height": 700}},
         "dark": {"color_scheme": "dark", "viewport": {"width": 1000, "height": 700}},
         "narrow": {"color_scheme": "light", "viewport": {"width": 320, "height": 600}}}


# A hand that was on its way: clicks Approve in the very moment in which there is one.
CLICK_AT_ONCE = """window.clicked = 0; new MutationObserver((_, seen) => { const button = document.querySelector("button.primary");
    if (button) { seen.disconnect(); button.click(); window.clicked++; } }).observe(document, {childList: true, subtree: true}); 0"""


def launch(playwright, port=1, name="accounts.google.com"):
    """A browser whose resolver knows a name as the rig does."""
    args = [f"--host-resolver-rules=MAP {name} 127.0.0.1:{port}", "--disable-component-update", "--no-first-run"]
    if os.geteuid() == 0:
        args.append("--no-sandbox")
    return playwright.chromium.launch(executable_path=CHROMIUM, args=args)


class Tab:
    """A page in a context of its own; the rig's authority is not the browser's, so certificates are let be."""

    def __init__(self, browser, **options):
        self.context = browser.new_context(ignore_https_errors=True, **options)
        self.complaints, self.requests = [], []
        self.page = self.watch(self.context.new_page())

    def watch(self, page):
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        return page

    def _hear(self, message):
        # A status of 4xx, the page's own or of the icon that nobody has, is no fault of the page.
        if message.type == "error" and not message.text.startswith("Failed to load resource: the server responded"):
            self.complaints.append(message.text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()

    def until(self, expression, timeout=10):
        """Waits without wait_for_function(), whose way of asking the page's policy forbids."""
        wait_for(lambda: self.page.evaluate(expression), expression, timeout)


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

    def follow(self, path):
        """As a link of the page does: nothing is loaded anew, so what a test made of the page stays."""
        self.page.evaluate("""path => { const a = document.createElement("a"); a.setAttribute("href", path); document.body.append(a);
            a.click(); a.remove(); }""", path)

    def another(self, path):
        """A further tab of the same browser, signed in by the others."""
        page = self.watch(self.context.new_page())
        page.goto(url_of(self.home) + path)
        page.wait_for_selector("nav")
        return page


def shot(tab, name):
    if KEEP:
        pathlib.Path(KEEP).mkdir(exist_ok=True)
        tab.page.screenshot(path=pathlib.Path(KEEP) / f"{name}.png", full_page=True)


# --- looking

def luminance(text):
    """WCAG's relative luminance of "rgb(r, g, b)"."""
    numbers = [float(part) for part in text[text.index("(") + 1:-1].split(",")]
    if len(numbers) == 4 and numbers[3] == 0:
        return 1.0  # transparent: the browser's white
    channels = [n / 255 / 12.92 if n / 255 <= 0.04045 else ((n / 255 + 0.055) / 1.055) ** 2.4 for n in numbers[:3]]
    return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]


def contrast(one, other):
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def axe(page):
    """What axe-core finds serious or critical: [(rule, help, [targets])]."""
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate((paths.node_modules() / "axe-core/axe.min.js").read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [(one["id"], one["help"], [str(node["target"]) for node in one["nodes"]][:5]) for one in found if one["impact"] in ("serious", "critical")]
