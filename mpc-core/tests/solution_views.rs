//! What a coalition sees of the solution of a linear system, for every mask of it (docs/protocols.md
//! 0 and 7.2). Two systems that have only their shapes in common are solved in one session; all
//! parties' shares of the matrices, their inverses and the right-hand sides are fixed.
#![allow(clippy::unwrap_used)]

use crate::law;
use crate::recording;

use law::{Runs, fixed, ring, uniform, words};
use mpc_core::correlations::dealer::DealerSource;
use mpc_core::correlations::{CorrelationSource, Request};
use mpc_core::protocols::product::FixedLeft;
use mpc_core::protocols::solve::{
    Inverse, InversePlan, InverseSettings, SolutionPlan, StartBound, solution,
};
use mpc_core::protocols::truncate::BoundedOpening;
use mpc_core::rand::MaskSite;
use mpc_core::ring::{Ring, Z128};
use mpc_core::testing::{World, stream_with};
use mpc_core::{Against, Batch, Session, Shared};
use mpc_net::PartyId;
use mpc_net::fault::View;
use mpc_net::memory::MemoryTransport;
use recording::{Recording, Taken, plain, times};

type Look = Result<(), String>;

const RUNS: usize = 40;
const ORDER: usize = 18;
const REFINEMENTS: u32 = 1;
/// Times that a rest is opened and multiplied, of both systems.
const TURNS: usize = 2 * (REFINEMENTS as usize + 1);

#[test]
fn every_mask_of_a_solution_is_needed() {
    let sites = [
        MaskSite::BoundedMask,
        MaskSite::ZeroShareBounded,
        MaskSite::TripleLeft,
        MaskSite::TripleRight,
    ];
    let usual = [2, 3].map(|parties| seen(parties, None));
    for site in sites {
        // Before any is off, so that what is missing is named.
        for (name, look) in usual.iter().flat_map(|seen| seen.looks(site)) {
            look.unwrap_or_else(|seen| panic!("{site:?}, {name}, with all masks: {seen}"));
        }
    }
    for site in sites {
        let without = [2, 3].map(|parties| seen(parties, Some(site)));
        // Every opening for itself: no other one may be what gives it away.
        for (name, look) in without.iter().flat_map(|seen| seen.looks(site)) {
            assert!(look.is_err(), "{name}: nobody notices that {site:?} is missing");
        }
    }
}

struct Plans {
    inverse: InversePlan,
    solution: SolutionPlan,
}

fn plans(parties: usize) -> Plans {
    let inverse = InversePlan::new(InverseSettings {
        order: ORDER,
        parties: parties as u32,
        sigma: 60,
        diagonal: 0.9375,
        least: 0.25,
        start: StartBound::Identity,
        reuse: true,
    })
    .unwrap();
    // What the shift takes off again is local.
    let solution = SolutionPlan::new(&inverse, 0, 1.0, REFINEMENTS).unwrap();
    Plans { inverse, solution }
}

/// The diagonals of G and of its inverse, and c = G^(1/2) u with |u| = 1, of both systems.
fn system(number: usize) -> [Vec<f64>; 3] {
    let spectrum: Vec<f64> = (0..ORDER)
        .map(|i| if number == 0 { 0.5 } else { 0.25 + 0.6875 * i as f64 / ORDER as f64 })
        .collect();
    let right = |(i, g): (usize, &f64)| match number {
        0 => f64::from(u8::from(i == 0)) * g.sqrt(),
        _ => -(g / ORDER as f64).sqrt(),
    };
    let inverse = spectrum.iter().map(|g| 1.0 / g).collect();
    let c = spectrum.iter().enumerate().map(right).collect();
    [spectrum, inverse, c]
}

/// Party `me`'s fixed share of fixed-point numbers.
fn share(label: &str, me: usize, parties: usize, values: &[f64], scale: u32) -> Vec<Z128> {
    let of = |party| fixed(label, party, values.len(), 128).into_iter().map(Z128);
    if me > 0 {
        return of(me).collect();
    }
    let exact = |v: &f64| Z128::from_i128(libm::rint(libm::ldexp(*v, scale as i32)) as i128);
    let mut mine: Vec<Z128> = values.iter().map(exact).collect();
    for party in 1..parties {
        mine.iter_mut().zip(of(party)).for_each(|(mine, theirs)| *mine -= theirs);
    }
    mine
}

