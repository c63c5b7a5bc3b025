#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn a_study_is_the_same_for_the_same_seed() {
    for family in [Family::Logistic, Family::Poisson] {
        let [one, again, other] = [1, 1, 2].map(|seed| study(family, 17, seed).pooled());
        assert_eq!(one, again);
        assert_ne!(one, other);
    }
}

#[test]
fn studies_are_as_various_as_they_say() {
    for family in [Family::Logistic, Family::Poisson] {
        let (mut means, mut largest) = (Vec::new(), Vec::new());
        for study in all(family, 1) {
            assert!((2..=7).contains(&study.parties.len()));
            assert!((400..=20_000).contains(&study.rows()), "{}", study.name);
            assert!((4..=20).contains(&study.columns.len()));
            let (x, y) = study.pooled();
            for (j, law) in study.columns.iter().enumerate() {
                let column = || x.iter().skip(j).step_by(study.columns.len());
                if matches!(law, Column::Rare | Column::Common) {
                    assert!(column().all(|&v| v == 0.0 || v == 1.0));
                } else {
                    let square = column().map(|v| v * v).sum::<f64>() / y.len() as f64;
                    assert!((square - 1.0).abs() < 1e-9, "{}", study.name);
                }
            }
            let last = study.parties.last().unwrap();
            let alike = last.y().iter().all(|y| *y == last.y()[0]);
            match study.division {
                Division::Tiny => assert!((3..=20).contains(&last.len())),
                Division::OneClass if family == Family::Logistic => assert!(alike),
                Division::Constant => assert!(
                    (0..study.columns.len())
                        .any(|j| (0..last.len()).all(|i| last.row(i)[j] == last.row(0)[j]))
                ),
                _ => {}
            }
            means.push(y.iter().sum::<f64>() / y.len() as f64);
            largest.push(y.iter().fold(0.0f64, |most, y| most.max(*y)));
        }
        assert_eq!(means.len(), STUDIES);
        let (low, high) = match family {
            Family::Logistic => (0.04, 0.4),
            Family::Poisson => (1.0, 30.0),
        };
        assert!(means.iter().filter(|mean| **mean < low).count() > 8, "{means:?}");
        assert!(means.iter().filter(|mean| **mean > high).count() > 8, "{means:?}");
        let large = largest.iter().filter(|most| **most > 8_000.0).count();
        assert_eq!(large, if family == Family::Poisson { 7 } else { 0 });
    }
}

/// What is asked of joint fits is that they do as float64 does: it has to fit nearly all.
#[test]
fn most_studies_have_a_fit() {
    for family in [Family::Logistic, Family::Poisson] {
        let step = 4;
        let none: Vec<_> = all(family, 1)
            .step_by(step)
            .filter_map(|study| study.reference().err().map(|why| (study.name, why)))
            .collect();
        assert!(none.len() <= STUDIES / step / 8, "{none:?}");
        for (name, why) in &none {
            assert!(!matches!(why, NoFit::NotConverged), "{name}: {why:?}");
        }
    }
}
