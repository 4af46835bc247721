"""How far the covariance of a location is drawn towards the one that all locations share."""


def shared_weight(prior: float, channels: int, images: int) -> float:
    """Return the weight of the shared covariance, prior C / (prior C + N), between 0 and 1.

    It is that of the posterior mean under an inverse Wishart prior around the shared covariance
    which is worth `prior` images per channel: the fewer images there are, the less they decide.
    """
    worth = prior * channels
    return worth / (worth + images) if worth > 0 else 0.0
