//! What the command line says about pictures and predictions, overriding what a model's card says.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use densenet::data::{
    self, ChannelOrder, Grey16, Interpolation, Orientation, PREPROCESSINGS, Preprocessing, Resize, Transparency,
};
use densenet::output::Output;
use densenet::{Card, Config};
use serde_json::Value;

use crate::decoding::Decoding;
use crate::model::class_names;
use crate::output::Misuse;
use crate::text;
use crate::word::{word, word_of};

/// How a picture becomes the network's input, and what its outputs are called and mean.
#[derive(Args)]
#[command(next_help_heading = "Pictures and predictions [default: as the file's card says]")]
pub struct Preparing {
    /// A JSON file with a card or some of its fields, which override the file's; info --json prints one
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
    /// Prepare pictures as for imagenet, cifar10, cifar100, fashion-mnist, mnist or xray
    #[arg(long, value_parser = PREPROCESSINGS, hide_possible_values = true, value_name = "NAME")]
    preset: Option<String>,
    /// Mean of each channel, on the scale of --value-range
    #[arg(long, value_name = "R,G,B", value_delimiter = ',', requires = "std", allow_negative_numbers = true)]
    mean: Option<Vec<f32>>,
    /// Standard deviation of each channel, on the scale of --value-range
    #[arg(long, value_name = "R,G,B", value_delimiter = ',', requires = "mean")]
    std: Option<Vec<f32>>,
    /// Height and width of the input [default: from the card or the preset, else the network's usual size]
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// Which sides to resize: short keeps the picture's proportions, squash does not
    #[arg(long, value_name = "short|squash", value_parser = word::<Resize>)]
    resize: Option<Resize>,
    /// The input's share of the resized side, above 0 and at most 1; the rest is cropped
    #[arg(long, value_name = "F")]
    crop_fraction: Option<f64>,
    /// The resizing filter, antialiased: bilinear or bicubic
    #[arg(long, value_name = "FILTER", value_parser = word::<Interpolation>)]
    interpolation: Option<Interpolation>,
    /// Order of colour channels: rgb, or bgr as in OpenCV and Caffe
    #[arg(long, value_name = "rgb|bgr", value_parser = word::<ChannelOrder>)]
    channel_order: Option<ChannelOrder>,
    /// What black and white become before the mean is subtracted: 0,1 or 0,255 or -1024,1024
    #[arg(long, value_name = "LOW,HIGH", value_parser = value_range, allow_hyphen_values = true)]
    value_range: Option<[f32; 2]>,
    /// What the logits mean: softmax for mutually exclusive classes, or sigmoid for independent labels
    #[arg(long, value_name = "softmax|sigmoid", value_parser = output)]
    output: Option<Output>,
    /// A text file of class names, one per line [default: from the card, else from the preset's data set]
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    #[command(flatten)]
    decoding: Decoding,
}

impl Preparing {
    /// The `card`, overridden by what the command line says about pictures, classes and outputs.
    pub fn complete(&self, card: Card) -> Result<Card> {
        let card = match &self.card {
            Some(path) => merged(&card, path)?,
            None => card,
        };
        let preprocessing = self.preprocessing(&card)?;
        let labels = match &self.labels {
            Some(path) => class_names(path, card.config.num_classes)?,
            None if card.labels.is_empty() => self.classes(card.config.num_classes).unwrap_or_default(),
            None => card.labels,
        };
        let output = match (&self.output, card.output) {
            // The card may hold a temperature and thresholds.
            (Some(given), Some(held)) if given.is_independent() == held.is_independent() => Some(held),
            (Some(output), _) => Some(output.clone()),
            (None, output) => output,
        };
        Ok(Card { preprocessing, labels, output, ..card })
    }

    /// How pictures are prepared for the network of `card`: by the command line, else by the card.
    fn preprocessing(&self, card: &Card) -> Result<Option<Preprocessing>> {
        let config = &card.config;
        let named = self.preset.as_deref().map(Preprocessing::named).transpose()?;
        let named = named.map(|named| named.with_channels(config.in_channels));
        let base = named.or_else(|| card.preprocessing.clone());
        let base = match (base, &self.mean, &self.std) {
            (base, Some(mean), Some(std)) => {
                let base = base.unwrap_or_else(|| usual_framing(config));
                Preprocessing { mean: mean.clone(), std: std.clone(), ..base }
            }
            (Some(base), ..) => base,
            (None, ..) => return Ok(None),
        };
        let preprocessing = self.overrule(base);
        preprocessing.validate().map_err(|error| Misuse(error.to_string()))?;
        if preprocessing.channels() != config.in_channels {
            let (given, wanted) = (preprocessing.channels(), config.in_channels);
            return Err(Misuse(format!("mean and deviation have {given} channels; the network takes {wanted}")).into());
        }
        Ok(Some(preprocessing))
    }

