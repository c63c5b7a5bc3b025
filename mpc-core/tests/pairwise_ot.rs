//! Correlations from oblivious transfer, for 2, 3 and 5 parties: products, triples and phasors
//! against their plaintext twins, costs against the meter, and what the other side sees.

#![allow(clippy::print_stdout)]

use std::sync::Arc;

use mpc_core::approx::fit::{Symmetry, Weighting, fit};
use mpc_core::correlations::pairwise::{Expansion, PairwiseOt, PhasorPlan, ProductShape};
use mpc_core::correlations::{PhasorMethod, RightRequest};
use mpc_core::protocols::product::FixedLeft;
use mpc_core::rand::{MaskSite, Prg, Seed};
use mpc_core::ring::{Ring, Z64, Z128};
use mpc_core::testing::World;
use mpc_core::{Batch, Error, Outputs, Recipients, Tag, ideal};
use mpc_net::fault::{Fault, FaultPlan};

const PARTIES: [usize; 3] = [2, 3, 5];

fn numbers<R: Ring>(label: &str, count: usize, bits: u32) -> Vec<R> {
    let seed = Seed::from_secret("test data", &[label.as_bytes()]);
    Prg::new(&seed, MaskSite::InputShare).elements(count, bits).to_vec()
}

fn words(label: &str, count: usize, bits: u32) -> Vec<u128> {
    numbers::<Z128>(label, count, bits).iter().map(|v| v.0).collect()
}

/// Both forms of the product, with the vectors on either side.
#[test]
fn products_between_two_parties() {
    for (parties, holders) in [(2, (0, 1)), (3, (2, 0)), (5, (1, 3))] {
        for (m, k, n, ring) in [(1, 3, 4, 64), (5, 2, 1, 128), (3, 3, 3, 107)] {
            let shape = ProductShape { m, k, n, ring };
            let (a, b) = (words("a", m * k, ring), words("b", k * n, ring));
            let (x, y) = (words("x", 9, ring), words("y", 9, ring));
            let results = World::new(parties).run(async |mut session| {
                let me = session.me();
                let mut ot = PairwiseOt::establish(&mut session, Expansion::Fast).await?;
                let own = |one: &[u128], other: &[u128]| {
                    if me == holders.0 {
                        one.to_vec()
                    } else if me == holders.1 {
                        other.to_vec()
                    } else {
                        Vec::new()
                    }
                };
                ot.meter().enter("product");
                let product = ot.product(holders, shape, &own(&a, &b)).await?;
                let phase = ot.meter().phase("product");
                let cost = ot.product_cost(holders, shape);
                assert_eq!((phase.rounds, phase.sent()), (cost.rounds, cost.sent()));
                let element = ot.elementwise(holders, (9, ring), &own(&x, &y)).await?;
                assert!(ot.elementwise(holders, (9, ring), &[1; 7]).await.is_err());
                Ok::<_, Error>((product, element))
            });
            let (product, element): (Vec<_>, Vec<_>) =
                results.into_iter().map(|r| r.expect("runs")).unzip();
            let ringed = |v: &[Z128]| v.iter().map(|v| v.to_signed(ring)).collect::<Vec<_>>();
            let z = |v: &[u128]| v.iter().map(|&v| Z128(v)).collect::<Vec<_>>();
            let due = ideal::product(&z(&a), &z(&b), k, n);
            assert_eq!(ringed(&ideal::reconstruct(&product)), ringed(&due));
            let due: Vec<Z128> = x.iter().zip(&y).map(|(&x, &y)| Z128(x) * Z128(y)).collect();
            assert_eq!(ringed(&ideal::reconstruct(&element)), ringed(&due));
        }
    }
}

