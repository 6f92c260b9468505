//! The providers' own SDKs, unmodified and with only their address changed, against a real server. `cargo xtask test` installs
//! them into target/sdks; the scripts beside this file make the calls and check what comes back.

mod anthropic;
mod fal;
mod openai;
mod pages;
mod providers;
mod replicate;
mod webhooks;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::{Place, Server, raincheck, run};

/// Names the directory of the SDKs, if it is not target/sdks.
const SDKS: &str = "RAINCHECK_TEST_SDKS";

/// Lets webhooks be told to this machine, which is no public address.
const TELLS_THIS_MACHINE: &str = "[egress]\nallow = [\"127.0.0.0/8\"]\n";

/// Where a package is installed: its name and version.
pub(crate) fn place_of(package: &str) -> PathBuf {
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("sdks");
    let place = std::env::var_os(SDKS).map_or(made, PathBuf::from).join(package);
    assert!(place.join("whole").exists(), "no {}: run `cargo xtask test`, which makes it", place.display());
    place
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk").join(name)
}

/// A script for Python, with this package.
fn python(package: &str, name: &str) -> Command {
    let mut command = Command::new(place_of(package).join("bin/python"));
    command.arg(script(name));
    command
}

/// A script for Node, with this package; it finds the package by `NODE_PATH`.
fn node(package: &str, name: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(script(name)).env("NODE_PATH", place_of(package).join("node_modules"));
    command
}

/// A key for the server that is about to start in this place, which then asks everybody for one.
fn key(place: &Place) -> String {
    let data = place.data();
    let create = ["key", "create", "--scope", "submit,read", "--data-dir", data.to_str().expect("a plain path")];
    run(&mut raincheck(&create)).json()["key"].as_str().expect("a key is made").to_owned()
}

/// Runs a script to its good end.
pub(crate) fn drive(command: &mut Command, place: &Place) {
    let output = command.env_remove("HTTPS_PROXY").env_remove("HTTP_PROXY").output().expect("the script starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let log = std::fs::read_to_string(place.log()).unwrap_or_default();
    assert!(output.status.success(), "{}{}\n{log}", text(&output.stdout), text(&output.stderr));
}

/// A worker of image.generate, in the place of a provider of images. It ends with the test.
struct Painter(Child);

impl Painter {
    fn start(place: &Place, server: &Server, authority: Option<&Path>) -> Self {
        let mut command = Command::new(place_of("replicate-1.0.7").join("bin/python"));
        command.arg(script("painter.py")).arg(server.url()).stdout(Stdio::null()).stderr(place.log_file());
        if let Some(authority) = authority {
            command.env("SSL_CERT_FILE", authority);
        }
        Self(command.spawn().expect("the worker starts"))
    }
}

impl Drop for Painter {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
