//! Maps of what speaks for a class, against PyTorch's.

use densenet::explain::{ActivationMaps, Target, occlusion};
use densenet::output::Output;
use ndarray::Axis;

use crate::goldens::folder;
use crate::outputs::{Outputs, pictures, read};

#[test]
fn maps_are_pytorchs() {
    let outputs = Outputs::load(&folder().with_file_name("explain.safetensors"));
    let (config, network) = read(&folder().join("torchvision.pth"));
    let images = pictures((2, 3, 64, 56));
    let maps = ActivationMaps::new(&network, images.view()).unwrap();
    let map = |image, class| maps.map(image, Target::class(class)).unwrap();
    let all = (0..2).flat_map(|image| (0..config.num_classes).flat_map(move |class| map(image, class)));
    outputs.assert_near("maps", all.map(f64::from), 1e-5);
    let image = images.index_axis(Axis(0), 0);
    let occluded = occlusion(&network, &Output::softmax(), image, 20, Target::class(3)).unwrap();
    outputs.assert_near("occlusion.3", occluded.into_iter().map(f64::from), 1e-4);
}
