"""Programs of models: what they get, and what stops them. Real processes, so real time."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

from weaver import Answer
from weaver.errors import ConfigurationError
from weaver.verifiers import Command, run_sandboxed

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")]


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def python(code: str, **options):
    return await run_sandboxed(["python", "main.py"], {"main.py": code}, **options)


async def test_a_program_runs_in_a_folder_of_its_own_without_keys(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    end = await python("import os\nprint(os.getcwd() == os.environ['HOME'], sorted(os.environ))")
    assert end.code == 0
    assert "True" in end.output
    assert "OPENAI" not in end.output


async def test_exit_codes_and_errors_are_told():
    end = await python("raise SystemExit(3)")
    assert (end.code, end.is_late) == (3, False)
    assert "ZeroDivisionError" in (await python("1/0")).output


async def test_a_program_that_never_ends_is_killed_with_its_children(tmp_path):
    writes = f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.fork() or os.getpid()))"
    code = f"import os, time\n{writes}\ntime.sleep(60)"
    end = await python(code, timeout=0.7)
    assert end.is_late
    pid = int((tmp_path / "pid").read_text())
    with anyio.fail_after(5):
        while _is_alive(pid):
            await anyio.sleep(0.05)


async def test_a_cancelled_check_leaves_no_process(tmp_path):
    code = f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    async with anyio.create_task_group() as group:
        group.start_soon(python, code)
        with anyio.fail_after(20):
            while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
                await anyio.sleep(0.05)
        group.cancel_scope.cancel()
    assert not _is_alive(int((tmp_path / "pid").read_text()))


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_memory_and_files_are_limited():
    assert (await python("x = bytearray(3_000_000_000)", memory_mb=300)).code != 0
    assert (await python("open('big', 'wb').write(bytes(200_000_000))")).code != 0


async def test_output_is_bounded():
    end = await python("import sys\nfor _ in range(200): sys.stdout.write('x' * 10_000)\nprint('end')")
    assert end.output.endswith("end\n")
    assert len(end.output) <= 20_000


async def test_files_stay_in_the_folder():
    with pytest.raises(ConfigurationError, match="outside"):
        await run_sandboxed(["python", "x.py"], {"../x.py": ""})


async def test_tests_are_a_check(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test_add.py").write_text(
        "from answer import add\nassert add(2, 3) == 5, 'add is wrong'\n", encoding="utf-8"
    )
    check = Command("python test_add.py")
    good = await check(Answer("Here:\n```python\ndef add(a, b):\n    return a + b\n```"))
    bad = await check(Answer("```python\ndef add(a, b):\n    return a * b\n```"))
    assert (good.passed, bad.passed) == (True, False)
    assert "add is wrong" in bad.reason
    late = await Command("python test_add.py", timeout=1)(Answer("while True: pass"))
    assert "took longer than 1 s" in late.reason
    assert [path.name for path in tmp_path.iterdir()] == ["test_add.py"]


def test_an_empty_command_and_a_missing_file_are_errors():
    with pytest.raises(ConfigurationError, match="empty"):
        Command(" ")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Command("python x.py", files=["/nowhere/x.py"])
