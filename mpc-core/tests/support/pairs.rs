//! What two openings of one run show together: a mask that came twice leaves each of them uniform,
//! but not their difference, or where it came with both signs not their sum. Openings of all steps
//! are compared, those of one length with the last ones before, and the neighbours within each.

use std::collections::{BTreeMap, VecDeque};

use super::{Verdict, What, Words, ring, together};

/// How many earlier openings of its length one is compared with.
const BACK: usize = 4;
/// Groups of four bits that are enough of a pair and a run: of a mask that came twice all are zero.
const MOST_PARTS: usize = 1 << 11;

/// The steps of two openings, whose they are (without a step), and whether they are added.
type Pair = ([&'static str; 2], What, bool);

/// For each pair and each run, the differences or sums.
#[derive(Default)]
pub struct Pairs {
    all: BTreeMap<Pair, Vec<Vec<Words>>>,
    run: usize,
}

impl Pairs {
    /// Compares messages and sums of each run, in this order: the look, and the how many of it each is.
    pub fn of(looks: &BTreeMap<What, Vec<Vec<Words>>>, order: &[Vec<(What, usize)>]) -> Self {
        let mut pairs = Self::default();
        for (run, order) in order.iter().enumerate() {
            pairs.run = run;
            let mut last: BTreeMap<_, VecDeque<(&'static str, &Words)>> = BTreeMap::new();
            for (what, nth) in order {
                let words @ (bits, elements) = &looks[what][run][*nth];
                let mut whose = what.clone();
                let step = match &mut whose {
                    What::Message { step, .. } | What::Sum { step, .. } => std::mem::take(step),
                    _ => continue,
                };
                let last = last.entry((whose.clone(), elements.len())).or_default();
                if elements.len() > 2 {
                    let next = elements.iter().cycle().skip(1);
                    pairs.push(([step, step], &whose), *bits, &next.zip(elements));
                }
                for (before, (then, earlier)) in last.iter() {
                    // Of a mask that is longer than the other the low bits would be the same.
                    let both = elements.iter().zip(earlier);
                    pairs.push(([before, step], &whose), *bits.min(then), &both);
                }
                last.push_back((step, words));
                if last.len() > BACK {
                    last.pop_front();
                }
            }
        }
        pairs
    }

    fn push<'a>(
        &mut self,
        (steps, whose): ([&'static str; 2], &What),
        bits: u32,
        both: &(impl Iterator<Item = (&'a u128, &'a u128)> + Clone),
    ) {
        for added in [false, true] {
            let runs = self.all.entry((steps, whose.clone(), added)).or_default();
            runs.resize_with(runs.len().max(self.run + 1), Vec::new);
            let parts = |(bits, words): &Words| words.len() * (bits / 4) as usize;
            let left = MOST_PARTS.saturating_sub(runs[self.run].iter().map(parts).sum());
            let words = both.clone().take(left.div_ceil((bits / 4) as usize)).map(|(now, then)| {
                let other = if added { *then } else { then.wrapping_neg() };
                now.wrapping_add(other) & ring(bits)
            });
            let words: Vec<_> = words.collect();
            if !words.is_empty() {
                runs[self.run].push((bits, words));
            }
        }
    }

    /// The verdicts on the pairs that are not uniform.
    pub fn broken(mut self, runs: usize) -> Vec<(What, Verdict)> {
        self.all.values_mut().for_each(|all| all.resize_with(runs, Vec::new));
        let verdict = |(([before, step], whose, added), runs): (&Pair, &Vec<Vec<Words>>)| {
            let what = if *added { "sum" } else { "difference" };
            let verdict = together(&format!("{what} of {before} and {step}, {whose:?}"), runs);
            let whose = Box::new(whose.clone());
            let what = What::Pair { steps: [before, step], whose, added: *added };
            matches!(verdict, Verdict::Broken(_)).then_some((what, verdict))
        };
        self.all.iter().filter_map(verdict).collect()
    }
}
