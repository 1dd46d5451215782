//! Random convolutions.

use densenet_kernels::conv::{Algorithm, ConvShape};
use densenet_kernels::reference::conv::Conv;
use densenet_kernels::reference::pool::Pool;
use densenet_kernels::reference::{Shape4, relu};
use densenet_kernels::winograd::{self, TileSize};
use densenet_kernels::{Input, Pooling, Real, Window};

use crate::block::{Reader, Typed, grid};
use crate::check::elements;
use crate::draw::Draw;
use crate::fast_conv::FastConv;

/// Multiply-adds of a case: one or another of its extents is halved until it needs no more, so that the references take
/// milliseconds and each extent is large in some cases.
const WORK: usize = if cfg!(miri) { 3_000 } else { 3_000_000 };

/// The direct sum, and those that apply to some windows only.
const ALGORITHMS: [Algorithm; 3] =
    [Algorithm::Direct, Algorithm::Winograd(TileSize::Two), Algorithm::Winograd(TileSize::Four)];

/// What the convolution reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    PreActivation,
    Pooled,
    Raw,
    Pictures,
}

/// The windows of the family.
pub const WINDOWS: [Window; 3] =
    [Window::POINT, Window { kernel: 3, stride: 1, padding: 1 }, Window { kernel: 7, stride: 2, padding: 3 }];

/// Kind, window and extents of a convolution.
#[derive(Clone, Debug)]
pub struct Case {
    pub kind: Kind,
    pub window: Window,
    /// Images, height and width of the input, before pooling.
    pub extents: (usize, usize, usize),
    pub widths: Vec<usize>,
    pub out: usize,
}

impl Case {
    /// A random one of that kind and window.
    pub fn new(draw: &mut Draw, kind: Kind, window: Window) -> Self {
        let low = if kind == Kind::Pooled { 2 } else { 1 };
        let mut case = Self {
            kind,
            window,
            extents: (draw.between(1, 5), draw.extent(low, 40), draw.extent(low, 40)),
            widths: match kind {
                Kind::PreActivation | Kind::Pooled => (0..draw.between(1, 5)).map(|_| draw.map_width()).collect(),
                Kind::Raw => vec![draw.map_width()],
                Kind::Pictures => vec![draw.between(1, 5)],
            },
            out: draw.between(1, 140),
        };
        while case.work() > WORK {
            let (n, h, w) = &mut case.extents;
            match draw.between(0, 4) {
                0 => *n = n.div_ceil(2),
                1 => *h = h.div_ceil(2).max(low),
                2 => *w = w.div_ceil(2).max(low),
                3 => case.out = case.out.div_ceil(2),
                _ => case.widths.truncate(case.widths.len().div_ceil(2)),
            }
        }
        case
    }

    /// Multiply-adds, borders included and pooling left out.
    fn work(&self) -> usize {
        let (n, h, w) = self.extents;
        let Window { kernel, stride, .. } = self.window;
        n * h.div_ceil(stride) * w.div_ceil(stride) * kernel * kernel * self.channels() * self.out
    }

    /// The convolution by each algorithm that applies.
    pub fn fast(&self) -> impl Iterator<Item = FastConv> + use<> {
        let tiles = self.window == winograd::WINDOW && matches!(self.kind, Kind::PreActivation | Kind::Raw);
        let algorithms = if tiles { &ALGORITHMS[..] } else { &ALGORITHMS[..1] };
        let shape = self.shape();
        algorithms.iter().map(move |&algorithm| FastConv { shape, algorithm })
    }

    /// Channels and window.
    pub fn shape(&self) -> ConvShape {
        ConvShape { in_channels: self.channels(), out_channels: self.out, window: self.window }
    }

    /// Whether what it reads has a gradient: pictures have none, and no network needs that of raw maps.
    pub fn has_data_gradient(&self) -> bool {
        matches!(self.kind, Kind::PreActivation | Kind::Pooled) && self.window.stride == 1
    }

    /// The pooling between the pre-activation and the convolution.
    pub fn pooling(&self) -> Pooling {
        if self.kind == Kind::Pooled { Pooling::Average2x2 } else { Pooling::None }
    }

    /// The reference convolution.
    pub fn conv(&self) -> Conv {
        let Window { kernel, stride, padding } = self.window;
        Conv { out_channels: self.out, kernel, stride, padding }
    }

    /// Channels that the convolution reads.
    pub fn channels(&self) -> usize {
        self.widths.iter().sum()
    }

    /// Random weights `[out][in][kernel][kernel]` that keep the order of magnitude.
    pub fn weights(&self, draw: &mut Draw) -> Vec<f64> {
        let depth = self.channels() * self.window.kernel * self.window.kernel;
        draw.values(self.out * depth, (3.0 / depth as f64).sqrt())
    }

    /// What the convolution sees of what `reader` reads, `(N, C, H, W)`.
    pub fn seen(&self, reader: &Reader) -> (Shape4, Vec<f64>) {
        match self.kind {
            Kind::PreActivation => (reader.shape, relu::forward(&reader.z())),
            Kind::Pooled => {
                (Pool::HALVE.output(reader.shape), Pool::HALVE.average(reader.shape, &relu::forward(&reader.z())))
            }
            Kind::Raw | Kind::Pictures => (reader.shape, reader.x.clone()),
        }
    }

    /// Calls `with` with the input as the fast operations take it.
    pub fn input<T: Real, R>(&self, reader: &Reader, with: impl FnOnce(&Input<'_, T>) -> R) -> R {
        let typed = Typed::<T>::new(reader);
        match self.kind {
            Kind::PreActivation | Kind::Pooled => {
                let (maps, affine, pooling) = (typed.maps(), typed.affine(), self.pooling());
                with(&Input::PreActivation { maps, affine, pooling })
            }
            Kind::Raw => with(&Input::Raw { data: &typed.data, grid: grid(reader.shape), channels: self.channels() }),
            Kind::Pictures => {
                let data = &elements(&reader.x);
                with(&Input::Pictures { data, grid: grid(reader.shape), channels: self.channels() })
            }
        }
    }
}

/// Calls `check` with `rounds` cases of every kind and window: their description, draws and shapes.
pub fn for_each_case(test: u64, rounds: u64, check: impl Fn(&str, &mut Draw, &Case)) {
    let kinds = [Kind::PreActivation, Kind::Pooled, Kind::Raw, Kind::Pictures];
    let rounds = if cfg!(miri) { 1 } else { rounds };
    for seed in 0..rounds * (kinds.len() * WINDOWS.len()) as u64 {
        let (kind, window) = (kinds[seed as usize % kinds.len()], WINDOWS[seed as usize / kinds.len() % WINDOWS.len()]);
        let mut draw = Draw::new(test, seed);
        let case = Case::new(&mut draw, kind, window);
        check(&format!("seed {seed}, {case:?}"), &mut draw, &case);
    }
}
