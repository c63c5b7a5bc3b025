"""Least squares by statsmodels on the pooled rows of scripts/data/concrete_strength, as JSON on standard
output: usual, robust and cluster-robust standard errors, joint tests, and linear combinations.

Columns are standardised (with the deviation of the population), in the order of the study. Rows are those
of the parties' files, one after the other; seven in a row are a group.
"""

import json
import pathlib

import numpy as np
import pandas as pd
import statsmodels
import statsmodels.api as sm

folder = pathlib.Path(__file__).parent.parent / "data" / "concrete_strength"
rows = pd.concat([pd.read_csv(folder / f"party{i}.csv") for i in (1, 2, 3)], ignore_index=True)
columns = ["cement", "blast_furnace_slag", "fly_ash", "water", "superplasticizer", "coarse_aggregate",
           "fine_aggregate", "age"]
target = "compressive_strength"
means, deviations = rows[columns].mean(), rows[columns].std(ddof=0)
x = ((rows[columns] - means) / deviations).to_numpy()
x = np.column_stack([x, np.ones(len(x))])
y = rows[target].to_numpy()
groups = np.arange(len(y)) // 7

# Weights of combinations on the scale of the files, the intercept there last.
combinations = {
    "cement beside slag": {"cement": 1.0, "blast_furnace_slag": -1.0},
    "ash beside both": {"fly_ash": 1.0, "cement": -0.5, "blast_furnace_slag": -0.5},
    "a mixture": {"cement": 300.0, "water": 180.0, "age": 28.0, "coarse_aggregate": 950.0,
                  "fine_aggregate": 750.0, "(intercept)": 1.0},
}
joint = ["cement beside slag", "ash beside both"]


def standardised(weights):
    """The same combination of the standardised coefficients, the intercept last."""
    of = [weights.get(column, 0.0) for column in columns]
    at_zero = weights.get("(intercept)", 0.0)
    return np.array([(w - at_zero * means[c]) / deviations[c] for w, c in zip(of, columns)] + [at_zero])


def described(fit):
    contrasts = {}
    for name, weights in combinations.items():
        row = standardised(weights)
        test = fit.t_test(row, use_t=True)
        contrasts[name] = {"estimate": float(test.effect[0]), "std_error": float(test.sd[0, 0]),
                           "t": float(np.squeeze(test.tvalue)), "p": float(np.squeeze(test.pvalue))}
    both = np.array([standardised(combinations[name]) for name in joint])
    set_test = fit.f_test(np.eye(len(columns) + 1)[:3])
    both_test = fit.f_test(both)
    return {
        "coefficients": fit.params.tolist(),
        "std_errors": fit.bse.tolist(),
        "first_three": {"F": float(set_test.fvalue), "p": float(set_test.pvalue)},
        "contrasts": contrasts,
        "joint": {"F": float(both_test.fvalue), "p": float(both_test.pvalue)},
    }


model = sm.OLS(y, x)
print(json.dumps({
    "made_by": f"statsmodels {statsmodels.__version__}",
    "columns": columns,
    "combinations": combinations,
    "means": means.tolist(),
    "deviations": deviations.tolist(),
    "jointly": joint,
    "fits": {
        "usual": described(model.fit()),
        "hc0": described(model.fit(cov_type="HC0", use_t=True)),
        "hc1": described(model.fit(cov_type="HC1", use_t=True)),
        # The factor of R's vcovCL(type = "HC1"): G / (G - 1) (n - 1) / (n - d).
        "cluster": described(model.fit(cov_type="cluster", use_t=True, cov_kwds={
            "groups": groups, "use_correction": True, "df_correction": False})),
    },
}, indent=1))
