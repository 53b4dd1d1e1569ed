"""The layers of a PyTorch model as `trainkit.models.model_layers` lists them."""

from collections.abc import Iterator

from torch import nn

from trainkit.models.model_layers import Layer, ModelLayers
from trainkit.torch import network as torch_network
from trainkit.torch.network import Network


def of(model: object) -> ModelLayers | None:
    """The layers of a network, with their shapes, or the modules of another model; None of anything else."""
    if isinstance(model, Network):
        layers = [*_embeddings(model)] + [
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
        return ModelLayers(
            name="network",
            framework="torch",
            parameters=model.parameters,
            trains=model.parameters,
            layers=layers,
        )
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


def _embeddings(network: Network) -> Iterator[Layer]:
    """One layer, and inside of it one for each column."""
    if not network.embeddings:
        return
    parameters = sum(embedding.parameters for embedding in network.embeddings)
    yield Layer(
        name="embeddings",
        type="Embeddings",
        inside="",
        output_shape=[torch_network.width(network.input_shape, network.embeddings)],
        parameters=parameters,
        trains=parameters,
    )
    for embedding in network.embeddings:
        yield Layer(
            name=f"embeddings.{embedding.column}",
            type=str(embedding),
            inside="embeddings",
            output_shape=[embedding.width],
            parameters=embedding.parameters,
            trains=embedding.parameters,
        )


def _count(module: nn.Module, *, training: bool = False) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not training)
