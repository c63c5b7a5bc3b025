"""What scipy makes of made-up rows: table one, tests, correlations.

    python scripts/oracles/describe.py > scripts/oracles/describe.json

Pearson's test has Yates' correction for two by two cells, as in R.
"""
import json
import math

import numpy as np
from scipy import stats

rng = np.random.default_rng(20240607)
N = 240
arm = rng.choice(["control", "new"], N)
site = rng.choice(["north", "south", "west"], N, p=[0.5, 0.3, 0.2])
sex = rng.choice(["f", "m"], N)
smoker = np.where(rng.random(N) < 0.3 + 0.2 * (sex == "m"), "yes", "no")
age = np.round(rng.normal(61, 11, N).clip(18, 99), 1)
weight = np.round((60 + 14 * (sex == "m") + rng.normal(0, 9, N)).clip(35, 150), 2)
pressure = np.round((100 + 0.5 * age - 6 * (arm == "new") + rng.normal(0, 8, N)).clip(60, 220), 3)
missing = rng.random(N) < 0.12


def cell(value, is_missing=False):
    return "" if is_missing else str(value)


rows = [
    [arm[i], site[i], sex[i], smoker[i], cell(age[i]), cell(weight[i]), cell(pressure[i], missing[i])]
    for i in range(N)
]


def numeric(values, groups, names):
    parts = [values[groups == name] for name in names]
    out = {
        "count": [len(part) for part in parts],
        "mean": [float(np.mean(part)) for part in parts],
        "deviation": [float(np.std(part, ddof=1)) for part in parts],
        "all": [float(np.mean(values)), float(np.std(values, ddof=1))],
    }
    if len(parts) == 2:
        test = stats.ttest_ind(*parts, equal_var=False)
        out["test"] = [float(test.statistic), float(test.df), float(test.pvalue)]
    else:
        test = stats.f_oneway(*parts)
        out["test"] = [float(test.statistic), float(len(parts) - 1), float(test.pvalue)]
    return out


def table(a, b, names_a, names_b):
    counts = [[int(np.sum((a == x) & (b == y))) for y in names_b] for x in names_a]
    chi = stats.chi2_contingency(counts)
    out = {"counts": counts, "test": [float(chi.statistic), float(chi.dof), float(chi.pvalue)]}
    if len(names_a) == len(names_b) == 2:
        out["fisher"] = float(stats.fisher_exact(counts).pvalue)
    return out


arms, sites, sexes, words = ["control", "new"], ["north", "south", "west"], ["f", "m"], ["no", "yes"]
there = ~missing
both = {}
for name, groups, names in [("arm", arm, arms), ("site", site, sites)]:
    both[name] = {
        "age": numeric(age, groups, names),
        "weight": numeric(weight, groups, names),
        "pressure": numeric(pressure[there], groups[there], names),
        "missing": [int(np.sum(missing & (groups == each))) for each in names],
        "sex": table(groups, sex, names, sexes),
        "smoker": table(groups, smoker, names, words),
    }
result = {
    "rows": rows,
    "by": both,
    "sex by smoker": table(sex, smoker, sexes, words),
    "site by smoker": table(site, smoker, sites, words),
    "correlations": np.corrcoef([age[there], weight[there], pressure[there]]).tolist(),
    "histogram": np.histogram(age, bins=9, range=(18, 99))[0].tolist(),
    "quantiles": np.quantile(age, [0.25, 0.5, 0.75, 1], method="inverted_cdf").tolist(),
    "correlated": float(stats.pearsonr(age[there], pressure[there]).pvalue),
}
assert not math.isnan(result["correlations"][0][1])
print(json.dumps(result))
