"""Stage `figures`: draw curves and score histograms of one category, all methods together."""

import typer

from clflow.evaluation.settings import EvaluateSettings
from clflow.figures.places import figures_folder
from clflow.figures.scores import left_out, read_method
from clflow.figures.settings import FiguresSettings
from clflow.figures.write import Subject, write_figures
from clflow.params import parse, section
from clflow.paths import scores_folder
from clflow.progress import say
from clflow.stage import stage, track


def main(category: str) -> None:
    with stage() as (study, params):
        settings = parse(FiguresSettings, section(params, "figures"), "figures")
        evaluated = parse(EvaluateSettings, section(params, "evaluate"), "evaluate")
        methods = tuple(
            read_method(scores_folder(study.name, method, category), method, place, study.seeds)
            for place, method in enumerate(study.methods)
        )
        for remark in left_out(methods, study.seeds):
            say(f"{category}: {remark}")
        subject = Subject(category, study.seeds, methods, evaluated.threshold_quantile)
        folder = figures_folder(study.name, category)
        names = write_figures(subject, folder, settings.formats)
        say(f"{category}: {', '.join(names)} in {folder}")
        track("track_figures", study.name, category)


if __name__ == "__main__":
    typer.run(main)
