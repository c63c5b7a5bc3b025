//! Bisection against its plain twin, around thresholds; what is revealed.

use proptest::prelude::*;

use super::*;
use crate::correlations::Origin;
use crate::ideal;
use crate::protocols::compare::harness::{source, world};
use crate::protocols::threshold::Level;
use crate::session::{Outputs, Recipients};
use crate::testing::{World, assert_cost};

pub(super) fn asked(of: &Bisection) -> Outputs {
    let allow = |all: Outputs, step| all.allow(&Bisection::label("q", step), Recipients::All);
    (0..of.steps()).fold(Outputs::none(), allow)
}

/// `numbers[party][lane]`, sorted.
fn run(of: &Bisection, origin: Origin, numbers: &[Vec<Vec<u32>>]) -> Vec<Option<Range<u64>>> {
    let world: World = world(numbers.len(), origin).outputs(asked(of));
    let results = world.run(async |mut session| {
        let mut source = source(&mut session, origin);
        let mut from = Correlations::new(&mut *source).expect("new");
        let mut orders = Orders::new();
        let ordered = of.order(&mut orders).expect("fits");
        from.demand(orders).expect("placed");
        let prepared = ordered.take(&mut from).await.expect("made");
        session.meter().enter("quantiles");
        let own: Vec<&[u32]> = numbers[session.me()].iter().map(Vec::as_slice).collect();
        let told = bisect(&own, prepared, "q", &mut session).await.expect("runs");
        assert_cost(&session, "quantiles", &of.cost(session.me()).expect("fits"));
        from.finish().await.expect("ends");
        told
    });
    assert!(results.iter().all(|result| *result == results[0]));
    results[0].clone()
}

pub(super) fn twin(of: &Bisection, numbers: &[Vec<Vec<u32>>]) -> Vec<Option<Range<u64>>> {
    let lane = |(lane, shape): (usize, &Lane)| {
        let own: Vec<&[u32]> = numbers.iter().map(|party| party[lane].as_slice()).collect();
        ideal::quantile(of.rule, &own, (shape.levels, shape.percent))
    };
    of.lanes.iter().enumerate().map(lane).collect()
}

pub(super) fn rule(least: u32, level: Level) -> ThresholdRule {
    ThresholdRule { least, zeros: true, level }
}

#[test]
fn quartiles_stop_where_few_numbers_are() {
    // 0, 1, .., 63 at the parties in turn, and twenty numbers that are alike.
    for (parties, origin) in [(2, Origin::Pairwise), (3, Origin::Pairwise), (5, Origin::Dealer)] {
        let spread = |party: usize| (0..64).filter(|n| *n as usize % parties == party).collect();
        let alike = |_: usize| vec![37u32; 20];
        let few = |_: usize| vec![37u32; 2];
        let numbers: Vec<Vec<Vec<u32>>> = (0..parties)
            .map(|party| {
                vec![spread(party), spread(party), spread(party), alike(party), few(party)]
            })
            .collect();
        let lane = |percent| Lane { levels: 6, percent };
        let lanes = vec![lane(25), lane(50), lane(75), lane(50), lane(50)];
        let of = Bisection::new(rule(5, Level::Participants), parties, lanes, 200).expect("fits");
        let told = run(&of, origin, &numbers);
        assert_eq!(told, twin(&of, &numbers), "{parties} parties");
        // 16 numbers are 0 to 15, of which 8 and more are left in the others' hands.
        assert!(told[0].as_ref().is_some_and(|at| at.contains(&15) && at.end - at.start >= 8));
        assert_eq!((&told[3], &told[4]), (&Some(37..38), &None));
    }
}

#[test]
fn what_is_out_of_range_is_refused() {
    let of = |lanes, rows, least| Bisection::new(rule(least, Level::Outsiders), 3, lanes, rows);
    let lane = Lane { levels: 3, percent: 50 };
    assert!(of(vec![lane], 10, 5).is_ok());
    assert!(of(vec![], 10, 5).is_err());
    assert!(of(vec![Lane { percent: 4, ..lane }], 10, 5).is_err());
    assert!(of(vec![Lane { levels: 25, ..lane }], 10, 5).is_err());
    assert!(of(vec![lane], 0, 5).is_err() && of(vec![lane], 10, MOST).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn paths_are_those_of_the_twin(
        seed in proptest::collection::vec((0usize..4, 0u32..32), 1..160),
        parties in 2usize..5,
        least in 1u32..6,
        outsiders: bool,
        zeros: bool,
    ) {
        let mut numbers = vec![vec![Vec::new(); 3]; parties];
        for (party, number) in seed {
            numbers[party % parties].iter_mut().for_each(|lane| lane.push(number));
        }
        numbers.iter_mut().flatten().for_each(|lane| lane.sort_unstable());
        let lanes = [(5, 25), (5, 50), (6, 75)];
        let lanes = lanes.map(|(levels, percent)| Lane { levels, percent }).to_vec();
        let level = if outsiders { Level::Outsiders } else { Level::Participants };
        let rule = ThresholdRule { least, zeros, level };
        let of = Bisection::new(rule, parties, lanes, 160).expect("fits");
        let told = run(&of, Origin::Dealer, &numbers);
        prop_assert_eq!(&told, &twin(&of, &numbers));
        // No interval holds few numbers of the others.
        for (lane, told) in told.iter().enumerate() {
            let Some(cells) = told else { continue };
            let within = |party: &Vec<Vec<u32>>| {
                party[lane].iter().filter(|n| cells.contains(&u64::from(**n))).count() as u64
            };
            let each: Vec<u64> = numbers.iter().map(within).collect();
            let all: u64 = each.iter().sum();
            let whole = cells.end - cells.start == 1 << of.lanes[lane].levels;
            let left = |own: &u64| if outsiders { all } else { all - own };
            prop_assert!(whole || each.iter().all(|own| !rule.is_small(left(own))));
        }
    }
}
