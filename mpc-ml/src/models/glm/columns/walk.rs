//! Where the next gradient is taken: a rule over revealed inner products alone, so that all parties take
//! the same point (docs/protocols.md 13.4).
//!
//! With g_k the gradients and s_k = P g_k, everything happens in the span of the s_k: a point is the
//! start plus a combination of them, and all inner products that a quasi-Newton method needs are
//! combinations of a_tk = <g_t, s_k>. The method is that of Broyden, Fletcher, Goldfarb and Shanno with
//! a bounded memory, from the inverse of the fixed curvature. All arithmetic is in IEEE basic operations
//! and square roots on numbers that all parties hold alike.

use serde::{Deserialize, Serialize};

/// Differences of gradients that are remembered.
const MEMORY: usize = 12;
/// A gradient whose square is more than this times the least one so far ends a step that was too long.
const WORSE: f64 = 4.0;
/// How often a step may be taken back.
const MOST_RETURNS: u32 = 12;
/// Passes without a shorter step that show that noise is all that is left.
const IDLE: u32 = 4;
/// What counts as shorter.
const SHORTER: f64 = 0.8;

/// What follows a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The point that follows is the result.
    Stop,
    /// There is another pass, at the point that follows.
    Pass,
    /// The fit is not reached.
    Refuse,
}

/// What is asked of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Aim {
    /// The squared length of a step in standard errors is this times <g, s>.
    pub(super) metric: f64,
    /// The first step is this times s_0.
    pub(super) first: f64,
    /// What noise alone makes of <g, s>, in the mean.
    pub(super) floor: f64,
    /// It ends with a step of so many standard errors,
    pub(super) tolerance: f64,
    /// or, where noise lets none be shorter, of so many.
    pub(super) loosest: f64,
    /// Passes, at most.
    pub(super) passes: u32,
    /// Binary digits after the point of the combinations.
    pub(super) bits: u32,
}

impl Aim {
    /// Before it is known.
    pub(super) fn none() -> Self {
        let (metric, first, floor) = (1.0, 1.0, 0.0);
        Self { metric, first, floor, tolerance: 0.0, loosest: 0.0, passes: 0, bits: 0 }
    }
}

/// A difference of two points, and of the gradients there.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pair {
    step: Vec<f64>,
    fall: Vec<f64>,
    product: f64,
}

/// A walk and what it has seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Walk {
    aim: Aim,
    /// a_tk for k <= t.
    products: Vec<Vec<f64>>,
    /// Each point as a combination.
    points: Vec<Vec<f64>>,
    pairs: Vec<Pair>,
    /// The number of the pass with the least gradient, and that from which the current point was made.
    best: usize,
    from: usize,
    /// The step from the best one, and how often it was shortened.
    step: Vec<f64>,
    returns: u32,
    /// Estimated lengths of the steps, and of the last one.
    lengths: Vec<f64>,
    length: f64,
}

impl Walk {
    pub(super) fn new(aim: Aim) -> Self {
        Self {
            aim,
            products: Vec::new(),
            points: vec![Vec::new()],
            pairs: Vec::new(),
            best: 0,
            from: 0,
            step: Vec::new(),
            returns: 0,
            lengths: Vec::new(),
            length: f64::INFINITY,
        }
    }

    /// Whether it is one with this aim and can go on.
    pub(super) fn goes_on(&self, aim: Aim) -> bool {
        let made = self.products.len();
        let rows = self.products.iter().enumerate().all(|(t, row)| row.len() == t + 1);
        self.aim == aim && rows && self.points.len() == made + 1 && self.best.max(self.from) <= made
    }

    /// The combination of the steps so far at which the next gradient is taken, or which is the result.
    pub(super) fn point(&self) -> &[f64] {
        &self.points[self.points.len() - 1]
    }

    /// Passes so far.
    pub(super) fn made(&self) -> u32 {
        self.products.len() as u32
    }

    /// The length of the last step in standard errors.
    pub(super) fn length(&self) -> f64 {
        self.length
    }

    /// The squared length that the next pass's is expected to be near to, in units of <g, s>.
    pub(super) fn expected(&self) -> Option<f64> {
        self.products.last().and_then(|row| row.last()).copied()
    }

    /// Goes on from where it stopped, with finer gradients.
    pub(super) fn refine(&mut self, aim: Aim) {
        self.aim = aim;
        // Coarse gradients say nothing of how short a step can be.
        self.lengths.clear();
    }

