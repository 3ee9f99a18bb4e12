"""What the words of the page mean, for a reader who did not make the run."""

TERMS: tuple[tuple[str, str], ...] = (
    (
        "Energy",
        "A number the model gives to every possible input. Probability falls with it as exp(−energy), so low energy "
        "is likely. It is defined up to a constant; only differences have a meaning until log Z is known.",
    ),
    (
        "Nat",
        "The unit of log-probability with natural logarithms; one nat is 1.44 bits. A difference of one nat is a "
        "factor of e.",
    ),
    (
        "log Z",
        "The logarithm of the sum of exp(−energy) over all inputs. It turns energies into probabilities, cannot be "
        "computed directly, and is therefore estimated by two independent routes that have to agree.",
    ),
    (
        "Forward and reverse annealing (AIS)",
        "Annealed importance sampling walks from a distribution with a known log Z to the model in many small "
        "temperatures (forward), or from data or model samples back (reverse). Forward runs tend to underestimate "
        "log Z and reverse runs to overestimate it: together they bracket it. A reverse run that starts from data "
        "and not from exact model samples gives no strict bound.",
    ),
    (
        "Negative log-likelihood (NLL)",
        "Energy plus log Z, averaged over held-out data: how surprised the model is by data it never saw. Lower is "
        "better. Grey levels are given a little noise first, since they would not have a density otherwise; compare "
        "only NLL with the same noise.",
    ),
    (
        "Bits per dimension",
        "NLL over the number of dimensions, in bits, of the noisy data in their own units: not the figure for whole "
        "grey levels that papers quote. Of binary data it is the real thing.",
    ),
    (
        "Energy gap",
        "Mean energy of the data minus mean energy of the walkers. Training pushes it towards zero. The loss of "
        "contrastive training says less: it stays about constant whether or not the model learns.",
    ),
    (
        "Walkers and the replay buffer",
        "Chains that draw samples from the model while it is trained. They are kept from step to step in a buffer; "
        "their age counts the training turns that they have taken since their birth.",
    ),
    (
        "Acceptance and step size",
        "The sampler proposes a move of a certain size and a Metropolis test accepts or refuses it, which keeps the "
        "samples exact. Nearly no acceptance means stuck walkers; nearly full acceptance means moves too small to "
        "get anywhere.",
    ),
    (
        "Effective temperature",
        "Noise variance over twice the step, σ²/(2η). At 1 the walkers sample the model; many published recipes run "
        "colder and then train something else without showing it.",
    ),
    ("EMA", "Exponential moving average of the parameters: the averaged model is the one that is evaluated."),
    (
        "Split R-hat",
        "Compares the spread between halves of several chains with the spread inside them. 1 means that they agree; "
        "above 1.01 they have not yet forgotten where they started.",
    ),
    (
        "Effective sample size (ESS)",
        "How many independent draws the correlated draws of a chain are worth: in the bulk for means, in the tails "
        "for quantiles. For annealed runs: how many chains carry the weight.",
    ),
    ("Autocorrelation time", "How many draws a chain needs to forget its present state."),
    (
        "Floor",
        "The value of a distance when real training data are compared with real held-out data. A perfect model "
        "reaches it; none can be expected to lie below it except by chance.",
    ),
    (
        "MMD, sliced Wasserstein, classifier test, Fréchet distance",
        "Four distances between a set of samples and a set of data: by kernels, by sorted projections, by a "
        "classifier that tries to tell them apart (one half is chance), and by means and covariances of a small "
        "classifier's features.",
    ),
    (
        "AUROC, AUPR, FPR95",
        "How well a score tells outsiders from held-out data: the chance that an outsider scores worse (0.5 is "
        "guessing), the area under precision against recall, and the share of outsiders that get through when 95 % "
        "of the data are kept.",
    ),
    (
        "Gaussian, GMM, KDE; independent bits, BMM",
        "Baselines fitted on the same training data: one Gaussian, a mixture of Gaussians (the number counts them), "
        "and a kernel density estimate; of bits, independent ones and a mixture of such (BMM). A model that does not "
        "beat them has no reason to exist on these data.",
    ),
    (
        "KL(true ‖ model)",
        "How many nats per point the model loses against the true density; zero only if both are equal. Known only "
        "where the truth is.",
    ),
)
