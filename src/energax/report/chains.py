"""Chains at rest: traces, their autocorrelation, their ranks."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .canvas import DASHES, SERIES, SOFT, Panel, axes, draw
from .gather import RunFolder

_TRACES = 6
_MOST_DRAWS = 600


def chain_panels(run: RunFolder) -> list[Panel]:
    """The figures of the chains section; empty where no trace [chains, draws] was stored."""
    trace = run.arrays.get("trace")
    if trace is None or trace.ndim != 2 or trace.shape[1] < 2:
        return []
    whole = trace[np.isfinite(trace).all(axis=1)]
    dropped = len(trace) - len(whole)
    note = f" {dropped} of {len(trace)} chains hold values that are not finite and are left out." if dropped else ""
    if not len(whole):
        return []
    panels = [_traces(whole, note)]
    if whole.shape[1] >= 20:
        panels.append(_autocorrelation(whole))
    if len(whole) >= 2:
        panels.append(_ranks(whole))
    return panels


def _traces(trace: np.ndarray, note: str) -> Panel:
    shown = trace[:_TRACES, :_MOST_DRAWS]

    def paint(figure: Figure) -> None:
        ax = axes(figure, "draw", "energy (nats)")
        for index, row in enumerate(shown):
            ax.plot(row, color=SERIES[index % len(SERIES)], linewidth=0.8, alpha=0.85)
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))

    return draw(
        "trace",
        "Energy traces",
        f"Energy of {len(shown)} of {len(trace)} chains, one colour each. Chains that mix look like one woven band; "
        f"steps, trends or separate bands do not.{note}",
        f"Energy traces of {len(shown)} chains over {shown.shape[1]} draws, mean {shown.mean():.4g} nats.",
        paint,
    )


def _autocorrelation(trace: np.ndarray) -> Panel:
    from energax.evaluation import autocorrelation  # here: a page without a trace needs none of it

    chains, draws = trace.shape
    lags = min(draws // 2, 100)
    moving = np.any(trace != trace[:, :1], axis=1)  # a chain that never moved has no autocorrelation of its own
    curves = [autocorrelation(row[None], max_lag=lags - 1) for row in trace[moving]]
    rho = np.stack(curves) if curves else np.ones((1, lags))
    mean = rho.mean(axis=0)

    def paint(figure: Figure) -> None:
        ax = axes(figure, "lag (draws)", "autocorrelation")
        ax.axhline(0.0, color=SOFT, linewidth=0.9)
        if len(rho) > 1:
            low, high = np.percentile(rho, [5, 95], axis=0)
            ax.fill_between(np.arange(lags), low, high, color=SERIES[0], alpha=0.18, linewidth=0)
        ax.plot(mean, color=SERIES[0])
        ax.set_ylim(min(-0.2, float(mean.min()) - 0.05), 1.03)
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))

    below = np.flatnonzero(mean < 0.1)
    when = f"falls below 0.1 at lag {below[0]}" if below.size else f"stays above 0.1 up to lag {lags}"
    stuck = f" {int((~moving).sum())} chains never moved." if not moving.all() else ""
    if not moving.any():
        stuck += " A chain at rest has no autocorrelation: the line at 1 stands for it."
    return draw(
        "autocorrelation",
        "Autocorrelation of the energy",
        f"Mean over chains, band from 5 to 95 %. It {when}: draws closer than that are not independent.{stuck}",
        f"Autocorrelation of the energy of {chains} chains; it {when}.",
        paint,
    )


def _ranks(trace: np.ndarray) -> Panel:
    chains, draws = trace.shape
    ranks = np.argsort(np.argsort(trace, axis=None, kind="stable"), kind="stable").reshape(trace.shape)
    bins = min(10, max(4, draws // 10))
    edges = np.linspace(0, trace.size, bins + 1)
    counts = np.stack([np.histogram(row, edges)[0] for row in ranks]) / (draws / bins)

    def paint(figure: Figure) -> None:
        ax = axes(figure, "rank of the energy among all chains (fraction)", "share / expected share")
        ax.axhline(1.0, color=SOFT, linestyle=DASHES[1], linewidth=1.0)
        for index, row in enumerate(counts[:_TRACES]):
            ax.stairs(row, edges / trace.size, baseline=None, color=SERIES[index % len(SERIES)], linewidth=1.2)
        ax.set_ylim(0, max(2.0, 1.1 * float(counts[:_TRACES].max())))

    return draw(
        "ranks",
        "Ranks",
        "How often each of the same chains holds low or high energies among all draws. All near 1 when the chains "
        "agree; a chain that leans to one side lives somewhere else.",
        f"Rank histograms of {min(chains, _TRACES)} chains; the largest share is {counts.max():.2g} times the "
        "expected one.",
        paint,
    )
