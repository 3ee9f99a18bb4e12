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
own; a model that calls functions instead of layers between its last layer and its end changes logits unseen.
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


def outputs(model: Any, x: Any, edge_index: Any, **arguments: Any) -> tuple[Outputs, Outputs]:
    """(with message passing, without): logits and embeddings of all nodes, as NumPy arrays.

    The model is run in evaluation mode without gradients and left as it was. Caches of layers are put aside.

    Args:
        model: A torch module that is called as `model(x, edge_index, **arguments)` and ends in one layer of logits.
        x: Features, a torch tensor [nodes, dim].
        edge_index: A torch tensor of integers [2, edges].
        **arguments: Passed on to the model.

    Raises:
        ImportError: torch or torch-geometric is not installed.
        ValueError: A layer cannot be switched off, or none was called, or it gave no [nodes, classes].

    Example::

        net = torch_geometric.nn.GCN(3, 8, num_layers=2, out_channels=2)
        on, off = outputs(net, torch.eye(3), torch.tensor([[0, 1], [1, 0]]))
        on.logits.shape, off.embeddings.shape  # (3, 2), (3, 8)
    """
    torch, passing = installed()
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
    """One pass; the last layer with weights tells embeddings and logits."""
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
        model(x, edge_index, **arguments)
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
    pairs = {"logits": logits, "embeddings": embeddings}
    found = Outputs(**{name: checks.on_host("pyg.outputs", name, value) for name, value in pairs.items()})
    if found.logits.ndim != 2 or found.embeddings.ndim != 2 or len(found.logits) != len(x):
        got = f"{type(last).__name__} with {found.logits.shape}"
        raise ValueError(f"pyg.outputs: the last layer must give one row a node, [{len(x)}, classes]; got {got}.")
    return found


def _is_dense(module: Any) -> bool:
    """torch-geometric's own Linear."""
    return type(module).__name__ == "Linear" and type(module).__module__.startswith("torch_geometric")
