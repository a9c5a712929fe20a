"""The churn model: labels, data sets of cuts, training, evaluation, promotion and drift are pure; `ml.source` reads
users' days, `ml.registry` keeps models, `ml.challenge` is one training from end to end, `ml.first_champion` the first.
"""
