"""The exporter says in one line what it lacks; what it writes is a backbone."""

import subprocess
import sys
from pathlib import Path

import pytest

from inspector.model.onnx_backbone import open_onnx_backbone

ROOT = Path(__file__).parents[3]


def export(*arguments: object, python: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
    """Run the tool as a user does."""
    words = [sys.executable, *python, "tools/export_backbone", *map(str, arguments)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


def test_without_a_training_framework_it_says_what_to_install(tmp_path: Path) -> None:
    """Isolated from site-packages, so that it holds where torch is installed, too."""
    done = export("timm:resnet18", "--out", tmp_path / "net.onnx", python=("-I", "-S"))
    assert done.returncode == 1
    assert done.stderr == (
        "export_backbone: expected an environment with torch, onnx and timm, torch is missing; pip install torch onnx timm\n"
    )
    assert not (tmp_path / "net.onnx").exists()


@pytest.mark.parametrize("name", ["resnet18", "keras:resnet18", "timm:"])
def test_a_network_without_its_source_is_told(name: str, tmp_path: Path) -> None:
    done = export(name, "--out", tmp_path / "net.onnx")
    assert done.returncode == 1
    assert done.stderr == (
        f"export_backbone: expected timm:NAME or torchvision:NAME, got {name!r}; as in timm:resnet18\n"
    )


def test_what_it_writes_is_a_backbone(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="no torch: pip install torch timm")
    timm = pytest.importorskip("timm", reason="no timm: pip install torch timm")
    weights, out = tmp_path / "weights.pth", tmp_path / "net.onnx"
    torch.save(timm.create_model("resnet18", pretrained=False, features_only=True).state_dict(), weights)
    done = export("timm:resnet18", "--weights", weights, "--out", out)
    assert done.returncode == 0, done.stderr
    backbone = open_onnx_backbone(out)
    assert backbone.default_taps == ("stage2", "stage3")
    assert backbone.pixels.mean == pytest.approx((0.485 * 255, 0.456 * 255, 0.406 * 255))
    assert [tap.channels for tap in backbone.taps(backbone.default_taps, (64, 96))] == [128, 256]