fn triples<R: Ring>(parties: usize, (m, k, n): (usize, usize, usize)) {
    let x = numbers::<R>("x", m * k, R::BITS);
    let y = numbers::<R>("y", k * n, R::BITS);
    let outputs = Outputs::none().allow("first", Recipients::All).allow("second", Recipients::All);
    let results = World::new(parties).outputs(outputs).run(async |mut session| {
        let mut ot = PairwiseOt::establish(&mut session, Expansion::Fast).await?;
        let me = session.me();
        let share = |session: &mut mpc_core::Session, values: &[R], rows, columns| {
            let mine = (me == 0).then_some(values);
            let share = session.share_input(0, mine, rows * columns)?;
            share.reshape(rows, columns)
        };
        let (x, y) = (share(&mut session, &x, m, k)?, share(&mut session, &y, k, n)?);
        let left = ot.left(m as u32, k as u32, R::BITS)?;
        let mut rights = Vec::new();
        for last in [false, true] {
            let request = RightRequest { left: 0, n: n as u32, last };
            ot.meter().enter(if last { "last" } else { "first" });
            rights.push(ot.right(&request).await?);
            let phase = ot.meter().phase(if last { "last" } else { "first" });
            let cost = ot.right_cost(&request)?;
            assert_eq!((phase.rounds, phase.sent()), (cost.rounds, cost.sent()));
        }
        let again = ot.right(&RightRequest { left: 0, n: n as u32, last: true }).await;
        assert!(again.is_err(), "a left factor that was given up");
        let mut batch = Batch::new("test/left");
        let pending = FixedLeft::push(&x, left.left_in::<R>(), &mut batch)?;
        let fixed = FixedLeft::opened(pending, &session.open(batch).await?);
        let mut all = Vec::new();
        for (label, right) in ["first", "second"].into_iter().zip(rights) {
            let product = fixed.multiply(&y, right.right_in::<R>(), &mut session).await?;
            all.push(session.reveal(label, &product, R::BITS, 0).await?);
        }
        Ok::<_, Error>(all)
    });
    let due: Vec<i128> =
        ideal::product(&x, &y, k, n).iter().map(|v| v.to_signed(R::BITS)).collect();
    for result in results {
        for product in result.expect("runs") {
            assert_eq!(product.as_ref(), Some(&due));
        }
    }
}

/// The typed material of a correlation, for either ring.
trait InRing {
    fn left_in<R: Ring>(self) -> mpc_core::correlations::LeftFactor<R>;
    fn right_in<R: Ring>(self) -> mpc_core::correlations::RightFactor<R>;
}

fn cast<A: Ring, B: Ring>(share: &mpc_core::Shared<A>) -> mpc_core::Shared<B> {
    let values = share.as_slice().iter().map(|v| B::from_u128(v.to_u128())).collect();
    mpc_core::Shared::new(values, share.rows(), share.columns())
}

impl InRing for mpc_core::correlations::Correlation {
    fn left_in<R: Ring>(self) -> mpc_core::correlations::LeftFactor<R> {
        let a = match self {
            Self::Left64(it) => cast(&it.a),
            other => cast(&other.left128().expect("a left factor").a),
        };
        mpc_core::correlations::LeftFactor::new(a)
    }

    fn right_in<R: Ring>(self) -> mpc_core::correlations::RightFactor<R> {
        let (b, ab) = match self {
            Self::Right64(it) => (cast(&it.b), cast(&it.ab)),
            other => {
                let it = other.right128().expect("a right factor");
                (cast(&it.b), cast(&it.ab))
            }
        };
        mpc_core::correlations::RightFactor::new(b, ab)
    }
}

#[test]
fn triples_multiply() {
    for parties in PARTIES {
        triples::<Z64>(parties, (3, 4, 2));
        triples::<Z128>(parties, (2, 3, 5));
    }
}

