//! Model files, to be compared.

use serde_json::Value;

/// The coefficients on the common scale.
pub fn coefficients(model: &Value) -> Option<Vec<f64>> {
    let scale = model.get("standardised")?;
    let mut all = Vec::new();
    collect(scale, &mut all);
    (!all.is_empty()).then_some(all)
}

fn collect(value: &Value, all: &mut Vec<f64>) {
    match value {
        Value::Number(number) => all.extend(number.as_f64()),
        Value::Array(values) => values.iter().for_each(|value| collect(value, all)),
        Value::Object(fields) => fields.values().for_each(|value| collect(value, all)),
        _ => {}
    }
}

/// The largest difference of a coefficient.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    if a.len() != b.len() {
        return f64::INFINITY;
    }
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
