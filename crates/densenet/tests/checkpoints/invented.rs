//! Networks under names that nobody has seen.

use densenet::checkpoint::{Reader, Weights};
use densenet::config::{Stem, StemPool, StemShape};
use densenet::{Architecture, Config};
use densenet_kernels::random::Stream;
use tempfile::TempDir;

use crate::written::{Tensor, tensors, write};

/// Networks of every kind: growth rates, bottlenecks, numbers of blocks, stems, compressions, biases.
fn configs() -> Vec<Config> {
    let stems = [(3, false), (3, true), (7, false), (7, true)];
    let mut configs = Vec::new();
    for (i, growth_rate) in [12, 24, 40].into_iter().enumerate() {
        for (j, bn_size) in [None, Some(2), Some(4)].into_iter().enumerate() {
            for blocks in 1..=5 {
                let (kernel, norm) = stems[(i + j + blocks) % 4];
                let stride = if kernel == 7 { 2 } else { 1 };
                let large = kernel == 7;
                configs.push(Config {
                    in_channels: 1 + (i + blocks) % 4,
                    num_classes: 2 + 3 * blocks,
                    stem: Stem::of(StemShape {
                        kernel,
                        stride,
                        norm,
                        pool: (large && norm).then_some(StemPool::IMAGENET),
                    }),
                    num_init_features: 2 * growth_rate + 8 * j,
                    block_config: (0..blocks).map(|block| 1 + (block + j) % 3).collect(),
                    growth_rate,
                    bn_size,
                    compression: if blocks > 1 && (blocks + j) % 3 == 0 { 1.0 } else { 0.5 },
                    bias: (i + blocks) % 5 == 0,
                    input_size: if large { 224 } else { 32 },
                    ..Config::preset("densenet-bc-40-12").unwrap()
                });
            }
        }
    }
    configs
}

/// Checks that what is read of `tensors` under the names that `rename` gives, written in the order that it leaves them
/// in, is the network that they are of.
fn assert_read(config: &Config, what: &str, change: impl Fn(&mut Vec<Tensor>)) {
    let architecture = Architecture::new(config).unwrap();
    let original = tensors(config);
    let mut changed = original.clone();
    change(&mut changed);
    let (inferred, weights) = read(&changed).unwrap_or_else(|error| panic!("{what}: {config:?}: {error}"));
    assert_eq!(inferred, *config, "{what}");
    let value = |name: &str| &original.iter().find(|tensor| tensor.name == name).unwrap().values;
    for tensor in &architecture.parameters {
        assert_eq!(&weights.parameters[tensor.range.clone()], value(&tensor.name), "{what}: {}", tensor.name);
    }
    for tensor in &architecture.running {
        assert_eq!(&weights.running[tensor.range.clone()], value(&tensor.name), "{what}: {}", tensor.name);
    }
}

fn read(tensors: &[Tensor]) -> densenet::Result<(Config, Weights)> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("w.safetensors");
    write(&path, tensors);
    let mut reader = Reader::open(&path)?;
    let config = reader.infer()?.config;
    let weights = reader.weights(&Architecture::new(&config)?)?;
    Ok((config, weights))
}

/// A made-up word for a number, in no order.
fn word(seed: u64, number: u64) -> String {
    let bits = Stream::new(seed, 1).bits(number);
    let letters = (0..8).map(|i| char::from(b'a' + (bits >> (8 * i)) as u8 % 26));
    // The number keeps words distinct.
    letters.chain(format!("q{number}").chars()).collect()
}

/// Gives each module a name, by its place in the network.
fn rename_modules(tensors: &mut [Tensor], name: impl Fn(usize, &str) -> String) {
    let mut modules: Vec<String> = Vec::new();
    for tensor in tensors {
        let (module, leaf) = tensor.name.rsplit_once('.').unwrap();
        let place = modules.iter().position(|known| known == module).unwrap_or_else(|| {
            modules.push(module.into());
            modules.len() - 1
        });
        tensor.name = format!("{}.{leaf}", name(place, module));
    }
}

/// Sorts as the safetensors library of Python writes: by name, digit for digit.
fn sort(tensors: &mut [Tensor]) {
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
}

#[test]
fn the_usual_names_in_any_order() {
    for config in configs() {
        assert_read(&config, "PyTorch's order", |_| ());
        assert_read(&config, "sorted by name", |tensors| sort(tensors));
        assert_read(&config, "reversed", |tensors| tensors.reverse());
    }
}

#[test]
fn numbers_in_place_of_names() {
    for config in configs() {
        assert_read(&config, "m7", |tensors| {
            rename_modules(tensors, |place, _| format!("net.m{place}"));
            sort(tensors);
        });
        assert_read(&config, "kinds apart", |tensors| {
            rename_modules(tensors, |place, module| match module.contains("norm") {
                true => format!("scales.{place}"),
                false => format!("maps_{place}"),
            });
            sort(tensors);
        });
    }
}

