//! When a node is killed.

use std::fmt;

use crate::chance::Chance;
use crate::played::PLAYED;
use crate::studies::NAMES;

/// The parts of a run, in its order.
pub const STAGES: [&str; 5] = ["joining", "preparing", "passes", "release", "writing"];

/// What an undisturbed run of a study is like.
#[derive(Clone, Debug)]
pub struct Shape {
    /// How many outputs its result has.
    pub results: u64,
    /// Milliseconds of each of [`PHASES`].
    pub phases: Vec<u64>,
    /// How many states of its fit are kept.
    pub states: u64,
}

/// The phases that a node tells of, in their order.
pub const PHASES: [&str; 4] = ["standardisation", "preparation", "training", "release"];

/// A moment.
#[derive(Clone, Debug)]
pub enum Point {
    /// So many milliseconds after the node says that it listens, or that this phase begins.
    After(&'static str, u64),
    /// At a place in its program, as `MPC_DIE_AT` names it.
    At(String),
}

/// One kill.
#[derive(Clone, Debug)]
pub struct Kill {
    /// Which of [`STAGES`].
    pub stage: usize,
    pub node: usize,
    pub point: Point,
    /// Milliseconds until the node is started again, or goes on.
    pub back_after: u64,
    /// Whether it is stopped and not killed: a machine that sleeps, or a line that is down.
    pub stopped: bool,
}

/// One run, with its kills: of different nodes.
#[derive(Clone, Debug)]
pub struct Case {
    pub number: usize,
    /// Which of [`PLAYED`].
    pub study: usize,
    pub kills: Vec<Kill>,
}

/// One run in so many has a second kill.
const TWICE: u64 = 5;

impl Case {
    pub fn draw(number: usize, shapes: &[Shape], chance: &mut Chance) -> Self {
        let study = number % PLAYED.len();
        // Every stage equally often with every study, and each of them early.
        let stage = (number / PLAYED.len() + study) % STAGES.len();
        let node = chance.below(3) as usize;
        let mut kills = vec![Kill::draw(stage, node, &shapes[study], chance)];
        if chance.below(TWICE) == 0 {
            let other = (node + 1 + chance.below(2) as usize) % NAMES.len();
            let stage = chance.below(STAGES.len() as u64) as usize;
            kills.push(Kill::draw(stage, other, &shapes[study], chance));
        }
        Self { number, study, kills }
    }
}

impl Case {
    /// The same with nodes that are stopped for so many seconds in the middle of what they do.
    pub fn stop_for(&mut self, seconds: u64, shapes: &[Shape]) {
        for kill in &mut self.kills {
            if let Point::At(_) = kill.point {
                kill.point = Point::After(PHASES[2], shapes[self.study].phases[2] / 2);
            }
            (kill.stopped, kill.back_after) = (true, 1000 * seconds);
        }
    }
}

impl Kill {
    fn draw(stage: usize, node: usize, shape: &Shape, chance: &mut Chance) -> Self {
        let point = match STAGES[stage] {
            "joining" => match chance.pick(&["joined", "begun", "listening", "listening"]) {
                "listening" => Point::After("listening", chance.below(400)),
                place => Point::At(place.to_owned()),
            },
            "preparing" => {
                let phase = chance.below(2) as usize;
                Point::After(PHASES[phase], chance.below(shape.phases[phase] + 20))
            }
            "passes" if shape.states > 0 && chance.below(2) == 0 => {
                let place = chance.pick(&["keeping", "kept"]);
                Point::At(format!("{place}:{}", chance.below(shape.states)))
            }
            "passes" => Point::After(PHASES[2], chance.below(shape.phases[2] + 20)),
            // All that a federated study shows are its rounds, each of which is kept.
            "release" if shape.results == 0 => match chance.pick(&["round", "phase"]) {
                "phase" => Point::After(PHASES[3], chance.below(shape.phases[3] + 20)),
                place => Point::At(format!("{place}:{}", chance.below(shape.states))),
            },
            "release" => match chance.pick(&["recorded", "committed", "revealed", "phase"]) {
                "phase" => Point::After(PHASES[3], chance.below(shape.phases[3] + 20)),
                place => Point::At(format!("{place}:{}", chance.below(shape.results))),
            },
            _ => Point::At(chance.pick(&["model", "receipt", "closing"]).to_owned()),
        };
        Self { stage, node, point, back_after: chance.below(1500), stopped: false }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, PLAYED[self.study].name)?;
        for Kill { stage, node, point, back_after, stopped } in &self.kills {
            write!(f, "; {} {}: ", STAGES[*stage], NAMES[*node])?;
            match point {
                Point::After(what, ms) => write!(f, "{ms} ms after {what}")?,
                Point::At(place) => write!(f, "at {place}")?,
            }
            let stopped = if *stopped { "stopped, " } else { "" };
            write!(f, ", {stopped}back after {back_after} ms")?;
        }
        Ok(())
    }
}
