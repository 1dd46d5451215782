//! References to training pictures, against scikit-learn: see `goldens/novelty.py`.

use densenet::checkpoint::{Contents, Reader};
use densenet::novelty::{Distances, EMBEDDINGS, MOST_FEATURES, Reference, Sample, scores};
use densenet::{Card, Config, DenseNet, torchvision};
use ndarray::{Array1, Array2, Array3, Array4, array};
use safetensors::SafeTensors;
use serde::Deserialize;

#[derive(Deserialize)]
struct Goldens {
    narrow: Case,
    wide: Case,
    scores: Scores,
}

#[derive(Deserialize)]
struct Case {
    features: Vec<Vec<f32>>,
    classes: Vec<usize>,
    held_out: Vec<Vec<f32>>,
    mahalanobis: Vec<f64>,
    neighbour: Vec<f64>,
    reach: [f64; 2],
}

#[derive(Deserialize)]
struct Scores {
    logits: Vec<Vec<f32>>,
    energy: Vec<f64>,
    softmax: Vec<f64>,
    like: Vec<f64>,
    other: Vec<f64>,
    auroc: f64,
    fpr95: f64,
}

fn goldens() -> Goldens {
    serde_json::from_str(include_str!("goldens/novelty.json")).unwrap()
}

fn rows(rows: &[Vec<f32>]) -> Array2<f32> {
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

fn fit(features: &Array2<f32>, classes: &[usize], held_out: &Array2<f32>) -> Result<Reference, String> {
    let sample = Sample { features: features.view(), classes, held_out: held_out.view() };
    Reference::fit(&sample, "made-up", "of these weights".into())
}

fn close(found: f64, wanted: f64, tolerance: f64, what: &str) {
    assert!((found - wanted).abs() <= tolerance * wanted.abs().max(0.1), "{what}: {found}, not {wanted}");
}

#[test]
fn distances_are_those_of_scikit_learn() {
    let Goldens { narrow, wide, .. } = goldens();
    for case in [narrow, wide] {
        let (features, held_out) = (rows(&case.features), rows(&case.held_out));
        let reference = fit(&features, &case.classes, &held_out).unwrap();
        let found = reference.distances(held_out.view());
        assert_eq!(found.len(), case.mahalanobis.len());
        for ((found, mahalanobis), neighbour) in found.iter().zip(case.mahalanobis).zip(case.neighbour) {
            close(found.mahalanobis, mahalanobis, 2e-6, "Mahalanobis distance");
            close(found.neighbour, neighbour, 2e-3, "distance to the nearest neighbour");
        }
        let Distances { mahalanobis, neighbour } = reference.reach();
        // One factor brings both further, and embeddings are kept in half precision.
        close(mahalanobis, case.reach[0], 2e-3, "reach of the Mahalanobis distance");
        close(neighbour, case.reach[1], 2e-3, "reach of the nearest neighbour");
    }
}

#[test]
fn scores_and_separations_are_those_of_scikit_learn() {
    let Scores { logits, energy, softmax, like, other, auroc, fpr95 } = goldens().scores;
    for ((logits, energy), softmax) in logits.into_iter().map(Array1::from).zip(energy).zip(softmax) {
        close(scores::energy(logits.view()), energy, 1e-12, "energy");
        close(scores::softmax(logits.view()), softmax, 1e-12, "softmax");
    }
    let found = scores::Separation::new(&like, &other);
    close(found.auroc, auroc, 1e-12, "AUROC");
    close(found.fpr95, fpr95, 1e-12, "FPR at 95 % TPR");
    let apart = scores::Separation::new(&[0.0, 1.0], &[2.0]);
    assert_eq!((apart.auroc, apart.fpr95), (1.0, 0.0));
}

/// Two classes about 0 and 10 with the deviation 1 in the first feature and 2 in the second, by hand.
#[test]
fn deviations_are_the_unit_of_the_distance_to_the_nearest_class() {
    let corners = |x: f32| [[x - 1.0, -2.0], [x + 1.0, -2.0], [x - 1.0, 2.0], [x + 1.0, 2.0]];
    let features: Array2<f32> = Array3::from(vec![corners(0.0), corners(10.0)]).into_shape_with_order((8, 2)).unwrap();
    let classes = [7, 7, 7, 7, 3, 3, 3, 3];
    // So many that the covariance is hardly shrunk.
    let repeated = ndarray::concatenate(ndarray::Axis(0), &vec![features.view(); 5000]).unwrap();
    let reference = fit(&repeated, &classes.repeat(5000), &features).unwrap();
    let found = reference.distances(array![[10.0, 6.0], [-2.0, 0.0], [5.0, 0.0]].view());
    for (found, wanted) in found.iter().zip([3.0, 2.0, 5.0]) {
        close(found.mahalanobis, wanted, 1e-3, "deviations");
    }
    close(reference.reach().mahalanobis, 2f64.sqrt(), 1e-3, "reach");
}

#[test]
fn features_that_never_vary_and_pictures_without_classes_do_no_harm() {
    let features = Array2::from_shape_fn((300, 4), |(i, j)| if j == 2 { 0.0 } else { ((i * (j + 3)) % 17) as f32 });
    let reference = fit(&features, &[], &features).unwrap();
    let reach = reference.reach();
    assert!(reach.mahalanobis > 0.0 && reach.mahalanobis < 10.0, "{reach:?}");
    // A feature that was never there is far.
    let found = reference.distances(array![[8.0, 8.0, 8.0, 8.0], [0.0, 0.0, 0.0, 0.0]].view());
    assert!(found[0].mahalanobis > 2.0 * reach.mahalanobis, "{found:?}");
    assert!(found.iter().all(|d| d.mahalanobis.is_finite() && d.neighbour.is_finite()), "{found:?}");
    assert_eq!((reference.num_features(), reference.origin().pictures, reference.origin().held_out), (4, 300, 300));
    const { assert!(EMBEDDINGS < 300) };
}

#[test]
fn what_no_reference_can_be_made_of_is_told() {
    let same = Array2::<f32>::ones((5, 3));
    let mut broken = Array2::from_shape_fn((5, 3), |(i, j)| (i * i + j) as f32);
    let error = |features: &Array2<f32>| fit(features, &[], features).unwrap_err();
    assert!(error(&same).contains("computes the same features for all"));
    assert!(error(&broken.slice(ndarray::s![..1, ..]).to_owned()).contains("1 training and 1 other"));
    assert!(fit(&broken, &[], &Array2::zeros((0, 3))).unwrap_err().contains("0 other"));
    broken[[1, 1]] = f32::NAN;
    assert!(error(&broken).contains("not finite"));
    let wide = Array2::zeros((2, MOST_FEATURES + 1));
    assert!(error(&wide).contains("4097 features; a reference can have at most 4096"));
}

/// A network with a reference to pictures of noise, and its card.
fn referenced() -> (DenseNet, Card) {
    let config = Config {
        block_config: vec![2, 2],
        growth_rate: 4,
        num_init_features: 8,
        num_classes: 3,
        ..Config::preset("densenet121").unwrap()
    };
    let network = DenseNet::new(&config, 5).unwrap();
    let reference = reference_of(&network);
    (network.with_reference(reference).unwrap(), Card::of(config))
}

fn pictures() -> Array4<f32> {
    Array4::from_shape_fn((12, 3, 32, 32), |(n, c, y, x)| {
        (((n * 7 + c * 5 + y * 3 + x) * (n + 2)) % 23) as f32 / 11.0 - 1.0
    })
}

fn reference_of(network: &DenseNet) -> Reference {
    let features = network.pooled(pictures().view()).unwrap();
    let classes: Vec<usize> = (0..12).map(|i| i % 3).collect();
    let sample = Sample { features: features.view(), classes: &classes, held_out: features.view() };
    Reference::fit(&sample, "made-up", network.fingerprint()).unwrap()
}

#[test]
fn a_file_keeps_the_reference_and_weights_are_read_as_before() {
    let (network, card) = referenced();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    network.save(&card, &path).unwrap();
    let (loaded, found) = DenseNet::load(&path).unwrap();
    assert_eq!((loaded.reference(), found), (network.reference(), card));
    let (pooled, logits) = loaded.pooled_and_logits(pictures().view()).unwrap();
    assert_eq!(logits, network.logits(pictures().view()).unwrap());
    let reference = loaded.reference().unwrap();
    assert_eq!(
        reference.distances(pooled.view()),
        reference.distances(network.pooled(pictures().view()).unwrap().view())
    );
    // Without the card, as where another program passes tensors and metadata on, the network is still told.
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.infer().unwrap().config.block_config, [2, 2]);
    assert!(reader.tensors().iter().any(|stored| stored.name == "reference.embeddings"));
    let mut changed = loaded;
    changed.parameters_mut()[0] += 1.0;
    assert_eq!(changed.reference(), None);
}

