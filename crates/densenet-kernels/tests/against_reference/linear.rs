//! `linear::forward`, `backward_data`, `backward_weights` and `backward_relu`.

use densenet_kernels::reference::{linear as reference, relu};
use densenet_kernels::{Real, linear};

use crate::check::{assert_close, doubles, elements, guarded, on_every_set, poisoned};
use crate::draw::{Draw, cases};

/// Values of a layer, and its backward pass by the reference.
struct Layer {
    x: Vec<f64>,
    weight: Vec<f64>,
    bias: Vec<f64>,
    dy: Vec<f64>,
}

fn check<T: Real>(name: &str, layer: &Layer) {
    let out = layer.bias.len();
    let (x, weight, bias) = (elements::<T>(&layer.x), elements::<T>(&layer.weight), elements::<T>(&layer.bias));
    let dy = elements::<T>(&layer.dy);
    let packed = linear::pack(&weight, out);
    let y = [false, true].map(|relu| poisoned(name, dy.len(), |y| linear::forward(&x, &packed, &bias, relu, y)).0);
    let expected = reference::forward(&layer.x, &layer.weight, &layer.bias);
    assert_close::<T>(name, "output", &doubles(&y[0]), &expected);
    assert_close::<T>(name, "rectified output", &doubles(&y[1]), &relu::forward(&expected));
    let (masked, ()) = guarded(name, dy.clone(), |dy| linear::backward_relu(&y[1], dy));
    assert_eq!(doubles(&masked), relu::backward(&doubles(&y[1]), &layer.dy), "{name}: the ReLU's gradient");
    let expected = reference::backward(out, &layer.x, &layer.weight, &layer.dy);
    let (dx, ()) = poisoned(name, x.len(), |dx| linear::backward_data(&dy, &weight, out, dx));
    assert_close::<T>(name, "input's gradient", &doubles(&dx), &expected.dx);
    let (dw, (db, ())) =
        poisoned(name, weight.len(), |dw| poisoned(name, out, |db| linear::backward_weights(&x, &dy, dw, db)));
    assert_close::<T>(name, "weights' gradient", &doubles(&dw), &expected.dweight);
    assert_close::<T>(name, "bias's gradient", &doubles(&db), &expected.dbias);
}

#[test]
fn equals_the_reference() {
    for seed in cases(40) {
        let mut draw = Draw::new(20, seed);
        let (count, input, out) = (draw.extent(1, 70), draw.extent(1, 300), draw.extent(1, 140));
        let layer = Layer {
            x: draw.values(count * input, 1.0),
            weight: draw.values(out * input, (3.0 / input as f64).sqrt()),
            bias: draw.values(out, 1.0),
            dy: draw.values(count * out, 1.0),
        };
        let name = format!("seed {seed}, {count} rows of {input} to {out}");
        on_every_set(|| check::<f32>(&name, &layer));
        check::<f64>(&name, &layer);
    }
}

/// As PyTorch's: what is no number is passed.
#[test]
fn a_relu_passes_where_it_made_more_than_zero() {
    let mut dy = [1.0f32, 2.0, 3.0, f32::NAN, 5.0];
    linear::backward_relu(&[0.5, 0.0, f32::NAN, 0.0, 1e-30], &mut dy);
    assert_eq!(dy, [1.0, 0.0, 3.0, 0.0, 5.0]);
}
