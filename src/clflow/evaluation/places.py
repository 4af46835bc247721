"""What the evaluate stage calls the files beside the raw scores."""


def curves_name(seed: int) -> str:
    """Return the file of a seed's pixel curves: columns fpr, tpr, pro; no rows if undefined."""
    return f"curves-seed-{seed}.parquet"
