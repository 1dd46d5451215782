"""Writes the corpus: small checkpoints that are sound, and files with one fault each."""

import json
import struct
from pathlib import Path

import torch
from safetensors.torch import save_file
from torchvision.models import DenseNet

HERE = Path(__file__).parent / "corpus"
SAFETENSORS, PTH, REQUEST = HERE / "safetensors", HERE / "pth", HERE / "request"


def header(value):
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return struct.pack("<Q", len(text)) + text


torch.manual_seed(1)
net = DenseNet(growth_rate=1, block_config=(1, 2), num_init_features=2, bn_size=1, num_classes=2)
state = net.state_dict()
save_file(state, SAFETENSORS / "sound.safetensors")
save_file({name: value.to(torch.bfloat16) for name, value in state.items()}, SAFETENSORS / "sound-bf16.safetensors")
save_file({"a.weight": torch.zeros(2, 2), "b": torch.zeros(3)}, SAFETENSORS / "no-network.safetensors")
sound = (SAFETENSORS / "sound.safetensors").read_bytes()
(SAFETENSORS / "cut.safetensors").write_bytes(sound[:-5])
(SAFETENSORS / "no-json.safetensors").write_bytes(header(b'{"a":'))
(SAFETENSORS / "overlap.safetensors").write_bytes(
    header({name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in "ab"}) + bytes(4)
)
(SAFETENSORS / "long-header.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")

torch.save(state, PTH / "sound.pth")
torch.save(state, PTH / "sound-legacy.pth", _use_new_zipfile_serialization=False)
torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 1}, PTH / "sound-wrapped.pth")
torch.save({"a": torch.zeros(1).expand(1 << 12, 1 << 12)}, PTH / "view.pth")
(PTH / "call.pth").write_bytes(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.")
(PTH / "memo-bomb.pth").write_bytes(b"\x80\x02(lq\x00" + b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(40)) + b".")
legacy = (PTH / "sound-legacy.pth").read_bytes()
(PTH / "cut.pth").write_bytes(legacy[: len(legacy) // 2])


def request(name, datatype, shape, data=None, raw=None, **more):
    """Writes a request: a line with the bytes of JSON where bytes follow, else an empty one, and the body."""
    tensor = {"name": "images", "datatype": datatype, "shape": shape}
    tensor |= {"parameters": {"binary_data_size": len(raw)}} if raw is not None else {"data": data}
    text = json.dumps({"inputs": [tensor], **more}).encode()
    line = b"" if raw is None else str(len(text)).encode()
    (REQUEST / name).write_bytes(line + b"\n" + text + (raw or b""))


def element(value):
    return struct.pack("<I", len(value)) + value


wanted = [{"name": "logits", "parameters": {"binary_data": True}}, {"name": "probabilities", "parameters": {"classification": 2}}]
request("sound-numbers", "FP32", [1, 1, 2, 2], [[[[0.5, -1], [1e3, 2]]]], id="7", outputs=wanted)
request("sound-bytes", "FP32", [1, 1, 2, 2], raw=struct.pack("<4f", 1, 2, 3, 4), parameters={"timeout": 9, "binary_data_output": True})
request("sound-pixels", "UINT8", [1, 1, 2, 3], [0, 1, 2, 3, 254, 255])
request("sound-raw-pixels", "UINT8", [2, 1, 1, 3], raw=bytes(6))
request("sound-files", "BYTES", [2, 1], ["aGk=", ""])
request("sound-raw-files", "BYTES", [2], raw=element(b"hi") + element(b""))
request("too-few", "FP32", [1, 1, 2, 2], [1, 2, 3])
request("overflow", "FP32", [1 << 62, 1 << 62, 1, 1], [1])
request("mixed", "BYTES", [2], ["aGk=", 1])
request("long-element", "BYTES", [1], raw=struct.pack("<I", 0xFFFFFFFF) + b"hi")
request("more-elements", "BYTES", [1], raw=element(b"") * 9)
request("other-output", "UINT8", [1, 1, 1, 1], [1], outputs=[{"name": "y"}])
request("many-outputs", "UINT8", [1, 1, 1, 1], [1], outputs=[{"name": "logits"}] * 9)
(REQUEST / "long-json").write_bytes(b"99999\n{}")
(REQUEST / "deep").write_bytes(b'\n{"inputs":[{"name":"images","datatype":"FP32","shape":[1],"data":' + b"[" * 500)
