//! The transforms of F(2x2, 3x3) and F(4x4, 3x3), forward and backward, one dimension at a time.
//!
//! Both are Toom-Cook products: polynomials are evaluated at a few points, multiplied there, and interpolated. Points
//! around 1 keep the numbers at a similar magnitude; ±5/8 and ±3/2 lose half as much as the usual ±1 and ±2
//! (`bench/points.py`), and the constants by which inputs and outputs are multiplied are exact in `f32`.

use std::marker::PhantomData;

use crate::scalar::Scalar;
use crate::simd::Simd;

/// Most inputs of a tile along one axis.
pub(super) const MAX_INPUTS: usize = 6;

/// Most outputs of a tile along one axis.
pub(super) const MAX_OUTPUTS: usize = 4;

/// One tile size. Arrays have room for the largest; the first `INPUTS` or `OUTPUTS` elements count.
pub(super) trait Transform {
    /// Outputs of a tile along one axis.
    const OUTPUTS: usize;
    /// Inputs of a tile along one axis, and products.
    const INPUTS: usize = Self::OUTPUTS + 2;

    /// Input at the points: `B^T d`.
    fn input<S: Simd>(simd: S, d: [S::V; MAX_INPUTS]) -> [S::V; MAX_INPUTS];
    /// Outputs from the products at the points: `A^T m`.
    fn output<S: Simd>(simd: S, m: [S::V; MAX_INPUTS]) -> [S::V; MAX_OUTPUTS];
    /// A filter at the points: `G g`.
    fn filter<S: Simd>(simd: S, g: [S::V; 3]) -> [S::V; MAX_INPUTS];
    /// Gradient at the points from the gradient of the outputs: `A dy`.
    fn dy<S: Simd>(simd: S, dy: [S::V; MAX_INPUTS]) -> [S::V; MAX_INPUTS];
    /// Gradient of a filter from the gradient at the points: `G^T du`.
    fn dw<S: Simd>(simd: S, du: [S::V; MAX_INPUTS]) -> [S::V; 3];
}

/// A transform to the points of a tile: of its inputs, or of the gradients of its outputs.
pub(super) trait ToPoints {
    /// Values of a tile along one axis.
    const VALUES: usize;
    /// Points of a tile along one axis.
    const POINTS: usize;
    /// Values from the start of one tile to the start of the next.
    const STRIDE: usize;
    /// Values of the first tile before the first pixel.
    const PADDING: usize;

    /// Values at the points.
    fn transform<S: Simd>(simd: S, values: [S::V; MAX_INPUTS]) -> [S::V; MAX_INPUTS];
}

/// Inputs of `A`'s tiles, which overlap.
pub(super) struct Inputs<A>(PhantomData<A>);

impl<A: Transform> ToPoints for Inputs<A> {
    const VALUES: usize = A::INPUTS;
    const POINTS: usize = A::INPUTS;
    const STRIDE: usize = A::OUTPUTS;
    const PADDING: usize = 1;

    #[inline(always)]
    fn transform<S: Simd>(simd: S, values: [S::V; MAX_INPUTS]) -> [S::V; MAX_INPUTS] {
        A::input(simd, values)
    }
}

/// Gradients of the outputs of `A`'s tiles.
pub(super) struct OutputGradients<A>(PhantomData<A>);

impl<A: Transform> ToPoints for OutputGradients<A> {
    const VALUES: usize = A::OUTPUTS;
    const POINTS: usize = A::INPUTS;
    const STRIDE: usize = A::OUTPUTS;
    const PADDING: usize = 0;

    #[inline(always)]
    fn transform<S: Simd>(simd: S, values: [S::V; MAX_INPUTS]) -> [S::V; MAX_INPUTS] {
        A::dy(simd, values)
    }
}

/// F(2x2, 3x3): points 0, ±1 and infinity; 16 products for 4 outputs.
pub(super) struct Two;

impl Transform for Two {
    const OUTPUTS: usize = 2;

    #[inline(always)]
    fn input<S: Simd>(simd: S, d: [S::V; MAX_INPUTS]) -> [S::V; MAX_INPUTS] {
        let at = [simd.sub(d[0], d[2]), simd.add(d[1], d[2]), simd.sub(d[2], d[1]), simd.sub(d[3], d[1])];
        [at[0], at[1], at[2], at[3], at[0], at[0]]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, m: [S::V; MAX_INPUTS]) -> [S::V; MAX_OUTPUTS] {
        let (sum, difference) = (simd.add(m[1], m[2]), simd.sub(m[1], m[2]));
        let y = [simd.add(m[0], sum), simd.add(difference, m[3])];
        [y[0], y[1], y[0], y[0]]
    }

    #[inline(always)]
    fn filter<S: Simd>(simd: S, g: [S::V; 3]) -> [S::V; MAX_INPUTS] {
        let half = constant(simd, 0.5);
        let (even, odd) = (simd.mul(simd.add(g[0], g[2]), half), simd.mul(g[1], half));
        [g[0], simd.add(even, odd), simd.sub(even, odd), g[2], g[0], g[0]]
    }

    #[inline(always)]
    fn dy<S: Simd>(simd: S, dy: [S::V; MAX_INPUTS]) -> [S::V; MAX_INPUTS] {
        [dy[0], simd.add(dy[0], dy[1]), simd.sub(dy[0], dy[1]), dy[1], dy[0], dy[0]]
    }

    #[inline(always)]
    fn dw<S: Simd>(simd: S, du: [S::V; MAX_INPUTS]) -> [S::V; 3] {
        let half = constant(simd, 0.5);
        let (even, odd) = (simd.mul(simd.add(du[1], du[2]), half), simd.mul(simd.sub(du[1], du[2]), half));
        [simd.add(du[0], even), odd, simd.add(even, du[3])]
    }
}

