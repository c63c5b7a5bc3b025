//! Packets that wait for a line, bounded, a fair part of it for each flow.
//!
//! Flows take turns, a packet each. A flow that is full loses what comes on top, as at any router, and
//! takes nothing away from the others.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::sync::Notify;

/// Bytes that wait of one flow.
pub(crate) const MAX_FLOW: usize = 256 << 10;

/// What the bookkeeping of a packet takes, counted with it: else a flow of tiny packets would take
/// many times its part.
const OVERHEAD: usize = 128;

/// Packets that are taken at a time.
const BATCH: usize = 32;

/// Bytes that all queues together may hold.
#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(bytes) })
    }

    fn take(&self, bytes: usize) -> bool {
        let less = |left: usize| left.checked_sub(bytes);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Flow {
    packets: VecDeque<Bytes>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    /// Those that have packets.
    flows: BTreeMap<u16, Flow>,
    /// Whose turn it is.
    turns: VecDeque<u16>,
    bytes: usize,
    waiting: Vec<Waker>,
}

/// The packets for one line.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    budget: Arc<Budget>,
    come: Notify,
}

impl Queue {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self { state: Mutex::default(), budget, come: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a packet at the end of a flow, or drops it where there is no room.
    pub(crate) fn push(&self, flow: u16, packet: Bytes) -> bool {
        let size = packet.len() + OVERHEAD;
        let mut state = self.state();
        let held = state.flows.get(&flow).map_or(0, |flow| flow.bytes);
        if held + size > MAX_FLOW || !self.budget.take(size) {
            return false;
        }
        if held == 0 {
            state.turns.push_back(flow);
        }
        let entry = state.flows.entry(flow).or_default();
        entry.bytes += size;
        entry.packets.push_back(packet);
        state.bytes += size;
        drop(state);
        self.come.notify_one();
        true
    }

    /// Wakes whoever waits for packets.
    pub(crate) fn wake(&self) {
        self.come.notify_one();
    }

    /// Waits until something was put in, or [`wake`](Self::wake) was called.
    pub(crate) async fn changed(&self) {
        self.come.notified().await;
    }

    /// The next packets.
    pub(crate) fn take(&self) -> Vec<(u16, Bytes)> {
        let mut state = self.state();
        let mut taken = Vec::new();
        while taken.len() < BATCH
            && let Some(number) = state.turns.pop_front()
        {
            let Some(flow) = state.flows.get_mut(&number) else { continue };
            let Some(packet) = flow.packets.pop_front() else { continue };
            let size = packet.len() + OVERHEAD;
            flow.bytes -= size;
            if flow.packets.is_empty() {
                state.flows.remove(&number);
            } else {
                state.turns.push_back(number);
            }
            state.bytes -= size;
            self.budget.give_back(size);
            taken.push((number, packet));
        }
        state.waiting.drain(..).for_each(Waker::wake);
        taken
    }

    /// Ready while fewer than so many bytes wait.
    pub(crate) fn poll_room(&self, bytes: usize, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.bytes < bytes {
            return Poll::Ready(());
        }
        if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            state.waiting.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// Throws away all that waits.
    pub(crate) fn clear(&self) {
        let mut state = self.state();
        self.budget.give_back(state.bytes);
        let waiting = std::mem::take(&mut state.waiting);
        *state = State::default();
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(bytes: usize) -> Bytes {
        Bytes::from(vec![0; bytes])
    }

    #[test]
    fn a_flow_that_floods_takes_turns_and_only_its_own_part() {
        let budget = Budget::new(16 << 20);
        let queue = Queue::new(Arc::clone(&budget));
        let flood = (0..100_000).filter(|_| queue.push(7, packet(1200))).count();
        assert!((150..220).contains(&flood), "{flood}");
        let tiny = (0..100_000).filter(|_| queue.push(8, packet(1))).count();
        assert!(tiny < 2200, "{tiny}");
        assert!((0..10).all(|_| queue.push(1, packet(1200))));
        let first: Vec<u16> = queue.take().into_iter().map(|(flow, _)| flow).collect();
        assert_eq!(first.iter().filter(|flow| **flow == 1).count(), 10, "{first:?}");
        drop(queue);
        assert_eq!(budget.left.load(Ordering::Relaxed), 16 << 20);
    }

    #[test]
    fn all_queues_together_keep_to_the_budget() {
        let budget = Budget::new(1 << 20);
        let queues: Vec<Queue> = (0..50).map(|_| Queue::new(Arc::clone(&budget))).collect();
        let held: usize = (0..50_000_u32)
            .filter(|i| queues[*i as usize % 50].push((i % 7) as u16, packet(1200)))
            .count();
        assert!(held * 1200 <= 1 << 20);
        queues[0].clear();
        assert!(queues[1].push(100, packet(1200)), "what is given back can be used");
        for queue in &queues {
            while !queue.take().is_empty() {}
        }
        assert_eq!(budget.left.load(Ordering::Relaxed), 1 << 20);
    }

    #[tokio::test]
    async fn a_sender_waits_for_room_and_a_line_for_packets() {
        let queue = Arc::new(Queue::new(Budget::new(16 << 20)));
        let line = Arc::clone(&queue);
        let drained = tokio::spawn(async move {
            let mut taken = 0;
            while taken < 100 {
                line.changed().await;
                loop {
                    let packets = line.take();
                    if packets.is_empty() {
                        break;
                    }
                    taken += packets.len();
                    tokio::task::yield_now().await;
                }
            }
        });
        for _ in 0..100 {
            std::future::poll_fn(|context| queue.poll_room(4096, context)).await;
            assert!(queue.push(1, packet(1200)));
        }
        tokio::time::timeout(std::time::Duration::from_secs(30), drained).await.unwrap().unwrap();
    }
}
