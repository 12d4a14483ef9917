"""A scripted model with OpenAI's Responses API on loopback, for running the real Codex without an account.

Codex offers MCP tools to a model that it does not know in namespaces: {"type":"namespace","name":"mcp__aileron","tools":[…]},
called by {"type":"function_call","name","namespace"}. What the model says is what a mind decides (assistant.py).
"""
import json
import re

from .assistant import Turn
from .model import Door, Server

NAMESPACE = "mcp__aileron"
# What Codex puts before every result of a tool.
WALL_TIME = re.compile(r"\AWall time: [0-9.]+ seconds\nOutput:\n")


class CodexModel(Server):
    def __init__(self, mind):
        self.mind, self.requests, self.unknown = mind, [], []
        model = self

        class Handler(Door):
            def do_GET(self):
                self.json({"models": []})

            def do_POST(self):
                request = self.request_body()
                if not self.path.endswith("/responses"):
                    model.unknown.append(self.path)
                    return self.json({})
                if not request.get("tools"):  # a side question of the client, as for the task's title
                    return self.stream(model.answer_of([("say", "A task")], "resp_side"))
                model.requests.append(request)
                return self.stream(model.events(request, f"resp_{len(model.requests)}"))

        super().__init__(Handler)

    def events(self, request, identity):
        return self.answer_of(self.mind.answer(self._turn(request)), identity)

    def answer_of(self, steps, identity):
        yield "response.created", {"response": {"id": identity}}
        for kind, *step in steps:
            yield "response.output_item.done", {"item": self._item(kind, step)}
        usage = {"input_tokens": 1, "input_tokens_details": None, "output_tokens": 1, "output_tokens_details": None, "total_tokens": 2}
        yield "response.completed", {"response": {"id": identity, "usage": usage}}

    @staticmethod
    def _item(kind, step):
        if kind == "say":
            return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": step[0]}]}
        identity, name, arguments = step
        item = {"type": "function_call", "call_id": identity, "name": name, "arguments": json.dumps(arguments)}
        return {**item, "namespace": NAMESPACE} if kind == "call" else item

    @staticmethod
    def _turn(request):
        """What came after the model's own last words."""
        tools = {offer["name"]: offer for space in request["tools"] if space.get("name") == NAMESPACE for offer in space["tools"]}
        items = request["input"]
        own = max((at for at, item in enumerate(items) if item.get("role") == "assistant" or item["type"] == "function_call"), default=-1)
        prompts, results = [], {}
        for item in items[own + 1:]:
            if item["type"] == "function_call_output":
                results[item["call_id"]] = (_output(item["output"]), None)
            elif item.get("role") == "user":
                words = "".join(part.get("text", "") for part in item["content"])
                prompts += [words] if not words.lstrip().startswith("<") else []
        return Turn(tools, "\n".join(prompts), results)


def _output(output):
    words = output if isinstance(output, str) else "".join(part.get("text", "") for part in output)
    return WALL_TIME.sub("", words)
