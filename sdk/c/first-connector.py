#!/usr/bin/env python3
"""Takes the reader's first connector out of docs/authoring-a-connector.md.

Usage: first-connector.py PAGE OUTPUT-FOLDER FILE…

Each FILE is a code block of the page that follows a line naming it as **`FILE`**.
The page is the only copy, so what it shows is what is compiled and tested.
"""

import pathlib
import re
import sys


def block(page, name):
    found = re.search(r"\*\*`" + re.escape(name) + r"`\*\*[^\n]*\n\n```\w*\n(.*?)^```$", page, re.S | re.M)
    if not found:
        sys.exit(f"the page has no code block named {name}")
    return found.group(1)


def main():
    page = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
    for name in sys.argv[3:]:
        (pathlib.Path(sys.argv[2]) / pathlib.Path(name).name).write_text(block(page, name), encoding="utf-8")


if __name__ == "__main__":
    main()