#[test]
fn integers_have_a_reference_of_their_own() {
    let (network, card) = referenced();
    let integers = network.quantize(&network.calibration_of_norms()).unwrap();
    assert_eq!(integers.reference(), None);
    let reference = reference_of(&integers);
    let integers = integers.with_reference(reference).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    integers.save(&card, &path).unwrap();
    let (loaded, _) = DenseNet::load(&path).unwrap();
    assert!(loaded.quantization().is_some());
    assert_eq!(loaded.reference(), integers.reference());
}

#[test]
fn formats_of_other_programs_do_not_get_it() {
    let (network, card) = referenced();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    torchvision::save(&network.contents(&card), &path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert!(file.names().iter().all(|name| !name.starts_with("reference")), "{:?}", file.names());
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    assert!(!header.metadata().as_ref().unwrap().contains_key("densenet_reference"));
}

#[test]
fn the_reference_of_another_network_is_refused() {
    let (network, card) = referenced();
    let other = DenseNet::<f32>::new(&card.config, 6).unwrap();
    let reference = network.reference().unwrap().clone();
    let error = other.with_reference(reference.clone()).unwrap_err();
    assert!(error.contains("is from another network; make one with densenet reference"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let other = DenseNet::<f32>::new(&card.config, 6).unwrap();
    Contents { reference: Some(&reference), ..other.contents(&card) }.save(&path).unwrap();
    let error = DenseNet::load(&path).unwrap_err().to_string();
    assert!(error.contains("w.safetensors: ") && error.contains("another network"), "{error}");
    // Its weights are as good as ever.
    let architecture = network.architecture();
    assert_eq!(Reader::open(&path).unwrap().weights(architecture).unwrap().parameters, other.parameters());
}

#[test]
fn a_damaged_reference_is_named() {
    let (network, card) = referenced();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    network.save(&card, &path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let length = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&bytes[8..length]).unwrap();
    let nan = {
        let file = SafeTensors::deserialize(&bytes).unwrap();
        file.tensor("reference.mean").unwrap().data().as_ptr() as usize - bytes.as_ptr() as usize
    };
    let with = |before: &str, after: &str| {
        assert!(header.contains(before), "{header}");
        [&bytes[..8], header.replacen(before, after, 1).as_bytes(), &bytes[length..]].concat()
    };
    let broken = [
        (with(r#"\"version\":1}"#, r#"\"version\":2}"#), "has version 2; this program reads up to 1"),
        (with(r#"\"origin\""#, r#"\"Origin\""#), "unknown field `Origin`"),
        (with("reference.whitening", "reference.Whitening"), "lacks reference.whitening"),
        ([&bytes[..nan], &f32::NAN.to_le_bytes()[..], &bytes[nan + 4..]].concat(), "reference.mean holds values that"),
    ];
    for (bytes, part) in broken {
        std::fs::write(&path, bytes).unwrap();
        let error = DenseNet::load(&path).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("w.safetensors"), "{error}");
    }
}
