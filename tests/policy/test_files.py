"""Policy files: what is written can be read, and what is damaged is refused with the reason."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.policy.world import records
from weaver import Weaver
from weaver._evals.policies.acceptance import learn
from weaver._evals.policies.examples import examples_of
from weaver._planning.learned.file import PolicyFile, read_policy, write_policy
from weaver._planning.learned.objective import OBJECTIVES
from weaver._planning.learned.policy import load_policy
from weaver.errors import ConfigurationError

pytestmark = pytest.mark.timeout(300)  # some seconds of arithmetic, on a machine that may be busy


@cache
def learned_file() -> PolicyFile:
    """A policy that is accepted, whatever the results say."""
    file = learn(examples_of(records(("sums", "exports", "adding"), each=15)), OBJECTIVES["balanced"]).file
    return replace(file, evidence=replace(file.evidence, accepted=True, reasons=()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_policy(learned_file(), tmp_path / "policy.json")
    return tmp_path / "policy.json"


def test_what_is_written_can_be_read(path: Path):
    there = read_policy(path)
    here = learned_file()
    assert (there.name, there.evidence.kinds) == (here.name, here.evidence.kinds)
    assert there.fitted.inputs.columns == here.fitted.inputs.columns
    row = [1.0, *(0.5 for _ in here.fitted.inputs.columns)]
    for name, arm in here.fitted.arms.items():
        assert there.fitted.arms[name].quality.chance(row) == pytest.approx(arm.quality.chance(row), abs=1e-4)
    assert path.stat().st_size < 200_000
    assert [entry.name for entry in path.parent.iterdir()] == ["policy.json"]
    write_policy(there, path.with_name("again.json"))
    assert path.with_name("again.json").read_bytes() == path.read_bytes()


def broken(path: Path, change) -> Path:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize("share", [0.001, 0.3, 0.999])
def test_a_file_that_is_cut_in_the_middle(path: Path, share: float):
    content = path.read_bytes()
    path.write_bytes(content[: max(1, int(share * len(content)))])
    with pytest.raises(ConfigurationError, match="is cut in the middle") as caught:
        read_policy(path)
    assert "weaver policy fit" in caught.value.hint


def nothing(data) -> None:
    data.clear()


def other_format(data) -> None:
    data["weaver_policy"] = 2


def no_rules(data) -> None:
    del data["fitted"]["arms"]["rules"]


def short_weights(data) -> None:
    data["fitted"]["arms"]["direct"]["quality"]["weights"].pop()


def no_number(data) -> None:
    data["fitted"]["domain"]["radius"] = "wide"


def infinite(data) -> None:
    data["threshold"] = float("inf")


def negative(data) -> None:
    data["fitted"]["arms"]["direct"]["quality"]["precision"][3][3] = -1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (nothing, "is not a policy file"),
        (other_format, "has format 2; this version of weaver reads format 1"),
        (no_rules, "it has no arm 'rules'"),
        (short_weights, "the weights of arm 'direct' do not fit"),
        (no_number, "is damaged: fitted.domain.radius"),
        (infinite, "is damaged: "),
        (negative, "the weights of arm 'direct' do not fit"),
    ],
)
def test_a_damaged_file_is_refused_with_the_reason(path: Path, change, why: str):
    with pytest.raises(ConfigurationError, match=why):
        read_policy(broken(path, change))


def test_other_files(tmp_path: Path):
    for content in (b"", b"\0\1\2", b"[1, 2]", b"[" * 200_000, b'"{'):
        (tmp_path / "x.json").write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"x\.json"):
            read_policy(tmp_path / "x.json")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_policy(tmp_path / "none.json")
    with pytest.raises(ConfigurationError, match="not a regular file"):
        read_policy("/dev/zero")
    with (tmp_path / "big.json").open("wb") as file:
        file.truncate(30_000_000)
    with pytest.raises(ConfigurationError, match="too many"):
        read_policy(tmp_path / "big.json")


def test_one_that_was_not_accepted_is_refused_by_name(path: Path):
    def refuse(data) -> None:
        data["evidence"] |= {"accepted": False, "reasons": ["its gain is not above 0 for sure"]}

    with pytest.raises(ConfigurationError, match=r"learned-\w+ is refused: its gain is not above 0"):
        load_policy(broken(path, refuse))


def test_the_constructor_says_what_is_wrong(tmp_path: Path):
    (tmp_path / "cut.json").write_text('{"weaver_policy": 1,')
    with pytest.raises(ConfigurationError, match="is cut in the middle"):
        Weaver(policy=tmp_path / "cut.json")
    with pytest.raises(ConfigurationError, match="must be a policy's file or name, or an object"):
        Weaver(policy=7)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="rulez"):
        Weaver(policy="rulez")


def test_the_same_file_is_read_once(path: Path):
    assert load_policy(path) is load_policy(path)
    again = replace(learned_file(), threshold=0.25)
    write_policy(again, path)
    os.utime(path, ns=(1, 1))
    assert load_policy(path).file.threshold == 0.25


def test_a_file_that_cannot_be_written_leaves_the_old_one(path: Path):
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_policy(learned_file(), path / "below" / "policy.json")
    assert path.read_bytes() == before
