//! What a weight file holds, inferred from the names and shapes of its tensors alone.

use std::collections::BTreeMap;

use serde::Serialize;

use super::COUNTER;
use super::chain::{self, Chain};
use super::layers::{self, Pair, Parts};
use super::map_order::NewMaps;
use super::modules::Modules;
use super::names::natural;
use super::stored::Stored;
use super::table;
use crate::architecture::{Conv, Norm, PreAct};
use crate::config::{Activation, HeadPool, Joining, Stem, StemPool, StemShape};
use crate::{Architecture, Config};

/// A network that was inferred from a weight file.
#[derive(Clone, Debug, Serialize)]
pub struct Inferred {
    /// The network.
    pub config: Config,
    /// Which library's names the tensors have.
    pub spelling: &'static str,
    /// What the file does not say.
    pub assumptions: Vec<Assumption>,
    /// Notes on what was chosen or changed while reading it.
    pub notes: Vec<String>,
    /// Further remarks.
    pub remarks: Vec<String>,
    /// The number in the file of each of [`Architecture`]'s tensors, by its name; `None` for a bias that is zero.
    #[serde(skip)]
    pub(super) tensors: BTreeMap<String, Option<usize>>,
}

/// Something that a weight file does not say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Assumption {
    /// What it is.
    pub what: &'static str,
    /// What is assumed instead.
    pub taken: String,
    /// The program's option that overrides the assumption.
    pub option: &'static str,
    /// Whether it concerns the pictures rather than the network.
    pub input: bool,
}

impl Inferred {
    /// The same network, with the order of maps that [`Reader::weights_and_order`](super::Reader::weights_and_order)
    /// found.
    pub fn with_order(mut self, order: Option<NewMaps>) -> Self {
        match order {
            Some(NewMaps::First) => {
                self.notes.push(
                    "a layer's new maps come before the older ones; they are moved after them, as in the paper".into(),
                );
            }
            Some(NewMaps::Last) => {}
            None => self.assumptions.push(Assumption {
                what: "where a layer's new maps go",
                taken: "last".into(),
                option: "--new-maps",
                input: false,
            }),
        }
        self
    }

    /// The same network, with the given pooling before the classifier.
    pub(super) fn with_head_pool(self, head_pool: HeadPool) -> Self {
        let mut said = Self { config: Config { head_pool, ..self.config.clone() }, ..self };
        said.assumptions.retain(|assumption| assumption.option != "--head-pool");
        said
    }

    /// The same tensors with another configuration, for callers who know better.
    pub fn with(self, config: Config) -> Self {
        let untold = |a: &Assumption| self.assumptions.iter().any(|before| before.option == a.option);
        let assumptions = assumptions(&config).into_iter().filter(untold).collect();
        Self { assumptions, config, ..self }
    }
}

/// Infers the network whose weights are `tensors`, in the order of the file.
///
/// # Errors
/// Why they are not a DenseNet, or cannot be inferred to be one, with a table of what was found.
pub(super) fn infer(tensors: &[Stored]) -> Result<Inferred, String> {
    let modules = Modules::of(tensors);
    let other = tensors.iter().find(|tensor| tensor.name.ends_with("weight") && matches!(tensor.shape.len(), 3 | 5));
    let found = if let Some(Stored { name, shape, .. }) = other {
        let axes = shape.len() - 2;
        Err(format!(
            "{name} is a kernel of {axes} dimensions, {shape:?}; only networks for pictures (2 dimensions) can be read"
        ))
    } else if modules.left_over.is_empty() {
        arrange(&modules).and_then(|(parts, chain)| Found { modules: &modules, parts, chain }.network(tensors))
    } else {
        let names: Vec<&str> = modules.left_over.iter().map(|&index| &*tensors[index].name).take(8).collect();
        Err(format!("{} of its tensors have no place in one, such as {}", modules.left_over.len(), names.join(", ")))
    };
    found.map_err(|reason| {
        let table = table::of(tensors, &modules);
        format!("no DenseNet can be inferred from it: {reason}; these are its tensors:\n{table}")
    })
}

