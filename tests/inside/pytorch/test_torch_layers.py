"""Lists of layers, their shapes and their errors. Run in the pytorch image."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from trainkit.errors import InputError
from trainkit.models import model_layers
from trainkit.torch import layers
from trainkit.torch import network as torch_network
from trainkit.torch.network import Network, Shape

PICTURES: Shape = (3, 64, 64)
END = "\n- Flatten\n- Linear: classes"


def build(text: str, shape: Shape = PICTURES, outputs: int = 4, batch: int = 32) -> Network:
    return torch_network.build(layers.parse(text, outputs), shape, outputs, batch)


def refused(text: str, shape: Shape = PICTURES, batch: int = 32) -> InputError:
    with pytest.raises(InputError) as caught:
        build(text, shape, batch=batch)
    return caught.value


def shapes(text: str, shape: Shape = PICTURES) -> list[Shape]:
    return [row.shape for row in build(text, shape).rows]


def test_shapes_are_worked_out_layer_by_layer() -> None:
    text = "- Conv2d: [16, 3]\n- MaxPool2d: 2\n- Flatten\n- Linear: classes"
    assert shapes(text) == [(16, 62, 62), (16, 31, 31), (15376,), (4,)]


def test_the_network_is_the_one_that_is_written() -> None:
    text = "- Conv2d: {out_channels: 8, kernel_size: [3, 5], padding: [1, 2], bias: false}\n- LeakyReLU: 1e-2"
    network = build(text + "\n- AdaptiveAvgPool2d: 1" + END)
    expected = [
        torch.nn.Conv2d(3, 8, (3, 5), padding=(1, 2), bias=False),
        torch.nn.LeakyReLU(0.01),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 4),
    ]
    assert [str(module) for module in network.module] == [str(module) for module in expected]
    assert network.module(torch.rand(5, *PICTURES)).shape == (5, 4)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ("Linear: 4", torch.nn.Linear(32, 4)),
        ("Linear: {in_features: 32, out_features: 4}", torch.nn.Linear(32, 4)),
        ("Linear: [4, false]", torch.nn.Linear(32, 4, bias=False)),
        ("BatchNorm1d", torch.nn.BatchNorm1d(32)),
        ("LayerNorm", torch.nn.LayerNorm(32)),
        ("GroupNorm: 8", torch.nn.GroupNorm(8, 32)),
        ("Dropout: 0.3", torch.nn.Dropout(0.3)),
        ("ELU: {alpha: 2}", torch.nn.ELU(2.0)),
        ("Softmax", torch.nn.Softmax(1)),
        ("LogSoftmax: -1", torch.nn.LogSoftmax(-1)),
    ],
)
def test_arguments_are_given_by_position_or_name(layer: str, expected: torch.nn.Module) -> None:
    network = build(f"- {layer}\n- Linear: classes", (32,))
    assert str(network.module[0]) == str(expected)


@pytest.mark.parametrize(
    "name",
    [
        "BatchNorm1d", "ELU", "Flatten", "GELU", "Identity", "LayerNorm", "LeakyReLU", "LogSoftmax",
        "ReLU", "SiLU", "Sigmoid", "Softmax", "Tanh",
    ],
)  # fmt: skip
def test_a_layer_may_stand_without_arguments(name: str) -> None:
    module = build(f"- {name}\n- Linear: classes", (32,)).module[0]
    assert type(module).__name__ == name


@pytest.mark.parametrize("name", ["cnn.yaml", "bigger.yaml"])
def test_the_examples_for_pictures_take_different_sizes_and_classes(project: Path, name: str) -> None:
    text = layers.read(project / "layers" / name)
    for size, classes in ((64, 4), (128, 23)):
        network = build(text, (3, size, size), outputs=classes)
        assert network.module(torch.rand(2, 3, size, size)).shape == (2, classes)


def test_the_example_for_tables_takes_any_columns(project: Path) -> None:
    assert shapes(layers.read(project / "layers" / "mlp.yaml"), (30,))[-1] == (4,)


def test_the_table_has_numbers_layers_shapes_and_parameters() -> None:
    assert build("- Conv2d: [2, 3]" + END).table().splitlines() == [
        "   layer                                  output shape  parameters",
        "   input                                  3 x 64 x 64",
        "1  Conv2d(out_channels=2, kernel_size=3)  2 x 62 x 62           56",
        "2  Flatten()                              7688                   0",
        "3  Linear(out_features=4)                 4                 30,756",
        "   all                                                      30,812",
    ]


def test_the_layers_of_a_network_have_shapes_and_those_of_a_module_have_not() -> None:
    found = model_layers.of(build("- Conv2d: [2, 3]" + END))
    assert (found["parameters"], found["layers"][1]["output_shape"]) == (30_812, [7688])
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Sequential(torch.nn.Linear(2, 1)))
    module[0].requires_grad_(False)
    found = model_layers.of(module)
    assert (found["framework"], found["parameters"], found["trains"]) == ("torch", 11, 3)
    assert [(row["name"], row["inside"], row["parameters"]) for row in found["layers"]] == [
        ("0", "", 8),
        ("1", "", 3),
        ("1.0", "1", 3),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "The layers are no list."),
        ("Linear: 3", "The layers are no list."),
        ("- Linear: [", "The layers are not valid YAML in line 1."),
        ("- ReLU\n- Conv2d: 4\n  ReLU: 3", "Layer 2 has 2 names: Conv2d, ReLU."),
        ("- relu", "Layer 1 is 'relu', which is no layer."),
        ("- ReLU\n- Module", "Layer 2 is 'Module', which is no layer."),
        ("- __class__", "Layer 1 is '__class__', which is no layer."),
        ("- 5", "Layer 1 is 5, which is no layer."),
        ("- Linear", "Layer 1, Linear, lacks out_features."),
        ("- ReLU\n- Conv2d: 16", "Layer 2, Conv2d, lacks kernel_size."),
        ("- Conv2d: {out_channels: 4, kernel: 3}", "Layer 1, Conv2d, has no argument 'kernel'."),
        ("- ReLU: {inplace: true}", "Layer 1, ReLU, has no argument 'inplace'."),
        ("- Linear: {out_features: 4, device: cuda}", "Layer 1, Linear, has no argument 'device'."),
        ("- Flatten\n- Linear: [64, 4]", "Layer 2, Linear, has bias=4, which is no true or false."),
        ("- Flatten\n- Linear: -3", "Layer 2, Linear, has out_features=-3, which is no whole number"),
        ("- Conv2d: [4, 0]", "Layer 1, Conv2d, has kernel_size=0, which is no whole number above 0."),
        ("- Dropout: many", "Layer 1, Dropout, has p=many, which is no number."),
        ("- ReLU: 3", "Layer 1, ReLU, has 1 arguments; without names it takes none."),
        ("- Flatten: 0", "Layer 1, Flatten, has start_dim=0; dimension 0 is that of the samples."),
        ("- Conv2d: {out_channels: {a: 2}, kernel_size: 3}", "Layer 1, Conv2d, has the argument {'a': 2}"),
    ],
)  # fmt: skip
def test_an_invalid_list_says_which_layer(text: str, said: str) -> None:
    assert refused(text).message.startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- ReLU\n- Linear: 4", "Layer 2, Linear, gets 3 x 64 x 64, but needs a flat input."),
        ("- Flatten\n- Conv2d: [4, 3]", "Layer 2, Conv2d, gets 12288, but needs channels x height x width."),
        ("- Flatten\n- Linear: {in_features: 9, out_features: 4}",
         "Layer 2, Linear, has in_features=9, but gets 12288: it needs 12288."),
        ("- Conv2d: {in_channels: 1, out_channels: 4, kernel_size: 3}",
         "Layer 1, Conv2d, has in_channels=1, but gets 3 x 64 x 64: it needs 3."),
        ("- BatchNorm2d: {num_features: 4}",
         "Layer 1, BatchNorm2d, has num_features=4, but gets 3 x 64 x 64: it needs 3."),
        ("- MaxPool2d: 32\n- MaxPool2d: 4", "Layer 2, MaxPool2d, cannot work on 3 x 2 x 2: Given input size"),
        ("- Conv2d: [4, 99]", "Layer 1, Conv2d, cannot work on 3 x 64 x 64: Calculated padded input size"),
        ("- Conv2d: {out_channels: 4, kernel_size: 3, groups: 2}",
         "Layer 1, Conv2d, cannot work on 3 x 64 x 64: in_channels must be divisible by groups."),
        ("- LayerNorm: {normalized_shape: [64, 3]}", "Layer 1, LayerNorm, cannot work on 3 x 64 x 64:"),
        ("- Dropout: 2", "Layer 1, Dropout, cannot work on 3 x 64 x 64: dropout probability"),
        ("- Flatten\n- Softmax: 2", "Layer 2, Softmax, has dim=2, but gets 12288."),
        ("- Flatten\n- Linear: 1000000000000" + END, "Layer 2, Linear, cannot work on 12288:"),
    ],
)  # fmt: skip
def test_a_layer_that_does_not_fit_says_its_number_what_it_gets_and_what_it_needs(
    text: str, said: str
) -> None:
    assert refused(text).message.startswith(said)


def test_the_last_layer_has_to_be_as_wide_as_the_data_needs() -> None:
    error = refused("- Flatten\n- Linear: 10")
    assert error.message == "Layer 2, Linear, gives 10, but the data and the loss need 4."
    assert error.hint == "End with `- Linear: classes`."
    assert "`- Flatten`" in refused("- Conv2d: [4, 3]").hint


def test_near_names_are_suggested() -> None:
    assert refused("- relu").hint == "Did you mean ReLU?"
    assert refused("- Lineal: 3").hint == "Did you mean Linear?"
    assert refused("- Conv2d: {out_channels: 4, kernel: 3}").hint == "Did you mean kernel_size?"


def test_batch_normalisation_of_single_samples_is_refused_before_the_training() -> None:
    error = refused("- Flatten\n- BatchNorm1d" + END, batch=1)
    assert error.message.startswith("Layer 2, BatchNorm1d, cannot work on 12288:")
    assert "raise the batch size" in error.hint
    build("- BatchNorm2d" + END, batch=1)  # pictures have more than one value a channel


def test_building_leaves_fresh_statistics_and_seeded_weights() -> None:
    def weights() -> dict[str, torch.Tensor]:
        torch.manual_seed(3)
        return dict(build("- BatchNorm2d" + END).module.state_dict())

    first, second = weights(), weights()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert first["0.num_batches_tracked"] == 0
    assert torch.equal(first["0.running_mean"], torch.zeros(3))
