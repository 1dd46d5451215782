//! Inference in eight bits: equal, not near, on every instruction set and any number of threads.

use densenet_kernels::conv::ConvShape;
use densenet_kernels::int8::{self, IntegerInput};
use densenet_kernels::reference::conv::Conv;
use densenet_kernels::reference::int8::{conv_sums, picture_bytes, requantize, requantize_mean};
use densenet_kernels::reference::{Shape4, pool};
use densenet_kernels::simd::Isa;
use densenet_kernels::stem::Pool;
use densenet_kernels::{Affine, FeatureMaps, Grid, Pooling, Window};

use crate::check::on_every_set;
use crate::draw::{Draw, cases};

const WINDOWS: [Window; 4] = [
    Window::POINT,
    Window { kernel: 3, stride: 1, padding: 1 },
    Window { kernel: 5, stride: 2, padding: 1 },
    Window { kernel: 3, stride: 2, padding: 0 },
];

/// What is written over.
const POISON: u8 = 170;

/// A scale and a shift of each channel.
struct Scales {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Scales {
    /// Such as spread values up to `bound` over more than a byte.
    fn draw(draw: &mut Draw, channels: usize, bound: f32) -> Self {
        let numbers = |draw: &mut Draw, bound| draw.values(channels, bound).into_iter().map(|v| v as f32).collect();
        Self { scale: numbers(draw, f64::from(320.0 / bound)), shift: numbers(draw, 200.0) }
    }

    fn affine(&self) -> Affine<'_, f32> {
        Affine { scale: &self.scale, shift: &self.shift }
    }

    /// The bytes, `[image][y][x][channel]`, of `sums` `(N, C, H, W)` of `shape`.
    fn written(&self, shape: Shape4, sums: &[i32]) -> Vec<u8> {
        let channels = (0..shape.c).cycle();
        channels_last(shape, sums)
            .zip(channels)
            .map(|(sum, c)| requantize(sum as f32, self.scale[c], self.shift[c]))
            .collect()
    }
}

/// A convolution of feature maps or of activations.
struct Case {
    shape: Shape4,
    /// Channels of each map.
    widths: Vec<usize>,
    window: Window,
    /// What normalises the maps; none for activations.
    read: Option<(Scales, Pooling)>,
    out: usize,
    /// The maps, one after the other, `[image][y][x][channel]`.
    maps: Vec<u8>,
    weight: Vec<i8>,
    write: Scales,
}

impl Case {
    fn draw(draw: &mut Draw, seed: u64) -> Self {
        let raw = seed.is_multiple_of(3);
        let widths: Vec<usize> = (0..if raw { 1 } else { draw.between(1, 4) }).map(|_| draw.map_width()).collect();
        let window = WINDOWS[draw.between(0, WINDOWS.len() - 1)];
        let pooling = if window == Window::POINT && draw.coin() { Pooling::Average2x2 } else { Pooling::None };
        let shape = Shape4::new(draw.between(1, 3), widths.iter().sum(), draw.extent(3, 20), draw.extent(3, 20));
        let out = draw.map_width();
        let kernels = out * shape.c * window.kernel * window.kernel;
        let byte = |draw: &mut Draw| {
            if draw.coin() { draw.between(0, 255) as u8 } else { [0, 127, 128, 255][draw.between(0, 3)] }
        };
        Self {
            maps: (0..shape.len()).map(|_| byte(draw)).collect(),
            weight: (0..kernels).map(|_| byte(draw) as i8).collect(),
            read: (!raw).then(|| (Scales::draw(draw, shape.c, 255.0), pooling)),
            write: Scales::draw(draw, out, 20_000.0),
            shape,
            widths,
            window,
            out,
        }
    }

    fn grid(&self) -> Grid {
        Grid { images: self.shape.n, height: self.shape.h, width: self.shape.w }
    }

