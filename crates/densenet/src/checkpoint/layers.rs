//! From modules to the layers of a DenseNet: which batch-norm stands before which convolution.
//!
//! There are two readings, each for an order of the names. *By nesting*: where names nest (`block1.layer2.conv1`), the
//! batch-norms and convolutions of a layer are those under its name, in whatever order the layers are listed. *In a
//! row*: a DenseNet is a convolution, perhaps a batch-norm, and then only batch-norms and convolutions in turn, so the
//! first batch-norm belongs to the first convolution and so on, whatever they are called.

use std::collections::HashMap;

use super::modules::{Kind, Modules};
use super::names::parts;

/// A batch-norm and the convolution after its ReLU, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub norm: usize,
    pub conv: usize,
}

/// A layer of a block: perhaps a bottleneck, then the 3x3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layer {
    pub bottleneck: Option<Pair>,
    pub conv: Pair,
    /// What the names of a block's layers share, where names nest.
    pub block: Vec<String>,
}

impl Layer {
    /// The layer's first operation.
    pub fn first(&self) -> Pair {
        self.bottleneck.unwrap_or(self.conv)
    }
}

/// All modules by part; layers and transitions each in the order of their names.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub stem: usize,
    pub stem_norm: Option<usize>,
    pub layers: Vec<Layer>,
    pub transitions: Vec<Pair>,
    pub last_norm: usize,
    /// The linear layers, each of which reads the output of the one before; none in a backbone.
    pub classifier: Vec<usize>,
}

/// Modules of each kind in some order.
struct Sorted<'a> {
    modules: &'a Modules,
    convs: Vec<usize>,
    norms: Vec<usize>,
    classifier: Vec<usize>,
    /// Whether each 3x3 has a 1x1 before it. There are fewer transitions than blocks and no more blocks than layers, so
    /// only then are there as many 1x1s as layers.
    bottlenecks: bool,
}

impl<'a> Sorted<'a> {
    fn new(modules: &'a Modules, order: &[usize]) -> Result<Self, String> {
        let of = |wanted: fn(&Kind) -> bool| {
            order.iter().copied().filter(|&i| wanted(&modules.list[i].kind)).collect::<Vec<_>>()
        };
        let convs = of(|kind| matches!(kind, Kind::Conv { .. }));
        let classifier = of(|kind| matches!(kind, Kind::Linear { .. }));
        for pair in classifier.windows(2) {
            let [before, after] = [&modules.list[pair[0]], &modules.list[pair[1]]];
            if after.input() != before.out() {
                let (name, reads, made) = (&after.name, after.input(), before.out());
                return Err(format!(
                    "linear layer {name} reads {reads} values, but {}, before it, makes {made}; a DenseNet ends with linear \
                     layers that follow each other",
                    before.name
                ));
            }
        }
        let points = convs.iter().filter(|&&conv| modules.list[conv].kernel() == 1).count();
        let layers = (convs.len() - points).saturating_sub(1);
        if layers == 0 {
            return Err(format!("it has {} convolutions; there is no layer of a dense block among them", convs.len()));
        }
        let norms = of(|kind| matches!(kind, Kind::Norm { .. }));
        if norms.len() != convs.len() && norms.len() != convs.len() + 1 {
            return Err(format!(
                "it has {} batch-norms and {} convolutions; a DenseNet has equally many, or one more batch-norm with a \
                 batch-norm in its stem",
                norms.len(),
                convs.len()
            ));
        }
        Ok(Self { modules, convs, norms, classifier, bottlenecks: points >= layers })
    }

    fn name(&self, module: usize) -> &str {
        &self.modules.list[module].name
    }

    /// Whether the two fit: the convolution reads what the batch-norm normalises.
    fn fits(&self, pair: Pair) -> bool {
        self.modules.list[pair.norm].out() == self.modules.list[pair.conv].input()
    }

    fn is_point(&self, conv: usize) -> bool {
        self.modules.list[conv].kernel() == 1
    }

    fn has_stem_norm(&self) -> bool {
        self.norms.len() > self.convs.len()
    }
}

/// Reads the modules in a row.
pub(super) fn in_a_row(modules: &Modules, order: &[usize]) -> Result<Parts, String> {
    let sorted = Sorted::new(modules, order)?;
    let (stem_norm, norms) = sorted.norms.split_at(usize::from(sorted.has_stem_norm()));
    let pairs: Vec<Pair> = norms.iter().zip(&sorted.convs[1..]).map(|(&norm, &conv)| Pair { norm, conv }).collect();
    if let Some(pair) = pairs.iter().find(|pair| !sorted.fits(**pair)) {
        let (norm, conv) = (sorted.name(pair.norm), sorted.name(pair.conv));
        return Err(format!(
            "in the order of the names, batch-norm {norm} would stand before {conv}, which is wider or \
                            narrower"
        ));
    }
    let (mut layers, mut transitions) = (Vec::new(), Vec::new());
    let mut pairs = pairs.into_iter().peekable();
    while let Some(pair) = pairs.next() {
        let spatial = |pair: &Pair| !sorted.is_point(pair.conv);
        let layer = match (spatial(&pair), sorted.bottlenecks) {
            (true, false) => (None, pair),
            (false, true) => match pairs.next_if(spatial) {
                Some(conv) => (Some(pair), conv),
                None => {
                    transitions.push(pair);
                    continue;
                }
            },
            (false, false) => {
                transitions.push(pair);
                continue;
            }
            (true, true) => return Err(format!("no 1x1 convolution stands before {}", sorted.name(pair.conv))),
        };
        layers.push(Layer { bottleneck: layer.0, conv: layer.1, block: Vec::new() });
    }
    Ok(Parts {
        stem: sorted.convs[0],
        stem_norm: stem_norm.first().copied(),
        layers,
        transitions,
        last_norm: *norms.last().ok_or("it has no batch-norm")?,
        classifier: sorted.classifier,
    })
}

