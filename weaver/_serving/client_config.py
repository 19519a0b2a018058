"""What to write into the configuration of well-known clients."""

from __future__ import annotations

from weaver._serving.config import ServeConfig
from weaver.errors import UnknownNameError

_KEY = "YOUR-KEY"
_NO_KEY = "none"

_OPEN_WEBUI = """\
# Open WebUI: environment of its server. Its title, tag and query calls go to weaver/direct: one call each.
ENABLE_OPENAI_API=true
OPENAI_API_BASE_URL={url}
OPENAI_API_KEY={key}
TASK_MODEL_EXTERNAL=weaver/direct
"""
_LIBRECHAT = """\
# LibreChat: librechat.yaml
version: 1.2.1
endpoints:
  custom:
    - name: "Weaver"
      apiKey: "{key}"
      baseURL: "{url}"
      models:
        default: ["weaver/adaptive"]
        fetch: true
      titleConvo: true
      titleModel: "weaver/direct"
      modelDisplayLabel: "Weaver"
"""
_CONTINUE = """\
# Continue: ~/.continue/config.yaml
name: Weaver
version: 1.0.0
schema: v1
models:
  - name: Weaver
    provider: openai
    model: weaver/adaptive
    apiBase: {url}
    apiKey: {key}
    roles: [chat]
  - name: Weaver, one call
    provider: openai
    model: weaver/direct
    apiBase: {url}
    apiKey: {key}
    roles: [chat, edit, apply]
    capabilities: [tool_use]
"""
_AIDER = """\
# aider: the openai/ in front is LiteLLM's name of the protocol
export OPENAI_API_BASE={url}
export OPENAI_API_KEY={key}
aider --model openai/weaver/adaptive --weak-model openai/weaver/direct --no-show-model-warnings
"""
_OPENAI = """\
# Programs with OpenAI's SDKs, and the Agents SDK (pip install openai-agents), which speaks Responses
export OPENAI_BASE_URL={url}
export OPENAI_API_KEY={key}
export OPENAI_AGENTS_DISABLE_TRACING=1
"""
_LITELLM = """\
# LiteLLM's proxy: config.yaml. In Python: completion("openai/weaver/adaptive", api_base=...)
model_list:
  - model_name: weaver
    litellm_params:
      model: openai/weaver/adaptive
      api_base: {url}
      api_key: {key}
"""
_LANGCHAIN = """\
# LangChain: pip install langchain-openai
from langchain_openai import ChatOpenAI

chat = ChatOpenAI(model="weaver/adaptive", base_url="{url}", api_key="{key}", stream_usage=True)
"""
_VERCEL = """\
// Vercel AI SDK: npm install ai @ai-sdk/openai-compatible
import {{ createOpenAICompatible }} from "@ai-sdk/openai-compatible";

const weaver = createOpenAICompatible({{
  name: "weaver",
  baseURL: "{url}",
  apiKey: "{key}",
  includeUsage: true,
  supportsStructuredOutputs: true,
}});
export const model = weaver("weaver/adaptive");
"""
_CLAUDE = """\
# Claude Code and Claude Desktop speak Anthropic's protocol, which Weaver does not serve. They call Weaver
# as a tool, over MCP (pip install "weaver-reasoning[mcp]"). Claude Code: claude mcp add weaver -- weaver mcp
# Claude Desktop: claude_desktop_config.json
{{"mcpServers": {{"weaver": {{"command": "weaver", "args": ["mcp"]}}}}}}
"""
CLIENTS = {
    "open-webui": _OPEN_WEBUI,
    "librechat": _LIBRECHAT,
    "continue": _CONTINUE,
    "aider": _AIDER,
    "openai": _OPENAI,
    "litellm": _LITELLM,
    "langchain": _LANGCHAIN,
    "vercel": _VERCEL,
    "claude": _CLAUDE,
}


def client_config(client: str, config: ServeConfig, *, has_keys: bool) -> str:
    """The configuration of ``client`` for a server with this configuration.

    Args:
        has_keys: whether the server asks for keys. They are never printed.

    Raises:
        UnknownNameError: there is no text for such a client.
    """
    name = client.strip().lower().replace(" ", "-").replace("_", "-")
    if name not in CLIENTS:
        raise UnknownNameError("client", client, CLIENTS)
    host = "localhost" if config.is_local or config.host in ("0.0.0.0", "::") else config.host
    address = f"[{host}]" if ":" in host else host
    url = f"http://{address}:{config.port or 8320}/v1"
    return CLIENTS[name].format(url=url, key=_KEY if has_keys else _NO_KEY)
