"""What explains torchvision's DenseNet-121: explained.py WORLD, where torchvision.safetensors are its weights, image.npy is the
picture, and single.MAP.npy and double.MAP.npy are our maps for class 2 in both precisions.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from captum.attr import IntegratedGradients, Saliency
from safetensors.torch import load_file
from torchvision.models import densenet121

sys.path.append(str(Path(__file__).parents[3] / "densenet/tests/goldens"))
from explaining import WithReLU, grad_cams

CLASS, STEPS = 2, 4
# Of the largest value of a map. In single precision, of maps that follow gradients through many layers: see the test.
DOUBLE, SINGLE, SINGLE_FOLLOWED_BACK = 1e-6, 1e-4, 1e-2


def maps(net, picture):
    with torch.no_grad():
        yield "cam", torch.einsum("c,chw->hw", net.classifier.weight[CLASS], net.relu(net.features(picture))[0])
    for number, map in enumerate(grad_cams(net, picture, CLASS)):
        yield f"grad_cam.{number}", map
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
