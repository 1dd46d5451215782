//! Data sets downloaded from a server on the loopback interface.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;
use crate::data::known::{Layout, Package, Remote};

/// A server on the loopback interface that responds to each request with the body for its path, or with 404.
fn serve(bodies: HashMap<String, Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let path = head[0].split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
            let (status, body) = match bodies.get(&path) {
                Some(body) => ("200 OK", body.as_slice()),
                None => ("404 Not Found", b"none".as_slice()),
            };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            // The client may have read enough and disconnected.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        }
    });
    address
}

fn idx(extents: &[u32], content: &[u8]) -> Vec<u8> {
    let header = [0, 0, 8, extents.len() as u8];
    header.into_iter().chain(extents.iter().flat_map(|e| e.to_be_bytes())).chain(content.iter().copied()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A data set with this layout whose published files are `files`.
fn published(layout: Layout, files: &[(&'static str, Vec<u8>)], package: Option<Package>) -> Known {
    let remote = |(name, body): &(&'static str, Vec<u8>)| {
        let hash: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
        Remote { name, bytes: body.len() as u64, sha256: hash.leak() }
    };
    let files = files.iter().map(remote).collect::<Vec<_>>().leak();
    let name = if layout == Layout::Idx { "mnist" } else { "cifar10" };
    Known { name, layout, classes: Known::named(name).unwrap().classes, address: "", files, package }
}

fn digits() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("train-images-idx3-ubyte.gz", gzip(&idx(&[2, 28, 28], &[7; 2 * 784]))),
        ("train-labels-idx1-ubyte.gz", gzip(&idx(&[2], &[3, 9]))),
        ("t10k-images-idx3-ubyte.gz", gzip(&idx(&[1, 28, 28], &[8; 784]))),
        ("t10k-labels-idx1-ubyte.gz", gzip(&idx(&[1], &[5]))),
    ]
}

fn bodies(files: &[(&'static str, Vec<u8>)]) -> HashMap<String, Vec<u8>> {
    files.iter().map(|(name, body)| ((*name).to_owned(), body.clone())).collect()
}

/// What is in a folder, hidden or not.
fn content(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_set_is_fetched_once_and_whole() {
    let home = TempDir::new().unwrap();
    let known = published(Layout::Idx, &digits(), None);
    let address = serve(bodies(&digits()));
    let homes = [home.path().join("first/deep"), home.path().join("second")];
    let mut heard = Vec::new();
    let set = find(&known, &address, &homes, &mut |p| heard.push((p.file.to_owned(), p.done, p.total))).unwrap();
    assert_eq!((set.train.labels(), set.test.labels()), ([3, 9].as_slice(), [5].as_slice()));
    for file in known.files {
        assert!(heard.contains(&(file.name.to_owned(), file.bytes, file.bytes)), "{heard:?}");
    }
    assert_eq!(content(&homes[0]), [homes[0].join("mnist")], "nothing is left beside it");
    let again = find(&known, "http://127.0.0.1:1/", &homes, &mut |_| panic!("it is there")).unwrap();
    assert_eq!(again.train.labels(), [3, 9]);
}

#[test]
fn the_binaries_come_out_of_their_archive() {
    let record = |label: u8| std::iter::once(label).chain(std::iter::repeat_n(label, 3072)).collect::<Vec<u8>>();
    let mut archive = tar::Builder::new(Vec::new());
    let batches = (1..=5).map(|b| (format!("data_batch_{b}.bin"), record(b)));
    for (name, body) in batches.chain([("test_batch.bin".into(), record(9)), ("readme.html".into(), vec![1])]) {
        let mut header = tar::Header::new_gnu();
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("cifar-10-batches-bin/{name}"), body.as_slice()).unwrap();
    }
    let files = [("cifar-10-binary.tar.gz", gzip(&archive.into_inner().unwrap()))];
    let home = TempDir::new().unwrap();
    let known = published(Layout::Cifar10, &files, None);
    let set = find(&known, &serve(bodies(&files)), &[home.path().into()], &mut |_| ()).unwrap();
    assert_eq!((set.train.labels(), set.test.labels()), ([1, 2, 3, 4, 5].as_slice(), [9].as_slice()));
    assert_eq!(content(&home.path().join("cifar10")).len(), 6, "the archive and its page are gone");
}

/// The error message when `known` cannot be found, after which nothing may be left.
fn refusal(known: &Known, address: &str) -> String {
    let home = TempDir::new().unwrap();
    let error = find(known, address, &[home.path().into()], &mut |_| ()).unwrap_err();
    assert!(matches!(error, Error::DataSet { .. }), "{error:?}");
    assert!(content(home.path()).is_empty(), "nothing is left: {:?}", content(home.path()));
    let message = error.to_string();
    assert!(message.contains(&home.path().join(known.name).display().to_string()), "{message} names the place");
    message
}

#[test]
fn what_is_not_the_published_file_is_refused() {
    let known = published(Layout::Idx, &digits(), None);
    let last = "t10k-labels-idx1-ubyte.gz";
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bodies = bodies(&digits());
        change(bodies.get_mut(last).unwrap());
        refusal(&known, &serve(bodies))
    };
    let truncated = with(&|body| body.truncate(20));
    assert!(truncated.contains(last) && truncated.contains("only 20 bytes arrived"), "{truncated}");
    let longer = with(&|body| body.resize(1 << 20, 0));
    assert!(longer.contains("more bytes arrived; the file has"), "{longer}");
    let changed = with(&|body| *body.last_mut().unwrap() ^= 1);
    assert!(changed.contains("its SHA-256 is"), "{changed}");
    let missing = refusal(&known, &serve(HashMap::new()));
    assert!(missing.contains("404"), "{missing}");
}

/// A server that disconnects before it has sent everything it announced.
#[test]
fn a_broken_connection_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok).take_while(|l| !l.is_empty()).count();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\nabc").unwrap();
    });
    let message = refusal(&published(Layout::Idx, &digits(), None), &address);
    assert!(message.contains("downloading http://127.0.0.1"), "{message}");
}

