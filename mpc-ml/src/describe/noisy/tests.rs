//! Tables with noise of made-up rows: that they are the sums and the noise, what they spend, how far a row moves them,
//! whether intervals cover, and what is seen of them.

use std::collections::BTreeMap;

use mpc_core::correlations::Origin;
use mpc_core::rand::{Coins, MaskSite, Seed};
use mpc_core::testing::{self, World};
use mpc_core::{Against, Recipients};
use mpc_net::memory::MemoryTransport;

use super::plan::{What, half_width};
use super::*;
use crate::data::testing::{categorical, numeric, schema};
use crate::data::{CategoricalMissing, FeatureKind, NumericMissing, Scaling, Schema};
use crate::model::{Plan, ledger};
use crate::privacy::{Guarantee, Neighbours};

fn columns() -> Schema {
    let mut arm = categorical("arm", &["usual", "new"], "usual");
    let mut sex = categorical("sex", &["f", "m", "x"], "f");
    for (feature, missing) in
        [(&mut arm, CategoricalMissing::Refuse), (&mut sex, CategoricalMissing::Level)]
    {
        if let FeatureKind::Categorical(it) = &mut feature.kind {
            it.missing = missing;
        }
    }
    let age = numeric("age", NumericMissing::Refuse, Scaling::None);
    let pressure = numeric("pressure", NumericMissing::Value(100.0), Scaling::None);
    schema(vec![arm, sex, age, pressure]).expect("a schema")
}

fn settings(epsilon: f64, persons: u32, neighbours: Neighbours) -> NoisySettings {
    NoisySettings {
        privacy: Guarantee { epsilon, delta: 1e-6, neighbours, persons },
        group: Some("arm".into()),
        tables: Vec::new(),
        histograms: vec![("age".into(), 400)],
        means: vec!["age".into(), "pressure".into()],
        ranges: BTreeMap::from([("age".into(), (20.0, 90.0)), ("pressure".into(), (80.0, 200.0))]),
    }
}

fn usual() -> NoisySettings {
    settings(1.0, 1, Neighbours::Blank)
}

/// Numbers from 0 to 1 that look random.
fn number(seed: u64) -> f64 {
    let bytes = mpc_core::rand::hash("made up", &[&seed.to_le_bytes()]);
    f64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])) / f64::from(u32::MAX)
}

/// Cells of a row; some of them beyond the ranges.
fn cells(seed: u64) -> [String; 4] {
    let at = |cell: u64| number(8 * seed + cell);
    let sex = ["f", "m", "x", ""][(at(1) * 4.0) as usize % 4];
    let pressure = if at(3) < 0.2 { String::new() } else { format!("{}", 60.0 + 200.0 * at(4)) };
    let arm = if at(0) < 0.4 { "new" } else { "usual" };
    [arm.to_owned(), sex.to_owned(), format!("{}", 15.0 + 80.0 * at(2)), pressure]
}

fn table(rows: impl Iterator<Item = u64>) -> Table {
    let mut table = Table::builder_without_target(columns());
    for row in rows {
        let cells = cells(row);
        table.push_row(&cells.each_ref().map(String::as_str)).expect("fits");
    }
    table.finish()
}

fn of_party(party: usize, rows: &[u64]) -> Table {
    let from = 100_000 * party as u64;
    table(from..from + rows[party])
}

fn stream(name: &str) -> NoiseStream {
    NoiseStream::new(&mut Coins::of(Seed::from_secret("test", &[name.as_bytes()])))
}

