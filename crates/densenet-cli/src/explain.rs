//! `densenet explain`.

mod class;
mod colour;
mod explainer;
mod map;
mod methods;
mod page;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use densenet::data::{Picture, Unreadable};
use densenet::files::write_whole;

use self::explainer::Explainer;
use self::methods::Methods;
use crate::max_pixels::MaxPixels;
use crate::output::{self, counted};
use crate::preparing::Preparing;
use crate::reading::Reading;
use crate::threads::Threads;

/// The page in the folder of --out.
const PAGE: &str = "index.html";

/// Shows what in a picture speaks for a class
///
/// Writes to the folder of --out a page, index.html, with the maps of each --method side by side over the pictures, and
/// each map as .npy. A class activation map is exact: its mean and the class's bias add up to the logit.
#[derive(Args)]
#[command(after_help = "Example: densenet explain --weights cifar10 ship.png --out why\n\
    or:      densenet explain --weights cifar10 pets/*.png --class cat --against dog --occlusion 8 --out why\n\
    or:      densenet explain --weights cifar10 ship.png --method grad-cam,integrated-gradients --block 2 --out why")]
pub struct Explain {
    /// A weight file (safetensors, or a PyTorch checkpoint), or the name of a built-in model
    #[arg(long, value_name = "W")]
    weights: PathBuf,
    /// Picture files
    #[arg(required = true, value_name = "PICTURE")]
    pictures: Vec<PathBuf>,
    /// The folder that the page and the maps are written to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The class to explain [default: the most likely one of each picture]
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// Explain what speaks for the class rather than for this one
    #[arg(long, value_name = "NAME", requires = "class")]
    against: Option<String>,
    #[command(flatten)]
    methods: Methods,
    #[command(flatten)]
    max_pixels: MaxPixels,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    preparing: Preparing,
}

impl Explain {
    pub fn run(self) -> Result<ExitCode> {
        self.threads.start()?;
        let model = self.reading.load(&self.weights, &self.preparing)?;
        let explainer = Explainer::new(&model, [self.class.as_deref(), self.against.as_deref()], &self.methods)?;
        let (mut explained, mut unreadable, mut turned) = (Vec::new(), 0, 0);
        for path in &self.pictures {
            let input = path.display().to_string();
            let prepared = Picture::open_within(path, self.max_pixels.get()).and_then(|picture| {
                turned += usize::from(picture.orientation() != 1);
                explainer.preprocessing().batch(&[picture])
            });
            match prepared {
                Ok(image) => explained.push(explainer.explain(input, image.view(), &self.out)?),
                Err(error) => {
                    output::complain("error", &anyhow::anyhow!("{}", Unreadable::new(input, &error)));
                    unreadable += 1;
                }
            }
        }
        output::note_turned(turned, explainer.preprocessing());
        output::count_unreadable(unreadable, self.pictures.len());
        if explained.is_empty() {
            bail!("nothing to explain: no picture could be read");
        }
        let path = self.out.join(PAGE);
        let page = page::explanations(&self.weights.display().to_string(), &explained)?;
        write_whole(&path, |file| file.write_all(page.as_bytes()))?;
        output::note(format_args!("wrote {}: {}", path.display(), counted(explained.len(), "picture")));
        Ok(if unreadable == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
