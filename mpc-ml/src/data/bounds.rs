//! What is known in public about the size of encoded columns.

use super::{Feature, FeatureKind, Numeric, Scaling, Schema};

/// The mean square of a jointly standardised column: at most 1, since its revealed deviation is never
/// too small, and something for double precision and fixed point.
pub const STANDARDISED: f64 = 1.0 + 1.0 / 16384.0;

/// For each encoded column, a bound on the mean of its squares that is known in public: 1 for
/// columns that were standardised jointly, over the same rows that the model is fitted to (by
/// construction, and clipping and filling in only lower it), and
/// for 0/1 columns, the square of the declared range for others, and the square of the clip.
#[must_use]
pub fn mean_squares(schema: &Schema, clip: f64) -> Vec<f64> {
    let mut all = Vec::new();
    for feature in schema.features() {
        match &feature.kind {
            FeatureKind::Numeric(Numeric { range, scale, indicator, .. }) => {
                let most = |mean: f64, std: f64| {
                    range.map_or(f64::INFINITY, |(low, high)| {
                        let largest = ((low - mean) / std).abs().max(((high - mean) / std).abs());
                        // Entries are rounded to fixed point after this.
                        (largest * largest).max(1e-12) * STANDARDISED
                    })
                };
                all.push(match *scale {
                    Scaling::Joint => STANDARDISED,
                    Scaling::None => most(0.0, 1.0),
                    Scaling::Constants { mean, std } => most(mean, std),
                });
                if *indicator {
                    all.push(1.0);
                }
            }
            FeatureKind::Categorical(_) => all.extend(feature.columns().iter().map(|_| 1.0)),
        }
    }
    all.iter().map(|square| square.min(clip * clip)).collect()
}

/// A bound on the sum of [`mean_squares`]: the indicators of one categorical feature count 1
/// together, since a row has at most one of them. A condition of privacy as well.
#[must_use]
pub fn total_mean_square(schema: &Schema, clip: f64) -> f64 {
    let mut squares = mean_squares(schema, clip).into_iter();
    let of_feature = |feature: &Feature| {
        let own = squares.by_ref().take(feature.columns().len());
        match &feature.kind {
            FeatureKind::Numeric(_) => own.sum(),
            FeatureKind::Categorical(_) => own.fold(0.0, f64::max),
        }
    };
    schema.features().iter().map(of_feature).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Categorical, CategoricalMissing, NumericMissing, NumericTarget, Target};

    #[test]
    fn columns_are_bounded_by_what_the_study_says() {
        let numeric = |name: &str, range, scale, indicator| {
            let missing = if indicator { NumericMissing::Mean } else { NumericMissing::Refuse };
            let kind = FeatureKind::Numeric(Numeric { range, missing, indicator, scale });
            Feature { name: name.into(), kind }
        };
        let levels = ["a", "b", "c"].map(String::from).to_vec();
        let missing = CategoricalMissing::Base;
        let words = Categorical { levels, base: "a".into(), missing };
        let features = vec![
            numeric("joint", None, Scaling::Joint, true),
            numeric("range", Some((-1.0, 3.0)), Scaling::None, false),
            numeric(
                "constants",
                Some((0.0, 8.0)),
                Scaling::Constants { mean: 2.0, std: 3.0 },
                false,
            ),
            numeric("unknown", None, Scaling::Constants { mean: 2.0, std: 3.0 }, false),
            Feature { name: "words".into(), kind: FeatureKind::Categorical(words) },
        ];
        let target = Target::Numeric(NumericTarget { column: "y".into(), range: None });
        let schema = Schema::new(features, target).expect("valid");
        let expected = [1.0, 1.0, 9.0, 4.0, 16.0, 1.0, 1.0];
        let bounds = mean_squares(&schema, 4.0);
        assert_eq!(bounds.len(), schema.columns().len());
        for (bound, expected) in bounds.iter().zip(expected) {
            assert!(*bound >= expected && *bound <= expected * 1.001, "{bound} {expected}");
        }
        // The two indicators of `words` are never 1 in the same row.
        let total = total_mean_square(&schema, 4.0);
        assert!((32.0..32.1).contains(&total), "{total}");
        assert!(mean_squares(&schema, 0.5).iter().all(|&square| square <= 0.25));
    }
}
