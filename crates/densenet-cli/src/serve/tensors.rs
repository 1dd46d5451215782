//! Tensors of the Open Inference Protocol, independent of the transport.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};

use super::error::Refusal;

/// The name of the only input.
pub const INPUT: &str = "images";

/// Each output as all values and as its most likely classes, in JSON and as bytes.
const MOST_OUTPUTS: usize = 8;

/// The outputs that a client can request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputName {
    /// The network's raw outputs.
    Logits,
    /// From 0 to 1, calibrated if the model's card has a temperature.
    Probabilities,
}

impl OutputName {
    /// All outputs.
    pub const ALL: [Self; 2] = [Self::Logits, Self::Probabilities];

    /// Its name for clients.
    pub fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
        }
    }

    /// Rejects more outputs than anybody needs, since each is computed and sent.
    pub fn check_count(outputs: usize) -> Result<(), Refusal> {
        match outputs > MOST_OUTPUTS {
            true => Err(Refusal::bad(format!("{outputs} outputs; a request can have at most {MOST_OUTPUTS}"))),
            false => Ok(()),
        }
    }

    /// The output with that name; only its `classification` most likely classes if that is at least 1.
    pub fn wanted(name: &str, classification: Option<usize>, binary: bool) -> Result<Wanted, Refusal> {
        Ok(Wanted { name: Self::of(name)?, classification: classification.filter(|&top| top > 0), binary })
    }

    fn of(name: &str) -> Result<Self, Refusal> {
        let found = Self::ALL.into_iter().find(|output| output.name() == name);
        found.ok_or_else(|| Refusal::bad(format!("there is no output {name:?}; use logits or probabilities")))
    }
}

/// A client's request, independent of the transport.
#[derive(Debug)]
pub struct Request {
    /// The input.
    pub input: Input,
    /// The requested outputs.
    pub outputs: Vec<Wanted>,
    /// The longest time that the client waits.
    pub timeout: Option<Duration>,
}

/// A request's parameter `timeout`, where 0 means that there is none, as in Triton.
pub fn timeout(microseconds: Option<u64>) -> Option<Duration> {
    microseconds.filter(|&time| time > 0).map(Duration::from_micros)
}

/// The input of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Already normalised: `(N, C, H, W)`.
    Normalised {
        /// `[N, C, H, W]`.
        shape: [usize; 4],
        /// In that order.
        values: Vec<f32>,
    },
    /// Decoded pictures: `(N, H, W, C)` of bytes.
    Pixels {
        /// `[N, H, W, C]`.
        shape: [usize; 4],
        /// In that order.
        values: Vec<u8>,
    },
    /// Picture files, e.g. JPEG or PNG.
    Encoded(Vec<Vec<u8>>),
}

/// A requested output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which one.
    pub name: OutputName,
    /// The number of most likely classes to send instead of all values, each as `value:index:label`.
    pub classification: Option<usize>,
    /// Whether it is sent as bytes, after the JSON.
    pub binary: bool,
}

/// An output to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputTensor {
    /// The request for it.
    pub wanted: Wanted,
    /// `[N, classes]`, or `[N, k]` for the most likely `k`.
    pub shape: [usize; 2],
    /// In that order.
    pub values: Values,
}

/// The values of an output.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// `FP32`.
    Numbers(Vec<f32>),
    /// `BYTES`.
    Texts(Vec<String>),
}

impl Values {
    /// The protocol's name of the datatype.
    pub fn datatype(&self) -> &'static str {
        match self {
            Self::Numbers(_) => "FP32",
            Self::Texts(_) => "BYTES",
        }
    }

    /// Little-endian numbers, or texts each preceded by its length in four bytes.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Numbers(numbers) => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
            Self::Texts(texts) => {
                let element = |text: &String| [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
                texts.iter().flat_map(element).collect()
            }
        }
    }
}

/// The types of input data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datatype {
    /// Normalised numbers.
    Fp32,
    /// Pixels.
    Uint8,
    /// Picture files.
    Bytes,
}

impl Datatype {
    /// The type with that name.
    pub fn of(name: &str) -> Result<Self, Refusal> {
        match name {
            "FP32" => Ok(Self::Fp32),
            "UINT8" => Ok(Self::Uint8),
            "BYTES" => Ok(Self::Bytes),
            _ => Err(Refusal::bad(format!(
                "datatype is {name:?}; it must be FP32 for normalised (N, C, H, W), UINT8 for pixels (N, H, W, C), or \
                 BYTES for picture files (N)"
            ))),
        }
    }
}

impl Input {
    /// The number of pictures, or of their tensors.
    pub fn count(&self) -> usize {
        match self {
            Self::Normalised { shape, .. } | Self::Pixels { shape, .. } => shape[0],
            Self::Encoded(files) => files.len(),
        }
    }

