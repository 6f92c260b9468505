//! `raincheck simulate`: the simulator as a command.

use crate::support::{Place, Server, post, raincheck, run};

#[test]
fn it_says_what_it_is_answers_and_stops() {
    let place = Place::new();
    place.file("sim.json", r#"{"seed": 5, "time_scale": 2}"#);
    let simulator = Server::simulator(&place, &["--config", "sim.json", "--seed", "6"]);
    let body = r#"{"model": "gpt-sim", "input": "Hello"}"#;
    let reply = post(simulator.address, "/openai/v1/responses", body).json();
    assert_eq!(reply["status"], "completed");
    let config = simulator.get("/sim/config").json();
    assert_eq!((config["seed"].as_u64(), config["time_scale"].as_f64()), (Some(6), Some(2.0)));
    assert!(simulator.stop().success());
    let said = std::fs::read_to_string(place.log()).expect("what it said");
    assert_eq!(said, "Raincheck simulator: stands in for providers; nothing here is real\n");
}

#[test]
fn a_configuration_that_is_wrong_is_told() {
    let place = Place::new();
    place.file("sim.json", r#"{"sead": 5}"#);
    let refused = run(raincheck(&["simulate", "--config", "sim.json"]).current_dir(place.path()));
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("sim.json: unknown field `sead`"), "{}", refused.err);
    let refused =
        run(raincheck(&["simulate", "--listen", "127.0.0.1:0", "--time-scale", "0"]).current_dir(place.path()));
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("time_scale: must be a number above 0"), "{}", refused.err);
}
