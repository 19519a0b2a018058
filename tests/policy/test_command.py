"""``weaver policy`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.policy.test_files import learned_file
from tests.policy.world import records
from tests.tracing.stories import quorum_story
from weaver._cli import main
from weaver._evals.records import RecordFile
from weaver._planning.learned.file import read_policy, write_policy
from weaver._tracing.store.sqlite import Store

pytestmark = pytest.mark.timeout(300)  # some seconds of arithmetic, on a machine that may be busy
HEADER = {"tasks": {}, "models": {}}


def results(folder: Path, *kinds: str, each: int = 40, **options) -> Path:
    with RecordFile(folder / "runs.jsonl", HEADER) as file:
        for record in records(kinds, each=each, **options):
            file.add(record)
    return folder


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WEAVER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WEAVER_TRACE_DAYS", "0")


def test_fit_eval_explain(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = results(tmp_path / "a", "sums", "exports", "harvests", "adding")
    policy = tmp_path / "policy.json"
    assert main(["policy", "fit", str(folder), "-o", str(policy)]) == 0
    out, err = capsys.readouterr()
    assert "| learned |" in out
    assert "| always direct |" in out
    assert "Accepted: it is better than the rules for sure." in out
    assert f"{policy} is written." in err
    more = results(tmp_path / "b", "sums", "exports", "adding", seed=5)
    assert main(["policy", "eval", str(policy), str(more / "runs.jsonl"), "--json"]) in (0, 1)
    judged = json.loads(capsys.readouterr().out)
    assert judged["policy"] == read_policy(policy).name
    assert {row["name"] for row in judged["rows"]} >= {"learned", "rules", "oracle", "always direct"}
    assert judged["rows"][0]["gain"]["mean"] > 0
    assert (
        main(
            ["policy", "explain", "Which is largest?\nA) Peru\nB) Chad\nC) Mali\nD) Cuba", "-p", str(policy)]
        )
        == 0
    )
    out = capsys.readouterr().out
    assert out.startswith(f"{judged['policy']}: ")
    assert "(always)" in out
    assert "choices" in out


def test_a_policy_that_does_not_beat_the_rules_is_not_written(tmp_path: Path, capsys):
    folder = results(tmp_path / "a", "capitals", "mountain", each=10)
    policy = tmp_path / "policy.json"
    policy.write_text("the one before")
    assert main(["policy", "fit", str(folder), "-o", str(policy)]) == 1
    out, err = capsys.readouterr()
    assert "Refused:" in out
    assert "not above 0 for sure" in out
    assert "was not written" in err
    assert policy.read_text() == "the one before"


def test_a_plot_of_the_calibration(tmp_path: Path, capsys):
    pytest.importorskip("matplotlib")
    folder = results(tmp_path / "a", "sums", "exports", each=10)
    plot = tmp_path / "calibration.svg"
    main(["policy", "fit", str(folder), "-o", str(tmp_path / "p.json"), "--plot", str(plot)])
    assert "predicted share of right answers" in plot.read_text()


def test_logs_of_kept_runs(tmp_path: Path, capsys):
    store = Store()
    store.add(quorum_story().spans)
    store.close()
    folder = results(tmp_path / "a", "sums", "exports", each=10)
    main(["policy", "fit", str(folder), "-o", str(tmp_path / "p.json"), "--traces"])
    assert "no kept run has both a decision of a known arm and a reward" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is not a file of `weaver compare`"),
        (b"\x00\x01", "is not a file of `weaver compare`"),
        (b'{"comparison": 2}\n', "no rewards"),
        (b'{"comparison": 2}\n{"task": "a"}\n', "damaged"),
    ],
)
def test_results_that_are_none(tmp_path: Path, capsys, content: bytes, why: str):
    (tmp_path / "runs.jsonl").write_bytes(content)
    code = main(["policy", "fit", str(tmp_path / "runs.jsonl"), "-o", str(tmp_path / "p.json")])
    assert code == 2
    assert why in capsys.readouterr().err
    assert not (tmp_path / "p.json").exists()


def test_a_file_of_another_version_and_one_that_is_cut(tmp_path: Path, capsys):
    path = tmp_path / "policy.json"
    write_policy(learned_file(), path)
    text = path.read_text()
    path.write_text(text.replace('"weaver_policy": 1', '"weaver_policy": 9'))
    assert main(["policy", "explain", "What?", "-p", str(path)]) == 2
    assert "has format 9; this version of weaver reads format 1" in capsys.readouterr().err
    path.write_text(text[:500])
    assert main(["policy", "explain", "What?", "-p", str(path)]) == 2
    assert "is cut in the middle" in capsys.readouterr().err
    assert main(["run", "--policy", str(path), "What?"]) == 2
    assert "is cut in the middle" in capsys.readouterr().err
