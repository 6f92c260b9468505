use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use raincheck_recipes::{Asset, Mistake, RECIPE_MAX, Recipe};
use serde_json::Value;

use crate::exit::{Exit, Failure};

/// How deep folders are looked into.
const DEPTH_MAX: usize = 4;
/// The most files of a page, and the largest, in bytes.
const ASSETS_MAX: usize = 100;
const ASSET_BYTES_MAX: u64 = 4 << 20;
/// The configuration of a server, which may lie beside the recipes.
const CONFIGURATION: &str = "raincheck.toml";
/// The folder beside recipes whose files are served as they are.
const PAGE: &str = "page";

/// The recipes of these files and folders.
///
/// # Errors
/// Everything that is wrong with them.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<Recipe>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        let before = files.len();
        find(path, 0, &mut files).map_err(|error| unreadable(path, &error))?;
        if files.len() == before {
            let message = format!("there is no recipe in {}", path.display());
            return Err(Failure::new(Exit::Usage, message).hint("a recipe is a file whose name ends in .toml"));
        }
    }
    files.sort();
    files.dedup();
    let (mut recipes, mut mistakes) = (Vec::new(), Vec::new());
    for file in files {
        let text = read_text(&file).map_err(|error| unreadable(&file, &error))?;
        match Recipe::read(&file, &text) {
            Ok(recipe) => recipes.push(recipe),
            Err(more) => mistakes.extend(more),
        }
    }
    if mistakes.is_empty() { Ok(recipes) } else { Err(wrong(&mistakes)) }
}

/// Whether the kinds that the steps are of take what they are given: their JSON Schemas, by name.
///
/// # Errors
/// Where they do not, and the kinds that there are not.
pub(crate) fn check_calls(recipes: &[Recipe], kinds: &BTreeMap<String, Value>) -> Result<(), Failure> {
    let mistakes: Vec<Mistake> = recipes.iter().flat_map(|recipe| recipe.check_calls(kinds)).collect();
    if mistakes.is_empty() { Ok(()) } else { Err(wrong(&mistakes)) }
}

/// The pages that lie beside recipes, by the name of their folder and of the file.
///
/// # Errors
/// If one cannot be read, or is too large.
pub(crate) fn pages(recipes: &[Recipe]) -> Result<BTreeMap<String, BTreeMap<String, Asset>>, Failure> {
    let mut pages = BTreeMap::new();
    for folder in recipes.iter().filter_map(|recipe| recipe.path.parent()) {
        let (page, name) = (folder.join(PAGE), folder.canonicalize().ok());
        let Some(name) = name.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned())
        else {
            continue;
        };
        if page.is_dir() && !pages.contains_key(&name) {
            pages.insert(name, assets(&page).map_err(|error| unreadable(&page, &error))?);
        }
    }
    Ok(pages)
}

fn assets(page: &Path) -> io::Result<BTreeMap<String, Asset>> {
    let mut assets = BTreeMap::new();
    for entry in fs::read_dir(page)? {
        let entry = entry?;
        if !entry.file_type()?.is_file() {
            continue;
        }
        if entry.metadata()?.len() > ASSET_BYTES_MAX || assets.len() >= ASSETS_MAX {
            let message = format!("a page has {ASSETS_MAX} files of up to {ASSET_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        assets.insert(name.clone(), Asset::new(&name, fs::read(entry.path())?));
    }
    Ok(assets)
}

pub(crate) fn wrong(mistakes: &[Mistake]) -> Failure {
    let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    Failure::new(Exit::Usage, told.join("\n"))
}

/// Every recipe below a path. A folder's page holds none.
fn find(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if fs::metadata(path)?.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != PAGE && depth < DEPTH_MAX {
            find(&path, depth + 1, files)?;
        } else if path.extension().is_some_and(|end| end == "toml") && name != CONFIGURATION && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

fn read_text(file: &Path) -> io::Result<String> {
    if fs::metadata(file)?.len() > RECIPE_MAX as u64 {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("a recipe has {RECIPE_MAX} bytes at most")));
    }
    fs::read_to_string(file)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Usage, format!("{} cannot be read: {error}", path.display()))
}
