//! The bundled kinds: what a server has, and what is known of them without one.

use std::fs;
use std::time::Duration;

use raincheck_kinds::schemas;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::proof::within;
use crate::support::{Place, Server, raincheck, run};

const UPSTREAM: &str = "[upstream.one]\nprotocol = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\n";

/// A recipe whose step is given something that its kind does not take.
const WRONG: &str = "name = \"find\"\n[route]\npost = \"/api/find\"\n[input]\nquestion = { type = \"string\" }\n[steps.find]\n\
                     kind = \"collection.search\"\ninput = { collection = \"course\", query = \"{{ input.question }}\", \
                     limt = 3 }\n";

#[test]
fn what_is_known_without_a_server_is_what_a_server_says() {
    let place = Place::new();
    let server = Server::configured(&place, UPSTREAM);
    let kinds = server.get("/v1/kinds").json();
    let told: Vec<(String, Value)> = kinds["kinds"]
        .as_array()
        .expect("kinds")
        .iter()
        .map(|kind| (kind["kind"].as_str().expect("a name").to_owned(), kind["input_schema"].clone()))
        .filter(|(kind, _)| kind != "recipe")
        .collect();
    let known: Vec<(String, Value)> =
        schemas().into_iter().map(|(kind, schema)| (kind.to_owned(), schema.parse().expect("JSON"))).collect();
    assert_eq!(known, told);
}

#[test]
fn a_recipe_is_checked_as_a_server_checks_it() {
    let place = Place::new();
    place.file("find.toml", WRONG);
    let checked = run(raincheck(&["recipes", "check", "find.toml"]).current_dir(place.path()));
    assert_eq!(checked.code, Some(2), "{}", checked.err);
    assert!(checked.err.contains("find.toml:8") && checked.err.contains("limt"), "{}", checked.err);
    let served =
        run(raincheck(&["serve", "--recipes", "find.toml", "--listen", "127.0.0.1:0"]).current_dir(place.path()));
    let told = |text: &str| text.lines().filter(|line| line.contains("limt")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!((served.code, told(&served.err)), (Some(2), told(&checked.err)));
}

/// How many passages of the collection `sea` speak of this.
fn found(server: &Server, query: &str) -> usize {
    let input = json!({ "collection": "sea", "query": query });
    let id = server.submit(&json!({ "kind": "collection.search", "input": input }).to_string());
    server.ended(&id)["result"]["passages"].as_array().expect("passages").len()
}

#[test]
fn texts_beside_the_configuration_are_found_and_read_anew() {
    let place = Place::new();
    fs::create_dir_all(place.path().join("beside/texts")).expect("a folder");
    let text = place.path().join("beside/texts/a.md");
    fs::write(&text, "# Sea\n\nA lighthouse.\n").expect("a file");
    place.file("beside/raincheck.toml", "[collection.sea]\npath = \"texts\"\n");
    let server = Server::start(&place, &["--config", "beside/raincheck.toml"]);
    assert_eq!((found(&server, "lighthouses"), found(&server, "harbour")), (1, 0));
    fs::write(&text, "# Sea\n\nA harbour.\n").expect("a file");
    server.signal(Signal::HUP);
    within(Duration::from_secs(20), "the new text is found", || (found(&server, "harbour") == 1).then_some(()));
    assert_eq!(found(&server, "lighthouse"), 0);
}

#[test]
fn a_collection_that_is_not_there_stops_the_start() {
    let place = Place::new();
    place.file("raincheck.toml", "[collection.sea]\npath = \"nowhere\"\n");
    let ended = run(raincheck(&["serve", "--listen", "127.0.0.1:0"]).current_dir(place.path()));
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(ended.err.contains("collection sea: nowhere cannot be read"), "{}", ended.err);
}
