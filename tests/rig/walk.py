"""The walk of docs/getting-started.md: the page taken apart, and a person who does what it says on real terminals.

What counts in the page, in order:
  ```sh         a command a line, typed at a shell; while an agent runs in the first terminal, in a second one
  ```text       what is shown next: by the command before it, from its first line to its last, or by the agent. `…` stands for
                any text within a line, a line `…` for any lines; what a person answers is written as it is echoed
  > words       what is said to the agent
  Press **X**   the button that is pressed in the browser
Everything else is explanation.
"""
import re

from .screen import Screen

PROMPT = re.compile(r"^(\d+):(\d+):walk\$ ", re.MULTILINE)


class Step:
    def __init__(self, kind, text, line):
        self.kind, self.text, self.line = kind, text, line

    def __repr__(self):
        return f"line {self.line}: {self.kind} {self.text!r}"


def steps_of(page):
    """The steps of a page's text."""
    found, block, prose = [], None, []

    def say(line):
        words = " ".join(prose)
        found.extend(Step("press", name, line) for name in re.findall(r"\b[Pp]ress \*\*([^*]+)\*\*", words))
        prose.clear()

    for number, line in enumerate(page.split("\n"), 1):
        if line.startswith("```"):
            say(number)
            if block is None:
                block = Step(line[3:].strip(), [], number + 1)
                assert block.kind in ("sh", "text"), f"line {number}: a block of {block.kind!r}"
            else:
                found += [Step("sh", each, block.line + at) for at, each in enumerate(block.text) if each] \
                    if block.kind == "sh" else [Step("text", "\n".join(block.text), block.line)]
                block = None
        elif block is not None:
            block.text.append(line)
        elif line.startswith("> "):
            say(number)
            found.append(Step("say", line[2:].strip(), number))
        else:
            prose.append(line.strip())
            if not line.strip():
                say(number)
    assert block is None, "a block without an end"
    say(number)
    return found


def pattern_of(expected):
    """The regular expression of a `text` block."""
    lines = []
    for line in expected.rstrip("\n").split("\n"):
        if line.strip() == "…":
            lines.append(r"(?:.*\n)*?")
        else:
            lines.append(".*?".join(re.escape(part) for part in line.rstrip().split("…")) + r"[ \t]*\n")
    return re.compile("".join(lines))


def difference(expected, output, whole=True):
    """
    None when the output is what the page shows (without `whole`: when it begins with that), else where they part. How wide a gap of
    blanks is does not count: columns are as wide as what stands in them.
    """
    expected, output = (re.sub(r" {2,}", " ", text.strip("\r\n")) for text in (expected, output))
    lines, output = expected.split("\n"), output + "\n"
    pattern = pattern_of("\n".join(lines))
    if pattern.fullmatch(output) if whole else pattern.match(output):
        return None
    agreed = max((count for count in range(1, len(lines) + 1) if pattern_of("\n".join(lines[:count])).match(output)), default=0)
    missed = f"the page's line {lines[agreed]!r} is not shown" if agreed < len(lines) else "more is shown than the page has"
    return f"{missed}. This was shown:\n{output}"


def standing(output):
    """Progress that was overwritten in its line is gone."""
    return "\n".join(line.rsplit("\r", 1)[-1] for line in output.split("\n"))


class Shell(Screen):
    """bash as a person has it, whose prompt tells how the last command ended."""

    def __init__(self, environment, cwd):
        environment = {**environment, "PS1": r"\#:$?:walk$ ", "PS2": "> ", "HISTFILE": "/dev/null", "INPUTRC": "/dev/null"}
        super().__init__("/bin/bash", ["--noprofile", "--norc", "-i"], environment, cwd, columns=200)
        self._at = 0
        self._await_prompt(30)

    def _await_prompt(self, timeout):
        return self.until(lambda: PROMPT.search(self.text, self._at), "the shell's prompt", timeout)

    def begin(self, command):
        """Types a command, which may go on for long."""
        self._at = PROMPT.search(self.text, self._at).end()
        self.send(command + "\n")
        self.until(lambda: "\n" in self.text[self._at:], f"the echo of {command!r}", 20)
        self._at = self.text.index("\n", self._at) + 1

    def so_far(self):
        """What the command has shown."""
        return standing(self.text[self._at:])

    def is_done(self):
        return bool(PROMPT.search(self.text, self._at))

    def finish(self, timeout=60):
        """(exit code, output) of the command that was begun."""
        prompt = self._await_prompt(timeout)
        output, self._at = standing(self.text[self._at:prompt.start()]), prompt.start()
        return int(prompt.group(2)), output

    def run(self, command, answers=(), timeout=60):
        """Types a command and answers its questions: [(words of the question, what is typed), …], each once, in this order."""
        self.begin(command)
        asked = self._at
        for question, typed in answers:
            asked = self._await(question, asked, timeout)
            if "passphrase" in question:
                self.until(lambda: not self.echoes(), "an end of the echo", timeout)
            self.send(typed() if callable(typed) else typed + "\n")
        return self.finish(timeout)

    def _await(self, words, start, timeout):
        """Where they end that are shown from `start` on."""
        return self.until(lambda: self.text.find(words, start) + 1, f"{words!r}", timeout) - 1 + len(words)
