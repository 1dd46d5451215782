//! Whether a run fits into the machine's memory: the system would kill one that does not, without a message.

use anyhow::{Result, bail};
use densenet::checkpoint::Card;
use densenet::network::Memory;
use densenet::training::{Freeze, Run, Settings};

use crate::machine;
use crate::output::counted;

/// Whether a run is new or resumed, which decides what may still be changed so that it fits.
#[derive(Clone, Copy, PartialEq)]
pub enum Stage {
    New,
    Resumed,
}

/// Refuses a run on so many training `pictures` that needs more memory than the machine has.
///
/// # Errors
/// A run that does, with settings that would fit.
pub fn check(stage: Stage, card: &Card, settings: &Settings, pictures: usize) -> Result<()> {
    machine::memory().map_or(Ok(()), |machine| check_within(machine, stage, card, settings, pictures))
}

/// The same, where the machine has that many bytes.
fn check_within(machine: usize, stage: Stage, card: &Card, settings: &Settings, pictures: usize) -> Result<()> {
    let needed = Run::least_memory(card, settings, pictures)?;
    if needed <= machine {
        return Ok(());
    }
    let (batch, size) = (settings.batch.min(pictures), card.preprocessing()?.size);
    let right = match thriftier(machine, stage, card, settings, pictures)? {
        Some((option, needed)) => format!("{option} needs {}", gib(needed)),
        None if stage == Stage::Resumed => "resume the run on a larger machine".into(),
        None => "use smaller pictures (--size) or a smaller --batch".into(),
    };
    let step = format!("a step on {} of {size}x{size}", counted(batch, "picture"));
    bail!("{step} needs {} of memory, and this machine has {}; {right}", gib(needed), gib(machine))
}

/// The first option with which a run fits, and the memory that it then needs.
fn thriftier(
    machine: usize,
    stage: Stage,
    card: &Card,
    settings: &Settings,
    pictures: usize,
) -> Result<Option<(String, usize)>> {
    let low = Settings { memory: Memory::Low, ..settings.clone() };
    let in_parts = |accumulate| Settings { accumulate, ..settings.clone() };
    // A micro-batch of one picture has no variance, a frozen body takes none, and a resumed run keeps its own.
    let in_one = settings.freeze == Freeze::Body || stage == Stage::Resumed;
    let most = if in_one { 0 } else { settings.batch.min(pictures) / 2 };
    let parts = (settings.accumulate + 1..=most).map(|parts| (format!("--accumulate {parts}"), in_parts(parts)));
    for (option, settings) in std::iter::once(("--memory low".to_string(), low)).chain(parts) {
        let needed = Run::least_memory(card, &settings, pictures)?;
        if needed <= machine {
            return Ok(Some((option, needed)));
        }
    }
    Ok(None)
}

fn gib(bytes: usize) -> String {
    format!("{:.1} GiB", bytes as f64 / (1_u64 << 30) as f64)
}

#[cfg(test)]
mod tests {
    use densenet::Config;
    use densenet::data::Preprocessing;

    use super::*;

    #[test]
    fn a_run_that_is_too_large_is_refused_with_what_would_fit() {
        let preprocessing = Preprocessing::named("imagenet").unwrap();
        let card = Card { preprocessing: Some(preprocessing), ..Card::of(Config::preset("densenet121").unwrap()) };
        let settings = Settings { batch: 32, ..Settings::default() };
        let told = |machine, stage, settings: &Settings| {
            check_within(machine, stage, &card, settings, 1000).unwrap_err().to_string()
        };
        let whole = Run::least_memory(&card, &settings, 1000).unwrap();
        check_within(whole, Stage::New, &card, &settings, 1000).unwrap();
        let low = "a step on 32 pictures of 224x224 needs 0.9 GiB of memory, and this machine has 0.9 GiB; --memory low needs 0.5 GiB";
        assert_eq!(told(whole - 1, Stage::New, &settings), low);
        assert_eq!(told(whole - 1, Stage::Resumed, &settings), low);
        let in_parts = "a step on 32 pictures of 224x224 needs 0.9 GiB of memory, and this machine has 0.3 GiB; --accumulate 5 needs 0.3 GiB";
        assert_eq!(told(whole / 3, Stage::New, &settings), in_parts);
        assert!(told(whole / 3, Stage::Resumed, &settings).ends_with("; resume the run on a larger machine"));
        let frozen = Settings { freeze: Freeze::Body, ..settings.clone() };
        let smaller = "; use smaller pictures (--size) or a smaller --batch";
        assert!(told(whole / 3, Stage::New, &frozen).ends_with(smaller));
        assert!(told(1 << 20, Stage::New, &settings).ends_with(smaller));
    }
}
