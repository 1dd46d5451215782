//! Tensors that belong together: convolutions, batch-norms and linear layers, recognised by shapes and shared names.

use std::collections::BTreeMap;

use super::stored::Stored;

/// What a module is, with its extents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A square convolution.
    Conv { out: usize, input: usize, kernel: usize },
    /// A batch-norm.
    Norm { channels: usize },
    /// A linear layer.
    Linear { out: usize, input: usize },
}

/// A module; its tensors by their numbers in the file.
#[derive(Clone, Debug)]
pub(super) struct Module {
    /// The part that its tensors' names share.
    pub name: String,
    pub kind: Kind,
    /// Kernel, matrix, or a batch-norm's gamma.
    pub weight: usize,
    /// Bias, or a batch-norm's beta.
    pub bias: Option<usize>,
    /// A batch-norm's running mean and variance.
    pub running: Option<[usize; 2]>,
}

impl Module {
    /// Input channels.
    pub fn input(&self) -> usize {
        match self.kind {
            Kind::Conv { input, .. } | Kind::Linear { input, .. } => input,
            Kind::Norm { channels } => channels,
        }
    }

    /// Output channels.
    pub fn out(&self) -> usize {
        match self.kind {
            Kind::Conv { out, .. } | Kind::Linear { out, .. } => out,
            Kind::Norm { channels } => channels,
        }
    }

    /// Height and width of its kernel; 0 if it has none.
    pub fn kernel(&self) -> usize {
        if let Kind::Conv { kernel, .. } = self.kind { kernel } else { 0 }
    }
}

/// All modules in the order of their first tensors, and the tensors that belong to none.
#[derive(Debug, Default)]
pub(super) struct Modules {
    pub list: Vec<Module>,
    /// Tensors that belong to no module.
    pub left_over: Vec<usize>,
    /// Tensors that are known not to be weights: batch counters, and thresholds of predictions.
    pub set_aside: Vec<usize>,
}

/// The role of a tensor within its module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Weight,
    Bias,
    Mean,
    Variance,
}

/// The last parts of names in various frameworks; longer ones before those that they end in.
const ROLES: [(&str, Role); 14] = [
    ("running_variance", Role::Variance),
    ("moving_variance", Role::Variance),
    ("running_mean", Role::Mean),
    ("moving_mean", Role::Mean),
    ("running_var", Role::Variance),
    ("moving_var", Role::Variance),
    ("variance", Role::Variance),
    ("kernel", Role::Weight),
    ("weight", Role::Weight),
    ("gamma", Role::Weight),
    ("beta", Role::Bias),
    ("bias", Role::Bias),
    ("mean", Role::Mean),
    ("var", Role::Variance),
];

/// torchxrayvision's prediction thresholds, which are stored beside the weights.
pub(super) const THRESHOLDS: &str = "op_threshs";

/// A name's module and the rest of the name.
fn split(name: &str) -> (&str, &str) {
    let known = ROLES.iter().find_map(|(word, _)| {
        let before = name.strip_suffix(word)?;
        (before.is_empty() || before.ends_with(|c: char| !c.is_alphanumeric())).then_some((before, *word))
    });
    let at = |separators: &[char]| name.rfind(separators).map(|at| (&name[..at], &name[at + 1..]));
    let (module, leaf) = known.or_else(|| at(&['.', '/'])).or_else(|| at(&['_'])).unwrap_or(("", name));
    (module.trim_end_matches(|c: char| !c.is_alphanumeric()), leaf)
}

impl Modules {
    /// Groups `tensors` into modules.
    pub fn of(tensors: &[Stored]) -> Self {
        let mut modules = Self::default();
        let mut groups: BTreeMap<&str, Group<'_>> = BTreeMap::new();
        for (index, tensor) in tensors.iter().enumerate() {
            let counter = tensor.shape.is_empty() || !tensor.is_float() && tensor.elements().is_some_and(|n| n <= 1);
            if counter || tensor.name.rsplit('.').next() == Some(THRESHOLDS) {
                modules.set_aside.push(index);
                continue;
            }
            let (module, leaf) = split(&tensor.name);
            groups
                .entry(module)
                .or_insert_with(|| Group { first: index, tensors: Vec::new() })
                .tensors
                .push((leaf, index));
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(_, group)| group.first);
        let words = Words::of(tensors, groups.iter().map(|(_, group)| group));
        for (name, group) in groups {
            match group.module(name, tensors, &words) {
                Some(module) => modules.list.push(module),
                None => modules.left_over.extend(group.tensors.iter().map(|(_, index)| index)),
            }
        }
        modules
    }
}

/// The last part of a tensor's name, and its number.
type Leaf<'a> = (&'a str, usize);

/// Tensors whose names share all but the last part.
struct Group<'a> {
    first: usize,
    tensors: Vec<Leaf<'a>>,
}

impl<'a> Group<'a> {
    /// The tensors with more than one axis, and those with one.
    fn by_rank(&self, tensors: &[Stored]) -> (Vec<Leaf<'a>>, Vec<Leaf<'a>>) {
        self.tensors.iter().partition(|(_, index)| tensors[*index].shape.len() > 1)
    }

