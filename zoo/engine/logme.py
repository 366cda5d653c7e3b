"""LogME: the logarithm of the evidence that features explain labels, as a number per image.

You et al. 2021, "LogME: Practical Assessment of Pre-trained Models for Transfer Learning",
https://arxiv.org/abs/2102.11005. For each class, a Bayesian linear regression predicts whether an image belongs to it.
The evidence is maximized over the precision ``alpha`` of the weights and the precision ``beta`` of the noise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

#: Maximum number of iterations, and the relative change of alpha / beta at which they end.
_ITERATIONS, _TOLERANCE = 100, 1e-3
#: Smallest and largest value of alpha and beta, for labels that the features explain exactly or not at all.
_SMALLEST, _LARGEST = 1e-10, 1e10


def measure_logme(features: Tensor, labels: Tensor) -> float:
    """Return the mean of the evidence per image over all classes. Higher is better.

    Args:
        features: Features of shape (N, width).
        labels: Labels from 0 to the number of classes minus 1, of shape (N,).
    """
    values, squared = _decompose(features.double(), one_hot(labels).double())
    count, width = features.shape
    sums = labels.bincount().double()  # The squared norm of a 0/1 target is its sum.
    evidences = [_maximize(values, *pair, count, width) for pair in zip(squared.T, sums, strict=True)]
    return sum(evidences) / (len(evidences) * count)


def _decompose(features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the squared singular values of the features, and the squared products of left vectors and targets.

    They come from the eigenvectors of the smaller one of both Gram matrices, which is faster than an SVD.

    Returns:
        Tensors of shape (rank,) and (rank, classes).
    """
    is_wide = features.shape[1] > features.shape[0]
    gram = features @ features.T if is_wide else features.T @ features
    values, vectors = torch.linalg.eigh(gram)
    is_kept = values > values[-1].clamp(min=1e-300) * 1e-12
    values, vectors = values[is_kept], vectors[:, is_kept]
    products = vectors.T @ (targets if is_wide else features.T @ targets)
    return values, products.square() if is_wide else products.square() / values[:, None]


def _maximize(values: Tensor, squared: Tensor, total: Tensor, count: int, width: int) -> float:
    """Return the largest evidence of one class, by the fixed-point iteration of MacKay 1992."""
    outside = (total - squared.sum()).clamp(min=0)
    alpha = beta = torch.ones((), dtype=values.dtype)
    for _ in range(_ITERATIONS):
        ratio = alpha / beta
        gamma = (values / (values + ratio)).sum()
        norm = (values * squared / (values + ratio).square()).sum()
        residual = (squared * (ratio / (values + ratio)).square()).sum() + outside
        alpha = (gamma / norm).nan_to_num(1.0).clamp(_SMALLEST, _LARGEST)  # 0 / 0 if all features are 0
        beta = ((count - gamma) / residual).clamp(_SMALLEST, _LARGEST)
        if abs(alpha / beta / ratio - 1) < _TOLERANCE:
            break
    ratio = alpha / beta
    norm = (values * squared / (values + ratio).square()).sum()
    residual = (squared * (ratio / (values + ratio)).square()).sum() + outside
    determinant = (alpha + beta * values).log().sum() + (width - len(values)) * alpha.log()
    evidence = width * alpha.log() + count * (beta.log() - math.log(2 * math.pi)) - determinant
    return ((evidence - beta * residual - alpha * norm) / 2).item()
