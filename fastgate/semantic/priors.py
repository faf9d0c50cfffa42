"""What a new cache believes before it has compared anything.

Coefficients of ``fastgate.semantic.features.NAMES``: means and standard deviations of a Gaussian.
"""

MEAN: dict[str, float] = {
    "constant": -3.03, "closeness": -0.23, "similarity": 1.05, "gap": 0.83, "crowd": -0.27, "votes": 0.71,
    "swapped": 0.32, "added": 0.31, "overlap": 2.84, "no difference": 1.03, "rare swapped": 0.02,
    "names added": -0.25, "names swapped": 0.29, "numbers": -0.52, "asks otherwise": -0.06,
    "asks for something else": -0.1, "length": 0.51, "uneven": -0.38, "wording": 0.74, "loose": 0.28,
    "sentences": 0.28, "person": 0.13, "record": 0.78, "denied near": -0.41, "short swapped": -0.29,
    "closeness squared": -0.09, "overlap squared": -1.1, "wording squared": -0.43, "length squared": -0.25,
    "closeness by gap": 0.57, "closeness by crowd": -0.36,
}  # fmt: skip
DEVIATION: dict[str, float] = {
    "constant": 0.14, "closeness": 0.21, "similarity": 0.19, "gap": 0.11, "crowd": 0.35, "votes": 0.29,
    "swapped": 0.21, "added": 0.1, "overlap": 0.1, "no difference": 0.32, "rare swapped": 0.31, "names added": 0.28,
    "names swapped": 0.95, "numbers": 0.51, "asks otherwise": 0.27, "asks for something else": 0.62, "length": 0.37,
    "uneven": 0.45, "wording": 0.14, "loose": 0.62, "sentences": 0.34, "person": 0.56, "record": 0.41,
    "denied near": 0.6, "short swapped": 0.36, "closeness squared": 0.24, "overlap squared": 0.06,
    "wording squared": 0.11, "length squared": 0.5, "closeness by gap": 0.16, "closeness by crowd": 0.45,
}  # fmt: skip

THRESHOLD, SLOPE, ENTRY_DEVIATION = 0.88, 20.0, 1.0
"""Of the similarity at which an answer is as likely right as wrong, the steepness there, and how entries differ in
log-odds."""
WORD_DEVIATION = 0.3
"""Of what a word's being in one question alone is worth."""
