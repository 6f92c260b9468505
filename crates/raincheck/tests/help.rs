//! What the command says of itself. Scripts and people learn it by heart, so it only changes on purpose.

use crate::support::{raincheck, run};

/// Every command, by the words that lead to it.
const COMMANDS: &[&[&str]] = &[
    &[],
    &["serve"],
    &["submit"],
    &["follow"],
    &["get"],
    &["list"],
    &["cancel"],
    &["retry"],
    &["webhook"],
    &["webhook", "show"],
    &["webhook", "redeliver"],
    &["webhook", "secret"],
    &["upstreams"],
    &["recipes"],
    &["recipes", "check"],
    &["recipes", "explain"],
    &["recipes", "schema"],
    &["key"],
    &["key", "create"],
    &["key", "list"],
    &["key", "revoke"],
    &["simulate"],
    &["config"],
    &["config", "check"],
    &["config", "show"],
    &["completions"],
];

#[test]
fn every_command_explains_itself() {
    for words in COMMANDS {
        let ended = run(raincheck(&[*words, &["--help"]].concat()).env("COLUMNS", "100"));
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{words:?}");
        let name = if words.is_empty() { "raincheck".to_owned() } else { words.join("_") };
        insta::assert_snapshot!(name, ended.out);
    }
}

#[test]
fn the_version_is_said() {
    let ended = run(&mut raincheck(&["--version"]));
    assert_eq!(ended.out, concat!("raincheck ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn every_shell_gets_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = run(&mut raincheck(&["completions", shell]));
        assert_eq!(ended.code, Some(0));
        assert!(ended.out.contains("submit"), "{shell}: {}", ended.out);
    }
}
