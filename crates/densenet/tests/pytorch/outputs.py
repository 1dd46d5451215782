"""A network of torchvision with random weights, and its output in float64: outputs.py NAME FOLDER.

Scales, shifts and statistics of the batch-norms are random, too. Writes FOLDER/weights.safetensors (float32) and
FOLDER/outputs.safetensors, `images` (N, C, H, W) and `logits` (N, classes). Prints how far PyTorch in float32 is from it.
"""

import sys
from pathlib import Path

import torch
import torchvision
from safetensors.torch import save_file


def network(name):
    torch.manual_seed(7)
    made = getattr(torchvision.models, name)().eval()
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.5, 1.5)
            for tensor in (module.bias.data, module.running_mean):
                tensor.uniform_(-0.5, 0.5)
    return made


def main():
    name, folder = sys.argv[1], Path(sys.argv[2])
    made = network(name)
    images = torch.rand(1, 3, 224, 224) * 2 - 1
    save_file(made.state_dict(), folder / "weights.safetensors")
    with torch.inference_mode():
        single = made(images).double()
        logits = made.double()(images.double())
    save_file({"images": images, "logits": logits}, folder / "outputs.safetensors")
    print(f"{((single - logits).norm() / logits.norm()).item():.1e}", end="")


if __name__ == "__main__":
    main()
