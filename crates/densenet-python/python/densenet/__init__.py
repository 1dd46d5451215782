"""DenseNets on CPUs: load, predict, explain, export, train.

    >>> import densenet
    >>> model = densenet.load("cifar10")
    >>> model.predict("photo.jpg", top=3)

Weights from other programs can be loaded as they are: torchvision's, timm's, MONAI's, or your own. Everything uses as
many threads as the machine has cores, or the number given to `set_num_threads`, and other Python threads can run
meanwhile."""

from densenet._densenet import MODELS, PREPROCESSINGS, PRESETS, __version__, get_num_threads, set_num_threads
from densenet.explanation import Explanation
from densenet.model import Class, Features, Model, create, load
from densenet.training import Callback, Run, train

__all__ = [
    "MODELS",
    "PREPROCESSINGS",
    "PRESETS",
    "Callback",
    "Class",
    "Explanation",
    "Features",
    "Model",
    "Run",
    "__version__",
    "create",
    "get_num_threads",
    "load",
    "set_num_threads",
    "train",
]