/// The series of a sigmoid at many points: mean and standard deviation of the error.
fn noise(
    parties: usize,
    (period, terms): (u32, usize),
    top: u32,
    (method, angle_bits): (PhasorMethod, u32),
    count: usize,
) -> (f64, f64) {
    let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp()) - 0.5;
    let series = fit(sigmoid, Symmetry::Odd, period, terms, Weighting::Plain, 16).series;
    let half = 2f64.powi(period as i32 - 2);
    let z: Vec<f64> =
        (0..count).map(|i| half * (2.0 * (i as f64 + 0.37) / count as f64 - 1.0)).collect();
    let options = (method, angle_bits);
    let request = PhasorPlan::request(&series, parties, count as u32, (top, 40), options);
    let plan = Arc::new(PhasorPlan::new(parties, &request).expect("fits"));
    let results = World::new(parties).run(async |mut session| {
        let mut ot = PairwiseOt::establish(&mut session, Expansion::Fast).await?;
        let phasors = ot.phasors_of(&plan).await?;
        let secret: Vec<Z64> =
            z.iter().map(|z| Z64::from_i128((z * 2f64.powi(36)) as i128)).collect();
        let share = session.share_input(1, (session.me() == 1).then_some(&secret), count)?;
        session.meter().enter("series");
        let value = series.apply(&share, 36, phasors, &mut session).await?;
        let phase = session.meter().phase("series");
        let cost = series.cost_at(count, angle_bits, &session);
        assert_eq!((phase.rounds, phase.sent()), (cost.rounds, cost.sent()));
        Ok::<_, Error>(value)
    });
    let shares: Vec<_> = results.into_iter().map(|r| r.expect("runs")).collect();
    let unit = 2f64.powi((16 + request.fraction) as i32);
    let errors: Vec<f64> = ideal::reconstruct(&shares)
        .iter()
        .zip(&z)
        .map(|(value, &z)| value.to_signed(request.ring) as f64 / unit - series.value(z))
        .collect();
    let mean = errors.iter().sum::<f64>() / count as f64;
    let variance = errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / count as f64;
    (mean, variance.sqrt())
}

/// The figures of docs/protocols.md 6.3, N = 3, graded from 8 bits.
#[test]
fn the_noise_of_a_series_is_the_one_that_was_simulated() {
    use PhasorMethod::{Bits, OneHot};
    for (series, options, due) in [
        ((7, 12), (OneHot, 12), 0.0044),
        ((7, 12), (OneHot, 10), 0.0076),
        ((6, 8), (OneHot, 11), 0.0031),
        ((7, 12), (Bits, 12), 0.0044),
    ] {
        let count = 3000;
        let (mean, deviation) = noise(3, series, 8, options, count);
        assert!(deviation < 1.25 * due, "{series:?} {options:?}: {deviation} against {due}");
        let bound = 5.0 * deviation / (count as f64).sqrt();
        assert!(mean.abs() < bound, "{series:?} {options:?}: biased by {mean}");
        println!("{series:?} {options:?}: noise {deviation:.5}, mean {mean:.1e}, text {due}");
    }
}

#[test]
fn series_with_phasors_of_two_and_five_parties() {
    for (parties, top, options) in [
        (2, 8, (PhasorMethod::OneHot, 12)),
        (2, 8, (PhasorMethod::Bits, 12)),
        (5, 8, (PhasorMethod::Bits, 12)),
        (5, 6, (PhasorMethod::OneHot, 12)),
    ] {
        let (mean, deviation) = noise(parties, (5, 5), top, options, 600);
        let bound = 0.03 * 2f64.powi(6 - top as i32);
        assert!(deviation < bound, "{parties} parties, {options:?}: {deviation}");
        assert!(mean.abs() < 0.3 * bound, "{parties} parties, {options:?}: mean {mean}");
    }
}

/// Bytes as they would be from a fair source: chi-square over the values, within five deviations.
fn looks_uniform(bytes: &[u8]) -> bool {
    let mut counts = [0f64; 256];
    bytes.iter().for_each(|&byte| counts[usize::from(byte)] += 1.0);
    let due = bytes.len() as f64 / 256.0;
    let chi: f64 = counts.iter().map(|count| (count - due).powi(2) / due).sum();
    (chi - 255.0).abs() < 5.0 * (2.0 * 255f64).sqrt()
}

