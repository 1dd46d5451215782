//! Dynamic batching: requests that wait together go through the network together.
//!
//! Inputs are counted, not requests. A request with more inputs than fit is split: the rest goes to the end of the
//! queue, so that it cannot keep small requests waiting. Each input's logits are bitwise the same as if it were alone.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use ndarray::{Array2, Array4, ArrayView4, Axis, concatenate, s};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::error::Refusal;
use crate::output::with_causes;

/// How requests are batched.
#[derive(Clone, Copy, Debug)]
pub struct Batching {
    /// The most inputs that go through the network at a time.
    pub max_batch: usize,
    /// The longest time that the first request of a batch waits for others that are being prepared.
    pub max_delay: Duration,
    /// The most inputs that may wait.
    pub max_queue: usize,
}

/// The result for a request's inputs.
#[derive(Debug)]
pub struct Done {
    /// `(N, classes)`.
    pub logits: Array2<f32>,
    /// Time from the request's arrival to its first batch.
    pub queued: Duration,
    /// Time in the network, summed over its batches.
    pub computed: Duration,
}

/// A place in the queue for the inputs of a request, reserved before they are prepared: a request without a place is
/// refused at once, and costs nothing.
#[derive(Debug)]
pub struct Place(OwnedSemaphorePermit);

impl Place {
    /// Gives back what is more than `inputs` inputs need.
    fn shrink_to(&mut self, inputs: usize) {
        drop(self.0.split(self.0.num_permits().saturating_sub(inputs)));
    }
}

/// A request whose inputs wait.
struct Job {
    /// `(N, C, H, W)`.
    inputs: Array4<f32>,
    /// Logits of the inputs that are done, in order.
    done: Vec<Array2<f32>>,
    /// The number of inputs that are done.
    count: usize,
    arrived: Instant,
    begun: Option<Instant>,
    computed: Duration,
    deadline: Option<Instant>,
    place: Place,
    reply: oneshot::Sender<Result<Done, Refusal>>,
}

impl Job {
    fn left(&self) -> usize {
        self.inputs.dim().0 - self.count
    }

    /// Whether nobody waits for it any more: its client is gone, or its deadline has passed, in which case the client
    /// is told.
    fn is_over(&self, now: Instant) -> bool {
        self.reply.is_closed() || self.deadline.is_some_and(|deadline| deadline <= now)
    }
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Number of inputs in all waiting jobs.
    inputs: usize,
    /// Number of requests whose inputs are being prepared.
    expected: usize,
    ended: bool,
}

/// A request that has arrived and has its place, and whose inputs are being prepared: batches wait for it.
pub struct Expected {
    place: Place,
    announced: Announced,
}

/// Announces that a request is expected, until this is dropped.
struct Announced(Arc<(Mutex<Queue>, Condvar)>);

impl Drop for Announced {
    fn drop(&mut self) {
        lock(&self.0.0).expected -= 1;
        self.0.1.notify_one();
    }
}

/// The queue before a network. When it is dropped, it ends once everything that waits is done.
pub struct Batcher {
    shared: Arc<(Mutex<Queue>, Condvar)>,
    places: Arc<Semaphore>,
    most: usize,
}

