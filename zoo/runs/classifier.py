"""A finished run, loaded for prediction and evaluation. This requires only the run folder and the plugin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from zoo.data.decode import quiet_pillow
from zoo.data.eval_dataset import Trained, open_labeled
from zoo.data.listing import ImageFile, show_names
from zoo.data.source import list_images, name_source
from zoo.data.true_labels import LabelRule
from zoo.data.unlabeled import Unlabeled, list_unlabeled
from zoo.engine.device import choose_hardware, place
from zoo.errors import RunError
from zoo.models.weights.header import Header
from zoo.plugin import BackboneSpec
from zoo.progress import Progress, Silent
from zoo.registry.adapt_design import AdaptDesign
from zoo.registry.data_options import DataOptions
from zoo.registry.registry import Registry, open_registry
from zoo.runs.answers import Answers
from zoo.runs.architecture import Model, rebuild
from zoo.runs.data_options import parse_evaluation_options
from zoo.runs.embeddings import Embeddings, embed_images
from zoo.runs.evaluation import evaluate_images
from zoo.runs.folder import MODEL, RunFolder
from zoo.runs.loaded_model import LoadedModel
from zoo.runs.model_file import load_header, load_tensors
from zoo.runs.open_run import open_run
from zoo.runs.prediction import Prediction, Question
from zoo.runs.predictions import to_json
from zoo.runs.training_features import open_training_features


class Classifier:
    """A trained model and its class names."""

    def __init__(self, loaded: LoadedModel, header: Header, folder: RunFolder | None = None) -> None:
        self.model = loaded.model
        self.header = header
        #: The preprocessing that the model expects: a callable that takes an image as `predict` does and returns a
        #: float32 tensor of shape (C, H, W).
        self.transform = loaded.transform
        self._loaded = loaded
        self._folder = folder

    @property
    def backbone(self) -> BackboneSpec:
        """The backbone, or the description of your own network."""
        return self._loaded.backbone

    @property
    def path(self) -> Path | None:
        """The run folder; None if the model was not loaded from one."""
        return self._folder.path if self._folder else None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the logits."""
        return self.header.classes

    def predict(  # noqa: PLR0913  # a public entry point; all but two arguments are keywords
        self, images: Any, top: int = 1, *, min_probability: float = 0.0, truth: bool = False,
        columns: str | None = None, fetch: bool = False, adapt: bool | str = False, distance: bool = False,
        max_percentile: float | None = None, registry: Registry | None = None, progress: Progress | None = None,
    ) -> list[Prediction]:  # fmt: skip
        """Predict the most probable classes of each image.

        Args:
            images: An image: its path or URL, the bytes of its file, a file object, a PIL image, a uint8 array of shape
                (height, width, 3) or (height, width), or a uint8 tensor of shape (3, height, width) or
                (1, height, width). Or a pattern of paths, such as ``photos/**/*.jpg``, or a data set, as for
                ``finetune``. Or a list of any of these. The images need no labels.
            top: Number of classes per image.
            min_probability: Probability below which no class is predicted: `Prediction.label` is None.
            truth: Whether to find the true class of each image, `Prediction.truth`: the label in a table or another
                source with labels, or the name of the folder.
            columns: Name of the image column of a table, as in ``image=id``, and of the label column for ``truth``.
            fetch: Whether to fetch the images of URLs, such as ``https://host/photo.jpg``, each when it is reached.
            adapt: Whether to adapt a copy of the model to each image before it is predicted, which takes many times as
                long: True, or settings such as ``views=16,steps=2,lr=0.001``.
            distance: Whether to measure how far each image is from the training images. The first time, this reads the
                data of the run, and stores features in its folder.
            max_percentile: Percentile of the distance, from 0 to 100, above which no class is predicted. Implies
                ``distance``.
            registry: Registry in which data sets are looked up. Default: all installed plugins.
            progress: Receives messages about the data, and, after the last prediction, messages about the scale of
                16-bit images. Default: they are discarded.

        Returns:
            A prediction for each image, and one with an error for each file that is left out.

        Raises:
            DataError: If ``top`` is less than 1, an image in memory has another type or shape, the only path does not
                exist, or a data set has no images.
            DownloadError: If a data set cannot be fetched.
            NameNotFound: If there is no data set of that name.
            OptionError: If ``min_probability`` is not from 0 to 1, or ``columns`` names other columns, or does not
                apply to the images, or ``adapt`` is invalid or the model cannot be adapted.
            RunError: If the model returns NaN or infinite values for an image, or if distances need the images of the
                training, and they are not on this machine or have changed.
        """
        question = Question(
            top, min_probability, truth, columns, fetch, AdaptDesign.parse(adapt), distance, max_percentile
        )
        registry, progress = registry or open_registry(), progress or Silent()
        found = self._list(images, question, registry, progress)
        answers = self._ask(question, registry, progress)
        with quiet_pillow():
            return [*answers.run(found, progress, ahead=True)]

    def iter_predict(  # noqa: PLR0913  # the same arguments as predict
        self, images: Any, top: int = 1, *, min_probability: float = 0.0, truth: bool = False,
        columns: str | None = None, fetch: bool = False, adapt: bool | str = False, distance: bool = False,
        max_percentile: float | None = None, registry: Registry | None = None, progress: Progress | None = None,
    ) -> Iterator[Prediction]:  # fmt: skip
        """Predict like `predict`, but yield each prediction as soon as its batch is done, to save memory.

        Images are listed at the call, and read when their batch is reached.
        """
        question = Question(
            top, min_probability, truth, columns, fetch, AdaptDesign.parse(adapt), distance, max_percentile
        )
        registry, progress = registry or open_registry(), progress or Silent()
        found = self._list(images, question, registry, progress)
        return self._ask(question, registry, progress).run(found, progress, ahead=False)

    def embed(
        self, images: Any, block: str | None = None, *, columns: str | None = None, registry: Registry | None = None,
        progress: Progress | None = None,
    ) -> Embeddings:  # fmt: skip
        """Compute the features of images.

        Args:
            images: Images, as for `predict`. If the source has labels, or the images are in folders, `Embeddings` has
                labels, too.
            block: Name of a block, whose output is used. Default: the input of the head.
            columns: Names of the image column and the label column of a table.
            registry: Registry in which data sets are looked up. Default: all installed plugins.
            progress: Receives messages. Default: they are discarded.

        Returns:
            The features of all readable images, with their paths. Feature maps and tokens are averaged over all
            positions.

        Raises:
            DataError: If the images cannot be used, as for `predict`.
            NameNotFound: If there is no such block or data set.
            OptionError: If the block does not return features, or ``columns`` does not apply to the images.
        """
        return embed_images(self._loaded, images, block, columns, registry=registry, progress=progress)

    def _list(self, images: Any, question: Question, registry: Registry, progress: Progress) -> list[Unlabeled]:
        rule = LabelRule(frozenset(self.classes), is_required=True) if question.truth else None
        options = replace(DataOptions.parse(columns=question.columns), channels=self.header.input.size[0])
        found = list_unlabeled(images, options, registry=registry, progress=progress, labels=rule, fetch=question.fetch)
        names = {image.class_name for image in found if isinstance(image, ImageFile)} if question.truth else set()
        if unknown := sorted(names - {*self.classes, ""}):
            shown = f"{show_names(unknown)}; images of a class that it does not have count as wrong"
            progress.say(f"warning: the run has no class {shown}")
        return found

    def _ask(self, question: Question, registry: Registry, progress: Progress) -> Answers:
        if not question.needs_distance:
            return Answers(self._loaded, self.classes, question, None)
        if self._folder is None:
            raise RunError("`distance` needs the folder of a run; load the run with zoo.load.")
        training = open_training_features(self._loaded, self._folder, registry, progress)
        if note := training.find_limit(100.0 if question.max_percentile is None else question.max_percentile):
            progress.say(note)
        return Answers(self._loaded, self.classes, question, training)

    def evaluate(  # noqa: PLR0913  # a public entry point; all but two arguments are keywords
        self, data: Any, split: str | None = None, *, label_from: str | None = None,
        columns: str | None = None, errors: bool = False, adapt: bool | str = False,
        registry: Registry | None = None, progress: Progress | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Evaluate the model on labeled images.

        Args:
            data: Data set, as for ``finetune``. Its classes are matched by name.
            split: ``train``, ``val``, ``test`` or ``all``. Default: ``test`` if it exists, else ``val``, else ``all``.
            label_from: Regular expression that finds the class in an image's file name, as for ``finetune``. Default:
                that of the run, if ``data`` is of the same kind as the run's data. ``none`` means none.
            columns: Columns of a table by role, as for ``finetune``. Default: as for ``label_from``.
            errors: Whether to list the images whose predicted class is not the true one, in ``errors``.
            adapt: Whether to adapt a copy of the model to each image, as for `predict`.
            registry: Registry in which the data set is looked up. Default: all installed plugins.
            progress: Receives messages and progress. Default: they are discarded.

        Returns:
            ``split``, ``loss``, ``accuracy``, ``images``, ``per_class``, ``confusion`` and ``left_out`` (the skipped
            files and the reasons), as in run.json; with ``errors``, also ``errors``.

        Raises:
            DataError: If the data has a class that the model does not know, or no such split.
            OptionError: If ``columns`` names a column of weights, which would have no effect, or ``adapt`` is invalid.
            RunError: If the model returns NaN or infinite values for an image, or the run.json of the run is damaged.
        """
        progress, design = progress or Silent(), AdaptDesign.parse(adapt)
        options = parse_evaluation_options(label_from, columns, self._folder)
        listing = list_images(data, options, registry=registry or open_registry(), progress=progress)
        trained = Trained(self.classes, self.header.input.bits, self.header.input.size[0])
        images = open_labeled(listing, name_source(data), split, trained=trained, progress=progress)
        result = evaluate_images(self._loaded, images, self.classes, progress, design)
        return {**result.metrics, "errors": [*map(to_json, result.list_errors())]} if errors else result.metrics


def load(
    run: str | PathLike[str],
    *,
    model: Model | None = None,
    device: str = "auto",
    registry: Registry | None = None,
    progress: Progress | None = None,
) -> Classifier:
    """Load a finished run.

    Args:
        run: Run folder, or the model.safetensors in it, or ``hf://owner/name`` with an optional ``@revision`` for a run
            on the Hugging Face Hub.
        model: Your own network, if the run was trained with one: a module, which is not changed, or
            ``FILE.py:FUNCTION``. A run never causes code to be executed by itself.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        registry: Registry in which the backbone is looked up. Default: all installed plugins.
        progress: Receives a message if the run is on the Hub, and a note if the file of your own network has changed.
            Default: they are discarded.

    Raises:
        DownloadError: If the run is on the Hub and cannot be fetched.
        RunError: If there is no run, if its model does not match the network, or if ``model`` is missing.
        NameNotFound: If the plugin of its backbone is not installed.
        OptionError: If ``model`` is not a network, or is not needed.
    """
    progress = progress or Silent()
    folder = open_run(run, progress)
    path = folder.path / MODEL
    header = load_header(path)
    backbone, network, head = rebuild(header, model, registry or open_registry(), progress)
    load_tensors(network, path, "the installed version of its backbone" if model is None else "`model`")
    hardware = choose_hardware(device, "fp32")
    place(network, hardware)
    network.eval()
    return Classifier(LoadedModel(backbone, network, head, header.input, hardware), header, folder)
