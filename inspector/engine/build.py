"""Building plans: an ONNX graph in, a serialised engine out. With `tensorrt_rtx` this needs no GPU; nothing here runs a plan.

The builder is that of `tensorrt` where it is installed, else of `tensorrt_rtx`; what we use is common to both. Both build strongly
typed networks only from their next major version on, and so do we: each layer computes in the type that the graph says.
"""

import contextlib
import importlib
import logging
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np

from inspector.engine.base import one_line
from inspector.engine.plan import Plan, PlanKey, plan_folder, read_plan, read_precision, sha256, write_plan
from inspector.errors import EngineUnavailableError, GraphError

log = logging.getLogger(__name__)

INSTALL = "sh tools/setup gpu"
INSTALL_BUILDER = "sh tools/setup build"  # which needs neither a GPU nor the CUDA toolkit
_PROGRESS_PERCENT = 20  # a line of the log for each
_ANY_CAPABILITY = re.compile(r"(?:sm_?)?(\d{2,3})a?|(\d{1,2})\.(\d)")


def load_tensorrt(install: str = INSTALL) -> Any:
    """Return the module `tensorrt`, else `tensorrt_rtx`; what we use is common to both. Raises EngineUnavailableError.

    `install`: the words that bring one, for its message.
    """
    for name in ("tensorrt", "tensorrt_rtx"):
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    raise EngineUnavailableError(f"no tensorrt and no tensorrt_rtx that loads: {install}")


def capability_of(text: str) -> str:
    """Return "sm_89", "sm89" or "8.9" as "sm89". Raises EngineUnavailableError for anything else."""
    found = _ANY_CAPABILITY.fullmatch(text.strip().lower())
    if found is None:
        raise EngineUnavailableError(
            f"expected a GPU's compute capability like sm_89 or 8.9, got {text!r}; "
            "nvidia-smi --query-gpu=compute_cap --format=csv names yours"
        )
    return "sm" + (found[1] or found[2] + found[3])


def plan_for(trt: Any, graph: Path, capability: str, gpu: str, *, again: bool = False) -> Plan:
    """Return the cached plan for this graph, runtime and GPU, or build and cache it: in the precision that was settled, else float32.

    `gpu` is its name; RTX plans do not depend on it. With `again` it is built in any case. Raises GraphError, EngineUnavailableError.
    """
    from inspector.engine.half import RULES  # late: it loads onnx

    data = graph.read_bytes()
    folder = plan_folder(graph)
    key = PlanKey(
        graph_sha256=sha256(data),
        runtime=trt.__name__,
        runtime_version=trt.__version__,
        compute_capability=capability,
        gpu="" if builds_for_others(trt) else gpu,
        precision=_precision(folder, sha256(data), RULES),
        rules=RULES,
    )
    cached = None
    if not again:
        try:
            cached = read_plan(folder, key)
        except GraphError as error:
            log.warning("plan_refused", extra={"why": str(error), "next": "building it again"})
    if cached is not None:
        return cached
    log.info("plan_building", extra={"graph": str(graph), **key.model_dump()})
    plan = build_plan(trt, graph, data, capability, precision=key.precision)
    try:
        write_plan(folder, key, plan)
    except OSError as error:  # the plan in hand is good; only the next start will be slow again
        log.warning("plan_not_cached", extra={"folder": str(folder), "why": one_line(error)})
    else:
        log.info("plan_built", extra={"folder": str(folder), "bytes": len(plan.data)})
    return plan


def builds_for_others(trt: Any) -> bool:
    """Return whether this builder makes plans for GPUs that are not there: RTX does, the full TensorRT times kernels on its own."""
    return hasattr(trt.IBuilderConfig, "set_compute_capability")


