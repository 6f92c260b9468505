use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};

use raincheck_recipes::nearest;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::complaint::{Complaint, Line, Place};
use super::value::Value;

/// Where settings come from, the later before the earlier: the file, the environment, flags.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    /// Name and text of the file.
    pub(crate) file: Option<(PathBuf, String)>,
    /// The environment variables whose names begin with `RAINCHECK_`.
    pub(crate) environment: BTreeMap<String, OsString>,
    /// What flags said: by flag, the setting (`section.key`) and every value that was given.
    pub(crate) flags: Vec<(&'static str, &'static str, Vec<OsString>)>,
}

/// A setting as it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The table of the file that it stands in.
    pub(crate) section: Cow<'static, str>,
    /// Its name there.
    pub(crate) key: &'static str,
    /// Its value as it would be written there.
    pub(crate) value: String,
    /// Where the value comes from; `None` for the default.
    pub(crate) source: Option<String>,
}

/// Takes settings from the layers one by one, and remembers everything that is wrong with them.
pub(crate) struct Reader<'a> {
    layers: &'a Layers,
    table: DeTable<'a>,
    settings: Vec<Setting>,
    complaints: Vec<Complaint>,
    warnings: Vec<Complaint>,
}

/// The settings of one table of the file.
pub(crate) struct Section<'r, 'a> {
    reader: &'r mut Reader<'a>,
    name: &'static str,
}

/// The environment variable of a setting. The section `server` goes without saying.
pub(crate) fn variable(section: &str, key: &str) -> String {
    let name = if section == "server" { key.to_owned() } else { format!("{section}_{key}") };
    format!("RAINCHECK_{}", name.to_uppercase())
}

impl<'a> Reader<'a> {
    pub(crate) fn new(layers: &'a Layers) -> Self {
        let table = DeTable::new();
        let mut reader = Self { layers, table, settings: Vec::new(), complaints: Vec::new(), warnings: Vec::new() };
        if let Some((path, text)) = &layers.file {
            let (table, errors) = DeTable::parse_recoverable(text);
            reader.table = table.into_inner();
            for error in errors {
                let place = Place::Line(Line::of(path.clone(), text, error.span().unwrap_or(0..0)));
                reader.complaints.push(Complaint { place, message: error.message().into(), hint: None });
            }
        }
        reader
    }

    pub(crate) fn section(&mut self, name: &'static str) -> Section<'_, 'a> {
        Section { reader: self, name }
    }

    /// Everything that was read; or everything that is wrong, keys that nobody asked for among it.
    pub(crate) fn finish(mut self) -> Result<Vec<Setting>, Vec<Complaint>> {
        self.look_for_unknown();
        if self.complaints.is_empty() { Ok(self.settings) } else { Err(self.complaints) }
    }

    /// What environment variables look like settings and are none.
    pub(crate) fn stray_variables(settings: &[Setting], layers: &Layers) -> Vec<Complaint> {
        let known: Vec<String> = settings.iter().map(|setting| variable(&setting.section, setting.key)).collect();
        let stray = layers.environment.keys().filter(|name| !known.contains(name) && !is_of_others(name));
        let complaint = |name: &String| Complaint {
            place: Place::Named(name.clone()),
            message: "this environment variable means nothing here".into(),
            hint: nearest(name, known.iter().map(String::as_str)).map(|near| format!("did you mean {near}?")),
        };
        stray.map(complaint).collect()
    }

    /// Takes the tables of a section in which the operator chooses the names: `[section.name]`.
    pub(super) fn take_named(&mut self, section: &str) -> Vec<(Spanned<String>, DeTable<'a>)> {
        let Some((name, value)) = self.table.remove_entry(section) else { return Vec::new() };
        let DeValue::Table(tables) = value.into_inner() else {
            let hint = format!("write [{section}.NAME] on a line of its own");
            self.complain(name.span(), format!("`{section}` holds sections"), Some(hint));
            return Vec::new();
        };
        let mut named = Vec::new();
        for (name, value) in tables {
            match value.into_inner() {
                DeValue::Table(table) => named.push((Spanned::new(name.span(), name.get_ref().to_string()), table)),
                _ => {
                    let hint = format!("settings stand in a section of their own: [{section}.NAME]");
                    self.complain(name.span(), format!("[{section}] has no settings"), Some(hint));
                }
            }
        }
        named
    }

