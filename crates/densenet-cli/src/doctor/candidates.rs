//! What is tried: what a file does not say about its network, and how pictures may have been prepared for it.

use densenet::Config;
use densenet::checkpoint::NewMaps;
use densenet::config::{HeadPool, PoolKind, Stem, StemPool, StemShape};
use densenet::data::{ChannelOrder, Interpolation, PREPROCESSINGS, Preprocessing, Resize};

use crate::word::word_of;

/// A network as weights may need it, and pictures as it may need them.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The network.
    pub config: Config,
    /// Where a layer's new maps stand in the file.
    pub new_maps: NewMaps,
    /// How a picture becomes its input.
    pub preprocessing: Preprocessing,
}

/// Makes several settings from one, itself first, by changing one thing; it is given the picture sizes to try.
type Change = fn(&[usize], &Setting) -> Vec<Setting>;

/// Changes in the order in which they are tried.
pub const CHANGES: [Change; 3] = [sizes, framings, interpolations];

/// Settings that a change makes from one, at most.
pub const MOST_CHANGES: usize = 16;

/// Crop fractions that training programs have.
const CROP_FRACTIONS: [f64; 4] = [1.0, 0.95, 0.9, 0.875];

/// Poolings of stems that are common.
const STEM_POOLS: [Option<StemPool>; 4] = [
    Some(StemPool::IMAGENET),
    Some(StemPool { kind: PoolKind::Max, kernel: 2, stride: 2, padding: 0 }),
    Some(StemPool { kind: PoolKind::Average, kernel: 2, stride: 2, padding: 0 }),
    None,
];

/// The networks that `config` may be where its file does not say, itself first.
pub fn networks(config: &Config) -> Vec<Config> {
    let shape = config.stem.shape();
    let pools = if shape.norm { &STEM_POOLS[..] } else { &[] };
    let pools = std::iter::once(shape.pool).chain(pools.iter().copied().filter(|pool| *pool != shape.pool));
    let heads = match config.head_pool {
        HeadPool::None => vec![HeadPool::None],
        HeadPool::Average => vec![HeadPool::Average, HeadPool::Max],
        HeadPool::Max => vec![HeadPool::Max, HeadPool::Average],
    };
    let relus = [config.final_relu, !config.final_relu];
    let mut networks = Vec::new();
    for pool in pools {
        for &head_pool in &heads {
            for final_relu in relus {
                let stem = Stem::of(StemShape { pool, ..shape });
                networks.push(Config { stem, head_pool, final_relu, ..config.clone() });
            }
        }
    }
    networks
}

/// Mean, deviation, range of values and order of channels as training programs have them, on pictures framed as `base` says,
/// `base` first.
pub fn values(base: &Preprocessing) -> Vec<Preprocessing> {
    let channels = base.channels();
    let named =
        PREPROCESSINGS.iter().map(|name| Preprocessing::named(name).expect("a known name").with_channels(channels));
    let plain = |mean: f32, std: f32| Preprocessing::new(base.size, vec![mean; channels], vec![std; channels]);
    let bytes = Preprocessing { value_range: [0.0, 255.0], ..plain(0.0, 1.0) };
    let all = named.chain([plain(0.0, 1.0), plain(0.5, 0.5), bytes]);
    let mut found = vec![base.clone()];
    for Preprocessing { mean, std, value_range, .. } in all {
        let candidate = Preprocessing { mean, std, value_range, ..base.clone() };
        if !found.contains(&candidate) {
            found.push(candidate);
        }
    }
    if channels == 1 {
        return found;
    }
    let other = |preprocessing: &Preprocessing| match preprocessing.channel_order {
        ChannelOrder::Rgb => ChannelOrder::Bgr,
        ChannelOrder::Bgr => ChannelOrder::Rgb,
    };
    let turned: Vec<_> = found.iter().map(|p| Preprocessing { channel_order: other(p), ..p.clone() }).collect();
    [found, turned].concat()
}

