"""Read a checkpoint on the Hub from its config.json and its preprocessor_config.json."""

from __future__ import annotations

from typing import Any

from zoo_transformers.architecture import Architecture
from zoo_transformers.facts import Checkpoint, Facts
from zoo_transformers.reading import read_facts

#: Keys that say nothing about the architecture, or that depend on the head.
IGNORED = (
    "architectures", "auto_map", "dtype", "id2label", "label2id", "num_labels", "problem_type", "torch_dtype",
    "transformers_version",
)  # fmt: skip
#: Suffixes of the names of image processors in old files, and of implementations.
OLD_SUFFIXES = ("FeatureExtractor", "ImageProcessorFast", "ImageProcessorPil", "ImageProcessor")

Json = dict[str, Any]


def read_checkpoint(repository: str, config: Json, preprocessor: Json | None) -> tuple[Facts, Checkpoint]:
    """Return the facts about the architecture of a checkpoint, and its weights.

    Raises:
        ValueError: If it is no image classifier that zoo can build and feed, or needs code from its repository.
    """
    refuse_code(repository, config, preprocessor)
    model_class = find_class(repository, config)
    named, values = read_processor(repository, str(config["model_type"]), preprocessor)
    architecture = Architecture(
        model=model_class.__name__,
        config=model_class.config_class.__name__,
        values={key: value for key, value in config.items() if key not in IGNORED and not key.startswith("_")},
        processor=named,
        preprocessing=values,
    )
    has_head = model_class.__name__ in (config.get("architectures") or ())
    labels = len(config.get("id2label") or ()) or 2  # as in transformers' own default
    return read_facts(architecture), Checkpoint(repository, labels if has_head else None)


def refuse_code(repository: str, *files: Json | None) -> None:
    """Refuse a checkpoint that needs code from its repository, which zoo never runs.

    Raises:
        ValueError: If a file names such code.
    """
    if any("auto_map" in file for file in files if file is not None):
        raise ValueError(f"{repository} needs code from its repository (trust_remote_code), which zoo does not run")


def find_class(repository: str, config: Json) -> Any:
    """Return transformers' image classifier for a configuration.

    Raises:
        ValueError: If there is none, or if zoo excludes it.
    """
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

    from zoo_transformers.known import read_excluded

    kind = config.get("model_type")
    listed = MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES.get(kind) if isinstance(kind, str) else None
    if listed is None:
        raise ValueError(f"{repository} has the model_type {kind!r}, for which transformers has no image classifier")
    names = (listed,) if isinstance(listed, str) else tuple(listed)
    name = next((name for name in names if name in (config.get("architectures") or ())), names[0])
    if reason := read_excluded().get(name):
        raise ValueError(f"{repository} is a {name}: {reason}")
    if config.get("quantization_config"):
        raise ValueError(f"{repository} contains quantized weights, which zoo does not train")
    return getattr(transformers, name)


def read_processor(repository: str, kind: str, preprocessor: Json | None) -> tuple[str | None, Json]:
    """Return the name of the image processor's class, and its values.

    Raises:
        ValueError: If transformers has no such class.
    """
    import transformers
    from transformers.models.auto import image_processing_auto

    auto: Any = image_processing_auto  # It does not export this name explicitly.
    values = dict(preprocessor or {})
    named = values.pop("image_processor_type", None) or values.pop("feature_extractor_type", None)
    if named is None:
        listed = auto.IMAGE_PROCESSOR_MAPPING_NAMES.get(kind)
        named = listed.get("torchvision") if isinstance(listed, dict) else None
    if named is None:
        return None, {}
    suffix = next((suffix for suffix in OLD_SUFFIXES if str(named).endswith(suffix)), "")
    name = f"{str(named).removesuffix(suffix)}ImageProcessor"
    if not suffix or not hasattr(transformers, name):
        raise ValueError(f"{repository} needs the image processor {named!r}, which transformers does not have")
    return name, {key: value for key, value in values.items() if key != "processor_class" and not key.startswith("_")}
