"""Logits and embeddings of a torch-geometric model, with message passing and without: what GEBM reads.

    on, off = pyg.outputs(model, x, edge_index)
    sure = GraphEvidence.fit(*on, edge_index, y, train_mask, alone=off)
    scores = sure.score(*off, edge_index)

Off means A = I with the same weights: GCN, GAT, SG and APPNP layers see loops alone (the normalised weight of a loop is
1, attention to oneself is 1, and personalised PageRank of the identity is the identity); SAGE, GIN and GraphConv layers
see no edges, so that what is left is the weight of the node itself.

Embeddings are what the last layer with weights is given, after the activation; layers that only spread (APPNP) are
applied to them too. Logits are that layer's output, also where the model goes on to a log-softmax.

Source: Fuchsgruber, Wollschläger and Günnemann (2024), arXiv:2406.04043, as its reference code switches layers off; Fey
and Lenssen (2019), arXiv:1903.02428, for torch-geometric.
Cost: two forward passes. Fails: a layer that is not listed is refused, and so is a SAGE layer without a weight of its
own, and a model that returns anything but the logits of its last layer, or their softmax or log-softmax: logits that
are scaled, or summed from two layers, have no embeddings of their own.
"""

import inspect
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from energax import checks

from .trial import Outputs

LOOPS = ("GCNConv", "GATConv", "GATv2Conv", "SGConv", "APPNP")
EMPTY = ("SAGEConv", "GINConv", "GraphConv")
WEIGHTLESS = ("APPNP",)


def outputs(model: Any, x: Any, edge_index: Any = None, **arguments: Any) -> tuple[Outputs, Outputs]:
    """(with message passing, without): logits and embeddings of all nodes, as NumPy arrays.

    The model is run in evaluation mode without gradients and left as it was. Caches of layers are put aside.

    Args:
        model: A torch module that is called as `model(x, edge_index, **arguments)`, or as `model(x, **arguments)` where
            `edge_index` is left out, and ends in one layer of logits.
        x: Features, a torch tensor [nodes, dim]; without `edge_index` the graph that the model takes, such as a `Data`.
        edge_index: A torch tensor of integers [2, edges].
        **arguments: Passed on to the model.

    Raises:
        ImportError: torch or torch-geometric is not installed.
        ValueError: A layer cannot be switched off, or none was called, or it gave no [nodes, classes], or the model
            returns something else than it gives.

    Example::

        net = torch_geometric.nn.GCN(3, 8, num_layers=2, out_channels=2)
        on, off = outputs(net, torch.eye(3), torch.tensor([[0, 1], [1, 0]]))
        on.logits.shape, off.embeddings.shape  # (3, 2), (3, 8)
    """
    torch, passing = installed()
    if not isinstance(model, torch.nn.Module):
        raise ValueError(f"pyg.outputs: model must be a torch module; got {type(model).__name__}.")
    layers = [module for module in model.modules() if isinstance(module, passing)]
    for layer in layers:
        _check(layer)
    with _quiet(model, layers), torch.no_grad():
        on = _run(model, layers, x, edge_index, arguments)
        with ExitStack() as switched:
            for layer in layers:
                hook = layer.register_forward_pre_hook(_switch, prepend=True, with_kwargs=True)
                switched.callback(hook.remove)
            off = _run(model, layers, x, edge_index, arguments)
    return on, off


def installed() -> tuple[Any, Any]:
    """(torch, torch-geometric's MessagePassing).

    Raises:
        ImportError: One of them is not installed; the sentence says how it is.
    """
    try:
        import torch
        from torch_geometric.nn import MessagePassing
    except ImportError as problem:
        raise ImportError(f"This needs torch and torch-geometric: pip install 'energax[graphs]' ({problem}).") from None
    return torch, MessagePassing


def _check(layer: Any) -> None:
    kind = type(layer).__name__
    if kind not in (*LOOPS, *EMPTY):
        raise ValueError(f"pyg.outputs: a layer must be one of {', '.join((*LOOPS, *EMPTY))}; got {kind}.")
    if kind == "SAGEConv" and not layer.root_weight:
        raise ValueError("pyg.outputs: a SAGEConv must have a weight of its own; got root_weight=False.")


