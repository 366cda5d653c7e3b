"""A script that runs an export in its own runtime, as a program without zoo would. It never imports zoo.

Usage: python -P in_runtime.py JOB RESULT. JOB is a JSON file with the ``format`` and the ``artifact``, and with
``batches``, a list of objects. Each has ``paths`` of images and the ``size`` to which they are cropped, or null; or it
has ``tensors``, the path of a .npy file with a normalized batch. RESULT is the .npz file that is written: the names of
the classes, and the probabilities of each batch.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

#: A function from a batch to probabilities.
Run = Callable[[Any], Any]
#: A function from an image to the input of a model, without the batch. An image is a Pillow image, or an array of shape
#: (height, width, channels) if it has more channels than Pillow knows.
Prepare = Callable[[Any], Any]
Image.MAX_IMAGE_PIXELS = None  # The images belong to the run, which has its own limit.


def open_image(path: str, channels: int) -> Any:
    """Open an image with the channels of the input, as the run does."""
    if channels in (1, 3):
        return open_rgb(path)
    if path.lower().endswith(".npy"):
        return np.load(path, allow_pickle=False)
    with Image.open(path) as file:
        return np.asarray(ImageOps.exif_transpose(file))


def crop(image: Any, size: Sequence[int] | None) -> Any:
    """Crop an image to a height and a width if they are given."""
    if size is None:
        return image
    return image.crop((0, 0, size[1], size[0])) if isinstance(image, Image.Image) else image[: size[0], : size[1]]


def open_rgb(path: str) -> Image.Image:
    """Open an image as the run does: upright, and white where it is transparent."""
    with Image.open(path) as file:
        image = ImageOps.exif_transpose(file)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image.convert("RGB")


def read_input(image: Any, spec: dict[str, Any]) -> Any:
    """Resize, crop and normalize an image with numpy and Pillow. For one channel, it becomes gray first."""
    if not isinstance(image, Image.Image):  # Pillow knows no such images, so each channel is an image of its own.
        planes = []
        for index, (mean, std) in enumerate(zip(spec["mean"], spec["std"], strict=True)):
            of_channel = {**spec, "size": (1, *spec["size"][1:]), "mean": [mean], "std": [std]}
            planes.append(read_input(Image.fromarray(image[:, :, index]), of_channel))
        return np.concatenate(planes)
    channels, height, width = spec["size"]
    image = image.convert("L") if channels == 1 else image
    if spec["crop"] == "squash":
        size = tuple(round(spec["resize"] * side / max(height, width)) for side in (width, height))
    elif spec["crop"] == "border":
        size = tuple(max(round(spec["resize"] / max(image.size) * side), 1) for side in image.size)
    else:
        size = tuple(spec["resize"] * side // min(image.size) for side in image.size)
    image = image.resize(size, Image.Resampling[spec["interpolation"].upper()])
    colors = [round(255 * mean) if spec["crop"] == "border" else 0 for mean in spec["mean"]]
    fill = colors[0] if channels == 1 else tuple(colors)
    padding = [max(wanted - side, 0) for wanted, side in zip((width, height), image.size, strict=True)]
    border = (padding[0] // 2, padding[1] // 2, padding[0] - padding[0] // 2, padding[1] - padding[1] // 2)
    image = ImageOps.expand(image, border, fill)
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    pixels = np.asarray(image.crop((left, top, left + width, top + height)), np.float32) / 255
    pixels = pixels.reshape(*pixels.shape[:2], channels)
    return ((pixels - np.float32(spec["mean"])) / np.float32(spec["std"])).transpose(2, 0, 1)


def choose_preparation(description: dict[str, Any]) -> Prepare:
    """Return what the description of an export says about its input."""
    if description["preprocess"] == "inside":
        return np.asarray
    return lambda image: read_input(image, description["input"])


def open_onnx(artifact: Path) -> tuple[Sequence[str], Prepare, Run]:
    """Open a model in ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(artifact / "model.onnx", providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    description = {name: json.loads(value) for name, value in metadata.items()}
    return (
        description["classes"],
        choose_preparation(description),
        lambda batch: session.run(None, {"images": batch})[0],
    )


def open_pt2(artifact: Path) -> tuple[Sequence[str], Prepare, Run]:
    """Open a program of torch.export."""
    import torch

    files = {"zoo.json": ""}
    module = torch.export.load(artifact / "model.pt2", extra_files=files).module()
    description = json.loads(files["zoo.json"])
    with torch.no_grad():
        return description["classes"], choose_preparation(description), lambda batch: module(torch.from_numpy(batch))


def choose_mode(channels: int) -> str:
    """Return the mode to which Pillow converts images for timm, which keeps the channels of an image."""
    return "L" if channels == 1 else "RGB"


def open_timm(artifact: Path) -> tuple[Sequence[str], Prepare, Run]:
    """Open a folder with timm."""
    import timm
    import timm.data
    import torch

    model: Any = timm.create_model(f"local-dir:{artifact}", pretrained=True).eval()
    data: Any = timm.data
    transform = data.create_transform(**data.resolve_model_data_config(model), is_training=False)
    mode = choose_mode(model.pretrained_cfg["input_size"][0])

    def run(batch: Any) -> Any:
        with torch.inference_mode():
            return model(torch.from_numpy(batch)).softmax(1)

    return model.pretrained_cfg["label_names"], lambda image: transform(image.convert(mode)).numpy(), run


def open_transformers(artifact: Path) -> tuple[Sequence[str], Prepare, Run]:
    """Open a folder with transformers, by the classes that its image classification pipeline uses."""
    import torch
    import transformers

    library: Any = transformers
    model = library.AutoModelForImageClassification.from_pretrained(artifact).eval()
    processor = library.AutoImageProcessor.from_pretrained(artifact)
    mode = choose_mode(model.config.pretrained_cfg["input_size"][0])

    def run(batch: Any) -> Any:
        with torch.inference_mode():
            return model(torch.from_numpy(batch)).logits.softmax(1)

    labels = model.config.id2label

    def prepare(image: Image.Image) -> Any:
        return processor(image.convert(mode))["pixel_values"][0].numpy()

    return [labels[index] for index in sorted(labels)], prepare, run


RUNTIMES = {"onnx": open_onnx, "pt2": open_pt2, "timm": open_timm, "transformers": open_transformers}


def read_batch(batch: dict[str, Any], prepare: Prepare) -> Any:
    """Read the images or the tensors of a batch."""
    if "tensors" in batch:
        return np.load(batch["tensors"], allow_pickle=False)
    images = (open_image(path, batch["channels"]) for path in batch["paths"])
    return np.stack([prepare(crop(image, batch["size"])) for image in images])


def main() -> None:
    """Run all batches."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    classes, prepare, run = RUNTIMES[job["format"]](Path(job["artifact"]))
    rows = [np.asarray(run(read_batch(batch, prepare).copy()).tolist()) for batch in job["batches"]]
    with Path(sys.argv[2]).open("wb") as file:
        np.savez(file, *rows, classes=np.frombuffer(json.dumps(list(classes)).encode(), np.uint8))


if __name__ == "__main__":
    main()