/// All that three parties do, and what was sent between them.
fn run(
    settings: &NoisySettings,
    (to, off): (Recipients, Option<MaskSite>),
) -> (Vec<Option<NoisyTables>>, NoisyPlan, Vec<mpc_net::fault::View>) {
    let rows = [300, 200, 100];
    let plan = NoisyPlan::new(settings, &columns(), &rows, to).expect("plans");
    let world = World::new(3).outputs(ledger(&plan.outputs())).insecure_without(off);
    // Without commitments, which are hashes: what they hide is opened alike.
    let world = if off.is_some() { world.against(Against::SemiHonest) } else { world };
    let mesh = world.mesh();
    let views = mesh.iter().map(MemoryTransport::record).collect();
    let all = world.run_on(mesh, async |mut session| {
        let me = session.me();
        let plan = Agreed::among(plan.clone(), &mut session).await?;
        let mut source = testing::source(&mut session, Origin::Pairwise)?;
        session.meter().enter("tables");
        let mut run = Run { session: &mut session, source: &mut *source, progress: &mut |_| {} };
        let noised = prepare(&plan, &of_party(me, &rows), &mut run).await?;
        assert_eq!(format!("{noised:?}"), format!("Noised({} figures)", noised.0.len()));
        let told = release(&plan, noised, &mut run).await?;
        if to == Recipients::All {
            testing::assert_cost(run.session, "tables", &plan.cost(me));
        }
        run.source.finish().await?;
        Ok::<_, Error>(told)
    });
    (all.into_iter().map(|it| it.expect("runs")).collect(), plan, views)
}

#[test]
fn figures_are_those_of_the_rows_and_noise_of_its_law() {
    let (told, plan, _) = run(&usual(), (Recipients::All, None));
    assert!(told.iter().all(|it| it == &told[0]));
    let told = told[0].as_ref().expect("is for everybody");
    let exact: Vec<Vec<i128>> = (0..3)
        .map(|party| own::sums(&plan, &of_party(party, &plan.rows), party).expect("fit").to_vec())
        .collect();
    let exact: Vec<i128> =
        (0..exact[0].len()).map(|at| exact.iter().map(|it| it[at]).sum()).collect();
    // The histogram has 800 counts: its noise has the variance that is said.
    let mut at = 0;
    for part in &plan.parts {
        if let What::Intervals(..) = part.what {
            let counts: Vec<i64> = told.histograms[0].counts.concat();
            assert_eq!(counts.len(), 800);
            let squares: f64 = counts
                .iter()
                .zip(&exact[at..])
                .map(|(noisy, exact)| (*noisy as f64 - *exact as f64).powi(2))
                .sum();
            let expected = plan.deviation(part).powi(2);
            // A chi-square of 800 degrees: below 2^-40 outside of these.
            let z = (squares / expected - 800.0) / 1600.0_f64.sqrt();
            assert!((-7.5..9.0).contains(&z), "{z}");
            assert!((told.histograms[0].deviation.powi(2) - expected).abs() < 1e-9);
        }
        at += part.values;
    }
    assert!(told.to_string().lines().all(|line| line.chars().count() <= 80), "{told}");
    assert_eq!((told.rows, told.tables.len(), told.means.len()), (600, 3, 2));
    let only = run(&usual(), (Recipients::Among(2), None)).0;
    assert!(only[0].is_none() && only[1].is_some() && only[2].is_none());
}

#[test]
fn the_parts_spend_what_is_promised_and_no_more() {
    for (epsilon, persons, neighbours) in
        [(1.0, 1, Neighbours::Blank), (3.0, 4, Neighbours::Replace), (8.0, 2, Neighbours::Blank)]
    {
        let settings = settings(epsilon, persons, neighbours);
        let plan =
            NoisyPlan::new(&settings, &columns(), &[300, 200], Recipients::All).expect("plans");
        let moved = |part: &plan::Part| {
            let unit = if matches!(part.what, What::Sums(_) | What::Squares(_)) {
                (plan::UNIT as f64).powi(2)
            } else {
                1.0
            };
            let replaced = match (neighbours, unit > 1.0) {
                (Neighbours::Blank, _) => 1.0,
                (Neighbours::Replace, true) if matches!(part.what, What::Sums(_)) => 4.0,
                (Neighbours::Replace, _) => 2.0,
            };
            f64::from(persons).powi(2) * unit * replaced
        };
        let spent: f64 =
            plan.parts.iter().map(|part| moved(part) / (2.0 * part.sigma_squared as f64)).sum();
        let rho = settings.privacy.rho().expect("in range").to_f64();
        // Counts are whole numbers, and so are the parameters of their noise.
        assert!(spent <= rho && spent > 0.8 * rho, "{spent} of {rho}");
    }
}

