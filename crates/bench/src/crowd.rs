//! A crowd of clients that follow one job by server-sent events, in a process of its own: a process may have only so many
//! files open.
//!
//! Says `joined` on standard output when all of them have been told of the event before, and `told` when all of them have
//! been told of the one to come.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Barrier, Semaphore};
use tokio::task::JoinSet;

use crate::failure::Fallible;
use crate::http::get;
use crate::proc;

/// How many connect at once.
const CONNECTING: usize = 128;
const BEFORE: &[u8] = b"event: accepted";
const TO_COME: &[u8] = b"event: started";

/// Follows: `crowd ADDRESS JOB CLIENTS SOURCE`.
pub(crate) fn join(args: &[&str]) -> Fallible<()> {
    let [address, job, clients, source] = args else { return Err("usage: crowd ADDRESS JOB CLIENTS SOURCE".into()) };
    proc::raise_open_files()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(follow(address.parse()?, job, clients.parse()?, source.parse()?))
}

async fn follow(address: SocketAddr, job: &str, clients: usize, source: IpAddr) -> Fallible<()> {
    let request: Arc<[u8]> = get(&format!("/v1/jobs/{job}/events"), "accept: text/event-stream\r\n").into();
    let joined = Arc::new(Barrier::new(clients + 1));
    let connecting = Arc::new(Semaphore::new(CONNECTING));
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let (request, joined, connecting) = (Arc::clone(&request), Arc::clone(&joined), Arc::clone(&connecting));
        tasks.spawn(async move {
            let mut stream = {
                let _turn = connecting.acquire().await?;
                let mut stream = connect(address, source).await?;
                stream.write_all(&request).await?;
                read_until(&mut stream, BEFORE).await?;
                stream
            };
            joined.wait().await;
            read_until(&mut stream, TO_COME).await?;
            Fallible::Ok(stream)
        });
    }
    tokio::select! {
        _ = joined.wait() => println!("joined"),
        // Nobody ends before all have joined, unless by an error.
        Some(ended) = tasks.join_next() => drop(ended??),
    }
    // Kept open until all are told.
    let mut streams = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        streams.push(ended??);
    }
    println!("told");
    Ok(())
}

async fn connect(address: SocketAddr, source: IpAddr) -> Fallible<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(source, 0))?;
    Ok(socket.connect(address).await?)
}

/// Reads until this was among it.
async fn read_until(stream: &mut TcpStream, wanted: &[u8]) -> Fallible<()> {
    let mut seen = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Err(format!("a stream ended: {}", String::from_utf8_lossy(&seen)).into());
        }
        seen.extend_from_slice(&buffer[..read]);
        if seen.windows(wanted.len()).any(|window| window == wanted) {
            return Ok(());
        }
    }
}
