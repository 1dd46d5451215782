//! Values for a network whose every part then does something.

use densenet::architecture::Tensor;

/// The range that a tensor's values are drawn from: kernels and weights as Kaiming's in size, scales and variances from
/// 0.5 to 1.5, all else from -0.5 to 0.5.
pub fn bounds(tensor: &Tensor) -> (f64, f64) {
    let Tensor { name, shape, .. } = tensor;
    let positive = name.ends_with("running_var") || (name.contains("norm") && name.ends_with("weight"));
    match (shape.len(), positive) {
        (1, true) => (0.5, 1.5),
        (1, false) => (-0.5, 0.5),
        _ => {
            let bound = (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt();
            (-bound, bound)
        }
    }
}
