//! A request of the Open Inference Protocol in JSON, with or without bytes after it.

use serde::Deserialize;

use super::error::Refusal;
use super::tensors::{Data, INPUT, Input, OutputName, Request, Wanted, timeout};

/// The JSON of a request.
#[derive(Deserialize)]
struct RequestJson {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    parameters: Parameters,
    inputs: Vec<InputJson>,
    #[serde(default)]
    outputs: Vec<OutputJson>,
}

#[derive(Deserialize)]
struct InputJson {
    name: String,
    datatype: String,
    shape: Vec<i64>,
    #[serde(default)]
    parameters: Parameters,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct OutputJson {
    name: String,
    #[serde(default)]
    parameters: Parameters,
}

/// Parameters of a request, an input or an output; others are ignored.
#[derive(Default, Deserialize)]
struct Parameters {
    /// Microseconds.
    timeout: Option<u64>,
    binary_data_output: Option<bool>,
    binary_data_size: Option<usize>,
    binary_data: Option<bool>,
    classification: Option<usize>,
}

/// The request in `body` and its id: JSON of `json_length` bytes followed by a tensor, or JSON alone.
///
/// # Errors
/// What is wrong with it.
pub fn parse(json_length: Option<usize>, body: &[u8]) -> Result<(Option<String>, Request), Refusal> {
    let (json, tensors) = body.split_at_checked(json_length.unwrap_or(body.len())).ok_or_else(|| {
        Refusal::bad(format!("Inference-Header-Content-Length is more than the body's {} bytes", body.len()))
    })?;
    let request: RequestJson =
        serde_json::from_slice(json).map_err(|error| Refusal::bad(format!("the request's JSON: {error}")))?;
    let RequestJson { id, parameters, inputs, outputs } = request;
    let [input] = <[InputJson; 1]>::try_from(inputs)
        .map_err(|inputs| Refusal::bad(format!("{} inputs; there must be one, called {INPUT:?}", inputs.len())))?;
    let binary = parameters.binary_data_output.unwrap_or(false);
    OutputName::check_count(outputs.len())?;
    let outputs = match outputs.is_empty() {
        true => vec![Wanted { name: OutputName::Logits, classification: None, binary }],
        false => outputs.into_iter().map(|output| wanted(output, binary)).collect::<Result<_, _>>()?,
    };
    let data = data_of(input.data, input.parameters.binary_data_size, tensors)?;
    let input = Input::new(&input.name, &input.datatype, &input.shape, data)?;
    Ok((id, Request { input, outputs, timeout: timeout(parameters.timeout) }))
}

/// The data of the input: in the JSON, or everything after it.
fn data_of(json: Option<Data>, size: Option<usize>, tensors: &[u8]) -> Result<Data, Refusal> {
    match (json, size) {
        (Some(data), None) if tensors.is_empty() => Ok(data),
        (None, Some(size)) if size == tensors.len() => Ok(Data::Raw(tensors.to_vec())),
        (None, Some(size)) => {
            Err(Refusal::bad(format!("binary_data_size is {size}; {} bytes follow the JSON", tensors.len())))
        }
        (Some(_), _) => {
            Err(Refusal::bad("give either data or binary_data_size, and with the latter bytes after the JSON"))
        }
        (None, None) => {
            Err(Refusal::bad("the input has no data: give data, or binary_data_size with bytes after the JSON"))
        }
    }
}

fn wanted(OutputJson { name, parameters }: OutputJson, binary: bool) -> Result<Wanted, Refusal> {
    OutputName::wanted(&name, parameters.classification, parameters.binary_data.unwrap_or(binary))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::damage;

    /// Handles a fuzzer's bytes like the fuzzer: a line with the length of the JSON in bytes, or an empty one, then the
    /// body.
    fn parsed(bytes: &[u8]) -> Result<Request, Refusal> {
        let line = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(0);
        let length = std::str::from_utf8(&bytes[..line]).ok().and_then(|line| line.parse().ok());
        parse(length, bytes.get(line + 1..).unwrap_or_default()).map(|(_, request)| request)
    }

    #[test]
    fn every_request_of_the_corpus_is_read_or_refused() {
        let files = damage::corpus("request");
        assert!(files.len() >= 10, "{} files", files.len());
        for (path, bytes) in files {
            let (sound, parsed) = (path.starts_with("sound"), parsed(&bytes));
            assert_eq!(parsed.is_ok(), sound, "{path}: {parsed:?}");
            let status = parsed.map_or_else(|refusal| refusal.status.as_u16(), |_| 200);
            assert!([200, 400].contains(&status), "{path}: {status}");
        }
    }

    #[test]
    fn random_damage_never_panics() {
        for (_, bytes) in damage::corpus("request") {
            for damaged in damage::copies(&bytes) {
                // The result does not matter.
                let _ = parsed(&damaged);
            }
        }
    }
}
