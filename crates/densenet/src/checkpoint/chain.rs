//! From layers to blocks: the order in which layers and transitions follow each other.
//!
//! Each layer reads `k` channels more than the one before (section 3 of the paper), and a transition reads everything
//! that its block ends with, so the widths show where blocks begin and end. The order of the names is used if it forms
//! such a chain; otherwise the only order of the blocks that forms one is searched for.

use std::collections::BTreeMap;

use super::layers::{Layer, Pair, Parts};
use super::modules::Modules;

/// The layers of each block, and the transitions between them, in the network's order.
#[derive(Debug)]
pub(super) struct Chain {
    pub blocks: Vec<Vec<Layer>>,
    pub transitions: Vec<Pair>,
}

/// Steps after which a search is given up.
const MOST_STEPS: usize = 100_000;

/// Pieces beyond which a search is not begun.
const MOST_PIECES: usize = 1_000;

/// Follows layers and transitions in the order of their names.
pub(super) fn in_order(modules: &Modules, parts: &Parts) -> Result<Chain, String> {
    let module = |index: usize| &modules.list[index];
    let growth = module(parts.layers[0].conv.conv).out();
    let mut channels = module(parts.stem).out();
    let mut chain = Chain { blocks: vec![Vec::new()], transitions: Vec::new() };
    let mut transitions = parts.transitions.iter().peekable();
    for layer in &parts.layers {
        let begun = chain.blocks.last().is_some_and(|block| !block.is_empty());
        if let Some(transition) = transitions.next_if(|pair| begun && module(pair.conv).input() == channels) {
            channels = module(transition.conv).out();
            chain.transitions.push(*transition);
            chain.blocks.push(Vec::new());
        }
        let first = module(layer.first().conv);
        if first.input() != channels {
            return Err(format!("{} reads {} channels where there are {channels}", first.name, first.input()));
        }
        chain.blocks.last_mut().expect("there is a first block").push(layer.clone());
        channels += growth;
    }
    if let Some(transition) = transitions.next() {
        return Err(format!("no block ends with the channels that {} reads", module(transition.conv).name));
    }
    ends_with(modules, parts, channels).map(|()| chain)
}

/// Checks that the last block's `channels` are those that the network ends with.
fn ends_with(modules: &Modules, parts: &Parts, channels: usize) -> Result<(), String> {
    let [norm, classifier] = [Some(parts.last_norm), parts.classifier.first().copied()];
    let reads = |module: Option<usize>, fits: fn(usize, usize) -> bool| match module.map(|index| &modules.list[index]) {
        Some(module) if !fits(module.input(), channels) => {
            Err(format!("{} reads {} channels; the last block has {channels}", module.name, module.input()))
        }
        _ => Ok(()),
    };
    reads(norm, |reads, channels| reads == channels)?;
    reads(classifier, |reads, channels| side(reads, channels).is_some())
}

/// Height and width of maps of this many `channels` if a classifier `reads` this many values from them: 1 where they
/// are pooled.
pub(super) fn side(reads: usize, channels: usize) -> Option<usize> {
    let side = (reads / channels).isqrt();
    (side > 0 && side * side * channels == reads).then_some(side)
}

/// Searches for the only order of blocks that forms a chain. Layers whose names nest in the same name form a block, in
/// the order of their widths; where these do not form one, each layer may stand anywhere.
pub(super) fn searched(modules: &Modules, parts: &Parts) -> Result<Chain, String> {
    let mut search = Search::new(modules, parts);
    if search.pieces.len() > MOST_PIECES {
        return Err(format!("{} layers are in no order that can be recognised", search.pieces.len()));
    }
    let mut used = Used { pieces: vec![false; search.pieces.len()], transitions: vec![false; parts.transitions.len()] };
    search.go(modules.list[parts.stem].out(), &mut used, &mut Vec::new());
    if search.steps > MOST_STEPS {
        return Err("the order of its layers cannot be found in any reasonable time".into());
    }
    match &*search.found {
        [] => Err("the widths of its layers and transitions do not fit together in any order".into()),
        [steps] => Ok(chain(steps, &search.pieces, parts)),
        _ => Err("its layers could follow each other in more than one order, and their names do not say which".into()),
    }
}

