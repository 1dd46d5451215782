//! Triton's own clients, unchanged, against `densenet serve`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::peers;

#[test]
fn tritons_clients_are_served() {
    let Some(python) = peers::python() else { return };
    let imports = ["-c", "import tritonclient.grpc.aio, tritonclient.http.aio"];
    if !Command::new(&python).args(imports).output().unwrap().status.success() {
        return println!("skipped: the environment has no tritonclient[http,grpc]");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_densenet"));
    command.args(["serve", "--weights", "cifar10", "--port", "0", "--grpc-port", "0"]).env("DENSENET_LOG", "off");
    let mut server = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
    let mut address = |before: &str| {
        let line = lines.by_ref().map(Result::unwrap).find(|line| line.contains(before)).expect("the server serves");
        line.rsplit_once(before).unwrap().1.to_string()
    };
    let (grpc, http) = (address("gRPC at "), address("http://"));
    let jpeg = Path::new(env!("CARGO_MANIFEST_DIR")).join("../densenet/tests/goldens/preprocessing/dress.jpg");
    let arguments = [http.as_ref(), grpc.as_ref(), jpeg.as_os_str()];
    let served = std::panic::catch_unwind(|| peers::printed(&python, "tests/peers/serve.py", &arguments));
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(served.unwrap(), "ok\n");
}
