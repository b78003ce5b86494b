"""What the documents say of the code is there: paths, links to files and dotted names in README and docs.

Links to pages and headings are checked by `scripts/docs`.
"""

import importlib
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "data" / "README.md"])
A_PATH = re.compile(r"`((?:streams|rules|scripts|tests|docs|data)/[\w./-]+)`")
A_NAME = re.compile(r"`((?:streams|rules)(?:\.\w+)+)`")
A_LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)\s]*)?\)")
A_FIGURE = re.compile(r"\d *(?:events/s|ms|µs|MB)\b|×")


def resolves(name: str) -> bool:
    """Whether a dotted name is a module, or what stands in one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            target = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            if not hasattr(target, part):
                return False
            target = getattr(target, part)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_and_names_are_there(page: Path) -> None:
    """Each path and dotted name in the documents is there."""
    text = page.read_text()
    assert [path for path in A_PATH.findall(text) if not (ROOT / path).exists()] == []
    assert [name for name in A_NAME.findall(text) if not resolves(name)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    """Links lead to files, also to those which are no pages, such as schemas."""
    assert [link for link in A_LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []


def test_readme_is_short() -> None:
    """README stays short; figures stand in docs/benchmarks.md, where they are measured again."""
    text = (ROOT / "README.md").read_text()
    assert text.count("\n") <= 150
    assert A_FIGURE.findall(text) == []


def test_all_pages_are_on_the_site() -> None:
    """The site's navigation names each page once, and no other."""
    site = tomllib.loads((ROOT / "scripts/doc_tools/zensical.toml").read_text())["project"]
    (home, *sections) = site["nav"]
    named = [*home.values(), *(page for section in sections for pages in section.values() for page in pages)]
    assert sorted(named) == sorted(str(page.relative_to(ROOT)) for page in PAGES)


def test_names_in_docstrings_are_there() -> None:
    """The links from one module to another lead somewhere."""
    sources = [path for folder in ("streams", "rules") for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 100
    dead = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources
        for name in A_NAME.findall(path.read_text())
        if not resolves(name)
    }
    assert dead == set()


def test_what_docstrings_name_is_there() -> None:
    """An identifier in backticks stands somewhere in the code, too: a name that was changed is changed everywhere."""
    paths = [path for folder in ("streams", "rules") for path in (ROOT / folder).rglob("*.py")]
    paths += [path for folder in ("streams", "rules") for path in (ROOT / folder).rglob("*.lua")]
    others = [path for folder in ("tests", "scripts", "docs") for path in (ROOT / folder).rglob("*.*")]
    texts = {path: path.read_text() for path in paths}
    code = "\n".join(re.sub(r"`[^`\n]*`", "", text) for text in texts.values())
    words = set(re.findall(r"\w+", code)) | {path.stem for path in [*paths, *others]} | {path.name for path in others}
    unknown = {
        f"{path.relative_to(ROOT)}: {name}"
        for path, text in texts.items()
        for name in re.findall(r"(?<!`)`([A-Za-z_][\w.]*)`(?!`)", text)
        if not all(part in words for part in name.split("."))
    }
    assert unknown == set()
