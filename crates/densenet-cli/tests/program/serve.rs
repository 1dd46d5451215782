//! The server, asked over real sockets, about the built-in network for CIFAR-10.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use npyz::NpyFile;
use serde_json::{Value, json};
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::folder::Folder;

/// A folder with pictures of 32x32, and the program that serves there.
struct World {
    folder: Folder,
    server: Child,
    /// `127.0.0.1:port`.
    address: String,
    agent: Agent,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl World {
    /// A server with the `words` after `serve`.
    fn new(words: &str) -> Self {
        let folder = Folder::new();
        for number in 0..8 {
            folder.write(&format!("{number}.ppm"), ppm(number));
        }
        let mut command = folder.command(&format!("serve --port 0 {words}"));
        let mut server = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
        let address = lines.find_map(|line| line.unwrap().split_once(" at http://").map(|(_, address)| address.into()));
        // What else it says is read, so that it does not wait for a reader.
        thread::spawn(move || lines.for_each(drop));
        let agent = Agent::config_builder().http_status_as_error(false).build().into();
        Self { folder, server, address: address.expect("the line that says where it serves"), agent }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn get(&self, path: &str) -> (u16, Value) {
        told(self.agent.get(self.url(path)).call().unwrap())
    }

    fn post(&self, path: &str, body: impl AsRef<[u8]>) -> (u16, Value) {
        told(self.agent.post(self.url(path)).send(body.as_ref()).unwrap())
    }

    /// The answer to a body with a header.
    fn post_with(&self, path: &str, header: [&str; 2], body: &[u8]) -> Response<Body> {
        self.agent.post(self.url(path)).header(header[0], header[1]).send(body).unwrap()
    }

    /// The outputs of inference.
    fn infer(&self, request: &Value) -> Value {
        let (status, mut answer) = self.post("/v2/models/densenet/infer", request.to_string());
        assert_eq!(status, 200, "{answer}");
        answer["outputs"].take()
    }

    /// The reason why a request is refused with `status`.
    fn refused(&self, status: u16, request: &Value) -> String {
        let (found, answer) = self.post("/v2/models/densenet/infer", request.to_string());
        assert_eq!(found, status, "{answer}");
        answer["error"].as_str().unwrap().into()
    }

    /// What predict makes of the pictures: logits.
    fn predicted(&self) -> Vec<Vec<f32>> {
        let names: Vec<String> = (0..8).map(|number| format!("{number}.ppm")).collect();
        self.folder.exits(0, &format!("predict --weights cifar10 {} --logits l.npy", names.join(" ")));
        let npy = fs::read(self.folder.path("l.npy")).unwrap();
        let logits: Vec<f32> = NpyFile::new(&npy[..]).unwrap().into_vec().unwrap();
        logits.chunks(10).map(<[f32]>::to_vec).collect()
    }
}

fn told(mut response: Response<Body>) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_string().unwrap();
    (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: no JSON: {text}")))
}

fn pixels(number: usize) -> Vec<u8> {
    (0..32 * 32 * 3).map(|i| ((i * (31 + number) + i / 96 * 57) % 250) as u8).collect()
}

fn ppm(number: usize) -> Vec<u8> {
    [b"P6 32 32 255\n".as_slice(), &pixels(number)].concat()
}

/// A request about these pictures, as their pixels.
fn of_pixels(numbers: &[usize]) -> Value {
    let data: Vec<Vec<u8>> = numbers.iter().map(|&number| pixels(number)).collect();
    json!({ "inputs": [{ "name": "images", "shape": [numbers.len(), 32, 32, 3], "datatype": "UINT8", "data": data }] })
}

/// The only output, in rows.
fn rows(outputs: &Value) -> Vec<Vec<f32>> {
    assert_eq!(outputs.as_array().unwrap().len(), 1, "{outputs}");
    let width = outputs[0]["shape"][1].as_u64().unwrap() as usize;
    let values: Vec<f32> =
        outputs[0]["data"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect();
    values.chunks(width).map(<[f32]>::to_vec).collect()
}

fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

#[test]
fn a_person_is_told_what_predict_tells() {
    let world = World::new("--weights cifar10");
    let wanted = world.folder.object("predict --weights cifar10 3.ppm --top 3 --map maps --json");
    let (status, answer) = world.post("/predict?top=3&map=true", ppm(3));
    assert_eq!((status, &answer["classes"]), (200, &wanted["predictions"][0]["classes"]));
    assert_eq!(answer["map"]["class"], answer["classes"][0]["index"]);
    let map = fs::read(world.folder.path(wanted["predictions"][0]["map"].as_str().unwrap())).unwrap();
    let map: Vec<f32> = NpyFile::new(&map[..]).unwrap().into_vec().unwrap();
    let rows = answer["map"]["values"].as_array().unwrap();
    let found: Vec<f32> =
        rows.iter().flat_map(|row| row.as_array().unwrap()).map(|value| value.as_f64().unwrap() as f32).collect();
    assert_eq!((rows.len(), found), (8, map));

    let part = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a b.ppm\"\r\n\r\n".as_bytes();
    let form = [part, &ppm(3), b"\r\n--x--\r\n"].concat();
    let header = ["Content-Type", "multipart/form-data; boundary=x"];
    let (status, answer) = told(world.post_with("/predict/densenet?top=3", header, &form));
    assert_eq!((status, &answer["classes"]), (200, &wanted["predictions"][0]["classes"]));
    assert_eq!((&answer["input"], &answer["map"]), (&json!("a b.ppm"), &Value::Null));

    let (status, answer) = world.post("/predict", "no picture");
    assert!(status == 400 && answer["error"].as_str().unwrap().contains("picture: "), "{answer}");
    let (status, answer) = told(world.post_with("/predict", header, b"--x--\r\n"));
    assert!(status == 400 && answer["error"].as_str().unwrap().contains("no file"), "{answer}");
}

#[test]
fn answers_are_those_of_predict_however_requests_share_batches() {
    let world = World::new("--weights cifar10 --max-batch 5 --max-delay 20");
    let wanted = world.predicted();
    assert_eq!(rows(&world.infer(&of_pixels(&[0, 1, 2, 3, 4, 5, 6, 7]))), wanted, "more than a batch");
    thread::scope(|scope| {
        for client in 0..8 {
            let (world, wanted) = (&world, &wanted);
            scope.spawn(move || {
                for round in 0..4 {
                    let numbers: Vec<usize> = (0..1 + (client + round) % 3).map(|i| (client + i) % 8).collect();
                    let wanted: Vec<_> = numbers.iter().map(|&number| wanted[number].clone()).collect();
                    assert_eq!(rows(&world.infer(&of_pixels(&numbers))), wanted, "{numbers:?}");
                    // A picture whose map is wanted shares batches with others.
                    let (status, _) = world.post("/predict?map=true", ppm(client));
                    assert_eq!(status, 200);
                }
            });
        }
    });
}

#[test]
fn pictures_come_as_tensors_pixels_or_files() {
    let world = World::new("--weights cifar10");
    let wanted = world.predicted();
    let files = [1, 2].map(|number| BASE64_STANDARD.encode(ppm(number)));
    let input = json!({ "name": "images", "shape": [2], "datatype": "BYTES", "data": files });
    assert_eq!(rows(&world.infer(&json!({ "inputs": [input] }))), wanted[1..3]);

    let values: Vec<f32> = (0..2 * 3 * 32 * 32).map(|i| (i % 97) as f32 / 31.0 - 1.5).collect();
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let header = format!("{:<117}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 32, 32), }");
    world.folder.write("x.npy", [b"\x93NUMPY\x01\x00\x76\x00", header.as_bytes(), &bytes].concat());
    world.folder.exits(0, "predict --weights cifar10 x.npy --logits x.logits.npy");
    let npy = fs::read(world.folder.path("x.logits.npy")).unwrap();
    let wanted: Vec<f32> = NpyFile::new(&npy[..]).unwrap().into_vec().unwrap();
    let mut input = json!({ "name": "images", "shape": [2, 3, 32, 32], "datatype": "FP32", "data": values });
    assert_eq!(rows(&world.infer(&json!({ "inputs": [input] }))).concat(), wanted);

    // The same in binary, both ways, beside probabilities and named classes in JSON.
    input.as_object_mut().unwrap().remove("data");
    input["parameters"] = json!({ "binary_data_size": bytes.len() });
    let outputs = json!([
        { "name": "probabilities" },
        { "name": "logits", "parameters": { "binary_data": true } },
        { "name": "probabilities", "parameters": { "classification": 2 } },
    ]);
    let head = json!({ "id": "abc", "inputs": [input], "outputs": outputs }).to_string();
    let body = [head.as_bytes(), &bytes].concat();
    let header = ["Inference-Header-Content-Length", &head.len().to_string()];
    let mut response = world.post_with("/v2/models/densenet/versions/1/infer", header, &body);
    let length: usize = response.headers()["Inference-Header-Content-Length"].to_str().unwrap().parse().unwrap();
    let body = response.body_mut().read_to_vec().unwrap();
    let (head, binary) = body.split_at(length);
    let head: Value = serde_json::from_slice(head).unwrap();
    assert_eq!(
        (&head["id"], &head["model_name"], &head["model_version"]),
        (&json!("abc"), &json!("densenet"), &json!("1"))
    );
    assert_eq!(head["outputs"][1]["parameters"]["binary_data_size"], 80);
    assert_eq!(f32s(binary), wanted);
    let probabilities: Vec<f64> =
        head["outputs"][0]["data"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
    assert!((probabilities[..10].iter().sum::<f64>() - 1.0).abs() < 1e-5, "{probabilities:?}");
    let likeliest = (0..10).max_by(|&a, &b| wanted[a].total_cmp(&wanted[b])).unwrap();
    let named = head["outputs"][2]["data"][0].as_str().unwrap();
    let parts: Vec<&str> = named.split(':').collect();
    assert_eq!((parts[0], parts[1]), (&*format!("{:.6}", probabilities[likeliest]), &*likeliest.to_string()));
    assert_eq!(head["outputs"][2]["shape"], json!([2, 2]));
}

#[test]
fn bodies_may_be_compressed() {
    let world = World::new("--weights cifar10 --max-body 100000");
    let (wanted, request) = (world.predicted(), of_pixels(&[0]).to_string());
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(request.as_bytes()).unwrap();
    let mut deflate = ZlibEncoder::new(Vec::new(), Compression::fast());
    deflate.write_all(request.as_bytes()).unwrap();
    let path = "/v2/models/densenet/infer";
    for (encoding, body) in [("gzip", gzip.finish().unwrap()), ("deflate", deflate.finish().unwrap())] {
        let (status, mut answer) = told(world.post_with(path, ["Content-Encoding", encoding], &body));
        assert_eq!(status, 200, "{answer}");
        assert_eq!(rows(&answer["outputs"].take()), wanted[..1], "{encoding}");
    }
    // What is small until it is decompressed is too large, all the same.
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![b' '; 100_001]).unwrap();
    let (status, answer) = told(world.post_with(path, ["Content-Encoding", "gzip"], &bomb.finish().unwrap()));
    assert!(status == 413 && answer["error"].as_str().unwrap().contains("more than 100000 bytes"), "{answer}");
    let (status, _) = told(world.post_with(path, ["Content-Encoding", "gzip"], b"not gzip"));
    assert_eq!(status, 400);
    let mut response =
        world.agent.get(world.url("/v2/models/densenet")).header("Accept-Encoding", "gzip").call().unwrap();
    assert_eq!(response.headers()["Content-Encoding"], "gzip");
    assert_eq!(response.body_mut().read_to_vec().unwrap()[..2], [0x1f, 0x8b]);
}

#[test]
fn the_server_says_what_it_is_and_serves_several_models() {
    let world = World::new("--weights cifar10 --name first --also second=fashion-mnist");
    assert_eq!(world.get("/v2/health/live"), (200, json!({ "live": true })));
    assert_eq!(world.get("/v2/health/ready"), (200, json!({ "ready": true })));
    assert_eq!(world.get("/v2/models/second/versions/1/ready"), (200, json!({ "ready": true })));
    let (_, server) = world.get("/v2");
    assert_eq!(server["name"], "densenet");
    let (_, first) = world.get("/v2/models/first");
    assert_eq!(first["inputs"], json!([{ "name": "images", "datatype": "FP32", "shape": [-1, 3, 32, 32] }]));
    assert_eq!(first["outputs"], json!([{ "name": "logits", "datatype": "FP32", "shape": [-1, 10] }]));
    let (_, second) = world.get("/v2/models/second");
    assert_eq!(second["inputs"][0]["shape"][1], 1);
    let (status, answer) = world.post("/predict/second", ppm(1));
    assert!(status == 200 && answer["model"] == "second", "{answer}");
    for path in ["/v2/models/third", "/v2/models/first/versions/2", "/nothing"] {
        let (status, answer) = world.get(path);
        assert!(status == 404 && answer["error"].is_string(), "{path}: {answer}");
    }
}

#[test]
fn requests_that_are_wrong_are_refused_with_a_reason() {
    let world = World::new("--weights cifar10 --max-queue 4");
    let with = |input: Value| json!({ "inputs": [input] });
    let input = |name: &str, datatype: &str, shape: Value| json!({ "name": name, "datatype": datatype, "shape": shape, "data": [0, 0, 0] });
    for (request, reason) in [
        (json!({}), "missing field `inputs`"),
        (json!({ "inputs": [] }), "expected 1 inputs but got 0"),
        (with(input("x", "FP32", json!([1, 3, 1, 1]))), "unexpected inference input 'x'"),
        (with(input("images", "FP32", json!([1, 3, 1, 2]))), "3 elements, which its shape"),
        (with(input("images", "FP32", json!([3]))), "it must be FP32 of N,3,H,W"),
        (with(input("images", "FP32", json!([3, 1, 1, 1]))), "3 inputs of 1 channels"),
        (with(input("images", "UINT8", json!([1, 1, 1, 0]))), "3 elements"),
        (with(input("images", "FP32", json!([u64::MAX, u64::MAX, 3, 1]))), "3 elements"),
        (with(input("images", "INT64", json!([3]))), "'images' is INT64; it must be"),
        (
            json!({ "inputs": of_pixels(&[0])["inputs"], "outputs": [{ "name": "y" }] }),
            "unexpected inference output 'y'",
        ),
        (of_pixels(&[0, 1, 2, 3, 4]), "5 pictures in a request; from 1 to 4"),
    ] {
        let found = world.refused(400, &request);
        assert!(found.contains(reason), "{reason:?} is not in {found:?}");
    }
    for (path, status, reason) in
        [("/predict", 405, "GET is not taken"), ("/predict/x%FF", 405, "GET"), ("/v2/models/%FF", 404, "UTF-8")]
    {
        let (found, answer) = world.get(path);
        assert!(found == status && answer["error"].as_str().unwrap().contains(reason), "{path}: {answer}");
    }
    let (status, answer) = world.post("/predict?top=many", ppm(0));
    assert!(status == 400 && answer["error"].as_str().unwrap().contains("top"), "{answer}");
    assert_eq!(world.infer(&of_pixels(&[0]))[0]["shape"], json!([1, 10]), "it goes on");
}

#[test]
fn more_than_may_be_under_way_is_refused_at_once() {
    let world = World::new("--weights cifar10 --max-queue 2");
    // Two requests of which a part is there.
    let path = "/v2/models/densenet/infer";
    let half = || {
        let mut stream = TcpStream::connect(&world.address).unwrap();
        write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{{").unwrap();
        stream
    };
    let (first, second) = (half(), half());
    let full = || world.post_with(path, ["Connection", "close"], b"{}");
    let until = |status: u16| {
        for _ in 0..500 {
            let response = full();
            if response.status() == status {
                return response;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("{}, not {status}", full().status());
    };
    let refused = until(503);
    assert_eq!(refused.headers()["Retry-After"], "1");
    assert!(told(refused).1["error"].as_str().unwrap().contains("2 requests are under way"));
    assert_eq!(world.get("/v2/health/ready").0, 200, "others are answered");
    // A client that breaks off leaves its place.
    drop(first);
    until(400);
    drop(second);
}

#[test]
fn what_is_under_way_is_finished_before_the_end() {
    let mut world = World::new("--weights cifar10");
    let request = of_pixels(&[0, 1, 2]).to_string();
    let mut slow = TcpStream::connect(&world.address).unwrap();
    let head =
        format!("POST /v2/models/densenet/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", request.len());
    slow.write_all(head.as_bytes()).unwrap();
    slow.write_all(&request.as_bytes()[..100]).unwrap();
    // An answer to what was sent later says that the server has read it.
    assert_eq!(world.get("/v2/health/live").0, 200);
    thread::sleep(Duration::from_millis(100));
    assert!(Command::new("kill").args(["-TERM", &world.server.id().to_string()]).status().unwrap().success());
    let ending = (0..500).any(|_| {
        thread::sleep(Duration::from_millis(10));
        world.get("/v2/health/ready") == (503, json!({ "ready": false }))
    });
    assert!(ending, "readiness is gone");
    assert_eq!(world.get("/v2/health/live").0, 200);
    assert!(world.refused(503, &of_pixels(&[0])).contains("about to end"));
    slow.write_all(&request.as_bytes()[100..]).unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"logits\""), "{answer}");
    assert_eq!(world.server.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_be_served_is_said_at_once() {
    let folder = Folder::new();
    folder.fails("serve", 2, &["--weights"]);
    folder.fails("serve --weights nothing", 1, &["nothing: neither a file nor a built-in model"]);
    folder.fails("serve --weights cifar10 --name a/b", 2, &["letters, digits, dots"]);
    folder.fails("serve --weights cifar10 --name a --also a=cifar10", 2, &["two models are called a"]);
    let world = World::new("--weights cifar10");
    let port = world.address.rsplit_once(':').unwrap().1;
    folder.fails(&format!("serve --weights cifar10 --port {port}"), 1, &["listening at 127.0.0.1:"]);
}
