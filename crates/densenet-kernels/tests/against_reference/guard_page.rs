//! No operation reads or writes outside of what it is given: every operand ends where a page begins that nobody may touch, or
//! begins where one ends.

use densenet_kernels::batch_norm::{Correction, Normalised, Uncorrected, Write, finish};
use densenet_kernels::conv::{self, ConvShape, Epilogue, MathMode, OutputGradient};
use densenet_kernels::stem::Pool;
use densenet_kernels::{Affine, FeatureMaps, Grid, Input, Pooling, Window, head, linear, stem};

use crate::check::on_every_set;
use crate::conv_case::{Case, Kind, WINDOWS};
use crate::draw::Draw;
use crate::guarded_memory::{Guarded, Side};

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
    let (mut y, mut dw) = (Guarded::zeros(side, dy.len()), Guarded::zeros(side, weight.len()));
    let mut dx = Guarded::zeros(side, reader.x.len());
    let epilogue = Epilogue { bias: Some(&bias), relu: true, dropout: None, skip: Some(&skip) };
    for mode in [MathMode::Strict, MathMode::Bf16] {
        conv::forward(&conv::pack(shape, &weight, output.height, mode), &input, &epilogue, &mut y);
    }
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
                let window = Pool::IMAGENET.window();
                let pooled = window.output(reader.grid).pixels() * channels;
                let (mut y, dy) = (Guarded::zeros(side, pooled), Guarded::random(&mut draw, side, pooled));
                let mut dx = Guarded::zeros(side, reader.x.len());
                let normalised = reader.normalised(Pooling::None);
                for pool in [Pool::Max(window), Pool::Average(window)] {
                    stem::forward(&reader.maps(), reader.affine(), pool, &mut y);
                    stem::backward(&normalised, pool, &dy, &mut dx);
                }
                let mut pixels = Guarded::zeros(side, reader.x.len());
                head::forward(&reader.maps(), reader.affine(), true, head::Pool::Flatten, &mut pixels);
                head::backward(&normalised, true, head::Pool::Flatten, &pixels, &mut dx);
                let images = extents.0;
                let mut features = Guarded::zeros(side, images * channels);
                for pool in [head::Pool::Max, head::Pool::Average] {
                    head::forward(&reader.maps(), reader.affine(), true, pool, &mut features);
                    head::backward(&normalised, true, pool, &features, &mut dx);
                }
                let classes = draw.between(1, 70);
                let weight = Guarded::random(&mut draw, side, classes * channels);
                let (bias, mut logits) =
                    (Guarded::random(&mut draw, side, classes), Guarded::zeros(side, images * classes));
                linear::forward(&features, &linear::pack(&weight, classes), &bias, false, &mut logits);
                let (mut dw, mut db) = (Guarded::zeros(side, weight.len()), Guarded::zeros(side, classes));
                linear::backward_weights(&features, &logits, &mut dw, &mut db);
                linear::backward_data(&logits, &weight, classes, &mut features);
            });
        }
    }
}
