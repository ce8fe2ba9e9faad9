"""More scenarios, on the wire: connections and framing, after the list of 72 faults; ids are "F" and the fault's number."""

from __future__ import annotations

from llmcore.chaos.nouns import Bounds, Break, Scenario, Traffic, Way

_STREAM: tuple[Way, ...] = ("stream",)
_WHOLE: tuple[Way, ...] = ("generate",)
_ONCE = Bounds(broken=1)

UNICODE = "Grüße, 東京 👩‍👩‍👧 e\u0301 €5 🇳🇴"


def body_instead(label: str, body: str, content_type: str = "application/json") -> Break:
    return Break(label, rules=({"status": 200, "body": body, "content_type": content_type},))


CONNECTION: tuple[Scenario, ...] = (
    Scenario("F01", "port closed", "Nobody listens at the address.", (1,), (Break(address="closed"),)),
    Scenario(
        "F02", "name does not exist", "The host's name cannot be resolved.", (2,), (Break(address="unknown_name"),)
    ),
    Scenario(
        "F03",
        "packets vanish",
        "The address takes no connection and refuses none.",
        (3,),
        (Break(address="blackhole"),),
        bounds=Bounds(seconds=25.0),
    ),
    Scenario(
        "F04",
        "certificate not trusted",
        "The address shows a certificate of its own making, or none.",
        (4,),
        (Break("self-signed", address="self_signed"), Break("no TLS there", address="no_tls")),
        bounds=_ONCE,
    ),
    Scenario(
        "F06",
        "kept connection reset",
        "The second request meets a connection that died in between.",
        (6,),
        (Break(rules=({"reused": True, "first": 1, "reset": True},)),),
        traffic=Traffic(calls=2, every_s=2.0),
    ),
    Scenario(
        "F07",
        "half-open after the headers",
        "Headers come, then the peer is gone without a word.",
        (7,),
        (Break(model="silent-headers"),),
        bounds=Bounds(seconds=12.0, broken=1),
    ),
    Scenario(
        "F08",
        "everybody silent, deadline 5 s",
        "No provider says a word, and the caller has five seconds.",
        (8, 61),
        (Break(model="silent", everyone=True),),
        traffic=Traffic(deadline_s=5.0),
        bounds=Bounds(seconds=5.5, hang_s=15.0),
        judge="errors",
        allowed=("TotalTimeout", "AllProvidersFailed", "FirstTokenTimeout", "ReadTimeout"),
    ),
    Scenario(
        "F09",
        "headers byte by byte",
        "The head of the answer drips, one byte a second.",
        (9,),
        (Break(rules=({"header_byte_delay_s": 1},)),),
        bounds=Bounds(seconds=12.0, broken=1),
    ),
    Scenario(
        "F10",
        "body byte by byte",
        "The answer drips, one byte in ten seconds.",
        (10,),
        (Break(rules=({"byte_delay_s": 10},)),),
        bounds=Bounds(seconds=12.0, broken=1),
    ),
    Scenario(
        "F11",
        "closed after the status line",
        "The head of the answer breaks off.",
        (11,),
        (Break(rules=({"cut_after": "status_line"},)), Break("after headers", rules=({"cut_after": "headers"},))),
    ),
)  # fmt: skip

FRAMING: tuple[Scenario, ...] = (
    Scenario(
        "F12",
        "content-length too large",
        "The answer promises more bytes than it has.",
        (12,),
        (Break(rules=({"content_length_off": 10},)),),
        _WHOLE,
    ),
    Scenario(
        "F13",
        "content-length too small",
        "Bytes are left over after the answer.",
        (13,),
        (Break("10 bytes short", rules=({"content_length_off": -10},)),),
        _WHOLE,
    ),
    Scenario(
        "F14", "no last chunk", "The answer's transfer is never completed.", (14,), (Break(model="no-final-chunk"),),
        _STREAM,
    ),
    Scenario(
        "F15",
        "bad chunk sizes",
        "The transfer's framing contradicts itself.",
        (15,),
        (Break(model="bad-chunk"), Break("two lengths", rules=({"chunks": "both-lengths"},))),
        _STREAM,
    ),
    Scenario("F16", "half a JSON body", "The answer is cut, but well framed.", (16,), (Break(model="truncated-json"),)),
    Scenario(
        "F17",
        "empty 200",
        "Success, it says, and nothing else.",
        (17,),
        (Break(model="empty-200"), body_instead("spaces", " \n "), Break("204", model="empty-204")),
    ),
    Scenario(
        "F18",
        "a list, a string, null",
        "JSON, but no answer.",
        (18,),
        (Break(model="list-200"), body_instead("string", '"ok"'), body_instead("null", "null")),
    ),
    Scenario(
        "F19",
        "invalid UTF-8",
        "A byte in the answer's text is broken.",
        (19,),
        (Break(rules=({"replace": [["word50", "wo\udcffrd50"]]},)),),
    ),
    Scenario(
        "F20",
        "letters split over packets",
        "Every byte comes in a packet of its own, in the middle of letters too.",
        (20, 21),
        (Break("byte by byte", rules=({"split": 1},)), Break("in threes", rules=({"split": 3, "newline": "crlf"},))),
        traffic=Traffic(f"say: {UNICODE}", UNICODE),
        bounds=_ONCE,
        alone=True,
    ),
    Scenario(
        "F21",
        "odd line ends and a byte order mark",
        "Line ends of another system, and a mark before the first byte.",
        (21, 22, 23),
        (Break("crlf", rules=({"newline": "crlf"},)), Break("cr", rules=({"newline": "cr"},)),
         Break("BOM", rules=({"bom": True},))),
        _STREAM,
        bounds=_ONCE,
    ),
    Scenario(
        "F24",
        "comments without end",
        "Keep-alives come, but never a word.",
        (24,),
        (Break(rules=({"comment_every_s": 1.0},)),),
        _STREAM,
        bounds=Bounds(seconds=12.0, broken=1),
    ),
    Scenario(
        "F26",
        "no end and no finish reason",
        "The stream ends politely, but nobody said that the answer is whole.",
        (26,),
        (Break(model="no-finish"), Break("ends at 30", model="end-30")),
        _STREAM,
    ),
    Scenario(
        "F27",
        "more after the end",
        "Another answer begins after the end of this one.",
        (27, 28),
        (Break(rules=({"trailing": 'data: {"choices":[{"index":0,"delta":{"content":" and more"}}]}\n\n'},)),),
        _STREAM,
        bounds=_ONCE,
    ),
)  # fmt: skip

FAULTS: tuple[Scenario, ...] = (*CONNECTION, *FRAMING)
