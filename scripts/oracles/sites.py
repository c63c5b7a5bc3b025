"""Meta-analyses by statsmodels (iterated nothing: DerSimonian and Laird, and one weight), and what metafor prints of dat.bcg.

    python scripts/oracles/sites.py > scripts/oracles/sites.json

dat.bcg: thirteen trials of the BCG vaccine (Colditz and others, JAMA 271, 1994); log risk ratios and their variances as escalc(measure = "RR") gives
them. metafor's rma(yi, vi, method = "DL") prints: estimate -0.7141, se 0.1787, tau^2 0.3088, I^2 92.12%, Q(df = 12) = 152.2330; that is asserted here.
"""
import json

import numpy as np
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

# Tuberculosis and none among the vaccinated, and among the others.
BCG = [
    (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761),
    (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892), (29, 7470, 45, 7232), (17, 1699, 65, 1600),
    (186, 50448, 141, 27197), (5, 2493, 3, 2338), (27, 16886, 29, 17825),
]


def summary(estimates, errors):
    y, v = np.array(estimates, float), np.array(errors, float) ** 2
    of = combine_effects(y, v, method_re="chi2", use_t=False)
    w = 1 / v
    q = float(np.sum(w * (y - np.sum(w * y) / w.sum()) ** 2))
    assert np.isclose(q, of.q)
    df = len(y) - 1
    tau2 = max(0.0, float((q - df) / (w.sum() - (w**2).sum() / w.sum())))
    ws = 1 / (v + tau2)
    random = float((ws * y).sum() / ws.sum())
    if of.tau2 > 0:
        assert np.isclose(of.tau2, tau2) and np.isclose(of.mean_effect_re, random)
    return {
        "estimates": list(map(float, y)), "errors": list(map(float, errors)),
        "fixed": [float(of.mean_effect_fe), float(of.sd_eff_w_fe)],
        "random": [random, float(ws.sum() ** -0.5)],
        "q": q, "p_value": float(stats.chi2.sf(q, df)), "tau2": tau2, "i2": max(0.0, (q - df) / q) if q > 0 else 0.0,
    }


y = [np.log(a / (a + b)) - np.log(c / (c + d)) for a, b, c, d in BCG]
se = [(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)) ** 0.5 for a, b, c, d in BCG]
bcg = summary(y, se)
assert [round(x, 4) for x in (*bcg["random"], bcg["tau2"], bcg["q"])] == [-0.7141, 0.1787, 0.3088, 152.2330], bcg
assert round(100 * bcg["i2"], 2) == 92.12
print(json.dumps({
    "bcg": bcg,
    "alike": summary([0.31, 0.29, 0.35], [0.1, 0.2, 0.15]),
    "two": summary([1.2, -0.4], [0.3, 0.5]),
}, separators=(",", ":")))