    /// The input called `name` with that datatype and `shape`, whose values are `data`.
    pub fn new(name: &str, datatype: &str, shape: &[i64], data: Data) -> Result<Self, Refusal> {
        if name != INPUT {
            return Err(Refusal::bad(format!("there is no input {name:?}; the input is {INPUT:?}")));
        }
        let datatype = Datatype::of(datatype)?;
        let count = elements(shape)?;
        let four = || <[usize; 4]>::try_from(shape.iter().map(|&extent| extent as usize).collect::<Vec<_>>());
        let axes = || match datatype {
            Datatype::Fp32 => "[N, C, H, W]",
            Datatype::Uint8 => "[N, H, W, C]",
            Datatype::Bytes => "[N] or [N, 1]",
        };
        let wrong = || Refusal::bad(format!("shape is {shape:?}; it must be {} with N at least 1", axes()));
        if count == 0 {
            return Err(wrong());
        }
        match datatype {
            Datatype::Fp32 => {
                Ok(Self::Normalised { shape: four().map_err(|_| wrong())?, values: data.numbers(count)? })
            }
            Datatype::Uint8 => Ok(Self::Pixels { shape: four().map_err(|_| wrong())?, values: data.pixels(count)? }),
            Datatype::Bytes if shape.len() <= 2 && shape[1..].iter().all(|&extent| extent == 1) => {
                Ok(Self::Encoded(data.files(count)?))
            }
            Datatype::Bytes => Err(wrong()),
        }
    }
}

/// The product of the extents.
fn elements(shape: &[i64]) -> Result<usize, Refusal> {
    let product = shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(usize::try_from(extent).ok()?));
    product
        .filter(|_| !shape.is_empty())
        .ok_or_else(|| Refusal::bad(format!("shape is {shape:?}; extents must be at least 1")))
}

/// The values of an input as they were sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// The numbers of a JSON array, nested or flat.
    Numbers(Vec<f32>),
    /// The texts of a JSON array.
    Texts(Vec<String>),
    /// Bytes as the protocol lays them out.
    Raw(Vec<u8>),
    /// Elements of `BYTES`, each by itself.
    Elements(Vec<Vec<u8>>),
}

impl Data {
    fn numbers(self, count: usize) -> Result<Vec<f32>, Refusal> {
        let values: Vec<f32> = match self {
            Self::Numbers(numbers) => numbers,
            Self::Raw(bytes) if bytes.len() == 4 * count => {
                bytes.chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().expect("four bytes"))).collect()
            }
            other => return Err(other.wrong(count, "numbers")),
        };
        if values.len() == count { Ok(values) } else { Err(Self::Numbers(Vec::new()).wrong_count(values.len(), count)) }
    }

    fn pixels(self, count: usize) -> Result<Vec<u8>, Refusal> {
        let values: Vec<u8> = match self {
            Self::Raw(bytes) => bytes,
            Self::Numbers(numbers) => {
                let pixel =
                    |number: f32| (number.fract() == 0.0 && (0.0..256.0).contains(&number)).then_some(number as u8);
                let pixels: Option<Vec<u8>> = numbers.into_iter().map(pixel).collect();
                pixels.ok_or_else(|| Refusal::bad("UINT8 data must be whole numbers from 0 to 255"))?
            }
            other => return Err(other.wrong(count, "numbers from 0 to 255")),
        };
        if values.len() == count { Ok(values) } else { Err(Self::Raw(Vec::new()).wrong_count(values.len(), count)) }
    }

    fn files(self, count: usize) -> Result<Vec<Vec<u8>>, Refusal> {
        let files = match self {
            Self::Elements(files) => files,
            Self::Texts(texts) => {
                let decode = |text: String| base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text);
                let files: Result<Vec<_>, _> = texts.into_iter().map(decode).collect();
                files.map_err(|error| Refusal::bad(format!("BYTES in JSON must be pictures in base64: {error}")))?
            }
            Self::Raw(bytes) => split(&bytes, count)?,
            Self::Numbers(_) => return Err(self.wrong(count, "texts in base64")),
        };
        if files.len() == count { Ok(files) } else { Err(Self::Raw(Vec::new()).wrong_count(files.len(), count)) }
    }

    fn wrong(&self, count: usize, wanted: &str) -> Refusal {
        match self {
            Self::Raw(bytes) => {
                Refusal::bad(format!("{} bytes of data; the shape needs {count} {wanted}", bytes.len()))
            }
            _ => Refusal::bad(format!("the data must be {count} {wanted}")),
        }
    }

    fn wrong_count(&self, found: usize, count: usize) -> Refusal {
        Refusal::bad(format!("the data have {found} values; the shape needs {count}"))
    }
}

