//! Pages of made-up runs: what stands on them, and that no text becomes a mark.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::*;

/// A text that would be seen in the page if it were not escaped.
const EVIL: &str = "<b onload='x'>&\"\u{202e}";

fn described() -> Value {
    let groups = json!([
        { "count": 60, "missing": 3, "mean": 61.5, "deviation": 10.2 },
        { "count": 58, "missing": 0, "mean": 63.25, "deviation": 9.8 },
    ]);
    json!({
        "group": EVIL, "groups": [["usual", 63], [EVIL, 58]], "left_out": ["histograms"],
        "columns": [
            { "measured": { "name": EVIL, "groups": groups, "all": { "count": 118, "missing": 3 },
                "test": { "welch": [{ "statistic": -1.0, "freedom": 99.5, "p_value": 0.3125 }, 0.1] } } },
            { "categories": { "name": "sex", "levels": ["f", EVIL], "counts": [[30, 33], [29, 29]],
                "missing": [0, 0], "test": null } },
        ],
        "tables": [{ "names": ["sex", EVIL], "levels": [["f"], [EVIL]], "counts": [[7]], "test": null }],
        "correlations": { "names": ["age", EVIL], "rows": [118, 3], "matrix": [[1.0, 0.25], [0.25, 1.0]] },
        "histograms": [{ "name": EVIL, "ends": [0.0, 50.0, 100.0], "counts": [12, 1234] }],
        "quartiles": [{ "name": "age", "groups": [[[40.0, 45.0], [60.0, 65.0], null], [null, null, [80.0, 90.0]]] }],
        "kept": [{ "name": "ward", "levels": [["surgery", 1357], [EVIL, null]], "together": 9 }],
    })
}

fn evaluated() -> Value {
    let estimate = json!({ "estimate": 0.95, "std_error": 0.1, "low": 0.75, "high": 1.15 });
    json!({
        "model": { "title": EVIL }, "rows": 400, "coarsened": true,
        "groups": [
            { "low": null, "high": 0.2, "rows": 300, "positives": 30, "predicted": 0.1, "observed": 0.1 },
            { "low": 0.2, "high": null, "rows": 100, "positives": 40, "predicted": 0.35, "observed": 0.4 },
        ],
        "calibration": { "slope": estimate, "intercept": estimate, "in_the_large": null },
        "figures": { "logistic": { "positives": 70, "negatives": 330,
            "auc": { "auc": 0.8125, "std_error": 0.02, "low": 0.77, "high": 0.85 },
            "roc": [{ "threshold": 0.2, "sensitivity": 0.57, "specificity": 0.82 }],
            "brier": 0.125, "null_brier": 0.15, "log_loss": 0.4, "null_log_loss": 0.5 } },
    })
}

fn survived() -> Value {
    let point = |time: f64, survival: f64| {
        json!({ "time": time, "at_risk": 50, "events": 9, "survival": survival,
            "low": survival - 0.1, "high": survival + 0.1 })
    };
    let curve = |name: &str| {
        json!({ "name": name, "rows": 60, "missing": 0, "events": 18, "median": null,
            "median_interval": [400.0, null], "points": [point(180.0, 0.85), point(360.0, 0.7)] })
    };
    json!({
        "time": EVIL, "event": EVIL, "group": "arm", "grid": [180.0, 360.0], "coarsened": 1, "interval": "log",
        "curves": [curve("usual"), curve(EVIL)],
        "log_rank": { "test": { "statistic": 4.5, "freedom": 1.0, "p_value": 0.0339 } },
    })
}

fn by_site() -> Value {
    let of = |estimate: f64| json!({ "estimate": estimate, "std_error": 0.2, "low": estimate - 0.4, "high": estimate + 0.4 });
    json!({
        "model": { "title": EVIL, "kind": "logistic" },
        "parties": ["north", EVIL, "south"], "rows": [1200, 300, 90],
        "effects": [
            { "name": EVIL, "sites": [of(0.0), of(-0.5), null],
                "combined": { "fixed": of(-0.25), "random": of(-0.25), "q": 3.125, "freedom": 1, "p_value": 0.0771,
                    "i2": 0.68, "tau2": 0.085 } },
            { "name": "age", "sites": [of(0.1), null, null], "combined": null },
        ],
    })
}

