"""A network from elsewhere is taken as it is, or refused in one line that says what to do."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from inspector.errors import NetworkError
from inspector.model.network import read_network
from inspector.model.onnx_nodes import Nodes
from tests.support import networks


def test_a_network_with_free_sides_is_fixed_to_one_image(tmp_path: Path) -> None:
    network = read_network(networks.pyramid(tmp_path / "net.onnx"))
    assert (network.input.name, network.input.channels, network.input.height) == ("pixels", 3, None)
    assert network.outputs == ("fine", "coarse")
    assert network.shapes((64, 96), ("coarse", "b", "fine")) == {
        "coarse": ("float32", (1, 12, 4, 6)),
        "b": ("float32", (1, 12, 4, 6)),
        "fine": ("float32", (1, 8, 16, 24)),
    }


def test_only_what_is_needed_is_kept(tmp_path: Path) -> None:
    network = read_network(networks.pyramid(tmp_path / "net.onnx"))
    model = network.at((64, 64), ("fine",))
    assert [node.op_type for node in model.graph.node] == ["Conv", "Relu"]
    assert [constant.name for constant in model.graph.initializer] == ["first"]
    assert len(network.model.graph.node) == 6, "the network itself stays whole"


def test_the_scale_is_what_the_file_declares(tmp_path: Path) -> None:
    plain = read_network(networks.pyramid(tmp_path / "plain.onnx"))
    assert (plain.mean, plain.deviation) == ((0, 0, 0), (255, 255, 255))
    metadata = {"mean": "0.5, 0.4,0.3", "std": "0.2"}
    declared = read_network(networks.pyramid(tmp_path / "declared.onnx", metadata=metadata))
    np.testing.assert_allclose(declared.mean, (127.5, 102, 76.5))
    np.testing.assert_allclose(declared.deviation, (51, 51, 51))


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"mean": "0.5,0.5"}, "3 numbers as in"),
        ({"std": "wide"}, "3 numbers as in"),
        ({"std": "0"}, "above 0"),
    ],
)
def test_a_scale_that_is_none_is_refused(tmp_path: Path, metadata: dict[str, str], message: str) -> None:
    path = networks.pyramid(tmp_path / "net.onnx", metadata=metadata)
    with pytest.raises(NetworkError, match=message):
        read_network(path)


ABS = [helper.make_node("Abs", ["pixels"], ["y"])]


@pytest.mark.parametrize(
    ("image", "kind", "message"),
    [
        ((2, 3, 64, 64), TensorProto.FLOAT, "fixed to a batch of 2"),
        (
            (1, 64, 64, 3),
            TensorProto.FLOAT,
            r"1 or 3 channels in the second place, found float \[1, 64, 64, 3\]",
        ),
        ((1, 3, 64, 64), TensorProto.FLOAT16, "float16"),
        ((3, 64, 64), TensorProto.FLOAT, r"found float \[3, 64, 64\]"),
        ((1, "c", 64, 64), TensorProto.FLOAT, "1 or 3 channels"),
    ],
)
def test_an_input_that_is_no_image_is_refused(
    tmp_path: Path, image: networks.Shape, kind: int, message: str
) -> None:
    nodes = [*ABS, helper.make_node("Cast", ["y"], ["z"], to=TensorProto.FLOAT)]
    path = networks.write(tmp_path / "net.onnx", nodes, [], {"z": image}, image=image, kind=kind)
    with pytest.raises(NetworkError, match=message) as caught:
        read_network(path)
    assert "\n" not in str(caught.value)


def test_operators_of_others_are_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Grid", ["pixels"], ["y"], domain="com.somebody")]
    path = networks.write(tmp_path / "net.onnx", nodes, [], {"y": networks.FREE})
    with pytest.raises(NetworkError, match=r"found some of com\.somebody; export without them"):
        read_network(path)


@pytest.mark.parametrize("content", [b"", b"no network", b"\x08\x07" * 50])
def test_what_is_no_network_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(NetworkError, match="expected an ONNX file") as caught:
        read_network(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="No such file or directory; correct the path"):
        read_network(tmp_path / "net.onnx")


def test_a_value_that_is_not_there_is_told(tmp_path: Path) -> None:
    network = read_network(networks.pyramid(tmp_path / "net.onnx"))
    with pytest.raises(
        NetworkError, match=r"the value 'layer9', there is none; its outputs are fine, coarse"
    ):
        network.at((64, 64), ("layer9",))


def test_fixed_sides_stay(tmp_path: Path) -> None:
    network = read_network(networks.pyramid(tmp_path / "net.onnx", image=(1, 3, 64, 96)))
    network.at((64, 96))
    with pytest.raises(NetworkError, match="96 x 64 pixels, which the network is fixed to, got 64 x 64"):
        network.at((64, 64))


def test_two_copies_in_one_graph_share_their_weights_and_keep_apart(tmp_path: Path) -> None:
    """Also with a branch inside, whose nodes use values of the graph around it."""
    then, other = (
        helper.make_graph(
            [helper.make_node(operator, ["pixels", "weight"], [f"{operator}_y"])],
            operator,
            [],
            [helper.make_tensor_value_info(f"{operator}_y", TensorProto.FLOAT, [1, 3, 2, 2])],
        )
        for operator in ("Add", "Mul")
    )
    nodes = [
        helper.make_node("ReduceMax", ["pixels"], ["top"], keepdims=0),
        helper.make_node("Greater", ["top", "limit"], ["bright"]),
        helper.make_node("If", ["bright"], ["y"], then_branch=then, else_branch=other),
    ]
    constants = [
        networks.constant("weight", np.full((1, 3, 1, 1), 3, np.float32)),
        networks.constant("limit", np.float32(10)),
    ]
    network = read_network(
        networks.write(tmp_path / "net.onnx", nodes, constants, {"y": (1, 3, 2, 2)}, image=(1, 3, 2, 2))
    )
    graph = network.at((2, 2)).graph
    nodes_ = Nodes()
    doubled = nodes_.add("Mul", "x", nodes_.scalar("ten", 10.0))
    outputs = [nodes_.splice(graph, {"pixels": image}, ["y"])[0] for image in ("x", doubled)]
    model = nodes_.model("two", {"x": (1, 3, 2, 2)}, dict.fromkeys(outputs, (1, 3, 2, 2)))
    assert len(model.graph.initializer) == 3
    onnx.checker.check_model(model, full_check=True)
    dark, bright = ReferenceEvaluator(model).run(None, {"x": np.full((1, 3, 2, 2), 2, np.float32)})
    assert float(np.asarray(dark).max()) == 6
    assert float(np.asarray(bright).max()) == 23


def test_weights_in_a_file_beside_are_read_and_hashed(tmp_path: Path) -> None:
    """As the newer of PyTorch's exporters leaves them."""
    path = networks.pyramid(tmp_path / "whole.onnx")
    whole, apart = read_network(path), tmp_path / "apart.onnx"
    onnx.save(onnx.load(path), apart, save_as_external_data=True, location="apart.data", size_threshold=0)
    network = read_network(apart)
    assert (
        network.at((64, 64)).graph.initializer[0].raw_data == whole.at((64, 64)).graph.initializer[0].raw_data
    )
    assert whole.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    before = network.sha256
    data = bytearray((tmp_path / "apart.data").read_bytes())
    data[0] ^= 1
    (tmp_path / "apart.data").write_bytes(data)
    assert network.sha256 != before
    (tmp_path / "apart.data").unlink()
    with pytest.raises(NetworkError, match="expected an ONNX file") as caught:
        read_network(apart)
    assert "\n" not in str(caught.value)
