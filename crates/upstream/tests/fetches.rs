use std::time::Duration;

use bytes::Bytes;
use raincheck_upstream::{Egress, FetchFailure, Fetched, Fetcher};

use crate::support::{Reply, Server};

fn fetcher() -> Fetcher {
    Fetcher::new(Egress { allow: vec!["127.0.0.0/8".parse().unwrap()] })
}

fn reply(status: u16, bytes: &'static [u8]) -> Reply {
    let pieces = vec![(Duration::ZERO, Bytes::from_static(bytes))];
    Reply { status, headers: Vec::new(), pieces, breaks_off: false, wait: Duration::ZERO }
}

async fn whole(mut fetched: Fetched) -> Result<Vec<u8>, FetchFailure> {
    let mut bytes = Vec::new();
    while let Some(piece) = fetched.next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

#[tokio::test]
async fn a_file_is_fetched_through_its_redirects() {
    let moved = |to: &str| reply(302, b"").with("location", to);
    let file = reply(200, b"picture").with("content-type", "Image/PNG; a=b");
    let server = Server::start(vec![moved("/b"), moved("c"), moved("?d=1"), file]).await;
    let fetched = fetcher().fetch(&server.url, "image/png").await.unwrap();
    assert_eq!(fetched.media_type.as_deref(), Some("image/png"));
    assert_eq!(whole(fetched).await.unwrap(), b"picture");
    let asked = server.asked();
    let paths: Vec<&str> = asked.iter().map(|asked| asked.path.as_str()).collect();
    assert_eq!(paths, ["/v1", "/b", "/c", "/c"]);
    assert_eq!(asked[0].headers["accept"], "image/png");
}

#[tokio::test]
async fn nobody_is_led_astray() {
    let away = Server::start(vec![reply(302, b"").with("location", "http://169.254.169.254/latest/meta-data")]).await;
    let refused = fetcher().fetch(&away.url, "*/*").await.unwrap_err();
    assert!(matches!(refused, FetchFailure::Refused(_)), "{refused:?}");
    let circle = Server::start(vec![reply(307, b"").with("location", "/v1")]).await;
    let refused = fetcher().fetch(&circle.url, "*/*").await.unwrap_err();
    assert!(matches!(refused, FetchFailure::Refused(_)), "{refused:?}");
    assert_eq!(circle.asked().len(), 4);
    // Not even asked without the operator's leave.
    let server = Server::start(vec![reply(200, b"x")]).await;
    let refused = Fetcher::new(Egress::default()).fetch(&server.url, "*/*").await.unwrap_err();
    assert!(matches!(refused, FetchFailure::Refused(_)), "{refused:?}");
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_name_that_leads_into_the_network_is_not_called() {
    let server = Server::start(vec![reply(200, b"x")]).await;
    let url = server.url.replace("127.0.0.1", "localhost").replace("http:", "https:");
    let failed = Fetcher::new(Egress::default()).fetch(&url, "*/*").await.unwrap_err();
    assert!(
        matches!(&failed, FetchFailure::Failed(why) if why.contains("no address that may be called")),
        "{failed:?}"
    );
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn what_breaks_off_is_no_file_and_an_error_is_told_with_its_status() {
    let server = Server::start(vec![Reply { breaks_off: true, ..reply(200, b"half") }]).await;
    let failed = whole(fetcher().fetch(&server.url, "*/*").await.unwrap()).await.unwrap_err();
    assert!(matches!(failed, FetchFailure::Failed(_)), "{failed:?}");
    let server = Server::start(vec![reply(503, b"").with("retry-after", "7")]).await;
    let failed = fetcher().fetch(&server.url, "*/*").await.unwrap_err();
    let seven = Some(Duration::from_secs(7));
    assert!(matches!(failed, FetchFailure::Status { status: 503, retry_after } if retry_after == seven), "{failed:?}");
    let server = Server::start(vec![reply(200, b"x").with("content-encoding", "gzip")]).await;
    assert!(matches!(fetcher().fetch(&server.url, "*/*").await, Err(FetchFailure::Refused(_))));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failed = fetcher().fetch(&format!("http://{free}/"), "*/*").await.unwrap_err();
    assert!(matches!(failed, FetchFailure::Failed(_)), "{failed:?}");
}
