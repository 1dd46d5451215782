//! `densenet serve`: the protocol, pictures, what is refused, and how it ends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::folder::Folder;
use super::server::{Server, agent, picture, read, request};

fn numbers(output: &Value) -> Vec<f32> {
    output["data"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

#[test]
fn a_picture_is_predicted_as_by_predict() {
    let server = Server::start("--weights cifar10");
    server.folder.write("picture.png", picture(90));
    let (status, served) = server.post("/predict?top=3", &picture(90));
    let own = server.folder.object("predict --weights cifar10 picture.png --top 3 --json");
    assert_eq!((status, &served["classes"]), (200, &own["predictions"][0]["classes"]), "{served} {own}");
    let (_, mapped) = server.post("/predict?map=true", &picture(90));
    let values: Vec<f64> = mapped["map"]["values"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|v| v.as_f64().unwrap())
        .collect();
    assert_eq!((values.len(), mapped["map"]["class"].clone()), (64, mapped["classes"][0]["index"].clone()));
    let (status, error) = server.post("/predict", b"no picture");
    assert!(status == 400 && error["error"].as_str().unwrap().contains("picture"), "{error}");
    let (status, error) = server.post("/predict?model=other", &picture(90));
    assert!(status == 404 && error["error"].as_str().unwrap().contains("other"), "{error}");
    let headers = agent().get(server.url("/")).call().unwrap().headers().clone();
    assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    let (status, page) = server.get("/");
    assert!(status == 200 && page.as_str().unwrap().contains("What does the picture show?"));
    let (_, models) = server.get("/models");
    assert_eq!((models[0]["name"].as_str(), models[0]["labels"][9].as_str()), (Some("densenet"), Some("truck")));
    let (_, metrics) = server.get("/metrics");
    let metrics = metrics.as_str().unwrap();
    for line in [
        "nv_inference_request_success{model=\"densenet\",version=\"1\"} 2",
        "nv_inference_request_failure{model=\"densenet\",reason=\"OTHER\",version=\"1\"} 1",
        "nv_inference_request_failure{model=\"densenet\",reason=\"REJECTED\",version=\"1\"} 0",
        "nv_inference_count{model=\"densenet\",version=\"1\"} 2",
        "densenet_requests_in_flight 0",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[test]
fn files_pixels_and_normalised_tensors_are_one_picture_and_batches_change_no_bit() {
    let server = Server::start("--weights cifar10 --max-batch 3 --max-delay 20");
    let base64 = |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    let pictures: Vec<Vec<u8>> = (0..5).map(|i| picture(50 * i)).collect();
    let files: Vec<String> = pictures.iter().map(|picture| base64(picture)).collect();
    let (status, all) = server.infer(&request("BYTES", &[5], files.clone()));
    assert_eq!((status, &all["outputs"][0]["shape"], &all["model_version"]), (200, &json!([5, 10]), &json!("1")));
    let together = numbers(&all["outputs"][0]);
    std::thread::scope(|scope| {
        for (i, file) in files.iter().enumerate() {
            let (server, together) = (&server, &together);
            scope.spawn(move || {
                let (_, alone) = server.infer(&request("BYTES", &[1, 1], vec![file.clone()]));
                assert_eq!(numbers(&alone["outputs"][0]), together[10 * i..][..10]);
            });
        }
    });
    let pixels = image::load_from_memory(&pictures[1]).unwrap().to_rgb8();
    let (_, of_pixels) = server.infer(&request("UINT8", &[1, 30, 40, 3], pixels.to_vec()));
    assert_eq!(numbers(&of_pixels["outputs"][0]), together[10..20]);
    let mut wanted = request("FP32", &[2, 3, 32, 32], vec![0.25; 2 * 3 * 32 * 32]);
    wanted["id"] = json!("seven");
    wanted["outputs"] = json!([
        { "name": "probabilities" },
        { "name": "logits", "parameters": { "classification": 2 } },
    ]);
    let (_, normalised) = server.infer(&wanted);
    let probabilities = numbers(&normalised["outputs"][0]);
    assert!((probabilities[..10].iter().sum::<f32>() - 1.0).abs() < 1e-5 && probabilities[..10] == probabilities[10..]);
    let classes = &normalised["outputs"][1];
    assert_eq!(
        (&classes["shape"], &classes["datatype"], &normalised["id"]),
        (&json!([2, 2]), &json!("BYTES"), &json!("seven"))
    );
    let first: Vec<&str> = classes["data"][0].as_str().unwrap().split(':').collect();
    let best = (0..10).max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b])).unwrap();
    assert_eq!(first[1], best.to_string());
}

#[test]
fn tensors_may_be_bytes_and_bodies_packed() {
    let server = Server::start("--weights cifar10");
    let tensor: Vec<u8> = (0..3 * 32 * 32).flat_map(|i| (i as f32 / 3072.0).to_le_bytes()).collect();
    let json = json!({
        "inputs": [{ "name": "images", "datatype": "FP32", "shape": [1, 3, 32, 32], "parameters": { "binary_data_size": tensor.len() } }],
        "outputs": [{ "name": "logits", "parameters": { "binary_data": true } }, { "name": "logits" }],
    })
    .to_string();
    let body = [json.as_bytes(), &tensor].concat();
    let send = |encoding: &str, body: &[u8]| {
        let request = agent().post(server.url("/v2/models/densenet/infer"));
        let request = request.header("Inference-Header-Content-Length", json.len().to_string());
        let mut response = request.header("Content-Encoding", encoding).send(body).unwrap();
        let length = response.headers().get("inference-header-content-length");
        let length: usize = length.expect("tensors follow the JSON").to_str().unwrap().parse().unwrap();
        let bytes = response.body_mut().read_to_vec().unwrap();
        let (json, tensors) = bytes.split_at(length);
        let json: Value = serde_json::from_slice(json).unwrap();
        assert_eq!(json["outputs"][0]["parameters"]["binary_data_size"], tensors.len());
        let raw: Vec<f32> = tensors.chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().unwrap())).collect();
        assert_eq!(raw, numbers(&json["outputs"][1]));
        raw
    };
    let plain = send("identity", &body);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&body).unwrap();
    assert_eq!(send("gzip", &gzip.finish().unwrap()), plain);
    let mut deflate = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    deflate.write_all(&body).unwrap();
    assert_eq!(send("deflate", &deflate.finish().unwrap()), plain);
}

