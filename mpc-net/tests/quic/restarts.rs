//! Nodes that are killed and started again at each point of joining.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use mpc_net::quic::{JoinEvent, Observer, Roster, join};
use mpc_net::{NetError, PartyId, Transport};
use tokio::sync::Notify;

use crate::plan::{Plan, exchange_alone, plan};

/// When a node dies.
#[derive(Clone, Copy, Debug)]
enum Death {
    /// When so many of its events were told.
    AtEvent(usize),
    /// When it has met all others.
    Met,
    /// When this was told to it for the first time.
    At(fn(&JoinEvent) -> bool),
    Never,
}

/// Runs a node as a process of its own would: when it dies nothing more is sent, not even that its
/// connections end. `None` if it died.
fn process(plan: &Plan, me: usize, death: Death) -> Option<Result<(), NetError>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let roster = Roster { me: PartyId::from_index(me), ..plan.roster.clone() };
    let dies = Arc::new(Notify::new());
    let observer: Observer = {
        let (dies, events) = (Arc::clone(&dies), AtomicUsize::new(0));
        Arc::new(move |event| {
            let events = events.fetch_add(1, Ordering::Relaxed) + 1;
            let now = match death {
                Death::AtEvent(due) => due == events,
                Death::At(fits) => fits(&event),
                Death::Met | Death::Never => false,
            };
            if now {
                dies.notify_one();
            }
        })
    };
    let lives = async {
        let node = join(&plan.keys[me], &roster, &plan.options[me], &observer).await?;
        if matches!(death, Death::Met) {
            dies.notify_one();
            tokio::task::yield_now().await;
        }
        exchange_alone(&node).await?;
        node.finish().await
    };
    runtime.block_on(async {
        tokio::select! {
            biased;
            () = dies.notified() => None,
            end = lives => Some(end),
        }
    })
}

/// Three nodes, of which the `victim` dies once and is started again. Whoever ends with an error is
/// started again too, as by its operator. Gives what they ended with before all was well.
fn run(victim: usize, death: Death) -> Vec<NetError> {
    let mut plan = plan(3, Duration::from_secs(60));
    for options in &mut plan.options {
        options.join_timeout = Duration::from_secs(60);
    }
    let (told, ends) = mpsc::channel();
    for me in 0..3 {
        let (plan, told) = (plan.clone(), told.clone());
        std::thread::spawn(move || {
            let mut death = if me == victim { death } else { Death::Never };
            loop {
                let end = process(&plan, me, death);
                let done = matches!(end, Some(Ok(())));
                if told.send((me, end)).is_err() || done {
                    return;
                }
                death = Death::Never;
            }
        });
    }
    let begin = Instant::now();
    let (mut well, mut errors) = (0, Vec::new());
    while well < 3 {
        let left = Duration::from_secs(30).saturating_sub(begin.elapsed());
        match ends.recv_timeout(left) {
            Ok((_, Some(Ok(())))) => well += 1,
            Ok((_, Some(Err(error)))) => errors.push(error),
            Ok((_, None)) => {}
            Err(_) => panic!("victim {victim}, {death:?}: {well} are done, errors {errors:?}"),
        }
    }
    errors
}

/// All at the same time; whatever happens, nobody waits for what does not come.
fn all_meet(deaths: &[Death]) {
    let cases: Vec<_> = (0..3)
        .flat_map(|victim| deaths.iter().map(move |death| (victim, *death)))
        .map(|(victim, death)| (victim, death, std::thread::spawn(move || run(victim, death))))
        .collect();
    for (victim, death, case) in cases {
        for error in case.join().unwrap() {
            let named = match &error {
                NetError::Lost { peer, .. } | NetError::Aborted { peer, .. } => peer,
                other => panic!("victim {victim}, {death:?}: {other}"),
            };
            assert!(named.starts_with("node "), "victim {victim}, {death:?}: {error}");
        }
    }
}

#[test]
fn nodes_that_die_while_they_meet_are_met_again() {
    let events: Vec<Death> = (1..=6).map(Death::AtEvent).collect();
    all_meet(&events);
}

#[test]
fn nodes_that_die_when_all_have_met_are_met_again() {
    let unready = Death::At(|event| matches!(event, JoinEvent::Unready { .. }));
    all_meet(&[unready, Death::Met]);
}

#[test]
fn a_dead_node_is_lost_long_before_a_silent_one() {
    let mut plan = plan(2, Duration::from_secs(3600));
    for options in &mut plan.options {
        options.lost_after = Duration::from_secs(2);
    }
    let theirs = plan.clone();
    let dead = std::thread::spawn(move || process(&theirs, 1, Death::Met));
    let begin = Instant::now();
    let end = process(&plan, 0, Death::Never).unwrap().unwrap_err();
    assert!(matches!(&end, NetError::Lost { peer, .. } if peer == "node 1"), "{end}");
    assert!(begin.elapsed() < Duration::from_secs(60), "took {:?}", begin.elapsed());
    assert!(dead.join().unwrap().is_none());
}
