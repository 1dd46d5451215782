//! From `(N, C, H, W)`, as the references have it, to feature maps one after the other, and back.

use densenet_kernels::Scalar;
use densenet_kernels::reference::Shape4;

/// Feature maps of `widths` channels, each `[image][y][x][channel]`, of `x` `(N, C, H, W)`.
pub fn to_maps<T: Scalar>(shape: Shape4, widths: &[usize], x: &[f64]) -> Vec<T> {
    places(shape, widths).map(|place| T::of(x[place])).collect()
}

/// `(N, C, H, W)` of feature maps of `widths` channels.
pub fn from_maps<T: Scalar>(shape: Shape4, widths: &[usize], maps: &[T]) -> Vec<f64> {
    assert_eq!(maps.len(), shape.len());
    let mut x = vec![f64::NAN; shape.len()];
    for (place, value) in places(shape, widths).zip(maps) {
        x[place] = value.f64();
    }
    x
}

/// Places in `(N, C, H, W)` of the elements of feature maps, in the order of the maps.
fn places(shape: Shape4, widths: &[usize]) -> impl Iterator<Item = usize> {
    assert_eq!(widths.iter().sum::<usize>(), shape.c);
    let firsts = widths.iter().scan(0, |first, &width| {
        *first += width;
        Some((*first - width, width))
    });
    firsts.flat_map(move |(first, width)| {
        let pixels = (0..shape.n).flat_map(move |n| (0..shape.plane()).map(move |p| (n, p)));
        pixels.flat_map(move |(n, p)| (first..first + width).map(move |c| shape.index(n, c, 0, 0) + p))
    })
}
