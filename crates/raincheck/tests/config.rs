//! The configuration: what is in force, and what is said of mistakes.

use crate::support::{Place, raincheck, run};

#[test]
fn every_mistake_is_told_with_its_place_and_the_server_does_not_start() {
    let place = Place::new();
    place.file(
        "raincheck.toml",
        "[server]\nlisen = \"127.0.0.1:80\"\n\n[engine]\nlease = \"10\"\n\n[adio]\nroots = []\n",
    );
    for command in [&["config", "check"][..], &["serve"]] {
        let ended = run(raincheck(command).current_dir(place.path()).env("RAINCHECK_LIMITS_BATCH", "many"));
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""));
        insta::assert_snapshot!("mistakes", ended.err);
    }
}

#[test]
fn a_variable_that_means_nothing_is_told() {
    let place = Place::new();
    let ended = run(raincheck(&["config", "check"]).current_dir(place.path()).env("RAINCHECK_DATA_DIRECTORY", "/x"));
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), "{\"ok\":true}\n"));
    insta::assert_snapshot!(ended.err, @"warning: RAINCHECK_DATA_DIRECTORY: this environment variable means nothing here; did you mean RAINCHECK_DATA_DIR?");
}

#[test]
fn flags_come_before_the_environment_and_that_before_the_file() {
    let place = Place::new();
    let file = place.file("other.toml", "[engine]\nlease = \"20s\"\nconcurrency = 7\n");
    let mut show = raincheck(&["config", "show", "--config", file.to_str().unwrap()]);
    let shown = run(show.current_dir(place.path()).env("RAINCHECK_ENGINE_LEASE", "30s")).json();
    let setting = |key: &str| shown.as_array().unwrap().iter().find(|setting| setting["key"] == key).unwrap().clone();
    assert_eq!(
        (&setting("lease")["value"], &setting("lease")["source"]),
        (&"\"30s\"".into(), &"RAINCHECK_ENGINE_LEASE".into())
    );
    assert_eq!(setting("concurrency")["value"], "7");
    assert_eq!(setting("stop_grace")["source"], "default");
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let ended = run(&mut raincheck(&["config", "check", "--config", "/nowhere/raincheck.toml"]));
    assert_eq!(ended.code, Some(2));
    assert!(ended.err.contains("/nowhere/raincheck.toml: cannot be read: No such file"), "{}", ended.err);
}

#[test]
fn prices_and_how_long_files_are_kept_are_read_with_each_upstream() {
    let place = Place::new();
    let check = |settings: &str| {
        let upstream = format!("[upstream.one]\nprotocol = \"openai\"\nbase_url = \"http://a/v1\"\n{settings}\n");
        place.file("raincheck.toml", &upstream);
        run(raincheck(&["config", "check"]).current_dir(place.path()))
    };
    for good in ["files_expire_after = \"30d\"\ninput_price = 1.25\noutput_price = 10", "files_expire_after = \"0s\""] {
        assert_eq!(check(good).code, Some(0), "{good}");
    }
    for (wrong, told) in [
        (
            "files_expire_after = \"59m\"",
            "files_expire_after: must be from 1h to 30d, or 0s for files that do not expire",
        ),
        ("input_price = -1", "input_price: expected what a million tokens cost, such as 1.25"),
    ] {
        let ended = check(wrong);
        assert!(ended.code == Some(2) && ended.err.contains(told), "{ended:?}");
    }
}

#[test]
fn an_address_holds_nothing_secret_and_none_is_shown() {
    let place = Place::new();
    let check = |command: &[&str], url: &str| {
        let upstream = format!("[upstream.one]\nprotocol = \"openai\"\nbase_url = \"{url}\"\n");
        place.file("raincheck.toml", &upstream);
        run(raincheck(command).current_dir(place.path()))
    };
    for url in ["http://user:canary@a/v1", "http://a/v1?key=canary", "http://a/v1#canary"] {
        for command in [&["config", "check"][..], &["config", "show"], &["serve"]] {
            let ended = check(command, url);
            assert_eq!(ended.code, Some(2), "{ended:?}");
            assert!(ended.err.contains("raincheck.toml:3:12: base_url: "), "{}", ended.err);
            assert!(ended.err.contains("api_key_env"), "{}", ended.err);
            assert!(!format!("{ended:?}").contains("canary"), "{ended:?}");
        }
    }
}

#[test]
fn waiting_longer_for_the_first_byte_than_for_all_is_warned_of() {
    let place = Place::new();
    let check = |settings: &str| {
        let upstream = format!("[upstream.one]\nprotocol = \"openai\"\nbase_url = \"http://a/v1\"\n{settings}\n");
        place.file("raincheck.toml", &upstream);
        let ended = run(raincheck(&["config", "check"]).current_dir(place.path()));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.err
    };
    let told = "raincheck.toml:4:22: first_byte_timeout = \"30m\" means nothing: total_timeout = \"20m\" ends it";
    let warned = check("first_byte_timeout = \"30m\"");
    assert!(warned.starts_with(&format!("warning: {told}")), "{warned}");
    for good in ["total_timeout = \"1m\"", "first_byte_timeout = \"30m\"\ntotal_timeout = \"1h\""] {
        assert_eq!(check(good), "", "{good}");
    }
}
