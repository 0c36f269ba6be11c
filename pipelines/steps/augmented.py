"""The augmentation options that all image data sets share; see docs/augmentation.md.

A data set gets them by `SHARED = "steps/augmented.py"`: see pipelines/core/registry.py.
"""

import dataclasses

from pipelines.core.pipeline import Augment, DataError, Pipeline
from pipelines.steps import boxes, colour, image, mixing, random_augment

LIMITS = {
    "resized_crop": (0, 1),
    "jitter": (0, 1),
    "erase": (0, 1),
    "mix_alpha": (0, None),
    "augment_until": (0, None),
}
CHOICES = {
    "policy": ("none", "rand_augment", "trivial_augment"),
    "mix": ("none", "mixup", "cutmix"),
}
_ALPHA = {"mixup": 0.2, "cutmix": 1.0}  # as in the papers


def augmented(
    pipeline: Pipeline,
    last: Augment | None = None,
    *,
    policy: str = "none",
    resized_crop: float = 0.0,
    jitter: float = 0.0,
    erase: float = 0.0,
    mix: str = "none",
    mix_alpha: float = 0.0,
    augment_until: float = 1.0,
) -> Pipeline:
    """The pipeline with more augmentation of `image`: `resized_crop` before its own, others after.

    Args:
        last: an augmentation that comes after all others.
        policy: rand_augment or trivial_augment.
        resized_crop: least fraction of an image's area that is kept and enlarged; 0: all of it.
        jitter: brightness, contrast and saturation change by factors of 1 +- this.
        erase: probability of a grey box in an image.
        mix: mixup or cutmix.
        mix_alpha: alpha of the Beta distribution of the weights; 0: 0.2 for mixup, 1 for cutmix.
        augment_until: fraction of the epochs after which only the pipeline's own augmentation is
            left.

    Raises:
        DataError: unknown policy or mix.
    """
    for option, value in (("policy", policy), ("mix", mix)):
        if value not in CHOICES[option]:
            raise DataError(f"{option}={value}: expected one of {', '.join(CHOICES[option])}")
    steps = [
        boxes.resized_crop(resized_crop) if resized_crop else None,
        pipeline.augment,
        random_augment.rand_augment() if policy == "rand_augment" else None,
        random_augment.trivial_augment() if policy == "trivial_augment" else None,
        colour.jitter(jitter) if jitter else None,
        boxes.erase(erase) if erase else None,
        last,
    ]
    steps = [step for step in steps if step is not None]
    make_mix = {"mixup": mixing.mixup, "cutmix": mixing.cutmix}.get(mix)
    return dataclasses.replace(
        pipeline,
        augment=image.in_turn(*steps) if steps else None,
        mix=make_mix(mix_alpha or _ALPHA[mix]) if make_mix else None,
        augment_until=augment_until,
        late_augment=pipeline.augment,
    )
