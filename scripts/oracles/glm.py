"""Small generalised linear fits by statsmodels and scipy, with their data, as JSON on standard output.

Case weights are frequencies: statsmodels gets each row as many times as its weight says, so that
degrees of freedom and robust covariances mean what they mean for rows. Penalised fits are found by
scipy to a gradient of nothing: statsmodels has none to full precision.
"""

import json
import re

import numpy as np
import scipy
import scipy.optimize
import scipy.special
import statsmodels
import statsmodels.api as sm
from statsmodels.stats.sandwich_covariance import cov_white_simple

rng = np.random.default_rng(20)


def rounded(values, digits=6):
    """So that the file holds exactly the numbers that were fitted."""
    return np.round(values, digits)


def make(family, rows, columns, *, intercept=True, offset=False, weights=False, scale=1.0, rate=2.0):
    x = rounded(rng.normal(size=(rows, columns)) * scale)
    x[:, -1] = (rng.random(rows) < 0.3).astype(float)
    w = rounded(rng.normal(size=columns) / 2 / np.sqrt(columns))
    offsets = rounded(rng.normal(size=rows) / 3) if offset else np.zeros(rows)
    counts = rng.integers(0, 4, size=rows) if weights else np.ones(rows, dtype=int)
    clusters = rng.integers(0, 9, size=rows)
    z = x @ w + offsets + (np.log(rate) if family == "poisson" else -0.4)
    if family == "poisson":
        y = rng.poisson(np.exp(z))
    else:
        y = (rng.random(rows) < 1 / (1 + np.exp(-z))).astype(int)
    return dict(family=family, x=x, y=y, intercept=intercept, offsets=offsets if offset else None,
                weights=counts if weights else None, clusters=clusters, l2=0.0)


def expanded(case):
    times = case["weights"] if case["weights"] is not None else np.ones(len(case["y"]), dtype=int)
    again = np.repeat(np.arange(len(case["y"])), times)
    x = case["x"][again]
    if case["intercept"]:
        x = np.column_stack([x, np.ones(len(x))])
    offsets = case["offsets"][again] if case["offsets"] is not None else np.zeros(len(x))
    return x, case["y"][again], offsets, case["clusters"][again]


def unpenalised(case):
    x, y, offsets, clusters = expanded(case)
    family = sm.families.Poisson() if case["family"] == "poisson" else sm.families.Binomial()
    model = sm.GLM(y, x, family=family, offset=offsets)

    def fit(**how):
        return model.fit(tol=1e-14, tol_criterion="params", maxiter=200, **how)

    plain, d = fit(), x.shape[1]
    covariances = {
        "model": plain.cov_params(),
        "hc0": fit(cov_type="HC0").cov_params(),
        # cov_type="HC1" of a GLM leaves the correction out.
        "hc1": cov_white_simple(plain, use_correction=True),
        "cluster0": fit(cov_type="cluster", cov_kwds=dict(groups=clusters, use_correction=False)).cov_params(),
        "cluster1": fit(cov_type="cluster", cov_kwds=dict(groups=clusters, use_correction=True)).cov_params(),
    }
    contrasts = rounded(rng.normal(size=(2, d)), 3)
    values = np.array([0.1, -0.2])
    null = plain.null_deviance
    if not case["intercept"]:
        # R's null model without an intercept is the offset alone; statsmodels puts one in.
        null = family.deviance(y, family.fitted(offsets))
    set_ = [0, d - 1]
    wald = {}
    for name in ("model", "hc1"):
        wald[name] = {
            key: float(plain.wald_test(what, cov_p=covariances[name], use_f=False, scalar=True).statistic)
            for key, what in (("set", np.eye(d)[set_]), ("contrasts", (contrasts, values)))
        }
    return {
        "coefficients": plain.params, "covariances": covariances, "std_errors": plain.bse,
        "deviance": plain.deviance, "null_deviance": null, "log_likelihood": plain.llf,
        "aic": plain.aic, "pearson": plain.pearson_chi2, "set": set_, "contrasts": contrasts,
        "values": values, "wald": wald,
    }


def penalised(case):
    x, y, offsets, _ = expanded(case)
    free = np.full(x.shape[1], len(y) * case["l2"])
    if case["intercept"]:
        free[-1] = 0.0

    def moments(w):
        z = x @ w + offsets
        if case["family"] == "poisson":
            return np.exp(z), np.exp(z)
        p = scipy.special.expit(z)
        return p, p * scipy.special.expit(-z)

    def gradient(w):
        return x.T @ (moments(w)[0] - y) + free * w

    def information(w):
        return (x * moments(w)[1][:, None]).T @ x + np.diag(free)

    found = scipy.optimize.root(gradient, np.zeros(x.shape[1]), jac=information, tol=1e-14)
    w = found.x
    for _ in range(3):
        w = w - np.linalg.solve(information(w), gradient(w))
    covariance = np.linalg.inv(information(w))
    return {"coefficients": w, "covariances": {"model": covariance},
            "std_errors": np.sqrt(np.diag(covariance))}


def plain(value):
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.ravel().tolist())
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, (np.floating, float)):
        return int(value) if float(value).is_integer() and abs(value) < 2**53 else float(value)
    return value.item() if isinstance(value, np.generic) else value


cases = {
    "logistic": make("logistic", 120, 3),
    "logistic, offsets, weights": make("logistic", 90, 4, offset=True, weights=True),
    "logistic, no intercept": make("logistic", 80, 3, intercept=False),
    "logistic, penalty": make("logistic", 90, 5, offset=True, weights=True) | {"l2": 0.05},
    "poisson": make("poisson", 120, 3),
    "poisson, offsets, weights": make("poisson", 90, 4, offset=True, weights=True),
    "poisson, no intercept": make("poisson", 80, 3, intercept=False, offset=True),
    "poisson, penalty": make("poisson", 90, 5, weights=True) | {"l2": 0.1},
    "poisson, large rates": make("poisson", 100, 3, offset=True, rate=2e5),
}
out = {"versions": {"numpy": np.__version__, "scipy": scipy.__version__, "statsmodels": statsmodels.__version__},
       "cases": {}}
for name, case in cases.items():
    fit = penalised(case) if case["l2"] else unpenalised(case)
    data = {key: value for key, value in case.items() if value is not None}
    out["cases"][name] = {"columns": case["x"].shape[1], **data, "fit": fit}
# One line for each list, not for each number.
text = re.sub(r"\[[^\[\]{}]*\]", lambda list_: re.sub(r"\s+", " ", list_[0]), json.dumps(plain(out), indent=1))
print(text)
