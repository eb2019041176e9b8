"""What the site has beside its guides: notebooks and the API reference, made at each build; addresses from pyproject.toml."""

import re
import tomllib
from pathlib import Path
from typing import Any

import notebook
import reference
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill in what is written down elsewhere: addresses, and the pages that are made."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    config.site_description = project["description"]
    config.site_url = project["urls"]["Documentation"]
    config.repo_url = project["urls"]["Repository"]
    config.repo_name = "GitHub"
    made: dict[str, list[Any]] = {
        "Notebooks": [{notebook.title_of(path): f"notebooks/{path.stem}.md"} for path in NOTEBOOKS],
        "API reference": reference.navigation(),
    }
    config.nav = [{title: made.get(title, pages)} for entry in config.nav or () for title, pages in entry.items()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    pages = {f"notebooks/{path.stem}.md": notebook.as_markdown(path) for path in NOTEBOOKS} | reference.pages()
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links that are written for a reader of the repository to the pages of the site, or to the repository."""
    up = "../" * page.file.src_uri.count("/")
    markdown = re.sub(r"\]\(\.\./([\w]+)\.ipynb\)", rf"]({up}notebooks/\1.md)", markdown)
    if page.file.src_uri.startswith("notebooks/"):
        markdown = re.sub(r"\]\((\w+)\.ipynb\)", r"](\1.md)", markdown)
        markdown = re.sub(r"\]\(guides/(\w+)\.md\)", r"](../\1.md)", markdown)
    return re.sub(r"\]\((?:\.\./)+((?:gradtx|tests|\.github)[\w./-]*)\)", rf"]({config.repo_url}/blob/main/\1)", markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leave the source code of the API reference out of the search: whoever looks for a name wants its page."""
    return html.replace('<details class="mkdocstrings-source"', '<details data-search-exclude class="mkdocstrings-source"')
