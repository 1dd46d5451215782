//! Folders that timm's `load_model_config_from_hf` and `create_model("local-dir:...")` can read: weights and
//! `config.json`.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::checkpoint::Contents;
use crate::config::HeadPool;
use crate::data::{ChannelOrder, Interpolation, Preprocessing, Resize};
use crate::files::write_whole;
use crate::{Config, Error, Result, torchvision};

/// The timm architectures that a network can have.
const ARCHITECTURES: [&str; 4] = ["densenet121", "densenet169", "densenet201", "densenet161"];

/// Saves weights and their description into `folder`, which is created.
///
/// # Errors
/// A network or preprocessing that timm does not have, or a file that cannot be written.
pub fn save(contents: &Contents<'_>, folder: &Path) -> Result<()> {
    let described = config(contents).map_err(|reason| Error::Config(format!("timm has no such network: {reason}")))?;
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    torchvision::save(contents, &folder.join("model.safetensors"))?;
    let text = serde_json::to_string_pretty(&described).expect("a description is plain data") + "\n";
    write_whole(&folder.join("config.json"), |file| file.write_all(text.as_bytes()))
}

/// The name of the timm architecture for `config`.
fn architecture(config: &Config) -> Result<&'static str, String> {
    let Config { in_channels, num_classes, drop_rate, input_size, head_pool, .. } = *config;
    let same = |name: &&str| {
        Config::preset(name).is_ok_and(|preset| {
            *config == Config { in_channels, num_classes, drop_rate, input_size, head_pool, ..preset }
        })
    };
    ARCHITECTURES.into_iter().find(same).ok_or_else(|| format!("it has {}", ARCHITECTURES.join(", ")))
}

fn config(contents: &Contents<'_>) -> Result<Value, String> {
    let (card, config) = (contents.card, &contents.card.config);
    let global_pool = match config.head_pool {
        HeadPool::Average => "avg",
        HeadPool::Max => "max",
        HeadPool::None => return Err("timm has no classifier of all pixels".into()),
    };
    let mut pretrained = json!({
        "num_classes": config.num_classes, "pool_size": [7, 7], "first_conv": "features.conv0", "classifier": "classifier",
        "input_size": [config.in_channels, card.input_size(), card.input_size()], "fixed_input_size": false,
    });
    if let Some(preprocessing) = &card.preprocessing {
        describe(preprocessing, &mut pretrained)?;
    }
    if let Some(licence) = &card.licence {
        pretrained["license"] = json!(licence);
    }
    let mut described = json!({
        "architecture": architecture(config)?, "num_classes": config.num_classes,
        "num_features": contents.architecture.num_features, "global_pool": global_pool, "pretrained_cfg": pretrained,
        "model_args": { "in_chans": config.in_channels, "num_classes": config.num_classes },
    });
    if !card.labels.is_empty() {
        described["label_names"] = json!(card.labels);
    }
    Ok(described)
}

/// The fields of `pretrained_cfg` that concern pictures.
fn describe(preprocessing: &Preprocessing, pretrained: &mut Value) -> Result<(), String> {
    let Preprocessing { resize, crop_fraction, interpolation, channel_order, value_range, mean, std, .. } =
        preprocessing;
    if *channel_order != ChannelOrder::Rgb || *value_range != [0.0, 1.0] {
        return Err("timm's pictures are RGB with values from 0 to 1".into());
    }
    pretrained["crop_pct"] = json!(crop_fraction);
    pretrained["crop_mode"] = json!(if *resize == Resize::Short { "center" } else { "squash" });
    pretrained["interpolation"] = json!(if *interpolation == Interpolation::Bicubic { "bicubic" } else { "bilinear" });
    pretrained["mean"] = json!(mean);
    pretrained["std"] = json!(std);
    Ok(())
}