fn diagonal(values: &[f64]) -> Vec<f64> {
    let mut all = vec![0.0; ORDER * ORDER];
    values.iter().enumerate().for_each(|(i, &v)| all[i * (ORDER + 1)] = v);
    all
}

/// What a party knows after a run.
struct Party {
    taken: Vec<Taken>,
    /// The zero shares of the bounded openings that it has in common with each peer, in order.
    common: Vec<Vec<Vec<u128>>>,
    /// Its shares of both right-hand sides.
    c: [Vec<u128>; 2],
}

struct Run {
    views: Vec<View>,
    parties: Vec<Party>,
}

struct Seen {
    plan: SolutionPlan,
    runs: Vec<Run>,
}

/// All bounded openings of both solutions, in order.
fn openings(plan: &SolutionPlan) -> Vec<BoundedOpening> {
    let [coarse, fine] = plan.correction_opened();
    vec![[plan.left_over_opened(), coarse, fine]; TURNS].concat()
}

fn seen(parties: usize, off: Option<MaskSite>) -> Seen {
    let Plans { inverse, solution: plan } = plans(parties);
    let runs = (0..RUNS).map(|_| {
        let world =
            World::new(parties).with_dealer().against(Against::SemiHonest).insecure_without(off);
        let mesh = world.mesh();
        let views: Vec<_> = mesh.iter().map(MemoryTransport::record).collect();
        let all = world.run_on(mesh, |session| party(&inverse, &plan, session));
        let (parties, shares): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        check(&plan, &shares);
        Run { views, parties }
    });
    let runs = runs.collect();
    Seen { plan, runs }
}

/// Solves both systems.
async fn party(
    inverted: &InversePlan,
    plan: &SolutionPlan,
    mut session: Session,
) -> (Party, Vec<Vec<Z128>>) {
    let (me, parties) = (session.me(), session.parties());
    let zero_shares = |peer| {
        let mut stream = stream_with(&session, peer, MaskSite::ZeroShareBounded).unwrap();
        let one = |spec: &BoundedOpening| plain(&stream.elements::<Z128>(ORDER, spec.ring));
        openings(plan).iter().map(one).collect()
    };
    let common =
        (0..parties).map(|peer| if peer == me { Vec::new() } else { zero_shares(peer) }).collect();
    let mut source = Recording::of(DealerSource::start(&mut session).unwrap());
    let mut solved = Vec::new();
    let mut c = [const { Vec::new() }; 2];
    for (number, c) in c.iter_mut().enumerate() {
        let [g, x, right] = system(number);
        let square = |label: &str, values, scale| {
            let label = format!("{label} {number}");
            Shared::new(share(&label, me, parties, &diagonal(values), scale), ORDER, ORDER)
        };
        let (g, x) =
            (square("g", &g, inverted.fraction()), square("x", &x, inverted.inverse_fraction()));
        let right = share(&format!("c {number}"), me, parties, &right, plan.right_fraction());
        *c = plain(&right);
        let (order, lefts) = (ORDER as u32, 2 * number as u32);
        source.demand(vec![Request::Left { m: order, k: order, ring: 128 }]).unwrap();
        source.demand(plan.requests(lefts, lefts + 1)).unwrap();
        let left = source.take().await.unwrap().left128().unwrap();
        let mut batch = Batch::new("views/matrix");
        let pending = FixedLeft::push(&g, left, &mut batch).unwrap();
        let opened = session.open(batch).await.unwrap();
        let matrix = FixedLeft::opened(pending, &opened);
        let coarse = Shared::zero(x.rows(), x.columns());
        let inverse = Inverse { x, coarse, residual: Shared::zero(1, 1), matrix };
        let right = Shared::column(right);
        let w = solution(plan, &inverse, &right, &mut source, &mut session).await.unwrap();
        solved.push(w.as_slice().to_vec());
    }
    source.finish().await.unwrap();
    (Party { taken: source.taken, common, c }, solved)
}

