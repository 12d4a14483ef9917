"""The real agents, made ready to run without an account: a home of their own with the answers to their first questions, an environment
that leads them to a scripted model, and how each is started headless with our relay as its only MCP server.
"""
import json
import os
import pathlib
import subprocess

from . import paths
from .model import ClaudeModel
from .responses import CodeModel, CodexModel

KEY = "sk-ant-" + "scripted-model-no-account"


class Agent:
    """
    `folder`: its user's home and its project are made below it. `home`: the rig's Home. In its full-screen form it shows `ready` when
    one can type, and ends by `leave`; it shows the progress of a tool or does not. `by_hand`: the environment that docs/mcp.md asks
    for when our relay is registered by hand.
    """

    def __init__(self, home, mind, folder):
        self.home, self.mind = home, mind
        self.user, self.project = pathlib.Path(folder) / "user", pathlib.Path(folder) / "project"
        for path in (self.user, self.project, self.user / "bin"):
            path.mkdir(parents=True, exist_ok=True)
        link = self.user / "bin" / self.name
        if not link.is_symlink():
            link.symlink_to(self.program)
        self.model = self.start_model(mind)
        self.seed()

    @property
    def environment(self):
        """What a shell of this user has. HOME is theirs; PATH begins with the agent."""
        return {"PATH": f"{self.user / 'bin'}:{os.environ['PATH']}", "HOME": str(self.user), "LANG": "C.UTF-8", "TERM": "dumb",
                "AILERON_HOME": str(self.home.path), **self.variables()}

    def run(self, prompt, *more, timeout=110, extra=None):
        """Headless, with our relay registered by hand; the CompletedProcess."""
        return self.execute(self.headless(prompt, *more), timeout, {**self.by_hand, **(extra or {})})

    def launched(self, prompt, *more, options=()):
        """The command: headless through `aileron launch --local`."""
        return [paths.CLI, "launch", "--local", *options, self.name, *self.headless_words(prompt), *more]

    def start(self, command, extra=None):
        out = open(self.user / "out", "wb")
        return subprocess.Popen([str(word) for word in command], env={**self.environment, **(extra or {})}, cwd=self.project,
                                stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def execute(self, command, timeout, extra=None):
        done = subprocess.run([str(word) for word in command], env={**self.environment, **(extra or {})}, cwd=self.project,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)
        done.told = f"exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}\n{self.mind.failures}\n{self.mind.calls}"
        return done

    def stop(self):
        self.model.stop()


class Claude(Agent):
    name, start_model = "claude", ClaudeModel
    ready, leave, shows_progress = "? for shortcuts", "/exit", True
    by_hand = {"MCP_CONNECTION_NONBLOCKING": "0", "MCP_CONNECT_TIMEOUT_MS": "60000"}

    @property
    def program(self):
        return paths.claude()

    def seed(self):
        answers = {"hasCompletedOnboarding": True, "customApiKeyResponses": {"approved": [KEY[-20:]], "rejected": []},
                   "projects": {str(self.project): {"hasTrustDialogAccepted": True}}}
        (self.user / ".claude.json").write_text(json.dumps(answers))

    def variables(self):
        return {"ANTHROPIC_BASE_URL": self.model.url, "ANTHROPIC_API_KEY": KEY, "DISABLE_AUTOUPDATER": "1",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}

    def headless_words(self, prompt):
        return ["-p", prompt, "--output-format", "stream-json", "--verbose"]

    def headless(self, prompt, *more, server=()):
        config = self.user / "mcp.json"
        config.write_text(json.dumps({"mcpServers": {"aileron": {
            "type": "stdio", "command": str(paths.RELAY), "args": [], "env": {"AILERON_HOME": str(self.home.path)}, **dict(server)}}}))
        return [self.program, *self.headless_words(prompt), "--mcp-config", config, "--strict-mcp-config", "--allowedTools",
                "mcp__aileron__*", *more]


class Codex(Agent):
    name, start_model = "codex", CodexModel
    ready, leave, shows_progress = "Ask Codex to do anything", "/quit", False
    by_hand = {}

    @property
    def program(self):
        return paths.codex()

    def seed(self):
        (self.user / ".codex").mkdir(exist_ok=True)
        (self.user / ".codex/config.toml").write_text(f'''model = "{self.model.slug}"
model_provider = "scripted"
[features]
plugins = false
apps = false
[model_providers.scripted]
name = "scripted"
base_url = "{self.model.url}/v1"
env_key = "SCRIPTED_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
[projects."{self.project}"]
trust_level = "trusted"
''')

    def variables(self):
        return {"CODEX_HOME": str(self.user / ".codex"), "SCRIPTED_KEY": "sk-scripted"}

    def headless_words(self, prompt):
        return ["exec", "--skip-git-repo-check", "--json", prompt]

    def headless(self, prompt, *more, server=()):
        settings = {"command": str(paths.RELAY), "env": {"AILERON_HOME": str(self.home.path)}, "required": True,
                    "startup_timeout_sec": 60, "tool_timeout_sec": 3600, "default_tools_approval_mode": "approve", **dict(server)}
        words = [word for key, value in settings.items() for word in ("-c", f"mcp_servers.aileron.{key}={toml(value)}")]
        return [self.program, *words, *self.headless_words(prompt), *more]


def toml(value):
    """A value of TOML, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + "}"
    return json.dumps(value)


class CodexInCode(Codex):
    """With one of its own models, which calls tools from JavaScript."""

    start_model = CodeModel


AGENTS = {"claude": Claude, "codex": Codex, "codex-code": CodexInCode}
