"""`llmcore chat`: a conversation in the terminal. Ctrl-C stops the answer, not the program."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal
from attrs import evolve, field, frozen

from llmcore import build
from llmcore.cli.generate import Answer as Told
from llmcore.cli.generate import Printer, Show, summary, trail
from llmcore.cli.outcome import DONE, lines
from llmcore.cli.screen import Screen
from llmcore.cli.setup import find_config
from llmcore.errors import ProviderError
from llmcore.loader.text import near
from llmcore.provider import Fold, LlmProvider
from llmcore.types import GenerationRequest, Message, PartDelta, TextDelta, ThinkingDelta

HELP = (
    "/switch NAME   ask that provider from now on; /switch alone goes back to all of them, with fallback\n"
    "/model NAME    ask for that model; /model alone goes back to the configured one\n"
    "/system TEXT   set the instructions; /system alone clears them\n"
    "/reset         forget the conversation\n"
    "/save FILE     write the conversation to a file as JSON\n"
    "/quit          leave (as does Ctrl-D); Ctrl-C stops an answer"
)
STOP_S = 2.0
"""How long a stopped answer may take to close its connection."""
COMMANDS = ("switch", "model", "system", "reset", "save", "help", "quit")


@frozen
class Talk:
    """A conversation: what was said, and who is asked. target: a provider's name, None for all of them."""

    messages: tuple[Message, ...] = field(default=(), converter=tuple[Message, ...])
    target: str | None = None
    model: str | None = None
    system: str | None = None

    def request(self, text: str) -> GenerationRequest:
        """What is sent when the person says `text`."""
        head = (Message.system(self.system),) if self.system else ()
        return GenerationRequest((*head, *self.messages, Message.user(text)), model=self.model)

    def after(self, text: str, answer: Message) -> Talk:
        """The conversation with one more question and its answer, as far as it came."""
        return evolve(self, messages=(*self.messages, Message.user(text), answer))

    def saved(self) -> str:
        """The conversation as JSON."""
        head = [{"role": "system", "text": self.system}] if self.system else []
        return json.dumps(
            [*head, *({"role": m.role, "text": m.text} for m in self.messages)], indent=2, ensure_ascii=False
        )


@frozen
class Reply:
    """What a command changes and says."""

    talk: Talk
    told: str
    quit: bool = False


def obey(line: str, talk: Talk, names: Sequence[str], write: Callable[[Path, str], None]) -> Reply:
    """Carry out one /command; `write` is how /save reaches the disk."""
    word, _, rest = line[1:].strip().partition(" ")
    rest = rest.strip()
    match word.lower():
        case "switch":
            return _switch(talk, rest, names)
        case "model":
            return Reply(evolve(talk, model=rest or None), f"model: {rest or 'as configured'}")
        case "system":
            return Reply(evolve(talk, system=rest or None), "instructions set" if rest else "no instructions")
        case "reset":
            return Reply(evolve(talk, messages=()), "the conversation is forgotten")
        case "save":
            return Reply(talk, _save(talk, rest, write))
        case "quit" | "exit" | "q":
            return Reply(talk, "", quit=True)
        case "help" | "?":
            return Reply(talk, HELP)
        case _:
            return Reply(talk, f"unknown command /{word}; {near(word, COMMANDS)}")


def _switch(talk: Talk, name: str, names: Sequence[str]) -> Reply:
    if not name:
        return Reply(evolve(talk, target=None), "asking all providers, with fallback")
    if name not in names:
        return Reply(talk, f"there is no provider named {name!r}; {near(name, names)}")
    return Reply(evolve(talk, target=name, model=None), f"asking {name}")


def _save(talk: Talk, name: str, write: Callable[[Path, str], None]) -> str:
    if not name:
        return "say where: /save FILE"
    try:
        write(Path(name).expanduser(), talk.saved() + "\n")
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        return f"{name} cannot be written: {reason}"
    return f"saved to {name}"


# ---------------------------------------------------------------------------------------------- the loop


def chat(
    *,
    model: str | None,
    system: str | None,
    config: Path | None,
    provider: str | None,
    verbose: bool,
    screen: Screen,
) -> int:
    with start_blocking_portal() as portal:
        found = portal.call(find_config, config, provider)
        with portal.wrap_async_context_manager(build.open(found)) as manager:
            others = {one.name: one for one in manager.providers}
            session = Session(portal, manager, others, screen, verbose=verbose)
            session.run(Talk(model=model, system=system))
    return DONE


class Session:
    """The loop of questions and answers. Answers are written by a task of the portal, which Ctrl-C cancels."""

    def __init__(
        self,
        portal: BlockingPortal,
        everyone: LlmProvider,
        others: Mapping[str, LlmProvider],
        screen: Screen,
        *,
        verbose: bool = False,
    ) -> None:
        self._portal = portal
        self._everyone = everyone
        self._others = others
        self._screen = screen
        self._show = Show(verbose=verbose)

    def run(self, talk: Talk) -> None:
        if sys.stdin.isatty():
            self._screen.note(f"talking to {', '.join(self._others)}; /help tells the commands, /quit leaves")
        while (line := self._read(talk)) is not None:
            if line.startswith("/"):
                reply = obey(line, talk, tuple(self._others), _write)
                if reply.quit:
                    return
                talk = reply.talk
                self._screen.note(reply.told)
            elif line.strip():
                talk = self._answered(talk, line)

    def _read(self, talk: Talk) -> str | None:
        """The next line; None at the end. Ctrl-C at the prompt clears the line."""
        prompt = f"{talk.target or 'you'}> " if sys.stdin.isatty() else ""
        while True:
            try:
                return input(prompt)
            except EOFError:
                if prompt:
                    self._screen.line()
                return None
            except KeyboardInterrupt:
                if not prompt:
                    raise
                self._screen.line()
            except UnicodeDecodeError as exc:
                self._screen.complain(f"that line is not UTF-8 (byte {exc.start})")

    def _answered(self, talk: Talk, text: str) -> Talk:
        llm = self._others[talk.target] if talk.target else self._everyone
        fold, over = Fold(), Event()
        future = self._portal.start_task_soon(self._ask, llm, talk.request(text), fold, over)
        try:
            future.result()
        except KeyboardInterrupt:
            future.cancel()
            over.wait(STOP_S)
            self._screen.note("stopped")
        except ProviderError as error:
            if self._show.verbose:
                trail(error.attempts, self._screen)
            for line in lines(error):
                self._screen.complain(line)
        answer = fold.message()
        return talk.after(text, answer) if answer.text.strip() else talk

    async def _ask(self, llm: LlmProvider, request: GenerationRequest, fold: Fold, over: Event) -> None:
        printer = Printer(self._screen, verbose=self._show.verbose)
        began = anyio.current_time()
        first: float | None = None
        try:
            with self._screen.waiting("waiting for the answer") as waiting:
                async with llm.stream(request) as events:
                    async for event in events:
                        fold.add(event)
                        if isinstance(event, (TextDelta, ThinkingDelta, PartDelta)) and first is None:
                            first = anyio.current_time() - began
                            waiting.over()
                        printer.event(event)
        finally:
            printer.end()
            over.set()
        response = fold.response()
        if response.refusal:
            self._screen.note(response.refusal, style="yellow")
        if self._show.verbose:
            trail(response.attempts, self._screen)
            self._screen.note(summary(Told(response, anyio.current_time() - began, first)))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
