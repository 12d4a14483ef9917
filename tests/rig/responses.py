"""A scripted model with OpenAI's Responses API on loopback, for running the real Codex without an account.

What the model says is what a mind decides (assistant.py). Codex offers tools in one of two ways, by the model's name:
- to a model that it does not know (CodexModel) in namespaces: {"type":"namespace","name":"mcp__aileron","tools":[…]}, called by
  {"type":"function_call","name","namespace"};
- to its own newest models (CodeModel) behind one tool `exec` that runs JavaScript, in which they are functions. What runs longer
  than half a minute goes on while the model is told of a cell, for which it has the tool `wait`.
"""
import json
import re

from .assistant import Turn
from .model import Door, Server

NAMESPACE = "mcp__aileron"
# What Codex puts before every result of a tool.
WALL_TIME = re.compile(r"\AWall time: [0-9.]+ seconds\nOutput:\n")

OWN = ("function_call", "custom_tool_call")
RUNNING = re.compile(r"\AScript running with cell ID (\S+)")
DISCOVER = f'text(ALL_TOOLS.filter(tool => tool.name.startsWith("{NAMESPACE}__")));'
FAILED = 'const failed = error => ({content: [{text: String(error)}], isError: true});\n'


class CodexModel(Server):
    slug = "scripted"

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
                if not model.offered(request):  # a side question of the client, as for the task's title
                    return self.stream(model.answer_of([("say", "A task")], "resp_side"))
                model.requests.append(request)
                return self.stream(model.events(request, f"resp_{len(model.requests)}"))

        super().__init__(Handler)

    @staticmethod
    def offered(request):
        """The tools, in whatever form."""
        return request.get("tools") or []

    def events(self, request, identity):
        return self.answer_of(self.mind.answer(self._turn(request)), identity)

    def answer_of(self, steps, identity):
        yield "response.created", {"response": {"id": identity}}
        for kind, *step in steps:
            yield "response.output_item.done", {"item": self.item(kind, step)}
        usage = {"input_tokens": 1, "input_tokens_details": None, "output_tokens": 1, "output_tokens_details": None, "total_tokens": 2}
        yield "response.completed", {"response": {"id": identity, "usage": usage}}

    def item(self, kind, step):
        if kind == "say":
            return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": step[0]}]}
        identity, name, arguments = step
        item = {"type": "function_call", "call_id": identity, "name": name, "arguments": json.dumps(arguments)}
        return {**item, "namespace": NAMESPACE} if kind == "call" else item

    def _turn(self, request):
        tools = {offer["name"]: offer for space in self.offered(request) if space.get("name") == NAMESPACE for offer in space["tools"]}
        prompt, outputs = news_of(request)
        return Turn(tools, prompt, {identity: (WALL_TIME.sub("", "".join(texts)), None) for identity, texts in outputs.items()})


def news_of(request):
    """What came after the model's own last words: (prompt, {call id: texts of its output})."""
    items = request["input"]
    own = max((at for at, item in enumerate(items) if item.get("role") == "assistant" or item["type"] in OWN), default=-1)
    prompts, outputs = [], {}
    for item in items[own + 1:]:
        if item["type"] in ("function_call_output", "custom_tool_call_output"):
            outputs[item["call_id"]] = texts_of(item["output"])
        elif item.get("role") == "user":
            words = "".join(texts_of(item["content"]))
            prompts += [words] if not words.lstrip().startswith("<") else []
    return "\n".join(prompts), outputs


def texts_of(content):
    return [content] if isinstance(content, str) else [part.get("text", "") for part in content]


class CodeModel(CodexModel):
    """
    One `exec` for all calls of a step, at once. The tools have to be asked for, in a cell of their own before the first prompt is
    thought about.
    """

    slug = "gpt-6-sol"

    def __init__(self, mind):
        self._prompt, self._asked, self._texts, self.waits = None, [], [], 0
        super().__init__(mind)

    @staticmethod
    def offered(request):
        return [tool for item in request["input"] if item["type"] == "additional_tools" for tool in item["tools"]]

    def events(self, request, identity):
        return self.answer_of(self._steps(*news_of(request)), identity)

    def _steps(self, prompt, outputs):
        if not outputs and not self.mind.tools:
            self._prompt = prompt
            return [("code", "discover", DISCOVER)]
        if not outputs:
            return self._decide(Turn(self.mind.tools, prompt, {}))
        [(identity, texts)] = outputs.items()
        running = RUNNING.search(texts[0])
        self._texts += texts[1:]
        if running:
            self.waits += 1
            return [("wait", f"wait_{self.waits}", running.group(1))]
        said, self._texts = "".join(self._texts), []
        if identity == "discover":
            return self._decide(Turn({tool["name"].removeprefix(NAMESPACE + "__"): tool for tool in json.loads(said)}, self._prompt, {}))
        # A script that failed as a whole says so before its output.
        results = json.loads(said) if said else [{"content": [{"text": texts[0]}], "isError": True}] * len(self._asked)
        return self._decide(Turn(self.mind.tools, "", dict(zip(self._asked, map(_result, results), strict=True))))

    def _decide(self, turn):
        steps = self.mind.answer(turn)
        calls = [step for step in steps if step[0] == "call"]
        self._asked = [identity for _, identity, _, _ in calls]
        code = ", ".join(f"tools.{NAMESPACE}__{name}({json.dumps(arguments)}).catch(failed)" for _, _, name, arguments in calls)
        said = [step for step in steps if step[0] == "say"]
        return said + ([("code", f"exec_{self._asked[0]}", FAILED + f"text(await Promise.all([{code}]));")] if calls else [])

    def item(self, kind, step):
        if kind == "code":
            return {"type": "custom_tool_call", "call_id": step[0], "name": "exec", "input": step[1]}
        if kind == "wait":
            arguments = {"cell_id": step[1], "yield_time_ms": 10_000}
            return {"type": "function_call", "call_id": step[0], "name": "wait", "arguments": json.dumps(arguments)}
        return super().item(kind, step)


def _result(result):
    """(text, failed) of a tool's result as a script has it: structured where there is that."""
    if "structuredContent" in result:
        return json.dumps(result["structuredContent"], ensure_ascii=False), bool(result.get("isError"))
    return "".join(part.get("text", "") for part in result["content"]), bool(result.get("isError"))
