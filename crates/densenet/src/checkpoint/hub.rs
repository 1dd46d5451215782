//! A folder from a model hub: weights and a `config.json`, as timm writes it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::card::Card;
use crate::config::HeadPool;
use crate::data::{Interpolation, Preprocessing, Resize};
use crate::{Error, Result};

/// File names of the weights in such a folder; the first that exists is read.
pub const WEIGHTS: [&str; 3] = ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"];

/// The file that describes them.
const CONFIG: &str = "config.json";

/// Weights and their description.
pub(super) struct Folder {
    pub weights: PathBuf,
    pub config: Option<HubConfig>,
}

/// Finds the weights in `folder`.
///
/// # Errors
/// No weights, or a description that cannot be read.
pub(super) fn find(folder: &Path) -> Result<Folder> {
    let weights = WEIGHTS.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    let weights = weights.ok_or_else(|| {
        Error::format(folder, format!("a folder without weights; it should contain one of {}", WEIGHTS.join(", ")))
    })?;
    let path = folder.join(CONFIG);
    if !path.is_file() {
        return Ok(Folder { weights, config: None });
    }
    let text = std::fs::read(&path).map_err(Error::io(&path))?;
    let described: Described = serde_json::from_slice(&text)
        .map_err(|error| Error::format(&path, format!("not a model's description: {error}")))?;
    let config = described.read().map_err(|reason| Error::format(&path, reason))?;
    Ok(Folder { weights, config: Some(config) })
}

/// What `config.json` says about a network's pictures and classes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct HubConfig {
    preprocessing: Option<Preprocessing>,
    labels: Vec<String>,
    licence: Option<String>,
    /// How the last maps are pooled for the classifier.
    pub head_pool: Option<HeadPool>,
}

impl HubConfig {
    /// The `card`, completed with what is said here.
    pub fn complete(&self, card: Card) -> Card {
        Card {
            preprocessing: self.preprocessing.clone().or(card.preprocessing),
            labels: self.labels.clone(),
            licence: self.licence.clone(),
            ..card
        }
    }
}

/// The fields of `config.json`; older timm folders have those of `pretrained_cfg` beside the others.
#[derive(Deserialize)]
struct Described {
    pretrained_cfg: Option<Pretrained>,
    global_pool: Option<String>,
    label_names: Option<Vec<String>>,
    id2label: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    beside: Pretrained,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Pretrained {
    /// C, H, W.
    input_size: Option<[usize; 3]>,
    interpolation: Option<String>,
    crop_pct: Option<f64>,
    crop_mode: Option<String>,
    mean: Option<Vec<f32>>,
    std: Option<Vec<f32>>,
    label_names: Option<Vec<String>>,
    license: Option<String>,
}

impl Described {
    fn read(self) -> Result<HubConfig, String> {
        let pretrained = self.pretrained_cfg.unwrap_or(self.beside);
        let by_number = |labels: BTreeMap<String, String>| {
            let mut numbered: Vec<_> =
                labels.into_iter().filter_map(|(id, label)| Some((id.parse::<usize>().ok()?, label))).collect();
            numbered.sort();
            numbered.into_iter().map(|(_, label)| label).collect()
        };
        // Fields at the root were written later, when the network was fine-tuned to other classes.
        let labels = self.label_names.or(self.id2label.map(by_number)).or(pretrained.label_names.clone());
        let preprocessing = pretrained.preprocessing()?;
        let licence = pretrained.license.filter(|licence| !licence.is_empty());
        let head_pool = match self.global_pool.as_deref() {
            None => None,
            Some("avg") => Some(HeadPool::Average),
            Some("max") => Some(HeadPool::Max),
            Some(other) => return Err(format!("global_pool is {other}; only avg and max are supported")),
        };
        Ok(HubConfig { head_pool, preprocessing, labels: labels.unwrap_or_default(), licence })
    }
}

impl Pretrained {
    /// The preprocessing of timm's `create_transform(**resolve_data_config(pretrained_cfg))`; `None` without a size.
    fn preprocessing(&self) -> Result<Option<Preprocessing>, String> {
        let Some([channels, height, width]) = self.input_size else { return Ok(None) };
        if height != width {
            return Err(format!("input_size is {height} by {width}; only square inputs are supported"));
        }
        let imagenet = Preprocessing::named("imagenet").expect("a known name");
        let mean = self.mean.clone().unwrap_or(imagenet.mean);
        let std = self.std.clone().unwrap_or(imagenet.std);
        let resize = match self.crop_mode.as_deref() {
            None | Some("center") => Resize::Short,
            Some("squash") => Resize::Squash,
            Some(other) => return Err(format!("crop_mode is {other}; only center and squash are supported")),
        };
        let interpolation = match self.interpolation.as_deref() {
            None | Some("bicubic") => Interpolation::Bicubic,
            Some("bilinear") => Interpolation::Bilinear,
            Some(other) => return Err(format!("interpolation is {other}; only bilinear and bicubic are supported")),
        };
        let crop_fraction = self.crop_pct.unwrap_or(0.875);
        let plain = Preprocessing::new(height, mean, std).with_channels(channels);
        Ok(Some(Preprocessing { resize, crop_fraction, interpolation, ..plain }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<HubConfig, String> {
        serde_json::from_str::<Described>(text).unwrap().read()
    }

    #[test]
    fn the_root_wins_over_what_is_inside() {
        let config = read(
            r#"{"architecture":"densenet121","num_classes":2,"label_names":["a","b"],"pretrained_cfg":{"input_size":[3,64,64],
            "interpolation":"bicubic","crop_pct":0.95,"crop_mode":"center","mean":[0.5,0.5,0.5],"std":[0.25,0.25,0.25],
            "label_names":["x"],"license":"apache-2.0"},"global_pool":"max"}"#,
        )
        .unwrap();
        assert_eq!(config.head_pool, Some(HeadPool::Max));
        let preprocessing = config.preprocessing.unwrap();
        assert_eq!((preprocessing.size, preprocessing.resized_side()), (64, 67));
        assert_eq!((preprocessing.resize, preprocessing.interpolation), (Resize::Short, Interpolation::Bicubic));
        assert_eq!((config.labels, config.licence.as_deref()), (vec!["a".into(), "b".into()], Some("apache-2.0")));
    }

    #[test]
    fn older_folders_have_everything_at_the_root() {
        let config = read(
            r#"{"architecture":"densenet121","input_size":[3,224,224],"crop_mode":"squash","interpolation":"bilinear"}"#,
        );
        let preprocessing = config.unwrap().preprocessing.unwrap();
        assert_eq!((preprocessing.resize, preprocessing.interpolation), (Resize::Squash, Interpolation::Bilinear));
        assert_eq!(read(r#"{"id2label":{"1":"b","0":"a","10":"k"}}"#).unwrap().labels, ["a", "b", "k"]);
    }

    #[test]
    fn what_is_not_read_is_said() {
        for (text, part) in [
            (r#"{"pretrained_cfg":{"input_size":[3,224,192]}}"#, "224 by 192"),
            (r#"{"pretrained_cfg":{"input_size":[3,8,8],"interpolation":"lanczos"}}"#, "bilinear and bicubic"),
            (r#"{"pretrained_cfg":{"input_size":[3,8,8],"crop_mode":"border"}}"#, "center and squash"),
            (r#"{"global_pool":"catavgmax"}"#, "avg and max"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