/// The parts of the network in order: by nested names or in a row, in the file's order or by natural sorting, or in the
/// only order in which the widths fit.
fn arrange(modules: &Modules) -> Result<(Parts, Chain), String> {
    let of_file: Vec<usize> = (0..modules.list.len()).collect();
    let mut by_name = of_file.clone();
    by_name.sort_by(|&a, &b| natural(&modules.list[a].name, &modules.list[b].name));
    let follow = |parts: Parts| chain::in_order(modules, &parts).map(|chain| (parts, chain));
    let search = |parts: Parts| chain::searched(modules, &parts).map(|chain| (parts, chain));
    // Nested names say more than an order, which may be alphabetical.
    layers::by_nesting(modules, &of_file)
        .and_then(follow)
        .or_else(|_| layers::by_nesting(modules, &by_name).and_then(follow))
        .or_else(|_| layers::in_a_row(modules, &of_file).and_then(follow))
        .or_else(|_| layers::in_a_row(modules, &by_name).and_then(follow))
        .or_else(|_| layers::by_nesting(modules, &by_name).and_then(search))
        .map_err(|reason| match layers::by_nesting(modules, &by_name).and_then(follow) {
            Err(first) if first != reason => format!("{reason}; by their names, {first}"),
            _ => reason,
        })
}

/// A network's parts in its order.
struct Found<'a> {
    modules: &'a Modules,
    parts: Parts,
    chain: Chain,
}