    /// The byte of each place in `(N, C, H, W)`.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.shape.len()];
        let (mut first, mut maps) = (0, &self.maps[..]);
        for &width in &self.widths {
            let (map, rest) = maps.split_at(self.shape.n * self.shape.plane() * width);
            for (i, &byte) in map.iter().enumerate() {
                let (pixel, c) = (i / width, i % width);
                let (n, place) = (pixel / self.shape.plane(), pixel % self.shape.plane());
                bytes[self.shape.index(n, first + c, 0, 0) + place] = byte;
            }
            (first, maps) = (first + width, rest);
        }
        bytes
    }

    /// What the convolution multiplies.
    fn activations(&self) -> (Shape4, Vec<u8>) {
        let bytes = self.bytes();
        let Some((Scales { scale, shift }, pooling)) = &self.read else { return (self.shape, bytes) };
        let channel = |place: usize| place / self.shape.plane() % self.shape.c;
        if *pooling == Pooling::None {
            let of =
                |(place, &byte): (usize, &u8)| requantize(byte.into(), scale[channel(place)], shift[channel(place)]);
            return (self.shape, bytes.iter().enumerate().map(of).collect());
        }
        let pooled = pool::Pool::HALVE.output(self.shape);
        let of = |place: usize| {
            let (n, c) = (place / pooled.plane() / pooled.c, place / pooled.plane() % pooled.c);
            let (y, x) = (place % pooled.plane() / pooled.w, place % pooled.w);
            let four = [(0, 0), (0, 1), (1, 0), (1, 1)]
                .map(|(v, u)| f32::from(bytes[self.shape.index(n, c, 2 * y + v, 2 * x + u)]));
            requantize_mean(four, scale[c], shift[c])
        };
        (pooled, (0..pooled.len()).map(of).collect())
    }

    /// The output, `[image][y][x][channel]`.
    fn expected(&self) -> Vec<u8> {
        let (shape, activations) = self.activations();
        let Window { kernel, stride, padding } = self.window;
        let conv = Conv { out_channels: self.out, kernel, stride, padding };
        let output = conv.output(shape);
        self.write.written(output, &conv_sums(&conv, shape, &activations, &self.weight))
    }

    fn run(&self, output: &mut [u8]) {
        let shape = ConvShape { in_channels: self.shape.c, out_channels: self.out, window: self.window };
        let conv = int8::pack(shape, &self.weight);
        let input = match &self.read {
            Some((scales, pooling)) => IntegerInput::PreActivation {
                maps: FeatureMaps::new(&self.maps, self.grid(), &self.widths),
                affine: scales.affine(),
                pooling: *pooling,
            },
            None => IntegerInput::Raw { data: &self.maps, grid: self.grid(), channels: self.shape.c },
        };
        int8::forward(&conv, &input, self.write.affine(), output);
    }
}

/// Runs `operation` on `len` poisoned bytes with others around them, which it must leave alone.
fn poisoned(name: &str, len: usize, operation: impl FnOnce(&mut [u8])) -> Vec<u8> {
    const GUARD: usize = 67;
    let mut memory = vec![POISON; len + 2 * GUARD];
    operation(&mut memory[GUARD..GUARD + len]);
    let beside = memory[..GUARD].iter().chain(&memory[GUARD + len..]);
    assert!(beside.clone().all(|&byte| byte == POISON), "{name}: wrote beside its output");
    memory[GUARD..GUARD + len].to_vec()
}

#[test]
fn convolutions_are_the_references() {
    for seed in cases(150) {
        let case = Case::draw(&mut Draw::new(40, seed), seed);
        let name = format!("seed {seed}, {:?} of {:?}, {:?}, {} out", case.shape, case.widths, case.window, case.out);
        let expected = case.expected();
        on_every_set(|| {
            let got = poisoned(&name, expected.len(), |output| case.run(output));
            let wrong = got.iter().zip(&expected).position(|(got, expected)| got != expected);
            assert!(wrong.is_none(), "{name}: element {wrong:?} differs");
        });
    }
}

#[test]
fn bytes_do_not_depend_on_the_number_of_threads() {
    for seed in cases(12) {
        let case = Case::draw(&mut Draw::new(41, seed), seed);
        let expected = case.expected();
        for threads in [1, 3, 16] {
            let pool = Isa::current().thread_pool(threads).expect("a few threads");
            let got = pool.install(|| poisoned("on threads", expected.len(), |output| case.run(output)));
            assert!(got == expected, "seed {seed} on {threads} threads");
        }
    }
}

#[test]
fn bytes_become_numbers() {
    for seed in cases(40) {
        let mut draw = Draw::new(42, seed);
        let (channels, pixels) = (draw.map_width(), draw.extent(1, 700));
        let scales = Scales::draw(&mut draw, channels, 4.0);
        let of = |i: usize| (scales.scale[i % channels], scales.shift[i % channels]);
        let bytes: Vec<u8> = (0..channels * pixels).map(|_| draw.between(0, 255) as u8).collect();
        let numbers: Vec<f32> = bytes.iter().enumerate().map(|(i, &q)| f32::from(q) * of(i).0 + of(i).1).collect();
        on_every_set(|| {
            let mut got = vec![f32::NAN; numbers.len()];
            int8::dequantize(&bytes, scales.affine(), &mut got);
            assert!(got == numbers, "seed {seed}");
        });
    }
}

/// A convolution of pictures, as a stem has it.
struct Pictures {
    shape: Shape4,
    /// `(N, C, H, W)`.
    values: Vec<f32>,
    window: Window,
    out: usize,
    weight: Vec<i8>,
    read: Scales,
    write: Scales,
}