#[test]
fn what_clients_look_for_is_there() {
    let server = Server::start("--weights cifar10 --model-file fashion=fashion-mnist");
    assert_eq!(server.get("/v2/health/live"), (200, json!({ "live": true })));
    assert_eq!(server.get("/v2/health/ready"), (200, json!({ "ready": true })));
    assert_eq!(server.get("/v2").1["name"], "densenet");
    let (_, metadata) = server.get("/v2/models/fashion/versions/1");
    assert_eq!(metadata["inputs"][0]["shape"][1], 1);
    assert_eq!(server.get("/v2/models/densenet").1["outputs"][0]["shape"], json!([-1, 10]));
    assert_eq!(server.get("/v2/models/fashion/ready").0, 200);
    assert_eq!(server.get("/v2/models/densenet/config").1["input"][0]["dims"], json!([3, 32, 32]));
    let (_, index) = server.post("/v2/repository/index", b"{}");
    assert_eq!(
        index,
        json!([
            { "name": "densenet", "version": "1", "state": "READY" },
            { "name": "fashion", "version": "1", "state": "READY" },
        ])
    );
    server.post("/predict?model=fashion", &picture(3));
    let (_, statistics) = server.get("/v2/models/fashion/stats");
    assert_eq!(statistics["model_stats"][0]["inference_stats"]["success"]["count"], 1);
    assert_eq!(server.get("/v2/models/stats").1["model_stats"].as_array().unwrap().len(), 2);
    let (_, description) = server.get("/openapi.json");
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            let path = path.replace("{name}", "densenet");
            let (status, _) = if method == "get" { server.get(&path) } else { server.post(&path, b"") };
            assert!(status != 404 && status != 405, "{method} {path}: {status}");
        }
    }
}

