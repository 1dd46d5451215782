//! Prefetching: working on one item while the next is being prepared.

use std::ops::ControlFlow;
use std::sync::mpsc::sync_channel;
use std::thread;

/// Calls `work`, in order, with the result of `make` for each of `items`, until it breaks.
///
/// Another thread prepares the next result meanwhile and then waits, so there are at most two at a time.
///
/// # Errors
/// The first error of `make` or `work`; nothing is processed after it.
pub fn prefetch<I, M, B, E>(
    items: impl IntoIterator<Item = I, IntoIter: Send>,
    make: impl Fn(I) -> Result<M, E> + Send,
    mut work: impl FnMut(M) -> Result<ControlFlow<B>, E>,
) -> Result<Option<B>, E>
where
    M: Send,
    E: Send,
{
    let mut items = items.into_iter();
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(0);
        scope.spawn(move || {
            // The other end disconnects when it has had enough.
            items.try_for_each(|item| sender.send(make(item)))
        });
        for made in receiver {
            if let ControlFlow::Break(value) = work(made?)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn makes_one_ahead_in_order() {
        let made = AtomicUsize::new(0);
        let mut worked = Vec::new();
        let make = |i: usize| {
            made.fetch_add(1, Ordering::SeqCst);
            Ok::<_, String>(i)
        };
        let work = |i: usize| {
            std::thread::sleep(Duration::from_millis(5));
            worked.push((i, made.load(Ordering::SeqCst)));
            Ok(ControlFlow::<()>::Continue(()))
        };
        assert_eq!(prefetch(0..10, make, work), Ok(None));
        assert!(worked.iter().zip(0..).all(|(&(found, _), i)| found == i));
        assert!(worked.iter().all(|&(i, made)| made <= i + 2), "{worked:?}");
        assert!(worked[..9].iter().any(|&(i, made)| made == i + 2), "{worked:?}");
    }

    #[test]
    fn stops_at_a_break_and_at_the_first_error() {
        let run = |broken: usize, failing: usize| {
            let make = |i| if i == broken { Err(format!("{i} cannot be made")) } else { Ok(i) };
            let work = |i| match i {
                3 => Ok(ControlFlow::Break("enough")),
                _ if i == failing => Err("failed".to_string()),
                _ => Ok(ControlFlow::Continue(())),
            };
            prefetch(0.., make, work)
        };
        assert_eq!(run(9, 9), Ok(Some("enough")));
        assert_eq!(run(2, 9), Err("2 cannot be made".into()));
        assert_eq!(run(9, 1), Err("failed".into()));
    }
}
