"""What the system says as one message at the top, for servers whose models' templates take no other.

Such templates (newer Qwen, Gemma and Mistral models on vLLM, llama.cpp, Ollama) refuse a second system message, and one
inside of a conversation.
"""

from __future__ import annotations

from llmcore.types import Message
from llmcore.wire.base import Warnings


def at_the_top(messages: tuple[Message, ...], warnings: Warnings) -> tuple[Message, ...]:
    """The messages with all system texts in the first one, a blank line between them; told where one is moved."""
    places = [place for place, message in enumerate(messages) if message.role == "system"]
    if not places or (places == [0] and messages[0].text):
        return messages
    if places[-1] >= len(places):
        warnings.changed("messages", "a system message inside the conversation is sent before it")
    for place in places:
        warnings.dropped("message.name", messages[place].name)
    told = "\n\n".join(text for place in places if (text := messages[place].text))
    rest = tuple(message for message in messages if message.role != "system")
    return (Message.system(told), *rest) if told else rest
