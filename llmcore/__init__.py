"""One typed async interface to every LLM, and a manager that keeps answering when providers fail.

    async with llmcore.open("config.toml") as llm:
        answer = await llm.generate("Why is the sky blue?")

What is dear to import is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmcore._version import __version__
from llmcore.errors import (
    AllProvidersFailed as AllProvidersFailed,
)
from llmcore.errors import (
    AuthenticationError as AuthenticationError,
)
from llmcore.errors import (
    ConfigurationError as ConfigurationError,
)
from llmcore.errors import (
    ConnectionError as ConnectionError,
)
from llmcore.errors import (
    ConnectionRefused as ConnectionRefused,
)
from llmcore.errors import (
    ConnectionReset as ConnectionReset,
)
from llmcore.errors import (
    ConnectTimeout as ConnectTimeout,
)
from llmcore.errors import (
    ContentFilterError as ContentFilterError,
)
from llmcore.errors import (
    ContextLengthError as ContextLengthError,
)
from llmcore.errors import (
    DNSError as DNSError,
)
from llmcore.errors import (
    EndpointError as EndpointError,
)
from llmcore.errors import (
    FirstTokenTimeout as FirstTokenTimeout,
)
from llmcore.errors import (
    GenerationFailedError as GenerationFailedError,
)
from llmcore.errors import (
    InterChunkTimeout as InterChunkTimeout,
)
from llmcore.errors import (
    InvalidRequestError as InvalidRequestError,
)
from llmcore.errors import (
    LlmError as LlmError,
)
from llmcore.errors import (
    MalformedResponseError as MalformedResponseError,
)
from llmcore.errors import (
    ModelNotFoundError as ModelNotFoundError,
)
from llmcore.errors import NoUsableKeyError as NoUsableKeyError
from llmcore.errors import (
    OverloadedError as OverloadedError,
)
from llmcore.errors import (
    PermissionDeniedError as PermissionDeniedError,
)
from llmcore.errors import (
    PoolTimeout as PoolTimeout,
)
from llmcore.errors import (
    ProviderError as ProviderError,
)
from llmcore.errors import (
    QuotaExhaustedError as QuotaExhaustedError,
)
from llmcore.errors import (
    RateLimitError as RateLimitError,
)
from llmcore.errors import (
    ReadTimeout as ReadTimeout,
)
from llmcore.errors import (
    ServerError as ServerError,
)
from llmcore.errors import (
    StreamInterruptedError as StreamInterruptedError,
)
from llmcore.errors import (
    TimeoutError as TimeoutError,
)
from llmcore.errors import (
    TLSError as TLSError,
)
from llmcore.errors import (
    TotalTimeout as TotalTimeout,
)
from llmcore.errors import (
    UnsupportedFeatureError as UnsupportedFeatureError,
)
from llmcore.provider import (
    EventStream as EventStream,
)
from llmcore.provider import (
    LlmProvider as LlmProvider,
)
from llmcore.provider import (
    is_model_available as is_model_available,
)
from llmcore.secret import Secret as Secret
from llmcore.types import (
    Attempt as Attempt,
)
from llmcore.types import (
    Audio as Audio,
)
from llmcore.types import (
    CachePoint as CachePoint,
)
from llmcore.types import Continued as Continued
from llmcore.types import (
    EmbeddingInput as EmbeddingInput,
)
from llmcore.types import (
    EmbeddingRequest as EmbeddingRequest,
)
from llmcore.types import (
    EmbeddingResponse as EmbeddingResponse,
)
from llmcore.types import (
    Event as Event,
)
from llmcore.types import (
    File as File,
)
from llmcore.types import (
    Finished as Finished,
)
from llmcore.types import (
    FinishReason as FinishReason,
)
from llmcore.types import (
    GenerationInput as GenerationInput,
)
from llmcore.types import (
    GenerationRequest as GenerationRequest,
)
from llmcore.types import (
    GenerationResponse as GenerationResponse,
)
from llmcore.types import (
    Image as Image,
)
from llmcore.types import (
    JsonSchema as JsonSchema,
)
from llmcore.types import Limit as Limit
from llmcore.types import (
    Message as Message,
)
from llmcore.types import (
    ModelInfo as ModelInfo,
)
from llmcore.types import (
    Opaque as Opaque,
)
from llmcore.types import (
    Part as Part,
)
from llmcore.types import (
    PartDelta as PartDelta,
)
from llmcore.types import (
    ProviderStats as ProviderStats,
)
from llmcore.types import RateLimits as RateLimits
from llmcore.types import (
    Reasoning as Reasoning,
)
from llmcore.types import (
    Refusal as Refusal,
)
from llmcore.types import (
    RequestWarning as RequestWarning,
)
from llmcore.types import (
    Restarted as Restarted,
)
from llmcore.types import (
    Role as Role,
)
from llmcore.types import Skipped as Skipped
from llmcore.types import (
    Text as Text,
)
from llmcore.types import (
    TextDelta as TextDelta,
)
from llmcore.types import (
    Thinking as Thinking,
)
from llmcore.types import (
    ThinkingDelta as ThinkingDelta,
)
from llmcore.types import (
    Tool as Tool,
)
from llmcore.types import (
    ToolCall as ToolCall,
)
from llmcore.types import (
    ToolCallDelta as ToolCallDelta,
)
from llmcore.types import (
    ToolResult as ToolResult,
)
from llmcore.types import (
    Usage as Usage,
)

if TYPE_CHECKING:
    from llmcore.build import (
        create_manager as create_manager,
    )
    from llmcore.build import (
        create_provider as create_provider,
    )
    from llmcore.build import (
        open as open,
    )
    from llmcore.config import BreakerConfig as BreakerConfig
    from llmcore.config import BudgetConfig as BudgetConfig
    from llmcore.config import FallbackConfig as FallbackConfig
    from llmcore.config import KeyConfig as KeyConfig
    from llmcore.config import (
        LlmConfig as LlmConfig,
    )
    from llmcore.config import (
        Price as Price,
    )
    from llmcore.config import (
        ProviderConfig as ProviderConfig,
    )
    from llmcore.config import (
        Routing as Routing,
    )
    from llmcore.config import (
        Timeouts as Timeouts,
    )
    from llmcore.loader import load_config as load_config
    from llmcore.manager.manager import ProviderManager as ProviderManager
    from llmcore.providers.base import HttpProvider as HttpProvider
    from llmcore.providers.place import Place as Place
    from llmcore.sync import SyncLlm as SyncLlm
    from llmcore.sync import SyncStream as SyncStream
    from llmcore.sync import open_sync as open_sync

_LAZY = {
    "BreakerConfig": "llmcore.config",
    "BudgetConfig": "llmcore.config",
    "FallbackConfig": "llmcore.config",
    "HttpProvider": "llmcore.providers.base",
    "KeyConfig": "llmcore.config",
    "LlmConfig": "llmcore.config",
    "Place": "llmcore.providers.place",
    "Price": "llmcore.config",
    "ProviderConfig": "llmcore.config",
    "ProviderManager": "llmcore.manager.manager",
    "Routing": "llmcore.config",
    "SyncLlm": "llmcore.sync",
    "SyncStream": "llmcore.sync",
    "Timeouts": "llmcore.config",
    "create_manager": "llmcore.build",
    "create_provider": "llmcore.build",
    "load_config": "llmcore.loader",
    "open": "llmcore.build",
    "open_sync": "llmcore.sync",
}

__all__ = [
    "AllProvidersFailed",
    "Attempt",
    "Audio",
    "AuthenticationError",
    "BreakerConfig",
    "BudgetConfig",
    "CachePoint",
    "ConfigurationError",
    "ConnectTimeout",
    "ConnectionError",
    "ConnectionRefused",
    "ConnectionReset",
    "ContentFilterError",
    "ContextLengthError",
    "Continued",
    "DNSError",
    "EmbeddingInput",
    "EmbeddingRequest",
    "EmbeddingResponse",
    "EndpointError",
    "Event",
    "EventStream",
    "FallbackConfig",
    "File",
    "FinishReason",
    "Finished",
    "FirstTokenTimeout",
    "GenerationFailedError",
    "GenerationInput",
    "GenerationRequest",
    "GenerationResponse",
    "HttpProvider",
    "Image",
    "InterChunkTimeout",
    "InvalidRequestError",
    "JsonSchema",
    "KeyConfig",
    "Limit",
    "LlmConfig",
    "LlmError",
    "LlmProvider",
    "MalformedResponseError",
    "Message",
    "ModelInfo",
    "ModelNotFoundError",
    "NoUsableKeyError",
    "Opaque",
    "OverloadedError",
    "Part",
    "PartDelta",
    "PermissionDeniedError",
    "Place",
    "PoolTimeout",
    "Price",
    "ProviderConfig",
    "ProviderError",
    "ProviderManager",
    "ProviderStats",
    "QuotaExhaustedError",
    "RateLimitError",
    "RateLimits",
    "ReadTimeout",
    "Reasoning",
    "Refusal",
    "RequestWarning",
    "Restarted",
    "Role",
    "Routing",
    "Secret",
    "ServerError",
    "Skipped",
    "StreamInterruptedError",
    "SyncLlm",
    "SyncStream",
    "TLSError",
    "Text",
    "TextDelta",
    "Thinking",
    "ThinkingDelta",
    "TimeoutError",
    "Timeouts",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolResult",
    "TotalTimeout",
    "UnsupportedFeatureError",
    "Usage",
    "__version__",
    "create_manager",
    "create_provider",
    "is_model_available",
    "load_config",
    "open",
    "open_sync",
]


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        msg = f"module 'llmcore' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