    /// Shows a setting that was taken.
    pub(super) fn tell(&mut self, setting: Setting) {
        self.settings.push(setting);
    }

    /// The name of the file.
    pub(super) fn file_name(&self) -> String {
        let path = self.layers.file.as_ref().map_or(Path::new(""), |(path, _)| path);
        path.display().to_string()
    }

    pub(super) fn complain(&mut self, span: Range<usize>, message: String, hint: Option<String>) {
        let Some((path, text)) = &self.layers.file else { return };
        let place = Place::Line(Line::of(path.clone(), text, span));
        self.complaints.push(Complaint { place, message, hint });
    }

    /// Tells what is allowed and probably not meant.
    pub(super) fn warn(&mut self, span: Range<usize>, message: String) {
        let Some((path, text)) = &self.layers.file else { return };
        let place = Place::Line(Line::of(path.clone(), text, span));
        self.warnings.push(Complaint { place, message, hint: None });
    }

    /// What was warned of.
    pub(super) fn take_warnings(&mut self) -> Vec<Complaint> {
        std::mem::take(&mut self.warnings)
    }

    fn look_for_unknown(&mut self) {
        let sections: BTreeSet<String> = self.settings.iter().map(|setting| setting.section.to_string()).collect();
        for (name, value) in std::mem::take(&mut self.table) {
            let section = name.get_ref().as_ref();
            if !sections.contains(section) {
                let hint =
                    self.whose(section).or_else(|| did_you_mean(nearest(section, sections.iter().map(String::as_str))));
                self.complain(name.span(), format!("there is no section [{section}]"), hint);
                continue;
            }
            let Some(table) = value.get_ref().as_table() else {
                let message = format!("`{section}` is a section");
                self.complain(name.span(), message, Some(format!("write [{section}] on a line of its own")));
                continue;
            };
            let keys: Vec<&'static str> = self.keys(section).collect();
            for (key, _) in table.iter().filter(|(key, _)| !keys.contains(&key.get_ref().as_ref())) {
                let name = key.get_ref().as_ref();
                let near = nearest(name, keys.iter().copied());
                let hint = near.map_or_else(|| self.whose(name), |near| did_you_mean(Some(near)));
                self.complain(key.span(), format!("unknown setting `{name}` in [{section}]"), hint);
            }
        }
        self.complaints.sort_by_key(|complaint| complaint.place.line());
    }

    fn keys(&self, section: &str) -> impl Iterator<Item = &'static str> {
        self.settings.iter().filter(move |setting| setting.section == section).map(|setting| setting.key)
    }

    /// The section that a misplaced key belongs to.
    fn whose(&self, key: &str) -> Option<String> {
        let setting = self.settings.iter().find(|setting| setting.key == key)?;
        Some(format!("it belongs into [{}]", setting.section))
    }
}

/// Names with our prefix that mean something else: the client's own, and those that Kubernetes sets for a service of
/// this name.
fn is_of_others(name: &str) -> bool {
    ["RAINCHECK_SERVER", "RAINCHECK_API_KEY", "RAINCHECK_CONFIG", "RAINCHECK_PORT"].contains(&name)
        || name.starts_with("RAINCHECK_SERVICE_")
        || name.starts_with("RAINCHECK_PORT_")
        || name.starts_with("RAINCHECK_TEST_")
}

pub(super) fn did_you_mean(near: Option<&str>) -> Option<String> {
    near.map(|near| format!("did you mean `{near}`?"))
}

impl Section<'_, '_> {
    /// The setting of this name.
    pub(crate) fn get<T: Value>(&mut self, key: &'static str, default: T) -> T {
        self.get_if(key, default, |_| true, "")
    }

    /// The setting of this name; `must` says what it has to be if `valid` does not hold.
    pub(crate) fn get_if<T: Value>(&mut self, key: &'static str, default: T, valid: fn(&T) -> bool, must: &str) -> T {
        let checked = |value: T| if valid(&value) { Ok(value) } else { Err(must.to_owned()) };
        let mut found = None;
        if let Some((span, read)) = self.in_file::<T>(key) {
            match read.and_then(checked) {
                Ok(value) => found = Some((value, self.reader.file_name())),
                Err(message) => self.reader.complain(span, format!("{key}: {message}"), None),
            }
        }
        for (name, read) in self.by_name::<T>(key) {
            match read.and_then(checked) {
                Ok(value) => found = Some((value, name)),
                Err(message) => {
                    self.reader.complaints.push(Complaint { place: Place::Named(name), message, hint: None });
                }
            }
        }
        let (value, source) = found.map_or((default, None), |(value, source)| (value, Some(source)));
        let setting = Setting { section: self.name.into(), key, value: value.show(), source };
        self.reader.settings.push(setting);
        value
    }

