"""Fixtures of the tests that run real agents."""
import pytest

from tests.rig.agents import AGENTS
from tests.rig.assistant import Mind


@pytest.fixture(params=sorted(AGENTS))
def agent(request, tmp_path):
    """agent(home, tasks): Claude Code, and Codex, each with a scripted mind of these tasks."""
    kind, made = AGENTS[request.param], []

    def make(home, tasks):
        made.append(kind(home, Mind(tasks), tmp_path))
        return made[-1]

    yield make
    for each in made:
        each.stop()
        assert not each.mind.failures, each.mind.failures
