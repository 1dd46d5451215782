"""One peer in a process of its own, its model kept warm, so that peers can be timed in turn.

    python -m bench.peers KEY TASK MODEL BATCH SIZE THREADS CACHE

A line `N` on standard input requests N iterations. Every reply is one line of JSON on standard output: first `version`,
`idle_rss_mib` (libraries loaded, no network yet) and the first picture's `logits` (of inference), then for each request
`ms` (a list of N) and `peak_rss_mib`.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Step = Callable[[], Any]


@dataclass(frozen=True)
class Job:
    """What to run: the network, the shape of its input, the number of threads, and a folder for files kept."""

    model: str
    batch: int
    size: int
    threads: int
    cache: Path

    def images(self) -> np.ndarray:
        """The same pictures (N, C, H, W) for every peer."""
        channels = 1 if self.model == "seed" else 3
        shape = (self.batch, channels, self.size, self.size)
        return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)

    def onnx(self) -> Path:
        """The network as ONNX, exported once, by a separate process so that PyTorch does not count as memory here."""
        path = self.cache / f"{self.model}-{self.batch}x{self.size}.onnx"
        if not path.exists():
            command = [sys.executable, "-m", "bench.models", self.model, str(self.batch), str(self.size), str(path)]
            subprocess.run(command, check=True, stdout=sys.stderr)
        return path

    def onnx_int8(self) -> Path:
        """The network quantised by ONNX Runtime: QDQ, weights by channel, min-max of the same pictures."""
        path = self.cache / f"{self.model}-{self.batch}x{self.size}-qdq.onnx"
        if not path.exists():
            command = [sys.executable, "-m", "bench.quantize", str(self.onnx()), str(path)]
            subprocess.run(command, check=True, stdout=sys.stderr)
        return path

    def openvino_int8(self) -> Path:
        """The network quantised by NNCF's default preset on the same pictures."""
        path = self.cache / f"{self.model}-{self.batch}x{self.size}-nncf.xml"
        if not path.exists():
            command = [sys.executable, "-m", "bench.nncf_int8", str(self.onnx()), str(path)]
            subprocess.run(command, check=True, stdout=sys.stderr)
        return path


@dataclass
class Peer:
    """A library that is loaded: its version, and what makes one iteration of a job."""

    version: str
    prepare: Callable[[Job], Step]


def onnxruntime_infer(int8: bool = False) -> Peer:
    """ONNX Runtime. Its defaults are its best: all graph optimisations, threads that spin while it runs."""
    import onnxruntime as ort

    def prepare(job: Job) -> Step:
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = job.threads, 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        file = job.onnx_int8() if int8 else job.onnx()
        session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        feed = {"images": job.images()}
        return lambda: session.run(None, feed)[0]

    return Peer(ort.__version__, prepare)


def openvino_infer(precision: str) -> Peer:
    """OpenVINO, one stream: held to f32 or to bf16, which it takes by itself where the processor has it, or in int8."""
    import openvino as ov

    def prepare(job: Job) -> Step:
        config = {"INFERENCE_NUM_THREADS": job.threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
        if precision != "int8":
            config["INFERENCE_PRECISION_HINT"] = precision
        core = ov.Core()
        file = job.openvino_int8() if precision == "int8" else job.onnx()
        request = core.compile_model(file, "CPU", config).create_infer_request()
        request.set_input_tensor(ov.Tensor(job.images()))
        output = request.get_output_tensor()

        def step() -> np.ndarray:
            request.infer()
            return output.data

        return step

    return Peer(ov.__version__, prepare)


def torch_infer(compiled: bool) -> Peer:
    """PyTorch, channels-last; compiled, with the weights frozen in."""
    import torch

    from . import models

    def prepare(job: Job) -> Step:
        torch.set_num_threads(job.threads)
        net = models.network(job.model).eval().to(memory_format=torch.channels_last)
        net = torch.compile(net) if compiled else net
        images = torch.from_numpy(job.images()).to(memory_format=torch.channels_last)

        def step() -> np.ndarray:
            with torch.inference_mode():
                return net(images).numpy()

        return step

    return Peer(torch.__version__, prepare)


def torch_train(channels_last: bool, bf16: bool) -> Peer:
    """PyTorch: forward, loss, backward and a fused step of SGD, always on the same batch."""
    import torch
    import torch.nn.functional as F

    from . import models

    if bf16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        sys.exit("this processor has no bfloat16; without, PyTorch takes seven to ten times its float32 step")

    def prepare(job: Job) -> Step:
        torch.set_num_threads(job.threads)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        net = models.network(job.model).train().to(memory_format=layout)
        images = torch.from_numpy(job.images()).to(memory_format=layout)
        labels = torch.arange(job.batch) % 10
        sgd = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9, nesterov=True, weight_decay=1e-4, fused=True)

        def step() -> None:
            sgd.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = F.cross_entropy(net(images), labels)
            loss.backward()
            sgd.step()

        return step

    return Peer(torch.__version__, prepare)


PEERS: dict[str, dict[str, Callable[[], Peer]]] = {
    "infer": {
        "onnxruntime": onnxruntime_infer,
        "onnxruntime-int8": lambda: onnxruntime_infer(int8=True),
        "openvino": lambda: openvino_infer("f32"),
        "openvino-bf16": lambda: openvino_infer("bf16"),
        "openvino-int8": lambda: openvino_infer("int8"),
        "torch": lambda: torch_infer(compiled=False),
        "torch-compiled": lambda: torch_infer(compiled=True),
    },
    "train": {
        "torch": lambda: torch_train(channels_last=True, bf16=False),
        "torch-channels-first": lambda: torch_train(channels_last=False, bf16=False),
        "torch-default-allocator": lambda: torch_train(channels_last=True, bf16=False),
        "torch-bf16": lambda: torch_train(channels_last=True, bf16=True),
    },
}


def peak_rss_mib() -> float:
    """Most memory that this process has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def time_of(step: Step) -> float:
    """Milliseconds that one iteration takes."""
    start = time.perf_counter()
    step()
    return round(1e3 * (time.perf_counter() - start), 4)


def serve(key: str, task: str, job: Job, requests: Iterable[str], reply: Callable[[dict[str, Any]], None]) -> None:
    """Prepares the peer, then serves requests until there are no more."""
    peer = PEERS[task][key]()
    idle = peak_rss_mib()
    step = peer.prepare(job)
    logits = step()[0].tolist() if task == "infer" else None
    reply({"version": peer.version, "idle_rss_mib": idle, "logits": logits})
    for request in requests:
        reply({"ms": [time_of(step) for _ in range(int(request))], "peak_rss_mib": peak_rss_mib()})


def main() -> None:
    key, task, model, batch, size, threads, cache = sys.argv[1:]
    # Libraries print to standard output; it is kept for the replies alone.
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    job = Job(model, int(batch), int(size), int(threads), Path(cache))
    serve(key, task, job, sys.stdin, lambda record: print(json.dumps(record), file=replies))


if __name__ == "__main__":
    main()