/// The solutions are right, so the bounds hold that the openings rely on.
fn check(plan: &SolutionPlan, shares: &[Vec<Vec<Z128>>]) {
    for number in 0..2 {
        let [_, x, c] = system(number);
        for i in 0..ORDER {
            let sum = shares.iter().fold(Z128::ZERO, |sum, one| sum + one[number][i]);
            let w = libm::ldexp(sum.to_signed(128) as f64, -(plan.fraction() as i32));
            assert!((w - x[i] * c[i]).abs() < 1e-5, "{w} is not {}", x[i] * c[i]);
        }
    }
}

fn add(a: &[u128], b: &[u128]) -> Vec<u128> {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.wrapping_add(*b)).collect()
}

fn minus(a: &[u128], b: &[u128]) -> Vec<u128> {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.wrapping_sub(*b)).collect()
}

impl Run {
    /// What `from` sent to everybody in a step, as bytes.
    fn sent(&self, from: usize, step: &str) -> Vec<Vec<u8>> {
        let view = &self.views[if from == 0 { 1 } else { 0 }];
        let seen = view.messages().into_iter();
        let seen = seen.filter(|seen| seen.from == PartyId::from_index(from) && seen.step == step);
        seen.map(|seen| seen.bytes).collect()
    }

    /// What a masked step opened, time by time.
    fn opened(&self, step: &str) -> Vec<Vec<u128>> {
        let of = |party| self.sent(party, step).iter().map(|b| words(b, 128)).collect::<Vec<_>>();
        (1..self.parties.len()).fold(of(0), |sum, party| {
            sum.iter().zip(of(party)).map(|(sum, one)| add(sum, &one)).collect()
        })
    }

    /// Party 0's message of each bounded opening.
    fn bounded(&self, plan: &SolutionPlan) -> Vec<Vec<u128>> {
        let [coarse, fine] = plan.correction_opened();
        let rests = self.sent(0, "solution/open-rest");
        let products = self.sent(0, "solution/truncate");
        assert_eq!((rests.len(), products.len()), (TURNS, TURNS));
        let turns = rests.iter().zip(&products).flat_map(|(rest, both)| {
            let (first, second) = both.split_at(coarse.bytes(ORDER) as usize);
            [
                words(rest, plan.left_over_opened().ring),
                words(first, coarse.ring),
                words(second, fine.ring),
            ]
        });
        turns.collect()
    }

    /// A party's share of what each bounded opening opens: it follows from its correlations and
    /// from what was opened before.
    fn shares(&self, party: usize) -> Vec<Vec<u128>> {
        let own = &self.parties[party];
        let (matrices, products) = (self.opened("views/matrix"), self.opened("solution/product"));
        let rests = self.opened("product/fixed-left");
        // E b + a F + c, and E F at party 0.
        let product = |e: &[u128], f: &[u128], left: &Taken, right: &Taken| {
            let n = f.len() / ORDER;
            let mine = add(&times(e, &right.masks, ORDER, n), &times(&left.masks, f, ORDER, n));
            let mine = add(&mine, &right.shares);
            if party == 0 { add(&mine, &times(e, f, ORDER, n)) } else { mine }
        };
        let mut all = Vec::new();
        let systems = own.taken.chunks_exact(own.taken.len() / 2);
        for (number, taken) in systems.enumerate() {
            let [matrix, inverse, rights @ ..] = taken else {
                panic!("two left factors come first")
            };
            let mut rights = rights.iter();
            let (x, _) = products[number * TURNS / 2].split_at(ORDER * ORDER);
            for turn in 0..TURNS / 2 {
                let mut rest = own.c[number].clone();
                if turn > 0 {
                    let f = &rests[number * (TURNS / 2 - 1) + turn - 1];
                    let right = rights.next().unwrap();
                    rest = minus(&rest, &product(&matrices[number], f, matrix, right));
                }
                all.push(rest);
                let opened = &products[number * TURNS / 2 + turn];
                let f = if turn == 0 { &opened[ORDER * ORDER..] } else { opened };
                let both = product(x, f, inverse, rights.next().unwrap());
                let column = |at: usize| both.iter().skip(at).step_by(2).copied().collect();
                all.extend([column(0), column(1)]);
            }
        }
        all
    }
}

impl Seen {
    fn parties(&self) -> usize {
        self.runs[0].parties.len()
    }

