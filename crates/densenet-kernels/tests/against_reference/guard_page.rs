//! No operation reads or writes outside of what it is given: every operand ends where a page begins that nobody may touch, or
//! begins where one ends.
#![allow(unsafe_code)]

use std::ops::{Deref, DerefMut};

use densenet_kernels::batch_norm::{Correction, Normalised, Uncorrected, Write, finish};
use densenet_kernels::conv::{self, ConvShape, Epilogue, OutputGradient};
use densenet_kernels::{Affine, FeatureMaps, Grid, Input, Pooling, Window, head, linear, stem};

use crate::check::on_every_set;
use crate::conv_case::{Case, Kind, WINDOWS};
use crate::draw::Draw;

/// Which end of the memory a page follows or precedes.
#[derive(Clone, Copy, Debug)]
enum Side {
    Before,
    After,
}

/// Numbers beside a page that nobody may touch.
struct Guarded {
    pages: *mut libc::c_void,
    bytes: usize,
    first: *mut f32,
    len: usize,
}

impl Guarded {
    /// Random numbers.
    fn random(draw: &mut Draw, side: Side, len: usize) -> Self {
        let mut guarded = Self::new(side, len);
        guarded.copy_from_slice(&draw.values(len, 1.0).iter().map(|&value| value as f32).collect::<Vec<_>>());
        guarded
    }

    /// Room for results.
    fn new(side: Side, len: usize) -> Self {
        // SAFETY: asking for a page's size has no condition.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let inside = (len * size_of::<f32>()).next_multiple_of(page);
        let bytes = inside + page;
        // SAFETY: new anonymous memory, of which one page at an end becomes inaccessible; `first` begins `len` numbers inside.
        unsafe {
            let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let pages = libc::mmap(std::ptr::null_mut(), bytes, access, kind, -1, 0);
            assert_ne!(pages, libc::MAP_FAILED, "{bytes} bytes");
            let (forbidden, first) = match side {
                Side::Before => (pages, pages.byte_add(page).cast::<f32>()),
                Side::After => (pages.byte_add(inside), pages.byte_add(inside).cast::<f32>().sub(len)),
            };
            assert_eq!(libc::mprotect(forbidden, page, libc::PROT_NONE), 0, "a page that nobody may touch");
            Self { pages, bytes, first, len }
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: what `new` mapped, and nobody borrows.
        unsafe { libc::munmap(self.pages, self.bytes) };
    }
}

impl Deref for Guarded {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `new` made room for as many numbers, which are zero at first.
        unsafe { std::slice::from_raw_parts(self.first, self.len) }
    }
}

impl DerefMut for Guarded {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and `self` is borrowed for writing.
        unsafe { std::slice::from_raw_parts_mut(self.first, self.len) }
    }
}

/// A batch-norm over some maps, all of it beside guard pages.
struct Reader {
    x: Guarded,
    mean: Guarded,
    inv_std: Guarded,
    gamma: Guarded,
    scale: Guarded,
    shift: Guarded,
    grid: Grid,
    map_channels: Vec<usize>,
}

impl Reader {
    fn new(
        draw: &mut Draw,
        side: Side,
        (images, height, width): (usize, usize, usize),
        map_channels: &[usize],
    ) -> Self {
        let channels: usize = map_channels.iter().sum();
        let mut values = |len| Guarded::random(draw, side, len);
        Self {
            x: values(images * height * width * channels),
            mean: values(channels),
            inv_std: values(channels),
            gamma: values(channels),
            scale: values(channels),
            shift: values(channels),
            grid: Grid { images, height, width },
            map_channels: map_channels.into(),
        }
    }

    fn maps(&self) -> FeatureMaps<'_, f32> {
        FeatureMaps::new(&self.x, self.grid, &self.map_channels)
    }

    fn affine(&self) -> Affine<'_, f32> {
        Affine { scale: &self.scale, shift: &self.shift }
    }

    fn normalised(&self, pooling: Pooling) -> Normalised<'_, f32> {
        let Self { mean, inv_std, gamma, .. } = self;
        Normalised { maps: self.maps(), mean, inv_std, gamma, affine: self.affine(), pooling }
    }
}