impl Pictures {
    /// The stems of the networks among them, and windows whose rows fill no group of four.
    fn draw(draw: &mut Draw) -> Self {
        let windows = [(7, 2, 3), (3, 1, 1), (1, 1, 0), (5, 3, 2), (2, 2, 1), (3, 2, 0)];
        let (kernel, stride, padding) = windows[draw.between(0, windows.len() - 1)];
        let channels = [1, 3, 3, 4, 5][draw.between(0, 4)];
        let least = kernel - padding;
        let shape = Shape4::new(draw.between(1, 3), channels, draw.extent(least, 30), draw.extent(least, 30 + least));
        let out = draw.map_width();
        let mut values: Vec<f32> = draw.values(shape.len(), 3.0).into_iter().map(|value| value as f32).collect();
        // Far outside of what becomes a byte, and what is no number.
        let odd = [f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30, f32::NAN, -0.0];
        for value in odd {
            let place = draw.between(0, shape.len() - 1);
            values[place] = value;
        }
        let weight = (0..out * channels * kernel * kernel).map(|_| draw.between(0, 255) as u8 as i8).collect();
        let read = Scales {
            scale: (0..channels).map(|_| 30.0 + 30.0 * draw.uniform() as f32).collect(),
            shift: (0..channels).map(|_| 300.0 * draw.uniform() as f32 - 20.0).collect(),
        };
        let write = Scales::draw(draw, out, 40_000.0);
        Self { shape, values, window: Window { kernel, stride, padding }, out, weight, read, write }
    }

    fn grid(&self) -> Grid {
        Grid { images: self.shape.n, height: self.shape.h, width: self.shape.w }
    }

    /// The output, `[image][y][x][channel]`.
    fn expected(&self) -> Vec<u8> {
        let Window { kernel, stride, padding } = self.window;
        let Scales { scale, shift } = &self.read;
        let (padded, bytes) = picture_bytes(self.shape, &self.values, padding, scale, shift);
        let conv = Conv { out_channels: self.out, kernel, stride, padding: 0 };
        let output = conv.output(padded);
        self.write.written(output, &conv_sums(&conv, padded, &bytes, &self.weight))
    }

    fn run(&self, output: &mut [u8]) {
        let shape = ConvShape { in_channels: self.shape.c, out_channels: self.out, window: self.window };
        let conv = int8::pack_for_pictures(shape, &self.weight);
        let input = IntegerInput::Pictures { data: &self.values, grid: self.grid(), affine: self.read.affine() };
        int8::forward(&conv, &input, self.write.affine(), output);
    }
}

/// The elements of `values` `(N, C, H, W)` in the order `[image][y][x][channel]`.
fn channels_last<T: Copy>(shape: Shape4, values: &[T]) -> impl Iterator<Item = T> {
    (0..shape.len()).map(move |i| {
        let (pixel, c) = (i / shape.c, i % shape.c);
        values[shape.index(pixel / shape.plane(), c, 0, 0) + pixel % shape.plane()]
    })
}

#[test]
fn convolutions_of_pictures_are_the_references() {
    for seed in cases(120) {
        let case = Pictures::draw(&mut Draw::new(43, seed));
        let name = format!("seed {seed}, {:?}, {:?}, {} out", case.shape, case.window, case.out);
        let expected = case.expected();
        on_every_set(|| {
            let got = poisoned(&name, expected.len(), |output| case.run(output));
            let wrong = got.iter().zip(&expected).position(|(got, expected)| got != expected);
            assert!(wrong.is_none(), "{name}: element {wrong:?} differs");
        });
        for threads in [1, 5] {
            let pool = Isa::current().thread_pool(threads).expect("a few threads");
            let got = pool.install(|| poisoned("on threads", expected.len(), |output| case.run(output)));
            assert!(got == expected, "{name} on {threads} threads");
        }
    }
}

#[test]
fn pooled_bytes_are_the_references() {
    for seed in cases(120) {
        let mut draw = Draw::new(44, seed);
        let shape = Shape4::new(
            draw.between(1, 3),
            draw.map_width() + 70 * draw.between(0, 2),
            draw.extent(1, 24),
            draw.extent(1, 24),
        );
        let kernel = draw.between(1, 6.min(shape.h.min(shape.w)));
        let other = Window { kernel, stride: draw.between(1, 7), padding: draw.between(0, kernel / 2) };
        let by = match seed % 4 {
            0 => Pool::IMAGENET,
            1 => Pool::Max(other),
            2 => Pool::Average(Pool::IMAGENET.window()),
            _ => Pool::Average(other),
        };
        let maps: Vec<u8> = (0..shape.len()).map(|_| draw.between(0, 255) as u8).collect();
        let values: Vec<f32> = maps.iter().map(|&byte| byte.into()).collect();
        let Window { kernel, stride, padding } = by.window();
        let window = pool::Pool { kernel, stride, padding };
        let pooled = match by {
            Pool::Max(_) => window.max(shape, &values).0,
            Pool::Average(_) => window.average(shape, &values),
        };
        let expected: Vec<u8> =
            channels_last(window.output(shape), &pooled).map(|value| value.round_ties_even() as u8).collect();
        let maps: Vec<u8> = channels_last(shape, &maps).collect();
        let grid = Grid { images: shape.n, height: shape.h, width: shape.w };
        let name = format!("seed {seed}, {by:?}, {shape:?}");
        on_every_set(|| {
            let got = poisoned(&name, expected.len(), |output| int8::pool(&maps, grid, shape.c, by, output));
            assert!(got == expected, "{name}");
        });
    }
}