impl Found<'_> {
    fn network(&self, tensors: &[Stored]) -> Result<Inferred, String> {
        let config = self.config()?;
        let architecture = Architecture::new(&config).map_err(|error| error.to_string())?;
        Ok(Inferred {
            tensors: self.tensors(&architecture),
            spelling: spelling(tensors),
            assumptions: assumptions(&config),
            notes: self.notes(&config),
            remarks: self.remarks(tensors),
            config,
        })
    }

    fn out(&self, module: usize) -> usize {
        self.modules.list[module].out()
    }

    fn config(&self) -> Result<Config, String> {
        let stem = &self.modules.list[self.parts.stem];
        let growth_rate = self.out(self.parts.layers[0].conv.conv);
        let stem_norm = self.parts.stem_norm.is_some();
        let linear: Vec<usize> = self.parts.classifier.iter().map(|&linear| self.out(linear)).collect();
        let (num_classes, hidden) = linear.split_last().map_or((0, &[][..]), |(classes, hidden)| (*classes, hidden));
        let config = Config {
            in_channels: stem.input(),
            num_classes,
            hidden: hidden.to_vec(),
            head_pool: HeadPool::Average,
            stem: usual_stem(stem.kernel(), stem_norm),
            num_init_features: stem.out(),
            block_config: self.chain.blocks.iter().map(Vec::len).collect(),
            growth_rate,
            bn_size: self.bn_size(growth_rate)?,
            compression: self.compression()?,
            drop_rate: 0.0,
            bias: self.convs().any(|conv| self.modules.list[conv].bias.is_some()),
            final_relu: true,
            joining: Joining::Dense,
            activation: Activation::Pre,
            input_size: if stem.kernel() == 7 { 224 } else { 32 },
        };
        let config = self.with_all_pixels(config)?;
        config.validate().map(|()| config).map_err(|error| error.to_string())
    }

    /// The configuration where the classifier reads all pixels of the last maps: this fixes the size of pictures.
    fn with_all_pixels(&self, config: Config) -> Result<Config, String> {
        let channels = self.out(self.parts.last_norm);
        let reads = self.parts.classifier.first().map(|&first| self.modules.list[first].input());
        let side = reads.and_then(|reads| chain::side(reads, channels)).unwrap_or(1);
        if side == 1 {
            return Ok(config);
        }
        let pooled = Architecture::new(&config).map_err(|error| error.to_string())?;
        let leaves = |size: usize| pooled.block_sizes(size, size).ok().and_then(|sizes| sizes.last().copied());
        let input_size = std::iter::once(config.input_size).chain((side..=64 * side).step_by(side));
        let input_size = input_size.into_iter().find(|&size| leaves(size) == Some((side, side)));
        let input_size =
            input_size.ok_or_else(|| format!("no size of pictures leaves {side}x{side} pixels to classify"))?;
        Ok(Config { head_pool: HeadPool::None, input_size, ..config })
    }

    /// The bottleneck's width in units of the growth rate, the same in every layer; layers that differ are refused.
    fn bn_size(&self, growth_rate: usize) -> Result<Option<usize>, String> {
        let width = |layer: &layers::Layer| layer.bottleneck.map(|pair| self.out(pair.conv));
        let first = width(&self.parts.layers[0]);
        for layer in &self.parts.layers {
            let conv = &self.modules.list[layer.conv.conv];
            if conv.kernel() != 3 || conv.out() != growth_rate || width(layer) != first {
                return Err(format!("{} is not built like the layers before it", conv.name));
            }
        }
        match first {
            Some(width) if width % growth_rate != 0 => {
                Err(format!("its bottlenecks are {width} channels wide, not a multiple of growth rate {growth_rate}"))
            }
            width => Ok(width.map(|width| width / growth_rate)),
        }
    }

    /// The roundest compression factor that fits all transitions; a half if there are none.
    fn compression(&self) -> Result<f64, String> {
        let widths: Vec<(usize, usize)> = self
            .chain
            .transitions
            .iter()
            .map(|pair| (self.modules.list[pair.conv].input(), self.out(pair.conv)))
            .collect();
        let narrows = |theta: f64| widths.iter().all(|&(from, to)| (from as f64 * theta).floor() as usize == to);
        let decimals = (0..=9).map(|digits| 10f64.powi(digits));
        let lowest = widths.iter().map(|&(from, to)| to as f64 / from as f64).fold(0.0, f64::max);
        let rounded = decimals.map(|unit| (lowest * unit).ceil() / unit);
        [0.5, 1.0]
            .into_iter()
            .chain(rounded)
            .chain([lowest])
            .find(|&theta| theta <= 1.0 && narrows(theta))
            .ok_or_else(|| format!("its transitions do not narrow by a common factor: {}", widths_in_words(&widths)))
    }

    /// Every convolution.
    fn convs(&self) -> impl Iterator<Item = usize> + '_ {
        std::iter::once(self.parts.stem).chain(self.pairs().map(|pair| pair.conv))
    }

    /// Every batch-norm with its convolution, in the network's order.
    fn pairs(&self) -> impl Iterator<Item = Pair> + '_ {
        self.chain.blocks.iter().enumerate().flat_map(|(i, block)| {
            let layers = block.iter().flat_map(|layer| layer.bottleneck.into_iter().chain([layer.conv]));
            layers.chain(self.chain.transitions.get(i).copied())
        })
    }

    /// Which tensor of the file is which of `architecture`'s.
    fn tensors(&self, architecture: &Architecture) -> BTreeMap<String, Option<usize>> {
        let mut places = Places { modules: self.modules, tensors: BTreeMap::new() };
        places.conv(&architecture.stem_conv, self.parts.stem);
        if let (Some(norm), Some(module)) = (&architecture.stem_norm, self.parts.stem_norm) {
            places.norm(norm, module);
        }
        for (op, pair) in pre_activations(architecture).zip(self.pairs()) {
            places.norm(&op.norm, pair.norm);
            places.conv(&op.conv, pair.conv);
        }
        places.norm(&architecture.final_norm, self.parts.last_norm);
        for (linear, &module) in architecture.classifier.iter().zip(&self.parts.classifier) {
            places.linear(&linear.name, module);
        }
        places.tensors
    }

    fn notes(&self, config: &Config) -> Vec<String> {
        let mut notes = Vec::new();
        let without = self.convs().filter(|&conv| self.modules.list[conv].bias.is_none()).count();
        if config.bias && without > 0 {
            notes.push(format!("{without} of the convolutions have no bias and get a bias of zeros"));
        }
        if self.parts.classifier.iter().any(|&linear| self.modules.list[linear].bias.is_none()) {
            notes.push("a linear layer of the classifier has no bias and gets a bias of zeros".into());
        }
        if self.parts.classifier.is_empty() {
            notes.push("there is no classifier: this is a backbone, which computes features".into());
        }
        notes
    }

    fn remarks(&self, tensors: &[Stored]) -> Vec<String> {
        let mut remarks = Vec::new();
        let aside: Vec<&str> = self.modules.set_aside.iter().map(|&index| &*tensors[index].name).collect();
        let (counters, others): (Vec<&str>, Vec<&str>) = aside.into_iter().partition(|name| name.ends_with(COUNTER));
        if !counters.is_empty() {
            remarks.push(format!("{} batch counters are kept, for PyTorch only", counters.len()));
        }
        remarks.extend(others.iter().map(|name| format!("{name} is not a weight and is not read")));
        remarks
    }
}

fn widths_in_words(widths: &[(usize, usize)]) -> String {
    widths.iter().map(|(from, to)| format!("{from} to {to}")).collect::<Vec<_>>().join(", ")
}

