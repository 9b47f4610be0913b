"""YAML text as plain data, read strictly, with the line of every place.

A subset of YAML is read: one document, no anchors, aliases, tags or merge keys, no key twice, at
most ``DEPTH_MAX`` levels deep. Plain scalars mean what YAML 1.2's core schema says, so that
``country: NO`` is Norway and ``12:30`` is a text.

The text is read as a stream of events, not composed to a tree by the library: its C composer
recurses, and a few hundred thousand opening brackets would end the process.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from gigawatt.errors import InputError
from gigawatt.units import MIB

TEXT_LENGTH_MAX = 256 * MIB
DEPTH_MAX = 8
NUMBER_LENGTH_MAX = 40
QUOTE_LENGTH_MAX = 60

Path = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|nan)")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


class _EventLoader(yaml.CSafeLoader):
    """The library's safe loader, used for its events; duplicate keys are refused below."""

    def events(self) -> Iterator[yaml.Event]:
        """Events until the end of the stream."""
        while True:
            event = self.get_event()
            assert event is not None, "the stream was read past its end"
            yield event
            if isinstance(event, yaml.StreamEndEvent):
                return


def format_path(path: Path) -> str:
    """A path as people write it.

    Example:
        >>> format_path(("nodes", 3, "rack"))
        'nodes[3].rack'
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{shorten(part)}" if text else shorten(part)
    return text


def shorten(text: str) -> str:
    """A text cut to a length that fits in a sentence, with nothing unprintable in it."""
    short = text if len(text) <= QUOTE_LENGTH_MAX else f"{text[:QUOTE_LENGTH_MAX]}..."
    return short if short.isprintable() else ascii(short)


class _Frame:
    """A collection that is being read: a mapping with its key, or a sequence."""

    def __init__(self, value: dict[str, object] | list[object]) -> None:
        self.value = value
        self.key: str | None = None
        self.key_line = 0
        self.count = 0

    @property
    def awaits_key(self) -> bool:
        return isinstance(self.value, dict) and self.key is None

    @property
    def part(self) -> str | int:
        """Where in the collection the next value goes."""
        return self.count if self.key is None else self.key

    def add(self, value: object) -> None:
        if isinstance(self.value, list):
            self.value.append(value)
        else:
            assert self.key is not None, "a value needs its key"
            self.value[self.key] = value
        self.key = None
        self.count += 1


class _Builder:
    """Turns events into data, or watches them for the line of one path."""

    def __init__(self, source: str, wanted: Path | None = None) -> None:
        self.source = source
        self.wanted = wanted
        self.line = 1
        self._depth_found = 0
        self.stack: list[_Frame] = []
        self.documents: list[object] = []

    def wrong(self, line: int, sentence: str) -> InputError:
        place = format_path(self.path())
        where = f"{self.source} line {line}: " + (f"{place}: " if place else "")
        return InputError(where + sentence, next_step="Correct the file at this line.")

    def path(self) -> Path:
        return tuple(frame.part for frame in self.stack if not frame.awaits_key)

    def watch(self, line: int) -> None:
        """Remember the line of the longest path so far that leads to the wanted one."""
        path = self.path()
        if self.wanted is None or len(path) <= self._depth_found:
            return
        if path == self.wanted[: len(path)]:
            self._depth_found = len(path)
            frame = self.stack[-1]
            self.line = line if frame.key is None else frame.key_line

    def feed(self, event: yaml.Event) -> None:
        mark = event.start_mark
        line = mark.line + 1 if mark else 1
        if isinstance(event, yaml.ScalarEvent):
            self._check_plain(event, line)
            self._scalar(event, line)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._check_plain(event, line)
            self._open({} if isinstance(event, yaml.MappingStartEvent) else [], line)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._close(self.stack.pop().value)
        elif isinstance(event, yaml.AliasEvent):
            raise self.wrong(
                line, f"alias *{shorten(event.anchor or '')} is not allowed; write it out"
            )
        elif isinstance(event, yaml.DocumentStartEvent) and self.documents:
            raise self.wrong(line, "a second document starts; wanted one")

    def _check_plain(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, line: int) -> None:
        if event.anchor is not None:
            raise self.wrong(line, f"anchor &{shorten(event.anchor)} is not allowed")
        if event.tag is not None:
            raise self.wrong(line, f"tag {shorten(event.tag)} is not allowed")

    def _open(self, value: dict[str, object] | list[object], line: int) -> None:
        if self.stack and self.stack[-1].awaits_key:
            raise self.wrong(line, "a key is a list or a mapping, wanted a text")
        if len(self.stack) >= DEPTH_MAX:
            raise self.wrong(line, f"more than {DEPTH_MAX} levels deep")
        if self.wanted is not None and self.stack:
            self.watch(line)
        self.stack.append(_Frame(value))

    def _close(self, value: object) -> None:
        if self.stack:
            self.stack[-1].add(value)
        else:
            self.documents.append(value)

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        frame = self.stack[-1] if self.stack else None
        if frame is not None and frame.awaits_key:
            self._key(frame, event.value, line)
            return
        if self.wanted is not None:
            if frame is not None:
                self.watch(line)
            self._close(None)
            return
        self._close(self._plain(event.value, line) if event.implicit[0] else event.value)

    def _key(self, frame: _Frame, key: str, line: int) -> None:
        assert isinstance(frame.value, dict), "only mappings have keys"
        if key in frame.value:
            raise self.wrong(line, f"key {shorten(key)!r} is there twice")
        frame.key, frame.key_line = key, line

    def _plain(self, text: str, line: int) -> object:
        if text.lower() in _WORDS and text in {text.lower(), text.upper(), text.capitalize()}:
            return _WORDS[text.lower()]
        is_integer = _INTEGER.fullmatch(text)
        if not is_integer and not _FLOAT.fullmatch(text.lower()):
            return text
        if len(text) > NUMBER_LENGTH_MAX:
            raise self.wrong(line, f"number of {len(text)} digits, wanted <= {NUMBER_LENGTH_MAX}")
        if is_integer:
            return int(text, 16) if text.startswith("0x") else int(text)
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _run(builder: _Builder, text: str) -> None:
    try:
        loader = _EventLoader(text)
    except UnicodeError as error:
        raise builder.wrong(1, "the text has characters that are no Unicode text") from error
    try:
        for event in loader.events():
            builder.feed(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = error.problem or "cannot be read"
        raise builder.wrong(line, f"not YAML: {problem}") from error
    except yaml.YAMLError as error:
        raise builder.wrong(1, "not YAML: it has characters that YAML does not allow") from error
    finally:
        loader.dispose()


@dataclass(frozen=True, slots=True)
class YamlTree:
    """A YAML text as plain data.

    Fields:
        source: what to call the text in complaints.
        text: the text.
        data: dictionaries, lists, texts, numbers, booleans and None.
    """

    source: str
    text: str
    data: object

    def line_of(self, path: Path) -> int:
        """Line (from 1) of a path, or of the longest part of it that exists."""
        builder = _Builder(self.source, path)
        _run(builder, self.text)
        return builder.line

    def wrong(self, path: Path, sentence: str) -> InputError:
        """An error that names the place: ``SOURCE line 12: nodes[3].rack: SENTENCE``."""
        place = f"{format_path(path)}: " if path else ""
        return InputError(
            f"{self.source} line {self.line_of(path)}: {place}{sentence}",
            next_step="Correct the file at this line; nothing was changed.",
        )


def read_yaml(text: str, source: str) -> YamlTree:
    """The data of a YAML text.

    Args:
        text: at most 256 Mi characters.
        source: what to call the text in complaints, e.g. its file name.

    Raises:
        InputError: the text is too long, no YAML, or uses more of YAML than is allowed; the
            message names line and place.
    """
    if len(text) > TEXT_LENGTH_MAX:
        raise InputError(f"{source}: {len(text)} characters, wanted <= {TEXT_LENGTH_MAX}")
    builder = _Builder(source)
    _run(builder, text)
    if not builder.documents:
        raise builder.wrong(1, "the text is empty")
    return YamlTree(source, text, builder.documents[0])