    /// Whether the last gradient cannot be told from noise.
    pub(super) fn is_noise(&self) -> bool {
        self.expected().is_some_and(|square| square <= WORSE * self.aim.floor)
    }

    fn product(&self, t: usize, k: usize) -> f64 {
        if k <= t { self.products[t][k] } else { self.products[k][t] }
    }

    /// <gradient, step> of a combination of gradients and one of steps.
    fn inner(&self, gradient: &[f64], step: &[f64]) -> f64 {
        let mut sum = 0.0;
        for (t, g) in gradient.iter().enumerate().filter(|(_, g)| **g != 0.0) {
            for (k, s) in step.iter().enumerate().filter(|(_, s)| **s != 0.0) {
                sum += g * s * self.product(t, k);
            }
        }
        sum
    }

    /// Takes the inner products of the gradient at the current point with all steps so far, its own
    /// last.
    pub(super) fn judge(&mut self, products: Vec<f64>) -> Next {
        let t = self.products.len();
        let square = products[t].max(0.0);
        self.products.push(products);
        if t > 0 {
            self.remember(t);
        }
        let before = self.products[self.best][self.best];
        // What noise makes is no step that was too long.
        if t > 0 && square > WORSE * (before + self.aim.floor) {
            return self.back();
        }
        if t == 0 || square <= before {
            self.best = t;
            self.returns = 0;
        }
        let step = self.direction(t);
        let square = self.aim.metric * self.inner(&unit(t), &step);
        let length = libm::sqrt(square.max(0.0));
        self.length = length;
        self.lengths.push(length);
        if self.best == t {
            self.step.clone_from(&step);
        }
        self.go(t, &step, 1.0);
        if length <= self.aim.tolerance || self.idle() {
            Next::Stop
        } else if self.made() >= self.aim.passes {
            Next::Refuse
        } else {
            Next::Pass
        }
    }

    /// Whether noise is all that is left.
    fn idle(&self) -> bool {
        let (all, idle) = (&self.lengths, IDLE as usize);
        if all.len() <= idle {
            return false;
        }
        let least = |lengths: &[f64]| lengths.iter().copied().fold(f64::INFINITY, f64::min);
        let (earlier, later) = all.split_at(all.len() - idle);
        self.length() <= self.aim.loosest && least(later) > SHORTER * least(earlier)
    }

    /// Keeps what the last pass says of the curvature.
    fn remember(&mut self, t: usize) {
        let mut step = self.points[t].clone();
        for (step, from) in step.iter_mut().zip(&self.points[self.from]) {
            *step -= from;
        }
        let mut fall = unit(self.from);
        fall.resize(t + 1, 0.0);
        fall[t] -= 1.0;
        let product = self.inner(&fall, &step);
        // A convex loss falls along its gradient; rounding and noise may say otherwise.
        if product > 0.0 {
            self.pairs.push(Pair { step, fall, product });
            if self.pairs.len() > MEMORY {
                self.pairs.remove(0);
            }
        }
    }

    /// The step from the point of pass t, as a combination.
    fn direction(&self, t: usize) -> Vec<f64> {
        let mut gradient = unit(t);
        let mut parts = Vec::with_capacity(self.pairs.len());
        for pair in self.pairs.iter().rev() {
            let part = self.inner(&gradient, &pair.step) / pair.product;
            add(&mut gradient, &pair.fall, -part);
            parts.push(part);
        }
        let mut step: Vec<f64> = gradient.iter().map(|g| self.aim.first * g).collect();
        for (pair, part) in self.pairs.iter().zip(parts.iter().rev()) {
            let other = self.inner(&pair.fall, &step) / pair.product;
            add(&mut step, &pair.step, part - other);
        }
        step
    }

    /// Back to the best point, and on with a shorter step.
    fn back(&mut self) -> Next {
        self.returns += 1;
        if self.returns > MOST_RETURNS || self.made() >= self.aim.passes {
            return Next::Refuse;
        }
        let step = self.step.clone();
        self.go(self.best, &step, libm::ldexp(1.0, -(self.returns as i32)));
        Next::Pass
    }

    fn go(&mut self, from: usize, step: &[f64], part: f64) {
        let mut point = self.points[from].clone();
        add(&mut point, step, part);
        let bits = self.aim.bits as i32;
        for value in &mut point {
            *value = libm::ldexp(libm::rint(libm::ldexp(*value, bits)), -bits);
        }
        self.from = from;
        self.points.push(point);
    }
}

