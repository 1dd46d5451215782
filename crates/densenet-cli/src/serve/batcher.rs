//! Requests that arrive together go through the network together.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ndarray::{Array2, Array4, ArrayView4, Axis, Slice, concatenate, s};
use tokio::sync::oneshot;

use super::refusal::Refusal;

/// How requests are gathered.
#[derive(Clone, Copy, Debug)]
pub struct Gathering {
    /// Inputs that go through the network together.
    pub max_batch: usize,
    /// How long an input waits for others, where fewer wait.
    pub max_delay: Duration,
    /// Inputs that may wait.
    pub max_waiting: usize,
}

/// What a request asks.
pub struct Question {
    /// `(N, C, H, W)`, one input at least, which the network is known to take.
    pub images: Array4<f32>,
    /// Whether the map of each input's likeliest class is wanted.
    pub maps: bool,
    /// When nobody waits for the answer any more.
    pub deadline: Instant,
}

/// What the network makes of some inputs.
#[derive(Debug)]
pub struct Answer {
    /// `(N, classes)`.
    pub logits: Array2<f32>,
    /// `(H, W)` of each input, where they are wanted.
    pub maps: Vec<Array2<f32>>,
}

/// Gathers questions, and asks on a thread of its own, which ends once the batcher is gone and all is answered.
pub struct Batcher(Arc<Shared>);

struct Shared {
    gathering: Gathering,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    requests: VecDeque<Request>,
    closed: bool,
}

impl Queue {
    /// Inputs that wait.
    fn inputs(&self) -> usize {
        self.requests.iter().map(Request::left).sum()
    }
}

/// A question that waits, and the part of its answer that is there.
struct Request {
    question: Question,
    since: Instant,
    parts: Vec<Answer>,
    taken: usize,
    reply: oneshot::Sender<Result<Answer, Refusal>>,
}

impl Request {
    /// Inputs that no batch has taken.
    fn left(&self) -> usize {
        self.question.images.dim().0 - self.taken
    }

    /// Height and width.
    fn size(&self) -> (usize, usize) {
        let (_, _, height, width) = self.question.images.dim();
        (height, width)
    }

    /// Answers with what is there, or with why there is nothing; that nobody waits any more is no error.
    fn answer(self, outcome: Result<(), Refusal>) {
        let whole = outcome.map(|()| Answer {
            logits: joined(self.parts.iter().map(|part| &part.logits)),
            maps: self.parts.into_iter().flat_map(|part| part.maps).collect(),
        });
        let _ = self.reply.send(whole);
    }
}

/// Rows below each other.
fn joined<'a>(parts: impl Iterator<Item = &'a Array2<f32>>) -> Array2<f32> {
    let views: Vec<_> = parts.map(|part| part.view()).collect();
    concatenate(Axis(0), &views).expect("a logit a class each")
}

/// A request and which of its inputs are in the batch.
type Piece = (Request, Range<usize>);

impl Batcher {
    /// Asks `infer` about batches: inputs and whether their maps are wanted.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub fn start(
        gathering: Gathering,
        infer: impl Fn(ArrayView4<'_, f32>, bool) -> Result<Answer> + Send + 'static,
    ) -> Result<Self> {
        let shared = Arc::new(Shared { gathering, queue: Mutex::default(), changed: Condvar::new() });
        let worker = shared.clone();
        let work = move || {
            while let Some(batch) = worker.next_batch() {
                worker.run(batch, &infer);
            }
        };
        thread::Builder::new().name("inference".into()).spawn(work).context("starting the thread of inference")?;
        Ok(Self(shared))
    }

    /// Asks a question. Whoever drops what is returned waits no more, and nothing more is done for it.
    ///
    /// # Errors
    /// More inputs than may wait.
    pub fn ask(&self, question: Question) -> Result<oneshot::Receiver<Result<Answer, Refusal>>, Refusal> {
        let (inputs, most) = (question.images.dim().0, self.0.gathering.max_waiting);
        if inputs > most {
            return Err(Refusal::Invalid(format!("{inputs} inputs in a request; at most {most} are taken")));
        }
        let mut queue = self.0.queue();
        queue.requests.retain(|request| !request.reply.is_closed());
        if queue.inputs() + inputs > most {
            return Err(Refusal::Busy(format!("{} inputs wait already; at most {most} may", queue.inputs())));
        }
        let (reply, answer) = oneshot::channel();
        queue.requests.push_back(Request { question, since: Instant::now(), parts: Vec::new(), taken: 0, reply });
        self.0.changed.notify_all();
        Ok(answer)
    }
}

impl Drop for Batcher {
    fn drop(&mut self) {
        self.0.queue().closed = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no thread panics with it")
    }

