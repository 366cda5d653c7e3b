"""Where the head of each torchvision family is, and which blocks its networks are made of.

Blocks run from input to output; each is ``name: "parameter-name prefixes"``. Where upstream names a part, so do we
(``layer1``, ``denseblock2``, ``Mixed_6a``); the rest is ``stem``, the stages of the paper, ``last_conv`` and ``norm``.
"""

from __future__ import annotations

from collections.abc import Mapping

from zoo_torchvision.family import Family, each, squeezenet_blocks, stages, vgg_blocks, vit_blocks

# Four stages of a hierarchical transformer or of ConvNeXt: every stage but the first begins with a downsampling layer.
_FOUR_STAGES = stages("features", 1, 2, 2, 2)

# Both take pixels in -1..1, because their weights come from TensorFlow. With ``weights=`` upstream turns ImageNet's
# normalisation into that inside the model (``transform_input=True``), without it does not: then a fine-tuned file gives
# other logits in ``googlenet(num_classes=n)``. We never let the model do it and normalise so in the first place.
_TENSORFLOW_INPUT = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}

#: By the name of the family's module in ``torchvision.models``.
FAMILIES: Mapping[str, Family] = {
    "alexnet": Family(
        name="alexnet",
        head="classifier.6",
        classifier="classifier",
        blocks={
            "": {
                "conv1": "features.0",
                "conv2": "features.3",
                "conv3": "features.6",
                "conv4": "features.8",
                "conv5": "features.10",
                "classifier": "classifier.1 classifier.4",
            }
        },
    ),
    "convnext": Family(
        name="convnext",
        head="classifier.2",  # classifier.0 is a norm and .1 flattens: both must stay
        blocks={"": {"stem": "features.0", **_FOUR_STAGES, "norm": "classifier.0"}},
    ),
    "densenet": Family(
        name="densenet",
        head="classifier",
        blocks={
            "": {
                "stem": "features.conv0 features.norm0",
                **each("denseblock1", "transition1", "denseblock2", "transition2", within="features"),
                **each("denseblock3", "transition3", "denseblock4", within="features"),
                "norm": "features.norm5",
            }
        },
        # The files date from when module names could hold dots; upstream renames so too (densenet.py).
        renames={r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)": r"\1\2"},
    ),
    "efficientnet": Family(
        name="efficientnet",
        head="classifier.1",
        classifier="classifier",
        blocks={
            "efficientnet_v2_s": {
                "stem": "features.0",
                **stages("features", 1, 1, 1, 1, 1, 1),
                "last_conv": "features.7",
            },
            "": {"stem": "features.0", **stages("features", 1, 1, 1, 1, 1, 1, 1), "last_conv": "features.8"},
        },
    ),
    "googlenet": Family(
        name="googlenet",
        head="fc",
        aux_heads=("aux1.fc2", "aux2.fc2"),
        aux_weight=0.3,  # Szegedy et al. 2014, arXiv:1409.4842, section 5
        blocks={
            "": {
                "stem": "conv1 conv2 conv3",
                **each("inception3a", "inception3b"),
                "inception4a": "inception4a aux1.conv aux1.fc1",
                **each("inception4b", "inception4c"),
                "inception4d": "inception4d aux2.conv aux2.fc1",
                **each("inception4e", "inception5a", "inception5b"),
            }
        },
        input=_TENSORFLOW_INPUT,
        init_weights=True,
        constructor=", init_weights=False",  # upstream warns where it is not given
        lacks={"IMAGENET1K_V1": ("aux1", "aux2")},  # "NOT pretrained", says upstream's own warning (googlenet.py)
    ),
    "inception": Family(
        name="inception",
        head="fc",
        aux_heads=("AuxLogits.fc",),
        aux_weight=0.4,  # TensorFlow's inception_model.py, which trained these weights; the paper gives no number
        blocks={
            "": {
                "stem": "Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 Conv2d_3b_1x1 Conv2d_4a_3x3",
                **each("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d"),
                "Mixed_6e": "Mixed_6e AuxLogits.conv0 AuxLogits.conv1",
                **each("Mixed_7a", "Mixed_7b", "Mixed_7c"),
            }
        },
        # Upstream's 75 is true in eval only: in training the auxiliary head pools 5x5 and convolves 5x5 at 1/16.
        input={**_TENSORFLOW_INPUT, "min_size": 299},
        init_weights=True,
        constructor=", init_weights=False",  # upstream warns where it is not given
    ),
    "maxvit": Family(
        name="maxvit",
        head="classifier.5",  # classifier.2 is a norm, .0 and .1 pool and flatten: they must stay
        blocks={
            "": {
                "stem": "stem",
                **stages("blocks", 1, 1, 1, 1, first=0),
                "classifier": "classifier.2 classifier.3",
            }
        },
        unsupported={"image_sizes": "its windows divide one size only"},
    ),
    "mnasnet": Family(
        name="mnasnet",
        head="classifier.1",
        classifier="classifier",
        blocks={
            "": {
                "stem": "layers.0 layers.1 layers.3 layers.4 layers.6 layers.7",
                **stages("layers", 1, 1, 1, 1, 1, 1, first=8),
                "last_conv": "layers.14 layers.15",
            }
        },
        constructor=None,  # upstream refuses tensors without a version mark, which safetensors cannot carry
    ),
    "mobilenetv2": Family(
        name="mobilenet_v2",
        head="classifier.1",
        classifier="classifier",
        blocks={  # stages: Sandler et al. 2018, arXiv:1801.04381, table 2
            "": {"stem": "features.0", **stages("features", 1, 2, 3, 4, 3, 3, 1), "last_conv": "features.18"}
        },
    ),
    "mobilenetv3": Family(
        name="mobilenet_v3",
        head="classifier.3",
        classifier="classifier",
        blocks={  # stages: runs of the same number of channels in Howard et al. 2019, arXiv:1905.02244, tables 1 and 2
            "mobilenet_v3_large": {
                "stem": "features.0",
                **stages("features", 1, 2, 3, 4, 2, 3),
                "last_conv": "features.16",
                "classifier": "classifier.0",
            },
            "mobilenet_v3_small": {
                "stem": "features.0",
                **stages("features", 1, 2, 3, 2, 3),
                "last_conv": "features.12",
                "classifier": "classifier.0",
            },
        },
    ),
    "regnet": Family(
        name="regnet",
        head="fc",
        blocks={"": {"stem": "stem", **each("block1", "block2", "block3", "block4", within="trunk_output")}},
    ),
    "resnet": Family(
        name="resnet",
        head="fc",
        blocks={"": {"stem": "conv1 bn1", **each("layer1", "layer2", "layer3", "layer4")}},
    ),
    "shufflenetv2": Family(
        name="shufflenet_v2",
        head="fc",
        blocks={"": {"stem": "conv1", **each("stage2", "stage3", "stage4"), "last_conv": "conv5"}},
    ),
    "squeezenet": Family(
        name="squeezenet",
        head="classifier.1",  # a convolution; pooling follows it, so the region around it must stay
        blocks={
            "squeezenet1_0": squeezenet_blocks(3, 4, 5, 7, 8, 9, 10, 12),
            "squeezenet1_1": squeezenet_blocks(3, 4, 6, 7, 9, 10, 11, 12),
        },
        unsupported={"cached_features": "its head is a convolution, and its map is pooled afterwards"},
    ),
    "swin_transformer": Family(
        name="swin",
        head="head",
        blocks={"": {"stem": "features.0", **_FOUR_STAGES, "norm": "norm"}},
    ),
    "vgg": Family(
        name="vgg",
        head="classifier.6",
        classifier="classifier",
        blocks={
            "vgg11_bn": vgg_blocks(1, 1, 2, 2, 2, norm=True),
            "vgg11": vgg_blocks(1, 1, 2, 2, 2, norm=False),
            "vgg13_bn": vgg_blocks(2, 2, 2, 2, 2, norm=True),
            "vgg13": vgg_blocks(2, 2, 2, 2, 2, norm=False),
            "vgg16_bn": vgg_blocks(2, 2, 3, 3, 3, norm=True),
            "vgg16": vgg_blocks(2, 2, 3, 3, 3, norm=False),
            "vgg19_bn": vgg_blocks(2, 2, 4, 4, 4, norm=True),
            "vgg19": vgg_blocks(2, 2, 4, 4, 4, norm=False),
        },
        init_weights=True,
        lacks={"IMAGENET1K_FEATURES": ("classifier",)},  # "missing values in the `classifier`" (vgg.py)
    ),
    "vision_transformer": Family(
        name="vit",
        head="heads.head",
        blocks={"vit_b": vit_blocks(12), "vit_l": vit_blocks(24), "vit_h": vit_blocks(32)},
        image_size=True,
        constructor=", image_size={image_size}",
        unsupported={"image_sizes": "its position embedding is of one size"},
        # Names of the MLP in the older files; upstream renames so too (vision_transformer.py, MLPBlock).
        renames={r"\.mlp\.linear_1\.": ".mlp.0.", r"\.mlp\.linear_2\.": ".mlp.3."},
    ),
}
