"""Work out BLEEP's loss without torch, and write ``bleep_loss.json`` beside this file.

From the definition (Xie et al., NeurIPS 2023; in the words of the paper, with embeddings I of the
images and S of the spots, one row each, and temperature t): the logit of spot i and image j is
S_i . I_j / t; the target of row i is the softmax over j of (I_i . I_j + S_i . S_j) / 2t; the loss
is the mean over i of half of two cross-entropies, of row i of the targets with row i of the
logits, and of column i of the targets with column i of the logits. Every sum is a loop over
numbers, in extended precision, and gradients are central differences.

The embeddings lie in three clusters, images and spots of a cluster around two different centres:
there, and hardly for independent noise, it matters which of the two the rows of the logits are.

    python tests/golden/make_bleep_loss.py
"""

import json
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("bleep_loss.json")
STEP = np.longdouble(1e-5)


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def log_softmax(values):
    top = max(values)
    log_sum = top + np.log(sum(np.exp(value - top) for value in values))
    return [value - log_sum for value in values]


def loss(images, spots, temperature):
    n = range(len(images))
    logit = [[dot(spots[i], images[j]) / temperature for j in n] for i in n]
    target = []
    for i in n:
        row = [(dot(images[i], images[j]) + dot(spots[i], spots[j])) / 2 for j in n]
        target.append([np.exp(value) for value in log_softmax([v / temperature for v in row])])
    total = np.longdouble(0)
    for i in n:
        of_spot = log_softmax([logit[i][j] for j in n])
        of_image = log_softmax([logit[j][i] for j in n])
        total -= sum(target[i][j] * of_spot[j] for j in n) / 2
        total -= sum(target[j][i] * of_image[j] for j in n) / 2
    return total / len(images)


def gradient(images, spots, temperature, which):
    found = np.zeros(images.shape)
    for place in np.ndindex(*images.shape):
        moved = []
        for step in (STEP, -STEP):
            pair = [images.copy(), spots.copy()]
            pair[which][place] += step
            moved.append(loss(*pair, temperature))
        found[place] = (moved[0] - moved[1]) / (2 * STEP)
    return found


def main():
    rng = np.random.default_rng(2023)
    centres = rng.normal(size=(2, 3, 3))
    cluster = np.arange(12) % 3
    noisy = centres[:, cluster] + 0.3 * rng.normal(size=(2, 12, 3))
    images, spots = np.round(noisy, 3).astype(np.longdouble)
    values = {"images": images.astype(float).tolist(), "spots": spots.astype(float).tolist()}
    values["at"] = [
        {
            "temperature": temperature,
            "loss": float(loss(images, spots, np.longdouble(temperature))),
            "of_images": gradient(images, spots, np.longdouble(temperature), 0).tolist(),
            "of_spots": gradient(images, spots, np.longdouble(temperature), 1).tolist(),
        }
        for temperature in (1.0, 2.0)
    ]
    FILE.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