/// Forward and backward of a convolution, with whichever algorithm suits it.
fn convolution(draw: &mut Draw, side: Side, case: &Case) {
    let reader = Reader::new(draw, side, case.extents, &case.widths);
    let shape = ConvShape { in_channels: case.channels(), out_channels: case.out, window: case.window };
    let input = match case.kind {
        Kind::PreActivation | Kind::Pooled => {
            Input::PreActivation { maps: reader.maps(), affine: reader.affine(), pooling: case.pooling() }
        }
        Kind::Raw => Input::Raw { data: &reader.x, grid: reader.grid, channels: case.channels() },
        Kind::Pictures => Input::Pictures { data: &reader.x, grid: reader.grid, channels: case.channels() },
    };
    let output = case.window.output(input.grid());
    let weight = Guarded::random(draw, side, case.out * case.channels() * case.window.kernel * case.window.kernel);
    let (bias, dy) = (Guarded::random(draw, side, case.out), Guarded::random(draw, side, output.pixels() * case.out));
    let skip = Guarded::random(draw, side, dy.len());
    let (mut y, mut dw) = (Guarded::new(side, dy.len()), Guarded::new(side, weight.len()));
    let mut dx = Guarded::new(side, reader.x.len());
    let epilogue = Epilogue { bias: Some(&bias), relu: true, dropout: None, skip: Some(&skip) };
    conv::forward(&conv::pack(shape, &weight, output.height), &input, &epilogue, &mut y);
    conv::forward_with_moments(shape, &input, &weight, &epilogue, &mut y);
    conv::backward_weights(shape, &input, &OutputGradient::Finished { dy: &dy, channels: case.out }, &mut dw);
    if matches!(case.kind, Kind::PreActivation | Kind::Pooled) && case.window.stride == 1 {
        let normalised = reader.normalised(case.pooling());
        conv::backward_data(shape, &dy, &weight, &normalised, Write::Overwrite, &mut dx);
        conv::backward_data(shape, &dy, &weight, &normalised, Write::Accumulate, &mut dx);
        if case.window == Window::POINT && case.kind == Kind::PreActivation {
            let values = [0; 4].map(|_| Guarded::random(draw, side, case.out));
            let [mean, inv_std, s0, s1] = values.each_ref().map(|values| &values[..]);
            let uncorrected = Uncorrected { g: &dy, map: &skip, correction: Correction { mean, inv_std, s0, s1 } };
            conv::backward_1x1(&uncorrected, &weight, &normalised, Write::Accumulate, &mut dx, &mut dw);
            finish(&mut y, &skip, &uncorrected.correction);
        }
    }
}

#[test]
fn convolutions_stay_inside_their_operands() {
    for side in [Side::Before, Side::After] {
        for seed in 0..36 {
            let kinds = [Kind::PreActivation, Kind::Pooled, Kind::Raw, Kind::Pictures];
            let kind = kinds[seed as usize % 4];
            let window = if kind == Kind::Pooled { Window::POINT } else { WINDOWS[seed as usize / 4 % 3] };
            on_every_set(|| {
                let mut draw = Draw::new(22, seed);
                let case = Case::new(&mut draw, kind, window);
                convolution(&mut draw, side, &case);
            });
        }
    }
}

#[test]
fn stem_head_and_linear_layer_stay_inside_their_operands() {
    for side in [Side::Before, Side::After] {
        for seed in 0..12 {
            on_every_set(|| {
                let mut draw = Draw::new(23, seed);
                let extents = (draw.between(1, 3), draw.extent(1, 20), draw.extent(1, 20));
                let channels = draw.map_width();
                let reader = Reader::new(&mut draw, side, extents, &[channels]);
                let pooled = stem::POOL.output(reader.grid).pixels() * channels;
                let (mut y, dy) = (Guarded::new(side, pooled), Guarded::random(&mut draw, side, pooled));
                let mut dx = Guarded::new(side, reader.x.len());
                let normalised = reader.normalised(Pooling::None);
                stem::forward(&reader.maps(), reader.affine(), stem::POOL, &mut y);
                stem::backward(&normalised, stem::POOL, &dy, &mut dx);
                let images = extents.0;
                let mut features = Guarded::new(side, images * channels);
                head::forward(&reader.maps(), reader.affine(), true, &mut features);
                head::backward(&normalised, true, &features, &mut dx);
                let classes = draw.between(1, 70);
                let weight = Guarded::random(&mut draw, side, classes * channels);
                let (bias, mut logits) =
                    (Guarded::random(&mut draw, side, classes), Guarded::new(side, images * classes));
                linear::forward(&features, &linear::pack(&weight, classes), &bias, &mut logits);
                let (mut dw, mut db) = (Guarded::new(side, weight.len()), Guarded::new(side, classes));
                linear::backward_weights(&features, &logits, &mut dw, &mut db);
                linear::backward_data(&logits, &weight, classes, &mut features);
            });
        }
    }
}