/// Reads the modules by nesting.
pub(super) fn by_nesting(modules: &Modules, order: &[usize]) -> Result<Parts, String> {
    let sorted = Sorted::new(modules, order)?;
    let tree = Tree::new(&sorted, order);
    let mut taken = vec![false; modules.list.len()];
    let mut take = |pairs: &[Pair]| pairs.iter().for_each(|pair| (taken[pair.norm], taken[pair.conv]) = (true, true));
    let (mut layers, mut transitions) = (Vec::new(), Vec::new());
    for &conv in sorted.convs.iter().filter(|&&conv| !sorted.is_point(conv)) {
        if let Some((layer, depth)) = tree.highest(conv, |inside| layer(&sorted, inside)) {
            take(&[layer.first(), layer.conv]);
            let block = tree.parts[conv][..depth - 1].iter().map(|part| part.to_string()).collect();
            layers.push(Layer { block, ..layer });
        }
    }
    for &conv in sorted.convs.iter().filter(|&&conv| sorted.is_point(conv)) {
        if let Some((transition, _)) = tree.highest(conv, |inside| transition(&sorted, inside)) {
            take(&[transition]);
            transitions.push(transition);
        }
    }
    let rest = |of: &[usize]| of.iter().copied().filter(|&module| !taken[module]).collect::<Vec<_>>();
    let (convs, norms) = (rest(&sorted.convs), rest(&sorted.norms));
    let (stem_norm, last_norm) = match (&*convs, &*norms) {
        ([_], &[last]) if !sorted.has_stem_norm() => (None, last),
        (&[stem], &[a, b]) => {
            let fits = |norm: usize| modules.list[norm].out() == modules.list[stem].out();
            if fits(a) { (Some(a), b) } else { (Some(b), a) }
        }
        _ => {
            let names: Vec<&str> = convs.iter().chain(&norms).map(|&module| sorted.name(module)).take(8).collect();
            return Err(format!("by the nesting of the names, no place is found for {}", names.join(", ")));
        }
    };
    Ok(Parts { stem: convs[0], stem_norm, layers, transitions, last_norm, classifier: sorted.classifier })
}

/// The layer that consists of the modules `inside` a name, if they form one.
fn layer(sorted: &Sorted<'_>, inside: &[usize]) -> Option<Layer> {
    let (convs, norms) = split(sorted, inside)?;
    let conv = *convs.iter().find(|&&conv| !sorted.is_point(conv))?;
    let point = convs.iter().copied().find(|&conv| sorted.is_point(conv));
    let layer = |bottleneck, conv| Some(Layer { bottleneck, conv, block: Vec::new() });
    match (&*norms, point) {
        (&[norm], None) if convs.len() == 1 && !sorted.bottlenecks => {
            let pair = Pair { norm, conv };
            if sorted.fits(pair) { layer(None, pair) } else { None }
        }
        (&[a, b], Some(point)) if convs.len() == 2 => {
            let orders = [(a, b), (b, a)].map(|(a, b)| (Pair { norm: a, conv: point }, Pair { norm: b, conv }));
            let (bottleneck, conv) = orders.into_iter().find(|(p, q)| sorted.fits(*p) && sorted.fits(*q))?;
            layer(Some(bottleneck), conv)
        }
        _ => None,
    }
}

/// The transition that consists of the modules `inside` a name, if they form one.
fn transition(sorted: &Sorted<'_>, inside: &[usize]) -> Option<Pair> {
    let (convs, norms) = split(sorted, inside)?;
    let (&[conv], &[norm]) = (&*convs, &*norms) else { return None };
    let pair = Pair { norm, conv };
    (sorted.is_point(conv) && sorted.fits(pair)).then_some(pair)
}

/// Convolutions and batch-norms among `inside`; `None` if there is anything else.
fn split(sorted: &Sorted<'_>, inside: &[usize]) -> Option<(Vec<usize>, Vec<usize>)> {
    let (mut convs, mut norms) = (Vec::new(), Vec::new());
    for &module in inside {
        match sorted.modules.list[module].kind {
            Kind::Conv { .. } => convs.push(module),
            Kind::Norm { .. } => norms.push(module),
            Kind::Linear { .. } => return None,
        }
    }
    Some((convs, norms))
}

/// Modules under every prefix of a name, as long as they are few.
struct Tree<'a> {
    parts: Vec<Vec<&'a str>>,
    under: HashMap<Vec<&'a str>, Vec<usize>>,
}

/// Number of modules in the largest part searched for, a layer with bottleneck.
const LARGEST_PART: usize = 4;

impl<'a> Tree<'a> {
    fn new(sorted: &Sorted<'a>, order: &[usize]) -> Self {
        let parts: Vec<Vec<&str>> = sorted.modules.list.iter().map(|module| parts(&module.name)).collect();
        let mut under: HashMap<Vec<&str>, Vec<usize>> = HashMap::new();
        for &module in order {
            for depth in 1..=parts[module].len() {
                let inside = under.entry(parts[module][..depth].to_vec()).or_default();
                if inside.len() <= LARGEST_PART {
                    inside.push(module);
                }
            }
        }
        Self { parts, under }
    }

    /// What `read` makes of the modules under the shortest prefix of the name of `conv` for which it returns something,
    /// and the number of parts of that prefix.
    fn highest<T>(&self, conv: usize, read: impl Fn(&[usize]) -> Option<T>) -> Option<(T, usize)> {
        let parts = &self.parts[conv];
        (1..=parts.len()).find_map(|depth| Some((read(&self.under[&parts[..depth]])?, depth)))
    }
}
