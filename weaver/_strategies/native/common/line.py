"""A line of text that is being decoded: where it stops, what it forks into, how it is joined."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import anyio

from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._data.usage import estimate_tokens
from weaver._models.protocol import Request, Text
from weaver._runtime.run import Run
from weaver._runtime.state.thread import Thread
from weaver._runtime.threads.group import Threads
from weaver._strategies.native.common.format import Branch, Format, Told
from weaver._strategies.native.common.scanner import StopWatch, TagScanner
from weaver._strategies.native.common.trajectory import Block, Path, Trajectory
from weaver.errors import BudgetExceededError, NoAnswerError
from weaver.events import ThreadDelta

USEFUL_TOKENS = 32
"""A thread that could not even write this much is not started."""
NOT_FINISHED = " This part could not be finished."
# Without these, vLLM and SGLang leave special tokens out of the text, and the tags are special tokens.
_SPECIAL = {"skip_special_tokens": False, "spaces_between_special_tokens": False, "add_special_tokens": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How lines are decoded.

    Args:
        max_tokens: most tokens of the main thread, all its parts together.
        thread_tokens: most tokens of one thread of a block; None takes what the main thread has left.
        temperature, top_p: sampling; the run's temperature wins.
        own_seeds: each thread samples with its own seed (needed where threads have the same prompt).
        patience: once half of a block's threads are done, the others get at most this many times the median
            of their seconds (and at least that many seconds); what they have written until then is used.
            0 waits for all.
        special_tokens: ask the server to leave special tokens in the text (vLLM, SGLang; others ignore it).
    """

    max_tokens: int = 32768
    thread_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    own_seeds: bool = False
    patience: float = 5.0
    special_tokens: bool = True


