//! What is refused before there is a job.

use serde_json::{Value, json};

use super::{CHAT, Home, TRANSFORM, form, webp};
use crate::support::{Reply, post, request};

fn told(reply: &Reply) -> (u16, String) {
    let body = reply.json();
    (reply.status, body["detail"].as_str().unwrap_or_else(|| panic!("a detail: {body}")).to_owned())
}

#[test]
fn what_makes_no_sense_is_refused_with_a_hint() {
    let home = Home::new();
    for (body, status, hint) in [
        (json!({ "message": TRANSFORM, "transform": true }), 422, "send one as `image`, or its address as `image_url`"),
        (json!({ "message": "" }), 422, "message: it should have from 1 to 8000 characters"),
        (json!({ "message": " \n" }), 422, "message: it should not be blank"),
        (json!({ "mesage": "Hello" }), 422, "did you mean message?"),
        (
            json!({ "message": "Hello", "conversation_id": "conv_01a20e3b2dd570009540a7d508762d39" }),
            404,
            "no such conversation",
        ),
        (json!({ "message": "Hello", "conversation_id": "nobody" }), 404, "no such conversation"),
        (
            json!({ "message": TRANSFORM, "image_url": "https://169.254.169.254/latest/meta-data/" }),
            422,
            "its address is not public",
        ),
        (json!({ "message": TRANSFORM, "image_url": "https://10.0.0.1/room.png" }), 422, "its address is not public"),
        (json!({ "message": TRANSFORM, "image_url": "http://93.184.215.14/room.png" }), 422, "https"),
        (json!({ "message": TRANSFORM, "image_url": "file:///etc/passwd" }), 422, "address"),
    ] {
        let (got, detail) = told(&post(home.server.address, CHAT, &body.to_string()));
        assert!(got == status && detail.contains(hint), "{body}: {got} {detail}");
    }
    assert_eq!(home.server.get("/home-design/conversations/nobody").status, 404);
    check_nothing_is_left(&home);
}

#[test]
fn what_is_no_picture_is_refused_as_it_comes() {
    let home = Home::new();
    let heic = "\0\0\0\x18ftypheic\0\0\0\0mif1heic";
    let damaged = "RIFF\x32\0\0\0WEBPVP8Xoops";
    let bomb = webp(20_000);
    let large = webp(64) + &"x".repeat(10_000_001);
    for (image, status, hint) in [
        ("<svg xmlns=\"http://www.w3.org/2000/svg\"/>", 415, "it may be image/png, image/jpeg, image/webp"),
        (heic, 415, "it may be image/png"),
        ("GIF89a\x01\0\x01\0\0\0;", 415, "those of image/gif"),
        (damaged, 422, "damaged"),
        ("", 422, "empty"),
        (&bomb, 422, "20000 x 20000 pixels"),
        (&large, 413, "10000000 bytes"),
    ] {
        let (got, detail) = told(&home.send(&[("message", TRANSFORM), ("image", image)]));
        assert!(got == status && detail.contains(hint), "{}: {got} {detail}", &image[..image.len().min(20)]);
    }
    let both = [("message", TRANSFORM), ("image", &webp(64)), ("image_url", &home.picture())];
    assert_eq!(told(&home.send(&both)).0, 422);
    check_nothing_is_left(&home);
    // And one that is: the last of a request may be the picture.
    let headers = [("content-type", "multipart/form-data; boundary=X")];
    let good = form(&[("transform", "true"), ("image", &webp(64)), ("message", "Make it warm")]);
    let turn = request(home.server.address, "POST", CHAT, &headers, &good);
    assert_eq!(turn.status, 202, "{turn:?}");
    assert_eq!(home.ended(&turn.json())["type"], "design_generation");
}

fn check_nothing_is_left(home: &Home) {
    assert_eq!(home.server.get("/v1/jobs").json()["jobs"], json!([]));
    let files: Value = home.server.get("/openai/v1/files").json();
    assert_eq!(files["data"], json!([]));
    assert_eq!(home.paid(), (0, 0));
}
