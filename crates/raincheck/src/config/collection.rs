use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::named::{NAME_MUST, Named, is_name};
use super::reader::Reader;

/// `[collection.NAME]`: folders of texts that `collection.search` looks into, by the names that the operator gives them. They
/// stand in the file alone, and their paths begin at its folder: so a folder of recipes can bring its texts along.
pub(super) fn read(reader: &mut Reader<'_>) -> BTreeMap<String, PathBuf> {
    let beside = Path::new(&reader.file_name()).parent().map(Path::to_owned).unwrap_or_default();
    let mut collections = BTreeMap::new();
    for (name, table) in reader.take_named("collection") {
        let mut section = Named::new(reader, "collection", name.get_ref(), table);
        let path: Option<PathBuf> = section.get("path");
        if path.is_none() && !section.is_wrong {
            section.complain(name.span(), "a collection needs `path`, the folder of its texts".into());
        }
        section.finish();
        if is_name(name.get_ref()) {
            collections.extend(path.map(|path| (name.into_inner(), beside.join(path))));
        } else {
            reader.complain(name.span(), format!("a collection's name {NAME_MUST}"), None);
        }
    }
    collections
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Layers, Loaded, Wrong};

    fn load(text: &str) -> Result<Loaded, Wrong> {
        Config::load(&Layers { file: Some(("recipes/course/raincheck.toml".into(), text.into())), ..Layers::default() })
    }

    #[test]
    fn a_collection_lies_beside_the_file_that_names_it() {
        let loaded =
            load("[collection.course]\npath = \"material\"\n\n[collection.law]\npath = \"/srv/law\"\n").unwrap();
        let paths: Vec<_> =
            loaded.config.collections.iter().map(|(name, path)| (&**name, path.to_str().unwrap())).collect();
        assert_eq!(paths, [("course", "recipes/course/material"), ("law", "/srv/law")]);
        assert!(loaded.settings.iter().any(|setting| setting.section == "collection.course" && setting.key == "path"));
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let text = "[collection.a]\npaht = \"x\"\n[collection.B]\npath = \"x\"\n[collection.c]\npath = 1\n";
        insta::assert_snapshot!(load(text).unwrap_err().to_string());
    }
}