impl Batcher {
    /// Calls `predict` with batches of inputs, and `after` with the number of inputs of each completed batch, on its
    /// own thread.
    pub fn start(
        batching: Batching,
        predict: impl Fn(ArrayView4<'_, f32>) -> Result<Array2<f32>> + Send + 'static,
        after: impl Fn(usize) + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new((Mutex::new(Queue::default()), Condvar::new()));
        let queue = shared.clone();
        thread::Builder::new().name("inference".into()).spawn(move || {
            while let Some(batch) = next(&queue, batching) {
                run(batch, &queue, &predict, &after);
            }
        })?;
        let most = batching.max_queue;
        Ok(Self { shared, places: Arc::new(Semaphore::new(most)), most })
    }

    /// Announces a request with `inputs` inputs, for which there must be room.
    ///
    /// # Errors
    /// A full queue.
    pub fn expect(&self, inputs: usize) -> Result<Expected, Refusal> {
        // A request that is larger than the queue takes all of it.
        let permits = u32::try_from(inputs.min(self.most)).expect("--max-queue is 32 bits");
        let permits = self.places.clone().try_acquire_many_owned(permits).map_err(|_| Refusal::busy())?;
        Ok(Expected { place: Place(permits), announced: self.announce() })
    }

    /// Waits for room for one input, ahead of any later requests.
    pub async fn place(&self) -> Place {
        Place(self.places.clone().acquire_owned().await.expect("it is never closed"))
    }

    fn announce(&self) -> Announced {
        lock(&self.shared.0).expected += 1;
        Announced(self.shared.clone())
    }

    /// Queues the `inputs` `(N, C, H, W)`, at least one, of a request that was `expected`, and waits for their logits.
    /// Dropping the future cancels the wait.
    ///
    /// # Errors
    /// A `deadline` that has passed, or a network that fails.
    pub async fn predict(
        &self,
        expected: Expected,
        inputs: Array4<f32>,
        deadline: Option<Instant>,
    ) -> Result<Done, Refusal> {
        let (reply, done) = oneshot::channel();
        let Expected { place, announced } = expected;
        {
            let mut queue = lock(&self.shared.0);
            queue.inputs += inputs.dim().0;
            let (arrived, computed) = (Instant::now(), Duration::ZERO);
            queue.jobs.push_back(Job {
                inputs,
                done: Vec::new(),
                count: 0,
                arrived,
                begun: None,
                computed,
                deadline,
                place,
                reply,
            });
        }
        // This notifies the inference thread.
        drop(announced);
        done.await.unwrap_or_else(|_| Err(Refusal::late()))
    }

    /// Inputs that wait.
    #[cfg(test)]
    fn waiting(&self) -> usize {
        lock(&self.shared.0).inputs
    }
}

impl Drop for Batcher {
    fn drop(&mut self) {
        lock(&self.shared.0).ended = true;
        self.shared.1.notify_one();
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().expect("no thread panics with the queue")
}

/// The jobs of the next batch, each with its number of inputs in it; waits for them. `None` once everything is done and
/// no more come.
fn next((queue, ready): &(Mutex<Queue>, Condvar), batching: Batching) -> Option<Vec<(Job, usize)>> {
    let mut queue = lock(queue);
    loop {
        let now = Instant::now();
        queue.drop_those_that_are_over(now);
        let Some(first) = queue.jobs.front() else {
            if queue.ended {
                return None;
            }
            queue = ready.wait(queue).expect("no thread panics with the queue");
            continue;
        };
        let wait = batching.max_delay.saturating_sub(now - first.arrived);
        if queue.inputs >= batching.max_batch || queue.expected == 0 || wait.is_zero() || queue.ended {
            return Some(queue.take(batching.max_batch));
        }
        queue = ready.wait_timeout(queue, wait).expect("no thread panics with the queue").0;
    }
}

impl Queue {
    fn drop_those_that_are_over(&mut self, now: Instant) {
        self.jobs.retain(|job| !job.is_over(now));
        self.inputs = self.jobs.iter().map(Job::left).sum();
    }

