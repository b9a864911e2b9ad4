"""Lets Rasa 3.6.21 start where TensorFlow is not installed: its imports meet inert stand-ins.

Rasa imports TensorFlow at start even when no component uses it. Ours do not (they are scikit-learn and
a small ONNX-like encoder), so leaving it out saves 1.9 GB on disk, 350 MB of memory and half of the start.
`make check-tensorflow` is there to compare the predictions with the real library's.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from typing import Any, Optional, Sequence

ROOTS = {"tensorflow", "keras", "tensorflow_hub", "tensorflow_text", "tensorflow_addons"}


class _Meta(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn


class StandIn(metaclass=_Meta):
    """A class, a decorator, a value: whatever Rasa's modules ask of TensorFlow when they are imported."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return args[0] if args and callable(args[0]) else self

    def __class_getitem__(cls, item: Any) -> Any:
        return cls

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn()


class _Module(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "function":
            return lambda *a, **k: a[0] if a and callable(a[0]) else (lambda f: f)
        return StandIn


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(
        self, fullname: str, path: Optional[Sequence[str]], target: Optional[types.ModuleType] = None
    ) -> Optional[importlib.machinery.ModuleSpec]:
        if fullname.split(".")[0] in ROOTS:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        module = _Module(spec.name)
        module.__path__ = []
        module.__version__ = "0"
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def install() -> None:
    """Put the stand-ins in place, unless the real TensorFlow is there."""
    if importlib.util.find_spec("tensorflow") is None:
        sys.meta_path.insert(0, _Finder())