#[test]
fn what_is_wrong_is_told_with_its_status() {
    let server = Server::start("--weights cifar10 --max-body 1");
    let tensor = || request("FP32", &[1, 3, 32, 32], vec![0.0; 3072]);
    let with = |pointer: &str, value: Value| {
        let mut request = tensor();
        *request.pointer_mut(pointer).unwrap() = value;
        request
    };
    for (request, said) in [
        (json!({}), "missing field `inputs`"),
        (json!({ "inputs": [] }), "0 inputs; there must be one"),
        (with("/inputs/0/name", json!("x")), "there is no input \"x\""),
        (with("/inputs/0/datatype", json!("FP16")), "it must be FP32"),
        (with("/inputs/0/shape", json!([1, 3, 32, 31])), "3072 values; the shape needs 2976"),
        (with("/inputs/0/shape", json!([3, 1, 32, 32])), "takes [N, 3, 32, 32]"),
        (with("/inputs/0/data", Value::Null), "the input has no data"),
        (request("BYTES", &[1], vec!["AAAA"]), "picture"),
        (json!({ "inputs": tensor()["inputs"], "outputs": [{ "name": "y" }] }), "there is no output \"y\""),
        (json!({ "inputs": tensor()["inputs"], "outputs": vec![json!({ "name": "logits" }); 9] }), "at most 8"),
    ] {
        let (status, error) = server.infer(&request);
        assert!(status == 400 && error["error"].as_str().unwrap().contains(said), "{said}: {status} {error}");
    }
    let late = json!({ "inputs": tensor()["inputs"], "parameters": { "timeout": 1 } });
    assert_eq!(server.infer(&late).0, 504);
    assert_eq!(server.post("/v2/models/densenet/infer", b"{").0, 400);
    assert_eq!(server.post("/predict", &vec![0; (1 << 20) + 1]).0, 413);
    // A small body that unpacks to a large one.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&vec![b' '; 4 << 20]).unwrap();
    let packed = gzip.finish().unwrap();
    let request = agent().post(server.url("/v2/models/densenet/infer")).header("Content-Encoding", "gzip");
    assert_eq!(read(request.send(&packed[..])).0, 413);
    assert_eq!(server.get("/v2/models/x").0, 404);
    assert_eq!(server.get("/v2/models/densenet/versions/2").0, 404);
    assert_eq!(server.get("/nothing").0, 404);
    assert_eq!(server.get("/predict").0, 405);
    for (status, error) in [server.post("/predict?top=-1", &picture(1)), server.get("/v2/models/%FF")] {
        assert!(status == 400 && error["error"].is_string(), "{status} {error}");
    }
    // Half a request, and a client that is gone in the middle of a body: the others notice nothing.
    let mut half = TcpStream::connect(&server.address).unwrap();
    half.write_all(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc").unwrap();
    drop(half);
    let mut nonsense = TcpStream::connect(&server.address).unwrap();
    nonsense.write_all(b"\x16\x03\x01 nonsense\r\n\r\n").unwrap();
    nonsense.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let _ = nonsense.read(&mut [0; 64]);
    assert_eq!(server.infer(&tensor()).0, 200);
}

#[test]
fn a_token_is_wanted_everywhere_but_for_health_and_the_page() {
    let folder = Folder::new();
    folder.write("token", "secret words\n");
    let server = Server::start_in(folder, "--weights cifar10 --token-file token");
    assert_eq!((server.get("/v2/health/ready").0, server.get("/").0), (200, 200));
    for path in ["/v2", "/v2/models/densenet", "/models", "/metrics", "/openapi.json"] {
        assert_eq!(server.get(path).0, 401, "{path}");
    }
    let with =
        |token: &str| read(agent().post(server.url("/predict")).header("Authorization", token).send(&picture(1)[..])).0;
    assert_eq!([with("Bearer secret words"), with("Bearer secret"), with("Basic secret words")], [200, 401, 401]);
}

#[test]
fn it_reads_its_models_anew_and_ends_when_all_is_done() {
    let folder = Folder::new();
    folder.done("export --weights cifar10 --format densenet --out w.safetensors");
    let mut server = Server::start_in(folder, "--weights w.safetensors");
    std::fs::copy(server.folder.path("w.safetensors"), server.folder.path("kept.safetensors")).unwrap();
    server.folder.write("w.safetensors", "damaged");
    server.signal("-HUP");
    server.says("the previous models stay in service");
    assert_eq!(server.post("/predict", &picture(1)).0, 200);
    std::fs::rename(server.folder.path("kept.safetensors"), server.folder.path("w.safetensors")).unwrap();
    server.signal("-HUP");
    server.says("reloaded");
    assert_eq!(server.post("/predict", &picture(1)).0, 200);
    // A request whose body is still arriving is served before the end; new ones are not.
    let picture = picture(1);
    let mut slow = TcpStream::connect(&server.address).unwrap();
    let head =
        format!("POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", picture.len());
    slow.write_all(head.as_bytes()).unwrap();
    slow.write_all(&picture[..10]).unwrap();
    while !server.get("/metrics").1.as_str().unwrap().contains("densenet_requests_in_flight 1") {
        std::thread::sleep(Duration::from_millis(5));
    }
    server.signal("-TERM");
    server.says("finishing");
    assert_eq!(server.get("/v2/health/ready"), (503, json!({ "ready": false })));
    assert_eq!(server.post("/predict", &picture).0, 503);
    slow.write_all(&picture[10..]).unwrap();
    let mut reply = String::new();
    slow.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_be_served_is_told_before_anything_listens() {
    let folder = Folder::new();
    folder.write("empty", "\n");
    folder.fails("serve", 2, &["--weights"]);
    folder.fails("serve --weights no.safetensors", 1, &["no.safetensors"]);
    folder.fails("serve --weights cifar10 --token-file empty", 1, &["empty: no token is in it"]);
    folder.fails("serve --weights cifar10 --name a/b", 2, &["it takes letters"]);
    folder.fails("serve --weights cifar10 --model-file densenet=cifar10", 2, &["two models are called densenet"]);
    folder.fails("serve --weights cifar10 --tls-cert c.pem", 2, &["--tls-key"]);
    folder.fails("serve --weights cifar10 --host 192.0.2.1 --token-file token", 1, &["token"]);
}

/// What comes over `connection` until it is closed, or as many bytes as a reply of HTTP has at the least.
fn first_bytes(mut connection: &TcpStream) -> usize {
    connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    connection.read(&mut [0; 12]).unwrap()
}

#[test]
fn connections_beyond_the_limit_are_closed_at_once_and_later_ones_are_served() {
    let server = Server::start("--weights cifar10 --grpc-port 0 --max-connections 2");
    let ask = || {
        let mut connection = TcpStream::connect(&server.address).unwrap();
        let _ = connection.write_all(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n");
        connection
    };
    let served = [ask(), ask()];
    assert_eq!(served.each_ref().map(first_bytes), [12, 12]);
    // Both ports have the places in common.
    for address in [&server.address, server.grpc.as_ref().unwrap()] {
        assert_eq!(first_bytes(&TcpStream::connect(address).unwrap()), 0, "{address}");
    }
    drop(served);
    let again = || {
        std::thread::sleep(Duration::from_millis(20));
        ask().read(&mut [0; 12]).is_ok_and(|bytes| bytes == 12)
    };
    assert!((0..500).any(|_| again()));
}

#[test]
fn connections_may_be_encrypted() {
    let folder = Folder::new();
    let own = rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap();
    folder.write("cert.pem", own.cert.pem());
    folder.write("key.pem", own.signing_key.serialize_pem());
    let server = Server::start_in(folder, "--weights cifar10 --tls-cert cert.pem --tls-key key.pem");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let client = rustls::ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    let mut stream = rustls::StreamOwned::new(client, TcpStream::connect(&server.address).unwrap());
    stream.write_all(b"GET /v2/health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200") && reply.ends_with(r#"{"ready":true}"#), "{reply}");
    // Who speaks plainly is not served.
    let mut plain = TcpStream::connect(&server.address).unwrap();
    plain.write_all(b"GET /v2/health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut reply = Vec::new();
    let _ = plain.read_to_end(&mut reply);
    assert!(!reply.starts_with(b"HTTP"));
}

/// A client of OTLP needs no reply to send what it has, so that the collector only reads.
#[cfg(feature = "otel")]
#[test]
fn traces_are_sent_as_a_part_of_the_clients() {
    let collector = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
    let server = Server::start_with(Folder::new(), "--weights cifar10", &variables);
    let parent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
    read(agent().get(server.url("/v2/models/densenet")).header("traceparent", parent).call());
    let (mut connection, _) = collector.accept().unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let (mut sent, mut part) = (Vec::new(), [0; 4096]);
    let trace: Vec<u8> = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef].repeat(2);
    let holds = |sent: &[u8], wanted: &[u8]| sent.windows(wanted.len()).any(|window| window == wanted);
    while ![b"densenet", &b"/v2/models/densenet"[..], &trace].iter().all(|wanted| holds(&sent, wanted)) {
        let bytes = connection.read(&mut part).unwrap();
        assert!(bytes > 0, "the connection ended before the trace was sent");
        sent.extend_from_slice(&part[..bytes]);
    }
}
