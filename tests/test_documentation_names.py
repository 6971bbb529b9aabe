"""What the pages name is there: files, modules, tests, options of config groups; and every code of a paper's row is in docs/papers.md."""

import re

import pytest
from helpers.project import CONF, ROOT, options

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "multirun" / "README.md"]
PARTS = ("fer_lightning", "hydra_plugins", "conf", "tests", "docs", "benchmarks")
FILES = [path for part in PARTS for path in (ROOT / part).rglob("*") if "__pycache__" not in path.parts]
KINDS = (".py", ".md", ".yaml", ".toml", ".txt", ".cfg", ".sh")

# Of a run folder or of the user's own, not of the project.
MADE = {"report.md", "config.yaml", "network.yaml", "hydra.yaml", "overrides.yaml", "mine.py", "my_backbones.py"}

CODE = re.compile(r"\bS[0-4]-\d+\b|\bA\.[1-9]\b")
SPAN = re.compile(r"\b(S[0-4])-(\d+) to (?:S[0-4]-)?(\d+)\b")


def in_backticks(page):
    return re.findall(r"`([^`\n]+)`", page.read_text())


def is_there(name):
    """Whether a file of the project has this path, from the root or from the package, or this bare name."""
    if "/" in name:
        return (ROOT / name).exists() or (ROOT / "fer_lightning" / name).exists()
    return any(path.name == name for path in (*FILES, *ROOT.iterdir()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page):
    names = [name for name in in_backticks(page) if re.fullmatch(r"\w[\w.-]*(/[\w.-]+)*/?", name)]
    paths = [name for name in names if name.endswith(KINDS) or (name.split("/")[0] in PARTS and "/" in name)]
    assert [name for name in paths if name.split("/")[-1] not in MADE and "NAME" not in name and not is_there(name)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link.partition("#")[0]).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_and_tests_that_a_page_names_exist(page):
    tests = set(re.findall(r"^def (test_\w+)", "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py")), re.MULTILINE))
    wrong = []
    for name in in_backticks(page):
        if re.fullmatch(r"fer_lightning(\.\w+)+", name):
            path = ROOT / name.replace(".", "/")
            module = path.parent.with_suffix(".py")
            is_name = module.is_file() and re.search(rf"^(def|class) {path.name}\b|^{path.name} =", module.read_text(), re.MULTILINE)
            if not (path.is_dir() or path.with_suffix(".py").is_file() or is_name):
                wrong.append(name)
        elif re.fullmatch(r"test_\w+", name) and name not in tests:
            wrong.append(name)
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_that_a_page_chooses_exist(page):
    groups = {path.name: options(path.name) for path in CONF.iterdir() if path.is_dir() and path.name != "hydra"}
    del groups["data"]  # of a phase, data=train is something else
    found = re.findall(r"(?<![\w.])(" + "|".join(map(re.escape, groups)) + r")=([a-z]\w*(?:,[a-z]\w*)*)(?![\w(])", page.read_text())
    groups = {group: [*values, *re.findall(rf'title="my_conf/{group}/(\w+)\.yaml"', page.read_text())] for group, values in groups.items()}
    assert [f"{group}={value}" for group, values in found for value in values.split(",") if value not in groups[group]] == []


def test_every_row_of_a_paper_that_is_cited_is_in_the_list():
    listed = set(re.findall(r"^\| (S\d-\d+|A\.\d) \|", (ROOT / "docs" / "papers.md").read_text(), re.MULTILINE))
    cited = {}
    for path in (path for path in (*FILES, ROOT / "README.md") if path.suffix in (".py", ".yaml", ".md") and path.name != "papers.md"):
        text = path.read_text()
        spans = [f"{paper}-{row}" for paper, first, last in SPAN.findall(text) for row in range(int(first), int(last) + 1)]
        cited |= dict.fromkeys([*CODE.findall(text), *spans], path.relative_to(ROOT))
    assert len(cited) > 200 and {code: str(path) for code, path in cited.items() if code not in listed} == {}
