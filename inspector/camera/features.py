"""SFNC features of a camera: set in order, and where one is refused, say which, what was wanted and what is allowed.

The one file that knows genicam.genapi, the node map's half of the binding; `genicam` knows the transport's half.
"""

from collections.abc import Iterable
from typing import Any

from genicam import genapi

from inspector.camera.base import FeatureValue, unknown_feature
from inspector.clock import NS_PER_S, SystemClock, sleep_ms
from inspector.errors import FeatureError

COMMAND_LIMIT_S = 10  # loading a user set takes seconds on some cameras
_READABLE = (genapi.EAccessMode.RO, genapi.EAccessMode.RW)
_WRITABLE = (genapi.EAccessMode.WO, genapi.EAccessMode.RW)


class NodeMap:
    """A module's features by name. Untyped inside, typed outside."""

    def __init__(self, nodes: Any) -> None:
        self._nodes = nodes

    def __contains__(self, name: str) -> bool:
        return self._nodes is not None and bool(self._nodes.has_node(name))

    def value(self, name: str) -> FeatureValue:
        """Return a feature's value; FeatureError where it cannot be read."""
        try:
            value: FeatureValue = getattr(self._nodes, name).value
        except (genapi.GenericException, AttributeError) as e:
            raise FeatureError(f"{name} cannot be read: {_one_line(e)}") from e
        return value

    def readable(self, name: str) -> bool:
        """Whether the feature can be read now; a command cannot."""
        node = getattr(self._nodes, name)
        return node.get_access_mode() in _READABLE and not isinstance(node, genapi.ICommand)

    def probe(self, name: str) -> None:
        """Read an integer feature from the device, past the cache; the binding's error where there is no answer."""
        getattr(self._nodes, name).get_value(False, True)

    def execute(self, name: str) -> None:
        """Run a command, without waiting for what comes of it; the binding's error where that fails."""
        getattr(self._nodes, name).execute()

    def set(self, name: str, wanted: FeatureValue) -> None:
        """Set a feature (run it, if it is a command); FeatureError names what is allowed instead."""
        if name not in self:
            raise unknown_feature(name, self._names())
        node = getattr(self._nodes, name)
        mode = node.get_access_mode()
        if mode not in _WRITABLE:
            why = (
                f"is read-only, its value is {node.value}"
                if mode == genapi.EAccessMode.RO
                else "is not available now"
            )
            raise FeatureError(
                f"{name}: wanted {wanted!r}, but the feature {why}; another feature above it in camera.features may unlock it"
            )
        value = _convert(node, wanted)
        if value is None:
            raise FeatureError(_refusal(name, wanted, self.allowed(name)))
        try:
            if isinstance(node, genapi.ICommand):
                node.execute()
                _wait_until_done(name, node)
            else:
                node.value = value
        except genapi.GenericException as e:
            raise FeatureError(_refusal(name, wanted, self.allowed(name), _one_line(e))) from e

    def allowed(self, name: str) -> str:
        """Describe what a feature takes at this moment: a range, or names."""
        node = getattr(self._nodes, name)
        try:
            if isinstance(node, genapi.IEnumeration):
                usable = [e.symbolic for e in node.entries if e.get_access_mode() in _READABLE]
                return "one of " + ", ".join(usable)
            if isinstance(node, genapi.IInteger):
                step = f" in steps of {node.inc}" if node.inc != 1 else ""
                return f"a whole number from {node.min} to {node.max}{step}"
            if isinstance(node, genapi.IFloat):
                return f"a number from {node.min:g} to {node.max:g} {node.unit}".strip()
        except genapi.GenericException as e:
            return f"unknown ({_one_line(e)})"
        kinds = (
            (genapi.IBoolean, "true or false"),
            (genapi.IString, "text"),
            (genapi.ICommand, "true, to run the command"),
        )
        return next((text for kind, text in kinds if isinstance(node, kind)), "nothing: it holds no value")

    def _names(self) -> Iterable[str]:
        return (name for name in dir(self._nodes) if name[0].isupper())


def apply_features(nodes: NodeMap, features: dict[str, FeatureValue]) -> dict[str, FeatureValue]:
    """Set `features` in their order and return what the camera says they are after all were set.

    The camera may round a number; it may not refuse one. FeatureError at the first that is refused.
    """
    for name, wanted in features.items():
        nodes.set(name, wanted)
    return {name: nodes.value(name) for name in features if nodes.readable(name)}


def _convert(node: Any, wanted: FeatureValue) -> FeatureValue | None:
    """Return `wanted` as this kind of feature takes it; None where it cannot."""
    if isinstance(node, genapi.IEnumeration):
        if isinstance(wanted, bool):  # YAML reads On and Off as true and false
            return "On" if wanted else "Off"
        return str(wanted)
    if isinstance(node, genapi.ICommand):
        return True if wanted is True else None
    if isinstance(node, genapi.IBoolean):
        return wanted if isinstance(wanted, bool) else None
    if isinstance(node, genapi.IString):
        return wanted if isinstance(wanted, str) else None
    if isinstance(wanted, bool | str):
        return None
    if isinstance(node, genapi.IInteger):
        return int(wanted) if wanted == int(wanted) else None
    return float(wanted) if isinstance(node, genapi.IFloat) else None


def _wait_until_done(name: str, command: Any) -> None:
    """Wait for a command such as UserSetLoad: the features after it build on what it did."""
    clock = SystemClock()
    t_limit_ns = clock.now_ns() + COMMAND_LIMIT_S * NS_PER_S
    while not command.is_done():
        if clock.now_ns() > t_limit_ns:
            raise FeatureError(
                f"{name}: the camera did not finish the command within {COMMAND_LIMIT_S} s; power-cycle it"
            )
        sleep_ms(5)


def _refusal(name: str, wanted: FeatureValue, allowed: str, reason: str = "") -> str:
    said = f" (camera: {reason})" if reason else ""
    return f"{name}: expected {allowed}, got {wanted!r}; correct camera.features{said}"


def _one_line(e: object) -> str:
    return " ".join(str(e).split())