/// One step of a chain: a piece or a transition.
#[derive(Clone, Copy)]
enum Step {
    Piece(usize),
    Transition(usize),
}

/// Layers that follow each other, with the channels before and after them.
struct Piece {
    layers: Vec<Layer>,
    from: usize,
    to: usize,
}

struct Used {
    pieces: Vec<bool>,
    transitions: Vec<bool>,
}

struct Search {
    pieces: Vec<Piece>,
    /// Channels before and after each transition.
    transitions: Vec<(usize, usize)>,
    last: usize,
    steps: usize,
    found: Vec<Vec<Step>>,
}

impl Search {
    fn new(modules: &Modules, parts: &Parts) -> Self {
        let channels = |pair: &Pair| (modules.list[pair.conv].input(), modules.list[pair.conv].out());
        Self {
            pieces: pieces(modules, parts),
            transitions: parts.transitions.iter().map(channels).collect(),
            last: modules.list[parts.last_norm].out(),
            steps: 0,
            found: Vec::new(),
        }
    }

    /// Tries everything that can stand after `channels` and keeps up to two complete chains.
    fn go(&mut self, channels: usize, used: &mut Used, taken: &mut Vec<Step>) {
        self.steps += 1;
        if self.found.len() > 1 || self.steps > MOST_STEPS {
            return;
        }
        if used.pieces.iter().chain(&used.transitions).all(|&used| used) {
            if channels == self.last && matches!(taken.last(), Some(Step::Piece(_))) {
                self.found.push(taken.clone());
            }
            return;
        }
        for i in 0..self.pieces.len() {
            if !used.pieces[i] && self.pieces[i].from == channels {
                used.pieces[i] = true;
                taken.push(Step::Piece(i));
                self.go(self.pieces[i].to, used, taken);
                taken.pop();
                used.pieces[i] = false;
            }
        }
        for i in 0..self.transitions.len() {
            let follows = matches!(taken.last(), Some(Step::Piece(_)));
            if follows && !used.transitions[i] && self.transitions[i].0 == channels {
                used.transitions[i] = true;
                taken.push(Step::Transition(i));
                self.go(self.transitions[i].1, used, taken);
                taken.pop();
                used.transitions[i] = false;
            }
        }
    }
}

/// The blocks that the names show, and single layers where they show none.
fn pieces(modules: &Modules, parts: &Parts) -> Vec<Piece> {
    let input = |layer: &Layer| modules.list[layer.first().conv].input();
    let growth = modules.list[parts.layers[0].conv.conv].out();
    let piece = |layers: Vec<Layer>| {
        let from = input(&layers[0]);
        Piece { from, to: from + layers.len() * growth, layers }
    };
    let mut blocks: BTreeMap<&[String], Vec<Layer>> = BTreeMap::new();
    for layer in &parts.layers {
        blocks.entry(&layer.block).or_default().push(layer.clone());
    }
    blocks.values_mut().for_each(|block| block.sort_by_key(input));
    let grows = |block: &[Layer]| block.windows(2).all(|pair| input(&pair[1]) == input(&pair[0]) + growth);
    let split = |block: Vec<Layer>| match grows(&block) {
        true => vec![block],
        false => block.into_iter().map(|layer| vec![layer]).collect(),
    };
    blocks.into_values().flat_map(split).map(piece).collect()
}

fn chain(steps: &[Step], pieces: &[Piece], parts: &Parts) -> Chain {
    let mut chain = Chain { blocks: vec![Vec::new()], transitions: Vec::new() };
    for step in steps {
        match step {
            Step::Piece(i) => {
                chain.blocks.last_mut().expect("there is a first block").extend(pieces[*i].layers.iter().cloned());
            }
            Step::Transition(i) => {
                chain.transitions.push(parts.transitions[*i]);
                chain.blocks.push(Vec::new());
            }
        }
    }
    chain
}
