"""Played models: what a model trained for each format writes, from the prompt it is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from weaver.testing import Scripted


@dataclass(frozen=True)
class Trained:
    """A model trained for a format.

    Args:
        strategy: the strategy, with the options that this play needs.
        question: what it is asked.
        begins: the prompt that the server must receive first.
        plays: from a prompt to all that the model would write until its end of text.
        forks: the prompts of its threads, after the main thread's prompt where they share it.
        joined: what the main thread goes on from when they are done, after its first prompt.
        trajectory: all that comes after the first prompt.
    """

    strategy: str
    question: str
    begins: str
    plays: Callable[[str], str | Scripted]
    forks: tuple[str, ...]
    joined: str
    trajectory: str

    @property
    def name(self) -> str:
        """Of the format."""
        return self.strategy.partition(":")[0]


QWEN = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
TW = (
    "<think>\nTwo parts. <Parallel>\n<Outlines>\n<Outline>1: add</Outline>\n"
    "<Outline>2: take</Outline>\n</Outlines>"
)
TW_JOINED = f"{TW}\n<Thread>\n1: one is 1</Thread><Thread>\n2: two is 2</Thread>\n"
TW_END = "</Parallel>\nso three</think>\nThe answer is 3."


def threadweaver(prompt: str) -> str:
    """Two threads, then the answer."""
    if prompt.endswith("<Thread>\n1:"):
        return " one is 1</Thread> and more"
    if prompt.endswith("<Thread>\n2:"):
        return " two is 2</Thread>"
    return TW_END if prompt.endswith("</Thread>\n") else TW + "\n<Thread>\n1: and so on"


MV = "<Think>\nHm. <Parallel>\n<Goal>\n<Outline>1: p</Outline>\n<Outline>2: q</Outline>\n</Goal>"
MV_JOINED = f"{MV}\n<Path>\n1: first</Path>\n<Path>\n2: second</Path>\n<Conclusion>\n"
MV_END = "both\n</Conclusion>\n</Parallel>\n</Think>\n7"


def multiverse(prompt: str) -> str:
    """Two paths and a conclusion."""
    if prompt.endswith("<Path>\n1:"):
        return " first</Path>"
    if prompt.endswith("<Path>\n2:"):
        return " second</Path>"
    return MV_END if prompt.endswith("<Conclusion>\n") else MV


NPR = "<guideline>\n<plan>1: a</plan>\n<plan>2: b</plan>\n</guideline>"
NPR_JOINED = f"{NPR}\n<step>\n1: step 1</step>\n<step>\n2: step 2</step>\n<takeaway>\n"
NPR_END = "both\n</takeaway>\nIt is \\boxed{3}"


def npr(prompt: str) -> str:
    """Two plans and a takeaway."""
    if prompt.endswith(("<step>\n1:", "<step>\n2:")):
        return f" step {prompt[-2]}</step>"
    return NPR_END if prompt.endswith("<takeaway>\n") else NPR


R1_JOINED = "Hm. <Parallel><Path>a way</Path><Path>a way</Path></Parallel>\n<Summary>"


def parallel_r1(prompt: str) -> str:
    """Two seeds and a summary."""
    if prompt.endswith("<Path>"):
        return "a way</Path>"
    if prompt.endswith("<Summary>"):
        return "they agree</Summary>"
    return " so 3" if prompt.endswith("</Summary>") else "Hm. <Parallel>"


NODE = "Moving to Node #0\nCurrent State: 27:[22, 26, 31, 53], Operations: []"
NODES = (
    "\nGenerated Node #0,0: 27:[26, 31, 31] Operation: 53-22=31\n"
    "Generated Node #0,1: 27:[22, 5, 53] Operation: 31-26=5\n"
)
CALL = (
    "<Calling Sub Searches>\n<Start Sub Search 0 at level 1> Moving to Node #0,0\n"
    "<Start Sub Search 1 at level 1> Moving to Node #0,1\n<End Calling Sub Searches>"
)
PATH = (
    "Moving to Node #0,1\nCurrent State: 27:[22, 5, 53], Operations: ['31-26=5']\n27,27 equal: Goal Reached\n"
)
APR_JOINED = (
    f"{NODES}<Sub Searches>\n<No Solution in Sub Search 0 at level 1 at Node #0,0>\n"
    f"<Goal Reached in Sub Search 1 at level 1 at Node #0,1>\n{PATH}<End Sub Searches>\n"
)
APR_END = "27,27 equal: Goal Reached\n" + PATH


def apr(prompt: str) -> str:
    """Two sub-searches, one of which reaches the goal."""
    if prompt.startswith("Moving to Node #0,0"):
        return "\n26,27 unequal: No Solution"
    if prompt.startswith("Moving to Node #0,1"):
        return "\ntried\n27,27 equal: Goal Reached\n" + PATH
    return APR_END if "<Sub Searches>" in prompt else NODES + CALL


ONE, TWO = '<promise topic="one" tokens="4"/>', '<promise topic="two" tokens="4"/>'
PASTA_JOINED = f"Intro {ONE}<async>about one</async> and {TWO}<async>about two</async> then <sync/>"


def pasta(prompt: str) -> str:
    """Two promises and a point where both are waited for."""
    if prompt.endswith("<async>"):
        return f"about {'two' if TWO in prompt else 'one'}</async>"
    return " the end" if "<sync/>" in prompt else f"Intro {ONE} and {TWO} then <sync/>"


TRAINED = [
    Trained(
        "threadweaver",
        "What is 1+2?",
        QWEN.format("What is 1+2?"),
        threadweaver,
        (f"{TW}\n<Thread>\n1:", f"{TW}\n<Thread>\n2:"),
        TW_JOINED,
        TW_JOINED + TW_END,
    ),
    Trained(
        "multiverse",
        "What is 3+4?",
        "<|im_start|>system\nPlease think step by step and in parallel. Put your final answer within "
        "\\boxed{}.<|im_end|>\n"
        + QWEN.format("What is 3+4? Think step by step and in parallel before answering."),
        multiverse,
        (f"{MV}\n<Path>\n1:", f"{MV}\n<Path>\n2:"),
        MV_JOINED,
        MV_JOINED + MV_END,
    ),
    Trained(
        "npr",
        "What is 1+2?",
        QWEN.format("What is 1+2?"),
        npr,
        (f"{NPR}\n<step>\n1:", f"{NPR}\n<step>\n2:"),
        NPR_JOINED,
        NPR_JOINED + NPR_END,
    ),
    Trained(
        "parallel_r1",
        "What is 1+2?",
        QWEN.format("What is 1+2?"),
        parallel_r1,
        ("Hm. <Parallel><Path>", "Hm. <Parallel><Path>"),
        R1_JOINED,
        R1_JOINED + "they agree</Summary> so 3",
    ),
    Trained(
        "apr:sub_calls=10",
        "27:[22, 26, 31, 53]",
        f"Sub Call Budget: 10 {NODE}",
        apr,
        (
            "Moving to Node #0,0\nCurrent State: 27:[26, 31, 31], Operations: ['53-22=31']",
            "Moving to Node #0,1\nCurrent State: 27:[22, 5, 53], Operations: ['31-26=5']",
        ),
        APR_JOINED,
        APR_JOINED + APR_END,
    ),
    Trained(
        "pasta",
        "Two points, please.",
        "<start_of_turn>user\nTwo points, please.<end_of_turn>\n<start_of_turn>model\n",
        pasta,
        (f"Intro {ONE}<async>", f"Intro {ONE} and {TWO}<async>"),
        PASTA_JOINED,
        PASTA_JOINED + " the end",
    ),
]