/// F(4x4, 3x3): points 0, ±[`P`], ±[`Q`] and infinity; 36 products for 16 outputs.
pub(super) struct Four;

const P: f64 = 0.625;
const Q: f64 = 1.5;

impl Transform for Four {
    const OUTPUTS: usize = 4;

    #[inline(always)]
    fn input<S: Simd>(simd: S, d: [S::V; MAX_INPUTS]) -> [S::V; MAX_INPUTS] {
        let (product, sum) = (constant(simd, P * P * Q * Q), constant(simd, -(P * P + Q * Q)));
        let (minus_pp, minus_qq) = (constant(simd, -P * P), constant(simd, -Q * Q));
        let zero = simd.mul_add(d[0], product, simd.mul_add(d[2], sum, d[4]));
        let infinity = simd.mul_add(d[1], product, simd.mul_add(d[3], sum, d[5]));
        let (even, odd) = (simd.mul_add(d[2], minus_qq, d[4]), simd.mul_add(d[1], minus_qq, d[3]));
        let p = simd.mul_add(odd, constant(simd, P), even);
        let minus_p = simd.mul_add(odd, constant(simd, -P), even);
        let (even, odd) = (simd.mul_add(d[2], minus_pp, d[4]), simd.mul_add(d[1], minus_pp, d[3]));
        let q = simd.mul_add(odd, constant(simd, Q), even);
        let minus_q = simd.mul_add(odd, constant(simd, -Q), even);
        [zero, p, minus_p, q, minus_q, infinity]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, m: [S::V; MAX_INPUTS]) -> [S::V; MAX_OUTPUTS] {
        let (p_even, p_odd) = (simd.add(m[1], m[2]), simd.sub(m[1], m[2]));
        let (q_even, q_odd) = (simd.add(m[3], m[4]), simd.sub(m[3], m[4]));
        [
            simd.add(m[0], simd.add(p_even, q_even)),
            simd.mul_add(p_odd, constant(simd, P), simd.mul(q_odd, constant(simd, Q))),
            simd.mul_add(p_even, constant(simd, P * P), simd.mul(q_even, constant(simd, Q * Q))),
            simd.mul_add(p_odd, constant(simd, P * P * P), simd.mul_add(q_odd, constant(simd, Q * Q * Q), m[5])),
        ]
    }

    #[inline(always)]
    fn filter<S: Simd>(simd: S, g: [S::V; 3]) -> [S::V; MAX_INPUTS] {
        let (p, q) = (1.0 / (2.0 * P * P * (P * P - Q * Q)), 1.0 / (2.0 * Q * Q * (Q * Q - P * P)));
        let p_even = simd.mul_add(g[2], constant(simd, P * P * p), simd.mul(g[0], constant(simd, p)));
        let q_even = simd.mul_add(g[2], constant(simd, Q * Q * q), simd.mul(g[0], constant(simd, q)));
        let (p_odd, q_odd) = (simd.mul(g[1], constant(simd, P * p)), simd.mul(g[1], constant(simd, Q * q)));
        [
            simd.mul(g[0], constant(simd, 1.0 / (P * P * Q * Q))),
            simd.add(p_even, p_odd),
            simd.sub(p_even, p_odd),
            simd.add(q_even, q_odd),
            simd.sub(q_even, q_odd),
            g[2],
        ]
    }

    #[inline(always)]
    fn dy<S: Simd>(simd: S, dy: [S::V; MAX_INPUTS]) -> [S::V; MAX_INPUTS] {
        let (p_even, q_even) =
            (simd.mul_add(dy[2], constant(simd, P * P), dy[0]), simd.mul_add(dy[2], constant(simd, Q * Q), dy[0]));
        let (p_odd, q_odd) = (
            simd.mul_add(dy[3], constant(simd, P * P * P), simd.mul(dy[1], constant(simd, P))),
            simd.mul_add(dy[3], constant(simd, Q * Q * Q), simd.mul(dy[1], constant(simd, Q))),
        );
        let (p, minus_p) = (simd.add(p_even, p_odd), simd.sub(p_even, p_odd));
        let (q, minus_q) = (simd.add(q_even, q_odd), simd.sub(q_even, q_odd));
        [dy[0], p, minus_p, q, minus_q, dy[3]]
    }

    #[inline(always)]
    fn dw<S: Simd>(simd: S, du: [S::V; MAX_INPUTS]) -> [S::V; 3] {
        let (p, q) = (1.0 / (2.0 * P * P * (P * P - Q * Q)), 1.0 / (2.0 * Q * Q * (Q * Q - P * P)));
        let (p_even, p_odd) = (simd.add(du[1], du[2]), simd.sub(du[1], du[2]));
        let (q_even, q_odd) = (simd.add(du[3], du[4]), simd.sub(du[3], du[4]));
        let ends = simd.mul(du[0], constant(simd, 1.0 / (P * P * Q * Q)));
        [
            simd.mul_add(p_even, constant(simd, p), simd.mul_add(q_even, constant(simd, q), ends)),
            simd.mul_add(p_odd, constant(simd, P * p), simd.mul(q_odd, constant(simd, Q * q))),
            simd.mul_add(p_even, constant(simd, P * P * p), simd.mul_add(q_even, constant(simd, Q * Q * q), du[5])),
        ]
    }
}

#[inline(always)]
fn constant<S: Simd>(simd: S, value: f64) -> S::V {
    simd.splat(S::T::of(value))
}
