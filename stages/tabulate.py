"""Stage `tabulate`: gather all metrics into the results tables, with intervals and tests."""

import typer

from clflow.pipeline.stage import stage
from clflow.report.ranks import write_ranks
from clflow.report.tables import Sources, write_tables
from clflow.study.paths import TABLES, StudyPaths
from clflow.tracking.live import track_tables


def main() -> None:
    with stage() as params:
        study = params.study
        sources = Sources(StudyPaths(study.name).results, StudyPaths(study.name).all_scores)
        report = write_tables(study, sources, params.tabulate, TABLES)
        write_ranks(report, StudyPaths(study.name).ranks)
        track_tables(study.name)


if __name__ == "__main__":
    typer.run(main)
