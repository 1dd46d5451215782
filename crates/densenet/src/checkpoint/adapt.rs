//! Weights for a network whose ends differ from those of the network in the file.

use super::Weights;
use crate::Architecture;

/// The `weights` of `held` for `wanted`, which may differ in input channels and classes, and notes on what was changed.
/// `drawn` are initial parameters of `wanted`; `labels` are the class names of the two, empty where they are not known.
pub(super) fn adapt(
    held: &Architecture,
    weights: Weights,
    wanted: &Architecture,
    drawn: Vec<f32>,
    labels: [&[String]; 2],
) -> (Weights, Vec<String>) {
    let mut notes = Vec::new();
    let strange = labels[0] != labels[1] && labels.iter().all(|labels| !labels.is_empty());
    let classifier = |name: &str| held.classifier.iter().any(|layer| name.starts_with(&format!("{}.", layer.name)));
    let mut parameters = drawn;
    let classes = [held, wanted].map(|architecture| architecture.config.num_classes);
    let channels = [held, wanted].map(|architecture| architecture.config.in_channels);
    for from in &held.parameters {
        let Some(to) = wanted.parameters.iter().find(|to| to.name == from.name) else { continue };
        let (values, out) = (&weights.parameters[from.range.clone()], &mut parameters[to.range.clone()]);
        if strange && classifier(&from.name) {
            continue;
        }
        if from.shape == to.shape {
            out.copy_from_slice(values);
        } else if from.range == held.stem_conv.weight {
            let plane = held.stem_conv.kernel * held.stem_conv.kernel;
            adapt_channels(values, out, channels, plane);
        }
    }
    if classes[0] == 0 {
        notes.push("the file has no classifier: a new one is drawn".into());
    } else if classes[0] != classes[1] {
        notes.push(format!("the file has {} classes, not {}: a new classifier is drawn", classes[0], classes[1]));
    } else if strange {
        let [known, asked] = labels.map(|labels| labels[0].clone());
        notes.push(format!("the file has other classes ({known}, ..., not {asked}, ...): a new classifier is drawn"));
    }
    if channels[0] != channels[1] {
        let how = if channels[1] == 1 { "summed" } else { "repeated and scaled" };
        let [from, to] = channels;
        notes.push(format!("the file takes {from} input channels, not {to}: the stem's kernels are {how}"));
    }
    (Weights { parameters, running: weights.running, quantization: None }, notes)
}

/// Kernels `[out][from][plane]` as `[out][to][plane]`: summed for one channel, else repeated and scaled by `from / to`,
/// so that a picture whose channels are alike gives about the same features.
fn adapt_channels(values: &[f32], out: &mut [f32], [from, to]: [usize; 2], plane: usize) {
    for (kernels, out) in values.chunks_exact(from * plane).zip(out.chunks_exact_mut(to * plane)) {
        for (channel, out) in out.chunks_exact_mut(plane).enumerate() {
            for (i, out) in out.iter_mut().enumerate() {
                *out = match to {
                    1 => kernels.iter().skip(i).step_by(plane).sum(),
                    _ => kernels[channel % from * plane + i] * from as f32 / to as f32,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_as_timm_has_them() {
        let rgb = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut grey = [0.0; 2];
        adapt_channels(&rgb, &mut grey, [3, 1], 2);
        assert_eq!(grey, [9.0, 12.0]);
        let mut five = [0.0; 10];
        adapt_channels(&rgb, &mut five, [3, 5], 2);
        let expected = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1.0, 2.0, 3.0, 4.0].map(|v: f32| v * 3.0 / 5.0);
        assert_eq!(five, expected);
        let mut three = [0.0; 3];
        adapt_channels(&[6.0], &mut three, [1, 3], 1);
        assert_eq!(three, [2.0; 3]);
    }
}
