"""How well a prediction agrees with what was measured: arrays in, one value per gene or spot out.

Every metric is ``(truth, prediction, mask) -> ndarray``; only entries where ``mask`` is True count,
whatever stands elsewhere. One of a variance gets it as a fourth argument, one of classes is called
as ``(labels, probabilities)``. A value that is undefined is nan and stays in its place. Means over
genes or spots are taken in ``summary``, by one of two rules for undefined values.
"""