/// Whatever a row is, taking it away or putting another one in its place moves no part further than the noise is for.
#[test]
fn no_row_moves_a_part_further_than_its_noise_is_for() {
    for neighbours in [Neighbours::Blank, Neighbours::Replace] {
        let settings = settings(1.0, 1, neighbours);
        let plan = |rows| {
            NoisyPlan::new(&settings, &columns(), &[rows, 9], Recipients::All).expect("plans")
        };
        let (with, without) = (plan(21), plan(20));
        let sums = |plan: &NoisyPlan, rows: Vec<u64>| {
            own::sums(plan, &table(rows.into_iter()), 0).expect("fit")
        };
        let mut furthest = vec![0_i128; with.parts.len()];
        for row in 0..400 {
            let rest: Vec<u64> = (50_000..50_020).collect();
            let whole = sums(&with, [&rest[..], &[row]].concat());
            let other = match neighbours {
                Neighbours::Blank => sums(&without, rest),
                Neighbours::Replace => sums(&with, [&rest[..], &[row + 1_000]].concat()),
            };
            let mut at = 0;
            for (part, furthest) in with.parts.iter().zip(&mut furthest) {
                let moved: i128 =
                    (at..at + part.values).map(|at| (whole[at] - other[at]).pow(2)).sum();
                *furthest = moved.max(*furthest);
                at += part.values;
            }
        }
        for (part, furthest) in with.parts.iter().zip(furthest) {
            let unit = i128::from(plan::UNIT).pow(2);
            let most = match (part.what, neighbours) {
                (What::Cells(..) | What::Intervals(..), Neighbours::Blank) => 1,
                (What::Cells(..) | What::Intervals(..), Neighbours::Replace) => 2,
                (_, Neighbours::Blank) => unit,
                (What::Squares(_), Neighbours::Replace) => 2 * unit,
                (What::Sums(_), Neighbours::Replace) => 4 * unit,
            };
            // Some pair of rows comes near it.
            assert!(furthest <= most && 2 * furthest > most, "{:?}: {furthest}", part.what);
        }
    }
}

#[test]
fn intervals_of_the_noise_cover() {
    let settings = NoisySettings { histograms: vec![("age".into(), 14)], ..usual() };
    let rows = [1800_u64, 1200];
    let plan = NoisyPlan::new(&settings, &columns(), &rows, Recipients::All).expect("plans");
    let laws = plan.laws().expect("in range");
    let mut exact = vec![0_i128; plan.parts.iter().map(|part| part.values).sum()];
    for party in 0..2 {
        let own = own::sums(&plan, &of_party(party, &rows), party).expect("fit");
        exact.iter_mut().zip(&*own).for_each(|(sum, own)| *sum += own);
    }
    let truth = results::tables(&plan, &exact);
    let mut stream = stream("cover");
    let (runs, mut hits) = (400, [0_u32; 4]);
    for _ in 0..runs {
        let mut sums = exact.clone();
        for _ in 0..2 {
            let noise = noise(&laws, &mut stream);
            sums.iter_mut().zip(&*noise).for_each(|(sum, noise)| *sum += i128::from(*noise));
        }
        let told = results::tables(&plan, &sums);
        let near = |a: i64, b: i64, within: u64| u32::from(a.abs_diff(b) <= within);
        let table = &told.tables[1];
        hits[0] += near(table.counts[0][0], truth.tables[1].counts[0][0], table.within);
        // The interval in which the true median lies is exact where there is no noise.
        let counts = &truth.histograms[0].counts[0];
        let (first, last) = results::quantile(counts, 0.0, 0.5).expect("rows");
        assert_eq!(first, last);
        let ends = &truth.histograms[0].ends;
        let (low, high) = told.histograms[0].quartiles[0][1].expect("not hidden");
        hits[1] += u32::from(low <= ends[first] && high >= ends[last + 1]);
        let of = |told: &NoisyTables, at: usize| {
            (told.means[at].means[0].expect("not hidden"), told.means[at].deviations[0])
        };
        let ((mean, deviation), (true_mean, true_deviation)) = (of(&told, 1), of(&truth, 1));
        hits[2] += u32::from((mean.value - true_mean.value).abs() <= mean.within);
        let (deviation, exact) = (deviation.expect("told"), true_deviation.expect("told"));
        hits[3] += u32::from((deviation.value - exact.value).abs() <= deviation.within);
    }
    // 95 of 100 and more; the stream is fixed.
    assert!(hits.iter().all(|&hits| f64::from(hits) >= 0.93 * f64::from(runs)), "{hits:?}");
    // Medians are not told as wide as can be.
    assert!(hits[1] <= runs && half_width(10.0) == 20);
}

