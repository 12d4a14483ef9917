"""A scripted model: an Anthropic Messages API on loopback, for running the real Claude Code without an account.

`ClaudeModel(mind)` answers as a mind decides (assistant.py). `Model(turns)` is
the plain form: a list of functions, each given the request (parsed JSON), that
return content blocks: {"type":"text",…} or {"type":"tool_use","name","input"}.
Every request is kept in `requests`, so that a test sees what the agent told
its model: the tools it found and the results it got.
"""
import http.server
import json
import threading

from .assistant import Turn

PREFIX = "mcp__aileron__"


def text(words):
    return {"type": "text", "text": words}


def tool(name, arguments):
    return {"type": "tool_use", "name": name, "input": arguments}


def _events(number, blocks):
    """The server-sent events of one answer (Messages API, streaming)."""
    stop = "tool_use" if any(block["type"] == "tool_use" for block in blocks) else "end_turn"
    message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": "scripted", "content": [],
               "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}
    yield "message_start", {"message": message}
    for index, block in enumerate(blocks):
        if block["type"] == "text":
            start, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": block["text"]}
        else:
            start = {"type": "tool_use", "id": block.get("id") or f"toolu_{number}_{index}", "name": block["name"], "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        yield "content_block_start", {"index": index, "content_block": start}
        yield "content_block_delta", {"index": index, "delta": delta}
        yield "content_block_stop", {"index": index}
    yield "message_delta", {"delta": {"stop_reason": stop, "stop_sequence": None}, "usage": {"output_tokens": 1}}
    yield "message_stop", {}


class Door(http.server.BaseHTTPRequestHandler):
    """What both APIs have in common: an answer of known length."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD

    def request_body(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def json(self, body):
        self.send(json.dumps(body).encode(), "application/json")

    def stream(self, events):
        lines = [f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n" for name, data in events]
        self.send("".join(lines).encode(), "text/event-stream")

    def send(self, body, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass  # the agent was ended meanwhile


class Server:
    """Such a door on a loopback port of its own, until stop()."""

    def __init__(self, door):
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), door)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


class Model(Server):
    def __init__(self, turns=()):
        self.turns, self.requests = list(turns), []
        self._lock = threading.Lock()
        model = self

        class Handler(Door):
            def do_POST(self):
                request = self.request_body()
                if self.path.startswith("/v1/messages/count_tokens"):
                    return self.json({"input_tokens": 1})
                blocks = model.next(request)
                if not request.get("stream"):
                    return self.json({"id": "msg", "type": "message", "role": "assistant", "model": "scripted",
                                      "content": blocks, "stop_reason": "end_turn", "stop_sequence": None,
                                      "usage": {"input_tokens": 1, "output_tokens": 1}})
                return self.stream(_events(len(model.requests), blocks))

        super().__init__(Handler)

    def next(self, request):
        """Side questions of the client (no tools offered) do not use up a turn."""
        with self._lock:
            if not request.get("tools"):
                return [text("side question")]
            self.requests.append(request)
        return self.decide(request)

    def decide(self, request):
        with self._lock:
            turn = self.turns.pop(0) if self.turns else lambda _: [text("done")]
        return turn(request)

    def tool_results(self):
        """Every tool result that the agent reported to its model, in order, without repeats."""
        found = {}
        for request in self.requests:
            for message in request["messages"]:
                for block in blocks_of(message):
                    if block["type"] == "tool_result":
                        found[block["tool_use_id"]] = block
        return list(found.values())


def blocks_of(message):
    content = message["content"]
    return [text(content)] if isinstance(content, str) else content


def content(block):
    """The text of a tool result as the model got it."""
    if isinstance(block["content"], str):
        return block["content"]
    return "".join(part.get("text", "") for part in block["content"])


class ClaudeModel(Model):
    """Answers as a mind decides."""

    def __init__(self, mind):
        self.mind = mind
        super().__init__()

    def decide(self, request):
        blocks = []
        for kind, *step in self.mind.answer(self._turn(request)):
            if kind == "say":
                blocks.append(text(step[0]))
            else:
                identity, name, arguments = step
                blocks.append({**tool(PREFIX * (kind == "call") + name, arguments), "id": f"toolu_{identity}"})
        return blocks

    @staticmethod
    def _turn(request):
        """What came after the model's own last words; reminders that the client adds are no prompt."""
        tools = {offer["name"].removeprefix(PREFIX): offer for offer in request["tools"] if offer["name"].startswith(PREFIX)}
        own = max((at for at, message in enumerate(request["messages"]) if message["role"] == "assistant"), default=-1)
        prompts, results = [], {}
        for message in request["messages"][own + 1:]:
            for block in blocks_of(message) if message["role"] == "user" else []:
                if block["type"] == "tool_result":
                    results[block["tool_use_id"].removeprefix("toolu_")] = (content(block), bool(block.get("is_error")))
                elif block["type"] == "text" and not block["text"].lstrip().startswith("<"):
                    prompts.append(block["text"])
        return Turn(tools, "\n".join(prompts), results)
