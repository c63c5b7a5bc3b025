//! What nodes, relays, proxies and their machines do.

use super::{
    Act, BACK, Case, Expect, FIT, IMPATIENT, Reach, When, all, always, case, clear, cut,
    for_a_time, north,
};
use crate::studies::STUDIES;
use crate::world::{DOUBLE, PROXY, RELAY};

pub(super) fn nodes() -> Vec<Case> {
    vec![
        case(
            "a node starts again while joining",
            "models",
            vec![
                (When::Says("has joined", 0), Act::Kill(0)),
                (When::Then(500), Act::Start(0)),
                (When::Then(3_000), Act::Start(2)),
            ],
        )
        .without(&[2]),
        Case {
            sign: BACK,
            ..case(
                "a node starts again in the fit",
                "models",
                vec![(FIT, Act::Kill(1)), (When::Then(1_000), Act::Start(1))],
            )
        },
        Case {
            sign: BACK,
            dies: Some((1, "committed:0")),
            ..case(
                "a node vanishes in the release",
                "models",
                vec![(When::Says(BACK, 0), Act::Start(1))],
            )
        },
        Case {
            settings: IMPATIENT,
            dies: Some((1, "committed:0")),
            expect: Expect::Ends(&[(0, 6, "south"), (2, 6, "south")]),
            ..case("the same, for good", "named", vec![])
        },
        Case {
            settings: IMPATIENT,
            expect: Expect::Ends(&[(0, 6, "south"), (2, 6, "south")]),
            ..case("a node that never comes", "named", vec![]).without(&[1])
        },
        Case {
            settings: IMPATIENT,
            expect: Expect::Ends(&[(0, 6, "south"), (2, 6, "south")]),
            ..case("a node that hangs in the fit", "named", vec![(FIT, Act::Signal(1, "-STOP"))])
        },
        Case {
            sign: BACK,
            ..case(
                "two nodes with the same key",
                "models",
                vec![
                    // Slow enough for the second one to come before the end.
                    (When::Before, Act::Lines(all, |line| line.both(|side| side.delay = 10))),
                    (FIT, Act::Start(DOUBLE)),
                    (When::Then(4_000), Act::Kill(DOUBLE)),
                ],
            )
        },
        Case {
            clock: Some(1),
            ..case(
                "a clock that is turned by a day",
                "models",
                vec![(FIT, Act::Turn(1, 86_400)), (When::Then(100), Act::Turn(1, -86_400))],
            )
        },
        Case {
            clock: Some(1),
            ..case(
                "a clock that is a day behind",
                "models",
                vec![(When::Before, Act::Turn(1, -86_400))],
            )
        },
    ]
}

pub(super) fn relays() -> Vec<Case> {
    vec![
        Case {
            reach: Reach::Relay,
            ..case(
                "the relay is started again",
                "models",
                vec![(FIT, Act::Kill(RELAY)), (When::Then(1_000), Act::Start(RELAY))],
            )
        },
        Case {
            reach: Reach::Udp,
            ..for_a_time("the line to the relay is dark for 10 s", 10_000, cut)
        },
        Case {
            reach: Reach::Relay,
            absent: &[RELAY],
            ..case("the relay comes late", "models", vec![(When::Then(4_000), Act::Start(RELAY))])
        },
        Case {
            reach: Reach::Relay,
            sign: "TCP",
            ..case(
                "UDP is dropped in the fit, TCP is not",
                "models",
                vec![(FIT, Act::Lines(all, |line| line.no_udp = true))],
            )
        },
        Case {
            reach: Reach::Relay,
            sign: "TCP",
            smoke: true,
            study: STUDIES[2],
            ..always("UDP is dropped, TCP is not", |line| line.no_udp = true)
        },
        Case {
            reach: Reach::Relay,
            sign: "TCP",
            ..case(
                "TCP lines that stand half open",
                "models",
                vec![
                    (When::Before, Act::Lines(all, |line| line.no_udp = true)),
                    (FIT, Act::Lines(north, cut)),
                    (When::Then(8_000), Act::Lines(north, |line| line.closed += 1)),
                    (When::Then(0), Act::Lines(north, clear)),
                    (When::Then(0), Act::Lines(north, |line| line.no_udp = true)),
                ],
            )
        },
        Case {
            reach: Reach::Proxy,
            sign: "TCP",
            ..case(
                "the proxy is started again",
                "models",
                vec![
                    (When::Before, Act::Lines(all, |line| line.no_udp = true)),
                    (FIT, Act::Kill(PROXY)),
                    (When::Then(1_000), Act::Start(PROXY)),
                ],
            )
        },
        Case {
            reach: Reach::Proxy,
            settings: IMPATIENT,
            sign: "relay",
            expect: Expect::Ends(&[(0, 6, ""), (1, 6, ""), (2, 6, "")]),
            ..case(
                "the proxy dies for good",
                "named",
                vec![
                    (When::Before, Act::Lines(all, |line| line.no_udp = true)),
                    (FIT, Act::Kill(PROXY)),
                ],
            )
        },
        Case {
            reach: Reach::Proxy,
            ..case("the proxy dies, UDP is let out", "models", vec![(FIT, Act::Kill(PROXY))])
        },
    ]
}

/// What the own machine does to what is sent.
pub(super) fn own_machine() -> Vec<Case> {
    let rule = |name, kind| Case {
        inside: true,
        ..case(name, "models", vec![(FIT, Act::Rule(0, kind)), (When::Then(8_000), Act::NoRule(0))])
    };
    vec![
        rule("a firewall here forbids sending, 8 s", "prohibit"),
        rule("no route from here, for 8 s", "unreachable"),
        Case {
            inside: true,
            name_of: Some((0, "north.test")),
            sign: "does not resolve",
            ..case(
                "a name that resolves later",
                "models",
                vec![(When::Says("does not resolve", 0), Act::Name("north.test", true))],
            )
        },
        Case {
            inside: true,
            name_of: Some((0, "nowhere.test")),
            sign: "does not resolve",
            ..case("a name that does not, of one who dials", "models", vec![])
        },
        Case {
            inside: true,
            reach: Reach::OneWay,
            name_of: Some((1, "nowhere.test")),
            settings: IMPATIENT,
            sign: "does not resolve",
            expect: Expect::Ends(&[(0, 6, "south"), (1, 6, "north"), (2, 6, "")]),
            ..case("a name that does not, and nobody dials", "named", vec![])
        },
    ]
}
