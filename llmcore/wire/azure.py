"""Azure OpenAI: the OpenAI chat dialect under paths of its own, and errors of its own.

Three forms of path are in use: `/openai/deployments/{deployment}/chat/completions?api-version=...`, where the path
decides on the model; `/openai/v1/chat/completions`, where `model` names the deployment; and `/models/chat/completions
?api-version=...` of Azure AI resources. Source: Azure OpenAI REST reference (inference, data plane).
"""

from __future__ import annotations

from urllib.parse import quote

from attrs import frozen

from llmcore.errors import (
    EndpointError,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    UnsupportedFeatureError,
)
from llmcore.wire.openai import FEATURES, OpenAIWire, Operation
from llmcore.wire.openai_errors import ErrorRule

RULES = (
    ErrorRule(ModelNotFoundError, 404, words="deployment for this resource does not exist"),
    ErrorRule(ModelNotFoundError, code=("deploymentnotfound", "unknown_model")),
    ErrorRule(EndpointError, 404, words="resource not found"),
    ErrorRule(EndpointError, (400, 404), words="api version not supported"),
    ErrorRule(PermissionDeniedError, 401, code="permissiondenied"),
    ErrorRule(UnsupportedFeatureError, 400, code="operationnotsupported"),
    ErrorRule(OverloadedError, 429, words="high demand"),
)
"""A 404 that speaks of the resource means the address or the API version; one of the deployment, the model."""


@frozen
class AzureWire(OpenAIWire):
    """One resource's way of speaking the dialect; see OpenAIWire for the fields that both have.

    root: what stands between the endpoint and the operation. deployments: whether the path names the deployment.
    api_version: the query parameter, or None where the form needs none.
    """

    origin: str = "azure_openai"
    features: frozenset[str] = FEATURES | {"audio", "refusal"}
    max_tokens_field: str = "max_completion_tokens"
    max_call_id: int | None = 64
    rules: tuple[ErrorRule, ...] = RULES
    root: str = "/openai/v1"
    deployments: bool = False
    api_version: str | None = None

    def path(self, operation: Operation, model: str | None) -> str:
        """The path below the endpoint. Raises InvalidRequestError where it must name a deployment and `model` is none."""
        root = self.root
        if self.deployments and operation != "models":
            if not model:
                raise InvalidRequestError("model: Azure needs the name of a deployment")
            if model in {".", ".."}:
                raise InvalidRequestError(f"model: {model!r} is no name of a deployment")
            root = f"{root}/deployments/{quote(model, safe='')}"
        query = f"?api-version={quote(self.api_version, safe='')}" if self.api_version else ""
        return root + OpenAIWire.path(self, operation, model) + query
