"""Pure: which candidates a model's name means, and what each of them calls it."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from llmcore.config import Routing


@frozen
class Choice:
    """A candidate by its place in the configuration, the name to ask it for (None: its own default), its priority."""

    index: int
    model: str | None = None
    priority: int = 100


def choices(model: str | None, names: Sequence[str], routings: Sequence[Routing]) -> list[Choice]:
    """Who may answer for `model`, in configured order.

    None: everyone, with their own default. "provider/model": that provider alone (where one has that name). An alias or
    a name that some provider is configured with: those. Any other name: everyone.
    """
    everyone: Sequence[int] = range(len(names))
    if model is not None:
        head, slash, tail = model.partition("/")
        if slash and tail and head in names:
            index = names.index(head)
            return [Choice(index, tail, routings[index].priority)]
        everyone = [index for index in everyone if _knows(routings[index], model)] or everyone
    return [Choice(index, model, routings[index].priority) for index in everyone]


def _knows(routing: Routing, model: str) -> bool:
    return (
        model in routing.models
        or model in routing.models.values()
        or model in {routing.text_model, routing.embedding_model}
    )
