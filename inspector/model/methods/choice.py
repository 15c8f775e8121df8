"""Which method is fitted, by the options and the backbone beside it."""

from dataclasses import replace

from inspector.model.int8 import Int8Backbone
from inspector.model.methods.base import Method, method_named
from inspector.model.methods.nearest import SEARCHED_FROM_INT8, Nearest
from inspector.model.options import FitOptions
from inspector.model.spec import ModelSpec


def method_for(options: FitOptions, spec: ModelSpec) -> Method:
    """Return the method that these options ask for, for features of this spec. Raises ModelError for an unknown one.

    Beside a backbone in int8, comparing with a whole bank is the greater part of the time: smaller ones are searched too.
    """
    method = method_named(options.method, bank=options.bank, seed=options.seed)
    if isinstance(spec.backbone, Int8Backbone) and isinstance(method, Nearest):
        return replace(method, searched_from=SEARCHED_FROM_INT8)
    return method