#[test]
fn shares_of_figures_are_hidden_by_zero_shares() {
    let figures = |plan: &NoisyPlan| plan.parts.iter().map(|part| part.values).sum::<usize>();
    // How many of the words that the last party received of the first are as small as its sums are.
    let small = |off| {
        let (_, plan, views) = run(&usual(), (Recipients::All, Some(off)));
        let messages = views[2].messages();
        let from_first = messages
            .iter()
            .filter(|it| it.from == mpc_net::PartyId(0) && it.bytes.len() == 8 * figures(&plan));
        let words: Vec<i64> = from_first
            .flat_map(|it| it.bytes.chunks_exact(8))
            .map(|word| i64::from_le_bytes(word.try_into().expect("eight bytes")))
            .collect();
        assert!(words.len() >= figures(&plan), "{} words", words.len());
        words.iter().filter(|word| word.unsigned_abs() < 1 << 50).count()
    };
    assert!(small(MaskSite::ZeroShareResult) > 800);
    // A mask that this protocol does not use: all is as usual. A word is small with probability 2^-13.
    assert!(small(MaskSite::BoundedMask) < 20);
}

#[test]
fn what_does_not_fit_is_refused_with_the_rule() {
    let refused = |settings: &NoisySettings, rows: &[u64]| {
        NoisyPlan::new(settings, &columns(), rows, Recipients::All)
            .expect_err("refused")
            .to_string()
    };
    let with = |change: &dyn Fn(&mut NoisySettings)| {
        let mut settings = usual();
        change(&mut settings);
        refused(&settings, &[300, 200])
    };
    assert!(with(&|it| it.group = Some("age".into())).contains("no column of words"));
    assert!(with(&|it| it.means[0] = "sex".into()).contains("no column of numbers"));
    assert!(with(&|it| it.histograms[0].1 = 1).contains("from 2 to 1000"));
    assert!(with(&|it| it.means = vec!["age".into()]).contains("\"pressure\", of which nothing"));
    assert!(with(&|it| it.ranges.retain(|name, _| name != "age")).contains("two ends for \"age\""));
    assert!(with(&|it| it.privacy.epsilon = 0.0).starts_with("epsilon"));
    assert!(with(&|it| it.tables = vec![("arm".into(), "sex".into())]).contains("twice"));
    assert!(with(&|it| it.tables = vec![("sex".into(), "arm".into())]).contains("twice"));
    assert!(with(&|it| it.tables = vec![("sex".into(), "sex".into())]).contains("against itself"));
    assert!(with(&|it| it.privacy.delta = 1e-3).contains("delta is 1.0e-3"));
    let plan = NoisyPlan::new(&usual(), &columns(), &[5, 5], Recipients::All);
    let said = own::sums(&plan.expect("plans"), &table(0..4), 0).expect_err("four rows");
    assert!(said.to_string().contains("4 rows of 4 columns were given"), "{said}");
}
