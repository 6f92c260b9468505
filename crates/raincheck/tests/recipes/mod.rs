//! Recipes against the real server: routes of somebody's own choice, and what becomes of what is sent there.

mod command;
mod course;
mod crash;
mod files;
mod follow;
mod home_design;
mod reload;
mod routes;
mod talk;
mod voice_library;

use serde_json::Value;

use crate::support::{Place, Reply, Server, post};

/// A server with these recipes, each a file of a folder of its own.
struct Kitchen {
    place: Place,
    server: Server,
}

impl Kitchen {
    fn new(recipes: &[(&str, &str)]) -> Self {
        Self::configured(recipes, "")
    }

    fn configured(recipes: &[(&str, &str)], config: &str) -> Self {
        let place = Place::new();
        std::fs::create_dir(place.path().join("recipes")).expect("a folder");
        for (name, text) in recipes {
            place.file(&format!("recipes/{name}.toml"), text);
        }
        let config = place.file("raincheck.toml", config);
        let server = Server::start(&place, &["--config", config.to_str().expect("a path"), "--recipes", "recipes"]);
        Self { place, server }
    }

    fn post(&self, path: &str, body: &str) -> Reply {
        post(self.server.address, path, body)
    }

    /// What became of the job that a recipe's answer names by `id`, as its status page under `path` tells it.
    fn ended(&self, path: &str, accepted: &Reply) -> Value {
        let id = accepted.json()["id"].as_str().expect("an id").to_owned();
        self.server.get(&format!("{path}/{id}?wait=30")).json()
    }
}

/// A recipe that gives back what it is given.
const ECHO: &str = r#"
name = "echo"
[route]
post = "/api/echo/{who}"
[input]
who = "string"
loud = { type = "boolean", in = "query", default = false }
text = { type = "string", min = 1, max = 20 }
times = { type = "integer", min = 1, max = 9, default = 1 }
[steps.say]
kind = "echo"
input = { said = "{{ input.who }}: {{ input.text | upper if input.loud else input.text }}", times = "{{ input.times }}" }
[accepted]
body = { id = "{{ job.id }}", state = "pending" }
[status]
get = "/api/echo-status/{id}"
body = { id = "{{ job.uuid }}", state = "{{ job.state }}", result = "{{ job.result }}" }
[list]
get = "/api/echoes"
item = { said = "{{ job.result.said if job.result else none }}" }
"#;