/// The `count` elements of `BYTES`, each preceded by its length in four bytes.
fn split(mut bytes: &[u8], count: usize) -> Result<Vec<Vec<u8>>, Refusal> {
    let mut elements = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        if elements.len() == count {
            return Err(Refusal::bad(format!("the data have more than the {count} elements that the shape needs")));
        }
        let length = u32::from_le_bytes(*length) as usize;
        let Some((element, rest)) = rest.split_at_checked(length) else { break };
        elements.push(element.to_vec());
        bytes = rest;
    }
    match bytes {
        [] => Ok(elements),
        _ => Err(Refusal::bad("BYTES data end within an element; each needs its length in four bytes, then its bytes")),
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut flat = Flat::default();
        Nested(&mut flat).deserialize(deserializer)?;
        match (flat.numbers.is_empty(), flat.texts.is_empty()) {
            (_, true) => Ok(Self::Numbers(flat.numbers)),
            (true, false) => Ok(Self::Texts(flat.texts)),
            _ => Err(serde::de::Error::custom("data must be either numbers or texts")),
        }
    }
}

/// The content of nested arrays.
#[derive(Default)]
struct Flat {
    numbers: Vec<f32>,
    texts: Vec<String>,
}

/// Flattens nested arrays into what it holds.
struct Nested<'a>(&'a mut Flat);

impl<'de> DeserializeSeed<'de> for Nested<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("numbers or texts, in arrays")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Nested(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.0.numbers.push(number as f32);
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.0.numbers.push(number as f32);
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.0.numbers.push(number as f32);
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.texts.push(text.into());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(datatype: &str, shape: &[i64], data: Data) -> String {
        Input::new(INPUT, datatype, shape, data).unwrap_err().reason
    }

    #[test]
    fn all_ways_of_sending_a_tensor_are_one() {
        let of = |data| Input::new(INPUT, "FP32", &[1, 1, 1, 2], data).unwrap();
        let numbers: Data = serde_json::from_str("[[[[0.5, -2]]]]").unwrap();
        let raw = Data::Raw([0.5f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect());
        assert_eq!(of(numbers), of(raw));
        let of = |data| Input::new(INPUT, "BYTES", &[2, 1], data).unwrap();
        let raw = Data::Raw(vec![2, 0, 0, 0, b'h', b'i', 0, 0, 0, 0]);
        let texts: Data = serde_json::from_str(r#"["aGk=", ""]"#).unwrap();
        assert_eq!(of(raw.clone()), of(texts));
        assert_eq!(of(raw), Input::Encoded(vec![b"hi".to_vec(), Vec::new()]));
        let pixels: Data = serde_json::from_str("[0, 255]").unwrap();
        assert_eq!(
            Input::new(INPUT, "UINT8", &[1, 1, 2, 1], pixels).unwrap(),
            Input::Pixels { shape: [1, 1, 2, 1], values: vec![0, 255] }
        );
        let out = Values::Texts(vec!["hi".into(), String::new()]);
        assert_eq!(out.bytes(), [2, 0, 0, 0, b'h', b'i', 0, 0, 0, 0]);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let numbers = || Data::Numbers(vec![1.0; 3]);
        assert!(refused("FP16", &[1], numbers()).contains("it must be FP32"));
        assert!(refused("FP32", &[1, 3], numbers()).contains("[N, C, H, W]"));
        assert!(refused("FP32", &[1, 1, 2, 2], numbers()).contains("3 values; the shape needs 4"));
        assert!(refused("FP32", &[-1, 1, 2, 2], numbers()).contains("extents must be at least 1"));
        assert!(refused("FP32", &[0, 1, 2, 2], numbers()).contains("N at least 1"));
        assert!(refused("FP32", &[i64::MAX, i64::MAX, 1, 1], numbers()).contains("extents"));
        assert!(refused("FP32", &[1, 1, 1, 3], Data::Raw(vec![0; 11])).contains("11 bytes of data"));
        assert!(refused("UINT8", &[1, 1, 1, 3], Data::Numbers(vec![0.0, 0.5, 1.0])).contains("whole numbers"));
        assert!(refused("BYTES", &[1], Data::Raw(vec![9, 0, 0, 0, 1])).contains("end within an element"));
        assert!(refused("BYTES", &[1], Data::Texts(vec!["?".into()])).contains("base64"));
        assert!(refused("BYTES", &[1], numbers()).contains("texts in base64"));
        assert!(
            serde_json::from_str::<Data>(r#"[1, "a"]"#).is_err() && serde_json::from_str::<Data>("[null]").is_err()
        );
        assert!(Input::new("x", "FP32", &[1], numbers()).unwrap_err().reason.contains("the input is \"images\""));
    }
}