    /// Looks at every opening that the site masks, each with a name.
    fn looks(&self, site: MaskSite) -> Vec<(String, Look)> {
        match site {
            MaskSite::BoundedMask => self.bounded(),
            // Two honest parties are the least that a zero share protects from each other's sum.
            MaskSite::ZeroShareBounded if self.parties() == 2 => Vec::new(),
            MaskSite::ZeroShareBounded => self.single_messages(),
            _ => self.factors(site == MaskSite::TripleLeft),
        }
    }

    /// One look for each bounded opening of a turn, over both turns of both systems.
    fn each(&self, bits: impl Fn(BoundedOpening) -> u32, left: &Runs) -> Vec<(String, Look)> {
        let names = ["what is left over", "the coarse product", "the fine product"];
        let specs = openings(&self.plan);
        let looks = names.iter().enumerate().map(|(at, name)| {
            let bits = bits(specs[at]);
            let of = |run: &Vec<Vec<u128>>| {
                let own = run.iter().skip(at).step_by(names.len());
                own.map(|m| m.iter().map(|v| v & ring(bits)).collect()).collect()
            };
            let runs: Runs = left.iter().map(of).collect();
            assert!(runs.iter().all(|run| run.len() == TURNS));
            let what = format!("{} parties, {name}", self.parties());
            (what.clone(), uniform(&what, bits, &runs))
        });
        let mut looks: Vec<_> = looks.collect();
        // And all of them beside each other: no mask is used in two openings.
        let bits = specs.iter().map(|&spec| bits(spec)).min().unwrap();
        let what = format!("{} parties, all bounded openings", self.parties());
        looks.push((what.clone(), uniform(&what, bits, left)));
        looks
    }

    /// To a coalition of all but party 0, what party 0 sends is the value under party 0's mask: the
    /// coalition's shares of the value and its zero shares are taken off, the value stays.
    fn bounded(&self) -> Vec<(String, Look)> {
        let left = self.runs.iter().map(|run| {
            let mut messages = run.bounded(&self.plan);
            for (number, party) in run.parties.iter().enumerate().skip(1) {
                let shares = run.shares(number);
                for (at, message) in messages.iter_mut().enumerate() {
                    *message = add(&minus(message, &party.common[0][at]), &shares[at]);
                }
            }
            messages
        });
        self.each(|spec| spec.mask_bits(), &left.collect())
    }

    /// With two honest parties, the message of one is uniform in the whole ring to the third, even
    /// if that knew the share that is opened: as it was sent, and less what the two have in common.
    fn single_messages(&self) -> Vec<(String, Look)> {
        let left = |known: bool| -> Runs {
            let runs = self.runs.iter().map(|run| {
                let shares = run.shares(0);
                let messages = run.bounded(&self.plan).into_iter().enumerate();
                let left = messages.map(|(at, message)| {
                    let left = minus(&message, &shares[at]);
                    if known { minus(&left, &run.parties[2].common[0][at]) } else { left }
                });
                left.collect()
            });
            runs.collect()
        };
        let mut looks = self.each(|spec| spec.ring, &left(false));
        looks.extend(self.each(|spec| spec.ring, &left(true)));
        looks
    }

    /// Party 0's shares of E = X - A of both systems, or of every F = Y - B.
    fn factors(&self, left: bool) -> Vec<(String, Look)> {
        let runs = |step: &str, cut: &dyn Fn(usize, Vec<u128>) -> Option<Vec<u128>>| -> Runs {
            let of = |run: &Run| {
                let sent = run.sent(0, step).into_iter().enumerate();
                sent.filter_map(|(at, bytes)| cut(at, words(&bytes, 128))).collect()
            };
            self.runs.iter().map(of).collect()
        };
        let first = |at: usize| at.is_multiple_of(TURNS / 2);
        let square = ORDER * ORDER;
        let all = if left {
            let cut = |at, words: Vec<u128>| first(at).then(|| words[..square].to_vec());
            vec![("E = X - A", runs("solution/product", &cut))]
        } else {
            let cut =
                |at, words: Vec<u128>| Some(words[if first(at) { square } else { 0 }..].to_vec());
            vec![
                ("F of the summands", runs("solution/product", &cut)),
                ("F of the solution", runs("product/fixed-left", &|_, words| Some(words))),
            ]
        };
        let all = all.into_iter().map(|(name, runs)| {
            let what = format!("{} parties, {name}", self.parties());
            (what.clone(), uniform(&what, 128, &runs))
        });
        all.collect()
    }
}
