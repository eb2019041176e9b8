"""The pages of the API reference, in Markdown: an index of themes, and one page for each theme or file."""

from collections import defaultdict
from typing import Any

import public
from public import Name

FOLDER = "reference"
# The order of themes, and what they are called; a theme that is not here comes after them, by the name of its module.
TITLES = {
    "optimizers": "Optimizers",
    "transforms": "Transforms",
    "wrappers": "Wrappers",
    "schedules": "Schedules",
    "losses": "Losses",
    "aggregating": "Aggregating",
    "core": "Chains and the protocol",
    "update": "Applying updates",
    "inspection": "Inspection",
    "tuning": "Finding a learning rate",
    "watching": "Watching a run",
    "recipes": "Recipes",
    "configuration": "Configuration",
    "minimize": "Minimizing a function",
    "tree": "Trees",
    "numerics": "Safe numbers",
    "linalg": "Linear algebra",
    "projections": "Projections",
    "second_order": "Second order",
    "microbatching": "Microbatching",
    "perturbations": "Perturbations",
    "assignment": "Assignment",
    "testing": "Testing",
    "interop/optax": "For Optax users",
    "interop/torch": "For PyTorch users",
    "interop/keras": "For Keras users",
    "interop/transformers": "For transformers users",
}


def pages() -> dict[str, str]:
    """Return the Markdown of each page by its path among the sources of the site."""
    names = _names_by_page()
    written = {_path(page): _page(page, names[page]) for page in names}
    for room in public.ROOMS_OF_PAGES:
        inside = {page: names[page] for page in names if page.startswith(f"{room}/")}
        written[f"{FOLDER}/{room}/index.md"] = _index_of_room(room, inside)
    return written | {f"{FOLDER}/index.md": _index(names)}


def navigation() -> list[Any]:
    """Return the part of the site's navigation that leads to these pages."""
    names = _names_by_page()
    entries: list[Any] = [f"{FOLDER}/index.md"]
    for theme in _themes(names):
        if theme in public.ROOMS_OF_PAGES:
            inside = [{page.partition("/")[2]: _path(page)} for page in sorted(names) if page.startswith(f"{theme}/")]
            entries.append({_title(theme): [f"{FOLDER}/{theme}/index.md", *inside]})
        else:
            entries.append({_title(theme): _path(theme)})
    return entries


def _names_by_page() -> dict[str, list[Name]]:
    names: dict[str, list[Name]] = defaultdict(list)
    for name in public.public_names():
        names[name.page].append(name)
    return {page: _sorted(there) for page, there in names.items()}


def _sorted(names: list[Name]) -> list[Name]:
    """What is called first, then classes, states last; else as they stand in the list of what is public."""

    def rank(name: Name) -> int:
        last = name.path.rpartition(".")[2]
        return 2 if last.endswith(("State", "Info")) else 1 if last[0].isupper() else 0

    return sorted(names, key=rank)


def _themes(names: dict[str, list[Name]]) -> list[str]:
    found = {page if page.startswith("interop/") else page.partition("/")[0] for page in names}
    return [theme for theme in TITLES if theme in found] + sorted(found - TITLES.keys())


def _title(theme: str) -> str:
    return TITLES.get(theme) or theme.rpartition("/")[2].replace("_", " ").capitalize()


def _path(page: str) -> str:
    return f"{FOLDER}/{page}.md"


def _page(page: str, names: list[Name]) -> str:
    title = page.partition("/")[2] if page.partition("/")[0] in public.ROOMS_OF_PAGES else _title(page)
    text = public.docstring_of(public.module_of_a_page(page))
    objects = "\n\n".join(map(_object, names))
    return f"# {title}\n\n{text}\n\n{objects}\n"


def _object(name: Name) -> str:
    if name.source == name.path:
        return f"::: {name.path}"
    label = name.path.rpartition(".")[2]
    return f"::: {name.source}\n    options:\n      heading: {name.path}\n      toc_label: {label}"


def _index_of_room(room: str, inside: dict[str, list[Name]]) -> str:
    rows = []
    for page in sorted(inside):
        name = page.partition("/")[2]
        about = public.docstring_of(public.module_of_a_page(page)).partition("\n\n")[0].replace("\n", " ")
        rows.append(f"| [{name}]({name}.md) | {about} | {_links(inside[page], states=False)} |")
    text = public.docstring_of(f"gradtx.{room}")
    return "\n".join([f"# {_title(room)}", "", text, "", "| page | about | names |", "|---|---|---|", *rows, ""])


def _index(names: dict[str, list[Name]]) -> str:
    parts = ["# API reference", "", "Every public name, by theme. Each page has the formula, the arguments and the source."]
    for theme in _themes(names):
        there = [name for page in sorted(names) if page == theme or page.startswith(f"{theme}/") for name in names[page]]
        path = f"{theme}/index.md" if theme in public.ROOMS_OF_PAGES else f"{theme}.md"
        parts += ["", f"## [{_title(theme)}]({path})", "", _links(there, states=False)]
    return "\n".join([*parts, ""])


def _links(names: list[Name], states: bool = True) -> str:
    shown = [name for name in names if states or not name.path.endswith(("State", "Info"))]
    return ", ".join(f"[`{name.path.rpartition('.')[2]}`][{name.source}]" for name in shown)
