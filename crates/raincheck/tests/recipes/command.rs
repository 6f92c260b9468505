use super::ECHO;
use crate::support::{Place, raincheck, run};

#[test]
fn mistakes_are_told_with_their_place_and_nothing_is_started() {
    let place = Place::new();
    let bad = ECHO.replace("kind = \"echo\"", "kind = \"ehco\"").replace("input.who", "input.whom");
    let file = place.file("bad.toml", &bad);
    let file = file.to_str().unwrap();
    for args in
        [&["recipes", "check", file][..], &["serve", "--store", "memory", "--listen", "127.0.0.1:0", "--recipes", file]]
    {
        let told = run(raincheck(args).current_dir(place.path()));
        assert_eq!(told.code, Some(2), "{told:?}");
        assert!(told.err.contains("bad.toml:") && told.err.contains("did you mean `who`?"), "{told:?}");
    }
    let good = place.file("good.toml", ECHO);
    let kind = place.file("kind.toml", &ECHO.replace("kind = \"echo\"", "kind = \"ehco\""));
    let told = run(&mut raincheck(&["recipes", "check", kind.to_str().unwrap()]));
    assert!(told.err.contains("did you mean \"echo\"?"), "{told:?}");
    let told = run(&mut raincheck(&["recipes", "check", good.to_str().unwrap()]));
    assert_eq!((told.code, told.out.as_str()), (Some(0), "{\"ok\":true}\n"));
    let none = run(&mut raincheck(&["recipes", "check", place.path().join("none").to_str().unwrap()]));
    assert_eq!(none.code, Some(2), "{none:?}");
}

#[test]
fn recipes_are_explained_drawn_and_described_to_editors() {
    let place = Place::new();
    let file = place.file("echo.toml", ECHO);
    let tell = |args: &[&str]| run(&mut raincheck(args)).out;
    insta::assert_snapshot!(tell(&["recipes", "explain", file.to_str().unwrap()]));
    assert!(tell(&["recipes", "explain", "--mermaid", file.to_str().unwrap()]).starts_with("flowchart TD\n"));
    let schema: serde_json::Value = serde_json::from_str(&tell(&["recipes", "schema"])).unwrap();
    assert_eq!(schema["title"], "Recipe");
}
