//! JPEG components, each decoded separately, assembled as libjpeg-turbo does: coarser ones upsampled with its triangle
//! filter (`jdsample.c`), luma and chroma converted to colours (`jdcolor.c`).

use libjpeg_turbo_rs::{FrameHeader, RawImage};

/// One component's samples.
struct Plane<'a> {
    samples: &'a [u8],
    /// Samples from one row to the next.
    stride: usize,
    /// Rows that belong to the picture.
    height: usize,
    /// Columns that belong to the picture.
    width: usize,
    /// Rows and columns of the picture per sample.
    down: usize,
    across: usize,
}

impl Plane<'_> {
    fn at(&self, row: usize, column: usize) -> u32 {
        u32::from(self.samples[row.min(self.height - 1) * self.stride + column.min(self.width - 1)])
    }

    /// The component at row `y` and column `x` of the picture.
    fn sample(&self, y: usize, x: usize) -> u8 {
        // A pixel lies in the half of its sample that is nearer to another sample: three parts of its own, one of the
        // other.
        let [(row, next_row), (column, next_column)] = [y, x].map(|i| (i / 2, (i / 2 + 2 * (i % 2)).saturating_sub(1)));
        let (odd_row, odd_column) = (y as u32 % 2, x as u32 % 2);
        let value = match (self.down, self.across) {
            (1, 2) if self.width > 2 => (3 * self.at(y, column) + self.at(y, next_column) + 1 + odd_column) >> 2,
            (2, 1) => (3 * self.at(row, x) + self.at(next_row, x) + 1 + odd_row) >> 2,
            (2, 2) if self.width > 2 => {
                let sum = |column| 3 * self.at(row, column) + self.at(next_row, column);
                (3 * sum(column) + sum(next_column) + 8 - odd_column) >> 4
            }
            (down, across) => self.at(y / down, x / across),
        };
        value as u8
    }
}

/// `[height, width, components]`: the file's values for every pixel; `None` where one component's samples are not a
/// whole multiple of another's, which libjpeg does not decode.
pub(super) fn interleaved(header: &FrameHeader, raw: &RawImage) -> Option<Vec<u8>> {
    let factors =
        header.components.iter().map(|c| (usize::from(c.vertical_sampling), usize::from(c.horizontal_sampling)));
    let factors: Vec<(usize, usize)> = factors.collect();
    let most = factors.iter().fold((1, 1), |most, own| (most.0.max(own.0), most.1.max(own.1)));
    if factors.iter().any(|own| !most.0.is_multiple_of(own.0) || !most.1.is_multiple_of(own.1)) {
        return None;
    }
    let plane = |(i, own): (usize, &(usize, usize))| Plane {
        samples: &raw.planes[i],
        stride: raw.plane_widths[i],
        height: (raw.height * own.0).div_ceil(most.0),
        width: (raw.width * own.1).div_ceil(most.1),
        down: most.0 / own.0,
        across: most.1 / own.1,
    };
    let planes: Vec<Plane<'_>> = factors.iter().enumerate().map(plane).collect();
    let mut pixels = Vec::with_capacity(planes.len() * raw.height * raw.width);
    for y in 0..raw.height {
        for x in 0..raw.width {
            pixels.extend(planes.iter().map(|plane| plane.sample(y, x)));
        }
    }
    Some(pixels)
}

/// Red, green and blue from luma and two chromas according to ITU-R 601, in 16-bit fixed point.
pub(super) fn rgb_of_luma([luma, blue, red]: [u8; 3]) -> [u8; 3] {
    let (luma, blue, red) = (i32::from(luma), i32::from(blue) - 128, i32::from(red) - 128);
    let rgb = [
        luma + ((91_881 * red + 0x8000) >> 16),
        luma + ((0x8000 - 22_554 * blue - 46_802 * red) >> 16),
        luma + ((116_130 * blue + 0x8000) >> 16),
    ];
    rgb.map(|value| value.clamp(0, 255) as u8)
}
