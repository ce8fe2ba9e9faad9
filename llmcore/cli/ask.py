"""From a command's options to a request; what cannot be a request is one complaint before anything is sent."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from attrs import frozen

from llmcore.errors import ConfigurationError
from llmcore.types import Effort, GenerationRequest, Image, JsonSchema, Message, Part, Text


@frozen
class Options:
    """What `generate` was asked for."""

    prompt: str | None = None
    file: Path | None = None
    system: str | None = None
    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    reasoning: Effort | None = None
    images: tuple[str, ...] = ()
    schema: Path | None = None
    timeout: float | None = None


def request_of(options: Options) -> GenerationRequest:
    """The request. Raises ConfigurationError where a file or the prompt is no good."""
    parts: list[Part] = [Text(prompt_of(options.prompt, options.file))]
    parts += [image_of(name) for name in options.images]
    messages = [Message.user(*parts)]
    if options.system:
        messages.insert(0, Message.system(options.system))
    return GenerationRequest(
        messages,
        model=options.model,
        max_tokens=options.max_tokens,
        temperature=options.temperature,
        reasoning=options.reasoning,
        response_format=None if options.schema is None else schema_of(options.schema),
        deadline=options.timeout,
    )


def prompt_of(prompt: str | None, file: Path | None) -> str:
    """The prompt, then the file's text below it ("-": standard input, which is also read where neither is given)."""
    pieces = [] if prompt is None else [prompt]
    if file is not None:
        pieces.append(read_text(file, "--file"))
    elif prompt is None:
        if sys.stdin.isatty():
            raise ConfigurationError("prompt: give one as an argument, with --file, or on standard input")
        pieces.append(read_stdin())
    text = "\n\n".join(pieces).strip("\n")
    if not text.strip():
        raise ConfigurationError("prompt: is empty; say what you want to know")
    return text


def texts_of(texts: tuple[str, ...], file: Path | None) -> list[str]:
    """The texts, then every line of the file that is not empty; standard input where neither is given."""
    found = list(texts)
    if file is not None or not texts:
        if file is None and sys.stdin.isatty():
            raise ConfigurationError("texts: give them as arguments, with --file, or on standard input")
        source = read_stdin() if file is None else read_text(file, "--file")
        found += [line for line in source.splitlines() if line.strip()]
    if not found:
        raise ConfigurationError("texts: there are none; give at least one")
    return found


def read_text(path: Path, option: str) -> str:
    """A UTF-8 file ("-": standard input). Raises ConfigurationError."""
    if str(path) == "-":
        return read_stdin()
    try:
        return decoded(path.read_bytes(), str(path))
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise ConfigurationError(f"{option}: {path} cannot be read: {reason}") from None


def read_stdin() -> str:
    return decoded(sys.stdin.buffer.read(), "standard input")


def decoded(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"{where} is not UTF-8 (byte {exc.start}); convert it first") from None


def image_of(name: str) -> Image:
    """An image by its address (https: or data:), or from a file."""
    if name.startswith(("https://", "http://", "data:")):
        return Image(url=name)
    try:
        return Image.from_path(name)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise ConfigurationError(f"--image: {name} cannot be read: {reason}") from None


def schema_of(path: Path) -> JsonSchema:
    """A JSON schema from a file. Raises ConfigurationError where it is no JSON object."""
    try:
        value: Any = json.loads(read_text(path, "--schema"))
    except (ValueError, RecursionError) as exc:
        raise ConfigurationError(f"--schema: {path} is not JSON: {exc}") from None
    if not isinstance(value, dict):
        raise ConfigurationError(f"--schema: {path} holds no JSON object; a schema begins with {{")
    return JsonSchema(value, name=_schema_name(path))


def _schema_name(path: Path) -> str:
    name = "".join(char if char.isascii() and (char.isalnum() or char in "_-") else "_" for char in path.stem)
    return name[:64] or "answer"
