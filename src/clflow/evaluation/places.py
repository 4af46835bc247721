"""What the evaluate stage calls the files beside the raw scores, and their columns."""

# metrics on which the influence of each image is known
INFLUENCED = ("pixel_auroc", "aupro_30", "aupro_05")


def curves_name(seed: int) -> str:
    """Return the file of a seed's pixel curves: columns fpr, tpr, pro; no rows if undefined."""
    return f"curves-seed-{seed}.parquet"


def influence_column(metric: str) -> str:
    """Return the column of the raw scores that holds each test image's influence on a metric."""
    return f"{metric}_influence"
