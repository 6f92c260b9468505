//! What the server is told before it starts: from a TOML file, the environment and flags, the later before the earlier.
//!
//! Each section of the file has a module here, which names its settings, their defaults and what they must be. The
//! environment variable of a setting is `RAINCHECK_<SECTION>_<KEY>`, and `RAINCHECK_<KEY>` for the section `server`.
//! A value of the wrong sort and a key that nobody knows are refused, all of them at once and each with its place.

mod audio;
mod base_url;
mod blobs;
mod collection;
mod complaint;
mod egress;
mod engine;
mod limits;
mod log;
mod named;
mod reader;
mod recipes;
mod server;
pub(crate) mod size;
mod store;
mod upstream;
mod value;
mod workers;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use raincheck_upstream::UpstreamConfig;

pub(crate) use blobs::BlobPlace;
pub(crate) use complaint::{Complaint, Place};
pub(crate) use log::Format as LogFormat;
pub(crate) use reader::{Layers, Setting};
pub(crate) use server::Server;
pub(crate) use store::StoreKind;

/// Read if it is there and `--config` names no other.
const FILE: &str = "raincheck.toml";

/// Everything that the server is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) server: server::Server,
    pub(crate) store: store::Store,
    pub(crate) blobs: blobs::Blobs,
    pub(crate) limits: limits::Limits,
    pub(crate) engine: engine::Engine,
    pub(crate) audio: audio::Audio,
    pub(crate) workers: workers::Workers,
    pub(crate) recipes: recipes::Recipes,
    pub(crate) upstreams: BTreeMap<String, UpstreamConfig>,
    /// Folders of texts, by the names of their collections.
    pub(crate) collections: BTreeMap<String, PathBuf>,
    pub(crate) egress: egress::Egress,
    pub(crate) log: log::Log,
}

/// A configuration with what there is to say about it.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The configuration.
    pub(crate) config: Config,
    /// Each setting in force, with where it comes from.
    pub(crate) settings: Vec<Setting>,
    /// The file that was read.
    pub(crate) file: Option<PathBuf>,
    /// What is probably a mistake.
    pub(crate) warnings: Vec<Complaint>,
}

/// Everything that is wrong in a configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) struct Wrong(pub(crate) Vec<Complaint>);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let complaints: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&complaints.join("\n"))
    }
}

impl Layers {
    /// The file (`raincheck.toml` here, if there is one and no other is named) and the process's environment.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn here(config: Option<&Path>) -> Result<Self, Wrong> {
        let path = config.unwrap_or_else(|| Path::new(FILE));
        let file = match std::fs::read_to_string(path) {
            Ok(text) => Some((path.to_owned(), text)),
            Err(error) if config.is_none() && error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                let message = format!("cannot be read: {error}");
                return Err(Wrong(vec![Complaint { place: Place::File(path.into()), message, hint: None }]));
            }
        };
        Ok(Self { file, environment: environment(), flags: Vec::new() })
    }
}

/// Our variables.
fn environment() -> BTreeMap<String, OsString> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with("RAINCHECK_"))
        .collect()
}

impl Config {
    /// Puts the layers together.
    ///
    /// # Errors
    /// Everything that is wrong in any of them.
    pub(crate) fn load(layers: &Layers) -> Result<Loaded, Wrong> {
        let mut reader = reader::Reader::new(layers);
        let config = Self {
            server: server::Server::read(&mut reader),
            store: store::Store::read(&mut reader),
            blobs: blobs::Blobs::read(&mut reader),
            limits: limits::Limits::read(&mut reader),
            engine: engine::Engine::read(&mut reader),
            audio: audio::Audio::read(&mut reader),
            workers: workers::Workers::read(&mut reader),
            recipes: recipes::Recipes::read(&mut reader),
            upstreams: upstream::read(&mut reader),
            collections: collection::read(&mut reader),
            egress: egress::Egress::read(&mut reader),
            log: log::Log::read(&mut reader),
        };
        let mut warnings = reader.take_warnings();
        let settings = reader.finish().map_err(Wrong)?;
        warnings.extend(reader::Reader::stray_variables(&settings, layers));
        let file = layers.file.as_ref().map(|(path, _)| path.clone());
        Ok(Loaded { config, settings, file, warnings })
    }
}

#[cfg(test)]
mod tests {
    use super::reader::variable;
    use super::*;

    const EXAMPLE: &str = include_str!("../../../raincheck.example.toml");

    fn load(text: &str) -> Result<Loaded, Wrong> {
        Config::load(&Layers { file: Some(("raincheck.toml".into(), text.into())), ..Layers::default() })
    }

    #[test]
    fn the_example_says_nothing_but_the_defaults() {
        let loaded = load(EXAMPLE).unwrap();
        assert_eq!(loaded.config, Config::default());
        assert!(loaded.settings.iter().all(|setting| setting.source.is_none()), "a setting is not commented out");
    }

    #[test]
    fn the_example_has_every_setting_with_its_default() {
        let uncommented: Vec<&str> = EXAMPLE
            .lines()
            .map(|line| line.strip_prefix("#").filter(|l| !l.starts_with(' ')).unwrap_or(line))
            .collect();
        let loaded = load(&uncommented.join("\n")).unwrap();
        assert_eq!(loaded.config, Config::default());
        for setting in &loaded.settings {
            let (section, key) = (&*setting.section, setting.key);
            assert!(setting.source.is_some(), "[{section}] {key} = {} is missing", setting.value);
            let line = format!("#{key} = {}", setting.value);
            assert!(EXAMPLE.contains(&line), "the example should contain the line:\n{line}");
            assert!(EXAMPLE.contains(&variable(section, key)), "the example should name {}", variable(section, key));
        }
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let text = "\
[server]
lisen = \"127.0.0.1:80\"
data_dir = 7

[engine]
lease = \"10\"
concurrency = 0
data_dir = \"x\"

[adio]
roots = []
";
        insta::assert_snapshot!(load(text).unwrap_err().to_string());
    }

    #[test]
    fn a_file_that_is_no_toml_is_told_with_its_place() {
        insta::assert_snapshot!(load("[server\nlisten = \"127.0.0.1:80\n").unwrap_err().to_string());
    }
}
