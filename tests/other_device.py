"""A second device without a GPU: it computes on the CPU, and mixing the two fails as on a GPU."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

# torch knows the device, and without the mode below nothing can be computed on it
NAME = "meta"
OTHER, CPU = torch.device(NAME), torch.device("cpu")
ATEN = torch.ops.aten
# their indices may stay on the CPU
INDEXING = (ATEN.index, ATEN.index_put, ATEN.index_put_, ATEN._index_put_impl_)


class Elsewhere(Tensor):
    """A tensor of the other device, around one of the CPU."""

    inner: Tensor

    @staticmethod
    def __new__(cls: type["Elsewhere"], inner: Tensor) -> "Elsewhere":
        # what is seen of a tensor made outside inference mode was not made inside it
        with torch.inference_mode(inner.is_inference()):
            wrapper = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
                cls,
                inner.shape,
                strides=inner.stride(),
                storage_offset=inner.storage_offset(),
                dtype=inner.dtype,
                device=OTHER,
            )
        wrapper.inner = inner
        return wrapper  # type: ignore[no-any-return]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {})


class OtherDevice(TorchDispatchMode):
    """Within its block tensors are made and computed where they are asked for."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.is_inference_mode_enabled():
            # there, operations that consist of others come whole
            with self:
                found = func.decompose(*args, **(kwargs or {}))
            if found is not NotImplemented:
                return found
        return compute(func, args, kwargs or {})


def compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run an operation on the CPU; its result is where the operands are, or where it is sent."""
    leaves, _ = tree_flatten((args, kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
    elsewhere = any(isinstance(tensor, Elsewhere) for tensor in tensors)
    check(func, args, tensors, elsewhere)
    device = kwargs.get("device")
    if device is not None:
        elsewhere = torch.device(device).type == NAME
        kwargs = {**kwargs, "device": CPU}
    if func.overloadpacket is ATEN.copy_:
        elsewhere = isinstance(args[0], Elsewhere)
    if func.overloadpacket is ATEN._local_scalar_dense:
        elsewhere = False
    if isinstance(kwargs.get("generator"), torch.Generator) and elsewhere:
        raise RuntimeError("Expected a generator of the other device but found one of the CPU")
    found = func(*tree_map(inside, args), **tree_map(inside, kwargs))
    if not elsewhere:
        return found
    if func._schema.is_mutable and found is not None:
        # what was changed in place is returned
        return args[0]
    return tree_map(lambda each: Elsewhere(each) if isinstance(each, Tensor) else each, found)


def check(func: Any, args: Any, tensors: list[Tensor], elsewhere: bool) -> None:
    """Refuse what a GPU refuses: operands of two devices, but for copies, numbers and indices."""
    if not elsewhere or func.overloadpacket is ATEN.copy_:
        return
    if func.overloadpacket in INDEXING and isinstance(args[0], Elsewhere):
        return
    strays = [t for t in tensors if not isinstance(t, Elsewhere) and t.dim() > 0]
    if strays:
        raise RuntimeError(f"{func}: tensors on two devices, the other and the CPU")


def inside(leaf: Any) -> Any:
    """Return what an operation sees."""
    return leaf.inner if isinstance(leaf, Elsewhere) else leaf
