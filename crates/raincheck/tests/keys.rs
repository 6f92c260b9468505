//! API keys by the command line, beside a running server and without one.

use crate::support::{Ended, Place, Server, raincheck, run};

fn key(place: &Place, args: &[&str]) -> Ended {
    let data = place.data();
    run(&mut raincheck(&[&["key"], args, &["--data-dir", data.to_str().unwrap()]].concat()))
}

#[test]
fn a_key_is_made_listed_and_revoked_while_a_server_runs() {
    let place = Place::new();
    let server = Server::start(&place, &[]);
    let url = server.url();
    let list = |key: Option<&str>| {
        let mut command = raincheck(&["list", "--server", &url]);
        run(command.envs(key.map(|key| ("RAINCHECK_API_KEY", key)))).code
    };
    assert_eq!(list(None), Some(0), "no key is needed before there is one");

    let made = key(&place, &["create", "--scope", "submit,read", "--tenant", "blue", "--expires", "90d"]).json();
    let (id, secret) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert!(secret.starts_with(&format!("rc_{id}_")), "{secret}");

    let listed = key(&place, &["list"]);
    assert!(!listed.out.contains(secret), "the secret is shown once");
    let entry = &listed.json()["keys"][0];
    assert_eq!((&entry["tenant"], &entry["scopes"]), (&"blue".into(), &serde_json::json!(["submit", "read"])));

    let revoked = key(&place, &["revoke", id]);
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    assert_eq!(key(&place, &["list"]).json()["keys"][0]["valid"], false);
    assert_eq!(key(&place, &["revoke", "nobody"]).code, Some(1));
}

#[test]
fn a_server_with_keys_asks_for_one() {
    let place = Place::new();
    let made = key(&place, &["create", "--scope", "submit,read"]).json();
    let server = Server::start(&place, &[]);
    let url = server.url();
    let refused = run(&mut raincheck(&["list", "--server", &url]));
    assert_eq!(refused.code, Some(3));
    insta::assert_snapshot!(refused.err);
    let secret = made["key"].as_str().unwrap();
    assert_eq!(run(raincheck(&["list", "--server", &url]).env("RAINCHECK_API_KEY", secret)).code, Some(0));
    let helped = run(raincheck(&["list", "--help"]).env("RAINCHECK_API_KEY", secret));
    assert!(!helped.out.contains(secret), "--help must not show the key");
}

#[test]
fn a_scope_that_is_none_is_refused() {
    let place = Place::new();
    let refused = key(&place, &["create", "--scope", "everything"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("expected one of submit, read, worker, admin"), "{}", refused.err);
}
