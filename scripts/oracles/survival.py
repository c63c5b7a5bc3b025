"""What lifelines and statsmodels make of made-up follow-up times, and what R prints of published ones.

    python scripts/oracles/survival.py > scripts/oracles/survival.json

Times and curves are those of times rounded up to a grid; hazard ratios those of a Poisson fit of expanded rows. The two published data sets are small tables of papers: remissions of
acute leukaemia under 6-mercaptopurine (Freireich and others, Blood 21, 1963), and maintained remissions of acute myelogenous leukaemia
(Miller, Survival Analysis, 1981; `aml` in R). R prints for the second: medians 31 (18 to NA) and 23 (8 to NA), log-rank 3.4 on 1 degree
of freedom, p = 0.0653; that is asserted here.
"""
import json

import numpy as np
import pandas as pd
import statsmodels.api as sm
from lifelines import KaplanMeierFitter
from lifelines.statistics import multivariate_logrank_test
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight


def curve(times, events, grid):
    times, events = np.array(times, float), np.array(events, int)
    grid = np.array(grid, float)
    beyond = times > grid[-1]
    # Rounded up; what is seen beyond the grid is censored after it.
    place = np.minimum(np.searchsorted(grid, times), len(grid) - 1)
    rounded = np.where(beyond, grid[-1] + 1, grid[place])
    happened = np.where(beyond, 0, events)
    fit = KaplanMeierFitter().fit(rounded, happened)
    s = fit.survival_function_at_times(grid).to_numpy()
    if happened.any():
        greenwood = SurvfuncRight(rounded, happened)
        at = np.searchsorted(greenwood.surv_times, grid, side="right") - 1
        with np.errstate(all="ignore"):
            se = np.where(at < 0, 0, greenwood.surv_prob_se[np.maximum(at, 0)])
            check = np.where(at < 0, 1, greenwood.surv_prob[np.maximum(at, 0)])
        assert np.allclose(s, check)
    else:
        se = np.zeros(len(grid))
    z = stats.norm.ppf(0.975)
    out = {"survival": s.tolist(), "error": [], "log": [], "plain": [], "loglog": []}
    loglog = fit.confidence_interval_survival_function_
    for i, t in enumerate(grid):
        none = s[i] <= 0
        out["error"].append(None if none else float(se[i]))
        if none:
            for kind in ("log", "plain", "loglog"):
                out[kind].append(None)
            continue
        spread = z * se[i] / s[i]
        out["log"].append([float(s[i] * np.exp(-spread)), float(min(1, s[i] * np.exp(spread)))])
        out["plain"].append([float(max(0, s[i] - z * se[i])), float(min(1, s[i] + z * se[i]))])
        row = loglog[loglog.index <= t].iloc[-1]
        out["loglog"].append([1.0, 1.0] if s[i] == 1 else [float(row.iloc[0]), float(row.iloc[1])])
    # The curve of the times as they are, at the points of the grid.
    exact = KaplanMeierFitter().fit(times, events).survival_function_at_times(grid)
    out["unrounded"] = exact.to_numpy().tolist()
    out["median"] = None if not (s <= 0.5 + 1e-9).any() else float(fit.median_survival_time_)
    return out, rounded, happened


def case(rows, grid, exact):
    groups = sorted({row[0] for row in rows})
    curves, all_times, all_events, names = {}, [], [], []
    for group in groups:
        own = [row for row in rows if row[0] == group]
        curves[group], rounded, happened = curve([r[1] for r in own], [r[2] for r in own], grid)
        all_times += list(rounded)
        all_events += list(happened)
        names += [group] * len(own)
    test = multivariate_logrank_test(all_times, names, all_events)
    return {
        "rows": [[group, repr(float(time)), str(event)] for group, time, event in rows],
        "grid": [float(t) for t in grid],
        "exact": exact,
        "curves": curves,
        "log_rank": [float(test.test_statistic), len(groups) - 1, float(test.p_value)],
    }


gehan = [("6-MP", t, 1) for t in (6, 6, 6, 7, 10, 13, 16, 22, 23)]
gehan += [("6-MP", t, 0) for t in (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)]
gehan += [("placebo", t, 1) for t in (1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23)]
aml = [("Maintained", t, e) for t, e in zip((9, 13, 13, 18, 23, 28, 31, 34, 45, 48, 161), (1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 0))]
aml += [("Nonmaintained", t, e) for t, e in zip((5, 5, 8, 8, 12, 16, 23, 27, 30, 33, 43, 45), (1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1))]

rng = np.random.default_rng(20240611)
made = []
for group, scale in (("a", 300), ("b", 480), ("c", 380)):
    for _ in range(130):
        time, end = rng.exponential(scale), rng.uniform(60, 900)
        made.append((group, round(float(min(time, end)), 2), int(time <= end)))


def hazards(rows, cuts):
    """statsmodels' Poisson fit of the rows expanded by pandas."""
    frame = pd.DataFrame(rows, columns=["arm", "time", "event"])
    edges = [0, *cuts, np.inf]
    parts = []
    for i, (low, high) in enumerate(zip(edges, edges[1:])):
        part = frame[frame.time > low].copy()
        part["interval"] = i
        part["spent"] = part.time.clip(upper=high) - low
        part["events"] = part.event * (part.time <= high)
        parts.append(part)
    long = pd.concat(parts)
    x = pd.get_dummies(long[["arm", "interval"]].astype(str), drop_first=True, dtype=float)
    x["const"] = 1.0
    fit = sm.GLM(long["events"], x, family=sm.families.Poisson(), offset=np.log(long["spent"])).fit(tol=1e-14)
    return {"cuts": cuts, "rows": len(long), "coefficients": fit.params.tolist(), "errors": fit.bse.tolist()}


points = lambda rows: sorted({row[1] for row in rows})
out = {
    "gehan": case(gehan, points(gehan), True),
    "aml": case(aml, points(aml), True),
    "made up": case(made, list(range(60, 721, 60)), False),
    "hazards": hazards(made, [120, 300, 500]),
}
test = out["aml"]["log_rank"]
assert round(test[0], 1) == 3.4 and round(test[2], 4) == 0.0653, test
assert [out["aml"]["curves"][g]["median"] for g in ("Maintained", "Nonmaintained")] == [31, 23]
assert round(out["gehan"]["log_rank"][0], 2) == 16.79
print(json.dumps(out, indent=None, separators=(",", ":"), allow_nan=False))