    /// Waits for a batch; none once there will be no more.
    fn next_batch(&self) -> Option<Vec<Piece>> {
        let mut queue = self.queue();
        loop {
            drop_unwanted(&mut queue.requests);
            let Some(first) = queue.requests.front() else {
                if queue.closed {
                    return None;
                }
                queue = self.changed.wait(queue).expect("no thread panics with it");
                continue;
            };
            let patience = self.gathering.max_delay.saturating_sub(first.since.elapsed());
            if patience.is_zero() || queue.closed || queue.inputs() >= self.gathering.max_batch {
                return Some(take(&mut queue.requests, self.gathering.max_batch));
            }
            queue = self.changed.wait_timeout(queue, patience).expect("no thread panics with it").0;
        }
    }

    /// Asks about a batch. What is left of a request goes to the end of the queue, so that others come between.
    fn run(&self, batch: Vec<Piece>, infer: &impl Fn(ArrayView4<'_, f32>, bool) -> Result<Answer>) {
        let views: Vec<_> = batch
            .iter()
            .map(|(request, range)| request.question.images.slice_axis(Axis(0), Slice::from(range.clone())))
            .collect();
        let images = match &*views {
            [one] => one.to_owned(),
            several => concatenate(Axis(0), several).expect("inputs of one size"),
        };
        let maps = batch.iter().any(|(request, _)| request.question.maps);
        let outcome = infer(images.view(), maps);
        let mut first = 0;
        for (mut request, range) in batch {
            let rows = first..first + range.len();
            first = rows.end;
            match &outcome {
                Ok(answer) => request.parts.push(part(answer, rows, request.question.maps)),
                Err(error) => {
                    request.answer(Err(Refusal::Internal(format!("{error:#}"))));
                    continue;
                }
            }
            match request.left() {
                0 => request.answer(Ok(())),
                _ => self.queue().requests.push_back(request),
            }
        }
    }
}

/// The `rows` of an answer.
fn part(answer: &Answer, rows: Range<usize>, maps: bool) -> Answer {
    Answer {
        logits: answer.logits.slice(s![rows.clone(), ..]).to_owned(),
        maps: if maps { answer.maps[rows].to_vec() } else { Vec::new() },
    }
}

/// Drops requests that nobody waits for, before they cost anything.
fn drop_unwanted(requests: &mut VecDeque<Request>) {
    let now = Instant::now();
    for _ in 0..requests.len() {
        let request = requests.pop_front().expect("as many as there were");
        if request.question.deadline <= now {
            request.answer(Err(Refusal::Late));
        } else if !request.reply.is_closed() {
            requests.push_back(request);
        }
    }
}

/// Takes a batch of at most `room` inputs, all of the size of the first, from as many requests as there are.
fn take(requests: &mut VecDeque<Request>, room: usize) -> Vec<Piece> {
    let size = requests.front().map(Request::size);
    let (mut chosen, mut others) = (Vec::new(), VecDeque::new());
    for request in requests.drain(..) {
        if chosen.len() < room && Some(request.size()) == size {
            chosen.push(request);
        } else {
            others.push_back(request);
        }
    }
    *requests = others;
    let shares = shares(&chosen.iter().map(Request::left).collect::<Vec<_>>(), room);
    let piece = |(mut request, share): (Request, usize)| {
        let range = request.taken..request.taken + share;
        request.taken = range.end;
        (request, range)
    };
    chosen.into_iter().zip(shares).map(piece).collect()
}

/// How many inputs of each of some requests there is room for: as even as can be, so that a large one leaves room to small
/// ones.
fn shares(wanted: &[usize], mut room: usize) -> Vec<usize> {
    let mut shares = vec![0; wanted.len()];
    while room > 0 {
        let before = room;
        for (share, &wanted) in shares.iter_mut().zip(wanted) {
            if *share < wanted && room > 0 {
                *share += 1;
                room -= 1;
            }
        }
        if room == before {
            break;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const GATHERING: Gathering = Gathering { max_batch: 4, max_delay: Duration::ZERO, max_waiting: 20 };

    /// A batcher whose network says the first value of each input, tells the sizes of batches, and waits to be let go on.
    fn stepped(gathering: Gathering) -> (Batcher, mpsc::Receiver<usize>, mpsc::Sender<()>) {
        let ((tell, batches), (go, wait)) = (mpsc::channel(), mpsc::channel());
        let infer = move |images: ArrayView4<'_, f32>, _: bool| {
            tell.send(images.dim().0)?;
            wait.recv()?;
            let logits = Array2::from_shape_fn((images.dim().0, 1), |(place, _)| images[[place, 0, 0, 0]]);
            Ok(Answer { logits, maps: Vec::new() })
        };
        (Batcher::start(gathering, infer).unwrap(), batches, go)
    }

    fn question(first: usize, inputs: usize, side: usize) -> Question {
        let images = Array4::from_shape_fn((inputs, 1, side, side), |(place, ..)| (first + place) as f32);
        Question { images, maps: false, deadline: Instant::now() + Duration::from_secs(60) }
    }

    fn values(answer: oneshot::Receiver<Result<Answer, Refusal>>) -> Vec<f32> {
        answer.blocking_recv().unwrap().unwrap().logits.into_raw_vec_and_offset().0
    }

    #[test]
    fn what_waits_shares_a_batch_and_a_large_request_leaves_room() {
        let (batcher, batches, go) = stepped(GATHERING);
        let large = batcher.ask(question(0, 10, 1)).unwrap();
        assert_eq!(batches.recv().unwrap(), 4);
        let small = [100, 200].map(|first| batcher.ask(question(first, 1, 1)).unwrap());
        let of_another_size = batcher.ask(question(300, 2, 2)).unwrap();
        go.send(()).unwrap();
        // What is left of the large request has gone behind: the small ones are in the next batch, with two of its inputs.
        assert_eq!(batches.recv().unwrap(), 4);
        go.send(()).unwrap();
        assert_eq!(small.map(values), [[100.0], [200.0]]);
        let sizes: Vec<usize> = (0..2).map(|_| (batches.recv().unwrap(), go.send(()).unwrap()).0).collect();
        assert_eq!(sizes, [2, 4], "of the other size, which came before, and the rest");
        assert_eq!(values(of_another_size), [300.0, 301.0]);
        assert_eq!(values(large), (0..10).map(|value| value as f32).collect::<Vec<_>>());
    }

    #[test]
    fn shares_are_even() {
        assert_eq!(shares(&[10, 1, 3], 8), [4, 1, 3]);
        assert_eq!(shares(&[1, 1], 8), [1, 1]);
        assert_eq!(shares(&[5, 5, 5], 2), [1, 1, 0]);
    }

    #[test]
    fn no_more_waits_than_may_and_what_is_given_up_makes_room() {
        let (batcher, batches, go) = stepped(GATHERING);
        let first = batcher.ask(question(0, 1, 1)).unwrap();
        batches.recv().unwrap();
        let second = batcher.ask(question(1, 20, 1)).unwrap();
        assert!(
            matches!(batcher.ask(question(0, 1, 1)), Err(Refusal::Busy(reason)) if reason.contains("20 inputs wait"))
        );
        assert!(
            matches!(batcher.ask(question(0, 21, 1)), Err(Refusal::Invalid(reason)) if reason.contains("at most 20"))
        );
        drop(second);
        let third = batcher.ask(question(5, 1, 1)).unwrap();
        go.send(()).unwrap();
        go.send(()).unwrap();
        assert_eq!((values(first), values(third)), (vec![0.0], vec![5.0]));
        assert_eq!(batches.try_iter().collect::<Vec<_>>(), [1], "the twenty were never asked about");
    }

    #[test]
    fn what_is_late_is_dropped_before_it_costs_anything() {
        let (batcher, batches, go) = stepped(GATHERING);
        let first = batcher.ask(question(0, 1, 1)).unwrap();
        batches.recv().unwrap();
        let late = batcher.ask(Question { deadline: Instant::now(), ..question(1, 1, 1) }).unwrap();
        go.send(()).unwrap();
        assert_eq!(late.blocking_recv().unwrap().unwrap_err(), Refusal::Late);
        assert_eq!(values(first), [0.0]);
        drop(batcher);
        assert_eq!(batches.recv(), Err(mpsc::RecvError), "the thread ends without another batch");
    }

    #[test]
    fn inputs_wait_for_each_other_as_long_as_they_may() {
        let (batcher, batches, go) = stepped(Gathering { max_delay: Duration::from_secs(60), ..GATHERING });
        let first = batcher.ask(question(0, 1, 1)).unwrap();
        assert!(batches.recv_timeout(Duration::from_millis(50)).is_err(), "one input waits");
        let second = batcher.ask(question(1, 3, 1)).unwrap();
        assert_eq!(batches.recv().unwrap(), 4);
        go.send(()).unwrap();
        assert_eq!((values(first), values(second)), (vec![0.0], vec![1.0, 2.0, 3.0]));
        let last = batcher.ask(question(9, 1, 1)).unwrap();
        drop(batcher);
        assert_eq!(batches.recv().unwrap(), 1, "who is left is answered");
        go.send(()).unwrap();
        assert_eq!(values(last), [9.0]);
    }
}
