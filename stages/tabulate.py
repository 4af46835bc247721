"""Stage `tabulate`: gather all metrics into the results tables, with intervals and tests."""

import typer

from clflow.pipeline.stage import stage
from clflow.report.coverage import write_coverage
from clflow.report.curves import read_method
from clflow.report.ranks import write_ranks
from clflow.report.tables import Sources, write_tables
from clflow.study.paths import TABLES, StudyPaths
from clflow.tracking.live import track_tables


def main() -> None:
    with stage() as params:
        study, paths = params.study, StudyPaths(params.study.name)
        sources = Sources(paths.results, paths.all_scores)
        report = write_tables(study, sources, params.tabulate, TABLES)
        write_ranks(report, paths.ranks)
        scores = [
            [
                read_method(paths.scores(method, category), method, place, study.seeds)
                for place, method in enumerate(study.methods)
            ]
            for category in study.category_names
        ]
        write_coverage(report, scores, paths.coverage)
        track_tables(study.name)


if __name__ == "__main__":
    typer.run(main)
