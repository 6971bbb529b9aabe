"""A hook of mkdocs: the pages of the site that other files of the project already say, and the links to those files.

    index.md       README.md
    reference.md   every file of conf/, by group
    examples.md    every script of examples/
    run_folder.md  multirun/README.md
    results.md     results/README.md
    each_study.md  results/each_study.md
"""

import ast
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent

# Links that leave docs/, or that README.md has into it, as links of the site.
LINKS = {
    r"\]\((\.\./)?docs/": "](",
    r"\]\((\.\./)?README\.md": "](index.md",
    r"\]\((\.\./)?multirun/README\.md": "](run_folder.md",
    r"\]\((\.\./)?results/README\.md": "](results.md",
    r"\]\((\.\./)?conf(/[^)#]*)?(?=[)#])": "](reference.md",
    r"\]\((\.\./)?examples(/[^)#]*)?(?=[)#])": "](examples.md",
}

GROUPS = """# Configs

Every option of every config group, as its file is. `GROUP=OPTION` chooses one, and any value of it can be set: `optimizer=adamw
optimizer.lr=0.001`. `python -m fer_lightning --cfg job` shows what a command composes. In this page: {links}.
"""


def on_files(files, config):
    pages = {
        "index.md": (ROOT / "README.md").read_text("utf-8"),
        "reference.md": reference(ROOT / "conf"),
        "examples.md": examples(ROOT / "examples"),
        "run_folder.md": (ROOT / "multirun" / "README.md").read_text("utf-8"),
        "results.md": (ROOT / "results" / "README.md").read_text("utf-8"),
        "each_study.md": (ROOT / "results" / "each_study.md").read_text("utf-8"),
    }
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown, **_):
    for pattern, target in LINKS.items():
        markdown = re.sub(pattern, target, markdown)
    return markdown


def reference(conf):
    """The page of all config groups."""
    groups = sorted({path.parent.relative_to(conf).as_posix() for path in conf.rglob("*.yaml")} - {"."})
    links = ", ".join(f"[`{group}`](#{anchor(group)})" for group in groups)
    parts = [GROUPS.format(links=links), "## The root { #root }", block(conf / "config.yaml")]
    for group in groups:
        parts.append(f"## {group} {{ #{anchor(group)} }}")
        for path in sorted((conf / group).glob("*.yaml")):
            parts += [f"### {group}={path.stem} {{ #{anchor(group)}-{path.stem} }}", block(path)]
    return "\n\n".join(parts)


def anchor(group):
    return re.sub(r"\W", "-", group)


def examples(folder):
    """The page of all scripts, each under the first sentence of its docstring."""
    parts = ["# Examples", "Scripts of `examples/`. The tests run each of them."]
    for path in sorted(folder.glob("*.py")):
        head = ast.get_docstring(ast.parse(path.read_text("utf-8"))).partition("\n")[0]
        parts += [f"## {path.name} {{ #{path.stem} }}", head, block(path)]
    return "\n\n".join(parts)


def block(path):
    """A file as a code block; a fence is longer than any in it."""
    kind = {".yaml": "yaml", ".py": "python"}[path.suffix]
    return f"`````{kind}\n{path.read_text('utf-8').rstrip()}\n`````"
