"""What scikit-learn and statsmodels make of made-up rows that given models predict: areas under the ROC curve,
calibration lines, errors and deviances.

    python scripts/oracles/evaluate.py > scripts/oracles/evaluate.json

The standard error of an area is DeLong's, from its definition (no histogram, all pairs).
"""
import json

import numpy as np
import statsmodels.api as sm
from sklearn import metrics

rng = np.random.default_rng(20240711)
N = 600
age = np.round(rng.normal(60, 11, N).clip(18, 99), 1)
dose = np.round(rng.gamma(2.0, 1.5, N).clip(0, 20), 2)
sex = rng.choice(["f", "m"], N)
log_time = np.round(rng.uniform(-1, 1, N), 3)
male = (sex == "m") * 1.0


def score(intercept, a, d, m):
    return intercept + a * age + d * dose + m * male


# The truth differs from the models, so that calibration has something to say.
risk = 1 / (1 + np.exp(-score(-4.9, 0.05, 0.3, 0.5)))
outcome = (rng.random(N) < risk) * 1.0
value = np.round(score(20.0, 0.5, -1.2, 3.0) + rng.normal(0, 4, N), 3)
visits = rng.poisson(np.exp(score(-2.0, 0.03, 0.1, -0.2) + log_time)) * 1.0

models = {
    "logistic": (-6.2, 0.07, 0.35, 0.4),
    "linear": (17.0, 0.55, -1.0, 2.0),
    "poisson": (-2.3, 0.04, 0.08, -0.3),
}


def delong(y, s):
    up, down = s[y == 1], s[y == 0]
    order = (up[:, None] > down[None, :]) + 0.5 * (up[:, None] == down[None, :])
    return np.sqrt(order.mean(1).var(ddof=1) / len(up) + order.mean(0).var(ddof=1) / len(down))


def line(fit):
    return [[float(fit.params[i]), float(fit.bse[i])] for i in range(len(fit.params))]


def groups(prediction, target, cuts):
    places = np.searchsorted(cuts, prediction, side="right")
    rows = []
    for place in range(len(cuts) + 1):
        own = places == place
        rows.append([int(own.sum()), int((target[own] > 0).sum()), float(prediction[own].mean()), float(target[own].mean())])
    return rows


def logistic():
    s = score(*models["logistic"])
    p, y = 1 / (1 + np.exp(-s)), outcome
    family, one = sm.families.Binomial(), np.ones(N)
    fit = sm.GLM(y, np.column_stack([one, s]), family=family).fit(tol=1e-14)
    cuts = [0.1, 0.2, 0.3, 0.5]
    return {
        "auc": float(metrics.roc_auc_score(y, p)),
        "auc_error": float(delong(y, s)),
        "brier": float(metrics.brier_score_loss(y, p)),
        "log_loss": float(metrics.log_loss(y, p)),
        "null_log_loss": float(metrics.log_loss(y, np.full(N, y.mean()))),
        "deviance": float(family.deviance(y, p)),
        "line": line(fit),
        "in_the_large": line(sm.GLM(y, one, family=family, offset=s).fit(tol=1e-14)),
        "cuts": cuts,
        "groups": groups(p, y, cuts),
        "sensitivity": [float((p[y == 1] >= cut).mean()) for cut in cuts],
        "specificity": [float((p[y == 0] < cut).mean()) for cut in cuts],
    }


def linear():
    s, y = score(*models["linear"]), value
    cuts = [40.0, 50.0]
    return {
        "r2": float(metrics.r2_score(y, s)),
        "rmse": float(np.sqrt(metrics.mean_squared_error(y, s))),
        "mae": float(metrics.mean_absolute_error(y, s)),
        "line": line(sm.OLS(y, np.column_stack([np.ones(N), s])).fit()),
        "in_the_large": line(sm.OLS(y - s, np.ones(N)).fit()),
        "cuts": cuts,
        "groups": groups(s, y, cuts),
    }


def poisson():
    s, y = score(*models["poisson"]) + log_time, visits
    mean, one, family = np.exp(s), np.ones(N), sm.families.Poisson()
    null = sm.GLM(y, one, family=family, offset=log_time).fit(tol=1e-14)
    cuts = [0.5, 1.0, 2.0]
    return {
        "deviance": float(N * metrics.mean_poisson_deviance(y, mean)),
        "null_deviance": float(null.deviance),
        "rmse": float(np.sqrt(metrics.mean_squared_error(y, mean))),
        "mae": float(metrics.mean_absolute_error(y, mean)),
        "line": line(sm.GLM(y, np.column_stack([one, s]), family=family).fit(tol=1e-14)),
        "in_the_large": line(sm.GLM(y, one, family=family, offset=s).fit(tol=1e-14)),
        "cuts": cuts,
        "groups": groups(mean, y, cuts),
    }


rows = [
    [str(age[i]), str(dose[i]), sex[i], str(log_time[i]), "yes" if outcome[i] else "no", str(value[i]), str(int(visits[i]))]
    for i in range(N)
]
print(json.dumps({
    "models": {name: list(of) for name, of in models.items()},
    "logistic": logistic(),
    "linear": linear(),
    "poisson": poisson(),
    "rows": rows,
}, indent=None).replace("], [", "],\n["))
