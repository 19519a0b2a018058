"""What one endpoint takes: the wishes of a request, and the next way for each refused one.

A wish is what a request asks for and can do without, in another way. When a server refuses a request,
`Dialect.learn` finds the wish that its complaint means and steps it down; the request is then sent again.
What was learned is kept between processes (`weaver._models.endpoint_memory`, namespace ``dialect``).

Output that must fit a schema is handled above all adapters: see `weaver._runtime.output.structured_output`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from weaver._data.conversation.reading import RETURNED
from weaver._json_reading.json_types import is_array
from weaver._models.openai.errors.complaints import Complaint
from weaver._text.patterns import lazily

_NOT_TAKEN = lazily(
    r"support|recogni[sz]e|unknown|unexpected|deprecated|allow|permit|both|forbidden|not available|not accept"
    r"|only .{0,40}(?:is|are) |incompatible|cannot be used|can't be used|no longer"
    r"|must be (?:null|omitted|removed)",
    re.IGNORECASE,
)
# Wishes, and no part of what is asked: without them the answer is drawn in another way. Dropped from the
# right, since providers that refuse two at once mean the second.
SAMPLING = ("temperature", "top_p", "seed")
_OPTIONAL = (
    "stream_options", "parallel_tool_calls", "reasoning_effort", "top_logprobs", "logprobs", *SAMPLING,
)  # fmt: skip
_STRUCTURE = lazily(
    r"response_?format|json_?schema|json_?object|json[ _]mode|structured[ _]outputs?|guided_|grammar|schema"
    r"|response mime ?type",
    re.IGNORECASE,
)
_TOOL_CHOICE = lazily(r"tool[_ ]choice|function[_ ]call(?:ing)? mode", re.IGNORECASE)
_TOOLS = lazily(r"\btools?\b|function.?call", re.IGNORECASE)
_SYSTEM = lazily(
    r"system[ _'\"]{0,3}(?:role|message|prompt|instruction)"
    r"|(?:role|developer)s?\b.{0,60}\b(?:system|instruction)|roles? must alternate"
    r"|only user(?:,| and|/).{0,30}assistant|should be 'user' or 'assistant'"
    r"|\bsystem\b.{0,30}not (?:supported|allowed)",
    re.IGNORECASE,
)
_STREAM = lazily(
    r"(?:to|support|allow)s? stream|must be verified"
    r"|stream(?:ing)?\b[^.]{0,60}(?:support|allow|available|enabled|permit|must be false)",
    re.IGNORECASE,
)
_FIELD = lazily(r"\b(?:temperature|top_p|seed|stop|max_\w+|logprobs|messages?)\b|['`][a-z_]+['`]")
_GENERAL = lazily(
    r"bad request|invalid (?:request|argument|parameter|input|body|json)|unsupported|not supported"
    r"|unprocessable|validation|malformed|not implemented"
    r"|unknown (?:field|parameter)|extra (?:inputs|fields)",
    re.IGNORECASE,
)
_OTHER_MATTER = lazily(
    r"api.?key|authenti|unauthori|permission|forbidden|credit|balance|billing|quota|payment"
    r"|context (?:length|window)|too (?:long|large|many tokens)|max(?:imum)? (?:tokens|length)"
    r"|content.?(?:policy|filter|management)|moderat|flagged|safety|region|country"
    r"|does not exist|not found|no such|required|missing|must (?:lie|be (?:between|at|less|greater))",
    re.IGNORECASE,
)
_NUMBER = r"(?<![\d,_])(\d[\d,_]{0,14})"
_WINDOW = lazily(
    rf"(?:context (?:length|window|size)|max_model_len|n_ctx|context)[^\d.]{{0,40}}{_NUMBER}"
    rf"|{_NUMBER} (?:tokens? )?(?:maximum )?context|max_new_tokens[^\d.]{{0,20}}(?:<=|at most) ?{_NUMBER}",
    re.IGNORECASE,
)
_IN_PROMPT = lazily(
    rf"{_NUMBER} (?:tokens )?(?:in|of|from) (?:the |your )?(?:messages|prompt|input)"
    rf"|(?:prompt|input|messages)[^\d.]{{0,40}}{_NUMBER} (?:input )?tokens"
    rf"|{_NUMBER} .?(?:inputs?|prompt).? tokens",
    re.IGNORECASE,
)
_IN_ALL = lazily(
    rf"requested[^\d.]{{0,30}}{_NUMBER}|{_NUMBER} tokens (?:were |are )?requested", re.IGNORECASE
)
_MOST = lazily(
    r"max(?:imum)?[ _](?:completion[ _]|output[ _]|new[ _])?(?:tokens|value).{0,160}?"
    r"(?:<=?|\d >|less than(?: or equal to)?|at most|(?:not |cannot |must not )?exceed(?:ing)?|up to"
    r"|maximum(?: value)?(?: is| of)?|limit(?: is| of)?|between \d+ and|\[\d+, ?|range of)"
    rf"[^\d.]{{0,30}}{_NUMBER}",
    re.IGNORECASE,
)
_TOO_LONG = lazily(
    r"context (?:length|window|size)|max_model_len|maximum context|n_ctx|max_(?:completion_)?tokens",
    re.IGNORECASE,
)
_NOT_ABOUT_FORM = {401, 402, 403, 408, 413, 429, 503, 529}
_MARGIN = 16  # tokens; servers count the prompt a little differently each time


@dataclass(frozen=True, slots=True)
class Step:
    """The next way for a refused wish.

    Args:
        wish: the field, as the protocol calls it.
        instead: what is done now, in words; ``""`` when nobody needs to know.
    """

    wish: str
    instead: str = ""


@dataclass(slots=True)
class Dialect:
    """What a server accepts beyond, or short of, the common protocol.

    Attributes:
        max_tokens: the field for the cap on generated tokens; None when it takes none.
        most_tokens: the greatest cap that it takes, where it said so.
        tool_choice: the strongest kind that it takes: ``named``, ``required`` or ``auto``.
        system: takes messages of the role ``system``.
        stream: streams answers; a whole answer is read as one piece.
        llama_cpp: says the matched stop string when asked in its own way.
        without: optional fields that it does not take, as models that reason often do not take sampling.
    """

    max_tokens: str | None = "max_tokens"
    most_tokens: int | None = None
    tool_choice: str = "named"
    system: bool = True
    stream: bool = True
    llama_cpp: bool = False
    without: set[str] = field(default_factory=set[str])

    def fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The body's fields in the way this server takes them. Lists inside are not changed but replaced."""
        body = {name: value for name, value in fields.items() if name not in self.without}
        if not self.stream:
            body.pop("stream_options", None)
            body["stream"] = False
        if "logprobs" in self.without:
            body.pop("top_logprobs", None)
        if (max_tokens := body.pop("max_tokens", None)) is not None and self.max_tokens is not None:
            name = self.max_tokens if "messages" in body else "max_tokens"
            body[name] = max_tokens if self.most_tokens is None else min(max_tokens, self.most_tokens)
        if (choice := body.get("tool_choice")) is not None:
            if isinstance(choice, dict) and self.tool_choice != "named":
                choice = body["tool_choice"] = "required"
            if choice == "required" and self.tool_choice == "auto":
                del body["tool_choice"]
        if not self.system and isinstance(body.get("messages"), list):
            body["messages"] = _without_system(body["messages"])
        return body

    def learn(self, complaint: Complaint, sent: Mapping[str, Any]) -> Step | None:
        """Step down the wish that a server refuses, when it can be told from its complaint.

        Args:
            sent: the body's fields, as they were sent.

        Returns:
            What is done instead from now on; None when the complaint is about something else.
        """
        if complaint.status in {401, 402, 403, 404, 408, 429} and not _STREAM.search(complaint.text):
            return None
        return self._step(complaint, sent)

    def _step(self, complaint: Complaint, sent: Mapping[str, Any]) -> Step | None:
        text, named = complaint.text, complaint.named
        if step := self._fewer_returned(text, sent):
            return step
        if "stream_options" in sent and re.search(r"stream_options|include_usage", text):
            self.without.add("stream_options")
            return Step("stream_options")
        if "max_tokens" in sent and "messages" in sent and "max_completion_tokens" in text:
            self.max_tokens = "max_completion_tokens"
            return Step("max_tokens")
        if step := self._fewer_tokens(text, named, sent):
            return step
        if _STRUCTURE.search(text) and "response_format" in sent:
            return None  # the next way needs another prompt
        if "tool_choice" in sent and (_TOOL_CHOICE.search(text) or "tool_choice" in named):
            self.tool_choice = "required" if isinstance(sent["tool_choice"], dict) else "auto"
            return Step("tool_choice", f"tool_choice {self.tool_choice}")
        refused = bool(_NOT_TAKEN.search(text))
        if refused or named:
            # Where two are refused at once, the second is meant.
            for name in reversed(_OPTIONAL):
                if name in sent and (name in named or (refused and re.search(rf"\b{name}\b", text))):
                    if not refused:
                        continue
                    self.without.add(name)
                    return Step(name, "its own is used" if name in SAMPLING else "it is left out")
        if refused and "tools" in sent and _TOOLS.search(text):
            return None
        if self.system and _has_system(sent) and _SYSTEM.search(text):
            self.system = False
            return Step("system", "instructions are sent in the user's first message")
        if sent.get("stream") and (
            named[:1] == ("stream",) or (_STREAM.search(text) and "stream" in text.lower())
        ):
            self.stream = False
            return Step("stream", "answers come whole")
        return None

    def _fewer_returned(self, text: str, sent: Mapping[str, Any]) -> Step | None:
        """A field of the assistant's message that another server sent, and this one does not take."""
        if not _NOT_TAKEN.search(text):
            return None
        messages = sent.get("messages")
        names = {str(name) for m in messages for name in m} if is_array(messages) else frozenset[str]()
        for name in RETURNED:
            if name in names and re.search(rf"\b{name}\b", text):
                self.without.add(name)
                return Step(name)
        return None

    def _fewer_tokens(self, text: str, named: tuple[str, ...], sent: Mapping[str, Any]) -> Step | None:
        """A cap that is too large for the model, or for what its prompt leaves of the context window."""
        name = next((n for n in ("max_tokens", "max_completion_tokens") if n in sent), None)
        if name is None or not (_TOO_LONG.search(text) or name in named):
            return None
        requested = int(sent[name])
        if _WINDOW.search(text):
            return None  # it depends on the prompt: see `room_in`
        if (maximum := _number(_MOST, text)) is not None and 0 < maximum < requested:
            self.most_tokens = maximum
            return Step(name, f"at most {maximum} are asked for")
        if _NOT_TAKEN.search(text) and re.search(rf"\b{name}\b", text):
            self.max_tokens = "max_completion_tokens" if name == "max_tokens" and "messages" in sent else None
            return Step(name, "" if self.max_tokens else "the server's own is used")
        return None

    def room_in(self, complaint: Complaint, sent: Mapping[str, Any]) -> int | None:
        """The cap that fits into the context window with this prompt, from the numbers in a complaint."""
        name = next((n for n in ("max_tokens", "max_completion_tokens") if n in sent), None)
        window = _number(_WINDOW, complaint.text)
        if name is None or window is None:
            return None
        requested, text = int(sent[name]), complaint.text
        prompt, total = _number(_IN_PROMPT, text), _number(_IN_ALL, text)
        if prompt is None and total is not None and total > requested:
            prompt = total - requested
        if prompt is None:  # unless the prompt alone is too long, half of it may fit
            room = min(requested, window) // 2 if requested >= window or "max_" in text else 0
        else:
            room = window - prompt - _MARGIN
        return room if 1 <= room < requested else None

    def suspects(self, complaint: Complaint, sent: Mapping[str, Any]) -> set[str]:
        """Optional fields of a request that was refused for no reason that can be told."""
        text = complaint.text
        unclear = (
            complaint.status in {400, 422, 501}
            and (not text.strip() or _GENERAL.search(text))
            and not (complaint.named or _FIELD.search(text) or _OTHER_MATTER.search(text))
        )
        return {name for name in _OPTIONAL if name in sent} if unclear else set()

    def facts(self) -> dict[str, Any]:
        """Return what was learned, as JSON."""
        usual = Dialect()
        facts = {
            name: getattr(self, name)
            for name in ("max_tokens", "most_tokens", "tool_choice", "system", "stream")
            if getattr(self, name) != getattr(usual, name)
        }
        return {**facts, **({"without": sorted(self.without)} if self.without else {})}

    def recall(self, facts: Mapping[str, Any]) -> None:
        """Take over what was learned earlier; what has another shape is skipped."""
        if facts.get("max_tokens", "") in {None, "max_completion_tokens"}:
            self.max_tokens = facts["max_tokens"]
        if isinstance(maximum := facts.get("most_tokens"), int) and maximum > 0:
            self.most_tokens = maximum
        if facts.get("tool_choice") in {"required", "auto"}:
            self.tool_choice = facts["tool_choice"]
        self.system = self.system and facts.get("system") is not False
        self.stream = self.stream and facts.get("stream") is not False
        if is_array(without := facts.get("without")):
            self.without |= {name for name in without if name in (*_OPTIONAL, *RETURNED)}

    def forget(self) -> None:
        """Go back to the common protocol."""
        usual = Dialect()
        for name in ("most_tokens", "tool_choice", "system", "stream"):
            setattr(self, name, getattr(usual, name))
        self.without.clear()


