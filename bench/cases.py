"""What is measured, and who takes part."""

from __future__ import annotations

from dataclasses import dataclass, field

# PyTorch's best allocator on Linux: glibc tuned to keep the memory that it has.
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "1000000000",
}


@dataclass(frozen=True)
class Contender:
    """One column of the table. `exact` is false below float32; ratios are taken to exact contenders."""

    key: str
    title: str
    exact: bool = True
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One row of the table. `busy` has another process keep one core busy meanwhile; `precision` is what all compute with."""

    task: str
    model: str
    batch: int
    size: int
    threads: int
    peers: tuple[Contender, ...]
    ours: tuple[Contender, ...]
    busy: bool = False
    precision: str = "f32"

    @property
    def name(self) -> str:
        """The name that `--cases` filters by."""
        shape = f"{self.size}-b{self.batch}-t{self.threads}"
        precision = "" if self.precision == "f32" else f"-{self.precision}"
        return f"{self.task}{precision}-{self.model}-{shape}{'-busy' if self.busy else ''}"


OURS = Contender("ours", "densenet")
OURS_LOW = Contender("ours-low", "densenet, memory low")

ONNXRUNTIME = Contender("onnxruntime", "ONNX Runtime")
OPENVINO = Contender("openvino", "OpenVINO")
TORCH_INFER = Contender("torch", "PyTorch", env=KEEP_MEMORY)
TORCH_COMPILED = Contender("torch-compiled", "PyTorch compiled", env={**KEEP_MEMORY, "TORCHINDUCTOR_FREEZING": "1"})

ONNXRUNTIME_INT8 = Contender("onnxruntime-int8", "ONNX Runtime")
OPENVINO_INT8 = Contender("openvino-int8", "OpenVINO")
OPENVINO_BF16 = Contender("openvino-bf16", "OpenVINO")

TORCH_TRAIN = Contender("torch", "PyTorch", env=KEEP_MEMORY)
TORCH_NCHW = Contender("torch-channels-first", "PyTorch channels-first", env=KEEP_MEMORY)
TORCH_LEAN = Contender("torch-default-allocator", "PyTorch, default allocator")
TORCH_BF16 = Contender("torch-bf16", "PyTorch bf16 autocast", exact=False, env=KEEP_MEMORY)

ENGINES = (ONNXRUNTIME, OPENVINO, TORCH_INFER)
COMPILED = (*ENGINES, TORCH_COMPILED)
TRAINERS = (TORCH_TRAIN, TORCH_NCHW, TORCH_LEAN, TORCH_BF16)


def infer(
    model: str, batch: int, size: int, threads: int, peers: tuple[Contender, ...] = ENGINES, busy: bool = False
) -> Case:
    """A case of inference."""
    return Case("infer", model, batch, size, threads, peers, (OURS,), busy)


def infer_int8(model: str, batch: int, size: int, threads: int) -> Case:
    """A case of inference in eight bits."""
    return Case("infer", model, batch, size, threads, (ONNXRUNTIME_INT8, OPENVINO_INT8), (OURS,), precision="int8")


def infer_bf16(model: str, batch: int, size: int, threads: int) -> Case:
    """A case of inference with products of bfloat16."""
    return Case("infer", model, batch, size, threads, (OPENVINO_BF16,), (OURS,), precision="bf16")


def train(model: str, batch: int, size: int, threads: int, ours: tuple[Contender, ...] = (OURS,)) -> Case:
    """A case of training: forward, backward and a step of SGD with Nesterov momentum and weight decay."""
    return Case("train", model, batch, size, threads, TRAINERS, ours)


def all_cases(threads: int) -> list[Case]:
    """Every case, in the order of the table."""
    both = (OURS, OURS_LOW)
    return [
        infer("densenet121", 1, 224, threads, COMPILED),
        infer("densenet121", 8, 224, threads, COMPILED),
        infer("densenet121", 1, 224, 1, COMPILED),
        infer("densenet121", 1, 224, threads, ENGINES, busy=True),
        infer("densenet169", 1, 224, threads),
        infer("densenet201", 1, 224, threads),
        infer("densenet161", 1, 224, threads),
        infer("densenet-bc-100-12", 64, 32, threads),
        infer("seed", 1, 96, threads, COMPILED),
        infer_int8("densenet121", 1, 224, threads),
        infer_int8("densenet121", 8, 224, threads),
        infer_int8("densenet201", 1, 224, threads),
        infer_int8("densenet-bc-100-12", 64, 32, threads),
        infer_bf16("densenet121", 1, 224, threads),
        infer_bf16("densenet121", 8, 224, threads),
        infer_bf16("densenet201", 1, 224, threads),
        infer_bf16("densenet-bc-100-12", 64, 32, threads),
        train("seed", 64, 96, threads),
        train("densenet-bc-100-12", 64, 32, threads, both),
        train("densenet-40-12", 64, 32, threads),
        train("densenet121", 16, 224, threads, both),
    ]
