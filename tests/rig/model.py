"""A scripted model: an Anthropic Messages API on loopback, for running the real Claude Code without an account.

`turns` is a list of functions: each is given the request (parsed JSON) and
returns content blocks: {"type":"text",…} or {"type":"tool_use","name","input"}.
Every request is kept in `requests`, so that a test sees what the agent told
its model: the tools it found and the results it got.
"""
import http.server
import json
import threading


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
            start = {"type": "tool_use", "id": f"toolu_{number}_{index}", "name": block["name"], "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        yield "content_block_start", {"index": index, "content_block": start}
        yield "content_block_delta", {"index": index, "delta": delta}
        yield "content_block_stop", {"index": index}
    yield "message_delta", {"delta": {"stop_reason": stop, "stop_sequence": None}, "usage": {"output_tokens": 1}}
    yield "message_stop", {}


class Model:
    def __init__(self, turns):
        self.turns, self.requests = list(turns), []
        self._lock = threading.Lock()
        model = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_HEAD(self):
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_HEAD

            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path.startswith("/v1/messages/count_tokens"):
                    return self._json({"input_tokens": 1})
                blocks = model.next(request)
                if not request.get("stream"):
                    return self._json({"id": "msg", "type": "message", "role": "assistant", "model": "scripted",
                                       "content": blocks, "stop_reason": "end_turn", "stop_sequence": None,
                                       "usage": {"input_tokens": 1, "output_tokens": 1}})
                lines = [f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n"
                         for name, data in _events(len(model.requests), blocks)]
                return self._send("".join(lines).encode(), "text/event-stream")

            def _json(self, body):
                self._send(json.dumps(body).encode(), "application/json")

            def _send(self, body, kind):
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def next(self, request):
        """Side questions of the client (no tools offered) do not use up a turn."""
        with self._lock:
            if not request.get("tools"):
                return [text("side question")]
            self.requests.append(request)
            turn = self.turns.pop(0) if self.turns else lambda _: [text("done")]
        return turn(request)

    def tool_results(self):
        """Every tool result that the agent reported to its model, in order, without repeats."""
        found = {}
        for request in self.requests:
            for message in request["messages"]:
                if isinstance(message["content"], str):
                    continue
                for block in message["content"]:
                    if block["type"] == "tool_result":
                        found[block["tool_use_id"]] = block
        return list(found.values())

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
