"""Every name that weaver writes into spans and metrics, in one place and with its version.

The GenAI conventions are still in development upstream (repository ``semantic-conventions-genai``), so
nothing outside this file spells a name. ``metric_names`` switches between the metric names that SDKs use
today and those that the conventions' main branch is moving to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"
SCOPE: Final = "weaver"

# Operations: the first word of a span's name. Jaeger and others choose icons by them.
OPERATION: Final = "gen_ai.operation.name"
INVOKE_WORKFLOW: Final = "invoke_workflow"
INVOKE_AGENT: Final = "invoke_agent"
PLAN: Final = "plan"
CHAT: Final = "chat"
TEXT_COMPLETION: Final = "text_completion"
EXECUTE_TOOL: Final = "execute_tool"

# The conventions have no operation for these yet; they get names of weaver's own.
JOIN: Final = "join"
CONFLICT: Final = "conflict"
SYNTHESIS: Final = "synthesis"
STEP: Final = "step"
EVALUATE: Final = "evaluate"
VERIFY: Final = "verify"

# GenAI attributes.
CONVERSATION: Final = "gen_ai.conversation.id"
WORKFLOW_NAME: Final = "gen_ai.workflow.name"
AGENT_NAME: Final = "gen_ai.agent.name"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_TOP_P: Final = "gen_ai.request.top_p"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_SEED: Final = "gen_ai.request.seed"
REQUEST_STREAM: Final = "gen_ai.request.stream"
REQUEST_STOP: Final = "gen_ai.request.stop_sequences"
REQUEST_REASONING: Final = "gen_ai.request.reasoning.level"
OUTPUT_TYPE: Final = "gen_ai.output.type"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_FINISH: Final = "gen_ai.response.finish_reasons"
RESPONSE_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
USAGE_INPUT: Final = "gen_ai.usage.input_tokens"
USAGE_OUTPUT: Final = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ: Final = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_CREATION: Final = "gen_ai.usage.cache_creation.input_tokens"  # what trace UIs read today
USAGE_CACHE_WRITE: Final = "gen_ai.usage.cache_write.input_tokens"  # its name on the main branch
USAGE_REASONING: Final = "gen_ai.usage.reasoning.output_tokens"
COST_AMOUNT: Final = "gen_ai.usage.cost.amount"
COST_CURRENCY: Final = "gen_ai.usage.cost.currency"
COST_SOURCE: Final = "gen_ai.usage.cost.source"
TOKEN_TYPE: Final = "gen_ai.token.type"

# Content (opt-in).
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
TOOL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_RESULT: Final = "gen_ai.tool.call.result"
CAPTURE_ENV: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
STABILITY_ENV: Final = "OTEL_SEMCONV_STABILITY_OPT_IN"
STABILITY_LATEST: Final = "gen_ai_latest_experimental"
CONTENT_EVENT: Final = "gen_ai.client.inference.operation.details"

# OpenInference (opt-in): what Phoenix and others choose icons and columns by.
OPENINFERENCE_ENV: Final = "WEAVER_TRACE_OPENINFERENCE"
SPAN_KIND: Final = "openinference.span.kind"
INPUT_VALUE: Final = "input.value"
OUTPUT_VALUE: Final = "output.value"
SPAN_KINDS: Final[Mapping[str, str]] = {
    INVOKE_WORKFLOW: "CHAIN",
    INVOKE_AGENT: "AGENT",
    PLAN: "AGENT",
    CHAT: "LLM",
    TEXT_COMPLETION: "LLM",
    EXECUTE_TOOL: "TOOL",
    EVALUATE: "EVALUATOR",
    VERIFY: "EVALUATOR",
    CONFLICT: "EVALUATOR",
    JOIN: "CHAIN",
    SYNTHESIS: "CHAIN",
    STEP: "CHAIN",
}

# Langfuse (opt-in): tokens and cost in its own form. From `gen_ai.usage.*` it would add cached tokens twice.
LANGFUSE_ENV: Final = "WEAVER_TRACE_LANGFUSE"
LANGFUSE_USAGE: Final = "langfuse.observation.usage_details"
LANGFUSE_COST: Final = "langfuse.observation.cost_details"

# General conventions.
SESSION_ID: Final = "session.id"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
ERROR_TYPE: Final = "error.type"
EXCEPTION_EVENT: Final = "exception"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"

# weaver's own attributes.
RUN_ID: Final = "weaver.run.id"
RUN_STATUS: Final = "weaver.run.status"
RUN_LABEL: Final = "weaver.run.label"
RUN_QUESTION: Final = "weaver.run.question"
RUN_ANSWER: Final = "weaver.run.answer"
RUN_MODEL: Final = "weaver.run.model"
RUN_SOURCES: Final = "weaver.run.sources"
RUN_VERIFIED: Final = "weaver.run.verified"
RUN_NOTES: Final = "weaver.run.notes"
TASK_ID: Final = "weaver.task.id"
TASK_TITLE: Final = "weaver.task.title"
TASK_DEPTH: Final = "weaver.task.depth"
TASK_STATE: Final = "weaver.task.state"
TASK_ATTEMPT: Final = "weaver.task.attempt"
TASK_ANSWER: Final = "weaver.task.answer"
DEPENDS_ON: Final = "weaver.depends_on"
CANCEL_REASON: Final = "weaver.cancel.reason"
STEP_NAME: Final = "weaver.step.name"
PLAN_PARALLEL: Final = "weaver.plan.parallel"
PLAN_SUBTASKS: Final = "weaver.plan.subtasks"
PLAN_IDS: Final = "weaver.plan.ids"
PLAN_EDGES: Final = "weaver.plan.edges"
PLAN_ASK: Final = "weaver.plan.ask"
PLAN_TEXT: Final = "weaver.plan.json"
PLAN_MERGE: Final = "weaver.plan.merge"
PLAN_REASON: Final = "weaver.plan.reason"
PREFIX_WAIT_MS: Final = "weaver.prefix_wait_ms"
DECISION_PARALLEL: Final = "weaver.decision.parallel"
DECISION_BY: Final = "weaver.decision.by"
DECISION_REASON: Final = "weaver.decision.reason"
DECISION_DIRECT_SECONDS: Final = "weaver.decision.predicted.direct_seconds"
DECISION_FORK_SECONDS: Final = "weaver.decision.predicted.fork_seconds"
DECISION_DIRECT_USD: Final = "weaver.decision.predicted.direct_usd"
DECISION_FORK_USD: Final = "weaver.decision.predicted.fork_usd"
DECISION_WIDTH: Final = "weaver.decision.width"
DECISION_BASIS: Final = "weaver.decision.basis"
DECISION_ACTUAL_SECONDS: Final = "weaver.decision.actual_seconds"
DECISION_KIND: Final = "weaver.decision.kind"
DECISION_CHOSEN: Final = "weaver.decision.chosen"
DECISION_POLICY: Final = "weaver.decision.policy"
DECISION_ARMS: Final = "weaver.decision.arms"
DECISION_PROPENSITIES: Final = "weaver.decision.propensities"
DECISION_THREAD: Final = "weaver.decision.thread"
DECISION_LOG: Final = "weaver.decision.log"
DECISION_TOKENS: Final = "weaver.decision.outcome.tokens"
DECISION_SECONDS: Final = "weaver.decision.outcome.seconds"
DECISION_USD: Final = "weaver.decision.outcome.usd"
DECISION_STATUS: Final = "weaver.decision.outcome.status"
EVALUATION_NAME: Final = "gen_ai.evaluation.name"
EVALUATION_VALUE: Final = "gen_ai.evaluation.score.value"
EVALUATION_LABEL: Final = "gen_ai.evaluation.score.label"
VERIFICATION_PASSED: Final = "weaver.verification.passed"
VERIFICATION_SCORE: Final = "weaver.verification.score"
VERIFICATION_REASON: Final = "weaver.verification.reason"
EVALUATION_SOURCE: Final = "weaver.evaluation.source"
JOIN_POLICY: Final = "weaver.join.policy"
JOIN_NEEDED: Final = "weaver.join.needed"
JOIN_RECEIVED: Final = "weaver.join.received"
JOIN_RECEIVED_IDS: Final = "weaver.join.received_ids"
JOIN_REASON: Final = "weaver.join.reason"
CONFLICT_COUNT: Final = "weaver.conflict.count"
CONFLICT_SUBJECT: Final = "weaver.conflict.subject"
CONFLICT_ATTRIBUTE: Final = "weaver.conflict.attribute"
CONFLICT_THREADS: Final = "weaver.conflict.threads"
CONFLICT_STRATEGY: Final = "weaver.conflict.strategy"
CONFLICT_RESOLVED: Final = "weaver.conflict.resolved"
CONFLICT_WINNERS: Final = "weaver.conflict.winners"
CONFLICT_VALUES: Final = "weaver.conflict.values"
CONFLICT_VALUE: Final = "weaver.conflict.value"
CONFLICT_EVIDENCE: Final = "weaver.conflict.evidence"
CALL_ROLE: Final = "weaver.call.role"
CALL_NAME: Final = "weaver.call.name"
CALL_RETRIES: Final = "weaver.call.retries"
CALL_FALLBACKS: Final = "weaver.call.fallbacks"
CALL_CACHED: Final = "weaver.call.cached"
CALL_REPLAYED: Final = "weaver.call.replayed"
USAGE_ESTIMATED: Final = "weaver.usage.estimated"
# Sums on runs and threads have names of their own, so that adding up gen_ai.usage.* counts nothing twice.
SUM_CALLS: Final = "weaver.usage.calls"
SUM_INPUT: Final = "weaver.usage.input_tokens"
SUM_OUTPUT: Final = "weaver.usage.output_tokens"
SUM_REASONING: Final = "weaver.usage.reasoning_tokens"
SUM_COST: Final = "weaver.usage.cost_usd"
QUEUE_WAIT_MS: Final = "weaver.queue.wait_ms"
# Budgets are in tokens; those in US dollars have a `cost` in their names.
BUDGET_LIMIT: Final = "weaver.budget.limit"
BUDGET_SPENT: Final = "weaver.budget.spent"
BUDGET_RESERVED: Final = "weaver.budget.reserved"
BUDGET_COST_LIMIT: Final = "weaver.budget.cost.limit"
BUDGET_COST_SPENT: Final = "weaver.budget.cost.spent"
BUDGET_COST_RESERVED: Final = "weaver.budget.cost.reserved"
CRITICAL_PATH: Final = "weaver.critical_path.threads"
CRITICAL_TOKENS: Final = "weaver.critical_path.tokens"
CRITICAL_SECONDS: Final = "weaver.critical_path.seconds"
THREADS: Final = "weaver.threads.total"
THREADS_CANCELLED: Final = "weaver.threads.cancelled"
MAX_IN_FLIGHT: Final = "weaver.calls.max_in_flight"
CONTENT_REF: Final = "weaver.content.ref"
CONTENT_CUT: Final = "weaver.content.cut"

# Span events.
EVENT_RETRY: Final = "weaver.retry"
EVENT_FALLBACK: Final = "weaver.fallback"
EVENT_DECISION: Final = "weaver.decision"
EVENT_OUTCOME: Final = "weaver.decision.outcome"
EVENT_EVALUATION: Final = "gen_ai.evaluation.result"
EVENT_PREFIX_WAIT: Final = "weaver.prefix_wait"
EVENT_VOTE: Final = "weaver.vote"
VOTE_COUNTS: Final = "weaver.vote.counts"
VOTE_SHARE: Final = "weaver.vote.share"
ATTEMPT: Final = "weaver.attempt"
DELAY_S: Final = "weaver.delay_s"
FAILED_MODEL: Final = "weaver.fallback.failed"
INSTEAD_MODEL: Final = "weaver.fallback.instead"

# weaver's own metrics.
METRIC_THREADS: Final = "weaver.threads"
METRIC_IN_FLIGHT: Final = "weaver.calls.in_flight"
METRIC_QUEUE_WAIT: Final = "weaver.queue.wait"
METRIC_TOKENS_SAVED: Final = "weaver.cancelled.tokens_saved"
METRIC_RETRIES: Final = "weaver.call.retries"
METRIC_CONFLICTS: Final = "weaver.conflicts"

SECONDS_BUCKETS: Final = (
    0.01,
    0.02,
    0.04,
    0.08,
    0.16,
    0.32,
    0.64,
    1.28,
    2.56,
    5.12,
    10.24,
    20.48,
    40.96,
    81.92,
)
TOKEN_BUCKETS: Final = (
    1,
    4,
    16,
    64,
    256,
    1024,
    4096,
    16384,
    65536,
    262144,
    1048576,
    4194304,
    16777216,
    67108864,
)

MetricVersion = Literal["2026.1", "main"]


@dataclass(frozen=True, slots=True)
class MetricNames:
    """Names of the GenAI client metrics in one version of the conventions.

    Attributes:
        tokens: one histogram split by ``gen_ai.token.type``; "" where it became two counters.
        tokens_in, tokens_out: the counters; "" where there is one histogram.
    """

    call_duration: str
    first_chunk: str
    tokens: str
    tokens_in: str
    tokens_out: str
    run_duration: str
    thread_duration: str
    tool_duration: str


_METRICS: Final[dict[MetricVersion, MetricNames]] = {
    "2026.1": MetricNames(
        call_duration="gen_ai.client.operation.duration",
        first_chunk="gen_ai.client.operation.time_to_first_chunk",
        tokens="gen_ai.client.token.usage",
        tokens_in="",
        tokens_out="",
        run_duration="gen_ai.workflow.duration",
        thread_duration="gen_ai.invoke_agent.duration",
        tool_duration="gen_ai.execute_tool.duration",
    ),
    "main": MetricNames(
        call_duration="gen_ai.client.inference.duration",
        first_chunk="gen_ai.client.inference.time_to_first_chunk",
        tokens="",
        tokens_in="gen_ai.client.inference.usage.input_tokens",
        tokens_out="gen_ai.client.inference.usage.output_tokens",
        run_duration="gen_ai.invoke_workflow.duration",
        thread_duration="gen_ai.invoke_agent.duration",
        tool_duration="gen_ai.execute_tool.duration",
    ),
}


def wanted_metrics(environ: Mapping[str, str]) -> MetricVersion:
    """The version that the environment opts in to."""
    opted = environ.get(STABILITY_ENV, "").split(",")
    return "main" if STABILITY_LATEST in (word.strip() for word in opted) else "2026.1"


def metric_names(version: MetricVersion = "2026.1") -> MetricNames:
    """The metric names of one version; ``2026.1`` is what the SDKs emit today."""
    return _METRICS[version]
