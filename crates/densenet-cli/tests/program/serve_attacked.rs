//! `densenet serve` under attack and under load: clients beside it that do what they should are served, and rightly.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::server::{Server, agent, picture, read, request};

/// Requests of each kind that is malformed.
const EACH: usize = 1000;

/// A connection of HTTP, without a client's good manners.
struct Raw(BufReader<TcpStream>);

impl Raw {
    fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        Self(BufReader::new(stream))
    }

    fn send(&mut self, bytes: &[u8]) -> &mut Self {
        // Where the server has refused already, its reply tells more.
        let _ = self.0.get_mut().write_all(bytes);
        self
    }

    /// The status of the next reply, and its body; none where the connection is closed.
    fn reply(&mut self) -> Option<(u16, String)> {
        let mut line = String::new();
        if self.0.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut length = 0;
        while line != "\r\n" {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        Some((status, String::from_utf8(body).unwrap()))
    }
}

/// A request with a body, as it goes over the wire.
fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn tensor() -> Value {
    request("FP32", &[1, 3, 32, 32], (0..3072).map(|i| f64::from(i % 17) / 8.0).collect::<Vec<_>>())
}

/// Does `attack` while clients, one with a connection that stays open and one with a new one each time, ask for one picture
/// and one tensor, and get the right answers.
fn while_others_are_served(server: &Server, attack: impl FnOnce()) {
    let (of_tensor, of_picture) = (server.infer(&tensor()).1["outputs"].clone(), classes(server));
    assert!(of_tensor[0]["data"].is_array() && of_picture.is_array());
    let (done, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (open, body) = (agent(), tensor().to_string());
            while !done.load(Ordering::SeqCst) {
                let (status, reply) = read(open.post(server.url("/v2/models/densenet/infer")).send(body.as_bytes()));
                assert_eq!((status, &reply["outputs"]), (200, &of_tensor), "{reply}");
                answers.fetch_add(1, Ordering::SeqCst);
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                assert_eq!(classes(server), of_picture);
                answers.fetch_add(1, Ordering::SeqCst);
            }
        });
        let _done = AtEnd(&done);
        attack();
        let before = answers.load(Ordering::SeqCst);
        while answers.load(Ordering::SeqCst) < before + 4 {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}

/// Tells clients that it is the end, even if the attack panics, else they would go on for ever.
struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn classes(server: &Server) -> Value {
    server.post("/predict", &picture(90)).1["classes"].clone()
}

