"""The acceptance run, short; the whole one is a command (see `acceptance`)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.heavy


@pytest.mark.timeout(300)
def test_killed_workers_lose_nothing_and_do_nothing_twice(server):
    command = [sys.executable, str(Path(__file__).with_name("acceptance.py")), "--runs", "60", "--every", "6"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    figures = json.loads(done.stdout)
    assert figures["lost_or_wrong"] == []
    assert figures["steps_done_twice"] == []
    assert figures["kills"]
    assert figures["runs_of_killed_workers"]
