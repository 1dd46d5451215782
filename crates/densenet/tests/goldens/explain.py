"""Maps of what speaks for a class, from PyTorch.

Regenerate, in this folder:  python3 explain.py
Made with PyTorch 2.15.0, torchvision 0.29.2 and safetensors 0.8.0 for Python.

The network is `checkpoints/torchvision.pth`, the pictures are those of `checkpoints.py`, worked out in float64:

    maps              (N, classes, H, W): weights of the classifier times the activations that torchvision pools
    occlusion.CLASS   (height, width) of the first picture: the mean drop of the class's probability under the squares of
                      20 pixels, 10 pixels apart, that cover a pixel; captum 0.9.0 has the same to 1e-9
"""

import torch
import torch.nn.functional as F
from checkpoints import images, small
from safetensors.numpy import save_file

SIZE, STRIDE, CLASS = 20, 10, 3
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


torch.set_num_threads(1)
with torch.no_grad():
    net = small()
    net.load_state_dict(torch.load("checkpoints/torchvision.pth"))
    net, pictures = net.double().eval(), images(2, 3, HEIGHT, WIDTH).double()
    activations = F.relu(net.features(pictures))
    maps = torch.einsum("kc,nchw->nkhw", net.classifier.weight, activations).contiguous()
    assert torch.allclose(maps.mean((2, 3)) + net.classifier.bias, net(pictures))
    save_file({"maps": maps.numpy(), f"occlusion.{CLASS}": occlusion(net, pictures[0]).numpy()}, "explain.safetensors")
    print(tuple(maps.shape), maps.abs().max())
