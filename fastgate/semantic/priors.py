"""What a new cache believes before it has compared anything.

Coefficients of ``fastgate.semantic.features.NAMES``: means and standard deviations of a Gaussian.
"""

MEAN: dict[str, float] = {
    "constant": -1.5, "closeness": 1.0, "similarity": 0.5, "gap": 0.3, "crowd": -0.5, "votes": 0.5, "swapped": -1.0, "added": -0.7,
    "overlap": 0.5, "no difference": 0.5, "rare swapped": -0.5, "names added": -0.2, "names swapped": -1.0, "numbers": -0.7,
    "asks otherwise": -0.3, "asks for something else": -0.3, "length": 0.0, "uneven": -0.3, "wording": 0.3, "loose": 0.0,
    "sentences": -0.2, "person": -0.3, "record": 0.5, "denied near": -0.5, "short swapped": 0.0,
}  # fmt: skip
DEVIATION: dict[str, float] = dict.fromkeys(MEAN, 0.5)

THRESHOLD, SLOPE, ENTRY_DEVIATION = 0.88, 20.0, 1.0
"""Of the similarity at which an answer is as likely right as wrong, the steepness there, and how entries differ in
log-odds."""
WORD_DEVIATION = 0.3
"""Of what a word's being in one question alone is worth."""
