"""Triton's example image_client.py, unchanged, against a server of cifar10:
`serve_image_client.py HTTP-ADDRESS GRPC-ADDRESS PICTURE`.

The example is downloaded beside the environment's Python unless it is there; without it, says why and does nothing.
"""

import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import tritonclient.http as http
from PIL import Image

SOURCE = "https://raw.githubusercontent.com/triton-inference-server/client/r25.10/src/python/examples/image_client.py"

http_address, grpc_address, picture = sys.argv[1:]


def example():
    path = Path(sys.executable).with_name("image_client.py")
    if not path.exists():
        try:
            with urllib.request.urlopen(SOURCE, timeout=20) as reply:
                path.write_bytes(reply.read())
        except OSError as error:
            print(f"skipped: no image_client.py: {error}")
            sys.exit()
    return path


def expected():
    """The three likeliest classes of the picture as the example prepares it."""
    pixels = np.asarray(Image.open(picture).convert("RGB").resize((32, 32), Image.BILINEAR), np.float32)
    tensor = http.InferInput("images", [1, 3, 32, 32], "FP32")
    tensor.set_data_from_numpy((pixels / 127.5 - 1).transpose(2, 0, 1)[None].copy())
    wanted = http.InferRequestedOutput("logits", class_count=3)
    classes = http.InferenceServerClient(http_address).infer("densenet", [tensor], outputs=[wanted]).as_numpy("logits")
    return ["    {} ({}) = {}".format(*text.decode().split(":")) for text in classes[0]]


script, classes = example(), expected()
for protocol, address in [("HTTP", http_address), ("gRPC", grpc_address)]:
    for more in [(), ("--async",), ("-x", "1", "-b", "2")]:
        command = [sys.executable, script, "-m", "densenet", "-c", "3", "-s", "INCEPTION", "-i", protocol, "-u", address]
        done = subprocess.run([*command, *more, picture], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        batch = 2 if "-b" in more else 1
        lines = [f"Request 1, batch size {batch}", *classes * batch, "PASS"]
        assert done.stdout.splitlines() == lines, (protocol, more, done.stdout)
print("ok")
