"""Models: the protocol, requests and deltas, adapters, and the layers around a call."""

from typing import TYPE_CHECKING

from weaver._environment.doors import door

if TYPE_CHECKING:
    from weaver._data.messages import Message as Message
    from weaver._data.messages import assistant as assistant
    from weaver._data.messages import system as system
    from weaver._data.messages import user as user
    from weaver._data.usage import Usage as Usage
    from weaver._models.catalog.registry import ModelSource as ModelSource
    from weaver._models.catalog.registry import Offer as Offer
    from weaver._models.catalog.registry import Opening as Opening
    from weaver._models.catalog.resolve import choose as choose
    from weaver._models.compose import layered as layered
    from weaver._models.endpoint import Endpoint as Endpoint
    from weaver._models.endpoint import endpoint as endpoint
    from weaver._models.layers.limit import EndpointLimits as EndpointLimits
    from weaver._models.litellm.model import LiteLLMModel as LiteLLMModel
    from weaver._models.openai.model import OpenAIModel as OpenAIModel
    from weaver._models.protocol import Capabilities as Capabilities
    from weaver._models.protocol import Delta as Delta
    from weaver._models.protocol import Finish as Finish
    from weaver._models.protocol import Logprobs as Logprobs
    from weaver._models.protocol import MessageData as MessageData
    from weaver._models.protocol import Model as Model
    from weaver._models.protocol import OutputSchema as OutputSchema
    from weaver._models.protocol import Prices as Prices
    from weaver._models.protocol import Reasoning as Reasoning
    from weaver._models.protocol import Refusal as Refusal
    from weaver._models.protocol import Request as Request
    from weaver._models.protocol import Text as Text
    from weaver._models.protocol import TokenLogprob as TokenLogprob
    from weaver._models.protocol import ToolCallPart as ToolCallPart
    from weaver._models.protocol import ToolSpec as ToolSpec
    from weaver._models.protocol import UsageReport as UsageReport
    from weaver._models.reply import Reply as Reply
    from weaver._text.untrusted import fenced as fenced

_MODULES = {
    "Capabilities": "_models.protocol",
    "Delta": "_models.protocol",
    "Endpoint": "_models.endpoint",
    "EndpointLimits": "_models.layers.limit",
    "Finish": "_models.protocol",
    "LiteLLMModel": "_models.litellm.model",
    "Logprobs": "_models.protocol",
    "Message": "_data.messages",
    "MessageData": "_models.protocol",
    "Model": "_models.protocol",
    "ModelSource": "_models.catalog.registry",
    "Offer": "_models.catalog.registry",
    "OpenAIModel": "_models.openai.model",
    "Opening": "_models.catalog.registry",
    "OutputSchema": "_models.protocol",
    "Prices": "_models.protocol",
    "Reasoning": "_models.protocol",
    "Refusal": "_models.protocol",
    "Reply": "_models.reply",
    "Request": "_models.protocol",
    "Text": "_models.protocol",
    "TokenLogprob": "_models.protocol",
    "ToolCallPart": "_models.protocol",
    "ToolSpec": "_models.protocol",
    "Usage": "_data.usage",
    "UsageReport": "_models.protocol",
    "assistant": "_data.messages",
    "choose": "_models.catalog.resolve",
    "endpoint": "_models.endpoint",
    "fenced": "_text.untrusted",
    "layered": "_models.compose",
    "system": "_data.messages",
    "user": "_data.messages",
}

__all__ = [
    "Capabilities",
    "Delta",
    "Endpoint",
    "EndpointLimits",
    "Finish",
    "LiteLLMModel",
    "Logprobs",
    "Message",
    "MessageData",
    "Model",
    "ModelSource",
    "Offer",
    "OpenAIModel",
    "Opening",
    "OutputSchema",
    "Prices",
    "Reasoning",
    "Refusal",
    "Reply",
    "Request",
    "Text",
    "TokenLogprob",
    "ToolCallPart",
    "ToolSpec",
    "Usage",
    "UsageReport",
    "assistant",
    "choose",
    "endpoint",
    "fenced",
    "layered",
    "system",
    "user",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = door(__name__, _MODULES)
