"""Stage `tabulate`: gather all metrics into the results tables, with intervals and tests."""

import typer

from clflow.params import parse, section
from clflow.paths import TABLES, results_folder
from clflow.stage import stage, track
from clflow.tables.places import ranks_folder, scores_root
from clflow.tables.ranks import write_ranks
from clflow.tables.settings import TabulateSettings
from clflow.tables.write import Sources, write_tables


def main() -> None:
    with stage() as (study, params):
        settings = parse(TabulateSettings, section(params, "tabulate"), "tabulate")
        sources = Sources(results_folder(study.name), scores_root(study.name))
        report = write_tables(study, sources, settings, TABLES, section(params, "train"))
        write_ranks(report, ranks_folder(study.name))
        track("track_tables", study.name)


if __name__ == "__main__":
    typer.run(main)