@dataclass
class Line:
    """A line of text that is being decoded: the main thread (``depth`` 0) or a thread of a block."""

    run: Run
    form: Format
    decoding: Decoding
    context: str
    tokens: int
    depth: int
    window: int | None = None
    complete: bool = True
    reports_stops: bool = False  # the server named a stop, or left one in the text: silence means the end
    tree: Trajectory = field(default_factory=Trajectory)

    def __post_init__(self) -> None:
        self.prompt_length = len(self.context)
        self.own_from = len(self.context)
        self.open: list[str] = []

    @property
    def now(self) -> str:
        """The context with what the open call has said so far."""
        return self.context + "".join(self.open)

    @property
    def text(self) -> str:
        """Everything after the prompt."""
        return self.now[self.prompt_length :]

    async def write(self) -> None:
        """Decode to the end, with all forks on the way."""
        form, taken, until = self.form, 0, ""
        ends = form.thread_stops if self.depth else ()
        for _ in range(4 * form.rounds):
            may_fork = taken < form.rounds and self.depth < form.max_depth
            rewrites = dict(form.rewrites)
            stops = (until,) if until else (*ends, *(form.forks if may_fork else ()), *rewrites)
            try:
                end, finding = await self._decode(stops, may_fork=may_fork)
            except BudgetExceededError as error:
                if not self.text:
                    raise
                self._cut(f"{error.message}")
                return
            if until:
                self.context += "" if end == until else until
                until = ""
                if end == "length":
                    return
                continue
            if end in ends:
                self.context = self.context.removesuffix(end)
                if form.ends_thread(self.text):
                    return
                self.context += end
                continue
            if end in rewrites:
                self.context = self.context.removesuffix(end) + rewrites[end]
                continue
            if finding is None and end in form.forks and may_fork:
                finding = await self._fork()
            if finding:
                taken += 1
                self._join(finding)
                until = form.then_until
            if end not in form.forks:
                return
        self._cut(f"It stopped {4 * form.rounds} times.")

    def _join(self, told: Sequence[Told]) -> None:
        self.context = self.form.join(self.context, told)
        self.own_from = len(self.context)
        self._offer()

    def _cut(self, why: str) -> None:
        self.complete = False
        self.run.note(f"{self.run.path or 'The main thread'} was cut: {why}")

    def _offer(self) -> None:
        if self.depth == 0 and self.text.strip():
            self.run.offer(Answer(self.form.answer(self.text), complete=False))

    # ---- decoding

    async def _decode(self, stops: tuple[str, ...], *, may_fork: bool) -> tuple[str, list[Told] | None]:
        """One call: why it ended (a stop string, ``end`` or ``length``), and what promises came to."""
        if self._room() < 1:
            self._cut("it has used all its tokens.")
            return "length", None
        if not (self.form.overlapping and may_fork):
            return await self._call(stops, None), None
        async with self.run.fork(name="thread") as threads:
            promised = Promises(self, threads)
            end = await self._call(stops, promised)
            return end, await self._told(threads, promised.branches, promised.lines)

    def _room(self) -> int:
        """Tokens that the next call may write."""
        if self.window is None:
            return self.tokens
        return min(self.tokens, self.window - estimate_tokens(self.context) - 1)

    async def _call(self, stops: tuple[str, ...], promised: Promises | None) -> str:
        request = Request(
            prompt=self.context,
            stop=stops,
            max_tokens=self._room(),
            temperature=None if self.run.context.temperature is not None else self.decoding.temperature,
            top_p=self.decoding.top_p,
            seed=self.run.random.randrange(2**31) if self.decoding.own_seeds else None,
            extra=_SPECIAL if self.decoding.special_tokens else {},
        )
        watch = StopWatch(stops)
        thread = self.run.context.thread_id if self.run.context.state.listen is not None else None
        try:
            async with self.run.call(request) as call:
                async for delta in call:
                    if not isinstance(delta, Text):
                        continue
                    if watch.found:
                        break
                    text = watch.read(delta.text)
                    self.open.append(text)
                    if thread is not None:
                        self.run.emit(ThreadDelta(thread, text))
                    if promised is not None:
                        promised.read(text)
        finally:
            opened = "".join(self.open)
            self.context += opened
            self.open.clear()
        reply = call.reply
        self.tokens -= max(1, reply.usage.output_tokens)
        self.reports_stops = self.reports_stops or bool(watch.found) or reply.stop in stops
        self._remember(opened)
        stop = watch.found
        end = stop or await self._why(stops, reply.finish, reply.stop)
        if end in stops and not stop:
            self.context += end
            self._remember(end)
        if not stop and reply.ended_abnormally:
            end = "length"
        if end == "length":
            self._cut(f"{reply.model} {reply.why_incomplete}.")
        self._offer()
        return end

    async def _why(self, stops: tuple[str, ...], finish: str | None, stop: str | None) -> str:
        """Return why a call ended. Servers that do not name the stop string leave it to what is open."""
        if finish == "length":
            return "length"
        if stop is not None and stop in stops:
            return stop
        if finish != "stop" or self.reports_stops:
            return "end"
        for candidate in stops:
            opener = self.form.opener(candidate)
            own = self.context[self.own_from :]
            if opener and own.rfind(opener) > own.rfind(candidate):
                return candidate
        for candidate in stops:
            if candidate in self.form.thread_stops or candidate == self.form.then_until:
                return candidate
            if candidate in self.form.ambiguous and await self._again(candidate):
                return candidate
        return "end"

    async def _again(self, stop: str) -> bool:
        """True if the line really goes on with ``stop``: ask for the next few tokens without stop strings."""
        request = Request(
            prompt=self.context,
            max_tokens=max(8, 2 * estimate_tokens(stop)),
            temperature=0.0,
            extra=_SPECIAL if self.decoding.special_tokens else {},
        )
        try:
            reply = await self.run.think(request, name="which_stop")
        except BudgetExceededError:
            return False
        return reply.text.lstrip().startswith(stop)

    def _remember(self, text: str) -> None:
        body = self.tree.body
        if text and body and isinstance(body[-1], str):
            body[-1] += text
        elif text:
            body.append(text)

    # ---- forking

    async def _fork(self) -> list[Told] | None:
        """Run the branches that the line asks for; None when it goes on sequentially."""
        branches = self.form.branches(self.context, self.context[self.own_from :])
        if not branches:
            return None
        if why := self.refused(len(branches)):
            self.run.note(f"{self.run.path or 'The main thread'} did not fork: {why}")
            return None
        share = self.share(len(branches))
        async with self.run.fork(name="thread") as threads:
            try:
                lines = [self.start(threads, branch, self.context, share) for branch in branches]
            except BudgetExceededError as error:  # another line took the last threads meanwhile
                self.run.note(f"{self.run.path or 'The main thread'} did not fork: {error.message}")
                return None
            return await self._told(threads, branches, lines)

    def refused(self, count: int) -> str:
        """Return why the fork is not taken, or ``""``."""
        remaining, form = self.run.remaining, self.form
        if form.max_branches and count > form.max_branches:
            return f"{count} threads are more than the {form.max_branches} of {form.name}."
        if self.tokens < form.min_tokens:
            return f"{self.tokens} tokens are left, and {form.name} needs {form.min_tokens}."
        if remaining.depth == 0:
            return "threads may not fork any deeper (max_depth)."
        if remaining.threads is not None and remaining.threads < count:
            return f"{remaining.threads} threads are left (max_threads)."
        if remaining.calls is not None and remaining.calls < count + 1:
            return f"{remaining.calls} calls are left (max_calls)."
        if self.share(count) < USEFUL_TOKENS:
            return "the budget has no room for the threads (max_tokens)."
        return ""

    def share(self, count: int) -> int:
        """Tokens that each of ``count`` threads may write; the line itself keeps as much as one of them."""
        limit = self.decoding.thread_tokens or self.tokens
        available = self.run.remaining.tokens
        return (
            limit
            if available is None
            else min(limit, available // (count + 1) - estimate_tokens(self.context) - 8)
        )

    def start(self, threads: Threads, branch: Branch, context: str, share: int) -> Line:
        """Start the thread of a branch. Its line is readable at any time, however the thread ends."""
        prompt = (context if branch.context is None else branch.context) + branch.begins
        line = replace(
            self, context=prompt, tokens=share, depth=self.depth + 1, complete=True, tree=Trajectory()
        )

        async def body(run: Run, task: Task) -> Answer:
            del task
            line.run = run
            await line.write()
            return Answer(line.text.strip(), complete=line.complete)

        threads.start(Task(prompt=branch.title, title=branch.title), body=body)
        return line

    async def _told(
        self, threads: Threads, branches: Sequence[Branch], lines: Sequence[Line]
    ) -> list[Told] | None:
        """Wait for the threads; what each has written, in outline order."""
        threads.close()
        if not branches:
            return None
        async with anyio.create_task_group() as group:
            if self.decoding.patience > 0:
                group.start_soon(self._hurry, threads)
            try:
                await threads.join()
            except NoAnswerError as error:
                self.run.note(f"No thread finished: {error.message}")
            group.cancel_scope.cancel()
        texts: list[str] = []
        for thread, line in zip(threads.all, lines, strict=True):
            text = line.text
            if thread.state != "succeeded":
                self.complete = False
                self.run.context.joined(thread)
                self._tell(thread)
                text = text if text.strip() else NOT_FINISHED
            if self.form.max_depth > 1:
                text += self.form.closing(text)
            texts.append(self.form.harmless(text))
            self.complete = self.complete and line.complete
        # The rest of the prompt depends on these texts, and a cut thread has another text every time.
        texts = await self.run.verdict("threads", texts)
        self._grow(branches, lines, texts)
        return [Told(branch, text) for branch, text in zip(branches, texts, strict=True)]

    def _tell(self, thread: Thread) -> None:
        because = f": {thread.error}" if thread.error else ""
        self.run.note(f"Thread {thread.id} ({thread.title}) was joined unfinished, {thread.state}{because}")

    async def _hurry(self, threads: Threads) -> None:
        """Cut the stragglers: see `Decoding.patience`."""
        seconds: list[float] = []
        async for thread in threads.as_finished():
            if thread.state == "succeeded":
                seconds.append(thread.seconds)
            if 2 * len(seconds) >= len(threads.all) and threads.running:
                break
        else:
            return
        begun = min(t.started_at or 0.0 for t in threads.all)
        await anyio.sleep_until(begun + self.decoding.patience * max(statistics.median(seconds), 1.0))
        threads.cancel("pruned")

    def _grow(self, branches: Sequence[Branch], lines: Sequence[Line], texts: Sequence[str]) -> None:
        """Add a block with the threads' own trees to this line's tree."""
        block = Block(overlapping=self.form.overlapping)
        for branch, line, text in zip(branches, lines, texts, strict=True):
            body = line.tree.body or [text]
            block.parts += [branch.begins, Path(branch.key.partition("@")[0], branch.title, body)]
        self.tree.body.append(block)


class Promises:
    """Starts a thread for each promise while the main thread is still writing."""

    def __init__(self, line: Line, threads: Threads) -> None:
        self.line = line
        self.threads = threads
        self.scanner = TagScanner(line.form.names, line.form.attributes)
        self.begun = len(line.context)
        self.branches: list[Branch] = []
        self.lines: list[Line] = []

    def read(self, text: str) -> None:
        """Take note of what was just written."""
        line = self.line
        for piece in self.scanner.feed(text):
            if piece.tag not in line.form.attributes:
                continue
            context = line.now[: self.begun + piece.at + len(piece.text)]
            for branch in line.form.branches(context, context[line.own_from :]):
                if why := line.refused(1):
                    line.run.note(f"A promise was not started: {why}")
                    continue
                if len(self.branches) >= (line.form.max_branches or len(self.branches) + 1):
                    continue
                share = min(line.share(1), 2 * branch.max_tokens if branch.max_tokens else line.tokens)
                try:
                    started = line.start(self.threads, branch, context, share)
                except BudgetExceededError as error:
                    line.run.note(f"A promise was not started: {error.message}")
                    continue
                self.branches.append(branch)
                self.lines.append(started)
