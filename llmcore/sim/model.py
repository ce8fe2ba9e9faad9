"""The text model: a pure function from what was understood to an answer, always the same for the same request.

What a prompt can command (the last user turn; the first rule that fits wins):

    a tool result came last                the answer quotes it
    tool_choice "required" or a name       that tool is called, with arguments that fit its schema
    the prompt names a tool                it is called; two names (or "twice"): two calls, unless parallel calls are off
                                           `call weather with {"city": "Oslo"}` sets the arguments
    a response format, or a system text    JSON of that schema
      with "JSON schema: {...}"
    "say: ..."                             exactly that text
    "count: 60"                            sixty words
    "refuse: ..."                          a refusal in those words
    "describe:"                            what the simulator understood, as JSON
    anything else                          a short sentence that depends on the conversation, the model and the seed
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from hashlib import blake2b
from typing import Any

from attrs import evolve

from llmcore.sim.instance import instance_of
from llmcore.sim.tokens import count, count_turns, tokens_of
from llmcore.sim.values import (
    Answer,
    Call,
    Counts,
    Finish,
    Media,
    Refusal,
    Text,
    Thinking,
    ToolSpec,
    Turn,
    Understood,
    digest,
)

_WHO = (
    "A quiet river",
    "The old clock",
    "Every small town",
    "A careful reader",
    "The night train",
    "One bright idea",
)
_DOES = ("keeps", "carries", "remembers", "answers", "follows", "explains")
_WHAT = (
    "a simple rule",
    "the morning light",
    "what it has heard",
    "a longer story",
    "the shortest way",
    "its own pace",
)
_HOW = ("without haste", "in the end", "as it should", "from far away", "once again", "and nothing more")
_THOUGHTS_OF_EFFORT = {"minimal": 1, "low": 1, "medium": 2, "high": 3, "xhigh": 4, "max": 5}


def answer(asked: Understood, *, seed: int = 0, at_least: int = 0) -> Answer:
    """What the model says. `at_least`: tokens of text that an ordinary answer is filled up to."""
    key = _key_of(asked, seed)
    thoughts = _thoughts(asked) if asked.thinking else ""
    calls = _calls(asked, key)
    if calls:
        return _counted(asked, key, thoughts, (*calls,), "tool_calls")
    if refused := re.match(r"\s*refuse:\s*(.*)", asked.prompt, re.DOTALL):
        return _counted(asked, key, thoughts, (Refusal(refused[1] or "I cannot help with that."),), "refusal")
    text = _text(asked, key)
    if not asked.format and not asked.prompt.lstrip().startswith("say:"):
        text = _filled(text, at_least)
    return _limited(asked, key, thoughts, text)


def seal(text: str, dialect: str) -> str:
    """The signature of a piece of reasoning: base64 of a keyed digest and the text itself, for one dialect."""
    data = text.encode("utf-8", "surrogatepass")
    return base64.b64encode(_mac(data, dialect) + data).decode("ascii")


def _mac(data: bytes, dialect: str) -> bytes:
    return blake2b(dialect.encode() + b"\0" + data, digest_size=24, key=b"sim").digest()


def is_genuine(signature: str, dialect: str, text: str = "") -> bool:
    """Whether `seal` made this signature for this dialect, and for this text where there is one."""
    try:
        data = base64.b64decode(signature, validate=True)
    except ValueError:
        return False
    mac, sealed = data[:24], data[24:]
    return hmac.compare_digest(mac, _mac(sealed, dialect)) and (
        not text or sealed == text.encode("utf-8", "surrogatepass")
    )


def _key_of(asked: Understood, seed: int) -> str:
    said = [f"{turn.role}:{turn.text}" for turn in asked.turns]
    return digest(str(seed), str(asked.seed), asked.model or "", *said)


# ------------------------------------------------------------------------------------------------ tool calls


def _calls(asked: Understood, key: str) -> list[Call]:
    last = asked.turns[-1].role if asked.turns else ""
    if not asked.tools or asked.tool_choice == "none" or last == "tool":
        return []
    chosen = _chosen(asked)
    if asked.parallel_tool_calls is False:
        chosen = chosen[:1]
    return [
        Call(f"call_{digest(key, str(at))[:16]}", tool.name, _arguments(asked.prompt, tool))
        for at, tool in enumerate(chosen)
    ]


def _chosen(asked: Understood) -> list[ToolSpec]:
    by_name = {tool.name: tool for tool in asked.tools}
    if asked.tool_choice in by_name:
        return [by_name[asked.tool_choice]]
    named = sorted(
        (found.start(), tool.name)
        for tool in asked.tools
        if (found := _mention(tool.name).search(asked.prompt))
    )
    chosen = [by_name[name] for _, name in named]
    if len(chosen) == 1 and re.search(r"\btwice\b", asked.prompt):
        chosen *= 2
    return chosen or ([asked.tools[0]] if asked.tool_choice == "required" else [])


def _mention(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")


def _arguments(prompt: str, tool: ToolSpec) -> Any:
    told = re.search(rf"(?<![\w-]){re.escape(tool.name)} with (?=\{{)", prompt)
    if told:
        try:
            return json.JSONDecoder().raw_decode(prompt, told.end())[0]
        except ValueError:
            pass
    return instance_of(tool.parameters if tool.parameters is not None else {"type": "object"})


# ------------------------------------------------------------------------------------------------------ texts


def _text(asked: Understood, key: str) -> str:
    results = _results(asked)
    if results:
        return " ".join(results)
    if (schema := _schema(asked)) is not None:
        return json.dumps(instance_of(schema), ensure_ascii=False)
    if asked.format == "json":
        return json.dumps({"answer": _sentence(key)})
    prompt = asked.prompt.lstrip()
    if prompt.startswith("say:"):
        return prompt[4:].removeprefix(" ")
    if counted := re.match(r"count:\s*(\d+)", prompt):
        return " ".join(f"word{n}"[:8] for n in range(1, min(int(counted[1]), 100_000) + 1))
    if prompt.startswith("describe:"):
        return json.dumps(_description(asked), ensure_ascii=False)
    return _sentence(key)


def _schema(asked: Understood) -> Any:
    """The schema asked for, or one that the system text shows after the words "JSON schema"."""
    if asked.format is not None and asked.format != "json":
        return asked.format
    system = "".join(turn.text for turn in asked.turns if turn.role == "system")
    if shown := re.search(r"JSON schema:?\s*(?=\{)", system):
        try:
            return json.JSONDecoder().raw_decode(system, shown.end())[0]
        except ValueError:
            return None
    return None


def _results(asked: Understood) -> list[str]:
    if not asked.turns or asked.turns[-1].role != "tool":
        return []
    names = {
        part.id: part.name
        for turn in asked.turns
        for part in turn.parts
        if isinstance(part, Call) and part.id is not None
    }
    last: list[Turn] = []
    for turn in reversed(asked.turns):
        if turn.role != "tool":
            break
        last.insert(0, turn)
    return [
        f"The tool {part.name or names.get(part.call_id or '', 'you ran')} says: {part.text}"
        for turn in last
        for part in turn.parts
        if part.kind == "result"
    ]


def _sentence(key: str) -> str:
    draw = bytes.fromhex(key)
    words = (choices[draw[at] % len(choices)] for at, choices in enumerate((_WHO, _DOES, _WHAT, _HOW)))
    return " ".join(words) + "."


def _filled(text: str, at_least: int) -> str:
    have = count(text)
    return text if have >= at_least else text + " and" * (at_least - have)


def _description(asked: Understood) -> dict[str, Any]:
    return {
        "dialect": asked.dialect,
        "model": asked.model,
        "roles": [turn.role for turn in asked.turns],
        "images": sum(
            isinstance(part, Media) and part.kind == "image" for turn in asked.turns for part in turn.parts
        ),
        "tools": [tool.name for tool in asked.tools],
        "temperature": asked.temperature,
        "max_tokens": asked.max_tokens,
        "seed": asked.seed,
        "stream": asked.stream,
    }


def _thoughts(asked: Understood) -> str:
    words = len(asked.prompt.split())
    steps = _THOUGHTS_OF_EFFORT.get(asked.effort or "medium", 2)
    return f"The question has {words} words." + "".join(
        f" Step {n}: think it over." for n in range(1, steps + 1)
    )


# ----------------------------------------------------------------------------------------------------- limits


def _limited(asked: Understood, key: str, thoughts: str, text: str) -> Answer:
    """The text up to a stop sequence and up to `max_tokens` (reasoning counts first)."""
    finish: Finish = "stop"
    text, sequence = _stopped(text, asked.stop)
    if asked.max_tokens is not None:
        spent = tokens_of(thoughts)[: asked.max_tokens]
        room = asked.max_tokens - len(spent)
        kept = tokens_of(text)
        if len(kept) > room or len(spent) < count(thoughts):
            thoughts, text, finish, sequence = "".join(spent), "".join(kept[:room]), "length", None
    done = _counted(asked, key, thoughts, (Text(text),) if text else (), finish)
    return evolve(done, stop_sequence=sequence)


def _stopped(text: str, stop: tuple[str, ...]) -> tuple[str, str | None]:
    found = [(at, sequence) for sequence in stop if sequence and (at := text.find(sequence)) >= 0]
    if not found:
        return text, None
    at, sequence = min(found)
    return text[:at], sequence


def _counted(
    asked: Understood, key: str, thoughts: str, parts: tuple[Text | Call | Refusal, ...], finish: Finish
) -> Answer:
    thinking = (Thinking(thoughts, seal(thoughts, asked.dialect)),) if thoughts else ()
    sealed = tuple(
        evolve(part, signature=seal(part.name, asked.dialect))
        if isinstance(part, Call) and thoughts
        else part
        for part in parts
    )
    spoken = sum(
        count(json.dumps(part.arguments)) + count(part.name) if isinstance(part, Call) else count(part.text)
        for part in parts
    )
    reasoning = count(thoughts)
    counts = Counts(input_tokens(asked), spoken + reasoning, reasoning)
    return Answer((*thinking, *sealed), finish, None, counts, key[:24])


def input_tokens(asked: Understood) -> int:
    """Tokens that the model reads: the conversation, the tools, the schema, or the texts to embed."""
    tools = sum(
        count(tool.name) + count(tool.description) + count(json.dumps(tool.parameters))
        for tool in asked.tools
    )
    schema = count(json.dumps(asked.format)) if asked.format and asked.format != "json" else 0
    return count_turns(asked.turns) + tools + schema + sum(count(text) for text in asked.inputs)
