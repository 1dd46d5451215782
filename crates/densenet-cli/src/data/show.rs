//! `densenet data show`.

use std::io::Cursor;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use densenet::data::{Augmentation, Picture, Preprocessing, Split};
use densenet::files::write_whole;
use densenet::training::seed_of;
use image::{ImageFormat, RgbImage};
use ndarray::{Array2, Array4, ArrayView1};

use super::sheet::{self, Cell, Column};
use crate::augmenting::{Augmenting, usual};
use crate::data_options::DataOptions;
use crate::decoding::Decoding;
use crate::output::{self, Misuse, counted};
use crate::threads::Threads;

/// Columns beside the pictures as they are.
const EPOCHS: u64 = 5;

/// Draws what a network sees in training: each picture as it is, and as it is augmented in five epochs
#[derive(Args)]
#[command(after_help = "Example: densenet data show photos --rand-augment 2,9 --mixup 0.2 --out sheet.png")]
pub struct Show {
    /// fashion-mnist, mnist, cifar10, cifar100, or a table of pictures (.csv), or a folder of classes, IDX files or CIFAR binaries
    #[arg(value_name = "DATA")]
    data: String,
    /// The first epoch that is shown, from 1
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    epoch: u64,
    /// The seed of the training run
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Number of pictures, spread over the whole training part
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=100))]
    count: u64,
    /// Height and width that pictures are resized to [default: the data set's own]
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// The PNG file to write
    #[arg(long, value_name = "FILE", default_value = "sheet.png")]
    out: PathBuf,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    augmenting: Augmenting,
    #[command(flatten)]
    decoding: Decoding,
    #[command(flatten)]
    data_options: DataOptions,
}

impl Show {
    pub fn run(self) -> Result<ExitCode> {
        self.threads.start()?;
        if !self.out.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png")) {
            return Err(Misuse(format!("--out {}: the sheet is a PNG; name it FILE.png", self.out.display())).into());
        }
        let data = self.data_options.open(&self.data)?;
        let augmentation = self.augmenting.over(usual(&data).into());
        let preprocessing = self.size.map_or(data.preprocessing.clone(), |size| data.preprocessing.with_size(size));
        let preprocessing = self.decoding.overrule(preprocessing);
        augmentation.validate().map_err(|error| Misuse(error.to_string()))?;
        preprocessing.validate().map_err(|error| Misuse(error.to_string()))?;
        let shown = Shown::new(&data.train, self.count as usize)?;
        let mut columns = vec![shown.as_they_are()?];
        for epoch in self.epoch..self.epoch.saturating_add(EPOCHS) {
            columns.push(shown.augmented(&preprocessing, &augmentation, self.seed, epoch)?);
        }
        let mut png = Cursor::new(Vec::new());
        sheet::draw(&columns, preprocessing.size as u32).write_to(&mut png, ImageFormat::Png)?;
        write_whole(&self.out, |file| std::io::Write::write_all(file, png.get_ref()))?;
        output::note(format_args!("wrote {}: {}", self.out.display(), counted(shown.indices.len(), "picture")));
        Ok(ExitCode::SUCCESS)
    }
}

/// Pictures that are shown.
struct Shown<'a> {
    split: &'a Split,
    indices: Vec<usize>,
    /// `(N, classes)`, NaN where that is not known.
    targets: Array2<f32>,
}

impl<'a> Shown<'a> {
    /// That many pictures spread over `split`, or all if it has fewer; those that cannot be read are reported and left
    /// out.
    ///
    /// # Errors
    /// When none of them can be read.
    fn new(split: &'a Split, count: usize) -> Result<Self> {
        let count = count.min(split.len());
        let can_be_read =
            |index: &usize| split.picture(*index).map_err(|error| output::complain("warning", &error.into())).is_ok();
        let indices: Vec<usize> = (0..count).map(|row| row * split.len() / count).filter(can_be_read).collect();
        ensure!(!indices.is_empty(), "none of {count} pictures can be read; densenet data check lists them");
        let names = split.classes().len();
        let targets = Array2::from_shape_fn((indices.len(), names), |(row, name)| {
            split.targets().shows(indices[row], name, names).map_or(f32::NAN, |shows| f32::from(u8::from(shows)))
        });
        Ok(Self { split, indices, targets })
    }

    fn as_they_are(&self) -> Result<Column> {
        let cell = |(&index, targets)| {
            let picture = self.split.picture(index)?;
            anyhow::Ok(Cell { picture: rgb(&picture), caption: caption(targets, self.split.classes()) })
        };
        let cells = self.indices.iter().zip(self.targets.rows()).map(cell).collect::<Result<_>>()?;
        Ok(Column { title: "as it is".into(), cells })
    }

    /// The pictures as a batch of the `epoch`, from 1, of a run with that `seed`.
    fn augmented(
        &self,
        preprocessing: &Preprocessing,
        augmentation: &Augmentation,
        seed: u64,
        epoch: u64,
    ) -> Result<Column> {
        let (channels, size) = (preprocessing.channels(), preprocessing.size);
        let mut images = Array4::zeros((self.indices.len(), channels, size, size));
        let mut targets = self.targets.clone();
        let out = images.as_slice_mut().context("a new array is contiguous")?;
        self.split.fill(&self.indices, preprocessing, *augmentation, seed_of(seed, "augment", epoch - 1), out)?;
        augmentation.mix(&mut images, &mut targets, seed_of(seed, "mix", epoch - 1));
        let cell = |(image, targets): (&[f32], _)| Cell {
            picture: rgb(&preprocessing.picture_of(image)),
            caption: caption(targets, self.split.classes()),
        };
        let images = images.as_slice().context("a new array is contiguous")?;
        let cells = images.chunks_exact(preprocessing.elements()).zip(targets.rows()).map(cell).collect();
        Ok(Column { title: format!("epoch {epoch}"), cells })
    }
}

/// The names of what is there, the largest share first: `coat`, or `62 % coat, 38 % dress`.
fn caption(targets: ArrayView1<'_, f32>, names: &[String]) -> String {
    let percent = |target: &f32| (100.0 * target).round();
    let shares = targets.iter().map(percent).zip(names);
    let mut there: Vec<(f32, &String)> = shares.filter(|(percent, _)| *percent >= 1.0).collect();
    there.sort_by(|one, other| other.0.total_cmp(&one.0));
    let words = there.iter().map(|(percent, name)| match percent {
        100.0 => name.to_string(),
        percent => format!("{percent} % {name}"),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn rgb(picture: &Picture<'_>) -> RgbImage {
    let pixels = picture.pixels();
    let pixels = match picture.channels() {
        1 => pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
        _ => pixels.to_vec(),
    };
    let (width, height) = (picture.width() as u32, picture.height() as u32);
    RgbImage::from_raw(width, height, pixels).expect("as many pixels as the extents say")
}

#[cfg(test)]
mod tests {
    use ndarray::aview1;

    use super::*;

    #[test]
    fn captions_say_what_is_there() {
        let names = ["coat", "dress", "bag"].map(String::from);
        let said = |targets: &[f32]| caption(aview1(targets), &names);
        assert_eq!(said(&[0.0, 1.0, 0.0]), "dress");
        assert_eq!(said(&[0.375, 0.625, f32::NAN]), "63 % dress, 38 % coat");
        assert_eq!(said(&[0.999, 0.001, 0.0]), "coat");
        assert_eq!(said(&[0.0, 0.0, 0.0]), "");
    }
}
