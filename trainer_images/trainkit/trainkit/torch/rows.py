"""The layers of a PyTorch model as `trainkit.models.model_layers` lists them."""

from torch import nn

from trainkit.models.model_layers import Layer, ModelLayers
from trainkit.torch.network import Network


def of(model: object) -> ModelLayers | None:
    """The layers of a network, with their shapes, or the modules of another model; None of anything else."""
    if isinstance(model, Network):
        layers = [
            Layer(
                name=str(row.layer.number),
                type=str(row.layer),
                inside="",
                output_shape=list(row.shape),
                parameters=row.parameters,
                trains=row.parameters,
            )
            for row in model.rows
        ]
        total = sum(row.parameters for row in model.rows)
        return ModelLayers(name="network", framework="torch", parameters=total, trains=total, layers=layers)
    if not isinstance(model, nn.Module):
        return None
    return ModelLayers(
        name=type(model).__name__,
        framework="torch",
        parameters=_count(model),
        trains=_count(model, training=True),
        layers=[
            Layer(
                name=name,
                type=type(module).__name__,
                inside=name.rpartition(".")[0],
                output_shape=None,
                parameters=_count(module),
                trains=_count(module, training=True),
            )
            for name, module in model.named_modules()
            if name
        ],
    )


def _count(module: nn.Module, *, training: bool = False) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not training)
