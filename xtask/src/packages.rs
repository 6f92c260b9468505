//! Programs of the operating system that the tests use, from Debian's packages.

use std::process::Command;

use crate::run::{Failure, command, is_root, run, say, succeeds};

struct Package {
    /// The name in Debian 12 and later.
    name: &'static str,
    /// What the tests want of it.
    reason: &'static str,
    /// A command that succeeds when it is there. Asked instead of dpkg, so that other systems are served as well.
    probe: &'static [&'static str],
}

const PACKAGES: &[Package] = &[
    Package { name: "strace", reason: "counts and delays system calls of a running server", probe: &["strace", "-V"] },
    Package {
        name: "util-linux",
        reason: "prlimit, setsid and unshare: limits and private mounts",
        probe: &["unshare", "--version"],
    },
    Package { name: "mount", reason: "mounts the small tmpfs of the disk-full test", probe: &["mount", "--version"] },
    Package {
        name: "python3-venv",
        reason: "the Python environment in target/venv",
        probe: &["python3", "-c", "import ensurepip, venv"],
    },
    Package { name: "nodejs", reason: "runs the providers' SDKs for Node", probe: &["node", "--version"] },
    Package { name: "npm", reason: "installs them", probe: &["npm", "--version"] },
    Package {
        name: "chromium",
        reason: "shows the recipes' pages, without a screen",
        probe: &["/usr/bin/chromium", "--version"],
    },
];

/// Sees to it that every package is there: installs as root, else says what is missing and how to get it.
/// `may_go_without` turns that refusal into a warning.
pub(crate) fn prepare(may_go_without: bool) -> Result<(), Failure> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    if is_root() && succeeds(Command::new("apt-get").arg("--version")) {
        return install(&missing);
    }
    let told = tell(&missing);
    if may_go_without {
        say(format_args!("{told}\nGoing on without them: the tests that need them will fail."));
        return Ok(());
    }
    Err(Failure::usage(format!("{told}\nOr leave them out, and let the tests that need them fail: --without-packages")))
}

fn missing() -> Vec<&'static Package> {
    PACKAGES.iter().filter(|package| !succeeds(Command::new(package.probe[0]).args(&package.probe[1..]))).collect()
}

fn install(missing: &[&Package]) -> Result<(), Failure> {
    const NEXT: &str = "see apt's message above; without the network, install the packages by hand";
    say(format_args!("installing Debian packages for the tests:\n{}", list(missing)));
    let wanted: Vec<_> = missing.iter().map(|package| package.name).collect();
    // A machine that never ran an update has no lists, an old one may name versions that are gone: try, update, retry.
    if !succeeds(&mut apt(&["install"], &wanted)) {
        run(&mut apt(&["update"], &[]), NEXT)?;
        run(&mut apt(&["install"], &wanted), NEXT)?;
    }
    let still = self::missing();
    if still.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!("installed, but these still do not answer:\n{}", list(&still))))
}

fn apt(verb: &[&str], packages: &[&str]) -> Command {
    let mut apt = command("apt-get");
    // Another apt may be at work; wait for its lock rather than fail.
    apt.args(["-qq", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"]).args(verb).args(packages);
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

fn tell(missing: &[&Package]) -> String {
    let names: Vec<_> = missing.iter().map(|package| package.name).collect();
    format!(
        "the tests need these Debian packages:\n{}\nInstall them: sudo apt-get install {}",
        list(missing),
        names.join(" ")
    )
}

fn list(packages: &[&Package]) -> String {
    packages.iter().map(|package| format!("  {:<16}{}", package.name, package.reason)).collect::<Vec<_>>().join("\n")
}
