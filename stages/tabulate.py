"""Stage `tabulate`: gather all metrics into the results tables, with intervals and tests."""

import typer

from clflow.pipeline.stage import stage
from clflow.report.ranks import write_ranks
from clflow.report.settings import TabulateSettings
from clflow.report.tables import Sources, write_tables
from clflow.settings import parse, section
from clflow.study.paths import TABLES, StudyPaths
from clflow.tracking.live import track_tables


def main() -> None:
    with stage() as (study, params):
        settings = parse(TabulateSettings, section(params, "tabulate"), "tabulate")
        sources = Sources(StudyPaths(study.name).results, StudyPaths(study.name).all_scores)
        report = write_tables(study, sources, settings, TABLES, section(params, "train"))
        write_ranks(report, StudyPaths(study.name).ranks)
        track_tables(study.name)


if __name__ == "__main__":
    typer.run(main)
