//! The steps of the iteration, and what is proven about them (docs/protocols.md 7.2).
//!
//! With M = G^(1/2) X G^(1/2), a step X' = linear X - quadratic X G X turns M into
//! p(M) = linear M - quadratic M^2. The proofs need of a step that p <= 1 where it is used, which
//! its shape says, and that rounding stays within the allowance that the plan checks.

/// One step: X' = (linear X - quadratic X G X) / 2^shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) linear: i64,
    pub(super) quadratic: i64,
    pub(super) shift: u32,
}

/// 15/4 (X - X G X): quadruples what is small, and keeps M below 15/16, below which it must be.
pub(super) const GROW: Step = Step { linear: 15, quadratic: 15, shift: 2 };
/// 3 X - 9/4 X G X: between growth and convergence; M <= 1 after it.
pub(super) const TURN: Step = Step { linear: 12, quadratic: 9, shift: 2 };
/// 2 X - X G X: squares the error; M <= 1 after it.
pub(super) const POLISH: Step = Step { linear: 2, quadratic: 1, shift: 0 };

/// The largest shift of a step.
pub(super) const MOST_SHIFT: u32 = 2;

/// M <= `TOP` before a growing step, but for rounding.
pub(super) const TOP: f64 = 15.0 / 16.0;
/// What rounding may add to M in one step, and take from the spectrum of X.
pub(super) const ALLOWANCE: f64 = 1.0 / 128.0;
/// The largest sum of the errors of M for which an inverse counts as converged, one step before
/// the end. The step squares it.
pub(super) const RESIDUAL_LIMIT: f64 = 1.0 / 64.0;

impl Step {
    pub(super) fn alpha(self) -> f64 {
        libm::ldexp(self.linear as f64, -(self.shift as i32))
    }

    pub(super) fn beta(self) -> f64 {
        libm::ldexp(self.quadratic as f64, -(self.shift as i32))
    }

    fn maps(self, m: f64) -> f64 {
        self.alpha() * m - self.beta() * m * m
    }
}

/// The shortest sequence of steps that brings a spectrum of M within [least, 15/16] so close to 1
/// that the check is passed by `order` eigenvalues, one step before the end.
pub(super) fn schedule(least: f64, order: usize) -> Option<Vec<Step>> {
    let mut best: Option<Vec<Step>> = None;
    for growing in 0..64 {
        for turning in 0..3 {
            let mut steps = vec![GROW; growing];
            steps.extend(vec![TURN; turning]);
            let (mut low, mut top) = (least, TOP);
            for step in &steps {
                low = step.maps(low).min(step.maps(top));
                top = if *step == GROW { TOP } else { 1.0 };
            }
            while steps.len() < 128 {
                // The last two steps polish, so that the check of the last but one bounds the last.
                let reached = order as f64 * (1.0 - low) <= RESIDUAL_LIMIT / 2.0;
                steps.push(POLISH);
                if reached {
                    break;
                }
                low = POLISH.maps(low).min(POLISH.maps(top));
                top = 1.0;
            }
            let shorter = best.as_ref().is_none_or(|best| steps.len() < best.len());
            if steps.len() < 128 && steps.len() >= 2 && shorter {
                best = Some(steps);
            }
        }
    }
    best
}

/// Bounds of |X| before each step and after the last: `start`, then at most (linear + quadratic /
/// 256) times the one before and what rounding adds.
pub(super) fn growth(start: f64, steps: &[Step]) -> Vec<f64> {
    let mut bounds = vec![start];
    for step in steps {
        let last = bounds[bounds.len() - 1];
        bounds.push((step.alpha() + step.beta() / 256.0) * last + ALLOWANCE);
    }
    bounds
}

/// A bound of the last |X| when the residual before the last step was within its limit.
///
/// A polishing step makes I - M' = (I - M)^2 but for rounding, so the error e before it is at most
/// the root of the error after it and of the allowance; and X <= (1 + allowance) G^-1 <=
/// (1 + allowance) / (1 - e) times the X of that time.
pub(super) fn once_converged(bounds: &[f64], steps: &[Step]) -> f64 {
    // Negative errors may hide one allowance of the residual, and its release is rounded.
    let mut error = RESIDUAL_LIMIT + ALLOWANCE + 1.0 / 256.0;
    let mut best = bounds[bounds.len() - 1];
    for (at, step) in steps.iter().enumerate().rev() {
        best = best.min(bounds[at] * (1.0 + ALLOWANCE) / (1.0 - error));
        let polished = at > 0 && steps[at - 1] == POLISH && *step == POLISH;
        error = libm::sqrt(error + ALLOWANCE);
        if !polished || error >= 0.9 {
            break;
        }
    }
    best
}

/// The bits that hold magnitudes up to `bound`.
pub(super) fn bits(bound: f64) -> u32 {
    // The logarithm is correct to far better than this.
    libm::ceil(libm::log2(bound.max(1.0)) + 1e-9) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_reach_their_aim_from_everywhere_above_the_least_eigenvalue() {
        for (least, order, most) in
            [(0.5, 1, 6), (1e-3, 7, 10), (7e-6, 7, 14), (4e-7, 101, 17), (1e-8, 100, 20)]
        {
            let steps = schedule(least, order).expect("exists");
            assert!(steps.len() <= most, "{least}: {} steps", steps.len());
            for i in 0..=1000 {
                let mut m = least * libm::pow(TOP / least, f64::from(i) / 1000.0);
                for step in &steps[..steps.len() - 1] {
                    m = step.maps(m);
                    assert!(m > 0.0 && m <= 1.0, "{m}");
                }
                assert!(order as f64 * (1.0 - m) <= RESIDUAL_LIMIT, "{least}: {m}");
            }
        }
    }

    #[test]
    fn convergence_bounds_the_inverse_more_closely() {
        let steps = schedule(1e-6, 20).expect("exists");
        let bounds = growth(1.0, &steps);
        let closer = once_converged(&bounds, &steps);
        let ratio = bounds[bounds.len() - 1] / closer;
        assert!(ratio > 4.0 && ratio < 8.0, "{ratio}");
        // No inverse that converges is larger.
        assert!(closer > 1e6);
    }

    /// The lemma of docs/protocols.md 7.2 that keeps X above 1/16.
    #[test]
    fn the_spectrum_of_the_iterates_stays_away_from_zero() {
        let (rho, t, floor) = (0.51, 1.0 / 4.83, 1.0 / 16.0);
        for (step, top) in [(GROW, TOP), (TURN, 1.0), (POLISH, 1.0)] {
            for m in [0.0, top + ALLOWANCE] {
                let slope = step.alpha() - ALLOWANCE - step.beta() * m;
                assert!(slope * (rho + m / t) >= 1.0, "{step:?} at {m}");
            }
        }
        assert!(1.0 / (rho / floor + 1.0 / t) - ALLOWANCE >= floor);
    }
}
