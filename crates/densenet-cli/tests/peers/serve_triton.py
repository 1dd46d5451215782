"""Triton's own clients, unchanged, against a server of cifar10: `serve_triton.py HTTP-ADDRESS GRPC-ADDRESS PICTURE`."""

import asyncio
import sys

import numpy as np
import tritonclient.grpc as grpc
import tritonclient.grpc.aio as grpc_aio
import tritonclient.http as http
import tritonclient.http.aio as http_aio
from grpc import insecure_channel as channel
from tritonclient.utils import InferenceServerException

http_address, grpc_address, picture = sys.argv[1:]
images = np.random.default_rng(0).standard_normal((3, 3, 32, 32), dtype=np.float32)


def inputs(module, **how):
    tensor = module.InferInput("images", images.shape, "FP32")
    tensor.set_data_from_numpy(images, **how)
    return [tensor]


def outputs(module, **how):
    return [module.InferRequestedOutput("logits", **how), module.InferRequestedOutput("probabilities", class_count=2)]


def look(client):
    """Everything that a client may ask of a server before it sends anything, as image_client does."""
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("densenet", "1")
    assert not is_there(client, "nothing")
    return client.get_server_metadata(), client.get_model_metadata("densenet"), client.get_model_config("densenet")


def is_there(client, model):
    try:
        client.get_model_metadata(model)
    except Exception as error:
        assert "no model" in str(error), error
        return False
    return True


async def in_time(module, address):
    async with module.InferenceServerClient(address) as client:
        parts = [client.infer("densenet", inputs(module)) for _ in range(8)]
        return [reply.as_numpy("logits") for reply in await asyncio.gather(*parts)]


web, rpc = http.InferenceServerClient(http_address), grpc.InferenceServerClient(grpc_address)
server, metadata, config = look(web)
assert metadata["inputs"][0]["shape"] == [-1, 3, 32, 32] and config["input"][0]["format"] == "FORMAT_NCHW"
server, metadata, config = look(rpc)
assert list(metadata.inputs[0].shape) == [-1, 3, 32, 32] and config.config.input[0].format == 2

first = web.infer("densenet", inputs(http), outputs=outputs(http), request_id="7")
logits, classes = first.as_numpy("logits"), first.as_numpy("probabilities")
assert first.get_response()["id"] == "7" and logits.shape == (3, 10) and classes.shape == (3, 2)
for row, likeliest in zip(logits, classes):
    value, index, label = likeliest[0].decode().split(":")
    assert int(index) == row.argmax() and label and 0 < float(value) <= 1

packed = web.infer(
    "densenet",
    inputs(http, binary_data=False),
    outputs=outputs(http, binary_data=False),
    request_compression_algorithm="gzip",
    response_compression_algorithm="deflate",
)
others = [packed.as_numpy("logits"), rpc.infer("densenet", inputs(grpc), outputs=outputs(grpc)).as_numpy("logits")]
others += asyncio.run(in_time(http_aio, http_address)) + asyncio.run(in_time(grpc_aio, grpc_address))
assert all((other == logits).all() for other in others)

# grpc.health.v1, of the server and of its service.
health = channel(grpc_address).unary_unary("/grpc.health.v1.Health/Check")
service = b"inference.GRPCInferenceService"
assert health(b"") == health(b"\n" + bytes([len(service)]) + service) == b"\x08\x01"

large = grpc.InferInput("images", [2000, 3, 32, 32], "FP32")
large.set_data_from_numpy(np.zeros(large.shape(), np.float32))
try:
    rpc.infer("densenet", [large])
except InferenceServerException as error:
    assert error.status() in ("StatusCode.OUT_OF_RANGE", "StatusCode.RESOURCE_EXHAUSTED"), error
else:
    raise AssertionError("a body of 24 MB was taken")

file = http.InferInput("images", [1], "BYTES")
file.set_data_from_numpy(np.array([open(picture, "rb").read()], dtype=object))
assert web.infer("densenet", [file], timeout=10_000_000).as_numpy("logits").shape == (1, 10)
print("ok")
