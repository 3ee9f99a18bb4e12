"""Trains GCNs by the paper's protocol: full batch, Adam with weight decay, stopped early by the validation loss.

Several members start from different weights and train side by side in one compiled program. A step reads only the rows
that its loss depends on: the neighbours of the labelled nodes. Arrays are padded to a few sizes, so that splits of one
graph share the program.

Source: Fuchsgruber, Wollschläger and Günnemann (2024), arXiv:2406.04043, hyperparameters of its reference code: 64
hidden units, dropout 0.5, weight decay 1e-4, patience 50, least gain 1e-3, the best state restored.
What differs: a rate of 1e-2 for 1e-3, up to 1,000 steps, and the validation loss read at every fifth step.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Scalar

from energax import checks
from energax.core import Key
from energax.data import Graph
from energax.errors import DivergenceError
from energax.networks import GCN, Adjacency, normalised_adjacency

WIDTH, DROPOUT, RATE, DECAY = 64, 0.5, 1e-2, 1e-4
EVERY, PATIENCE, GAIN, MOST = 5, 50, 1e-3, 1000
"""Steps between looks at the validation loss, steps without a gain before the end, the least gain, the most steps."""
_OPTIMISER = optax.chain(optax.add_decayed_weights(DECAY), optax.adam(RATE))


class Part(NamedTuple):
    """Nodes whose loss is read, with all that it depends on.

    Attributes:
        inputs: A x of the nodes that send to them, [senders, dim].
        adjacency: From those to these.
        labels: [nodes].
        weights: 1 / (number of nodes), and 0 for padding, [nodes].
    """

    inputs: Float[Array, "senders dim"]
    adjacency: Adjacency
    labels: Int[Array, " nodes"]
    weights: Float[Array, " nodes"]


class _Carry(NamedTuple):
    net: Any
    optimiser: optax.OptState
    best: Any
    least: Scalar
    reached: Int[Array, ""]
    step: Int[Array, ""]
    broken: Int[Array, ""]


def train_gcns(graph: Graph, train: np.ndarray, validation: np.ndarray, *, members: int = 1, seed: int = 0) -> GCN:
    """Trained networks, stacked: every array has a leading axis of `members`.

    Args:
        graph: Without the foreign nodes; its features as the network shall see them.
        train: Booleans [nodes].
        validation: Booleans [nodes].
        members: How many, each from weights of its own.
        seed: Of weights and dropout.

    Raises:
        ValueError: A count is out of range, or a mask chooses no node.
        DivergenceError: A validation loss is not finite.
    """
    checks.count("train_gcns", "members", members)
    checks.count("train_gcns", "seed", seed, least=0)
    for name, mask in (("train", train), ("validation", validation)):
        if mask.shape != graph.y.shape or not mask.any():
            raise ValueError(f"train_gcns.{name} must choose nodes of the graph; got shape {mask.shape}.")
    whole = normalised_adjacency(graph.edge_index, len(graph))
    inputs = np.asarray(whole(jnp.asarray(graph.x)))
    parts = [_part(graph, whole, inputs, mask) for mask in (train, validation)]
    keys = jax.random.split(jax.random.key(seed), members)
    nets, broken = _train(keys, parts[0], parts[1], graph.classes)
    for member, step in enumerate(np.asarray(broken).tolist()):
        if step:
            raise diverged("train_gcns", member, step)
    return nets


def _part(graph: Graph, whole: Adjacency, inputs: np.ndarray, mask: np.ndarray) -> Part:
    """What the loss of the masked nodes depends on, padded."""
    senders, receivers, weights = (np.asarray(a) for a in (whole.senders, whole.receivers, whole.weights))
    into = mask[receivers]
    sending = np.unique(senders[into])
    nodes = np.flatnonzero(mask)
    rows, columns = np.searchsorted(nodes, receivers[into]), np.searchsorted(sending, senders[into])
    size, many, edges = padded(len(nodes)), padded(len(sending)), padded(len(rows))
    adjacency = Adjacency(
        jnp.asarray(np.pad(columns, (0, edges - len(columns)))),
        jnp.asarray(np.pad(rows, (0, edges - len(rows)))),
        jnp.asarray(np.pad(weights[into], (0, edges - len(rows)))),
        size,
    )
    share = np.pad(np.full(len(nodes), 1.0 / len(nodes), np.float32), (0, size - len(nodes)))
    labels = np.pad(graph.y[nodes], (0, size - len(nodes)))
    rows_in = np.pad(inputs[sending], ((0, many - len(sending)), (0, 0)))
    return Part(jnp.asarray(rows_in), adjacency, jnp.asarray(labels), jnp.asarray(share))


def padded(size: int) -> int:
    """The next power of two, at least 64: splits of one graph then share their programs."""
    return max(64, 1 << (size - 1).bit_length())


def loss(net: GCN, part: Part, key: Key | None) -> Scalar:
    """Mean cross-entropy of a part, nats; with dropout where there is a key."""
    hidden = net.hidden(part.inputs)
    if key is not None:
        kept = jax.random.bernoulli(key, 1.0 - DROPOUT, hidden.shape)
        hidden = jnp.where(kept, hidden / (1.0 - DROPOUT), 0.0)
    logs = jax.nn.log_softmax(net.head(hidden, part.adjacency), axis=1)
    return -jnp.sum(part.weights * jnp.take_along_axis(logs, part.labels[:, None], axis=1)[:, 0])


@eqx.filter_jit
def _train(keys: Key, train: Part, validation: Part, classes: int) -> tuple[GCN, Int[Array, " members"]]:
    def one(key: Key) -> tuple[GCN, Int[Array, ""]]:
        start, noise = jax.random.split(key)
        net = GCN(train.inputs.shape[1], WIDTH, classes, key=start)
        return stopped_early(
            net, noise, lambda net, key: loss(net, train, key), lambda net: loss(net, validation, None)
        )

    return jax.vmap(one)(keys)


def diverged(owner: str, member: int, step: int) -> DivergenceError:
    """The error of a member whose validation loss is not finite at a step."""
    return DivergenceError(
        f"{owner}: the validation loss must stay finite; that of member {member} did not at step {step}. "
        "Are the features of a usual size?",
        step=step,
        phase="network",
    )


def stopped_early(
    net: Any, noise: Key, loss: Callable[[Any, Key], Scalar], validation: Callable[[Any], Scalar]
) -> tuple[Any, Int[Array, ""]]:
    """(the net with the least validation loss on a run of Adam, the step at which that loss was not finite or 0).

    Traced, for one member; the caller raises `diverged`.

    Args:
        net: A pytree of arrays to train.
        noise: Draws a key a step.
        loss: What is minimised, of the net and a key.
        validation: What stops the run.
    """

    def step(carry: tuple[Any, optax.OptState], key: Key) -> tuple[tuple[Any, optax.OptState], None]:
        net, optimiser = carry
        gradient = jax.grad(loss)(net, key)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes integer counters with floats
            updates, optimiser = _OPTIMISER.update(gradient, optimiser, net)
        return (eqx.apply_updates(net, updates), optimiser), None

    def goes_on(carry: _Carry) -> Bool[Array, ""]:
        return (carry.step < MOST) & (carry.step - carry.reached < PATIENCE) & (carry.broken == 0)

    def look(carry: _Carry) -> _Carry:
        keys = jax.random.split(jax.random.fold_in(noise, carry.step), EVERY)
        (net, optimiser), _ = jax.lax.scan(step, (carry.net, carry.optimiser), keys)
        now, at = validation(net), carry.step + EVERY
        better = now < carry.least - jnp.asarray(GAIN, now.dtype)
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), net, carry.best)
        least, reached = jnp.where(better, now, carry.least), jnp.where(better, at, carry.reached)
        return _Carry(net, optimiser, best, least, reached, at, jnp.where(jnp.isfinite(now), 0, at))

    zero = jnp.zeros((), jnp.int32)
    first = _Carry(net, _OPTIMISER.init(net), net, jnp.asarray(jnp.inf, jnp.float32), zero, zero, zero)
    last = jax.lax.while_loop(goes_on, look, first)
    return last.best, last.broken
