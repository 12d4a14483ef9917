"""What stands on a person's desk: the browser that a command opens.

`Desk.environment` makes commands believe in a display; their browser is a script that notes which page it was sent to, and
`Desk.open()` visits that page in Chromium, in the same profile each time, so that a tab stays signed in.
"""
import pathlib

from .chromium import launch
from .ports import wait_for


class Desk:
    def __init__(self, playwright, folder, port):
        """`port`: where accounts.google.com is answered."""
        self.folder = pathlib.Path(folder)
        self._noted = self.folder / "pages"
        self._noted.touch(mode=0o600)
        self._seen = 0
        script = self.folder / "open-page"
        script.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$1\" >>'{self._noted}'\n")
        script.chmod(0o755)
        self.environment = {"BROWSER": str(script), "DISPLAY": ":99"}
        self.browser = launch(playwright, port)
        # The rig's authority is not the browser's.
        self.context = self.browser.new_context(ignore_https_errors=True)
        self.context.set_default_timeout(60_000)

    def open(self, timeout=60):
        """The page that a command has asked for since the last time, opened."""
        def noted():
            lines = self._noted.read_text().splitlines(keepends=True)[self._seen:]
            return [line.strip() for line in lines if line.endswith("\n")]

        url = wait_for(noted, "a command that opens the browser", timeout)[0]
        self._seen += 1
        page = self.context.new_page()
        page.goto(url if "://" in url else pathlib.Path(url).as_uri())
        return page

    def close(self):
        self.browser.close()
