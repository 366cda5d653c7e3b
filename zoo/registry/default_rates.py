"""Default learning rates and weight decays."""

from __future__ import annotations

#: Learning rates of a new linear layer on frozen features, by optimizer.
HEAD_LR = {"adam": 5e-3, "adamw": 5e-3, "sgd": 5e-2}
#: Learning rates of an MLP head, by optimizer. With the learning rates of a linear layer, training is unstable.
MLP_LR = {"adam": 5e-4, "adamw": 5e-4, "sgd": 5e-3}
#: Learning rates of a pretrained network, by optimizer.
BACKBONE_LR = {"adam": 3e-4, "adamw": 3e-4, "sgd": 1e-2}
#: Weight decay by optimizer. In AdamW, the decay does not depend on the size of the gradients.
DECAY = {"adam": 0.0, "adamw": 0.01, "sgd": 1e-4}
