"""Where a study's files are, relative to the repository root."""

from dataclasses import dataclass
from pathlib import Path

ARCHIVES = Path("data/archives")
RAW = Path("data/raw")
FEATURES = Path(".clflow/features")
RUNS = Path(".clflow/runs")
WORK = Path(".clflow/cost")
TABLES = Path("tables")
STUDIES = Path("results/studies")

RESULTS, INTERVALS, COMPARISONS = "results.csv", "intervals.csv", "comparisons.csv"
PUBLISHED = "published.csv"
MARKDOWN, LATEX = "summary.md", "summary.tex"
TABLE_FILES = (RESULTS, INTERVALS, COMPARISONS, PUBLISHED, MARKDOWN, LATEX)
# numbers alone, for `dvc metrics` and `dvc exp show`
METRICS = "metrics.json"


@dataclass(frozen=True)
class StudyPaths:
    """The files that the stages of one study write.

    >>> StudyPaths("demo").model("clflow", "bolt", 0).as_posix()
    'models/demo/clflow/bolt/seed-0'
    """

    study: str

    def manifest(self, category: str) -> Path:
        """Return the manifest of a category."""
        return Path("data/manifests") / self.study / f"{category}.csv"

    def bank(self, category: str) -> Path:
        """Return the bank of synthetic anomalies of a category."""
        return Path("data/bank") / self.study / category

    def bank_report(self, category: str) -> Path:
        """Return the folder of a bank's contact sheet and statistics."""
        return Path("reports/synthesis") / self.study / category

    def preview(self, category: str, split: str) -> Path:
        """Return the picture of a bank's split that a user asks for."""
        return Path("reports/previews") / self.study / f"{category}-{split}.png"

    def models(self, method: str, category: str) -> Path:
        """Return the folder that holds one sub-folder per seed."""
        return Path("models") / self.study / method / category

    def model(self, method: str, category: str, seed: int) -> Path:
        """Return the folder of one trained model."""
        return self.models(method, category) / f"seed-{seed}"

    @property
    def all_scores(self) -> Path:
        """The raw scores of all categories and methods."""
        return Path("scores") / self.study

    def scores(self, method: str, category: str) -> Path:
        """Return the folder of raw scores per image, one Parquet file per seed.

        The category comes first, so that a stage can depend on all methods of one.
        """
        return self.all_scores / category / method

    def overlays(self, method: str, category: str) -> Path:
        """Return the folder of pictures: image, mask and anomaly map."""
        return Path("overlays") / self.study / method / category

    def plots(self, method: str, category: str) -> Path:
        """Return the folder of a method's curves and scores as tables that DVC draws."""
        return Path("plots") / self.study / category / method

    @property
    def results(self) -> Path:
        """The metrics of all methods and categories."""
        return Path("results/runs") / self.study

    def result(self, method: str, category: str) -> Path:
        """Return the metrics of one method on one category, all seeds."""
        return self.results / method / f"{category}.json"

    @property
    def costs(self) -> Path:
        """What the methods cost."""
        return Path("results/cost") / self.study

    def cost(self, method: str) -> Path:
        """Return what one method costs."""
        return self.costs / f"{method}.json"

    @property
    def selection_biases(self) -> Path:
        """The curves over training of all methods and categories."""
        return Path("results/selection_bias") / self.study

    def selection_bias(self, method: str, category: str) -> Path:
        """Return the curves over training of one method on one category, all seeds."""
        return self.selection_biases / method / f"{category}.json"

    def figures(self, category: str) -> Path:
        """Return the folder of a category's curves and histograms, of all methods."""
        return Path("reports/figures") / self.study / category

    @property
    def coverage(self) -> Path:
        """The false alarms found against those promised, as figure and table."""
        return Path("reports/coverage") / self.study

    @property
    def ranks(self) -> Path:
        """The mean ranks and critical-difference diagrams."""
        return Path("reports/ranks") / self.study


def raw_folder(dataset: str) -> Path:
    """Return where the download stage puts a data set."""
    return RAW / dataset


def images_folder(dataset: str) -> Path:
    """Return where the download stage puts the categories of a data set."""
    return raw_folder(dataset) / "images"


def curves_name(seed: int) -> str:
    """Return the file of a seed's pixel curves: columns fpr, tpr, pro; no rows if undefined."""
    return f"curves-seed-{seed}.parquet"


def influence_column(metric: str) -> str:
    """Return the column of the raw scores that holds each test image's influence on a metric."""
    return f"{metric}_influence"