    fn module(&self, name: &str, tensors: &[Stored], words: &Words<'_>) -> Option<Module> {
        let shape = |index: usize| &*tensors[index].shape;
        if self.tensors.iter().any(|(_, index)| shape(*index).contains(&0) || !tensors[*index].is_float()) {
            return None;
        }
        let (dense, vectors) = self.by_rank(tensors);
        let (kind, weight, bias, running) = match (&*dense, &*vectors) {
            ([(_, weight)], []) => (dense_kind(shape(*weight))?, *weight, None, None),
            ([(_, weight)], [(_, bias)]) => (dense_kind(shape(*weight))?, *weight, Some(*bias), None),
            ([], [_, _, _, _]) => {
                let [weight, bias, mean, variance] = words.order(&vectors);
                (Kind::Norm { channels: shape(weight)[0] }, weight, Some(bias), Some([mean, variance]))
            }
            _ => return None,
        };
        let module = Module { name: name.into(), kind, weight, bias, running };
        vectors.iter().all(|(_, index)| shape(*index) == [module.out()]).then_some(module)
    }
}

/// The kind of module that a weight of this shape, with more than one axis, belongs to.
fn dense_kind(shape: &[usize]) -> Option<Kind> {
    match *shape {
        [out, input] => Some(Kind::Linear { out, input }),
        [out, input, height, width] if height == width => Some(Kind::Conv { out, input, kernel: height }),
        _ => None,
    }
}

/// What the file calls a weight and a bias, where it has its own words for them.
struct Words<'a> {
    weight: Option<&'a str>,
    bias: Option<&'a str>,
}

impl<'a> Words<'a> {
    /// PyTorch's modules all use the same words, so those of convolutions and linear layers also identify a
    /// batch-norm's.
    fn of<'b>(tensors: &[Stored], groups: impl Iterator<Item = &'b Group<'a>>) -> Self
    where
        'a: 'b,
    {
        let mut words = Self { weight: None, bias: None };
        for group in groups {
            if let (&[(weight, _)], vectors) = (&*group.by_rank(tensors).0, group.by_rank(tensors).1) {
                words.weight = Some(weight);
                if let &[(bias, _)] = &*vectors {
                    words.bias = Some(bias);
                }
            }
        }
        words
    }

    fn role(&self, leaf: &str) -> Option<Role> {
        let known = ROLES.iter().find(|(word, _)| *word == leaf).map(|(_, role)| *role);
        let own = |word: Option<&str>, role| (word == Some(leaf)).then_some(role);
        known.or_else(|| own(self.weight, Role::Weight)).or_else(|| own(self.bias, Role::Bias))
    }

    /// The four vectors of a batch-norm as weight, bias, mean, variance: identified by their words, or by the order in
    /// which PyTorch creates them where words do not help.
    fn order(&self, vectors: &[Leaf<'_>]) -> [usize; 4] {
        let mut rest = vectors.to_vec();
        let told = [Role::Weight, Role::Bias, Role::Mean, Role::Variance].map(|role| {
            let at = rest.iter().position(|(leaf, _)| self.role(leaf) == Some(role))?;
            Some(rest.remove(at).1)
        });
        let mut rest = rest.into_iter().map(|(_, index)| index);
        told.map(|index| index.or_else(|| rest.next()).expect("four vectors for four places"))
    }
}

#[cfg(test)]
mod tests {
    use safetensors::Dtype;

    use super::*;

    fn tensors(named: &[(&str, &[usize])]) -> Vec<Stored> {
        let stored = |(name, shape): &(&str, &[usize])| Stored {
            name: name.to_string(),
            dtype: Dtype::F32,
            shape: shape.to_vec(),
        };
        named.iter().map(stored).collect()
    }

    #[test]
    fn words_of_every_kind_make_modules() {
        let tensors = tensors(&[
            ("a.w", &[8, 3, 7, 7]),
            ("b.w", &[8]),
            ("b.b", &[8]),
            ("b.u", &[8]),
            ("b.v", &[8]),
            ("head.b", &[2]),
            ("head.w", &[2, 8]),
            ("x_moving_variance", &[4]),
            ("x_moving_mean", &[4]),
            ("x_beta", &[4]),
            ("x_gamma", &[4]),
            ("lonely", &[4]),
        ]);
        let modules = Modules::of(&tensors);
        let kinds: Vec<_> = modules.list.iter().map(|module| (module.name.as_str(), module.kind)).collect();
        assert_eq!(
            kinds,
            [
                ("a", Kind::Conv { out: 8, input: 3, kernel: 7 }),
                ("b", Kind::Norm { channels: 8 }),
                ("head", Kind::Linear { out: 2, input: 8 }),
                ("x", Kind::Norm { channels: 4 }),
            ]
        );
        assert_eq!(modules.list[1].running, Some([3, 4]));
        let x = &modules.list[3];
        assert_eq!((x.weight, x.bias, x.running), (10, Some(9), Some([8, 7])));
        assert_eq!(modules.left_over, [11]);
    }

    #[test]
    fn what_does_not_fit_is_left_over() {
        let tensors = tensors(&[("a.weight", &[8, 3, 7, 5]), ("b.weight", &[8, 3, 1, 1]), ("b.bias", &[7])]);
        assert_eq!(Modules::of(&tensors).left_over, [0, 1, 2]);
    }
}
