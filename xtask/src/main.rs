//! The project's own chores, as `cargo xtask CHORE`.
//!
//! Each chore is one module. The crate has no dependencies, so that it compiles in a second or two on a fresh checkout,
//! and it is never part of what is shipped.

mod advisories;
mod bench;
mod lint;
mod packages;
mod place;
mod python;
mod rivals;
mod run;
mod sdks;
mod test;
mod tools;

use std::process::ExitCode;

use run::Failure;

const HELP: &str = "\
The project's own chores.

Usage: cargo xtask CHORE

  test [--without-packages] [NEXTEST ARGUMENTS]
        prepare what the tests need (Debian packages, a Python environment, the providers' SDKs, cargo-nextest), then run
        all of them.
        With nextest arguments the doc tests are left out: cargo xtask test -p raincheck-core retry
        --without-packages   do not stop when Debian packages are missing and may not be installed; the tests that
                             need them will fail
  bench store|accept|run|follow|gateway|outage|scan|recovery|all [--quick] [ARGUMENTS]
        build the shipped profile and measure; the figures of docs/performance.md
  lint [fmt|clippy|deny]
        format, clippy, and cargo-deny (advisories, licences, bans, sources); all three without a name
  help  this text

Environment:
  RAINCHECK_ADVISORY_DB   a copy of the RustSec advisory database: the path or URL of a git repository.
                          For networks that do not reach github.com/rustsec/advisory-db
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let chore = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    match dispatch(&chore, &rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

fn dispatch(chore: &str, args: &[String]) -> Result<(), Failure> {
    match chore {
        "test" => test::test(args),
        "bench" => bench::bench(args),
        "lint" => lint::lint(args),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        "" => Err(Failure::usage(format!("which chore?\n\n{HELP}"))),
        other => Err(Failure::usage(format!("there is no chore \"{other}\"\n\n{HELP}"))),
    }
}
