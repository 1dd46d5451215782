"""The peer of `bench.serve`: FastAPI around ONNX Runtime, as one would write it, with pictures prepared as torchvision does.

python -m bench.web MODEL.onnx SIZE THREADS PORT
"""

from __future__ import annotations

import io
import sys

import numpy as np
import onnxruntime as ort
import uvicorn
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from PIL import Image

MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


def prepare(encoded: bytes, size: int) -> np.ndarray:
    """The input (1, 3, H, W): the shorter side scaled, the centre cut out, normalised."""
    picture = Image.open(io.BytesIO(encoded)).convert("RGB")
    side = round(size / 0.875)
    scale = side / min(picture.size)
    width, height = (max(side, int(extent * scale)) for extent in picture.size)
    picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - size) / 2), round((height - size) / 2)
    pixels = np.asarray(picture.crop((left, top, left + size, top + size)), np.float32) / 255
    return np.ascontiguousarray(((pixels - MEAN) / STD).transpose(2, 0, 1)[None])


def application(file: str, size: int, threads: int) -> FastAPI:
    """`POST /predict` as `densenet serve` has it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    app = FastAPI()

    def classes(encoded: bytes) -> list[dict]:
        logits = session.run(None, {"images": prepare(encoded, size)})[0][0]
        exponentials = np.exp(logits - logits.max())
        probabilities = exponentials / exponentials.sum()
        likeliest = np.argsort(-logits)[:5]
        return [{"index": int(index), "probability": float(probabilities[index])} for index in likeliest]

    @app.post("/predict")
    async def predict(request: Request) -> dict:
        return {"classes": await run_in_threadpool(classes, await request.body())}

    return app


if __name__ == "__main__":
    model, size, threads, port = sys.argv[1:]
    app = application(model, int(size), int(threads))
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", access_log=False)
