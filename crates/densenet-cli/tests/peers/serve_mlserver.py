"""MLServer's own client, unchanged, against a server of cifar10: `serve_mlserver.py HTTP-ADDRESS GRPC-ADDRESS PICTURE`."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tritonclient.http as http

http_address = sys.argv[1]
images = np.random.default_rng(0).standard_normal((6, 1, 3, 32, 32), dtype=np.float32)


def request(image):
    tensor = {"name": "images", "datatype": "FP32", "shape": [1, 3, 32, 32], "data": image.ravel().tolist()}
    return json.dumps({"inputs": [tensor], "outputs": [{"name": "logits"}]})


def expected(image):
    tensor = http.InferInput("images", [1, 3, 32, 32], "FP32")
    tensor.set_data_from_numpy(image)
    return http.InferenceServerClient(http_address).infer("densenet", [tensor]).as_numpy("logits")[0]


def infer(folder, lines, *options):
    """What `mlserver infer` writes for the lines of its input, in their order."""
    (folder / "in.json").write_text("".join(line + "\n" for line in lines))
    command = [Path(sys.executable).with_name("mlserver"), "infer", "--url", http_address, "--model-name", "densenet"]
    command += ["--input-data-path", folder / "in.json", "--output-data-path", folder / "out.json", "--retries", "1"]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    replies = [json.loads(line) for line in (folder / "out.json").read_text().splitlines()]
    return sorted(replies, key=lambda reply: reply["parameters"]["batch_index"])


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    right = np.array([expected(image) for image in images])
    for options in [(), ("--binary-data",), ("--batch-size", "4"), ("--workers", "3")]:
        replies = infer(folder, map(request, images), *options)
        logits = np.float32([reply["outputs"][0]["data"] for reply in replies])
        assert (logits == right).all(), options
    wrong = infer(folder, [request(images[0]).replace('"images"', '"x"')])
    assert "there is no input" in wrong[0]["error"]["msg"], wrong
print("ok")
