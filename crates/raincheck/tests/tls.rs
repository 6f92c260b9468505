//! A server that speaks TLS, reached by clients that trust its authority; and what keeps it from starting.

use crate::support::{Authority, Ended, Place, Server, raincheck, run};

#[test]
fn the_command_line_reaches_a_server_with_tls() {
    let place = Place::new();
    let proof = Authority::new(&place);
    let server = Server::start(&place, &proof.flags());
    assert!(server.url().starts_with("https://"), "{}", server.url());
    let url = server.url();
    let submit = ["submit", "echo", "--input", "7", "--follow", "--server", &url];
    let trusting = run(raincheck(&submit).env("SSL_CERT_FILE", &proof.authority));
    assert_eq!(trusting.code, Some(0), "{trusting:?}");
    let other = Authority::new(&Place::new());
    let doubting = run(raincheck(&submit).env("SSL_CERT_FILE", &other.certificate));
    assert_eq!(doubting.code, Some(4), "{doubting:?}");
    assert!(server.stop().success());
}

#[test]
fn a_certificate_that_cannot_be_used_is_named() {
    let place = Place::new();
    let proof = Authority::new(&place);
    let [_, certificate, _, key] = proof.flags();
    let start = |certificate: &str, key: &str| -> Ended {
        let flags = ["serve", "--listen", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key];
        run(raincheck(&flags).current_dir(place.path()))
    };
    for (refused, named) in [
        (start("absent.pem", key), "absent.pem cannot be read"),
        (start(key, key), "key.pem: expected certificates in PEM"),
        (start(certificate, certificate), "cert.pem: expected a private key in PEM"),
    ] {
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.err.contains(named), "{}", refused.err);
    }
    let alone = raincheck(&["serve", "--listen", "127.0.0.1:0"])
        .env("RAINCHECK_TLS_CERT", certificate)
        .current_dir(place.path())
        .output()
        .expect("the command starts");
    assert!(String::from_utf8_lossy(&alone.stderr).contains("needs both a certificate and its key"), "{alone:?}");
}