/// The combination that is number t alone.
fn unit(t: usize) -> Vec<f64> {
    let mut all = vec![0.0; t + 1];
    all[t] = 1.0;
    all
}

fn add(to: &mut Vec<f64>, other: &[f64], part: f64) {
    if to.len() < other.len() {
        to.resize(other.len(), 0.0);
    }
    for (to, other) in to.iter_mut().zip(other) {
        *to += part * other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Aim = Aim {
        metric: 1.0,
        first: 1.0,
        floor: 0.0,
        tolerance: 0.0,
        loosest: 0.0,
        passes: 0,
        bits: 0,
    };
    const AIM: Aim = Aim { tolerance: 1e-3, loosest: 0.02, passes: 40, bits: 16, ..NONE };

    /// Walks on the gradient of a loss of two numbers, from (0, 0), with P = 1.
    fn walk(aim: Aim, gradient: impl Fn([f64; 2]) -> [f64; 2]) -> (Next, [f64; 2], u32) {
        let mut walk = Walk::new(aim);
        let mut steps: Vec<[f64; 2]> = Vec::new();
        loop {
            let at = |point: &[f64], steps: &[[f64; 2]]| {
                let mut w = [0.0; 2];
                for (part, step) in point.iter().zip(steps) {
                    w[0] += part * step[0];
                    w[1] += part * step[1];
                }
                w
            };
            let g = gradient(at(walk.point(), &steps));
            steps.push(g);
            let products = steps.iter().map(|s| g[0] * s[0] + g[1] * s[1]).collect();
            let next = walk.judge(products);
            if next != Next::Pass {
                return (next, at(walk.point(), &steps), walk.made());
            }
        }
    }

    #[test]
    fn a_quadratic_loss_is_solved_in_a_few_passes() {
        let (next, w, made) = walk(AIM, |w| [3.0 - 0.9 * w[0], 1.0 - 0.03 * w[1]]);
        assert_eq!(next, Next::Stop);
        assert!(made <= 12, "{made}");
        assert!((w[0] - 10.0 / 3.0).abs() < 1e-3 && (w[1] - 100.0 / 3.0).abs() < 5e-2, "{w:?}");
    }

    /// A first step that is far too long is taken back.
    #[test]
    fn steps_that_are_too_long_are_taken_back() {
        let aim = Aim { first: 1.0, ..AIM };
        let (next, w, _) = walk(aim, |w| [20.0 - w[0].exp(), 1.0 - w[1]]);
        assert_eq!(next, Next::Stop);
        assert!((w[0] - 20f64.ln()).abs() < 1e-3, "{w:?}");
    }

    #[test]
    fn a_loss_without_an_optimum_is_refused() {
        // Flatter and flatter: a class that a column decides.
        let (next, ..) = walk(AIM, |w| [1.0 / (1.0 + w[0].max(0.0)).sqrt(), 0.0]);
        assert_eq!(next, Next::Refuse);
    }

    /// A gradient that noise happened to make small is not what others are held against: no step is taken back
    /// for what noise makes of the next ones.
    #[test]
    fn what_noise_makes_is_no_step_that_was_too_long() {
        for (floor, returns) in [(1e-3, 0), (0.0, 1)] {
            let mut walk = Walk::new(Aim { floor, tolerance: 1e-4, loosest: 1e-4, ..AIM });
            for products in [vec![1.0], vec![1e-3, 1e-5], vec![1e-3, 1e-6, 2e-3]] {
                assert_eq!(walk.judge(products), Next::Pass);
            }
            assert_eq!(walk.returns, returns);
            assert_eq!(walk.is_noise(), floor > 0.0);
        }
    }

    /// Whatever is revealed, the rule ends.
    #[test]
    fn the_rule_ends_whatever_it_hears() {
        let mut state = 1u64;
        for _ in 0..200 {
            let mut walk = Walk::new(Aim { passes: 60, ..AIM });
            let mut made = 0;
            loop {
                let mut number = || {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                    libm::ldexp((state >> 40) as f64 - 4e6, (state % 80) as i32 - 40)
                };
                let products = (0..=made).map(|_| number()).collect();
                made += 1;
                if walk.judge(products) != Next::Pass {
                    break;
                }
                assert!(made < 60);
            }
        }
    }
}
