//! Joint tests of features: those that the fit released, and those that follow from a released covariance.

use super::{ErrorKind, FeatureTest, FitStatistics, Inference, JointTest, Model};

/// A column is taken for determined by the others of its feature where so little is left of its variance.
const LEAST_PIVOT: f64 = 1e-4;

impl Model {
    /// For features of several columns, such as all levels of a category together: the tests (Wald) that all
    /// coefficients of one are 0. They are those that the study asked for; where it released the whole
    /// covariance matrix and tests rest on it, those of all such features follow from it, in their order.
    #[must_use]
    pub fn joint_tests(&self) -> Vec<FeatureTest> {
        let Some(inference) = self.inference() else { return Vec::new() };
        let mut from = 0;
        let following = self.schema.features().iter().filter_map(|feature| {
            let columns = from..from + feature.columns().len();
            from = columns.end;
            let known = inference.tests.iter().any(|test| test.feature == feature.name);
            let joint = (!known && columns.len() > 1)
                .then(|| self.of_covariance(inference, columns))
                .flatten()?;
            Some(FeatureTest { feature: feature.name.clone(), joint })
        });
        let following: Vec<_> = following.collect();
        inference.tests.iter().cloned().chain(following).collect()
    }

    /// The test of these columns from the covariance matrix on the standardised scale, whose entries are of one
    /// size.
    fn of_covariance(
        &self,
        inference: &Inference,
        columns: std::ops::Range<usize>,
    ) -> Option<JointTest> {
        if inference.tested().0 != ErrorKind::Usual {
            return None;
        }
        let covariance = inference.standardised_covariance.as_ref()?;
        let all: Vec<f64> = self.standardised().coefficients.values().collect();
        let (own, order) = (&all[columns.clone()], columns.len() as u64);
        let block: Vec<Vec<f64>> = covariance.values[columns.clone()]
            .iter()
            .map(|row| row[columns.clone()].to_vec())
            .collect();
        let statistic = quadratic(&block, own)?;
        Some(match &inference.fit {
            FitStatistics::LeastSquares(fit) => {
                JointTest::f(statistic / order as f64, order, fit.degrees_of_freedom)
            }
            _ => JointTest::chi_squared(statistic, order),
        })
    }
}

/// u^T V^-1 u; none where V is all but singular.
fn quadratic(matrix: &[Vec<f64>], vector: &[f64]) -> Option<f64> {
    let order = vector.len();
    let mut factor = vec![vec![0.0; order]; order];
    let mut solved = vec![0.0; order];
    for i in 0..order {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| factor[i][k] * factor[j][k]).sum();
            let rest = matrix[i][j] - sum;
            factor[i][j] = if i == j { rest.sqrt() } else { rest / factor[j][j] };
            if i == j && (rest.is_nan() || rest <= LEAST_PIVOT * matrix[i][i]) {
                return None;
            }
        }
        let sum: f64 = (0..i).map(|k| factor[i][k] * solved[k]).sum();
        solved[i] = (vector[i] - sum) / factor[i][i];
    }
    Some(solved.iter().map(|each| each * each).sum())
}

#[cfg(test)]
mod tests {
    use super::quadratic;

    /// Against numpy (`u @ inv(V) @ u`).
    #[test]
    fn quadratic_forms() {
        let matrix = vec![vec![0.04, 0.004, 0.01], vec![0.004, 0.01, 0.0], vec![0.01, 0.0, 0.16]];
        let got = quadratic(&matrix, &[0.3, -0.05, 0.1]).expect("positive");
        assert!((got - 2.918_431_502_316_346_3).abs() < 1e-12, "{got}");
        assert_eq!(quadratic(&[vec![1.0, 1.0], vec![1.0, 1.00005]], &[1.0, 2.0]), None);
    }
}