def names_structure(complaint: Complaint, sent: Mapping[str, Any]) -> bool:
    """Tell whether a server says that it refuses the way to structured output that a request takes."""
    if complaint.status in _NOT_ABOUT_FORM or not ("response_format" in sent or "tools" in sent):
        return False
    return bool(_STRUCTURE.search(complaint.text) or _TOOLS.search(complaint.text))


def may_mean_structure(complaint: Complaint, sent: Mapping[str, Any]) -> bool:
    """Tell whether a server may refuse the way to structured output, and not something else of a request."""
    if complaint.status in _NOT_ABOUT_FORM or complaint.status == 404:
        return False
    forced = "response_format" in sent or ("tools" in sent and "tool_choice" in sent)
    return forced and not _OTHER_MATTER.search(complaint.text)


def _has_system(sent: Mapping[str, Any]) -> bool:
    messages = sent.get("messages")
    return is_array(messages) and any(m.get("role") == "system" for m in messages)


def _without_system(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """System messages as text of the next user message; neighbours of one role become one message."""
    turned: list[dict[str, Any]] = []
    for message in messages:
        if message.get("role") == "system":
            message = {**message, "role": "user"}  # noqa: PLW2901
        last = turned[-1] if turned else None
        plain = last is not None and last["role"] == message["role"] == "user"
        if (
            plain
            and last is not None
            and isinstance(last["content"], str)
            and isinstance(message["content"], str)
        ):
            turned[-1] = {**last, "content": f"{last['content']}\n\n{message['content']}"}
        else:
            turned.append(message)
    return turned


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    match = pattern.search(text)
    digits = next((group for group in match.groups() if group), None) if match else None
    return int(digits.replace(",", "").replace("_", "")) if digits and len(digits) < 12 else None
