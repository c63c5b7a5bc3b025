//! What lines do.

use std::net::Ipv4Addr;

use super::{
    Act, BACK, Case, Expect, FIT, IMPATIENT, Reach, When, all, always, case, clear, cut,
    for_a_time, north,
};
use crate::studies::STUDIES;
use crate::world::RELAY;

pub(super) fn long() -> Vec<Case> {
    vec![
        Case { sign: BACK, ..for_a_time("black-out of 90 s", 90_000, cut) },
        Case { sign: BACK, ..for_a_time("black-out of 60 s", 60_000, cut) },
        Case {
            sign: BACK,
            ..for_a_time("one direction dark for 45 s", 45_000, |line| line.sides[0].cut = true)
        },
        Case {
            reach: Reach::Relay,
            sign: BACK,
            ..case(
                "the relay is gone for 40 s",
                "models",
                vec![(FIT, Act::Kill(RELAY)), (When::Then(40_000), Act::Start(RELAY))],
            )
        },
        Case {
            sign: BACK,
            ..case(
                "a machine sleeps for 45 s",
                "models",
                vec![(FIT, Act::Signal(1, "-STOP")), (When::Then(45_000), Act::Signal(1, "-CONT"))],
            )
        },
        Case {
            settings: IMPATIENT,
            sign: BACK,
            ..case(
                "black-out beyond all patience",
                "named; then models",
                vec![
                    (FIT, Act::Lines(north, cut)),
                    (When::Ended, Act::Lines(north, clear)),
                    (When::Then(0), Act::Start(0)),
                    (When::Then(0), Act::Start(1)),
                    (When::Then(0), Act::Start(2)),
                ],
            )
        },
        for_a_time("black-out of 10 s", 10_000, cut),
        case(
            "black-out of 10 s while joining",
            "models",
            vec![
                (When::Before, Act::Lines(all, cut)),
                (When::Then(10_000), Act::Lines(all, clear)),
            ],
        ),
    ]
}

pub(super) fn packets() -> Vec<Case> {
    vec![
        Case {
            smoke: true,
            study: STUDIES[2],
            ..always("5 % of packets lost", |line| line.both(|side| side.lost = 5))
        },
        always("20 % of packets lost", |line| line.both(|side| side.lost = 20)),
        always("30 % lost in one direction", |line| line.sides[1].lost = 30),
        Case {
            study: STUDIES[2],
            ..always("a round trip of 300 ms", |line| line.both(|side| side.delay = 150))
        },
        Case {
            study: STUDIES[2],
            ..always("packets take 1 to 60 ms", |line| {
                line.both(|side| (side.delay, side.jitter) = (1, 59));
            })
        },
        Case {
            smoke: true,
            study: STUDIES[2],
            ..always("25 % come late, after others", |line| line.both(|side| side.late = 25))
        },
        always("half of all packets come twice", |line| line.both(|side| side.doubled = 50)),
        always("a bit changed in 5 %", |line| line.both(|side| side.changed = 5)),
        always("no packet above 1252 bytes", |line| line.largest = 1252),
        Case {
            settings: IMPATIENT,
            expected: "named",
            expect: Expect::Ends(&[(0, 6, "south"), (1, 6, "north"), (2, 6, "north")]),
            ..always("no packet above 1000 bytes", |line| line.largest = 1000)
        },
        Case {
            reach: Reach::Relay,
            sign: "TCP",
            ..always("the same, with a relay", |line| line.largest = 1000)
        },
        always("lines of 1 Mbit/s", |line| line.both(|side| side.rate = Some(125_000))),
        Case {
            study: STUDIES[2],
            ..always("all of it: 3 % lost, late, twice, slow", |line| {
                line.both(|side| {
                    (side.lost, side.late, side.doubled) = (3, 10, 10);
                    (side.delay, side.jitter, side.rate) = (20, 10, Some(500_000));
                });
            })
        },
    ]
}

pub(super) fn paths() -> Vec<Case> {
    vec![
        Case {
            smoke: true,
            ..case(
                "another port behind a NAT",
                "models",
                vec![
                    (FIT, Act::Lines(all, |line| line.mapping += 1)),
                    (When::Then(100), Act::Lines(all, |line| line.mapping += 1)),
                ],
            )
        },
        case(
            "another address",
            "models",
            vec![(FIT, Act::Lines(all, |line| line.from = Ipv4Addr::new(127, 0, 0, 77)))],
        ),
        case(
            "another address after 10 s of darkness",
            "models",
            vec![
                (FIT, Act::Lines(all, cut)),
                (When::Then(10_000), Act::Lines(all, clear)),
                (When::Then(0), Act::Lines(all, |line| line.from = Ipv4Addr::new(127, 0, 0, 78))),
            ],
        ),
        case(
            "ports refused (ICMP) for 10 s",
            "models",
            vec![
                (FIT, Act::Lines(all, |line| line.refused = true)),
                (When::Then(10_000), Act::Lines(all, clear)),
            ],
        ),
        case(
            "ports refused (ICMP) while joining",
            "models",
            vec![
                (When::Before, Act::Lines(all, |line| line.refused = true)),
                (When::Then(5_000), Act::Lines(all, clear)),
            ],
        ),
        case(
            "a line that comes and goes",
            "models",
            (0..12)
                .map(|turn| match turn {
                    0 => (FIT, Act::Lines(north, cut)),
                    turn if turn % 2 == 1 => (When::Then(2_000), Act::Lines(north, clear)),
                    _ => (When::Then(300), Act::Lines(north, cut)),
                })
                .collect(),
        ),
        Case {
            reach: Reach::OneWay,
            ..case("only one of each two can be dialled", "models", vec![])
        },
    ]
}