def build_plan(
    trt: Any,
    graph: Path,
    data: bytes,
    compute_capability: str,
    *,
    precision: Literal["half", "float32"] = "float32",
) -> Plan:
    """Compile the ONNX bytes `data`, read from `graph`, into a strongly typed plan for e.g. "sm86". RTX needs no GPU for it.

    Raises GraphError where it cannot be compiled, EngineUnavailableError where the builder does not know this GPU.
    """
    _require_signed(graph, data)
    if precision == "half":
        data = _halved(graph, data)
    logger = logger_of(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(data):
        errors = "; ".join(_parser_error(parser.get_error(i)) for i in range(parser.num_errors))
        raise GraphError(f"{graph}: {trt.__name__} cannot read this graph: {one_line(Exception(errors))}")
    inputs = {t.name: _tensor(trt, t) for t in map(network.get_input, range(network.num_inputs))}
    outputs = {t.name: _tensor(trt, t) for t in map(network.get_output, range(network.num_outputs))}
    config = builder.create_builder_config()
    # 10 bits of mantissa are not the float32 of the calibration: the distance is a small difference of large sums.
    config.clear_flag(trt.BuilderFlag.TF32)
    monitor = _progress(trt)  # the configuration does not keep it alive
    config.progress_monitor = monitor
    if builds_for_others(trt):
        config.num_compute_capabilities = 1
        config.set_compute_capability(known_capability(trt, compute_capability), 0)
    serialised = builder.build_serialized_network(network, config)
    if serialised is None:
        raise GraphError(
            f"{graph}: {trt.__name__} cannot compile this graph for {compute_capability}: {logger.last_error()}"
        )
    return Plan(bytes(serialised), inputs, outputs)


def _precision(folder: Path, graph_sha256: str, rules: int) -> Literal["half", "float32"]:
    try:
        settled = read_precision(folder, graph_sha256, rules)
    except GraphError as error:
        log.warning("precision_refused", extra={"why": str(error), "next": "building in float32"})
        settled = None
    return "float32" if settled is None else settled.taken


def _require_signed(graph: Path, data: bytes) -> None:
    """Raise GraphError for numbers of eight bits without a sign: TensorRT takes them for signed ones, and only warns."""
    import onnx  # late: it is not needed where a plan is cached

    try:
        whole = onnx.load_model_from_string(data).graph
    except Exception:  # noqa: BLE001 - protobuf's reader has a type for each fault, and TensorRT's parser says what is wrong
        return
    graphs = [whole]
    for each in graphs:  # grows by the bodies of loops
        graphs += [
            attribute.g for node in each.node for attribute in node.attribute if attribute.HasField("g")
        ]
    unsigned = {
        value.name
        for each in graphs
        for value in each.initializer
        if value.data_type == onnx.TensorProto.UINT8
    }
    for node in (node for each in graphs for node in each.node):
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"} and unsigned.intersection(node.input[2:]):
            raise GraphError(
                f"{graph}: holds {node.op_type} of unsigned 8 bits, which TensorRT takes for signed ones: "
                "choose model.engine openvino, or fit the pack again with --precision float32"
            )


def _halved(graph: Path, data: bytes) -> bytes:
    from inspector.engine.half import to_half

    half = to_half(data)
    if half is None:
        raise GraphError(
            f"{graph}: nothing in this graph can be computed in half precision: build it in float32"
        )
    return half


def _parser_error(error: Any) -> str:
    node = " ".join(filter(None, (error.node_operator(), error.node_name())))
    return f"{node}: {error.desc()}" if node else str(error.desc())


def known_capability(trt: Any, name: str) -> Any:
    """Return the builder's own name of e.g. "sm86". Raises EngineUnavailableError, with those that it knows."""
    try:
        return getattr(trt.ComputeCapability, name.upper())
    except AttributeError:
        known = ", ".join(each.lower() for each in trt.ComputeCapability.__members__ if each.startswith("SM"))
        raise EngineUnavailableError(
            f"{trt.__name__} {trt.__version__} has no kernels for {name}, only for {known}; "
            "the full tensorrt has, on the machine with that GPU"
        ) from None


def _tensor(trt: Any, tensor: Any) -> tuple[str, tuple[int, ...]]:
    return np.dtype(trt.nptype(tensor.dtype)).name, tuple(tensor.shape)


def _progress(trt: Any) -> Any:
    """Return a monitor that logs how far the outermost phase of a build is."""

    class Progress(trt.IProgressMonitor):  # type: ignore[misc]  # untyped, and known only once it is imported
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}
            self.told = -_PROGRESS_PERCENT

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            """Begin a phase of so many steps."""
            if parent is None:
                self.steps[phase], self.told = steps, -_PROGRESS_PERCENT

        def step_complete(self, phase: str, step: int) -> bool:
            """Take note of a step; go on."""
            percent = 100 * (step + 1) // max(1, self.steps.get(phase, 0))
            if phase in self.steps and percent >= self.told + _PROGRESS_PERCENT:
                self.told = percent
                log.info("plan_progress", extra={"phase": phase, "percent": percent})
            return True

        def phase_finish(self, phase: str) -> None:
            """End a phase."""
            self.steps.pop(phase, None)

    return Progress()


_loggers: dict[str, Any] = {}  # by package: TensorRT keeps the first one it is given for the whole process


def logger_of(trt: Any) -> Any:
    """Return TensorRT's logger, without an error so far: passes warnings and errors on to ours, keeps the last error for our message."""
    severity = trt.ILogger.Severity

    class Logger(trt.ILogger):  # type: ignore[misc]  # the vendor's class is untyped, and known only once it is imported
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.error = ""

        def log(self, level: Any, message: str) -> None:
            """Take one message; any thread of TensorRT's."""
            text = one_line(Exception(message))
            if level in {severity.ERROR, severity.INTERNAL_ERROR}:
                self.error = text
                log.error("tensorrt_error", extra={"text": text})
            elif level == severity.WARNING:
                log.warning("tensorrt_warning", extra={"text": text})

        def last_error(self) -> str:
            """Return the last error, for a message of ours."""
            return self.error or "it gave no reason"

    logger = _loggers.setdefault(trt.__name__, Logger())
    logger.error = ""
    return logger
