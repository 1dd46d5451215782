//! The named data sets: their classes, normalisation and official files.

use super::Preprocessing;

/// A named data set.
pub(super) struct Known {
    /// Its name for `--data`, and the name of its folder.
    pub name: &'static str,
    /// The layout of its files.
    pub layout: Layout,
    /// The classes' names, in the order of their labels.
    pub classes: &'static [&'static str],
    /// Where its files are published.
    pub address: &'static str,
    /// The published files, below [`address`](Self::address).
    pub files: &'static [Remote],
    /// Where a distribution's package puts it, and which package that is.
    pub package: Option<Package>,
}

/// The layouts of data set files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// `train-images-idx3-ubyte` and its three companions, plain or gzipped.
    Idx,
    /// `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`: records of a label and 3x32x32 bytes.
    Cifar10,
    /// `train.bin` and `test.bin`: records of a coarse label, a fine label and 3x32x32 bytes.
    Cifar100,
}

/// A published file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remote {
    /// Its name, the last part of its address.
    pub name: &'static str,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256, in lower-case hexadecimal.
    pub sha256: &'static str,
}

/// A distribution's package for a data set.
pub(super) struct Package {
    /// Its name.
    pub name: &'static str,
    /// The folder that it installs.
    pub folder: &'static str,
}

impl Known {
    /// Its mean, standard deviation and native size.
    pub fn preprocessing(&self) -> Preprocessing {
        Preprocessing::named(self.name).expect("every known data set has a preprocessing of its name")
    }

    /// The known data set with this layout; each CIFAR layout has only one.
    pub fn of_layout(layout: Layout) -> &'static Self {
        KNOWN.iter().find(|known| known.layout == layout).expect("every layout is some data set's")
    }

    /// The known data set of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        KNOWN.iter().find(|known| known.name == name)
    }
}

/// Class names of the data set `name`, in the order of their labels; `None` for an unknown name.
pub fn classes(name: &str) -> Option<Vec<String>> {
    Known::named(name).map(|known| known.classes.iter().map(|class| class.to_string()).collect())
}

const fn remote(name: &'static str, bytes: u64, sha256: &'static str) -> Remote {
    Remote { name, bytes, sha256 }
}

/// All named data sets.
pub(super) static KNOWN: [Known; 4] = [
    Known {
        name: "fashion-mnist",
        layout: Layout::Idx,
        classes: &[
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ],
        // Debian's package holds the same content, recompressed and therefore with other checksums.
        address: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        files: &[
            remote(
                "train-images-idx3-ubyte.gz",
                26_421_880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            ),
            remote(
                "train-labels-idx1-ubyte.gz",
                29_515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            ),
            remote(
                "t10k-images-idx3-ubyte.gz",
                4_422_102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            ),
            remote(
                "t10k-labels-idx1-ubyte.gz",
                5_148,
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        ],
        package: Some(Package { name: "dataset-fashion-mnist", folder: "/usr/share/datasets/fashion-mnist" }),
    },
    Known {
        name: "mnist",
        layout: Layout::Idx,
        classes: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        address: "https://ossci-datasets.s3.amazonaws.com/mnist/",
        files: &[
            remote(
                "train-images-idx3-ubyte.gz",
                9_912_422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            ),
            remote(
                "train-labels-idx1-ubyte.gz",
                28_881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            ),
            remote(
                "t10k-images-idx3-ubyte.gz",
                1_648_877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            ),
            remote(
                "t10k-labels-idx1-ubyte.gz",
                4_542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ],
        package: None,
    },
    Known {
        name: "cifar10",
        layout: Layout::Cifar10,
        classes: &["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
        address: "https://www.cs.toronto.edu/~kriz/",
        files: &[remote(
            "cifar-10-binary.tar.gz",
            170_052_171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        )],
        package: None,
    },
    Known {
        name: "cifar100",
        layout: Layout::Cifar100,
        classes: &CIFAR100,
        address: "https://www.cs.toronto.edu/~kriz/",
        files: &[remote(
            "cifar-100-binary.tar.gz",
            168_513_733,
            "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        )],
        package: None,
    },
];

/// The fine labels.
const CIFAR100: [&str; 100] = [
    "apple",
    "aquarium_fish",
    "baby",
    "bear",
    "beaver",
    "bed",
    "bee",
    "beetle",
    "bicycle",
    "bottle",
    "bowl",
    "boy",
    "bridge",
    "bus",
    "butterfly",
    "camel",
    "can",
    "castle",
    "caterpillar",
    "cattle",
    "chair",
    "chimpanzee",
    "clock",
    "cloud",
    "cockroach",
    "couch",
    "crab",
    "crocodile",
    "cup",
    "dinosaur",
    "dolphin",
    "elephant",
    "flatfish",
    "forest",
    "fox",
    "girl",
    "hamster",
    "house",
    "kangaroo",
    "keyboard",
    "lamp",
    "lawn_mower",
    "leopard",
    "lion",
    "lizard",
    "lobster",
    "man",
    "maple_tree",
    "motorcycle",
    "mountain",
    "mouse",
    "mushroom",
    "oak_tree",
    "orange",
    "orchid",
    "otter",
    "palm_tree",
    "pear",
    "pickup_truck",
    "pine_tree",
    "plain",
    "plate",
    "poppy",
    "porcupine",
    "possum",
    "rabbit",
    "raccoon",
    "ray",
    "road",
    "rocket",
    "rose",
    "sea",
    "seal",
    "shark",
    "shrew",
    "skunk",
    "skyscraper",
    "snail",
    "snake",
    "spider",
    "squirrel",
    "streetcar",
    "sunflower",
    "sweet_pepper",
    "table",
    "tank",
    "telephone",
    "television",
    "tiger",
    "tractor",
    "train",
    "trout",
    "tulip",
    "turtle",
    "wardrobe",
    "whale",
    "willow_tree",
    "wolf",
    "woman",
    "worm",
];
