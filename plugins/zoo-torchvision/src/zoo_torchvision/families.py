"""The head and the blocks of the networks in each torchvision family.

Blocks are ordered from input to output, and each is written as ``name: "parameter-name prefixes"``. If upstream names
its blocks (``layer1``, ``denseblock2``, ``Mixed_6a``), these names are used. Otherwise, the names are ``stem``,
``stage1`` and so on for the stages in the paper, ``last_conv`` and ``norm``.
"""

from __future__ import annotations

from collections.abc import Mapping

from zoo_torchvision.family import Family, each, squeezenet_blocks, stages, vgg_blocks, vit_blocks

# Four stages of a hierarchical transformer or a ConvNeXt. Every stage except the first begins with a downsampling
# layer.
_FOUR_STAGES = stages("features", 1, 2, 2, 2)

# Both networks expect pixels in -1..1, because their weights come from TensorFlow. When upstream is given ``weights=``,
# it converts from ImageNet's normalization inside the model (``transform_input=True``); otherwise it does not. A
# fine-tuned file would then produce different logits in ``googlenet(num_classes=n)``. Therefore, the model never
# converts here, and images are normalized to -1..1 before they enter the model.
_TENSORFLOW_INPUT = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}

#: Families, keyed by the name of their module in ``torchvision.models``.
FAMILIES: Mapping[str, Family] = {
    "alexnet": Family(
        name="alexnet",
        first_conv="features.0",
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
        first_conv="features.0.0",
        head="classifier.2",  # classifier.0 is a norm and classifier.1 flattens, so both must be kept
        blocks={"": {"stem": "features.0", **_FOUR_STAGES, "norm": "classifier.0"}},
    ),
    "densenet": Family(
        name="densenet",
        first_conv="features.conv0",
        head="classifier",
        blocks={
            "": {
                "stem": "features.conv0 features.norm0",
                **each("denseblock1", "transition1", "denseblock2", "transition2", within="features"),
                **each("denseblock3", "transition3", "denseblock4", within="features"),
                "norm": "features.norm5",
            }
        },
        # The files were written when names of modules could contain dots. Upstream also renames the keys (densenet.py).
        renames={r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)": r"\1\2"},
    ),
    "efficientnet": Family(
        name="efficientnet",
        first_conv="features.0.0",
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
        first_conv="conv1.conv",
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
        transform_input=True,
        init_weights=True,
        constructor=", init_weights=False",  # without it, upstream warns
        lacks={"IMAGENET1K_V1": ("aux1", "aux2")},  # upstream warns that they are "NOT pretrained" (googlenet.py)
    ),
    "inception": Family(
        name="inception",
        first_conv="Conv2d_1a_3x3.conv",
        head="fc",
        aux_heads=("AuxLogits.fc",),
        aux_weight=0.4,  # from TensorFlow's inception_model.py, which trained these weights; the paper gives no number
        blocks={
            "": {
                "stem": "Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 Conv2d_3b_1x1 Conv2d_4a_3x3",
                **each("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d"),
                "Mixed_6e": "Mixed_6e AuxLogits.conv0 AuxLogits.conv1",
                **each("Mixed_7a", "Mixed_7b", "Mixed_7c"),
            }
        },
        # Upstream's 75 is enough only in eval mode: in training, the auxiliary head pools and convolves 5x5 at 1/16.
        input={**_TENSORFLOW_INPUT, "min_size": 299},
        transform_input=True,
        init_weights=True,
        constructor=", init_weights=False",  # without it, upstream warns
    ),
    "maxvit": Family(
        name="maxvit",
        first_conv="stem.0.0",
        head="classifier.5",  # classifier.2 is a norm, and .0 and .1 pool and flatten, so they must be kept
        blocks={
            "": {
                "stem": "stem",
                **stages("blocks", 1, 1, 1, 1, first=0),
                "classifier": "classifier.2 classifier.3",
            }
        },
        unsupported={"image_sizes": "its windows support only one image size"},
    ),
    "mnasnet": Family(
        name="mnasnet",
        first_conv="layers.0",
        head="classifier.1",
        classifier="classifier",
        blocks={
            "": {
                "stem": "layers.0 layers.1 layers.3 layers.4 layers.6 layers.7",
                **stages("layers", 1, 1, 1, 1, 1, 1, first=8),
                "last_conv": "layers.14 layers.15",
            }
        },
        constructor=None,  # upstream refuses tensors without a version, which safetensors cannot store
    ),
    "mobilenetv2": Family(
        name="mobilenet_v2",
        first_conv="features.0.0",
        head="classifier.1",
        classifier="classifier",
        blocks={  # stages: Sandler et al. 2018, arXiv:1801.04381, table 2
            "": {"stem": "features.0", **stages("features", 1, 2, 3, 4, 3, 3, 1), "last_conv": "features.18"}
        },
    ),
    "mobilenetv3": Family(
        name="mobilenet_v3",
        first_conv="features.0.0",
        head="classifier.3",
        classifier="classifier",
        blocks={  # stages have the same number of channels: Howard et al. 2019, arXiv:1905.02244, tables 1, 2
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
        first_conv="stem.0",
        head="fc",
        blocks={"": {"stem": "stem", **each("block1", "block2", "block3", "block4", within="trunk_output")}},
    ),
    "resnet": Family(
        name="resnet",
        first_conv="conv1",
        head="fc",
        blocks={"": {"stem": "conv1 bn1", **each("layer1", "layer2", "layer3", "layer4")}},
    ),
    "shufflenetv2": Family(
        name="shufflenet_v2",
        first_conv="conv1.0",
        head="fc",
        blocks={"": {"stem": "conv1", **each("stage2", "stage3", "stage4"), "last_conv": "conv5"}},
    ),
    "squeezenet": Family(
        name="squeezenet",
        first_conv="features.0",
        head="classifier.1",  # a convolution, with pooling after it, so the module around it must be kept
        blocks={
            "squeezenet1_0": squeezenet_blocks(3, 4, 5, 7, 8, 9, 10, 12),
            "squeezenet1_1": squeezenet_blocks(3, 4, 6, 7, 9, 10, 11, 12),
        },
        unsupported={"cached_features": "its head is a convolution whose output is pooled afterwards"},
    ),
    "swin_transformer": Family(
        name="swin",
        first_conv="features.0.0",
        head="head",
        blocks={"": {"stem": "features.0", **_FOUR_STAGES, "norm": "norm"}},
    ),
    "vgg": Family(
        name="vgg",
        first_conv="features.0",
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
        first_conv="conv_proj",
        head="heads.head",
        blocks={"vit_b": vit_blocks(12), "vit_l": vit_blocks(24), "vit_h": vit_blocks(32)},
        image_size=True,
        constructor=", image_size={image_size}",
        unsupported={"image_sizes": "its position embedding supports only one image size"},
        # Older files have different names for the MLP. Upstream also renames them (vision_transformer.py, MLPBlock).
        renames={r"\.mlp\.linear_1\.": ".mlp.0.", r"\.mlp\.linear_2\.": ".mlp.3."},
    ),
}