#[test]
fn without_network_the_package_is_named() {
    let package = Package { name: "dataset-some", folder: "/no/such/folder" };
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let message = refusal(&published(Layout::Idx, &digits(), Some(package)), &format!("http://{closed}/"));
    assert!(message.contains("apt-get install dataset-some"), "{message}");
    assert!(message.contains("/no/such/folder"), "{message}");
}

#[test]
fn a_distributions_folder_is_taken_before_any_download() {
    let home = TempDir::new().unwrap();
    digits().iter().for_each(|(name, body)| std::fs::write(home.path().join(name), body).unwrap());
    let folder = home.path().to_str().unwrap().to_owned().leak();
    let known = published(Layout::Idx, &digits(), Some(Package { name: "some", folder }));
    let set = find(&known, "", &[home.path().join("none")], &mut |_| ()).unwrap();
    assert_eq!(set.train.labels(), [3, 9]);
}

#[test]
fn names_and_paths_are_told_apart() {
    let message = open("fashion_mnist", None, &TableOptions::default(), &mut |_| ()).unwrap_err().to_string();
    assert!(
        message.contains("neither a folder or file nor one of fashion-mnist, mnist, cifar10, cifar100"),
        "{message}"
    );
    let home = TempDir::new().unwrap();
    let folder = home.path().join("fashion-mnist");
    std::fs::create_dir(&folder).unwrap();
    let incomplete =
        open("fashion-mnist", Some(home.path()), &TableOptions::default(), &mut |_| ()).unwrap_err().to_string();
    assert!(incomplete.contains("train-images-idx3-ubyte, plain or .gz, is missing"), "{incomplete}");
}

#[test]
fn what_is_known_is_consistent() {
    for known in &KNOWN {
        assert_eq!(known.preprocessing().channels(), if known.layout == Layout::Idx { 1 } else { 3 });
        let hexadecimal = |sum: &str| sum.len() == 64 && sum.bytes().all(|b| b"0123456789abcdef".contains(&b));
        assert!(known.files.iter().all(|file| hexadecimal(file.sha256)), "{}", known.name);
        assert!(known.address.ends_with('/'));
    }
}
