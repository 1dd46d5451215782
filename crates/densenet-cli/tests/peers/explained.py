"""What explains torchvision's DenseNet-121: explained.py WORLD, where torchvision.safetensors are its weights, image.npy is the
picture, and single.MAP.npy and double.MAP.npy are our maps for class 2 in both precisions.

torchvision's forward pass rectifies the last batch-norm's output in place, after pytorch-grad-cam's hook has taken it: it
would see activations after the ReLU with gradients before it. So the head gets a ReLU of its own here, which is the last
block's layer to look at. All other ReLUs work in place on what nobody looks at.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from captum.attr import IntegratedGradients, Saliency
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from safetensors.torch import load_file
from torch import nn
from torchvision.models import densenet121

CLASS, STEPS = 2, 4
# Of the largest value of a map. In single precision, of maps that follow gradients through many layers: see the test.
DOUBLE, SINGLE, SINGLE_FOLLOWED_BACK = 1e-6, 1e-4, 1e-2


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


def maps(net, picture):
    with torch.no_grad():
        yield "cam", torch.einsum("c,chw->hw", net.classifier.weight[CLASS], net.relu(net.features(picture))[0])
    blocks = [part for name, part in net.features.named_children() if name.startswith("denseblock")]
    for number, layer in enumerate([*blocks[:-1], net.relu]):
        cam = Raw(net, [layer])
        cam(picture, [ClassifierOutputTarget(CLASS)])
        cam.activations_and_grads.release()
        yield f"grad_cam.{number}", cam.raw[0]
    way = dict(target=CLASS, n_steps=STEPS, method="riemann_middle", internal_batch_size=STEPS)
    yield "integrated", IntegratedGradients(net).attribute(picture, **way)[0].sum(0).detach()
    yield "gradient", Saliency(net).attribute(picture.requires_grad_(), target=CLASS, abs=False)[0].sum(0)


world = Path(sys.argv[1])
net = densenet121(num_classes=10)
net.load_state_dict(load_file(world / "torchvision.safetensors"))
picture = torch.from_numpy(np.load(world / "image.npy")).double()
for name, wanted in maps(WithReLU(net.double().eval()), picture):
    wanted = np.asarray(wanted)
    far = lambda precision: abs(np.load(world / f"{precision}.{name}.npy")[0, 0] - wanted).max() / abs(wanted).max()
    last = name in ("cam", "grad_cam.3")
    assert far("double") < DOUBLE and far("single") < (SINGLE if last else SINGLE_FOLLOWED_BACK), name
    print(f"{name} {wanted.shape}: {far('double'):.0e} in double precision, {far('single'):.0e} in single")
