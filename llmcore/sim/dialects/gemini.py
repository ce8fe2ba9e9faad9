"""Google generateContent as Google understands it: camelCase, closed objects, arguments as objects, keys in a header."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from attrs import evolve

from llmcore.sim.dialects.base import Ask, Fields
from llmcore.sim.dialects.gemini_answer import GeminiAnswers
from llmcore.sim.dialects.openai import decoded
from llmcore.sim.values import (
    ApiError,
    Call,
    Media,
    Operation,
    Other,
    Part,
    Result,
    Text,
    Thinking,
    ToolSpec,
    Turn,
    Understood,
    media_of_bytes,
)

_MODEL = r"(?:/v1beta|/v1alpha|/v1)?/models/(?P<model>.+?)"
_LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH")
_TASKS = (
    "RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT", "SEMANTIC_SIMILARITY", "CLASSIFICATION", "CLUSTERING",
    "QUESTION_ANSWERING", "FACT_VERIFICATION", "CODE_RETRIEVAL_QUERY", "TASK_TYPE_UNSPECIFIED",
)  # fmt: skip


class GeminiDialect(GeminiAnswers):
    """`:generateContent`, `:streamGenerateContent`, `:countTokens`, `:embedContent`, `:batchEmbedContents`, models."""

    routes: ClassVar[Sequence[tuple[str, str, Operation]]] = (
        ("POST", _MODEL + r":(?P<verb>generateContent|streamGenerateContent)", "generate"),
        ("POST", _MODEL + r":countTokens", "count"),
        ("POST", _MODEL + r":(?P<verb>embedContent|batchEmbedContents)", "embed"),
        ("GET", r"(?:/v1beta|/v1alpha|/v1)?/models", "models"),
    )

    def readers(self) -> dict[Any, Any]:
        return {
            "generate": self.read_generate,
            "count": self.read_count,
            "embed": self.read_embed,
            "models": self.read_models,
        }

    def key_of(self, ask: Ask) -> str | None:
        return ask.headers.get("x-goog-api-key") or ask.query.get("key") or super().key_of(ask)

    def read_generate(self, ask: Ask, named: dict[str, str]) -> Understood:
        body = ask.json()
        stream = named["verb"] == "streamGenerateContent"
        if stream and ask.query.get("alt") != "sse":
            raise ApiError("invalid", "the simulator streams only with alt=sse")
        choice, narrowed = _tool_config(body)
        tools = _tools(body)
        asked = Understood(
            dialect=self.name,
            model=named["model"],
            stream=stream,
            turns=(*_system(body), *_contents(body)),
            tools=tools,
            tool_choice=narrowed or choice,
        )
        body.ignore("safetySettings", "cachedContent", "serviceTier", "labels", "store", "continuationToken")
        asked = _configured(asked, body.object("generationConfig"))
        body.closed()
        return asked

    def read_count(self, ask: Ask, named: dict[str, str]) -> Understood:
        body = ask.json()
        return Understood(
            dialect=self.name, operation="count", model=named["model"], turns=tuple(_contents(body))
        )

    def read_embed(self, ask: Ask, named: dict[str, str]) -> Understood:
        body = ask.json()
        requests = [body] if named["verb"] == "embedContent" else body.objects("requests")
        if len(requests) > 100:
            raise ApiError("invalid", "at most 100 requests can be in one batch")
        texts, dimensions, task = [], None, None
        for request in requests:
            texts.append(_embedded_text(request))
            if named["verb"] == "batchEmbedContents" and request.need("model") != f"models/{named['model']}":
                raise ApiError("invalid", f"{request.path}.model: must be the model of the URL")
            dimensions = request.integer("outputDimensionality")
            task = request.word("taskType", *_TASKS)
            request.ignore("model", "title")
            request.closed()
        return Understood(
            dialect=self.name,
            operation="embed",
            model=named["model"],
            inputs=tuple(texts),
            dimensions=dimensions,
            input_type=task,
            single=named["verb"] == "embedContent",
        )

    def read_models(self, ask: Ask, named: dict[str, str]) -> Understood:
        size = ask.query.get("pageSize", "50")
        if not size.isdigit() or not int(size) >= 1:
            raise ApiError("invalid", "pageSize: must be a positive number")
        token = ask.query.get("pageToken")
        return Understood(
            dialect=self.name, operation="models", cursor=token, max_tokens=min(int(size), 1000)
        )


def _embedded_text(request: Fields) -> str:
    content = Fields(request.need("content"), f"{request.path}.content")
    content.ignore("role")
    return "".join(str(part.need("text")) for part in content.objects("parts"))


def _configured(asked: Understood, config: Fields | None) -> Understood:
    if config is None:
        return asked
    limit = config.integer("maxOutputTokens")
    schema = config.any("responseJsonSchema") or config.any("responseSchema")
    media_type = config.text("responseMimeType")
    if schema is not None and media_type != "application/json":
        raise ApiError("invalid", "responseSchema needs responseMimeType application/json")
    stop = config.strings("stopSequences")
    if len(stop) > 5:
        raise ApiError("invalid", "at most 5 stopSequences")
    thinking = config.object("thinkingConfig")
    config.ignore(
        "topK", "candidateCount", "presencePenalty", "frequencyPenalty", "responseLogprobs", "logprobs",
        "responseModalities", "mediaResolution", "speechConfig", "enableEnhancedCivicAnswers",
    )  # fmt: skip
    asked = evolve(
        asked,
        temperature=config.number("temperature", 0, 2),
        top_p=config.number("topP", 0, 1),
        max_tokens=limit,
        stop=stop,
        seed=config.integer("seed"),
        format=schema if schema is not None else ("json" if media_type == "application/json" else None),
    )
    config.closed()
    return asked if thinking is None else _with_thinking(asked, thinking)


def _with_thinking(asked: Understood, config: Fields) -> Understood:
    level, budget = config.word("thinkingLevel", *_LEVELS), config.integer("thinkingBudget")
    if level is not None and budget is not None:
        raise ApiError("invalid", "You can only set only one of thinking budget and thinking level.")
    show = bool(config.flag("includeThoughts"))
    config.closed()
    return evolve(
        asked,
        thinking=budget != 0 and (show or level is not None or budget is not None),
        show_thinking=show,
        effort=level.lower() if level else None,
        thinking_budget=budget,
    )


def _tools(body: Fields) -> tuple[ToolSpec, ...]:
    specs: list[ToolSpec] = []
    for tool in body.objects("tools"):
        specs += [_declaration(declaration) for declaration in tool.objects("functionDeclarations")]
        tool.ignore("googleSearch", "codeExecution", "urlContext", "googleMaps", "fileSearch", "computerUse")
        tool.closed()
    return tuple(specs)


def _declaration(declaration: Fields) -> ToolSpec:
    schema = declaration.any("parametersJsonSchema")
    if schema is not None and "parameters" in declaration:
        raise ApiError("invalid", "parameters and parametersJsonSchema exclude each other")
    declaration.ignore("response", "responseJsonSchema", "behavior")
    name, description = str(declaration.need("name")), declaration.text("description") or ""
    schema = declaration.any("parameters") if schema is None else schema
    declaration.closed()
    return ToolSpec(name, description, schema)


def _tool_config(body: Fields) -> tuple[str | None, str | None]:
    config = body.object("toolConfig")
    calling = config.object("functionCallingConfig") if config is not None else None
    if calling is None:
        return None, None
    mode = calling.word("mode", "AUTO", "ANY", "NONE", "VALIDATED")
    names = calling.strings("allowedFunctionNames")
    if names and mode not in {"ANY", "VALIDATED"}:
        raise ApiError("invalid", "allowed_function_names should be set only when mode is ANY or VALIDATED")
    calling.closed()
    words = {"AUTO": "auto", "ANY": "required", "NONE": "none", "VALIDATED": "auto"}
    return words.get(mode or ""), names[0] if len(names) == 1 else None


def _system(body: Fields) -> tuple[Turn, ...]:
    content = body.object("systemInstruction")
    if content is None:
        return ()
    content.ignore("role")
    parts = tuple(_part(part) for part in content.objects("parts"))
    content.closed()
    if not all(isinstance(part, Text) for part in parts):
        raise ApiError("invalid", "systemInstruction: only text is allowed")
    return (Turn("system", parts),)


def _contents(body: Fields) -> list[Turn]:
    if not body.items("contents"):
        raise ApiError("invalid", "* GenerateContentRequest.contents: contents is not specified")
    turns: list[Turn] = []
    for content in body.objects("contents"):
        role = content.word("role", "user", "model") or "user"
        parts = [_part(part) for part in content.objects("parts")]
        if not parts:
            raise ApiError("invalid", f"{content.path}.parts: must not be empty")
        content.closed()
        results = tuple(part for part in parts if isinstance(part, Result))
        rest = tuple(part for part in parts if not isinstance(part, Result))
        if results and role != "user":
            raise ApiError("invalid", "functionResponse parts belong into a user turn")
        if results:
            turns.append(Turn("tool", results))
        if rest:
            turns.append(Turn("assistant" if role == "model" else "user", rest))
    return turns


def _part(part: Fields) -> Part:
    signature = part.text("thoughtSignature")
    value = _inner(part, signature)
    part.ignore("videoMetadata", "mediaResolution", "partMetadata")
    part.closed()
    return value


def _inner(part: Fields, signature: str | None) -> Part:
    if (text := part.text("text")) is not None:
        return Thinking(text, signature) if part.flag("thought") else Text(text, signature)
    if (blob := part.object("inlineData")) is not None:
        media_type = str(blob.need("mimeType"))
        data = decoded(str(blob.need("data")))
        filename = blob.text("displayName")
        blob.closed()
        return media_of_bytes(_kind(media_type), data, media_type, filename=filename)
    if (file := part.object("fileData")) is not None:
        media_type = file.text("mimeType") or ""
        uri, _ = str(file.need("fileUri")), file.text("displayName")
        file.closed()
        return Media(_kind(media_type), url=uri, media_type=media_type or None)
    if (call := part.object("functionCall")) is not None:
        value = call.object("args")
        name, call_id, arguments = str(call.need("name")), call.text("id"), call.any("args") if value else {}
        call.closed()
        return Call(call_id, name, arguments, signature)
    if (result := part.object("functionResponse")) is not None:
        return _result(result)
    for kind in ("executableCode", "codeExecutionResult"):
        if part.any(kind) is not None:
            return Other(kind)
    raise ApiError("invalid", f"{part.path}: required oneof field 'data' must have one initialized field")


def _result(result: Fields) -> Result:
    """A tool's answer: the text under `output`, `result`, `content` or `error`, else the whole object as JSON."""
    call_id, name = result.text("id"), str(result.need("name"))
    response = Fields(result.need("response"), f"{result.path}.response")
    media = tuple(_part(part) for part in result.objects("parts"))
    result.ignore("willContinue", "scheduling")
    result.closed()
    is_error = "error" in response
    text = next(
        (
            value
            for key in ("error", "output", "result", "content")
            if isinstance(value := response.any(key), str)
        ),
        None,
    )
    if text is None:
        import json

        text = json.dumps(result.any("response"))
    pieces = tuple(piece for piece in media if isinstance(piece, (Text, Media)))
    return Result(call_id, (*((Text(text),) if text else ()), *pieces), name, is_error)


def _kind(media_type: str) -> Literal["image", "file", "audio"]:
    head = media_type.partition("/")[0]
    return "image" if head == "image" else "audio" if head == "audio" else "file"