/// Every pre-activation of a layer or transition, in the network's order.
fn pre_activations(architecture: &Architecture) -> impl Iterator<Item = &PreAct> {
    architecture.blocks.iter().flat_map(|block| {
        let layers = block.layers.iter().flat_map(|layer| layer.bottleneck.iter().chain([&layer.conv]));
        layers.chain(&block.transition)
    })
}

/// A stem with this kernel, and the stride and pooling that usually go with it.
fn usual_stem(kernel: usize, norm: bool) -> Stem {
    let large = kernel > 3;
    let pool = (large && norm).then_some(StemPool::IMAGENET);
    Stem::of(StemShape { kernel, stride: if large { 2 } else { 1 }, norm, pool })
}

/// Collects tensors by the architecture's names.
struct Places<'a> {
    modules: &'a Modules,
    tensors: BTreeMap<String, Option<usize>>,
}

impl Places<'_> {
    fn add(&mut self, name: &str, tensors: &[(&str, Option<usize>)]) {
        self.tensors.extend(tensors.iter().map(|(part, number)| (format!("{name}.{part}"), *number)));
    }

    fn conv(&mut self, conv: &Conv, module: usize) {
        let module = &self.modules.list[module];
        self.add(&conv.name, &[("weight", Some(module.weight))]);
        if conv.bias.is_some() {
            self.add(&conv.name, &[("bias", module.bias)]);
        }
    }

    fn norm(&mut self, norm: &Norm, module: usize) {
        let module = &self.modules.list[module];
        let [mean, variance] = module.running.map_or([None; 2], |running| running.map(Some));
        self.add(&norm.name, &[("weight", Some(module.weight)), ("bias", module.bias)]);
        self.add(&norm.name, &[("running_mean", mean), ("running_var", variance)]);
    }

    fn linear(&mut self, name: &str, module: usize) {
        let module = &self.modules.list[module];
        self.add(name, &[("weight", Some(module.weight)), ("bias", module.bias)]);
    }
}

fn assumptions(config: &Config) -> Vec<Assumption> {
    let StemShape { stride, norm, pool, .. } = config.stem.shape();
    let of_network = |what, taken: String, option| Assumption { what, taken, option, input: false };
    let of_input = |what, taken: String, option| Assumption { what, taken, option, input: true };
    let mut all = vec![of_network("the stem's stride", stride.to_string(), "--stem-stride")];
    if norm {
        let pool = pool.map_or("none".into(), |pool| pool.to_string());
        all.push(of_network("pooling in the stem", pool, "--stem-pool"));
    }
    let relu = if config.final_relu { "yes" } else { "no" };
    all.push(of_network("a ReLU after the last batch-norm", relu.into(), "--final-relu"));
    if config.head_pool != HeadPool::None {
        all.push(of_network("pooling before the classifier", config.head_pool.to_string(), "--head-pool"));
        all.push(of_input("the input's size", format!("{0}x{0}", config.input_size), "--size"));
    }
    if config.num_classes > 0 {
        let output = if config.num_classes == 1 { "sigmoid" } else { "softmax" };
        all.push(of_input("what the outputs mean", output.into(), "--output"));
    }
    all.push(of_input("mean and standard deviation of the input", "none".into(), "--preset, or --mean and --std"));
    all.push(of_input(
        "how pictures are resized and cropped",
        "as usual for the size".into(),
        "--resize, --crop-fraction",
    ));
    all.push(of_input("the filter that resizes", "bilinear".into(), "--interpolation"));
    if config.in_channels > 1 {
        all.push(of_input("order of channels", "rgb".into(), "--channel-order"));
    }
    all.push(of_input("range of values", "0 to 1".into(), "--value-range"));
    all.push(of_input("orientation in EXIF", "ignore".into(), "--orientation"));
    all.push(of_input("transparency", "drop".into(), "--transparency"));
    all.push(of_input("16-bit grey", "high-byte".into(), "--grey16"));
    all
}

/// Which library's names they are.
fn spelling(tensors: &[Stored]) -> &'static str {
    let any = |part: &str| tensors.iter().any(|tensor| tensor.name.contains(part));
    match () {
        () if any("class_layers.out") => "MONAI",
        () if any("op_threshs") => "torchxrayvision",
        () if any("denselayer1.norm.1.") => "torchvision before 0.3 (norm.1)",
        () if any("features.denseblock1.denselayer1.norm1.") => "torchvision or timm",
        () if any("block1.layer.0.bn1.") => "blockN.layer.i (CIFAR)",
        () => "its own",
    }
}
