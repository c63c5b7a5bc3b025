//! Which step follows a pass: a rule over revealed integers alone, so that all parties take the same
//! one (docs/protocols.md 8.4).
//!
//! All arithmetic is in IEEE basic operations and square roots on numbers that all parties hold
//! alike.

use serde::{Deserialize, Serialize};

/// What is done with the step of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Next {
    /// w + s, and no further pass.
    Stop,
    /// w + s.
    Plain,
    /// (1 - g)(w + s) + g (w' + s'), ' of the pass before, g the given number of quarters.
    Mixed(i64),
    /// The best pass's w + 2^-(h + 1) s, for the given h.
    Back(u32),
    /// No more passes: the fit is not reached.
    Refuse,
}

/// Bits by which combinations of steps may refine the scale of the coefficients, in all.
pub(super) const REFINING_BITS: u32 = 8;
/// Mixed steps without a plain one between them.
const MOST_MIXED: u32 = 4;
/// The unit of the first squared length is 2^-6.
const FIRST_UNIT: i32 = -6;

/// The rule, and what it has seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Rule {
    tolerance: f64,
    passes: u32,
    /// Passes that were made.
    made: u32,
    /// The squared length of the step before.
    before: Option<f64>,
    last: Next,
    mixed: u32,
    /// The least squared length so far.
    best: f64,
    /// How often the rule went back since `best` changed.
    returns: u32,
    /// Bits by which the scale was refined.
    refined: u32,
    /// Plain passes that are made when the rule says stop, before it is obeyed; none was said yet.
    more: u32,
    ending: bool,
}

impl Rule {
    /// Stops at a step of `tolerance` standard errors; refuses after `passes`.
    pub(super) fn new(tolerance: f64, passes: u32) -> Self {
        Self {
            tolerance,
            passes,
            made: 0,
            before: None,
            last: Next::Plain,
            mixed: 0,
            best: f64::INFINITY,
            returns: 0,
            refined: 0,
            more: 0,
            ending: false,
        }
    }

    /// With passes after the one that would be the last: where the length of a step is mostly noise
    /// spread over many coefficients, and says little of the few that are still on their way.
    pub(super) fn with_more(mut self, passes: u32) -> Self {
        self.more = passes;
        self
    }

    /// The unit of the squared lengths of this pass, as a power of two: to be known before they are
    /// revealed.
    pub(super) fn unit(&self) -> i32 {
        let Some(before) = self.before else { return FIRST_UNIT };
        let unit = (before / 256.0).max(self.tolerance * self.tolerance / 16.0);
        exponent(unit).min(0)
    }

    /// Whether the pass that was just judged is the best so far.
    pub(super) fn is_best(&self) -> bool {
        self.before == Some(self.best)
    }

    /// The length of the last step in standard errors.
    pub(super) fn length(&self) -> f64 {
        libm::sqrt(self.before.unwrap_or(0.0))
    }

    /// Passes so far.
    pub(super) fn made(&self) -> u32 {
        self.made
    }

    /// Takes `square` = <g, s> and `cross` = <g, s'> of a pass, in units of 2^[`unit`](Self::unit).
    pub(super) fn judge(&mut self, square: i128, cross: i128) -> Next {
        let unit = libm::ldexp(1.0, self.unit());
        let q = (square as f64).max(0.5) * unit;
        let c = cross as f64 * unit;
        let mut next = self.choose(q, c);
        self.ending |= next == Next::Stop;
        if self.ending {
            let more = self.more > 0 && self.made + 1 < self.passes;
            next = if more { Next::Plain } else { Next::Stop };
            self.more = self.more.saturating_sub(1);
        }
        self.made += 1;
        if q < self.best {
            self.best = q;
            self.returns = 0;
        }
        match next {
            Next::Back(_) => self.returns += 1,
            Next::Mixed(_) => self.mixed += 1,
            _ => self.mixed = 0,
        }
        self.refined += match next {
            Next::Back(h) => h + 1,
            Next::Mixed(_) => 2,
            _ => 0,
        };
        self.before = Some(q);
        self.last = next;
        next
    }

