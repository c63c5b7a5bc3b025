//! Statistics that follow from counts and sums: what R prints for the pooled rows.

use serde::Serialize;
use statrs::distribution::{ChiSquared, ContinuousCDF, FisherSnedecor, StudentsT};
use statrs::function::factorial::ln_factorial;

/// The largest margin of a table of which Fisher's test is made.
const MOST_EXACT: u64 = 10_000_000;

/// A number of integers, their sum, and the sum of their squares: all exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sums {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub sum: i128,
    /// The sum of their squares.
    pub squares: i128,
}

/// The mean, and the sum of squares about it, of integers. `None` without any.
///
/// The integer next to the mean is taken away before anything is rounded, so nothing cancels.
#[must_use]
pub fn about_mean(of: Sums) -> Option<(f64, f64)> {
    let count = i128::from(of.count);
    if count == 0 {
        return None;
    }
    let near = of.sum.div_euclid(count);
    let rest = of.sum - near * count;
    let squares = of.squares - 2 * near * of.sum + near * near * count;
    let (rest, squares, count) = (rest as f64, squares as f64, count as f64);
    Some((near as f64 + rest / count, (squares - rest * rest / count).max(0.0)))
}

/// The sum of products of two columns of integers about their means, of which there are `count`.
#[must_use]
pub fn products_about_means(count: u64, sums: (i128, i128), products: i128) -> f64 {
    if count == 0 {
        return 0.0;
    }
    let n = i128::from(count);
    let (a, b) = (sums.0.div_euclid(n), sums.1.div_euclid(n));
    let about = products - a * sums.1 - b * sums.0 + a * b * n;
    let rest = ((sums.0 - a * n) as f64, (sums.1 - b * n) as f64);
    about as f64 - rest.0 * rest.1 / count as f64
}

/// A group of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// How many.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// The sum of squares about it.
    pub squares: f64,
}

impl Group {
    /// The variance, with one degree of freedom less than there are numbers.
    #[must_use]
    pub fn variance(&self) -> f64 {
        self.squares / (self.count as f64 - 1.0)
    }
}

/// A test with its degrees of freedom and how likely a statistic as extreme is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Test {
    /// The statistic: t, F or chi squared.
    pub statistic: f64,
    /// Degrees of freedom; of an F the numerator's.
    pub freedom: f64,
    /// Of an F the denominator's.
    pub denominator: Option<f64>,
    /// How likely a statistic as extreme is, if there is no difference.
    pub p_value: f64,
}

/// Welch's t test of two means (`t.test` of R). `None` where one has fewer than two numbers, or neither
/// varies.
#[must_use]
pub fn welch(a: Group, b: Group) -> Option<Test> {
    if a.count < 2 || b.count < 2 {
        return None;
    }
    let (x, y) = (a.variance() / a.count as f64, b.variance() / b.count as f64);
    if x + y <= 0.0 {
        return None;
    }
    let statistic = (a.mean - b.mean) / (x + y).sqrt();
    let freedom =
        (x + y).powi(2) / (x * x / (a.count as f64 - 1.0) + y * y / (b.count as f64 - 1.0));
    let law = StudentsT::new(0.0, 1.0, freedom).ok()?;
    let p_value = (2.0 * law.sf(statistic.abs())).min(1.0);
    Some(Test { statistic, freedom, denominator: None, p_value })
}

/// One-way analysis of variance (`summary(aov(..))` of R). `None` with fewer than two groups that have
/// numbers, or where no group varies.
#[must_use]
pub fn anova(groups: &[Group]) -> Option<Test> {
    let groups: Vec<&Group> = groups.iter().filter(|group| group.count > 0).collect();
    let count: u64 = groups.iter().map(|group| group.count).sum();
    let (between, within) = (groups.len() as f64 - 1.0, count as f64 - groups.len() as f64);
    if between < 1.0 || within < 1.0 {
        return None;
    }
    let total: f64 = groups.iter().map(|group| group.count as f64 * group.mean).sum();
    let mean = total / count as f64;
    let squares: f64 =
        groups.iter().map(|group| group.count as f64 * (group.mean - mean).powi(2)).sum();
    let inner: f64 = groups.iter().map(|group| group.squares).sum();
    if inner <= 0.0 {
        return None;
    }
    let statistic = squares / between / (inner / within);
    let p_value = FisherSnedecor::new(between, within).ok()?.sf(statistic);
    Some(Test { statistic, freedom: between, denominator: Some(within), p_value })
}

/// Pearson's chi squared test of a table, row by row (`chisq.test` of R: with Yates' correction for two by
/// two cells). Rows and columns without counts are left out. `None` with fewer than two of each.
#[must_use]
pub fn chi_squared(table: &[Vec<u64>]) -> Option<Test> {
    let table = filled(table);
    let columns = table.first().map_or(0, Vec::len);
    if table.len() < 2 || columns < 2 {
        return None;
    }
    let rows: Vec<f64> = table.iter().map(|row| row.iter().sum::<u64>() as f64).collect();
    let across: Vec<f64> =
        (0..columns).map(|j| table.iter().map(|row| row[j]).sum::<u64>() as f64).collect();
    let total: f64 = rows.iter().sum();
    let cells = table.iter().zip(&rows).flat_map(|(row, all)| {
        row.iter().zip(&across).map(move |(&count, down)| (count as f64, all * down / total))
    });
    let cells: Vec<(f64, f64)> = cells.collect();
    let correction = if table.len() == 2 && columns == 2 {
        cells.iter().map(|(count, due)| (count - due).abs()).fold(0.5, f64::min)
    } else {
        0.0
    };
    let statistic =
        cells.iter().map(|(count, due)| ((count - due).abs() - correction).powi(2) / due).sum();
    let freedom = ((table.len() - 1) * (columns - 1)) as f64;
    let p_value = ChiSquared::new(freedom).ok()?.sf(statistic);
    Some(Test { statistic, freedom, denominator: None, p_value })
}

