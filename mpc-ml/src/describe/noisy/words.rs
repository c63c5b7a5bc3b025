//! What tables with noise promise and cost, in words.

use super::super::number;
use super::plan::{NoisyPlan, UNIT, What, half_width};

/// How many times its noise a count is that tells something.
const ROUGH: f64 = 5.0;
/// How many times it is where the noise does not matter much.
const COMFORTABLE: f64 = 25.0;

impl NoisyPlan {
    /// What the noise does to each table, and what a reader has to know: one sentence each.
    #[must_use]
    pub fn in_words(&self) -> Vec<String> {
        let mut all = vec![self.settings.privacy.in_words()];
        let mut counts: Vec<String> = Vec::new();
        let mut deviation = 0.0;
        for part in &self.parts {
            let name = self.name(part);
            match part.what {
                What::Cells(..) | What::Intervals(..) => {
                    // The same in all of them.
                    deviation = self.deviation(part);
                    counts.push(name);
                }
                What::Sums(at) => {
                    let (low, high) = self.columns[at].range;
                    let one = self.deviation(part) * (high - low) / 2.0 / UNIT as f64;
                    all.push(format!(
                        "the mean of {}: its numbers are cut to {low} and {high}; the noise has a standard \
                         deviation of some {} divided by the numbers in the group",
                        self.columns[at].name,
                        number(Some(one))
                    ));
                }
                What::Squares(_) => {}
            }
        }
        if !counts.is_empty() {
            let within = half_width(deviation);
            all.insert(
                1,
                format!(
                    "each count of {} is off by noise, in 95 of 100 by at most {within} rows (standard deviation \
                     {deviation:.1}); a count below some {} tells little",
                    counts.join(", "),
                    5 * within
                ),
            );
        }
        all.push(format!(
            "the budget is divided among {} tables: with fewer, each has less noise",
            self.parts.len()
        ));
        all
    }

    /// How the counts of each table compare with their noise, if rows were spread over it evenly: one sentence each. Of
    /// the numbers of rows that the plan was made for.
    #[must_use]
    pub fn signals(&self) -> Vec<String> {
        let rows: f64 = self.rows.iter().map(|&rows| rows as f64).sum();
        let mut all = Vec::new();
        for part in &self.parts {
            if matches!(part.what, What::Sums(_) | What::Squares(_)) {
                continue;
            }
            let each = rows / part.values as f64;
            let signal = each / self.deviation(part);
            let verdict = match signal {
                strong if strong >= COMFORTABLE => "",
                rough if rough >= ROUGH => ": rough",
                _ => {
                    ": most of its counts tell little; take fewer levels or intervals, fewer tables, or a larger epsilon"
                }
            };
            all.push(format!(
                "{}: {} counts of {each:.0} rows on average, {signal:.1} times the noise{verdict}",
                self.name(part),
                part.values
            ));
        }
        all
    }
}
