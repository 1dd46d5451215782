//! A request of inference as it comes over HTTP: JSON, and the binary tensors behind it.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use super::elements::Elements;
use crate::serve::inference::{Tensor, Values, Wanted};
use crate::serve::packed::unpacked;
use crate::serve::refusal::Refusal;

/// A request of inference.
pub struct Request {
    /// What the client calls it.
    pub id: Option<String>,
    /// What is asked about.
    pub inputs: Vec<Tensor>,
    /// The outputs that are wanted.
    pub outputs: Vec<Wanted>,
    /// For each of the outputs whether it is wanted behind the JSON.
    pub binary: Vec<bool>,
    /// Whether outputs are wanted behind the JSON where none is named.
    pub binary_default: bool,
    /// How long the client waits.
    pub timeout: Option<Duration>,
}

#[derive(Deserialize)]
struct Head {
    id: Option<String>,
    #[serde(default)]
    parameters: RequestParameters,
    inputs: Vec<Input>,
    #[serde(default)]
    outputs: Vec<Output>,
}

#[derive(Deserialize, Default)]
struct RequestParameters {
    #[serde(default)]
    binary_data_output: bool,
    /// In microseconds.
    timeout: Option<u64>,
}

#[derive(Deserialize)]
struct Input {
    name: String,
    shape: Vec<usize>,
    datatype: String,
    #[serde(default)]
    parameters: InputParameters,
    data: Option<Elements>,
}

#[derive(Deserialize, Default)]
struct InputParameters {
    binary_data_size: Option<usize>,
}

#[derive(Deserialize)]
struct Output {
    name: String,
    #[serde(default)]
    parameters: OutputParameters,
}

#[derive(Deserialize, Default)]
struct OutputParameters {
    binary_data: Option<bool>,
    classification: Option<usize>,
}

impl Request {
    /// Reads a `body`, of which the first `json` bytes are JSON, or all.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(body: &[u8], json: Option<usize>) -> Result<Self, Refusal> {
        let Some((text, mut binary)) = body.split_at_checked(json.unwrap_or(body.len())) else {
            return Err(invalid(format!("the JSON is said to be longer than the body, of {} bytes", body.len())));
        };
        let head: Head = serde_json::from_slice(text)
            .map_err(|error| invalid(format!("failed to parse the request JSON: {error}")))?;
        let inputs = head.inputs.into_iter().map(|input| tensor(input, &mut binary)).collect::<Result<_, _>>()?;
        if !binary.is_empty() {
            return Err(invalid(format!("{} bytes at the end of the body that belong to no input", binary.len())));
        }
        let binary_default = head.parameters.binary_data_output;
        Ok(Self {
            id: head.id,
            inputs,
            binary: head.outputs.iter().map(|o| o.parameters.binary_data.unwrap_or(binary_default)).collect(),
            binary_default,
            outputs: head.outputs.into_iter().map(wanted).collect(),
            timeout: head.parameters.timeout.filter(|&timeout| timeout > 0).map(Duration::from_micros),
        })
    }
}

fn invalid(reason: String) -> Refusal {
    Refusal::Invalid(reason)
}

fn wanted(Output { name, parameters }: Output) -> Wanted {
    Wanted { name, classes: parameters.classification.filter(|&classes| classes > 0) }
}

/// The tensor of an `input`, whose elements are in it or at the beginning of what is left of the `binary` part.
fn tensor(input: Input, binary: &mut &[u8]) -> Result<Tensor, Refusal> {
    let Input { name, shape, datatype, parameters, data } = input;
    let values = match (data, parameters.binary_data_size) {
        (None, Some(size)) => {
            let Some((bytes, rest)) = binary.split_at_checked(size) else {
                let left = binary.len();
                return Err(invalid(format!("'{name}' has a binary_data_size of {size}, and {left} bytes are there")));
            };
            *binary = rest;
            unpacked(&name, &datatype, bytes)?
        }
        (Some(elements), None) => values(&name, &datatype, elements)?,
        _ => return Err(invalid(format!("'{name}' needs either data or a binary_data_size"))),
    };
    Ok(Tensor { name, shape, values })
}

/// Elements as a type's.
fn values(name: &str, datatype: &str, elements: Elements) -> Result<Values, Refusal> {
    match (datatype, elements) {
        ("FP32", Elements::Numbers(numbers)) => Ok(Values::Float(numbers)),
        ("UINT8", Elements::Numbers(numbers)) => {
            let byte = |number: f32| (number == f32::from(number as u8)).then_some(number as u8);
            let bytes = numbers.into_iter().map(byte).collect::<Option<_>>();
            bytes.map(Values::Byte).ok_or_else(|| invalid(format!("'{name}' must be of whole numbers from 0 to 255")))
        }
        ("BYTES", Elements::Texts(texts)) => {
            let decoded = texts.iter().map(|text| BASE64_STANDARD.decode(text)).collect::<Result<_, _>>();
            let wrong = |error| invalid(format!("'{name}' must be of pictures in base64: {error}"));
            decoded.map(Values::Bytes).map_err(wrong)
        }
        _ => Err(invalid(format!(
            "'{name}' is {datatype}; it must be FP32 or UINT8, of numbers, or BYTES, of pictures in base64"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str, binary: &[u8]) -> Result<Request, String> {
        let body = [head.as_bytes(), binary].concat();
        Request::read(&body, Some(head.len())).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn binary_tensors_follow_each_other() {
        let head = r#"{"inputs": [
            {"name": "a", "shape": [2], "datatype": "UINT8", "parameters": {"binary_data_size": 2}},
            {"name": "b", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 4}}],
            "outputs": [{"name": "x", "parameters": {"classification": 3, "binary_data": false}}, {"name": "y"}],
            "parameters": {"binary_data_output": true, "timeout": 5}}"#;
        let request = read(head, &[7, 8, 0, 0, 128, 63]).unwrap();
        assert!(matches!(&request.inputs[0].values, Values::Byte(bytes) if *bytes == [7, 8]));
        assert!(matches!(&request.inputs[1].values, Values::Float(values) if *values == [1.0]));
        assert_eq!((request.binary, request.timeout), (vec![false, true], Some(Duration::from_micros(5))));
        assert_eq!(request.outputs[0].classes, Some(3));
        assert!(read(head, &[7, 8, 0]).err().unwrap().contains("'b' has a binary_data_size of 4, and 1 bytes"));
        assert!(read(head, &[0; 7]).err().unwrap().contains("1 bytes at the end"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let with = |input: &str| read(&format!(r#"{{"inputs": [{input}]}}"#), &[]).err().unwrap();
        let input = |rest: &str| with(&format!(r#"{{"name": "images", "shape": [1], {rest}}}"#));
        assert!(input(r#""datatype": "FP32""#).contains("either data or"));
        assert!(input(r#""datatype": "FP64", "data": [1]"#).contains("'images' is FP64; it must be"));
        assert!(input(r#""datatype": "UINT8", "data": [256]"#).contains("from 0 to 255"));
        assert!(input(r#""datatype": "BYTES", "data": ["?"]"#).contains("base64"));
        assert!(with("3").contains("failed to parse the request JSON"));
        assert!(Request::read(b"{}", Some(3)).err().unwrap().to_string().contains("longer than the body"));
    }
}
