"""A made-up agent in PATH: a program called claude or codex that notes how it was started and then runs a script."""
import json
import os
import pathlib

NOTE = """#!/usr/bin/env python3
import json, os, sys
note = {"argv": sys.argv, "environment": dict(os.environ), "cwd": os.getcwd(), "fds": sorted(os.listdir("/proc/self/fd"))}
with open(%(note)r, "w") as file:
    json.dump(note, file)
os.execv("/bin/sh", ["/bin/sh", %(script)r, *sys.argv[1:]])
"""


class FakeAgent:
    """`script` is what it does: lines of sh. `environment` finds it; `note()` is how it was started."""

    def __init__(self, folder, script="exit 0", name="claude"):
        self.folder, self.name = pathlib.Path(folder), name
        self.bin = self.folder / "bin"
        self.bin.mkdir(parents=True, exist_ok=True)
        self._note, self._script = self.folder / f"{name}.json", self.folder / f"{name}.sh"
        program = self.bin / name
        program.write_text(NOTE % {"note": str(self._note), "script": str(self._script)})
        program.chmod(0o755)
        self.does(script)
        self.environment = {"PATH": f"{self.bin}:{os.environ['PATH']}"}

    def does(self, script):
        self._script.write_text(script + "\n")

    def ran(self):
        return self._note.exists()

    def note(self):
        return json.loads(self._note.read_text())

    def server(self):
        """Our MCP server as Claude Code is told of it."""
        [config] = [word for word in self.note()["argv"] if word.startswith("--mcp-config=")]
        return json.loads(config.partition("=")[2])["mcpServers"]["aileron"]
