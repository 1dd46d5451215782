"""Writes the corpus: small checkpoints that are sound, and files with one fault each."""

import io
import json
import pickle
import struct
import tarfile
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file
from torchvision.models import DenseNet

HERE = Path(__file__).parent / "corpus"
SAFETENSORS, PTH = HERE / "safetensors", HERE / "pth"


def header(value):
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return struct.pack("<Q", len(text)) + text


class Persistent(pickle.Pickler):
    """Names a tensor by its number, as the tar files did."""

    def persistent_id(self, value):
        return value.number if isinstance(value, Numbered) else None


class Numbered:
    def __init__(self, number):
        self.number = number


def write_tar(state, path):
    """As PyTorch saved before 0.1.10: a tar file of `storages`, `tensors` and `pickle`."""
    storages, tensors, named = io.BytesIO(), io.BytesIO(), io.BytesIO()
    for part in (storages, tensors):
        pickle.dump(len(state), part, protocol=2)
    for number, value in enumerate(state.values()):
        kind = torch.LongStorage if value.dtype == torch.int64 else torch.FloatStorage
        pickle.dump((number, "cpu", kind), storages, protocol=2)
        storages.write(struct.pack("<q", value.numel()) + value.contiguous().numpy().tobytes())
        pickle.dump((1000 + number, number, type(value)), tensors, protocol=2)
        extents = (*value.shape, *value.stride(), value.storage_offset())
        tensors.write(struct.pack(f"<ii{len(extents)}q", value.dim(), 0, *extents))
    pickle.dump([], storages, protocol=2)
    Persistent(named, protocol=2).dump(OrderedDict((name, Numbered(str(1000 + i))) for i, name in enumerate(state)))
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, part in (("storages", storages), ("tensors", tensors), ("pickle", named)):
            entry = tarfile.TarInfo(name)
            entry.size = part.tell()
            archive.addfile(entry, io.BytesIO(part.getvalue()))


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
write_tar(state, PTH / "sound-tar.pth")
torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 1}, PTH / "sound-wrapped.pth")
torch.save({"a": torch.zeros(1).expand(1 << 12, 1 << 12)}, PTH / "view.pth")
(PTH / "call.pth").write_bytes(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.")
(PTH / "memo-bomb.pth").write_bytes(b"\x80\x02(lq\x00" + b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(40)) + b".")
legacy = (PTH / "sound-legacy.pth").read_bytes()
(PTH / "cut.pth").write_bytes(legacy[: len(legacy) // 2])
