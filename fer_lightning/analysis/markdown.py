"""Findings as text: report.md for a repository, and LaTeX tables for a paper."""

import re

from fer_lightning.process.files import make_folder, replace_file


def to_markdown(heading, remarks, findings, figures=()):
    """A page: remarks are its first paragraphs; figures: (title, path from the page) of those at its end."""
    parts = [f"# {_plain(heading)}", *map(_plain, remarks), *map(section, findings)]
    parts += [f"![{title}]({path})" for title, path in figures]
    return "\n\n".join(parts) + "\n"


def section(finding, level=2):
    """A finding under a heading of some level."""
    parts = [f"{'#' * level} {_plain(finding.title)}", *map(_plain, finding.text)]
    if finding.table is not None and len(finding.table):
        parts.append(markdown_table(finding.table))
    return "\n\n".join(parts)


def _plain(text):
    """One line that no renderer takes for a tag, a link or an image: names and error messages may hold anything."""
    return " ".join(text.splitlines()).replace("&", "&amp;").replace("<", "&lt;").replace("](", "]\\(")


def markdown_table(frame):
    """A frame as a table of Markdown."""
    rows = [list(map(str, frame.columns)), ["---"] * len(frame.columns), *frame.astype(str).values.tolist()]
    return "\n".join("| " + " | ".join(_plain(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)


def write_latex(findings, folder):
    """Write the table of each finding that has one as TITLE.tex, for \\input in a paper that uses the package booktabs."""
    make_folder(folder)
    for finding in findings:
        if finding.table is not None and len(finding.table):
            name = re.sub(r"[^a-z0-9]+", "-", finding.title.lower()).strip("-")
            caption = re.sub(r"([&%$#_{}])", r"\\\1", finding.title)  # pandas escapes cells, not captions
            columns = "l" * len(finding.table.columns)
            text = finding.table.astype(str).to_latex(index=False, escape=True, caption=caption, label=f"tab:{name}", column_format=columns)
            replace_file(folder / f"{name}.tex", text.replace("±", r"$\pm$"))