#[test]
fn words_of_no_meaning_in_the_order_of_the_file() {
    for config in configs() {
        assert_read(&config, "words", |tensors| rename_modules(tensors, |place, _| word(1, place as u64)));
        assert_read(&config, "words for gamma and beta too", |tensors| {
            for tensor in tensors.iter_mut() {
                let leaves = [("running_mean", "zu"), ("running_var", "zv"), ("weight", "za"), ("bias", "zb")];
                let (module, leaf) = tensor.name.rsplit_once('.').unwrap();
                let new = leaves.iter().find(|(old, _)| *old == leaf).unwrap().1;
                tensor.name = format!("{module}.{new}");
            }
        });
    }
}

/// Blocks and transitions under words whose order says nothing: widths alone tell which block is which.
#[test]
fn shuffled_prefixes() {
    for (seed, config) in (0..).zip(configs()) {
        if config.compression == 1.0 || config.block_config.len() > 3 {
            // Blocks of the same widths cannot be distinguished by them; see below.
            continue;
        }
        assert_read(&config, "shuffled", |tensors| {
            rename_modules(tensors, |_, module| {
                let mut parts: Vec<String> = module.split('.').map(String::from).collect();
                for part in &mut parts {
                    if part.starts_with("denseblock") || part.starts_with("transition") {
                        let number: u64 = part[part.len() - 1..].parse().unwrap();
                        *part = word(seed, number + 10 * u64::from(part.starts_with("t")));
                    }
                }
                parts.join("/")
            });
            sort(tensors);
        });
    }
}

#[test]
fn a_prefix_before_everything() {
    for config in configs() {
        assert_read(&config, "prefix", |tensors| {
            tensors.iter_mut().for_each(|tensor| tensor.name = format!("module.backbone.{}", tensor.name));
            sort(tensors);
        });
    }
}

/// Both blocks start with 24 channels and have two layers, and nothing but their names could tell which is first.
#[test]
fn what_could_be_either_is_refused() {
    let config = Config {
        block_config: vec![2, 2, 2],
        growth_rate: 12,
        num_init_features: 24,
        ..Config::preset("densenet-bc-40-12").unwrap()
    };
    let mut tensors = tensors(&config);
    for tensor in &mut tensors {
        tensor.name = tensor.name.replace("denselayer1", "denselayer_b").replace("denselayer2", "denselayer_a");
    }
    sort(&mut tensors);
    let error = read(&tensors).unwrap_err().to_string();
    assert!(
        error.contains("more than one order") && error.contains("features.denseblock1.denselayer_a.conv1"),
        "{error}"
    );
}

#[test]
fn left_over_missing_and_odd_tensors_are_refused_with_a_table() {
    let config = Config { block_config: vec![1, 2], ..Config::preset("densenet-bc-40-12").unwrap() };
    let whole = tensors(&config);
    let extra = Tensor { name: "features.extra".into(), shape: vec![3], values: vec![0.0; 3] };
    let changes: [(&str, Vec<Tensor>, &str); 4] = [
        ("a vector more", whole.iter().cloned().chain([extra.clone()]).collect(), "features.extra"),
        (
            "a linear layer more",
            whole.iter().cloned().chain([Tensor { shape: vec![1, 3], name: "aux.weight".into(), ..extra }]).collect(),
            "linear layers that follow each other",
        ),
        ("a kernel less", whole.iter().filter(|t| !t.name.contains("denselayer2.conv1")).cloned().collect(), "conv"),
        (
            "a variance less",
            whole.iter().filter(|t| !t.name.ends_with("norm5.running_var")).cloned().collect(),
            "norm5",
        ),
    ];
    for (what, tensors, part) in changes {
        let error = read(&tensors).unwrap_err().to_string();
        assert!(error.contains("w.safetensors: no DenseNet can be inferred"), "{what}: {error}");
        assert!(error.contains(part) && error.contains("features.conv0"), "{what}: {error}");
    }
}

#[test]
fn another_network_is_no_densenet() {
    let named = |name: &str, shape: &[usize]| Tensor {
        name: name.into(),
        shape: shape.to_vec(),
        values: vec![0.5; shape.iter().product()],
    };
    let mut tensors = vec![named("conv1.weight", &[8, 3, 7, 7]), named("fc.weight", &[4, 8]), named("fc.bias", &[4])];
    for (name, width) in [("bn1", 8), ("layer1.bn1", 8), ("layer1.bn2", 8)] {
        for part in ["weight", "bias", "running_mean", "running_var"] {
            tensors.push(named(&format!("{name}.{part}"), &[width]));
        }
    }
    tensors.extend([named("layer1.conv1.weight", &[8, 8, 3, 3]), named("layer1.conv2.weight", &[8, 8, 3, 3])]);
    let error = read(&tensors).unwrap_err().to_string();
    assert!(error.contains("no DenseNet can be inferred") && error.contains("layer1.conv2"), "{error}");
}