    /// The first jobs, up to `most` inputs.
    fn take(&mut self, most: usize) -> Vec<(Job, usize)> {
        let (mut room, mut batch) = (most, Vec::new());
        while let Some(mut job) = self.jobs.pop_front() {
            let part = job.left().min(room);
            job.place.shrink_to(job.left() - part);
            (room, self.inputs) = (room - part, self.inputs - part);
            batch.push((job, part));
            if room == 0 {
                break;
            }
        }
        batch
    }
}

/// Runs a batch, and replies to completed jobs; others go to the end of the queue.
fn run(
    mut batch: Vec<(Job, usize)>,
    (queue, _): &(Mutex<Queue>, Condvar),
    predict: impl Fn(ArrayView4<'_, f32>) -> Result<Array2<f32>>,
    after: impl Fn(usize),
) {
    let begun = Instant::now();
    let logits = {
        let parts: Vec<_> =
            batch.iter().map(|(job, part)| job.inputs.slice(s![job.count..job.count + part, .., .., ..])).collect();
        match &parts[..] {
            [one] => predict(*one),
            parts => predict(concatenate(Axis(0), parts).expect("inputs of one shape").view()),
        }
    };
    let computed = begun.elapsed();
    let logits = match logits {
        Ok(logits) => logits,
        Err(error) => {
            let refusal = Refusal::failed(with_causes(&error));
            // A client that is gone gets no reply.
            return batch.into_iter().for_each(|(job, _)| drop(job.reply.send(Err(refusal.clone()))));
        }
    };
    // Before the replies, so that a client with a reply finds its inputs counted.
    after(logits.len_of(Axis(0)));
    let mut first = 0;
    for (job, part) in &mut batch {
        job.done.push(logits.slice(s![first..first + *part, ..]).to_owned());
        (first, job.count, job.computed) = (first + *part, job.count + *part, job.computed + computed);
        job.begun.get_or_insert(begun);
    }
    for (job, _) in batch {
        if job.left() == 0 {
            finish(job);
        } else {
            let mut queue = lock(queue);
            queue.inputs += job.left();
            queue.jobs.push_back(job);
        }
    }
}

fn finish(job: Job) {
    let views: Vec<_> = job.done.iter().map(|logits| logits.view()).collect();
    let logits = concatenate(Axis(0), &views).expect("rows of one length");
    let queued = job.begun.map_or(Duration::ZERO, |begun| begun - job.arrived);
    // A client that is gone gets no reply.
    let _ = job.reply.send(Ok(Done { logits, queued, computed: job.computed }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// A network whose only logit is the input's first value, and which reports the number of inputs in each batch; it
    /// begins each batch on command.
    fn slow(batching: Batching) -> (Arc<Batcher>, mpsc::Sender<()>, mpsc::Receiver<usize>) {
        let ((go, wait), (tell, sizes)) = (mpsc::channel::<()>(), mpsc::channel());
        let predict = move |inputs: ArrayView4<'_, f32>| {
            wait.recv().unwrap();
            let first: Vec<f32> = inputs.outer_iter().map(|input| input[[0, 0, 0]]).collect();
            anyhow::ensure!(!first.contains(&-1.0), "no such input");
            Ok(Array2::from_shape_vec((first.len(), 1), first).unwrap())
        };
        let batcher = Batcher::start(batching, predict, move |inputs| tell.send(inputs).unwrap()).unwrap();
        (Arc::new(batcher), go, sizes)
    }

    /// Batches that wait for announced requests, however long that takes on a busy machine.
    fn batching(max_batch: usize, max_queue: usize) -> Batching {
        Batching { max_batch, max_delay: Duration::MAX, max_queue }
    }

    fn inputs(values: &[f32]) -> Array4<f32> {
        Array4::from_shape_vec((values.len(), 1, 1, 1), values.to_vec()).unwrap()
    }

    /// Sends a request, and waits until it is in the queue.
    fn send(
        runtime: &tokio::runtime::Runtime,
        batcher: &Arc<Batcher>,
        values: &[f32],
        deadline: Option<Instant>,
    ) -> tokio::task::JoinHandle<Result<Vec<f32>, Refusal>> {
        let (before, inputs, own) = (batcher.waiting(), inputs(values), batcher.clone());
        // Otherwise it might have left the queue before anybody looks.
        let _another = batcher.announce();
        let task = runtime.spawn(async move {
            let expected = own.expect(inputs.dim().0)?;
            own.predict(expected, inputs, deadline).await.map(|done| done.logits.into_raw_vec_and_offset().0)
        });
        while batcher.waiting() == before && !task.is_finished() {
            thread::sleep(Duration::from_micros(100));
        }
        task
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap()
    }

    /// Occupies the network with a request of one input, so that later requests wait.
    fn occupied(
        runtime: &tokio::runtime::Runtime,
        batcher: &Arc<Batcher>,
    ) -> tokio::task::JoinHandle<Result<Vec<f32>, Refusal>> {
        let first = send(runtime, batcher, &[0.0], None);
        while batcher.waiting() > 0 {
            thread::sleep(Duration::from_micros(100));
        }
        first
    }

    #[test]
    fn what_waits_together_shares_a_batch_and_a_large_request_lets_small_ones_pass() {
        let (runtime, (batcher, go, sizes)) = (runtime(), slow(batching(4, 100)));
        let first = occupied(&runtime, &batcher);
        let large = send(&runtime, &batcher, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], None);
        let small = send(&runtime, &batcher, &[7.0], None);
        for _ in 0..3 {
            go.send(()).unwrap();
        }
        assert_eq!(runtime.block_on(first).unwrap().unwrap(), [0.0]);
        assert_eq!(runtime.block_on(small).unwrap().unwrap(), [7.0]);
        assert_eq!(runtime.block_on(large).unwrap().unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        // Four inputs of the large request, then the small one and the rest of the large one.
        assert_eq!(sizes.try_iter().collect::<Vec<_>>(), [1, 4, 3]);
    }

    #[test]
    fn a_batch_waits_for_a_request_that_is_being_prepared_and_for_nothing_else() {
        let (runtime, (batcher, go, sizes)) = (runtime(), slow(batching(4, 100)));
        go.send(()).unwrap();
        let alone = runtime.spawn({
            let own = batcher.clone();
            async move { own.predict(own.expect(1).unwrap(), inputs(&[0.0]), None).await.map(|_| ()) }
        });
        assert!(runtime.block_on(alone).unwrap().is_ok());
        let expected = batcher.expect(1).unwrap();
        let first = send(&runtime, &batcher, &[1.0], None);
        go.send(()).unwrap();
        let second = runtime.block_on(batcher.predict(expected, inputs(&[2.0]), None));
        assert!(second.is_ok() && runtime.block_on(first).unwrap().is_ok());
        assert_eq!(sizes.try_iter().collect::<Vec<_>>(), [1, 2]);
        // A request that fails before it is queued is no longer waited for.
        let failing = batcher.expect(1).unwrap();
        let third = send(&runtime, &batcher, &[3.0], None);
        drop(failing);
        go.send(()).unwrap();
        assert!(runtime.block_on(third).unwrap().is_ok());
    }

    #[test]
    fn a_full_queue_refuses_and_what_is_over_is_dropped_before_it_costs_anything() {
        let (runtime, (batcher, go, sizes)) = (runtime(), slow(batching(4, 3)));
        let first = occupied(&runtime, &batcher);
        let kept = send(&runtime, &batcher, &[1.0], None);
        let late = send(&runtime, &batcher, &[2.0], Some(Instant::now()));
        let cancelled = send(&runtime, &batcher, &[3.0], None);
        let refused = send(&runtime, &batcher, &[4.0], None);
        assert_eq!(runtime.block_on(refused).unwrap().unwrap_err().status, 503);
        cancelled.abort();
        assert!(runtime.block_on(cancelled).unwrap_err().is_cancelled());
        for _ in 0..2 {
            go.send(()).unwrap();
        }
        assert_eq!(runtime.block_on(first).unwrap().unwrap(), [0.0]);
        assert_eq!(runtime.block_on(kept).unwrap().unwrap(), [1.0]);
        assert_eq!(runtime.block_on(late).unwrap().unwrap_err().status, 504);
        assert_eq!(sizes.try_iter().collect::<Vec<_>>(), [1, 1]);
    }

    #[test]
    fn a_failure_is_told_to_all_of_its_batch_and_the_next_one_is_served() {
        let (runtime, (batcher, go, _sizes)) = (runtime(), slow(batching(8, 100)));
        let first = occupied(&runtime, &batcher);
        let failing = send(&runtime, &batcher, &[-1.0], None);
        go.send(()).unwrap();
        go.send(()).unwrap();
        assert!(runtime.block_on(first).unwrap().is_ok());
        let refusal = runtime.block_on(failing).unwrap().unwrap_err();
        assert_eq!((refusal.status.as_u16(), refusal.reason.as_str()), (500, "no such input"));
        let next = send(&runtime, &batcher, &[9.0], None);
        go.send(()).unwrap();
        assert_eq!(runtime.block_on(next).unwrap().unwrap(), [9.0]);
    }
}
