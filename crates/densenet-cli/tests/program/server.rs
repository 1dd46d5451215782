//! A server to test, and what it is sent.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::folder::Folder;

/// A server that runs.
pub struct Server {
    pub folder: Folder,
    pub child: Child,
    log: BufReader<ChildStderr>,
    pub address: String,
    pub grpc: Option<String>,
}

impl Server {
    /// `densenet serve` with these words at a free port, once it serves.
    pub fn start(words: &str) -> Self {
        Self::start_in(Folder::new(), words)
    }

    pub fn start_in(folder: Folder, words: &str) -> Self {
        Self::start_with(folder, words, &[])
    }

    /// The same with variables of the environment.
    pub fn start_with(folder: Folder, words: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = folder.command(&format!("serve --port 0 {words}"));
        let mut child =
            command.envs(variables.iter().copied()).env("DENSENET_LOG", "off").stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let (mut line, mut grpc) = (String::new(), None);
        while !line.starts_with("serving") {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "the server ended");
            grpc = grpc.or(line.trim_end().strip_prefix("gRPC at ").map(String::from));
        }
        let address = line.trim_end().rsplit_once("://").unwrap().1.to_string();
        Self { folder, child, log, address, grpc }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Status and JSON of an address.
    pub fn get(&self, path: &str) -> (u16, Value) {
        read(agent().get(self.url(path)).call())
    }

    /// The same where `body` is sent there.
    pub fn post(&self, path: &str, body: &[u8]) -> (u16, Value) {
        read(agent().post(self.url(path)).send(body))
    }

    pub fn infer(&self, request: &Value) -> (u16, Value) {
        self.post("/v2/models/densenet/infer", request.to_string().as_bytes())
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Waits for a line of the log that holds `part`.
    pub fn says(&mut self, part: &str) {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            assert!(self.log.read_line(&mut line).unwrap() > 0, "the server ended before it said {part}");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    config.timeout_global(Some(Duration::from_secs(60))).build().into()
}

pub fn read(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> (u16, Value) {
    let mut response = response.unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// An encoded picture of one colour but for a few places.
pub fn picture(colour: u8) -> Vec<u8> {
    let image = image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([colour, (x * 5) as u8, (y * 7) as u8]));
    let mut png = std::io::Cursor::new(Vec::new());
    image.write_to(&mut png, image::ImageFormat::Png).unwrap();
    png.into_inner()
}

/// The input of a request: `values` of that datatype and shape.
pub fn request(datatype: &str, shape: &[usize], data: impl Into<Value>) -> Value {
    json!({ "inputs": [{ "name": "images", "datatype": datatype, "shape": shape, "data": data.into() }] })
}
