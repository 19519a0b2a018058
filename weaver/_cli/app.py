"""The table of commands: ours by name, others from the entry-point group ``weaver.commands``."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from weaver._cli.support.guard import debug_option

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "weaver.commands"

# name: (module, one line of help). The module's attribute of the same name is the click command.
OURS = {
    "run": ("weaver._cli.running.run", "Answer a question with parallel reasoning threads."),
    "plan": ("weaver._cli.running.plan", "Show how a question would be taken apart, without running it."),
    "runs": ("weaver._cli.running.runs", "Look at durable runs: list, show, cancel, export, rm."),
    "attach": ("weaver._cli.running.attach", "Watch a durable run from another terminal."),
    "resume": ("weaver._cli.running.resume", "Go on with durable runs after a crash, without paying again."),
    "fork": ("weaver._cli.running.fork", "Begin a new run from the middle of another one."),
    "approve": ("weaver._cli.running.approve", "Answer what a durable run waits for."),
    "init": ("weaver._cli.workflow_files.init", "Write a commented workflow file to start from."),
    "validate": ("weaver._cli.workflow_files.validate", "Check workflow files; every problem with its line."),
    "test": ("weaver._cli.workflow_files.test_flow", "Run a workflow's test cases, without a model."),
    "schema": ("weaver._cli.workflow_files.schema", "Print the JSON Schema of workflow files, for editors."),
    "strategies": (
        "weaver._cli.inspection.strategies",
        "List the ways to answer, their options and sources.",
    ),
    "models": ("weaver._cli.inspection.models", "List the models that can be used here."),
    "compare": ("weaver._cli.running.compare", "Compare strategies on the same items under the same limits."),
    "trajectory": ("weaver._cli.inspection.trajectory", "Check texts of models that fork by themselves."),
    "serve": ("weaver._cli.running.serve", "Serve OpenAI's protocol to chat programs, over HTTP."),
    "ui": ("weaver._cli.running.ui", "Ask questions and look at runs in the browser."),
    "mcp": ("weaver._cli.running.mcp", "Serve runs to MCP clients, over stdin or HTTP."),
    "trace": ("weaver._cli.inspection.trace", "Look at runs that were kept on this machine."),
    "policy": (
        "weaver._cli.running.policy",
        "Learn from results how to answer; judge and explain what was learned.",
    ),
    "feedback": (
        "weaver._cli.running.feedback",
        "Say how good a run's answer was, for its trace and for learning.",
    ),
    "doctor": ("weaver._cli.inspection.doctor", "Show what is reachable, what is missing and how to get it."),
    "bug-report": (
        "weaver._cli.inspection.bug_report",
        "Pack versions, settings without secrets and one trace for an issue.",
    ),
    "version": ("weaver._cli.inspection.version", "Show the versions of weaver and what it runs on."),
}

# Commands of distributions that may not be installed, and how to get them.
_POSTGRES = 'pip install "weaver-reasoning[postgres]"'
ELSEWHERE = {
    "local": 'pip install "weaver-reasoning[local]"',
    **dict.fromkeys(("submit", "worker", "cancel", "schedules", "limits"), _POSTGRES),
    "temporal": 'pip install "weaver-reasoning[temporal]"',
}


class Commands(click.Group):
    """A group whose commands are imported when they are called, not when they are listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*OURS, *sorted(set(_plugins()) - set(OURS))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in OURS:
            module = import_module(OURS[cmd_name][0])
            command = getattr(module, cmd_name.replace("-", "_"))
        elif (plugin := _plugins().get(cmd_name)) is not None:
            from weaver._environment import plugins

            command = plugins.load(plugin, "command")
        else:
            return None
        if not isinstance(command, click.Command):
            raise click.ClickException(f"The command {cmd_name!r} is not a click command.")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in self.list_commands(ctx) or name.startswith("-"):
            return super().resolve_command(ctx, args)
        if name in ELSEWHERE:
            raise click.UsageError(
                f"The command {name!r} is not installed. Get it with: {ELSEWHERE[name]}", ctx
            )
        from weaver._text.names import closest

        meant = closest(name, self.list_commands(ctx))
        hint = f"Did you mean 'weaver {meant}'?" if meant else f'To ask a question: weaver run "{name}"'
        raise click.UsageError(f"There is no command {name!r}. {hint}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, text) for name, (module, text) in OURS.items() if find_spec(module)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
        if extra := sorted((name, _about(point)) for name, point in _plugins().items() if name not in OURS):
            with formatter.section("From plugins"):
                formatter.write_dl(extra)


def _plugins() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points  # not weaver.plugins: --help loads nothing of weaver

    return {point.name: point for point in entry_points(group=GROUP)}


def _about(point: EntryPoint) -> str:
    if point.dist is None:
        return point.value
    about = point.dist.metadata
    return about["Summary"] if "Summary" in about else about["Name"]


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from weaver import __version__

        click.echo(f"weaver {__version__}")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version."
)
@debug_option
def weaver() -> None:
    """Adaptive parallel reasoning over any language model.

    \b
    weaver run "Compare Kyoto and Oslo for a week in May."
    weaver plan "Compare Kyoto and Oslo for a week in May."
    weaver doctor
    """
