"""Maps of what speaks for a class, from PyTorch.

Regenerate, in this folder:  python3 explain.py
Made with PyTorch 2.15.0, torchvision 0.29.2, captum 0.9.0, grad-cam 1.5.7 and safetensors 0.8.0 for Python.

The networks are `checkpoints/torchvision.pth` and the built-in `cifar10`, the pictures are those of `checkpoints.py`, all
worked out in float64. Of the first network:

    maps              (N, classes, H, W): weights of the classifier times the activations that torchvision pools
    occlusion.CLASS   (height, width) of the first picture: the mean drop of the class's probability under the squares of
                      20 pixels, 10 pixels apart, that cover a pixel; captum 0.9.0 has the same to 1e-9

Of both networks, the second after `cifar10.`, for class 2 and the first picture:

    grad_cam.BLOCK    (H, W) of each block, counted from 0, by pytorch-grad-cam, before it scales a map to the picture
    integrated        (height, width): captum's integrated gradients, 4 steps by the midpoint rule, baseline 0, summed up
                      over the channels
    gradient          (height, width): captum's saliency with signs, summed up over the channels
"""

import numpy as np
import torch
import torch.nn.functional as F
from captum.attr import IntegratedGradients, Saliency
from checkpoints import images, small
from explaining import WithReLU, grad_cams
from networks import DenseNet
from safetensors.numpy import save_file
from safetensors.torch import load_file

SIZE, STRIDE, CLASS = 20, 10, 3
# Of more steps one has a pre-activation so near to 0 that float32 may put it on either side, which PyTorch does, too.
FOLLOWED, STEPS = 2, 4
HEIGHT, WIDTH = 64, 56


def occlusion(net, picture):
    probability = lambda x: net(x[None]).softmax(1)[0, CLASS]
    drops = [[[] for _ in range(WIDTH)] for _ in range(HEIGHT)]
    for top in range(0, HEIGHT - SIZE + STRIDE, STRIDE):
        for left in range(0, WIDTH - SIZE + STRIDE, STRIDE):
            covered = picture.clone()
            covered[:, top : top + SIZE, left : left + SIZE] = 0
            drop = float(probability(picture) - probability(covered))
            for y in range(top, min(HEIGHT, top + SIZE)):
                for x in range(left, min(WIDTH, left + SIZE)):
                    drops[y][x].append(drop)
    return torch.tensor([[sum(pixel) / len(pixel) for pixel in row] for row in drops], dtype=torch.float64)


def followed_back(net, picture):
    net = WithReLU(net)
    out = {f"grad_cam.{number}": map for number, map in enumerate(grad_cams(net, picture[None], FOLLOWED))}
    integrated = IntegratedGradients(net).attribute(
        picture[None], target=FOLLOWED, n_steps=STEPS, method="riemann_middle", internal_batch_size=STEPS
    )
    gradient = Saliency(net).attribute(picture[None].requires_grad_(), target=FOLLOWED, abs=False)
    return out | {"integrated": integrated[0].sum(0).detach().numpy(), "gradient": gradient[0].sum(0).numpy()}


def cifar10():
    config = dict(in_channels=3, num_classes=10, stem=(3, 1, None), num_init_features=24, block_config=[6, 6, 6])
    net = DenseNet(config | dict(growth_rate=12, bn_size=4, compression=0.5, bias=False))
    net.load_state_dict(load_file("../../models/cifar10.safetensors"), strict=False)
    return net.double().eval()


torch.set_num_threads(1)
net = small()
net.load_state_dict(torch.load("checkpoints/torchvision.pth"))
net, pictures = net.double().eval(), images(2, 3, HEIGHT, WIDTH).double()
with torch.no_grad():
    activations = F.relu(net.features(pictures))
    maps = torch.einsum("kc,nchw->nkhw", net.classifier.weight, activations).contiguous()
    assert torch.allclose(maps.mean((2, 3)) + net.classifier.bias, net(pictures))
    out = {"maps": maps.numpy(), f"occlusion.{CLASS}": occlusion(net, pictures[0]).numpy()}
out |= followed_back(net, pictures[0])
of_cifar10 = followed_back(cifar10(), images(1, 3, 32, 32)[0].double())
out |= {f"cifar10.{name}": value for name, value in of_cifar10.items()}
save_file({name: np.ascontiguousarray(value) for name, value in out.items()}, "explain.safetensors")
print({name: (value.shape, abs(value).max()) for name, value in out.items()})
