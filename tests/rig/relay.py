"""Speaking to `aileron-mcp` line by line, for tests that must see or send the bytes themselves."""
import json
import queue
import subprocess
import threading

from . import paths


class Relay:
    """A started relay. `send` takes an object or text; `receive` gives the next message, or fails after `timeout`."""

    def __init__(self, home, args=(), initialize=True, program=None, environment=None):
        self.process = subprocess.Popen([str(program or paths.RELAY), *args], env={**home.environment, **(environment or {})}, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=home.base)
        self._lines = queue.Queue()
        self._next = 0
        threading.Thread(target=self._read, daemon=True).start()
        if initialize:
            self.initialized = self.request("initialize", {
                "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "rig", "version": "1"}})["result"]
            self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def send(self, message):
        text = message if isinstance(message, bytes) else message.encode() if isinstance(message, str) else \
            json.dumps(message).encode()
        self.process.stdin.write(text + b"\n")
        self.process.stdin.flush()

    def receive(self, timeout=20):
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no message within {timeout} s") from None
        if line is None:
            raise EOFError(self.process.stderr.read().decode(errors="replace"))
        return json.loads(line)

    def request(self, method, params=None, timeout=20):
        """Sends a request and returns its answer; notifications in between are dropped."""
        self._next += 1
        message = {"jsonrpc": "2.0", "id": self._next, "method": method}
        if params is not None:
            message["params"] = params
        self.send(message)
        while True:
            answer = self.receive(timeout)
            if answer.get("id") == self._next:
                return answer

    def call(self, name, arguments=None, timeout=60):
        return self.request("tools/call", {"name": name, "arguments": arguments or {}}, timeout)["result"]

    def tools(self):
        return {tool["name"]: tool for tool in self.request("tools/list")["result"]["tools"]}

    def close(self):
        """Closes stdin, as a client that goes away does; returns the exit code."""
        if self.process.stdin and not self.process.stdin.closed:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                pass
        try:
            return self.process.wait(5)
        finally:
            self.process.kill()
            self.process.stdout.close()
            self.process.stderr.close()

    def end(self):
        """Ends it by a signal, as clients do with a server that does not go by itself."""
        self.process.terminate()
        return self.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
