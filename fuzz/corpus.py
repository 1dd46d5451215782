"""Writes the corpus: small checkpoints that are sound, and files with one fault each."""

import json
import struct
from pathlib import Path

import torch
from safetensors.torch import save_file
from torchvision.models import DenseNet

HERE = Path(__file__).parent / "corpus"
SAFETENSORS, PTH = HERE / "safetensors", HERE / "pth"


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
