"""Stage `figures`: draw curves and score histograms of one category, all methods together."""

import typer

from clflow.pipeline.settings import EvaluateSettings
from clflow.pipeline.stage import stage
from clflow.progress import say
from clflow.report.curves import left_out, read_method
from clflow.report.figures import CategoryFigures, write_figures
from clflow.report.settings import FiguresSettings
from clflow.study.paths import StudyPaths
from clflow.tracking.live import track_figures


def main(category: str) -> None:
    with stage() as params:
        study = params.study
        settings: FiguresSettings = params.figures
        evaluated: EvaluateSettings = params.evaluate
        methods = tuple(
            read_method(StudyPaths(study.name).scores(method, category), method, place, study.seeds)
            for place, method in enumerate(study.methods)
        )
        for remark in left_out(methods, study.seeds):
            say(f"{category}: {remark}")
        subject = CategoryFigures(category, study.seeds, methods, evaluated.false_alarm_rate)
        folder = StudyPaths(study.name).figures(category)
        names = write_figures(subject, folder, settings.formats)
        say(f"{category}: {', '.join(names)} in {folder}")
        track_figures(study.name, category)


if __name__ == "__main__":
    typer.run(main)
