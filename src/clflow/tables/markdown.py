"""The summary as Markdown: a table per metric, the protocol, decisions at a threshold, notes."""

from collections.abc import Iterable, Sequence

import pandas as pd

from clflow.tables.notes import count_table, notes, protocol_lines, words
from clflow.tables.runs import Run
from clflow.tables.settings import TabulateSettings
from clflow.tables.summary import Cell, Summary, rows_of, summarize

_DECISIONS = ("image_precision", "image_recall", "image_f1", "image_fpr", "image_f1_max")
_SPECIAL = str.maketrans({character: rf"\{character}" for character in "\\`*|<[]"})


def escape(text: str) -> str:
    """Return `text` so that Markdown shows it as it reads."""
    return text.translate(_SPECIAL)


def render_markdown(
    study: str,
    dataset: str,
    runs: Sequence[Run],
    results: pd.DataFrame,
    settings: TabulateSettings,
) -> str:
    """Return the whole of summary.md."""
    seeds = list(results["seed"].unique())
    names = dict.fromkeys((*settings.metrics, *_DECISIONS))
    summaries = {name: summarize(results, name) for name in names}
    decisions = [summaries[name] for name in _DECISIONS]
    blocks = [
        f"# {escape(study)}: results on {escape(dataset)}",
        "The best of several methods is in bold. Every value by seed is in `results.csv`.",
        *(_metric(summaries[name], settings.digits) for name in settings.metrics),
        "## Decisions at a fixed threshold",
        "Precision, recall, F1 and FPR are at the threshold set from good validation images alone; "
        "F1-max (oracle) is the best F1 of any threshold, chosen with the test labels.",
        _markdown(_decisions(decisions, settings.digits)),
        "## Protocol",
        _bullets(protocol_lines(runs, seeds)),
        _markdown(count_table(runs)),
        *_section("## Notes", notes(runs, seeds, summaries.values())),
    ]
    return "\n\n".join(blocks) + "\n"


def _metric(summary: Summary, digits: int) -> str:
    rows = [[row.label, *map(_cell, row.cells)] for row in rows_of(summary, digits)]
    table = pd.DataFrame(rows, columns=["Category", *summary.methods])
    return f"## {summary.metric.title}\n\n{_markdown(table)}"


def _decisions(summaries: Sequence[Summary], digits: int) -> pd.DataFrame:
    columns = [rows_of(summary, digits) for summary in summaries]
    titles = [words(summary.metric.title.removeprefix("Image ")) for summary in summaries]
    rows = [
        [label, method, *(column[i].cells[j].text for column in columns)]
        for i, label in enumerate([*summaries[0].categories, "mean"])
        for j, method in enumerate(summaries[0].methods)
    ]
    return pd.DataFrame(rows, columns=["Category", "Method", *titles])


def _cell(cell: Cell) -> str:
    return f"**{cell.text}**" if cell.best else cell.text


def _markdown(table: pd.DataFrame) -> str:
    escaped = table.assign(Category=table["Category"].map(escape)).rename(columns=escape)
    # Parsed as a number, 0.900 would be printed as 0.9.
    return escaped.to_markdown(index=False, disable_numparse=True)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [title, _bullets(lines)] if lines else []