#[test]
fn clients_that_break_off_harm_nobody() {
    let server = Server::start("--weights cifar10 --grpc-port 0 --max-body 1");
    let address = &server.address;
    while_others_are_served(&server, || {
        let body = picture(1);
        // More bodies are announced than there is room for.
        let announced = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\nabc";
        let held: Vec<Raw> = (0..100)
            .map(|i| {
                let mut raw = Raw::new(address);
                let half: &[u8] = if i % 2 == 0 { announced } else { b"POST /predict HTTP/1.1\r\nHo" };
                raw.send(half);
                raw
            })
            .collect();
        let idle: Vec<Raw> = (0..200).map(|_| Raw::new(address)).collect();
        for i in 0..EACH {
            let whole = post("/predict?map=true", "", &body);
            // Within the head, within the body, and when the request has been taken on.
            Raw::new(address).send(&whole[..[20, whole.len() - 10, whole.len()][i % 3]]);
        }
        let grpc = server.grpc.as_ref().unwrap();
        for i in 0..EACH {
            let words: [&[u8]; 3] = [b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff", b"\x16\x03\x01"];
            Raw::new(grpc).send(words[i % 3]);
        }
        drop((held, idle));
    });
    nothing_is_left(&server);
}

/// Waits until no request is being served any more.
fn nothing_is_left(server: &Server) {
    let rests = || {
        std::thread::sleep(Duration::from_millis(10));
        server.get("/metrics").1.as_str().unwrap().contains("densenet_requests_in_flight 0")
    };
    assert!((0..3000).any(|_| rests()), "a request is still being served");
}

/// A request that is malformed, and the statuses that it may be refused with.
type Malformed = (Vec<u8>, &'static [u16]);

/// Kinds that HTTP itself allows.
fn malformed() -> Vec<Malformed> {
    const INFER: &str = "/v2/models/densenet/infer";
    let infer = |headers: &str, body: &[u8]| post(INFER, headers, body);
    let of = |datatype: &str, shape: Value, size: usize, bytes: &[u8]| {
        let parameters = json!({ "binary_data_size": size });
        let input = json!({ "name": "images", "datatype": datatype, "shape": shape, "parameters": parameters });
        let json = json!({ "inputs": [input] }).to_string().into_bytes();
        infer(&format!("Inference-Header-Content-Length: {}\r\n", json.len()), &[&json, bytes].concat())
    };
    let nan = tensor().to_string().replacen("0.0", "1e999", 1);
    let mut requests = vec![
        infer("", b""),
        infer("", b"{"),
        infer("", &[b'['; 5000]),
        infer("", b"\xff\xfe{}"),
        infer("", nan.as_bytes()),
        infer("Inference-Header-Content-Length: 99999\r\n", b"{}"),
        infer("Inference-Header-Content-Length: -1\r\n", b"{}"),
        infer("Content-Encoding: gzip\r\n", b"\x1f\x8b\x08\x00 no gzip"),
        infer("Content-Encoding: br\r\n", b"{}"),
        of("FP32", json!([1, 3, 32, 32]), 12287, &[0; 12287]),
        of("FP32", json!([1, 3, 32, 32]), usize::MAX, &[0; 64]),
        of("FP32", json!([1, 3, 32, 32]), 12288, &[0xff; 12288]),
        of("FP32", json!([i64::MAX, i64::MAX, 32, 32]), 4, &[0; 4]),
        of("FP32", json!([-1, 3, 32, 32]), 4, &[0; 4]),
        of("UINT8", json!([30_000, 1, 1, 1]), 30_000, &[7; 30_000]),
        of("UINT8", json!([1, 1, 3, 5]), 15, &[7; 15]),
        of("BYTES", json!([1]), 8, &[255; 8]),
        of("BYTES", json!([4000]), 16_000, &[0; 16_000]),
        of("BYTES", json!([1]), 104, &[&[100, 0, 0, 0], &picture(3)[..100]].concat()),
    ];
    requests.push(post("/predict", "", b"no picture"));
    requests.push(post("/predict", "", &picture(3)[..200]));
    requests.push(post("/predict?top=x", "", &picture(3)));
    let mut malformed: Vec<Malformed> = requests.into_iter().map(|request| (request, &[400][..])).collect();
    malformed.push((post("/v2/models/other/infer", "", b"{}"), &[404]));
    malformed.push((post("/v2/models/densenet/versions/9/infer", "", b"{}"), &[404]));
    malformed.push((post("/v2/models/densenet", "", b"{}"), &[405]));
    malformed
}

/// Kinds that are no HTTP, or too much of it.
fn no_http() -> Vec<Malformed> {
    let chunked = "POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let many: String = (0..200).map(|i| format!("X-{i}: {i}\r\n")).collect();
    vec![
        (b"nonsense\r\n\r\n".to_vec(), &[400]),
        (b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), &[400]),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n".to_vec(), &[400]),
        (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n".to_vec(), &[400]),
        (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd".to_vec(), &[400]),
        (format!("{chunked}zz\r\n").into_bytes(), &[400]),
        (format!("{chunked}fffffffffffffffff\r\n").into_bytes(), &[400]),
        (format!("GET /v2 HTTP/1.1\r\nHost: x\r\n{many}\r\n").into_bytes(), &[431]),
        (format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000)).into_bytes(), &[414, 431]),
        (post("/predict", "", &vec![0; (1 << 20) + 1]), &[413]),
    ]
}

#[test]
fn a_thousand_malformed_requests_of_each_kind_are_refused() {
    let server = Server::start("--weights cifar10 --max-body 1");
    while_others_are_served(&server, || {
        for (bytes, statuses) in malformed() {
            let mut raw = Raw::new(&server.address);
            for _ in 0..EACH {
                let (status, body) = raw.send(&bytes).reply().expect("the connection stays open");
                let error: Value = serde_json::from_str(&body).unwrap();
                let kind = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]);
                assert!(statuses.contains(&status) && error["error"].is_string(), "{status} {body}: {kind}");
            }
        }
        for (bytes, statuses) in no_http() {
            for _ in 0..EACH.min(100_000_000 / bytes.len()) {
                // Where the server closes a connection before all is sent, the reply may be lost.
                if let Some((status, _)) = Raw::new(&server.address).send(&bytes).reply() {
                    let kind = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]);
                    assert!(statuses.contains(&status), "{status}: {kind}");
                }
            }
        }
    });
    nothing_is_left(&server);
}

