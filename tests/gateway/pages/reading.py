"""A page as a browser's parser sees it: elements in order, texts, and what a policy without inline code would refuse."""

from __future__ import annotations

from html.parser import HTMLParser

from attrs import define, field

VOID = frozenset(("meta", "link", "input", "br", "img", "hr", "rect", "circle", "path"))


@define
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""
    children: list[Element] = field(factory=list)

    def all(self, tag: str | None = None) -> list[Element]:
        """The elements inside, in order."""
        found = [one for one in self.children if tag is None or one.tag == tag]
        return found + [deeper for child in self.children for deeper in child.all(tag)]

    @property
    def words(self) -> str:
        """All text inside."""
        return self.text + "".join(child.words for child in self.children)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.top = Element("", {})
        self.open = [self.top]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        made = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(made)
        if tag not in VOID:
            self.open.append(made)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(Element("#text", {}, data))


def read(html: str) -> Element:
    """The page. Fails where an element is left open or closed in the wrong order."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert len(reader.open) == 1, f"<{reader.open[-1].tag}> is left open"
    return reader.top


def inline_code(page: Element) -> list[str]:
    """What would run, or style, without coming from a file of ours."""
    found = []
    for one in page.all():
        names = [name for name in one.attributes if name.startswith("on") or name == "style"]
        found += [f"<{one.tag} {name}>" for name in names]
        if one.tag in {"script", "style"} and (one.words.strip() or "src" not in one.attributes):
            found.append(f"<{one.tag}> with contents")
        for name in ("href", "src", "action", "formaction", "xlink:href"):
            value = one.attributes.get(name, "/")
            if not value.startswith(("/", "#")) or value.startswith("//"):
                found.append(f"<{one.tag} {name}={value}>")
    return found
