"""Compares exports of a model with the program's own predictions, in the programs that they are for.

    python scripts/oracles/exports.py PARTY MODEL ROWS

PARTY is the program, MODEL a model.json and ROWS a CSV file with its columns. Needs numpy, pandas, scikit-learn and
onnxruntime; with jpmml_evaluator and Java also PMML. Says the largest difference of each, and fails above 1e-9.
"""
import importlib.util
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pandas as pd

party, model, data = sys.argv[1:4]
folder = pathlib.Path(tempfile.mkdtemp())


def run(*arguments):
    subprocess.run([party, "--config", folder / "none.toml", *map(str, arguments)], check=True, stdout=subprocess.PIPE)


def export(form, name):
    run("export", "--model", model, "--as", form, "--out", folder / name, "--data", data)
    return folder / name


run("predict", "--model", model, "--data", data, "--out", folder / "predictions.csv")
ours = pd.read_csv(folder / "predictions.csv")
scored = (ours["status"] != "").to_numpy() & ours.iloc[:, 1].notna().to_numpy()
expected = ours.iloc[:, 1].to_numpy()[scored]
rows = pd.read_csv(data, dtype=str, keep_default_na=False)[scored]


def compare(what, got):
    off = float(np.max(np.abs(np.asarray(got, float) - expected) / np.maximum(1.0, np.abs(expected))))
    print(f"{what}: {len(expected)} rows, largest difference {off:.1e}")
    if not off <= 1e-9:
        sys.exit(f"{what} is wrong")


import onnxruntime

session = onnxruntime.InferenceSession(str(export("onnx", "model.onnx")))
inputs = {}
for each in session.get_inputs():
    cells = rows[each.name]
    numeric = each.type == "tensor(double)"
    values = pd.to_numeric(cells.replace("", np.nan)).to_numpy(float) if numeric else cells.to_numpy(object)
    inputs[each.name] = values[:, None]
compare("onnxruntime", session.run(None, inputs)[0][:, 0])

spec = importlib.util.spec_from_file_location("exported", export("sklearn", "exported.py"))
exported = importlib.util.module_from_spec(spec)
spec.loader.exec_module(exported)
pipeline = exported.load()
if exported.MODEL["kind"] == "logistic":
    assert list(pipeline.classes_) == exported.MODEL["classes"]
    compare("scikit-learn", pipeline.predict_proba(rows)[:, 1])
else:
    compare("scikit-learn", pipeline.predict(rows))

# The table of coefficients, by hand: what R would do with it.
tidy = pd.read_csv(export("tidy", "tidy.csv"), index_col="term")["estimate"]
assert set(tidy.index) - {"(Intercept)"} == {term["name"] for term in exported.MODEL["terms"]}

pmml = export("pmml", "model.pmml")
try:
    from jpmml_evaluator import make_evaluator
except ImportError:
    print("JPMML: skipped, jpmml_evaluator is not installed")
else:
    evaluator = make_evaluator(str(pmml)).verify()
    frame = rows.replace("", None)
    numbers = [each["column"] for each in exported.MODEL["columns"] if "levels" not in each]
    numbers += [exported.MODEL["offset"]] if exported.MODEL["offset"] else []
    for name in numbers:
        frame[name] = pd.to_numeric(frame[name])
    results = evaluator.evaluateAll(frame)
    name = [each.getName() for each in evaluator.getOutputFields()][-1]
    compare("JPMML", results[name])