/// The rows and columns that have counts.
fn filled(table: &[Vec<u64>]) -> Vec<Vec<u64>> {
    let columns = table.first().map_or(0, Vec::len);
    let used: Vec<usize> = (0..columns).filter(|&j| table.iter().any(|row| row[j] > 0)).collect();
    table
        .iter()
        .filter(|row| row.iter().any(|&count| count > 0))
        .map(|row| used.iter().map(|&j| row[j]).collect())
        .collect()
}

/// The two-sided p value of Fisher's exact test of two by two cells (`fisher.test` of R): of all tables with
/// the same margins that are no likelier. `None` for another table, or one of very many rows.
#[must_use]
pub fn fisher(table: &[Vec<u64>]) -> Option<f64> {
    let table = filled(table);
    if table.len() != 2 || table[0].len() != 2 {
        return None;
    }
    let rows: [u64; 2] = [table[0].iter().sum(), table[1].iter().sum()];
    let first = table[0][0] + table[1][0];
    let total = rows[0] + rows[1];
    let (low, high) = (first.saturating_sub(rows[1]), first.min(rows[0]));
    if high - low > MOST_EXACT {
        return None;
    }
    let choose = |n: u64, k: u64| ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k);
    let all = choose(total, first);
    let log = |k: u64| choose(rows[0], k) + choose(rows[1], first - k) - all;
    // As R: what is equal but for rounding counts as equal.
    let observed = log(table[0][0]) + 1e-7;
    let p: f64 = (low..=high).map(log).filter(|&one| one <= observed).map(f64::exp).sum();
    Some(p.min(1.0))
}

/// The two-sided p value of a correlation over so many rows, if there is none (`cor.test` of R). `None` with
/// fewer than three rows, or where a column does not vary.
#[must_use]
pub fn correlated(r: f64, count: u64) -> Option<f64> {
    if count < 3 || !r.is_finite() {
        return None;
    }
    let freedom = count as f64 - 2.0;
    let statistic = r * (freedom / (1.0 - r * r).max(f64::MIN_POSITIVE)).sqrt();
    Some((2.0 * StudentsT::new(0.0, 1.0, freedom).ok()?.sf(statistic.abs())).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_means_do_not_eat_small_deviations() {
        let values: Vec<i128> = (0..1000).map(|i| (1 << 40) + i % 7).collect();
        let of = Sums {
            count: 1000,
            sum: values.iter().sum(),
            squares: values.iter().map(|v| v * v).sum(),
        };
        let (mean, squares) = about_mean(of).expect("numbers");
        let small: Vec<f64> = (0..1000).map(|i| f64::from(i % 7)).collect();
        let due = small.iter().sum::<f64>() / 1000.0;
        let spread: f64 = small.iter().map(|v| (v - due).powi(2)).sum();
        assert!((mean - due - (1u64 << 40) as f64).abs() < 1e-3);
        assert!((squares / spread - 1.0).abs() < 1e-12, "{squares} instead of {spread}");
        let same = products_about_means(1000, (of.sum, of.sum), of.squares);
        assert!((same / spread - 1.0).abs() < 1e-12);
        assert_eq!(about_mean(Sums { count: 0, sum: 0, squares: 0 }), None);
    }

    #[test]
    fn what_cannot_be_tested_is_not() {
        let one = Group { count: 1, mean: 3.0, squares: 0.0 };
        let flat = Group { count: 9, mean: 3.0, squares: 0.0 };
        assert!(welch(one, flat).is_none() && welch(flat, flat).is_none());
        assert!(anova(&[flat]).is_none() && anova(&[flat, flat]).is_none());
        assert!(chi_squared(&[vec![3, 4], vec![0, 0]]).is_none());
        assert!(fisher(&[vec![3, 4, 5], vec![1, 2, 3]]).is_none());
        assert_eq!(fisher(&[vec![3, 0, 4], vec![4, 0, 5]]), fisher(&[vec![3, 4], vec![4, 5]]));
        assert!(correlated(0.5, 2).is_none() && correlated(f64::NAN, 9).is_none());
    }

    /// R's own example: `fisher.test(TeaTasting)` gives 0.4857 (two-sided), and `chisq.test` of the
    /// table M of its help page 30.07 with p = 2.954e-07.
    #[test]
    fn published_examples() {
        let tea = fisher(&[vec![3, 1], vec![1, 3]]).expect("two by two");
        assert!((tea - 0.485_714_285_714_285_7).abs() < 1e-12, "{tea}");
        let m = chi_squared(&[vec![762, 327, 468], vec![484, 239, 477]]).expect("a table");
        assert!((m.statistic - 30.070_149_095_754_7).abs() < 1e-9, "{m:?}");
        assert!((m.p_value / 2.953_589e-7 - 1.0).abs() < 1e-6 && m.freedom == 2.0, "{m:?}");
    }
}
