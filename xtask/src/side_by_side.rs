//! Two pieces of work at a time, for what leaves most of a second processor idle: emulated devices, linkers. Called by the
//! matrix and by tests' set-up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// At once. Builds and machines were measured with two on two processors.
const WORKERS: usize = 2;

/// Does `work` for each of `all`. The results in the order of `all`, or the first error in that order; the rest is done
/// all the same.
pub(crate) fn side_by_side<T: Sync, R: Send>(
    all: &[T],
    work: impl Fn(&T) -> anyhow::Result<R> + Sync,
) -> anyhow::Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<anyhow::Result<R>>>> =
        all.iter().map(|_| Mutex::default()).collect();
    let take = || {
        let index = next.fetch_add(1, Ordering::Relaxed);
        all.get(index).zip(results.get(index))
    };
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some((one, result)) = take() {
                    *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(work(one));
                }
            });
        }
    });
    results
        .into_iter()
        .filter_map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::ensure;
    use std::time::Duration;

    #[test]
    fn what_ran_side_by_side_comes_in_its_order_and_one_that_failed_fails_all() {
        let numbers: Vec<u64> = (0..9).collect();
        let doubled = side_by_side(&numbers, |number| {
            std::thread::sleep(Duration::from_millis(number % 3));
            Ok(number * 2)
        });
        assert_eq!(doubled.unwrap(), [0, 2, 4, 6, 8, 10, 12, 14, 16]);
        let failed = side_by_side(&numbers, |number| {
            ensure!(*number != 4, "no {number}");
            Ok(())
        });
        assert_eq!(failed.unwrap_err().to_string(), "no 4");
    }
}
