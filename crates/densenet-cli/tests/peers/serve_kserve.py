"""KServe's own clients, unchanged, against a server of cifar10: `serve_kserve.py HTTP-ADDRESS GRPC-ADDRESS PICTURE`."""

import asyncio
import sys

import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput

http_address, grpc_address, picture = sys.argv[1:]
base, model = f"http://{http_address}", "densenet"
images = np.random.default_rng(0).standard_normal((3, 3, 32, 32), dtype=np.float32)


def request(values, datatype, binary, wanted=("logits",)):
    tensor = InferInput("images", list(values.shape), datatype)
    tensor.set_data_from_numpy(values, binary_data=binary)
    outputs = [RequestedOutput(name, parameters={"binary_data": binary}) for name in wanted]
    return InferRequest(model, [tensor], request_id="7", request_outputs=outputs)


def logits(reply):
    assert reply.id == "7" and reply.model_name == model
    return reply.outputs[0].as_numpy()


async def over_http(binary):
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        assert await client.is_server_live(base) and await client.is_server_ready(base)
        assert await client.is_model_ready(base, model) and not await client.is_model_ready(base, "nothing")
        replies = await asyncio.gather(
            *(client.infer(base, request(images, "FP32", binary), model_name=model) for _ in range(8))
        )
        try:
            await client.infer(base, request(images[:, :, 1:], "FP32", binary), model_name=model)
        except httpx.HTTPStatusError as error:
            assert "takes [N, 3, 32, 32]" in str(error), error
        else:
            raise AssertionError("a tensor of another shape was taken")
        both = await client.infer(base, request(images, "FP32", binary, ("logits", "probabilities")), model_name=model)
        assert np.allclose(both.outputs[1].as_numpy().sum(1), 1, atol=1e-5)
        return [logits(reply) for reply in replies]


async def over_grpc():
    async with InferenceGRPCClient(grpc_address) as client:
        assert await client.is_server_live() and await client.is_server_ready() and await client.is_model_ready(model)
        return [logits(await client.infer(request(images, "FP32", binary))) for binary in (True, False)]


async def of_file():
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        file = np.array([open(picture, "rb").read()], dtype=object)
        return logits(await client.infer(base, request(file, "BYTES", True), model_name=model))


replies = [*asyncio.run(over_http(True)), *asyncio.run(over_http(False)), *asyncio.run(over_grpc())]
assert all(reply.shape == (3, 10) and (reply == replies[0]).all() for reply in replies)
assert asyncio.run(of_file()).shape == (1, 10)
print("ok")
