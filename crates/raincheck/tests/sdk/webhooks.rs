use super::{drive, python};
use crate::support::{Place, Server};

#[test]
fn what_is_told_is_verified_by_openai_for_python() {
    let place = Place::new();
    let server = Server::configured(&place, super::TELLS_THIS_MACHINE);
    drive(python("openai-3.57.0", "webhooks_sdk.py").env("RAINCHECK", server.url()), &place);
}