fn with_noise() -> Value {
    let off = |value: f64| json!({ "value": value, "within": 0.5 });
    json!({
        "promise": EVIL, "noise": ["sex by treatment: noise with deviation 4.0"], "rows": 1234, "group": "treatment",
        "tables": [
            { "names": ["treatment"], "levels": [["usual", EVIL]], "counts": [[600], [-3]], "deviation": 4.25, "within": 9 },
            { "names": ["treatment", EVIL], "levels": [["usual", "new"], ["f", "m"]], "counts": [[300, 310], [290, 320]],
                "deviation": 4.0, "within": 8 },
        ],
        "means": [{ "name": EVIL, "cut": [80.0, 180.0], "groups": ["usual", "new"], "means": [off(121.5), null],
            "deviations": [off(14.25), null] }],
        "histograms": [{ "name": "score", "ends": [0.0, 0.5, 1.0], "groups": ["usual", EVIL], "counts": [[7, -2, 1], [9, 30, 0]],
            "quartiles": [[null, [0.0, 0.5], null], [[0.5, 1.0], null, null]], "deviation": 4.0, "within": 8,
            "separation": { "of": EVIL, "auc": off(0.8125), "ties": 0.0625, "shares": [null, off(0.75)], "brier": off(0.125) } }],
    })
}

#[test]
fn every_noisy_figure_stands_beside_its_noise() {
    let html = noisy::section("t", &with_noise()).into_string();
    for figure in [
        "600 \u{b1} 9",
        "\u{2212}3 \u{b1} 9",
        "310 \u{b1} 8",
        "standard deviation 4.250",
        "121.5 \u{b1} 0.5000",
        "too noisy",
        "cut to 80.00 and 180.0",
        "0.8125 \u{b1} 0.5000",
        "0.7500 \u{b1} 0.5000",
        "missing",
        "1,234 (public, without noise)",
        "in 95 of 100",
        "<li>sex by treatment",
    ] {
        assert!(html.contains(figure), "{figure}: {html}");
    }
    assert_eq!(rows_of(&with_noise()), 1234);
}

#[test]
fn effects_stand_beside_their_sites() {
    let html = sites::section("t", &by_site()).into_string();
    for figure in [
        "north (1,200 rows)",
        "0.6065 (0.4066 to 0.9048)",
        "One effect for all",
        "68.0%",
        "0.0771",
        "Without a fit on their rows alone: south.",
        "Fewer than two sites have an estimate.",
        "Odds ratios by site",
    ] {
        assert!(html.contains(figure), "{figure}: {html}");
    }
}

#[test]
fn a_text_is_never_a_mark() {
    let pages = [
        described::section(EVIL, &described()),
        evaluated::section(EVIL, &evaluated()),
        survived::section(EVIL, &survived()),
        sites::section(EVIL, &by_site()),
        noisy::section(EVIL, &with_noise()),
    ];
    for html in pages {
        let html = html.into_string();
        assert!(html.contains("&lt;b onload=&#39;x&#39;&gt;&amp;&quot;\u{fffd}"), "{html}");
        assert!(!html.contains("<b ") && !html.contains('\u{202e}'), "{html}");
        assert!(!html.contains("NaN") && !html.contains("null"), "{html}");
    }
}

#[test]
fn what_was_released_stands_on_the_page() {
    let html = described::section("t", &described()).into_string();
    for figure in [
        "61.50 (10.20)",
        "30 (47.6%)",
        "0.3125",
        "Left out, because",
        "0.250",
        "1,246 rows in 2",
        "60.00 to 65.00",
        "80.00 to 90.00",
        "1,357",
        "kept back",
        "Kept back together: 9 rows",
    ] {
        assert!(html.contains(figure), "{figure}: {html}");
    }
    let html = evaluated::section("t", &evaluated()).into_string();
    for figure in [
        "0.8125 (95% interval 0.7700 to 0.8500)",
        "0.1250 (without features 0.1500)",
        "Finer groups",
    ] {
        assert!(html.contains(figure), "{figure}: {html}");
    }
    let html = survived::section("t", &survived()).into_string();
    for figure in ["\u{2013} (400.0 to \u{2013})", "0.0339", "polygon", "because of small counts"] {
        assert!(html.contains(figure), "{figure}: {html}");
    }
}

#[test]
fn the_rows_of_a_result_are_counted_where_it_says_them() {
    assert_eq!(rows_of(&described()), 121);
    assert_eq!(rows_of(&evaluated()), 400);
    assert_eq!(rows_of(&json!({})), 0);
}

/// A result that lacks what is looked for makes a shorter page, and no failure.
#[test]
fn what_is_not_there_is_left_out() {
    for value in
        [Value::Null, json!({}), json!([]), json!({ "columns": 3, "curves": [{}], "groups": [[]] })]
    {
        described::section("t", &value);
        evaluated::section("t", &value);
        survived::section("t", &value);
        sites::section("t", &value);
        noisy::section("t", &value);
    }
}

#[test]
fn a_folder_without_a_receipt_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |what: &str| {
        let failure = report(&[folder.path().to_owned()], &[]).unwrap_err();
        assert!(failure.to_string().contains(what), "{failure}");
    };
    refused("such as state/0123456789abcdef");
    fs::write(folder.path().join("receipt.json"), "{}").unwrap();
    refused("it is no receipt");
    assert!(report(&[], &[]).is_err());
    assert!(Source::read(Path::new("/proc")).is_err());
}
