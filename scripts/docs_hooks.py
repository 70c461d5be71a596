"""What the documentation takes from the code when it is built: `make docs`.

Pages have a comment where something goes: the help of every command, and the parameters of the
notebooks. Links to files outside of docs/ are for readers of the repository, and become plain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import click

from helpers import cli, guide
from helpers.workspace import PROJECT, Workspace

_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]+\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill one page."""
    filled = markdown
    for name, make in (("cli", commands), ("parameters", parameters)):
        if f"<!-- {name} -->" in filled:
            filled = filled.replace(f"<!-- {name} -->", make())
    return _OUTSIDE.sub(r"\1", filled)


def commands() -> str:
    """The help of every command, as the terminal shows it."""
    parts = [f"```text\n{help_of(['frontline'], cli.main)}\n```"]
    for words, command in every(["frontline"], cli.main):
        parts.append(f"## {' '.join(words[1:])}\n\n```text\n{help_of(words, command)}\n```")
    return "\n\n".join(parts)


def every(words: list[str], group: click.Group) -> Iterator[tuple[list[str], click.Command]]:
    """All commands below a group, in the order of their names."""
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from every([*words, name], command)
        else:
            yield [*words, name], command


def help_of(words: list[str], command: click.Command) -> str:
    """The help of one command."""
    with click.Context(command, info_name=" ".join(words), terminal_width=80) as context:
        return command.get_help(context)


def parameters() -> str:
    """The parameters of every notebook."""
    ws = Workspace.at(PROJECT)
    parts = []
    for name, question in (
        guide.notebooks(ws).frame[["notebook", "question"]].itertuples(index=False)
    ):
        rows = guide.parameters(name, ws).rows()
        lines = [
            f"| `{key}` | `{default}` | {unescape(meaning)} |" for key, default, meaning in rows
        ]
        table = "\n".join(["| parameter | default | meaning |", "|---|---|---|", *lines])
        parts.append(f"## {name}\n\n{question}\n\n{table}")
    return "\n\n".join(parts)
