"""Where the built programs and the cached packages of the tests are."""
import functools
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("AILERON_TEST_BUILD", ROOT / "build")).resolve()

CLI = BUILD / "src/cli/aileron"
RELAY = BUILD / "src/relay/aileron-mcp"
BROKER = BUILD / "src/broker/aileron-broker"
KEEPER = BUILD / "src/keeper/aileron-keeper"
WORKER = BUILD / "src/worker/aileron-worker"
STANDIN = BUILD / "demo/aileron-demo-workspace"
GOOGLE = BUILD / "connectors/google"

MACHINES = {"x86_64": "x64", "aarch64": "arm64"}


@functools.lru_cache
def cached(what):
    out = subprocess.run([ROOT / "scripts/setup", what], check=True, capture_output=True, text=True)
    return pathlib.Path(out.stdout.strip())


def node_modules():
    return cached("npm-dir") / "node_modules"


def claude():
    """Claude Code's own program, of the npm package for this machine; its install script is not run."""
    return node_modules() / f"@anthropic-ai/claude-code-linux-{MACHINES[os.uname().machine]}" / "claude"


def codex():
    """Codex's own program, likewise."""
    machine = os.uname().machine
    return node_modules() / f"@openai/codex-linux-{MACHINES[machine]}" / f"vendor/{machine}-unknown-linux-musl/bin/codex"


def node22():
    """A newer Node.js than Debian's, for the tools that want one."""
    return node_modules() / f"node-linux-{MACHINES[os.uname().machine]}" / "bin/node"


def sanitized():
    """True when the programs under test were built with ASan (the build folder says so)."""
    options = BUILD / ".configured-build"
    return options.exists() and "b_sanitize=address" in options.read_text()
