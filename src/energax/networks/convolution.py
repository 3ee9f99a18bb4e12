"""Two-dimensional convolution and bias whose every derivative is as fast as itself: bilinear maps, closed under AD.

With x an image, w a kernel and g a cotangent of the output, <g, conv(x, w)> is linear in each of the three, and so
every derivative of any order is again one of
    conv(x, w),    conv_input(g, w) = its transpose in x,    conv_kernel(x, g) = its transpose in w.
On a CPU each is one matrix product over patches (im2col); elsewhere each is the platform's own convolution.
A bias has one derivative that costs anything, its gradient: the sum of g over pixels, here a product with ones.

Source: Chellapilla, Puri and Simard (2006), High performance convolutional neural networks for document processing,
hal:inria-00112631, for im2col. Differs: its two transposes are maps of their own, with batching rules that fold every
vmapped axis into the rows of one product.
Why not `lax.conv_general_dilated` throughout: XLA's CPU backend has no fast path for the dilated convolutions that its
gradients need, and inside a `lax.scan` (every training loop here) they ran some hundred times slower than this.
Why not `+ bias`: XLA sums its gradient column by column and works out g anew on the way; for batches of up to 32 images
that took longer than all convolutions together.
Cost: 2 k^2 c_in c_out operations per output pixel; memory k^2 / stride^2 times the input.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

_LAYOUT = ("NHWC", "HWIO", "NHWC")
_NARROW = 8  # channels below which patches are small enough to win always


def conv(
    x: Float[Array, "height width c_in"], w: Float[Array, "k k c_in c_out"], stride: int = 1
) -> Float[Array, "rows cols c_out"]:
    """Cross-correlation of one image with an odd square kernel, zero padding of k // 2 on every side.

    The output has ceil(height / stride) x ceil(width / stride) pixels. Differentiable in forward and reverse mode to
    any order; vmap over x, w or both.

    Args:
        x: One image, channels last.
        w: The kernel, as [row, column, in, out].
        stride: Step between output pixels, in input pixels, >= 1.

    Example:
        >>> conv(jnp.ones((8, 8, 1)), jnp.ones((3, 3, 1, 4)), stride=2).shape
        (4, 4, 4)
    """
    return _conv_p.bind(x[None], w, stride=stride, patches=False)[0]


def add_bias(
    x: Float[Array, "height width channels"], bias: Float[Array, " channels"]
) -> Float[Array, "height width channels"]:
    """x + bias at every pixel of one image. Differentiable in either mode to any order; vmap over x, bias or both.

    Args:
        x: One image, channels last.
        bias: One number a channel.

    Example:
        >>> add_bias(jnp.ones((2, 2, 3)), jnp.arange(3.0))[0, 0].tolist()
        [1.0, 2.0, 3.0]
    """
    return x + _spread_p.bind(lax.stop_gradient(x)[None], bias)[0]


# ---- the three maps, on batches; `size` is the input's (height, width), `k` the kernel's side --------------------


def _patches(x: Array, k: int, stride: int) -> Array:
    """[n, rows, cols, k * k * c]: what every output pixel sees, kernel position major, channel minor."""
    height, width, pad = x.shape[1], x.shape[2], k // 2
    rows, cols = -(-height // stride), -(-width // stride)
    padded = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    views = [
        padded[:, i : i + (rows - 1) * stride + 1 : stride, j : j + (cols - 1) * stride + 1 : stride]
        for i in range(k)
        for j in range(k)
    ]
    return jnp.concatenate(views, axis=-1)


def _conv_product(x: Array, w: Array, *, stride: int, patches: bool) -> Array:
    # without a kernel gradient to share the patches with, the native forward pass is the faster one by a tenth
    if not patches and x.shape[-1] >= _NARROW:
        return _conv_native(x, w, stride=stride, patches=patches)
    return _patches(x, w.shape[0], stride) @ w.reshape(-1, w.shape[-1])


def _conv_input_product(g: Array, w: Array, *, size: tuple[int, int], stride: int) -> Array:
    k, c_in = w.shape[0], w.shape[2]
    columns = g @ w.reshape(-1, w.shape[-1]).T
    image = jax.ShapeDtypeStruct((g.shape[0], *size, c_in), columns.dtype)
    (x,) = jax.linear_transpose(partial(_patches, k=k, stride=stride), image)(columns)
    return x


def _conv_kernel_product(x: Array, g: Array, *, k: int, stride: int) -> Array:
    patches = _patches(x, k, stride)
    flat, seen = g.reshape(-1, g.shape[-1]), patches.reshape(-1, patches.shape[-1])
    # a narrow product with its long axis first; spelled out, since XLA's own choice here was up to 8 times slower
    return (seen.T @ flat).reshape(k, k, x.shape[-1], g.shape[-1])


def _conv_native(x: Array, w: Array, *, stride: int, patches: bool = False) -> Array:
    pad = w.shape[0] // 2
    return lax.conv_general_dilated(x, w, (stride, stride), ((pad, pad), (pad, pad)), dimension_numbers=_LAYOUT)


def _conv_input_native(g: Array, w: Array, *, size: tuple[int, int], stride: int) -> Array:
    image = jax.ShapeDtypeStruct((g.shape[0], *size, w.shape[2]), g.dtype)
    (x,) = jax.linear_transpose(lambda x: _conv_native(x, w, stride=stride), image)(g)
    return x


def _conv_kernel_native(x: Array, g: Array, *, k: int, stride: int) -> Array:
    kernel = jax.ShapeDtypeStruct((k, k, x.shape[-1], g.shape[-1]), g.dtype)
    (w,) = jax.linear_transpose(lambda w: _conv_native(x, w, stride=stride), kernel)(g)
    return w


# ---- as primitives: shapes, lowering per platform, batching, derivatives ------------------------------------------


def _primitive(name: str, product: Any, native: Any, fold: tuple[bool, bool]) -> Primitive:
    """A bilinear primitive; `fold` says which of its two operands carries the rows that a vmap may be folded into."""
    primitive = Primitive(name)
    primitive.def_impl(lambda *operands, **params: jax.jit(partial(native, **params))(*operands))

    def shape(*operands: Any, **params: Any) -> Any:
        out = jax.eval_shape(partial(product, **params), *(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in operands))
        return jax.core.ShapedArray(out.shape, out.dtype)

    def batch(operands: Any, axes: Any, **params: Any) -> tuple[Array, int]:
        mapped = tuple(axis is not None for axis in axes)
        if mapped != fold:
            # kernels that differ along the axis, or one kernel gradient for each entry of it: no single product
            inner = jax.vmap(
                partial(product, **params), in_axes=tuple(a if m else None for a, m in zip(axes, mapped, strict=True))
            )
            return inner(*operands), 0
        size = next(a.shape[axis] for a, axis, m in zip(operands, axes, mapped, strict=True) if m)
        rows = [
            jnp.moveaxis(a, axis, 0).reshape(-1, *jnp.moveaxis(a, axis, 0).shape[2:]) if m else a
            for a, axis, m in zip(operands, axes, mapped, strict=True)
        ]
        out = primitive.bind(*rows, **params)
        return out.reshape(size, -1, *out.shape[1:]), 0

    primitive.def_abstract_eval(shape)
    mlir.register_lowering(primitive, mlir.lower_fun(native, multiple_results=False))
    mlir.register_lowering(primitive, mlir.lower_fun(product, multiple_results=False), platform="cpu")
    batching.primitive_batchers[primitive] = batch
    return primitive


_conv_p = _primitive("energax_conv", _conv_product, _conv_native, (True, False))
_conv_input_p = _primitive("energax_conv_input", _conv_input_product, _conv_input_native, (True, False))
# never folded: a vmap over both operands asks for one kernel gradient per entry
_conv_kernel_p = _primitive("energax_conv_kernel", _conv_kernel_product, _conv_kernel_native, (False, False))


def _to_input(g: Array, w: Array, size: tuple[int, ...], stride: int) -> Array:
    return _conv_input_p.bind(g, w, size=(size[0], size[1]), stride=stride)


def _to_kernel(x: Array, g: Array, k: int, stride: int) -> Array:
    return _conv_kernel_p.bind(x, g, k=k, stride=stride)


def _conv_jvp(primals: tuple[Array, Array], tangents: tuple[Any, Any], *, stride: int, patches: bool) -> Any:
    (x, w), (dx, dw) = primals, tangents
    # a kernel that moves will ask for its gradient, which needs the patches: let the forward pass make them
    patches = patches or type(dw) is not ad.Zero
    out = _conv_p.bind(x, w, stride=stride, patches=patches)
    terms = []
    if type(dx) is not ad.Zero:
        terms.append(_conv_p.bind(dx, w, stride=stride, patches=patches))
    if type(dw) is not ad.Zero:
        terms.append(_conv_p.bind(x, dw, stride=stride, patches=patches))
    return out, terms[0] if len(terms) == 1 else terms[0] + terms[1]


ad.defbilinear(
    _conv_p,
    lambda g, x, w, *, stride, patches: _to_input(g, w, x.aval.shape[1:3], stride),
    lambda g, x, w, *, stride, patches: _to_kernel(x, g, w.aval.shape[0], stride),
)
ad.primitive_jvps[_conv_p] = _conv_jvp
ad.defbilinear(
    _conv_input_p,
    lambda t, g, w, *, size, stride: _conv_p.bind(t, w, stride=stride, patches=True),
    lambda t, g, w, *, size, stride: _to_kernel(t, g, w.aval.shape[0], stride),
)
ad.defbilinear(
    _conv_kernel_p,
    lambda t, x, g, *, k, stride: _to_input(g, t, x.aval.shape[1:3], stride),
    lambda t, x, g, *, k, stride: _conv_p.bind(x, t, stride=stride, patches=True),
)


# ---- a bias at every pixel: linear in the bias; of the images only their number and shape matter ------------------


def _spread(x: Array, bias: Array) -> Array:
    return jnp.broadcast_to(bias, x.shape)


def _spread_transpose(g: Any, x: Any, bias: Any) -> tuple[None, Any]:
    if type(g) is ad.Zero:
        return None, ad.Zero(bias.aval)
    flat = g.reshape(-1, g.shape[-1])
    return None, jnp.dot(jnp.ones((1, len(flat)), flat.dtype), flat, precision=lax.Precision.HIGHEST)[0]


_spread_p = _primitive("energax_spread", _spread, _spread, (True, False))
ad.primitive_jvps[_spread_p] = lambda primals, tangents: (
    _spread_p.bind(*primals),
    _spread_p.bind(primals[0], tangents[1]),
)
ad.primitive_transposes[_spread_p] = _spread_transpose
