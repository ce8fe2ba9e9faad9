"""The commands and their options; what they do is imported when one of them is called."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Group, Parameter

from llmcore._version import __version__
from llmcore.cli.gateway import add_gateway
from llmcore.cli.outcome import (
    CODES,
    DONE,
    FAILED,
    INTERRUPTED,
    MISUSED,
    exit_code,
    lines,
    missing_extra,
    single,
)
from llmcore.cli.screen import Screen, one_line, stop_writing
from llmcore.errors import LlmError
from llmcore.types import Effort

EPILOGUE = (
    f"{CODES}\n\nWithout --config, the file that the variable LLMCORE_CONFIG names is used; without that, every"
    " provider whose key is set (such as OPENAI_API_KEY) and every local server that answers. NO_COLOR is honoured."
)

Config = Annotated[Path | None, Parameter(name=["--config", "-c"], help="Configuration file (TOML).")]
Provider = Annotated[
    str | None,
    Parameter(
        name=["--provider", "-p"], help="Use this provider alone: its name, or without a file its kind."
    ),
]
Model = Annotated[str | None, Parameter(name=["--model", "-m"], help='Model, alias, or "provider/model".')]
System = Annotated[str | None, Parameter(name=["--system", "-s"], help="Instructions for the model.")]
AsJson = Annotated[
    bool, Parameter(name="--json", negative="", help="One JSON value on stdout, for programs.")
]
Verbose = Annotated[
    bool, Parameter(name=["--verbose", "-v"], negative="", help="Show who was tried, tokens, times and cost.")
]
Stats = Annotated[
    Path | None,
    Parameter(
        name="--stats",
        env_var="LLMCORE_STATS",
        help="Add a line about each call to this file (no texts, no keys).",
    ),
]
InputFile = Annotated[
    Path | None,
    Parameter(
        name=["--file", "-f"],
        help='Read from this file ("-": standard input), below the prompt if there is one.',
        allow_leading_hyphen=True,
    ),
]

app: App = App(
    name="llmcore",
    help="One interface to every LLM, with fallback when providers fail.",
    help_epilogue=EPILOGUE,
    version=__version__,
    help_format="plaintext",
    result_action="return_value",
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(show_default=False),
)
app["--help"].group = app["--version"].group = Group("Options")


@app.command
def generate(  # noqa: PLR0913 - one parameter for each option
    prompt: Annotated[str | None, Parameter(help="The prompt; left out, standard input is read.")] = None,
    /,
    *,
    file: InputFile = None,
    system: System = None,
    model: Model = None,
    provider: Provider = None,
    max_tokens: Annotated[int | None, Parameter(help="Cap on the answer.")] = None,
    temperature: Annotated[float | None, Parameter(help="0 to 2.")] = None,
    reasoning: Annotated[Effort | None, Parameter(help="How much to think.")] = None,
    image: Annotated[
        tuple[str, ...], Parameter(negative="", help="A file or URL; may be given several times.")
    ] = (),
    schema: Annotated[
        Path | None, Parameter(help="A file with a JSON schema that the answer must fit.")
    ] = None,
    timeout: Annotated[float | None, Parameter(help="Seconds for the whole call.")] = None,
    no_stream: Annotated[bool, Parameter(negative="", help="Wait for the whole answer.")] = False,
    as_json: AsJson = False,
    verbose: Verbose = False,
    stats: Stats = None,
    config: Config = None,
) -> int:
    """Ask once; the answer goes to stdout while it is written."""
    from llmcore.cli.ask import Options
    from llmcore.cli.generate import Show
    from llmcore.cli.generate import generate as work

    options = Options(prompt, file, system, model, max_tokens, temperature, reasoning, image, schema, timeout)
    return work(options, Show(not no_stream, as_json, verbose, stats), config, provider, Screen())


@app.command
def chat(
    *,
    system: System = None,
    model: Model = None,
    provider: Provider = None,
    verbose: Verbose = False,
    config: Config = None,
) -> int:
    """Talk; the history is kept, and the provider can be switched in the middle (/help tells how)."""
    from llmcore.cli.chat import chat as work

    return work(
        model=model, system=system, config=config, provider=provider, verbose=verbose, screen=Screen()
    )


@app.command
def embed(
    *texts: Annotated[str, Parameter(help="Texts to embed; none: the lines of --file or standard input.")],
    file: InputFile = None,
    model: Model = None,
    provider: Provider = None,
    dimensions: Annotated[
        int | None, Parameter(help="Length of the vectors, where the model can choose.")
    ] = None,
    as_json: AsJson = False,
    stats: Stats = None,
    config: Config = None,
) -> int:
    """Turn texts into vectors."""
    from llmcore.cli.ask import texts_of
    from llmcore.cli.embed import embed as work
    from llmcore.types import EmbeddingRequest

    request = EmbeddingRequest(texts_of(texts, file), model=model, dimensions=dimensions)
    return work(request, as_json=as_json, config=config, provider=provider, stats=stats, screen=Screen())


@app.command
def models(*, provider: Provider = None, as_json: AsJson = False, config: Config = None) -> int:
    """List the models of every configured provider."""
    from llmcore.cli.listing import list_models

    return list_models(as_json=as_json, config=config, provider=provider, screen=Screen())


@app.command
def providers(*, as_json: AsJson = False) -> int:
    """List every kind of provider: what it can do, its key variable, and whether that is set."""
    from llmcore.cli.listing import list_providers

    return list_providers(as_json=as_json, screen=Screen())


@app.command
def check(
    file: Annotated[Path, Parameter(help="The configuration file.", show_default=True)] = Path("config.toml"),
    /,
    *,
    as_json: AsJson = False,
) -> int:
    """Tell everything that is wrong with a configuration; nothing is sent. Exit code 1 where anything is."""
    from llmcore.cli.check import check as work

    return work(file, as_json=as_json, screen=Screen())


@app.command
def explain(  # noqa: PLR0913 - one parameter for each option
    prompt: Annotated[str | None, Parameter(help="The prompt; left out, standard input is read.")] = None,
    /,
    *,
    file: InputFile = None,
    system: System = None,
    model: Model = None,
    only: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="Narrow to this provider; may be given several times."),
    ] = (),
    max_tokens: Annotated[int | None, Parameter(help="Cap on the answer.")] = None,
    reasoning: Annotated[Effort | None, Parameter(help="How much to think.")] = None,
    image: Annotated[
        tuple[str, ...], Parameter(negative="", help="A file or URL; may be given several times.")
    ] = (),
    schema: Annotated[
        Path | None, Parameter(help="A file with a JSON schema that the answer must fit.")
    ] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> int:
    """Tell who would be asked for this prompt, in which order, who not and why; nothing is sent."""
    from llmcore.cli.ask import Options
    from llmcore.cli.explain import explain as work

    options = Options(prompt, file, system, model, max_tokens, None, reasoning, image, schema)
    return work(options, config, only, as_json=as_json, screen=Screen())


@app.command(name="test")
def connections(
    *,
    provider: Provider = None,
    billed: Annotated[
        bool, Parameter(negative="", help="Ask each for one word, which costs a few tokens.")
    ] = False,
    timeout: Annotated[float, Parameter(help="Seconds for each provider.", show_default=True)] = 15.0,
    config: Config = None,
) -> int:
    """Ask each provider for its models, which is free; exit code 1 where one does not answer."""
    from llmcore.cli.check import probe

    return probe(config=config, provider=provider, billed=billed, timeout=timeout, screen=Screen())


@app.command
def stats(
    file: Annotated[
        Path, Parameter(env_var="LLMCORE_STATS", help="A file that `generate --stats FILE` has written.")
    ],
    /,
    *,
    as_json: AsJson = False,
) -> int:
    """Add up the calls that --stats has noted, by provider."""
    from llmcore.cli.journal import show

    return show(file, as_json=as_json, screen=Screen())


@app.command
def sim(
    *,
    host: Annotated[str, Parameter(help="Address to listen at.", show_default=True)] = "127.0.0.1",
    port: Annotated[int, Parameter(help="Port to listen at.", show_default=True)] = 8401,
    script: Annotated[Path | None, Parameter(help="A file with faults (TOML).")] = None,
    first_token_delay: Annotated[float, Parameter(help="Seconds before the first token.")] = 0.0,
    tokens_per_second: Annotated[float | None, Parameter(help="Speed; left out: as fast as it goes.")] = None,
    model: Annotated[
        tuple[str, ...], Parameter(negative="", help="A model that there is; none given: any name will do.")
    ] = (),
    faults: Annotated[
        bool, Parameter(negative="", help="List the faults that a model's name can ask for.")
    ] = False,
) -> int:
    """Serve simulated providers in every dialect, which break on request."""
    from llmcore.cli.sim import serve

    return serve(
        host=host,
        port=port,
        script=script,
        first_token_delay=first_token_delay,
        tokens_per_second=tokens_per_second,
        models=model,
        faults=faults,
        screen=Screen(),
    )


@app.command
def simulate(
    scenario: Annotated[Path, Parameter(help="The scenario file (TOML); docs/simulate.md describes it.")],
    /,
    *,
    config: Annotated[
        tuple[Path, ...],
        Parameter(
            name=["--config", "-c"],
            negative="",
            help="A configuration to simulate beside those of the scenario; may be given several times.",
        ),
    ] = (),
    duration: Annotated[str | None, Parameter(help='Simulate this long instead: "90s", "36h", "7d".')] = None,
    seed: Annotated[int | None, Parameter(help="Another seed; the same one gives the same bytes.")] = None,
    json: Annotated[
        Path | None,
        Parameter(
            help='Write every figure to this file (JSON; "-": standard output, instead of the tables).',
            allow_leading_hyphen=True,
        ),
    ] = None,
    plot: Annotated[
        Path | None, Parameter(help="Draw them over time into this file (.png or .svg; extra `plots`).")
    ] = None,
    html: Annotated[Path | None, Parameter(help="Write a page of its own (HTML).")] = None,
    log: Annotated[Path | None, Parameter(help="Write every attempt to this file (JSON lines).")] = None,
) -> int:
    """Try fallback settings against simulated providers on a virtual clock: a day of traffic in half a minute."""
    from llmcore.cli.simulate import simulate as work

    return work(
        scenario,
        configs=config,
        duration=duration,
        seed=seed,
        json=json,
        plot=plot,
        html=html,
        log=log,
        screen=Screen(),
    )


@app.command
def chaos(  # noqa: PLR0913 - one parameter for each option
    config: Annotated[
        Path | None,
        Parameter(help="A configuration whose fallback settings are tried; left out: the defaults."),
    ] = None,
    /,
    *,
    profile: Annotated[
        Literal["fast", "full"],
        Parameter(help="full: the published timings; fast: all times a fifth of them.", show_default=True),
    ] = "fast",
    only: Annotated[
        tuple[str, ...], Parameter(negative="", help="These scenarios alone, by id: S06,S07.")
    ] = (),
    threshold: Annotated[
        int | None, Parameter(help="So many must pass; left out: every public scenario.")
    ] = None,
    json: Annotated[Path | None, Parameter(help="Write the scorecard to this file (JSON).")] = None,
    html: Annotated[Path | None, Parameter(help="Write it as a page of its own (HTML).")] = None,
    serve: Annotated[
        bool, Parameter(negative="", help="S01 to S16 through a gateway that is started for it.")
    ] = False,
    endpoint: Annotated[
        str | None, Parameter(help="S01 to S16 through this running gateway; see --upstreams.")
    ] = None,
    key: Annotated[str | None, Parameter(help="The gateway's key (or: LLMCORE_API_KEY).")] = None,
    upstreams: Annotated[
        Path | None,
        Parameter(help="Only write the configuration that the gateway of --endpoint must run with (TOML)."),
    ] = None,
    upstream_port: Annotated[
        int, Parameter(help="The first port of the providers in it.", show_default=True)
    ] = 8500,
) -> int:
    """Break the first provider in every known way, on this machine and without a key, and score the fallback settings.

    Exit code 1 where a scenario fails, or fewer pass than shall.
    """
    from llmcore.cli.chaos import Options
    from llmcore.cli.chaos import chaos as work

    return work(
        Options(config, profile, only, threshold, json, html, endpoint, key, serve, upstreams, upstream_port),
        Screen(),
    )


add_gateway(app)


# ----------------------------------------------------------------------------------------------- the edge


def run(arguments: Sequence[str]) -> int:
    """One command line to its exit code; every error is told on one line, none as a traceback."""
    screen = Screen()
    try:
        code = app(arguments, exit_on_error=False, print_error=False)
        return code if isinstance(code, int) else DONE
    except CycloptsError as error:
        command = " ".join(("llmcore", *arguments[:1])) if arguments and arguments[0] in app else "llmcore"
        screen.complain(f"{one_line(str(error)).rstrip('.')}; see `{command} --help`")
        return MISUSED
    except BrokenPipeError:
        stop_writing()
        return FAILED
    except KeyboardInterrupt:
        screen.note("interrupted")
        return INTERRUPTED
    except Exception as error:  # the outermost edge: people get a line, not a traceback
        if os.environ.get("LLMCORE_DEBUG"):
            raise
        return _told(single(error), screen)


def _told(error: BaseException, screen: Screen) -> int:
    for line in lines(error):
        screen.complain(line)
    if not isinstance(error, LlmError) and missing_extra(error) is None:
        screen.note("this is a fault of llmcore; LLMCORE_DEBUG=1 shows where")
    return exit_code(error)
