"""What a scripted model says and does, apart from how an API puts it (model.py, responses.py).

A mind is a set of tasks, each begun by a prompt and written as a generator: it
yields words to say or tools to call, and gets the results of these calls back.

    def count(turn):
        [listed] = yield [call("list_recent_emails", max_results=5)]
        yield [say(f"There are {len(listed.json()['messages'])}.")]

    mind = Mind({"how many mails": count})

It reacts to what the agent really sent: results other than those of the calls
that are open, a prompt that no task knows, or an assertion that fails inside a
task go into `mind.failures`, which tests assert to be empty, and the model
says so to the agent, which then ends its turn.
"""
import json
import re
import threading
import time


def say(words):
    return ("say", words)


def call(name, **arguments):
    return ("call", name, arguments)


def foreign(name, **arguments):
    """A call of the agent's own tool, not one of ours."""
    return ("foreign", name, arguments)


class Result:
    """What the model was told of one call. `failed` is None where the API does not say."""

    def __init__(self, name, arguments, text, failed):
        self.name, self.arguments, self.text, self.failed, self.at = name, arguments, text, failed, time.monotonic()

    def json(self):
        return json.loads(self.text)

    def __repr__(self):
        return f"{self.name}({self.arguments}) -> {'FAILED ' if self.failed else ''}{self.text[:300]}"


class Turn:
    """
    One request of the agent, as far as it is new: the tools of ours by their plain names (a task's turn always has the newest), and a
    prompt, or results by the id of their call as (text, failed).
    """

    def __init__(self, tools, prompt, results):
        self.tools, self.prompt, self.results = tools, prompt, results


class Mind:
    def __init__(self, tasks):
        self.tasks = {re.compile(pattern, re.IGNORECASE): task for pattern, task in tasks.items()}
        self.failures, self.calls, self.prompts, self.said, self.tools = [], [], [], [], {}
        self.ended = 0  # how often the model has finished its turn
        self._task, self._turn, self._open = None, None, {}
        self._lock = threading.Lock()
        self._count = 0

    def answer(self, turn):
        """[("say", words) | ("call"|"foreign", id, name, arguments)]"""
        with self._lock:
            self.tools = turn.tools or self.tools
            try:
                steps = self._resume(turn) if turn.results else self._begin(turn)
            except (AssertionError, KeyError, ValueError, TypeError) as error:
                self._task, self._open = None, {}
                self.failures.append(f"{type(error).__name__}: {error}")
                steps = [say(f"I am confused: {error}")]
            return self._number(steps)

    def _begin(self, turn):
        task = next((task for pattern, task in self.tasks.items() if pattern.search(turn.prompt or "")), None)
        assert task, f"no task for the prompt {turn.prompt!r}"
        assert not self._open, f"a prompt while {self._open} are open"
        self.prompts.append(turn.prompt)
        self._task, self._turn = task(turn), turn
        return self._next(None)

    def _resume(self, turn):
        assert self._task and set(turn.results) == set(self._open), f"results {sorted(turn.results)} while {sorted(self._open)} are open"
        self._turn.tools = turn.tools  # the list may have grown
        results = []
        for identity, (kind, name, arguments) in self._open.items():
            results.append(Result(name, arguments, *turn.results[identity]))
            self.calls += results[-1:] if kind == "call" else []
        self._open = {}
        return self._next(results)

    def _next(self, results):
        try:
            return self._task.send(results)
        except StopIteration:
            return [say("Done.")]

    def _number(self, steps):
        numbered = []
        self.ended += not any(step[0] != "say" for step in steps)
        for step in steps:
            if step[0] == "say":
                self.said.append(step[1])
                numbered.append(step)
                continue
            self._count += 1
            identity = f"call_{self._count}"
            self._open[identity] = step
            numbered.append((step[0], identity, *step[1:]))
        return numbered

    def names(self):
        """The calls of our tools that were answered, in order."""
        return [result.name for result in self.calls]

    def open_calls(self):
        """The names of the calls that the model waits for."""
        return [name for _, name, _ in self._open.values()]
