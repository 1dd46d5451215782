"""pytorch-grad-cam on a network of torchvision's.

torchvision's forward pass rectifies the last batch-norm's output in place, after pytorch-grad-cam's hook has taken it: it
would see activations after the ReLU with gradients before it. So the head gets a ReLU of its own here, which is the last
block's layer to look at. All other ReLUs work in place on what nobody looks at, and gradients of blocks' outputs and of
pictures are right as they are.
"""

import numpy as np
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn


class WithReLU(nn.Module):
    """A network whose last ReLU is a module and works on a copy."""

    def __init__(self, net):
        super().__init__()
        self.features, self.relu, self.classifier = net.features, nn.ReLU(), net.classifier

    def forward(self, x):
        return self.classifier(self.relu(self.features(x)).mean((2, 3)))


class Raw(GradCAM):
    """Grad-CAM that keeps its map as it is before it is scaled."""

    def get_cam_image(self, *arguments):
        self.raw = np.maximum(super().get_cam_image(*arguments), 0)
        return self.raw


def grad_cams(net, pictures, target):
    """The map (H, W) of the first of `pictures` at each block of a `WithReLU`."""
    blocks = [part for name, part in net.features.named_children() if name.startswith("denseblock")]
    for layer in [*blocks[:-1], net.relu]:
        cam = Raw(net, [layer])
        cam(pictures, [ClassifierOutputTarget(target)])
        cam.activations_and_grads.release()
        yield cam.raw[0]
