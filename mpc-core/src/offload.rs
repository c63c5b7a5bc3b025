//! Heavy computation beside the network.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::{panic, thread};

use mpc_net::AtWork;

use crate::error::Error;

/// Runs `work` on a thread of its own, so that the runtime that also moves the bytes goes on.
/// For work above some 200 microseconds, or work ahead that must not delay a round. While it goes on, a node can tell
/// others who wait for it that it is at work ([`AtWork`]).
///
/// # Errors
/// [`Error::Internal`] when the work panicked.
pub async fn offload<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let at_work = AtWork::begin();
    let work = move || {
        let _at_work = at_work;
        work()
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::internal("a computation on another thread failed"))
}

/// The cores that this process may use.
#[must_use]
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Does `work` with every item, side by side on the cores there are. Blocks until all is done, so
/// it belongs on a thread of its own ([`offload`]), and is for items that take a millisecond or more.
///
/// # Panics
/// When `work` does.
pub fn side_by_side<T: Send>(
    items: impl ExactSizeIterator<Item = T> + Send,
    work: impl Fn(T) + Sync,
) {
    let work = |item| {
        work(item);
        Ok::<_, Infallible>(())
    };
    try_side_by_side(items, usize::MAX, work).unwrap_or_else(|never| match never {});
}

/// The same for work that can fail, `most` items at a time at most.
///
/// # Errors
/// The first that `work` has; of other items there may be some that were not begun.
///
/// # Panics
/// When `work` does.
pub fn try_side_by_side<T: Send, E: Send>(
    items: impl ExactSizeIterator<Item = T> + Send,
    most: usize,
    work: impl Fn(T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let threads = cores().min(most).min(items.len());
    let items = Mutex::new(items);
    let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = || std::iter::from_fn(next).try_for_each(&work);
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mine = run();
        others.into_iter().fold(mine, |all, one| {
            all.and(one.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked)))
        })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_item_is_worked_on_once_and_the_first_error_is_told() {
        let seen: Vec<AtomicUsize> = (0..100).map(|_| AtomicUsize::new(0)).collect();
        for most in [0, 1, 2, 50] {
            try_side_by_side(seen.iter(), most, |one| {
                one.fetch_add(1, Ordering::Relaxed);
                Ok::<_, ()>(())
            })
            .expect("nothing fails");
        }
        assert!(seen.iter().all(|one| one.load(Ordering::Relaxed) == 4));
        let failed = try_side_by_side(0..100, 2, |at| if at == 7 { Err(at) } else { Ok(()) });
        assert_eq!(failed, Err(7));
        assert!(panic::catch_unwind(|| side_by_side(0..4, |_| panic!())).is_err());
    }
}
