"""The mixture of forty Gaussians in the plane on which annealed and flow samplers are compared.

Source: Midgley et al. (2023), Flow annealed importance sampling bootstrap, arXiv:2208.01893.
What differs: the means are data, not a seed. The two programs of the paper draw different means, and the second one's
depend on a flag of jax that has since changed its default; all three sets are kept here to float32.
Exact: log Z is 0; samples, moments, density, as of every `GaussianMixture`. Cost: 40 distances per value.
Where samplers fail on it: modes of width about 1 lie up to 80 apart, so that a local chain stays in one.
"""

from typing import Literal

import jax.numpy as jnp
import numpy as np

from energax.core import checks

from .mixture import GaussianMixture

# x y x y ... of torch's seed 0, and of jax's seed 0 before and after threefry became partitionable
_MEANS = {
    "torch": """
-0.2994728 21.457745 -32.921806 -29.437561 -15.406175 10.7262945 -0.7925272 31.71558 -3.5497618 10.584502 -12.088523
-7.8626156 -38.21394 -26.491283 -16.488924 1.4817429 15.813408 24.000912 -27.117643 -17.418514 14.528685 33.21552
-8.232007 29.93247 -6.4473343 4.232564 36.219048 -37.106815 -25.181519 -10.12661 -15.591998 34.56003 -25.927185
-18.413315 -27.945618 -37.46244 -23.349619 34.383923 17.848736 19.386902 2.1036625 -20.50734 6.7673874 -37.34779
-28.902649 -20.6212 25.237518 23.45285 -17.739801 -1.4432955 25.582428 39.765324 15.875287 5.403714 26.819454
-23.552094 7.453761 -31.01222 -27.723446 -20.663342 18.098923 16.086416 -23.6941 12.084284 21.958881 -5.0486946
1.5272617 9.268188 24.815063 38.407764 -30.824944 -14.65879 15.720396 33.141975 34.808292 35.29427 7.960582
-34.783306 3.6797 -25.024214
""",
    "jax": """
-15.758228 18.116531 -34.80889 21.225481 -21.765137 19.893017 19.618092 23.734512 0.6401825 -21.54831 -1.3473034
37.90001 25.295906 -25.762272 12.5033 -26.195927 6.885376 4.035635 0.0054073334 -28.756886 33.229485 36.165398
15.64044 -11.946745 5.9949684 38.74839 -5.022173 11.569452 17.672758 -5.4876804 35.5702 5.955076 -38.672924 19.69987
19.318514 21.983719 22.90804 -14.736185 -39.059113 -22.08376 -9.200554 27.557163 35.50334 -12.961893 28.74525
-12.2752285 26.085777 -37.185165 -3.7007523 30.034132 -17.882004 21.448374 22.52368 -25.426178 -38.350315 -32.07688
-32.713043 38.182022 21.340065 -0.32971382 11.657438 37.538177 -7.341242 18.042288 27.470455 -27.388535 20.038157
-13.646908 1.2733173 -12.627478 -14.654884 35.715225 24.881296 18.526411 -2.6267338 1.141758 11.481581 28.487415
19.656 -8.14168
""",
    "jax partitionable": """
35.813362 38.286392 -13.416681 -2.5065231 5.591097 -26.759758 -15.184431 15.158443 19.741325 -26.318836 38.82831
-37.97739 11.203346 5.0152683 31.937103 34.763 26.731215 18.049297 0.78824997 -37.787827 -37.480896 36.641502
1.505537 23.377132 4.1793537 8.908234 31.454039 20.399275 -23.068657 -21.652021 -35.046158 9.515009 -0.66111565
3.6078835 -6.98555 2.248888 24.260187 -23.551779 -0.46640396 -4.7840023 -25.278072 -22.08764 10.437498 23.265123
1.362133 -17.460556 -12.856722 -37.9109 32.474625 21.97258 5.138607 -1.1114883 -32.667713 12.245541 14.824686
23.140182 -18.949375 28.04327 -21.666603 -13.310976 -7.1239567 -15.868177 -36.19702 20.021973 7.1950912 -30.48067
-26.85196 30.747118 -23.992262 19.62491 28.579464 9.902325 13.534803 30.349808 25.438738 31.141129 -16.608229
24.32682 -0.2542305 14.563999
""",
}
# softplus(1), and 1
_SCALES = {"torch": 1.3132617, "jax": 1.0, "jax partitionable": 1.0}


def gmm40(means: Literal["torch", "jax", "jax partitionable"] = "torch") -> GaussianMixture:
    """Forty equal components with means in [-40, 40]^2, as one of the paper's programs has them.

    Args:
        means: "torch" (standard deviation 1.3133), "jax" or "jax partitionable" (standard deviation 1).

    Raises:
        ValueError: `means` is none of them.

    Example:
        >>> mixture = gmm40()
        >>> mixture.means.shape, bool(abs(mixture.log_z()) < 1e-5)
        ((40, 2), True)
    """
    if means not in _MEANS:
        raise ValueError(f"gmm40.means must be one of {', '.join(_MEANS)}; got {means!r}.")
    centres = jnp.asarray(np.array(_MEANS[means].split(), np.float32).reshape(-1, 2))
    return GaussianMixture(jnp.full(40, -np.log(40.0), centres.dtype), centres, _SCALES[means])


def gaussian_ring(modes: int = 8, radius: float = 4.0, scale: float = 0.5) -> GaussianMixture:
    """Equal Gaussians on a circle, E(x) = -log sum_k exp(-|x - m_k|^2 / (2 scale^2)): log Z = log(modes 2 pi scale^2).

    Args:
        modes: How many, >= 1; the first lies on the positive first axis.
        radius: Of the circle, in the units of x, > 0.
        scale: Standard deviation of each, in the units of x, > 0.

    Raises:
        ValueError: A number is out of range.

    Example:
        >>> round(float(gaussian_ring().log_z()), 6)
        2.531024
    """
    checks.count("gaussian_ring", "modes", modes)
    checks.positive("gaussian_ring", "radius", radius, ndim=0)
    checks.positive("gaussian_ring", "scale", scale, ndim=0)
    angle = 2.0 * np.pi * np.arange(modes) / modes
    floating = jnp.result_type(float)
    means = jnp.asarray(radius * np.stack([np.cos(angle), np.sin(angle)], axis=1), floating)
    return GaussianMixture(jnp.full(modes, np.log(2.0 * np.pi * scale**2), floating), means, scale)