/// Fixed inputs: what each side sees is uniform.
#[test]
fn messages_are_uniform() {
    for parties in PARTIES {
        let mesh = World::new(parties).mesh();
        let views: Vec<_> = mesh.iter().map(mpc_net::memory::MemoryTransport::record).collect();
        let series = fit(|z| z, Symmetry::Odd, 5, 3, Weighting::Plain, 16).series;
        let options = (PhasorMethod::OneHot, 8);
        // Rings of whole bytes, since the bits above another ring are zero.
        let mut request = PhasorPlan::request(&series, parties, 200, (6, 40), options);
        request.rounding.as_mut().expect("given").bits.fill(6);
        request.ring = request.ring.next_multiple_of(8);
        World::new(parties).run_on(mesh, async |mut session| {
            let mut ot = PairwiseOt::establish(&mut session, Expansion::Fast).await.expect("runs");
            ot.phasors(std::slice::from_ref(&request)).await.expect("runs");
            let own = if session.me() < 2 { vec![0; 4000] } else { Vec::new() };
            ot.elementwise((0, 1), (4000, 8), &own).await.expect("runs");
        });
        for view in &views {
            for tag in ["ot/choices", "ot/one-hot-stage", "ot/trees"] {
                let seen = view.payloads(Tag::new(tag)).concat();
                assert!(seen.is_empty() || looks_uniform(&seen), "{parties} parties, {tag}");
            }
        }
        // The first bits have eight bits each; x is zero, so nothing but pads is there.
        let seen: Vec<u8> = views
            .iter()
            .flat_map(|view| view.payloads(Tag::new("ot/corrections")).concat())
            .step_by(8)
            .collect();
        assert_eq!(seen.len(), 4000);
        assert!(looks_uniform(&seen), "{parties} parties, corrections");
    }
}

#[test]
fn a_point_that_is_none_names_its_sender() {
    let mesh = World::new(2).mesh();
    mesh[0].inject(
        FaultPlan::new(Fault::FlipPayload { at: 31, mask: 0x80 }).in_step(Tag::new("ot/base")),
    );
    let results = World::new(2).run_on(mesh, async |mut session| {
        PairwiseOt::establish(&mut session, Expansion::Fast).await.map(|_| ())
    });
    assert!(matches!(results[1], Err(Error::Misbehaved { .. })), "{:?}", results[1]);
}

/// One that chooses differently in some trees than in others, and one whose trees do not hang together:
/// the other side names it.
#[test]
fn a_receiver_that_deviates_is_named() {
    for (step, at, mask, said) in [
        // The first half of the trees of the first block: that passes with a probability of 2^-64.
        ("ot/choices", (0..256).collect::<Vec<_>>(), 0xff, "not the same in all trees"),
        ("ot/trees", (0..4096).collect(), 0x01, "do not hang together"),
    ] {
        let mesh = World::new(3).mesh();
        let change = move |payload: &mut Vec<u8>| at.iter().for_each(|&at| payload[at] ^= mask);
        let fault = FaultPlan::new(Fault::Change(Arc::new(change)));
        mesh[1].inject(fault.in_step(Tag::new(step)).to(mpc_net::PartyId(2)));
        let request = {
            let series = fit(|z| z, Symmetry::Odd, 5, 3, Weighting::Plain, 16).series;
            PhasorPlan::request(&series, 3, 200, (6, 40), (PhasorMethod::OneHot, 8))
        };
        let results = World::new(3).run_on(mesh, async |mut session| {
            let mut ot = PairwiseOt::establish(&mut session, Expansion::Fast).await?;
            ot.phasors(std::slice::from_ref(&request)).await.map(|_| ())
        });
        match &results[2] {
            Err(Error::Misbehaved { peer, step: seen, detail }) => {
                assert!(peer.contains('1') && seen == step && detail.contains(said), "{detail}");
            }
            other => panic!("{step}: {other:?}"),
        }
    }
}