    /// Complains of a setting that does not go with others: where it stands, or by its name if it does not stand in the file.
    pub(crate) fn wrong(&mut self, key: &'static str, message: &str) {
        let table = self.reader.table.get(self.name).and_then(|section| section.get_ref().as_table());
        let span = table.and_then(|table| table.get(key)).map(|value| value.span());
        match span {
            Some(span) => self.reader.complain(span, format!("{key}: {message}"), None),
            None => {
                let place = Place::Named(format!("[{}] {key}", self.name));
                self.reader.complaints.push(Complaint { place, message: message.to_owned(), hint: None });
            }
        }
    }

    fn in_file<T: Value>(&self, key: &str) -> Option<(Range<usize>, Result<T, String>)> {
        let value = self.reader.table.get(self.name)?.get_ref().as_table()?.get(key)?;
        Some((value.span(), T::from_toml(value.get_ref())))
    }

    /// What the environment and then the flags say.
    fn by_name<T: Value>(&self, key: &str) -> Vec<(String, Result<T, String>)> {
        let variable = variable(self.name, key);
        let layers = self.reader.layers;
        let in_environment = layers.environment.get(&variable);
        let from_environment = in_environment.map(|value| (variable.clone(), T::from_variable(value)));
        let setting = format!("{}.{key}", self.name);
        let from_flags = layers.flags.iter().filter(|(_, name, _)| *name == setting);
        let from_flags = from_flags.map(|(flag, _, values)| ((*flag).to_owned(), T::from_flag(values)));
        from_environment.into_iter().chain(from_flags).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn layers(text: &str) -> Layers {
        Layers { file: Some(("r.toml".into(), text.into())), ..Layers::default() }
    }

    fn lease(layers: &Layers) -> (Duration, Result<Vec<Setting>, Vec<Complaint>>) {
        let mut reader = Reader::new(layers);
        let lease = reader.section("engine").get("lease", Duration::from_secs(15));
        (lease, reader.finish())
    }

    #[test]
    fn later_layers_win() {
        let mut layers = layers("[engine]\nlease = \"1s\"");
        let source = |layers: &Layers| lease(layers).1.unwrap()[0].source.clone().unwrap();
        assert_eq!((lease(&layers).0, source(&layers)), (Duration::from_secs(1), "r.toml".into()));
        layers.environment.insert("RAINCHECK_ENGINE_LEASE".into(), "2s".into());
        assert_eq!((lease(&layers).0, source(&layers)), (Duration::from_secs(2), "RAINCHECK_ENGINE_LEASE".into()));
        layers.flags.push(("--lease", "engine.lease", vec!["3s".into()]));
        assert_eq!((lease(&layers).0, source(&layers)), (Duration::from_secs(3), "--lease".into()));
    }

    #[test]
    fn every_mistake_is_told() {
        let mut layers = layers("leese = 1\n[engine]\nlaese = \"1s\"\nlease = 5\n[engin]\n");
        layers.environment.insert("RAINCHECK_ENGINE_LEASE".into(), "soon".into());
        assert_eq!(lease(&layers).1.unwrap_err().len(), 5);
    }

    #[test]
    fn a_variable_that_means_nothing_is_told() {
        let mut layers = Layers::default();
        layers.environment.insert("RAINCHECK_ENGINE_LAESE".into(), "2s".into());
        layers.environment.insert("RAINCHECK_PORT_80_TCP".into(), "tcp://10.0.0.1:80".into());
        let settings = lease(&layers).1.unwrap();
        let stray: Vec<String> = Reader::stray_variables(&settings, &layers).iter().map(ToString::to_string).collect();
        let told = "RAINCHECK_ENGINE_LAESE: this environment variable means nothing here; did you mean \
                    RAINCHECK_ENGINE_LEASE?";
        assert_eq!(stray, [told]);
    }
}
