"""Stage `tabulate`: gather all metrics into the results tables."""

import typer

from clflow.params import parse, section
from clflow.paths import TABLES, results_folder
from clflow.stage import stage, track
from clflow.tables.settings import TabulateSettings
from clflow.tables.write import write_tables


def main() -> None:
    with stage() as (study, params):
        settings = parse(TabulateSettings, section(params, "tabulate"), "tabulate")
        write_tables(study, results_folder(study.name), settings, TABLES)
        track("track_tables", study.name)


if __name__ == "__main__":
    typer.run(main)
