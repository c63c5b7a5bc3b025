//! What networks do to a study, as an operator meets it.

mod lines;
mod programs;

use crate::line::Conditions;
use crate::studies::{LONG, Study};

/// How the nodes reach each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Each dials the others.
    Direct,
    /// Each dials those that come after it.
    OneWay,
    /// Through a relay, over UDP alone.
    Udp,
    /// Through a relay, over UDP or TCP.
    Relay,
    /// Through a relay behind an HTTP proxy.
    Proxy,
}

/// When something happens: in the order of the list.
#[derive(Clone, Copy)]
pub enum When {
    /// Before the nodes are started.
    Before,
    /// So many milliseconds after the one before, or after the start.
    Then(u64),
    /// When a node says this, and so many milliseconds later.
    Says(&'static str, u64),
    /// When no node runs any more.
    Ended,
}

/// What happens.
#[derive(Clone, Copy)]
pub enum Act {
    /// Lines between these are changed.
    Lines(fn(usize, usize) -> bool, fn(&mut Conditions)),
    Start(usize),
    Kill(usize),
    Signal(usize, &'static str),
    /// The clock of a node is turned by so many seconds.
    Turn(usize, i64),
    /// The machine of a node does so with what it sends (`ip rule`).
    Rule(usize, &'static str),
    /// It does no more.
    NoRule(usize),
    /// The name of a node resolves, or not.
    Name(&'static str, bool),
}

/// How it has to end.
#[derive(Clone, Copy)]
pub enum Expect {
    /// All three have the same model, that of an undisturbed run, and no operator had to do more than the case says.
    Models,
    /// These nodes end with this exit code and say this.
    Ends(&'static [(usize, i32, &'static str)]),
}

/// One case.
pub struct Case {
    pub name: &'static str,
    pub expected: &'static str,
    pub study: Study,
    pub reach: Reach,
    pub steps: Vec<(When, Act)>,
    pub expect: Expect,
    /// What some node says, or it was not this case.
    pub sign: &'static str,
    /// In `[network]` of all nodes.
    pub settings: &'static [(&'static str, &'static str)],
    /// Who is not there at the start.
    pub absent: &'static [usize],
    /// A node that is killed at a place in its program.
    pub dies: Option<(usize, &'static str)>,
    /// A node whose clock can be turned.
    pub clock: Option<usize>,
    /// By which name the others know a node.
    pub name_of: Option<(usize, &'static str)>,
    /// Needs a network and a table of names of its own.
    pub inside: bool,
    pub smoke: bool,
}

/// In the middle of the fit.
const FIT: When = When::Says("kept after step 64", 0);
/// Patience that a case does not take minutes to use up.
const IMPATIENT: &[(&str, &str)] =
    &[("JOIN_TIMEOUT_S", "15"), ("RETURN_WITHIN_S", "15"), ("LOST_AFTER_S", "5")];
const BACK: &str = "goes back to meeting";

fn all(_: usize, _: usize) -> bool {
    true
}

fn north(a: usize, _: usize) -> bool {
    a == 0
}

fn clear(conditions: &mut Conditions) {
    let Conditions { mapping, from, closed, .. } = *conditions;
    *conditions = Conditions { mapping, from, closed, ..Conditions::default() };
}

fn cut(conditions: &mut Conditions) {
    conditions.both(|side| side.cut = true);
}

fn case(name: &'static str, expected: &'static str, steps: Vec<(When, Act)>) -> Case {
    Case {
        name,
        expected,
        study: LONG,
        reach: Reach::Direct,
        steps,
        expect: Expect::Models,
        sign: "",
        settings: &[],
        absent: &[],
        dies: None,
        clock: None,
        name_of: None,
        inside: false,
        smoke: false,
    }
}

/// Lines that are so from the beginning.
fn always(name: &'static str, change: fn(&mut Conditions)) -> Case {
    case(name, "models", vec![(When::Before, Act::Lines(all, change))])
}

/// Lines of a node that are so for a time in the middle of the fit.
fn for_a_time(name: &'static str, milliseconds: u64, change: fn(&mut Conditions)) -> Case {
    let begin = (FIT, Act::Lines(north, change));
    case(name, "models", vec![begin, (When::Then(milliseconds), Act::Lines(north, clear))])
}

/// All of them; the ones that take longest first.
pub fn cases() -> Vec<Case> {
    let mut cases = lines::long();
    cases.extend(lines::packets());
    cases.extend(lines::paths());
    cases.extend(programs::nodes());
    cases.extend(programs::relays());
    cases.extend(programs::own_machine());
    cases
}

impl Case {
    fn without(self, absent: &'static [usize]) -> Self {
        Self { absent, ..self }
    }
}
