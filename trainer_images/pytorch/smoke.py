"""Run inside the image: shows that what a training needs is there and works together."""

import os
import sys
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import numpy as np
import torch
from mlflow.models import infer_signature
from sklearn.datasets import load_breast_cancer
from torch import nn
from trainkit import accelerator, arguments, figures, system_metrics  # noqa: F401
from trainkit.data import image_data, tables  # noqa: F401
from trainkit.torch import training  # noqa: F401
from trainkit.torch.export import export_onnx, onnx_difference
from trainkit.torch.layers import parse
from trainkit.torch.model import Model, standard_scale
from trainkit.torch.network import build

LAYERS = "- Linear: 16\n- ReLU\n- Linear: classes"


def check(what: str, passed: bool) -> None:
    """Print the outcome; a failed check ends the smoke test with exit code 1."""
    print(f"{'ok    ' if passed else 'FAILED'}  {what}")
    if not passed:
        sys.exit(1)


PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime", "numpy", "pandas", "skops", "trainkit")
for package in ("mlflow-skinny", *PACKAGES):
    print(f"{package} {version(package)}")
print(f"{torch.get_num_threads()} threads, CUDA {torch.version.cuda}")

device = torch.device("cpu")
if os.environ.get("TRAINER_GPUS", "none") != "none":
    check(f"sees {torch.cuda.device_count()} GPUs", torch.cuda.is_available())
    device = torch.device("cuda")
    print(f"{torch.cuda.get_device_name()}, built for {' '.join(torch.cuda.get_arch_list())}")
    square = torch.rand(512, 512)
    close = torch.allclose((square.to(device) @ square.to(device)).cpu(), square @ square, rtol=1e-2)
    check("multiplies on the GPU as on the CPU", close)

torch.manual_seed(0)
bunch = load_breast_cancer()
features, target = torch.from_numpy(bunch.data).to(device), torch.from_numpy(bunch.target).to(device)
network = build(parse(LAYERS, 2), (30,), 2, batch=32)
model = Model(network, "CrossEntropyLoss", standard_scale(features)).to(device)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for _ in range(100):
    optimizer.zero_grad()
    model.loss(model.scores(features), target).backward()
    optimizer.step()
model.eval()
with torch.inference_mode():
    accuracy = (model(features).argmax(dim=1) == target).double().mean().item()
check(f"fits to an accuracy of {accuracy:.3f} on {device}", accuracy > 0.95)

model.cpu()
with TemporaryDirectory() as folder:
    with torch.inference_mode():
        answers = model(torch.from_numpy(bunch.data)).numpy()
    check("answers that are no constant", answers.std() > 0.1)
    signature = infer_signature(bunch.data, answers)
    mlflow.pytorch.save_model(
        model, f"{folder}/model", signature=signature, input_example=bunch.data[:2], pip_requirements=[]
    )
    reloaded = mlflow.pytorch.load_model(f"{folder}/model")(torch.from_numpy(bunch.data)).detach().numpy()
    check("saves and loads with the same answers", np.allclose(reloaded, answers))
    place = Path(folder) / "model.onnx"
    export_onnx(model, torch.from_numpy(bunch.data[:2]), place)
    difference = onnx_difference(model, place, bunch.data)
    check(f"exports to ONNX with answers that differ by {difference:.1g}", difference < 1e-4)

pictures = torch.rand(2, 3, 32, 32).to(device)
convolved = nn.Conv2d(3, 8, 3).to(device)(pictures)
check(f"convolves pictures on {device}", tuple(convolved.shape) == (2, 8, 30, 30))

picture = BytesIO()
names = list(bunch.target_names)
true, predicted = bunch.target_names[bunch.target], bunch.target_names[answers.argmax(axis=1)]
figures.confusion_matrix(true, predicted, names).savefig(picture)
check("draws a PNG without a display", picture.getvalue().startswith(b"\x89PNG"))
