//! How training pictures are changed at random, as options of the command line.

use clap::Args;
use densenet::data::{Augment, Augmentation, ColorJitter, DataSet, RandAugment};
use serde::Serialize;

use crate::word::word;

/// [`Augmentation`] as options; serialised, it holds only the options that were given.
#[derive(Args, Serialize)]
#[command(next_help_heading = "Augmentation")]
pub struct Augmenting {
    /// none, flip, crop-flip (usual for CIFAR) or resized-crop (usual for photographs) [default: what is usual for the
    /// data set]
    #[arg(long = "augment", value_parser = word::<Augment>, value_name = "WORD")]
    pub base: Option<Augment>,
    /// Black pixels that --augment crop-flip adds around a picture before it crops [default: 4]
    #[arg(long, value_name = "PIXELS")]
    crop_padding: Option<usize>,
    /// Smallest share of a picture's area that --augment resized-crop keeps [default: 0.08]
    #[arg(long, value_name = "X")]
    crop_scale: Option<f64>,
    /// Jitter brightness, contrast and saturation by up to these shares, and hue by up to this part of a turn, e.g.
    /// 0.4,0.4,0.4,0.1; a single number sets the first three [default: 0]
    #[arg(long, value_name = "X|B,C,S,H", value_parser = color_jitter)]
    color_jitter: Option<ColorJitter>,
    /// RandAugment: N operations of magnitude M, from 0 to 30, e.g. 2,9; without M the magnitude is 9 [default: 0]
    #[arg(long, value_name = "N|N,M", value_parser = rand_augment)]
    rand_augment: Option<RandAugment>,
    /// Probability that a rectangle of a picture is erased [default: 0]
    #[arg(long, value_name = "P")]
    random_erasing: Option<f64>,
    /// Mixup: mix each picture with another of its batch, with shares drawn from Beta(ALPHA, ALPHA) [default: 0]
    #[arg(long, value_name = "ALPHA")]
    mixup: Option<f64>,
    /// CutMix: paste a rectangle of another picture into each; with --mixup, a coin toss picks one of the two for each
    /// batch [default: 0]
    #[arg(long, value_name = "ALPHA")]
    cutmix: Option<f64>,
}

impl Augmenting {
    /// The augmentation `base`, overridden by the command line.
    pub fn over(&self, base: Augmentation) -> Augmentation {
        Augmentation {
            base: self.base.unwrap_or(base.base),
            crop_padding: self.crop_padding.unwrap_or(base.crop_padding),
            crop_scale: self.crop_scale.unwrap_or(base.crop_scale),
            color_jitter: self.color_jitter.unwrap_or(base.color_jitter),
            rand_augment: self.rand_augment.unwrap_or(base.rand_augment),
            random_erasing: self.random_erasing.unwrap_or(base.random_erasing),
            mixup: self.mixup.unwrap_or(base.mixup),
            cutmix: self.cutmix.unwrap_or(base.cutmix),
        }
    }
}

/// How training pictures of this kind are usually cropped and mirrored.
pub fn usual(data: &DataSet) -> Augment {
    match (data.train.path(0), data.preprocessing.channels()) {
        (Some(_), _) => Augment::ResizedCrop,
        (None, 3) => Augment::CropFlip,
        (None, _) => Augment::None,
    }
}

fn color_jitter(text: &str) -> Result<ColorJitter, String> {
    match numbers::<f64>(text)?[..] {
        [all] => Ok(ColorJitter { brightness: all, contrast: all, saturation: all, hue: 0.0 }),
        [brightness, contrast, saturation, hue] => Ok(ColorJitter { brightness, contrast, saturation, hue }),
        _ => Err("expected one number or four, such as 0.4,0.4,0.4,0.1".into()),
    }
}

fn rand_augment(text: &str) -> Result<RandAugment, String> {
    match numbers::<usize>(text)?[..] {
        [ops] => Ok(RandAugment { ops, ..RandAugment::default() }),
        [ops, magnitude] => Ok(RandAugment { ops, magnitude }),
        _ => Err("expected one whole number or two, such as 2,9".into()),
    }
}

fn numbers<T: std::str::FromStr<Err: ToString>>(text: &str) -> Result<Vec<T>, String> {
    text.split(',').map(|part| part.trim().parse().map_err(|error: T::Err| error.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_may_be_short() {
        let jitter = |brightness, hue| ColorJitter { brightness, contrast: 0.3, saturation: 0.3, hue };
        assert_eq!(color_jitter("0.3"), Ok(jitter(0.3, 0.0)));
        assert_eq!(color_jitter("0.4, 0.3,0.3,0.1"), Ok(jitter(0.4, 0.1)));
        assert!(color_jitter("0.4,0.3").unwrap_err().contains("one number or four"));
        assert!(color_jitter("much").unwrap_err().contains("invalid float"));
        assert_eq!(rand_augment("3"), Ok(RandAugment { ops: 3, magnitude: 9 }));
        assert_eq!(rand_augment("2,15"), Ok(RandAugment { ops: 2, magnitude: 15 }));
        assert!(rand_augment("2,9,1").unwrap_err().contains("one whole number or two"));
    }
}
