use super::super::Expansion;
use super::*;
use crate::correlations::PhasorRounding;
use crate::ideal;
use crate::ring::Ring;
use crate::session::Against;
use crate::testing::World;

/// The shares sum to the product of the tables, exactly; the cost is that of the meter.
fn identity(parties: usize, method: PhasorMethod, expansion: Expansion, against: Against) {
    let bits = vec![5, 4, 3];
    let factors = match method {
        PhasorMethod::OneHot => 2 * parties as u32 - 1,
        PhasorMethod::Bits => parties as u32,
    };
    let request = PhasorRequest {
        count: 4 * parties as u32 + 1,
        harmonics: vec![1, 3, 7],
        fraction: 5 * factors + 2,
        ring: 5 * factors + 50,
        angle_bits: 9,
        rounding: Some(PhasorRounding { bits: bits.clone(), method }),
    };
    let results = World::new(parties).against(against).run(async |mut session| {
        let me = session.me();
        let mut ot = PairwiseOt::establish(&mut session, expansion).await?;
        let cost = PairwiseOt::establish_cost(&session, expansion);
        let phase = ot.meter().phase("preparation");
        assert_eq!((phase.rounds, phase.sent()), (cost.rounds, cost.sent()));
        ot.meter().enter("phasors");
        let phasors = ot.phasors(std::slice::from_ref(&request)).await?.remove(0);
        let phase = ot.meter().phase("phasors");
        let cost = PhasorPlan::new(parties, &request)?.cost(me, expansion, against);
        assert_eq!(phase.rounds, cost.rounds);
        for (peer, bytes) in cost.bytes.iter().enumerate().filter(|&(p, _)| p != me) {
            assert_eq!(phase.peers[peer].sent, *bytes, "{me} to {peer}");
        }
        Ok::<_, Error>(phasors)
    });
    let all: Vec<Phasors> = results.into_iter().map(|r| r.expect("runs")).collect();
    let plan = PhasorPlan::new(parties, &request).expect("fits");
    let count = request.count as usize;
    let shares = |of: fn(&Phasors) -> &Shared<Z128>| {
        ideal::reconstruct(&all.iter().map(|p| of(p).clone()).collect::<Vec<_>>())
    };
    let (cosine, sine) = (shares(|p| &p.cosine), shares(|p| &p.sine));
    for e in 0..count {
        for (k, &ft) in bits.iter().enumerate() {
            let got =
                [cosine[k * count + e], sine[k * count + e]].map(|v| v.to_signed(request.ring));
            let turn: u64 = all.iter().map(|p| p.mask[e].0).sum();
            let angle =
                turn as f64 * f64::from(request.harmonics[k]) / 512.0 * std::f64::consts::TAU;
            let unit = 2f64.powi(request.fraction as i32);
            let gain = plan.gains()[k] as f64 / 2f64.powi(30);
            for (got, due) in got.iter().zip([angle.cos(), angle.sin()]) {
                let error = *got as f64 / unit * gain - due;
                let bound = f64::from(factors) * 1.6 * 2f64.powi(-(ft as i32));
                assert!(error.abs() < bound, "{e} {k}: off by {error}");
            }
            if method == PhasorMethod::Bits {
                continue;
            }
            // Some were opened and thrown away, so who was the first is one of all.
            let product = |first: usize| {
                let mut product = (1i128, 0i128);
                let mut times = |f: (i128, i128)| {
                    product =
                        (product.0 * f.0 - product.1 * f.1, product.0 * f.1 + product.1 * f.0);
                };
                for place in 0..parties {
                    let r = all[plan.party(first, place)].mask[e].0 as u32;
                    let digits = [r >> plan.digits()[1], r & ((1 << plan.digits()[1]) - 1)];
                    let at = digits.map(|d| d as usize * bits.len() + k);
                    if place == 0 {
                        let (c, s) = super::product(plan.exact[2].0[at[0]], plan.exact[1].0[at[1]]);
                        times((nearest(c, ft).into(), nearest(s, ft).into()));
                        continue;
                    }
                    for (table, at) in plan.rounded.iter().zip(at) {
                        let (c, s) = table.0[at];
                        times((c.into(), s.into()));
                    }
                }
                [product.0, product.1].map(|v| v << plan.shift(k))
            };
            let due = (0..parties).any(|first| product(first) == got);
            assert!(due, "evaluation {e}, harmonic {k}: {got:?}");
        }
    }
}

#[test]
fn shares_sum_to_the_product_of_the_phasors() {
    for parties in [2, 3, 5] {
        for method in [PhasorMethod::OneHot, PhasorMethod::Bits] {
            identity(parties, method, Expansion::Fast, Against::Covert);
        }
    }
    identity(3, PhasorMethod::OneHot, Expansion::Compact, Against::Covert);
    for method in [PhasorMethod::OneHot, PhasorMethod::Bits] {
        identity(3, method, Expansion::Fast, Against::SemiHonest);
    }
}
