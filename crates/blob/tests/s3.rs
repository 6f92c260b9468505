//! A real S3 service for tests, on a port and in a directory of its own: `s3s-fs`, which verifies signatures. It can be down, fail
//! on what a test names, and tell what it was asked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;
use tokio::net::TcpListener;

pub(crate) const BUCKET: &str = "blobs";
pub(crate) const KEY_ID: &str = "AKIACANARY";
pub(crate) const KEY: &str = "canary-of-the-secret";

/// The service. It ends with this.
pub(crate) struct S3 {
    pub(crate) address: SocketAddr,
    directory: TempDir,
    shared: Arc<Shared>,
    _stop: tokio::sync::oneshot::Sender<()>,
}

#[derive(Default)]
struct Shared {
    is_down: AtomicBool,
    /// Whatever has this in its address fails.
    failing: Mutex<Option<String>>,
    /// Whatever has this in its address is never answered.
    hanging: Mutex<Option<String>>,
    asked: Mutex<Vec<String>>,
}

impl S3 {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join(BUCKET)).unwrap();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(directory.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(KEY_ID, KEY));
        let service = service.build();
        let shared = Arc::new(Shared::default());
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = serve(&listener, &service, &theirs) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address: told.recv().unwrap(), directory, shared, _stop: stop }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whether it hangs up on everybody from now on.
    pub(crate) fn down(&self, is_down: bool) {
        self.shared.is_down.store(is_down, Ordering::Relaxed);
    }

    /// What fails from now on: requests with this in their address.
    pub(crate) fn fail(&self, what: Option<&str>) {
        *self.shared.failing.lock().unwrap() = what.map(str::to_owned);
    }

    /// What is never answered from now on.
    pub(crate) fn hang(&self, what: Option<&str>) {
        *self.shared.hanging.lock().unwrap() = what.map(str::to_owned);
    }

    /// What it was asked so far: methods and addresses.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// The objects that are there, by the rest of their path in the bucket.
    pub(crate) fn objects(&self) -> Vec<String> {
        let bucket = self.directory.path().join(BUCKET);
        let (mut directories, mut found) = (vec![bucket.clone()], Vec::new());
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap().flatten() {
                let path: PathBuf = entry.path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    found.push(path.strip_prefix(&bucket).unwrap().display().to_string());
                }
            }
        }
        found.sort();
        found
    }

    /// What is left of uploads in parts that were not ended.
    pub(crate) fn parts(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.directory.path()).unwrap().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| name.starts_with(".upload")).collect()
    }
}

async fn serve(listener: &TcpListener, service: &S3Service, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (service, shared) = (service.clone(), Arc::clone(shared));
        let answer = hyper::service::service_fn(move |request| answer(service.clone(), Arc::clone(&shared), request));
        #[expect(clippy::disallowed_methods, reason = "it ends with the service's runtime")]
        tokio::spawn(async move {
            auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await
        });
    }
}

/// An error here closes the connection without an answer, as a service does that goes down.
async fn answer(
    service: S3Service,
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<s3s::Body>, std::io::Error> {
    let asked = format!("{} {}", request.method(), request.uri());
    let named = |what: &Mutex<Option<String>>| what.lock().unwrap().as_ref().is_some_and(|what| asked.contains(what));
    if shared.is_down.load(Ordering::Relaxed) {
        return Err(std::io::Error::other("down"));
    }
    if named(&shared.hanging) {
        return std::future::pending().await;
    }
    let fails = named(&shared.failing);
    shared.asked.lock().unwrap().push(asked);
    if fails {
        let mut failed = Response::new(s3s::Body::empty());
        *failed.status_mut() = StatusCode::FORBIDDEN;
        return Ok(failed);
    }
    hyper::service::Service::call(&service, request).await.map_err(|_| std::io::Error::other("failed"))
}
