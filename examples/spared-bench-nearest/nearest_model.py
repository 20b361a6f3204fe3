"""Predict the mean expression of the training spots whose patches have the nearest colours."""

from dataclasses import dataclass

import numpy as np
from sklearn.neighbors import KNeighborsRegressor


@dataclass
class Nearest:
    n_neighbours: int = 10

    def fit(self, train, val, context):
        self.model_ = KNeighborsRegressor(int(self.n_neighbours), weights="distance")
        self.model_.fit(mean_colours(train.patches), train.target)

    def predict(self, slides):
        return self.model_.predict(mean_colours(slides.patches))


def mean_colours(patches):
    pixels = patches[:].reshape(len(patches), -1, 3)  # (n_spots, n, 3)
    return np.concatenate([pixels.mean(axis=1), pixels.std(axis=1)], axis=1)  # (n_spots, 6)