    /// The preprocessing `base` with what single options say.
    fn overrule(&self, base: Preprocessing) -> Preprocessing {
        let base = self.size.map_or(base.clone(), |size| base.with_size(size));
        self.decoding.overrule(Preprocessing {
            resize: self.resize.unwrap_or(base.resize),
            crop_fraction: self.crop_fraction.unwrap_or(base.crop_fraction),
            interpolation: self.interpolation.unwrap_or(base.interpolation),
            channel_order: self.channel_order.unwrap_or(base.channel_order),
            value_range: self.value_range.unwrap_or(base.value_range),
            ..base
        })
    }

    /// Names of the classes of the preset's data set, if there are that many.
    fn classes(&self, count: usize) -> Option<Vec<String>> {
        data::classes(self.preset.as_deref()?).filter(|classes| classes.len() == count)
    }
}

fn value_range(text: &str) -> Result<[f32; 2], String> {
    let ends: Vec<f32> =
        text.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| "expected two numbers")?;
    ends.try_into().map_err(|_| "expected two numbers, such as 0,255".into())
}

fn output(text: &str) -> Result<Output, String> {
    match text {
        "softmax" => Ok(Output::softmax()),
        "sigmoid" => Ok(Output::sigmoid()),
        _ => Err("it must be softmax or sigmoid".into()),
    }
}

/// The `card` with the fields that the JSON file `path` has.
fn merged(card: &Card, path: &Path) -> Result<Card> {
    let text = text::read(path).with_context(|| path.display().to_string())?;
    let given: Value = serde_json::from_str(&text).with_context(|| format!("{}: not JSON", path.display()))?;
    // What info --json prints holds it as one of its fields.
    let given = given.get("card").unwrap_or(&given);
    let card = card.with_fields(given).map_err(|reason| anyhow!("{}: {reason}", path.display()))?;
    card.validate().with_context(|| path.display().to_string())?;
    Ok(card)
}

/// Pictures prepared as is usual for a network of `config`, with the mean and deviation of a data set that is prepared
/// as `data` says.
pub fn usual(config: &Config, data: &Preprocessing) -> Preprocessing {
    let Preprocessing { mean, std, .. } = data.with_channels(config.in_channels);
    Preprocessing { mean, std, ..usual_framing(config) }
}

/// Size and crop as is usual for networks of that input, with no normalisation yet.
fn usual_framing(config: &Config) -> Preprocessing {
    let plain = Preprocessing::new(config.input_size, [], []);
    if config.input_size == 224 { plain.with_short_side(256) } else { plain }
}

/// The preprocessing in words.
pub fn in_words(preprocessing: &Preprocessing) -> String {
    let Preprocessing { size, resize, interpolation, channel_order, value_range: [low, high], mean, std, .. } =
        preprocessing;
    let list = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
    let side = preprocessing.resized_side();
    let mut words = match (resize, side == *size) {
        (Resize::Short, _) => format!("the short side at {side}, a crop of {size}x{size}"),
        (Resize::Squash, true) => format!("a size of {size}x{size}"),
        (Resize::Squash, false) => format!("a size of {side}x{side}, a crop of {size}x{size}"),
    };
    if *interpolation == Interpolation::Bicubic {
        words += ", bicubic";
    }
    if *channel_order == ChannelOrder::Bgr {
        words += ", BGR";
    }
    if [*low, *high] != [0.0, 1.0] {
        words += &format!(", values from {low} to {high}");
    }
    if preprocessing.orientation == Orientation::Apply {
        words += ", turned upright";
    }
    if preprocessing.transparency != Transparency::Drop {
        words += &format!(", laid on {}", word_of(&preprocessing.transparency));
    }
    if preprocessing.grey16 == Grey16::Clip {
        words += ", 16-bit grey clipped at 255";
    }
    words + &format!(", --mean {} --std {}", list(mean), list(std))
}