#[test]
fn slow_clients_lose_their_places() {
    let server = Server::start("--weights cifar10 --grpc-port 0");
    while_others_are_served(&server, || {
        // A connection of gRPC that never begins.
        let mut silent = Raw::new(server.grpc.as_ref().unwrap());
        let mut head = Raw::new(&server.address);
        head.send(b"GET /v2 HTT");
        let mut idle = Raw::new(&server.address);
        assert_eq!(idle.send(b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n").reply().unwrap().0, 200);
        let mut body = Raw::new(&server.address);
        body.send(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc");
        let mut deaf = TcpStream::connect(&server.address).unwrap();
        // A client that asks and never listens, until it cannot even ask any more.
        deaf.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        let question = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
        let stuck = (0..100_000).find_map(|_| deaf.write_all(&question).err()).unwrap();
        assert!(matches!(stuck.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{stuck}");
        assert_eq!(body.reply().unwrap().0, 408);
        assert!(head.reply().is_none_or(|(status, _)| status == 408) && idle.reply().is_none());
        let closed =
            |error: &std::io::Error| [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&error.kind());
        assert!((0..120).any(|_| deaf.write(b"x").is_err_and(|error| closed(&error))), "it has its place for ever");
        let mut all = Vec::new();
        let ended = silent.0.read_to_end(&mut all).map_err(|error| error.kind());
        assert!(matches!(ended, Ok(_) | Err(ErrorKind::ConnectionReset)), "{ended:?}");
    });
}

#[test]
fn what_is_too_much_is_refused_at_once_and_the_rest_is_answered_rightly() {
    let server = Server::start("--weights cifar10 --max-batch 1 --max-queue 1");
    let bodies: [Vec<u8>; 3] = [1, 120, 240].map(picture);
    let right = bodies.each_ref().map(|body| server.post("/predict", body).1["classes"].clone());
    let (served, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for client in 0..24 {
            let (server, bodies, right, served, refused) = (&server, &bodies, &right, &served, &refused);
            scope.spawn(move || {
                let mut raw = Raw::new(&server.address);
                for i in 0..40 {
                    let which = (client + i) % 3;
                    let path = if client % 2 == 0 { "/predict" } else { "/predict?map=true" };
                    let (status, body) = raw.send(&post(path, "", &bodies[which])).reply().unwrap();
                    let reply: Value = serde_json::from_str(&body).unwrap();
                    match status {
                        200 => {
                            assert_eq!(reply["classes"], right[which]);
                            served.fetch_add(1, Ordering::SeqCst);
                        }
                        503 => {
                            assert!(reply["error"].as_str().unwrap().contains("queue is full"), "{reply}");
                            refused.fetch_add(1, Ordering::SeqCst);
                        }
                        other => panic!("{other}: {reply}"),
                    }
                }
            });
        }
    });
    let (served, refused) = (served.into_inner(), refused.into_inner());
    assert!(served > 0 && refused > 0 && served + refused == 24 * 40, "{served} served, {refused} refused");
    nothing_is_left(&server);
    for (body, right) in bodies.iter().zip(right) {
        assert_eq!(server.post("/predict", body).1["classes"], right);
    }
}
