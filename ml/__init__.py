"""The churn model: labels, data sets of cuts, training and evaluation. No I/O but in `ml.reference` and `ml.report`."""