def _switch(layer: Any, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """The call of a layer with loops alone, or with no edges."""
    bound = inspect.signature(layer.forward).bind(*args, **kwargs)
    x = bound.arguments["x"]
    nodes = (x[0] if isinstance(x, tuple) else x).shape[0]
    given = bound.arguments["edge_index"]
    if not hasattr(given, "new_ones") or given.is_sparse or given.layout != installed()[0].strided:
        raise ValueError(f"pyg.outputs: edge_index must be a dense tensor [2, edges]; got {type(given).__name__}.")
    loops = given.new_ones((2, nodes)).cumsum(dim=1) - 1
    bound.arguments["edge_index"] = loops if type(layer).__name__ in LOOPS else loops[:, :0]
    for name in ("edge_weight", "edge_attr"):
        bound.arguments.pop(name, None)
    return bound.args, bound.kwargs


@contextmanager
def _quiet(model: Any, layers: list[Any]) -> Iterator[None]:
    """Evaluation mode, and no layer answers from a cache; all is put back."""
    modes = {module: module.training for module in model.modules()}
    kept = [{name: value for name, value in vars(layer).items() if name.startswith("_cached")} for layer in layers]
    caching = [getattr(layer, "cached", None) for layer in layers]
    try:
        model.eval()
        for layer, cache, flag in zip(layers, kept, caching, strict=True):
            vars(layer).update(dict.fromkeys(cache))
            if flag is not None:
                layer.cached = False
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for layer, cache, flag in zip(layers, kept, caching, strict=True):
            vars(layer).update(cache)
            if flag is not None:
                layer.cached = flag


def _run(model: Any, layers: list[Any], x: Any, edge_index: Any, arguments: dict[str, Any]) -> Outputs:
    """One pass; the last layer with weights tells embeddings and logits. Without `edge_index` `x` is a whole graph."""
    import torch

    inside = {id(part) for layer in layers for part in layer.modules() if part is not layer}
    watched = [
        module
        for module in model.modules()
        if id(module) not in inside and (module in layers or isinstance(module, torch.nn.Linear) or _is_dense(module))
    ]
    calls: list[tuple[Any, tuple, dict, Any]] = []
    hooks = [
        module.register_forward_hook(lambda m, args, kw, out: calls.append((m, args, kw, out)), with_kwargs=True)
        for module in watched
    ]
    try:
        said = model(x, **arguments) if edge_index is None else model(x, edge_index, **arguments)
    finally:
        for hook in hooks:
            hook.remove()
    weighted = [place for place, call in enumerate(calls) if type(call[0]).__name__ not in WEIGHTLESS]
    if not weighted:
        raise ValueError("pyg.outputs: the model must call at least one layer with weights; got none.")
    last, args, kwargs, logits = calls[weighted[-1]]
    embeddings = args[0] if args else kwargs["x"]
    embeddings = embeddings[0] if isinstance(embeddings, tuple) else embeddings
    for spread, given, named, out in calls[weighted[-1] + 1 :]:
        # what only spreads acts on logits and embeddings alike
        embeddings, logits = spread(embeddings, *given[1:], **{k: v for k, v in named.items() if k != "x"}), out
    _refuse_another_end(said, logits, type(calls[-1][0]).__name__)
    nodes = x.num_nodes if edge_index is None else len(x)
    pairs = {"logits": logits, "embeddings": embeddings}
    found = Outputs(**{name: checks.on_host("pyg.outputs", name, value) for name, value in pairs.items()})
    if found.logits.ndim != 2 or found.embeddings.ndim != 2 or len(found.logits) != nodes:
        got = f"{type(last).__name__} with {found.logits.shape}"
        raise ValueError(f"pyg.outputs: the last layer must give one row a node, [{nodes}, classes]; got {got}.")
    return found


def _refuse_another_end(said: Any, logits: Any, layer: str) -> None:
    """ValueError unless the model returns what its last layer gave, or that layer's softmax or log-softmax."""
    import torch

    if not isinstance(said, torch.Tensor):
        return  # several things are returned: which of them are logits only the layer says
    if said.shape[1:] == logits.shape[1:] and len(said) != len(logits):
        return  # some of the rows
    said_wide, wide = said.double(), logits.double()
    off = 1e-5 if said.dtype in (torch.float32, torch.float64) else 1e-2  # what rounding leaves
    ends = (wide, wide.log_softmax(-1), wide.softmax(-1))
    if said.shape != logits.shape or not any(torch.allclose(said_wide, end, rtol=off, atol=off) for end in ends):
        raise ValueError(
            "pyg.outputs: a model must return the logits of its last layer, or their softmax or log-softmax; got "
            f"{list(said.shape)} that are not those of the {layer} called last, {list(logits.shape)}."
        )


def _is_dense(module: Any) -> bool:
    """torch-geometric's own Linear."""
    return type(module).__name__ == "Linear" and type(module).__module__.startswith("torch_geometric")
