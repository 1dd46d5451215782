//! Clients of others, unchanged, against `densenet serve`, and its description against what it does.
//!
//! Each needs a package of Python, `tritonclient[http,grpc]` (with `pillow` and `attrdict` for its example), `kserve`, `mlserver`,
//! `playwright` or `schemathesis`, and is skipped where the environment has none. KServe's and MLServer's have dependencies that the others'
//! environment may not bear: they can have environments of their own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::{peers, python_with};

/// A server of cifar10 that runs until it is dropped.
struct Server {
    child: Child,
    http: String,
    grpc: String,
}

impl Server {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_densenet"));
        command.args(["serve", "--weights", "cifar10", "--port", "0", "--grpc-port", "0"]).env("DENSENET_LOG", "off");
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut address = |before: &str| {
            let line =
                lines.by_ref().map(Result::unwrap).find(|line| line.contains(before)).expect("the server serves");
            line.rsplit_once(before).unwrap().1.to_string()
        };
        let (grpc, http) = (address("gRPC at "), address("http://"));
        Self { child, http, grpc }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a script that asks a server for the class of a picture, or says why it is skipped.
fn served(python: &Path, script: &str) {
    let server = Server::start();
    let jpeg = Path::new(env!("CARGO_MANIFEST_DIR")).join("../densenet/tests/goldens/preprocessing/dress.jpg");
    let arguments = [server.http.as_ref(), server.grpc.as_ref(), jpeg.as_os_str()];
    let told = peers::printed(python, script, &arguments);
    assert!(told == "ok\n" || told.starts_with("skipped: "), "{told}");
    print!("{told}");
}

#[test]
fn tritons_clients_are_served() {
    let modules = "tritonclient.grpc.aio, tritonclient.http.aio";
    let Some(python) = python_with("tritonclient[http,grpc]", modules) else { return };
    served(&python, "tests/peers/serve_triton.py");
}

#[test]
fn tritons_example_for_images_is_served() {
    let modules = "tritonclient.grpc, tritonclient.http, PIL";
    let Some(python) = python_with("tritonclient[http,grpc], pillow", modules) else { return };
    served(&python, "tests/peers/serve_image_client.py");
}

#[test]
fn mlservers_client_is_served() {
    let Some(python) = python_with("mlserver", "mlserver, tritonclient.http.aio") else { return };
    served(&python, "tests/peers/serve_mlserver.py");
}

#[test]
fn kserves_clients_are_served() {
    let Some(python) = python_with("kserve", "kserve") else { return };
    served(&python, "tests/peers/serve_kserve.py");
}

#[test]
fn the_page_works_in_a_browser() {
    let Some(python) = python_with("playwright", "playwright.sync_api") else { return };
    served(&python, "tests/peers/serve_page.py");
}

/// Requests that the description allows, and such that it does not, are all replied to as it says.
#[test]
fn the_description_is_true() {
    let Some(python) = python_with("schemathesis", "schemathesis") else { return };
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let mut command = Command::new(python.with_file_name("schemathesis"));
    command.args(["run", &format!("http://{}/openapi.json", server.http)]).current_dir(&folder);
    // No schema says which bytes are a picture, or which tensors a model takes: those may be refused.
    command.args(["--checks", "all", "--exclude-checks", "positive_data_acceptance", "--continue-on-failure"]);
    command.args(["--phases", "examples,coverage,fuzzing", "--max-examples", "50"]);
    command.args(["--generation-deterministic", "--no-color"]);
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("13 selected / 13 total"), "{told}");
}
