"""What `Weaver`, its methods and strategies take as options: types, protocols and objects."""

from typing import TYPE_CHECKING

from weaver._environment.doors import door

if TYPE_CHECKING:
    from weaver._dispatch.port import Claim, Dispatcher, Job, Watch
    from weaver._environment.paths import home
    from weaver._journal import local_journal
    from weaver._journal.memory import MemoryJournal
    from weaver._journal.port import Entry, Journal, Opened, RunHead
    from weaver._journal.retention import Retention
    from weaver._journal.sqlite import SQLiteJournal
    from weaver._planning.gate.gate import CostGate, Gate, Verdict
    from weaver._planning.planner import Planner
    from weaver._planning.policy import Features, Judgement, Policy, Rules
    from weaver._runtime.threads.thread_options import Body, Hedge
    from weaver._settings.run_options import Changes, RunOptions, SettingOptions
    from weaver._settings.settings import ModelSettings, Settings
    from weaver._strategies.common.option_types import (
        Count,
        Needs,
        Number,
        Patience,
        Percent,
        Same,
        Share,
        Warmth,
    )
    from weaver._tools.approvals import Approve

_MODULES = {
    "Approve": "_tools.approvals",
    "Body": "_runtime.threads.thread_options",
    "Changes": "_settings.run_options",
    "Claim": "_dispatch.port",
    "CostGate": "_planning.gate.gate",
    "Count": "_strategies.common.option_types",
    "Dispatcher": "_dispatch.port",
    "Entry": "_journal.port",
    "Features": "_planning.policy",
    "Gate": "_planning.gate.gate",
    "Hedge": "_runtime.threads.thread_options",
    "Job": "_dispatch.port",
    "Journal": "_journal.port",
    "Judgement": "_planning.policy",
    "MemoryJournal": "_journal.memory",
    "ModelSettings": "_settings.settings",
    "Needs": "_strategies.common.option_types",
    "Number": "_strategies.common.option_types",
    "Opened": "_journal.port",
    "Patience": "_strategies.common.option_types",
    "Percent": "_strategies.common.option_types",
    "Planner": "_planning.planner",
    "Policy": "_planning.policy",
    "Retention": "_journal.retention",
    "Rules": "_planning.policy",
    "RunHead": "_journal.port",
    "RunOptions": "_settings.run_options",
    "SQLiteJournal": "_journal.sqlite",
    "Same": "_strategies.common.option_types",
    "SettingOptions": "_settings.run_options",
    "Settings": "_settings.settings",
    "Share": "_strategies.common.option_types",
    "Verdict": "_planning.gate.gate",
    "Warmth": "_strategies.common.option_types",
    "Watch": "_dispatch.port",
    "home": "_environment.paths",
    "local_journal": "_journal",
}

__all__ = [
    "Approve",
    "Body",
    "Changes",
    "Claim",
    "CostGate",
    "Count",
    "Dispatcher",
    "Entry",
    "Features",
    "Gate",
    "Hedge",
    "Job",
    "Journal",
    "Judgement",
    "MemoryJournal",
    "ModelSettings",
    "Needs",
    "Number",
    "Opened",
    "Patience",
    "Percent",
    "Planner",
    "Policy",
    "Retention",
    "Rules",
    "RunHead",
    "RunOptions",
    "SQLiteJournal",
    "Same",
    "SettingOptions",
    "Settings",
    "Share",
    "Verdict",
    "Warmth",
    "Watch",
    "home",
    "local_journal",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = door(__name__, _MODULES)
