"""What gradtx writes in docstrings, as the site's parser of Google's style understands it."""

import re
from collections.abc import Iterator

import griffe
import public

SECTION = re.compile(r"^([A-Z][A-Za-z ]*):$")
PARAGRAPHS = ("Conventions", "To shard a state as its parameters")  # sections of running text
SEVERAL = re.compile(r"^  (\*{0,2}\w+(?:, \*{0,2}\w+)+):(.*)$")  # "b1, b2: as in ..."
NAME_IN_CODE = re.compile(r"`([A-Za-z_][\w.]*)`")


class Docstrings(griffe.Extension):
    """Gives each argument a line of its own, makes lists of references, and links the names in code."""

    def __init__(self) -> None:
        self._links: dict[str, str] = {}
        for name in reversed(public.public_names()):  # so that of two with one name the first is meant
            path = name.path
            self._links |= dict.fromkeys((path, path.removeprefix("gradtx."), path.rpartition(".")[2]), name.source)

    def on_package(self, *, pkg: griffe.Module, **kwargs: object) -> None:
        """Rewrite the docstrings of a package that has been read."""
        for each in _objects(pkg):
            if each.docstring:
                if isinstance(each, griffe.Class):
                    _tell_arguments(each, each.docstring)
                own = {parameter.name for parameter in getattr(each, "parameters", ())} | {each.name}
                each.docstring.value = self._rewritten(each.docstring.value, own)

    def _rewritten(self, text: str, own: set[str]) -> str:
        lines: list[str] = []
        for title, body in _sections(text):
            match title:
                case "":
                    lines += [line if line.startswith("    ") else self._linked(line, own) for line in body]
                    continue
                case "References":
                    body = ["**References**", "", *_items(body), ""]
                case "Args" | "Raises" | "Returns" | "Attributes" | "Warns" | "Warning":
                    body = [f"{title}:", *_one_name_a_line(body)]
                case _:
                    body = [f"**{title}**", "", *(line.removeprefix("  ") for line in body)]
            lines += [self._linked(line, own) for line in body]
        return "\n".join(lines)

    def _linked(self, line: str, own: set[str]) -> str:
        """Link the public names in a line, but for those that the object has itself, such as its arguments."""

        def link(match: re.Match[str]) -> str:
            name = match[1]
            return match[0] if name in own or name not in self._links else f"[`{name}`][{self._links[name]}]"

        return NAME_IN_CODE.sub(link, line)


def _tell_arguments(kind: griffe.Class, docstring: griffe.Docstring) -> None:
    """Let the arguments of a class be found where it has them: in `__new__`, or among its fields."""
    bases = {str(base) for base in kind.bases}
    if "__init__" not in kind.members and "__new__" in kind.members:
        kind.members["__init__"] = kind.members["__new__"]
    elif "NamedTuple" in bases:
        kind.members["__init__"] = _made_of_fields(kind)
    elif "TypedDict" in bases:
        docstring.value = re.sub("^Args:$", "Attributes:", docstring.value, flags=re.MULTILINE)


def _made_of_fields(kind: griffe.Class) -> griffe.Function:
    """What makes a NamedTuple: a function of its fields."""
    by_any = griffe.ParameterKind.positional_or_keyword
    fields = [
        griffe.Parameter(name, annotation=field.annotation, kind=by_any, default=field.value)
        for name, field in kind.members.items()
        if isinstance(field, griffe.Attribute) and field.annotation
    ]
    itself = griffe.Parameter("self", kind=by_any)
    return griffe.Function("__init__", parameters=griffe.Parameters(itself, *fields), parent=kind)


def _objects(module: griffe.Module) -> Iterator[griffe.Object]:
    yield module
    for member in module.members.values():
        if member.is_alias:
            continue
        if isinstance(member, griffe.Module):
            yield from _objects(member)
        elif isinstance(member, griffe.Object):
            yield member
            if isinstance(member, griffe.Class):
                yield from (inner for inner in member.members.values() if isinstance(inner, griffe.Object))


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """Split a docstring at its titles; what comes before the first has an empty one."""
    title, body = "", []
    lines = text.splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        found = SECTION.match(line)
        if (found and following.startswith("  ")) or (title and line and not line.startswith("  ")):
            yield title, body
            title, body = (found[1], []) if found else ("", [line])
        else:
            body.append(line)
    yield title, body


def _items(lines: list[str]) -> list[str]:
    """Make a list of references: one goes on in the next line when its address has not come yet."""
    entries: list[str] = []
    for line in filter(None, map(str.strip, lines)):
        if entries and ("http" not in entries[-1] or line.startswith("http")):
            entries[-1] += f" {line}"
        else:
            entries.append(line)
    return [f"- {entry}" for entry in entries]


def _one_name_a_line(lines: list[str]) -> list[str]:
    """Say for each of several arguments what is said for them together."""
    written: list[str] = []
    names: list[str] = []
    for line in lines:
        if several := SEVERAL.match(line):
            names = several[1].split(", ")
            written += [f"  {name}:{several[2]}" for name in names]
        elif names and line.startswith("    "):  # the same text goes on
            before, last = written[: -len(names)], written[-len(names) :]
            written = [*before, *(f"{each} {line.strip()}" for each in last)]
        else:
            names = []
            written.append(line)
    return written