fn sizes(sizes: &[usize], setting: &Setting) -> Vec<Setting> {
    let fixed = setting.config.head_pool == HeadPool::None;
    let sizes = std::iter::once(setting.preprocessing.size).chain(sizes.iter().copied().filter(|_| !fixed));
    let mut found: Vec<Setting> = Vec::new();
    for size in sizes {
        if found.iter().all(|other| other.preprocessing.size != size) {
            found.push(setting.with(setting.preprocessing.with_size(size)));
        }
    }
    found
}

fn framings(_: &[usize], setting: &Setting) -> Vec<Setting> {
    let base = &setting.preprocessing;
    let mut found = vec![setting.clone()];
    for resize in [Resize::Short, Resize::Squash] {
        for crop_fraction in CROP_FRACTIONS {
            let candidate = setting.with(Preprocessing { resize, crop_fraction, ..base.clone() });
            if !found.contains(&candidate) {
                found.push(candidate);
            }
        }
    }
    found
}

fn interpolations(_: &[usize], setting: &Setting) -> Vec<Setting> {
    let of = |interpolation| setting.with(Preprocessing { interpolation, ..setting.preprocessing.clone() });
    vec![of(Interpolation::Bilinear), of(Interpolation::Bicubic)]
}

impl Setting {
    fn with(&self, preprocessing: Preprocessing) -> Self {
        Self { preprocessing, ..self.clone() }
    }

    /// The program's options for this setting.
    pub fn options(&self) -> String {
        let said = self.parts().into_iter().filter(|part| !part.usual);
        said.map(|part| part.option).collect::<Vec<_>>().join(" ")
    }

    /// Where this setting differs from `other`, in words or options.
    pub fn beyond(&self, other: &Self) -> String {
        let theirs: Vec<String> = other.parts().into_iter().map(|part| part.option).collect();
        let own = self.parts().into_iter().filter(|part| !theirs.contains(&part.option));
        own.map(|part| part.words.unwrap_or(part.option)).collect::<Vec<_>>().join(", ")
    }

    fn parts(&self) -> Vec<Part> {
        let list = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
        let Preprocessing { size, resize, crop_fraction, interpolation, channel_order, value_range, mean, std, .. } =
            &self.preprocessing;
        let of = |option: String, usual| Part { option, words: None, usual };
        let mut parts = vec![
            Part { words: self.values_by_name(), ..of(format!("--mean {} --std {}", list(mean), list(std)), false) },
            of(format!("--size {size}"), false),
            of(format!("--resize {}", word_of(resize)), false),
            of(format!("--crop-fraction {crop_fraction}"), false),
            of(format!("--interpolation {}", word_of(interpolation)), false),
            of(format!("--channel-order {}", word_of(channel_order)), *channel_order == ChannelOrder::Rgb),
            of(format!("--value-range={}", list(value_range)), *value_range == [0.0, 1.0]),
        ];
        let Config { stem, final_relu, head_pool, .. } = &self.config;
        let shape = stem.shape();
        if shape.norm {
            parts.push(of(format!("--stem-pool {}", shape.pool.map_or("none".into(), |pool| pool.to_string())), false));
        }
        parts.push(of(format!("--final-relu {}", if *final_relu { "yes" } else { "no" }), *final_relu));
        parts.push(of(format!("--head-pool {head_pool}"), *head_pool != HeadPool::Max));
        parts.push(of(format!("--new-maps {}", word_of(&self.new_maps)), self.new_maps == NewMaps::Last));
        parts
    }

    /// Mean and deviation by the name of their data set, if it is known.
    fn values_by_name(&self) -> Option<String> {
        let Preprocessing { mean, std, value_range, .. } = &self.preprocessing;
        let named = |name: &&str| {
            let known = Preprocessing::named(name).expect("a known name").with_channels(mean.len());
            (&known.mean, &known.std, &known.value_range) == (mean, std, value_range)
        };
        PREPROCESSINGS.into_iter().find(named).map(|name| format!("the mean and deviation of {name}"))
    }
}

/// One thing that a setting says.
struct Part {
    /// The option that says it.
    option: String,
    /// The same in words, where they are shorter.
    words: Option<String>,
    /// Whether it is the program's default.
    usual: bool,
}
