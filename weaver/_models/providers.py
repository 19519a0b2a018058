"""Providers by their prefix in LiteLLM's naming: where they are and which variables hold their key.

Those that speak the OpenAI protocol are reached directly. The others need litellm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Provider:
    """An endpoint that speaks the OpenAI protocol.

    Args:
        prefix: as in ``prefix/model``.
        url: base URL, version included.
        keys: variables that may hold the key, the usual one first.
        bases: variables that may hold another base URL.
        default: model to take when only a key was given; None: never taken without being asked for.
        telemetry: ``gen_ai.provider.name`` of the OpenTelemetry conventions.
        hosted: somebody else's service, which needs a key; False for a server of the user's own.
    """

    prefix: str
    url: str
    keys: tuple[str, ...]
    bases: tuple[str, ...] = ()
    default: str | None = None
    telemetry: str = "openai"
    hosted: bool = True

    def key(self, environ: Mapping[str, str]) -> str | None:
        """The key in the environment, if there is one."""
        return next((value for name in self.keys if (value := environ.get(name, "").strip())), None)

    def base(self, environ: Mapping[str, str]) -> str | None:
        """A base URL in the environment that replaces ``url``, if there is one."""
        return next((value for name in self.bases if (value := environ.get(name, "").strip())), None)


# In the order in which keys are looked for when no model is given.
NATIVE: tuple[Provider, ...] = (
    Provider(
        "openai",
        "https://api.openai.com/v1",
        ("OPENAI_API_KEY",),
        ("OPENAI_BASE_URL", "OPENAI_API_BASE"),
        "gpt-5-mini",
    ),
    Provider(
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        ("GEMINI_API_KEY",),
        default="gemini-flash-latest",
        telemetry="gcp.gemini",
    ),
    Provider(
        "mistral",
        "https://api.mistral.ai/v1",
        ("MISTRAL_API_KEY",),
        ("MISTRAL_API_BASE",),
        "mistral-small-latest",
        "mistral_ai",
    ),
    Provider(
        "openrouter",
        "https://openrouter.ai/api/v1",
        ("OPENROUTER_API_KEY", "OR_API_KEY"),
        ("OPENROUTER_API_BASE",),
        "openai/gpt-5-mini",
        "openrouter",
    ),
    Provider(
        "groq",
        "https://api.groq.com/openai/v1",
        ("GROQ_API_KEY",),
        ("GROQ_API_BASE",),
        "openai/gpt-oss-120b",
        "groq",
    ),
    Provider(
        "deepseek",
        "https://api.deepseek.com/v1",
        ("DEEPSEEK_API_KEY",),
        ("DEEPSEEK_API_BASE",),
        "deepseek-flash",
        "deepseek",
    ),
    Provider(
        "together_ai",
        "https://api.together.xyz/v1",
        ("TOGETHERAI_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHER_API_KEY", "TOGETHER_AI_TOKEN"),
        ("TOGETHER_AI_API_BASE",),
        "openai/gpt-oss-120b",
        "together_ai",
    ),
    Provider(
        "fireworks_ai",
        "https://api.fireworks.ai/inference/v1",
        ("FIREWORKS_AI_API_KEY", "FIREWORKS_API_KEY", "FIREWORKSAI_API_KEY", "FIREWORKS_AI_TOKEN"),
        ("FIREWORKS_API_BASE", "FIREWORKS_AI_API_BASE"),
        "accounts/fireworks/models/deepseek-v4-flash",
        "fireworks_ai",
    ),
    Provider(
        "xai",
        "https://api.x.ai/v1",
        ("XAI_API_KEY",),
        ("XAI_API_BASE",),
        "grok-4.3-latest",
        "x_ai",
    ),
    Provider(
        "cerebras",
        "https://api.cerebras.ai/v1",
        ("CEREBRAS_API_KEY",),
        ("CEREBRAS_API_BASE",),
        "gpt-oss-120b",
        "cerebras",
    ),
    Provider(
        "sambanova",
        "https://api.sambanova.ai/v1",
        ("SAMBANOVA_API_KEY",),
        ("SAMBANOVA_API_BASE",),
        telemetry="sambanova",
    ),
    Provider(
        "nvidia_nim",
        "https://integrate.api.nvidia.com/v1",
        ("NVIDIA_NIM_API_KEY",),
        ("NVIDIA_NIM_API_BASE",),
        telemetry="nvidia_nim",
    ),
    Provider(
        "deepinfra",
        "https://api.deepinfra.com/v1/openai",
        ("DEEPINFRA_API_KEY",),
        ("DEEPINFRA_API_BASE",),
        telemetry="deepinfra",
    ),
    Provider(
        "perplexity",
        "https://api.perplexity.ai",
        ("PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"),
        ("PERPLEXITY_API_BASE",),
        telemetry="perplexity",
    ),
    Provider(
        "litellm_proxy",
        "http://localhost:4000",
        ("LITELLM_PROXY_API_KEY",),
        ("LITELLM_PROXY_API_BASE",),
        hosted=False,
    ),
    Provider(
        "ollama",
        "http://localhost:11434/v1",
        ("OLLAMA_API_KEY",),
        ("OLLAMA_API_BASE", "OLLAMA_HOST"),
        hosted=False,
    ),
    Provider(
        "ollama_chat",
        "http://localhost:11434/v1",
        ("OLLAMA_API_KEY",),
        ("OLLAMA_API_BASE", "OLLAMA_HOST"),
        hosted=False,
    ),
    Provider(
        "hosted_vllm",
        "http://localhost:8000/v1",
        ("HOSTED_VLLM_API_KEY",),
        ("HOSTED_VLLM_API_BASE",),
        hosted=False,
    ),
    Provider(
        "lm_studio",
        "http://localhost:1234/v1",
        ("LM_STUDIO_API_KEY",),
        ("LM_STUDIO_API_BASE",),
        hosted=False,
    ),
    Provider(
        "llamafile",
        "http://localhost:8080/v1",
        ("LLAMAFILE_API_KEY",),
        ("LLAMAFILE_API_BASE",),
        hosted=False,
    ),
)

BY_PREFIX: Mapping[str, Provider] = {provider.prefix: provider for provider in NATIVE}

# Keys of providers that need litellm, with the model to take when only the key was given.
THROUGH_LITELLM: Mapping[str, tuple[str, str]] = {
    "ANTHROPIC_API_KEY": ("anthropic", "claude-haiku-4-5"),
}

# Prefixes that litellm knows for chat models and that are not reached directly.
LITELLM_PREFIXES = frozenset(
    """ai21 ai21_chat aiml amazon_nova anthropic apertis azure azure_ai azure_text baseten bedrock
    bytez chatgpt chutes clarifai cloudflare codestral cohere cohere_chat cometapi compactifai dashscope
    databricks datarobot docker_model_runner edenai empower featherless_ai friendliai galadriel gigachat
    github github_copilot gradient_ai helicone heroku huggingface hyperbolic inception lambda_ai lemonade
    maritalk meta_llama minimax modelscope moonshot morph nano-gpt nebius nlp_cloud novita nscale oci
    oobabooga openai_like ovhcloud petals poe predibase publicai ragflow replicate sagemaker sagemaker_chat
    sap scaleway snowflake synthetic text-completion-openai tencent triton v0 vercel_ai_gateway vertex_ai
    vertex_ai_beta vllm volcengine wandb watsonx watsonx_text xiaomi_mimo xinference zai""".split()  # noqa: SIM905 - eight lines, not eighty
)

_FAMILIES = (
    (re.compile(r"(gpt-|chatgpt-|o[1-9](-|$))"), "openai"),
    (re.compile(r"claude-"), "anthropic"),
    (re.compile(r"gemini-"), "gemini"),
    (re.compile(r"(mistral|magistral|ministral|codestral)-.*(latest|\d{4})$"), "mistral"),
    (re.compile(r"deepseek-(chat|reasoner|flash|v\d)"), "deepseek"),
    (re.compile(r"grok-"), "xai"),
    (re.compile(r"command-"), "cohere_chat"),
)


def family(model: str) -> str | None:
    """The provider that a model's name without a prefix certainly means (``gpt-5-mini``), or None."""
    return next((prefix for pattern, prefix in _FAMILIES if pattern.match(model)), None)
