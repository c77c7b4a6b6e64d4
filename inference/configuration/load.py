"""Loads the YAML of a configuration file: no duplicate keys, aliases, merge keys or custom tags.

Only the types that the configuration needs are known. Anchors and aliases are refused, since a few lines of
them can stand for gigabytes, and so are merge keys.
"""

import re
from collections.abc import Hashable, Mapping
from typing import Any

import yaml

from inference.configuration.errors import ConfigProblem, ConfigurationError

#: Largest file, in characters.
MAX_LENGTH = 10_000_000
#: Deepest nesting; a configuration itself needs five levels, parameters such as JSON schemas need more.
MAX_DEPTH = 100
_TYPES = ("null", "bool", "int", "float", "timestamp", "str", "seq", "map")
_REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{")


class FromEnvironment(str):
    """Text that holds a variable's value. It may stand for a number or a switch where one is wanted."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    yaml_constructors = {
        tag: constructor
        for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag in {f"tag:yaml.org,2002:{name}" for name in _TYPES}
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            raise _refused("anchors and aliases are not read; write the value out", event.start_mark)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _refused(f"nested deeper than {MAX_DEPTH} levels", event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise _refused("merge keys (<<) are not read; write the fields out", key_node.start_mark)
            if key_node.tag != "tag:yaml.org,2002:str":
                raise _refused("a field's name has to be text; put it in quotes", key_node.start_mark)
            if key_node.value in seen:
                raise _refused(f"the field '{key_node.value}' stands here twice", key_node.start_mark)
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError):
            raise _refused("this is not a valid number or date", node.start_mark) from None

    def construct_undefined(self, node: yaml.Node) -> Any:
        raise _refused("this tag is not known", node.start_mark)


_Loader.add_constructor(None, _Loader.construct_undefined)


def _refused(message: str, mark: yaml.Mark | None) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=message, problem_mark=mark)


def load(text: str) -> Any:
    """Return the data of a YAML text.

    Raises:
        ConfigurationError: it is not YAML, or uses unsupported features; with line and column.
    """
    if len(text) > MAX_LENGTH:
        raise ConfigurationError([ConfigProblem("", f"The file is longer than {MAX_LENGTH:,} characters.")])
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise ConfigurationError(
            [ConfigProblem(f"line {line}, column {column}", "this character is not allowed")]
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigurationError([ConfigProblem(place, error.problem or "this is not YAML")]) from None


def expand(value: Any, variables: Mapping[str, str], path: str, problems: list[ConfigProblem]) -> Any:
    """Return ``value`` with each ``${NAME}`` replaced, in values and not in names; ``$${`` stands for ``${``.

    Args:
        value: data as ``load`` returns it.
        variables: the values by name.
        path: where ``value`` stands.
        problems: gets a line for each variable that is missing and each text that cannot be stored.
    """
    if isinstance(value, dict):
        for name in value:
            _check_text(name, path, problems)
        return {
            name: expand(item, variables, f"{path}.{name}" if path else name, problems)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [expand(item, variables, f"{path}[{i}]", problems) for i, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    _check_text(value, path, problems)
    return _expand_text(value, variables, path, problems)


def _expand_text(text: str, variables: Mapping[str, str], path: str, problems: list[ConfigProblem]) -> str:
    found = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal found
        if match[0] == "$${":
            return "${"
        name = match[1]
        if name is None:
            problems.append(
                ConfigProblem(path, "after ${ comes a name and }; write $${ for the text ${ itself")
            )
            return match[0]
        if name not in variables:
            problems.append(ConfigProblem(path, f"the environment has no variable {name}"))
            return match[0]
        found += 1
        _check_text(variables[name], path, problems)
        return variables[name]

    expanded = _REFERENCE.sub(replace, text)
    return FromEnvironment(expanded) if found else expanded


def _check_text(text: str, path: str, problems: list[ConfigProblem]) -> None:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        problems.append(ConfigProblem(path, "this holds a character that cannot be stored"))


def escape(text: str) -> str:
    """Return the text that ``expand`` turns into ``text``."""
    return text.replace("${", "$${")
