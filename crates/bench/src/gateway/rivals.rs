//! Other gateways, as their own documentation starts them. `cargo xtask bench gateway` installs them and says where they are.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use tokio::process::Command;

use super::contestant::{Contestant, base_url};
use crate::cores::Cores;
use crate::failure::Fallible;
use crate::server::Server;

/// Names the program `litellm`.
const LITELLM: &str = "BENCH_LITELLM";
/// The key of its callers. It starts with none, or a short one, only if it is told that it is in danger.
const LITELLM_KEY: &str = "sk-4f2b8c1d9e7a6053b1c2d3e4f5a69788";
/// Names Portkey's `start-server.js`.
const PORTKEY: &str = "BENCH_PORTKEY";

/// Another gateway.
pub(crate) struct Rival {
    pub(crate) name: &'static str,
    /// The variable that says where it is.
    variable: &'static str,
    how: How,
}

enum How {
    /// LiteLLM's proxy, with the settings for production that need no database, and these arguments. Called by this path.
    Litellm {
        arguments: &'static [&'static str],
        path: &'static str,
    },
    Portkey,
}

/// All of them. LiteLLM also as it is fastest: behind the server that it recommends for throughput, and by its route that passes
/// calls through without looking at them.
pub(crate) fn all() -> Vec<Rival> {
    let litellm = |name, arguments, path| Rival { name, variable: LITELLM, how: How::Litellm { arguments, path } };
    vec![
        Rival { name: "Portkey", variable: PORTKEY, how: How::Portkey },
        litellm("LiteLLM", &[], "/v1/chat/completions"),
        litellm("LiteLLM at its fastest", &["--run_granian"], "/openai_passthrough/chat/completions"),
    ]
}

impl Rival {
    /// Starts it, leading to the simulator.
    pub(crate) async fn start(&self, simulator: &Server, cores: &Cores, scratch: &Path) -> Fallible<Contestant> {
        let program = std::env::var_os(self.variable).ok_or_else(|| format!("{} is not set", self.variable))?;
        let address = free_address()?;
        let log = scratch.join(format!("{}.log", self.name));
        match self.how {
            How::Litellm { arguments, path } => {
                let (config, base_url) = (scratch.join("litellm.yaml"), base_url(simulator));
                std::fs::write(&config, litellm_config(&base_url))?;
                let workers = cores.subjects.len().to_string();
                let mut command = litellm(program, address, &config, &workers);
                command.args(arguments).env("OPENAI_API_BASE", base_url).current_dir(scratch);
                let server = Server::start_other(&mut command, address, "/health/liveliness", &log).await?;
                Ok(Contestant::new(self.name, server, path, &format!("authorization: Bearer {LITELLM_KEY}\r\n")))
            }
            How::Portkey => {
                let mut command = Command::new("node");
                command.arg(program).args(["--headless", &format!("--port={}", address.port())]).current_dir(scratch);
                let server = Server::start_other(&mut command, address, "/", &log).await?;
                let headers = format!(
                    "x-portkey-provider: openai\r\nx-portkey-custom-host: {}\r\nauthorization: Bearer sk-bench\r\n",
                    base_url(simulator)
                );
                Ok(Contestant::new(self.name, server, "/v1/chat/completions", &headers))
            }
        }
    }
}

/// An address that nobody listens on just now.
fn free_address() -> Fallible<SocketAddr> {
    Ok(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn litellm(program: OsString, address: SocketAddr, config: &Path, workers: &str) -> Command {
    let mut command = Command::new(program);
    command.arg("--config").arg(config).args(["--host", "127.0.0.1", "--port", &address.port().to_string()]);
    command.args(["--num_workers", workers, "--keepalive_timeout", "75"]);
    let settings = [
        ("LITELLM_MODE", "PRODUCTION"),
        ("LITELLM_LOG", "ERROR"),
        ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
        ("LITELLM_MASTER_KEY", LITELLM_KEY),
        ("OPENAI_API_KEY", "sk-bench"),
    ];
    command.envs(settings);
    command
}

fn litellm_config(base_url: &str) -> String {
    format!(
        "model_list:\n  - model_name: gpt-sim\n    litellm_params:\n      model: openai/gpt-sim\n      api_base: {base_url}\n      \
         api_key: sk-bench\nlitellm_settings:\n  set_verbose: false\n  request_timeout: 600\n"
    )
}