    fn choose(&self, q: f64, c: f64) -> Next {
        let (d, tolerance) = (libm::sqrt(q), self.tolerance);
        let came_back = matches!(self.last, Next::Back(_));
        if d <= tolerance {
            return Next::Stop;
        }
        if let Some(before) = self.before.filter(|_| !came_back) {
            let ratio = d / libm::sqrt(before);
            if ratio <= 0.5 && d * ratio.max(0.125) <= tolerance && d <= 4.0 * tolerance {
                return Next::Stop;
            }
        }
        if self.made + 1 >= self.passes {
            return Next::Refuse;
        }
        let room = REFINING_BITS - self.refined;
        if q > 4.0 * self.best {
            let back = self.returns;
            return if back < room { Next::Back(back) } else { Next::Refuse };
        }
        match self.before {
            Some(before) if !came_back && self.mixed < MOST_MIXED && room >= 2 => {
                let gamma = (q - c) / (q - 2.0 * c + before).max(before / 64.0);
                Next::Mixed(libm::rint(4.0 * gamma.clamp(-2.0, 0.75)) as i64)
            }
            _ => Next::Plain,
        }
    }
}

/// The exponent of the power of two at or below a positive number.
fn exponent(value: f64) -> i32 {
    libm::frexp(value).1 - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(value: f64, rule: &Rule) -> i128 {
        libm::rint(value / libm::ldexp(1.0, rule.unit())) as i128
    }

    #[test]
    fn units_are_powers_of_two_at_or_below() {
        assert_eq!([1.0, 1.9, 0.5, 0.49].map(exponent), [0, 0, -1, -2]);
    }

    #[test]
    fn a_short_step_ends_the_fit() {
        let mut rule = Rule::new(0.1, 20);
        assert_eq!(rule.judge(integer(0.009, &rule), 0), Next::Plain);
        let mut rule = Rule::new(0.13, 20);
        assert_eq!(rule.judge(integer(0.0157, &rule), 0), Next::Stop);
    }

    /// flights_large: 2.3, then 0.12 of which the next would be a twentieth.
    /// Some more passes, and never more than all.
    #[test]
    fn passes_after_the_last_are_passes() {
        let ends = |passes| {
            let mut rule = Rule::new(0.2, passes).with_more(3);
            while rule.judge(1, 0) != Next::Stop {}
            rule.made()
        };
        assert_eq!((ends(20), ends(2), ends(1)), (4, 2, 1));
    }

    #[test]
    fn the_next_length_is_foreseen() {
        let mut rule = Rule::new(0.1, 20);
        assert_eq!(rule.judge(integer(2.3 * 2.3, &rule), 0), Next::Plain);
        assert_eq!(rule.judge(integer(0.12 * 0.12, &rule), 0), Next::Stop);
        assert_eq!(rule.made(), 2);
    }

    /// Steepest ascent on a quadratic function with two curvatures, of which plain steps overshoot one.
    #[test]
    fn mixed_and_shortened_steps_converge() {
        // In coordinates where H is the identity: M = X H has these eigenvalues.
        let m = [0.4, 1.8];
        let gradient = |w: [f64; 2]| [-w[0], -w[1]];
        let mut rule = Rule::new(0.01, 20);
        let (mut w, mut history) = ([3.0, 3.0], Vec::<([f64; 2], [f64; 2])>::new());
        let mut best = 0;
        loop {
            let g = gradient(w);
            let s = [m[0] * g[0], m[1] * g[1]];
            let dot = |s: [f64; 2]| g[0] * s[0] + g[1] * s[1];
            let cross = history.last().map_or(0.0, |(_, s)| dot(*s));
            history.push((w, s));
            let next = rule.judge(integer(dot(s), &rule), integer(cross, &rule));
            if rule.is_best() {
                best = history.len() - 1;
            }
            let plus = |(w, s): ([f64; 2], [f64; 2]), f: f64| [w[0] + f * s[0], w[1] + f * s[1]];
            let now = history[history.len() - 1];
            w = match next {
                Next::Stop => break,
                Next::Plain => plus(now, 1.0),
                Next::Mixed(quarters) => {
                    let g = quarters as f64 / 4.0;
                    let (a, b) = (plus(now, 1.0), plus(history[history.len() - 2], 1.0));
                    [(1.0 - g) * a[0] + g * b[0], (1.0 - g) * a[1] + g * b[1]]
                }
                Next::Back(h) => plus(history[best], libm::ldexp(1.0, -(h as i32) - 1)),
                Next::Refuse => panic!("not reached"),
            };
        }
        assert!(rule.made() < 18, "{} passes", rule.made());
    }

    #[test]
    fn it_ends_whatever_is_revealed() {
        let mut state = 1u64;
        for _ in 0..1000 {
            let mut rule = Rule::new(0.005, 20);
            let mut made = 0;
            let mut random = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                i128::from(state as i64 >> (state >> 58))
            };
            while !matches!(rule.judge(random(), random()), Next::Stop | Next::Refuse) {
                made += 1;
                assert!(rule.refined <= REFINING_BITS);
                assert!(made < 20);
            }
        }
    }
}
